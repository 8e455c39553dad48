"""The unseen sides of thin walls: a wall goes on as thick as it is where both of its sides were seen.

Of a cup a scanner sees the outside and some of the inside. The rest of the inside lies behind the outside, as far as
the wall is thick. What is thick all over is no wall: beyond the other side there has to be room for a ball that is
several times larger than the wall is thick, and the balls of a wall's unseen part have to go on from those of its seen
part.

The figures were chosen on `scans/valid` under B and D, on cups, and on procedural shapes, and one of them after a jug
of `clean`: of 700 procedural scans it finds walls in some 50, and in about five of them, mostly flakes of stone, wrong
ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from scipy.spatial import KDTree

from ..field.bricks import Level
from ..field.completion_prior import CompletionPrior
from ..field.isosurface import extract
from ..scan.prepare import PreparedScan
from .symmetry import thinned

SOURCE = "the thickness of its walls"
NOTE = "One side of thin walls was not seen: they go on as thick as elsewhere. Turn Continue Walls off if they do not."

POINTS, SAMPLES = 20_000, 4_000
"""Scan points that are looked at, and those of them behind which the other side of a wall is looked for."""
THICKEST, THINNEST, THINNEST_OF_NOISE = 0.065, 0.01, 3.0
"""Thickness of a wall, canonical, and least thickness in standard deviations of the noise."""
MOST_DOUBTFUL = 0.15
"""Share of the samples with a neighbour on their own surface that faces the other way; with more of them, the normals
do not tell the sides of a wall apart."""
STEP, ASIDE = 0.02, 1.2
"""The other side is looked for at every step (canonical) behind a point, within so many steps."""
OPPOSITE = -0.7
"""Most of the cosine between the normals of the two sides."""
NEIGHBOURS, NORMAL_WEIGHT = 15, 0.3
"""Samples with another side whose median thickness a point takes, and the distance that a turn of one radian between
normals counts like."""
ROOM, LEAST_ROOM, FREE = 7.0, 0.1, 0.85
"""Radius of the ball beyond the other side: thicknesses of the wall, and canonical at least. In a smaller ball, by the
last share, nothing was measured."""
CELL = 0.08
"""Balls whose middles lie in cells (canonical) that touch go on from each other."""
FEWEST, LEAST_SHARE, MOST_SHARE = 25, 0.008, 0.75
"""A wall has that many samples with another side, and between these shares of its samples have one."""
LITTLE_SHARE, SURE_OF_NOISE = 0.05, 6.0
"""Where a smaller share of a wall's samples has another side, these may be stray points unless the wall is thicker than
that many standard deviations of the noise."""
LEAST_AREA = 0.42
"""Of the unseen side of a wall, canonical."""
SEEN, SAME_SIDE = 0.03, 0.3
"""A place was seen where a point is nearer (canonical) whose normal has at least this cosine with its own."""
APART = 0.8
"""Share of a wall's thickness within which nothing was measured around a place of its unseen side."""
LEAST_VOXELS = 1.5
"""Of the finest level between the two sides. On a glass of `valid` with walls of 1.2 voxels there were three times as
many tunnels without it."""
CLEARANCE = 0.2
"""The unseen side is near the seen one, so that it may be nearer to the scan than other completions."""
UNSEEN = 1.5
"""Voxels of level 0 from the scan's points from which on its surface was not seen. Of `scans/valid` and `clean`, scans
of vessels with an unseen inside have surface .11 (canonical) away at least; a jug that was seen whole, .04 at most."""
SIGMA = 0.02
"""Standard deviation of the unseen side, canonical."""


def seen_whole(scan: PreparedScan, level: Level) -> bool:
    """Whether no surface of ``level``, level 0 of a fit that was told of no walls, is far from the scan's points. Such
    a thing has no unseen side, however thin some of its walls are: what lies behind the others is solid."""
    surface = extract(level.grid, sides=level.bricks)
    places = (surface.vertices + 0.5) * level.voxel - 1
    return not np.isinf(scan.tree.query(places, distance_upper_bound=UNSEEN * level.voxel)[0]).any()


def wall_prior(scan: PreparedScan, voxel: float = 0.0, beside: CompletionPrior | None = None) -> CompletionPrior | None:
    """The unseen sides of a scan's thin walls; None where it has none. voxel: of the finest level, canonical, which
    dissolves walls that are thinner. beside: surface that completes the scan in another way, whose other side is unseen
    as well."""
    points, normals = thinned(scan.points, scan.normals, POINTS)
    seen = len(points)
    if beside is not None:
        points, normals = np.concatenate([points, beside.points]), np.concatenate([normals, beside.normals])
    walls = _Walls.of(points, normals, seen, scan.noise)
    if walls is None:
        return None
    chosen, thickness = walls.half_seen()
    if not len(chosen):
        return None
    points, normals = walls.other_side(chosen, np.maximum(thickness, LEAST_VOXELS * voxel))
    sigma, clearance = (np.full(len(points), value, np.float32) for value in (SIGMA, CLEARANCE))
    return CompletionPrior(
        points.astype(np.float32), normals.astype(np.float32), sigma, SOURCE, clearance, notes=(NOTE,)
    )


@dataclass(frozen=True)
class _Walls:
    """Points as if all were on thin walls, canonical."""

    points: NDArray[np.float64]  # (n, 3)
    normals: NDArray[np.float64]  # (n, 3), unit
    tree: KDTree  # of the points
    samples: NDArray[np.int64]  # (s,), the points of the scan behind which the other side was looked for
    measured: NDArray[np.int64]  # (m,), those of them that have one
    thickness: NDArray[np.float64]  # (n,), of the measured neighbours
    noise: float  # standard deviation

    @classmethod
    def of(cls, points: NDArray, normals: NDArray, seen: int, noise: float) -> _Walls | None:
        """Of points whose first ``seen`` are a scan's. None where hardly any of these has another side, or normals do
        not tell the two apart."""
        points, normals = points.astype(np.float64), normals.astype(np.float64)
        thinnest = max(THINNEST, THINNEST_OF_NOISE * noise)
        tree, samples = KDTree(points), np.arange(0, seen, max(1, seen // SAMPLES))
        behind = _measured_thickness(points, normals, tree, samples, thinnest)
        measured, known = samples[np.isfinite(behind)], behind[np.isfinite(behind)]
        if len(measured) < FEWEST or _doubtful(points, normals, tree, samples, thinnest) > MOST_DOUBTFUL:
            return None
        places = np.hstack([points, NORMAL_WEIGHT * normals])
        nearest = KDTree(places[measured]).query(places, k=min(NEIGHBOURS, len(measured)))[1]
        thickness = np.median(known[nearest], axis=1)
        thickness[measured] = known
        return cls(points, normals, tree, samples, measured, thickness, noise)

    def half_seen(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The points (m,) of walls whose other side was not seen, and the thickness (m,) of their walls."""
        part = self._parts()
        found, thicknesses = [np.zeros(0, np.int64)], [np.zeros(0)]
        for number in range(1, part.max(initial=0) + 1):
            members = part == number
            measured = self.measured[members[self.measured]]
            share = len(measured) / max(1, np.count_nonzero(members[self.samples]))
            if len(measured) < FEWEST or not LEAST_SHARE <= share <= MOST_SHARE:
                continue
            typical = float(np.median(self.thickness[measured]))
            if share < LITTLE_SHARE and typical < SURE_OF_NOISE * self.noise:
                continue
            unseen = self._unseen(np.flatnonzero(members), typical)
            cells = np.unique((self.other_side(unseen, typical)[0] / CELL).astype(np.int64), axis=0)
            if len(cells) * CELL**2 >= LEAST_AREA:
                found.append(unseen)
                thicknesses.append(np.full(len(unseen), typical))
        return np.concatenate(found), np.concatenate(thicknesses)

    def other_side(self, chosen: NDArray[np.int64], thickness: ArrayLike) -> tuple[NDArray, NDArray]:
        """Points (m, 3) and unit normals (m, 3) of the other side of walls at points ``chosen`` (m,), as thick as one
        number or as (m,)."""
        facing = self.normals[chosen]
        return self.points[chosen] - np.asarray(thickness)[..., None] * facing, -facing

    def _parts(self) -> NDArray[np.int64]:
        """Number (n,), from 1, of the connected balls beyond the other side that a point's own is one of; 0 where
        there is no room for it."""
        room = np.maximum(ROOM * self.thickness, LEAST_ROOM)
        middles = self.points - (self.thickness + room)[:, None] * self.normals
        free = KDTree(self.points[self.samples]).query(middles)[0] >= FREE * room
        part = np.zeros(len(middles), np.int64)
        if free.any():
            cell = ((middles[free] - middles[free].min(axis=0)) / CELL).astype(np.int64)
            held = np.zeros(cell.max(axis=0) + 1, bool)
            held[tuple(cell.T)] = True
            part[free] = ndimage.label(held, np.ones((3, 3, 3)))[0][tuple(cell.T)]
        return part

    def _unseen(self, chosen: NDArray[np.int64], thickness: float) -> NDArray[np.int64]:
        """Those of the points (m,) of a wall behind which neither the other side was measured nor anything else."""
        places, facing = self.other_side(chosen, thickness)
        distance, near = self.tree.query(places, k=4, distance_upper_bound=max(SEEN, THICKEST))
        same = np.einsum("nkj,nj->nk", self.normals[np.where(np.isfinite(distance), near, 0)], facing) > SAME_SIDE
        seen = (same & (distance < SEEN)).any(axis=1)
        return chosen[~seen & (distance[:, 0] >= APART * thickness)]


def _doubtful(
    points: NDArray[np.float64], normals: NDArray[np.float64], tree: KDTree, samples: NDArray, thinnest: float
) -> float:
    """Share of the samples on whose own surface a neighbour faces the other way: one of the two normals is wrong."""
    near = tree.query(points[samples], k=5)[1]
    across = np.einsum("nkj,nj->nk", points[samples, None] - points[near], normals[samples])
    opposite = np.einsum("nkj,nj->nk", normals[near], normals[samples]) < OPPOSITE
    return float((opposite & (np.abs(across) < thinnest)).any(axis=1).mean())


def _measured_thickness(
    points: NDArray[np.float64], normals: NDArray[np.float64], tree: KDTree, samples: NDArray, thinnest: float
) -> NDArray[np.float64]:
    """Distance (s,) of the other side of a wall behind each sample; NaN where there is none."""
    found = np.full(len(samples), np.nan)
    for depth in np.arange(STEP, THICKEST + STEP / 2, STEP):
        left = np.flatnonzero(np.isnan(found))
        place, facing = points[samples[left]], normals[samples[left]]
        distance, near = tree.query(place - depth * facing, k=4, distance_upper_bound=ASIDE * STEP)
        near = np.where(np.isfinite(distance), near, 0)
        across = np.einsum("nkj,nj->nk", place[:, None] - points[near], facing)
        other = np.isfinite(distance) & (np.einsum("nkj,nj->nk", normals[near], facing) < OPPOSITE)
        other &= (across > thinnest) & (across < THICKEST)
        hit = other.any(axis=1)
        found[left[hit]] = across[hit, other[hit].argmax(axis=1)]
    return found
