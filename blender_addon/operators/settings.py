"""Operators on settings: the options of a fit as they were, or as in a preset, and a mask to paint."""

from __future__ import annotations

from typing import Any

import bpy
from bl_operators.presets import AddPresetBase
from bpy.props import EnumProperty, StringProperty

from ..text import Refusal
from ..ui.panels import FIT_PRESETS
from ..ui.properties import FIT_OPTIONS
from ..ui.widgets import active_mesh
from .modal import ActionOperator, PolledOperator

MASK = "Omomi mask"
# Its stubs do not fit those of an operator.
PresetBase: Any = AddPresetBase


class OMOMI_OT_reset_options(ActionOperator, bpy.types.Operator):
    """Set all options of a fit to what they are at first"""

    bl_idname = "omomi.reset_options"
    bl_label = "Reset Options"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    def _act(self, context: Any) -> str:
        for name in FIT_OPTIONS:
            context.scene.omomi.property_unset(name)
        return "The options of a fit are as they are at first"


class OMOMI_OT_add_fit_preset(PresetBase, bpy.types.Operator):
    """Keep the options of a fit under a name, or remove the preset that is chosen"""

    bl_idname = "omomi.add_fit_preset"
    bl_label = "Add Fit Preset"
    __annotations__ = {"name": StringProperty(name="Name", description="Of the preset", options={"SKIP_SAVE"})}
    preset_menu = "OMOMI_PT_fit_presets"
    preset_subdir = FIT_PRESETS
    preset_defines = ("settings = bpy.context.scene.omomi",)
    preset_values = tuple(f"settings.{name}" for name in FIT_OPTIONS)

    def invoke(self, context: Any, event: Any) -> Any:
        """Ask for a name where there is none yet, as from a menu."""
        if self.name or self.remove_name or self.remove_active:
            return self.execute(context)
        return context.window_manager.invoke_props_dialog(self)


class OMOMI_OT_paint_mask(PolledOperator, ActionOperator, bpy.types.Operator):
    """Paint where it acts: make a vertex group, unless one is chosen, and open Weight Paint on it"""

    bl_idname = "omomi.paint_mask"
    bl_label = "Paint Mask"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012
    __annotations__ = {
        "owner": EnumProperty(
            name="Of", description="What the mask is of",
            items=[("EDIT", "Edit", "The active edit"), ("OPTION", "Option", "An option of a fit")],
        ),
        "setting": StringProperty(name="Setting", description="Of an option: which mask", default="fill_mask"),
    }

    @classmethod
    def why_not(cls, context: Any) -> str:
        obj = active_mesh(context)
        if obj is None:
            return "Make a mesh object active"
        linked = obj.library is not None or obj.data.library is not None
        return f"{obj.name} is linked from another file, so it cannot be painted" if linked else ""

    def _act(self, context: Any) -> str:
        obj = context.active_object
        if self.owner == "EDIT":
            stack = obj.omomi.edits
            if obj.omomi.active >= len(stack):
                raise Refusal(f"{obj.name} has no edit to mask. Add one first.")
            owner, setting = stack[obj.omomi.active], "mask"
        else:
            owner, setting = context.scene.omomi, self.setting
        group = obj.vertex_groups.get(getattr(owner, setting)) or obj.vertex_groups.new(name=MASK)
        setattr(owner, setting, group.name)
        obj.vertex_groups.active_index = group.index
        bpy.ops.object.mode_set(mode="WEIGHT_PAINT")
        return f"Paint '{group.name}', then go back to Object Mode"


CLASSES = (OMOMI_OT_reset_options, OMOMI_OT_add_fit_preset, OMOMI_OT_paint_mask)
