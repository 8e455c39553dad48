"""A family's shape fitted to a scan of one of its members: pose, scale and form, whole or in part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation

from ...registration.icp import NORMAL_REACH, Surface, distinct_poses, oriented_points, search_poses
from ...registration.similarity import Similarity
from .gaussian import Posterior, ShapeGaussian

GROWTHS = (0.85, 1.0, 1.15)
"""A partial scan is smaller or larger than the whole by about these factors."""
SEARCHED = 250
"""Points of either side in the search over all poses."""
LIKELY = 8
"""Poses of the search that are refined."""
POINT_SLACK = 0.25
"""Standard deviation of a match that is due to the distance between the points of the shape, in spacings."""
COMPARED, FAR = 1000, 0.2
"""Points of the scan that the misfit is measured at, and the distance of a point without a counterpart (family's
units)."""
NOISIEST = 0.005
"""Largest noise of a scan (canonical). Fine relief is measured as noise, and the shape would not follow it."""
DENSE, COARSE = 20_000, 3000
"""Points of the scan that the shape is matched to, at most, and points of the shape in all rounds but the last."""
POSE_SD = np.array([0.3, 0.3, 0.3, 0.2, 0.2, 0.2, 0.2])
"""Standard deviations of a pose from the search: turn (radians), shift (canonical), growth."""


@dataclass(frozen=True)
class FittedShape:
    """The family's shape as it lies on a scan."""

    similarity: Similarity  # from the scan's canonical frame to the family's
    posterior: Posterior
    points: NDArray[np.float64]  # (n, 3), in the family's frame
    normals: NDArray[np.float64]  # (n, 3)
    misfit: float  # mean distance of the scan from it, bounded, normals counted in, in the scan's units


def likely_poses(shape: ShapeGaussian, scan: Surface, sided: bool) -> list[Similarity]:
    """Likely poses of a scan in the family's frame, best first."""
    target = Surface(shape.points, shape.normals).thinned(SEARCHED)
    source = scan.thinned(SEARCHED)
    sides = (source,) if sided else (source, Surface(source.points, -source.normals))
    found = (pose for side in sides for growth in GROWTHS for pose in search_poses(side, target, growth))
    return [pose for pose, _ in distinct_poses(found)[:LIKELY]]


def without_pose(pose: NDArray, similarity: Similarity) -> Similarity:
    """The transform of the scan that replaces a pose (7,) of the shape: its inverse after ``similarity``."""
    turn, shift, growth = pose[:3], pose[3:6], float(np.exp(pose[6]))
    return Similarity(Rotation.from_rotvec(turn).as_matrix(), growth, shift).inverse().after(similarity)


@dataclass(frozen=True)
class Round:
    """One round of matching and conditioning."""

    reach: float  # canonical; matches at larger distances lose weight
    count: int  # points of the scan
    smooth: bool  # whether the shape may use its residual


STIFF = (Round(0.3, 300, False), Round(0.2, 300, False), Round(0.2, 300, False))
"""Modes alone, to rank the poses of the search."""
ROUGH = (Round(0.2, 400, True), Round(0.15, 400, True), Round(0.1, 400, True))
FINE = (Round(0.1, 600, True), Round(0.06, 600, True), Round(0.05, 600, True), Round(0.05, 1500, True))
REFINED = 4
"""Best poses after the first rounds, which are refined."""
MOST_RIVALS, RIVAL_MISFIT = 3, 1.3
"""Poses that are refined to the end: so many at most, with misfits below this many times the best one's."""


class Template:
    """A family's shape in its present place, with a search tree for matches."""

    def __init__(self, shape: ShapeGaussian, points: NDArray, sided: bool) -> None:
        self.points, self.normals = points, shape.normals_of(points)
        self.sided, self.reach = sided, NORMAL_REACH * shape.size
        self._tree = KDTree(oriented_points(points, self.normals, self.reach))

    def match(self, surface: Surface) -> tuple[NDArray, NDArray]:
        """Distance (n,), with the turn between normals counted in, and index (n,) of the match of every point."""
        distance, index = self._tree.query(oriented_points(surface.points, surface.normals, self.reach))
        if not self.sided:
            other, back = self._tree.query(oriented_points(surface.points, surface.normals, -self.reach))
            nearer = other < distance
            distance, index = np.where(nearer, other, distance), np.where(nearer, back, index)
        return np.asarray(distance), np.asarray(index)


def match_both_ways(
    template: Template, few: Surface, dense: Surface, back: int, spacing: float
) -> tuple[NDArray, NDArray, NDArray]:
    """Index (m,) of points of the template, their matches (m, 3), and the distances (m,).

    From the scan to the template, and back where both choose each other: unseen parts of the template must not be drawn
    to the border of the scan.
    """
    distance, index = template.match(few)
    chosen = np.random.default_rng(0).permutation(len(template.points))[:back]
    tree = KDTree(oriented_points(dense.points, dense.normals, template.reach))
    here = oriented_points(template.points, template.normals, template.reach)[chosen]
    there, other = (np.asarray(part) for part in tree.query(here))
    if not template.sided:
        turned, match = tree.query(oriented_points(template.points, template.normals, -template.reach)[chosen])
        other, there = np.where(turned < there, match, other), np.minimum(turned, there)
    again = template.match(Surface(dense.points[other], dense.normals[other]))[1]
    astray = np.linalg.norm(template.points[chosen] - template.points[again], axis=1)
    mutual = astray < 2 * spacing + 0.25 * there
    return (
        np.concatenate([index, chosen[mutual]]),
        np.concatenate([few.points, dense.points[other[mutual]]]),
        np.concatenate([distance, there[mutual]]),
    )


def fit_from_pose(
    shape: ShapeGaussian, scan: Surface, start: Similarity, noise: float, rounds: Sequence[Round], sided: bool
) -> FittedShape:
    """The shape fitted to a scan from a start near the right pose; noise: standard deviation of the scan's points along
    their normals, in the scan's units."""
    similarity, current, points = start, shape.part(COARSE), None
    posterior: Posterior | None = None
    dense = scan.thinned(min(DENSE, 12 * max(step.count for step in rounds)))
    for step in rounds:
        if step is rounds[-1]:
            # only the result needs all points of the shape
            current = shape
        points = current.points if posterior is None else current.points + current.displacement(posterior)
        few = scan.thinned(step.count)
        template = Template(current, points, sided)
        index, targets, distance = match_both_ways(
            template, few.moved(similarity), dense.moved(similarity), step.count // 2, current.spacing
        )
        normals = template.normals[index]
        offset = ((targets - current.points[index]) * normals).sum(axis=1)
        doubt = 1 + (distance / step.reach) ** 2
        variance = ((noise * similarity.scale) ** 2 + (POINT_SLACK * current.spacing) ** 2) * doubt**2
        posterior = current.condition(current.along(index, normals, POSE_SD), offset, variance, POSE_SD, step.smooth)
        similarity = without_pose(posterior.pose, similarity)
    assert posterior is not None
    points = shape.points + shape.displacement(posterior)
    template = Template(shape, points, sided)
    distance, _ = template.match(scan.thinned(COMPARED).moved(similarity))
    misfit = float(np.minimum(distance, FAR).mean() / similarity.scale)
    return FittedShape(similarity, posterior, points, template.normals, misfit)


def rough_fits(
    shape: ShapeGaussian, scan: Surface, noise: float, sided: bool, rounds: Sequence[Round] | None = None
) -> list[FittedShape]:
    """Coarse fits of the shape to a scan in any pose, best first."""
    shape = shape.part(COARSE)
    found = [fit_from_pose(shape, scan, start, noise, STIFF, sided) for start in likely_poses(shape, scan, sided)]
    found = sorted(found, key=lambda one: one.misfit)[:REFINED]
    found = [fit_from_pose(shape, scan, one.similarity, noise, rounds or ROUGH, sided) for one in found]
    return sorted(found, key=lambda one: one.misfit)


def fit_shape(shape: ShapeGaussian, scan: Surface, noise: float, sided: bool) -> FittedShape:
    """The best fit of the shape to a scan in any pose."""
    rough = rough_fits(shape, scan, noise, sided)
    likely = [one for one in rough[:MOST_RIVALS] if one.misfit < RIVAL_MISFIT * rough[0].misfit]
    found = [fit_from_pose(shape, scan, one.similarity, noise, FINE, sided) for one in likely]
    return min(found, key=lambda one: one.misfit)


def sigma_of(shape: ShapeGaussian, placed: FittedShape, index: NDArray) -> NDArray[np.float64]:
    """Standard deviation (m,) along the normal of the placed shape at points (m,) of it, in the family's frame."""
    variance = shape.variance(placed.posterior, shape.along(index, placed.normals[index], POSE_SD))
    # the surface may lie a little beside the points of the shape
    return np.sqrt(variance + (POINT_SLACK * shape.spacing) ** 2)
