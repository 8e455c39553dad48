"""Completion of a fit by the scan's own mirror symmetry.

The mirrored scan completes the surface where nothing was measured. Most things are only nearly symmetric, so it is
moved onto the measured surface at the seam, and its sigma is at least the misfit of the two surfaces near by. It is
left out where the scan or the field contradicts it.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import KDTree

from ..field.bricks import Level
from ..field.completion_prior import LEAST_CLEARANCE, CompletionPrior, joined
from ..scan.prepare import PreparedScan
from .symmetry import MEETING_COSINE, MEETING_DISTANCE, Mirror, SymmetryScorer, mirror_planes, thinned

POINTS = 6_000
"""Scan points that are mirrored."""
FEWEST = 20
"""Fewer mirrored points than this are no surface."""
LEAST_WORTH, LATER_WORTH, MOST_PLANES = 0.1, 0.2, 3
"""Least worth of the first plane and of the others, and how many there may be."""
ALIKE = 0.8
"""Of planes whose normals have a larger cosine only the best counts: they are one plane twice, or one is wrong."""
SEAM_NEIGHBOURS, SEAM_WIDTH, SEAM_REACH = 8, 0.05, 0.15
"""Meeting points that measure how far the mirrored surface is off at a seam; the standard deviation of their weights by
distance, and the reach of the correction, canonical."""
SIGMA_GROWTH = 0.1
"""Sigma grows by this much per length beyond the seam."""
VOTERS, VOTE_WIDTH, MOST_VOTES_AGAINST = 10, 0.1, 0.4
"""Mirrored points near by that met or contradicted the scan, the standard deviation of their weights by distance
(canonical), and the share of contradicting weight above which a mirrored point is left out."""
MOST_CONTRADICTING = 0.2
"""A plane with more contradicting points than this share of those that meet is refused."""
CONTINUES = 0.8
"""A point continues the measured surface where that ends if it is off the surface's plane by less than this share of
its distance."""


def accepted_planes(found: list[Mirror]) -> list[Mirror]:
    """Planes that are worth completing with, best first; all but the first have to be worth more, and differ."""
    chosen: list[Mirror] = []
    for mirror in found:
        differs = all(abs(float(mirror.normal @ other.normal)) < ALIKE for other in chosen)
        if differs and mirror.worth > (LATER_WORTH if chosen else LEAST_WORTH):
            chosen.append(mirror)
    return chosen[:MOST_PLANES]


def symmetry_prior(scan: PreparedScan, level: Level) -> CompletionPrior | None:
    """The surface that the mirror planes of a scan suggest; None where it has none. level: level 0 of its fit."""
    scorer = SymmetryScorer(level)
    points, normals = thinned(scan.points, scan.normals, POINTS)
    known = CompletionPrior(points, normals, np.full(len(points), scan.noise, np.float32), "")
    parts: list[CompletionPrior] = []
    planes: list[Mirror] = []
    for mirror in accepted_planes(mirror_planes(scan.points, scan.normals, scorer)):
        part = mirrored(known, mirror, scorer)
        if part is not None:
            parts.append(part)
            planes.append(mirror)
            known = joined([known, part])
    return joined(parts, describe(planes)) if parts else None


def mirrored(known: CompletionPrior, mirror: Mirror, scorer: SymmetryScorer) -> CompletionPrior | None:
    """The known surface mirrored, where it lies beyond the known surface and nothing contradicts it. None where too
    much contradicts the plane, or next to nothing is left."""
    points, normals = mirror.points(known.points), mirror.directions(known.normals)
    tree = KDTree(known.points)
    distance, near, gap = _nearest(points, known, tree)
    facing = (normals * known.normals[near]).sum(axis=1)
    meets = (distance < MEETING_DISTANCE) & (facing > MEETING_COSINE)
    _, against = scorer.score(points, normals)
    parallel = (distance < 2 * MEETING_DISTANCE) & (np.abs(gap) > MEETING_DISTANCE) & (facing > MEETING_COSINE)
    contradicts = (against > 0.5) | parallel
    if meets.sum() < SEAM_NEIGHBOURS or contradicts.sum() > MOST_CONTRADICTING * meets.sum():
        return None
    unseen = np.flatnonzero(~meets & ~contradicts)
    meets, contradicts = (np.flatnonzero(which) for which in (meets, contradicts))
    place = points[unseen]
    # near the seam the mirrored surface is moved onto the measured one
    beyond, which = KDTree(points[meets]).query(place, k=SEAM_NEIGHBOURS)
    weight = np.exp(-0.5 * ((beyond - beyond[:, :1]) / SEAM_WIDTH) ** 2)
    weight /= weight.sum(axis=1, keepdims=True)
    move = ((gap[meets, None] * known.normals[near[meets]])[which] * weight[..., None]).sum(axis=1)
    misfit = np.sqrt((gap[meets][which] ** 2 * weight).sum(axis=1))
    away = beyond[:, 0]
    place = (place + np.exp(-((away / SEAM_REACH) ** 2))[:, None] * move).astype(np.float32)
    sigma = np.sqrt(known.sigma[unseen] ** 2 + np.maximum(misfit, mirror.residual) ** 2 + (SIGMA_GROWTH * away) ** 2)
    kept = sigma < scorer.deviation(place)
    if len(contradicts):
        voters = np.concatenate([meets, contradicts])
        against = np.arange(len(voters)) >= len(meets)
        around, which = KDTree(points[voters]).query(place, k=VOTERS)
        weight = np.exp(-0.5 * (around / VOTE_WIDTH) ** 2) + 1e-9
        kept &= (against[which] * weight).sum(axis=1) < MOST_VOTES_AGAINST * weight.sum(axis=1)
    distance, near, gap = _nearest(place, known, tree)
    facing = (normals[unseen] * known.normals[near]).sum(axis=1)
    continues, behind = np.abs(gap) < CONTINUES * distance, (gap > 0) & (facing < 0)
    kept &= (distance > LEAST_CLEARANCE) & (continues | behind | (distance > 2 * MEETING_DISTANCE))
    found = CompletionPrior(place, normals[unseen], sigma.astype(np.float32), describe([mirror])).take(kept)
    return found if len(found) >= FEWEST else None


def _nearest(points: np.ndarray, known: CompletionPrior, tree: KDTree) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distances (n,) of points to the known ones, infinite where far; the nearest one's index; the gap to its plane."""
    distance, near = tree.query(points, distance_upper_bound=2 * MEETING_DISTANCE)
    near = np.minimum(near, len(known) - 1)
    return distance, near, ((known.points[near] - points) * known.normals[near]).sum(axis=1)


def describe(planes: list[Mirror]) -> str:
    """Mirror planes in words, for the artist."""
    agree, contradict = min(plane.agree for plane in planes), max(plane.contradict for plane in planes)
    if len(planes) == 1:
        share = f"{agree:.0%} of the seen surface meets its mirror image, {contradict:.0%} speaks against it"
        return f"mirror symmetry ({share})"
    agreeing = f"at least {agree:.0%} of the seen surface meets its mirror image"
    return f"{len(planes)} mirror planes (across each, {agreeing}, and at most {contradict:.0%} speaks against it)"
