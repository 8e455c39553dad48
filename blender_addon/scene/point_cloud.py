"""Point clouds become meshes of bare points, which can be fitted, checked and edited like any other scan."""

from __future__ import annotations

from typing import Any

import bpy

from ..context import context
from . import mesh_io
from .attributes import KINDS

TYPE = "POINTCLOUD"
SUFFIX = "points"
SPLAT = frozenset({"opacity", "f_dc_0", "rot_0", "scale_0"})
"""Attributes of which Gaussian splats have some, as files of them name these."""


def as_mesh(cloud: Any) -> Any:
    """A mesh object NAME.points, selected and active, in the place of a point cloud as its modifiers show it, which is
    hidden. It has the attributes of the points."""
    points = cloud.evaluated_get(context.evaluated_depsgraph_get()).data
    mesh = bpy.data.meshes.new(f"{cloud.name}.{SUFFIX}")
    mesh.vertices.add(len(points.points))
    found = [item for item in points.attributes if item.data_type in KINDS and not item.name.startswith(".")]
    for item in found:
        mesh_io.ensure_attribute(mesh, item.name, item.data_type, "POINT")
    for item in found:
        kind = KINDS[item.data_type]
        values = mesh_io.read_values(item.data, kind.member, (len(item.data), kind.width), kind.dtype)
        mesh_io.write_values(mesh.attributes[item.name].data, kind.member, values, kind.dtype)
    made = bpy.data.objects.new(mesh.name, mesh)
    for collection in mesh_io.homes(cloud):
        collection.objects.link(made)
    made.matrix_world = cloud.matrix_world.copy()
    cloud.select_set(False)
    cloud.hide_set(True)
    made.select_set(True)
    context.view_layer.objects.active = made
    return made


def is_splat(cloud: Any) -> bool:
    """Whether the points are the middles of Gaussian splats."""
    return bool(SPLAT & {item.name for item in cloud.data.attributes})
