"""Applies a stack of edits to objects: a shape key, a new mesh, or a mesh in place of the old one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..backend.errors import ErrorCode, OmomiError
from ..backend.protocol.requests import ApplyRequest, EditTarget, Outcome
from ..scene import attributes, results, shape_key, units
from ..scene.draft import Draft
from ..scene.snapshot import read_scan
from ..text import edit_report, refuse
from . import backend_fit, edits
from .backend_fit import FitSettings
from .object_run import ObjectRun, RunObject
from .task import Client, Work


class EditResult(NamedTuple):
    """What the backend made of a stack."""

    asked: backend_fit.Asked
    moved: NDArray[np.float32] | None  # (n, 3): displacements of the object's own vertices, for a shape key


def why_not(obj: Any, result: str) -> str | None:
    """The reason why this object cannot have this result, or None."""
    if (reason := edits.why_not_own(obj)) is not None:
        return reason
    if result == "SHAPE_KEY":
        return shape_key.why_not(obj)
    return results.why_not_replace(obj) if result == "REPLACE" else None


class ApplyRun(ObjectRun):
    """Applies the stack of one object, as it is at the start, to several. ``obj.omomi.report`` of what shows a result
    has the report, then the warnings, one a line."""

    def __init__(
        self, client: Client, objects: Iterable[Any], active: Any, settings: FitSettings, result: str, *, stream: bool
    ) -> None:
        """active: the object that has the stack; stream: show previews of new meshes."""
        self._active = active.session_uid
        self._stack = edits.frozen(active.omomi.edits)
        self._by_amount = any(edit.by_amount for edit in active.omomi.edits)
        self._settings = settings
        self._result = result
        super().__init__(client, objects, "opening the scan", stream=stream and result != "SHAPE_KEY")

    def _one(self, item: RunObject, obj: Any) -> Work:
        refuse(why_not(obj, self._result))
        if self._by_amount:
            yield from self._travelled()
        stack = edits.owned(backend_fit.need(item.uid, item.name), self._stack)
        return (yield from backend_fit.retried(item.uid, lambda: self._edited(item, stack)))

    def _travelled(self) -> Work:
        """Have the strengths that were given as amounts be those of the travel on the scan of the active object, which
        is not known before its stack is. Raises OmomiError."""
        active, of = self._active, (self._client, self._active, self._settings, EditTarget.FIT)
        yield from backend_fit.retried(active, lambda: backend_fit.stacked(*of))
        self._stack, self._by_amount = edits.frozen(backend_fit.need(active).omomi.edits), False

    def _edited(self, item: RunObject, stack: tuple[edits.Edit, ...]) -> Work:
        """`EditResult` for an object. Raises OmomiError."""
        client, settings, uid = self._client, self._settings, item.uid
        in_key = self._result == "SHAPE_KEY"
        body, outcome = (EditTarget.SCAN, Outcome.CARRIED) if in_key else (EditTarget.FIT, Outcome.REMESHED)
        asked = yield from backend_fit.asked(client, uid, settings, body, ApplyRequest, stack, outcome=str(outcome))
        frame, worn = asked.answer.mesh, None
        if in_key:
            # Measured from where the backend has the vertices at rest, so that those that do not move stay bit for bit.
            return EditResult(asked, frame.vertices - asked.fit.rest)
        if len(frame.faces):
            # Attributes lie on the scan as the edits move it, so that they are found in their place; bare points have
            # no faces to lie on: there the fit wears them.
            fit, obj = asked.fit, backend_fit.need(uid)
            source = yield from attributes.read_own(obj)
            obj = backend_fit.need(uid)
            if len(obj.data.polygons):
                fit = yield from backend_fit.stacked(client, uid, settings, EditTarget.SCAN, stack)
            else:
                scan = yield from read_scan(obj, shown=False)
                source = yield from attributes.transfer_to_fit(client, fit.handle, source, scan, fit.frame)
            moved = yield from backend_fit.posed(client, fit, asked.strengths)
            target = (frame.world() - np.asarray(fit.frame.origin)).astype(np.float32)
            worn = yield from attributes.transfer(client, fit.handle, source, moved, fit.faces, target, frame.faces)
        item.draft, item.result = Draft(frame, asked.fit.linear, worn), EditResult(asked, None)
        yield from item.draft.fill()
        return item.result

    def _place(self, item: RunObject, obj: Any) -> Any:
        refuse(why_not(obj, self._result))
        ((fit, answer, _, stamp), moved), draft = item.result, item.draft
        worn = None if draft is None else draft.worn
        if draft is not None:
            shown = results.place(obj, draft, replace=self._result == "REPLACE", suffix="edit")
        elif len(moved) != len(obj.data.vertices):
            raise OmomiError(ErrorCode.CANCELLED, f"{obj.name} has changed in the meantime")
        else:
            shown = obj
        if item.uid != self._active:
            edits.give(shown, self._stack)
            backend_fit.note(shown, fit)
        if draft is not None:
            edits.settle(shown)
        else:
            shape_key.ensure(obj)
            shape_key.write(obj, moved, fit.linear, stamp)
        text, warnings = edit_report(answer.done.result, units.shown)
        shown.omomi.report = "\n".join([text, *warnings, *(worn.notes if worn else ()), *self._unmasked(obj)])
        return shown

    def _unmasked(self, obj: Any) -> list[str]:
        """Warnings of masks that the object does not have: the edits under them do nothing to it."""
        acting = zip(self._stack, edits.strengths(self._stack), strict=True)
        names = [edit.mask for edit, strength in acting if strength and edit.mask]
        return edits.unmasked(obj, names, "edits")
