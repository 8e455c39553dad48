"""Entries in Blender's own menus, which its search (F3) looks through, and files that one drops on a view."""

from __future__ import annotations

from typing import Any

import bpy

from ..session import library
from .widgets import Drawn

# In the order of the menu; None is a line between groups.
ENTRIES = (
    "omomi.fit", "omomi.complete_otherwise", "omomi.fewer_faces", "omomi.quads", "omomi.bake_detail", None,
    "omomi.find_holes", "omomi.show_holes", "omomi.close_holes", None,
    "omomi.apply", "omomi.reset_edits", "omomi.sweep", "omomi.list_changes", "omomi.solve", "omomi.save_preset", None,
    "omomi.place_at_cursor", "omomi.place_at_vertex", "omomi.clear_place", None,
    "omomi.add_pair", "omomi.learn", "omomi.align", "omomi.blend", None,
    "omomi.check", "omomi.audit", None,
    "omomi.import_file", "omomi.doctor", "omomi.restart", "omomi.open_log",
)  # fmt: skip


class OMOMI_MT_object(Drawn, bpy.types.Menu):
    bl_label = "Omomi"

    def draw(self, context: Any) -> None:
        self.layout.menu("OMOMI_MT_add_edit")
        self.layout.menu("OMOMI_MT_presets")
        self.layout.separator()
        for entry in ENTRIES:
            if entry is None:
                self.layout.separator()
            else:
                self.layout.operator(entry)


class OMOMI_FH_library(bpy.types.FileHandler):
    bl_label = "Edits, presets and families of Omomi"
    bl_import_operator = "omomi.import_file"
    bl_file_extensions = f"{library.EDIT};{library.PRESET};{library.PROFILE}"

    @classmethod
    def poll_drop(cls, context: Any) -> bool:
        return context.area is not None and context.area.type == "VIEW_3D"


CLASSES = (OMOMI_MT_object, OMOMI_FH_library)


def _object_menu(menu: Any, context: Any) -> None:
    menu.layout.separator()
    menu.layout.menu("OMOMI_MT_object")


def _context_menu(menu: Any, context: Any) -> None:
    menu.layout.separator()
    menu.layout.operator("omomi.fit", text="Fit with Omomi")
    menu.layout.operator("omomi.close_holes")


def _add_menu(menu: Any, context: Any) -> None:
    menu.layout.operator("omomi.sample", text="Imagine with Omomi", icon="OUTLINER_OB_POINTCLOUD")


def _import_menu(menu: Any, context: Any) -> None:
    menu.layout.operator("omomi.import_file", text="Omomi edit, preset or family")


_EXTENDED = (
    ("VIEW3D_MT_object", _object_menu), ("VIEW3D_MT_object_context_menu", _context_menu),
    ("VIEW3D_MT_mesh_add", _add_menu), ("TOPBAR_MT_file_import", _import_menu),
)  # fmt: skip


def add_to_blender() -> None:
    for name, draw in _EXTENDED:
        getattr(bpy.types, name).append(draw)


def remove_from_blender() -> None:
    for name, draw in _EXTENDED:
        getattr(bpy.types, name).remove(draw)
