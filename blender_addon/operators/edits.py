"""Operators on the stack of edits of the active object, and Apply."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, StringProperty

from ..backend.errors import OmomiError
from ..scene import shape_key
from ..session import apply, backend_fit, edits, fits, live, shape_sliders
from ..session.task import Client, Task
from ..text import Refusal, edit_report, explain
from ..ui.properties import KINDS, RESULTS
from .modal import WAIT, Runs, chosen, why_not_start

__all__ = ["CLASSES", "OfEdits", "prepare", "settle", "why_not_editable"]


def why_not_editable(obj: Any) -> str:
    """The reason why this object can have no edits, or an empty text."""
    if obj is None or obj.type != "MESH":
        return "Make a mesh object active"
    if obj.library is not None:
        return f"{obj.name} is linked from another file"
    if obj.mode == "EDIT":
        return "Leave Edit Mode first (Tab)"
    return ""


class OfEdits:
    """Mix-in of an operator on the active object. ``wants``: what there must be: "object", "edit" (an active one)."""

    wants = "edit"

    @classmethod
    def poll(cls, context: Any) -> bool:
        reason = cls.why_not(context)
        if reason:
            operator: Any = cls
            operator.poll_message_set(reason)
        return not reason

    @classmethod
    def why_not(cls, context: Any) -> str:
        """The reason why it cannot run now, or an empty text."""
        obj = context.active_object
        reason = why_not_editable(obj)
        if not reason and cls.wants == "edit" and obj.omomi.active >= len(obj.omomi.edits):
            reason = "Add an edit first"
        return reason


class OMOMI_OT_add_edit(OfEdits, bpy.types.Operator):
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
        slider = shape_sliders.find(edits.CARD, properties.name) if properties.kind == "shape" else None
        known = slider or next((known for known in edits.ATTRIBUTES if known.name == properties.name), None)
        return known.description if known is not None else cls.__doc__ or ""

    def execute(self, context: Any) -> Any:
        options: Any = self
        obj = context.active_object
        if options.kind == "attribute" and options.name not in {known.name for known in edits.ATTRIBUTES}:
            self.report({"ERROR"}, f"There is no attribute '{options.name}'. Choose one of the list.")
            return {"CANCELLED"}
        if options.kind == "learned" and not options.path:
            self.report({"ERROR"}, "A learned edit needs its file. Choose one of the library.")
            return {"CANCELLED"}
        name = options.name or bpy.path.display_name_from_filepath(options.path)
        try:
            edit = edits.add(obj, options.kind, name, options.path)
        except OmomiError as error:
            self.report({"ERROR"}, explain(error))
            return {"CANCELLED"}
        prepare(obj, context.scene)
        edit.strength = options.strength
        return {"FINISHED"}


class OMOMI_OT_remove_edit(OfEdits, bpy.types.Operator):
    """Take the active edit out of the stack"""

    bl_idname = "omomi.remove_edit"
    bl_label = "Remove Edit"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    def execute(self, context: Any) -> Any:
        obj = context.active_object
        edits.remove(obj)
        settle(obj)
        return {"FINISHED"}


class OMOMI_OT_move_edit(OfEdits, bpy.types.Operator):
    """Move the active edit up or down"""

    bl_idname = "omomi.move_edit"
    bl_label = "Move Edit"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012
    __annotations__ = {
        "direction": EnumProperty(name="Direction", items=[("UP", "Up", ""), ("DOWN", "Down", "")]),
    }

    def execute(self, context: Any) -> Any:
        options: Any = self
        edits.move(context.active_object, -1 if options.direction == "UP" else 1)
        live.mark(context.active_object)
        return {"FINISHED"}


class OMOMI_OT_reset_edits(OfEdits, bpy.types.Operator):
    """Set all strengths to 0: the object is as it was, to the last bit"""

    bl_idname = "omomi.reset_edits"
    bl_label = "Reset"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012
    __annotations__ = {
        "remove": BoolProperty(name="Remove", description="Also empty the stack and remove the shape key"),
    }

    def execute(self, context: Any) -> Any:
        options: Any = self
        obj = context.active_object
        edits.settle([obj])
        if options.remove:
            obj.omomi.edits.clear()
            obj.omomi.active = 0
        settle(obj)
        if options.remove and shape_key.find(obj) is not None:
            shape_key.remove(obj)
        return {"FINISHED"}


class OMOMI_OT_apply(OfEdits, Runs, bpy.types.Operator):
    """Make the result of the edits and say what they did.

    Options that are not given are taken from the scene's settings.
    """

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
        obj, result = context.active_object, self._result(context)
        if not edits.is_neutral(obj):
            return None
        if result != "SHAPE_KEY":
            self._report({"ERROR"}, "All strengths are 0, so there is nothing to apply. Move a slider first.")
            return {"CANCELLED"}
        settle(obj)
        obj.omomi.report = ""
        self._report({"INFO"}, f"{obj.name} is as it was without edits")
        return {"FINISHED"}

    def _result(self, context: Any) -> str:
        return chosen(self, context.scene, ["result"])["result"]

    def _make(self, context: Any, client: Client, stream: bool) -> fits.Run:
        uid, fitting, result = context.active_object.session_uid, live.fitting_of(context.scene), self._result(context)
        reason = apply.why_not(context.active_object, result)
        if reason:
            raise Refusal(reason)
        work = backend_fit.retried(uid, lambda: apply.work(client, uid, fitting, result))
        return Task(client, work, "opening the scan")

    def _done(self, context: Any, run: Any) -> set[str]:
        if run.result is None:
            return {"CANCELLED"}
        try:
            obj = apply.commit(run.result)
        except OmomiError as error:
            run.errors.append(error)
            return {"CANCELLED"}
        text, warnings = edit_report(run.result.report)
        obj.omomi.report = "\n".join([text, *warnings])
        self._report({"INFO"}, f"{obj.name}: {text}")
        if warnings:
            self._report({"WARNING"}, "\n".join(warnings))
        return {"FINISHED"}


CLASSES = (OMOMI_OT_add_edit, OMOMI_OT_remove_edit, OMOMI_OT_move_edit, OMOMI_OT_reset_edits, OMOMI_OT_apply)


def prepare(obj: Any, scene: Any) -> None:
    """Have a shape key for the sliders to show their effect on, where the result is one and can be.

    It is made here, in an operator with its undo step, since nothing may be added to the file between two of them.
    """
    if scene.omomi.result == "SHAPE_KEY" and shape_key.why_not(obj) is None:
        shape_key.ensure(obj)


def settle(obj: Any) -> None:
    """Show a changed stack: at once where it does nothing, else as soon as the backend has answered."""
    if edits.is_neutral(obj) and shape_key.find(obj) is not None:
        shape_key.reset(obj)
    live.mark(obj)
