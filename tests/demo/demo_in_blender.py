"""The main job inside Blender, from the zip to the picture.

    python demo_in_blender.py ZIP SCAN OUT_FOLDER

Run by ``build_addon.py demo`` with BLENDER_USER_RESOURCES set to a throw-away folder. Writes result.ply, demo.blend and
before_after.png.
"""

from __future__ import annotations

import importlib
import itertools
import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

bpy: Any = importlib.import_module("bpy")
mathutils: Any = importlib.import_module("mathutils")

MODULE = "bl_ext.user_default.omomi"
CLAY = (0.55, 0.36, 0.26, 1.0)
SCANNED = (0.30, 0.38, 0.44, 1.0)
# With the denoiser that is plenty for matte surfaces; two cores take half a minute.
SAMPLES = 12


def install(package: Path) -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.extensions.package_install_files(filepath=str(package), repo="user_default", enable_on_install=True)
    if MODULE not in bpy.context.preferences.addons:
        sys.exit(f"{package.name} could not be installed")


def load_scan(path: Path) -> Any:
    bpy.ops.wm.ply_import(filepath=str(path))
    return bpy.context.active_object


def matte(name: str, colour: tuple[float, ...]) -> Any:
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    shader = next(node for node in material.node_tree.nodes if node.type == "BSDF_PRINCIPLED")
    shader.inputs["Base Color"].default_value = colour
    shader.inputs["Roughness"].default_value = 0.9
    shader.inputs["Specular IOR Level"].default_value = 0.2
    return material


def points_as_spheres(radius: float, material: Any) -> Any:
    """A node group that draws bare points, which Cycles would not show."""
    group = bpy.data.node_groups.new("Points", "GeometryNodeTree")
    for direction in ("INPUT", "OUTPUT"):
        group.interface.new_socket("Geometry", in_out=direction, socket_type="NodeSocketGeometry")
    names = ("NodeGroupInput", "GeometryNodeMeshToPoints", "GeometryNodeSetMaterial", "NodeGroupOutput")
    nodes = [group.nodes.new(name) for name in names]
    nodes[1].inputs["Radius"].default_value = radius
    nodes[2].inputs["Material"].default_value = material
    for a, b in itertools.pairwise(nodes):
        group.links.new(a.outputs[0], b.inputs[0])
    return group


def exhibit(scene: Any, obj: Any, to_unit: Any, x: float, material: Any) -> None:
    """A copy of ``obj`` for the picture, turned a little and moved to ``x``."""
    copy = bpy.data.objects.new(f"{obj.name} in the picture", obj.data.copy())
    copy.data.materials.clear()
    copy.data.materials.append(material)
    turn = mathutils.Matrix.Rotation(math.radians(117), 4, "Z")
    copy.matrix_world = mathutils.Matrix.Translation((x, 0, 0)) @ turn @ to_unit @ obj.matrix_world
    scene.collection.objects.link(copy)
    if not len(copy.data.polygons):
        scale = copy.matrix_world.to_scale()[0]
        copy.modifiers.new("points", "NODES").node_group = points_as_spheres(0.004 / scale, material)


def picture(scan: Any, result: Any, path: Path) -> None:
    """Scan left, result right, the same camera, clay under one soft light."""
    scene = bpy.data.scenes.new("Picture")
    corners = np.array([result.matrix_world @ mathutils.Vector(corner) for corner in result.bound_box])
    centre, size = (corners.min(0) + corners.max(0)) / 2, float(np.ptp(corners, axis=0).max())
    to_unit = mathutils.Matrix.Scale(1 / size, 4) @ mathutils.Matrix.Translation(-mathutils.Vector(centre))
    exhibit(scene, scan, to_unit, -0.66, matte("Scan", SCANNED))
    exhibit(scene, result, to_unit, 0.66, matte("Clay", CLAY))

    floor = bpy.data.meshes.new("Floor")
    z = -0.5 * float(np.ptp(corners[:, 2])) / size - 0.01
    floor.from_pydata([(-40, -40, z), (40, -40, z), (40, 40, z), (-40, 40, z)], [], [(0, 1, 2, 3)])
    floor.materials.append(matte("Floor", (0.80, 0.80, 0.80, 1.0)))
    scene.collection.objects.link(bpy.data.objects.new("Floor", floor))

    key = bpy.data.objects.new("Key", bpy.data.lights.new("Key", "AREA"))
    key.data.energy, key.data.size = 130, 2.5
    aim(key, (-2.0, -2.4, 3.2), (0, 0, 0))
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    camera.data.lens = 60
    aim(camera, (0, -4.6, 1.5), (0, 0, -0.03))
    for obj in (key, camera):
        scene.collection.objects.link(obj)

    scene.camera = camera
    scene.world = bpy.data.worlds.new("World")
    scene.world.use_nodes = True
    background = next(node for node in scene.world.node_tree.nodes if node.type == "BACKGROUND")
    background.inputs["Color"].default_value = (0.9, 0.93, 1.0, 1.0)
    background.inputs["Strength"].default_value = 0.45
    scene.render.engine = "CYCLES"
    scene.cycles.device = "CPU"
    scene.cycles.samples = SAMPLES
    scene.cycles.use_denoising = True
    scene.view_settings.exposure = 0.5
    scene.view_settings.look = "AgX - Medium High Contrast"
    scene.render.resolution_x, scene.render.resolution_y, scene.render.resolution_percentage = 1200, 600, 100
    scene.render.filepath = str(path)
    scene.render.image_settings.file_format = "PNG"
    bpy.ops.render.render(write_still=True, scene=scene.name)


def aim(obj: Any, place: tuple[float, float, float], target: tuple[float, float, float]) -> None:
    obj.location = place
    obj.rotation_euler = (mathutils.Vector(target) - mathutils.Vector(place)).to_track_quat("-Z", "Y").to_euler()


def describe(scan: Any, result: Any, seconds: float) -> list[str]:
    module = importlib.import_module(f"{MODULE}.scene.mesh_io")
    process = importlib.import_module(f"{MODULE}.session.process")
    sigma = np.empty(len(result.data.vertices), np.float32)
    result.data.attributes[module.SIGMA].data.foreach_get("value", sigma)
    size = max(result.dimensions)
    loops = module.open_loops(result.data)
    return [
        f"scan    {len(scan.data.vertices):,} vertices, {len(scan.data.polygons):,} faces, "
        f"{module.open_loops(scan.data)} open rims",
        f"result  {len(result.data.vertices):,} vertices, {len(result.data.polygons):,} faces, "
        f"{'closed' if loops == 0 else f'{loops} open rims'}, in {seconds:.1f} s with the start of the backend",
        f"sigma   median {np.median(sigma) / size:.2%} of the length, {np.mean(sigma > 0.01 * size):.0%} over 1 %",
        *(f"        {line}" for line in process.describe(process.introduced())[:3]),
    ]


def main(package: Path, scan_path: Path, folder: Path) -> None:
    install(package)
    scan = load_scan(scan_path)
    started = time.perf_counter()
    bpy.ops.omomi.fit(level="2")
    seconds = time.perf_counter() - started
    result = bpy.context.view_layer.objects.active
    bpy.ops.object.select_all(action="DESELECT")
    result.select_set(True)
    bpy.ops.wm.ply_export(filepath=str(folder / "result.ply"), export_selected_objects=True, export_attributes=True)
    lines = describe(scan, result, seconds)
    picture(scan, result, folder / "before_after.png")
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "demo.blend"))
    print("\n".join(lines))
    bpy.ops.preferences.addon_disable(module=MODULE)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
