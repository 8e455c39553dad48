"""What the backend holds of the scene: which scan was fitted, under which handle, with which stack of edits.

Nothing of this is saved: the handle belongs to one process. A scan that the process does not know, or that looks
different now, is fitted again without a word.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..backend.errors import ErrorCode, OmomiError
from ..backend.protocol.messages import MeshFrame
from ..backend.protocol.requests import EditTarget, PoseRequest, StackRequest
from ..scene import mesh_io
from ..text import Refusal
from . import edits
from .fit_settings import FitSettings
from .task import Client, Work

__all__ = ["BackendFit", "forget_all", "known", "need", "opened", "posed", "remember", "retried", "stacked"]


@dataclass
class BackendFit:
    """A fitted scan.

    own i32 (m, 3): its faces; frame: the final mesh of its fit; linear: as of `mesh_io.object_linear`; stack: body and
    signature of the edits that the backend has; rest f32 (n, 3): the vertices of the body at strength 0.
    """

    pid: int | None
    handle: int
    fingerprint: tuple[Any, ...]
    own: NDArray[np.int32]
    frame: MeshFrame
    linear: NDArray[np.float64]
    stack: tuple[EditTarget, tuple[Any, ...]] | None = None
    rest: NDArray[np.float32] | None = None

    @property
    def body(self) -> EditTarget:
        """Whose vertices the edits move."""
        return EditTarget.FIT if self.stack is None else self.stack[0]

    @property
    def faces(self) -> NDArray[np.int32]:
        """Of the body."""
        return self.frame.faces if self.body is EditTarget.FIT else self.own


_subjects: dict[int, BackendFit] = {}


def known(uid: int) -> BackendFit | None:
    """What is known of the object with this ``session_uid``."""
    return _subjects.get(uid)


def forget_all() -> None:
    """The backend process or the file is another one."""
    _subjects.clear()


def remember(
    client: Client,
    uid: int,
    handle: int,
    scan: mesh_io.ScanArrays,
    mark: tuple[Any, ...],
    frame: MeshFrame,
    linear: NDArray[np.float64],
) -> BackendFit:
    """The backend has fitted this scan of the object; mark: as of `Fitting.mark`."""
    old = _subjects.get(uid)
    if old is not None and old.pid == client.pid:
        client.forget(old.handle)
    own = np.empty((0, 3), np.int32) if scan.faces is None else scan.faces
    _subjects[uid] = BackendFit(client.pid, handle, _fingerprint(scan, mark), own, frame, linear)
    return _subjects[uid]


def need(uid: int, name: str = "The object") -> Any:
    """The object; raises ``CANCELLED`` where it was deleted meanwhile."""
    obj = mesh_io.object_by_uid(uid)
    if obj is None:
        raise OmomiError(ErrorCode.CANCELLED, f"{name} was deleted meanwhile")
    return obj


def opened(client: Client, uid: int, fitting: FitSettings) -> Work:
    """A `BackendFit` for the object's own mesh, fitted where that has not been done. Raises OmomiError."""
    obj = need(uid)
    scan = mesh_io.read_own(obj)
    mark = fitting.mark()
    fingerprint = _fingerprint(scan, mark)
    subject = _subjects.get(uid)
    if subject is not None and subject.pid == client.pid and subject.fingerprint == fingerprint:
        return subject
    linear = mesh_io.object_linear(obj)
    answer = yield fitting.ask(client, scan, obj.name)
    return remember(client, uid, answer.job, scan, mark, answer.mesh, linear)


def stacked(client: Client, uid: int, fitting: FitSettings, body: EditTarget) -> Work:
    """A `BackendFit` whose ``stack`` and ``rest`` are those of the object's edits now. Raises OmomiError."""
    subject = yield from opened(client, uid, fitting)
    obj = need(uid)
    if body is EditTarget.SCAN and not len(obj.data.polygons):
        raise Refusal(f"{obj.name} has no faces, so it can have no shape key. Choose New mesh as the result.")
    stack = edits.read(obj)
    if subject.stack != (body, stack.signature):
        subject.stack = subject.rest = None
        answer = yield client.request(
            StackRequest, handle=subject.handle, body=str(body), layers=stack.layers, masks=stack.masks
        )
        _take_notes(uid, answer.done.result)
        rest = yield client.request(PoseRequest, handle=subject.handle, strengths=(0.0,) * len(stack.layers))
        subject.stack, subject.rest = (body, stack.signature), _vertices(rest.done)
    return subject


def posed(client: Client, subject: BackendFit, strengths: tuple[float, ...]) -> Work:
    """Vertices f32 (n, 3) of the body at these strengths, posed minus the origin of the fit."""
    answer = yield client.request(PoseRequest, handle=subject.handle, strengths=strengths)
    return _vertices(answer.done)


def retried(uid: int, make: Callable[[], Work]) -> Work:
    """``make()``, and once more where the backend has let go of the scan, as it does when memory is short."""
    try:
        return (yield from make())
    except OmomiError as error:
        if error.code != ErrorCode.UNKNOWN_SCAN:
            raise
    _subjects.pop(uid, None)
    return (yield from make())


def _vertices(done: Any) -> NDArray[np.float32]:
    if done.vertices is None:
        raise OmomiError(ErrorCode.PROTOCOL, "The backend process sent no positions")
    return done.vertices


def _take_notes(uid: int, result: dict[str, Any]) -> None:
    """What the backend says of each edit on this scan."""
    stack = need(uid).omomi.edits
    for edit, said in zip(stack, result.get("layers", ()), strict=False):
        edit.note = " ".join(said.get("warnings", ()))
        edit.foretold = said.get("foretold") or (0.0, 0.0)


def _fingerprint(scan: mesh_io.ScanArrays, mark: tuple[Any, ...]) -> tuple[Any, ...]:
    arrays = (None if array is None else (array.shape, zlib.crc32(array.tobytes())) for array in scan)
    return (*arrays, *mark)
