"""Registration of two surfaces by a similarity, from any pose, with the other poses that fit as well."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from . import pose_search
from .similarity import Similarity, angle_between, best_similarity, best_sliding

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


class Matcher:
    """Finds the point of a surface that lies closest and faces the same way."""

    def __init__(self, surface: Surface, normal_reach: float) -> None:
        self.surface = surface
        self.normal_reach = normal_reach
        self._tree = KDTree(np.concatenate([surface.points, normal_reach * surface.normals], axis=1))

    def match(self, points: NDArray, normals: NDArray) -> tuple[NDArray, NDArray]:
        """Distance (n,), with the turn between normals counted in, and index (n,) of the match."""
        code = np.concatenate([points, self.normal_reach * normals], axis=1)
        distance, index = self._tree.query(code, workers=-1 if len(points) > ONE_THREAD else 1)
        return np.asarray(distance), np.asarray(index)


def register(source: Surface, target: Surface) -> Registration:
    """Similarity from ``source`` to ``target`` from any pose."""
    points, targets = FAMILY_POINTS
    matcher, few = Matcher(target.thinned(targets), NORMAL_REACH * target.size), source.thinned(points)
    usual = target.size / source.size
    # with steps that slide freely, members of a family either meet in a few rounds or drift apart; with held steps
    # they do neither
    refined = [
        icp(few, matcher, start, usual, step)[0]
        for start in _likely(source, target)
        for step in (_to_family, best_sliding)
    ]
    (best, residual), *others = _distinct((fit, misfit(source, target, fit)) for fit in refined)
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
    return pose_search.misfit((here.points / target.size, here.normals), (there.points / target.size, there.normals))


def _likely(source: Surface, target: Surface) -> list[Similarity]:
    """The best LIKELY poses of the search over all poses, best first."""
    source, target = source.thinned(SEARCH_POINTS), target.thinned(SEARCH_POINTS)
    here, there = source.standard, target.standard
    few, fewer = source.moved(here), target.moved(there)
    found = (
        (there.inverse().after(Similarity(turn, 1.0, shift)).after(here), error)
        for turn, shift, error in pose_search.search((few.points, few.normals), (fewer.points, fewer.normals))
    )
    return [pose for pose, _ in _distinct(found)[:LIKELY]]


def _distinct(fits: Iterable[tuple[Similarity, float]]) -> list[tuple[Similarity, float]]:
    """The fits, best first, without those in the same pose as a better one."""
    distinct: list[tuple[Similarity, float]] = []
    for fit in sorted(fits, key=lambda fit: fit[1]):
        if all(angle_between(fit[0].rotation, other.rotation) > SAME_POSE for other, _ in distinct):
            distinct.append(fit)
    return distinct


def icp(source: Surface, matcher: Matcher, start: Similarity, usual: float, towards: Step) -> tuple[Similarity, float]:
    """Trimmed ICP with scale from ``start``, and the mean distance of the matches that count.

    usual: the scale stays near it, see SCALE_ROOM; towards: makes the steps.
    """
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
    """A step all the way to the planes of the matches, and 0.3 of the way along them.

    Members of a family match nowhere exactly; with steps that slide and grow freely, one would drift off the other.
    """
    along = ((targets - points) * normals).sum(axis=1, keepdims=True) * normals
    return best_similarity(points, points + along + 0.3 * (targets - points - along), np.ones(len(points)))


def _rescaled(found: Similarity, usual: float, points: NDArray) -> Similarity:
    """The transform with its scale brought within SCALE_ROOM of the ``usual`` one, the centre of ``points`` kept."""
    scale = float(np.clip(found.scale, usual / SCALE_ROOM, usual * SCALE_ROOM))
    centre = found.rotation @ points.mean(axis=0)
    return Similarity(found.rotation, scale, found.shift + (found.scale - scale) * centre)
