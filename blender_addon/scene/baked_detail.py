"""A low-poly copy of a mesh with its detail in images: normals, colours and sigma, baked by Cycles on the processor."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import bpy
import numpy as np

from ..context import context
from ..text import Refusal
from . import mesh_io, results

REACH = 0.02
"""How far beyond the low-poly surface the detail is looked for, as a share of the longest side."""
MARGIN = 4
"""Pixels by which the islands of the UV map are continued."""
DECIMATE = "Omomi low-poly"
FEWER = "Omomi faces"
"""The modifier that shows an object with fewer faces."""


def bake(obj: Any, faces: int, size: int) -> Any:
    """A new object NAME.low over an object: about so many triangles, a UV map, and a material with images of size x
    size pixels of what the object shows: normals, colours where it has any, and sigma in world units where it has one.
    Raises `Refusal`."""
    if not hasattr(context.scene, "cycles"):
        raise Refusal("Detail is baked by Cycles. Enable its add-on, Cycles Render Engine, in Blender's preferences.")
    low, high, glows = _copy(obj, f"{obj.name}.low"), _copy(obj, f"{obj.name}.high"), []
    images: list[Any] = []
    material = None
    try:
        with _studio(low, high) as studio:
            _thin(studio, low, faces, obj.name)
            _unwrap(low)
            material = _material(low)
            reach = REACH * mesh_io.longest_side(np.array(low.bound_box))
            for name, kind, attribute in _channels(obj):
                image: Any = bpy.data.images.new(f"{obj.name}.{name}", size, size, float_buffer=name == "sigma")
                images.append(image)
                image.colorspace_settings.name = "sRGB" if name == "colour" else "Non-Color"
                if attribute:
                    glows.append(_show(high, attribute))
                node = _image_node(material, image)
                with context.temp_override(active_object=low, object=low, selected_objects=[high, low]):
                    _bake(obj.name, kind, reach)
                image.pack()
                _wire(material, name, node)
    except BaseException:
        mesh_io.discard(low)
        if material is not None:
            bpy.data.materials.remove(material)
        for image in images:
            bpy.data.images.remove(image)
        raise
    finally:
        mesh_io.discard(high)
        for material in glows:
            bpy.data.materials.remove(material)
    for collection in mesh_io.homes(obj):
        collection.objects.link(low)
    results.hide(obj)
    results.activate(low)
    return low


def _bake(name: str, kind: str, reach: float) -> None:
    try:
        done = bpy.ops.object.bake(
            type=kind, pass_filter={"COLOR"} if kind == "DIFFUSE" else set(), use_selected_to_active=True,
            cage_extrusion=reach, margin=MARGIN, target="IMAGE_TEXTURES",
        )  # fmt: skip
    except RuntimeError:
        # what an operator reports as an error
        done = set()
    if done != {"FINISHED"}:
        raise Refusal(f"Cycles could not bake {name}. Its own message says why.")


def _copy(obj: Any, name: str) -> Any:
    copy = obj.copy()
    if copy.override_library is not None:
        copy = copy.make_local(clear_liboverride=True)
    copy.data, copy.name = obj.data.copy(), name
    copy.hide_render = copy.hide_viewport = False
    if (fewer := copy.modifiers.get(FEWER)) is not None:
        # what it leaves out is detail
        copy.modifiers.remove(fewer)
    return copy


@contextmanager
def _studio(low: Any, high: Any) -> Generator[Any]:
    """A scene of its own, so that nothing of the artist's render settings and selection is touched; in it ``high`` is
    selected and ``low`` is active."""
    scene: Any = bpy.data.scenes.new("Omomi bake")
    try:
        scene.render.engine = "CYCLES"
        scene.cycles.samples, scene.cycles.device = 1, "CPU"
        layer = scene.view_layers[0]
        for obj in (high, low):
            scene.collection.objects.link(obj)
            obj.select_set(True, view_layer=layer)
        layer.objects.active = low
        # what is active in the window is asked whether it can be edited, too
        with context.temp_override(scene=scene, view_layer=layer, active_object=low, object=low):
            yield layer
    finally:
        bpy.data.scenes.remove(scene)


def _thin(layer: Any, low: Any, faces: int, name: str) -> None:
    layer.update()
    has = mesh_io.triangles_above(low.evaluated_get(layer.depsgraph), faces, name)
    modifier = low.modifiers.new(DECIMATE, "DECIMATE")
    modifier.ratio, modifier.use_collapse_triangulate = faces / has, True
    layer.update()
    full, low.data = low.data, bpy.data.meshes.new_from_object(low.evaluated_get(layer.depsgraph))
    low.data.name = low.name
    low.modifiers.clear()
    bpy.data.meshes.remove(full)


def _unwrap(low: Any) -> None:
    layers = low.data.uv_layers
    while layers:
        layers.remove(layers[0])
    layers.new(name="UVMap")
    bpy.ops.object.mode_set(mode="EDIT")
    with context.temp_override(edit_object=low):
        bpy.ops.mesh.select_all(action="SELECT")
        bpy.ops.uv.smart_project(island_margin=0.002)
    bpy.ops.object.mode_set(mode="OBJECT")


def _channels(obj: Any) -> list[tuple[str, str, str]]:
    """Name, kind of bake, and attribute to be shown instead of the materials."""
    mesh, found = obj.data, [("normal", "NORMAL", "")]
    shown = mesh.color_attributes.active_color
    if any(_has_image(slot.material) for slot in obj.material_slots if slot.material is not None):
        found.append(("colour", "DIFFUSE", ""))
    elif shown is not None and shown.name not in (mesh_io.COLOUR, mesh_io.DEPARTURE):
        found.append(("colour", "EMIT", shown.name))
    if mesh_io.holds_sigma(mesh):
        found.append(("sigma", "EMIT", mesh_io.SIGMA))
    return found


def _has_image(material: Any) -> bool:
    return material.node_tree is not None and any(node.type == "TEX_IMAGE" for node in material.node_tree.nodes)


def _show(high: Any, attribute: str) -> Any:
    """Have the object glow with the values of an attribute, by a material."""
    material: Any = bpy.data.materials.new(f"{high.name}.{attribute}")
    material.use_nodes = True
    tree = material.node_tree
    tree.nodes.clear()
    source, glow = tree.nodes.new("ShaderNodeAttribute"), tree.nodes.new("ShaderNodeEmission")
    output = tree.nodes.new("ShaderNodeOutputMaterial")
    source.attribute_name = attribute
    tree.links.new(source.outputs["Color"], glow.inputs["Color"])
    tree.links.new(glow.outputs["Emission"], output.inputs["Surface"])
    high.data.materials.clear()
    high.data.materials.append(material)
    return material


def _material(low: Any) -> Any:
    material = bpy.data.materials.new(low.name)
    material.use_nodes = True
    low.data.materials.clear()
    low.data.materials.append(material)
    return material


def _image_node(material: Any, image: Any) -> Any:
    """An image node of a material, the one that is baked to."""
    nodes = material.node_tree.nodes
    node = nodes.new("ShaderNodeTexImage")
    node.image, node.label = image, image.name
    node.location = -600, 300 * sum(other.type == "TEX_IMAGE" for other in nodes) - 600
    nodes.active = node
    return node


def _wire(material: Any, name: str, node: Any) -> None:
    """Show an image where it belongs; that of sigma stands beside, for the artist's own use."""
    tree = material.node_tree
    surface = next(other for other in tree.nodes if other.type == "BSDF_PRINCIPLED")
    if name == "normal":
        turned = tree.nodes.new("ShaderNodeNormalMap")
        turned.location = -250, node.location[1]
        tree.links.new(node.outputs["Color"], turned.inputs["Color"])
        tree.links.new(turned.outputs["Normal"], surface.inputs["Normal"])
    elif name == "colour":
        tree.links.new(node.outputs["Color"], surface.inputs["Base Color"])
