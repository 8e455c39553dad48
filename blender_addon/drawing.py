"""What the panels share: where they are, and text that fits the width of the sidebar."""

from __future__ import annotations

import textwrap
from typing import Any

import bpy

__all__ = ["Sidebar", "active_mesh", "lines", "wrapped"]

# Of a letter of Blender's own font, in pixels at scale 1, and of what stands left and right of a line of text.
LETTER, MARGIN = 6.5, 56
# Where there is no window; and the least, below which a line would hold no word.
COLUMNS, FEWEST = 40, 16


class Sidebar:
    """Where all panels are."""

    bl_category = "Omomi"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"


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


def _columns() -> int:
    region = bpy.context.region
    if region is None or region.type != "UI":
        return COLUMNS
    scale = bpy.context.preferences.system.ui_scale
    return max(FEWEST, int((region.width / scale - MARGIN) / LETTER))
