"""A profile: the shapes of one family of scans, learned from its members, as a file NAME.profile. Under it a scan has
a plausibility as a member, and a completion of what was not measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree
from scipy.stats import t as student

from ...errors import ErrorCode, OmomiError
from ...field.completion_prior import CompletionPrior
from ...formats.files import require, write_whole
from ...formats.tables import LARGEST_FILE, load_tables, pack, table
from ...registration.icp import Surface
from ...scan.prepare import PreparedScan
from .deviation import RESIDUAL_RANGES, departure, deviations
from .fitted_shape import NOISIEST, FittedShape, fit_shape, sigma_of
from .gaussian import RANGES, ShapeGaussian

KIND = "shape profile, version 3"
FEWEST_MEMBERS, MOST_MEMBERS = 3, 200
MOST_POINTS, MOST_MODES = 50_000, 100
_LARGEST = 1e2
"""Largest number in a file; canonical coordinates lie within [-1, 1]."""
LEAST_SPREAD = 0.05
"""Least spread of the departures of members (natural logarithms): they differ by so much by chance."""
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
LEAST_SCORE = 0.006
"""A scan with a lower score is no member. Set on 12 skulls and 12 teeth that neither their profiles nor the benchmark
knows, whole and with a third cut off (none below 0.018), and on teeth and skulls under the other profile, household
things, cups and flakes (none above 0.0021): midway between the two, in ratio."""


@dataclass(frozen=True)
class Profile:
    """A family of shapes."""

    shape: ShapeGaussian
    sided: bool  # its members are solids, whose walls have two sides; a sheet without thickness faces either way
    departures: NDArray[np.float64]  # (N,), of every member from the others, see `deviation.departure`
    residual: NDArray[np.float64]  # (6,), variances of what the modes leave of a member, `deviation.residual_variances`
    usual: NDArray[np.float64]  # (n,), rms of the patch scores of members at each point, `deviation.usual_scores`
    sigma_factor: float  # error over the standard deviation of the Gaussian where nothing was measured
    members: tuple[str, ...]  # their names

    def score(self, departure: float) -> float:
        """Plausibility of a member with this departure: the expected share (0 .. 1) of members that depart more.

        The distribution is the predictive one of a sample with unknown mean and variance, Student's t. The spread is
        that of the upper half, because members that are nearly copies of others would widen it."""
        count, middle = len(self.departures), float(np.median(self.departures))
        above = self.departures[self.departures >= middle] - middle
        spread = max(float(np.sqrt((above**2).mean())), LEAST_SPREAD) * np.sqrt(1 + 1 / count)
        return float(student.sf((departure - middle) / spread, count - 1))


def save_profile(path: Path, profile: Profile) -> None:
    """Write a profile; equal profiles give equal files. Raises OmomiError(DISK); what was at ``path`` stays then."""
    shape = profile.shape
    arrays = {
        "points": shape.points,
        "normals": shape.normals,
        "modes": shape.modes,
        "amplitude": shape.amplitude,
        "shares": shape.shares,
        "departures": profile.departures,
        "rest": profile.residual,
        "usual": profile.usual,
        "stretch": np.array([profile.sigma_factor]),
    }
    metadata = {"kind": KIND, "sided": "yes" if profile.sided else "no", "members": "\n".join(profile.members)}
    # single precision is finer than any scan and halves the file
    write_whole(Path(path), pack({name: np.asarray(array, np.float32) for name, array in arrays.items()}, metadata))


def load_profile(path: Path) -> Profile:
    """Read a profile. Raises OmomiError(UNREADABLE_FILE) for a file that is not one in every part."""
    return load_tables(path, LARGEST_FILE, _profile)


def _profile(arrays: Mapping[str, NDArray], metadata: Mapping[str, str]) -> Profile:
    require(metadata.get("kind") == KIND, "it is not a profile in a format that this Omomi reads")
    points = _numbers(arrays, "points", (None, 3))
    count = len(points)
    require(32 <= count <= MOST_POINTS, f"it has {count} points, not 32 to {MOST_POINTS}")
    require(np.ptp(points, axis=0).max() > 1e-3, "its shape has no extent")
    normals = _numbers(arrays, "normals", (count, 3))
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    require((np.abs(length - 1) < 1e-3).all(), "its normals are not of length one")
    modes = _numbers(arrays, "modes", (None, count, 3))
    require(len(modes) <= MOST_MODES, f"it has more than {MOST_MODES} modes")
    amplitude, shares = _numbers(arrays, "amplitude", (count,)), _numbers(arrays, "shares", (len(RANGES),))
    require((amplitude > 0).all(), "its residual is not above 0 everywhere")
    require((shares >= 0).all() and shares.sum() <= 1, "the shares of its residual are not between 0 and 1")
    departures, usual = _numbers(arrays, "departures", (None,)), _numbers(arrays, "usual", (count,))
    residual = _numbers(arrays, "rest", (len(RESIDUAL_RANGES) + 1,))
    require((residual >= 0).all() and residual[-1] > 0, "the variances of its departures are not above 0")
    sigma_factor = float(_numbers(arrays, "stretch", (1,))[0])
    require((usual > 0).all() and sigma_factor > 0, "its calibration is not above 0")
    members = tuple(metadata.get("members", "").split("\n"))
    matched = FEWEST_MEMBERS <= len(departures) == len(members) <= MOST_MEMBERS
    require(matched, "its members do not match its departures")
    sided = metadata.get("sided")
    require(sided in ("yes", "no"), "whether its members have two sides is missing")
    shape = ShapeGaussian(points, normals / length, modes, amplitude, shares)
    return Profile(shape, sided == "yes", departures, residual, usual, sigma_factor, members)


def _numbers(arrays: Mapping[str, NDArray], name: str, shape: tuple[int | None, ...]) -> NDArray[np.float64]:
    return table(arrays, name, shape, _LARGEST).astype(np.float64)


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


def member_of(path: Path, scan: PreparedScan) -> Membership:
    """A scan under the profile of its family, read from a file. Raises OmomiError: those of `load_profile`;
    NOT_REGISTERED for a scan that is no member."""
    found = membership(load_profile(path), scan)
    found.require_likeness(scan.name)
    return found


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
    )


def _facing(placed: FittedShape, moved: Surface) -> NDArray[np.float64]:
    """1 or -1 (n,): which side of a sheet the scan points around each point face."""
    near = KDTree(moved.points).query(placed.points, k=min(VOTERS, len(moved.points)))[1]
    votes = np.einsum("nvk,nk->n", moved.normals[near], placed.normals)
    return np.where(votes < 0, -1.0, 1.0)


def _denser(
    shape: ShapeGaussian, points: NDArray, normals: NDArray, sigma: NDArray
) -> tuple[NDArray, NDArray, NDArray]:
    """Points (n, 3), normals and sigma with ADDED_POINTS more for each point, drawn from triangles with two neighbours
    on the same side, curved by Phong tessellation (Boubekeur and Alexa 2008, section 3)."""
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
