"""The result of a stack of edits: the body's own vertices moved, or a new mesh of the solid that they enclose then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ErrorCode, OmomiError
from ..field.bricks import resolution, voxel_size
from ..geometry.measure import measure
from ..geometry.topology import describe
from ..geometry.topology_sweep import Solid
from ..protocol.requests import Outcome
from .displacement import Edited
from .remesh import RESOLUTION, nearest_values, remesh
from .stack import EditSession, Progress, Stack
from .topology_check import check_topology

MOSTLY_GUESSED = 0.2
GUESSED = 1.0
"""Standard deviation (voxels of the fit) above which a place of the surface is a guess and no measurement."""


@dataclass(frozen=True)
class Applied:
    """vertices f32 (n, 3), world units from the fit's origin; faces i32 (m, 3); sigma f32 (n,), world units; summary:
    what the edits did, see `ApplyRequest`."""

    vertices: NDArray[np.float32]
    faces: NDArray[np.int32]
    sigma: NDArray[np.float32]
    summary: dict[str, Any]


def apply_stack(piece: EditSession, strengths: Sequence[float], outcome: Outcome, on_progress: Progress) -> Applied:
    """What the edits on a scan make of it at strengths, one per layer; on_progress may raise.

    Raises OmomiError: BAD_OPTION for strengths that do not fit the stack; those of `remesh` for a new mesh.
    """
    stack, shell = piece.stack, piece.stack.shell
    edited, topology = _looked_at(stack, strengths, on_progress)
    sigma = np.hypot(shell.sigma, edited.doubt)
    if outcome is Outcome.CARRIED:
        # what the preview showed, to the bit
        vertices, faces = stack.pose(strengths), shell.faces
    else:
        on_progress(0.6, "making the new mesh")
        moved = shell.vertices + edited.move
        made, faces = remesh(moved, shell.faces, max(RESOLUTION, resolution(piece.level)))
        sigma = nearest_values(moved, shell.faces, sigma, made)
        vertices = (piece.subject.to_world(made) - piece.origin).astype(np.float32)
    scale = piece.subject.scan.frame.scale
    summary = {
        "moved": edited.moved,
        "largest": edited.largest / scale,
        "guessed": edited.guessed,
        "folded": edited.folded,
        "topology": topology,
        "warnings": [*stack.warnings(strengths), *warnings_of(edited)],
    }
    return Applied(vertices, faces, (sigma / scale).astype(np.float32), summary)


def check_stack(
    piece: EditSession, strengths: Sequence[float], on_progress: Progress
) -> tuple[dict[str, Any], NDArray[np.float32]]:
    """What a scan is like with its edits at strengths: {"topology", "measures", "guessed"}, the last being the share of
    vertices whose place is a guess, and the standard deviation f32 (n,) of the surface at the body's vertices, world
    units; on_progress may raise.

    Raises OmomiError: BAD_OPTION as `apply_stack`; NOT_A_MESH where no face has an area.
    """
    subject, shell = piece.subject, piece.stack.shell
    edited, topology = _looked_at(piece.stack, strengths, on_progress)
    on_progress(0.5, "measuring")
    frame = subject.scan.frame
    try:
        # around the middle, where coordinates are exact, however far from the origin the scan is
        found = measure((shell.vertices + edited.move) / frame.scale, shell.faces)
    except ValueError as error:
        raise OmomiError(ErrorCode.NOT_A_MESH, f"{subject.scan.name} cannot be measured: {error}.") from error
    low, high = (tuple(map(float, corner + frame.centre)) for corner in np.array(found.bounds))
    measures = replace(found, bounds=(low, high))
    sigma = np.hypot(shell.sigma, edited.doubt) / frame.scale
    guessed = float((sigma * frame.scale > GUESSED * voxel_size(piece.level)).mean())
    return {"topology": topology, "measures": measures, "guessed": guessed}, sigma.astype(np.float32)


def _looked_at(stack: Stack, strengths: Sequence[float], on_progress: Progress) -> tuple[Edited, dict[str, Any] | None]:
    """What the layers do at strengths, and to the topology."""
    on_progress(0.0, "moving")
    edited = stack.edited(strengths)
    on_progress(0.2, "looking at the topology")
    return edited, check_topology(stack.shell, edited.move)


def change_between(solid: Solid, start: float, end: float) -> dict[str, Any]:
    """The topology of a moving solid at two strengths: {"before", "after", "change": a sentence, or "" where nothing
    changes, "unstable": whether that depends on the resolution}."""
    before, after = solid.betti(start), solid.betti(end)
    changes = [np.subtract(after, before), np.subtract(solid.other(end), solid.other(start))]
    return {
        "before": before,
        "after": after,
        "change": describe(before, after) if before != after else "",
        "unstable": bool((changes[0] != changes[1]).any()),
    }


def warnings_of(edited: Edited) -> list[str]:
    """What an artist should know of what edits did."""
    warnings = []
    if edited.guessed > MOSTLY_GUESSED:
        warnings.append(
            f"{edited.guessed:.0%} of what moved is a guess: the examples say little about this scan there."
        )
    if edited.folded:
        warnings.append(f"{edited.folded} faces were turned over: lower the strength.")
    return warnings
