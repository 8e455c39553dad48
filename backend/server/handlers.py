"""What the server does for each request: parse, call one operation, answer. A handler imports what it needs, after the
hello."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..engine import Engine
from ..errors import ErrorCode, OmomiError, refuse
from ..protocol.codec import jsonable
from ..protocol.messages import Done, FitDone, MeshFrame
from ..protocol.names import EDIT, PROFILE
from ..protocol.requests import (
    AlignRequest,
    ApplyRequest,
    AuditRequest,
    BlendRequest,
    CheckRequest,
    Close,
    EditTarget,
    FitRequest,
    LearnRequest,
    Outcome,
    PatchRequest,
    PoseRequest,
    ReadRequest,
    RemeshRequest,
    SampleRequest,
    SolveRequest,
    StackRequest,
    SweepRequest,
    TransferRequest,
    TravelRequest,
)
from .arguments import attributes_of, file_of, member_of, meshes_of
from .fit_cache import FitCache
from .jobs import Job, frame_of

if TYPE_CHECKING:
    from ..edits.stack import EditSession
    from ..field.fit import FittedMesh

NO_HANDLE = -1


@dataclass(frozen=True)
class JobContext:
    """What a handler works with."""

    engine: Engine
    fits: FitCache
    job: Job
    report: Callable[[float, str], None]  # a share 0 .. 1 and words, for the client; raises CANCELLED
    send: Callable[[MeshFrame], None]  # a mesh, the final one just before the response


def perform(context: JobContext) -> FitDone | Done:
    """Do what the job asks for. Raises OmomiError."""
    request = context.job.request
    return _HANDLERS[type(request)](request, context)


def _fit(request: FitRequest, context: JobContext) -> FitDone:
    from ..edits.stack import EditSession
    from ..engine import fit_scan
    from ..formats.raw_scan import RawScan

    job, name = context.job, request.name or "The scan"
    raw = RawScan(
        request.points.astype(np.float64),
        request.faces,
        request.normals,
        request.to_sensor,
        name,
        request.sigma,
        request.view,
    )
    context.report(0.0, "reading the scan")
    profile = file_of(request.profile) if request.profile else None
    more = {"profile": profile, "masks": request.masks, "cancel": job.token}
    fitted = fit_scan(context.engine, raw, request.options, context.report, on_frame=_unfinished(context), **more)
    job.raise_if_cancelled()
    fit = fitted.fit
    assert fit is not None
    final = job.frame(fit.mesh, final=True)
    done = FitDone(request.id, jsonable(fit.stats), jsonable(fit.report))
    context.fits.put(request.id, EditSession(fitted, final.origin))
    context.send(final)
    return done


def _stack(request: StackRequest, context: JobContext) -> Done:
    session = context.fits.take(request.handle)
    target = member_of(EditTarget, request.body)
    stack = session.lay(target, request.layers, request.masks, context.report, context.engine.model)
    context.fits.trim()
    return Done(request.id, {"layers": jsonable([layer.summary for layer in stack.layers])})


def _pose(request: PoseRequest, context: JobContext) -> Done:
    return Done(request.id, {}, vertices=context.fits.take(request.handle).stack.pose(request.strengths))


def _apply(request: ApplyRequest, context: JobContext) -> Done:
    from ..edits.apply import apply_stack

    session = context.fits.take(request.handle)
    listening = context.report, _unfinished(context), context.job.token
    outcome = member_of(Outcome, request.outcome)
    applied = apply_stack(session, request.strengths, outcome, context.engine.model, *listening)
    context.job.raise_if_cancelled()
    _send(context, session, applied.vertices, applied.faces, applied.sigma)
    return Done(request.id, jsonable(applied.summary))


def _remesh(request: RemeshRequest, context: JobContext) -> Done:
    from ..edits.apply import new_mesh

    session = context.fits.take(request.handle)
    listening = context.report, _unfinished(context), context.job.token
    made = new_mesh(session, request.strengths, context.engine.model, *listening)
    context.job.raise_if_cancelled()
    _send(context, session, *made)
    return Done(request.id, {})


def _sweep(request: SweepRequest, context: JobContext) -> Done:
    from ..edits.sweep import sweep_stack

    way = request.strengths, request.layer, request.low, request.high, request.steps
    way = *way, context.report, context.engine.model, context.job.token
    found = sweep_stack(context.fits.take(request.handle), *way)
    return Done(request.id, jsonable(found.to_json()))


def _travel(request: TravelRequest, context: JobContext) -> Done:
    from ..edits.reach import layer_travel

    found = layer_travel(context.fits.take(request.handle).stack, request.layer)
    return Done(request.id, {"safe": list(found.safe), "seen": list(found.seen)})


def _solve(request: SolveRequest, context: JobContext) -> Done:
    from ..edits.solve import solve_stack

    wanted = request.strengths, request.layer, request.measure, request.value
    with_model = {"model": context.engine.model, "cancel": context.job.token}
    found = solve_stack(context.fits.take(request.handle), *wanted, context.report, **with_model)
    return Done(request.id, jsonable(found))


def _check(request: CheckRequest, context: JobContext) -> Done:
    from ..edits.apply import check_stack
    from ..edits.family import family_check
    from ..edits.plausibility import plausibility_at

    session = context.fits.take(request.handle)
    summary, sigma = check_stack(session, request.strengths, context.engine.model, context.report)
    context.report(0.8, "comparing with other shapes")
    summary["plausibility"] = plausibility_at(session, request.strengths, context.engine.model)
    summary["family"], deviation = None, None
    if request.profile:
        context.report(0.9, "comparing with its family")
        profile = file_of(request.profile)
        try:
            summary["family"], deviation = family_check(profile, session, request.strengths)
        except OmomiError as error:
            if error.code is not ErrorCode.NOT_REGISTERED:
                raise
            # the rest of the check is of use without
            summary["family"] = {"name": profile.stem, "why": error.message}
    sigma, deviation = (
        None if values is None else session.fitted.on_scan(session.stack.mesh, values) for values in (sigma, deviation)
    )
    return Done(request.id, jsonable(summary), values=sigma, deviation=deviation)


def _blend(request: BlendRequest, context: JobContext) -> Done:
    from ..edits.blend import sweep_blend

    other, session = context.fits.take(request.other).fitted, context.fits.take(request.handle)
    found = session.blend(other, request.guarded, lambda done, text: context.report(done / 2, text))
    context.report(0.5, "blending")
    mesh = found.world(request.share)
    context.report(0.6, "looking at the topology")
    result = {"topology": found.change(request.share), **found.summary}
    if request.steps > 0:
        title = f"From {session.fitted.scan.name} to {other.scan.name}"
        result |= sweep_blend(found, request.steps, title, lambda done, text: context.report((2 + done) / 3, text))
    context.fits.trim()
    _send(context, session, *mesh)
    return Done(request.id, jsonable(result))


def _learn(request: LearnRequest, context: JobContext) -> Done:
    from ..edits.edit_file import save_edit
    from ..edits.learn import learn_from

    path = file_of(request.path, EDIT)
    counts = request.counts
    kinds = [f"Example {number // 2 + 1} {('before', 'after')[number % 2]}" for number in range(len(counts) // 2)]
    meshes = meshes_of(request, kinds)
    if not meshes or len(meshes) % 2:
        refuse("pairs are counted by the points and faces of each mesh, before and after")
    pairs = list(zip(meshes[::2], meshes[1::2], strict=True))
    names = [f"example {number + 1}" for number in range(len(pairs))]
    rows = [] if request.marks is None else list(request.marks)
    if len(rows) > len(pairs):
        refuse("there are more marked places than pairs")
    marks = [None if np.isnan(row).all() else row for row in rows]
    edit, summary = learn_from(pairs, names, context.engine.model, context.report, context.job.token, marks)
    stored = save_edit(path, edit, context.engine.info().model_hash, request.name)
    return Done(request.id, jsonable({"sha256": stored.sha256, **summary}))


def _transfer(request: TransferRequest, context: JobContext) -> Done:
    from ..edits.carried import invented_note, reach_of
    from ..geometry.attribute_transfer import PointTransfer, Transfer
    from ..geometry.surface_attributes import SurfaceAttributes

    channels, widths, places = request.channels, request.widths, 3 * len(request.faces)
    values = np.zeros(0, "<f4") if request.values is None else request.values
    corners = np.zeros(0, "<f4") if request.corners is None else request.corners
    whole = len(values) == channels * len(request.points) and len(corners) == sum(widths) * places
    if min([channels, *widths]) < 0 or not whole:
        refuse("the attributes are not as many as the mesh has places for")
    reach = None if request.handle == NO_HANDLE else reach_of(context.fits.take(request.handle))
    target = request.target_points, request.target_faces
    bare = not len(request.faces)
    transfer = PointTransfer(request.points, *target) if bare else Transfer(request.points, request.faces, *target)
    context.report(0.1, "finding the nearest of the scan")
    sources = transfer.sources.astype("<i4")
    context.report(0.5, "carrying attributes over")
    carried = transfer.vertex_values(values.reshape(-1, channels)).reshape(-1) if channels else None
    invented = None if reach is None else transfer.beyond(reach)
    coats = []
    if isinstance(transfer, Transfer):
        ends = np.cumsum([width * places for width in widths], dtype=int)
        for layer, width in zip(np.split(corners, ends[:-1]), widths, strict=False):
            coat = transfer.corner_values(layer.reshape(-1, 3, width), invented)
            coats.append(coat.reshape(-1))
    return Done(
        request.id,
        {"notes": invented_note(SurfaceAttributes(invented=invented))},
        values=carried,
        corners=np.concatenate(coats) if coats else None,
        sources=sources,
        invented=None if invented is None else invented.astype("<u1"),
    )


def _patch(request: PatchRequest, context: JobContext) -> Done:
    from ..edits.patch_values import addition
    from ..engine import patch_mesh
    from ..field.fit import FittedMesh
    from ..formats.raw_scan import RawScan

    job = context.job
    raw = RawScan(request.points.astype(np.float64), request.faces, name=request.name or "The mesh")
    close = member_of(Close, request.close)
    numbers = () if request.look else request.numbers or None
    chosen = {"numbers": numbers, "smaller": request.smaller or None, "cancel": job.token}
    values, uvs = attributes_of(request)
    made = patch_mesh(context.engine, raw, close, context.report, **chosen)
    job.raise_if_cancelled()
    summary = jsonable(made.summary())
    if request.look:
        loops = [hole.loop for hole in made.found.holes]
        return Done(request.id, summary, sources=np.concatenate([np.zeros(0, "<i4"), *loops]).astype("<i4"))
    mesh = FittedMesh(made.vertices, made.faces, np.zeros(len(made.vertices), np.float32), 0, True)
    context.send(job.frame(mesh, final=True))
    added = addition(raw, made)
    coated = [added.of_corners(layer).reshape(-1) for layer in uvs]
    return Done(
        request.id,
        summary,
        values=None if values is None else added.of_vertices(values).astype("<f4").reshape(-1),
        corners=np.concatenate(coated).astype("<f4") if coated else None,
        sources=added.sources.astype("<i4"),
    )


def _align(request: AlignRequest, context: JobContext) -> Done:
    from ..edits.family import align_family
    from ..prior.profile.profile import save_profile

    path = file_of(request.path, PROFILE)
    scans = [(scan.name, lambda scan=scan: scan) for scan in meshes_of(request, request.names)]
    profile, summary = align_family(scans, context.report)
    save_profile(path, profile)
    return Done(request.id, jsonable(summary))


def _sample(request: SampleRequest, context: JobContext) -> Done:
    from ..edits.sample_shape import sample_shape

    job = context.job
    listening = {"on_frame": _unfinished(context), "on_progress": context.report, "cancel": job.token}
    sampled = sample_shape(context.engine.model, request.seed, request.level, **listening)
    job.raise_if_cancelled()
    context.send(job.frame(sampled.mesh, final=True))
    return Done(request.id, jsonable(sampled.summary))


def _read(request: ReadRequest, context: JobContext) -> Done:
    from ..field.fit import FittedMesh
    from ..formats.mesh_files import load_scan

    job = context.job
    context.report(0.0, "reading the file")
    scan = load_scan(file_of(request.path)).finite()
    job.raise_if_cancelled()
    channels = scan.channels()
    faces = np.zeros((0, 3), np.int32) if scan.faces is None else scan.faces
    mesh = FittedMesh(scan.points, faces, np.zeros(len(scan.points), np.float32), 0, True)
    context.send(job.frame(mesh, final=True))
    uvs = None if scan.attributes is None else scan.attributes.uvs
    said = [{"name": name, "width": int(rows.shape[1])} for name, rows in channels.items()]
    return Done(
        request.id,
        {"name": scan.name, "channels": said, "notes": list(scan.notes)},
        values=np.concatenate([np.zeros(0, "<f4"), *(rows.astype("<f4").reshape(-1) for rows in channels.values())]),
        corners=None if uvs is None else uvs.astype("<f4").reshape(-1),
    )


def _audit(request: AuditRequest, context: JobContext) -> Done:
    from ..field.onnx_model import MODEL_FOLDER
    from ..formats.files import write_whole
    from ..prior.shape_prior import installed_prior
    from ..report.audit import audit_page
    from ..report.card import read_card
    from ..report.scans import look

    path = file_of(request.path, ".html")
    against = read_card(file_of(request.against)) if request.against else None
    prior, looks = installed_prior(), []
    if request.handle != NO_HANDLE:
        looks.append(look(context.fits.take(request.handle).fitted, prior, quick=True, on_progress=context.report))
    context.report(0.9, "writing the page")
    archive = None if prior is None else prior.archive
    write_whole(path, audit_page(read_card(MODEL_FOLDER / "card.json"), archive, looks, against))
    return Done(request.id, {"path": str(path)})


_HANDLERS: dict[type, Callable[[Any, JobContext], FitDone | Done]] = {
    FitRequest: _fit,
    StackRequest: _stack,
    PoseRequest: _pose,
    ApplyRequest: _apply,
    RemeshRequest: _remesh,
    SweepRequest: _sweep,
    TravelRequest: _travel,
    SolveRequest: _solve,
    CheckRequest: _check,
    BlendRequest: _blend,
    LearnRequest: _learn,
    TransferRequest: _transfer,
    AlignRequest: _align,
    SampleRequest: _sample,
    ReadRequest: _read,
    PatchRequest: _patch,
    AuditRequest: _audit,
}


def _unfinished(context: JobContext) -> Callable[[FittedMesh], None]:
    """Sends each mesh on the way. The final one comes with the result, so that there is always exactly one."""

    def on_frame(mesh: FittedMesh) -> None:
        context.job.raise_if_cancelled()
        if not mesh.final:
            context.send(context.job.frame(mesh, final=False))

    return on_frame


def _send(context: JobContext, session: EditSession, *mesh: np.ndarray) -> None:
    """Send the result of an edit, see `frame_of`, from the origin of the fit."""
    context.send(frame_of(context.job.request.id, session.fitted.level, True, session.origin, *mesh))
