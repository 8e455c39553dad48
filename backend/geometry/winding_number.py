"""Voxels that a closed mesh encloses, by its winding number: overlaps join, and walls turned inside out open."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

OFFSET = np.array([0.4142135623730951e-3, 0.7320508075688772e-3, 0.2360679774997896e-3])
"""Moves all columns by less than a thousandth of a voxel, off the round numbers that coordinates tend to be."""
MOST_CROSSINGS = 1 << 22
"""Pairs of a face and a column that are tested at a time."""
MOST_PAIRS = 1 << 23
"""Pairs of a face and a place within its box in the plane: a second or two."""
TANGLED = 64
"""Faces above or below a place, on average: 24 at most on thirty scans and models, 200 in a tangle of random faces."""


def winding_grid(vertices: NDArray, faces: NDArray, shape: tuple[int, int, int]) -> NDArray[np.int16]:
    """Winding number at every voxel centre, i16 of ``shape``; vertices (n, 3) in voxels, the centre of voxel (i, j, k)
    being (i, j, k); faces (m, 3) of a closed mesh with normals outwards.

    Each column of voxels is a ray: the winding number falls where it leaves through a face and rises where it enters.
    Two faces that share an edge agree on which of them a column meets, so nothing leaks.
    """
    points = np.asarray(vertices, np.float64) + OFFSET
    faces = np.asarray(faces, np.int64).reshape(-1, 3)
    steps = np.zeros((shape[0], shape[1], shape[2] + 1), np.int16)
    first_x, wide = grid_lines(points[:, 0], faces, 0, shape[0] - 1)
    first_y, deep = grid_lines(points[:, 1], faces, 0, shape[1] - 1)
    for owner, x, y in face_columns(first_x, wide, first_y, deep, MOST_CROSSINGS):
        _cross(steps, points, faces[owner], x, y)
    return np.cumsum(steps[:, :, :-1], axis=2, dtype=np.int16)


def tangled_share(winding: NDArray[np.int16]) -> float:
    """Share of the enclosed voxels that are enclosed more than once or inside out: 0 for a solid, more where its
    surface has been pushed through itself."""
    enclosed = np.count_nonzero(winding)
    return float(np.count_nonzero((winding < 0) | (winding > 1)) / max(enclosed, 1))


def face_columns(
    first_x: NDArray[np.int64], wide: NDArray[np.int64], first_y: NDArray[np.int64], deep: NDArray[np.int64], most: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]]:
    """Pairs of a face and a column of a grid within the face's box: face, x and y (p,), face by face, x before y.

    The boxes start at first_x, first_y (m,), i64, and are wide x deep columns large. About ``most`` pairs come at a
    time, and at least those of one face, however many columns it covers.
    """
    counts = wide * deep
    met = np.flatnonzero(counts)
    ends = np.cumsum(counts[met])
    start = 0
    while start < len(met):
        before = ends[start] - counts[met[start]]
        stop = max(start + 1, int(np.searchsorted(ends, before + most)))
        chosen = met[start:stop]
        owner = np.repeat(chosen, counts[chosen])
        within = np.arange(len(owner)) - np.repeat(ends[start:stop] - counts[chosen] - before, counts[chosen])
        across, along = np.divmod(within, deep[owner])
        yield owner, first_x[owner] + across, first_y[owner] + along
        start = stop


def grid_lines(
    places: NDArray, faces: NDArray, lowest: float = -np.inf, highest: float = np.inf
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First grid line from ``lowest`` to ``highest`` that each face (m, 3) meets along one axis, and how many;
    ``places`` (n,) of the vertices along it."""
    low, high = _face_bounds(places, faces)
    first, last = np.maximum(np.ceil(low), lowest), np.minimum(np.floor(high), highest)
    return first.astype(np.int64), np.maximum(last - first + 1, 0).astype(np.int64)


def winding_at(vertices: NDArray, faces: NDArray, places: NDArray) -> NDArray[np.int32]:
    """Winding number (p,) of a closed mesh, vertices (n, 3) and faces (m, 3), at ``places`` (p, 3) off the surface.

    Exact, by a ray upwards from each place; in memory and time about what faces and places come to, for no grid of
    voxels is made. A tangle with hundreds of faces over every one of many places would take minutes: there every
    few places are looked at, and the others have the number of the nearest of these.
    """
    places = np.asarray(places, np.float64).reshape(-1, 3)
    found = np.zeros(len(places), np.int32)
    if not len(places) or not len(faces):
        return found
    low, high = places[:, :2].min(axis=0), places[:, :2].max(axis=0)
    side = max(1, int(np.sqrt(len(places))))
    cell = max(float((high - low).max()) / side, 1e-300)
    corners, faces = np.asarray(vertices, np.float64), np.asarray(faces, np.int64).reshape(-1, 3)
    bounds = np.stack([_face_bounds(along, faces) for along in corners.T], axis=1)
    # faces beside or below all places cross no ray
    met = (bounds[1, :2] >= low[:, None]).all(axis=0) & (bounds[0, :2] <= high[:, None]).all(axis=0)
    met &= bounds[1, 2] >= places[:, 2].min()
    faces, (lowest, highest) = faces[met], bounds[:, :, met]
    column = np.minimum(((places[:, :2] - low) / cell).astype(np.int64), side)
    order = np.argsort(column[:, 0] * (side + 1) + column[:, 1], kind="stable")
    count = np.bincount(column[:, 0] * (side + 1) + column[:, 1], minlength=(side + 1) ** 2)
    first = np.cumsum(count) - count
    x, y, z = np.ascontiguousarray(places[order].T)
    start, stop = (np.floor((bound[:2] - low[:, None]) / cell) for bound in (lowest, highest))
    start, stop = np.maximum(start, 0), np.minimum(stop, side)
    start, wide = start.astype(np.int64), np.maximum(stop - start + 1, 0).astype(np.int64)
    pairs = _pairs(count.reshape(side + 1, side + 1), start, wide)
    if pairs > max(MOST_PAIRS, TANGLED * len(places)):
        some = places[:: -(-pairs // MOST_PAIRS)]
        return winding_at(vertices, faces, some)[KDTree(some).query(places)[1]]
    for owner, row, column in face_columns(start[0], wide[0], start[1], wide[1], MOST_CROSSINGS >> 2):
        begin, held = (table[row * (side + 1) + column] for table in (first, count))
        face, which = np.repeat(owner, held), np.repeat(begin - np.cumsum(held) + held, held)
        which += np.arange(len(which))
        # most of the pairs end here, at the box of the face
        met = z[which] <= highest[2][face]
        for axis, along in enumerate((x, y)):
            met &= (along[which] >= lowest[axis][face]) & (along[which] <= highest[axis][face])
        face, which = face[met], which[met]
        hit, heights, up = _crossed(corners, faces[face], x[which], y[which])
        above = heights > z[which[hit]]
        np.add.at(found, order[which[hit[above]]], np.where(up[above], 1, -1).astype(np.int32))
    return found


def _face_bounds(along: NDArray[np.float64], faces: NDArray[np.int64]) -> NDArray[np.float64]:
    """Lowest and highest coordinate (2, m) of faces (m, 3); ``along`` (n,) of the vertices."""
    a, b, c = (along[corner] for corner in faces.T)
    return np.stack([np.minimum(np.minimum(a, b), c), np.maximum(np.maximum(a, b), c)])


def _pairs(count: NDArray[np.int64], start: NDArray[np.int64], wide: NDArray[np.int64]) -> int:
    """Pairs of a face and a place in one of the cells from start (2, m) on, wide (2, m) of them along each axis; count
    (n, n) places in each cell."""
    table = np.zeros((len(count) + 1,) * 2, np.int64)
    table[1:, 1:] = count.cumsum(axis=0).cumsum(axis=1)
    (x, y), (right, top) = start, start + wide
    met = wide.all(axis=0)
    x, y, right, top = x[met], y[met], right[met], top[met]
    return int((table[right, top] - table[x, top] - table[right, y] + table[x, y]).sum())


def _cross(steps: NDArray[np.int16], points: NDArray, faces: NDArray, x: NDArray, y: NDArray) -> None:
    """Add the crossings of faces (p, 3) with one column each, at x, y (p,), to ``steps``: the change of the winding
    number from voxel to voxel."""
    hit, heights, up = _crossed(points, faces, x, y)
    above = np.clip(np.ceil(heights), 0, steps.shape[2] - 1).astype(np.int64)
    place = (x[hit] * steps.shape[1] + y[hit]) * steps.shape[2] + above
    np.add.at(steps.reshape(-1), place, np.where(up, -1, 1).astype(np.int16))


def _crossed(
    points: NDArray, faces: NDArray, x: NDArray, y: NDArray
) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.bool_]]:
    """Those of the faces (p, 3) that meet the column at x, y (p,), the heights where they do, and whether they face
    up."""
    areas = column_areas(points, faces, x, y)
    left = [area > 0 for area in areas]
    for k, area in enumerate(areas):
        # a column through an edge is on opposite sides of it for the two faces
        tie = np.flatnonzero(area == 0)
        left[k][tie] = faces[tie, (k + 1) % 3] < faces[tie, (k + 2) % 3]
    up = left[0] & left[1] & left[2]
    whole = areas[0] + areas[1] + areas[2]
    hit = np.flatnonzero((up | ~(left[0] | left[1] | left[2])) & (whole != 0))
    heights = sum(areas[k][hit] * points[faces[hit, k], 2] for k in range(3)) / whole[hit]
    return hit, heights, up[hit]


def column_areas(points: NDArray, faces: NDArray, x: NDArray, y: NDArray) -> list[NDArray[np.float64]]:
    """Twice the signed areas, seen along the last axis, of the triangles that columns at x, y (p,) make with the edge
    opposite to each corner of faces (p, 3); of the same edge the other way it is exactly the opposite."""
    a, b, c = ((points[faces[:, k], 0] - x, points[faces[:, k], 1] - y) for k in range(3))
    return [start[0] * end[1] - start[1] * end[0] for start, end in ((b, c), (c, a), (a, b))]
