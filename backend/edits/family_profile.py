"""The profile of a family, learned from scans that may include some that cannot be used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import OmomiError
from ..formats.raw_scan import RawScan
from ..prior.profile.family import Member, learn_profile
from ..prior.profile.gaussian import ShapeGaussian
from ..prior.profile.profile import Profile
from ..scan.prepare import prepare
from .fitted_scan import Progress

READING = 0.1
"""Share of the work that is reading the scans."""


def align_family(scans: Sequence[RawScan], on_progress: Progress) -> tuple[Profile, dict[str, Any]]:
    """The profile of the family that scans are members of, and what there is to say of it: {"members": how many,
    "left_out": [{"name", "why"}], "explained": share of the variation that the modes explain, "warnings"}.

    on_progress may raise. Raises OmomiError: those of `learn_profile`.
    """
    members: list[Member] = []
    left_out: list[dict[str, str]] = []
    for number, scan in enumerate(scans):
        on_progress(READING * number / len(scans), f"reading {scan.name}")
        try:
            members.append(Member.of(prepare(scan)))
        except OmomiError as error:
            # one bad scan must not cost the others
            left_out.append({"name": scan.name, "why": error.message})
    profile = learn_profile(members, lambda done, text: on_progress(READING + (1 - READING) * done, text))
    warnings = [f"{one['name']} is left out: {one['why']}" for one in left_out]
    summary = {"members": len(members), "left_out": left_out, "explained": explained(profile.shape)}
    return profile, summary | {"warnings": warnings}


def explained(shape: ShapeGaussian) -> float:
    """Share of the variation of a family that its modes explain."""
    by_modes = float(np.square(shape.modes).sum()) / max(len(shape.points), 1)
    left = 3 * float(np.square(shape.amplitude).mean())
    return by_modes / max(by_modes + left, 1e-30)
