"""The section of the manual that explains an operator or a setting: "Online Manual" in Blender's menus opens it."""

from __future__ import annotations

from pathlib import Path

import bpy

PAGE = Path(__file__).parents[1] / "manual.html"
FIRST = "fit-a-scan"
"""Explains what no other section does."""
SECTIONS = {
    "close-holes": ("find_holes", "show_holes", "hide_holes", "close_holes"),
    "what-was-not-seen": ("complete_otherwise", "show_completion", "pick_completion", "align", "choose_family"),
    "check": ("check", "show", "hide_colours", "mark_no_data"),
    "learn-an-edit": (
        "add_pair", "remove_pair", "learn", "place_at_cursor", "place_at_vertex", "clear_place", "cursor_to_place",
        "find_places",
    ),
    "edits-masks-results": (
        "add_edit", "remove_edit", "move_edit", "reset_edits", "apply", "back_to_preview", "stop_preview",
        "paint_mask", "save_preset", "load_preset", "add_from_library",
    ),
    "safe-range-and-solve": ("sweep", "list_changes", "solve"),
    "blend": ("blend",),
    "imagine": ("sample",),
    "audit": ("audit",),
    "library-and-preferences": (
        "rename_file", "delete_file", "import_file", "export_file", "doctor", "restart", "open_log",
    ),
}  # fmt: skip
"""Operators, by the section that explains them."""
PROPERTIES = {
    "omomilayer": "edits-masks-results", "omomihole": "close-holes", "omomipair": "learn-an-edit",
    "omomiplace": "learn-an-edit", "omomipreferences": "library-and-preferences",
}  # fmt: skip
"""Of which kinds of settings, by the section that explains them."""


def links() -> tuple[str, tuple[tuple[str, str], ...]]:
    """What Blender asks for: the address of the manual, and the end of it for each pattern of identifiers; the first
    one that fits counts."""
    found = [(f"bpy.ops.omomi.{name}", f"#{section}") for section, names in SECTIONS.items() for name in names]
    found += [(f"bpy.types.{kind}.*", f"#{section}") for kind, section in PROPERTIES.items()]
    found += [("bpy.ops.omomi.*", f"#{FIRST}"), ("bpy.types.omomi*", f"#{FIRST}")]
    return PAGE.as_uri(), tuple(found)


def add_to_blender() -> None:
    bpy.utils.register_manual_map(links)


def remove_from_blender() -> None:
    bpy.utils.unregister_manual_map(links)
