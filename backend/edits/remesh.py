"""A new mesh of the solid that a moved mesh encloses, however its faces overlap: where its winding number is positive.

The signs of the voxels come from the winding number, so overlaps join and walls that passed one another open. The
surface goes through the places where the edges of the grid leave the solid, found by following the winding number along
them: faces inside the solid do not count, and flat parts are exact.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from ..errors import ErrorCode, refuse
from ..field.bricks import BRICK, INSIDE, OUTSIDE, BrickGrid, BrickMap, resolution
from ..field.fit import compacted
from ..field.isosurface import CLOSEST, extract
from ..field.relaxation import relaxed_mesh
from ..geometry.topology import edge_report, label_faces, signed_volumes
from ..geometry.winding_number import OFFSET, column_areas, face_columns, grid_lines, winding_grid

RESOLUTION = 128
"""Voxels along the canonical cube, as at the usual detail; at least, for an edit of a coarse fit."""
MOST_BRICKS = 192
"""Along each side of the grid."""
SLAB = 4
"""Bricks along x whose winding numbers are held at a time."""
CRUMB = 1.0
"""Voxels. Smaller pieces are crumbs of folds: at sharp edges an edit turns some faces over."""
MOST_PAIRS = 1 << 21
"""Pairs of a face and a grid line that are looked at together."""


def remesh_resolution(level: int) -> int:
    """Voxels along the canonical cube of a new mesh of a fit at this level."""
    return max(RESOLUTION, resolution(level))


@dataclass(frozen=True)
class _Edges:
    """Grid edges along one axis at whose ends the signs differ: the lower voxel i64 (n, 3), and its winding number."""

    voxel: NDArray[np.int64]
    winding: NDArray[np.int16]


def remesh(
    vertices: NDArray, faces: NDArray, resolution: int = RESOLUTION
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Closed, manifold mesh, vertices (n, 3) and faces (m, 3), of the solid inside a closed mesh; canonical units.

    Raises OmomiError: NOT_A_MESH (it is not closed, or has vertices without a place), NO_SURFACE (it encloses no
    voxel), TOO_LARGE (it lies too far beyond the canonical cube for this resolution).
    """
    vertices, faces = np.asarray(vertices, np.float64), np.asarray(faces, np.int64).reshape(-1, 3)
    if not edge_report(faces).closed or not np.isfinite(vertices[faces]).all():
        refuse("only a closed mesh can be made anew: this one has no inside", ErrorCode.NOT_A_MESH)
    points = (vertices + 1) * (resolution / 2) - 0.5
    used = points[np.unique(faces)]
    # whole bricks of the canonical grid, so that an edit somewhere changes nothing elsewhere
    first = np.floor((used.min(axis=0) - 1) / BRICK)
    count = int(np.max(np.floor((used.max(axis=0) + 1) / BRICK) - first)) + 1
    if count > MOST_BRICKS:
        refuse("the edited mesh is too large for a new one: lower the strength", ErrorCode.TOO_LARGE)
    origin = first * BRICK
    points -= origin
    sides, edges = _signs(points, faces, count)
    if not len(edges[0].voxel):
        refuse("nothing is left of the solid after this edit", ErrorCode.NO_SURFACE)
    # where the voxels' winding numbers were taken
    shares = [_crossings(points + OFFSET, faces, some, axis) for axis, some in enumerate(edges)]
    grid = _field(edges, shares, sides)
    found = extract(grid, sides=BrickMap.of(grid.coords, sides, 0))
    placed, whole = _without_crumbs(_placed(found.vertices, found.faces, edges, shares), found.faces)
    return (relaxed_mesh(placed, whole) + origin - OFFSET + 0.5) * (2 / resolution) - 1, whole


def _without_crumbs(vertices: NDArray, faces: NDArray) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """A closed mesh, in voxels, without pieces and hollows smaller than CRUMB, but for the largest piece."""
    labels, count = label_faces(faces)
    size = np.abs(signed_volumes(vertices, faces, labels, count))
    kept = size >= min(CRUMB, size.max(initial=0.0))
    if kept.all():
        return vertices, faces
    used, whole = compacted(vertices, faces[kept[labels]])
    return vertices[used], whole


def _signs(points: NDArray, faces: NDArray, count: int) -> tuple[NDArray[np.int32], list[_Edges]]:
    """Side of every brick, INSIDE or OUTSIDE by its first voxel, and the crossed edges along each axis."""
    side = count * BRICK
    a, b, c = points[faces, 0].T
    low, high = np.minimum(np.minimum(a, b), c), np.maximum(np.maximum(a, b), c)
    sides = np.empty((count,) * 3, np.int32)
    voxels: list[list[NDArray]] = [[], [], []]
    windings: list[list[NDArray]] = [[], [], []]
    for start in range(0, count, SLAB):
        bricks = min(SLAB, count - start)
        near = (high >= start * BRICK - 1) & (low <= (start + bricks) * BRICK + 1)
        # one layer more than the slab has, for the edges that end there
        winding = winding_grid(points - [start * BRICK, 0, 0], faces[near], (bricks * BRICK + 1, side, side))
        inside = winding > 0
        sides[start : start + bricks] = np.where(inside[:-1:BRICK, ::BRICK, ::BRICK], INSIDE, OUTSIDE)
        for axis in range(3):
            part = inside if axis == 0 else inside[:-1]
            low_end, high_end = (part[(slice(None),) * axis + (cut,)] for cut in (slice(-1), slice(1, None)))
            at = np.argwhere(low_end != high_end)
            windings[axis].append(winding[tuple(at.T)])
            voxels[axis].append(at + [start * BRICK, 0, 0])
    return sides, [_Edges(np.concatenate(v), np.concatenate(w)) for v, w in zip(voxels, windings, strict=True)]


def _crossings(points: NDArray, faces: NDArray, edges: _Edges, axis: int) -> NDArray[np.float64]:
    """How far along each edge, 0 .. 1, the winding number changes between positive and not."""
    order = [(axis + 1) % 3, (axis + 2) % 3, axis]
    keys = _keys(edges.voxel[:, order])
    sort = np.argsort(keys)
    keys = keys[sort]
    hits = [_on_edges(keys, *some) for some in _hits(points[:, order], faces)]
    edge, height, step = (np.concatenate(column) for column in zip(*hits, strict=True))
    along = np.lexsort((height, edge))
    edge, height, step = edge[along], height[along], step[along]
    start = np.searchsorted(edge, np.arange(len(keys)))
    total = np.concatenate([[0], np.cumsum(step)])
    before = edges.winding[sort][edge] + total[:-1] - total[start[edge]]
    leaves = np.flatnonzero((before > 0) != (before + step > 0))
    # rounding may hide a face from a line that meets its border: then the middle serves
    share = np.full(len(keys), 0.5)
    share[edge[leaves[::-1]]] = height[leaves[::-1]]
    found = np.empty_like(share)
    found[sort] = np.clip(share, CLOSEST, 1 - CLOSEST)
    return found


def _keys(voxels: NDArray) -> NDArray[np.int64]:
    """One number for each voxel (n, 3); the last axis counts in steps of one."""
    bits = 20
    x, y, z = voxels.astype(np.int64).T
    return (x << 2 * bits) | (y << bits) | z


def _on_edges(
    keys: NDArray, columns: NDArray, height: NDArray, step: NDArray
) -> tuple[NDArray[np.intp], NDArray, NDArray]:
    """The hits on edges with rising ``keys``: number of the edge, height above its lower voxel, step."""
    level = np.floor(height)
    wanted = _keys(np.column_stack([columns, level]))
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    kept = np.flatnonzero(keys[place] == wanted)
    return place[kept], (height - level)[kept], step[kept]


def _hits(points: NDArray, faces: NDArray) -> Iterator[tuple[NDArray, NDArray, NDArray]]:
    """Where faces meet the grid's lines along the last axis: columns i64 (n, 2), heights (n,), and the step of the
    winding number there, upwards."""
    (first, wide), (low, deep) = (grid_lines(points[:, axis], faces) for axis in range(2))
    for owner, across, along in face_columns(first, wide, low, deep, MOST_PAIRS):
        corners = faces[owner]
        a, b, c = column_areas(points, corners, across, along)
        whole = a + b + c
        hit = np.flatnonzero((((a >= 0) & (b >= 0) & (c >= 0)) | ((a <= 0) & (b <= 0) & (c <= 0))) & (whole != 0))
        height = sum(area[hit] * points[corners[hit, k], 2] for k, area in enumerate((a, b, c))) / whole[hit]
        yield np.stack([across, along], axis=1)[hit], height, np.where(whole[hit] > 0, -1, 1)


def _field(edges: list[_Edges], shares: list[NDArray], sides: NDArray) -> BrickGrid:
    """The bricks with crossed edges. The size of a value is the distance to the nearest crossing on an edge of its
    voxel, at most 1: it decides how the corners of an ambiguous cell are joined."""
    voxels, distances, flips = [], [], []
    for axis, (some, share) in enumerate(zip(edges, shares, strict=True)):
        upper = some.voxel + np.eye(3, dtype=np.int64)[axis]
        voxels += [some.voxel, upper]
        distances += [share, 1 - share]
        flips.append(upper[upper[:, axis] % BRICK > 0])
    stored = np.zeros(sides.shape, bool)
    every = np.concatenate(voxels)
    stored[tuple((every // BRICK).T)] = True
    coords = np.argwhere(stored).astype(np.int32)
    number = np.cumsum(stored).reshape(stored.shape) - 1

    def at(voxel: NDArray) -> tuple[NDArray, ...]:
        return number[tuple((voxel // BRICK).T)], *(voxel % BRICK).T

    size = np.ones((len(coords), BRICK, BRICK, BRICK), np.float32)
    np.minimum.at(size, at(every), np.concatenate(distances).astype(np.float32))
    # from a brick's first voxel along x, then y, then z: the side changes with every crossed edge
    inside = np.broadcast_to((sides[stored] == INSIDE)[:, None, None, None], size.shape)
    for axis, upper in enumerate(flips):
        crossed = np.zeros(size.shape, bool)
        crossed[at(upper)] = True
        path = crossed[(slice(None),) * (axis + 2) + (slice(0, 1),) * (2 - axis)]
        inside = inside ^ np.logical_xor.accumulate(path, axis=axis + 1)
    return BrickGrid(coords, np.where(inside, -size, size)[:, None])


def _placed(vertices: NDArray, faces: NDArray, edges: list[_Edges], shares: list[NDArray]) -> NDArray[np.float64]:
    """The mesh's vertices (n, 3), voxels, moved along their edges to the crossings; those within cells, which come
    last, to the middle of the vertices around them."""
    placed = np.asarray(vertices, np.float64)
    count = sum(map(len, shares))
    voxel = np.floor(placed[:count]).astype(np.int64)
    along = (placed[:count] - voxel).argmax(axis=1)
    for axis, (some, share) in enumerate(zip(edges, shares, strict=True)):
        rows = np.flatnonzero(along == axis)
        keys = _keys(some.voxel)
        sort = np.argsort(keys)
        placed[rows, axis] = voxel[rows, axis] + share[sort[np.searchsorted(keys[sort], _keys(voxel[rows]))]]
    within = np.arange(count, len(placed))
    if len(within):
        pairs = np.concatenate([faces[:, [i, j]] for i in range(3) for j in range(3) if i != j])
        pairs = np.unique(pairs[(pairs[:, 0] >= count) & (pairs[:, 1] < count)], axis=0)
        total = np.zeros((len(within), 3))
        np.add.at(total, pairs[:, 0] - count, placed[pairs[:, 1]])
        placed[within] = total / np.bincount(pairs[:, 0] - count, minlength=len(within))[:, None]
    return placed


def nearest_values(vertices: NDArray, faces: NDArray, values: NDArray, points: NDArray) -> NDArray:
    """For points (k, 3) the value (n,) of the nearest vertex (n, 3) that faces (m, 3) use: what a new mesh inherits."""
    used = np.unique(faces)
    return values[used[KDTree(vertices[used]).query(points, workers=-1)[1]]]
