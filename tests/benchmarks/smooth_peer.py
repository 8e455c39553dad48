"""A second peer: the smooth signed distance surface of a scan, which closes what was not seen with least bending.

python -m tests.benchmarks.smooth_peer SCAN MESH

The field f minimises mean (f(p))^2 + mean |grad f(p) - n|^2 over the points p with normals n, and the mean of
|Hessian f|^2 over the box (Calakli and Taubin 2011, "SSD: Smooth Signed Distance Surface Reconstruction"): a thin plate
that continues the scan's tangents, where screened Poisson balloons. It is solved on a regular grid, coarse to fine.
Prints {"seconds": processor time}.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
from scipy import sparse
from scipy.ndimage import zoom
from scipy.sparse.linalg import cg

from backend.field.bricks import BrickGrid
from backend.field.isosurface import extract
from backend.formats.mesh_files import load_scan, save_mesh

GRIDS = {16: 2000, 32: 2000, 64: 1000}
"""Nodes along each axis of the box, and most steps of the solver there; each grid starts from the one before. Where
nothing was seen, errors are larger than a finer grid could change."""
VALUE, BENDING = 64.0**2, 1e-3
"""Weights of the values and of the Hessian for a box of side 1, next to 1 of the slopes. Values are weighed in 64ths of
the box, as the authors weigh them in cells; so weighed, what was seen fits within its noise on three of `valid`."""
LONGEST_SIDE = 0.8
"""Of the scan's bounding box, in sides of the box of the field."""


def smooth_surface(points: np.ndarray, normals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (v, 3) and triangles (f, 3) from points (n, 3) and unit normals (n, 3)."""
    low, high = points.min(axis=0), points.max(axis=0)
    side = float((high - low).max()) / LONGEST_SIDE
    unit = (points - (low + high) / 2) / side + 0.5
    field = np.zeros((2, 2, 2))
    for nodes, steps in GRIDS.items():
        start = np.asarray(zoom(field, nodes / len(field), order=1, grid_mode=True, mode="nearest"))
        field = _solved(unit, normals, nodes, start, steps)
    surface = extract(BrickGrid.from_dense((field * len(field))[None]))
    return ((surface.vertices + 0.5) / len(field) - 0.5) * side + (low + high) / 2, surface.faces


def _solved(points: np.ndarray, normals: np.ndarray, nodes: int, start: np.ndarray, steps: int) -> np.ndarray:
    """The field (nodes, nodes, nodes) in units of the box; nodes lie at the middles of cells."""
    value, slopes = _samples(points, nodes)
    count = len(points)
    matrix = (VALUE * value.T @ value + sum(slope.T @ slope for slope in slopes)) / count
    right = sum(slope.T @ normals[:, axis] for axis, slope in enumerate(slopes)) / count
    matrix = (matrix + BENDING * _bending(nodes)).tocsr()
    diagonal = sparse.diags(1 / matrix.diagonal())
    field, _ = cg(matrix, right, x0=start.ravel(), rtol=1e-5, maxiter=steps, M=diagonal)
    return field.reshape(start.shape)


def _samples(points: np.ndarray, nodes: int) -> tuple[sparse.csr_array, list[sparse.csr_array]]:
    """Matrices (n, nodes^3) that give the field at points, trilinear, and its slope along each axis."""
    place = points * nodes - 0.5
    first = np.clip(np.floor(place), 0, nodes - 2).astype(int)
    part = place - first
    rows = np.arange(len(points))
    found = []
    for slope in (None, 0, 1, 2):
        total = sparse.csr_array((len(points), nodes**3))
        for corner in np.ndindex(2, 2, 2):
            weight = np.ones(len(points))
            for axis, far in enumerate(corner):
                share = part[:, axis] if far else 1 - part[:, axis]
                weight *= (2 * far - 1) * nodes if axis == slope else share
            column = np.ravel_multi_index(tuple((first + corner).T), (nodes,) * 3)
            total = total + sparse.csr_array((weight, (rows, column)), total.shape)
        found.append(total)
    return found[0], found[1:]


def _bending(nodes: int) -> sparse.csr_array:
    """The mean of |Hessian|^2 as a quadratic form (nodes^3, nodes^3), by differences."""
    one = sparse.eye_array(nodes)
    second = sparse.diags_array([1.0, -2.0, 1.0], offsets=[0, 1, 2], shape=(nodes - 2, nodes))
    first = sparse.diags_array([-1.0, 1.0], offsets=[0, 1], shape=(nodes - 1, nodes))
    total = sparse.csr_array((nodes**3, nodes**3))
    for axis in range(3):
        straight = [second if one_axis == axis else one for one_axis in range(3)]
        mixed = [one if one_axis == axis else first for one_axis in range(3)]
        for factors, times in ((straight, 1.0), (mixed, 2.0)):
            form = sparse.kron(sparse.kron(factors[0], factors[1]), factors[2]).tocsr()
            total = total + times * (form.T @ form)
    return total * (nodes**4 / nodes**3)


def main() -> int:
    scan = load_scan(Path(sys.argv[1]))
    started = time.process_time()
    vertices, faces = smooth_surface(scan.points.astype(np.float64), np.asarray(scan.normals, np.float64))
    save_mesh(Path(sys.argv[2]), vertices, faces)
    print(json.dumps({"seconds": time.process_time() - started}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
