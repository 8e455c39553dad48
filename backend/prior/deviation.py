"""How far a specimen departs from its family beyond its own noise: as a whole, and at every vertex."""

from __future__ import annotations

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
AROUND, TOGETHER = 56, 7
"""A place is foretold without this many nearest ones, and looked at together with so many."""
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
    shape: ShapeGaussian, placed: Placed, surface: Surface, sigma: NDArray, sided: bool
) -> NDArray[np.float64]:
    """Per vertex (n,): how many standard deviations the surface lies outside (above 0) or inside of where the family
    and the rest of the specimen have it. A place is foretold without what lies around it, for a defect must not vouch
    for itself.

    surface: vertices with their normals in the scan's canonical frame; sigma (n,): their own standard deviation there;
    placed: the family's shape on that scan.
    """
    chosen = spread_points(surface.points, surface.size / np.sqrt(PLACES) * 2.5)
    chosen = chosen[:: max(1, -(-len(chosen) // PLACES))]
    few = Surface(surface.points[chosen], surface.normals[chosen]).moved(placed.similarity)
    index, offset, sign = _offsets(shape, placed, few, sided)
    seen = shape.along(index, placed.normals[index], POSE_SD)
    variance = (sigma[chosen] * placed.similarity.scale) ** 2 + (SLACK * shape.spacing) ** 2
    precision = cho_solve((shape.factored(seen, variance), True), np.eye(len(index)), check_finite=False)
    around = KDTree(seen.points).query(seen.points, k=min(AROUND, len(index)))[1]
    # what is left of a block once the rest has foretold it has mean Q_BB^-1 (Q d)_B and covariance Q_BB^-1
    block = np.linalg.inv(precision[around[:, :, None], around[:, None, :]])
    left = np.einsum("kij,kj->ki", block, (precision @ offset)[around])
    together = min(TOGETHER, around.shape[1])
    # an open sheet is matched from either side: what lies together must mean one direction
    turn = np.einsum("kij,kj->ki", seen.directions[around[:, :together]], seen.directions)
    weight = np.clip(turn, 0, 1) / together
    mean = (weight * left[:, :together]).sum(axis=1)
    spread = np.einsum("ki,kij,kj->k", weight, block[:, :together, :together], weight)
    standing = sign * mean / np.sqrt(spread)
    reach, moved = NORMAL_REACH * shape.size, surface.moved(placed.similarity)
    tree = KDTree(np.concatenate([few.points, reach * few.normals], axis=1))
    code = np.concatenate([moved.points, reach * moved.normals], axis=1)
    away, which = tree.query(code, k=np.arange(1, min(NEAR, len(few.points)) + 1))
    share = 1 / (away + 1e-3) ** 2
    return (share * standing[which]).sum(axis=1) / share.sum(axis=1)


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
