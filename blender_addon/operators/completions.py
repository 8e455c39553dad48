"""Operators on other completions of a fit: make some, look at one, pick one."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import StringProperty

from ..backend.errors import OmomiError
from ..scene import completions, fit_provenance, preview
from ..session import fits
from ..session.task import Client, Task
from ..text import Refusal, explain
from ..ui.properties import completions_count
from ..ui.widgets import active_mesh
from .edits import prepare, settle
from .modal import WAIT, Runs, count_of, why_not_start

__all__ = ["CLASSES"]

SEVERAL = "other completions"


class OMOMI_OT_complete_otherwise(Runs, bpy.types.Operator):
    """Make other completions of a fit: what was measured stays, what was not seen is filled otherwise"""

    bl_idname = "omomi.complete_otherwise"
    bl_label = "Complete Otherwise"
    bl_description = (
        "Fit the scan again a few times and fill what was not seen in other likely ways, to pick one. What was "
        "measured stays, and so does the fit until you pick; Esc cancels"
    )
    bl_options = {"UNDO"}  # noqa: RUF012
    __annotations__ = {"count": completions_count(), **WAIT}
    _uid = 0
    _original: fit_provenance.OriginalScan | None = None

    @classmethod
    def poll(cls, context: Any) -> bool:
        reason = why_not_start(context)
        obj = active_mesh(context)
        if not reason and obj is None:
            reason = "Make a fitted scan active"
        if not reason and obj is not None and fit_provenance.result_of(obj) is None:
            reason = f"{obj.name} has not been fitted; press Fit first"
        if reason:
            cls.poll_message_set(reason)
        return not reason

    def _make(self, context: Any, client: Client, stream: bool) -> fits.Run:
        result = fit_provenance.result_of(context.active_object)
        assert result is not None
        if reason := completions.why_not(result):
            raise Refusal(reason)
        count = count_of(self, context.scene, "completions")
        fitting = fit_provenance.fitting_of(result)
        self._uid, self._original = result.session_uid, fit_provenance.read(result)
        key, name, offset = str(self._uid), fit_provenance.name_of(result), self._original.offset

        def show(frame: Any) -> None:
            preview.show(key, name, frame.world() + offset, frame.faces)

        work = completions.complete(client, name, self._original, fitting, count)
        return Task(client, work, "opening the scan", count, show if stream else None, (key,))

    def _done(self, context: Any, run: Any) -> set[str]:
        if run.result is None or self._original is None:
            return {"CANCELLED"}
        try:
            made = completions.commit(self._uid, self._original, run.result)
        except OmomiError as error:
            run.errors.append(error)
            return {"CANCELLED"}
        self._report({"INFO"}, f"{len(made)} {SEVERAL} in '{completions.NAME}'. Look at each, then pick one")
        return {"FINISHED"}


class OfCompletions:
    """Mix-in of an operator on a fit or one of its other completions: the one named, else the active object."""

    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012
    __annotations__ = {"name": StringProperty(name="Name", description="Of the object; else the active one")}

    @classmethod
    def poll(cls, context: Any) -> bool:
        reason = why_not_start(context)
        if reason:
            operator: Any = cls
            operator.poll_message_set(reason)
        return not reason

    def execute(self, context: Any) -> Any:
        operator: Any = self
        objects: Any = bpy.data.objects
        obj = objects.get(operator.name) if operator.name else context.active_object
        try:
            if obj is None or obj.type != "MESH" or not completions.of(obj.omomi.completes or obj):
                raise Refusal(f"There are no {SEVERAL} to choose from. Press Complete Otherwise first.")
            operator.report({"INFO"}, self._act(context, obj))
        except OmomiError as error:
            operator.report({"ERROR"}, explain(error))
            return {"CANCELLED"}
        return {"FINISHED"}

    def _act(self, context: Any, obj: Any) -> str:
        raise NotImplementedError


class OMOMI_OT_show_completion(OfCompletions, bpy.types.Operator):
    """Show this one and hide the others"""

    bl_idname = "omomi.show_completion"
    bl_label = "Show"

    def _act(self, context: Any, obj: Any) -> str:
        completions.show(obj)
        return f"{obj.name} is shown"


class OMOMI_OT_pick_completion(OfCompletions, bpy.types.Operator):
    """Keep this one as the fit and remove the others; the mesh that the fit had stays in the file as NAME.original"""

    bl_idname = "omomi.pick_completion"
    bl_label = "Pick"

    def _act(self, context: Any, obj: Any) -> str:
        name = obj.name
        result = completions.pick(obj)
        if len(result.omomi.edits):
            prepare(result, context.scene)
        settle(result)
        return f"{result.name} has the shape of {name}" if name != result.name else f"{name} stays as it is"


CLASSES = (OMOMI_OT_complete_otherwise, OMOMI_OT_show_completion, OMOMI_OT_pick_completion)
