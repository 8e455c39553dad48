"""What panels and menus are built of: text that fits the sidebar, rows of files, the list of edits, the menus."""

from __future__ import annotations

import re
import textwrap
import unicodedata
from typing import TYPE_CHECKING, Any, ClassVar

import bpy

from ..context import context
from ..scene import point_cloud, units
from ..session import edits, fits, library, travel
from ..session.task import Task
from ..translations import told
from . import preferences

ICONS = {"attribute": "MODIFIER", "shape": "MESH_MONKEY", "learned": "FILE"}
# Files that a sidebar lists. The others are in the folder.
MOST_ROWS = 40
FILE_BUTTONS = ("rename_file", "GREASEPENCIL"), ("export_file", "EXPORT"), ("delete_file", "TRASH")

# Pixels at scale 1: the width of a letter of Blender's font, and of the margins of a line of text.
LETTER, MARGIN = 6.5, 56
# Letters in a line without a window, and the fewest: a shorter line holds no word.
COLUMNS, FEWEST = 40, 16
# No line of Japanese begins with these.
_STOPS = "、。」）・ー"


class Drawn:
    """Mix-in of panels and menus. The stubs of Blender do not know what a layout can draw."""

    if TYPE_CHECKING:
        layout: Any


class Sidebar(Drawn):
    """Mix-in of all panels: where they are."""

    bl_category = "Omomi"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"


class ClosedSidebar(Sidebar):
    """Mix-in of a panel that is closed at first."""

    bl_options: ClassVar[Any] = {"DEFAULT_CLOSED"}


def active_mesh(context: Any) -> Any | None:
    """The active object if it is a mesh, else None."""
    obj = context.active_object
    return obj if obj is not None and obj.type == "MESH" else None


def selected_meshes(context: Any) -> list[Any]:
    """The selected mesh objects."""
    return [obj for obj in context.selected_objects if obj.type == "MESH"]


def selected_scans(context: Any) -> list[Any]:
    """The selected objects that can be fitted: meshes and point clouds."""
    return [obj for obj in context.selected_objects if obj.type in ("MESH", point_cloud.TYPE)]


def wrapped(text: str) -> list[str]:
    """The lines of a text in the artist's language, wrapped to the width of the sidebar."""
    found, columns = [], _columns()
    for line in told(text).splitlines():
        wrap = _wrap_wide if _width(line) > len(line) else _wrap
        found += wrap(line, columns) or [""]
    return found


def _wrap(line: str, columns: int) -> list[str]:
    return textwrap.wrap(line, columns, break_on_hyphens=False)


def _wrap_wide(line: str, columns: int) -> list[str]:
    """Wrap Japanese, which breaks between any two letters, but not before a stop."""
    found = [""]
    for piece in re.findall(rf"\s*(?:[!-~]+|[^!-~])[{_STOPS}]*", line):
        if _width(found[-1] + piece) > columns and found[-1]:
            found.append("")
            piece = piece.lstrip()
        found[-1] += piece
    return found


def _width(text: str) -> int:
    """In letters of Latin script; those of Japanese are two wide."""
    return len(text) + sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)


def lines(layout: Any, text: str, icon: str = "NONE") -> None:
    """Draw a text, with an icon before its first line."""
    if not text:
        return
    column = layout.column(align=True)
    column.scale_y = 0.8
    for number, line in enumerate(wrapped(text)):
        column.label(text=line, translate=False, icon=icon if number == 0 else "BLANK1" if icon != "NONE" else "NONE")


def progress_row(layout: Any, task: Task, text: str, stop: str) -> Any:
    """Draw the bar of a task, with a button for the operator that stops it, and return the row."""
    row = layout.row(align=True)
    row.progress(factor=task.fraction, type="BAR", text=told(text), translate=False)
    row.operator(stop, text="", icon="X")
    return row


def run_button(layout: Any, operator: str, **shown: Any) -> None:
    """Draw the button of an operator that asks the backend; while it does, its bar is in the button's place."""
    run = fits.started_by(operator)
    if run is None:
        layout.operator(operator, **shown)
    else:
        progress_row(layout, run, run.text, "omomi.cancel")


def mask_row(layout: Any, owner: Any, name: str, obj: Any) -> None:
    """Draw the choice of a vertex group of ``obj`` for a property of ``owner``, and a button that opens it to paint."""
    row = layout.row(align=True)
    row.prop_search(owner, name, obj, "vertex_groups", text="Mask")
    button = row.operator("omomi.paint_mask", text="", icon="BRUSH_DATA")
    button.owner, button.setting = ("EDIT", "") if name == "mask" else ("OPTION", name)


def files(suffix: str) -> list[str]:
    """Names of the first files of a kind in the library."""
    return [path.stem for path in library.listing(preferences.library_folder(), suffix)[:MOST_ROWS]]


def file_rows(
    layout: Any, kind: str, suffix: str, operator: str, icon: str, chosen: tuple[str, str] = ("", "")
) -> None:
    """Draw a row for each file of a kind: its name, a button for ``operator``, then the buttons of every file. chosen:
    the name of the file that is in use, and the icon for it."""
    for name in files(suffix):
        row = layout.row(align=True)
        row.operator(operator, text=name, translate=False, icon=chosen[1] if name == chosen[0] else icon).name = name
        for action, sign in FILE_BUTTONS:
            button = row.operator(f"omomi.{action}", text="", icon=sign)
            button.kind, button.name = kind, name


class OMOMI_UL_edits(bpy.types.UIList):
    def draw_item(
        self, context: Any, layout: Any, data: Any, item: Any, icon: Any, active_data: Any, active_property: Any,
        index: Any = 0, flt_flag: Any = 0,
    ) -> None:  # fmt: skip
        row = layout.row(align=True)
        row.active = not item.mute
        row.label(text=edits.label(item), translate=False, icon=ICONS.get(item.kind, "NONE"))
        strength = row.row(align=True)
        strength.alert = travel.outside(item)
        strength.prop(item, "amount", text="", slider=True)
        if travel.outside(item):
            row.label(text="", icon="ERROR")
        row.prop(item, "mute", text="", icon="HIDE_ON" if item.mute else "HIDE_OFF", emboss=False)


class OMOMI_UL_holes(bpy.types.UIList):
    def draw_item(
        self, context: Any, layout: Any, data: Any, item: Any, icon: Any, active_data: Any, active_property: Any,
        index: Any = 0, flt_flag: Any = 0,
    ) -> None:  # fmt: skip
        smaller = context.scene.omomi.smaller
        row = layout.row(align=True)
        row.active = not smaller or item.radius < smaller
        row.prop(item, "use", text="")
        kind = "hole" if item.is_hole else "opening"
        row.label(text=f"{item.number}  {told(kind)}", translate=False)
        row.label(text=told(f"radius {units.shown('LENGTH', item.radius)}"), translate=False)


class OMOMI_MT_add_edit(Drawn, bpy.types.Menu):
    bl_label = "Add Edit"

    def draw(self, context: Any) -> None:
        for kind in ("attribute", "shape"):
            for known in [item for item in edits.built_in() if item.kind == kind]:
                add = self.layout.operator("omomi.add_edit", text=known.label, icon=ICONS[kind])
                add.kind, add.name = kind, known.name
            self.layout.separator()
        for name in files(library.EDIT):
            self.layout.operator("omomi.add_from_library", text=name, translate=False, icon="FILE").name = name


class OMOMI_MT_presets(Drawn, bpy.types.Menu):
    bl_label = "Presets"

    def draw(self, context: Any) -> None:
        for name in library.BUILT_IN:
            self.layout.operator("omomi.load_preset", text=name, icon="LOCKED").name = name
        self.layout.separator()
        for name in files(library.PRESET):
            self.layout.operator("omomi.load_preset", text=name, translate=False).name = name
        self.layout.separator()
        self.layout.operator("omomi.save_preset", icon="ADD")


CLASSES = (OMOMI_UL_edits, OMOMI_UL_holes, OMOMI_MT_add_edit, OMOMI_MT_presets)


def _columns() -> int:
    region = context.region
    if region is None or region.type != "UI":
        return COLUMNS
    scale = context.preferences.system.ui_scale
    return max(FEWEST, int((region.width / scale - MARGIN) / LETTER))
