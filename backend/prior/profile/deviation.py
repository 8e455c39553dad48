"""How far a specimen departs from its family beyond its own noise: as a whole, and at every vertex."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.optimize import nnls
from scipy.spatial import KDTree

from ...registration.icp import Surface
from ...registration.similarity import Similarity
from ...registration.warp import spread_points
from .fitting import COARSE, NORMAL_REACH, POSE_SD, SLACK, FittedShape, Round, Template, settle
from .gaussian import RANGES, ShapeGaussian

JUDGED = (Round(0.06, 400, True), Round(0.06, 400, True))
LOOKED_AT = 400
"""Points of the scan that say how far the whole departs."""
LARGEST = 5.0
"""A measurement counts at most so many standard deviations: a flying pixel is not a specimen's fault."""
BESIDE = 3.0
"""A scan point this many times farther from its match than from the match's tangent plane has no counterpart."""
DENSE, PLACES, AROUND = 20_000, 1800, 12
"""Points of a surface that are measured, places at which its deviation is looked at, and the nearest points whose
median is the measurement of a place: a single match may be wrong."""
PATCH = 0.07
"""Standard deviation (canonical) of the bump that is looked for: few of the places wide."""
REST_RANGES = (*RANGES, 0.025)
"""Standard deviations (canonical) of the Gaussians that the correlation of measured departures consists of."""
CLIPPED = 3.0
"""A departure counts at most so many standard deviations for what is usual in a family."""
LEAST_REST = 1e-7
"""What is uncorrelated has at least this variance (canonical units squared), for the precision's sake."""
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
    shape: ShapeGaussian,
    placed: FittedShape,
    surface: Surface,
    sigma: NDArray,
    sided: bool,
    rest: NDArray,
    usual: NDArray,
) -> NDArray[np.float64]:
    """Per vertex (n,): how many times its usual size the departure is by which the surface lies outside (above 0) or
    inside of where the family and the rest of the specimen have it.

    surface: vertices with their normals in the scan's canonical frame; sigma (n,): their own standard deviation there;
    placed: the family's shape on that scan; rest: see `rest_of`; usual (k,): size of a departure at each of the shape's
    points.
    """
    found = standing(shape, measured(shape, placed, surface, sigma, sided), rest)
    moved = surface.moved(placed.similarity)
    away, which = found.nearest(shape, moved)
    share = 1 / (away + 1e-3) ** 2
    value = found.value / usual[found.index]
    return (share * value[which]).sum(axis=1) / share.sum(axis=1)


@dataclass(frozen=True)
class Measured:
    """Places of a scan's surface, in the family's frame. index (m,): the shape's points that they belong to; normals
    (m, 3) of the placed shape there; offset (m,): how far along them the surface lies from the mean; beyond (m,): from
    what the modes make of it; noise (m,): standard deviation of the surface itself; sign (m,): 1 or -1, whether it
    faces as the shape does."""

    places: Surface
    index: NDArray[np.intp]
    normals: NDArray[np.float64]
    offset: NDArray[np.float64]
    beyond: NDArray[np.float64]
    noise: NDArray[np.float64]
    sign: NDArray[np.float64]


def measured(shape: ShapeGaussian, placed: FittedShape, surface: Surface, sigma: NDArray, sided: bool) -> Measured:
    """What there is to say of a surface with standard deviations ``sigma`` (n,), all in the scan's canonical frame."""
    dense = np.random.default_rng(0).permutation(len(surface.points))[:DENSE]
    moved = Surface(surface.points[dense], surface.normals[dense]).moved(placed.similarity)
    index, offset, sign = _offsets(shape, placed, moved, sided)
    normals = placed.normals[index]
    modes = np.einsum("q,qmk->mk", placed.posterior.coefficients, shape.modes[:, index])
    explained = (modes * normals).sum(axis=1)
    chosen = spread_points(moved.points, moved.size / np.sqrt(PLACES) * 2.5)
    chosen = chosen[:: max(1, -(-len(chosen) // PLACES))]
    # neighbours on the same side
    code = np.concatenate([moved.points, NORMAL_REACH * shape.size * normals], axis=1)
    near = np.reshape(KDTree(code).query(code[chosen], k=min(AROUND, len(code)))[1], (len(chosen), -1))
    beyond = np.median((offset - explained)[near], axis=1)
    return Measured(
        Surface(moved.points[chosen], moved.normals[chosen]),
        index[chosen],
        normals[chosen],
        beyond + explained[chosen],
        beyond,
        sigma[dense][chosen] * placed.similarity.scale,
        sign[chosen],
    )


def rest_of(found: Sequence[Measured]) -> NDArray[np.float64]:
    """Variances (6,) of what the modes leave of members that the shape was not learned from, as it is measured: of each
    of the REST_RANGES, and of what is uncorrelated. Wrong matches are in it, which the shape's residual knows nothing
    of: with that one in their place the filter would trust every single point and look for the finest relief."""
    edges = np.geomspace(0.015, 0.8, 22)
    # sums over pairs by their distance: of products of departures, and of what each range would make of them
    total, alike = np.zeros(len(edges) + 1), np.zeros((len(edges) + 1, 1 + len(REST_RANGES)))
    variance = []
    for one in found:
        largest = CLIPPED * one.beyond.std()
        value = np.clip(one.beyond, -largest, largest)
        variance.append((value**2).mean())
        first, second = np.triu_indices(len(value), 1)
        away = np.linalg.norm(one.places.points[first] - one.places.points[second], axis=1)
        # most pairs are far ones, which all tell the same
        near = (away < 0.15) | (np.arange(len(away)) % 16 == 0)
        first, second, away = first[near], second[near], away[near]
        cosine = (one.normals[first] * one.normals[second]).sum(axis=1)
        bin = np.digitize(away, edges)
        bells = np.exp(-0.5 * (away[:, None] / np.array(REST_RANGES)) ** 2)
        total += np.bincount(bin, value[first] * value[second] * cosine, len(total))
        for place, column in enumerate([np.ones(len(away)), *bells.T]):
            alike[:, place] += np.bincount(bin, column * cosine**2, len(total))
    # nearer than the first edge it is the same match more often than not
    inside = 1 + np.flatnonzero(alike[1:-1, 0] > 0)
    weight = alike[inside, :1]
    shares = nnls(alike[inside, 1:] / weight, total[inside] / weight[:, 0])[0]
    whole = float(np.mean(variance))
    shares *= min(1.0, 0.98 * whole / max(shares.sum(), 1e-30))
    return np.append(shares, max(whole - shares.sum(), LEAST_REST))


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


def standing(shape: ShapeGaussian, found: Measured, rest: NDArray) -> Standing:
    """Whether a patch around a place is displaced: the score test of a bump g of unknown height in a Gaussian,
    g' Q d / sqrt(g' Q g), where Q is the precision of the measurements and d their distances from the mean (a matched
    filter; Kay 1998, "Detection theory", section 4.4). What the modes, the pose and the usual rest of a member
    (`rest_of`) can explain does not count.
    """
    seen = shape.along(found.index, found.normals, POSE_SD)
    points = found.places.points
    square = ((points[:, None] - points) ** 2).sum(axis=2)
    cosine = found.normals @ found.normals.T
    covariance = np.zeros_like(square)
    for variance, reach in zip(rest[:-1], REST_RANGES, strict=True):
        if variance > 0:
            covariance += variance * np.exp(-square / (2 * reach**2))
    covariance = covariance * cosine + seen.loadings @ seen.loadings.T
    covariance[np.diag_indices_from(covariance)] += rest[-1] + found.noise**2
    # all that is near moves along the normal of the place: both sides of a thin wall, a sheet seen from either side
    bump = np.exp(-square / (2 * PATCH**2)) * cosine
    precise = cho_solve((cholesky(covariance, lower=True), True), np.column_stack([bump, found.offset]))
    spread = np.sqrt(np.maximum((bump * precise[:, :-1]).sum(axis=0), 1e-12))
    return Standing(found.places, found.index, found.sign * (bump.T @ precise[:, -1]) / spread)


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
    shape: ShapeGaussian, placed: FittedShape, moved: Surface, sided: bool
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
