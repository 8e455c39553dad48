"""Meshes of the backend are made in slices as Blender would make them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")

SIDE = 40


@pytest.fixture(scope="module")
def torn() -> tuple[np.ndarray, np.ndarray]:
    """Vertices and faces of a rough surface with holes, some faces the wrong way round and some edges of many faces."""
    random = np.random.default_rng(100)
    x, y = np.meshgrid(np.linspace(0, 1, SIDE), np.linspace(0, 1, SIDE))
    points = np.stack([x, y, np.sin(9 * x) / 9], -1).reshape(-1, 3)
    points += random.normal(0, 0.01, points.shape)
    a = np.arange(SIDE * SIDE).reshape(SIDE, SIDE)
    corners = a[:-1, :-1], a[:-1, 1:], a[1:, 1:], a[1:, :-1]
    halves = (0, 1, 2), (0, 2, 3)
    faces = np.concatenate([np.stack([corners[k] for k in half], -1).reshape(-1, 3) for half in halves])
    faces = faces[random.random(len(faces)) > 0.05]
    extra = random.integers(0, len(points), (100, 3))
    extra = extra[(np.diff(np.sort(extra, axis=1), axis=1) > 0).all(axis=1)]
    faces = np.concatenate([faces, extra]).astype(np.int32)
    faces[::17] = faces[::17, ::-1]
    return points.astype(np.float32), np.ascontiguousarray(faces)


@pytest.fixture
def draft(addon: Any, scene: Any, torn: Any) -> Any:
    points, faces = torn
    sigma = np.linspace(0.001, 0.1, len(points), dtype=np.float32)
    return addon.draft.Draft(addon.messages.MeshFrame(1, 2, True, (0.0, 0.0, 0.0), points, faces, sigma), np.eye(3))


def read(mesh: Any, name: str, member: str, width: int, dtype: Any) -> np.ndarray:
    data = mesh.attributes[name].data
    values = np.empty((len(data), width), dtype)
    data.foreach_get(member, values.reshape(-1))
    return values


def ends(mesh: Any) -> np.ndarray:
    return np.sort(read(mesh, ".edge_verts", "value", 2, np.int32), axis=1)


def drafts() -> list[Any]:
    return [mesh for mesh in bpy.data.meshes if "omomi_scratch" in mesh]


def test_a_draft_is_the_mesh_that_blender_makes_of_the_same_triangles(addon: Any, draft: Any, torn: Any) -> None:
    points, faces = torn
    peer = bpy.data.meshes.new("peer")
    addon.mesh_io.fill_mesh(peer, points, faces)
    mesh = draft.take("made")
    assert mesh.name == "made" and not mesh.validate(verbose=True)
    assert np.array_equal(read(mesh, "position", "vector", 3, np.float32), points)
    starts = np.empty((2, len(faces)), np.int32)
    mesh.polygons.foreach_get("loop_start", starts[0])
    mesh.polygons.foreach_get("loop_total", starts[1])
    assert np.array_equal(starts[0], np.arange(0, 3 * len(faces), 3)) and (starts[1] == 3).all()
    corners, wanted = (read(each, ".corner_vert", "value", 1, np.int32) for each in (mesh, peer))
    assert np.array_equal(corners, wanted)
    # the same edges, in another order
    ours, theirs = ends(mesh), ends(peer)
    order, others = np.lexsort(ours.T), np.lexsort(theirs.T)
    assert np.array_equal(ours[order], theirs[others])
    of = (read(each, ".corner_edge", "value", 1, np.int32)[:, 0] for each in (mesh, peer))
    assert np.array_equal(ours[next(of)], theirs[next(of)])
    sharp = read(mesh, "sharp_edge", "value", 1, np.bool_)[order]
    assert np.array_equal(sharp, read(peer, "sharp_edge", "value", 1, np.bool_)[others])
    assert 0 < sharp.mean() < 1
    made, known = ({item.name for item in each.attributes} for each in (mesh, peer))
    assert made == {*known, "omomi_sigma", "omomi_uncertainty"}
    assert all(polygon.use_smooth for polygon in mesh.polygons)


def test_a_draft_is_the_same_mesh_in_slices_and_at_once(addon: Any, draft: Any) -> None:
    pauses = sum(1 for _ in draft.fill())
    assert pauses > 20 and len(drafts()) == 1
    mesh = draft.take("sliced")
    assert not drafts()
    other = addon.draft.Draft(draft.frame, np.eye(3)).take("at once")
    assert other != mesh and mesh["omomi_checksum"] == other["omomi_checksum"]
    for name, member, width, dtype in (
        (".edge_verts", "value", 2, np.int32), (".corner_edge", "value", 1, np.int32),
        ("omomi_sigma", "value", 1, np.float32), ("omomi_uncertainty", "color", 4, np.float32),
    ):  # fmt: skip
        assert np.array_equal(read(mesh, name, member, width, dtype), read(other, name, member, width, dtype))


@pytest.mark.parametrize("when", ["while it was made", "afterwards"])
def test_a_draft_that_an_undo_took_away_is_made_again(draft: Any, torn: Any, when: str) -> None:
    work = draft.fill()
    if when == "while it was made":
        while not drafts():
            next(work)
        bpy.data.meshes.remove(drafts()[0])
    list(work)
    for mesh in drafts():
        bpy.data.meshes.remove(mesh)
    mesh = draft.take("made")
    assert len(mesh.polygons) == len(torn[1]) and not drafts()


def test_a_draft_that_is_not_placed_leaves_nothing(draft: Any) -> None:
    before = len(bpy.data.meshes)
    list(draft.fill())
    assert len(bpy.data.meshes) == before + 1
    draft.discard()
    assert len(bpy.data.meshes) == before


def test_a_draft_of_points_has_no_faces(addon: Any, draft: Any) -> None:
    frame = draft.frame
    points = addon.messages.MeshFrame(1, 2, True, (0, 0, 0), frame.vertices, np.zeros((0, 3), np.int32), frame.sigma)
    mesh = addon.draft.Draft(points, np.eye(3)).take("points")
    assert len(mesh.vertices) == len(frame.vertices) and not len(mesh.edges) and not mesh.validate()


def test_a_mirrored_draft_is_turned_inside_out(addon: Any, draft: Any, torn: Any) -> None:
    mesh = addon.draft.Draft(draft.frame, np.diag([-1.0, 1, 1])).take("mirrored")
    assert not mesh.validate()
    assert np.array_equal(read(mesh, ".corner_vert", "value", 1, np.int32).reshape(-1, 3), torn[1][:, ::-1])


def test_the_bounds_of_a_draft_are_those_of_its_vertices(draft: Any, torn: Any) -> None:
    obj = bpy.data.objects.new("made", draft.take("made"))
    bpy.context.scene.collection.objects.link(obj)
    bpy.context.view_layer.update()
    box = np.array(obj.bound_box)
    assert np.allclose((box.min(0), box.max(0)), (torn[0].min(0), torn[0].max(0)))


def test_a_run_that_is_dropped_removes_what_it_had_made(
    fake: Any, addon: Any, make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(addon.task, "SLICE_SECONDS", -1.0)
    run = addon.fits.FitRun(fake, [make("owl")], addon.backend_fit.FitSettings(), stream=False)
    while not drafts():
        run.step()
    run.abandon()
    assert not drafts()
