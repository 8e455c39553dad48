"""Meshes are read in slices, between which the artist goes on working."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")


@pytest.fixture
def run(fake: Any, addon: Any, make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    """A run over the object "owl", of which a step does one slice."""
    monkeypatch.setattr(addon.task, "SLICE_SECONDS", -1.0)
    monkeypatch.setattr(addon.slices, "WAIT_SECONDS", 10.0)
    settings = addon.backend_fit.FitSettings.of(bpy.context.scene.omomi)
    obj = make("owl")
    for name in ("fur", "eyes"):
        obj.vertex_groups.new(name=name).add([0, 2], 0.5, "REPLACE")
    obj.data.attributes.new("tone", "FLOAT_COLOR", "POINT")
    return addon.fits.FitRun(fake, [obj], settings, stream=False)


def owl() -> Any:
    return bpy.data.objects["owl"]


def positions(obj: Any) -> np.ndarray:
    return np.array([tuple(vertex.co) for vertex in obj.data.vertices])


def test_what_changes_while_a_mesh_is_read_does_not_reach_the_fit(run: Any, fake: Any) -> None:
    before = positions(owl())
    run.step()
    assert not fake.requests and run.text.startswith("reading")
    while not fake.requests:
        for vertex in owl().data.vertices:
            vertex.co.x += 1
        run.step()
    assert np.array_equal(fake.asked("FitRequest")[0]["points"], before)
    assert list(bpy.data.meshes) == [owl().data]


def test_reading_says_what_it_does_until_the_fit_is_asked_for(run: Any, fake: Any) -> None:
    told = []
    while not fake.requests:
        run.step()
        told.append(run.text)
    assert "reading the mesh" in told and any(text.startswith("reading vertex groups") for text in told)


def test_a_run_that_is_cancelled_while_it_reads_leaves_nothing(run: Any, fake: Any) -> None:
    meshes = len(bpy.data.meshes)
    run.step()
    assert len(bpy.data.meshes) == meshes + 1
    run.cancel()
    assert len(bpy.data.meshes) == meshes and not fake.requests and run.over


def test_an_undo_while_a_mesh_is_read_ends_the_run_with_a_sentence(run: Any, fake: Any, addon: Any) -> None:
    own = owl().data
    run.step()
    copy = next(mesh for mesh in bpy.data.meshes if not mesh.users and mesh != own)
    bpy.data.meshes.remove(copy)  # as undo does with what was made since
    while not run.over:
        run.step()
    assert not fake.requests
    assert addon.text.explain(run.errors[0]) == (
        "owl was being read when something was undone. Press Fit to start again."
    )


def test_a_scan_that_is_fitted_again_is_called_by_its_name(run: Any, fake: Any, addon: Any) -> None:
    addon.fits.run_to_end(run)
    (fit,) = run.commit()
    again = addon.fits.FitRun(fake, [fit], addon.backend_fit.FitSettings(), stream=False)
    owl().data.clear_geometry()
    addon.fits.run_to_end(again)
    assert [error.message for error in again.errors] == ["owl has no vertices"]


def gone(how: str, home: Any) -> None:
    """Take a collection from the view while a run works."""
    if how == "excluded":
        bpy.context.view_layer.layer_collection.children[home.name].exclude = True
    elif how == "deleted":
        bpy.data.collections.remove(home)
    else:
        bpy.context.window.scene = bpy.data.scenes.new("other")


@pytest.mark.parametrize("how", ["excluded", "deleted", "left for another scene"])
def test_a_fit_is_placed_beside_its_scan_where_that_has_gone_from_the_view(
    how: str, run: Any, fake: Any, addon: Any
) -> None:
    home, first = bpy.data.collections.new("home"), bpy.context.scene.collection
    first.children.link(home)
    home.objects.link(owl())
    first.objects.unlink(owl())
    run.step()
    gone(how, home)
    addon.fits.run_to_end(run)
    (fit,) = run.commit()
    assert fit.name == "owl.fit" and run.errors == [] and owl().hide_render
    if how == "deleted":
        assert list(fit.users_collection) == [first] and bpy.context.object == fit
    else:
        assert fit.users_collection == owl().users_collection and fit.name not in bpy.context.view_layer.objects


def test_an_undo_to_a_step_made_while_a_mesh_was_read_brings_no_copy_back(run: Any, addon: Any) -> None:
    run.step()
    bpy.ops.ed.undo_push(message="made while it is read")
    assert len(bpy.data.meshes) == 2
    addon.fits.run_to_end(run)
    bpy.ops.ed.undo_push(message="read")
    bpy.ops.ed.undo()
    assert list(bpy.data.meshes) == [owl().data] and not owl().omomi.edits


@pytest.mark.parametrize("replace", [False, True])
def test_a_mesh_that_dyntopo_has_is_neither_read_nor_replaced(run: Any, fake: Any, addon: Any, replace: bool) -> None:
    bpy.ops.object.mode_set(mode="SCULPT")
    if replace:
        # begun while the run works
        run = addon.fits.FitRun(fake, [owl()], addon.backend_fit.FitSettings(), replace=True, stream=False)
        addon.fits.run_to_end(run)
    bpy.ops.sculpt.dynamic_topology_toggle()
    addon.fits.run_to_end(run)
    own = owl().data
    assert run.commit() == [] and owl().data == own
    assert [error.message for error in run.errors] == ["owl is sculpted with Dyntopo. Go back to Object Mode first."]
    assert replace or not fake.requests


def test_an_object_that_is_deleted_while_it_is_read_is_named(run: Any) -> None:
    run.step()
    bpy.data.objects.remove(owl())
    while not run.over:
        run.step()
    assert run.commit() == [] and run.errors[0].message == "owl was deleted in the meantime"


def test_what_a_thread_raises_is_raised_where_it_is_waited_for(addon: Any, scene: Any) -> None:
    names: list[str] = []

    def fail() -> None:
        names.append(threading.current_thread().name)
        raise MemoryError("of numpy")

    with pytest.raises(MemoryError, match="of numpy"):
        addon.slices.at_once(addon.slices.in_thread(fail, "failing"))
    assert names != [threading.current_thread().name]


def test_geometry_without_a_mesh_is_an_empty_scan(addon: Any, make: Callable[..., Any]) -> None:
    obj = make("owl")
    tree = bpy.data.node_groups.new("nothing", "GeometryNodeTree")
    tree.interface.new_socket("Geometry", in_out="OUTPUT", socket_type="NodeSocketGeometry")
    tree.nodes.new("NodeGroupOutput")
    obj.modifiers.new("nothing", "NODES").node_group = tree
    with pytest.raises(addon.errors.OmomiError, match="owl has no vertices"):
        addon.slices.at_once(addon.snapshot.read_scan(obj, shown=True))


def corner_arrays(mesh: Any, read: Any) -> tuple[np.ndarray, ...]:
    names = (".corner_vert", "value", len(mesh.loops)), (".corner_edge", "value", len(mesh.loops))
    found = [read(mesh.attributes[name].data, member, count, np.int32) for name, member, count in names]
    ends = read(mesh.attributes[".edge_verts"].data, "value", (len(mesh.edges), 2), np.int32)
    return *found, ends, read(mesh.attributes["position"].data, "vector", (len(mesh.vertices), 3))


def test_quads_are_cut_as_blender_cuts_them(addon: Any, make: Callable[..., Any]) -> None:
    side, rng = 12, np.random.default_rng(1)
    places = np.stack([*np.meshgrid(np.arange(side), np.arange(side)), np.zeros((side, side))], -1).reshape(-1, 3)
    a = np.arange(side * side).reshape(side, side)
    quads = np.stack([a[:-1, :-1], a[:-1, 1:], a[1:, 1:], a[1:, :-1]], -1).reshape(-1, 4)
    # bent so far that many are concave
    mesh = make("quads", places + rng.normal(0, 0.4, places.shape), quads).data
    found = addon.snapshot.halves(*corner_arrays(mesh, addon.mesh_io.read_values))
    mesh.calc_loop_triangles()
    assert [tuple(triangle.loops) for triangle in mesh.loop_triangles] == list(map(tuple, found[0].tolist()))
    assert [triangle.polygon_index for triangle in mesh.loop_triangles] == found[1].tolist()
    assert len({tuple(np.diff(loops)) for loops in found[0]}) == 3  # both cuts occur


@pytest.mark.parametrize("first", [0, 7])
def test_a_triangle_and_a_pentagon_are_not_two_quads(addon: Any, make: Callable[..., Any], first: int) -> None:
    faces = [(0, 1, 2), (first, 3, 4, 5, 6)]
    mesh = make("mixed", np.random.default_rng(0).random((8, 3)), faces).data
    assert len(mesh.loops) == 4 * len(mesh.polygons)
    assert addon.snapshot.halves(*corner_arrays(mesh, addon.mesh_io.read_values)) is None
