"""Alignment of one scan of a family with another: the pose, and a smooth warp for the differences of proportion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .icp import NORMAL_REACH, Matcher, Surface, register
from .similarity import Similarity
from .warp import Warp, match_warp, mismatch

RADII, STIFFNESS = (0.5, 0.25, 0.12), 0.1
"""Radii of the layers (sizes) and stiffness of the smooth warp that follows the rigid registration."""
POINTS, FEW_POINTS, TARGETS = 1500, 500, 8000
"""Points that the final warp is fitted at, that the stiff warp of each pose is fitted at, and points of the
reference."""
RIVAL_MISFIT = 1.3
"""Poses whose misfit before the warp is below this many times the best one's get a warp."""
MISFIT_POINTS, MOST_MISFIT = 2000, 0.5
"""Points at which a misfit is measured, and the distance (sizes) of a point without a counterpart."""
BACK_ROUNDS = 8
"""Of the fixed point that inverts a warp; each takes away some two thirds of the error."""
REACH, LEAST_REACH = 4.0, 0.03
"""Matches beyond this many times the median distance lose weight, and none nearer than the second (sizes)."""


@dataclass(frozen=True)
class Alignment:
    """A pose of a scan on a reference, with a warp."""

    similarity: Similarity  # from the scan's canonical frame to the reference's
    warp: Warp  # of the reference's frame, after that
    misfit: float  # root mean square distance between the surfaces after a stiff warp, both ways (sizes)

    def bend(self, points: NDArray, normals: NDArray) -> Surface:
        """Where points (n, 3) of the scan with unit normals (n, 3) lie on the reference."""
        return Surface(*self.warp.bent(self.similarity.points(points), self.similarity.directions(normals)))

    def back(self, points: NDArray) -> NDArray[np.float64]:
        """Canonical points (n, 3) of the scan that lie at points (n, 3) of the reference."""
        before = points
        for _ in range(BACK_ROUNDS if self.warp.layers else 0):
            before = points - self.warp.displacement(before)
        return self.similarity.inverse().points(before)


def alignments(surface: Surface, reference: Surface, *, adapt: bool = True) -> list[Alignment]:
    """Poses of ``surface`` on ``reference``, best first, with a stiff warp (none without ``adapt``). It adapts
    proportions but cannot move a handle to where there is none, so its misfit ranks the poses."""
    found = register(surface, reference)
    likely = [pose for pose, residual in found.rivals if residual < RIVAL_MISFIT * found.residual]
    matcher = _matcher(reference)
    aligned = []
    for pose in (found.transform, *likely):
        moved = surface.moved(pose)
        warp = _warp(moved, matcher, RADII[:1], FEW_POINTS) if adapt else Warp()
        few = surface.thinned(TARGETS)
        bent = Alignment(pose, warp, 0.0).bend(few.points, few.normals)
        aligned.append(Alignment(pose, warp, _misfit(bent, matcher)))
    return sorted(aligned, key=lambda one: one.misfit)


def _misfit(bent: Surface, matcher: Matcher) -> float:
    """Root mean square distance to the other surface, both ways (sizes): a missing part weighs more than a small offset
    everywhere."""
    size = matcher.surface.size
    there = mismatch(bent.thinned(MISFIT_POINTS), matcher)
    back = mismatch(matcher.surface.thinned(MISFIT_POINTS), Matcher(bent, matcher.normal_reach))
    return float(np.sqrt((np.minimum(np.concatenate([there, back]) / size, MOST_MISFIT) ** 2).mean()))


def refined(alignment: Alignment, surface: Surface, reference: Surface) -> Alignment:
    """The alignment with a fine warp in place of the stiff one."""
    warp = _warp(surface.moved(alignment.similarity), _matcher(reference), RADII, POINTS)
    return Alignment(alignment.similarity, warp, alignment.misfit)


def _matcher(reference: Surface) -> Matcher:
    return Matcher(reference.thinned(TARGETS), NORMAL_REACH * reference.size)


def _warp(moved: Surface, matcher: Matcher, radii: Sequence[float], points: int) -> Warp:
    size = matcher.surface.size
    reach = max(REACH * float(np.median(mismatch(moved.thinned(points), matcher))), LEAST_REACH * size)
    return match_warp(
        moved, matcher, [radius * size for radius in radii], reach=reach, stiffness=STIFFNESS, points=points
    )
