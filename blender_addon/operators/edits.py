"""Operators on the stack of edits of the active object, which the other selected meshes share, and Apply."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, StringProperty

from ..scene import shape_key
from ..session import apply, backend_fit, edits, live
from ..session.backend_fit import FitSettings
from ..session.task import Client, Task
from ..translations import told
from ..ui.choices import KINDS, RESULTS
from ..ui.widgets import selected_meshes
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
    """Mix-in of an operator on the active object. ``wants``: what there must be: "object", "stack" (one that can have
    edits), "edit" (an active one), "learned" (an active edit that was learned)."""

    wants = "edit"

    @classmethod
    def why_not(cls, context: Any) -> str:
        if reason := why_not_editable(obj := context.active_object):
            return reason
        own = None if cls.wants == "object" else edits.why_not_own(obj)
        return own or cls.why_not_wanted(obj.omomi)

    @classmethod
    def why_not_wanted(cls, group: Any) -> str:
        """The reason why the stack of an object has not what there must be, or an empty text."""
        if cls.wants in ("edit", "learned") and group.active >= len(group.edits):
            return "Add an edit first"
        if cls.wants == "learned" and group.edits[group.active].kind != "learned":
            return "Choose an edit that was learned from examples"
        return ""


def targets(context: Any) -> list[Any]:
    """The objects on which edits act: the active one, then the other selected meshes where it is selected as well."""
    active, selected = context.active_object, selected_meshes(context)
    return [active, *(obj for obj in selected if obj != active)] if active in selected else [active]


def shared(context: Any) -> list[Any]:
    """The same objects, but for those that can have no edits; from now on all have the stack of the active one."""
    active, *others = [obj for obj in targets(context) if not (why_not_editable(obj) or edits.why_not_own(obj))]
    stack = edits.frozen(active.omomi.edits)
    for obj in others:
        edits.give(obj, stack)
    return [active, *others]


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
    """Add an edit to the stack of the selected meshes: an attribute or a shape slider by its name, or a file"""

    bl_idname = "omomi.add_edit"
    bl_label = "Add Edit"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012
    wants = "stack"
    __annotations__ = {
        "kind": EnumProperty(name="Kind", description="Where the edit comes from", items=KINDS),
        "name": StringProperty(name="Name", description="Of the edit"),
        "path": StringProperty(name="File", description="Of a learned edit", subtype="FILE_PATH"),
        "strength": FloatProperty(name="Strength", description="How strong the edit is; 0 does nothing", default=0.0),
    }

    @classmethod
    def description(cls, context: Any, properties: Any) -> str:
        """The tooltip: what a built-in edit does."""
        known = edits.find(properties.kind, properties.name)
        return told(known.description if known is not None else cls.__doc__ or "")

    def _act(self, context: Any) -> str:
        obj = context.active_object
        name = self.name or bpy.path.display_name_from_filepath(self.path)
        edit = edits.add(obj, self.kind, name, self.path)
        edit.strength = self.strength
        show(context)
        return ""


class OMOMI_OT_remove_edit(EditOperator, bpy.types.Operator):
    """Remove the active edit from the stack"""

    bl_idname = "omomi.remove_edit"
    bl_label = "Remove Edit"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    def execute(self, context: Any) -> Any:
        edits.remove(context.active_object)
        for obj in shared(context):
            settle(obj)
        return {"FINISHED"}


class OMOMI_OT_move_edit(EditOperator, bpy.types.Operator):
    """Move the active edit up or down"""

    bl_idname = "omomi.move_edit"
    bl_label = "Move Edit"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012
    __annotations__ = {
        "direction": EnumProperty(
            name="Direction", description="Where to in the list", items=[("UP", "Up", ""), ("DOWN", "Down", "")]
        ),
    }

    def execute(self, context: Any) -> Any:
        edits.move(context.active_object, -1 if self.direction == "UP" else 1)
        for obj in shared(context):
            live.mark(obj)
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
        for obj in [obj for obj in targets(context) if not why_not_editable(obj)]:
            edits.settle(obj)
            if self.remove:
                edits.remove_all(obj)
            settle(obj)
            if self.remove and shape_key.find(obj) is not None:
                shape_key.remove(obj)
        return {"FINISHED"}


class OMOMI_OT_apply(EditOperator, RunOperator, bpy.types.Operator):
    """Make the result of the edits of the active object on every selected mesh, and say what they did. An option that
    is not given is the scene's setting."""

    bl_idname = "omomi.apply"
    bl_label = "Apply"
    bl_description = (
        "Make the result of the edits on every selected mesh, with the edits of the active one, and say what they did; "
        "Esc cancels"
    )
    bl_options = {"UNDO"}  # noqa: RUF012
    __annotations__ = {
        "result": EnumProperty(
            name="Result", description="What becomes of the result", items=RESULTS, default="SHAPE_KEY"
        ),
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
            self.tell("ERROR", "All strengths are 0, so there is nothing to apply. Move a slider first.")
            return {"CANCELLED"}
        objects = shared(context)
        for obj in objects:
            settle(obj)
            obj.omomi.report = ""
        names = ", ".join(obj.name for obj in objects)
        alone = len(objects) == 1
        self.tell("INFO", f"{names} is as it was without edits" if alone else f"{names} are as they were without edits")
        return {"FINISHED"}

    def _make(self, context: Any, client: Client, stream: bool) -> Task:
        active, *others = targets(context)
        settings, result = FitSettings.of(context.scene.omomi), chosen(self, context.scene, "result")
        # What is placed last becomes the active object.
        return apply.ApplyRun(client, [*others, active], active, settings, result, stream=stream)

    def _done(self, context: Any, run: Any) -> set[str]:
        # Of several objects, those that are complete have their result, whatever became of the others.
        several, shown = len(run.objects) > 1, run.commit()
        text, warnings = "", []
        for obj in shown:
            text, *lines = obj.omomi.report.splitlines()
            warnings += [f"{obj.name}: {line}" for line in lines] if several else lines
        if several and shown:
            text = f"the edits are on {len(shown)} of {len(run.objects)} objects"
        if shown:
            self.tell("INFO", f"{', '.join(obj.name for obj in shown)}: {text}")
        if warnings:
            self.tell("WARNING", "\n".join(warnings))
        return {"FINISHED"} if shown else {"CANCELLED"}


class OMOMI_OT_back_to_preview(bpy.types.Operator):
    """Show the quick preview of the sliders again in place of the new mesh, which Apply still makes"""

    bl_idname = "omomi.back_to_preview"
    bl_label = "Back to Preview (Esc)"

    @classmethod
    def poll(cls, context: Any) -> bool:
        return live.shows_new_mesh()

    def execute(self, context: Any) -> Any:
        live.back_to_sliders()
        return {"FINISHED"}


class OMOMI_OT_stop_preview(bpy.types.Operator):
    """Stop what the preview of the sliders is waiting for, as the fit of a scan that has none yet"""

    bl_idname = "omomi.stop_preview"
    bl_label = "Stop Preview (Esc)"

    @classmethod
    def poll(cls, context: Any) -> bool:
        return live.waiting() is not None

    def execute(self, context: Any) -> Any:
        live.stop_waiting()
        return {"FINISHED"}


CLASSES = (
    OMOMI_OT_add_edit, OMOMI_OT_remove_edit, OMOMI_OT_move_edit, OMOMI_OT_reset_edits, OMOMI_OT_apply,
    OMOMI_OT_back_to_preview, OMOMI_OT_stop_preview,
)  # fmt: skip


def prepare(obj: Any, scene: Any) -> None:
    """Make the shape key of the sliders, where the result is one and the object can have one. An operator with an undo
    step does this, because nothing may be added to the file between two undo steps."""
    if scene.omomi.result == "SHAPE_KEY" and shape_key.why_not(obj) is None:
        shape_key.ensure(obj)


def show(context: Any) -> None:
    """Show edits that are new to the active object, on every object that shares them."""
    for obj in shared(context):
        prepare(obj, context.scene)
        settle(obj)


def settle(obj: Any) -> None:
    """Show a changed stack: at once where it does nothing, else when the backend has answered."""
    if edits.is_neutral(obj.omomi.edits) and shape_key.find(obj) is not None:
        shape_key.reset(obj)
    live.mark(obj)
