"""The panels in the sidebar of the 3D view. Drawing starts nothing and counts cheap things only."""

from __future__ import annotations

from typing import Any

import bpy
from bl_ui.utils import PresetPanel

from ..backend.protocol.fit_options import PAINTED
from ..scene import completions, fit_origin, mesh_io, no_data, point_cloud
from ..session import fits, library, live, process
from ..text import reading_text
from ..translations import told
from . import colour_overlay, edit_settings, hole_overlay, preferences
from .widgets import (
    ClosedSidebar,
    Sidebar,
    active_mesh,
    file_rows,
    lines,
    mask_row,
    progress_row,
    run_button,
    selected_scans,
)

# Counting borders touches every edge; larger meshes would make the sidebar stutter.
MAX_COUNTED_CORNERS = 1_000_000

FIT_PRESETS = "omomi/fit"
"""Folder of the presets of the options of a fit, among Blender's own presets."""

_borders: dict[tuple[int, int, int], int] = {}


class OMOMI_PT_scan(Sidebar, bpy.types.Panel):
    bl_label = "Fit"

    def draw(self, context: Any) -> None:
        # What is above a button that is pressed while it works must keep its height.
        run = fits.current()
        if run is None:
            row = self.layout.row()
            row.scale_y = 1.3
            row.operator("omomi.fit", text=told(_fit_text(context)), translate=False, icon="MOD_REMESH")
        else:
            progress_row(self.layout, run, run.text, "omomi.cancel").scale_y = 1.3
        settings = context.scene.omomi
        lines(self.layout, _scan_text(context.active_object), "MESH_DATA")
        lines(self.layout, _faces_text(context.active_object, int(settings.level)))
        column = self.layout.column()
        column.use_property_split = True
        column.use_property_decorate = False
        column.prop(settings, "level")
        column.row().prop(settings, "kind", expand=True)
        row = column.row()
        row.alert = missing = _missing(settings.profile)
        row.prop(settings, "profile")
        if missing:
            lines(column, f"The library has no '{settings.profile}'", "ERROR")
        _draw_reading(self.layout, context)
        lines(self.layout, _device_text(), "MEMORY")
        lines(self.layout, process.log_failure(), "ERROR")


class OMOMI_PT_fit_presets(PresetPanel, bpy.types.Panel):
    bl_label = "Fit Presets"
    preset_subdir = FIT_PRESETS
    preset_operator = "script.execute_preset"
    preset_add_operator = "omomi.add_fit_preset"


class OMOMI_PT_options(ClosedSidebar, bpy.types.Panel):
    bl_label = "Options"
    bl_parent_id = "OMOMI_PT_scan"

    def draw_header_preset(self, context: Any) -> None:
        row = self.layout.row(align=True)
        row.operator("omomi.reset_options", text="", icon="LOOP_BACK", emboss=False)
        row.popover("OMOMI_PT_fit_presets", text="", icon="PRESET")

    def draw(self, context: Any) -> None:
        settings, obj = context.scene.omomi, active_mesh(context)
        column = self.layout.column()
        column.use_property_split = True
        column.use_property_decorate = False
        for name in PAINTED:
            column.prop(settings, name)
            if obj is not None and getattr(settings, name):
                mask_row(column, settings, f"{name}_mask", obj)
        for name in ("symmetry", "base", "walls", "keep_islands", "keep_thin", "register_views", "thickness"):
            column.prop(settings, name)
        self.layout.operator("omomi.join_views", icon="MESH_DATA")


class OMOMI_PT_result(Sidebar, bpy.types.Panel):
    bl_label = "Result"
    bl_parent_id = "OMOMI_PT_scan"

    def draw(self, context: Any) -> None:
        settings = context.scene.omomi
        self.layout.row().prop(settings, "result", expand=True)
        column = self.layout.column(align=True)
        column.prop(settings, "faces")
        row = column.row(align=True)
        row.operator("omomi.fewer_faces", text="Fewer")
        row.operator("omomi.quads")
        column.operator("omomi.bake_detail")


class OMOMI_PT_holes(ClosedSidebar, bpy.types.Panel):
    bl_label = "Holes"

    def draw(self, context: Any) -> None:
        row = self.layout.row(align=True)
        row.operator("omomi.find_holes", icon="VIEWZOOM")
        shown = hole_overlay.is_shown()
        row.operator("omomi.show_holes", text="", icon="HIDE_OFF" if shown else "HIDE_ON", depress=shown)
        obj, settings = active_mesh(context), context.scene.omomi
        group = None if obj is None else obj.omomi
        if group is not None and len(group.holes):
            self.layout.template_list("OMOMI_UL_holes", "", group, "holes", group, "active_hole", rows=3)
            if group.active_hole < len(group.holes) and (why := group.holes[group.active_hole].why):
                lines(self.layout, f"An opening: {why}", "INFO")
        column = self.layout.column()
        column.use_property_split = True
        column.use_property_decorate = False
        column.prop(settings, "close")
        column.prop(settings, "smaller")
        run_button(self.layout, "omomi.close_holes", icon="MESH_GRID")
        if group is not None and group.holes_report:
            report, *warnings = group.holes_report.splitlines()
            lines(self.layout, report, "INFO")
            for warning in warnings:
                lines(self.layout, warning, "ERROR")


class OMOMI_PT_completions(ClosedSidebar, bpy.types.Panel):
    bl_label = "Other Completions"
    bl_parent_id = "OMOMI_PT_scan"

    def draw(self, context: Any) -> None:
        obj = active_mesh(context)
        result = None if obj is None else fit_origin.result_of(obj)
        if result is None:
            lines(self.layout, "Make a fitted scan active", "INFO")
            return
        made = completions.of(result)
        for number, item in enumerate((result, *made) if made else (), 1):
            row = self.layout.row(align=True)
            shown = "RADIOBUT_ON" if item == obj else "RADIOBUT_OFF"
            text = told("The fit" if item == result else f"Completion {number}")
            row.operator("omomi.show_completion", text=text, translate=False, icon=shown).name = item.name
            row.operator("omomi.pick_completion", text="", icon="CHECKMARK").name = item.name
        row = self.layout.row(align=True)
        row.prop(context.scene.omomi, "completions", text="")
        run_button(row, "omomi.complete_otherwise", text="Complete Otherwise")


class OMOMI_PT_edits(Sidebar, bpy.types.Panel):
    bl_label = "Edits"

    def draw(self, context: Any) -> None:
        obj = active_mesh(context)
        if obj is None:
            self.layout.label(text="Make a mesh object active", icon="INFO")
            return
        group = obj.omomi
        row = self.layout.row()
        row.template_list("OMOMI_UL_edits", "", group, "edits", group, "active", rows=3)
        buttons = row.column(align=True)
        buttons.menu("OMOMI_MT_add_edit", text="", icon="ADD")
        buttons.operator("omomi.remove_edit", text="", icon="REMOVE")
        buttons.menu("OMOMI_MT_presets", text="", icon="PRESET")
        buttons.operator("omomi.move_edit", text="", icon="TRIA_UP").direction = "UP"
        buttons.operator("omomi.move_edit", text="", icon="TRIA_DOWN").direction = "DOWN"
        # Above what comes and goes with the active edit and its preview, so that neither moves under the mouse.
        row = self.layout.row(align=True)
        run_button(row, "omomi.apply", icon="CHECKMARK")
        row.operator("omomi.reset_edits", icon="LOOP_BACK")
        lines(self.layout, group.report, "INFO")
        if group.active < len(group.edits):
            edit_settings.draw(self.layout, context, obj, group.edits[group.active])
        lines(self.layout, live.error(), "ERROR")
        if (task := live.waiting()) is not None:
            other = mesh_io.object_by_uid(task.uid)
            of_other = f"{other.name}: {task.text}" if other is not None and other != obj else task.text
            progress_row(self.layout, task, of_other, "omomi.stop_preview")
        if live.shows_new_mesh():
            self.layout.operator("omomi.back_to_preview", icon="LOOP_BACK")


class OMOMI_PT_solve(ClosedSidebar, bpy.types.Panel):
    bl_label = "Solve"
    bl_parent_id = "OMOMI_PT_edits"

    def draw(self, context: Any) -> None:
        edit_settings.draw_solve(self.layout, context.scene.omomi, active_mesh(context))


class OMOMI_PT_learn(ClosedSidebar, bpy.types.Panel):
    bl_label = "Learn"
    bl_parent_id = "OMOMI_PT_edits"

    def draw(self, context: Any) -> None:
        settings = context.scene.omomi
        for number, pair in enumerate(settings.pairs):
            row = self.layout.row()
            row.label(text=told(f"Pair {number + 1}"), translate=False)
            row.operator("omomi.remove_pair", text="", icon="X", emboss=False).index = number
            column = self.layout.column(align=True)
            column.use_property_split = True
            column.use_property_decorate = False
            for name in ("before", "after", "mark"):
                column.prop(pair, name)
        if not len(settings.pairs):
            lines(self.layout, "Change a copy of a mesh. Select the mesh, then with Shift the copy", "INFO")
        self.layout.operator("omomi.add_pair", icon="ADD")
        self.layout.prop(settings, "learn_name")
        run_button(self.layout, "omomi.learn", icon="IMPORT")
        lines(self.layout, settings.learn_report, "INFO")


class OMOMI_PT_library(ClosedSidebar, bpy.types.Panel):
    bl_label = "Library"
    bl_parent_id = "OMOMI_PT_edits"

    def draw(self, context: Any) -> None:
        file_rows(self.layout, "EDIT", library.EDIT, "omomi.add_from_library", "FILE")
        file_rows(self.layout, "PRESET", library.PRESET, "omomi.load_preset", "PRESET")
        self.layout.operator("omomi.import_file", icon="IMPORT")


class OMOMI_PT_blend(ClosedSidebar, bpy.types.Panel):
    bl_label = "Blend"
    bl_parent_id = "OMOMI_PT_edits"

    def draw(self, context: Any) -> None:
        settings = context.scene.omomi
        self.layout.prop(settings, "other", text="With")
        self.layout.prop(settings, "share", slider=True)
        self.layout.prop(settings, "guarded")
        run_button(self.layout, "omomi.blend", icon="MOD_MESHDEFORM")


class OMOMI_PT_check(Sidebar, bpy.types.Panel):
    bl_label = "Check"

    def draw(self, context: Any) -> None:
        run_button(self.layout, "omomi.check", icon="VIEWZOOM")
        obj = active_mesh(context)
        row = self.layout.row(align=True)
        for what, text, colour in (
            ("UNCERTAINTY", "Uncertainty", mesh_io.COLOUR), ("DEPARTURE", "Departure", mesh_io.DEPARTURE),
        ):  # fmt: skip
            if obj is not None and colour in obj.data.attributes:
                shown = colour_overlay.shown() == colour
                icon = "HIDE_OFF" if shown else "HIDE_ON"
                row.operator("omomi.show", text=text, icon=icon, depress=shown).what = what
        if obj is not None:
            lines(self.layout, obj.omomi.check)
            if fit_origin.is_sheet(obj):
                lines(self.layout, "The fit of a sheet is an open mesh: it has no inside, volume or tunnels", "INFO")
            marked = no_data.find(obj) is not None
            self.layout.operator("omomi.mark_no_data", icon="GEOMETRY_NODES", depress=marked)
        run_button(self.layout, "omomi.audit", icon="TEXT")


class OMOMI_PT_family(ClosedSidebar, bpy.types.Panel):
    bl_label = "Family"

    def draw(self, context: Any) -> None:
        settings = context.scene.omomi
        chosen = settings.profile, "RADIOBUT_ON"
        file_rows(self.layout, "PROFILE", library.PROFILE, "omomi.choose_family", "RADIOBUT_OFF", chosen)
        self.layout.operator("omomi.import_file", icon="IMPORT")
        column = self.layout.column(align=True)
        column.prop(settings, "family_name")
        run_button(column, "omomi.align", icon="OUTLINER_OB_GROUP_INSTANCE")
        lines(self.layout, settings.family_report, "INFO")


class OMOMI_PT_imagine(ClosedSidebar, bpy.types.Panel):
    bl_label = "Imagine"

    def draw(self, context: Any) -> None:
        settings = context.scene.omomi
        row = self.layout.row(align=True)
        row.prop(settings, "seed")
        row.prop(settings, "samples", text="")
        run_button(self.layout, "omomi.sample", icon="OUTLINER_OB_POINTCLOUD")


# In the order of the sidebar.
CLASSES = (
    OMOMI_PT_fit_presets, OMOMI_PT_scan, OMOMI_PT_options, OMOMI_PT_result, OMOMI_PT_completions, OMOMI_PT_holes,
    OMOMI_PT_edits, OMOMI_PT_solve, OMOMI_PT_learn, OMOMI_PT_library, OMOMI_PT_blend, OMOMI_PT_check, OMOMI_PT_family,
    OMOMI_PT_imagine,
)  # fmt: skip


def _fit_text(context: Any) -> str:
    """What the button does with what is selected."""
    selected = selected_scans(context)
    again = [obj for obj in selected if fit_origin.shows_fit(obj)]
    count, only_again = len(selected), bool(again) and len(again) == len(selected)
    if count > 1:
        return f"Fit {count} Objects Again" if only_again else f"Fit {count} Objects"
    return "Fit Again" if only_again else "Fit"


def _draw_reading(layout: Any, context: Any) -> None:
    """What the scan of the active fit was read as, buttons to overrule that, and what its artist should know."""
    obj = active_mesh(context)
    result = None if obj is None else fit_origin.result_of(obj)
    if result is None or not result.omomi.origin.found:
        return
    origin = result.omomi.origin
    lines(layout, reading_text(origin.found, origin.reason), "VIEWZOOM")
    row = layout.row(align=True)
    row.label(text="No, it is a")
    for kind in ("scan", "solid", "sheet"):
        if kind != origin.found:
            row.operator("omomi.refit", text=kind.title()).kind = kind
    for note in origin.notes.splitlines():
        lines(layout, note, "ERROR")


def _missing(family: str) -> bool:
    known = library.listing(preferences.library_folder(), library.PROFILE)
    return bool(family) and family not in [path.stem for path in known]


def _scan_text(obj: Any) -> str:
    if obj is not None and obj.type == point_cloud.TYPE:
        return f"{obj.name}: {len(obj.data.points):,} points"
    if obj is None or obj.type != "MESH":
        return "Select a mesh or a point cloud to fit"
    mesh = obj.data
    text = f"{obj.name}: {len(mesh.vertices):,} vertices"
    if obj.mode == "EDIT" or len(mesh.loops) > MAX_COUNTED_CORNERS:
        return text
    if not len(mesh.polygons):
        return f"{text}, points only"
    count = _border_count(mesh)
    if count == 0:
        return f"{text}, closed"
    return f"{text}, open (1 border)" if count == 1 else f"{text}, open ({count} borders)"


def _faces_text(obj: Any, level: int) -> str:
    """How many faces a fit will have; nothing where the mesh or the point cloud does not tell."""
    if obj is None or obj.type not in ("MESH", point_cloud.TYPE) or obj.mode == "EDIT":
        return ""
    if not (faces := mesh_io.predicted_faces(obj, level)):
        return ""
    return f"A fit: about {faces:,} faces at {32 << level}\u00b3"


def _border_count(mesh: Any) -> int:
    key = (mesh.session_uid, len(mesh.vertices), len(mesh.loops))
    if key not in _borders:
        _borders.clear()
        _borders[key] = mesh_io.open_loops(mesh)
    return _borders[key]


def _device_text() -> str:
    client = process.running()
    hello = client.hello if client is not None else None
    if hello is None:
        return "The backend starts with the first fit"
    return process.describe_device(hello, preferences.get().device)
