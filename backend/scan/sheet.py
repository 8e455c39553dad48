"""A sheet: an open surface that stays open. The network fits a slab to it; the side of the slab that the sheet faces is
kept where the sheet is, and cut off at the sheet's outer border. Holes inside the border are closed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from ..geometry.borders import border_edges
from ..geometry.clip import clipped
from ..geometry.nearest import LEAF
from ..geometry.normals import normals_of, unit
from ..geometry.topology import label_faces
from .samples import Samples

NEAR = 2.5
"""Voxels. The surface stays where a point of the sheet is this near and faces the same way."""
SPACINGS = 1.5
"""The same in spacings of the points, where these are wider."""
AROUND = 4
"""Nearest points of the sheet, one of which has to face the same way."""
EVEN, ASIDE, WIDEST_GAP = 12, 1.2, 0.2
"""Bare points have no border: their sheet ends where the middle of so many of the nearest is this far away (voxels)
and none lies beyond within this distance (canonical). Chosen on ground of a laser scanner, which has gaps."""
OUTER = 0.5
"""A border of a piece that is longer than this share of its longest one is an outer border, not a hole."""
JOINT = 0.012
"""A border is none where the sheet goes on this far beyond it, canonical: panels that meet are one surface."""
BORDER_STEP = 0.004
"""Canonical distance between the places of a border."""
HOLE_REACH = 1.2
"""Over a hole the surface stays as far from the sheet as this many times the hole's radius."""
CRUMB = 4.0
"""Voxels. Pieces of less area than the square of this are crumbs of the cut; such pieces that it takes away, which the
sheet surrounds, stay."""
LESS_SEEN = 0.7
"""A side of a shell that is seen from less than this share of the views of the other side is its inside."""


@dataclass(frozen=True)
class SheetBorder:
    """Places along the borders of a sheet, canonical."""

    places: NDArray[np.float64]  # (b, 3)
    outward: NDArray[np.float64]  # (b, 3), unit, along the sheet and away from it
    reach: NDArray[np.float64]  # (b,), radius of the hole that a place is at; 0 at an outer border

    @classmethod
    def none(cls) -> SheetBorder:
        """Of bare points, or of a closed mesh."""
        return cls(np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0))

    @classmethod
    def of(cls, vertices: NDArray, faces: NDArray, normals: NDArray) -> SheetBorder:
        """Of a mesh with canonical vertices (n, 3), faces (m, 3) and unit vertex normals (n, 3)."""
        edges = border_edges(np.asarray(faces, np.int64))
        if not len(edges):
            return cls.none()
        vertices = np.asarray(vertices, np.float64)
        ends = vertices[edges]
        along = ends[:, 1] - ends[:, 0]
        out = unit(np.cross(along, np.asarray(normals, np.float64)[edges].mean(axis=1)))[0].astype(np.float64)
        reach = _hole_radii(vertices, np.asarray(faces), edges)
        count = np.maximum(1, np.ceil(np.linalg.norm(along, axis=1) / BORDER_STEP)).astype(np.int64)
        owner = np.repeat(np.arange(len(edges)), count)
        share = (np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count) + 0.5) / count[owner]
        return cls(ends[owner, 0] + share[:, None] * along[owner], out[owner], reach[owner])

    def without_joints(self, points: KDTree) -> SheetBorder:
        """The places beyond which none of the sheet's points lies, and those of holes."""
        ahead = points.query(self.places + JOINT * self.outward, distance_upper_bound=JOINT * 0.75)[0]
        kept = ~np.isfinite(ahead) | (self.reach > 0)
        return SheetBorder(self.places[kept], self.outward[kept], self.reach[kept])


@dataclass(frozen=True)
class Sheet:
    """What of a fitted surface is the sheet."""

    points: NDArray[np.float32]  # (n, 3), canonical
    normals: NDArray[np.float32]  # (n, 3)
    border: SheetBorder

    @cached_property
    def _tree(self) -> KDTree:
        return KDTree(self.points, LEAF)

    @cached_property
    def _spacing(self) -> float:
        """Distance to the eighth neighbour of most points, over the root of 8 / pi: the spacing of an even sheet."""
        some = self.points[:: max(1, len(self.points) // 5000)]
        return float(np.quantile(self._tree.query(some, k=9)[0][:, -1], 0.9) / np.sqrt(8 / np.pi))

    @cached_property
    def _outer(self) -> SheetBorder:
        return self.border.without_joints(self._tree)

    def cut(
        self, vertices: NDArray, faces: NDArray, sigma: NDArray, voxel: float
    ) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.float32], NDArray[np.float32], int]:
        """The sheet's part of a closed surface: vertices (n, 3), canonical, faces (m, 3) and sigma (n,). Also the
        vertices (k, 3) of crumbs, which are left out, and how many these are."""
        beyond = self._beyond(np.asarray(vertices, np.float64), faces, voxel)
        lost = faces[(beyond[faces] > 0).any(axis=1)]
        small, _ = _small_pieces(vertices, lost, voxel)
        beyond[lost[small]] = -voxel
        edges, share, faces = clipped(faces, beyond)
        new = (1 - share)[:, None] * vertices[edges[:, 0]] + share[:, None] * vertices[edges[:, 1]]
        vertices = np.concatenate([vertices, new])
        sigma = np.concatenate([sigma, np.maximum(sigma[edges[:, 0]], sigma[edges[:, 1]])])
        small, count = _small_pieces(vertices, faces, voxel)
        crumbs = vertices[np.unique(faces[small])].astype(np.float32)
        faces = faces[~small]
        used, faces = np.unique(faces, return_inverse=True)
        places, kept = vertices[used].astype(np.float32), faces.reshape(-1, 3).astype(np.int32)
        return places, kept, sigma[used].astype(np.float32), crumbs, count

    def _beyond(self, vertices: NDArray[np.float64], faces: NDArray, voxel: float) -> NDArray[np.float64]:
        """How far (n,) vertices are off the sheet, below zero on it, canonical."""
        near = max(NEAR * voxel, SPACINGS * self._spacing)
        facing = normals_of(vertices, faces)
        distance, index = self._tree.query(vertices, k=AROUND)
        same = (np.einsum("nkj,nj->nk", self.normals[index], facing) > 0).any(axis=1)
        nearest = distance[:, 0]
        allowed = np.full(len(vertices), near)
        edge = np.full(len(vertices), np.inf)
        past = np.zeros(len(vertices))
        if len(self._outer.places):
            edge, place = KDTree(self._outer.places).query(vertices)
            past = ((vertices - self._outer.places[place]) * self._outer.outward[place]).sum(axis=1)
            hole = self._outer.reach[place]
            allowed = np.maximum(allowed, np.where(past > 0, HOLE_REACH * hole, 0))
            edge = np.where(hole > 0, np.inf, edge)
        else:
            past = self._past_points(vertices) - max(ASIDE * voxel, self._spacing)
            edge = np.abs(past)
        over = np.where((past > 0) & (edge < nearest + voxel / 3), past, -np.minimum(edge, near))
        return np.where(same & (nearest < allowed), over, np.maximum(voxel, nearest))


    def _past_points(self, places: NDArray[np.float64]) -> NDArray[np.float64]:
        """How far (n,) places (n, 3) are from the middle of the points around them, where none lies beyond: there the
        sheet of bare points ends. 0 where they go on beyond a gap."""
        _, index = self._tree.query(places, k=EVEN)
        aside = places - self.points[index].mean(axis=1, dtype=np.float64)
        out, _ = unit(aside)
        beyond = self._tree.query(places + WIDEST_GAP / 2 * out, distance_upper_bound=WIDEST_GAP / 2)[0]
        return np.where(np.isfinite(beyond), 0.0, np.linalg.norm(aside, axis=1))


def outer_side(points: NDArray, normals: NDArray, samples: Samples, thickness: float) -> NDArray[np.bool_]:
    """Which points (p, 3) of a thin closed shell, with unit normals (p, 3), are on its outer side; all in units of the
    clean scan. Where both sides are seen alike, as on a fin, both count.
    """
    tree, front = KDTree(samples.points, LEAF), samples.front
    _, index = tree.query(samples.points - thickness * samples.normals, k=8)
    opposite = np.einsum("nkj,nj->nk", samples.normals[index], samples.normals) < -0.5
    first = np.argmax(opposite, axis=1)
    partner = index[np.arange(len(index)), first]
    hidden = opposite.any(axis=1) & (front < LESS_SEEN * front[partner])
    _, index = tree.query(points, k=8)
    alike = np.einsum("nkj,nj->nk", samples.normals[index], normals) > 0.5
    votes = (alike & hidden[index]).sum(axis=1)
    return votes * 2 <= alike.sum(axis=1)


def _small_pieces(vertices: NDArray, faces: NDArray, voxel: float) -> tuple[NDArray[np.bool_], int]:
    """Which faces (m, 3) are of pieces smaller than a crumb, and how many such pieces there are."""
    labels, count = label_faces(faces)
    corners = vertices[faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2
    small = np.bincount(labels, area, count) < (CRUMB * voxel) ** 2
    return small[labels], int(small.sum())


def _hole_radii(vertices: NDArray, faces: NDArray, edges: NDArray) -> NDArray[np.float64]:
    """Radius (b,) of the hole that each border edge is at, 0 where it is at the outer border of its piece."""
    size = len(vertices)
    loop = _connected(edges, size)[edges[:, 0]]
    piece = _connected(np.concatenate([faces[:, :2], faces[:, 1:]]), size)[edges[:, 0]]
    length = np.bincount(loop, np.linalg.norm(vertices[edges[:, 0]] - vertices[edges[:, 1]], axis=1), size)
    longest = np.zeros(size)
    np.maximum.at(longest, piece, length[loop])
    return np.where(length[loop] > OUTER * longest[piece], 0.0, length[loop] / (2 * np.pi))


def _connected(edges: NDArray, count: int) -> NDArray[np.int32]:
    graph = coo_matrix((np.ones(len(edges), np.int8), (edges[:, 0], edges[:, 1])), shape=(count, count))
    return connected_components(graph, directed=False)[1]
