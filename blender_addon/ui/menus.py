"""Entries in Blender's own menus, which its search (F3) looks through, and files that one drops on a view."""

from __future__ import annotations

from typing import Any, ClassVar

import bpy

from ..backend.protocol.names import POINT_FILES
from ..session import library
from ..translations import told
from .widgets import Drawn, files


class EntryMenu(Drawn):
    """Mix-in of a menu of operators, of submenus and of None, a line between groups. An operator with options comes
    with its text."""

    entries: ClassVar[tuple[str | tuple[str, str, dict[str, str]] | None, ...]]

    def draw(self, context: Any) -> None:
        for entry in self.entries:
            match entry:
                case None:
                    self.layout.separator()
                case (operator, text, options):
                    button = self.layout.operator(operator, text=text)
                    for name, value in options.items():
                        setattr(button, name, value)
                case str() if entry.startswith("OMOMI_MT"):
                    self.layout.menu(entry)
                case str():
                    self.layout.operator(entry)


class OMOMI_MT_object(EntryMenu, bpy.types.Menu):
    bl_label = "Omomi"
    entries = (
        "omomi.fit", "omomi.join_views", "OMOMI_MT_refit", "omomi.cancel", None,
        "omomi.reset_options", "omomi.add_fit_preset",
        ("omomi.paint_mask", "Paint Fill Mask", {"owner": "OPTION", "setting": "fill_mask"}), None,
        "omomi.complete_otherwise", "omomi.show_completion", "omomi.pick_completion", None,
        "omomi.fewer_faces", "omomi.quads", "omomi.bake_detail", None,
        "omomi.find_holes", "omomi.show_holes", "omomi.hide_holes", "omomi.close_holes", None,
        "OMOMI_MT_edits", "OMOMI_MT_places", "omomi.blend", None,
        "omomi.add_pair", "omomi.remove_pair", "omomi.learn", None,
        "omomi.check", ("omomi.show", "Uncertainty", {"what": "UNCERTAINTY"}),
        ("omomi.show", "Departure", {"what": "DEPARTURE"}), "omomi.hide_colours", "omomi.mark_no_data",
        "omomi.audit", None,
        "OMOMI_MT_family", "OMOMI_MT_library", None,
        "omomi.doctor", "omomi.restart", "omomi.open_log",
    )  # fmt: skip


class OMOMI_MT_refit(EntryMenu, bpy.types.Menu):
    bl_label = "Refit As"
    entries = tuple(("omomi.refit", kind.title(), {"kind": kind}) for kind in ("scan", "solid", "sheet"))


class OMOMI_MT_edits(EntryMenu, bpy.types.Menu):
    bl_label = "Edits"
    entries = (
        "OMOMI_MT_add_edit", "omomi.remove_edit", ("omomi.move_edit", "Move Edit Up", {"direction": "UP"}),
        ("omomi.move_edit", "Move Edit Down", {"direction": "DOWN"}),
        ("omomi.paint_mask", "Paint Mask", {"owner": "EDIT"}), None,
        "OMOMI_MT_presets", "omomi.save_preset", None,
        "omomi.apply", "omomi.back_to_preview", "omomi.stop_preview", "omomi.reset_edits", None,
        "omomi.sweep", "omomi.list_changes", "omomi.solve",
    )  # fmt: skip


class OMOMI_MT_places(EntryMenu, bpy.types.Menu):
    bl_label = "Place of an Edit"
    entries = (
        "omomi.find_places", "omomi.cursor_to_place", None, "omomi.place_at_cursor", "omomi.place_at_vertex",
        "omomi.clear_place",
    )  # fmt: skip


class OMOMI_MT_family(EntryMenu, bpy.types.Menu):
    bl_label = "Family"
    entries = ("omomi.align", None)

    def draw(self, context: Any) -> None:
        EntryMenu.draw(self, context)
        for name in files(library.PROFILE):
            self.layout.operator("omomi.choose_family", text=name, translate=False).name = name


class OMOMI_MT_library(EntryMenu, bpy.types.Menu):
    bl_label = "Library"
    entries = ("omomi.import_file", "OMOMI_MT_export_file", "OMOMI_MT_rename_file", "OMOMI_MT_delete_file")


class FileMenu(Drawn):
    """Mix-in of a menu with an entry for every file of the library."""

    operator: ClassVar[str]
    verb: ClassVar[str]

    def draw(self, context: Any) -> None:
        for kind, suffix in (("EDIT", library.EDIT), ("PRESET", library.PRESET), ("PROFILE", library.PROFILE)):
            for name in files(suffix):
                text = f"{told(self.verb)}: {name}{suffix}"
                button = self.layout.operator(self.operator, text=text, translate=False)
                button.kind, button.name = kind, name


class OMOMI_MT_export_file(FileMenu, bpy.types.Menu):
    bl_label = verb = "Export"
    operator = "omomi.export_file"


class OMOMI_MT_rename_file(FileMenu, bpy.types.Menu):
    bl_label = verb = "Rename"
    operator = "omomi.rename_file"


class OMOMI_MT_delete_file(FileMenu, bpy.types.Menu):
    bl_label = verb = "Delete"
    operator = "omomi.delete_file"


class ViewHandler:
    """Mix-in of a handler of files that are dropped on a 3D view."""

    @classmethod
    def poll_drop(cls, context: Any) -> bool:
        return context.area is not None and context.area.type == "VIEW_3D"


class OMOMI_FH_library(ViewHandler, bpy.types.FileHandler):
    bl_label = "Edits, presets and families of Omomi"
    bl_import_operator = "omomi.import_file"
    bl_file_extensions = f"{library.EDIT};{library.PRESET};{library.PROFILE}"


class OMOMI_FH_scan(ViewHandler, bpy.types.FileHandler):
    bl_label = "Scans that Blender does not read"
    bl_import_operator = "omomi.open_scan"
    bl_file_extensions = ";".join(POINT_FILES)


CLASSES = (
    OMOMI_MT_object, OMOMI_MT_refit, OMOMI_MT_edits, OMOMI_MT_places, OMOMI_MT_family, OMOMI_MT_library,
    OMOMI_MT_export_file, OMOMI_MT_rename_file, OMOMI_MT_delete_file, OMOMI_FH_library, OMOMI_FH_scan,
)  # fmt: skip


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
    menu.layout.operator("omomi.open_scan", text="Scan (.xyz, .pts, .pcd, .off, .npz, .e57)")
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
