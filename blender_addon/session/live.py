"""The live preview: the shape of the edits while their sliders are dragged.

A change of a property only marks its object. In the window a timer asks the backend where the vertices are, one request
at a time and with the newest strengths, and writes them into the shape key of the edits or, where there is none, into a
preview. Undo and redo bring back strengths and shape key together; what had not arrived is computed again.
"""

from __future__ import annotations

import itertools
import time
from typing import Any

import bpy
import numpy as np

from ..backend.errors import ErrorCode, OmomiError
from ..backend.protocol.requests import EditTarget
from ..context import context
from ..scene import mesh_io, preview, shape_key
from ..text import Refusal, explain
from . import backend_fit, edits, fits, process
from .backend_fit import FitSettings
from .task import Client, Task, Work

TICK_SECONDS = 1 / 60
# For so long after a step of a slider the next one does not look again whether scan and masks have changed.
TRUST_SECONDS = 0.7

_numbers = itertools.count(1)
_marked: dict[int, int] = {}
_previewed: set[int] = set()
_trusted: tuple[Any, ...] = ()
_trusted_until = 0.0
_task: Task | None = None
_error = ""


def error() -> str:
    """Why the last preview failed, or an empty text."""
    return _error


def status() -> str:
    """What the preview is waiting for, or an empty text while that is quick."""
    return _task.text if _task is not None and _task.seconds > 0.5 else ""


def mark(obj: Any | None) -> None:
    """The shape of this object's stack may have changed; None: a setting that concerns all objects has."""
    global _error
    active = context.view_layer.objects.active if obj is None else obj
    uids = {active.session_uid} if active is not None and len(active.omomi.edits) else set()
    _error = ""
    for uid in uids | (_previewed if obj is None else set()):
        _marked[uid] = next(_numbers)
    if _marked and not bpy.app.background and not bpy.app.timers.is_registered(_tick):
        bpy.app.timers.register(_tick, first_interval=0.0)


def stop() -> None:
    """Send no more requests and remove the previews. The shape keys stay as they are."""
    global _task, _error, _trusted
    _marked.clear()
    _previewed.clear()
    if _task is not None:
        _task.abandon()
    _task, _error, _trusted = None, "", ()
    fits.sweep_previews()
    if bpy.app.timers.is_registered(_tick):
        bpy.app.timers.unregister(_tick)


def after_history() -> None:
    """Undo or redo happened: mark the objects whose preview or shape key does not match their strengths."""
    objects: Any = bpy.data.objects
    for obj in objects:
        if obj.type == "MESH" and len(obj.omomi.edits):
            stale = shape_key.find(obj) is not None and not shape_key.shows(obj)
            if stale or obj.session_uid in _previewed:
                mark(obj)


def body_of(obj: Any, result: str) -> EditTarget:
    """The mesh whose vertices the edits move."""
    return EditTarget.SCAN if result == "SHAPE_KEY" and len(obj.data.polygons) else EditTarget.FIT


def _tick() -> float | None:
    return TICK_SECONDS if pump() else None


def pump() -> bool:
    """Do one step, without blocking. Returns whether anything is left to do."""
    global _task, _error
    if fits.current() is not None:
        # A run has the backend for itself; what is still marked comes after it.
        if _task is not None:
            _task.abandon()
        _task = None
        return bool(_marked)
    if _task is None:
        if not _marked:
            return False
        uid = next(iter(_marked))
        try:
            _task = Task(process.started(), _follow(uid), "opening the scan")
        except OmomiError as failure:
            _marked.clear()
            _give_up(failure)
            return False
    _task.step()
    if _task.over:
        failures, _task = _task.errors, None
        if failures:
            # The object whose turn it was; the others have theirs.
            _marked.pop(next(iter(_marked), 0), None)
            _give_up(failures[0])
    return _task is not None or bool(_marked)


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
        _show_rest(uid, obj)
    else:
        yield from backend_fit.retried(uid, lambda: _poses(process.started(), uid))


def _poses(client: Client, uid: int) -> Work:
    global _trusted, _trusted_until
    obj, scene = backend_fit.need(uid), context.scene
    settings, body = FitSettings.of(scene.omomi), body_of(obj, scene.omomi.result)
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
        _trusted_until = time.monotonic() + TRUST_SECONDS


def _show(uid: int, obj: Any, subject: backend_fit.BackendFit, vertices: Any, stamp: str) -> None:
    if obj.mode == "EDIT":
        raise Refusal(f"{obj.name} is in Edit Mode. Leave it with Tab first.")
    in_key = subject.body is EditTarget.SCAN and shape_key.find(obj) is not None and shape_key.why_not(obj) is None
    if in_key and len(vertices) == len(obj.data.vertices):
        shape_key.write(obj, vertices - subject.rest, subject.linear, stamp)
    else:
        place = np.asarray(subject.frame.origin) + np.array(obj.matrix_world, np.float64)[:3, 3]
        preview.show(str(uid), obj.name, vertices + place, subject.faces)
        _previewed.add(uid)
    preview.redraw()


def _show_rest(uid: int, obj: Any | None) -> None:
    if obj is not None and shape_key.find(obj) is not None and not shape_key.shows(obj):
        shape_key.reset(obj)
    if uid in _previewed:
        _previewed.discard(uid)
        preview.remove(str(uid))
    preview.redraw()
