"""The result of a stack of edits: the vertices of its mesh moved, or a new mesh of the solid that they enclose then."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ErrorCode, OmomiError, refuse
from ..field.bricks import voxel_size
from ..field.fit import FittedMesh, ignore
from ..field.onnx_model import CancelToken, Model
from ..field.weight_delta import FieldEdit, step_at
from ..geometry.measure import measure
from ..geometry.moving_solid import Reading, read_solid
from ..geometry.nearest import nearest_on_mesh
from ..geometry.topology import topology_change
from ..protocol.names import NEW_MESH_NEEDED
from ..protocol.requests import EditTarget, Outcome
from .displacement import Edited, combine, displacement_of, masked
from .fitted_scan import EditableMesh, OnProgress
from .network_edit import MaskedEdit, edited_mesh
from .remesh import nearest_values, remesh, remesh_resolution
from .stack import EditSession, EvaluatedLayer, Stack

MOSTLY_GUESSED = 0.2
"""Share of what moved, above which an artist is told that it is a guess."""
GUESSED = 1.0
"""Standard deviation (voxels of the fit) above which a place of the surface is a guess and no measurement."""

MOVED_VOXELS = 0.5
"""A vertex of a new mesh that lies farther than this (voxels of the fit) from the old surface has moved."""
MOST_MEASURED = 25_000
"""Vertices of a new mesh whose distance from the old surface is measured, at even steps through larger meshes: it takes
20 microseconds each."""


@dataclass(frozen=True)
class AppliedStack:
    """What a stack of edits makes of a scan."""

    vertices: NDArray[np.float64]  # (n, 3) world units
    faces: NDArray[np.int32]  # (m, 3)
    sigma: NDArray[np.float64]  # (n,) standard deviation of the surface, world units
    summary: dict[str, Any]  # what the edits did, see `ApplyRequest`


def apply_stack(
    session: EditSession,
    strengths: Sequence[float],
    outcome: Outcome,
    model: Model | None,
    on_progress: OnProgress,
    on_frame: Callable[[FittedMesh], None] = ignore,
    cancel: CancelToken | None = None,
) -> AppliedStack:
    """What the edits on a scan make of it at strengths, one per layer; on_progress may raise.

    A new mesh is made by the network where an edit is a delta or a step of its head; then on_frame gets the coarser
    levels.
    Raises OmomiError: BAD_OPTION for strengths that do not fit the stack; those of `edited_mesh` and `remesh` for a new
    mesh.
    """
    stack = session.stack
    if outcome is Outcome.REMESHED and model is not None and _by_network(session, strengths):
        return _applied_by_network(session, strengths, model, on_progress, on_frame, cancel)
    mesh = stack.mesh
    edited, topology = _edited(stack, strengths, on_progress)
    sigma = np.hypot(mesh.sigma, edited.doubt)
    warnings = [*stack.warnings(strengths), *_warnings(edited, topology)]
    if outcome is Outcome.CARRIED or (session.fitted.scan.sheet is not None and not mesh.closed):
        # a sheet has no inside to make a mesh of; else, what the preview showed, to the bit
        vertices, faces = stack.moved(strengths), mesh.faces
    else:
        on_progress(0.6, "making the new mesh")
        moved = mesh.vertices + edited.move
        made, faces = remesh(moved, mesh.faces, remesh_resolution(session.fitted.level))
        sigma = nearest_values(moved, mesh.faces, sigma, made)
        vertices = session.fitted.scan.frame.to_world(made)
    names = [layer.layer.edit for layer, _, _ in stack.deltas(strengths)]
    warnings += [NEW_MESH_NEEDED.format(name=name) for name in names]
    summary = {
        "moved": edited.moved,
        "largest_move": edited.largest / stack.scale,
        "guessed": edited.guessed,
        "folded_faces": edited.folded,
        "topology": topology,
        "warnings": warnings,
    }
    return AppliedStack(vertices, faces, sigma / stack.scale, summary)


def new_mesh(
    session: EditSession,
    strengths: Sequence[float],
    model: Model | None,
    on_progress: OnProgress,
    on_frame: Callable[[FittedMesh], None] = ignore,
    cancel: CancelToken | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.int32], NDArray[np.float64]]:
    """Vertices (n, 3), faces (m, 3) and sigma (n,), world units, of the mesh that `apply_stack` has the network make,
    without a look at what the edits did. Raises OmomiError: BAD_OPTION where it makes none; else as `apply_stack`."""
    if model is None or not _by_network(session, strengths):
        refuse("the network makes no new mesh of these edits")
    made, _ = made_by_network(session, strengths, model, on_progress, on_frame, cancel)
    return session.fitted.scan.frame.to_world(made.vertices), made.faces, made.sigma / session.stack.scale


def _by_network(session: EditSession, strengths: Sequence[float]) -> bool:
    """Whether the network makes a new mesh at strengths: of a fit, not of the scan's own mesh."""
    fit = session.fitted.fit
    fitted = fit is not None and fit.field is not None and session.stack.mesh is session.fitted.mesh(EditTarget.FIT)
    return fitted and bool(session.stack.deltas(strengths) or session.stack.steps(strengths))


def _applied_by_network(
    session: EditSession,
    strengths: Sequence[float],
    model: Model,
    on_progress: OnProgress,
    on_frame: Callable[[FittedMesh], None],
    cancel: CancelToken | None,
) -> AppliedStack:
    """`apply_stack` where the network makes the new mesh."""
    stack, fitted = session.stack, session.fitted
    before = fitted.mesh(EditTarget.FIT)
    made, folded = made_by_network(session, strengths, model, on_progress, on_frame, cancel)
    on_progress(0.8, "looking at the topology")
    topology = _change(before.topology, made.topology)
    some = slice(None, None, 1 + len(made.vertices) // MOST_MEASURED)
    away = nearest_on_mesh(before.vertices, before.faces, made.vertices[some]).distance
    new = away > MOVED_VOXELS * voxel_size(fitted.level)
    summary = {
        "moved": float(new.mean()),
        "largest_move": float(away.max(initial=0.0)) / stack.scale,
        "guessed": float((made.sigma[some][new] > GUESSED * voxel_size(fitted.level)).mean()) if new.any() else 0.0,
        "folded_faces": folded,
        "topology": topology,
        "warnings": [*stack.warnings(strengths), *([topology["change"]] if topology["change"] else [])],
    }
    vertices = fitted.scan.frame.to_world(made.vertices)
    return AppliedStack(vertices, made.faces, made.sigma / stack.scale, summary)


def made_by_network(
    session: EditSession,
    strengths: Sequence[float],
    model: Model,
    on_progress: OnProgress,
    on_frame: Callable[[FittedMesh], None] = ignore,
    cancel: CancelToken | None = None,
    wrapped: Callable[[EvaluatedLayer, FieldEdit], FieldEdit] = lambda layer, edit: edit,
) -> tuple[EditableMesh, int]:
    """The new mesh of the deltas and steps, which what moves the surface then moves, and the faces that this turns
    over. wrapped: what acts in place of a layer's delta or step."""
    stack, fitted = session.stack, session.fitted
    before = fitted.mesh(EditTarget.FIT)
    on_progress(0.0, "running the network")
    edits, steps = (
        [(wrapped(layer, MaskedEdit.of(edit, layer.region, before)), strength) for layer, edit, strength in acting]
        for acting in (stack.deltas(strengths), stack.steps(strengths))
    )
    made = edited_mesh(fitted, edits, model, on_frame, cancel, steps)
    others = stack.movements(strengths)
    if not others:
        return made, 0
    on_progress(0.6, "moving")
    # movements and masks are told where the vertices were before the steps: far from the fit they do nothing
    step = step_at(steps, fitted.level, made.vertices, model, cancel or CancelToken()) * voxel_size(fitted.level)
    places, parts = made.vertices + step[:, None] * made.normals, []
    for layer, movement, _ in others:
        part = displacement_of(movement, places, made.normals)
        parts.append(part if layer.region is None else masked(part, layer.region, places, made.normals))
    edited = combine(parts, [strength for _, _, strength in others], made.vertices, made.faces)
    moved = made.vertices + edited.move
    vertices, faces = remesh(moved, made.faces, remesh_resolution(fitted.level))
    sigma = nearest_values(moved, made.faces, np.hypot(made.sigma, edited.doubt), vertices)
    return EditableMesh(vertices, faces, sigma), edited.folded


def check_stack(
    session: EditSession, strengths: Sequence[float], model: Model | None, on_progress: OnProgress
) -> tuple[dict[str, Any], NDArray[np.float32]]:
    """What a scan is like with its edits at strengths: {"topology", "measures", "guessed"}, the last being the share of
    vertices whose place is a guess, and the standard deviation f32 (n,) of the surface at the vertices of the mesh,
    world units. Topology and measures are those of the new mesh where the network makes one; on_progress may raise.

    Raises OmomiError: BAD_OPTION as `apply_stack`; NOT_A_MESH where no face has an area.
    """
    scan, stack, mesh = session.fitted.scan, session.stack, session.stack.mesh
    edited, topology = _edited(stack, strengths, on_progress)
    vertices, faces = mesh.vertices + edited.move, mesh.faces
    if model is not None and _by_network(session, strengths):
        made, _ = made_by_network(session, strengths, model, on_progress)
        vertices, faces = made.vertices, made.faces
        topology = _change(session.fitted.mesh(EditTarget.FIT).topology, made.topology)
    on_progress(0.5, "measuring")
    frame = scan.frame
    try:
        # around the middle, where coordinates are exact, however far from the origin the scan is
        found = measure(vertices / frame.scale, faces)
    except ValueError as error:
        raise OmomiError(ErrorCode.NOT_A_MESH, f"{scan.name} cannot be measured: {error}.") from error
    low, high = (tuple(map(float, corner + frame.centre)) for corner in np.array(found.bounds))
    measures = replace(found, bounds=(low, high))
    sigma = np.hypot(mesh.sigma, edited.doubt) / frame.scale
    guessed = float((sigma * frame.scale > GUESSED * voxel_size(session.fitted.level)).mean())
    return {"topology": topology, "measures": measures, "guessed": guessed}, sigma.astype(np.float32)


def check_topology(mesh: EditableMesh, move: NDArray) -> dict[str, Any] | None:
    """Pieces, tunnels and hollows before and after a displacement (n, 3), canonical; None where the mesh has no inside.

    See `topology_change`; unstable: the change depends on how the grid joins its voxels, as for walls and gaps about as
    thin as they are.
    """
    if not mesh.closed:
        return None
    before = mesh.topology
    return _change(before, read_solid(mesh.vertices + move, mesh.faces) if np.any(move) else before)


def _change(before: Reading, after: Reading) -> dict[str, Any]:
    """See `topology_change`."""
    return topology_change(before.betti, after.betti, after.odd(before) is not None)


def _edited(stack: Stack, strengths: Sequence[float], on_progress: OnProgress) -> tuple[Edited, dict[str, Any] | None]:
    """What the layers do at strengths, and to the topology."""
    on_progress(0.0, "moving")
    edited = stack.edited(strengths)
    on_progress(0.2, "looking at the topology")
    return edited, check_topology(stack.mesh, edited.move)


def _warnings(edited: Edited, topology: dict[str, Any] | None) -> list[str]:
    """What an artist should know of what the edits did."""
    warnings = []
    if edited.guessed > MOSTLY_GUESSED:
        warnings.append(
            f"{edited.guessed:.0%} of what moved is a guess: the examples say little about this scan there."
        )
    if edited.folded:
        warnings.append(f"The edits turn {edited.folded} faces over: lower the strength.")
    if topology is not None and topology["change"]:
        warnings.append(topology["change"])
    return warnings
