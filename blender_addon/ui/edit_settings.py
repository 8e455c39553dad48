"""What the panel of edits shows of the active edit, its strength, range and place, and what that of Solve shows."""

from __future__ import annotations

from functools import partial
from typing import Any

from ..backend.protocol.names import NEW_MESH_NEEDED
from ..scene import measures, units
from ..session import edits, travel
from ..text import MEASURES, MOST_TRANSITIONS, nearest_transitions
from ..translations import told
from . import range_bar
from .widgets import lines, mask_row, run_button


def draw(layout: Any, context: Any, obj: Any, edit: Any) -> None:
    """Draw what there is to set and to know of an edit of an object."""
    column = layout.column()
    column.use_property_split = True
    column.use_property_decorate = False
    row = column.row()
    row.active = any(side.room for side in travel.sides(edit))
    row.prop(edit, "amount", slider=True)
    column.prop(edit, "strength")
    mask_row(column, edit, "mask", obj)
    if edit.kind == "learned":
        _draw_place(column, edit)
    row = layout.row()
    row.alert = is_outside = travel.outside(edit)
    icon = "ERROR" if is_outside else "CHECKMARK" if edit.safe else "NONE"
    row.label(text=told(travel.safe_text(edit)), translate=False, icon=icon)
    if is_outside:
        lines(layout, "Outside of it pieces, tunnels or hollows come or go", "BLANK1")
    run_button(layout, "omomi.sweep", icon="VIEWZOOM")
    lines(layout, travel.room_text(edit), "INFO")
    range_bar.draw(layout, edit)
    lines(layout, nearest_transitions(edit.transitions, edit.strength, partial(travel.shown, edit)))
    if len(edit.transitions.splitlines()) > MOST_TRANSITIONS:
        layout.operator("omomi.list_changes", icon="TEXT")
    lines(layout, edit.note, "ERROR")
    if context.scene.omomi.result == "SHAPE_KEY" and edits.makes_new_mesh(edit):
        lines(layout, NEW_MESH_NEEDED.format(name=edit.name), "INFO")
        layout.prop_enum(context.scene.omomi, "result", "NEW")


def draw_solve(layout: Any, settings: Any, obj: Any) -> None:
    """Draw the measure to reach by the active edit of an object, or of None."""
    column = layout.column(align=True)
    column.label(text="Find the strength for a measure")
    column.prop(settings, "measure")
    kind = MEASURES.get(settings.measure, "LENGTH")
    column.prop(settings, f"value_{kind.lower()}")
    now = 0.0 if obj is None else measures.now(obj, settings.measure)
    lines(column, f"now {units.shown(kind, now)}" if now else "Check says what it is now", "INFO")
    run_button(column, "omomi.solve")


def _draw_place(column: Any, edit: Any) -> None:
    """The artist's own place of a learned edit; without one, the places that Omomi has found."""
    column.prop(edit, "place")
    column.operator("omomi.place_at_cursor", icon="PIVOT_CURSOR")
    column.operator("omomi.place_at_vertex", icon="VERTEXSEL")
    if edit.place is not None:
        column.operator("omomi.clear_place", icon="X")
    if edit.at is not None:
        return
    if edit.place is not None:
        lines(column, f"{edit.place.name} is deleted, so Omomi finds the place by itself", "INFO")
    if len(edit.places) > 1:
        for number, place in enumerate(edit.places, 1):
            row = column.row(align=True)
            row.use_property_split = False
            row.prop(place, "use", text=told(f"Place {number}"), translate=False)
            row.operator("omomi.cursor_to_place", text="", icon="PIVOT_CURSOR").number = number
