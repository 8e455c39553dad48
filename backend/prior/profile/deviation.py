"""How far a scan departs from its family beyond its own noise: as a whole, and at every vertex."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.optimize import nnls
from scipy.spatial import KDTree

from ...registration.icp import NORMAL_REACH, Surface, oriented_points
from ...registration.similarity import Similarity
from ...registration.warp import spread_points
from .fitted_shape import COARSE, POINT_SLACK, POSE_SD, FittedShape, Round, Template, fit_from_pose
from .gaussian import RANGES, ShapeGaussian

DEPARTURE_ROUNDS = (Round(0.06, 400, True), Round(0.06, 400, True))
DEPARTURE_POINTS = 400
"""Points of the scan that the departure of the whole is measured at."""
LARGEST_DEPARTURE = 5.0
"""A measurement counts at most so many standard deviations, so that a flying pixel of the scanner does not decide."""
UNMATCHED = 3.0
"""A scan point this many times farther from its match than from the match's tangent plane has no counterpart."""
SURFACE_POINTS, PLACES, MEDIAN_POINTS = 20_000, 1800, 12
"""Points of a surface that are matched, places at which its deviation is measured, and the nearest points whose median
is the measurement of a place, because a single match may be wrong."""
PATCH_WIDTH = 0.07
"""Standard deviation (canonical) of the bump that is tested for: a few places wide."""
RESIDUAL_RANGES = (*RANGES, 0.025)
"""Standard deviations (canonical) of the Gaussians that make up the correlation of measured residuals."""
LARGEST_RESIDUAL = 3.0
"""A residual counts at most so many standard deviations for the variances of a family."""
LEAST_UNCORRELATED = 1e-7
"""Least variance of the uncorrelated part (canonical units squared); a smaller one is singular in floating point."""
USUAL_PLACES, PRIOR_PLACES = 32, 8
"""Places of members that the usual score at a point is taken from, and how many of them the mean over the whole shape
counts for."""
LARGEST_USUAL, LEAST_USUAL = 10.0, 0.2
"""Largest score of a member that counts, and least usual score."""
INTERPOLATED = 4
"""Nearest places that the deviation of a vertex is interpolated from."""


def departure(shape: ShapeGaussian, scan: Surface, start: Similarity, noise: float, sided: bool) -> float:
    """How far a scan departs from the family: the natural logarithm of the mean squared Mahalanobis length of a
    measurement, 0 where all is as the Gaussian has it. scan: canonical, its points of standard deviation ``noise``;
    start: its pose, as found."""
    shape = shape.part(COARSE)
    placed = fit_from_pose(shape, scan, start, noise, DEPARTURE_ROUNDS, sided)
    index, offset, _ = _offsets(shape, placed, scan.thinned(DEPARTURE_POINTS).moved(placed.similarity), sided)
    seen = shape.along(index, placed.normals[index], POSE_SD)
    variance = np.full(len(index), (noise * placed.similarity.scale) ** 2 + (POINT_SLACK * shape.spacing) ** 2)
    white = solve_triangular(shape.factored(seen, variance), offset, lower=True, check_finite=False)
    return float(np.log(np.minimum(white**2, LARGEST_DEPARTURE**2).mean()))


def deviations(
    shape: ShapeGaussian,
    placed: FittedShape,
    surface: Surface,
    sigma: NDArray,
    sided: bool,
    residual: NDArray,
    usual: NDArray,
) -> NDArray[np.float64]:
    """Deviation (n,) of each vertex over the usual one there: above 0 outside, below 0 inside of where the family and
    the rest of the scan have the surface.

    surface: vertices with their normals in the scan's canonical frame; sigma (n,): their own standard deviation there;
    placed: the family's shape on that scan; residual (6,): see `residual_variances`; usual (k,): see `usual_scores`.
    """
    found = patch_scores(shape, surface_offsets(shape, placed, surface, sigma, sided), residual)
    moved = surface.moved(placed.similarity)
    away, which = found.nearest(shape, moved)
    share = 1 / (away + 1e-3) ** 2
    value = found.value / usual[found.index]
    return (share * value[which]).sum(axis=1) / share.sum(axis=1)


@dataclass(frozen=True)
class SurfaceOffsets:
    """Offsets of a scan's surface from the family's shape at m places, in the family's frame."""

    places: Surface
    index: NDArray[np.intp]  # (m,), points of the shape that the places match
    normals: NDArray[np.float64]  # (m, 3), of the fitted shape there
    offset: NDArray[np.float64]  # (m,), along the normals, from the mean shape
    residual: NDArray[np.float64]  # (m,), the part of the offset that the modes do not explain
    noise: NDArray[np.float64]  # (m,), standard deviation of the surface itself
    sign: NDArray[np.float64]  # (m,), 1 where it faces as the shape does, else -1


def surface_offsets(
    shape: ShapeGaussian, placed: FittedShape, surface: Surface, sigma: NDArray, sided: bool
) -> SurfaceOffsets:
    """Offsets of a surface with standard deviations ``sigma`` (n,), all in the scan's canonical frame."""
    dense = np.random.default_rng(0).permutation(len(surface.points))[:SURFACE_POINTS]
    moved = Surface(surface.points[dense], surface.normals[dense]).moved(placed.similarity)
    index, offset, sign = _offsets(shape, placed, moved, sided)
    normals = placed.normals[index]
    modes = np.einsum("q,qmk->mk", placed.posterior.coefficients, shape.modes[:, index])
    explained = (modes * normals).sum(axis=1)
    chosen = spread_points(moved.points, moved.size / np.sqrt(PLACES) * 2.5)
    chosen = chosen[:: max(1, -(-len(chosen) // PLACES))]
    # neighbours on the same side
    code = oriented_points(moved.points, normals, NORMAL_REACH * shape.size)
    near = np.reshape(KDTree(code).query(code[chosen], k=min(MEDIAN_POINTS, len(code)))[1], (len(chosen), -1))
    residual = np.median((offset - explained)[near], axis=1)
    return SurfaceOffsets(
        Surface(moved.points[chosen], moved.normals[chosen]),
        index[chosen],
        normals[chosen],
        residual + explained[chosen],
        residual,
        sigma[dense][chosen] * placed.similarity.scale,
        sign[chosen],
    )


def residual_variances(found: Sequence[SurfaceOffsets]) -> NDArray[np.float64]:
    """Variances (6,) of the residuals of members that the shape was not learned from: one for each of the
    RESIDUAL_RANGES, and one for the uncorrelated part. Unlike the residual of the shape itself they contain wrong
    matches, without which the score test would trust every single point."""
    edges = np.geomspace(0.015, 0.8, 22)
    # sums over pairs, by distance: of products of residuals, and of the correlation of each range
    total, alike = np.zeros(len(edges) + 1), np.zeros((len(edges) + 1, 1 + len(RESIDUAL_RANGES)))
    variance = []
    for one in found:
        largest = LARGEST_RESIDUAL * one.residual.std()
        value = np.clip(one.residual, -largest, largest)
        variance.append((value**2).mean())
        first, second = np.triu_indices(len(value), 1)
        away = np.linalg.norm(one.places.points[first] - one.places.points[second], axis=1)
        # most pairs are far apart and all alike
        near = (away < 0.15) | (np.arange(len(away)) % 16 == 0)
        first, second, away = first[near], second[near], away[near]
        cosine = (one.normals[first] * one.normals[second]).sum(axis=1)
        bin = np.digitize(away, edges)
        bells = np.exp(-0.5 * (away[:, None] / np.array(RESIDUAL_RANGES)) ** 2)
        total += np.bincount(bin, value[first] * value[second] * cosine, len(total))
        for place, column in enumerate([np.ones(len(away)), *bells.T]):
            alike[:, place] += np.bincount(bin, column * cosine**2, len(total))
    # below the first edge, pairs mostly share a match
    inside = 1 + np.flatnonzero(alike[1:-1, 0] > 0)
    weight = alike[inside, :1]
    shares = nnls(alike[inside, 1:] / weight, total[inside] / weight[:, 0])[0]
    whole = float(np.mean(variance))
    shares *= min(1.0, 0.98 * whole / max(shares.sum(), 1e-30))
    return np.append(shares, max(whole - shares.sum(), LEAST_UNCORRELATED))


@dataclass(frozen=True)
class PatchScores:
    """Score of the patch around each of m places of a scan's surface, in the family's frame."""

    places: Surface
    index: NDArray[np.intp]  # (m,), points of the shape that the places match
    value: NDArray[np.float64]  # (m,), in standard deviations, if the family were exactly Gaussian

    def nearest(self, shape: ShapeGaussian, surface: Surface) -> tuple[NDArray, NDArray]:
        """Distances (n, k) to the nearest places on the same side, and which they are (n, k)."""
        reach = NORMAL_REACH * shape.size
        tree = KDTree(oriented_points(self.places.points, self.places.normals, reach))
        code = oriented_points(surface.points, surface.normals, reach)
        away, which = tree.query(code, k=min(INTERPOLATED, len(self.index)))
        return np.reshape(away, (len(code), -1)), np.reshape(which, (len(code), -1))


def patch_scores(shape: ShapeGaussian, found: SurfaceOffsets, residual: NDArray) -> PatchScores:
    """Whether the patch around each place is displaced: the score test of a bump of unknown height in a Gaussian.

    g' Q d / sqrt(g' Q g), where g is the bump, Q the precision of the measurements and d their offsets from the mean (a
    matched filter; Kay 1998, "Detection theory", section 4.4). Offsets that the modes, the pose or the usual residual
    of a member (`residual_variances`) explain do not count.
    """
    seen = shape.along(found.index, found.normals, POSE_SD)
    points = found.places.points
    square = ((points[:, None] - points) ** 2).sum(axis=2)
    cosine = found.normals @ found.normals.T
    covariance = np.zeros_like(square)
    for variance, reach in zip(residual[:-1], RESIDUAL_RANGES, strict=True):
        if variance > 0:
            covariance += variance * np.exp(-square / (2 * reach**2))
    covariance = covariance * cosine + seen.loadings @ seen.loadings.T
    covariance[np.diag_indices_from(covariance)] += residual[-1] + found.noise**2
    # all that is near moves along the normal of the place: both sides of a thin wall, a sheet seen from either side
    bump = np.exp(-square / (2 * PATCH_WIDTH**2)) * cosine
    precise = cho_solve((cholesky(covariance, lower=True), True), np.column_stack([bump, found.offset]))
    spread = np.sqrt(np.maximum((bump * precise[:, :-1]).sum(axis=0), 1e-12))
    return PatchScores(found.places, found.index, found.sign * (bump.T @ precise[:, -1]) / spread)


def usual_scores(shape: ShapeGaussian, found: Sequence[PatchScores]) -> NDArray[np.float64]:
    """Root mean square score (n,) of members around each point of the shape, which was learned without them. It divides
    a deviation, because the family is not exactly Gaussian and some places are hard to match."""
    index = np.concatenate([one.index for one in found])
    square = np.clip(np.concatenate([one.value for one in found]), -LARGEST_USUAL, LARGEST_USUAL) ** 2
    code = oriented_points(shape.points, shape.normals, NORMAL_REACH * shape.size)
    near = np.reshape(KDTree(code[index]).query(code, k=min(USUAL_PLACES, len(index)))[1], (len(code), -1))
    total = square[near].sum(axis=1) + PRIOR_PLACES * square.mean()
    return np.maximum(np.sqrt(total / (near.shape[1] + PRIOR_PLACES)), LEAST_USUAL)


def _offsets(
    shape: ShapeGaussian, placed: FittedShape, moved: Surface, sided: bool
) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.float64]]:
    """For points (m,) in the family's frame: the point of the shape that each matches, its offset from the mean along
    the normal, and 1 where the surface faces as the shape does, else -1."""
    template = Template(shape, placed.points, sided)
    index = template.match(moved)[1]
    normals = placed.normals[index]
    across = ((moved.points - placed.points[index]) * normals).sum(axis=1)
    distance = np.linalg.norm(moved.points - placed.points[index], axis=1)
    unmatched = distance > UNMATCHED * np.abs(across) + 3 * shape.spacing
    across = np.where(unmatched, np.where(across < 0, -distance, distance), across)
    offset = across + ((placed.points - shape.points)[index] * normals).sum(axis=1)
    facing = np.where((moved.normals * normals).sum(axis=1) < 0, -1.0, 1.0)
    return index, offset, facing
