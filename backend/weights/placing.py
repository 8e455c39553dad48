"""Bringing a learned edit to another scan: registration to the family's frame, and what the edit does there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import ErrorCode, OmomiError
from ..scan.prepare import PreparedScan
from ..scan.register import NORMAL_REACH, Matcher, Surface, register
from ..scan.similarity import Similarity
from .examples import Change, surface_of
from .learned import LearnedEdit, learn
from .match import match_warp, mismatch
from .warp import Warp

POINTS = 20_000
UNLIKE = 0.2
"""A scan whose registered surface stays farther than this (sizes) from the reference is of another kind."""
RIVAL = 1.1
"""Another pose counts as a rival when its misfit is at most this many times the best one's."""
RIVAL_CHANGE = 0.5
"""Rivals only matter when the edit would do something else under them, by this share of its size."""
RADII, STIFFNESS = (0.5, 0.25, 0.12), 0.1
"""Of the smooth warp that follows the rigid registration, in sizes: it carries differences of proportion."""
REACH, LEAST_REACH = 4.0, 0.03
"""Matches this many times farther than the median one are doubted, and none nearer than that (sizes)."""
MOST_MISFIT = 0.2
"""A point without a counterpart counts like this distance (sizes)."""


@dataclass(frozen=True)
class PlacedEdit:
    """An edit on one scan. into_reference: from the scan's canonical frame; warp: of the reference's frame, after that;
    misfit: mean distance between the scan and the reference that is left, both ways (sizes)."""

    edit: LearnedEdit
    into_reference: Similarity
    warp: Warp
    misfit: float

    def displacement(self, points: NDArray, normals: NDArray) -> NDArray[np.float64]:
        """Displacement (n, 3), canonical units of the scan, at strength 1; points (n, 3), unit normals (n, 3)."""
        return self.into_reference.inverse().vectors(self.edit.displacement(*self._there(points, normals)))

    def spread(self, points: NDArray, normals: NDArray) -> NDArray[np.float64]:
        """Standard deviation (n,) of the displacement per axis, canonical units of the scan."""
        return self.edit.doubt(*self._there(points, normals)) * (self.edit.size / self.into_reference.scale)

    def _there(self, points: NDArray, normals: NDArray) -> tuple[NDArray, NDArray]:
        points, normals = self.into_reference.points(points), self.into_reference.directions(normals)
        return self.warp(points), self.warp.normals(points, normals)


def learn_edit(changes: Sequence[Change]) -> LearnedEdit:
    """Register the examples to the first one and learn. Raises OmomiError as `place` does."""
    into_first = [Similarity.identity()]
    reference = changes[0].surface
    for number, change in enumerate(changes[1:], start=2):
        found = register(change.surface, reference)
        if found.residual > UNLIKE:
            raise OmomiError(ErrorCode.NOT_REGISTERED, f"Example {number} does not look like the first example.")
        into_first.append(found.transform)
    return learn(changes, into_first)


def place(edit: LearnedEdit, scan: PreparedScan, *, adapt: bool = True) -> PlacedEdit:
    """Find where ``edit`` belongs on ``scan``.

    Raises OmomiError: NOT_REGISTERED when the scan does not look like the examples; AMBIGUOUS_POSE when it fits them in
    several poses under which the edit would differ.
    """
    surface, reference = surface_of(scan, POINTS), edit.reference
    found = register(surface, reference)
    if found.residual > UNLIKE:
        raise OmomiError(ErrorCode.NOT_REGISTERED, f"{scan.name} does not look like the examples of this edit.")
    poses = [found.transform, *(pose for pose, residual in found.rivals if residual < 2 * found.residual)]
    matcher = Matcher(reference.thinned(POINTS), NORMAL_REACH * reference.size)
    placed = sorted((_adapted(edit, surface, matcher, pose, adapt) for pose in poses), key=lambda one: one.misfit)
    best = placed[0]
    few = surface.thinned(2000)
    here = best.displacement(few.points, few.normals)
    for other in placed[1:]:
        if other.misfit > RIVAL * best.misfit:
            break
        there = other.displacement(few.points, few.normals)
        if np.linalg.norm(there - here) > RIVAL_CHANGE * np.linalg.norm(here):
            raise OmomiError(
                ErrorCode.AMBIGUOUS_POSE,
                f"{scan.name} fits the examples in more than one pose: turn it the way the first example stands.",
            )
    return best


def _adapted(edit: LearnedEdit, surface: Surface, matcher: Matcher, pose: Similarity, adapt: bool) -> PlacedEdit:
    """The edit under one pose, with the smooth warp that fits the scan's proportions to the reference's."""
    size = edit.reference.size
    moved = surface.moved(pose)
    warp = Warp()
    few = moved.thinned(4000)
    if adapt:
        reach = max(REACH * float(np.median(mismatch(few, matcher))), LEAST_REACH * size)
        warp = match_warp(moved, matcher, [r * size for r in RADII], reach=reach, stiffness=STIFFNESS, points=1500)
    warped = Surface(warp(few.points), warp.normals(few.points, few.normals))
    there = mismatch(warped, matcher)
    back = mismatch(edit.reference.thinned(4000), Matcher(warped, matcher.normal_reach))
    most = MOST_MISFIT * size
    misfit = float(np.minimum(there, most).mean() + np.minimum(back, most).mean()) / 2 / size
    return PlacedEdit(edit, pose, warp, misfit)
