"""The panels in the sidebar of the 3D view. Drawing starts nothing and counts cheap things only."""

from __future__ import annotations

from typing import Any

import bpy

from ..scene import mesh_io
from ..session import fits, library, process
from . import preferences
from .widgets import Sidebar, lines

__all__ = ["CLASSES"]

# Counting holes touches every edge; larger meshes would make the sidebar stutter.
MAX_COUNTED_CORNERS = 1_000_000

_holes: dict[tuple[int, int, int], int] = {}


class OMOMI_PT_scan(Sidebar, bpy.types.Panel):
    bl_idname = "OMOMI_PT_scan"
    bl_label = "Scan"

    def draw(self, context: Any) -> None:
        layout: Any = self.layout
        settings = context.scene.omomi
        lines(layout, _scan_text(context.active_object), "MESH_DATA")
        column = layout.column()
        column.use_property_split = True
        column.use_property_decorate = False
        for name in ("level", "denoise", "fill", "symmetry"):
            column.prop(settings, name)
        row = column.row()
        row.alert = missing = _missing(settings.profile)
        row.prop(settings, "profile")
        if missing:
            lines(column, f"The library has no '{settings.profile}'", "ERROR")
        run = fits.current()
        if run is None:
            layout.operator("omomi.fit", icon="MOD_REMESH")
        else:
            row = layout.row(align=True)
            row.progress(factor=run.fraction, type="BAR", text=run.text)
            row.operator("omomi.cancel", text="", icon="X")
        lines(layout, _device_text(), "MEMORY")


class OMOMI_PT_result(Sidebar, bpy.types.Panel):
    bl_idname = "OMOMI_PT_result"
    bl_label = "Result"

    def draw(self, context: Any) -> None:
        layout: Any = self.layout
        settings = context.scene.omomi
        layout.row().prop(settings, "result", expand=True)
        layout.prop(settings, "keep_islands")


CLASSES = (OMOMI_PT_scan, OMOMI_PT_result)


def _missing(family: str) -> bool:
    known = library.listing(preferences.library_folder(), library.PROFILE)
    return bool(family) and family not in [path.stem for path in known]


def _scan_text(obj: Any) -> str:
    if obj is None or obj.type != "MESH":
        return "Select a mesh to fit"
    mesh = obj.data
    text = f"{obj.name}: {len(mesh.vertices):,} vertices"
    if obj.mode == "EDIT" or len(mesh.loops) > MAX_COUNTED_CORNERS:
        return text
    if not len(mesh.polygons):
        return f"{text}, points only"
    holes = _hole_count(mesh)
    return f"{text}, closed" if holes == 0 else f"{text}, open ({holes} {'hole' if holes == 1 else 'holes'})"


def _hole_count(mesh: Any) -> int:
    key = (mesh.session_uid, len(mesh.vertices), len(mesh.loops))
    if key not in _holes:
        _holes.clear()
        _holes[key] = mesh_io.open_loops(mesh)
    return _holes[key]


def _device_text() -> str:
    client = process.running()
    hello = client.hello if client is not None else None
    if hello is None:
        return "The backend starts with the first fit"
    return process.describe_device(hello, preferences.get().device)
