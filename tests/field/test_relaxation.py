"""Triangles of a fit: well-shaped, still on the surface, and the same elsewhere when something changes."""

from __future__ import annotations

import numpy as np
import pytest

from backend.field.bricks import INSIDE, OUTSIDE, TRUNCATION, BrickGrid, BrickMap
from backend.field.isosurface import Isosurface, extract
from backend.field.relaxation import relaxed, relaxed_mesh
from backend.field.trilinear import AT_ONCE, Trilinear
from backend.geometry.topology import edge_report

SIDE = 48


def field_of(distance: np.ndarray) -> tuple[BrickGrid, BrickMap]:
    """The grid of distances (side, side, side) in voxels, with all bricks stored, and its map."""
    grid = BrickGrid.from_dense(np.clip(distance, -TRUNCATION, TRUNCATION)[None].astype(np.float32))
    count = distance.shape[0] // 8
    sides = np.where(distance[::8, ::8, ::8] < 0, INSIDE, OUTSIDE).astype(np.int32)
    return grid, BrickMap.of(grid.coords, sides.reshape((count,) * 3), 0)


def places() -> np.ndarray:
    return np.stack(np.meshgrid(*[np.arange(SIDE) - 23.3] * 3, indexing="ij"), axis=-1)


def shapes() -> dict[str, np.ndarray]:
    p = places()
    x, y, z = np.moveaxis(p, -1, 0)
    box = np.abs(p @ np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]) - [15, 10, 6]
    return {
        "sphere": np.linalg.norm(p, axis=-1) - 17.2,
        "torus": np.hypot(np.hypot(x, y) - 14, z) - 4.6,
        "box": np.linalg.norm(np.maximum(box, 0), axis=-1) + np.minimum(box.max(axis=-1), 0),
        "plate of a voxel": np.maximum(np.abs(z) - 0.5, np.maximum(np.abs(x), np.abs(y)) - 15),
    }


def least_angles(surface: Isosurface) -> np.ndarray:
    """Smallest angle (m,) of each triangle, degrees."""
    corners = surface.vertices[surface.faces].astype(np.float64)
    sides = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2)
    a, b, c = np.sort(sides, axis=1).T
    return np.degrees(np.arccos(np.clip((b**2 + c**2 - a**2) / (2 * b * c), -1, 1)))


def normals(surface: Isosurface) -> np.ndarray:
    a, b, c = (surface.vertices[corner] for corner in surface.faces.T)
    return np.cross(b - a, c - a)


@pytest.mark.parametrize("name", shapes())
def test_next_to_no_slivers_are_left_and_the_surface_stays(name: str) -> None:
    grid, bricks = field_of(shapes()[name])
    raw = extract(grid, sides=bricks)
    surface = relaxed(raw, grid, bricks)
    # a plate along the axes has none to begin with
    assert (least_angles(raw) < 10).mean() > 0.02 or name == "plate of a voxel"
    assert (least_angles(surface) < 10).mean() < 0.01 and (least_angles(surface) < 5).mean() < 0.001
    straight = Trilinear(grid, bricks).values(surface.vertices)
    curved = straight - Trilinear(grid, bricks).linear_error(surface.vertices)
    # what cannot slide, as on the rim of a plate, stays where a straight line between voxels is zero
    assert np.quantile(np.minimum(np.abs(straight), np.abs(curved)), 0.99) < 0.05
    assert edge_report(surface.faces).closed and surface.faces is raw.faces
    assert ((normals(raw) * normals(surface)).sum(axis=1) >= 0).all()


def test_on_noise_no_triangle_turns_over_and_no_vertex_leaves_its_place_far() -> None:
    noise = np.random.default_rng(0).normal(size=(SIDE,) * 3)
    grid, bricks = field_of(2 * noise)
    raw = extract(grid, sides=bricks)
    surface = relaxed(raw, grid, bricks)
    assert ((normals(raw) * normals(surface)).sum(axis=1) >= 0).all()
    assert np.linalg.norm(surface.vertices - raw.vertices, axis=1).max() < 1
    assert np.isfinite(surface.vertices).all()


def test_what_changes_far_away_changes_no_bit_here() -> None:
    distance = shapes()["sphere"]
    dented = np.maximum(distance, 6 - np.linalg.norm(places() - [0, 0, 17], axis=-1))
    both = [relaxed(extract(grid, sides=bricks), grid, bricks) for grid, bricks in map(field_of, (distance, dented))]
    below = [{tuple(vertex) for vertex in surface.vertices[surface.vertices[:, 2] < 24]} for surface in both]
    assert below[0] == below[1] and len(below[0]) > 1000


def test_other_channels_are_smoothed_with_the_vertices() -> None:
    distance = shapes()["sphere"]
    x = places()[..., 0]
    grid = BrickGrid.from_dense(np.stack([np.clip(distance, -TRUNCATION, TRUNCATION), x]).astype(np.float32))
    _, bricks = field_of(distance)
    surface = relaxed(extract(grid, sides=bricks), grid, bricks)
    assert np.abs(surface.values[:, 0] - (surface.vertices[:, 0] - 23.3)).max() < 0.2


def test_nothing_stays_nothing() -> None:
    grid, bricks = field_of(np.full((16,) * 3, 2.0))
    assert len(relaxed(extract(grid, sides=bricks), grid, bricks).faces) == 0


def test_the_gradient_is_that_of_the_samples() -> None:
    grid, bricks = field_of(shapes()["torus"])
    at = np.random.default_rng(1).uniform(10, 38, (200, 3)).astype(np.float32)
    field = Trilinear(grid, bricks)
    np.testing.assert_allclose(field.slopes(at)[0], field.values(at), atol=1e-5)
    # within one voxel the field is linear along each axis
    inside = np.floor(at) + 0.5
    for axis in range(3):
        step = np.zeros(3, np.float32)
        step[axis] = 0.25
        apart = field.values(inside + step) - field.values(inside - step)
        np.testing.assert_allclose(field.slopes(inside)[1][:, axis], apart / 0.5, atol=1e-4)


def test_each_value_is_that_of_its_place_alone_however_many_are_asked_for() -> None:
    field = Trilinear(*field_of(shapes()["torus"]))
    at = np.random.default_rng(1).uniform(-9, SIDE + 9, (2 * AT_ONCE + 7, 3)).astype(np.float32)
    some = np.random.default_rng(2).permutation(len(at))[:50]
    for said in (field.values, field.linear_error, lambda places: field.slopes(places)[1]):
        assert np.array_equal(said(at)[some], said(at[some]))
    assert field.values(at[:0]).shape == (0,) and field.slopes(at[:0])[1].shape == (0, 3)


def test_vertices_lie_on_a_sphere_and_not_on_its_straight_interpolation() -> None:
    radius = 9.3
    grid, bricks = field_of(np.linalg.norm(places(), axis=-1) - radius)
    surface = relaxed(extract(grid, sides=bricks), grid, bricks)
    off = np.linalg.norm(surface.vertices - 23.3, axis=1) - radius
    straight = Trilinear(grid, bricks).values(surface.vertices)
    # a straight line between voxels lies inside by up to 1 / (8 radius) for each axis across which the sphere bends
    assert abs(off.mean()) < 0.002 < straight.mean() and np.abs(off).max() < 0.02


def test_the_error_of_straight_lines_vanishes_on_a_plane_and_is_exact_on_a_parabola() -> None:
    x, y, _ = np.moveaxis(places(), -1, 0)
    at = np.random.default_rng(2).uniform(20, 27, (200, 3)).astype(np.float32)
    upper = at - np.floor(at)
    for distance, error in ((0.3 * x - 0.2 * y, 0), (x**2 / 16, upper[:, 0] * (1 - upper[:, 0]) / 16)):
        np.testing.assert_allclose(Trilinear(*field_of(distance)).linear_error(at), error, atol=1e-5)


def test_where_stored_bricks_end_the_error_of_straight_lines_stays_small() -> None:
    grid, bricks = field_of(places()[..., 0])
    first = BrickGrid(grid.coords[:1], grid.values[:1])
    alone = BrickMap.of(first.coords, np.full_like(bricks.index, OUTSIDE), 0)
    at = np.random.default_rng(2).uniform(0, 8, (200, 3)).astype(np.float32)
    assert np.abs(Trilinear(first, alone).linear_error(at)).max() <= 3 / 8


@pytest.mark.parametrize("name", shapes())
def test_a_mesh_without_a_field_is_relaxed_on_its_own_triangles(name: str) -> None:
    grid, bricks = field_of(shapes()[name])
    raw = extract(grid, sides=bricks)
    made = relaxed_mesh(raw.vertices, raw.faces)
    surface = Isosurface(made.astype(np.float32), raw.faces, raw.values)
    assert (least_angles(surface) < 10).mean() < 0.02
    assert np.abs(Trilinear(grid, bricks).values(surface.vertices)).max() < 0.2
    assert ((normals(raw) * normals(surface)).sum(axis=1) >= 0).all()
    assert len(relaxed_mesh(raw.vertices[:0], raw.faces[:0])) == 0
