"""The part of a scan that an edit changes, and where it sits on another one.

The registration of whole scans follows a part that sits elsewhere only as far as a smooth warp does. So the surface
around the change is registered once more by itself: the distances near it must agree with those of the fit. Its starts
are the turns that take the principal axes to themselves, at places that face the right way; Gauss-Newton steps refine
the best. A part that occurs several times is found as often.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation

from ..field.bricks import TRUNCATION, Level
from ..registration.align import Alignment, refined
from ..registration.icp import Surface, axis_turns
from ..registration.similarity import Similarity
from ..registration.warp import Warp
from .pair_fields import FieldPair
from .threads import JobThreads

CLOSE, AROUND = 0.06, 0.15
"""The surface up to AROUND from the change belongs to the part, and that up to CLOSE decides whether there is one
(canonical)."""
LARGEST_PART = 0.5
"""Share of the surface beyond which a part is no part: registration of the whole finds it."""
OFF = 0.06
"""Distances are compared up to here from the surface (canonical)."""
LEAST_GRIP = 0.09
"""Least `grip` of the surface close to the change for a part: skins, plates and backrests that are drilled or get
something put on have .01 to .05; knobs, bolts, handles, tails, feet and holes .13 to .28. On procedural members that no
benchmark reports (seed 100)."""
SAMPLES, SOME, FEW = 600, 300, 120
"""Places at which distances are compared: in the end, among the refined starts, and before."""
SPOTS, FACING = 2500, 0.6
"""Places of the scan that starts are tried at, and the least cosine between its normal and that of the part."""
CHOSEN, CHOSEN_OF, APART, TURNED = 160, 6000, 0.06, np.radians(60)
"""Starts that are refined, the best of so many, and how far apart they are (canonical, radians)."""
LEFT = 32
"""Of these, those that are refined to the end."""
ROUNDS, LAST_ROUNDS = 6, 8
"""Steps of refinement of all starts, and of those that are left."""
ROBUST = 0.015
"""Distance (canonical) at which a sample has half its weight."""
COARSE = 0.05
"""A sample of a start that is farther off counts as this much (canonical): starts lie half a leg beside one."""
LARGEST = 0.08
"""A sample that is farther off counts as this much (canonical)."""
WORST = 0.95
"""The misfit of a place is this quantile of its samples': a wrong place agrees in most of them too."""
SMALL = 0.016
"""Distances (canonical) that are off by less do not tell places apart: proportions differ by as much."""
FADE = 0.12
"""Distance (canonical) from the change at which samples have no say any more about whether places look alike; up to
CLOSE they have all. What stands around one of several parts differs."""
ALIKE, SURELY_ALIKE, HARDLY_ALIKE = 2.4, 0.0006, 0.0025
"""Places with up to so many times the excess of the best one show the part too; those below the second all do, and
those above the third never do (canonical distance beyond SMALL, in the mean). Feet, bolts, knobs and holes had 2.4
times and .0014 at most, other places 3.3 times and .0013 at least (seeds 110 to 115)."""
MOVED = 0.7
"""A part has moved where that makes the misfit this many times smaller than registration of the whole does: parts in
place reach .77 to .88, parts elsewhere .15 to .65 (seeds 110 to 112)."""
SHOWN = 0.12
"""Canonical distance from the change of an example within which its part lies."""
MOST_PLACES = 16
FEWEST = 50
"""Points of a scan around a place below which there is nothing to fit a warp to."""
LOCAL = 0.2
"""The warp of a part that has moved is fitted to the surface up to here from the change (canonical)."""


@dataclass(frozen=True)
class DistanceGrid:
    """Signed distances of a level of a fit."""

    means: NDArray[np.float32]  # (n, n, n), voxels

    @classmethod
    def of(cls, level: Level) -> DistanceGrid:
        return cls(level.dense())

    @property
    def voxel(self) -> float:
        """Canonical size."""
        return 2 / len(self.means)

    @property
    def far(self) -> float:
        """Canonical distance up to which distances are known."""
        return 0.97 * TRUNCATION * self.voxel

    def at(self, points: NDArray) -> NDArray[np.float32]:
        """Distances (...), canonical, at points (..., 3)."""
        return self._sampled(self.means, points) * np.float32(self.voxel)

    def slope(self, points: NDArray) -> NDArray[np.float32]:
        """Derivatives (..., 3) at points (..., 3)."""
        return np.stack([self._sampled(part, points) for part in self._slopes], axis=-1)

    @cached_property
    def _slopes(self) -> list[NDArray[np.float32]]:
        return np.gradient(self.means)

    def _sampled(self, grid: NDArray, points: NDArray) -> NDArray[np.float32]:
        at = (points.reshape(-1, 3).T + 1) / self.voxel - 0.5
        return map_coordinates(grid, at, np.float32, order=1, mode="nearest").reshape(points.shape[:-1])

    def nearest(self, points: NDArray) -> NDArray[np.float32]:
        """As `at`, of the nearest voxel: fast."""
        count = len(self.means)
        x, y, z = np.moveaxis(((points + 1) / self.voxel).astype(np.int32).clip(0, count - 1), -1, 0)
        return self.means.reshape(-1)[(x * count + y) * count + z] * np.float32(self.voxel)


@dataclass(frozen=True)
class Part:
    """The surface around a change, in the edit's frame."""

    reference: Surface  # all of the first example
    places: NDArray[np.float64]  # (m, 3) of the change

    @classmethod
    def of(cls, reference: Surface, places: NDArray) -> Part | None:
        """None where the surface cannot be told from its surroundings, such as a plate that is drilled, and where
        nothing changes. places (m, 3): of the change."""
        part = cls(reference, np.asarray(places, np.float64))
        if not len(places) or len(part.surface.points) > LARGEST_PART * len(reference.points):
            return None
        return part if _grip(part._within(reference, CLOSE), part.middle) >= LEAST_GRIP else None

    def _within(self, surface: Surface, far: float) -> Surface:
        """What of a surface lies within ``far`` of the change."""
        distance, _ = KDTree(self.places).query(surface.points, distance_upper_bound=far, workers=-1)
        near = np.isfinite(distance)
        return Surface(surface.points[near], surface.normals[near])

    @cached_property
    def surface(self) -> Surface:
        return self._within(self.reference, AROUND)

    @cached_property
    def samples(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Places (n, 3) around the surface of the part, and its signed distance (n,) there."""
        rng = np.random.default_rng(0)
        chosen = rng.choice(len(self.surface.points), SAMPLES)
        off = rng.uniform(-OFF, OFF, (SAMPLES, 1))
        places = self.surface.points[chosen] + off * self.surface.normals[chosen]
        distance, nearest = KDTree(self.reference.points).query(places, workers=-1)
        inside = ((places - self.reference.points[nearest]) * self.reference.normals[nearest]).sum(axis=1) < 0
        return places, np.where(inside, -distance, distance)

    @cached_property
    def weights(self) -> NDArray[np.float64]:
        """Of the samples (n,), 1 close to the change and 0 from FADE on; their mean is 1."""
        distance, _ = KDTree(self.places).query(self.samples[0], workers=-1)
        found = ((FADE - distance) / (FADE - CLOSE)).clip(0, 1)
        return found / max(float(found.mean()), 1e-12)

    @cached_property
    def middle(self) -> NDArray[np.float64]:
        """(3,), of the change."""
        return self.places.mean(axis=0)

    @cached_property
    def extent(self) -> float:
        """Root mean square distance of the change from its middle."""
        return float(np.sqrt(((self.places - self.middle) ** 2).sum(axis=1).mean()))

    def misfit(self, alignment: Alignment, grid: DistanceGrid) -> float:
        """How far (canonical) distances on a scan are from those of the part where an alignment says that it is."""
        places, wanted = self.samples
        off = grid.at(alignment.back(places)) - (wanted / alignment.similarity.scale).clip(-grid.far, grid.far)
        return float(np.quantile(np.abs(off).clip(0, LARGEST), WORST))

    def holds(self, alignment: Alignment, place: NDArray) -> bool:
        """Whether a canonical place (3,) of a scan is on the part where an alignment says that it is."""
        there = alignment.warp(alignment.similarity.points(np.asarray(place, np.float64)[None]))
        return bool(KDTree(self.places).query(there)[0][0] <= CLOSE)

    def warped(self, alignment: Alignment, surface: Surface) -> Alignment:
        """A rigid alignment with a warp of the surroundings of the part alone; surface: of the scan."""
        there = alignment.similarity.points(surface.points)
        distance, _ = KDTree(self.places).query(there, distance_upper_bound=LOCAL, workers=-1)
        near = np.isfinite(distance)
        if np.count_nonzero(near) < FEWEST:
            return alignment
        few = Surface(surface.points[near], surface.normals[near])
        return refined(alignment, few, self._within(self.reference, LOCAL))


def part_alignments(part: Part, grid: DistanceGrid, surface: Surface, whole: Alignment) -> list[Alignment]:
    """Where the part is on a scan: one alignment for each place. The first is ``whole`` where the part is in place.

    grid: of the scan's fit; surface: of the scan, canonical; whole: of the scan with the reference.
    """
    rigid = _rigid_alignments(part, grid, surface, whole.similarity)
    if not rigid:
        return [whole]
    best, least = rigid[0]
    limit = min(max(ALIKE * least, SURELY_ALIKE), HARDLY_ALIKE)
    moved = part.warped(best, surface)
    found = [moved if part.misfit(moved, grid) < MOVED * part.misfit(whole, grid) else whole]
    apart = max(APART, part.extent / whole.similarity.scale)
    middles = [one.back(part.middle[None])[0] for one in found]
    for other, excess in rigid:
        middle = other.back(part.middle[None])[0]
        alike = excess <= limit and len(found) < MOST_PLACES
        if alike and np.linalg.norm(np.array(middles) - middle, axis=1).min() > apart:
            middles.append(middle)
            found.append(part.warped(other, surface))
    return found


def example_alignments(pairs: Sequence[FieldPair | None], wholes: Sequence[Alignment]) -> tuple[list[Alignment], bool]:
    """Alignments of examples with the first one, by the part that changes: it may sit elsewhere, or be one of several.
    And whether that is a part of the scans after, such as a drilled hole, where those before are plain skin.

    pairs: None for an example that changes nothing; wholes: of the whole scans, which are the alignments where neither
    side has a part.
    """
    first = pairs[0]
    if first is None or first.surfaces is None:
        return list(wholes), False
    cube = Similarity(np.eye(3), first.room, np.zeros(3))
    shown = first.room * first.changed(len(first.before) - 1)
    for side, surface in enumerate(first.surfaces):
        part = Part.of(surface.moved(cube), shown)
        if part is not None:
            with JobThreads() as pool:
                others = pool.map(partial(_example_alignment, part, side), pairs[1:], wholes[1:])
                return [wholes[0], *others], side == 1
    return list(wholes), False


def _example_alignment(part: Part, side: int, pair: FieldPair | None, whole: Alignment) -> Alignment:
    """That of one example; side: 0 for the scan before, 1 for the one after."""
    if pair is None or pair.surfaces is None:
        return whole
    cube = Similarity(np.eye(3), pair.room, np.zeros(3))
    inside = replace(whole, similarity=whole.similarity.after(cube))
    means = (pair.before, pair.after)[side]
    grid = DistanceGrid(means[min(1, len(means) - 1)])
    changed = pair.changed(len(pair.before) - 1)
    if not len(changed):
        return whole
    centre = changed.mean(axis=0)
    rigid = _rigid_alignments(part, grid, pair.surfaces[side], inside.similarity, centre)
    if not rigid:
        return whole
    moved = part.warped(rigid[0][0], pair.surfaces[side])
    # of several parts the registration may have found another one, which looks the same
    there = np.linalg.norm(inside.back(part.middle[None])[0] - centre) < SHOWN
    if there and part.misfit(moved, grid) >= MOVED * part.misfit(inside, grid):
        return whole
    return replace(moved, similarity=moved.similarity.after(cube.inverse()))


def _rigid_alignments(
    part: Part, grid: DistanceGrid, surface: Surface, near: Similarity, centre: NDArray | None = None
) -> list[tuple[Alignment, float]]:
    """Alignments of the part without a warp, best first, and how far their distances are off beyond SMALL, in the mean
    (canonical); near: of the scans; centre (3,): of the change on the scan, where it is known."""
    places, wanted = part.samples
    scale = 1 / near.scale
    wanted = (wanted * scale).clip(-grid.far, grid.far)
    # in the canonical frame of the scan but for the turn and the shift, and around the middle of the samples
    middle = places.mean(axis=0)
    arms = scale * (places - middle)
    turns, shifts = _starts(part, surface, near, middle)
    if centre is not None:
        shown = np.linalg.norm(shifts + scale * (turns @ (part.middle - middle)) - centre, axis=1) < SHOWN
        turns, shifts = turns[shown], shifts[shown]
    if not len(turns):
        # nothing of the scan faces the way that the part does
        return []
    misfit = np.abs(grid.nearest(_moved(arms[:FEW], turns, shifts)) - wanted[:FEW]).clip(0, COARSE).mean(axis=1)
    chosen = _distinct(turns, shifts, np.argsort(misfit)[:CHOSEN_OF], CHOSEN)
    turns, shifts = turns[chosen], shifts[chosen]
    for _ in range(ROUNDS):
        turns, shifts = _refined(arms[:FEW], wanted[:FEW], turns, shifts, grid)
    misfit = np.abs(grid.at(_moved(arms[:SOME], turns, shifts)) - wanted[:SOME]).clip(0, COARSE).mean(axis=1)
    chosen = _distinct(turns, shifts, np.argsort(misfit), LEFT)
    turns, shifts = turns[chosen], shifts[chosen]
    for _ in range(LAST_ROUNDS):
        turns, shifts = _refined(arms, wanted, turns, shifts, grid)
    off = np.abs(grid.at(_moved(arms, turns, shifts)) - wanted).clip(0, LARGEST)
    excess = (np.maximum(off - SMALL, 0) * part.weights).mean(axis=1)
    found = []
    for turn, shift, own in zip(turns, shifts, excess.tolist(), strict=True):
        back = Similarity(turn, scale, shift - scale * (turn @ middle))
        found.append((Alignment(back.inverse(), Warp(), 0.0), own))
    return sorted(found, key=lambda one: one[1])


def _starts(part: Part, surface: Surface, near: Similarity, middle: NDArray) -> tuple[NDArray, NDArray]:
    """Turns (k, 3, 3) and places (k, 3) on the scan of the middle of the samples: the point of the surface next to it
    comes to lie on points of the scan that face its way."""
    reference, spots = part.reference, surface.thinned(SPOTS)
    anchor = int(np.argmin(((reference.points - middle) ** 2).sum(axis=1)))
    centred = reference.points - reference.points.mean(axis=0)
    turns, shifts = [], []
    for own in axis_turns(centred, centred):
        turn = near.rotation.T @ own
        there = spots.points[spots.normals @ (turn @ reference.normals[anchor]) > FACING]
        turns.append(np.broadcast_to(turn, (len(there), 3, 3)))
        shifts.append(there + turn @ (middle - reference.points[anchor]) / near.scale)
    return np.concatenate(turns), np.concatenate(shifts)


def _moved(arms: NDArray, turns: NDArray, shifts: NDArray) -> NDArray:
    """Points (k, n, 3) of arms (n, 3) in each pose."""
    return arms @ turns.transpose(0, 2, 1) + shifts[:, None]


def _distinct(turns: NDArray, shifts: NDArray, order: NDArray, most: int) -> list[int]:
    """The first ``most`` of ``order`` whose poses differ."""
    chosen: list[int] = []
    for number in order:
        near = np.linalg.norm(shifts[chosen] - shifts[number], axis=1) < APART
        cosines = (np.einsum("kij,ij->k", turns[chosen], turns[number]) - 1) / 2
        if not (near & (cosines > np.cos(TURNED))).any():
            chosen.append(int(number))
            if len(chosen) == most:
                break
    return chosen


def _refined(
    arms: NDArray, wanted: NDArray, turns: NDArray, shifts: NDArray, grid: DistanceGrid
) -> tuple[NDArray, NDArray]:
    """Poses (k) after one step of Gauss and Newton with Cauchy weights."""
    turned = arms @ turns.transpose(0, 2, 1)
    points = turned + shifts[:, None]
    off, slope = grid.at(points) - wanted, grid.slope(points)
    weight = (np.abs(wanted) < grid.far) / (1 + (off / ROBUST) ** 2)
    size = np.sqrt((arms**2).sum(axis=1).mean())
    # by a turn (in lengths at the size of the part) and a shift
    derivative = np.concatenate([np.cross(turned, slope) / size, slope], axis=2)
    weighted = derivative * weight[:, :, None]
    normal = weighted.transpose(0, 2, 1) @ derivative
    damping = 1e-3 * np.trace(normal, axis1=1, axis2=2) / 6
    normal += (damping + 1e-12)[:, None, None] * np.eye(6)
    step = -np.linalg.solve(normal, (weighted.transpose(0, 2, 1) @ off[:, :, None]))[:, :, 0]
    turn = Rotation.from_rotvec(step[:, :3] / size).as_matrix()
    return turn @ turns, shifts + step[:, 3:]


def _grip(surface: Surface, middle: NDArray) -> float:
    """How firmly a surface holds a place (3,) of it, 0 .. 1/3: the mean square distance from its planes after a unit
    shift of the place along the axis on which it slides best, whatever turn goes with the shift (slippage analysis;
    Gelfand and Guibas 2004). A plane, a cylinder and a sphere have none."""
    if not len(surface.points):
        return 0.0
    arms = surface.points - middle
    arms /= max(float(np.sqrt((arms**2).sum(axis=1).mean())), 1e-12)
    derivative = np.concatenate([np.cross(arms, surface.normals), surface.normals], axis=1)
    normal = derivative.T @ derivative / len(derivative)
    turns, both, shifts = normal[:3, :3], normal[:3, 3:], normal[3:, 3:]
    left = shifts - both.T @ np.linalg.solve(turns + 1e-3 * np.eye(3), both)
    return float(np.linalg.eigvalsh(left)[0])
