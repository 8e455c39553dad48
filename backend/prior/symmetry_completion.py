"""Completion of a fit by the scan's own symmetry: mirror planes, and the axis of what is turned.

The mirrored or turned scan, its image, completes the surface where nothing was measured. Most things are only nearly
symmetric, so it is moved onto the measured surface at the seam, and its sigma is at least the misfit of the two
surfaces near by. It is left out where the scan or the field contradicts it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.spatial import KDTree

from ..field.bricks import Level
from ..field.completion_prior import LEAST_CLEARANCE, CompletionPrior, joined
from ..scan.prepare import PreparedScan
from .revolution import Revolution, revolution
from .symmetry import MEETING_COSINE, MEETING_DISTANCE, Mirror, SymmetryScorer, mirror_planes, thinned

POINTS = 6_000
"""Scan points that are mirrored, and points of a turned image, about."""
FEWEST = 20
"""Fewer points of an image than this are no surface."""
LEAST_WORTH, LATER_WORTH, MOST_PLANES = 0.1, 0.2, 3
"""Least worth of the first plane and of the others, and how many there may be."""
LEAST_ACROSS = 0.02
"""Least share of a scan that meets its image across a plane and faces along the plane's normal. Walls alone meet across
any plane that is square to them, as those of a mug do, and say nothing of its ends. Chosen on `scans/valid`, condition
D."""
LEAST_TURNED, LEAST_TURNED_WORTH, TURNED = 0.6, 0.3, 23
"""Least share of a scan that belongs to what is turned about an axis, least worth of the axis, and the images that it
makes. On `scans/valid`, condition D, turned things have a worth of .36 to .37 and all others less than .13."""
UPRIGHT = 0.9
"""Least cosine between the axis of a turned thing and the normal of what it stands on."""
CLEARANCE = 0.3
"""Share of the usual clearance from the scan: what met the scan is left out before. Chosen on `scans/valid`, condition
D, where images also do best if they count like measured points."""
ALIKE = 0.8
"""Of planes whose normals have a larger cosine only the best counts: they are one plane twice, or one is wrong."""
SEAM_NEIGHBOURS, SEAM_WIDTH, SEAM_REACH = 8, 0.05, 0.15
"""Meeting points that measure how far an image is off at a seam; the standard deviation of their weights by
distance, and the reach of the correction, canonical."""
SIGMA_GROWTH = 0.1
"""Sigma grows by this much per length beyond the seam."""
VOTERS, VOTE_WIDTH, MOST_VOTES_AGAINST = 10, 0.1, 0.4
"""Points of an image near by that met or contradicted the scan, the standard deviation of their weights by distance
(canonical), and the share of contradicting weight above which a point is left out."""
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
        if differs and mirror.across >= LEAST_ACROSS and mirror.worth > (LATER_WORTH if chosen else LEAST_WORTH):
            chosen.append(mirror)
    return chosen[:MOST_PLANES]


def accepted_axis(found: Revolution | None) -> Revolution | None:
    """An axis that is worth completing with; None for any other."""
    if found is None or found.share < LEAST_TURNED or found.worth < LEAST_TURNED_WORTH:
        return None
    return found


def lies_on_its_side(scan: PreparedScan, normal: np.ndarray) -> bool:
    """Whether a scan is of a turned thing whose axis is not square to a plane with a unit normal (3,). Where it ends at
    such a plane, a sensor saw one side of it; it did not stand there."""
    axis = accepted_axis(revolution(scan.points, scan.normals))
    return axis is not None and abs(float(axis.axis @ normal)) < UPRIGHT


def symmetry_prior(scan: PreparedScan, level: Level) -> CompletionPrior | None:
    """The surface that the axis and the mirror planes of a scan suggest; None where it has none. level: level 0 of its
    fit."""
    scorer = SymmetryScorer(level)
    points, normals = thinned(scan.points, scan.normals, POINTS)
    known = CompletionPrior(points, normals, np.full(len(points), scan.noise, np.float32), "")
    parts: list[CompletionPrior] = []
    sources: list[str] = []
    axis = accepted_axis(revolution(scan.points, scan.normals, scorer))
    if axis is not None:
        part = completed(known, turned(known, axis), axis.residual, scorer)
        if part is not None:
            parts, known = [part], joined([known, part])
            sources = [f"the axis about which {axis.share:.0%} of the seen surface is turned"]
    planes: list[Mirror] = []
    for mirror in accepted_planes(mirror_planes(scan.points, scan.normals, scorer)):
        part = completed(known, mirrored(known, mirror), mirror.residual, scorer)
        if part is not None:
            parts.append(part)
            planes.append(mirror)
            known = joined([known, part])
    sources += [describe(planes)] if planes else []
    return joined(parts, "; ".join(sources)) if parts else None


def mirrored(known: CompletionPrior, mirror: Mirror) -> CompletionPrior:
    """The image of a surface in a plane."""
    return replace(known, points=mirror.points(known.points), normals=mirror.directions(known.normals))


def turned(known: CompletionPrior, axis: Revolution) -> CompletionPrior:
    """The images of the turned part of a surface about its axis, about `POINTS` points."""
    own = known.take(axis.belongs(known.points, known.normals))
    images = axis.turned(own.points, own.normals, TURNED)
    points, normals = thinned(*images, POINTS)
    return CompletionPrior(points, normals, np.full(len(points), known.sigma.max(), np.float32), "")


def completed(
    known: CompletionPrior, image: CompletionPrior, residual: float, scorer: SymmetryScorer
) -> CompletionPrior | None:
    """The image of a surface, where it lies beyond the known surface and nothing contradicts it. None where too much
    contradicts it, or next to nothing is left. residual: rms misfit of the two, canonical."""
    points, normals = image.points, image.normals
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
    # near the seam the image is moved onto the measured one
    beyond, which = KDTree(points[meets]).query(place, k=SEAM_NEIGHBOURS)
    weight = np.exp(-0.5 * ((beyond - beyond[:, :1]) / SEAM_WIDTH) ** 2)
    weight /= weight.sum(axis=1, keepdims=True)
    move = ((gap[meets, None] * known.normals[near[meets]])[which] * weight[..., None]).sum(axis=1)
    misfit = np.sqrt((gap[meets][which] ** 2 * weight).sum(axis=1))
    away = beyond[:, 0]
    place = (place + np.exp(-((away / SEAM_REACH) ** 2))[:, None] * move).astype(np.float32)
    sigma = np.sqrt(image.sigma[unseen] ** 2 + np.maximum(misfit, residual) ** 2 + (SIGMA_GROWTH * away) ** 2)
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
    clearance = np.full(len(place), CLEARANCE, np.float32)
    found = CompletionPrior(place, normals[unseen], sigma.astype(np.float32), "", clearance).take(kept)
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
