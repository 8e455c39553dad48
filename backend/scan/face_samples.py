"""Points on the faces of a mesh, so that large faces count as surface and not only their corners."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SPACING = 1 / 200
"""Wanted distance between points, in sizes of the scan (the middle of a clean scan measures 1)."""
MOST = 400_000
"""Never add more points than this; the spacing grows instead."""
_PLASTIC = 1.32471795724474602596


def sample_faces(
    points: NDArray[np.float32], faces: NDArray[np.int32], normals: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """Spread points evenly over the area that the corners of the faces leave bare.

    points: (n, 3) of a clean scan; faces: (m, 3); normals: (m, 3) of length twice the area.
    Returns points (s, 3) and the face (s,) each lies on. No chance: the R2 sequence (M. Roberts, 2018), folded into
    the triangles.
    """
    area = np.linalg.norm(normals.astype(np.float64), axis=1) / 2
    cell = max(SPACING**2, area.sum() / MOST)
    # A corner is shared by about six triangles, so a triangle already owns half a point.
    wanted = np.maximum(area / cell - 0.5, 0.0)
    counts = np.diff(np.floor(np.concatenate([[0.0], np.cumsum(wanted)]))).astype(np.int64)
    owner = np.repeat(np.arange(len(faces)), counts)
    index = np.arange(1, len(owner) + 1, dtype=np.float64)
    u, v = (index / _PLASTIC) % 1.0, (index / _PLASTIC**2) % 1.0
    beyond = u + v > 1
    u, v = np.where(beyond, 1 - u, u)[:, None], np.where(beyond, 1 - v, v)[:, None]
    a, b, c = (points.take(faces[owner, corner], axis=0) for corner in range(3))
    return (a * (1 - u - v) + b * u + c * v).astype(np.float32), owner
