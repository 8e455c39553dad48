"""How far a scan, as edited, belongs to the family of a profile."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..geometry.normals import face_normals, normals_of
from ..prior.profile.deviation import departure
from ..prior.profile.profile import Membership, load_profile, membership
from ..registration.icp import Surface
from ..scan.prepare import PreparedScan
from .stack import EditSession

POINTS = 20_000
"""Of an edited surface that are compared with the family."""
DEPARTS = 3.0
"""Standard deviations from which a place departs from its family."""


def member_of(path: Path, scan: PreparedScan) -> Membership:
    """A scan under the profile of its family. Raises OmomiError: those of `load_profile`; NOT_REGISTERED for a scan
    that is no member."""
    found = membership(load_profile(path), scan)
    found.require_likeness(scan.name)
    return found


def family_check(
    path: Path, piece: EditSession, strengths: Sequence[float]
) -> tuple[dict[str, Any], NDArray[np.float32]]:
    """What there is to say of a scan with its edits at strengths: {"name": of the profile, "typical": 0 .. 1, see
    `Profile.score`, "outside": share of the surface that departs}, and by how many standard deviations every vertex of
    the body departs, f32 (n,), outwards positive. Raises as `member_of`.
    """
    scan, stack = piece.subject.scan, piece.stack
    found, edited = member_of(path, scan), stack.edited(strengths)
    vertices, faces = stack.shell.vertices + edited.move, stack.shell.faces
    normals = normals_of(vertices, faces)
    finite = np.isfinite(vertices).all(axis=1)
    sigma = np.maximum(np.hypot(stack.shell.sigma, edited.doubt), scan.noise)
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
