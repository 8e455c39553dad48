"""A scan under a family's profile: how plausible it is as a member, and the completion of what was not measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from ...errors import ErrorCode, OmomiError
from ...field.completion_prior import CompletionPrior
from ...registration.icp import Surface
from ...scan.prepare import PreparedScan
from .deviation import departure, deviations
from .fitted_shape import NOISIEST, FittedShape, fit_shape, sigma_of
from .gaussian import ShapeGaussian
from .profile import Profile

SOURCE = "the family's profile"
POINTS = 20_000
"""Points of the scan that the shape is fitted to."""
SIGMA_POINTS = 1500
"""Points of the shape whose standard deviation is computed; the others take that of the nearest."""
VOTERS = 12
"""Nearest scan points that decide which side of a sheet the scan shows."""
NEIGHBOURS, SAME_SIDE = 6, 0.7
"""Neighbours between which points are added, and the least cosine between normals on the same side of a wall."""
ADDED_POINTS = 8
"""Points that are added for each point of the shape: the field needs them closer than the profile stores them."""
WEIGHT = 1.0
"""The points count like measured ones, because both sides of a thin wall have to count to close it."""
LEAST_SCORE = 0.006
"""A scan with a lower score is no member. Set on 12 skulls and 12 teeth that neither their profiles nor the benchmark
knows, whole and with a third cut off (none below 0.018), and on teeth and skulls under the other profile, household
things, cups and flakes (none above 0.0021): midway between the two, in ratio."""


@dataclass(frozen=True)
class Membership:
    """A scan under a profile."""

    profile: Profile
    placed: FittedShape  # the family's shape, fitted to the scan
    score: float  # 0 .. 1, see `Profile.score`
    completion: CompletionPrior  # the whole surface of ``placed``, in the scan's canonical frame

    def deviations(self, points: NDArray, normals: NDArray, sigma: NDArray) -> NDArray[np.float64]:
        """Deviations (n,) of the vertices of a surface of the scan from the family; see `deviation.deviations`."""
        surface = Surface(np.asarray(points, np.float64), np.asarray(normals, np.float64))
        profile = self.profile
        return deviations(profile.shape, self.placed, surface, sigma, profile.sided, profile.residual, profile.usual)

    def require_likeness(self, name: str) -> None:
        """Raises OmomiError(NOT_REGISTERED) for a scan that is no member of the family."""
        if self.score < LEAST_SCORE:
            raise OmomiError(ErrorCode.NOT_REGISTERED, f"{name} does not look like the family of this profile.")


def membership(profile: Profile, scan: PreparedScan) -> Membership:
    """Bring the family's shape to a scan of one of its members, in any pose and scale, whole or in part."""
    surface = Surface(scan.points.astype(np.float64), scan.normals.astype(np.float64)).thinned(POINTS)
    noise = min(scan.noise, NOISIEST)
    placed = fit_shape(profile.shape, surface, noise, profile.sided)
    departs = departure(profile.shape, surface, placed.similarity, noise, profile.sided)
    return Membership(profile, placed, profile.score(departs), family_prior(profile, placed, surface))


def family_prior(profile: Profile, placed: FittedShape, scan: Surface) -> CompletionPrior:
    """The surface of the family's shape on a scan; sigma is that of the posterior, calibrated."""
    shape, back = profile.shape, placed.similarity.inverse()
    normals = placed.normals
    if not profile.sided:
        normals = normals * _facing(placed, scan.moved(placed.similarity))[:, None]
    some = np.sort(np.random.default_rng(0).permutation(len(shape.points))[:SIGMA_POINTS])
    nearest = KDTree(shape.points[some]).query(shape.points)[1]
    sigma = profile.sigma_factor * sigma_of(shape, placed, some)[nearest] * back.scale
    points, normals, sigma = _denser(shape, placed.points, normals, sigma)
    return CompletionPrior(
        back.points(points).astype(np.float32),
        back.directions(normals).astype(np.float32),
        sigma.astype(np.float32),
        SOURCE,
        WEIGHT,
    )


def _facing(placed: FittedShape, moved: Surface) -> NDArray[np.float64]:
    """1 or -1 (n,): which side of a sheet the scan points around each point face."""
    near = KDTree(moved.points).query(placed.points, k=min(VOTERS, len(moved.points)))[1]
    votes = np.einsum("nvk,nk->n", moved.normals[near], placed.normals)
    return np.where(votes < 0, -1.0, 1.0)


def _denser(
    shape: ShapeGaussian, points: NDArray, normals: NDArray, sigma: NDArray
) -> tuple[NDArray, NDArray, NDArray]:
    """Points (n, 3), normals and sigma with ADDED_POINTS more for each point.

    They are drawn from triangles with two neighbours on the same side, curved by Phong tessellation (Boubekeur and
    Alexa 2008, section 3).
    """
    rng = np.random.default_rng(0)
    away, near = KDTree(points).query(points, k=min(NEIGHBOURS + 1, len(points)))
    alike = np.einsum("nk,nvk->nv", normals, normals[near]) > SAME_SIDE
    near = np.where(alike & (away < 3 * shape.spacing), near, np.arange(len(points))[:, None])
    corners = np.tile(np.arange(len(points)), ADDED_POINTS)
    beside = near[corners[:, None], rng.integers(near.shape[1], size=(len(corners), 2))]
    corners = np.concatenate([corners[:, None], beside], axis=1)
    share = rng.dirichlet(np.ones(3), len(corners))
    flat = np.einsum("nc,nck->nk", share, points[corners])
    # half of the way to the tangent planes of the corners: exact on a sphere to second order
    above = np.einsum("nck,nck->nc", points[corners] - flat[:, None], normals[corners])
    bent = flat + np.einsum("nc,nc,nck->nk", share, above, normals[corners]) / 2
    turned = np.einsum("nc,nck->nk", share, normals[corners])
    turned /= np.linalg.norm(turned, axis=1, keepdims=True)
    return (
        np.concatenate([points, bent]),
        np.concatenate([normals, turned]),
        np.concatenate([sigma, (share * sigma[corners]).sum(axis=1)]),
    )
