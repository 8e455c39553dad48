"""Edges of triangle meshes, as Blender finds them in one call, during which the window waits. No bpy."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

PART = 1 << 18
"""Faces at a time, of which double precision takes no memory to speak of."""


class Edges(NamedTuple):
    """The edges of a mesh of m triangles."""

    ends: NDArray[np.int32]  # (edges, 2): their vertices
    of_corners: NDArray[np.int32]  # (3 * m,): the edge from each corner to the next of its face
    sharp: NDArray[np.bool_]  # (edges,)


def edges(vertices: NDArray[np.float32], faces: NDArray[np.int32], angle: float) -> Edges:
    """The edges of triangles (m, 3) between vertices (n, 3). Sharp are those whose faces, the first two of more, turn
    by more than the angle, in radians."""
    corners, following = faces.reshape(-1), np.roll(faces, -1, axis=1).reshape(-1)
    low, high = np.minimum(corners, following), np.maximum(corners, following)
    order = np.argsort(low.astype(np.int64) * len(vertices) + high, kind="stable")
    low, high = low[order], high[order]
    begins = np.ones(len(order), np.bool_)
    begins[1:] = (low[1:] != low[:-1]) | (high[1:] != high[:-1])
    first = np.flatnonzero(begins)
    of_corners = np.empty(len(order), np.int32)
    of_corners[order] = np.cumsum(begins, dtype=np.int32) - 1
    counts = np.diff(first, append=len(order))
    sharp = np.zeros(len(first), np.bool_)
    pairs = np.flatnonzero(counts > 1)
    one, other = order[first[pairs]] // 3, order[first[pairs] + 1] // 3
    normals = _normals(vertices, faces)
    sharp[pairs] = np.einsum("ij,ij->i", normals[one], normals[other]) < np.float32(np.cos(angle))
    return Edges(np.stack([low[first], high[first]], axis=1), of_corners, sharp)


def _normals(vertices: NDArray[np.float32], faces: NDArray[np.int32]) -> NDArray[np.float32]:
    """Unit normals (m, 3) of triangles; up for those without area, as Blender has them."""
    normals = np.empty((len(faces), 3), np.float32)
    for start in range(0, len(faces), PART):
        a, b, c = (vertices[faces[start : start + PART, k]] for k in range(3))
        across = np.cross(a - b, b - c).astype(np.float32)
        length = np.linalg.norm(across, axis=1, keepdims=True)
        normals[start : start + PART] = np.where(length > 0, across / np.where(length > 0, length, 1), (0, 0, 1))
    return normals
