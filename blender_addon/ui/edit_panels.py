"""The panels Edits, Learn, Library, Blend and Check. Drawing starts nothing and reads no mesh."""

from __future__ import annotations

from typing import Any

import bpy

from ..scene import mesh_io
from ..session import edits, library, live, shape_sliders
from .widgets import ClosedSidebar, Sidebar, active_mesh, file_rows, files, lines

__all__ = ["CLASSES"]

ICONS = {"attribute": "MODIFIER", "shape": "MESH_MONKEY", "learned": "FILE"}


class OMOMI_UL_edits(bpy.types.UIList):
    bl_idname = "OMOMI_UL_edits"

    def draw_item(
        self, context: Any, layout: Any, data: Any, item: Any, icon: Any, active_data: Any, active_name: Any
    ) -> None:
        row = layout.row(align=True)
        row.active = not item.mute
        row.label(text=item.name, icon=ICONS.get(item.kind, "NONE"))
        strength = row.row(align=True)
        strength.alert = edits.outside(item)
        strength.prop(item, "strength", text="", slider=True)
        if edits.outside(item):
            row.label(text="", icon="ERROR")
        row.prop(item, "mute", text="", icon="HIDE_ON" if item.mute else "HIDE_OFF", emboss=False)


class OMOMI_MT_add_edit(bpy.types.Menu):
    bl_idname = "OMOMI_MT_add_edit"
    bl_label = "Add Edit"

    def draw(self, context: Any) -> None:
        layout: Any = self.layout
        for known in edits.ATTRIBUTES:
            add = layout.operator("omomi.add_edit", text=known.label, icon="MODIFIER")
            add.kind, add.name = "attribute", known.name
        layout.separator()
        for slider in shape_sliders.sliders(edits.CARD):
            add = layout.operator("omomi.add_edit", text=slider.name.capitalize(), icon=ICONS["shape"])
            add.kind, add.name = "shape", slider.name
        layout.separator()
        for name in files(library.EDIT):
            layout.operator("omomi.add_from_library", text=name, icon="FILE").name = name


class OMOMI_MT_presets(bpy.types.Menu):
    bl_idname = "OMOMI_MT_presets"
    bl_label = "Presets"

    def draw(self, context: Any) -> None:
        layout: Any = self.layout
        for name in library.BUILT_IN:
            layout.operator("omomi.load_preset", text=name, icon="LOCKED").name = name
        layout.separator()
        for name in files(library.PRESET):
            layout.operator("omomi.load_preset", text=name).name = name
        layout.separator()
        layout.operator("omomi.save_preset", icon="ADD")


class OMOMI_PT_edits(Sidebar, bpy.types.Panel):
    bl_idname = "OMOMI_PT_edits"
    bl_label = "Edits"

    def draw(self, context: Any) -> None:
        layout: Any = self.layout
        obj = active_mesh(context)
        if obj is None:
            layout.label(text="Make a mesh object active", icon="INFO")
            return
        group = obj.omomi
        row = layout.row()
        row.template_list("OMOMI_UL_edits", "", group, "edits", group, "active", rows=3)
        buttons = row.column(align=True)
        buttons.menu("OMOMI_MT_add_edit", text="", icon="ADD")
        buttons.operator("omomi.remove_edit", text="", icon="REMOVE")
        buttons.menu("OMOMI_MT_presets", text="", icon="PRESET")
        buttons.operator("omomi.move_edit", text="", icon="TRIA_UP").direction = "UP"
        buttons.operator("omomi.move_edit", text="", icon="TRIA_DOWN").direction = "DOWN"
        if group.active < len(group.edits):
            _draw_edit(layout, context, obj, group.edits[group.active])
        lines(layout, live.error(), "ERROR")
        lines(layout, live.status(), "TIME")
        row = layout.row(align=True)
        row.operator("omomi.apply", icon="CHECKMARK")
        row.operator("omomi.reset_edits", icon="LOOP_BACK")
        lines(layout, group.report, "INFO")


def _draw_edit(layout: Any, context: Any, obj: Any, edit: Any) -> None:
    column = layout.column()
    column.use_property_split = True
    column.use_property_decorate = False
    column.prop(edit, "strength", slider=True)
    column.prop_search(edit, "mask", obj, "vertex_groups", text="Mask")
    row = layout.row(align=True)
    row.alert = edits.outside(edit)
    row.label(text=edits.safe_text(edit), icon="ERROR" if edits.outside(edit) else "CHECKMARK" if edit.safe else "NONE")
    row.operator("omomi.sweep", text="", icon="VIEWZOOM")
    lines(layout, edit.transitions, "NONE")
    lines(layout, edit.note, "ERROR")
    row = layout.row(align=True)
    row.prop(context.scene.omomi, "measure", text="")
    row.prop(context.scene.omomi, "value", text="")
    row.operator("omomi.solve")


class OMOMI_PT_learn(ClosedSidebar, bpy.types.Panel):
    bl_idname = "OMOMI_PT_learn"
    bl_label = "Learn"

    def draw(self, context: Any) -> None:
        layout: Any = self.layout
        settings = context.scene.omomi
        for number, pair in enumerate(settings.pairs):
            row = layout.row(align=True)
            row.prop(pair, "before", text="")
            row.label(text="", icon="FORWARD")
            row.prop(pair, "after", text="")
            row.operator("omomi.remove_pair", text="", icon="X").index = number
        layout.operator("omomi.add_pair", icon="ADD")
        layout.prop(settings, "learn_name")
        layout.operator("omomi.learn", icon="IMPORT")


class OMOMI_PT_library(ClosedSidebar, bpy.types.Panel):
    bl_idname = "OMOMI_PT_library"
    bl_label = "Library"

    def draw(self, context: Any) -> None:
        layout: Any = self.layout
        file_rows(layout, "EDIT", library.EDIT, "omomi.add_from_library", "FILE")
        file_rows(layout, "PRESET", library.PRESET, "omomi.load_preset", "PRESET")
        layout.operator("omomi.import_file", icon="IMPORT")


class OMOMI_PT_blend(ClosedSidebar, bpy.types.Panel):
    bl_idname = "OMOMI_PT_blend"
    bl_label = "Blend"

    def draw(self, context: Any) -> None:
        layout: Any = self.layout
        settings = context.scene.omomi
        layout.prop(settings, "other", text="With")
        layout.prop(settings, "share", slider=True)
        layout.prop(settings, "guarded")
        layout.operator("omomi.blend", icon="MOD_MESHDEFORM")


class OMOMI_PT_check(Sidebar, bpy.types.Panel):
    bl_idname = "OMOMI_PT_check"
    bl_label = "Check"

    def draw(self, context: Any) -> None:
        layout: Any = self.layout
        obj = active_mesh(context)
        if obj is not None:
            lines(layout, obj.omomi.check)
        layout.operator("omomi.check", icon="VIEWZOOM")
        row = layout.row(align=True)
        for what, text, colour in (
            ("UNCERTAINTY", "Uncertainty", mesh_io.COLOUR), ("DEPARTURE", "Departure", mesh_io.DEPARTURE),
        ):  # fmt: skip
            if obj is not None and colour in obj.data.attributes:
                row.operator("omomi.show", text=text, icon="HIDE_OFF").what = what
        layout.operator("omomi.audit", icon="TEXT")


CLASSES = (
    OMOMI_UL_edits, OMOMI_MT_add_edit, OMOMI_MT_presets,
    OMOMI_PT_edits, OMOMI_PT_learn, OMOMI_PT_library, OMOMI_PT_blend, OMOMI_PT_check,
)  # fmt: skip
