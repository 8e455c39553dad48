"""What the server does for each request, thin over ``editing``. Each task imports what it needs, after the hello."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import numpy as np

from ..engine import Engine, Mesh
from ..errors import ErrorCode, OmomiError
from ..protocol.codec import jsonable
from ..protocol.messages import Done, FitDone, MeshFrame
from ..protocol.names import EDIT, PROFILE
from ..protocol.requests import (
    AlignRequest,
    ApplyRequest,
    AuditRequest,
    BlendRequest,
    CheckRequest,
    EditTarget,
    FitRequest,
    LearnRequest,
    Outcome,
    PoseRequest,
    SampleRequest,
    SolveRequest,
    StackRequest,
    SweepRequest,
    TransferRequest,
)
from .fit_cache import FitCache
from .jobs import Job

NO_HANDLE = -1
Choice = TypeVar("Choice", bound=StrEnum)


@dataclass(frozen=True)
class JobContext:
    """What a task works with. report: a share 0 .. 1 and words, for the client, raising CANCELLED where the job was
    cancelled; send: for its meshes, the final one just before the response."""

    engine: Engine
    shelf: FitCache
    job: Job
    report: Callable[[float, str], None]
    send: Callable[[MeshFrame], None]


def perform(bench: JobContext) -> FitDone | Done:
    """Do what the job asks for. Raises OmomiError."""
    request = bench.job.request
    return _TASKS[type(request)](request, bench)


def _fit(request: FitRequest, bench: JobContext) -> FitDone:
    from ..edits.fitted_scan import FittedScan
    from ..edits.stack import EditSession
    from ..formats.raw_scan import RawScan

    job = bench.job

    def on_frame(mesh: Mesh) -> None:
        job.raise_if_cancelled()
        # The final mesh comes with the result, so that there is always exactly one.
        if not mesh.final:
            bench.send(job.frame(mesh, final=False))

    name = request.name or "The scan"
    raw = RawScan(
        request.points.astype(np.float64), request.faces, request.normals, request.to_sensor, name, request.sigma
    )
    bench.report(0.0, "reading the scan")
    scan = bench.engine.prepare(raw)
    assert job.token is not None
    family: dict[str, Any] = {}
    if request.profile:
        # dear to import, and most fits have no profile
        from ..edits.family_check import member_of

        bench.report(0.0, "finding its place in the family")
        family["completion"] = member_of(_file(request.profile), scan).completion
    result = bench.engine.fit(scan, request.options, on_frame, bench.report, job.token, **family)
    job.raise_if_cancelled()
    final = job.frame(result.mesh, final=True)
    done = FitDone(request.id, jsonable(result.stats), jsonable(result.report))
    bench.shelf.put(request.id, EditSession(FittedScan(raw, scan, result), final.origin))
    bench.send(final)
    return done


def _stack(request: StackRequest, bench: JobContext) -> Done:
    from ..edits.layer import specs_of

    piece = bench.shelf.take(request.handle)
    specs = specs_of(request.layers, request.masks, len(piece.subject.raw.points))
    stack = piece.lay(_chosen(EditTarget, request.body), specs, bench.engine, bench.report)
    bench.shelf.trim()
    return Done(request.id, {"layers": jsonable([layer.summary for layer in stack.layers])})


def _pose(request: PoseRequest, bench: JobContext) -> Done:
    piece = bench.shelf.take(request.handle)
    return Done(request.id, {}, vertices=piece.stack.pose(request.strengths))


def _apply(request: ApplyRequest, bench: JobContext) -> Done:
    from ..edits.apply import apply_stack

    piece = bench.shelf.take(request.handle)
    applied = apply_stack(piece, request.strengths, _chosen(Outcome, request.outcome), bench.report)
    arrays = applied.vertices, applied.faces, applied.sigma
    bench.send(MeshFrame(request.id, piece.level, True, piece.origin, *arrays))
    return Done(request.id, jsonable(applied.summary))


def _sweep(request: SweepRequest, bench: JobContext) -> Done:
    from ..edits.sweep import sweep_layer

    piece = bench.shelf.take(request.handle)
    stack, scan = piece.stack, piece.subject.scan
    strengths = stack.strengths(request.strengths)
    spec, placed = stack.layer(request.layer)
    title = f"{spec.name} on {scan.name}"
    # where strengths are brought back to a range there is nothing beyond it
    way = request.layer, placed.within(request.low), placed.within(request.high), request.steps
    found = sweep_layer(stack.shell, stack.units, strengths, *way, scan.frame.scale, title, bench.report)
    return Done(request.id, jsonable(found.to_json()))


def _solve(request: SolveRequest, bench: JobContext) -> Done:
    from ..edits.solve import solve_layer

    piece = bench.shelf.take(request.handle)
    stack, scale = piece.stack, piece.subject.scan.frame.scale
    strengths = stack.strengths(request.strengths)
    _, placed = stack.layer(request.layer)
    wanted = request.layer, request.measure, request.value, *placed.seen
    return Done(request.id, jsonable(solve_layer(stack.shell, stack.units, strengths, *wanted, scale, bench.report)))


def _check(request: CheckRequest, bench: JobContext) -> Done:
    from ..edits.apply import check_stack
    from ..edits.family_check import family_check
    from ..edits.plausibility import plausibility_at

    piece = bench.shelf.take(request.handle)
    summary, sigma = check_stack(piece, request.strengths, bench.report)
    bench.report(0.8, "comparing with other shapes")
    summary["plausibility"] = plausibility_at(piece, request.strengths, bench.engine)
    summary["family"], deviation = None, None
    if request.profile:
        bench.report(0.9, "comparing with its family")
        summary["family"], deviation = family_check(_file(request.profile), piece, request.strengths)
    sigma, deviation = (
        None if values is None else piece.subject.on_scan(piece.stack.shell, values) for values in (sigma, deviation)
    )
    return Done(request.id, jsonable(summary), values=sigma, deviation=deviation)


def _blend(request: BlendRequest, bench: JobContext) -> Done:
    from ..edits.apply import change_between
    from ..edits.blend import sweep_blend
    from ..edits.remesh import RESOLUTION
    from ..field.bricks import resolution

    other, piece = bench.shelf.take(request.other), bench.shelf.take(request.handle)
    found = piece.blend(other.subject, request.guarded, lambda done, text: bench.report(done / 2, text))
    bench.report(0.5, "blending")
    vertices, faces, sigma = found.world(request.share, max(RESOLUTION, resolution(piece.level)))
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


def _learn(request: LearnRequest, bench: JobContext) -> Done:
    from ..edits.edit_file import save_edit
    from ..edits.learn import learn_from
    from .meshes import unpacked

    path = _file(request.path, EDIT)
    counts = request.counts
    kinds = [f"Example {number // 2 + 1} {('before', 'after')[number % 2]}" for number in range(len(counts) // 2)]
    meshes = unpacked(request.points, request.faces, counts, kinds)
    if not meshes or len(meshes) % 2:
        _refuse("pairs are counted by the points and faces of each mesh, before and after")
    pairs = list(zip(meshes[::2], meshes[1::2], strict=True))
    names = [f"example {number + 1}" for number in range(len(pairs))]
    edit, summary = learn_from(pairs, names, bench.report)
    stored = save_edit(path, edit, bench.engine.info().model_hash, request.name)
    return Done(request.id, jsonable({"sha256": stored.sha256, **summary}))


def _transfer(request: TransferRequest, bench: JobContext) -> Done:
    from ..geometry.attribute_transfer import Transfer

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


def _align(request: AlignRequest, bench: JobContext) -> Done:
    from ..edits.family_profile import align_family
    from ..prior.profile.profile import save_profile
    from .meshes import unpacked

    path = _file(request.path, PROFILE)
    scans = unpacked(request.points, request.faces, request.counts, request.names)
    profile, summary = align_family(scans, bench.report)
    save_profile(path, profile)
    return Done(request.id, jsonable(summary))


def _sample(request: SampleRequest, bench: JobContext) -> Done:
    from ..edits.sample_shape import sample_shape

    job = bench.job

    def on_frame(mesh: Mesh) -> None:
        job.raise_if_cancelled()
        if not mesh.final:
            bench.send(job.frame(mesh, final=False))

    bench.report(0.0, "drawing a shape")
    assert job.token is not None
    drawn = sample_shape(bench.engine, request.seed, request.level, on_frame, bench.report, job.token)  # type: ignore[arg-type]
    job.raise_if_cancelled()
    bench.send(job.frame(drawn.mesh, final=True))
    verdict = drawn.verdict.to_json()
    return Done(request.id, jsonable({"plausibility": verdict["value"], "nearest": verdict["nearest"]}))


def _audit(request: AuditRequest, bench: JobContext) -> Done:
    from ..field.onnx_model import MODEL_FOLDER
    from ..formats.files import write_whole
    from ..prior.shape_prior import installed_prior
    from ..report.audit import audit_page
    from ..report.card import read_card
    from ..report.scans import look

    path = _file(request.path, ".html")
    against = read_card(_file(request.against)) if request.against else None
    prior, looks = installed_prior(), []
    if request.handle != NO_HANDLE:
        looks.append(look(bench.shelf.take(request.handle).subject, prior, quick=True, on_progress=bench.report))
    bench.report(0.9, "writing the page")
    archive = None if prior is None else prior.archive
    write_whole(path, audit_page(read_card(MODEL_FOLDER / "card.json"), archive, looks, against))
    return Done(request.id, {"path": str(path)})


_TASKS: dict[type, Callable[[Any, JobContext], FitDone | Done]] = {
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
    AlignRequest: _align,
    SampleRequest: _sample,
    AuditRequest: _audit,
}


def _chosen(kind: type[Choice], value: str) -> Choice:
    """The member of an enumeration that a request names. Raises OmomiError(BAD_OPTION)."""
    if value not in tuple(kind):
        _refuse(f"{value!r:.80} is none of {', '.join(kind)}")
    return kind(value)


def _file(path: str, suffix: str = "") -> Path:
    """A path that a request names. Raises OmomiError(BAD_OPTION) for what cannot be one, or has another suffix."""
    if not path or "\0" in path or (suffix and Path(path).suffix.lower() != suffix):
        _refuse(f"this is no path of a file{' that ends in ' + suffix if suffix else ''}")
    return Path(path)


def _refuse(why: str) -> NoReturn:
    raise OmomiError(ErrorCode.BAD_OPTION, f"{why[0].upper()}{why[1:]}.")
