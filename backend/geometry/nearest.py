"""Nearest points of a triangle mesh: exact, for many queries at once, with triangles of any size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from .normals import unit_normals

FAN = 8
"""Children of a node of the tree of boxes."""
NEAREST = 16
"""Triangles that are tried before the tree of boxes: about those around a corner and around its neighbours."""
LEAF = 32
"""Points in a leaf of a tree of a scan's points: a fit of a mesh of the tests takes an eighth less time than at 10."""
CHUNK = 1 << 14
"""Queries that go down the tree together."""
MOST_PAIRS = 1 << 16
"""Pairs of query and node that are tested at a time."""
TURNED = 0.05
"""A face turned away from the query counts as farther by this share of the mesh's diagonal."""
ABSENT = 1e150
"""Corner of the boxes that fill up a group; finite, because normals that are 0 are multiplied by it."""


class Nearest(NamedTuple):
    """The nearest point of a mesh to each of n queries."""

    face: NDArray[np.intp]  # (n,)
    barycentric: NDArray[np.float64]  # (n, 3), not negative, sum 1
    distance: NDArray[np.float64]  # (n,), units of the mesh


def nearest_on_mesh(
    vertices: NDArray,
    faces: NDArray,
    points: NDArray,
    normals: NDArray | None = None,
    labels: tuple[NDArray, NDArray] | None = None,
) -> Nearest:
    """The nearest point of the mesh, vertices (v, 3) and faces (m, 3), to each of ``points`` (n, 3).

    normals: (n, 3), any length: then a face whose normal is not within 90 degrees of the query's counts as farther by
    TURNED of the mesh's diagonal, so that a thin wall is matched on the right side. labels: integers of the faces (m,)
    and of the queries (n,): then only faces with the query's label count. Faces without area are segments or points;
    faces with a vertex that is not finite do not count. Of several equally near points always the same one is taken.

    Raises ValueError for points that are not finite, and where no face is left for a query.
    """
    points = _finite(points)
    if len(points) == 0:
        return Nearest(np.zeros(0, np.intp), np.zeros((0, 3)), np.zeros(0))
    kept, corners = _finite_faces(vertices, faces)
    turns = np.zeros((len(corners), 0)) if normals is None else unit_normals(corners)[0]
    # what a face that is turned away counts as farther
    penalty = TURNED * float(np.linalg.norm(np.ptp(corners.reshape(-1, 3), axis=0)))
    if labels is not None:
        corners, points = _lift(corners, points, labels[0][kept], labels[1])
    tree = _Tree.of(corners, turns, penalty)
    facing = np.zeros((len(points), 0)) if normals is None else np.asarray(normals, np.float64)
    parts = [
        tree.nearest(points[start : start + CHUNK], facing[start : start + CHUNK])
        for start in range(0, len(points), CHUNK)
    ]
    face, barycentric, distance = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Nearest(kept[face], barycentric, distance)


def _finite(points: NDArray) -> NDArray[np.float64]:
    points = np.asarray(points, np.float64).reshape(-1, 3)
    if not np.isfinite(points).all():
        raise ValueError("the points are not finite")
    return points


def _finite_faces(vertices: NDArray, faces: NDArray) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Numbers (k,) of the faces whose corners are finite, and these (k, 3, 3). Raises ValueError where none is."""
    corners = np.asarray(vertices, np.float64)[np.asarray(faces).reshape(-1, 3)]
    (kept,) = np.nonzero(np.isfinite(corners).all(axis=(1, 2)))
    if len(kept) == 0:
        raise ValueError("the mesh has no faces")
    return kept, corners[kept]


def closest_on_triangles(corners: NDArray, points: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Barycentric coordinates f64 (n, 3) of the point of each triangle (n, 3, d) nearest to ``points`` (n, d).

    Also the distances f64 (n,). A point that is a corner gives exactly 1 there.
    """
    edges = np.roll(corners, -1, axis=1) - corners
    toward = points[:, None] - corners
    square, along = np.einsum("nka,nka->nk", edges, edges), np.einsum("nka,nka->nk", toward, edges)
    share = np.clip(along / np.where(square > 0, square, 1), 0, 1)
    best = np.einsum("nka,nka->nk", *[toward - share[..., None] * edges] * 2)
    edge = best.argmin(axis=1)
    row = np.arange(len(points))
    barycentric = np.zeros((len(points), 3))
    barycentric[row, edge] = 1 - share[row, edge]
    barycentric[row, (edge + 1) % 3] = share[row, edge]
    distance = _distance(corners, points, barycentric)

    # The foot on the plane is nearer than the edges if it lies inside. For thin triangles it is badly conditioned, so
    # it is taken only if it is a point of the triangle and nearer than its edges.
    second, last = along[:, 0], -np.einsum("na,na->n", toward[:, 0], edges[:, 2])
    mixed = -np.einsum("na,na->n", edges[:, 0], edges[:, 2])
    area = square[:, 0] * square[:, 2] - mixed**2
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        v = (square[:, 2] * second - mixed * last) / area
        w = (square[:, 0] * last - mixed * second) / area
        (inside,) = np.nonzero((area > 0) & (v >= 0) & (w >= 0) & (v + w <= 1))
    v, w = v[inside], w[inside]
    # rounding may bring the first below 0 where the sum of the others is 1
    foot = np.stack([np.maximum(1 - v - w, 0), v, w], axis=1)
    height = _distance(corners[inside], points[inside], foot)
    nearer = height < distance[inside]
    barycentric[inside[nearer]], distance[inside[nearer]] = foot[nearer], height[nearer]
    return barycentric, distance


def _distance(corners: NDArray, points: NDArray, barycentric: NDArray) -> NDArray[np.float64]:
    apart = np.einsum("nk,nka->na", barycentric, corners) - points
    return np.sqrt(np.einsum("na,na->n", apart, apart))


def _lift(
    corners: NDArray, points: NDArray, of_faces: NDArray, of_points: NDArray
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Triangles (m, 3, 4) and points (n, 4) with the label as a coordinate, scaled so that others are far off."""
    if not np.isin(of_points, of_faces).all():
        raise ValueError("the mesh has no faces with the label of a point")
    low = np.minimum(corners.min(axis=(0, 1)), points.min(axis=0))
    high = np.maximum(corners.max(axis=(0, 1)), points.max(axis=0))
    apart = 2 * float(np.linalg.norm(high - low)) + 1
    heights = np.repeat(of_faces * apart, 3).reshape(-1, 3, 1)
    return np.concatenate([corners, heights], axis=2), np.concatenate([points, of_points[:, None] * apart], axis=1)


@dataclass(frozen=True)
class _Tree:
    """A tree of boxes around triangles."""

    corners: NDArray[np.float64]  # (m, 3, d)
    normals: NDArray[np.float64]  # (m, 3), or (m, 0) where direction does not count
    penalty: float  # added to the distance of a triangle that is turned away
    centres: KDTree  # of the triangles, with their normals: its answer bounds the search
    places: KDTree  # of the triangles' centres alone
    radius: NDArray[np.float64]  # (m,), from a triangle's centre to its farthest corner
    levels: tuple[tuple[NDArray[np.float64], NDArray[np.float64]], ...]
    """From the root down to the triangles: the lowest and highest corners (g, FAN, d + 3) of the boxes around places
    and normals of each group's children."""
    order: NDArray[np.intp]  # (m,), the triangles in the order of the last level

    @classmethod
    def of(cls, corners: NDArray, normals: NDArray, penalty: float) -> _Tree:
        middles = corners.mean(axis=1)
        centres = KDTree(np.concatenate([middles, penalty * normals], axis=1))
        places = KDTree(middles) if normals.shape[1] else centres
        radius = np.linalg.norm(corners - middles[:, None], axis=2).max(axis=1)
        order = np.asarray(centres.indices)  # neighbours stand together in the leaves
        low = np.concatenate([corners.min(axis=1), normals], axis=1)[order]
        high = np.concatenate([corners.max(axis=1), normals], axis=1)[order]
        levels = []
        while True:
            low, high = _grouped(low, ABSENT), _grouped(high, -ABSENT)
            levels.append((low, high))
            if len(low) == 1:
                return cls(corners, normals, penalty, centres, places, radius, tuple(reversed(levels)), order)
            low, high = low.min(axis=1), high.max(axis=1)

    def nearest(self, points: NDArray, facing: NDArray) -> Nearest:
        """Nearest triangles to points (n, d); facing: (n, 3) or (n, 0)."""
        # Any triangle's cost bounds the search; boxes that are farther hold nothing better.
        count = min(NEAREST, len(self.corners))
        apart, near = self.places.query(points, k=[*range(1, count + 1)])
        face = np.array(near[:, 0])
        barycentric, distance, cost = self._cost(points, facing, face)

        def tried(rows: NDArray, some: NDArray) -> None:
            """Keeps one triangle for each of some queries where it is better."""
            b, d, c = self._cost(points[rows], facing[rows], some)
            better = c < cost[rows]
            rows = rows[better]
            face[rows], barycentric[rows], distance[rows], cost[rows] = some[better], b[better], d[better], c[better]

        for place, some in zip(apart.T[1:], near.T[1:], strict=True):
            rows = np.flatnonzero(place - self.radius[some] < cost)
            tried(rows, some[rows])
        # only where a triangle beyond these may be better, which on a mesh of even faces is seldom
        reached = apart[:, -1] - self.radius.max() < cost
        open_ = np.flatnonzero(reached) if count < len(self.corners) else np.zeros(0, np.intp)
        if facing.shape[1] and len(open_):
            both = np.concatenate([points[open_], self.penalty * facing[open_]], axis=1)
            tried(open_, np.asarray(self.centres.query(both)[1]))
        stack = [(0, open_, np.zeros(len(open_), np.intp))]
        while stack:
            depth, query, node = stack.pop()
            if depth == len(self.levels):
                found = self.order[node]
                b, d, c = self._cost(points[query], facing[query], found)
                rank = np.lexsort((c, query))
                first = rank[np.flatnonzero(np.diff(query[rank], prepend=-1))]
                first = first[c[first] < cost[query[first]]]
                place = query[first]
                face[place], barycentric[place] = found[first], b[first]
                distance[place], cost[place] = d[first], c[first]
                continue
            bound = self._bound(depth, node, points[query], facing[query])
            row, child = np.nonzero(bound < cost[query, None])
            query, node = query[row], node[row] * FAN + child
            for start in range(0, len(query), MOST_PAIRS):
                part = slice(start, start + MOST_PAIRS)
                stack.append((depth + 1, query[part], node[part]))
        return Nearest(face, barycentric, distance)

    def _cost(self, points: NDArray, facing: NDArray, face: NDArray) -> tuple[NDArray, NDArray, NDArray]:
        """Barycentric coordinates, distances and costs of one triangle each."""
        barycentric, distance = closest_on_triangles(self.corners[face], points)
        if not facing.shape[1]:
            return barycentric, distance, distance
        turned = np.einsum("na,na->n", self.normals[face], facing) <= 0
        return barycentric, distance, distance + self.penalty * turned

    def _bound(self, depth: int, node: NDArray, points: NDArray, facing: NDArray) -> NDArray[np.float64]:
        """Costs (n, FAN) below which no triangle of the node's children can be."""
        low, high = (side[node] for side in self.levels[depth])
        size = points.shape[1]
        gap = np.maximum(np.maximum(low[..., :size] - points[:, None], points[:, None] - high[..., :size]), 0)
        bound = np.sqrt(np.einsum("nka,nka->nk", gap, gap))
        if facing.shape[1]:
            towards = facing[:, None]
            along = np.maximum(low[..., size:] * towards, high[..., size:] * towards).sum(axis=2)
            bound += self.penalty * (along <= 0)
        return bound


def _grouped(rows: NDArray, absent: float) -> NDArray[np.float64]:
    """Rows (m, c) as groups (g, FAN, c), the last one filled up with ``absent``."""
    missing = -len(rows) % FAN
    return np.concatenate([rows, np.full((missing, rows.shape[1]), absent)]).reshape(-1, FAN, rows.shape[1])
