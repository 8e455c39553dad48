"""What a family's profile makes of a scan: the surface that was not measured, and how plausible the scan is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from ..errors import ErrorCode, OmomiError
from ..field.guess import Guess
from ..scan.prepare import PreparedScan
from ..scan.register import Surface
from .deviation import departure, deviations
from .gaussian import ShapeGaussian
from .posing import NOISIEST, POSE_SD, SLACK, Placed, place
from .profile import Profile

SOURCE = "the family's profile"
POINTS = 20_000
"""Points of the scan that are looked at."""
JUDGED = 1500
"""Points of the shape whose standard deviation is worked out; the others take that of the nearest."""
VOTES = 12
DENSER = 3
"""Neighbours half way to which points are added: the field wants them closer than the profile stores them."""
UNLIKE = 1e-4
"""A scan with a lower score is no member."""


@dataclass(frozen=True)
class Membership:
    """A scan under a profile. placed: the family's shape on it; score: 0 .. 1, see `Profile.score`; guess: all of the
    family's surface, in the scan's canonical frame."""

    profile: Profile
    placed: Placed
    score: float
    guess: Guess

    def deviations(self, points: NDArray, normals: NDArray, sigma: NDArray) -> NDArray[np.float64]:
        """Per vertex (n,) of a surface of the scan, in standard deviations; see `deviation.deviations`."""
        surface = Surface(np.asarray(points, np.float64), np.asarray(normals, np.float64))
        return deviations(self.profile.shape, self.placed, surface, sigma, self.profile.sided)

    def require_likeness(self, name: str) -> None:
        """Raises OmomiError(NOT_REGISTERED) for a scan that is no member of the family."""
        if self.score < UNLIKE:
            raise OmomiError(ErrorCode.NOT_REGISTERED, f"{name} does not look like the family of this profile.")


def membership(profile: Profile, scan: PreparedScan) -> Membership:
    """Bring the family's shape to a scan of one of its members, in any pose and scale, whole or in part."""
    surface = Surface(scan.points.astype(np.float64), scan.normals.astype(np.float64)).thinned(POINTS)
    noise = min(scan.noise, NOISIEST)
    placed = place(profile.shape, surface, noise, profile.sided)
    departs = departure(profile.shape, surface, placed.similarity, noise, profile.sided)
    return Membership(profile, placed, profile.score(departs), guess_of(profile, placed, surface))


def guess_of(profile: Profile, placed: Placed, scan: Surface) -> Guess:
    """The family's surface as the scan has it; sigma is the posterior's."""
    shape, back = profile.shape, placed.similarity.inverse()
    normals = placed.normals
    if not profile.sided:
        normals = normals * _facing(placed, scan.moved(placed.similarity))[:, None]
    judged = np.sort(np.random.default_rng(0).permutation(len(shape.points))[:JUDGED])
    variance = shape.variance(placed.posterior, shape.along(judged, placed.normals[judged], POSE_SD))
    nearest = KDTree(shape.points[judged]).query(shape.points)[1]
    # points stand for the surface, which may lie a little beside them
    sigma = np.sqrt(variance + (SLACK * shape.spacing) ** 2)[nearest] * back.scale
    points, normals, sigma = _denser(shape, placed.points, normals, sigma)
    return Guess(
        back.points(points).astype(np.float32),
        back.directions(normals).astype(np.float32),
        sigma.astype(np.float32),
        SOURCE,
    )


def _facing(placed: Placed, moved: Surface) -> NDArray[np.float64]:
    """1 or -1 (n,): which side of a sheet the scan around shows."""
    near = KDTree(moved.points).query(placed.points, k=min(VOTES, len(moved.points)))[1]
    votes = np.einsum("nvk,nk->n", moved.normals[near], placed.normals)
    return np.where(votes < 0, -1.0, 1.0)


def _denser(
    shape: ShapeGaussian, points: NDArray, normals: NDArray, sigma: NDArray
) -> tuple[NDArray, NDArray, NDArray]:
    """Points (n, 3), normals and sigma, and the same half way to neighbours on the same side."""
    near = KDTree(points).query(points, k=min(DENSER + 1, len(points)))[1][:, 1:]
    one, other = np.repeat(np.arange(len(points)), near.shape[1]), near.ravel()
    alike = (normals[one] * normals[other]).sum(axis=1) > 0.7
    once = alike & ((one < other) | ~(near[other] == one[:, None]).any(axis=1))
    once &= np.linalg.norm(points[one] - points[other], axis=1) < 3 * shape.spacing
    one, other = one[once], other[once]
    between = normals[one] + normals[other]
    between /= np.linalg.norm(between, axis=1, keepdims=True)
    # on the circle through both: half way between the two tangent planes
    chord = points[other] - points[one]
    bulge = ((chord * normals[other]).sum(axis=1) - (chord * normals[one]).sum(axis=1)) / 8
    middle = (points[one] + points[other]) / 2 + bulge[:, None] * between
    return (
        np.concatenate([points, middle]),
        np.concatenate([normals, between]),
        np.concatenate([sigma, (sigma[one] + sigma[other]) / 2]),
    )
