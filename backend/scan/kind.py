"""What a scan is: points of a part of a solid's outside, a solid made of closed parts, or a sheet that stays open.

The kind decides what counts as evidence (`scan.solid`, `scan.sheet`). It is found from samples of the surface that are
looked at from all around, from the borders, and from the closed parts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from ..geometry.normals import unit, vertex_normals
from .clean import CleanScan
from .closing_faces import ClosingFaces, closing_faces
from .orientation import OrientedMesh
from .outliers import box
from .parts import in_parts
from .samples import DECIDED, SAMPLES, Samples, faces_in
from .solid import overlapping_parts

CLOSED_SHARE = 0.9
"""A solid shows closed parts on at least this share of what can be seen of it."""
WALLS = 0.02
"""A mesh whose parts are closed only once they are taken apart is a solid where more than this share of its surface is
covered by them; else it is a scan with small faults, as those of computed tomographs are."""
THIN = 0.007
"""A closed shell whose mean thickness, twice its volume over its area, is less than this share of the longest side is
no solid: a voxel of 128^3 is .0098 of it."""
BOTH_SIDES = 0.5
"""Share of the samples that are seen from both sides. A thin solid such as a leaf shows more, a shell around a cavity
next to nothing."""
OFTEN = 3
"""A side of a sample counts as seen from this many views on."""
FLAT = 0.6
"""Length of the mean normal of an open sheet."""
SHEET_SCORE, BEHIND, RAGGED = 1.0, 0.8, 0.003
"""An open surface is a sheet where more than the first is the sum of: the mean cosine between its mean normal and the
normals at its border, for where a scan of one side of a solid ends the surface turns away from the scanner; BEHIND
times the share of the samples that are seen more often from behind; and -RAGGED times the length of the border, in
sides of a square of the same area, because scanners leave ragged borders. Chosen on range images of real things, of
which the highest is .80, and on the sheets in `tests/input_kinds.py`, of which the lowest is 1.10."""
CARDS = 0.85
"""Length of the mean normal and the cosine at the border for sheets in pieces, each by itself."""
OPPOSED, SOME_OPPOSED = 0.1, 0.02
"""Share of the area whose pieces face in while others face out, or the other way, from which on the pieces are sheets;
the second where most face in, or where much is hidden, for a scanner measures nothing that is hidden."""
MUCH_HIDDEN = 0.1
FEWEST_PANELS, PANEL = 4, 0.005
"""Pieces of at least the share PANEL of the area that make a surface of panels."""


class Kind(StrEnum):
    """As what a scan is read."""

    SCAN = "scan"
    SOLID = "solid"
    SHEET = "sheet"


@dataclass(frozen=True)
class FoundKind:
    """The kind of a scan, why, and what the look at its surface has shown."""

    kind: Kind
    reason: str
    covered: float = 0.0  # share of the surface of a solid that lies inside the union of its closed parts
    closing: ClosingFaces | None = None  # of a scan, faces that a program put over its holes
    faces_in: NDArray[np.bool_] | None = None  # (p,) open pieces whose front cannot be seen; (1,) of bare points
    faces_out: bool = False  # whether the open pieces, once these are turned, can be seen to face out
    shell: Samples | None = None  # of a thin closed shell, whose outer side alone counts
    parts: OrientedMesh | None = None  # the mesh in parts, see `in_parts`; None where there is none
    thickness: float = 0.0  # mean thickness of a thin closed shell, in sizes of the scan


def found_kind(scan: CleanScan, mesh: OrientedMesh | None, wanted: str = "auto") -> FoundKind:
    """What a clean scan is, or how it is read as the kind ``wanted``. mesh: None for bare points."""
    if mesh is None or not mesh.normals.any():
        kind = Kind.SCAN if wanted == "auto" else Kind(wanted)
        turned = kind is Kind.SCAN and scan.normals is not None and faces_in(scan.points, scan.normals)
        return FoundKind(kind, "bare points", faces_in=np.ones(1, bool) if turned else None)
    samples = Samples.of(scan.points, mesh)
    if wanted == Kind.SCAN:
        return _scan(scan, mesh, samples, "as asked")
    whole, mesh = mesh, in_parts(scan.points, mesh, samples)
    if wanted == "auto":
        found = _decided(scan, whole, mesh, samples)
    elif wanted == Kind.SOLID:
        found = _solid(scan, mesh, samples, "as asked")
    else:
        found = _sheet(mesh, samples, "as asked")
    return replace(found, parts=mesh)


def _decided(scan: CleanScan, whole: OrientedMesh, mesh: OrientedMesh, samples: Samples) -> FoundKind:
    """whole: the mesh in pieces as it was given."""
    piece, seen = mesh.piece[samples.face], samples.seen
    if mesh is not whole and mesh.closed[piece][seen].mean() >= CLOSED_SHARE:
        found = _solid(scan, mesh, samples)
        if found.covered > WALLS:
            return found
    if whole.closed[whole.piece[samples.face]][seen].mean() >= CLOSED_SHARE:
        thick = _thickness(scan.points, mesh)
        if thick < THIN and _both_sides(samples) < BOTH_SIDES:
            reason = f"a closed shell, {thick:.1%} of its size thick, around a cavity"
            return replace(_sheet(mesh, samples, reason), shell=samples, thickness=thick)
        closing = closing_faces(scan.points, mesh)
        if closing is not None:
            return _scan(scan, whole, samples, "its holes were closed by a program", closing)
        return _solid(scan, mesh, samples)
    front, back, count = _views(mesh, samples)
    outward, inward = front > DECIDED * back, back > DECIDED * front
    out, into = count[outward].sum() / SAMPLES, count[inward].sum() / SAMPLES
    odd = into > out or 1 - seen.mean() > MUCH_HIDDEN
    panels = int((count >= PANEL * SAMPLES).sum())
    if panels >= FEWEST_PANELS and min(out, into) > (SOME_OPPOSED if odd else OPPOSED):
        return _sheet(mesh, samples, f"{panels} open pieces that face both ways")
    flat, border = _flatness(scan.points, mesh, np.zeros(mesh.pieces, int))
    behind = (samples.back > samples.front)[seen].mean()
    low, high = scan.points[mesh.border].transpose(1, 0, 2)
    ragged = np.linalg.norm(low - high, axis=1).sum() / np.sqrt(mesh.areas.sum() / 2)
    if flat > FLAT and border + BEHIND * min(behind, 1 - behind) - RAGGED * ragged > SHEET_SCORE:
        return _sheet(mesh, samples, "an open surface that faces one way, up to its border")
    if _both_sides(samples) > BOTH_SIDES and panels >= FEWEST_PANELS and flat < BOTH_SIDES:
        flat, border = _flatness(scan.points, mesh, mesh.piece)
        if min(flat, border) > CARDS:
            return _sheet(mesh, samples, f"{panels} open pieces that can be seen from both sides")
    return _scan(scan, whole, samples, "an open mesh")


def _both_sides(samples: Samples) -> float:
    """Share of the samples that are seen from both sides, or have a sample close behind that is seen."""
    seen = (samples.front >= OFTEN) & (samples.back >= OFTEN)
    return float(seen.mean())


def _scan(
    scan: CleanScan, mesh: OrientedMesh, samples: Samples, reason: str, closing: ClosingFaces | None = None
) -> FoundKind:
    closing = closing or closing_faces(scan.points, mesh)
    if mesh.closed.all() or scan.to_sensor is not None:
        return FoundKind(Kind.SCAN, reason, closing=closing)
    front, back, count = _views(mesh, samples)
    turned = (back > DECIDED * front) & (count >= PANEL * SAMPLES) & ~mesh.closed
    front, back = np.where(turned, back, front)[~mesh.closed], np.where(turned, front, back)[~mesh.closed]
    out = bool(front.sum() > DECIDED * back.sum())
    return FoundKind(Kind.SCAN, reason, closing=closing, faces_in=turned, faces_out=out)


def _solid(scan: CleanScan, mesh: OrientedMesh, samples: Samples, why: str = "") -> FoundKind:
    parts = int(mesh.closed.sum())
    if not parts:
        return FoundKind(Kind.SOLID, "as asked, although no part of it is closed")
    overlapping, walls, share = overlapping_parts(scan.points, mesh, samples.points, samples.normals, samples.face)
    words = ["1 closed part" if parts == 1 else f"{parts} closed parts"]
    if overlapping:
        words.append(f"{overlapping} of them overlap or lie inside others" if parts > 1 else "it overlaps itself")
    if walls:
        words.append("it has walls inside")
    if overlapping or walls:
        words.append("the union is fitted" if parts > 1 else "its outside is fitted")
    reason = ", ".join(words)
    return FoundKind(Kind.SOLID, f"{why}, {reason}" if why else reason, share)


def _views(mesh: OrientedMesh, samples: Samples) -> tuple[NDArray, NDArray, NDArray]:
    """Views (p,) of the front of each piece and of its back, and its samples."""
    piece = mesh.piece[samples.face]
    front, back = (np.bincount(piece, views, mesh.pieces) for views in (samples.front, samples.back))
    return front, back, np.bincount(piece, minlength=mesh.pieces)


def _sheet(mesh: OrientedMesh, samples: Samples, reason: str) -> FoundKind:
    front, back, _ = _views(mesh, samples)
    return FoundKind(Kind.SHEET, reason, faces_in=~mesh.closed & (back > DECIDED * front))


def _thickness(points: NDArray[np.float32], mesh: OrientedMesh) -> float:
    """Mean thickness of the closed pieces, twice the volume over the area, in longest sides."""
    chosen = slice(None) if mesh.closed.all() else mesh.closed[mesh.piece]
    normals, piece = mesh.normals[chosen], mesh.piece[chosen]
    corner = points.take(mesh.faces[chosen, 0], axis=0)
    volume = np.bincount(piece, np.einsum("ij,ij->i", corner, normals)) / 6
    area = np.sqrt(np.einsum("ij,ij->i", normals, normals)).sum(dtype=np.float64) / 2
    low, high = box(points)
    return float(2 * np.abs(volume).sum() / area / (high - low).max())


def _flatness(points: NDArray[np.float32], mesh: OrientedMesh, group: NDArray) -> tuple[float, float]:
    """Length of the mean normal of each group of pieces, and the mean cosine between it and the normals at the border,
    both means over the area and the border; group: number (p,) or (m,) of each piece or face."""
    of_face = group if len(group) == len(mesh.faces) else group[mesh.piece]
    normals = mesh.normals.astype(np.float64)
    groups = int(of_face.max()) + 1
    mean = np.stack([np.bincount(of_face, normals[:, axis], groups) for axis in range(3)], axis=1)
    flat = np.linalg.norm(mean, axis=1).sum() / np.linalg.norm(normals, axis=1).sum()
    if not len(mesh.border):
        return float(flat), 0.0
    axis = unit(mean)[0]
    of_point = np.zeros(len(points), np.int64)
    of_point[mesh.faces] = of_face[:, None]
    of_vertex = unit(vertex_normals(len(points), mesh.faces, mesh.normals))[0]
    low, high = mesh.border.T
    length = np.linalg.norm(points[low] - points[high], axis=1)
    cosine = (of_vertex[low] * axis[of_point[low]]).sum(axis=1)
    return float(flat), float((length * cosine).sum() / length.sum())
