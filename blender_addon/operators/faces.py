"""Operators on the faces of a result, by Blender's own tools: fewer triangles, quads, or few with the detail baked."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import IntProperty

from ..context import context as blender
from ..scene import baked_detail, mesh_io, results
from ..text import Refusal
from ..ui.properties import FACES
from ..ui.widgets import active_mesh
from .modal import ActionOperator, PolledOperator, chosen, why_not_start


class FacesOperator(PolledOperator, ActionOperator):
    """Mix-in of an operator on the active mesh and a number of faces. It supplies ``_make(context, obj, faces)``, which
    returns what to report."""

    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012
    __annotations__ = {"faces": FACES}

    @classmethod
    def why_not(cls, context: Any) -> str:
        obj = active_mesh(context)
        if reason := why_not_start(context):
            return reason
        return "Make a mesh with faces active" if obj is None or not len(obj.data.polygons) else ""

    def _act(self, context: Any) -> str:
        return self._make(context, active_mesh(context), chosen(self, context.scene, "faces"))


class OMOMI_OT_fewer_faces(FacesOperator, bpy.types.Operator):
    """Show the active mesh with fewer triangles, by a modifier"""

    bl_idname = "omomi.fewer_faces"
    bl_label = "Fewer Faces"
    bl_description = (
        "Show the active mesh with about so many triangles, by a Decimate modifier: flat parts get few. The mesh "
        "itself stays: remove the modifier, and all faces are back"
    )

    def _make(self, context: Any, obj: Any, faces: int) -> str:
        if obj.library is not None:
            raise Refusal(f"{obj.name} is linked from another file. Use Object > Relations > Make Local first.")
        modifier = obj.modifiers.get(baked_detail.FEWER) or obj.modifiers.new(baked_detail.FEWER, "DECIMATE")
        before, modifier.ratio, modifier.use_collapse_triangulate = modifier.ratio, 1.0, True
        try:
            has = mesh_io.triangles_above(obj.evaluated_get(blender.evaluated_depsgraph_get()), faces)
        except Refusal:
            modifier.ratio = before
            if before == 1:
                obj.modifiers.remove(modifier)
            raise
        modifier.ratio = faces / has
        return f"{obj.name} shows {faces:,} of its {has:,} triangles"


class OMOMI_OT_quads(FacesOperator, bpy.types.Operator):
    """Make a copy of the active mesh out of quads"""

    bl_idname = "omomi.quads"
    bl_label = "Quads"
    bl_description = (
        "Make a copy NAME.quads of the active mesh, of about so many quads, by Blender's QuadriFlow, and hide the mesh"
    )

    def _make(self, context: Any, obj: Any, faces: int) -> str:
        mesh = obj.data.copy()
        bare = bpy.data.objects.new(obj.name, mesh)
        context.scene.collection.objects.link(bare)
        with context.temp_override(active_object=bare, object=bare, selected_objects=[bare]):
            done = bpy.ops.object.quadriflow_remesh(
                mode="FACES", target_faces=faces, use_preserve_sharp=True, use_preserve_boundary=True, seed=0
            )
        bpy.data.objects.remove(bare)
        quads = sum(len(polygon.vertices) == 4 for polygon in mesh.polygons)
        if done != {"FINISHED"} or quads == 0:
            bpy.data.meshes.remove(mesh)
            raise Refusal(f"QuadriFlow makes no quads of {obj.name}. It needs a closed mesh without faces that cross.")
        made = results.copy_with(obj, mesh, "quads")
        results.hide(obj)
        return f"{made.name}: {quads:,} quads"


class OMOMI_OT_bake_detail(FacesOperator, bpy.types.Operator):
    """Make a low-poly copy of the active mesh, with its detail in images"""

    bl_idname = "omomi.bake_detail"
    bl_label = "Bake Low-Poly"
    bl_description = (
        "Make a copy NAME.low of the active mesh, of about so many triangles, with a UV map and a material whose "
        "images hold the detail: normals, colours and sigma, baked by Cycles. The mesh is hidden"
    )
    __annotations__ = {
        **FacesOperator.__annotations__,
        "size": IntProperty(
            name="Image Size", description="Pixels along a side of each image", subtype="PIXEL", default=1024, min=16,
            max=8192,
        ),
    }  # fmt: skip

    def _make(self, context: Any, obj: Any, faces: int) -> str:
        low = baked_detail.bake(obj, faces, self.size)
        return f"{low.name}: {len(low.data.polygons):,} triangles with baked detail"


CLASSES = (OMOMI_OT_fewer_faces, OMOMI_OT_quads, OMOMI_OT_bake_detail)
