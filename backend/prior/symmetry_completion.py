"""Completion: a fit whose unseen surface is suggested by the scan's own mirror symmetry.

What the mirrored scan shows where nothing was measured becomes a guess: moved onto the measured surface at the seam,
as most things are only nearly symmetric, left out where the scan or the field speaks against it, and no surer than the
mirrored and the measured surface agree near by.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.spatial import KDTree

from ..field.bricks import Level
from ..field.completion_prior import LEAST_APART, CompletionPrior
from ..field.fit import Fit, FittedMesh, fit, ignore
from ..field.onnx_model import CancelToken, Model
from ..formats.raw_scan import RawScan
from ..protocol.fit_options import FitOptions
from ..scan.prepare import PreparedScan
from .symmetry import FACING, NEAR, Mirror, SymmetryScorer, mirrors, thinned

POINTS = 6_000
"""Scan points that are mirrored."""
FEWEST = 20
"""Fewer suggested points than this are no surface."""
LEAST_WORTH, LATER_WORTH, MOST_PLANES = 0.1, 0.2, 3
"""What the first plane and the others have to be worth, and how many there may be."""
ALIKE = 0.8
"""Planes whose normals have a larger cosine are one plane seen twice, or one of them is wrong."""
SEAM_NEIGHBOURS, SEAM_WIDTH, SEAM_REACH = 8, 0.05, 0.15
"""Meeting points that tell how far the mirrored surface is off at a seam; how sharply the nearest of them count, and
how far the correction reaches, canonical."""
GROWTH = 0.1
"""Sigma grows by this much per length beyond the seam."""
SURER = 1.0
"""A guess is left out where its sigma is larger than this many times that of the field."""
JUDGES, JUDGED_WIDTH, DOUBT = 10, 0.1, 0.4
"""Mirrored points near by that met or contradicted the scan, how far they count (canonical), and the share of those
that contradict above which a mirrored point is left out."""
MOST_AGAINST = 0.2
"""A plane with more contradicting points than this share of those that meet is refused."""
BESIDE = 0.8
"""A point that goes on where the measured surface ends is off its plane by less than this share of the distance."""


def fit_with_symmetry(
    scan: RawScan | PreparedScan,
    model: Model,
    options: FitOptions | None = None,
    *,
    on_frame: Callable[[FittedMesh], None] = ignore,
    on_progress: Callable[[float, str], None] = ignore,
    cancel: CancelToken | None = None,
) -> Fit:
    """`fit` with what the scan's symmetry suggests, unless ``options.symmetry`` is off."""
    options = options or FitOptions()
    guess = symmetry_prior if options.symmetry else None
    return fit(scan, model, options, guess=guess, on_frame=on_frame, on_progress=on_progress, cancel=cancel)


def accepted(found: list[Mirror]) -> list[Mirror]:
    """Planes that are sure enough to complete with, best first; all but the first have to be surer, and far apart."""
    chosen: list[Mirror] = []
    for mirror in found:
        apart = all(abs(float(mirror.normal @ other.normal)) < ALIKE for other in chosen)
        if apart and mirror.worth > (LATER_WORTH if chosen else LEAST_WORTH):
            chosen.append(mirror)
    return chosen[:MOST_PLANES]


def symmetry_prior(scan: PreparedScan, level: Level) -> CompletionPrior | None:
    """What the mirror planes of a scan suggest; None where it has none. level: level 0 of its fit."""
    witness = SymmetryScorer(level)
    points, normals = thinned(scan.points, scan.normals, POINTS)
    known = CompletionPrior(points, normals, np.full(len(points), scan.noise, np.float32), "")
    parts: list[CompletionPrior] = []
    planes: list[Mirror] = []
    for mirror in accepted(mirrors(scan.points, scan.normals, witness)):
        part = mirrored(known, mirror, witness)
        if part is not None:
            parts.append(part)
            planes.append(mirror)
            known = joined([known, part])
    return joined(parts, describe(planes)) if parts else None


def mirrored(known: CompletionPrior, mirror: Mirror, witness: SymmetryScorer) -> CompletionPrior | None:
    """The known surface seen in a mirror, where it is beyond the known surface and nothing speaks against it; None
    where too much does, or next to nothing is left."""
    points, normals = mirror.points(known.points), mirror.directions(known.normals)
    tree = KDTree(known.points)
    distance, near, gap = _nearest(points, known, tree)
    facing = (normals * known.normals[near]).sum(axis=1)
    meets = (distance < NEAR) & (facing > FACING)
    _, against = witness.score(points, normals)
    hovers = (distance < 2 * NEAR) & (np.abs(gap) > NEAR) & (facing > FACING)
    contradicts = (against > 0.5) | hovers
    if meets.sum() < SEAM_NEIGHBOURS or contradicts.sum() > MOST_AGAINST * meets.sum():
        return None
    open_ = np.flatnonzero(~meets & ~contradicts)
    meets, contradicts = (np.flatnonzero(which) for which in (meets, contradicts))
    place = points[open_]
    # approximate symmetry: near the seam the mirrored surface is moved onto the measured one
    beyond, which = KDTree(points[meets]).query(place, k=SEAM_NEIGHBOURS)
    weight = np.exp(-0.5 * ((beyond - beyond[:, :1]) / SEAM_WIDTH) ** 2)
    weight /= weight.sum(axis=1, keepdims=True)
    move = ((gap[meets, None] * known.normals[near[meets]])[which] * weight[..., None]).sum(axis=1)
    misfit = np.sqrt((gap[meets][which] ** 2 * weight).sum(axis=1))
    away = beyond[:, 0]
    place = (place + np.exp(-((away / SEAM_REACH) ** 2))[:, None] * move).astype(np.float32)
    sigma = np.sqrt(known.sigma[open_] ** 2 + np.maximum(misfit, mirror.residual) ** 2 + (GROWTH * away) ** 2)
    kept = sigma < witness.deviation(place) * SURER
    if len(contradicts):
        judged = np.concatenate([meets, contradicts])
        against = np.arange(len(judged)) >= len(meets)
        around, which = KDTree(points[judged]).query(place, k=JUDGES)
        weight = np.exp(-0.5 * (around / JUDGED_WIDTH) ** 2) + 1e-9
        kept &= (against[which] * weight).sum(axis=1) < DOUBT * weight.sum(axis=1)
    distance, near, gap = _nearest(place, known, tree)
    facing = (normals[open_] * known.normals[near]).sum(axis=1)
    beside, behind = np.abs(gap) < BESIDE * distance, (gap > 0) & (facing < 0)
    kept &= (distance > LEAST_APART) & (beside | behind | (distance > 2 * NEAR))
    found = CompletionPrior(place, normals[open_], sigma.astype(np.float32), describe([mirror])).take(kept)
    return found if len(found) >= FEWEST else None


def _nearest(points: np.ndarray, known: CompletionPrior, tree: KDTree) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distances (n,) of points to the known ones, infinite where far; the nearest's number; gap to its plane."""
    distance, near = tree.query(points, distance_upper_bound=2 * NEAR)
    near = np.minimum(near, len(known) - 1)
    return distance, near, ((known.points[near] - points) * known.normals[near]).sum(axis=1)


def describe(planes: list[Mirror]) -> str:
    """Mirrors in words."""
    agree, contradict = min(plane.agree for plane in planes), max(plane.contradict for plane in planes)
    if len(planes) == 1:
        return f"mirror symmetry (agrees on {agree:.0%}, contradicts on {contradict:.0%})"
    return f"{len(planes)} mirror planes (each agrees on {agree:.0%} or more, contradicts on {contradict:.0%} or less)"


def joined(parts: list[CompletionPrior], source: str = "") -> CompletionPrior:
    """Guesses put together."""
    return CompletionPrior(
        np.concatenate([part.points for part in parts]),
        np.concatenate([part.normals for part in parts]),
        np.concatenate([part.sigma for part in parts]),
        source,
    )
