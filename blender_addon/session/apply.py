"""Applies the stack of edits of an object: a shape key, a new mesh, or a mesh in place of the old one.

`work` asks the backend and changes nothing; `commit` puts what came of it in the scene.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..backend.errors import ErrorCode, OmomiError
from ..backend.protocol.requests import ApplyRequest, EditTarget, Outcome
from ..scene import attributes, results, shape_key
from ..text import refuse
from . import backend_fit
from .backend_fit import FitSettings
from .task import Client, Work


class EditResult(NamedTuple):
    """What the backend made of a stack."""

    uid: int
    result: str
    asked: backend_fit.Asked
    moved: NDArray[np.float32] | None  # (n, 3): displacements of the object's own vertices, for a shape key
    transferred: attributes.TransferredAttributes | None

    @property
    def report(self) -> dict[str, Any]:
        """The result of the ``ApplyRequest``."""
        return self.asked.answer.done.result


def why_not(obj: Any, result: str) -> str | None:
    """The reason why this object cannot have this result, or None."""
    if result == "SHAPE_KEY":
        return shape_key.why_not(obj)
    return results.why_not_replace(obj) if result == "REPLACE" else None


def work(client: Client, uid: int, settings: FitSettings, result: str) -> Work:
    """`EditResult` for an object. Raises OmomiError."""
    refuse(why_not(backend_fit.need(uid), result))
    in_key = result == "SHAPE_KEY"
    body, outcome = (EditTarget.SCAN, Outcome.CARRIED) if in_key else (EditTarget.FIT, Outcome.REMESHED)
    asked = yield from backend_fit.asked(client, uid, settings, body, ApplyRequest, outcome=str(outcome))
    frame, transferred = asked.answer.mesh, None
    if in_key:
        # Measured from where the backend has the vertices at rest, so that vertices that do not move stay bit for bit.
        return EditResult(uid, result, asked, frame.vertices - asked.fit.rest, None)
    if len(backend_fit.need(uid).data.polygons) and len(frame.faces):
        # Attributes lie on the scan as the edits move it, so that they are found in their place.
        fit = yield from backend_fit.stacked(client, uid, settings, EditTarget.SCAN)
        moved = yield from backend_fit.posed(client, fit, asked.strengths)
        target = (frame.world() - np.asarray(fit.frame.origin)).astype(np.float32)
        source = attributes.read_attributes(backend_fit.need(uid))
        transferred = yield from attributes.transfer(client, source, moved, fit.own, target, frame.faces)
    return EditResult(uid, result, asked, None, transferred)


def commit(edited: EditResult) -> Any:
    """Put the result in the scene and return the object that shows it. Raises OmomiError; nothing has changed then."""
    obj = backend_fit.need(edited.uid)
    refuse(why_not(obj, edited.result))
    linear, frame = edited.asked.fit.linear, edited.asked.answer.mesh
    if edited.moved is not None:
        if len(edited.moved) != len(obj.data.vertices):
            raise OmomiError(ErrorCode.CANCELLED, f"{obj.name} has changed in the meantime")
        shape_key.ensure(obj)
        shape_key.write(obj, edited.moved, linear, edited.asked.stamp)
        return obj
    replace = edited.result == "REPLACE"
    return results.place(obj, frame, linear, replace=replace, suffix="edit", transferred=edited.transferred)
