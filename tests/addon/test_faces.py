"""Fewer faces and quads of a result, by Blender's own tools."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.addon.test_fit_attributes import grid_cube
from tests.fake_server import sphere

bpy = pytest.importorskip("bpy")


def counts() -> list[int]:
    """How many there are of each kind of data that an operator on faces makes."""
    data: Any = bpy.data
    kinds = "objects", "meshes", "scenes", "images", "materials", "collections"
    return [len(getattr(data, kind)) for kind in kinds]


def shown_faces(obj: Any) -> int:
    return len(obj.evaluated_get(bpy.context.evaluated_depsgraph_get()).data.polygons)


def test_fewer_faces_are_shown_and_all_come_back_without_the_modifier(fake: Any, make: Any) -> None:
    box = make("box", *grid_cube(12))
    count = len(box.data.polygons)
    assert bpy.ops.omomi.fewer_faces(faces=300) == {"FINISHED"}
    assert 280 <= shown_faces(box) <= 320 and len(box.data.polygons) == count
    bpy.ops.omomi.fewer_faces(faces=100)
    assert len(box.modifiers) == 1 and 80 <= shown_faces(box) <= 120
    box.modifiers.clear()
    assert shown_faces(box) == count
    with pytest.raises(RuntimeError, match="Ask for fewer"):
        bpy.ops.omomi.fewer_faces(faces=1_000_000)
    assert not len(box.modifiers)


def test_fewer_faces_are_as_many_as_asked_for_where_other_modifiers_add_some(fake: Any, make: Any) -> None:
    box = make("box", *grid_cube(12))
    box.modifiers.new("round", "SUBSURF").levels = 1
    bpy.ops.omomi.fewer_faces(faces=300)
    assert 280 <= shown_faces(box) <= 320
    with pytest.raises(RuntimeError, match="Ask for fewer"):
        bpy.ops.omomi.fewer_faces(faces=1_000_000)
    assert 280 <= shown_faces(box) <= 320


def test_quads_are_a_copy_and_the_mesh_stays_hidden_behind_it(fake: Any, make: Any) -> None:
    box = make("box", *grid_cube(12))
    count = len(box.data.polygons)
    assert bpy.ops.omomi.quads(faces=400) == {"FINISHED"}
    made = bpy.data.objects["box.quads"]
    quads = [len(polygon.vertices) == 4 for polygon in made.data.polygons]
    assert all(quads) and 150 <= len(quads) <= 900
    assert len(box.data.polygons) == count and box.hide_get() and bpy.context.active_object == made


def test_what_quadriflow_cannot_take_is_said_and_leaves_nothing(fake: Any, make: Any) -> None:
    fan = make("fan", [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (0, -1, 0)], [(0, 1, 2), (0, 1, 3), (0, 1, 4)])
    before = counts()
    with pytest.raises(RuntimeError, match="QuadriFlow"):
        bpy.ops.omomi.quads(faces=100)
    assert counts() == before and not fan.hide_get()


@pytest.fixture
def cycles() -> None:
    addon_utils = pytest.importorskip("addon_utils")
    if addon_utils.enable("cycles") is None:
        pytest.skip("this Blender has no Cycles")


def pixels(name: str) -> np.ndarray:
    image = bpy.data.images[name]
    assert image.packed_file is not None
    return np.array(image.pixels[:], np.float32).reshape(*image.size, 4)


def test_detail_is_baked_onto_few_triangles(cycles: None, fake: Any, addon: Any, make: Any) -> None:
    ball = sphere(np.zeros(3), np.ones(3), 24)
    obj = make("ball", *ball)
    obj.rotation_euler, obj.scale = (0.3, 0.2, 0.1), (2, 2, 2)
    addon.mesh_io.paint_sigma(obj.data, np.full(len(ball[0]), 0.25, np.float32), 1.0)
    obj.data[addon.mesh_io.MADE] = True
    colour = obj.data.attributes.new("Col", "FLOAT_COLOR", "POINT")
    addon.mesh_io.write_values(colour.data, "color", np.tile([1, 0, 0, 1], (len(ball[0]), 1)))
    obj.data.color_attributes.active_color = obj.data.attributes["Col"]
    scenes, engine = len(bpy.data.scenes), bpy.context.scene.render.engine
    assert bpy.ops.omomi.bake_detail(faces=200, size=64) == {"FINISHED"}
    low = bpy.data.objects["ball.low"]
    assert len(low.data.polygons) <= 220 and len(low.data.uv_layers) == 1 and bpy.context.active_object == low
    assert obj.hide_get() and np.allclose(low.matrix_world, obj.matrix_world)
    assert len(bpy.data.scenes) == scenes and bpy.context.scene.render.engine == engine
    # where something was baked: red everywhere, one sigma, and normals that point out of the low-poly surface
    baked = pixels("ball.colour")[..., 0] > 0.95
    assert baked.mean() > 0.2 and not pixels("ball.colour")[..., 1:3].any()
    assert np.median(pixels("ball.sigma")[baked][:, 0]) == pytest.approx(0.25, abs=1e-3)
    normals = pixels("ball.normal")[baked][:, :3]
    assert (normals[:, 2] > 0.9).mean() > 0.95 and np.ptp(normals[:, 0]) > 0.1
    kinds = [node.type for node in low.data.materials[0].node_tree.nodes]
    assert kinds.count("TEX_IMAGE") == 3 and "NORMAL_MAP" in kinds and not len(obj.data.materials)
    assert len(bpy.data.materials) == 1


def test_a_bake_of_a_mesh_with_few_faces_leaves_nothing(cycles: None, fake: Any, make: Any) -> None:
    make("box")
    before = counts()
    with pytest.raises(RuntimeError, match="box has 12 triangles already"):
        bpy.ops.omomi.bake_detail(faces=400)
    assert counts() == before


def test_a_bake_that_fails_at_its_second_image_is_one_sentence_and_leaves_nothing(
    cycles: None, fake: Any, addon: Any, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    obj = make("box", *grid_cube(6))
    addon.mesh_io.paint_sigma(obj.data, np.full(len(obj.data.vertices), 0.25, np.float32), 1.0)
    obj.data[addon.mesh_io.MADE] = True
    baked_detail = importlib.import_module(f"{addon.name}.scene.baked_detail")
    image_node = baked_detail._image_node

    def without(material: Any, image: Any) -> Any:
        node = image_node(material, image)
        if image.name == "box.sigma":
            node.image = None
        return node

    # Cycles then finds no image to bake to, and says so by an error of its operator.
    monkeypatch.setattr(baked_detail, "_image_node", without)
    before = counts()
    with pytest.raises(RuntimeError, match=r"Error: Cycles could not bake box\. Its own message says why\.\s*$"):
        bpy.ops.omomi.bake_detail(faces=100, size=16)
    assert counts() == before and not obj.hide_get() and bpy.context.active_object == obj


def test_a_bake_has_the_triangles_asked_for_whatever_modifiers_show(cycles: None, fake: Any, make: Any) -> None:
    box = make("box", *grid_cube(12))
    bpy.ops.omomi.fewer_faces(faces=300)
    box.modifiers.new("round", "SUBSURF").levels = 1
    assert bpy.ops.omomi.bake_detail(faces=120, size=16) == {"FINISHED"}
    assert 100 <= len(bpy.data.objects["box.low"].data.polygons) <= 130


def test_an_image_of_a_material_of_the_object_is_baked(cycles: None, fake: Any, make: Any) -> None:
    box = make("box", *grid_cube(6))
    material = bpy.data.materials.new("brass")
    material.use_nodes = True
    material.node_tree.nodes.new("ShaderNodeTexImage")
    box.data.materials.append(None)
    box.material_slots[0].link, box.material_slots[0].material = "OBJECT", material
    assert bpy.ops.omomi.bake_detail(faces=100, size=16) == {"FINISHED"}
    assert "box.colour" in bpy.data.images and box.material_slots[0].material == material


@pytest.mark.parametrize("overridden", [False, True])
def test_linked_meshes_are_baked_to_local_ones(
    cycles: None, fake: Any, make: Any, tmp_path: Path, overridden: bool
) -> None:
    path = str(tmp_path / "shelf.blend")
    bpy.data.libraries.write(path, {make("box", *grid_cube(6))})
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    with bpy.data.libraries.load(path, link=True) as (_, wanted):
        wanted.objects = ["box"]
    box: Any = wanted.objects[0]
    bpy.context.scene.collection.objects.link(box)
    if overridden:
        box = box.override_create(remap_local_usages=True)
    bpy.context.view_layer.objects.active = box
    assert bpy.ops.omomi.bake_detail(faces=100, size=16) == {"FINISHED"}
    low = bpy.data.objects["box.low"]
    assert low.library is None and low.override_library is None and low.data.library is None
    assert len(box.data.polygons) == 216
