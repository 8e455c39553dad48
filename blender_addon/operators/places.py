"""Operators on the places of a learned edit: where the artist puts it, and where Omomi has found its part."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bmesh
import bpy
from bpy.props import IntProperty
from mathutils import Vector

from ..scene import places
from ..session import backend_fit
from ..session.backend_fit import FitSettings
from ..session.task import Client, Work
from ..text import Refusal
from .edits import EditOperator, EditRunOperator, prepare, settle
from .modal import WAIT, ActionOperator


class OMOMI_OT_place_at_cursor(EditOperator, ActionOperator, bpy.types.Operator):
    """Say where the edit belongs on this scan: at the 3D cursor. An Empty marks the place; move it to correct it"""

    bl_idname = "omomi.place_at_cursor"
    bl_label = "Place at 3D Cursor"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012
    wants = "learned"

    def _act(self, context: Any) -> str:
        return put(context, context.scene.cursor.location)


class OMOMI_OT_place_at_vertex(EditOperator, ActionOperator, bpy.types.Operator):
    """Say where the edit belongs on this scan: at the vertex selected in Edit Mode. An Empty marks it; move that"""

    bl_idname = "omomi.place_at_vertex"
    bl_label = "Place at Selected Vertex"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012
    wants = "learned"

    @classmethod
    def why_not(cls, context: Any) -> str:
        obj = context.active_object
        if obj is None or obj.type != "MESH" or obj.mode != "EDIT":
            return "Select a vertex in Edit Mode first (Tab)"
        return cls.why_not_wanted(obj.omomi)

    def _act(self, context: Any) -> str:
        obj = context.active_object
        where = obj.matrix_world @ selected(obj)
        # An undo step of Edit Mode would hold the mesh alone, and nothing is shown before it is left.
        bpy.ops.object.mode_set(mode="OBJECT")
        return put(context, where)


class OMOMI_OT_clear_place(EditOperator, ActionOperator, bpy.types.Operator):
    """Let Omomi find again where the edit belongs; the Empty that marked the place is removed"""

    bl_idname = "omomi.clear_place"
    bl_label = "Clear Place"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012
    wants = "learned"

    def _act(self, context: Any) -> str:
        places.clear(active_edit(context))
        settle(context.active_object)
        return ""


class OMOMI_OT_cursor_to_place(EditOperator, ActionOperator, bpy.types.Operator):
    """Show where this place is: move the 3D cursor there"""

    bl_idname = "omomi.cursor_to_place"
    bl_label = "3D Cursor to Place"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012
    wants = "learned"
    __annotations__ = {"number": IntProperty(name="Place", description="Counted from 1", default=1, min=1)}

    def _act(self, context: Any) -> str:
        found = active_edit(context).places
        if self.number > len(found):
            raise Refusal(f"There is no place {self.number}. {active_edit(context).name} has {len(found)}.")
        context.scene.cursor.location = places.in_world(context.active_object, found[self.number - 1])
        return ""


class OMOMI_OT_find_places(EditRunOperator, bpy.types.Operator):
    """Find the places of the part that each learned edit of the active object changes, as the preview does"""

    bl_idname = "omomi.find_places"
    bl_label = "Find Places"
    bl_options = {"UNDO"}  # noqa: RUF012
    wants = "learned"
    __annotations__ = WAIT

    def _work(self, context: Any, client: Client, settings: FitSettings) -> Callable[[], Work]:
        body = backend_fit.body_of(context.active_object, context.scene.omomi.result)
        return lambda: backend_fit.stacked(client, self._uid, settings, body)

    def _place(self, context: Any, obj: Any, result: backend_fit.BackendFit) -> None:
        edit = active_edit(context)
        self.tell("INFO", f"{edit.name} has {len(edit.places)} places on {obj.name}")


CLASSES = (
    OMOMI_OT_place_at_cursor, OMOMI_OT_place_at_vertex, OMOMI_OT_clear_place, OMOMI_OT_cursor_to_place,
    OMOMI_OT_find_places,
)  # fmt: skip


def active_edit(context: Any) -> Any:
    group = context.active_object.omomi
    return group.edits[group.active]


def put(context: Any, where: Vector) -> str:
    """Put the active edit to a place in the world, and show it there. Returns what to report."""
    obj, edit = context.active_object, active_edit(context)
    marker = places.mark(obj, edit, where)
    prepare(obj, context.scene)
    settle(obj)
    return f"{edit.name} belongs where {marker.name} is"


def selected(obj: Any) -> Vector:
    """Where the active vertex of a mesh in Edit Mode is at rest, else the middle of those that are selected; local.
    Raises `Refusal` without one."""
    mesh = bmesh.from_edit_mesh(obj.data)
    active = mesh.select_history.active
    chosen = [active] if isinstance(active, bmesh.types.BMVert) else [v for v in mesh.verts if v.select]
    if not chosen:
        raise Refusal("No vertex is selected. Select one where the edit belongs.")
    keys = obj.data.shape_keys
    layer = None if keys is None else mesh.verts.layers.shape.get(keys.reference_key.name)
    at_rest = [v.co if layer is None else v[layer] for v in chosen]
    return sum(at_rest, Vector()) / len(at_rest)
