"""Which voxels a closed mesh encloses, by its winding number: overlaps join, and walls turned inside out open."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

OFFSET = np.array([0.4142135623730951e-3, 0.7320508075688772e-3, 0.2360679774997896e-3])
"""Moves all columns by less than a thousandth of a voxel, off the round numbers that coordinates tend to have."""
MOST_CROSSINGS = 1 << 22
"""Pairs of a face and a column that are looked at in one go."""


def winding_grid(vertices: NDArray, faces: NDArray, shape: tuple[int, int, int]) -> NDArray[np.int16]:
    """Winding number at every voxel centre, i16 of ``shape``; vertices (n, 3) in voxels, the centre of voxel (i, j, k)
    being (i, j, k); faces (m, 3) of a closed mesh with normals outwards.

    Each column of voxels is a ray: the winding number falls where it leaves through a face and rises where it enters.
    Two faces that share an edge agree on which of them a column meets, so nothing leaks.
    """
    points = np.asarray(vertices, np.float64) + OFFSET
    faces = np.asarray(faces, np.int64).reshape(-1, 3)
    steps = np.zeros((shape[0], shape[1], shape[2] + 1), np.int16)
    corners = points[faces]
    first = np.maximum(np.ceil(corners[:, :, :2].min(axis=1)), 0).astype(np.int64)
    last = np.minimum(np.floor(corners[:, :, :2].max(axis=1)), np.array(shape[:2]) - 1).astype(np.int64)
    sides = np.maximum(last - first + 1, 0)
    counts = sides[:, 0] * sides[:, 1]
    met = np.flatnonzero(counts)
    ends = np.cumsum(counts[met])
    start = 0
    while start < len(met):
        # at least one face at a time, however many columns it covers
        stop = max(start + 1, int(np.searchsorted(ends, ends[start] - counts[met[start]] + MOST_CROSSINGS)))
        _cross(steps, points, faces, met[start:stop], first, sides, counts)
        start = stop
    return np.cumsum(steps[:, :, :-1], axis=2, dtype=np.int16)


def _cross(
    steps: NDArray[np.int16],
    points: NDArray,
    faces: NDArray,
    chosen: NDArray,
    first: NDArray,
    sides: NDArray,
    counts: NDArray,
) -> None:
    """Add the crossings of the ``chosen`` faces to ``steps``: the change of the winding number from voxel to voxel."""
    owner = np.repeat(chosen, counts[chosen])
    within = np.arange(len(owner)) - np.repeat(np.cumsum(counts[chosen]) - counts[chosen], counts[chosen])
    x = first[owner, 0] + within // sides[owner, 1]
    y = first[owner, 1] + within % sides[owner, 1]
    left = [_left_of(points, faces[owner, k], faces[owner, (k + 1) % 3], x, y) for k in range(3)]
    up = left[0] & left[1] & left[2]
    down = ~(left[0] | left[1] | left[2])
    hit = np.flatnonzero(up | down)
    a, b, c = (points[faces[owner[hit], k]] for k in range(3))
    normal = np.cross(b - a, c - a)
    steep = normal[:, 2] != 0
    hit, a, normal = hit[steep], a[steep], normal[steep]
    along = (a[:, 0] - x[hit]) * normal[:, 0] + (a[:, 1] - y[hit]) * normal[:, 1]
    height = a[:, 2] + along / normal[:, 2]
    above = np.clip(np.ceil(height), 0, steps.shape[2] - 1).astype(np.int64)
    np.add.at(steps, (x[hit], y[hit], above), np.where(up[hit], -1, 1).astype(np.int16))


def _left_of(points: NDArray, start: NDArray, end: NDArray, x: NDArray, y: NDArray) -> NDArray[np.bool_]:
    """Whether (x, y) lies left of the edge from ``start`` to ``end``; the opposite edge says the opposite, always."""
    turned = start > end
    low, high = points[np.where(turned, end, start)], points[np.where(turned, start, end)]
    area = (high[:, 0] - low[:, 0]) * (y - low[:, 1]) - (high[:, 1] - low[:, 1]) * (x - low[:, 0])
    return (area >= 0) ^ turned
