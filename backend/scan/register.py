"""Registration of two surfaces: rigid and scale, from any pose, refused where more than one pose fits."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from .similarity import Similarity, angle_between, best_similarity

STAGES = ((150, 8, 8), (500, 15, 4), (4000, 30, 4))
"""Points of the source, rounds, and poses that are kept, from the search over poses to the refinement."""
NORMAL_REACH = 0.15
"""A turn of one radian between two normals counts like this distance, in sizes of the target: the two walls of a
thin sheet face opposite ways and must not be matched."""
KEPT = 0.85
"""Share of the closest matches that are believed: an edit or a lost part must not pull."""
SCALE_ROOM = 1.1
"""The scale stays within this factor of the ratio of the sizes: matches to the nearest surface favour a source that
shrinks into a corner of its target, where everything is near."""
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

    def thinned(self, count: int) -> Surface:
        """About ``count`` of the points, the same ones at every call."""
        step = max(1, len(self.points) // count)
        chosen = np.random.default_rng(0).permutation(len(self.points))[::step] if step > 1 else slice(None)
        return Surface(self.points[chosen], self.normals[chosen])

    def moved(self, by: Similarity) -> Surface:
        return Surface(by.points(self.points), by.directions(self.normals))


@dataclass(frozen=True)
class Registration:
    """transform: source to target; residual: mean kept match distance in sizes of the target, normals counted in;
    rivals: other poses that fit nearly as well, best first, with their residuals."""

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
        distance, index = self._tree.query(np.concatenate([points, self.normal_reach * normals], axis=1), workers=-1)
        return np.asarray(distance), np.asarray(index)


def register(source: Surface, target: Surface, *, any_pose: bool = True) -> Registration:
    """Similarity from ``source`` to ``target``.

    any_pose: search all turns (from the 24 matches of principal axes); otherwise only near the pose as it is.
    """
    reach = NORMAL_REACH * target.size
    found = [first_guess(source, target, np.eye(3))]
    if any_pose:
        found += [first_guess(source, target, turn) for turn in axis_turns(source.points, target.points)]
    fits: list[tuple[Similarity, float]] = []
    for points, rounds, kept in STAGES if any_pose else STAGES[-1:]:
        matcher, few = Matcher(target.thinned(5 * points), reach), source.thinned(points)
        fits = sorted((icp(few, matcher, start, rounds) for start in found), key=lambda fit: fit[1])
        distinct: list[tuple[Similarity, float]] = []
        for fit in fits:
            if all(angle_between(fit[0].rotation, other.rotation) > SAME_POSE for other, _ in distinct):
                distinct.append(fit)
        fits = distinct
        found = [transform for transform, _ in fits[:kept]]
    (best, residual), *others = fits
    return Registration(best, residual / target.size, tuple((o, value / target.size) for o, value in others))


def first_guess(source: Surface, target: Surface, turn: NDArray) -> Similarity:
    """Centres and sizes matched under a rotation ``turn`` (3, 3)."""
    scale = target.size / source.size
    return Similarity(turn, scale, target.points.mean(axis=0) - scale * (turn @ source.points.mean(axis=0)))


def axis_turns(source: NDArray, target: NDArray) -> list[NDArray]:
    """The 24 rotations that take principal axes of (n, 3) to principal axes of (m, 3), in any order and sense."""
    source_axes, target_axes = (np.linalg.eigh(np.cov(points.T))[1] for points in (source, target))
    turns = []
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1.0, -1.0), repeat=3):
            turn = (target_axes[:, order] * signs) @ source_axes.T
            if np.linalg.det(turn) > 0:
                turns.append(turn)
    return turns


def icp(source: Surface, matcher: Matcher, start: Similarity, rounds: int) -> tuple[Similarity, float]:
    """Trimmed ICP with scale from ``start``; the transform and the mean distance of the kept matches."""
    found = start
    target = matcher.surface
    usual = target.size / source.size
    kept_distance = np.inf
    for _ in range(rounds):
        points, normals = found.points(source.points), found.directions(source.normals)
        distance, index = matcher.match(points, normals)
        limit = np.quantile(distance, KEPT)
        kept = distance <= limit
        kept_distance = float(distance[kept].mean())
        facing = target.normals[index[kept]]
        toward = target.points[index[kept]] - points[kept]
        # half way to the tangent plane: points may slide, which plain matching of points forbids
        along = (toward * facing).sum(axis=1, keepdims=True) * facing
        goal = points[kept] + along + 0.3 * (toward - along)
        step = best_similarity(points[kept], goal, np.ones(int(kept.sum())))
        found = _rescaled(step.after(found), usual, source.points)
        if np.abs(step.points(points) - points).max() < 1e-5 * target.size:
            break
    return found, kept_distance


def _rescaled(found: Similarity, usual: float, points: NDArray) -> Similarity:
    """The transform with its scale brought within SCALE_ROOM of the ``usual`` one, the centre of ``points`` kept."""
    scale = float(np.clip(found.scale, usual / SCALE_ROOM, usual * SCALE_ROOM))
    centre = found.rotation @ points.mean(axis=0)
    return Similarity(found.rotation, scale, found.shift + (found.scale - scale) * centre)
