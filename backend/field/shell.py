"""The solid shell of a sheet: all that lies within half of a thickness of it, so that its border is round."""

from __future__ import annotations

import numpy as np
from scipy.spatial import KDTree

from ..errors import refuse
from ..geometry.nearest import LEAF, closest_on_triangles
from ..protocol.fit_options import DEEPEST_LEVEL, FitOptions
from ..scan.prepare import LONGEST_SIDE, PreparedScan
from .bricks import BRICK, TRUNCATION, BrickGrid, voxel_size
from .isosurface import extract
from .relaxation import relaxed_mesh

LEAST_VOXELS = 2.0
"""Voxels of the grid that a shell has at least in its thickness: from the root of 3 on no direction leaves holes."""
THICKEST = 0.25
"""Share of the longest side of the scan that a shell may be thick."""
SPREAD = np.array([[1, 1, 1], [4, 1, 1], [1, 4, 1], [1, 1, 4]]) / [[3], [6], [6], [6]]
"""Barycentric coordinates (4, 3) of the samples of a face."""
NEAREST = 3
"""Nearest samples to a voxel, the nearest of whose faces gives its distance."""


def shell_thickness(scan: PreparedScan, options: FitOptions) -> float:
    """The canonical thickness that ``options`` ask for; 0 for what is no sheet. Raises OmomiError(BAD_OPTION) where the
    level cannot hold it, and says which one would."""
    asked, scale = options.thickness, scan.frame.scale
    if not asked or scan.sheet is None:
        return 0.0
    if asked * scale > THICKEST * LONGEST_SIDE:
        refuse(f"a sheet of this size can be up to {THICKEST * LONGEST_SIDE / scale:.3g} thick, not {asked:g}")
    if asked * scale < voxel_size(options.level):
        finer = [level for level in range(options.level + 1, DEEPEST_LEVEL + 1) if voxel_size(level) <= asked * scale]
        least = voxel_size(options.level) / scale
        would = f"level {finer[0]} would do" if finer else "it is thinner than one of the finest level too"
        refuse(f"a thickness of {asked:g} is less than a voxel of level {options.level}, {least:.3g}: {would}")
    return asked * scale


def shell(
    vertices: np.ndarray, faces: np.ndarray, sigma: np.ndarray, thickness: float, level: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Closed, manifold surface, vertices f32 (n, 3), faces i32 (m, 3) and sigma f32 (n,), around the sheet with these
    vertices, faces and sigma; all canonical. thickness: at least a voxel of ``level``.
    """
    level += thickness < LEAST_VOXELS * voxel_size(level)
    voxel, half = voxel_size(level), thickness / 2
    corners = np.asarray(vertices, np.float64)[faces]
    tree = KDTree(np.einsum("sk,mka->sma", SPREAD, corners).reshape(-1, 3), LEAF, balanced_tree=False)
    coords = _crossed_bricks(tree, half, voxel)
    inner = np.stack(np.meshgrid(*[np.arange(BRICK)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    places = ((coords[:, None] * BRICK + inner + 0.5) * voxel - 1).reshape(-1, 3)
    reach = half + TRUNCATION * voxel
    away, sample = (np.asarray(found) for found in tree.query(places, k=NEAREST, distance_upper_bound=reach))
    row, column = np.nonzero(np.isfinite(away))
    exact = closest_on_triangles(corners[sample[row, column] % len(faces)], places[row])[1]
    distance = np.full(len(places), reach)
    np.minimum.at(distance, row, exact)
    values = ((distance - half) / voxel).astype(np.float32).reshape(-1, 1, BRICK, BRICK, BRICK)
    found = extract(BrickGrid(coords, values))
    placed = relaxed_mesh(found.vertices, found.faces).astype(np.float32)
    made = (placed + np.float32(0.5)) * np.float32(voxel) - np.float32(1)
    owner = np.asarray(tree.query(made)[1]) % len(faces)
    return made, found.faces, sigma[faces[owner]].mean(axis=1)


def _crossed_bricks(tree: KDTree, half: float, voxel: float) -> np.ndarray:
    """Coordinates i32 (m, 3), sorted, of the bricks that may hold places ``half`` away from samples of a surface."""
    side = BRICK * voxel
    low, high = (((end + 1) / side) for end in (tree.mins - half, tree.maxes + half))
    first, last = np.floor(low).astype(int), np.floor(high).astype(int)
    every = np.stack(np.meshgrid(*map(np.arange, first, last + 1), indexing="ij"), axis=-1).reshape(-1, 3)
    radius = side * np.sqrt(3) / 2 + voxel
    away = np.asarray(tree.query((every + 0.5) * side - 1, distance_upper_bound=half + radius)[0])
    return every[np.isfinite(away) & (away > half - radius)].astype(np.int32)
