"""The stack of edits of an object -> its result: a shape key, a new mesh, or a mesh in place of the old one.

`work` asks the backend and changes nothing; `commit` puts what came of it in the scene.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..backend.errors import ErrorCode, OmomiError
from ..backend.protocol.messages import MeshFrame
from ..backend.protocol.requests import ApplyRequest, EditTarget, Outcome
from ..scene import attributes, results, shape_key
from ..text import Refusal
from . import backend_fit, edits
from .fit_settings import FitSettings
from .task import Client, Work

__all__ = ["EditResult", "commit", "why_not", "work"]


class EditResult(NamedTuple):
    """What the backend made of a stack. ``moved`` f32 (n, 3): displacements of the object's own vertices, where they
    become a shape key; ``report``: see ``ApplyRequest``."""

    uid: int
    result: str
    stamp: str
    linear: NDArray[np.float64]
    report: dict[str, Any]
    frame: MeshFrame
    moved: NDArray[np.float32] | None
    carried: attributes.TransferredAttributes | None


def why_not(obj: Any, result: str) -> str | None:
    """The reason why this object cannot have this result, or None."""
    if result == "SHAPE_KEY":
        return shape_key.why_not(obj)
    return results.why_not_replace(obj) if result == "REPLACE" else None


def work(client: Client, uid: int, fitting: FitSettings, result: str) -> Work:
    """`EditResult` for an object. Raises OmomiError."""
    reason = why_not(backend_fit.need(uid), result)
    if reason is not None:
        raise Refusal(reason)
    if result == "SHAPE_KEY":
        return (yield from _carried(client, uid, fitting))
    return (yield from _remeshed(client, uid, fitting, result))


def _carried(client: Client, uid: int, fitting: FitSettings) -> Work:
    subject = yield from backend_fit.stacked(client, uid, fitting, EditTarget.SCAN)
    obj = backend_fit.need(uid)
    stamp, strengths = edits.stamp(obj), edits.strengths(obj)
    answer = yield client.request(
        ApplyRequest, handle=subject.handle, strengths=strengths, outcome=str(Outcome.CARRIED)
    )
    # Measured from where the backend has the vertices at rest, so that those that do not move stay to the last bit.
    moved = answer.mesh.vertices - subject.rest
    return EditResult(uid, "SHAPE_KEY", stamp, subject.linear, answer.done.result, answer.mesh, moved, None)


def _remeshed(client: Client, uid: int, fitting: FitSettings, result: str) -> Work:
    subject = yield from backend_fit.stacked(client, uid, fitting, EditTarget.FIT)
    obj = backend_fit.need(uid)
    stamp, strengths = edits.stamp(obj), edits.strengths(obj)
    answer = yield client.request(
        ApplyRequest, handle=subject.handle, strengths=strengths, outcome=str(Outcome.REMESHED)
    )
    frame, carried = answer.mesh, None
    if len(backend_fit.need(uid).data.polygons) and len(frame.faces):
        # Attributes lie on the scan as the edits move it, so that they are found in their place.
        subject = yield from backend_fit.stacked(client, uid, fitting, EditTarget.SCAN)
        moved = yield from backend_fit.posed(client, subject, strengths)
        target = (frame.world() - np.asarray(subject.frame.origin)).astype(np.float32)
        worn = attributes.worn(backend_fit.need(uid))
        carried = yield from attributes.carried(client, worn, moved, subject.own, target, frame.faces)
    return EditResult(uid, result, stamp, subject.linear, answer.done.result, frame, None, carried)


def commit(applied: EditResult) -> Any:
    """Put the result in the scene and return the object that shows it. Raises OmomiError; nothing has changed then."""
    obj = backend_fit.need(applied.uid)
    reason = why_not(obj, applied.result)
    if reason is not None:
        raise Refusal(reason)
    if applied.moved is not None:
        if len(applied.moved) != len(obj.data.vertices):
            raise OmomiError(ErrorCode.CANCELLED, f"{obj.name} was changed meanwhile")
        shape_key.ensure(obj)
        shape_key.write(obj, applied.moved, applied.linear, applied.stamp)
        return obj
    fitted = results.ResultMesh(applied.frame.world(), applied.frame.faces, applied.frame.sigma, applied.linear)
    return results.place(obj, fitted, replace=applied.result == "REPLACE", suffix="edit", carried=applied.carried)
