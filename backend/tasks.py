"""What the server does for each request, thin over ``editing``. Each task imports what it needs, after the hello."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import numpy as np

from .editing.shelf import Shelf
from .engine import Engine, Mesh
from .errors import ErrorCode, OmomiError
from .job import Job
from .protocol import (
    ApplyRequest,
    BlendRequest,
    Body,
    CheckRequest,
    Done,
    FitDone,
    FitRequest,
    LearnRequest,
    MeshFrame,
    Outcome,
    PoseRequest,
    SolveRequest,
    StackRequest,
    SweepRequest,
    TransferRequest,
)
from .wire import jsonable

if TYPE_CHECKING:
    from .scan.raw import RawScan

Choice = TypeVar("Choice", bound=StrEnum)


@dataclass(frozen=True)
class Bench:
    """What a task works with. report: a share 0 .. 1 and words, for the client, raising CANCELLED where the job was
    cancelled; send: for its meshes, the final one just before the response."""

    engine: Engine
    shelf: Shelf
    job: Job
    report: Callable[[float, str], None]
    send: Callable[[MeshFrame], None]


def perform(bench: Bench) -> FitDone | Done:
    """Do what the job asks for. Raises OmomiError."""
    request = bench.job.request
    return _TASKS[type(request)](request, bench)


def _fit(request: FitRequest, bench: Bench) -> FitDone:
    from .editing.stacking import Piece
    from .editing.subject import Subject
    from .scan.raw import RawScan

    job = bench.job

    def on_frame(mesh: Mesh) -> None:
        job.raise_if_cancelled()
        # The final mesh comes with the result, so that there is always exactly one.
        if not mesh.final:
            bench.send(job.frame(mesh, final=False))

    name = request.name or "The scan"
    raw = RawScan(request.points.astype(np.float64), request.faces, request.normals, request.to_sensor, name)
    bench.report(0.0, "reading the scan")
    scan = bench.engine.prepare(raw)
    assert job.token is not None
    result = bench.engine.fit(scan, request.options, on_frame, bench.report, job.token)
    job.raise_if_cancelled()
    final = job.frame(result.mesh, final=True)
    done = FitDone(request.id, jsonable(result.stats), jsonable(result.report))
    bench.shelf.put(request.id, Piece(Subject(raw, scan, result), final.origin))
    bench.send(final)
    return done


def _stack(request: StackRequest, bench: Bench) -> Done:
    from .editing.stacking import specs_of

    piece = bench.shelf.take(request.handle)
    specs = specs_of(request.layers, request.masks, len(piece.subject.raw.points))
    stack = piece.lay(_chosen(Body, request.body), specs, bench.engine, bench.report)
    bench.shelf.trim()
    return Done(request.id, {"layers": jsonable([layer.summary for layer in stack.layers])})


def _pose(request: PoseRequest, bench: Bench) -> Done:
    piece = bench.shelf.take(request.handle)
    return Done(request.id, {}, vertices=piece.stack.pose(request.strengths))


def _apply(request: ApplyRequest, bench: Bench) -> Done:
    from .editing.applying import apply_stack

    piece = bench.shelf.take(request.handle)
    applied = apply_stack(piece, request.strengths, _chosen(Outcome, request.outcome), bench.report)
    arrays = applied.vertices, applied.faces, applied.sigma
    bench.send(MeshFrame(request.id, piece.level, True, piece.origin, *arrays))
    return Done(request.id, jsonable(applied.summary))


def _sweep(request: SweepRequest, bench: Bench) -> Done:
    from .editing.sweeping import sweep_layer

    piece = bench.shelf.take(request.handle)
    stack, scan = piece.stack, piece.subject.scan
    strengths = stack.strengths(request.strengths)
    spec, _ = stack.layer(request.layer)
    title = f"{spec.name} on {scan.name}"
    way = request.layer, request.low, request.high, request.steps
    found = sweep_layer(stack.shell, stack.units, strengths, *way, scan.frame.scale, title, bench.report)
    return Done(request.id, jsonable(found.to_json()))


def _solve(request: SolveRequest, bench: Bench) -> Done:
    from .editing.solving import solve_layer

    piece = bench.shelf.take(request.handle)
    stack, scale = piece.stack, piece.subject.scan.frame.scale
    strengths = stack.strengths(request.strengths)
    _, placed = stack.layer(request.layer)
    wanted = request.layer, request.measure, request.value, *placed.seen
    return Done(request.id, jsonable(solve_layer(stack.shell, stack.units, strengths, *wanted, scale, bench.report)))


def _check(request: CheckRequest, bench: Bench) -> Done:
    from .editing.applying import check_stack

    summary, sigma = check_stack(bench.shelf.take(request.handle), request.strengths, bench.report)
    return Done(request.id, jsonable(summary), values=sigma)


def _blend(request: BlendRequest, bench: Bench) -> Done:
    from .editing.applying import change_between
    from .editing.blending import sweep_blend
    from .editing.remesh import RESOLUTION

    other, piece = bench.shelf.take(request.other), bench.shelf.take(request.handle)
    found = piece.blend(other.subject, request.guarded, lambda done, text: bench.report(done / 2, text))
    bench.report(0.5, "blending")
    vertices, faces, sigma = found.world(request.share, max(RESOLUTION, 32 * 2**piece.level))
    bench.report(0.6, "looking at the topology")
    result = {
        "topology": change_between(found.solid, 0.0, request.share),
        "residual": found.residual,
        "warnings": found.warnings,
    }
    if request.steps > 0:
        title = f"From {piece.subject.scan.name} to {other.subject.scan.name}"
        swept = sweep_blend(found, request.steps, title, lambda done, text: bench.report((2 + done) / 3, text))
        for row in (*swept["rows"], *swept["transitions"]):
            row["strength"] = row.pop("share")
        result |= swept
    bench.shelf.trim()
    arrays = (vertices - piece.origin).astype("<f4"), faces.astype("<i4"), sigma.astype("<f4")
    bench.send(MeshFrame(request.id, piece.level, True, piece.origin, *arrays))
    return Done(request.id, jsonable(result))


def _learn(request: LearnRequest, bench: Bench) -> Done:
    from .editing.learning import learn_from
    from .weights.store import SUFFIX, save_edit

    if "\0" in request.path or Path(request.path).suffix.lower() != SUFFIX:
        _refuse(f"the file of an edit ends in {SUFFIX}")
    pairs = _pairs(request)
    names = [f"example {number + 1}" for number in range(len(pairs))]
    edit, summary = learn_from(pairs, names, bench.report)
    stored = save_edit(Path(request.path), edit, bench.engine.info().model_hash, request.name)
    return Done(request.id, jsonable({"sha256": stored.sha256, **summary}))


def _pairs(request: LearnRequest) -> list[tuple[RawScan, RawScan]]:
    """The meshes of the request. Raises OmomiError: BAD_OPTION; NOT_A_MESH."""
    from .scan.raw import RawScan

    counts = np.array(request.counts, np.int64).reshape(-1)
    if not len(counts) or len(counts) % 4 or counts.min() < 0:
        _refuse("pairs are counted by the points and faces of each mesh, before and after")
    points, faces = (np.concatenate([[0], np.cumsum(counts[part::2])]) for part in range(2))
    if points[-1] != len(request.points) or faces[-1] != len(request.faces):
        _refuse("the meshes of the pairs are not as long as they were said to be")
    meshes = [
        RawScan(
            request.points[points[mesh] : points[mesh + 1]].astype(np.float64),
            request.faces[faces[mesh] : faces[mesh + 1]],
            name=f"Example {mesh // 2 + 1} {('before', 'after')[mesh % 2]}",
        )
        for mesh in range(len(counts) // 2)
    ]
    return list(zip(meshes[::2], meshes[1::2], strict=True))


def _transfer(request: TransferRequest, bench: Bench) -> Done:
    from .shape.transfer import Transfer

    channels, layers, corners = request.channels, request.layers, 3 * len(request.faces)
    values = np.zeros(0, "<f4") if request.values is None else request.values
    uvs = np.zeros((0, 2), "<f4") if request.uvs is None else request.uvs
    if min(channels, layers) < 0 or len(values) != channels * len(request.points) or len(uvs) != layers * corners:
        _refuse("the attributes are not as many as the mesh has places for")
    transfer = Transfer(request.points, request.faces, request.target_points, request.target_faces)
    bench.report(0.1, "finding the nearest faces")
    sources = transfer.face_values(np.arange(len(request.faces), dtype="<i4"))
    bench.report(0.5, "carrying attributes over")
    carried = transfer.vertex_values(values.reshape(-1, channels)) if channels else None
    coated = [transfer.corner_uvs(layer.reshape(-1, 3, 2)).reshape(-1, 2) for layer in uvs.reshape(layers, corners, 2)]
    return Done(
        request.id,
        {},
        values=None if carried is None else carried.reshape(-1),
        uvs=np.concatenate(coated) if coated else None,
        sources=sources,
    )


_TASKS: dict[type, Callable[[Any, Bench], FitDone | Done]] = {
    FitRequest: _fit,
    StackRequest: _stack,
    PoseRequest: _pose,
    ApplyRequest: _apply,
    SweepRequest: _sweep,
    SolveRequest: _solve,
    CheckRequest: _check,
    BlendRequest: _blend,
    LearnRequest: _learn,
    TransferRequest: _transfer,
}


def _chosen(kind: type[Choice], value: str) -> Choice:
    """The member of an enumeration that a request names. Raises OmomiError(BAD_OPTION)."""
    if value not in tuple(kind):
        _refuse(f"{value!r:.80} is none of {', '.join(kind)}")
    return kind(value)


def _refuse(why: str) -> NoReturn:
    raise OmomiError(ErrorCode.BAD_OPTION, f"{why[0].upper()}{why[1:]}.")
