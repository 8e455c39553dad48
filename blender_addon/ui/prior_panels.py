"""The panels Other Completions, Family and Imagine. Drawing starts nothing and reads no mesh."""

from __future__ import annotations

from typing import Any

import bpy

from ..scene import completions, fit_provenance
from ..session import library
from .widgets import ClosedSidebar, active_mesh, file_rows, lines

__all__ = ["CLASSES"]


class OMOMI_PT_completions(ClosedSidebar, bpy.types.Panel):
    bl_idname = "OMOMI_PT_completions"
    bl_label = "Other Completions"

    def draw(self, context: Any) -> None:
        layout: Any = self.layout
        obj = active_mesh(context)
        result = None if obj is None else fit_provenance.result_of(obj)
        if result is None:
            lines(layout, "Make a fitted scan active", "INFO")
            return
        made = completions.of(result)
        for number, item in enumerate((result, *made) if made else (), 1):
            row = layout.row(align=True)
            shown = "RADIOBUT_ON" if item == obj else "RADIOBUT_OFF"
            text = "The fit" if item == result else f"Completion {number}"
            row.operator("omomi.show_completion", text=text, icon=shown).name = item.name
            row.operator("omomi.pick_completion", text="", icon="CHECKMARK").name = item.name
        row = layout.row(align=True)
        row.prop(context.scene.omomi, "completions", text="")
        row.operator("omomi.complete_otherwise", text="Complete Otherwise")


class OMOMI_PT_family(ClosedSidebar, bpy.types.Panel):
    bl_idname = "OMOMI_PT_family"
    bl_label = "Family"

    def draw(self, context: Any) -> None:
        layout: Any = self.layout
        settings = context.scene.omomi
        chosen = settings.profile, "RADIOBUT_ON"
        file_rows(layout, "PROFILE", library.PROFILE, "omomi.choose_family", "RADIOBUT_OFF", chosen)
        layout.operator("omomi.import_file", icon="IMPORT")
        column = layout.column(align=True)
        column.prop(settings, "family_name")
        column.operator("omomi.align", icon="OUTLINER_OB_GROUP_INSTANCE")
        lines(layout, settings.family_report, "INFO")


class OMOMI_PT_imagine(ClosedSidebar, bpy.types.Panel):
    bl_idname = "OMOMI_PT_imagine"
    bl_label = "Imagine"

    def draw(self, context: Any) -> None:
        layout: Any = self.layout
        settings = context.scene.omomi
        row = layout.row(align=True)
        row.prop(settings, "seed")
        row.prop(settings, "samples", text="")
        layout.operator("omomi.sample", icon="OUTLINER_OB_POINTCLOUD")


CLASSES = (OMOMI_PT_completions, OMOMI_PT_family, OMOMI_PT_imagine)
