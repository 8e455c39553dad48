"""What the panels share: where they are, text that fits the width of the sidebar, and the files of the library."""

from __future__ import annotations

import textwrap
from typing import Any

import bpy

from ..session import library
from . import preferences

__all__ = ["ClosedSidebar", "Sidebar", "active_mesh", "file_rows", "files", "lines", "wrapped"]

# A sidebar is no file browser: what is beyond this is found by Import and in the folder.
MOST_ROWS = 40
FILE_BUTTONS = ("rename_file", "GREASEPENCIL"), ("export_file", "EXPORT"), ("delete_file", "TRASH")

# Of a letter of Blender's own font, in pixels at scale 1, and of what stands left and right of a line of text.
LETTER, MARGIN = 6.5, 56
# Where there is no window; and the least, below which a line would hold no word.
COLUMNS, FEWEST = 40, 16


class Sidebar:
    """Where all panels are."""

    bl_category = "Omomi"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"


class ClosedSidebar(Sidebar):
    """Of panels that are closed until they are wanted."""

    bl_options = {"DEFAULT_CLOSED"}  # noqa: RUF012


def active_mesh(context: Any) -> Any | None:
    """The active object, where it is a mesh."""
    obj = context.active_object
    return obj if obj is not None and obj.type == "MESH" else None


def wrapped(text: str) -> list[str]:
    """The lines of a text, those that are too long for the sidebar in several."""
    found = []
    for line in text.splitlines():
        found += textwrap.wrap(line, _columns(), break_on_hyphens=False) or [""]
    return found


def lines(layout: Any, text: str, icon: str = "NONE") -> None:
    """Draw a text, with an icon before its first line."""
    if not text:
        return
    column = layout.column(align=True)
    column.scale_y = 0.8
    for number, line in enumerate(wrapped(text)):
        column.label(text=line, icon=icon if number == 0 else "BLANK1" if icon != "NONE" else "NONE")


def files(suffix: str) -> list[str]:
    """Names of the first files of a kind in the library."""
    return [path.stem for path in library.listing(preferences.library_folder(), suffix)[:MOST_ROWS]]


def file_rows(
    layout: Any, kind: str, suffix: str, operator: str, icon: str, chosen: tuple[str, str] = ("", "")
) -> None:
    """A row for each file of a kind: its name, which calls an operator, and what can be done with any file. chosen: a
    name, and its own icon."""
    for name in files(suffix):
        row = layout.row(align=True)
        row.operator(operator, text=name, icon=chosen[1] if name == chosen[0] else icon).name = name
        for action, sign in FILE_BUTTONS:
            button = row.operator(f"omomi.{action}", text="", icon=sign)
            button.kind, button.name = kind, name


def _columns() -> int:
    region = bpy.context.region
    if region is None or region.type != "UI":
        return COLUMNS
    scale = bpy.context.preferences.system.ui_scale
    return max(FEWEST, int((region.width / scale - MARGIN) / LETTER))
