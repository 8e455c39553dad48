"""Holes: the list, the numbers in the view, and closing them, which leaves everything else bit for bit."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.addon.stand_ins import Operator, Window, draw

bpy = pytest.importorskip("bpy")

SIDE = 8
MEMBERS = {
    "FLOAT": ("value", 1, "<f4"), "FLOAT2": ("vector", 2, "<f4"), "FLOAT_VECTOR": ("vector", 3, "<f4"),
    "FLOAT_COLOR": ("color", 4, "<f4"), "BYTE_COLOR": ("color_srgb", 4, "<f4"), "BOOLEAN": ("value", 1, bool),
    "INT": ("value", 1, "<i4"), "INT8": ("value", 1, "<i4"), "INT16_2D": ("value", 2, "<i4"),
    "INT32_2D": ("value", 2, "<i4"), "QUATERNION": ("value", 4, "<f4"),
}  # fmt: skip


def sheet(gone: set[tuple[int, int]]) -> tuple[np.ndarray, list[tuple[int, ...]]]:
    """A bent grid of quads with these missing."""
    x, y = np.meshgrid(np.arange(SIDE + 1.0), np.arange(SIDE + 1.0), indexing="ij")
    points = np.stack([x, y, 0.1 * np.sin(x) * y], -1).reshape(-1, 3)
    at = lambda i, j: i * (SIDE + 1) + j  # noqa: E731
    quads = [(i, j) for i in range(SIDE) for j in range(SIDE) if (i, j) not in gone]
    return points, [(at(i, j), at(i + 1, j), at(i + 1, j + 1), at(i, j + 1)) for i, j in quads]


def laden(make: Callable[..., Any], name: str = "cloth", gone: Any = ((2, 1), (2, 2), (5, 5))) -> Any:
    """A mesh with holes and everything that a mesh can carry."""
    obj = make(name, *sheet(set(gone)))
    mesh, random = obj.data, np.random.default_rng(5)
    for domain in ("POINT", "CORNER", "FACE", "EDGE"):
        for kind in ("FLOAT", "FLOAT2", "FLOAT_VECTOR", "FLOAT_COLOR", "BYTE_COLOR", "BOOLEAN", "INT", "INT8"):
            mesh.attributes.new(f"{kind} {domain}", kind, domain)
    for domain in ("POINT", "FACE"):
        mesh.attributes.new(f"turn {domain}", "QUATERNION", domain)
    mesh.attributes.new("words", "STRING", "POINT")
    mesh.uv_layers.new(name="UVMap")
    mesh.uv_layers.new(name="Second")
    for item in mesh.attributes:
        if item.name.startswith((".", "position")) or item.data_type not in MEMBERS:
            continue
        member, width, dtype = MEMBERS[item.data_type]
        values = random.random((len(item.data), width))
        if item.data_type == "BYTE_COLOR":
            # Every byte occurs, and each comes back as it was.
            values = (np.arange(values.size).reshape(values.shape) % 256) / 255
        elif dtype == "<i4":
            values = np.round(100 * values)
        item.data.foreach_set(member, np.ascontiguousarray(values > 0.5 if dtype is bool else values, dtype).ravel())
    for vertex in mesh.vertices:
        mesh.attributes["words"].data[vertex.index].value = f"w{vertex.index}".encode()
    pinned = mesh.attributes.new(".pn.UVMap", "BOOLEAN", "CORNER")
    pinned.data.foreach_set("value", [index % 3 == 0 for index in range(len(mesh.loops))])
    for corner in mesh.loops:
        # A UV map without a seam: flat over the grid.
        mesh.uv_layers["UVMap"].data[corner.index].uv = mesh.vertices[corner.vertex_index].co.xy / SIDE
    for row, group_name in enumerate(("rim", "left")):
        group = obj.vertex_groups.new(name=group_name)
        for vertex in mesh.vertices:
            if (vertex.index + row) % 3:
                group.add([vertex.index], 0.1 + 0.01 * (vertex.index % 50), "REPLACE")
    for material in ("red", "blue"):
        mesh.materials.append(bpy.data.materials.new(material))
    mesh.polygons.foreach_set("material_index", [polygon.center.x > SIDE / 2 for polygon in mesh.polygons])
    mesh.polygons.foreach_set("use_smooth", [polygon.center.y < SIDE / 2 for polygon in mesh.polygons])
    mesh.edges.foreach_set("use_edge_sharp", [edge.index % 4 == 0 for edge in mesh.edges])
    mesh.edges.foreach_set("use_seam", [edge.index % 5 == 0 for edge in mesh.edges])
    obj.shape_key_add(name="Basis")
    key = obj.shape_key_add(name="Wave")
    for point in key.data:
        point.co.z += 1 + point.co.x
    key.value, key.slider_max, key.vertex_group = 0.5, 3.0, "rim"
    mesh["note"] = "kept"
    mesh.uv_layers.active = mesh.uv_layers["Second"]
    mesh.update()
    return obj


def everything(obj: Any, counts: dict[str, int]) -> dict[str, bytes]:
    """All that the first elements of an object's mesh hold. A switch that is off everywhere counts as absent."""
    mesh, found = obj.data, {}
    for item in mesh.attributes:
        count = counts[item.domain]
        if item.data_type == "STRING":
            found[item.name] = b" ".join(element.value for element in list(item.data)[:count])
        elif item.data_type in MEMBERS:
            member, width, dtype = MEMBERS[item.data_type]
            values = np.zeros(len(item.data) * width, dtype)
            item.data.foreach_get(member, values)
            if item.data_type != "BOOLEAN" or values[: count * width].any():
                found[item.name] = values[: count * width].tobytes()
    for vertex in list(mesh.vertices)[: counts["POINT"]]:
        found[f"weights {vertex.index}"] = repr([(element.group, element.weight) for element in vertex.groups]).encode()
    starts = [polygon.loop_start for polygon in list(mesh.polygons)[: counts["FACE"]]]
    found["starts"] = repr(starts).encode()
    for block in mesh.shape_keys.key_blocks if mesh.shape_keys else ():
        values = np.zeros(3 * len(block.data), "<f4")
        block.data.foreach_get("co", values)
        found[f"key {block.name}"] = values[: 3 * counts["POINT"]].tobytes()
        found[f"slider {block.name}"] = repr((block.value, block.slider_max, block.vertex_group)).encode()
    found["materials"] = repr([material.name for material in mesh.materials]).encode()
    found["note"] = repr(mesh.get("note")).encode()
    found["active"] = repr((mesh.uv_layers.active.name, len(obj.vertex_groups))).encode()
    return found


def sizes(obj: Any) -> dict[str, int]:
    mesh = obj.data
    return {"POINT": len(mesh.vertices), "EDGE": len(mesh.edges), "CORNER": len(mesh.loops), "FACE": len(mesh.polygons)}


@pytest.fixture
def cloth(fake: Any, make: Callable[..., Any]) -> Any:
    return laden(make)


def test_the_methods_are_those_of_the_command_line(addon: Any) -> None:
    requests = importlib.import_module(f"{addon.name}.backend.protocol.requests")
    assert [item[0] for item in addon.properties.CLOSES] == [str(way) for way in requests.Close]


def test_holes_are_ticked_and_openings_are_not(fake: Any, cloth: Any) -> None:
    before = everything(cloth, sizes(cloth))
    assert bpy.ops.omomi.find_holes() == {"FINISHED"}
    found = [(hole.number, hole.is_hole, hole.use, hole.edges) for hole in cloth.omomi.holes]
    assert found == [(1, True, True, 6), (2, True, True, 4), (3, False, False, 4 * SIDE)]
    assert cloth.omomi.holes_report == "2 holes, 1 opening"
    cloth.omomi.active_hole = 2
    assert "outer border" in draw("OMOMI_PT_holes").texts() and everything(cloth, sizes(cloth)) == before
    cloth.omomi.holes[0].use = False
    bpy.ops.omomi.find_holes()
    assert [hole.use for hole in cloth.omomi.holes] == [False, True, False]


def test_closing_keeps_every_element_and_everything_on_it_bit_for_bit(fake: Any, cloth: Any) -> None:
    counts = sizes(cloth)
    before = everything(cloth, counts)
    assert bpy.ops.omomi.close_holes() == {"FINISHED"}
    assert sizes(cloth) == {"POINT": counts["POINT"] + 2, "EDGE": counts["EDGE"] + 10,
                            "CORNER": counts["CORNER"] + 30, "FACE": counts["FACE"] + 10}  # fmt: skip
    after = everything(cloth, counts)
    assert after.keys() >= before.keys() and {name: after[name] for name in before} == before
    assert not cloth.data.copy().validate(verbose=True)
    assert cloth.omomi.holes_report.startswith("2 holes closed with 10 faces")


def test_new_faces_look_like_those_around(fake: Any, cloth: Any) -> None:
    counts = sizes(cloth)
    bpy.ops.omomi.close_holes()
    mesh = cloth.data
    for polygon in list(mesh.polygons)[counts["FACE"] :]:
        # Materials and shading change in the middle of the cloth, and no hole lies there.
        first = polygon.center.x < SIDE / 2
        assert polygon.material_index == (0 if first else 1) and polygon.use_smooth == (polygon.center.y < SIDE / 2)
        assert polygon.normal.z > 0.5
        for index in polygon.loop_indices:
            place = mesh.vertices[mesh.loops[index].vertex_index].co.xy / SIDE
            # Within the hole the fan guesses; at its border the UVs go on.
            if mesh.loops[index].vertex_index < counts["POINT"]:
                assert (mesh.uv_layers["UVMap"].data[index].uv - place).length < 1e-6
            else:
                assert (mesh.uv_layers["UVMap"].data[index].uv - place).length < 0.2
    for vertex in list(mesh.vertices)[counts["POINT"] :]:
        around = {v for p in mesh.polygons for v in p.vertices if vertex.index in p.vertices} - {vertex.index}
        for name in ("FLOAT POINT", "FLOAT_COLOR POINT", "FLOAT_VECTOR POINT"):
            item = mesh.attributes[name]
            member = MEMBERS[item.data_type][0]
            border = np.mean([np.array(getattr(item.data[v], member)) for v in around], axis=0)
            assert np.allclose(np.array(getattr(item.data[vertex.index], member)), border, atol=1e-5)
        rim = cloth.vertex_groups["rim"].index
        weights = [next((g.weight for g in mesh.vertices[v].groups if g.group == rim), 0.0) for v in around]
        own = next(g.weight for g in vertex.groups if g.group == rim)
        assert own == pytest.approx(np.mean(weights), abs=1 / 255)
        wave = mesh.shape_keys.key_blocks["Wave"].data[vertex.index].co - vertex.co
        assert tuple(wave) == pytest.approx((0, 0, 1 + vertex.co.x), abs=1e-4)


def test_a_mirrored_and_scaled_object_keeps_the_winding_of_its_faces(fake: Any, cloth: Any) -> None:
    cloth.matrix_world = ((-3, 0, 0, 50), (0, 0.5, 0, 0), (0, 0, 2, -7), (0, 0, 0, 1))
    bpy.context.view_layer.update()
    counts = sizes(cloth)
    bpy.ops.omomi.close_holes()
    mesh = cloth.data
    assert all(polygon.normal.z > 0.5 for polygon in list(mesh.polygons)[counts["FACE"] :])
    new = mesh.vertices[counts["POINT"]].co
    assert 2 < new.x < 3 and 1 < new.y < 3
    uv = [mesh.uv_layers["UVMap"].data[i].uv for i in mesh.polygons[counts["FACE"]].loop_indices]
    place = [mesh.vertices[v].co.xy / SIDE for v in mesh.polygons[counts["FACE"]].vertices]
    assert all((a - b).length < 0.2 for a, b in zip(uv, place, strict=True))


def test_only_ticked_holes_of_the_wanted_size_are_closed_and_the_rest_stay_listed(fake: Any, cloth: Any) -> None:
    bpy.ops.omomi.find_holes()
    cloth.omomi.holes[0].use = False
    faces = len(cloth.data.polygons)
    bpy.ops.omomi.close_holes(close="flat")
    asked = fake.asked("PatchRequest")[-1]
    assert asked["numbers"] == (2,) and asked["close"] == "flat" and len(cloth.data.polygons) == faces + 4
    assert [hole.number for hole in cloth.omomi.holes] == [1, 3]
    cloth.omomi.holes[0].use = True
    bpy.ops.omomi.close_holes(smaller=0.5)
    assert len(cloth.data.polygons) == faces + 4 and "its radius is 3." in cloth.omomi.holes_report
    # The number of a hole has changed since, and the hole is known by its border.
    cloth.omomi.holes[0].use, cloth.omomi.holes[1].use = False, True
    bpy.ops.omomi.close_holes()
    assert len(cloth.data.polygons) == faces + 4 + 4 * SIDE and [hole.number for hole in cloth.omomi.holes] == [1]


def test_a_hole_that_is_gone_is_not_mistaken_for_another(fake: Any, cloth: Any) -> None:
    bpy.ops.omomi.find_holes()
    bpy.ops.object.mode_set(mode="EDIT")
    bpy.ops.mesh.select_all(action="SELECT")
    bpy.ops.mesh.fill_holes(sides=4)
    bpy.ops.object.mode_set(mode="OBJECT")
    faces = len(cloth.data.polygons)
    with pytest.raises(RuntimeError, match="Hole 2 of cloth is not there any more"):
        bpy.ops.omomi.close_holes()
    assert len(cloth.data.polygons) == faces
    for hole in cloth.omomi.holes:
        hole.use = False
    with pytest.raises(RuntimeError, match="No hole of cloth is ticked"):
        bpy.ops.omomi.close_holes()


def test_several_meshes_are_closed_in_one_step_with_one_summary(fake: Any, make: Callable[..., Any]) -> None:
    one, two, empty = laden(make, "one"), laden(make, "two", ((4, 4),)), make("points", np.eye(3))
    faces = len(one.data.polygons), len(two.data.polygons)
    # Two objects that show one mesh have its holes closed once.
    twin = bpy.data.objects.new("twin", two.data)
    bpy.context.scene.collection.objects.link(twin)
    twin.select_set(True)
    with pytest.raises(RuntimeError, match="points has no faces, so it has no holes"):
        bpy.ops.omomi.close_holes()
    assert (len(one.data.polygons), len(two.data.polygons)) == (faces[0] + 10, faces[1] + 4)
    assert len(empty.data.vertices) == 3
    told = two.omomi.holes_report + twin.omomi.holes_report
    assert "shares its mesh with" in told and "closed as well" in told


def test_one_undo_takes_it_back(fake: Any, cloth: Any) -> None:
    bpy.ops.ed.undo_push(message="before")
    counts = sizes(cloth)
    before = everything(cloth, counts)
    bpy.ops.omomi.close_holes("EXEC_DEFAULT", True)
    assert sizes(bpy.data.objects["cloth"]) != counts
    bpy.ops.ed.undo()
    assert everything(bpy.data.objects["cloth"], counts) == before and sizes(bpy.data.objects["cloth"]) == counts


def test_escape_leaves_the_mesh_as_it_was(fake: Any, addon: Any, cloth: Any, monkeypatch: Any) -> None:
    running = importlib.import_module(f"{addon.name}.operators.modal")
    module = importlib.import_module(f"{addon.name}.operators.holes")
    monkeypatch.setattr(running, "bpy", SimpleNamespace(app=SimpleNamespace(background=False), types=bpy.types))
    counts = sizes(cloth)
    before = everything(cloth, counts)
    fake.slow.add("PatchRequest")
    close = Operator(module.OMOMI_OT_close_holes, Window())
    assert close.start() == {"RUNNING_MODAL"}
    # the mesh is read by a thread first
    for _ in range(1000):
        close.event("TIMER")
        if fake.asked("PatchRequest"):
            break
        time.sleep(0.01)
    assert close.event("ESC", "PRESS") == {"CANCELLED"} and fake.cancelled
    assert sizes(cloth) == counts and everything(cloth, counts) == before


def test_what_cannot_be_closed_says_why(fake: Any, cloth: Any, tmp_path: Any) -> None:
    cloth.modifiers.new("Multires", "MULTIRES")
    with pytest.raises(RuntimeError, match="Multiresolution modifier"):
        bpy.ops.omomi.close_holes()
    cloth.modifiers.clear()
    cloth.data.attributes.new("frame", "FLOAT4X4", "POINT")
    with pytest.raises(RuntimeError, match="'frame' of cloth holds matrices"):
        bpy.ops.omomi.find_holes()
    cloth.data.attributes.remove(cloth.data.attributes["frame"])
    bpy.data.libraries.write(str(tmp_path / "library.blend"), {cloth.data})
    with bpy.data.libraries.load(str(tmp_path / "library.blend"), link=True) as (_, into):
        into.meshes = [cloth.data.name]
    cloth.data = into.meshes[0]
    with pytest.raises(RuntimeError, match="linked from another file"):
        bpy.ops.omomi.close_holes()
    assert not fake.requests


def test_modifiers_that_change_the_border_are_named(fake: Any, cloth: Any) -> None:
    thick = cloth.modifiers.new("Solidify", "SOLIDIFY")
    thick.use_rim = True
    bpy.context.view_layer.update()
    bpy.ops.omomi.find_holes()
    assert "The modifiers of cloth change its borders: the mesh itself has 3, with them there are 0" in (
        cloth.omomi.holes_report
    )
    cloth.modifiers.clear()
    cloth.modifiers.new("Smooth", "SMOOTH")
    bpy.ops.omomi.find_holes()
    assert "modifiers" not in cloth.omomi.holes_report


def test_a_mesh_that_changed_meanwhile_is_left_alone(fake: Any, addon: Any, cloth: Any, step_until: Any) -> None:
    patch = importlib.import_module(f"{addon.name}.session.patch")
    run = patch.PatchRun(fake, [cloth], "auto", 0.0)
    run.step()
    run.step()
    step_until(run, lambda: run.over)
    cloth.shape_key_clear()
    cloth.data.vertices.add(1)
    counts = sizes(cloth)
    assert run.commit() == [] and "changed in the meantime" in run.errors[0].message and sizes(cloth) == counts


@pytest.mark.parametrize("shared", [False, True])
def test_a_mesh_that_is_in_edit_mode_meanwhile_is_left_alone(
    fake: Any, addon: Any, cloth: Any, step_until: Any, shared: bool
) -> None:
    patch = importlib.import_module(f"{addon.name}.session.patch")
    run = patch.PatchRun(fake, [cloth], "auto", 0.0)
    step_until(run, lambda: run.over)
    if shared:
        twin = bpy.data.objects.new("twin", cloth.data)
        bpy.context.scene.collection.objects.link(twin)
        bpy.context.view_layer.objects.active = twin
    bpy.ops.object.mode_set(mode="EDIT")
    assert run.commit() == []
    assert [addon.text.explain(error) for error in run.errors] == ["cloth is in Edit Mode. Leave it with Tab first."]
    count = len(cloth.data.vertices)
    bpy.ops.object.mode_set(mode="OBJECT")
    assert len(cloth.data.vertices) == count


def test_borders_are_marked_where_they_are_in_the_world(fake: Any, addon: Any, cloth: Any) -> None:
    cloth.location = (0, 0, 100)
    bpy.context.view_layer.update()
    assert not addon.hole_overlay.marks(cloth)
    bpy.ops.omomi.find_holes()
    unticked, ticked = addon.hole_overlay.marks(cloth)
    assert [number for number, _ in ticked.numbers] == [1, 2] and [number for number, _ in unticked.numbers] == [3]
    assert len(ticked.segments) == 2 * (6 + 4) and ticked.segments[:, 2].min() > 90
    # Each segment ends where the next one begins.
    assert np.array_equal(ticked.segments[1:11:2], ticked.segments[2:12:2])
    cloth.omomi.holes[0].use = False
    assert [number for number, _ in addon.hole_overlay.marks(cloth)[1].numbers] == [2]
    # Without a window nothing is drawn.
    assert not addon.hole_overlay.is_shown()


def test_what_is_drawn_goes_with_the_toggle_escape_and_the_next_file(
    fake: Any, addon: Any, cloth: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawing: list[Any] = []
    space = SimpleNamespace(
        draw_handler_add=lambda function, *_: drawing.append(function) or function,
        draw_handler_remove=lambda function, _: drawing.remove(function),
    )
    in_window = SimpleNamespace(app=SimpleNamespace(background=False), types=SimpleNamespace(SpaceView3D=space))
    monkeypatch.setattr(addon.hole_overlay, "bpy", in_window)
    bpy.ops.omomi.find_holes()
    bpy.ops.omomi.find_holes()
    assert len(drawing) == 2 and draw("OMOMI_PT_holes")
    bpy.ops.omomi.show_holes()
    assert not drawing and not bpy.ops.omomi.hide_holes.poll()
    bpy.ops.omomi.show_holes()
    assert len(drawing) == 2
    bpy.ops.omomi.hide_holes()
    assert not drawing
    bpy.ops.omomi.show_holes()
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    assert not drawing
