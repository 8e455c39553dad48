"""Registration of two surfaces: rigid and scale, from any pose, refused where more than one pose fits."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from . import pose_search
from .similarity import Similarity, angle_between, best_similarity, best_sliding

SEARCHED, COMPARED = 500, 800
"""Points of either surface in the search, and where two poses are compared."""
LIKELY = 4
"""Poses of the search that are refined."""
SIZES, PAIR_SIZES = (1500, 6000), (3000, 20_000)
"""Points of the source and of the target in the refinement: of another object, and of the same one."""
ROUNDS, SETTLED = 20, 1e-5
"""Most rounds, and the step (sizes of the target) that ends them."""
NORMAL_REACH = 0.15
"""A turn of one radian between two normals counts like this distance, in sizes of the target: the two walls of a
thin sheet face opposite ways and must not be matched."""
KEPT = 0.85
"""Share of the closest matches that are believed: an edit or a lost part must not pull."""
SCALE_ROOM = 1.1
"""The scale stays within this factor of the ratio of the sizes: matches to the nearest surface favour a source that
shrinks into a corner of its target, where everything is near."""
FEW = 4000
"""So many points are looked up sooner than threads are started for them."""
Step = Callable[[NDArray, NDArray, NDArray], Similarity]
SAME_POSE = np.radians(20)


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
        """Puts the centre at the origin and makes the size one."""
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
    """transform: source to target; residual: its `misfit`; rivals: other poses that fit, best first, with theirs."""

    transform: Similarity
    residual: float
    rivals: tuple[tuple[Similarity, float], ...]


class Matcher:
    """Finds the point of a surface that lies closest and faces the same way."""

    def __init__(self, surface: Surface, normal_reach: float) -> None:
        self.surface = surface
        self.normal_reach = normal_reach
        self._tree = KDTree(np.concatenate([surface.points, normal_reach * surface.normals], axis=1))

    def match(self, points: NDArray, normals: NDArray) -> tuple[NDArray, NDArray]:
        """Distance (n,), with the turn between normals counted in, and index (n,) of the match."""
        code = np.concatenate([points, self.normal_reach * normals], axis=1)
        distance, index = self._tree.query(code, workers=-1 if len(points) > FEW else 1)
        return np.asarray(distance), np.asarray(index)


def register(source: Surface, target: Surface) -> Registration:
    """Similarity from ``source`` to ``target`` from any pose."""
    points, targets = SIZES
    matcher, few = Matcher(target.thinned(targets), NORMAL_REACH * target.size), source.thinned(points)
    usual = target.size / source.size
    # free to slide, members of a family find each other in a few rounds, or run away from each other; held, they do
    # neither
    refined = [
        icp(few, matcher, start, usual, step)[0]
        for start in _likely(source, target)
        for step in (_to_family, best_sliding)
    ]
    (best, residual), *others = _distinct((fit, misfit(source, target, fit)) for fit in refined)
    return Registration(best, residual, tuple(others))


def register_nearby(source: Surface, target: Surface) -> Similarity:
    """Similarity from ``source`` to ``target``, which are one object in nearly one pose, but for a part of them."""
    points, targets = PAIR_SIZES
    matcher, few = Matcher(target.thinned(targets), NORMAL_REACH * target.size), source.thinned(points)
    starts = Similarity.identity(), target.standard.inverse().after(source.standard)
    fits = [icp(few, matcher, start, 1.0, best_sliding) for start in starts]
    return min(fits, key=lambda fit: fit[1])[0]


def misfit(source: Surface, target: Surface, transform: Similarity) -> float:
    """Root mean square distance between the surfaces, both ways, normals counted in, in sizes of the target."""
    here, there = source.thinned(COMPARED).moved(transform), target.thinned(COMPARED)
    return pose_search.misfit((here.points / target.size, here.normals), (there.points / target.size, there.normals))


def _likely(source: Surface, target: Surface) -> list[Similarity]:
    """What the search over all poses finds, best first."""
    source, target = source.thinned(SEARCHED), target.thinned(SEARCHED)
    here, there = source.standard, target.standard
    few, fewer = source.moved(here), target.moved(there)
    found = (
        (there.inverse().after(Similarity(turn, 1.0, shift)).after(here), error)
        for turn, shift, error in pose_search.search((few.points, few.normals), (fewer.points, fewer.normals))
    )
    return [pose for pose, _ in _distinct(found)[:LIKELY]]


def _distinct(fits: Iterable[tuple[Similarity, float]]) -> list[tuple[Similarity, float]]:
    """Best first, without the ones that a better one nearly equals."""
    distinct: list[tuple[Similarity, float]] = []
    for fit in sorted(fits, key=lambda fit: fit[1]):
        if all(angle_between(fit[0].rotation, other.rotation) > SAME_POSE for other, _ in distinct):
            distinct.append(fit)
    return distinct


def icp(source: Surface, matcher: Matcher, start: Similarity, usual: float, towards: Step) -> tuple[Similarity, float]:
    """Trimmed ICP with scale from ``start``, the scale near the ``usual`` one, and the mean distance of what is kept.

    towards: the step from points (n, 3) towards matches (n, 3) with unit normals (n, 3).
    """
    found, target, error = start, matcher.surface, np.inf
    for _ in range(ROUNDS):
        points, normals = found.points(source.points), found.directions(source.normals)
        distance, index = matcher.match(points, normals)
        kept = distance <= np.quantile(distance, KEPT)
        error = float(distance[kept].mean())
        step = towards(points[kept], target.points[index[kept]], target.normals[index[kept]])
        found = _rescaled(step.after(found), usual, source.points)
        if np.abs(step.points(points) - points).max() < SETTLED * target.size:
            break
    return found, error


def _to_family(points: NDArray, targets: NDArray, normals: NDArray) -> Similarity:
    """Half way to the planes of the matches, less along them: members of a family match nowhere exactly, and free to
    slide and grow, one would run away on the other."""
    along = ((targets - points) * normals).sum(axis=1, keepdims=True) * normals
    return best_similarity(points, points + along + 0.3 * (targets - points - along), np.ones(len(points)))


def _rescaled(found: Similarity, usual: float, points: NDArray) -> Similarity:
    """The transform with its scale brought within SCALE_ROOM of the ``usual`` one, the centre of ``points`` kept."""
    scale = float(np.clip(found.scale, usual / SCALE_ROOM, usual * SCALE_ROOM))
    centre = found.rotation @ points.mean(axis=0)
    return Similarity(found.rotation, scale, found.shift + (found.scale - scale) * centre)
