"""A solid given as closed parts: what is inside is where their winding number is above zero, and only its boundary is
evidence. Inner walls, debris inside and nested shells that face out do not count; shells that face in are cavities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..geometry.winding_number import winding_at, winding_grid
from .orientation import OrientedMesh

RESOLUTION = 128
"""Voxels along the canonical cube of the grid that knows the inside: two bytes each."""
CELL_RADIUS = np.sqrt(3) / RESOLUTION
"""Half of the diagonal of a voxel, canonical: nearer to the surface the grid may be on the wrong side."""
STEP = 5e-4
"""A point is covered where the union lies this far in front of it, in sizes of the scan."""
FEWEST_COVERED = 0.002
"""Share of the samples below which nothing overlaps: vertices at sharp creases."""
PART_COVERED = 0.02
"""A part with at least this share of its samples covered is said to overlap others."""


@dataclass(frozen=True)
class Interior:
    """The inside of a solid, canonical."""

    inside: NDArray[np.bool_]  # (RESOLUTION,) * 3

    @classmethod
    def of(cls, vertices: NDArray, faces: NDArray) -> Interior:
        """Of closed parts with canonical vertices (n, 3)."""
        scaled = (np.asarray(vertices, np.float64) + 1) * (RESOLUTION / 2) - 0.5
        return cls(winding_grid(scaled, faces, (RESOLUTION,) * 3) > 0)

    def on_bricks(self, x: NDArray, y: NDArray, z: NDArray) -> NDArray[np.bool_]:
        """Whether voxels (m, k, k, k) lie inside, to within CELL_RADIUS of the surface; x, y and z (m, k) canonical."""
        a, b, c = (
            np.floor((along + 1) * (RESOLUTION / 2)).astype(np.int32).clip(0, RESOLUTION - 1) for along in (x, y, z)
        )
        return self.inside[a[:, :, None, None], b[:, None, :, None], c[:, None, None, :]]


def closed_faces(mesh: OrientedMesh) -> NDArray[np.int32]:
    """Faces (k, 3) of the closed pieces."""
    return mesh.faces if mesh.closed.all() else mesh.faces[mesh.closed[mesh.piece]]


def covered(vertices: NDArray, mesh: OrientedMesh, points: NDArray, normals: NDArray) -> NDArray[np.bool_]:
    """Whether the union of the closed parts lies in front of points (p, 3) with unit normals (p, 3), in units of the
    clean scan."""
    ahead = np.asarray(points, np.float64) + STEP * np.asarray(normals, np.float64)
    return winding_at(vertices, closed_faces(mesh), ahead) > 0


def overlapping_parts(
    vertices: NDArray, mesh: OrientedMesh, points: NDArray, normals: NDArray, face: NDArray
) -> tuple[int, bool, float]:
    """How many closed parts overlap or lie inside others, whether open pieces lie inside, and the share of all samples
    that the union covers.

    points, normals (p, 3) and face (p,) of samples. A coarse grid looks first, because most meshes do not overlap.
    """
    faces = closed_faces(mesh)
    low = vertices.min(axis=0).astype(np.float64)
    width = float((vertices.max(axis=0) - low).max()) / (RESOLUTION - 4)
    shape = tuple(int(along) for along in np.ceil((vertices.max(axis=0) - low) / width) + 4)
    grid = winding_grid((vertices - low) / width + 2, faces, shape)  # type: ignore[arg-type]
    suspected = np.ones(len(points), bool)
    for cells in (1.0, 2.0):
        ahead = ((points + cells * width * normals - low) / width + 2.5).astype(np.int64)
        x, y, z = ahead.clip(0, np.array(shape) - 1).T
        suspected &= grid[x, y, z] > 0
    found = np.flatnonzero(suspected)
    if len(found) < FEWEST_COVERED * len(points):
        return 0, False, 0.0
    found = found[covered(vertices, mesh, points[found], normals[found])]
    if len(found) < FEWEST_COVERED * len(points):
        return 0, False, 0.0
    count = np.bincount(mesh.piece[face], minlength=mesh.pieces)
    inner = np.bincount(mesh.piece[face[found]], minlength=mesh.pieces)
    parts = (inner >= np.maximum(1, PART_COVERED * count)) & (inner > 0)
    if not parts.any():
        # noise folds a surface at its creases, here and there
        return 0, False, 0.0
    return int((parts & mesh.closed).sum()), bool((parts & ~mesh.closed).any()), len(found) / len(points)
