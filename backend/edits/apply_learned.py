"""Bringing a learned edit to another scan: where it belongs there, and what it does."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from ..errors import ErrorCode, OmomiError, refuse
from ..registration.align import Alignment, alignments, refined
from ..registration.icp import Surface
from ..registration.similarity import Similarity
from ..registration.warp import Warp
from ..scan.prepare import PreparedScan
from .learned import FADE, LearnedMovement, learn
from .pair_difference import Change, surface_of

POINTS = 20_000
UNLIKE = 0.14
"""A scan whose registered surface stays farther than this (sizes) from the reference is of another kind."""
RIVAL = 1.2
"""Another pose counts as a rival when its misfit is at most this many times the best one's."""
RIVAL_CHANGE = 0.5
"""Rivals only matter when the edit would do something else under them, by this share of its size."""
SAME_PLACE = 0.1
"""Changes as far apart as this (sizes) may lie at one place of members of other proportions."""
PROBES, PROBE_REACH = 5000, 0.1
"""Points of the scan whose way to the reference is known beforehand, and how far (sizes) one speaks for others."""


@dataclass(frozen=True)
class AppliedEdit:
    """An edit on one scan: alignment from the scan to the edit's reference; probes: some of the scan's points."""

    edit: LearnedMovement
    alignment: Alignment
    probes: Surface

    def displacement(self, points: NDArray, normals: NDArray) -> NDArray[np.float64]:
        """Displacement (n, 3), canonical units of the scan, at strength 1; points (n, 3), unit normals (n, 3)."""
        found = np.zeros((len(points), 3))
        near, bent = self._bent(points, normals)
        found[near] = self._back.vectors(self.edit.displacement(bent.points, bent.normals))
        return found

    def evaluate(self, points: NDArray, normals: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The displacement, and its standard deviation (n,) per axis, canonical units of the scan."""
        found, spread = np.zeros((len(points), 3)), np.zeros(len(points))
        near, bent = self._bent(points, normals)
        moves, doubt = self.edit.predict(bent.points, bent.normals)
        found[near] = self._back.vectors(moves)
        spread[near] = doubt * (self.edit.size * self._back.scale)
        return found, spread

    @property
    def _back(self) -> Similarity:
        return self.alignment.similarity.inverse()

    def _bent(self, points: NDArray, normals: NDArray) -> tuple[NDArray[np.intp], Surface]:
        """Indices of the points that the edit may reach, and where these lie on the reference."""
        tree, idle, reach = self._reach
        distance, index = tree.query(points, workers=-1)
        near = np.flatnonzero(~(idle[index] & (distance < reach)))
        return near, self.alignment.bend(points[near], normals[near])

    @cached_property
    def _reach(self) -> tuple[KDTree, NDArray[np.bool_], float]:
        """Tree of the probes; which of them, with all around as far as the last figure, the edit leaves alone."""
        reach = PROBE_REACH * self.probes.size
        idle = np.ones(len(self.probes.points), bool)
        if not self.edit.changes_nothing:
            there = self.alignment.warp(self.alignment.similarity.points(self.probes.points))
            # the warp may stretch what lies between a probe and the points that it speaks for
            far = FADE[1] * self.edit.radius + 3 * reach * self.alignment.similarity.scale
            idle = KDTree(self.edit.codes[:, :3]).query(there, workers=-1)[0] > far
        return KDTree(self.probes.points), idle, reach


def learn_movement(changes: Sequence[Change]) -> tuple[LearnedMovement, list[Alignment]]:
    """The movement that examples show, and the pose of each on the first one. An example that lies on it in several
    poses takes the pose in which it shows the same change. Raises OmomiError(NOT_REGISTERED) for one that does not look
    like the first."""
    reference, first = changes[0].surface, Alignment(Similarity.identity(), Warp(), 0.0)
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(lambda change: alignments(change.surface, reference), changes[1:]))
    chosen = [first]
    for number, (change, poses) in enumerate(zip(changes[1:], found, strict=True), start=2):
        if poses[0].misfit > UNLIKE:
            refuse(f"example {number} does not look like the first example", ErrorCode.NOT_REGISTERED)
        likely = [pose for pose in poses if pose.misfit <= RIVAL * poses[0].misfit]
        if len(likely) > 1:
            shown = learn(changes[:1], [first.similarity])
            likely.sort(key=lambda pose: (_apart(change, pose, changes[0]), _contradiction(change, pose, shown)))
        chosen.append(likely[0])
    return learn(changes, [pose.similarity for pose in chosen]), chosen


def _apart(change: Change, pose: Alignment, first: Change) -> int:
    """How far apart the changes of an example in a pose and of the first one lie, in steps of SAME_PLACE."""
    here, there = pose.similarity.points(change.places), first.places
    if not len(here) or not len(there):
        return 0
    away = [KDTree(one).query(other, workers=-1)[0].mean() for one, other in ((here, there), (there, here))]
    return round(float(np.mean(away)) / (SAME_PLACE * first.surface.size))


def _contradiction(change: Change, pose: Alignment, shown: LearnedMovement) -> float:
    """How far a change in a pose is from the one that another example has shown."""
    bent = pose.bend(change.surface.points, change.surface.normals)
    moves = pose.similarity.vectors(change.displacement)
    return float(np.linalg.norm(shown.displacement(bent.points, bent.normals) - moves))


def apply_learned(edit: LearnedMovement, scan: PreparedScan, *, adapt: bool = True) -> AppliedEdit:
    """Find where ``edit`` belongs on ``scan``.

    Raises OmomiError: NOT_REGISTERED when the scan does not look like the examples; AMBIGUOUS_POSE when it fits them in
    several poses under which the edit would differ.
    """
    surface = surface_of(scan, POINTS)
    probes = surface.thinned(PROBES)
    found = alignments(surface, edit.reference, adapt=adapt)
    best, *others = (AppliedEdit(edit, one, probes) for one in found)
    if best.alignment.misfit > UNLIKE:
        raise OmomiError(ErrorCode.NOT_REGISTERED, f"{scan.name} does not look like the examples of this edit.")
    few = surface.thinned(2000)
    rivals = [one for one in others if one.alignment.misfit < RIVAL * best.alignment.misfit]
    here = best.displacement(few.points, few.normals) if rivals else np.zeros_like(few.points)
    for other in rivals:
        there = other.displacement(few.points, few.normals)
        if np.linalg.norm(there - here) > RIVAL_CHANGE * np.linalg.norm(here):
            sentence = f"{scan.name} fits the examples in more than one pose: turn it the way the first example stands."
            raise OmomiError(ErrorCode.AMBIGUOUS_POSE, sentence)
    return AppliedEdit(edit, refined(best.alignment, surface, edit.reference), probes) if adapt else best
