"""Reading and writing mesh data in each Blender version."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from tests.addon.test_fit_attributes import grid_cube

bpy = pytest.importorskip("bpy")
Matrix = pytest.importorskip("mathutils").Matrix

TETRA = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
TETRA_FACES = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], np.int32)
SHEAR = Matrix(((1, 0.5, 0, 3), (0, 2, 0, -4), (0, 0.3, 0.1, 5), (0, 0, 0, 1)))


def volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    a, b, c = np.asarray(vertices, float)[faces].transpose(1, 0, 2)
    return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6)


def read(addon: Any, obj: Any) -> Any:
    return addon.slices.at_once(addon.snapshot.read_scan(obj, shown=True))


def read_own(addon: Any, obj: Any) -> Any:
    return addon.slices.at_once(addon.snapshot.read_scan(obj, shown=False))


@pytest.mark.parametrize("count", [0, 1, 4])
def test_filled_mesh_reads_back_exactly(addon: Any, scene: Any, count: int) -> None:
    mesh = bpy.data.meshes.new("m")
    vertices = TETRA[:count]
    faces = TETRA_FACES if count == 4 else np.empty((0, 3), np.int32)
    addon.mesh_io.fill_mesh(mesh, vertices, faces)
    assert np.array_equal(np.array([v.co[:] for v in mesh.vertices], np.float32).reshape(-1, 3), vertices)
    assert [tuple(p.vertices) for p in mesh.polygons] == [tuple(f) for f in faces.tolist()]
    assert not mesh.validate()


def test_only_edges_are_shaded_sharp(addon: Any, scene: Any) -> None:
    mesh = bpy.data.meshes.new("m")
    # a prism over a right-angled triangle whose side of faces is halved: the halves lie in one plane
    vertices = np.concatenate([TETRA[:3] * 4, TETRA[:3] * 4 + [0, 0, 4]]).astype(np.float32)
    sides = [[0, 1, 4], [0, 4, 3], [1, 2, 5], [1, 5, 4], [2, 0, 3], [2, 3, 5]]
    for count, sharp in ((8, 9), (4, 6)):
        faces = np.array([[0, 2, 1], [3, 4, 5], *sides], np.int32) if count == 8 else TETRA_FACES
        addon.mesh_io.fill_mesh(mesh, vertices if count == 8 else TETRA, faces)
        assert sum(edge.use_edge_sharp for edge in mesh.edges) == sharp
        assert all(polygon.use_smooth for polygon in mesh.polygons)


def test_bounds_and_normals_are_right_after_each_refill(addon: Any, make: Callable[..., Any]) -> None:
    obj = make()
    for scale in (1.0, 5.0, 0.25):
        addon.mesh_io.fill_mesh(obj.data, TETRA * np.float32(scale), TETRA_FACES)
        bpy.context.view_layer.update()
        assert np.allclose(np.array(obj.bound_box).max(0), scale)
        assert np.allclose(obj.data.polygons[3].normal, np.ones(3) / math.sqrt(3), atol=1e-6)
        assert len(obj.data.edges) == 6


@pytest.mark.parametrize("matrix", [Matrix(), Matrix.Diagonal((0.001, 2, 1, 1)), Matrix.Diagonal((-1, 1, 1, 1)), SHEAR])
def test_posed_scan_is_the_world_without_its_translation(addon: Any, make: Callable[..., Any], matrix: Any) -> None:
    obj = make(vertices=TETRA, faces=TETRA_FACES)
    obj.matrix_world = matrix
    bpy.context.view_layer.update()
    actual = np.array(obj.matrix_world, float)
    scan = read(addon, obj)
    assert scan.points.dtype == np.float64
    assert np.allclose(scan.points, TETRA @ actual[:3, :3].T)
    # Wound outwards in the world, mirrored or not.
    assert scan.faces is not None and volume(scan.points, scan.faces) > 0
    local, faces = addon.mesh_io.to_local(scan.points, scan.faces, addon.mesh_io.object_linear(obj))
    assert np.allclose(local, TETRA, atol=1e-5) and np.array_equal(faces, TETRA_FACES)


def test_translation_far_away_costs_no_precision(addon: Any, make: Callable[..., Any]) -> None:
    obj = make(vertices=TETRA, faces=TETRA_FACES)
    obj.location = (1e12, -1e12, 1e12)
    bpy.context.view_layer.update()
    assert np.array_equal(read(addon, obj).points, TETRA)


def test_polygons_are_triangulated(addon: Any, make: Callable[..., Any]) -> None:
    scan = read(addon, make())
    assert scan.faces is not None and scan.faces.shape == (12, 3)
    assert math.isclose(volume(scan.points, scan.faces), 1.0)


def test_points_without_faces_bring_their_normals(addon: Any, make: Callable[..., Any]) -> None:
    obj = make(vertices=TETRA)
    attribute = obj.data.attributes.new("normal", "FLOAT_VECTOR", "POINT")
    attribute.data.foreach_set("vector", np.tile([1, 1, 0], 4).astype(np.float32))
    obj.scale = (1, 2, 1)
    bpy.context.view_layer.update()
    scan = read(addon, obj)
    assert scan.faces is None
    assert np.allclose(scan.normals, np.array([2, 1, 0]) / math.sqrt(5), atol=1e-6)


def test_modifiers_and_shape_keys_are_applied(addon: Any, make: Callable[..., Any]) -> None:
    obj = make(vertices=TETRA, faces=TETRA_FACES)
    obj.shape_key_add(name="Basis")
    key = obj.shape_key_add(name="moved")
    key.points[0].co = (-1, 0, 0)
    key.value = 1.0
    modifier = obj.modifiers.new("array", "ARRAY")
    modifier.count = 2
    bpy.context.view_layer.update()
    points = read(addon, obj).points
    assert len(points) == 8 and np.allclose(points[0], [-1, 0, 0])


@pytest.mark.parametrize("scale", [(0, 1, 1), (1e-9, 1, 1), (0, 0, 0), (float("nan"), 1, 1)])
def test_singular_matrices_are_refused(addon: Any, make: Callable[..., Any], scale: tuple[float, float, float]) -> None:
    obj = make("flat")
    obj.scale = scale
    bpy.context.view_layer.update()
    with pytest.raises(Exception, match="flat is scaled to zero"):
        read(addon, obj)


def test_uniform_scale_of_any_size_is_accepted(addon: Any, make: Callable[..., Any]) -> None:
    obj = make()
    for scale in (1e-6, 1e6):
        obj.scale = (scale,) * 3
        bpy.context.view_layer.update()
        assert np.isclose(np.ptp(read(addon, obj).points), scale)


def grid(n: int, holes: list[tuple[int, int]]) -> tuple[np.ndarray, list[tuple[int, ...]]]:
    x, y = np.meshgrid(np.arange(n + 1), np.arange(n + 1), indexing="ij")
    vertices = np.stack([x, y, 0 * x], -1).reshape(-1, 3)
    quads = [(i, j) for i in range(n) for j in range(n) if (i, j) not in holes]
    at = lambda i, j: i * (n + 1) + j  # noqa: E731
    return vertices, [(at(i, j), at(i + 1, j), at(i + 1, j + 1), at(i, j + 1)) for i, j in quads]


@pytest.mark.parametrize("holes", [[], [(2, 2)], [(2, 2), (7, 7), (7, 8)]])
def test_open_loops_counts_holes_and_the_rim(
    addon: Any, make: Callable[..., Any], holes: list[tuple[int, int]]
) -> None:
    obj = make("grid", *grid(12, holes))
    separate = {0: 0, 1: 1, 3: 2}[len(holes)]
    assert addon.mesh_io.open_loops(obj.data) == 1 + separate


def test_a_closed_mesh_and_bare_points_have_no_open_loops(addon: Any, make: Callable[..., Any]) -> None:
    assert addon.mesh_io.open_loops(make().data) == 0
    assert addon.mesh_io.open_loops(make("points", TETRA).data) == 0


def test_uncertainty_ramp_runs_from_sure_to_guessed_on_a_log_scale(addon: Any) -> None:
    io = addon.mesh_io
    size = 40.0
    middle = math.sqrt(io.SURE * io.GUESSED)
    sigma = np.array([0, io.SURE, middle, io.GUESSED, 1, np.nan], np.float32) * np.float32(size)
    colours = io.uncertainty_colours(sigma, size)
    assert np.allclose(colours[[0, 1], :3], io.RAMP[0], atol=1e-5)
    assert np.allclose(colours[2, :3], io.RAMP[1], atol=1e-4)
    assert np.allclose(colours[3:, :3], io.RAMP[2], atol=1e-5)
    assert (colours[:, 3] == 1).all() and colours.dtype == np.float32


def test_only_a_mesh_that_omomi_made_brings_its_sigma_and_no_check_overwrites_that(
    addon: Any, make: Callable[..., Any]
) -> None:
    obj, sigma = make("m", TETRA, TETRA_FACES), np.array([0, 0.001, 0.01, 0.1], np.float32)
    io = addon.mesh_io
    io.paint_sigma(obj.data, sigma, 1.0)
    assert read_own(addon, obj).sigma is None and not io.is_made(obj.data)
    io.paint_sigma(obj.data, sigma, 1.0)
    obj.data[io.MADE] = True
    io.paint_sigma(obj.data, 10 * sigma, 1.0)
    assert np.array_equal(read_own(addon, obj).sigma, sigma)
    assert np.array_equal(read(addon, obj).sigma, sigma)
    shown = [c.color[:] for c in obj.data.color_attributes["omomi_uncertainty"].data]
    assert np.allclose(shown, io.uncertainty_colours(10 * sigma, 1.0), atol=1e-6)
    assert io.is_made(obj.data)
    obj.data.attributes.remove(obj.data.attributes["omomi_sigma"])
    assert read_own(addon, obj).sigma is None and not io.is_made(obj.data)


def test_sigma_is_stored_in_world_units_with_its_colour(addon: Any, scene: Any) -> None:
    mesh = bpy.data.meshes.new("m")
    addon.mesh_io.fill_mesh(mesh, TETRA, TETRA_FACES)
    sigma = np.array([0, 0.001, 0.01, 0.1], np.float32)
    addon.mesh_io.paint_sigma(mesh, sigma, 1.0)
    stored = mesh.attributes["omomi_sigma"]
    assert (stored.domain, stored.data_type) == ("POINT", "FLOAT")
    assert np.array_equal(np.array([item.value for item in stored.data], np.float32), sigma)
    colour = mesh.color_attributes["omomi_uncertainty"]
    assert (colour.domain, colour.data_type) == ("POINT", "FLOAT_COLOR")
    assert mesh.color_attributes.active_color.name == "omomi_uncertainty"
    assert np.allclose([c.color[:] for c in colour.data], addon.mesh_io.uncertainty_colours(sigma, 1.0), atol=1e-6)


def on_a_ball(count: int) -> np.ndarray:
    """Bare points."""
    points = np.random.default_rng(100).normal(size=(count, 3))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def test_the_faces_of_a_fit_are_foretold_from_the_area_in_voxels(addon: Any, make: Callable[..., Any]) -> None:
    foretold = addon.mesh_io.predicted_faces
    cube = make("cube")
    counts = [foretold(cube, level) for level in range(4)]
    assert counts[2] == pytest.approx(addon.mesh_io.FACES_OF_AREA * 6 * (0.8 * 128) ** 2, rel=0.03)
    assert all(fine == pytest.approx(4 * coarse, rel=0.05) for coarse, fine in pairwise(counts))
    many = make("many", *grid_cube(40))
    many.scale = (7, 7, 7)
    assert foretold(many, 2) == pytest.approx(counts[2], rel=0.05)
    assert foretold(make("points", TETRA), 2) == 0
    ball = addon.mesh_io.FACES_OF_AREA * np.pi * (0.8 * 128) ** 2
    assert foretold(make("cloud", on_a_ball(20_000)), 2) == pytest.approx(ball, rel=0.15)
    assert foretold(make("few", on_a_ball(100)), 2) == 0
    assert foretold(make("dot", np.zeros((3, 3)), [(0, 1, 2)]), 2) == 0
