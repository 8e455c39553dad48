"""The Fit operator as a script calls it: blocking, through a real child process with a toy engine."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")
Matrix = pytest.importorskip("mathutils").Matrix


def fit(*, undo: bool = False, **options: Any) -> Any:
    return bpy.ops.omomi.fit("EXEC_DEFAULT", undo, **options)


def state() -> dict[str, tuple[Any, ...]]:
    """Everything in the scene that a fit could touch."""
    return {
        obj.name: (
            obj.data.name,
            tuple(np.array([v.co for v in obj.data.vertices]).ravel().tolist()),
            obj.hide_get(),
            obj.hide_render,
            tuple(map(tuple, obj.matrix_world)),
        )
        for obj in bpy.context.scene.objects
    }


def test_a_fit_adds_a_new_object_and_hides_the_scan(toy: Any, make: Callable[..., Any]) -> None:
    scan = make("owl")
    assert fit() == {"FINISHED"}
    result = bpy.data.objects["owl.fit"]
    assert bpy.context.view_layer.objects.active is result and result.select_get()
    assert scan.hide_get() and scan.hide_render and len(scan.data.vertices) == 8
    assert not any("preview" in obj.name.lower() for obj in bpy.data.objects)
    assert toy.fits.current() is None


def test_options_given_override_the_scene_and_the_rest_comes_from_it(toy: Any, make: Callable[..., Any]) -> None:
    bpy.context.scene.omomi.level = "0"
    make("coarse")
    fit()
    coarse = len(bpy.data.objects["coarse.fit"].data.vertices)
    bpy.ops.object.select_all(action="DESELECT")
    make("fine")
    fit(level="4")
    assert len(bpy.data.objects["fine.fit"].data.vertices) > coarse
    assert bpy.context.scene.omomi.level == "0"


@pytest.mark.parametrize(
    "matrix",
    [
        Matrix.Diagonal((0.001, 0.001, 0.001, 1)),
        Matrix.Translation((1e6, -20, 3)) @ Matrix.Rotation(math.pi / 2, 4, "X"),
        Matrix.Rotation(0.3, 4, "Z") @ Matrix.Diagonal((3, 0.5, -2, 1)),
    ],
)
def test_result_overlays_the_scan_in_the_world(
    toy: Any, make: Callable[..., Any], world: Callable[..., Any], matrix: Any
) -> None:
    scan = make("owl")
    scan.matrix_world = matrix
    bpy.context.view_layer.update()
    before = world(scan)
    fit(level="5")
    result = bpy.data.objects["owl.fit"]
    after = world(result)
    size = np.ptp(before, axis=0)
    # The toy's ellipsoid touches the box of the scan on all sides, up to its coarseness.
    slack = 0.02 * size + 1e-6 * np.abs(before).max()
    assert (np.abs(after.min(0) - before.min(0)) < slack).all()
    assert (np.abs(after.max(0) - before.max(0)) < slack).all()


def test_result_of_a_sheared_child_follows_the_same_parent(
    toy: Any, make: Callable[..., Any], world: Callable[..., Any]
) -> None:
    parent = bpy.data.objects.new("parent", None)
    bpy.context.scene.collection.objects.link(parent)
    scan = make("owl")
    scan.parent = parent
    scan.rotation_euler = (0.4, 0.5, 0.6)
    parent.scale = (1, 3, 0.2)
    fit()
    result = bpy.data.objects["owl.fit"]
    assert result.parent is parent
    parent.location = (5, 6, 7)
    centre = world(scan).mean(0)
    assert np.allclose((world(result).min(0) + world(result).max(0)) / 2, centre, atol=1e-4)


def test_normals_point_outwards_on_a_mirrored_object(toy: Any, make: Callable[..., Any]) -> None:
    scan = make("owl")
    scan.scale = (-1, 1, 1)
    bpy.context.view_layer.update()
    fit()
    mesh = bpy.data.objects["owl.fit"].data
    centre = np.mean([v.co for v in mesh.vertices], axis=0)
    assert all(np.dot(p.normal, np.array(p.center) - centre) > 0 for p in mesh.polygons)


def test_replace_keeps_the_original_mesh_under_a_new_name(toy: Any, make: Callable[..., Any]) -> None:
    scan = make("owl")
    material = bpy.data.materials.new("fur")
    scan.data.materials.append(material)
    modifier = scan.modifiers.new("array", "ARRAY")
    fit(result="REPLACE")
    original = bpy.data.meshes["owl.original"]
    assert original.use_fake_user and len(original.vertices) == 8
    assert len(scan.data.vertices) > 8 and not scan.hide_get()
    assert list(scan.data.materials) == [material]
    # The fit has seen the modifier's result, so it must not act twice; nor may it be lost.
    assert list(scan.modifiers) == [modifier] and not modifier.show_viewport and not modifier.show_render


def test_replacing_a_shared_mesh_leaves_its_other_users_alone(toy: Any, make: Callable[..., Any]) -> None:
    scan = make("owl")
    mesh = scan.data
    other = bpy.data.objects.new("other", mesh)
    bpy.context.scene.collection.objects.link(other)
    fit(result="REPLACE")
    assert other.data is mesh and mesh.name == "owl" and len(mesh.vertices) == 8 and scan.data is not mesh


def test_shape_keys_and_groups_of_the_scan_survive_a_fit(toy: Any, make: Callable[..., Any]) -> None:
    scan = make("owl")
    scan.vertex_groups.new(name="rim").add([0, 1], 0.5, "REPLACE")
    scan.shape_key_add(name="Basis")
    scan.shape_key_add(name="smile").value = 0.5
    fit()
    assert [key.name for key in scan.data.shape_keys.key_blocks] == ["Basis", "smile"]
    assert scan.vertex_groups["rim"].weight(0) == 0.5
    result = bpy.data.objects["owl.fit"]
    assert result.data.shape_keys is None and not result.modifiers
    assert [group.name for group in result.vertex_groups] == ["rim"]


def test_all_selected_meshes_are_fitted_and_others_ignored(toy: Any, make: Callable[..., Any]) -> None:
    for name in ("a", "b", "c"):
        make(name)
    light = bpy.data.objects.new("sun", bpy.data.lights.new("sun", "SUN"))
    bpy.context.scene.collection.objects.link(light)
    light.select_set(True)
    assert fit() == {"FINISHED"}
    assert {"a.fit", "b.fit", "c.fit"} <= set(bpy.data.objects.keys()) and "sun.fit" not in bpy.data.objects


def test_one_bad_scan_is_named_and_the_others_are_fitted(toy: Any, make: Callable[..., Any]) -> None:
    make("good")
    make("bad", np.empty((0, 3)))
    make("fine")
    with pytest.raises(RuntimeError, match="bad has no vertices"):
        fit()
    assert {"good.fit", "fine.fit"} <= set(bpy.data.objects.keys())


def test_sigma_and_uncertainty_are_on_the_result(toy: Any, make: Callable[..., Any]) -> None:
    make("owl")
    fit()
    mesh = bpy.data.objects["owl.fit"].data
    sigma = np.array([item.value for item in mesh.attributes["omomi_sigma"].data])
    assert len(sigma) == len(mesh.vertices) and sigma.min() == 0 and math.isclose(sigma.max(), 0.1, rel_tol=1e-6)
    assert "omomi_uncertainty" in mesh.color_attributes


def test_one_fit_is_one_undo_step(toy: Any, make: Callable[..., Any]) -> None:
    make("a")
    make("b")
    bpy.ops.ed.undo_push(message="before")
    before = state()
    fit(undo=True)
    after = state()
    assert set(after) - set(before) == {"a.fit", "b.fit"}
    bpy.ops.ed.undo()
    assert state() == before
    bpy.ops.ed.redo()
    assert state() == after


def test_undo_of_a_replace_brings_the_scan_back(toy: Any, make: Callable[..., Any]) -> None:
    make("a")
    bpy.ops.ed.undo_push(message="before")
    before = state()
    fit(undo=True, result="REPLACE")
    assert state() != before
    bpy.ops.ed.undo()
    assert state() == before


def test_a_stray_print_in_the_backend_harms_nothing(toy: Any, make: Callable[..., Any]) -> None:
    make("noisy")
    assert fit() == {"FINISHED"}
    log = toy.preferences.log_path(toy.preferences.get())
    assert "a stray print from native code" in log.read_text()


NAN, INF = float("nan"), float("inf")
PLANE = np.stack([*np.meshgrid(np.arange(10.0), np.arange(10.0)), np.zeros((10, 10))], -1).reshape(-1, 3)


@pytest.mark.parametrize(
    ("vertices", "sentence"),
    [
        (np.empty((0, 3)), "no vertices"),
        (np.zeros((1, 3)), r"point"),
        (PLANE, r"flat|plane|coplanar"),
        (PLANE * (1, 0, 0), r"flat|line|collinear|point"),
        (np.full((100, 3), NAN), r"finite|coordinates"),
        (np.full((100, 3), INF), r"finite|coordinates"),
    ],
    ids=["empty", "single point", "coplanar", "collinear", "nan", "infinite"],
)
def test_bad_scans_get_one_sentence_and_lose_nothing(
    toy: Any, make: Callable[..., Any], vertices: np.ndarray, sentence: str
) -> None:
    scan = make("checked", vertices)
    with pytest.raises(RuntimeError, match=f"(?i){sentence}") as caught:
        fit()
    assert str(caught.value).strip().count("\n") == 0
    assert list(bpy.data.objects) == [scan] and len(scan.data.vertices) == len(vertices) and not scan.hide_get()


def test_points_that_are_not_finite_are_dropped_from_a_good_scan(toy: Any, make: Callable[..., Any]) -> None:
    sphere = np.random.default_rng(0).normal(size=(500, 3))
    sphere /= np.linalg.norm(sphere, axis=1, keepdims=True)
    sphere[7] = NAN
    sphere[9] = INF
    make("finite checked", sphere)
    # The toy measures the raw points, so only that the cleaning lets them pass counts here.
    bpy.context.scene.omomi.level = "0"
    try:
        fit()
    except RuntimeError as error:
        assert "finite" not in str(error)


def test_a_scan_that_lies_far_away_keeps_its_shape(toy: Any, make: Callable[..., Any]) -> None:
    scan = make("far")
    scan.location = (1e12, 1e12, 1e12)
    bpy.context.view_layer.update()
    fit(level="5")
    local = np.array([v.co for v in bpy.data.objects["far.fit"].data.vertices])
    assert np.allclose(local.min(0), 0, atol=0.02) and np.allclose(local.max(0), 1, atol=0.02)


def test_a_zero_scale_object_is_refused(toy: Any, make: Callable[..., Any]) -> None:
    scan = make("flat")
    scan.scale = (1, 1, 0)
    bpy.context.view_layer.update()
    with pytest.raises(RuntimeError, match="flat is scaled to zero on at least one axis"):
        fit()
    assert len(bpy.data.objects) == 1


def test_edit_mode_is_refused_with_the_way_out(toy: Any, make: Callable[..., Any]) -> None:
    make("owl")
    bpy.ops.object.mode_set(mode="EDIT")
    try:
        with pytest.raises(RuntimeError, match="Leave Edit Mode first"):
            fit()
    finally:
        bpy.ops.object.mode_set(mode="OBJECT")


def test_nothing_selected_is_refused_with_the_way_out(toy: Any, scene: Any) -> None:
    with pytest.raises(RuntimeError, match="Select at least one mesh"):
        fit()


def library_with_scan(tmp_path: Path, make: Callable[..., Any]) -> Path:
    path = tmp_path / "library.blend"
    make("linked")
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    with bpy.data.libraries.load(str(path), link=True) as (_, into):
        into.objects = ["linked"]
    return path


@pytest.mark.parametrize("override", [False, True])
def test_a_linked_or_overridden_scan_can_be_fitted_but_not_replaced(
    toy: Any, make: Callable[..., Any], tmp_path: Path, override: bool
) -> None:
    library_with_scan(tmp_path, make)
    scan = bpy.data.objects["linked"]
    bpy.context.scene.collection.objects.link(scan)
    if override:
        scan = scan.override_create(remap_local_usages=True)
    scan.select_set(True)
    bpy.context.view_layer.objects.active = scan
    mesh = scan.data
    with pytest.raises(RuntimeError, match=r"cannot be replaced\. Choose New mesh"):
        fit(result="REPLACE")
    assert scan.data is mesh
    fit(result="NEW")
    result = bpy.data.objects["linked.fit"]
    assert result.library is None and result.override_library is None and result.is_editable and scan.data is mesh
