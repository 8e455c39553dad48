"""Edits by example as deltas of the network's head: per level, the change between two fits as a gain and a bias.

A pair of before and after is fitted twice in one frame. At a place x of level l the pair shows mu_before(x) and
mu_after(x); wanted are gain and bias with

    mu_after = mu_before + gain mu_before + bias,    (gain, bias)(x) = g(x) k(x) W / (.05 + sum k(x)),

k Gaussians around centres on a lattice inside the support of the change, g a gate that ends 2.4 radii from them (see
`field.weight_delta`). That is linear in W: ridge regression in closed form, and the Gaussian posterior of the bias says
where the edit guesses. Unlike a displacement of the surface it opens holes, and puts parts on and takes them off.

An edit whose examples only take away never puts on, and the other way round: gain mu + bias is cut off at 0. So the
gain -1 and the distance from a tool make max(mu, tool), on scans whose walls lie elsewhere too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, cholesky, solve_triangular
from scipy.spatial import KDTree

from ..field.bricks import TRUNCATION, voxel_size
from ..field.onnx_model import CancelToken, Model
from ..field.weight_delta import REACH, LevelDelta
from .banded_kernels import BandedKernels, gated_kernels
from .pair_fields import FieldPair, voxel_centres, voxels_of
from .placement import Placement
from .threads import JobThreads

RADIUS = 1.75
"""Standard deviation of a kernel, in voxels of the level: of 1.75 and 2.25 the better one on plates with holes and
bosses, slots and horns that no benchmark reports (seeds 100 to 114), by .001 to .014 of the wanted change."""
SPACING = 1.15
"""Distance of the centres on their lattice, in radii."""
MOST_CENTRES = 1200
"""Of a level; the radius grows until they suffice."""
PENALTY = 0.02
"""Of the ridge, in mean diagonals of its normal matrix."""
MOST_ROWS = 6_000
"""Voxels of each example that the ridge sees on a level; of twice as many a third cost .007 of the wanted change."""
ONE_SIDED = 0.02
"""Share of the change that may go the other way in an edit that only takes away or only puts on."""
HINGES, UNMOVED = 3, 0.15
"""Rounds that let go of what is cut off, and the change (voxels) up to which nothing is wanted. On skulls that nothing
reports on (seed 101) what is wrong beside the change fell from .35 to .20, by the cut alone to .28."""
NEW_SURFACE = 1.0
"""Voxels from the surface after an edit, and of change, within which a distance tells of the new surface."""
ALONE = 0.56
"""Standard deviation (voxels) of a new surface that a single example shows: with it the 90 % interval covered .90 of
those of drilled plates, bosses, cut tails and horns that no benchmark reports (median of seeds 103 and 104), with 1
nearly all."""
MOST_CHANGED = 20_000
"""Changed voxels of one example that place the centres."""
MOST_EXACT = 5000
"""Points that are taken into the edit's frame without the lattice of NODES."""


@dataclass(frozen=True)
class LearnedLevel:
    """What the examples show on one level."""

    delta: LevelDelta
    factor: NDArray[np.float32]  # (E, E), lower Cholesky factor of the bias's normal matrix
    noise: float  # variance (voxels^2) of a new surface of one example by what the others show

    @cached_property
    def tree(self) -> KDTree:
        """Of the centres."""
        return KDTree(self.delta.centres)

    def values(self, places: NDArray) -> NDArray[np.float32]:
        """The gated, normalised kernels (n, E)."""
        return gated_kernels(places, self.delta.centres, self.delta.radius)

    def deviation(self, places: NDArray) -> NDArray[np.float64]:
        """Standard deviation (n,) of the bias (voxels) by the posterior, and of what the examples leave open."""
        values = self.values(places)
        seen = solve_triangular(self.factor, values.T, lower=True, check_finite=False)
        return np.sqrt(self.noise * ((seen**2).sum(axis=0) + values.sum(axis=1) ** 2))


@dataclass(frozen=True)
class LearnedDelta:
    """A delta of the head, in the frame of the first example."""

    levels: tuple[LearnedLevel | None, ...]  # coarse to fine; None where the examples show no change on a level
    side: int = 0  # 1 where it only takes away, so that distances grow, -1 where it only puts on, 0 where it does both

    @cached_property
    def reach(self) -> tuple[KDTree, float] | None:
        """Tree of all centres, and how far (edit's frame) the widest of them acts; None where nothing changes."""
        known = [level.delta for level in self.levels if level is not None]
        if not known:
            return None
        return KDTree(np.concatenate([one.centres for one in known])), REACH * max(one.radius for one in known)


def learn_delta(
    pairs: Sequence[FieldPair], placements: Sequence[Placement], spread: float = 0.0
) -> tuple[LearnedDelta, list[LevelRows]]:
    """The delta that pairs show, each with the way into the edit's frame; and the examples of the finest level that
    shows a change, each with what the others predict of it. spread: see `centred_on_change`."""
    levels: list[LearnedLevel | None] = []
    rows: list[LevelRows] = []
    side = side_of(pairs)
    for number in range(len(pairs[0].before)):
        changed = [_some(pair.changed(number)) for pair in pairs]
        support = np.concatenate([way(each) for way, each in zip(placements, changed, strict=True)])
        level = None
        if len(support):
            level, rows = _learn_level(number, pairs, placements, support, side)
            level = replace(level, noise=level.noise + (spread / voxel_size(number)) ** 2)
        levels.append(level)
    return LearnedDelta(tuple(levels), side), rows


def one_sided(change: NDArray, side: int) -> NDArray:
    """A change (n,) without what is not on a side, see `LearnedDelta`."""
    return side * np.maximum(side * change, 0) if side else change


def side_of(pairs: Sequence[FieldPair]) -> int:
    """See `LearnedDelta`."""
    up = down = 0.0
    for pair in pairs:
        before, after = pair.before[-1], pair.after[-1]
        at = tuple(voxels_of(pair.changed(len(pair.before) - 1), len(before)).T)
        move = after[at] - before[at]
        up, down = up + float(move.clip(0).sum()), down - float(move.clip(None, 0).sum())
    return 0 if min(up, down) > ONE_SIDED * max(up, down) else int(np.sign(up - down))


def centred_on_change(
    pairs: Sequence[FieldPair], placements: Sequence[Placement], expected: Sequence[Placement]
) -> tuple[list[Placement], float]:
    """Placements under which the changes of all examples have one centroid: registration misses a place by a few
    hundredths, which would smear what they show.

    expected: placements as another scan will have. The centroid is the mean of those under them; their standard
    deviation per axis (edit's frame) comes with it.
    """
    finest = len(pairs[0].before) - 1
    changed = [_some(pair.changed(finest)) for pair in pairs]
    if not all(map(len, changed)):
        return list(placements), 0.0
    own, there = (
        np.array([way(each).mean(axis=0) for way, each in zip(ways, changed, strict=True)])
        for ways in (placements, expected)
    )
    middle, count = there.mean(axis=0), len(pairs)
    # how far the mean itself is off adds to how far another scan is
    spread = float(np.sqrt(((there - middle) ** 2).mean() * (count + 1) / max(count - 1, 1)))
    return [replace(way, shift=middle - one) for way, one in zip(placements, own, strict=True)], spread


@dataclass(frozen=True)
class LevelRows:
    """Voxels of one example on one level."""

    number: int  # of the level
    points: NDArray[np.float64]  # (n, 3) in the cube of the example's fits
    before: NDArray[np.float64]  # (n,) distances, voxels
    after: NDArray[np.float64]
    predicted: NDArray[np.float64]  # of after, by a delta from the other examples; from this one where it is alone

    def wrong(self, predicted: NDArray) -> float:
        """Share of the wanted change that a prediction (n,) of ``after`` has wrong, and what it changes beside it."""
        want = (self.before < 0) != (self.after < 0)
        wrong = (predicted < 0) != (self.after < 0)
        return float(wrong.sum() / max(int(want.sum()), 1))


@dataclass(frozen=True)
class RidgeExample:
    """What one example shows on a level with E centres."""

    rows: LevelRows
    kernels: BandedKernels  # of n voxels
    wanted: NDArray[np.float32]  # (n,), the change
    told: NDArray[np.bool_]  # (n,), the voxels that the ridge is told of
    normal: NDArray[np.float32]  # (2 E, 2 E), the upper triangle of the ridge's normal matrix

    @property
    def right(self) -> NDArray[np.float32]:
        """The right side (2 E,) of the ridge."""
        return self.kernels.right(self.wanted * self.told)

    def tell(self, told: NDArray[np.bool_]) -> RidgeExample:
        """The same with other voxels; the product of those that stay is kept."""
        normal = self.normal.copy(order="F")
        self.kernels.add_gram(normal, self.told & ~told, -1)
        self.kernels.add_gram(normal, told & ~self.told)
        return replace(self, told=told, normal=normal)


def _some(points: NDArray) -> NDArray:
    """At most MOST_CHANGED of the points, the same at every call."""
    return points[np.random.default_rng(0).permutation(len(points))[:MOST_CHANGED]]


def _learn_level(
    number: int, pairs: Sequence[FieldPair], placements: Sequence[Placement], support: NDArray, side: int
) -> tuple[LearnedLevel, list[LevelRows]]:
    """support (k, 3): changed places in the edit's frame."""
    radius = RADIUS * voxel_size(number)
    while True:
        spacing = SPACING * radius
        centres = np.unique(np.round(support / spacing).astype(np.int64), axis=0) * spacing
        if len(centres) <= MOST_CENTRES:
            break
        radius *= 1.1
    axis = int(np.argmax(np.ptp(centres, axis=0)))
    centres = centres[np.argsort(centres[:, axis], kind="stable")]
    tree = KDTree(centres)

    def shown(example: int) -> RidgeExample:
        pair, placement = pairs[example], placements[example]
        points, places, before, after = _rows(number, pair, placement, tree, radius, example)
        order = np.argsort(places[:, axis], kind="stable")
        points, places, before, after = points[order], places[order], before[order], after[order]
        # gain and bias of the edit's frame; the mean is in units of the truncation, so that both are penalised alike
        mean = (placement.scale / TRUNCATION * before).astype(np.float32)
        kernels = BandedKernels.of(places, centres, radius, mean, axis)
        wanted = one_sided((placement.scale * (after - before)).astype(np.float32), side)
        told, normal = np.ones(len(points), bool), np.zeros((kernels.columns,) * 2, np.float32, order="F")
        kernels.add_gram(normal, told)
        return RidgeExample(LevelRows(number, points, before, after, before), kernels, wanted, told, normal)

    def held(one: RidgeExample) -> RidgeExample:
        """An example without the voxels at which nothing is wanted, and what is predicted is cut off."""
        wanted = side * one.wanted
        return one.tell((wanted > UNMOVED) | (side * one.kernels.predicted(solution) > wanted))

    def predicted(one: RidgeExample, scale: float) -> LevelRows:
        """The voxels of an example with what the others predict."""
        # single precision is enough for how wrong an edit is
        others = solution if len(parts) == 1 else _ridge(normal - one.normal, right - one.right)
        change = one_sided(one.kernels.predicted(others), side)
        return replace(one.rows, predicted=one.rows.before + change / scale)

    scales = [placement.scale for placement in placements]
    with JobThreads() as pool:
        parts = list(pool.map(shown, range(len(pairs))))
        normal, right = _summed(parts)
        bias = _penalised(normal.astype(np.float64))[1::2, 1::2]
        for _ in range(HINGES if side else 0):
            solution = _ridge(normal, right)
            parts = list(pool.map(held, parts))
            normal, right = _summed(parts)
        solution = _ridge(normal.astype(np.float64), right.astype(np.float64))
        rows = list(pool.map(predicted, parts, scales))
    weights = solution.reshape(-1, 2) / (TRUNCATION, 1)
    delta = LevelDelta(centres.astype(np.float32), float(radius), weights.astype(np.float32))
    factor = cholesky(bias, check_finite=False).T.astype(np.float32)
    return LearnedLevel(delta, factor, _variance(rows, scales)), rows


def _variance(rows: Sequence[LevelRows], scales: Sequence[float]) -> float:
    """Mean square (voxels of the edit's frame) of what examples leave open of the new surface of another one."""
    off = []
    for row, scale in zip(rows, scales, strict=True):
        new = (np.abs(row.after) < NEW_SURFACE) & (np.abs(row.after - row.before) > NEW_SURFACE)
        off.append(scale * (row.after - row.predicted)[new])
    every = np.concatenate(off)
    found = float((every**2).mean()) if len(every) else 0.0
    # one example says nothing of how another one differs
    return max(found, ALONE**2) if len(rows) == 1 else found


def _summed(parts: Sequence[RidgeExample]) -> tuple[NDArray, NDArray]:
    """Both sides of the ridge for all examples."""
    normal, right = parts[0].normal.copy(order="F"), parts[0].right
    for part in parts[1:]:
        normal += part.normal
        right = right + part.right
    return normal, right


def _penalised(normal: NDArray) -> NDArray:
    """A normal matrix with the ridge's penalty."""
    return normal + PENALTY * np.trace(normal) / len(normal) * np.eye(len(normal), dtype=normal.dtype)


def _ridge(normal: NDArray, right: NDArray) -> NDArray:
    """The solution (2 E,) of the ridge; normal: of which the upper triangle counts."""
    return cho_solve(cho_factor(_penalised(normal), overwrite_a=True, check_finite=False), right, check_finite=False)


def _rows(
    number: int, pair: FieldPair, placement: Placement, tree: KDTree, radius: float, example: int
) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Voxels of an example near the centres: points (n, 3) in the cube of its fits, places (n, 3) in the edit's frame,
    distances (n,) before and after."""
    before, after = pair.before[number].reshape(-1), pair.after[number].reshape(-1)
    # where both are truncated nothing is shown
    telling = np.flatnonzero((np.abs(before) < TRUNCATION) | (np.abs(after) < TRUNCATION) | (before != after))
    points = voxel_centres(telling, len(pair.before[number]))
    known = pair.known(points)
    telling, points = telling[known], points[known]
    places = placement(points)
    near = np.flatnonzero(np.isfinite(tree.query(places, distance_upper_bound=REACH * radius, workers=-1)[0]))
    if len(near) > MOST_ROWS:
        near = np.sort(np.random.default_rng([number, example]).choice(near, MOST_ROWS, replace=False))
    chosen = telling[near]
    return points[near], places[near], before[chosen].astype(np.float64), after[chosen].astype(np.float64)


@dataclass(frozen=True)
class PlacedDelta:
    """A learned delta where it belongs on a scan: a `FieldEdit`."""

    delta: LearnedDelta
    placement: Placement

    def touches(self, centres: NDArray, reach: float) -> NDArray[np.bool_]:
        known = self.delta.reach
        if known is None:
            return np.zeros(len(centres), bool)
        tree, far = known
        limit = far + reach * self.placement.scale
        # few and all over the scan, for which the lattice would be made where nobody needs it
        way = self.placement.exact if len(centres) < MOST_EXACT else self.placement
        return np.isfinite(tree.query(way(centres), distance_upper_bound=limit, workers=-1)[0])

    def at(self, number: int, points: NDArray, means: NDArray, model: Model, cancel: CancelToken) -> NDArray:
        side, found = self.delta.side, np.zeros((len(points), 2), np.float32)
        level, places, near = self._near(number, points)
        if level is not None:
            found[near] = level.delta.at(places[near], model, cancel)
        # the finest delta serves finer levels too, whose voxels are smaller
        found[:, 1] *= 2.0 ** max(0, number - self._deepest) / self.placement.scale
        found[side * (found[:, 0] * means + found[:, 1]) < 0] = 0
        return found

    def deviation(self, number: int, points: NDArray) -> NDArray[np.float64]:
        found = np.zeros(len(points))
        level, places, near = self._near(number, points)
        if level is not None:
            voxel = voxel_size(min(number, self._deepest)) / self.placement.scale
            found[near] = voxel * level.deviation(places[near])
        return found

    @property
    def _deepest(self) -> int:
        return len(self.delta.levels) - 1

    def _near(self, number: int, points: NDArray) -> tuple[LearnedLevel | None, NDArray, NDArray[np.intp]]:
        """What was learned for a level, places (n, 3) of canonical points in the edit's frame, and which of them it
        reaches."""
        level = self.delta.levels[min(number, self._deepest)]
        places = self.placement(points)
        if level is None:
            return None, places, np.zeros(0, np.intp)
        distance, _ = level.tree.query(places, distance_upper_bound=REACH * level.delta.radius, workers=-1)
        return level, places, np.flatnonzero(np.isfinite(distance))
