"""On fields of known shapes the surface has the right place, orientation and topology, and no seams."""

from __future__ import annotations

import numpy as np
import pytest

from backend.field.bricks import BRICK, INSIDE, OUTSIDE, BrickGrid, BrickMap
from backend.field.isosurface import extract
from backend.geometry.measure import measure
from backend.geometry.topology import Betti, betti_of_mesh, betti_of_occupancy

Array = np.ndarray


def axes(size: int) -> tuple[Array, Array, Array]:
    """Voxel coordinates about the middle of a cube of ``size`` voxels, to broadcast."""
    line = np.arange(size) - (size - 1) / 2
    return line[:, None, None], line[:, None], line


def sphere(size: int, radius: float) -> Array:
    x, y, z = axes(size)
    return np.sqrt(x**2 + y**2 + z**2) - radius


def torus(size: int, ring: float, tube: float, shift: float = 0.0) -> Array:
    x, y, z = axes(size)
    return np.hypot(np.hypot(x - shift, y) - ring, z) - tube


def band(field: Array, width: float = 2.0, extra: Array | None = None) -> BrickGrid:
    """Only the bricks in which the field comes closer to zero than ``width``; values truncated at +-3."""
    size = len(field)
    split = np.abs(field).reshape(size // BRICK, BRICK, size // BRICK, BRICK, size // BRICK, BRICK)
    channels = [np.clip(field, -3, 3)] + ([] if extra is None else [extra])
    return BrickGrid.from_dense(np.stack(channels), split.min(axis=(1, 3, 5)) < width)


def test_sphere_has_exact_radius_euler_number_and_outward_normals() -> None:
    surface = extract(band(sphere(64, 21.3)))
    radius = np.linalg.norm(surface.vertices - 31.5, axis=1)
    # Linear interpolation of a distance errs by at most 1 / (8 radius) per edge.
    assert np.abs(radius - 21.3).max() < 1 / (8 * 21.3) + 1e-5
    assert betti_of_mesh(surface.vertices, surface.faces) == Betti(1, 0, 0)
    a, b, c = (surface.vertices[surface.faces] - 31.5).transpose(1, 0, 2)
    assert (np.einsum("na,na->n", np.cross(b - a, c - a), a + b + c) > 0).all()
    measures = measure(surface.vertices, surface.faces)
    assert measures.volume == pytest.approx(4 / 3 * np.pi * 21.3**3, rel=3e-3)
    assert measures.area == pytest.approx(4 * np.pi * 21.3**2, rel=3e-3)


def test_sparse_and_full_bricks_give_the_same_surface() -> None:
    field = torus(64, 18.0, 7.2)
    sparse = extract(band(field))
    full = extract(band(field, width=1e9))
    assert len(sparse.faces) == len(full.faces)
    np.testing.assert_array_equal(np.sort(sparse.vertices, axis=0), np.sort(full.vertices, axis=0))


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        (torus(64, 18.0, 7.0), Betti(1, 1, 0)),
        (np.minimum(torus(64, 10.0, 4.0, -13.0), torus(64, 10.0, 4.0, 13.0)), Betti(1, 2, 0)),
        (np.minimum(torus(64, 9.0, 3.0, -15.0), torus(64, 9.0, 3.0, 15.0)), Betti(2, 2, 0)),
        (np.abs(sphere(64, 22.0)) - 3.0, Betti(1, 0, 1)),
        (np.minimum(np.abs(sphere(64, 24.0)) - 3.0, sphere(64, 9.0)), Betti(2, 0, 1)),
        (-np.minimum(torus(64, 10.0, 3.0), -sphere(64, 28.0)), Betti(1, 1, 1)),
    ],
    ids=[
        "torus",
        "double torus",
        "two tori",
        "hollow ball",
        "ball in a hollow ball",
        "ball with a ring cavity",
    ],
)
def test_betti_numbers_of_known_solids(field: Array, expected: Betti) -> None:
    surface = extract(band(field))
    assert betti_of_mesh(surface.vertices, surface.faces) == expected


def test_gyroid_in_a_ball_agrees_with_its_voxels() -> None:
    x, y, z = (axis * (2 * np.pi / 20) + 0.4 for axis in axes(64))
    gyroid = 2.5 * (np.sin(x) * np.cos(y) + np.sin(y) * np.cos(z) + np.sin(z) * np.cos(x))
    field = np.maximum(gyroid, sphere(64, 28.0))
    surface = extract(band(field))
    found = betti_of_mesh(surface.vertices, surface.faces)
    assert found == betti_of_occupancy(field < 0)
    assert found.b1 == 39


def test_a_plane_across_brick_borders_is_flat_and_without_seam() -> None:
    x, y, z = axes(32)
    tilted = 0.36 * x + 0.48 * y + 0.8 * z - 0.123
    field = np.maximum(tilted, np.maximum(np.maximum(abs(x), abs(y)), abs(z)) - 13.4)
    surface = extract(band(field, width=3.0))
    away = np.abs(surface.vertices - 15.5).max(axis=1) < 12
    distance = (surface.vertices - 15.5)[away] @ [0.36, 0.48, 0.8] - 0.123
    assert np.abs(distance).max() < 1e-5
    assert betti_of_mesh(surface.vertices, surface.faces) == Betti(1, 0, 0)


def test_other_channels_are_exact_where_they_are_linear() -> None:
    x, y, z = axes(32)
    linear = 1.0 + 0.25 * x - 0.5 * y + 0.125 * z
    surface = extract(band(sphere(32, 11.2), extra=linear))
    x, y, z = (surface.vertices - 15.5).T
    np.testing.assert_allclose(surface.values[:, 0], 1.0 + 0.25 * x - 0.5 * y + 0.125 * z, atol=1e-4)


@pytest.mark.parametrize("drop", [0, 7, 20])
def test_a_missing_surface_brick_leaves_a_closed_surface_near_by(drop: int) -> None:
    grid = band(sphere(64, 21.3))
    kept = np.arange(len(grid.coords)) != drop
    surface = extract(BrickGrid(grid.coords[kept], grid.values[kept]))
    assert betti_of_mesh(surface.vertices, surface.faces).b0 == 1
    gap = np.abs(surface.vertices - 15.5 - 16.0)
    assert np.abs(np.linalg.norm(gap, axis=1) - 21.3).max() < BRICK * np.sqrt(3)


def sides_of(field: Array, grid: BrickGrid) -> BrickMap:
    """The side of every brick by its mean, as a coarser level would know it."""
    size = len(field) // BRICK
    mean = field.reshape(size, BRICK, size, BRICK, size, BRICK).mean(axis=(1, 3, 5))
    return BrickMap.of(grid.coords, np.where(mean < 0, INSIDE, OUTSIDE).astype(np.int32), 0)


def test_known_sides_change_nothing_where_the_surface_is_stored() -> None:
    field = np.abs(sphere(64, 19.0)) - 5.0
    grid = band(field)
    guessed, known = extract(grid), extract(grid, sides=sides_of(field, grid))
    np.testing.assert_array_equal(guessed.faces, known.faces)
    np.testing.assert_array_equal(guessed.vertices, known.vertices)


def test_a_leak_between_absent_bricks_is_closed_where_sides_are_known() -> None:
    field = sphere(64, 21.3)
    grid = band(field, extra=np.ones_like(field))
    kept = (grid.coords < 6).all(axis=1)
    leaky = BrickGrid(grid.coords[kept], grid.values[kept])
    surface = extract(leaky, sides=sides_of(field, leaky))
    assert betti_of_mesh(surface.vertices, surface.faces) == Betti(1, 0, 0)
    # The cap stands at the border of a brick, and its other channels are those of the least sure voxel.
    assert measure(surface.vertices, surface.faces).volume == pytest.approx(4 / 3 * np.pi * 21.3**3, rel=0.05)
    np.testing.assert_array_equal(surface.values, 1.0)


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_a_thin_noisy_wall_keeps_few_handles(sign: float) -> None:
    rng = np.random.default_rng(3)
    field = sign * (np.abs(sphere(64, 22.0)) - 1.2) + rng.normal(0, 0.15, (64, 64, 64))
    field = np.maximum(field, sphere(64, 27.0))
    surface = extract(band(field, width=3.0))
    assert betti_of_mesh(surface.vertices, surface.faces).b1 < 20
