"""How far a specimen departs from its family beyond its own noise: as a whole, and at every vertex."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, solve_triangular
from scipy.spatial import KDTree

from ..scan.register import Surface
from ..scan.similarity import Similarity
from ..weights.warp import spread_points
from .gaussian import ShapeGaussian
from .posing import COARSE, NORMAL_REACH, POSE_SD, SLACK, Placed, Round, Template, settle

JUDGED = (Round(0.06, 400, True), Round(0.06, 400, True))
LOOKED_AT = 400
"""Points of the scan that say how far the whole departs."""
LARGEST = 5.0
"""A measurement counts at most so many standard deviations: a flying pixel is not a specimen's fault."""
BESIDE = 3.0
"""A scan point this many times farther from its match than from the match's tangent plane has no counterpart."""
PLACES = 1800
"""Places of the surface at which its deviation is looked at."""
PATCH = 0.06
"""Standard deviation (canonical) of the bump that is looked for: few of the places wide."""
WITNESSES, FIRST_WITNESSES = 32, 8
"""Places of members that tell how much is usual at a point, and how many the mean over the shape counts for."""
USUAL_LARGEST, LEAST_USUAL = 10.0, 0.2
"""Bounds of what a member's departure counts, and of what may be usual."""
NEAR = 4
"""Places that tell the deviation of a vertex."""


def departure(shape: ShapeGaussian, scan: Surface, start: Similarity, noise: float, sided: bool) -> float:
    """How far a scan departs from the family, for `Profile.score`: the natural logarithm of the mean squared
    Mahalanobis length of a measurement, 0 where all is as the Gaussian has it.

    scan: canonical, with points of standard deviation ``noise``; start: its pose, as found.
    """
    shape = shape.part(COARSE)
    placed = settle(shape, scan, start, noise, JUDGED, sided)
    index, offset, _ = _offsets(shape, placed, scan.thinned(LOOKED_AT).moved(placed.similarity), sided)
    seen = shape.along(index, placed.normals[index], POSE_SD)
    variance = np.full(len(index), (noise * placed.similarity.scale) ** 2 + (SLACK * shape.spacing) ** 2)
    white = solve_triangular(shape.factored(seen, variance), offset, lower=True, check_finite=False)
    return float(np.log(np.minimum(white**2, LARGEST**2).mean()))


def deviations(
    shape: ShapeGaussian, placed: Placed, surface: Surface, sigma: NDArray, sided: bool, usual: NDArray
) -> NDArray[np.float64]:
    """Per vertex (n,): how many times its usual size the departure is by which the surface lies outside (above 0) or
    inside of where the family and the rest of the specimen have it.

    surface: vertices with their normals in the scan's canonical frame; sigma (n,): their own standard deviation there;
    placed: the family's shape on that scan; usual (k,): size of a departure at each of the shape's points.
    """
    found = standing(shape, placed, surface, sigma, sided)
    moved = surface.moved(placed.similarity)
    away, which = found.nearest(shape, moved)
    share = 1 / (away + 1e-3) ** 2
    value = found.value / usual[found.index]
    return (share * value[which]).sum(axis=1) / share.sum(axis=1)


@dataclass(frozen=True)
class Standing:
    """Places of a scan's surface, in the family's frame. index (m,): the shape's points that they belong to; value
    (m,): standard deviations by which a patch around stands out, were the family exactly Gaussian."""

    places: Surface
    index: NDArray[np.intp]
    value: NDArray[np.float64]

    def nearest(self, shape: ShapeGaussian, surface: Surface) -> tuple[NDArray, NDArray]:
        """Distances (n, k) to the nearest places on the same side, and which they are (n, k)."""
        reach = NORMAL_REACH * shape.size
        tree = KDTree(np.concatenate([self.places.points, reach * self.places.normals], axis=1))
        code = np.concatenate([surface.points, reach * surface.normals], axis=1)
        away, which = tree.query(code, k=min(NEAR, len(self.index)))
        return np.reshape(away, (len(code), -1)), np.reshape(which, (len(code), -1))


def standing(shape: ShapeGaussian, placed: Placed, surface: Surface, sigma: NDArray, sided: bool) -> Standing:
    """Whether a patch around a place is displaced: the score test of a bump g of unknown height in a Gaussian,
    g' Q d / sqrt(g' Q g), where Q is the precision of the measurements and d their distances from the mean (a matched
    filter; Kay 1998, "Detection theory", section 4.4). What the modes, the pose and the smooth residual can explain
    does not count.
    """
    chosen = spread_points(surface.points, surface.size / np.sqrt(PLACES) * 2.5)
    chosen = chosen[:: max(1, -(-len(chosen) // PLACES))]
    few = Surface(surface.points[chosen], surface.normals[chosen]).moved(placed.similarity)
    index, offset, sign = _offsets(shape, placed, few, sided)
    seen = shape.along(index, placed.normals[index], POSE_SD)
    variance = (sigma[chosen] * placed.similarity.scale) ** 2 + (SLACK * shape.spacing) ** 2
    precision = cho_solve((shape.factored(seen, variance), True), np.eye(len(index)), check_finite=False)
    square = ((few.points[:, None] - few.points) ** 2).sum(axis=2)
    # all that is near moves along the normal of the place: both sides of a thin wall, a sheet seen from either side
    bump = np.exp(-square / (2 * PATCH**2)) * (seen.directions @ seen.directions.T)
    spread = np.sqrt(np.maximum((bump * (precision @ bump)).sum(axis=0), 1e-12))
    return Standing(few, index, sign * (bump.T @ (precision @ offset)) / spread)


def usual_size(shape: ShapeGaussian, found: Sequence[Standing]) -> NDArray[np.float64]:
    """Root mean square (n,) of what members have at and around each point of the shape, none of which the shape was
    learned from: the Gaussian has tails, and knows nothing of places where surfaces are hard to match."""
    index = np.concatenate([one.index for one in found])
    square = np.clip(np.concatenate([one.value for one in found]), -USUAL_LARGEST, USUAL_LARGEST) ** 2
    code = np.concatenate([shape.points, NORMAL_REACH * shape.size * shape.normals], axis=1)
    near = np.reshape(KDTree(code[index]).query(code, k=min(WITNESSES, len(index)))[1], (len(code), -1))
    total = square[near].sum(axis=1) + FIRST_WITNESSES * square.mean()
    return np.maximum(np.sqrt(total / (near.shape[1] + FIRST_WITNESSES)), LEAST_USUAL)


def _offsets(
    shape: ShapeGaussian, placed: Placed, moved: Surface, sided: bool
) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.float64]]:
    """For points (m,) in the family's frame: the place of the shape that each belongs to, how far along the normal it
    lies from the mean, and 1 or -1: whether the surface faces as the shape does."""
    template = Template(shape, placed.points, sided)
    index = template.match(moved)[1]
    normals = placed.normals[index]
    across = ((moved.points - placed.points[index]) * normals).sum(axis=1)
    apart = np.linalg.norm(moved.points - placed.points[index], axis=1)
    lost = apart > BESIDE * np.abs(across) + 3 * shape.spacing
    across = np.where(lost, np.where(across < 0, -apart, apart), across)
    offset = across + ((placed.points - shape.points)[index] * normals).sum(axis=1)
    facing = np.where((moved.normals * normals).sum(axis=1) < 0, -1.0, 1.0)
    return index, offset, facing
