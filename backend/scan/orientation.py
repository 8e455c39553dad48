"""Orientation of the surface: the faces of a mesh and the normals of points, turned outward."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph
from scipy.spatial import KDTree

from ..geometry.edges import edge_ends, edge_keys
from ..geometry.normals import face_normals, unit
from ..geometry.topology import count_groups
from ..geometry.winding_number import winding_at
from .outliers import box, occupied_cells

NEIGHBOURS, MOST_NEIGHBOURS = 24, 96
THICK = 0.2
"""Share of the spread of a neighbourhood along its normal, of that across, above which it may hold both sides of a wall
that is as thick as it is wide: a wider one tells them apart. Chosen on walls of a voxel of `bench lost`, seed 100."""
LINKS = 10
"""Neighbours along which an orientation may spread."""
ASKED = 1 << 16
"""Points that a tree is asked for at a time: a job that was cancelled ends between two such calls."""
MOST_FITTED = 300_000
"""Larger scans are thinned to about so many points for fitting; the others take the normal of the nearest of those."""
CORNERS_LOOKED_AT = 9
"""Corners of a closed piece that say whether it lies inside others."""
SHEET = 3.0
"""Radius of a fitted neighbourhood over the standard deviation of the noise."""


@dataclass(frozen=True)
class OrientedMesh:
    """A mesh as a surface."""

    faces: NDArray[np.int32]  # (m, 3), consistently wound where the mesh allows it
    normals: NDArray[np.float32]  # (m, 3), of length twice the area
    piece: NDArray[np.int32]  # (m,), of each face; pieces are connected by shared points
    closed: NDArray[np.bool_]  # (p,), whether a piece has no border
    border: NDArray[np.int32]  # (b, 2), ends of the edges with one face, the lower index first
    open_loops: int  # connected boundaries; loops that touch count as one
    seams: bool  # whether more than two faces meet at an edge

    @cached_property
    def areas(self) -> NDArray[np.float64]:
        """Twice the area (m,) of each face."""
        return np.linalg.norm(self.normals.astype(np.float64), axis=1)

    @property
    def pieces(self) -> int:
        return len(self.closed)

    def without(self, which: NDArray[np.bool_]) -> OrientedMesh:
        """Without the faces that ``which`` (m,) selects; pieces, borders and loops stay those of the whole."""
        kept = ~which
        return replace(self, faces=self.faces[kept], normals=self.normals[kept], piece=self.piece[kept])

    def turned(self, which: NDArray[np.bool_]) -> OrientedMesh:
        """With the faces of the pieces reversed that ``which`` (p,) selects."""
        reverse = which[self.piece]
        normals = np.where(reverse[:, None], -self.normals, self.normals)
        return replace(self, faces=_reversed(self.faces, reverse), normals=normals)


@dataclass(frozen=True)
class _EdgeUses:
    """Undirected edges."""

    low: NDArray  # (e,), the end with the lower index
    high: NDArray  # (e,), the other end
    uses: NDArray  # (e,), faces at the edge
    upward: NDArray  # (e,), those of them that run along it from low to high


def orient_faces(
    points: NDArray[np.float32], faces: NDArray[np.int32], to_sensor: NDArray[np.float32] | None = None
) -> OrientedMesh:
    """Make neighbouring faces agree, then turn each piece outward.

    A closed piece is turned to positive volume, unless it was wound consistently and lies inside a larger closed piece:
    then it is the wall of a cavity. An open piece keeps the way most of its area faces, or is
    turned to the sensor if that is known.

    points: (n, 3); faces: (m, 3) distinct triangles; to_sensor: (n, 3) or None.
    """
    edges = _edges(len(points), faces)
    if np.any((edges.uses == 2) & (edges.upward != 1)):
        faces = _agree(points, faces)
    pieces, piece_of_point = _pieces(len(points), faces)
    piece = piece_of_point.take(faces[:, 0])

    boundary = edges.uses == 1
    border = np.stack([edges.low[boundary], edges.high[boundary]], axis=1)
    closed = np.ones(pieces, bool)
    closed[piece_of_point[border[:, 0]]] = False
    normals = face_normals(points, faces)
    flip = inside_out(points, faces, normals, piece, closed)
    if to_sensor is not None:
        facing = np.einsum("ij,ij->i", normals, to_sensor.take(faces[:, 0], axis=0))
        flip |= ~closed & (np.bincount(piece, weights=facing, minlength=pieces) < 0)
    if flip.any():
        reverse = flip[piece]
        faces, normals = _reversed(faces, reverse), np.where(reverse[:, None], -normals, normals)
    return OrientedMesh(faces, normals, piece, closed, border, count_groups(border), bool((edges.uses > 2).any()))


def _edges(count: int, faces: NDArray[np.int32]) -> _EdgeUses:
    tail, head = faces.ravel(), faces[:, [1, 2, 0]].ravel()
    # A sparse matrix adds up equal entries faster than a sort finds them. Both counts share one 64-bit number.
    tally = np.where(tail < head, np.int64(1 << 32 | 1), np.int64(1))
    table = sparse.csr_matrix((tally, (np.minimum(tail, head), np.maximum(tail, head))), shape=(count, count))
    low = np.repeat(np.arange(count, dtype=np.int32), np.diff(table.indptr))
    uses: NDArray = np.asarray(table.data, np.int64)
    return _EdgeUses(low, table.indices, uses & 0xFFFFFFFF, uses >> 32)


def _reversed(faces: NDArray[np.int32], which: NDArray[np.bool_]) -> NDArray[np.int32]:
    return np.where(which[:, None], faces[:, ::-1], faces)


def _agree(points: NDArray[np.float32], faces: NDArray[np.int32]) -> NDArray[np.int32]:
    """Reverse faces so that two faces at an edge run along it in opposite directions. A part that needed it is turned
    to positive volume if it is closed, else the way most of its area faced."""
    tail, head = faces.ravel(), faces[:, [1, 2, 0]].ravel()
    key = edge_keys(tail, head)
    order = np.argsort(key, kind="stable")
    key = key[order]
    first = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]]))
    uses = np.diff(np.append(first, len(key)))
    one, two = order[first[uses == 2]], order[first[uses == 2] + 1]
    alike = (tail[one] < head[one]) == (tail[two] < head[two])
    sign, part = spread_signs(len(faces), np.stack([one, two], axis=1) // 3, np.where(alike, -1, 1))
    parts = int(part.max()) + 1
    disputed = np.zeros(parts, bool)
    disputed[part[one[alike] // 3]] = True
    closed = np.ones(parts, bool)
    closed[part[order[first[uses == 1]] // 3]] = False

    turned = _reversed(faces, sign < 0)
    normals = face_normals(points, turned)
    outward = _volumes(points, turned, normals, part, parts)
    majority = np.bincount(part, weights=np.linalg.norm(normals, axis=1) * sign, minlength=parts)
    return _reversed(turned, (disputed & (np.where(closed, outward, majority) < 0))[part])


def _pieces(count: int, faces: NDArray[np.int32]) -> tuple[int, NDArray[np.int32]]:
    """Number of connected pieces and the piece of each point."""
    links = sparse.csr_matrix(
        (np.ones(2 * len(faces), np.int8), (faces[:, :2].T.ravel(), faces[:, 1:].T.ravel())), shape=(count, count)
    )
    return csgraph.connected_components(links, directed=False)


def _volumes(
    points: NDArray[np.float32], faces: NDArray[np.int32], normals: NDArray[np.float32], group: NDArray, groups: int
) -> NDArray[np.float64]:
    """(groups,) six times the signed volume under the faces of each group, about the middle of its corners."""
    corner = points.take(faces[:, 0], axis=0)
    size = np.maximum(np.bincount(group, minlength=groups), 1)
    moment, area = np.zeros(groups), np.zeros((groups, 3))
    middle = np.zeros((groups, 3))
    for axis in range(3):
        moment += np.bincount(group, weights=corner[:, axis] * normals[:, axis].astype(np.float64), minlength=groups)
        area[:, axis] = np.bincount(group, weights=normals[:, axis], minlength=groups)
        middle[:, axis] = np.bincount(group, weights=corner[:, axis], minlength=groups) / size
    return moment - np.einsum("ij,ij->i", area, middle)


def inside_out(
    points: NDArray[np.float32],
    faces: NDArray[np.int32],
    normals: NDArray[np.float32],
    piece: NDArray,
    closed: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """(p,) closed pieces whose faces should all be reversed."""
    if not closed.any():
        return np.zeros(len(closed), bool)
    volume = np.where(closed, _volumes(points, faces, normals, piece, len(closed)), 0.0)
    largest = int(np.abs(volume).argmax())
    if len(closed) == 1:
        return volume < 0
    # A mesh that is inside out as a whole is turned as a whole, so that its cavities stay cavities.
    turn = -1.0 if volume[largest] < 0 else 1.0
    inward = np.flatnonzero(volume * turn < 0)
    if not len(inward):
        return volume < 0
    low, high = np.full((len(closed), 3), np.inf, np.float32), np.full((len(closed), 3), -np.inf, np.float32)
    corners, owner = points.take(faces.ravel(), axis=0), np.repeat(piece, 3)
    np.minimum.at(low, owner, corners)
    np.maximum.at(high, owner, corners)
    walls = np.argsort(-volume * turn, kind="stable")[:64]
    walls = walls[volume[walls] * turn > 0]
    held = np.all(low[inward, None] >= low[walls], axis=2) & np.all(high[inward, None] <= high[walls], axis=2)
    larger = np.abs(volume[walls]) > np.abs(volume[inward, None])
    inward = inward[np.any(held & larger, axis=1)]
    wanted = np.ones(len(closed))
    wanted[inward[_inside(points, faces, piece, walls, inward, turn)]] = -1.0
    return volume * wanted < 0


def _inside(
    points: NDArray[np.float32], faces: NDArray[np.int32], piece: NDArray, walls: NDArray, inward: NDArray, turn: float
) -> NDArray[np.bool_]:
    """(k,) which of the closed pieces ``inward`` (k,) lie inside the pieces ``walls`` and not beside them, by most of
    some of their corners; turn: 1, or -1 where the walls face in."""
    outer = faces[np.isin(piece, walls)]
    order = np.argsort(piece, kind="stable")
    first, end = (np.searchsorted(piece[order], inward, side) for side in ("left", "right"))
    some = (first[:, None] + (end - first)[:, None] * np.arange(CORNERS_LOOKED_AT) // CORNERS_LOOKED_AT).ravel()
    inside = winding_at(points, outer, points[faces[order[some], 0]].astype(np.float64)) * turn > 0
    return inside.reshape(len(inward), CORNERS_LOOKED_AT).mean(axis=1) > 0.5


def repaired(points: NDArray[np.float32], normals: NDArray) -> NDArray[np.float32]:
    """Unit normals (n, 3); a point without a direction takes that of the nearest one that has one, as one must."""
    normals, good = unit(normals)
    if not good.all():
        nearest = KDTree(points[good]).query(points[~good])[1]
        normals[~good] = normals[good][nearest]
    return normals


def fitted_normals(
    points: NDArray[np.float32], noise: float, to_sensor: NDArray[np.float32] | None = None, ground: bool = False
) -> NDArray[np.float32]:
    """Normals (n, 3) of local planes at points (n, 3), turned to the sensor (n, 3) if it is known, else by propagation
    and then outward, or with ``ground`` up along z where that is most of their direction; noise: sd of the points along
    the normal."""
    chosen = fitted_points(points)
    some = points[chosen]
    tree = KDTree(some)
    distance, near = nearest_points(tree, some, NEIGHBOURS)
    # Wider neighbourhoods where noise is large against the spacing, so that each is still a sheet.
    width = max(float(np.median(distance[:, -1])), float(np.finfo(np.float32).tiny))
    wanted = int(min(NEIGHBOURS * (SHEET * noise / width) ** 2, MOST_NEIGHBOURS))
    normals, bulge = _plane_normals(some, near if wanted <= NEIGHBOURS else nearest_points(tree, some, wanted)[1])
    thick = np.flatnonzero(bulge > THICK)
    if len(thick) and wanted < MOST_NEIGHBOURS:
        wider, less = _plane_normals(some, nearest_points(tree, some[thick], MOST_NEIGHBOURS)[1])
        better = less < bulge[thick]
        normals[thick[better]] = wider[better]
    if to_sensor is None:
        normals = _propagated(some, normals, near[:, 1 : LINKS + 1], ground)
    else:
        normals[np.einsum("ij,ij->i", normals, to_sensor[chosen]) < 0] *= -1
    if len(chosen) < len(points):
        return normals[nearest_points(tree, points, 1)[1][:, 0]]
    everywhere = np.empty_like(normals)
    everywhere[chosen] = normals
    return everywhere


def nearest_points(tree: KDTree, points: NDArray, count: int) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Distances and indices, both (n, count or as many as there are), of the nearest points of ``tree``."""
    count = min(count, tree.n)
    distance, index = np.empty((len(points), count)), np.empty((len(points), count), np.intp)
    for first in range(0, len(points), ASKED):
        rows = slice(first, first + ASKED)
        found = tree.query(points[rows], k=count, workers=-1)
        distance[rows], index[rows] = (np.reshape(column, (-1, count)) for column in found)
    return distance, index


def fitted_points(points: NDArray[np.float32]) -> NDArray[np.intp]:
    """All points, or one per cell of a grid fine enough for about MOST_FITTED of them, cell by cell: near each other in
    memory as in space, which makes the search several times faster."""
    low, high = box(points)
    cells = occupied_cells(points, float((high - low).max()) * np.sqrt(2 / min(len(points), MOST_FITTED)))
    if len(points) <= MOST_FITTED:
        return np.argsort(cells.cell_of, kind="stable")
    first = np.full(len(cells.keys), len(points))
    np.minimum.at(first, cells.cell_of, np.arange(len(points)))
    return first


def _plane_normals(
    points: NDArray[np.float32], near: NDArray[np.intp]
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """(m, 3) direction of least spread of each neighbourhood ``near`` (m, k), and the share (m,) of that spread in the
    one across it: next to nothing on a plane, 1 where it is as thick as it is wide."""
    normals, bulge = np.empty((len(near), 3), np.float32), np.empty(len(near))
    for start in range(0, len(near), 50_000):  # in blocks, to bound the memory of the gathered neighbourhoods
        block = slice(start, start + 50_000)
        local = points.take(near[block], axis=0).astype(np.float64)
        local -= local.mean(axis=1, keepdims=True)
        spread, axes = np.linalg.eigh(local.transpose(0, 2, 1) @ local)
        normals[block], bulge[block] = axes[:, :, 0], spread[:, 0] / np.maximum(spread[:, 1], 1e-300)
    return normals, bulge


def _propagated(
    points: NDArray[np.float32], normals: NDArray[np.float32], near: NDArray[np.intp], ground: bool
) -> NDArray[np.float32]:
    """Spread an orientation over each connected part, along links of near-parallel normals (Hoppe et al. 1992), then
    turn the part so that it encloses a positive volume about the middle of the scan, or as ground faces up."""
    count = len(points)
    tail, head = np.repeat(np.arange(count), near.shape[1]), near.ravel()
    pairs = edge_ends(np.unique(edge_keys(tail, head)))
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    turn = np.einsum("ij,ij->i", normals[pairs[:, 0]], normals[pairs[:, 1]])
    sign, part = spread_signs(count, pairs, np.where(turn < 0, -1, 1), cost=1.001 - np.minimum(np.abs(turn), 1.0))
    normals = normals * sign[:, None]
    middle = (points.max(axis=0) + points.min(axis=0)) / 2
    outward = np.bincount(part, weights=np.einsum("ij,ij->i", points - middle, normals))
    if ground:
        mean = np.stack([np.bincount(part, weights=axis) for axis in normals.T], axis=1)
        level = mean[:, 2] ** 2 > (mean[:, :2] ** 2).sum(axis=1)
        outward = np.where(level, mean[:, 2], outward)
    return normals * np.where(outward < 0, -1, 1).astype(np.float32)[part, None]


def spread_signs(
    count: int, pairs: NDArray, relation: NDArray, cost: NDArray | None = None
) -> tuple[NDArray[np.int8], NDArray[np.int32]]:
    """Choose a sign for each of ``count`` nodes so that the pairs of a spanning forest hold.

    pairs: (p, 2) node indices, each pair once; relation: (p,) +1 where both nodes of the pair should have the same
    sign, else -1; cost: (p,) positive, makes the forest the cheapest one (minimum spanning trees) in place of a
    breadth-first one.
    Returns signs (count,), +1 at one root per component, and component labels (count,).
    """
    tail, head = pairs[:, 0], pairs[:, 1]
    weight = np.ones(len(pairs)) if cost is None else cost
    graph = sparse.csr_matrix((weight, (tail, head)), shape=(count, count))
    parts, labels = csgraph.connected_components(graph, directed=False)
    if cost is not None:
        graph = csgraph.minimum_spanning_tree(graph)
    # One extra node is tied to the first node of every component, so that one walk visits the whole forest.
    roots = np.full(parts, count)
    np.minimum.at(roots, labels, np.arange(count))
    kept = graph.tocoo()
    ties = np.full(parts, count)
    forest = sparse.csr_matrix(
        (np.ones(kept.nnz + parts), (np.concatenate([kept.row, ties]), np.concatenate([kept.col, roots]))),
        shape=(count + 1, count + 1),
    )
    parent = csgraph.breadth_first_order(forest, count, directed=False)[1][:count].astype(np.int64)

    key_of_pair = edge_keys(tail, head)
    order = np.argsort(key_of_pair)
    node = np.arange(count)
    wanted = edge_keys(node, parent)
    place = np.minimum(np.searchsorted(key_of_pair, wanted, sorter=order), max(len(order) - 1, 0))
    sign = np.ones(count + 1, np.int8)
    inner = parent < count
    sign[:count][inner] = relation[order[place[inner]]]
    # Pointer jumping: each round doubles how far up the tree a sign already reaches.
    parent = np.append(parent, count)
    while np.any(parent != count):
        sign *= sign[parent]
        parent = parent[parent]
    return sign[:count], labels
