"""One scan of a family brought onto another: the pose, and a smooth warp for the differences of proportion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .icp import NORMAL_REACH, Matcher, Surface, register
from .similarity import Similarity
from .warp import Warp, match_warp, mismatch

RADII, STIFFNESS = (0.5, 0.25, 0.12), 0.1
"""Of the smooth warp that follows the rigid registration, in sizes."""
POINTS, FEW_POINTS, TARGETS = 1500, 500, 8000
"""Points that the warp is fitted at, those that the poses are compared at, and points of the reference."""
RIVALS = 1.3
"""Poses whose misfit before the warp is at most this many times the best one's are looked at."""
COMPARED, MOST_MISFIT = 2000, 0.5
"""Points at which misfits are compared, and what one without a counterpart counts (sizes)."""
REACH, LEAST_REACH = 4.0, 0.03
"""Matches this many times farther than the median one are doubted, and none nearer than that (sizes)."""


@dataclass(frozen=True)
class Alignment:
    """similarity: from the scan's canonical frame to the reference's; warp: of the reference's frame, after that;
    misfit: root mean square distance that a stiff warp leaves between the surfaces, both ways (sizes)."""

    similarity: Similarity
    warp: Warp
    misfit: float

    def bend(self, points: NDArray, normals: NDArray) -> Surface:
        """Where points (n, 3) of the scan with unit normals (n, 3) lie on the reference."""
        return Surface(*self.warp.bent(self.similarity.points(points), self.similarity.directions(normals)))


def alignments(surface: Surface, reference: Surface, *, adapt: bool = True) -> list[Alignment]:
    """How ``surface`` may lie on ``reference``, best first, under a stiff warp (none without ``adapt``).

    The stiff warp carries proportions, but not a handle to where there is none: what it leaves tells the poses apart.
    """
    found = register(surface, reference)
    likely = [pose for pose, residual in found.rivals if residual < RIVALS * found.residual]
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
    """Root mean square distance to the other surface, both ways: what one of them lacks weighs more than what is a
    little off everywhere."""
    size = matcher.surface.size
    there = mismatch(bent.thinned(COMPARED), matcher)
    back = mismatch(matcher.surface.thinned(COMPARED), Matcher(bent, matcher.normal_reach))
    return float(np.sqrt((np.minimum(np.concatenate([there, back]) / size, MOST_MISFIT) ** 2).mean()))


def refined(alignment: Alignment, surface: Surface, reference: Surface) -> Alignment:
    """The alignment with a warp that is as fine as the surfaces tell."""
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
