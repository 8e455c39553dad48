"""Registration of two surfaces by a similarity, from any pose, with the other poses that fit as well."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation

from .similarity import Similarity, angle_between, best_similarity, best_sliding

SPREAD_TURNS = 96
"""Rotations spread evenly, besides those of the principal axes, which are uncertain where a shape is nearly round."""
SEARCH_STAGES = ((80, 3, 40), (200, 4, 8), (500, 5, 8))
"""For each stage: points of either side, rounds, and poses that are kept."""
SEARCH_NORMAL_REACH = 0.3
"""A turn of one radian between two normals counts like this distance, in sizes."""
FARTHEST_MATCH = 0.7
"""Largest distance (sizes) that counts, so that a missing part counts, but not without limit."""
HALF_WEIGHT_DISTANCE = 0.3
"""Matches at this distance (sizes) have half the weight."""
SEARCH_POINTS, MISFIT_POINTS = 500, 800
"""Points of either surface in the search over poses, and in the misfit of a pose."""
LIKELY = 4
"""Poses of the search that are refined."""
FAMILY_POINTS, PAIR_POINTS = (1500, 6000), (3000, 20_000)
"""Points of the source and of the target in ICP: for two members of a family, and for two states of one object."""
ROUNDS, LAST_STEP = 20, 1e-5
"""Most rounds, and the step (sizes of the target) that ends them."""
NORMAL_REACH = 0.15
"""A turn of one radian between two normals counts like this distance, in sizes of the target: the two walls of a
thin sheet face opposite ways and must not be matched."""
KEPT_SHARE = 0.85
"""Share of the closest matches that count: an edit or a missing part must not move the rest."""
SCALE_ROOM = 1.1
"""The scale stays within this factor of the ratio of the sizes. Nearest-point matches favour a small source in a corner
of its target, where everything is near."""
ONE_THREAD = 4000
"""Up to so many queries of the tree are faster on one thread than the threads are started."""
CURVE_BITS, LEAF = 5, 32
"""Cells along a side, as a power of two, that a curve through points passes one by one; points in a leaf of a tree."""
SAME_POSE = np.radians(20)
"""Poses whose rotations differ by less are one pose."""
Step = Callable[[NDArray, NDArray, NDArray], Similarity]
"""From points (n, 3), their matches (n, 3) and the unit normals (n, 3) there to the next step."""


@dataclass(frozen=True)
class Surface:
    """points (n, 3) float64 with unit outward normals (n, 3), evenly spread over a surface."""

    points: NDArray[np.float64]
    normals: NDArray[np.float64]

    @cached_property
    def size(self) -> float:
        """Root mean square distance from the centre."""
        return float(np.sqrt(((self.points - self.points.mean(axis=0)) ** 2).sum(axis=1).mean()))

    @property
    def standard(self) -> Similarity:
        """The similarity that puts the centre at the origin and makes the size one."""
        return Similarity(np.eye(3), 1 / self.size, -self.points.mean(axis=0) / self.size)

    def thinned(self, count: int) -> Surface:
        """About ``count`` of the points, the same ones at every call."""
        step = max(1, len(self.points) // count)
        chosen = np.random.default_rng(0).permutation(len(self.points))[::step] if step > 1 else slice(None)
        return Surface(self.points[chosen], self.normals[chosen])

    def moved(self, by: Similarity) -> Surface:
        return Surface(by.points(self.points), by.directions(self.normals))


@dataclass(frozen=True)
class Registration:
    """The best pose of a source on a target, and the others."""

    transform: Similarity  # source to target
    residual: float  # its `misfit`
    rivals: tuple[tuple[Similarity, float], ...]  # other poses, best first, with their misfits


def oriented_points(points: NDArray, normals: NDArray, reach: float) -> NDArray[np.float64]:
    """Points (n, 6) for nearest neighbours: positions, then normals times ``reach``, the distance that a turn of one
    radian counts like. The two walls of a thin sheet are far apart in them."""
    return np.concatenate([points, reach * normals], axis=1)


def along_curve(points: NDArray) -> NDArray[np.intp]:
    """Order (n,) of points (n, 3) along Morton's curve, on which neighbours in space follow one another: a tree of
    points that lie so in memory, asked in such an order, answers three times as fast."""
    if not len(points):
        return np.zeros(0, np.intp)
    low = points.min(axis=0)
    side = max(float((points.max(axis=0) - low).max()), 1e-30)
    cells = ((points - low) * (((1 << CURVE_BITS) - 1) / side)).astype(np.uint16)
    place = np.zeros(len(points), np.uint16)  # short numbers are sorted by radix
    for bit in range(CURVE_BITS):
        for axis in range(3):
            place |= (cells[:, axis] >> bit & 1) << (3 * bit + axis)
    return np.argsort(place, kind="stable")


class Matcher:
    """Finds the point of a surface that lies closest and faces the same way."""

    def __init__(self, surface: Surface, normal_reach: float) -> None:
        self.surface = surface
        self.normal_reach = normal_reach
        self._order = along_curve(surface.points)
        self._tree = KDTree(oriented_points(surface.points, surface.normals, normal_reach)[self._order], LEAF)

    def match(self, points: NDArray, normals: NDArray) -> tuple[NDArray, NDArray]:
        """Distance (n,), with the turn between normals counted in, and index (n,) of the match."""
        order = along_curve(points)
        code = oriented_points(points, normals, self.normal_reach)[order]
        found = self._tree.query(code, workers=-1 if len(points) > ONE_THREAD else 1)
        distance, index = np.empty(len(points)), np.empty(len(points), np.intp)
        distance[order], index[order] = found[0], self._order[found[1]]
        return distance, index


def register(source: Surface, target: Surface) -> Registration:
    """Similarity from ``source`` to ``target`` from any pose."""
    points, targets = FAMILY_POINTS
    matcher, few = Matcher(target.thinned(targets), NORMAL_REACH * target.size), source.thinned(points)
    usual = target.size / source.size
    likely = search_poses(source.thinned(SEARCH_POINTS), target.thinned(SEARCH_POINTS))
    # with steps that slide freely, members of a family either meet in a few rounds or drift apart; with held steps
    # they do neither
    refined = [
        icp(few, matcher, start, usual, step)[0]
        for start, _ in distinct_poses(likely)[:LIKELY]
        for step in (_to_family, best_sliding)
    ]
    (best, residual), *others = distinct_poses((fit, misfit(source, target, fit)) for fit in refined)
    return Registration(best, residual, tuple(others))


def register_nearby(source: Surface, target: Surface) -> Similarity:
    """Similarity from ``source`` to ``target``: one object in nearly the same pose, of which a part may have
    changed."""
    points, targets = PAIR_POINTS
    matcher, few = Matcher(target.thinned(targets), NORMAL_REACH * target.size), source.thinned(points)
    starts = Similarity.identity(), target.standard.inverse().after(source.standard)
    fits = [icp(few, matcher, start, 1.0, best_sliding) for start in starts]
    return min(fits, key=lambda fit: fit[1])[0]


def misfit(source: Surface, target: Surface, transform: Similarity) -> float:
    """Root mean square distance between the surfaces, both ways, normals counted in, in sizes of the target."""
    here, there = source.thinned(MISFIT_POINTS).moved(transform), target.thinned(MISFIT_POINTS)
    one, other = (Surface(side.points / target.size, side.normals) for side in (here, there))
    return float(_match_poses(one, other, np.eye(3, dtype=np.float32)[None], np.zeros((1, 3), np.float32), 0)[2][0])


def distinct_poses(fits: Iterable[tuple[Similarity, float]]) -> list[tuple[Similarity, float]]:
    """The fits, best first, without those in the same pose as a better one."""
    distinct: list[tuple[Similarity, float]] = []
    for fit in sorted(fits, key=lambda fit: fit[1]):
        if all(angle_between(fit[0].rotation, other.rotation) > SAME_POSE for other, _ in distinct):
            distinct.append(fit)
    return distinct


def icp(source: Surface, matcher: Matcher, start: Similarity, usual: float, towards: Step) -> tuple[Similarity, float]:
    """Trimmed ICP with scale from ``start``, and the mean distance of the matches that count. usual: the scale stays
    near it, see SCALE_ROOM; towards: makes the steps."""
    found, target, error = start, matcher.surface, np.inf
    for _ in range(ROUNDS):
        points, normals = found.points(source.points), found.directions(source.normals)
        distance, index = matcher.match(points, normals)
        kept = distance <= np.quantile(distance, KEPT_SHARE)
        error = float(distance[kept].mean())
        step = towards(points[kept], target.points[index[kept]], target.normals[index[kept]])
        found = _rescaled(step.after(found), usual, source.points)
        if np.abs(step.points(points) - points).max() < LAST_STEP * target.size:
            break
    return found, error


def _to_family(points: NDArray, targets: NDArray, normals: NDArray) -> Similarity:
    """A step all the way to the planes of the matches, and 0.3 of the way along them: members of a family match nowhere
    exactly, and with steps that slide and grow freely one would drift off the other."""
    along = ((targets - points) * normals).sum(axis=1, keepdims=True) * normals
    return best_similarity(points, points + along + 0.3 * (targets - points - along), np.ones(len(points)))


def _rescaled(found: Similarity, usual: float, points: NDArray) -> Similarity:
    """The transform with its scale brought within SCALE_ROOM of the ``usual`` one, the centre of ``points`` kept."""
    scale = float(np.clip(found.scale, usual / SCALE_ROOM, usual * SCALE_ROOM))
    centre = found.rotation @ points.mean(axis=0)
    return Similarity(found.rotation, scale, found.shift + (found.scale - scale) * centre)


def search_poses(source: Surface, target: Surface, growth: float = 1.0) -> list[tuple[Similarity, float]]:
    """Poses of ``source`` on ``target`` that may fit, best first, with their root mean square misfits, both ways.

    Each side is matched to the other, so that a part that one of them lacks counts: only such parts distinguish the
    poses of a nearly round shape. growth: size of the source over that of the target; a part is smaller than the whole.
    """
    here, there = source.standard, target.standard
    here = Similarity(here.rotation, here.scale * growth, here.shift * growth)
    source, target = source.moved(here), target.moved(there)
    turns = np.concatenate([spread_turns(SPREAD_TURNS), axis_turns(source.points, target.points)]).astype(np.float32)
    shifts, misfit = np.zeros((len(turns), 3), np.float32), np.zeros(len(turns))
    for points, rounds, kept in SEARCH_STAGES:
        few, fewer = (Surface(side.points[:points], side.normals[:points]) for side in (source, target))
        turns, shifts, misfit = _match_poses(few, fewer, turns, shifts, rounds)
        best = np.argsort(misfit)[:kept]
        turns, shifts, misfit = turns[best], shifts[best], misfit[best]
    back = there.inverse()
    return [
        (back.after(Similarity(turn, 1.0, shift)).after(here), error / growth)
        for turn, shift, error in zip(turns.astype(float), shifts.astype(float), misfit.tolist(), strict=True)
    ]


def spread_turns(count: int) -> NDArray[np.float64]:
    """Rotations (count, 3, 3) spread evenly: a spiral over the unit quaternions (Alexa 2022)."""
    share = (np.arange(count) + 0.5) / count
    first, second = (2 * np.pi * (np.arange(count) + 0.5) / step for step in (np.sqrt(2), 1.533751168755204288118041))
    inner, outer = np.sqrt(share), np.sqrt(1 - share)
    quaternions = [inner * np.sin(first), inner * np.cos(first), outer * np.sin(second), outer * np.cos(second)]
    return Rotation.from_quat(np.stack(quaternions, axis=1)).as_matrix()


def axis_turns(source: NDArray, target: NDArray) -> NDArray[np.float64]:
    """The 24 rotations (24, 3, 3) that take principal axes of (n, 3) to those of (m, 3), in any order and sense."""
    source_axes, target_axes = (np.linalg.eigh(np.cov(points.T))[1] for points in (source, target))
    turns = []
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1.0, -1.0), repeat=3):
            turn = (target_axes[:, order] * signs) @ source_axes.T
            if np.linalg.det(turn) > 0:
                turns.append(turn)
    return np.stack(turns)


def _match_poses(
    source: Surface, target: Surface, turns: NDArray, shifts: NDArray, rounds: int
) -> tuple[NDArray, NDArray, NDArray]:
    """Rotations (s, 3, 3) and shifts (s, 3) after ``rounds`` of matching both ways, and their misfits (s,)."""
    points, normals = source.points.astype(np.float32), source.normals.astype(np.float32)
    targets, facing = target.points.astype(np.float32), target.normals.astype(np.float32)
    place = oriented_points(targets, facing, SEARCH_NORMAL_REACH)
    own = (place**2).sum(axis=1)
    while True:
        moved = points @ turns.transpose(0, 2, 1) + shifts[:, None]
        code = np.concatenate([moved, SEARCH_NORMAL_REACH * (normals @ turns.transpose(0, 2, 1))], axis=2)
        # squared distances (s, n, m)
        square = code @ (-2 * place.T)
        square += (code**2).sum(axis=2)[:, :, None]
        square += own
        there, back = square.argmin(axis=2), square.argmin(axis=1)
        found = np.concatenate([_picked(square, there, 2), _picked(square, back, 1)], axis=1)
        if rounds == 0:
            return turns, shifts, np.sqrt(np.minimum(found, FARTHEST_MATCH**2).mean(axis=1))
        rounds -= 1
        weight = 1 / (1 + found / HALF_WEIGHT_DISTANCE**2)
        weight /= weight.sum(axis=1, keepdims=True)
        from_points = np.concatenate([np.broadcast_to(points, (len(turns), *points.shape)), points[back]], axis=1)
        to_points = np.concatenate([targets[there], np.broadcast_to(targets, (len(turns), *targets.shape))], axis=1)
        turns, shifts = _best_rigid(from_points, to_points, weight[:, :, None])


def _picked(square: NDArray, index: NDArray, axis: int) -> NDArray:
    return np.maximum(np.take_along_axis(square, np.expand_dims(index, axis), axis), 0).squeeze(axis)


def _best_rigid(source: NDArray, target: NDArray, weight: NDArray) -> tuple[NDArray, NDArray]:
    """Rotations (s, 3, 3) and shifts (s, 3) from source (s, n, 3) to target; weight (s, n, 1) sums to one."""
    source_mean, target_mean = ((weight * side).sum(axis=1, keepdims=True) for side in (source, target))
    left, _, right = np.linalg.svd((weight * (target - target_mean)).transpose(0, 2, 1) @ (source - source_mean))
    left[:, :, 2] *= np.sign(np.linalg.det(left @ right))[:, None]
    turns = left @ right
    return turns, (target_mean - source_mean @ turns.transpose(0, 2, 1))[:, 0]
