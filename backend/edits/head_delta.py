"""Edits by example as deltas of the network's head: per level, the change between two fits as a gain and a bias.

A pair of before and after is fitted twice in one frame. At a place x of level l the pair shows mu_before(x) and
mu_after(x); wanted are gain and bias with

    mu_after = mu_before + gain mu_before + bias,    (gain, bias)(x) = g(x) k(x) W / (.05 + sum k(x)),

k Gaussians around centres on a lattice inside the support of the change, g a gate that ends 2.4 radii from them (see
`field.weight_delta`). That is linear in W: ridge regression in closed form, and the Gaussian posterior of the bias says
where the edit guesses. Unlike a displacement of the surface it opens holes, and puts parts on and takes them off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.ndimage import label, map_coordinates, maximum, uniform_filter
from scipy.spatial import KDTree

from ..field.bricks import BRICK, INSIDE, TRUNCATION, Level, voxel_size
from ..field.onnx_model import CancelToken, Model
from ..field.weight_delta import FLOOR, GATE, REACH, LevelDelta
from ..registration.align import Alignment
from ..registration.warp import kernel

RADIUS = 2.25
"""Standard deviation of a kernel, in voxels of the level: chosen on the trial's plates and mugs. Wider ones round rims
(3.5 voxels: .43 instead of .38 voxel off at the rim of a hole), narrower ones follow the noise."""
SPACING = 1.15
"""Distance of the centres on their lattice, in radii."""
MOST_CENTRES = 1200
"""Of a level; the radius grows until they suffice."""
PENALTY = 0.02
"""Of the ridge, in mean diagonals of its normal matrix."""
MOST_ROWS = 12_000
"""Voxels of each example that the ridge sees on a level; a third of them cost .007 in the trial."""
CERTAIN = 1.5
"""Distances are compared up to here (voxels): beyond, a field may be truncated in one fit and in the other not."""
LEAST_CHANGE, NOISE_FACTOR = 0.3, 5.0
"""Voxels, and robust standard deviations of the difference near the surface, that noise does not reach."""
LEAST_PEAK = 1.0
"""Voxels that a region of change must reach somewhere, or twice the above."""
AROUND = 5.5 / 27
"""Share of a voxel's neighbours, itself included, that must have changed too."""
MOST_CHANGED = 20_000
"""Changed voxels of one example that place the centres."""
NODES = 33
"""Nodes along the canonical cube on which the way into the edit's frame is computed; between them it is interpolated
linearly, which costs a tenth of a voxel of 128^3."""


def dense_mean(level: Level) -> NDArray[np.float32]:
    """The mean (n, n, n) of a level; bricks that are not stored hold the truncation with their side's sign."""
    count, margin = level.resolution // BRICK, level.bricks.margin
    inner = slice(margin, margin + count)
    side = np.where(level.bricks.index[inner, inner, inner] == INSIDE, -TRUNCATION, TRUNCATION).astype(np.float32)
    split = np.broadcast_to(side[:, None, :, None, :, None], (count, BRICK) * 3).copy()
    coords = level.grid.coords
    stored = ((coords >= 0) & (coords < count)).all(axis=1)
    x, y, z = coords[stored].T
    split[x, :, y, :, z] = level.grid.values[stored, 0]
    return split.reshape((level.resolution,) * 3)


@dataclass(frozen=True)
class FieldPair:
    """The fits of one example, level by level, in the canonical frame of the first."""

    before: tuple[NDArray[np.float32], ...]  # means (n, n, n)
    after: tuple[NDArray[np.float32], ...]

    def changed(self, number: int) -> NDArray[np.float64]:
        """Canonical centres (k, 3) of the voxels of a level that differ by more than noise does."""
        before, after = self.before[number], self.after[number]
        difference = np.abs(after.clip(-CERTAIN, CERTAIN) - before.clip(-CERTAIN, CERTAIN))
        band = (np.abs(before) < 2) & (np.abs(after) < 2)
        noise = 1.48 * float(np.median(difference[band])) if band.any() else 0.0
        least = max(LEAST_CHANGE, NOISE_FACTOR * noise)
        large = difference > least
        large &= uniform_filter(large.astype(np.float32), 3) > AROUND
        groups, count = label(large)  # type: ignore[misc]
        peak = np.asarray(maximum(difference, groups, np.arange(count + 1))) if count else np.zeros(1)
        kept = peak > max(LEAST_PEAK, 2 * least)
        kept[0] = False
        return _centres(np.flatnonzero(kept[groups]), len(before))


def _centres(voxels: NDArray, resolution: int) -> NDArray[np.float64]:
    """Canonical centres (k, 3) of voxels given by their flat indices (k,)."""
    return (np.stack(np.unravel_index(voxels, (resolution,) * 3), axis=1) + 0.5) * (2 / resolution) - 1


@dataclass(frozen=True)
class Placement:
    """The way from a scan into the frame of an edit: an alignment, and a shift there."""

    alignment: Alignment | None  # None for the scan that is the edit's reference
    shift: NDArray[np.float64]  # (3,), in the edit's frame, after the alignment

    @classmethod
    def reference(cls) -> Placement:
        return cls(None, np.zeros(3))

    @property
    def scale(self) -> float:
        """Lengths in the edit's frame, of one canonical unit of the scan."""
        return 1.0 if self.alignment is None else self.alignment.similarity.scale

    def exact(self, points: NDArray) -> NDArray[np.float64]:
        """Places (n, 3) in the edit's frame of canonical points (n, 3) of the scan."""
        if self.alignment is None:
            return points + self.shift
        return self.alignment.warp(self.alignment.similarity.points(points)) + self.shift

    def __call__(self, points: NDArray) -> NDArray[np.float64]:
        """The same, from a lattice; points (n, 3) in the canonical cube."""
        if self.alignment is None:
            return points + self.shift
        at = (np.asarray(points, np.float64).T + 1) * ((NODES - 1) / 2)
        moved = [map_coordinates(part, at, order=1, mode="nearest") for part in self._nodes]
        return points @ self._linear.T + np.stack(moved, axis=1)

    @property
    def _linear(self) -> NDArray[np.float64]:
        assert self.alignment is not None
        return self.alignment.similarity.scale * self.alignment.similarity.rotation

    @cached_property
    def _nodes(self) -> NDArray[np.float64]:
        """What is left of the way (3, n, n, n) without its linear part, on the nodes."""
        line = np.linspace(-1, 1, NODES)
        nodes = np.stack(np.meshgrid(line, line, line, indexing="ij"), axis=-1).reshape(-1, 3)
        return (self.exact(nodes) - nodes @ self._linear.T).T.reshape(3, NODES, NODES, NODES)


@dataclass(frozen=True)
class LearnedLevel:
    """What the examples show on one level."""

    delta: LevelDelta
    factor: NDArray[np.float64]  # (E, E), lower Cholesky factor of the bias's normal matrix
    noise: float  # variance (voxels^2) of one example's difference that the delta leaves

    def values(self, places: NDArray) -> NDArray[np.float64]:
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

    @cached_property
    def reach(self) -> tuple[KDTree, float] | None:
        """Tree of all centres, and how far (edit's frame) the widest of them acts; None where nothing changes."""
        known = [level.delta for level in self.levels if level is not None]
        if not known:
            return None
        return KDTree(np.concatenate([one.centres for one in known])), REACH * max(one.radius for one in known)


def gated_kernels(places: NDArray, centres: NDArray, radius: float) -> NDArray[np.float64]:
    """What the graph delta multiplies with its weights (n, E); see `training.atom.HeadDelta`."""
    height = kernel(np.asarray(places, np.float64), np.asarray(centres, np.float64), radius)
    low, high = GATE
    share = np.clip((height.max(axis=1, initial=0.0) - low) / (high - low), 0, 1)
    gate = share * share * (3 - 2 * share)
    return height * (gate / (height.sum(axis=1) + FLOOR))[:, None]


def learn_delta(pairs: Sequence[FieldPair], placements: Sequence[Placement]) -> LearnedDelta:
    """The delta that pairs show, each with the way into the edit's frame."""
    levels = []
    for number in range(len(pairs[0].before)):
        supports = [
            placement(_some(pair.changed(number))) for pair, placement in zip(pairs, placements, strict=True)
        ]
        levels.append(_learn_level(number, pairs, placements, np.concatenate(supports)))
    return LearnedDelta(tuple(levels))


def _some(points: NDArray) -> NDArray:
    """At most MOST_CHANGED of the points, the same at every call."""
    return points[np.random.default_rng(0).permutation(len(points))[:MOST_CHANGED]]


def _learn_level(
    number: int, pairs: Sequence[FieldPair], placements: Sequence[Placement], support: NDArray
) -> LearnedLevel | None:
    """support (k, 3): changed places in the edit's frame."""
    if not len(support):
        return None
    radius = RADIUS * voxel_size(number)
    while True:
        spacing = SPACING * radius
        centres = np.unique(np.round(support / spacing).astype(np.int64), axis=0) * spacing
        if len(centres) <= MOST_CENTRES:
            break
        radius *= 1.1
    tree, count = KDTree(centres), len(centres)
    rng = np.random.default_rng(number)
    normal, right, rows = np.zeros((2 * count, 2 * count)), np.zeros(2 * count), []
    for pair, placement in zip(pairs, placements, strict=True):
        places, before, after = _rows(number, pair, placement, tree, radius, rng)
        values = gated_kernels(places, centres, radius)
        both = np.concatenate([values * (before / TRUNCATION)[:, None], values], axis=1)
        normal += both.T @ both
        right += both.T @ (after - before)
        rows.append((both, after - before))
    normal[np.diag_indices_from(normal)] += PENALTY * np.trace(normal) / len(normal)
    solution = cho_solve(cho_factor(normal), right)
    left = np.concatenate([wanted - both @ solution for both, wanted in rows])
    weights = np.stack([solution[:count] / TRUNCATION, solution[count:]], axis=1)
    delta = LevelDelta(centres.astype(np.float32), float(radius), weights.astype(np.float32))
    factor = np.linalg.cholesky(normal[count:, count:])
    return LearnedLevel(delta, factor, float((left**2).mean()))


def _rows(
    number: int, pair: FieldPair, placement: Placement, tree: KDTree, radius: float, rng: np.random.Generator
) -> tuple[NDArray, NDArray, NDArray]:
    """Voxels of an example near the centres: places (n, 3) in the edit's frame, distances (n,) before and after, in
    voxels of the edit's frame."""
    before, after = pair.before[number].reshape(-1), pair.after[number].reshape(-1)
    # where both are truncated nothing is shown
    telling = np.flatnonzero((np.abs(before) < TRUNCATION) | (np.abs(after) < TRUNCATION) | (before != after))
    places = placement(_centres(telling, pair.before[number].shape[0]))
    near = np.flatnonzero(np.isfinite(tree.query(places, distance_upper_bound=REACH * radius, workers=-1)[0]))
    if len(near) > MOST_ROWS:
        near = rng.choice(near, MOST_ROWS, replace=False)
    chosen = telling[near]
    return places[near], placement.scale * before[chosen], placement.scale * after[chosen]


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
        return np.isfinite(tree.query(self.placement(centres), distance_upper_bound=limit, workers=-1)[0])

    def at(self, number: int, points: NDArray, model: Model, cancel: CancelToken) -> NDArray[np.float32]:
        found = np.zeros((len(points), 2), np.float32)
        deepest = len(self.delta.levels) - 1
        level = self.delta.levels[min(number, deepest)]
        if level is None:
            return found
        places = self.placement(points)
        far = REACH * level.delta.radius
        near = np.flatnonzero(np.isfinite(KDTree(level.delta.centres).query(places, distance_upper_bound=far)[0]))
        found[near] = level.delta.at(places[near], model, cancel)
        found[:, 1] *= 2.0 ** max(0, number - deepest) / self.placement.scale
        return found
