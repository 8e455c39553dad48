"""Bringing a learned edit to another scan: where it belongs there, and what it does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from ..errors import ErrorCode, OmomiError
from ..scan.prepare import PreparedScan
from ..scan.register import Surface
from ..scan.similarity import Similarity
from .align import Alignment, alignments, refined
from .examples import Change, surface_of
from .learned import FADE, LearnedEdit, learn

POINTS = 20_000
UNLIKE = 0.14
"""A scan whose registered surface stays farther than this (sizes) from the reference is of another kind."""
RIVAL = 1.2
"""Another pose counts as a rival when its misfit is at most this many times the best one's."""
RIVAL_CHANGE = 0.5
"""Rivals only matter when the edit would do something else under them, by this share of its size."""
PROBES, PROBE_REACH = 5000, 0.1
"""Points of the scan whose way to the reference is known beforehand, and how far (sizes) one speaks for others."""


@dataclass(frozen=True)
class PlacedEdit:
    """An edit on one scan: alignment from the scan to the edit's reference; probes: some of the scan's points."""

    edit: LearnedEdit
    alignment: Alignment
    probes: Surface

    def displacement(self, points: NDArray, normals: NDArray) -> NDArray[np.float64]:
        """Displacement (n, 3), canonical units of the scan, at strength 1; points (n, 3), unit normals (n, 3)."""
        found = np.zeros((len(points), 3))
        near, bent = self._bent(points, normals)
        moves = self.edit.displacement(bent.points, bent.normals)
        found[near] = self.alignment.similarity.inverse().vectors(moves)
        return found

    def spread(self, points: NDArray, normals: NDArray) -> NDArray[np.float64]:
        """Standard deviation (n,) of the displacement per axis, canonical units of the scan."""
        found = np.zeros(len(points))
        near, bent = self._bent(points, normals)
        doubt = self.edit.doubt(bent.points, bent.normals)
        found[near] = doubt * (self.edit.size / self.alignment.similarity.scale)
        return found

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


def learn_edit(changes: Sequence[Change]) -> LearnedEdit:
    """Bring the examples onto the first one and learn. Raises OmomiError as `place` does."""
    into_first = [Similarity.identity()]
    reference = changes[0].surface
    for number, change in enumerate(changes[1:], start=2):
        best = alignments(change.surface, reference)[0]
        if best.misfit > UNLIKE:
            raise OmomiError(ErrorCode.NOT_REGISTERED, f"Example {number} does not look like the first example.")
        into_first.append(best.similarity)
    return learn(changes, into_first)


def place(edit: LearnedEdit, scan: PreparedScan, *, adapt: bool = True) -> PlacedEdit:
    """Find where ``edit`` belongs on ``scan``.

    Raises OmomiError: NOT_REGISTERED when the scan does not look like the examples; AMBIGUOUS_POSE when it fits them in
    several poses under which the edit would differ.
    """
    surface = surface_of(scan, POINTS)
    probes = surface.thinned(PROBES)
    found = alignments(surface, edit.reference, adapt=adapt)
    best, *others = (PlacedEdit(edit, one, probes) for one in found)
    if best.alignment.misfit > UNLIKE:
        raise OmomiError(ErrorCode.NOT_REGISTERED, f"{scan.name} does not look like the examples of this edit.")
    few = surface.thinned(2000)
    rivals = [one for one in others if one.alignment.misfit < RIVAL * best.alignment.misfit]
    here = best.displacement(few.points, few.normals) if rivals else np.zeros_like(few.points)
    for other in rivals:
        there = other.displacement(few.points, few.normals)
        if np.linalg.norm(there - here) > RIVAL_CHANGE * np.linalg.norm(here):
            raise OmomiError(
                ErrorCode.AMBIGUOUS_POSE,
                f"{scan.name} fits the examples in more than one pose: turn it the way the first example stands.",
            )
    return PlacedEdit(edit, refined(best.alignment, surface, edit.reference), probes) if adapt else best
