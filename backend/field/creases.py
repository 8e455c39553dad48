"""Sharp edges of a solid, which the field shows rounded: where the faces beside a bend meet, if the scan says so.

The network's surface is rounded within a voxel and a half of a sharp edge and exact beyond. So planes through the
surface beyond, on either side, meet where the edge was. Whether it is an edge or a fillet, the scan's points decide:
an edge has to explain them better than any fillet of a voxel or more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from ..geometry.nearest import LEAF
from ..geometry.normals import normals_of, unit

# Chosen on procedural solids with and without noise and fillets, and on models of the development set.
BEND = 0.25
"""Change of the unit normal per voxel, above which the surface is bent: that of a fillet of four voxels."""
RINGS = 4
"""Rings of vertices around a bend in which its faces are looked for; the first is still rounded."""
SPACING = 1.5
"""Voxels between the places of a bend that are looked at."""
BESIDE = 32
"""Vertices beyond the bend that are the nearest to a place: its planes go through them."""
SAME_PLANE = np.cos(np.radians(20))
LEAST_ANGLE = np.cos(np.radians(25))
"""An edge turns the normal by at least this angle."""
FEWEST_BESIDE = 3
"""Vertices that a plane goes through."""
WIDEST_GAP = 1.2
"""Voxels between the rounded surface and the edge."""
FILLETS = np.array([0.0, 0.35, 0.7, 1.0, 1.5, 2.0, 3.0])
"""Voxels from the edge at which a fillet that is tried against the points leaves the planes."""
SHARP = 2
"""So many of these count as an edge: they differ by less than the mesh can show."""
REACH, MOST_POINTS, FEWEST_POINTS = 3.0, 64, 8
"""Voxels around a place of an edge from which points are taken, how many of the nearest, and how many are needed."""
ERROR = 0.03
"""Voxels. Planes fit the points of an exact scan no better."""
MISFIT, NOISES = 0.15, 1.2
"""Points miss the faces beside an edge by no more than these voxels and so many deviations of the noise."""
LIKELIER, MOST_LIKELY = 1.7, 50.0
"""Log-likelihood by which an edge has to beat fillets, mean along it, and what one place contributes at most."""
ALONG, LONGEST_ALONG, FEWEST_ALONG, MOST_ALONG = 12, 8.0, 5, 0.6
"""Places along an edge, within so many voxels, that judge together, how many have to fit, and which share decides."""
LEAST_CORNER = 0.15
"""Volume that the normals of the faces of a corner span: with less, its place is unsure."""
TO_CORNER, APART = 2.5, 1.5
"""Voxels from a place of an edge to the corner that it ends in, and between corners."""
AVERAGED = 12.0
"""Deviations of the noise within which planes along an edge are averaged: one alone would make the edge ragged."""
TOGETHER, FEWEST_TOGETHER = 5.0, 10
"""Voxels between places that hang together, and how many have to: a short crease may be a chance of noise."""
SAME_EDGE = 0.94
"""Cosine between the planes of such places."""


@dataclass(frozen=True)
class Creases:
    """Places, in voxels, at which planes beside a bend of a surface meet, with up to three of these planes each."""

    places: NDArray[np.float64]  # (n, 3)
    normals: NDArray[np.float64]  # (3, n, 3)
    heights: NDArray[np.float64]  # (3, n), of the place above each plane; infinite for planes that are not there
    gaps: NDArray[np.float64]  # (n, 3), the way to the place from the nearest vertex of the surface
    bent: NDArray[np.intp]  # (k,), vertices of the surface on the bends and around them

    @classmethod
    def of(cls, vertices: NDArray, faces: NDArray) -> Creases:
        """All bends of a closed surface, vertices (n, 3) in voxels, that may be rounded edges."""
        normals = normals_of(vertices, faces).astype(np.float32)
        ends = np.stack([faces.ravel(), np.roll(faces, -1, axis=1).ravel()], axis=1)
        ends = ends[ends[:, 0] < ends[:, 1]]
        low, high = ends.T
        length, turn = (np.linalg.norm(each[low] - each[high], axis=1) for each in (vertices, normals))
        bend = turn > BEND * np.maximum(length, 0.5)
        ring = np.full(len(vertices), RINGS + 1, np.int8)
        ring[ends[bend]] = 0
        for number in range(1, RINGS + 1):
            for start, end in ((low, high), (high, low)):
                ring[end[(ring[start] == number - 1) & (ring[end] > number)]] = number
        bends = vertices[ring == 0].astype(np.float64)
        bends = bends[_one_of_each_cell(bends)]
        beside = np.flatnonzero((ring > 1) & (ring <= RINGS))
        found, heights = _planes(bends, vertices[beside].astype(np.float64), normals[beside])
        cosine = np.einsum("ij,ij->i", found[0], found[1])
        crease = np.isfinite(heights[:2]).all(axis=0) & (cosine < LEAST_ANGLE)
        found, heights = found[:, crease], heights[:, crease]
        way = meeting(found[0], found[1], heights[0], heights[1])
        heights += np.einsum("pnj,nj->pn", found, way)
        places, bent = bends[crease] + way, np.flatnonzero(ring <= 2)
        away, nearest = KDTree(vertices[bent], LEAF).query(places, distance_upper_bound=WIDEST_GAP)
        near = np.flatnonzero(np.isfinite(away))
        # several places on a bend have one place of the edge
        near = near[np.argsort(np.linalg.norm(way[near], axis=1), kind="stable")]
        near = near[_one_of_each_cell(places[near])]
        gaps = places[near] - vertices[bent[nearest[near]]]
        return cls(places[near], found[:, near], heights[:, near], gaps, bent)

    def take(self, which: NDArray) -> Creases:
        return Creases(self.places[which], self.normals[:, which], self.heights[:, which], self.gaps[which], self.bent)

    @property
    def corners(self) -> NDArray[np.float64]:
        """Where three planes meet near a place: (k, 3), each once."""
        planes = self.normals.transpose(1, 0, 2)
        three = np.isfinite(self.heights[2]) & (np.abs(np.linalg.det(planes)) > LEAST_CORNER)
        way = -np.linalg.solve(planes[three], self.heights.T[three][..., None])[..., 0]
        corners = (self.places[three] + way)[np.linalg.norm(way, axis=1) < TO_CORNER]
        # several places find one corner
        number, label = _groups(corners, APART)
        share = np.bincount(label, minlength=number)
        return np.stack([np.bincount(label, column, number) for column in corners.T], axis=1) / share[:, None]

    def sharp(self, points: NDArray, noise: float) -> Creases:
        """Those that points (p, 3) of a scan, in voxels, show as sharp. noise: their deviation, in voxels."""
        if len(self.places) < FEWEST_ALONG:
            return self.take(np.zeros(0, int))
        likelier, fits = self._evidence(points, max(noise, ERROR))
        near = np.asarray(KDTree(self.places).query(self.places, k=ALONG, distance_upper_bound=LONGEST_ALONG)[1])
        known = near < len(self.places)
        near = np.where(known, near, 0)
        agree = [np.einsum("nkj,nj->nk", self.normals[i][near], self.normals[j]) for i in (0, 1) for j in (0, 1)]
        straight, crossed = np.minimum(agree[0], agree[3]), np.minimum(agree[1], agree[2])
        along = known & (np.maximum(straight, crossed) > SAME_EDGE)
        count = along.sum(axis=1)
        mean = (likelier[near] * along).sum(axis=1) / count
        fitting = (fits[near] & along).sum(axis=1)
        sharp = (mean > LIKELIER) & (fitting >= np.maximum(FEWEST_ALONG, count / 2))
        # most along an edge decide, for gaps would leave it ragged
        found = self.take((sharp[near] & along).sum(axis=1) > MOST_ALONG * count)
        number, label = _groups(found.places, TOGETHER)
        found = found.take(np.bincount(label, minlength=number)[label] >= FEWEST_TOGETHER)
        return found if noise * AVERAGED < SPACING or not len(found.places) else found._averaged(noise * AVERAGED)

    def _averaged(self, reach: float) -> Creases:
        """With each plane the mean of those alike at places within ``reach`` voxels."""
        away, near = KDTree(self.places).query(self.places, k=BESIDE, distance_upper_bound=reach)
        share = np.where(np.isfinite(away), 1 - (away / reach) ** 2, 0)
        near = np.where(np.isfinite(away), near, 0)
        offset = self.places[:, None] - self.places[near]
        normals, heights = np.zeros(self.normals.shape), np.zeros(self.heights.shape)
        for plane in range(3):
            weight = np.zeros(len(self.places))
            for other in range(3):
                theirs, above = self.normals[other][near], self.heights[other][near]
                alike = np.einsum("nkj,nj->nk", theirs, self.normals[plane]) > SAME_EDGE
                own = share * (alike & np.isfinite(above))
                above = np.where(own > 0, above + np.einsum("nkj,nkj->nk", theirs, offset), 0)
                normals[plane] += np.einsum("nk,nkj->nj", own, theirs)
                heights[plane] += (own * above).sum(axis=1)
                weight += own.sum(axis=1)
            heights[plane] /= np.maximum(weight, 1e-9)
            normals[plane] = unit(normals[plane])[0]
        heights[~np.isfinite(self.heights)] = np.inf
        way = meeting(normals[0], normals[1], heights[0], heights[1])
        heights += np.einsum("pnj,nj->pn", normals, way)
        return Creases(self.places + way, normals, heights, self.gaps + way, self.bent)

    def _evidence(self, points: NDArray, noise: float) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """How much likelier each place's edge is than a fillet, at most MOST_LIKELY either way, and whether it fits."""
        points = _near(points, self.places)
        if not len(points):
            return np.zeros(len(self.places)), np.zeros(len(self.places), bool)
        tree = KDTree(points, LEAF, balanced_tree=False)
        away, index = tree.query(self.places, k=MOST_POINTS, distance_upper_bound=REACH)
        used = np.isfinite(away)
        offset = points[np.where(used, index, 0)] - self.places[:, None]
        first, second, third = np.einsum("nkj,pnj->pnk", offset, self.normals)
        # at a corner, those of the third face say nothing of the edge between the others
        third = np.abs(third + np.where(np.isfinite(self.heights[2]), self.heights[2], 0)[:, None])
        used &= ~np.isfinite(self.heights[2])[:, None] | (third > np.minimum(np.abs(first), np.abs(second)))
        convex = np.where(np.einsum("ij,ij->i", self.gaps, self.normals[0] + self.normals[1]) > 0, 1.0, -1.0)[:, None]
        cosine = np.einsum("ij,ij->i", self.normals[0], self.normals[1])[:, None]
        misses = _fillet_distances(convex * first, convex * second, cosine)
        used &= np.abs(misses[0]) < 2
        count = used.sum(axis=1)
        errors = (np.minimum(misses**2, 1) * used).sum(axis=2) / np.maximum(count, 1)
        variance = np.maximum(errors.min(axis=0), noise**2)
        edge_error = errors[:SHARP].min(axis=0)
        gain = (errors[SHARP + 1 :].min(axis=0) - edge_error) * count / (2 * variance)
        fits = (np.sqrt(edge_error) < MISFIT + NOISES * noise) & (count >= FEWEST_POINTS)
        return np.clip(gain, -MOST_LIKELY, MOST_LIKELY), fits


def meeting(first: NDArray, second: NDArray, above: NDArray, over: NDArray) -> NDArray[np.float64]:
    """The shortest way (n, 3) from places ``above`` and ``over`` (n,) two planes with unit normals (n, 3) onto both."""
    cosine = np.einsum("ij,ij->i", first, second)
    along = np.maximum(1 - cosine**2, 1e-3)
    return -((above - cosine * over) / along)[:, None] * first - ((over - cosine * above) / along)[:, None] * second


def _groups(places: NDArray, reach: float) -> tuple[int, NDArray[np.int32]]:
    """The number of groups of places (n, 3) that hang together by steps up to ``reach``, and the group (n,) of each."""
    if not len(places):
        return 0, np.zeros(0, np.int32)
    tree = KDTree(places)
    near = tree.sparse_distance_matrix(tree, reach, output_type="coo_matrix")
    return connected_components(near, directed=False)


def _one_of_each_cell(places: NDArray) -> NDArray[np.intp]:
    """Numbers of places (n, 3), the first one in each cell of SPACING that holds any."""
    if not len(places):
        return np.zeros(0, np.intp)
    cell = np.floor(places / SPACING).astype(np.int64)
    x, y, z = (cell - cell.min(axis=0)).T
    return np.sort(np.unique((x << 40) | (y << 20) | z, return_index=True)[1])


def _planes(places: NDArray, vertices: NDArray, normals: NDArray) -> tuple[NDArray, NDArray]:
    """Normals (3, n, 3) of up to three planes through vertices (v, 3) near places (n, 3), and heights (3, n)."""
    found, heights = np.zeros((3, len(places), 3)), np.full((3, len(places)), np.inf)
    if not len(places) or not len(vertices):
        return found, heights
    count = min(BESIDE, len(vertices))
    near = np.asarray(KDTree(vertices, LEAF, balanced_tree=False).query(places, k=[*range(1, count + 1)])[1])
    normal = normals[near]
    above = np.einsum("nkj,nkj->nk", places[:, None] - vertices[near], normal)
    free = np.ones(near.shape, bool)
    row = np.arange(len(places))
    for plane in range(3):
        mean = normal[row, free.argmax(axis=1)]
        for _ in range(2):
            cosine = np.einsum("nkj,nj->nk", normal, mean)
            chosen = free & (cosine > SAME_PLANE)
            mean = unit(np.einsum("nk,nkj->nj", chosen.astype(np.float64), normal))[0]
        number = chosen.sum(axis=1)
        there = number >= FEWEST_BESIDE
        found[plane] = mean
        heights[plane, there] = np.einsum("nk,nk->n", above, chosen)[there] / number[there]
        free &= ~chosen & (np.einsum("nkj,nj->nk", normal, mean) <= SAME_PLANE)
    return found, heights


def _near(points: NDArray, edge: NDArray) -> NDArray[np.float64]:
    """Of points (p, 3), those in cells of REACH around places (n, 3)."""
    low = np.floor(edge.min(axis=0) / REACH).astype(np.int64) - 1
    cell = np.floor(edge / REACH).astype(np.int64) - low
    held = np.zeros(cell.max(axis=0) + 2, bool)
    for step in np.ndindex(3, 3, 3):
        held[tuple((cell + step - 1).T)] = True
    place = np.floor(points / np.float32(REACH)).astype(np.int64) - low
    within = np.flatnonzero(((place >= 0) & (place < held.shape)).all(axis=1))
    near = within[held[tuple(place[within].T)]]
    return points[near].astype(np.float64)


def _fillet_distances(first: NDArray, second: NDArray, cosine: NDArray) -> NDArray[np.float64]:
    """Distances (r, n, k) of points from convex edges with FILLETS. first, second (n, k): heights above the planes,
    whose normals have a cosine (n, 1)."""
    half = np.arccos(np.clip(cosine, -1, 1)) / 2
    flat = np.maximum(first, second)
    found = np.empty((len(FILLETS), *first.shape))
    for row, length in enumerate(FILLETS):
        radius = length / np.tan(half)
        a, b = first + radius, second + radius
        along, across = (a - cosine * b) / (1 - cosine**2), (b - cosine * a) / (1 - cosine**2)
        rounded = (along > 0) & (across > 0)
        found[row] = np.where(rounded, np.sqrt(np.maximum(a * along + b * across, 0)) - radius, flat)
    return found
