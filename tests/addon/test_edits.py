"""The stack of edits: shape key, new mesh and replace; what stays identical, and what undo and files bring back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.addon.stand_ins import key

bpy = pytest.importorskip("bpy")


def basis(obj: Any) -> np.ndarray:
    keys = obj.data.shape_keys
    source = [v.co for v in obj.data.vertices] if keys is None else [p.co for p in keys.reference_key.data]
    return np.array(source, np.float32)


def shown(obj: Any) -> np.ndarray:
    """Vertices as a viewport would show them."""
    bpy.context.view_layer.update()
    evaluated = obj.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
    return np.array([v.co for v in evaluated.vertices], np.float32)


def clothes(obj: Any) -> tuple[Any, ...]:
    """All that a mesh wears, and its topology."""
    mesh = obj.data
    corners = [v for polygon in mesh.polygons for v in polygon.vertices]
    uvs = [(layer.name, [tuple(item.vector) for item in layer.uv]) for layer in mesh.uv_layers]
    colours = [(c.name, c.domain, c.data_type, [tuple(i.color) for i in c.data]) for c in mesh.color_attributes]
    groups = [(g.name, [(v.index, e.weight) for v in mesh.vertices for e in v.groups if e.group == g.index])
              for g in obj.vertex_groups]  # fmt: skip
    faces = [(p.material_index, p.use_smooth) for p in mesh.polygons]
    return len(mesh.vertices), corners, uvs, colours, groups, faces, [m.name for m in mesh.materials]


def stack(obj: Any) -> list[tuple[Any, ...]]:
    return [(e.kind, e.name, e.path, e.strength, e.mute, e.mask, e.safe, e.safe_high) for e in obj.omomi.edits]


def attributes(obj: Any) -> Any:
    """Dress an object: two UV layers, colours of both domains, groups, materials, a sharp and a smooth face."""
    mesh, random = obj.data, np.random.default_rng(1)
    for name in ("UVMap", "second"):
        layer = mesh.uv_layers.new(name=name)
        layer.uv.foreach_set("vector", random.random(2 * len(mesh.loops)).astype(np.float32))
    for name, kind, domain in (("paint", "BYTE_COLOR", "CORNER"), ("tint", "FLOAT_COLOR", "POINT")):
        colours = mesh.color_attributes.new(name=name, type=kind, domain=domain)
        colours.data.foreach_set("color", random.random(4 * len(colours.data)).astype(np.float32))
    obj.vertex_groups.new(name="rim").add([0, 1, 2], 0.5, "REPLACE")
    obj.vertex_groups.new(name="foot").add([3], 1.0, "REPLACE")
    for name in ("fur", "eyes"):
        mesh.materials.append(bpy.data.materials.new(name))
    mesh.polygons[1].material_index = 1
    mesh.polygons[2].use_smooth = True
    return obj


def edit(name: str = "thickness", strength: float = 0.5) -> Any:
    bpy.ops.omomi.add_edit(kind="attribute", name=name, strength=strength)
    stack = bpy.context.active_object.omomi
    return stack.edits[stack.active]


def apply(undo: bool = False, **options: Any) -> Any:
    return bpy.ops.omomi.apply("EXEC_DEFAULT", undo, **options)


def test_a_shape_key_shows_the_edit_and_nothing_else_changes(fake: Any, make: Callable[..., Any]) -> None:
    scan = attributes(make("owl"))
    before, worn = basis(scan), clothes(scan)
    edit()
    assert apply() == {"FINISHED"}
    assert clothes(scan) == worn and np.array_equal(basis(scan), before)
    moved = np.linalg.norm(key(scan) - before, axis=1)
    assert np.allclose(moved, 0.05, atol=1e-6)
    assert np.allclose(shown(scan), key(scan), atol=1e-6)
    assert list(bpy.data.objects) == [scan]


@pytest.mark.parametrize("how", ["strength", "mute", "reset", "remove"])
def test_reset_is_exact_and_needs_no_backend(fake: Any, make: Callable[..., Any], how: str) -> None:
    scan = attributes(make("owl"))
    before = basis(scan)
    layer = edit("detail", 0.3)
    apply()
    asked = len(fake.requests)
    if how == "strength":
        layer.strength = 0.0
        apply()
    elif how == "mute":
        layer.mute = True
        apply()
    elif how == "reset":
        bpy.ops.omomi.reset_edits()
    else:
        bpy.ops.omomi.remove_edit()
    assert np.array_equal(key(scan), before) and len(fake.requests) == asked


def test_reset_with_remove_leaves_no_trace(fake: Any, make: Callable[..., Any]) -> None:
    scan = make("owl")
    before = basis(scan)
    edit()
    apply()
    bpy.ops.omomi.reset_edits(remove=True)
    assert scan.data.shape_keys is None and not scan.omomi.edits and np.array_equal(basis(scan), before)


def test_vertices_outside_the_mask_stay_to_the_last_bit(fake: Any, make: Callable[..., Any]) -> None:
    scan = make("owl")
    scan.location, scan.scale, scan.rotation_euler = (1e5, 3, 3), (0.001, 0.002, 0.001), (0.3, 0.2, 0.1)
    scan.vertex_groups.new(name="rim").add([0, 5], 1.0, "REPLACE")
    before = basis(scan)
    edit(strength=1e-3).mask = "rim"
    apply()
    changed = (key(scan) != before).any(axis=1)
    assert set(np.flatnonzero(changed)) == {0, 5}
    masks = fake.asked("StackRequest")[0]["masks"]
    assert masks.tolist() == [1, 0, 0, 0, 0, 1, 0, 0]


def test_scale_rotation_and_mirroring_are_undone_in_the_key(fake: Any, make: Callable[..., Any], world: Any) -> None:
    scan = make("owl")
    scan.scale, scan.rotation_euler = (-2, 0.5, 3), (0.4, 0.5, 0.6)
    bpy.context.view_layer.update()
    before = world(scan)
    edit(strength=1.0)
    apply()
    matrix = np.array(scan.matrix_world)
    after = key(scan) @ matrix[:3, :3].T + matrix[:3, 3]
    outwards = before - before.mean(0)
    expected = before + 0.1 * outwards / np.linalg.norm(outwards, axis=1, keepdims=True)
    assert np.allclose(after, expected, atol=1e-5)


def test_undo_and_redo_bring_back_strengths_and_shape_to_the_last_bit(fake: Any, make: Callable[..., Any]) -> None:
    scan = make("owl")
    edit(strength=0.0)
    bpy.ops.ed.undo_push(message="before")
    states = []
    for strength in (0.25, -0.75):
        bpy.data.objects["owl"].omomi.edits[0].strength = strength
        apply(undo=True)
        scan = bpy.data.objects["owl"]
        states.append((scan.omomi.edits[0].strength, key(scan)))
    bpy.ops.ed.undo()
    scan = bpy.data.objects["owl"]
    assert scan.omomi.edits[0].strength == states[0][0] and np.array_equal(key(scan), states[0][1])
    bpy.ops.ed.undo()
    scan = bpy.data.objects["owl"]
    assert scan.omomi.edits[0].strength == 0 and np.array_equal(key(scan), basis(scan))
    bpy.ops.ed.redo()
    bpy.ops.ed.redo()
    scan = bpy.data.objects["owl"]
    assert scan.omomi.edits[0].strength == states[1][0] and np.array_equal(key(scan), states[1][1])


def test_a_file_brings_back_strengths_and_shape_to_the_last_bit(
    fake: Any, make: Callable[..., Any], tmp_path: Path, settle: Any
) -> None:
    scan = attributes(make("owl"))
    edit("thickness", 0.1)
    edit("detail", -1 / 3).mask = "rim"
    edit("sharpness", 0.7).mute = True
    scan.omomi.edits[0].safe, scan.omomi.edits[0].safe_high = True, 0.9
    apply()
    saved = stack(scan)
    shape, rest = key(scan), basis(scan)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "owl.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "owl.blend"))
    scan = bpy.data.objects["owl"]
    assert stack(scan) == saved
    assert np.array_equal(key(scan), shape) and np.array_equal(basis(scan), rest)
    # Made again by another process, it is the same.
    fake.die()
    bpy.context.view_layer.objects.active = scan
    fits = fake.kinds["FitRequest"]
    apply()
    assert np.array_equal(key(scan), shape) and fake.kinds["FitRequest"] == fits + 1


def test_a_scan_is_fitted_once_for_many_edits_and_again_when_it_changed(fake: Any, make: Callable[..., Any]) -> None:
    scan = make("owl")
    edit()
    apply()
    scan.omomi.edits[0].strength = 1
    apply()
    assert fake.kinds["FitRequest"] == fake.kinds["StackRequest"] == 1
    edit("detail")
    apply()
    assert fake.kinds["FitRequest"] == 1 and fake.kinds["StackRequest"] == 2
    scan.data.shape_keys.reference_key.data[0].co.x += 1
    apply()
    assert fake.kinds["FitRequest"] == 2 and len(fake.forgotten) == 1
    bpy.context.scene.omomi.level = "1"
    apply()
    assert fake.kinds["FitRequest"] == 3


@pytest.mark.parametrize("kind", ["StackRequest", "PoseRequest", "ApplyRequest"])
def test_a_backend_that_let_go_of_the_scan_fits_it_again_without_a_word(
    fake: Any, addon: Any, make: Callable[..., Any], kind: str
) -> None:
    make("owl")
    edit()
    errors = addon.errors
    fake.failures[kind] = [errors.OmomiError("unknown_scan", "Gone.")]
    assert apply() == {"FINISHED"} and fake.kinds["FitRequest"] == 2


@pytest.mark.parametrize("code", ["backend_died", "out_of_memory", "disk", "internal", "cancelled"])
@pytest.mark.parametrize("result", ["SHAPE_KEY", "NEW", "REPLACE"])
@pytest.mark.parametrize("kind", ["FitRequest", "StackRequest", "PoseRequest", "ApplyRequest"])
def test_whatever_fails_in_the_middle_the_scan_is_as_it_was(
    fake: Any, addon: Any, make: Callable[..., Any], kind: str, result: str, code: str
) -> None:
    scan = attributes(make("owl"))
    edit()
    errors = addon.errors
    before, worn, mesh = basis(scan), clothes(scan), scan.data
    fake.failures[kind] = [errors.OmomiError(code, "Something happened.")]
    with pytest.raises(RuntimeError, match="Something happened"):
        apply(result=result)
    assert scan.data is mesh and clothes(scan) == worn and np.array_equal(basis(scan), before)
    assert np.array_equal(key(scan), before) and list(bpy.data.objects) == [scan] and not scan.hide_get()
    assert scan.omomi.edits[0].strength == 0.5 and addon.fits.current() is None
    assert apply(result=result) == {"FINISHED"}


def test_shape_keys_that_are_there_stay_and_the_edit_starts_from_the_basis(fake: Any, make: Callable[..., Any]) -> None:
    scan = make("owl")
    scan.shape_key_add(name="Basis")
    smile = scan.shape_key_add(name="smile")
    smile.data[0].co.z += 2
    smile.value = 0.5
    before, smiling = basis(scan), [tuple(p.co) for p in smile.data]
    edit()
    apply()
    keys = scan.data.shape_keys.key_blocks
    assert [k.name for k in keys] == ["Basis", "smile", "Omomi"] and keys["smile"].value == 0.5
    assert [tuple(p.co) for p in keys["smile"].data] == smiling and np.array_equal(basis(scan), before)
    assert np.allclose(np.linalg.norm(key(scan) - before, axis=1), 0.05, atol=1e-6)
    bpy.ops.omomi.reset_edits(remove=True)
    assert [k.name for k in keys] == ["Basis", "smile"]


def test_modifiers_see_the_edit_and_are_not_baked_into_it(fake: Any, make: Callable[..., Any]) -> None:
    scan = make("owl")
    scan.modifiers.new("array", "ARRAY").count = 2
    edit()
    apply()
    assert len(key(scan)) == 8 and len(shown(scan)) == 16 and scan.modifiers["array"].show_viewport
    assert fake.requests[0][2]["points"].shape == (8, 3)


def test_a_shared_mesh_is_not_changed_for_its_other_users(fake: Any, make: Callable[..., Any]) -> None:
    scan = make("owl")
    other = bpy.data.objects.new("other", scan.data)
    bpy.context.scene.collection.objects.link(other)
    edit()
    with pytest.raises(RuntimeError, match="Make Single User"):
        apply()
    assert scan.data.shape_keys is None
    assert apply(result="NEW") == {"FINISHED"} and other.data is scan.data


def test_points_without_faces_can_have_a_new_mesh_only(fake: Any, make: Callable[..., Any]) -> None:
    make("cloud", np.random.default_rng(0).normal(size=(50, 3)))
    edit()
    with pytest.raises(RuntimeError, match=r"no faces.*choose New mesh"):
        apply()
    assert apply(result="NEW") == {"FINISHED"} and "cloud.edit" in bpy.data.objects


@pytest.mark.parametrize("scale", [(1, 1, 1), (-1, 2, 1)])
def test_a_new_mesh_wears_what_the_scan_wore(fake: Any, make: Callable[..., Any], world: Any, scale: Any) -> None:
    scan = attributes(make("owl"))
    scan.scale, scan.location = scale, (5, 6, 7)
    bpy.context.view_layer.update()
    before, worn, centre = basis(scan), clothes(scan), world(scan).mean(0)
    edit()
    assert apply(result="NEW") == {"FINISHED"}
    assert clothes(scan) == worn and np.array_equal(basis(scan), before) and scan.hide_get()
    assert scan.omomi.edits[0].strength == 0.5
    made = bpy.context.view_layer.objects.active
    assert made.name == "owl.edit" and made.omomi.edits[0].strength == 0 and made.data.shape_keys is None
    assert np.allclose((world(made).min(0) + world(made).max(0)) / 2, centre, atol=1e-4)
    mesh = made.data
    assert [layer.name for layer in mesh.uv_layers] == ["UVMap", "second"]
    assert {"paint", "tint", "omomi_uncertainty"} <= {c.name for c in mesh.color_attributes}
    assert mesh.color_attributes["paint"].data_type == "BYTE_COLOR"
    assert [group.name for group in made.vertex_groups] == ["rim", "foot"]
    assert [material.name for material in mesh.materials] == ["fur", "eyes"]
    assert {p.material_index for p in mesh.polygons} == {0, 1}
    assert {p.use_smooth for p in mesh.polygons} == {True, False}
    middle = np.mean([v.co for v in mesh.vertices], axis=0)
    assert all(np.dot(p.normal, np.array(p.center) - middle) > 0 for p in mesh.polygons)
    # The corners of a triangle have the UVs of one triangle of the scan, in the same order around it.
    source = {tuple(np.round(item.vector, 5)) for item in scan.data.uv_layers["second"].uv}
    assert {tuple(np.round(item.vector, 5)) for item in mesh.uv_layers["second"].uv} <= source
    tints = {tuple(np.round(item.color, 5)) for item in scan.data.color_attributes["tint"].data}
    assert {tuple(np.round(item.color, 5)) for item in mesh.color_attributes["tint"].data} <= tints


def test_replace_keeps_the_original_and_undo_brings_it_back(fake: Any, make: Callable[..., Any]) -> None:
    scan = attributes(make("owl"))
    before, worn = basis(scan), clothes(scan)
    edit()
    bpy.ops.ed.undo_push(message="before")
    assert apply(undo=True, result="REPLACE") == {"FINISHED"}
    scan = bpy.data.objects["owl"]
    original = bpy.data.meshes["owl.original"]
    assert original.use_fake_user and len(original.vertices) == 8 and len(scan.data.vertices) > 8
    assert scan.omomi.edits[0].strength == 0 and [g.name for g in scan.vertex_groups] == ["rim", "foot"]
    bpy.ops.ed.undo()
    scan = bpy.data.objects["owl"]
    assert clothes(scan) == worn and np.array_equal(basis(scan), before) and scan.omomi.edits[0].strength == 0.5


def test_a_change_of_topology_is_reported_in_words(fake: Any, make: Callable[..., Any], capfd: Any) -> None:
    scan = make("owl")
    edit(strength=1.5)
    apply()
    assert "a tunnel through it closes" in scan.omomi.report and "3 faces were turned over" in scan.omomi.report
    assert "a tunnel through it closes" in capfd.readouterr().out
    scan.omomi.edits[0].strength = 0.5
    apply()
    assert "1 piece, 1 tunnel, closed, as before" in scan.omomi.report


def test_nothing_to_apply_is_said(fake: Any, make: Callable[..., Any], scene: Any) -> None:
    with pytest.raises(RuntimeError, match="Make a mesh object active"):
        apply()
    make("owl")
    with pytest.raises(RuntimeError, match="Add an edit first"):
        apply()
    edit(strength=0.0)
    with pytest.raises(RuntimeError, match="All strengths are 0"):
        apply(result="NEW")
    bpy.ops.object.mode_set(mode="EDIT")
    try:
        with pytest.raises(RuntimeError, match="Leave Edit Mode"):
            apply()
    finally:
        bpy.ops.object.mode_set(mode="OBJECT")
    with pytest.raises(RuntimeError, match="no attribute 'wings'"):
        edit("wings")


def test_a_linked_scan_is_refused_with_the_way_out(fake: Any, make: Callable[..., Any], tmp_path: Path) -> None:
    make("linked")
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "library.blend"))
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    with bpy.data.libraries.load(str(tmp_path / "library.blend"), link=True) as (_, into):
        into.meshes = ["linked"]
    scan = bpy.data.objects.new("here", bpy.data.meshes["linked"])
    bpy.context.scene.collection.objects.link(scan)
    bpy.context.view_layer.objects.active = scan
    edit()
    with pytest.raises(RuntimeError, match="linked from another file: choose New mesh"):
        apply()
    assert apply(result="NEW") == {"FINISHED"}


def test_edits_are_moved_and_removed_in_order(fake: Any, make: Callable[..., Any]) -> None:
    scan = make("owl")
    for name in ("thickness", "detail", "sharpness"):
        edit(name, 0.1)
    bpy.ops.omomi.move_edit(direction="UP")
    assert [e.name for e in scan.omomi.edits] == ["thickness", "sharpness", "detail"] and scan.omomi.active == 1
    bpy.ops.omomi.remove_edit()
    assert [e.name for e in scan.omomi.edits] == ["thickness", "detail"] and scan.omomi.active == 1
    bpy.ops.omomi.move_edit(direction="DOWN")
    assert [e.name for e in scan.omomi.edits] == ["thickness", "detail"]
    bpy.ops.omomi.remove_edit()
    bpy.ops.omomi.remove_edit()
    assert not scan.omomi.edits and scan.omomi.active == 0


def test_a_copy_of_an_object_has_a_stack_of_its_own(fake: Any, make: Callable[..., Any]) -> None:
    scan = make("owl")
    edit()
    apply()
    twin = scan.copy()
    twin.data = scan.data.copy()
    bpy.context.scene.collection.objects.link(twin)
    scan.select_set(False)
    bpy.context.view_layer.objects.active = twin
    twin.omomi.edits[0].strength = -0.5
    apply()
    assert scan.omomi.edits[0].strength == 0.5
    assert np.allclose(key(scan) - basis(scan), basis(twin) - key(twin), atol=1e-6)


def test_a_library_override_is_said_to_have_no_edits(fake: Any, make: Any, tmp_path: Path) -> None:
    path = str(tmp_path / "shelf.blend")
    bpy.data.libraries.write(path, {make("owl")})
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    with bpy.data.libraries.load(path, link=True) as (_, wanted):
        wanted.objects = ["owl"]
    linked: Any = wanted.objects[0]
    bpy.context.scene.collection.objects.link(linked)
    owl, crow = linked.override_create(remap_local_usages=True), make("crow")
    owl.select_set(True)
    # of several objects, the others have the edits
    assert bpy.ops.omomi.add_edit(kind="attribute", name="thickness", strength=0.5) == {"FINISHED"}
    assert len(crow.omomi.edits) == 1 and not owl.omomi.edits
    with pytest.raises(RuntimeError, match="owl is a library override, so it can have no edits"):
        bpy.ops.omomi.apply(result="NEW")
    assert "crow.edit" in bpy.data.objects
    bpy.context.view_layer.objects.active = owl
    with pytest.raises(RuntimeError, match="owl is a library override, so it can have no edits"):
        bpy.ops.omomi.load_preset(name="Clay")
