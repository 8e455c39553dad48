"""The operator that makes one scan of several objects, its views."""

from __future__ import annotations

from itertools import count
from typing import Any

import bpy
import numpy as np

from ..backend.errors import ErrorCode, OmomiError
from ..context import context as blender
from ..scene import mesh_io, point_cloud, results
from ..scene.snapshot import VIEW
from ..text import Refusal
from ..ui.widgets import selected_scans
from .modal import ActionOperator, PolledOperator, why_not_start

SUFFIX = "views"


class OMOMI_OT_join_views(PolledOperator, ActionOperator, bpy.types.Operator):
    """Join the selected views of one thing to one scan, whose views a fit registers to one another"""

    bl_idname = "omomi.join_views"
    bl_label = "Join Views"
    bl_description = (
        "Join the selected meshes and point clouds, views of one thing, to one scan NAME.views that knows which point "
        "is of which view, and have a fit register them to one another. They are hidden and stay as they are"
    )
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    @classmethod
    def why_not(cls, context: Any) -> str:
        several = len(selected_scans(context)) > 1
        return why_not_start(context) or ("" if several else "Select two or more views of one thing")

    def _act(self, context: Any) -> str:
        views = selected_scans(context)
        active = context.active_object if context.active_object in views else views[0]
        # The first one gives the joined scan its place.
        views = [active, *(view for view in views if view != active)]
        for view in views:
            mesh_io.object_linear(view)
        copies: list[Any] = []
        try:
            copies += (point_cloud.as_mesh(view) if view.type == point_cloud.TYPE else _copy(view) for view in views)
            joined = _join(context, copies, [view.name for view in views])
        except BaseException:
            for copy in copies:
                mesh_io.discard(copy)
            for view in views:
                view.hide_set(False)
                view.select_set(True)
            context.view_layer.objects.active = active
            raise
        first = copies[0]
        first.name = first.data.name = f"{active.name}.{SUFFIX}"
        for view in views:
            results.hide(view)
        for obj in context.selected_objects:
            obj.select_set(obj == first)
        results.activate(first)
        context.scene.omomi.register_views = True
        return f"{first.name} has {joined} views; Fit registers them to one another"


CLASSES = (OMOMI_OT_join_views,)


def _join(context: Any, copies: list[Any], names: list[str]) -> int:
    """Join copies of objects of these names to the first, whose points have the numbers of their views then; how many
    views there are. Raises ``EMPTY_SCAN``, `Refusal`."""
    numbers, meshes = count(), [copy.data for copy in copies]
    for copy, name in zip(copies, names, strict=True):
        if not len(copy.data.vertices):
            raise OmomiError(ErrorCode.EMPTY_SCAN, f"{name} has no vertices")
        _number(copy, numbers)
    with context.temp_override(active_object=copies[0], object=copies[0], selected_editable_objects=copies):
        if bpy.ops.object.join() != {"FINISHED"}:
            raise Refusal("Blender does not join these objects. Apply their modifiers, or make them local first.")
    for mesh in meshes[1:]:
        bpy.data.meshes.remove(mesh)
    return next(numbers)


def _copy(view: Any) -> Any:
    """A mesh object in the place of another one, as its modifiers show it."""
    depsgraph = blender.evaluated_depsgraph_get()
    shown, whole = view.evaluated_get(depsgraph), {"preserve_all_data_layers": True, "depsgraph": depsgraph}
    mesh: Any = bpy.data.meshes.new_from_object(shown, **whole)
    made = bpy.data.objects.new(view.name, mesh)
    for home in mesh_io.homes(view):
        home.objects.link(made)
    made.matrix_world = view.matrix_world.copy()
    return made


def _number(obj: Any, numbers: Any) -> None:
    """Give the views of a mesh object, which may be several already, the next numbers."""
    mesh = obj.data
    old, size = mesh.attributes.get(VIEW), len(mesh.vertices)
    # an attribute cannot have the name of a vertex group
    if (group := obj.vertex_groups.get(VIEW)) is not None:
        group.name = f"{VIEW} group"
    values = np.zeros(size, np.int32)
    if old is not None and old.domain == "POINT" and old.data_type in ("INT", "FLOAT"):
        values = np.round(mesh_io.read_values(old.data, "value", size)).astype(np.int32)
    known, which = np.unique(values, return_inverse=True)
    renumbered = np.array([next(numbers) for _ in known], np.int32)[which.reshape(-1)]
    mesh_io.ensure_attribute(mesh, VIEW, "INT", "POINT")
    mesh_io.write_values(mesh.attributes[VIEW].data, "value", renumbered, np.int32)
