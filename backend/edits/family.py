"""Families of scans: the profile that is learned from their members, and how far a scan, as edited, belongs to one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import OmomiError
from ..formats.raw_scan import RawScan
from ..geometry.normals import face_normals, normals_of
from ..prior.profile.deviation import departure
from ..prior.profile.family import Member, learn_profile
from ..prior.profile.gaussian import ShapeGaussian
from ..prior.profile.profile import Profile, member_of
from ..registration.icp import Surface
from ..scan.prepare import prepare
from .fitted_scan import OnProgress
from .stack import EditSession

READING = 0.1
"""Share of learning a family that is reading its scans."""
POINTS = 20_000
"""Of an edited surface that are compared with the family."""
DEPARTS = 3.0
"""Standard deviations from which a place departs from its family."""


def align_family(
    scans: Sequence[tuple[str, Callable[[], RawScan]]], on_progress: OnProgress
) -> tuple[Profile, dict[str, Any]]:
    """The profile of the family that scans are members of, and what there is to say of it.

    scans: the name of each, and a function that reads it. {"members": {name: plausibility 0 .. 1, see `Profile.score`},
    "left_out": [{"name", "why"}], "modes", "sided", "explained": share of the variation that the modes explain,
    "warnings"}. on_progress may raise. Raises OmomiError: those of `learn_profile`.
    """
    members: list[Member] = []
    left_out: list[dict[str, str]] = []
    for number, (name, read) in enumerate(scans):
        on_progress(READING * number / len(scans), f"reading {name}")
        try:
            members.append(Member.of(prepare(read())))
        except OmomiError as error:
            # one bad scan must not cost the others
            left_out.append({"name": name, "why": error.message})
    profile = learn_profile(members, lambda done, text: on_progress(READING + (1 - READING) * done, text))
    departures = zip(profile.members, profile.departures, strict=True)
    return profile, {
        "members": {name: profile.score(departure) for name, departure in departures},
        "left_out": left_out,
        "modes": len(profile.shape.modes),
        "sided": profile.sided,
        "explained": _explained(profile.shape),
        "warnings": [f"{one['name']} is left out: {one['why']}" for one in left_out],
    }


def _explained(shape: ShapeGaussian) -> float:
    """Share of the variation of a family that its modes explain."""
    by_modes = float(np.square(shape.modes).sum()) / max(len(shape.points), 1)
    left = 3 * float(np.square(shape.amplitude).mean())
    return by_modes / max(by_modes + left, 1e-30)


def family_check(
    path: Path, session: EditSession, strengths: Sequence[float]
) -> tuple[dict[str, Any], NDArray[np.float32]]:
    """What there is to say of a scan with its edits at strengths: {"name": of the profile, "typical": 0 .. 1, see
    `Profile.score`, "outside": share of the surface that departs}, and by how many standard deviations every vertex of
    the mesh departs, f32 (n,), outwards positive. Raises as `member_of`.
    """
    scan, stack = session.fitted.scan, session.stack
    found, edited = member_of(path, scan), stack.edited(strengths)
    vertices, faces = stack.mesh.vertices + edited.move, stack.mesh.faces
    normals = normals_of(vertices, faces)
    finite = np.isfinite(vertices).all(axis=1)
    sigma = np.maximum(np.hypot(stack.mesh.sigma, edited.doubt), scan.noise)
    deviation = np.zeros(len(vertices))
    deviation[finite] = found.deviations(vertices[finite], normals[finite], sigma[finite])
    typical = found.score
    if edited.move.any():
        surface = Surface(vertices[finite], normals[finite]).thinned(POINTS)
        profile = found.profile
        departs = departure(profile.shape, surface, found.placed.similarity, scan.noise, profile.sided)
        typical = profile.score(departs)
    area = np.linalg.norm(face_normals(np.asarray(vertices, np.float32), faces), axis=1)
    outside = (np.abs(deviation) > DEPARTS)[faces].mean(axis=1) if len(faces) else np.zeros(0)
    share = float((outside * area).sum() / max(float(area.sum()), 1e-30))
    return {"name": Path(path).stem, "typical": typical, "outside": share}, deviation.astype(np.float32)
