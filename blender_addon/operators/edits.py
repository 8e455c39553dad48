"""Operators on the stack of edits of the active object, and Apply."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, StringProperty

from ..scene import shape_key
from ..session import apply, backend_fit, edits, live
from ..session.backend_fit import FitSettings
from ..session.task import Client, Task
from ..ui.properties import KINDS, RESULTS
from .modal import WAIT, ActionOperator, PolledOperator, RunOperator, chosen, why_not_start


def why_not_editable(obj: Any) -> str:
    """The reason why this object can have no edits, or an empty text."""
    if obj is None or obj.type != "MESH":
        return "Make a mesh object active"
    if obj.library is not None:
        return f"{obj.name} is linked from another file"
    if obj.mode == "EDIT":
        return "Leave Edit Mode first (Tab)"
    return ""


class EditOperator(PolledOperator):
    """Mix-in of an operator on the active object. ``wants``: what there must be: "object", "edit" (an active one)."""

    wants = "edit"

    @classmethod
    def why_not(cls, context: Any) -> str:
        obj = context.active_object
        reason = why_not_editable(obj)
        if not reason and cls.wants == "edit" and obj.omomi.active >= len(obj.omomi.edits):
            reason = "Add an edit first"
        return reason


class EditRunOperator(EditOperator, RunOperator):
    """Mix-in of an operator that asks the backend about the active object. It supplies ``_work(context, client,
    settings)``, which returns a function that makes the `Work` on the object with the session_uid `_uid`, and
    ``_place(context, obj, result)``, which puts what the work returned in the scene and reports. Both may raise
    OmomiError."""

    _uid = 0

    @classmethod
    def why_not(cls, context: Any) -> str:
        return why_not_start(context) or super().why_not(context)

    def _make(self, context: Any, client: Client, stream: bool) -> Task:
        self._uid = context.active_object.session_uid
        work = self._work(context, client, FitSettings.of(context.scene.omomi))
        return Task(client, backend_fit.retried(self._uid, work), "opening the scan")

    def _commit(self, context: Any, run: Any) -> None:
        self._place(context, backend_fit.need(self._uid), run.result)


class OMOMI_OT_add_edit(EditOperator, ActionOperator, bpy.types.Operator):
    """Add an edit to the stack of the active object: an attribute or a shape slider by its name, or a file"""

    bl_idname = "omomi.add_edit"
    bl_label = "Add Edit"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012
    wants = "object"
    __annotations__ = {
        "kind": EnumProperty(name="Kind", items=KINDS),
        "name": StringProperty(name="Name"),
        "path": StringProperty(name="File", subtype="FILE_PATH"),
        "strength": FloatProperty(name="Strength", default=0.0),
    }

    @classmethod
    def description(cls, context: Any, properties: Any) -> str:
        """The tooltip: what a built-in edit does."""
        known = edits.find(properties.kind, properties.name)
        return known.description if known is not None else cls.__doc__ or ""

    def _act(self, context: Any) -> str:
        obj = context.active_object
        name = self.name or bpy.path.display_name_from_filepath(self.path)
        edit = edits.add(obj, self.kind, name, self.path)
        prepare(obj, context.scene)
        edit.strength = self.strength
        return ""


class OMOMI_OT_remove_edit(EditOperator, bpy.types.Operator):
    """Remove the active edit from the stack"""

    bl_idname = "omomi.remove_edit"
    bl_label = "Remove Edit"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    def execute(self, context: Any) -> Any:
        obj = context.active_object
        edits.remove(obj)
        settle(obj)
        return {"FINISHED"}


class OMOMI_OT_move_edit(EditOperator, bpy.types.Operator):
    """Move the active edit up or down"""

    bl_idname = "omomi.move_edit"
    bl_label = "Move Edit"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012
    __annotations__ = {
        "direction": EnumProperty(name="Direction", items=[("UP", "Up", ""), ("DOWN", "Down", "")]),
    }

    def execute(self, context: Any) -> Any:
        edits.move(context.active_object, -1 if self.direction == "UP" else 1)
        live.mark(context.active_object)
        return {"FINISHED"}


class OMOMI_OT_reset_edits(EditOperator, bpy.types.Operator):
    """Set all strengths to 0, so that the object is exactly as it was"""

    bl_idname = "omomi.reset_edits"
    bl_label = "Reset"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012
    __annotations__ = {
        "remove": BoolProperty(name="Remove", description="Also empty the stack and remove the shape key"),
    }

    def execute(self, context: Any) -> Any:
        obj = context.active_object
        edits.settle(obj)
        if self.remove:
            obj.omomi.edits.clear()
            obj.omomi.active = 0
        settle(obj)
        if self.remove and shape_key.find(obj) is not None:
            shape_key.remove(obj)
        return {"FINISHED"}


class OMOMI_OT_apply(EditOperator, RunOperator, bpy.types.Operator):
    """Make the result of the edits and say what they did. An option that is not given is the scene's setting."""

    bl_idname = "omomi.apply"
    bl_label = "Apply"
    bl_description = "Make the result of the edits, and say what they did; Esc cancels"
    bl_options = {"UNDO"}  # noqa: RUF012
    __annotations__ = {
        "result": EnumProperty(name="Result", items=RESULTS, default="SHAPE_KEY"),
        **WAIT,
    }

    @classmethod
    def why_not(cls, context: Any) -> str:
        return why_not_start(context) or super().why_not(context)

    def _at_once(self, context: Any) -> set[str] | None:
        obj, result = context.active_object, chosen(self, context.scene, "result")
        if not edits.is_neutral(obj.omomi.edits):
            return None
        if result != "SHAPE_KEY":
            self.report({"ERROR"}, "All strengths are 0, so there is nothing to apply. Move a slider first.")
            return {"CANCELLED"}
        settle(obj)
        obj.omomi.report = ""
        self.report({"INFO"}, f"{obj.name} is as it was without edits")
        return {"FINISHED"}

    def _make(self, context: Any, client: Client, stream: bool) -> Task:
        obj, result = context.active_object, chosen(self, context.scene, "result")
        return apply.ApplyRun(client, [obj], obj, FitSettings.of(context.scene.omomi), result, stream=stream)

    def _done(self, context: Any, run: Any) -> set[str]:
        # Of several objects, those that are complete have their result, whatever became of the others.
        shown = run.commit()
        for obj in shown:
            text, *warnings = obj.omomi.report.splitlines()
            self.report({"INFO"}, f"{obj.name}: {text}")
            if warnings:
                self.report({"WARNING"}, "\n".join(warnings))
        return {"FINISHED"} if shown else {"CANCELLED"}


CLASSES = (OMOMI_OT_add_edit, OMOMI_OT_remove_edit, OMOMI_OT_move_edit, OMOMI_OT_reset_edits, OMOMI_OT_apply)


def prepare(obj: Any, scene: Any) -> None:
    """Make the shape key of the sliders, where the result is one and the object can have one. An operator with an undo
    step does this, because nothing may be added to the file between two undo steps."""
    if scene.omomi.result == "SHAPE_KEY" and shape_key.why_not(obj) is None:
        shape_key.ensure(obj)


def settle(obj: Any) -> None:
    """Show a changed stack: at once where it does nothing, else when the backend has answered."""
    if edits.is_neutral(obj.omomi.edits) and shape_key.find(obj) is not None:
        shape_key.reset(obj)
    live.mark(obj)
