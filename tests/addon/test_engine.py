"""The shipped engine behind the installed extension; skipped while the zip holds no model."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")
bmesh = pytest.importorskip("bmesh")

SCANS = Path(os.environ.get("OMOMI_SCANS", Path(__file__).resolve().parents[3] / "shared" / "scans"))


def scanned_sphere(count: int = 4000, noise: float = 0.01) -> np.ndarray:
    random = np.random.default_rng(3)
    points = random.normal(size=(count, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    # A hole at the bottom, as under an object that stood on a table.
    points = points[points[:, 2] > -0.8]
    return points * (1 + noise * random.normal(size=(len(points), 1)))


def test_points_of_a_sphere_become_a_closed_sphere_in_place(
    engine: Any, make: Callable[..., Any], world: Callable[..., Any]
) -> None:
    scan = make("sphere", scanned_sphere())
    scan.location, scan.scale = (50, 0, -3), (20, 20, 20)
    bpy.context.view_layer.update()
    # An open ball may also be a vessel; Fill says that it is not.
    assert bpy.ops.omomi.fit(level="1", fill=1.0) == {"FINISHED"}
    result = bpy.data.objects["sphere.fit"]
    assert engine.mesh_io.open_loops(result.data) == 0
    points = world(result) - (50, 0, -3)
    radius = np.linalg.norm(points, axis=1) / 20
    seen = points[:, 2] > -0.7 * 20
    assert abs(np.median(radius[seen]) - 1) < 0.02 and np.quantile(abs(radius[seen] - 1), 0.95) < 0.06
    sigma = np.array([item.value for item in result.data.attributes["omomi_sigma"].data])
    assert np.isfinite(sigma).all() and (sigma > 0).all() and np.median(sigma) < 20


def test_fill_decides_how_far_the_unseen_bottom_bulges(engine: Any, make: Callable[..., Any]) -> None:
    volumes = []
    for fill in (-1.0, 1.0):
        make("sphere", scanned_sphere())
        bpy.ops.omomi.fit(level="0", fill=fill)
        mesh = bpy.context.view_layer.objects.active.data
        a, b, c = np.array([[mesh.vertices[i].co for i in polygon.vertices] for polygon in mesh.polygons]).transpose(
            1, 0, 2
        )
        volumes.append(np.einsum("ij,ij->", a, np.cross(b, c)) / 6)
        bpy.ops.object.select_all(action="DESELECT")
    ball = 4 / 3 * np.pi
    # the lid is a twentieth of the ball, and what was measured stays where it is; triangles cut half a per cent off
    assert 0.95 * ball < volumes[0] < 0.985 * ball and 0.99 * ball < volumes[1] < 1.01 * ball
    assert volumes[1] > volumes[0] + 0.01 * ball


def test_what_a_fit_guessed_is_still_a_guess_when_the_fit_is_checked(engine: Any, make: Callable[..., Any]) -> None:
    points = scanned_sphere()
    make("half", points[points[:, 2] > 0])
    bpy.ops.omomi.fit(level="1")
    mesh = bpy.context.view_layer.objects.active.data
    before = sigma_of(mesh)
    for _ in range(2):
        assert bpy.ops.omomi.check() == {"FINISHED"}
        np.testing.assert_array_equal(sigma_of(mesh), before)
    told = bpy.context.view_layer.objects.active.omomi.check
    assert int(told.split(" % of the surface is guessed")[0].split()[-1]) > 10
    # it is this mesh that is measured, not another fit of it
    corners = np.array([[mesh.vertices[i].co for i in polygon.vertices] for polygon in mesh.polygons])
    a, b, c = corners.transpose(1, 0, 2)
    volume = np.einsum("ij,ij->", a, np.cross(b, c)) / 6
    assert float(told.split("volume ")[1].split(" m³")[0]) == pytest.approx(volume, rel=1e-3)
    red, blue = colours_of(mesh)[:, [0, 2]].T
    x, y, z = np.array([vertex.co for vertex in mesh.vertices]).T
    lid = (z < 0.4) & (np.hypot(x, y) < 0.6)
    assert (red - blue)[lid].mean() > 0.1 + (red - blue)[z > 0.5].mean()


def test_a_fit_that_has_lost_its_faces_is_checked_as_points(engine: Any, make: Callable[..., Any]) -> None:
    make("ball", scanned_sphere())
    bpy.ops.omomi.fit(level="0")
    mesh = bpy.context.view_layer.objects.active.data
    edit = bmesh.new()
    edit.from_mesh(mesh)
    bmesh.ops.delete(edit, geom=list(edit.edges), context="EDGES_FACES")
    edit.to_mesh(mesh)
    edit.free()
    assert len(mesh.vertices) and not len(mesh.polygons)
    assert bpy.ops.omomi.check() == {"FINISHED"}


def sigma_of(mesh: Any) -> np.ndarray:
    return np.array([item.value for item in mesh.attributes["omomi_sigma"].data])


def colours_of(mesh: Any) -> np.ndarray:
    return np.array([tuple(item.color) for item in mesh.color_attributes["omomi_uncertainty"].data])


def test_the_same_scan_gives_the_same_mesh(engine: Any, make: Callable[..., Any]) -> None:
    meshes = []
    for _ in range(2):
        make("sphere", scanned_sphere())
        bpy.ops.omomi.fit(level="0")
        result = bpy.context.view_layer.objects.active
        meshes.append(np.array([v.co for v in result.data.vertices]))
        bpy.ops.object.select_all(action="DESELECT")
    first, second = meshes
    assert np.array_equal(first, second)


def test_fill_acts_where_its_vertex_group_is_painted(engine: Any, make: Callable[..., Any]) -> None:
    heights = []
    for side, fill in ((0, 0.0), (1, 1.0), (-1, 1.0)):
        points = scanned_sphere()
        scan = make("sphere", points)
        scan.vertex_groups.new(name="here").add(np.flatnonzero(side * points[:, 2] > 0.3).tolist(), 1.0, "REPLACE")
        bpy.ops.omomi.fit(level="0", fill=fill, fill_mask="here")
        mesh = bpy.context.view_layer.objects.active.data
        heights.append(sorted(vertex.co.z for vertex in mesh.vertices))
        bpy.ops.object.select_all(action="DESELECT")
    plain, top, bottom = heights
    # the hole is at the bottom; a voxel is .08 wide
    assert np.abs(np.subtract(plain, top)).max() < 1e-3 and bottom[0] < plain[0] - 0.01


def test_an_unusable_device_is_one_sentence(engine: Any, make: Callable[..., Any]) -> None:
    chosen = engine.preferences.get()
    make("sphere", scanned_sphere())
    chosen.device = "cuda"
    try:
        with pytest.raises(RuntimeError, match="Choose Automatic in the Omomi preferences"):
            bpy.ops.omomi.fit(level="0")
    finally:
        chosen.device = "auto"


def test_a_real_scan_goes_through(engine: Any, scene: Any) -> None:
    path = SCANS / "raw" / "sfm_owl.ply"
    if not path.is_file():
        pytest.skip("no real scans beside the repository")
    bpy.ops.wm.ply_import(filepath=str(path))
    scan = bpy.context.active_object
    assert bpy.ops.omomi.fit(level="2") == {"FINISHED"}
    result = bpy.context.view_layer.objects.active
    assert result.name == f"{scan.name}.fit" and engine.mesh_io.open_loops(result.data) == 0
    assert np.allclose(result.dimensions, scan.dimensions, rtol=0.2)
