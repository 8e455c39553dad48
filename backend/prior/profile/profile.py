"""A profile: the shapes of one family of scans, learned from its members, as a file NAME.profile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from ...formats.files import FormatError, write_whole
from ...formats.safetensors import LARGEST_FILE, pack
from ...formats.tables import load_tables, table
from .deviation import RESIDUAL_RANGES
from .gaussian import RANGES, ShapeGaussian

KIND = "shape profile, version 3"
FEWEST_MEMBERS, MOST_MEMBERS = 3, 200
MOST_POINTS, MOST_MODES = 50_000, 100
_LARGEST = 1e2
"""Largest number in a file; canonical coordinates lie within [-1, 1]."""
LEAST_SPREAD = 0.05
"""Least spread of the departures of members (natural logarithms): they differ by so much by chance."""


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

        One half is typical. The distribution is the predictive one of a sample with unknown mean and variance,
        Student's t. The spread is that of the upper half, because members that are nearly copies of others depart by
        next to nothing and would widen it.
        """
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
    if metadata.get("kind") != KIND:
        raise FormatError("it is not a profile that this Omomi knows")
    points = _numbers(arrays, "points", (None, 3))
    count = len(points)
    if not 32 <= count <= MOST_POINTS:
        raise FormatError(f"it has {count} points, not 32 to {MOST_POINTS}")
    if np.ptp(points, axis=0).max() <= 1e-3:
        raise FormatError("its shape has no extent")
    normals = _numbers(arrays, "normals", (count, 3))
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    if not (np.abs(length - 1) < 1e-3).all():
        raise FormatError("its normals are not of length one")
    modes = _numbers(arrays, "modes", (None, count, 3))
    if len(modes) > MOST_MODES:
        raise FormatError(f"it has more than {MOST_MODES} modes")
    amplitude, shares = _numbers(arrays, "amplitude", (count,)), _numbers(arrays, "shares", (len(RANGES),))
    if not (amplitude > 0).all():
        raise FormatError("its residual is not above 0 everywhere")
    if not ((shares >= 0).all() and shares.sum() <= 1):
        raise FormatError("the shares of its residual are not shares")
    departures, usual = _numbers(arrays, "departures", (None,)), _numbers(arrays, "usual", (count,))
    residual = _numbers(arrays, "rest", (len(RESIDUAL_RANGES) + 1,))
    if not ((residual >= 0).all() and residual[-1] > 0):
        raise FormatError("the variances of its departures are not above 0")
    sigma_factor = float(_numbers(arrays, "stretch", (1,))[0])
    if not ((usual > 0).all() and sigma_factor > 0):
        raise FormatError("its calibration is not above 0")
    members = tuple(metadata.get("members", "").split("\n"))
    if not FEWEST_MEMBERS <= len(departures) == len(members) <= MOST_MEMBERS:
        raise FormatError("it does not say what its members are")
    sided = metadata.get("sided")
    if sided not in ("yes", "no"):
        raise FormatError("it does not say whether its members have two sides")
    shape = ShapeGaussian(points, normals / length, modes, amplitude, shares)
    return Profile(shape, sided == "yes", departures, residual, usual, sigma_factor, members)


def _numbers(arrays: Mapping[str, NDArray], name: str, shape: tuple[int | None, ...]) -> NDArray[np.float64]:
    return table(arrays, name, shape, _LARGEST).astype(np.float64)
