"""The live preview: the shape of the edits while their sliders are dragged, and the new mesh once these rest.

A change of a property only marks its object. In the window a timer asks the backend where the vertices are, one request
at a time and with the newest strengths, and writes them into the shape key of the edits or, where there is none, into a
preview. Where the network makes the result, the preview then shows the new mesh, coarse to fine, until the next touch.
Nothing but previews and shape keys is written, and no undo step is made. Undo and redo bring back strengths and shape
key together; what had not arrived is computed again.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import bpy
import numpy as np
from numpy.typing import NDArray

from ..backend.errors import ErrorCode, OmomiError
from ..backend.protocol.messages import MeshFrame
from ..backend.protocol.requests import EditTarget, RemeshRequest
from ..context import context
from ..scene import mesh_io, preview, shape_key
from ..text import Refusal, explain
from . import backend_fit, edits, fits, place_watch, process, travel
from .backend_fit import FitSettings
from .task import Client, Task, Work

TICK_SECONDS = 1 / 60
# For so long after a step of a slider the next one does not look again whether scan and masks have changed.
TRUST_SECONDS = 0.7
# Sliders rest when they have not moved for so long; shorter, and the new mesh would be begun within a drag.
REST_SECONDS = 0.4
# A wait up to this long is not spoken of.
QUICK_SECONDS = 0.5
# How often to look whether the object of a preview is still there.
WATCH_SECONDS = 0.25


class ShownMesh(NamedTuple):
    """What a preview shows."""

    vertices: NDArray[np.float64]  # (n, 3) world
    faces: NDArray[np.int32]  # (m, 3)
    matrix: NDArray[np.float64]  # (4, 4): where the object was in the world


class LiveTask(Task):
    """Work on one object: to follow its sliders, or while they rest to make its new mesh or measure their travel."""

    def __init__(
        self, uid: int, work: Work, on_frame: Callable[[MeshFrame], None] | None = None, *, makes: bool = False,
        measures: bool = False,
    ) -> None:  # fmt: skip
        self.uid, self.makes, self.measures = uid, makes, measures
        super().__init__(process.started(), work, "opening the scan", on_frame=on_frame)


_numbers = itertools.count(1)
_marked: dict[int, int] = {}
# When the new mesh of an object is to be begun.
_due: dict[int, float] = {}
# When the travel of its sliders is to be measured.
_unmeasured: dict[int, float] = {}
# What previews show of the sliders.
_previewed: dict[int, ShownMesh] = {}
# Objects whose preview shows the new mesh, or what comes on the way to it, once there is something.
_made: dict[int, ShownMesh | None] = {}
_trusted: tuple[Any, ...] = ()
_trusted_until = 0.0
_task: LiveTask | None = None
_error = ""


def error() -> str:
    """Why the last preview failed, or an empty text."""
    return _error


def waiting() -> LiveTask | None:
    """What the preview is waiting for, as the fit of a scan that has none; None while that is quick."""
    return _task if _task is not None and not _task.measures and _task.seconds > QUICK_SECONDS else None


def stop_waiting() -> None:
    """Let go of what the preview is waiting for. The sliders stay where they are, and their next touch begins anew."""
    global _error
    _drop_task()
    for known in (_marked, _due, _unmeasured):
        known.clear()
    _error = "The preview was stopped. Move a slider to start it again, or press Fit first."
    preview.redraw()


def mark(obj: Any | None) -> None:
    """The shape of this object's stack may have changed; None: a setting that concerns all objects has."""
    global _error
    active = context.view_layer.objects.active if obj is None else obj
    uids = set(_previewed) if obj is None else set()
    if active is not None and (len(active.omomi.edits) or active.session_uid in _previewed):
        uids.add(active.session_uid)
    _error = ""
    for uid in uids:
        _marked[uid] = next(_numbers)
        _due[uid] = time.monotonic() + REST_SECONDS
    if active is not None:
        place_watch.note(active)
    _wake()


def _wake() -> None:
    if _is_waiting() and not bpy.app.background and not bpy.app.timers.is_registered(_tick):
        bpy.app.timers.register(_tick, first_interval=0.0)


def after_update() -> None:
    """Something in the scene has changed. An object whose places were moved is marked when these rest."""
    place_watch.look(REST_SECONDS)
    _wake()


def stop() -> None:
    """Send no more requests and remove the previews. The shape keys stay as they are."""
    global _error, _trusted
    _drop_task()
    for known in (_marked, _due, _unmeasured, _previewed, _made):
        known.clear()
    place_watch.forget_moves()
    _error, _trusted = "", ()
    fits.sweep_previews()
    if bpy.app.timers.is_registered(_tick):
        bpy.app.timers.unregister(_tick)


def pause() -> dict[int, bool]:
    """`stop`, for a run that needs the backend for itself. Returns what `resume` needs."""
    objects = {uid: mesh_io.object_by_uid(uid) for uid in (*_marked, *_previewed)}
    stop()
    return {uid: obj.visible_get() for uid, obj in objects.items() if obj is not None}


def resume(paused: Mapping[int, bool]) -> None:
    """Show again what sliders say, but for objects that the run has hidden, as it does where there is a result."""
    for uid, visible in paused.items():
        obj = mesh_io.object_by_uid(uid)
        if obj is not None and obj.visible_get() == visible:
            mark(obj)


def after_history() -> None:
    """Undo or redo happened: mark the objects whose preview or shape key does not match their strengths."""
    global _trusted
    _trusted = ()
    objects: Any = bpy.data.objects
    for obj in objects:
        if obj.type == "MESH":
            stale = len(obj.omomi.edits) and shape_key.find(obj) is not None and not shape_key.shows(obj)
            if stale or obj.session_uid in _previewed:
                mark(obj)


def shows_new_mesh() -> bool:
    """Whether a new mesh is made or shown in place of the sliders' own preview."""
    return bool(_made) or (_task is not None and _task.makes)


def back_to_sliders() -> None:
    """Show what the sliders say in place of new meshes, and make none before the next touch."""
    if _task is not None and _task.makes:
        _drop_task()
    _due.clear()
    for uid in list(_made):
        _show_posed(uid)
    preview.redraw()


def _tick() -> float | None:
    if pump():
        return TICK_SECONDS
    return WATCH_SECONDS if _previewed else None


def pump() -> bool:
    """Do one step, without blocking. Returns whether anything is left to do."""
    global _task
    for obj in place_watch.rested():
        for edit in obj.omomi.edits:
            if edit.place is not None:
                edits.unmeasured(edit)
        mark(obj)
    if not _marked:
        _look_after_previews()
    if fits.current() is not None:
        # A run has the backend for itself; what is still marked comes after it.
        _drop_task()
        return _is_waiting()
    if _task is not None and (_task.makes or _task.measures) and _marked:
        # The new mesh would be that of strengths that are gone, or keep another object's slider waiting.
        _drop_task()
    if _task is None:
        try:
            _task = _next()
        except OmomiError as failure:
            for known in (_marked, _due, _unmeasured):
                known.clear()
            place_watch.forget_moves()
            _give_up(failure)
            return False
    if _task is None:
        return _is_waiting()
    _task.step()
    if waiting() is not None:
        preview.redraw()
    if _task.over:
        ended, _task = _task, None
        if ended.errors:
            # The object whose turn it was; the others have theirs.
            _marked.pop(ended.uid, None)
            _due.pop(ended.uid, None)
            _give_up(ended.errors[0])
            if ended.uid in _made:
                _show_posed(ended.uid)
    return _task is not None or _is_waiting()


def _is_waiting() -> bool:
    return bool(_marked or _due or _unmeasured) or place_watch.is_moving()


def _next() -> LiveTask | None:
    """The next task. Raises OmomiError where the backend cannot be started."""
    if _marked:
        uid = next(iter(_marked))
        return LiveTask(uid, _follow(uid))
    now = time.monotonic()
    uid = next((uid for uid, begin in _due.items() if begin <= now), 0)
    if uid:
        del _due[uid]
        return LiveTask(uid, _make(uid), lambda frame: _show_made(uid, frame), makes=True)
    uid = next((uid for uid, begin in _unmeasured.items() if begin <= now), 0)
    if not uid:
        return None
    del _unmeasured[uid]
    return LiveTask(uid, _measure(uid), measures=True)


def _drop_task() -> None:
    global _task
    dropped, _task = _task, None
    if dropped is not None:
        dropped.abandon()
        if dropped.makes:
            # Made again, unless its own slider has moved and says when.
            _due.setdefault(dropped.uid, time.monotonic())
        elif dropped.measures:
            _unmeasured.setdefault(dropped.uid, time.monotonic())


def _look_after_previews() -> None:
    """Let go of objects that undo or the artist has deleted, have previews go along with the others, and veil those
    whose new mesh is shown, but for what is painted or sculpted."""
    for uid in {*_previewed, *_due}:
        obj = mesh_io.object_by_uid(uid)
        if obj is None:
            if _task is not None and _task.uid == uid:
                _drop_task()
            _due.pop(uid, None)
            _remove_preview(uid)
            continue
        made = _made.get(uid)
        if (shown := made or _previewed.get(uid)) is not None:
            preview.carry(str(uid), _matrix(obj) @ np.linalg.inv(shown.matrix))
        if made is not None and obj.mode == "OBJECT":
            preview.veil(obj)
        else:
            preview.unveil(obj)


def _give_up(failure: OmomiError) -> None:
    # The same error would come again at once; the next touch of a slider tries anew.
    global _error, _trusted
    _trusted = ()
    _error = "" if failure.code == ErrorCode.CANCELLED else explain(failure, "Move the slider")
    preview.redraw()


def _follow(uid: int) -> Work:
    """Show one object until its sliders rest."""
    obj = mesh_io.object_by_uid(uid)
    if obj is None or edits.is_neutral(obj.omomi.edits):
        _marked.pop(uid, None)
        _due.pop(uid, None)
        _show_rest(uid, obj)
    else:
        yield from backend_fit.retried(uid, lambda: _poses(process.started(), uid))


def _poses(client: Client, uid: int) -> Work:
    global _trusted, _trusted_until
    obj, scene = backend_fit.need(uid), context.scene
    settings, body = FitSettings.of(scene.omomi), backend_fit.body_of(obj, scene.omomi.result)
    trusted = (uid, client.pid, edits.structure(obj.omomi.edits), body, settings)
    subject = backend_fit.known(uid)
    if subject is None or subject.stack is None or trusted != _trusted or time.monotonic() > _trusted_until:
        subject = yield from backend_fit.stacked(client, uid, settings, body)
        _trusted = trusted
    while uid in _marked:
        obj, number = backend_fit.need(uid), _marked[uid]
        if edits.structure(obj.omomi.edits) != _trusted[2]:
            return
        strengths, stamp = edits.strengths(obj.omomi.edits), edits.stamp(obj.omomi.edits)
        vertices = (yield from backend_fit.posed(client, subject, strengths)) if any(strengths) else None
        obj = backend_fit.need(uid)
        if vertices is None:
            _show_rest(uid, obj)
        else:
            _show(uid, obj, subject, vertices, stamp)
        if _marked.get(uid) == number:
            del _marked[uid]
            if context.scene.omomi.result == "SHAPE_KEY" or not subject.by_network(strengths):
                _due.pop(uid, None)
        if travel.unmeasured(obj.omomi.edits):
            _unmeasured[uid] = time.monotonic() + REST_SECONDS
        _trusted_until = time.monotonic() + TRUST_SECONDS


def _measure(uid: int) -> Work:
    """Measure how far the sliders of one object go."""
    scene = context.scene
    settings, body = FitSettings.of(scene.omomi), backend_fit.body_of(backend_fit.need(uid), scene.omomi.result)
    yield from backend_fit.retried(uid, lambda: travel.measured(process.started(), uid, settings, body))
    preview.redraw()


def _make(uid: int) -> Work:
    """Ask for the new mesh of one object, as Apply does; its frames are shown as they come."""
    yield from backend_fit.retried(uid, lambda: _made_mesh(process.started(), uid))


def _made_mesh(client: Client, uid: int) -> Work:
    settings = FitSettings.of(context.scene.omomi)
    _made.pop(uid, None)
    # A scan that the backend has lost is fitted again first, and nobody wants to see that.
    yield from backend_fit.stacked(client, uid, settings, EditTarget.FIT)
    _made[uid] = None
    yield from backend_fit.asked(client, uid, settings, EditTarget.FIT, RemeshRequest)


def _show(uid: int, obj: Any, subject: backend_fit.BackendFit, vertices: Any, stamp: str) -> None:
    if obj.mode == "EDIT":
        raise Refusal(f"{obj.name} is in Edit Mode. Leave it with Tab first.")
    in_key = subject.body is EditTarget.SCAN and shape_key.find(obj) is not None and shape_key.why_not(obj) is None
    if in_key and len(vertices) == len(obj.data.vertices):
        shape_key.write(obj, vertices - subject.rest, subject.linear, stamp)
        _remove_preview(uid)
    else:
        matrix = _matrix(obj)
        place = np.asarray(subject.frame.origin) + matrix[:3, 3]
        _previewed[uid] = ShownMesh(vertices + place, subject.faces, matrix)
        _show_posed(uid)
    preview.redraw()


def _show_posed(uid: int) -> None:
    """Show what the sliders say, as it was last answered."""
    _made.pop(uid, None)
    obj = mesh_io.object_by_uid(uid)
    if obj is not None and uid in _previewed:
        preview.unveil(obj)
        vertices, faces, _ = _previewed[uid]
        preview.show(str(uid), obj.name, vertices, faces)


def _show_made(uid: int, frame: MeshFrame) -> None:
    """Show the new mesh of an object, or one on the way to it."""
    obj = mesh_io.object_by_uid(uid)
    if obj is not None and uid in _made:
        matrix = _matrix(obj)
        vertices, faces, _ = _made[uid] = ShownMesh(frame.world() + matrix[:3, 3], frame.faces, matrix)
        preview.show(str(uid), obj.name, vertices, faces)
        preview.redraw()


def _show_rest(uid: int, obj: Any | None) -> None:
    if obj is not None and shape_key.find(obj) is not None and not shape_key.shows(obj):
        shape_key.reset(obj)
    _remove_preview(uid)
    preview.redraw()


def _remove_preview(uid: int) -> None:
    _made.pop(uid, None)
    if _previewed.pop(uid, None) is not None:
        preview.remove(str(uid))


def _matrix(obj: Any) -> NDArray[np.float64]:
    return np.array(obj.matrix_world, np.float64)
