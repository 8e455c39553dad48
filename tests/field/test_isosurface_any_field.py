"""Whatever the field and whatever bricks are stored, the extracted surface is a closed, oriented manifold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from backend.field.bricks import BRICK, INSIDE, OUTSIDE, BrickGrid, BrickMap
from backend.field.isosurface import Isosurface, extract


def assert_closed_manifold(surface: Isosurface) -> None:
    """Every edge has two faces in opposite directions, every vertex one fan of faces; positions are
    distinct."""
    faces, size = surface.faces.astype(np.int64), len(surface.vertices)
    directed = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    keys = np.sort(directed[:, 0] * size + directed[:, 1])
    assert (np.diff(keys) > 0).all(), "a directed edge is used twice"
    assert np.array_equal(keys, np.sort(directed[:, 1] * size + directed[:, 0])), "an edge has one face only"
    assert np.array_equal(np.unique(faces), np.arange(size)), "a vertex has no face"
    # The corner of a face at a vertex leads on to the corner of the next face: one cycle per vertex.
    around = np.concatenate([faces, np.roll(faces, -1, axis=1), np.roll(faces, -2, axis=1)])
    order = np.argsort(around[:, 0] * size + around[:, 1])
    keys = (around[:, 0] * size + around[:, 1])[order]
    following = np.searchsorted(keys, around[order, 0] * size + around[order, 2])
    cycles = coo_matrix((np.ones(len(keys)), (np.arange(len(keys)), following)), shape=(len(keys), len(keys)))
    assert connected_components(cycles, directed=False)[0] == size, "the surface touches itself in a vertex"
    assert len(np.unique(surface.vertices, axis=0)) == size, "two vertices share a position"
    corners = surface.vertices[faces].astype(np.float64)
    areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    assert (areas > 0).all(), "a triangle has no area"


def brick_of_corners(signs: list[int], rng: np.random.Generator) -> BrickGrid:
    """One brick, positive but for the given corner values of a block of voxels in its middle, (x, y, z) = 2 x
    2 x n."""
    values = np.ones((1, 1, BRICK, BRICK, BRICK), np.float32)
    block = np.array(signs, np.float32).reshape(2, 2, -1)
    size = rng.uniform(0.1, 1.0, block.shape).astype(np.float32)
    values[0, 0, 3:5, 3:5, 3 : 3 + block.shape[2]] = np.where(block, -size, size)
    return BrickGrid(np.zeros((1, 3), np.int32), values)


@pytest.mark.parametrize("size", ["random", "equal"])
def test_every_cell_alone_in_positive_space_is_closed(size: str) -> None:
    rng = np.random.default_rng(0)
    for code in range(1, 256):
        grid = brick_of_corners([code >> corner & 1 for corner in range(8)], rng)
        if size == "equal":
            grid = BrickGrid(grid.coords, np.sign(grid.values))
        assert_closed_manifold(extract(grid))


def test_every_cell_in_negative_space_is_closed() -> None:
    rng = np.random.default_rng(1)
    for code in range(256):
        grid = brick_of_corners([code >> corner & 1 for corner in range(8)], rng)
        assert_closed_manifold(extract(BrickGrid(grid.coords, -grid.values)))


def test_every_pair_of_cells_at_a_face_agrees() -> None:
    rng = np.random.default_rng(2)
    codes = np.arange(4096)
    signs = codes[:, None] >> np.arange(12) & 1
    blocks = rng.uniform(0.1, 1.0, signs.shape) * np.where(signs, -1, 1)
    values = rng.uniform(0.1, 1.0, (4096, 1, BRICK, BRICK, BRICK)).astype(np.float32)
    values[:, 0, 3:5, 3:5, 3:6] = blocks.reshape(-1, 2, 2, 3)
    # Spaced out, so that each brick stands alone between absent ones.
    coords = (np.stack(np.unravel_index(codes, (16, 16, 16)), axis=1) * 2).astype(np.int32)
    assert_closed_manifold(extract(BrickGrid(coords, values)))


@st.composite
def noisy_grids(draw: st.DrawFn) -> BrickGrid:
    """Random bricks with noise of one of several kinds, ties and zeros among them."""
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    present = rng.random((3, 3, 3)) < draw(st.sampled_from([0.15, 0.5, 0.9, 1.0]))
    present[tuple(rng.integers(0, 3, 3))] = True
    kind = draw(st.sampled_from(["normal", "levels", "signs", "blocks", "tiny", "huge"]))
    shape = (int(present.sum()), 2, BRICK, BRICK, BRICK)
    values = rng.normal(0.2 * rng.normal(), 1.0, shape)
    if kind == "levels":
        values = np.round(values)
    if kind == "signs":
        values = np.sign(values)
    if kind == "blocks":
        values = np.broadcast_to(np.sign(values[:, :, :1, :1, :1]), shape)
    if kind == "tiny":
        values = values * 1e-44
    if kind == "huge":
        values = values * 1e37
    return BrickGrid((np.argwhere(present) - 1).astype(np.int32), values.astype(np.float32))


@settings(max_examples=40, deadline=None)
@given(noisy_grids())
def test_noise_on_random_bricks_gives_a_closed_oriented_manifold(grid: BrickGrid) -> None:
    surface = extract(grid)
    assert_closed_manifold(surface)
    assert np.isfinite(surface.vertices).all()
    assert np.isfinite(surface.values).all()


@settings(max_examples=20, deadline=None)
@given(noisy_grids(), st.integers(0, 2**32 - 1))
def test_random_sides_of_the_absent_bricks_leave_it_closed(grid: BrickGrid, seed: int) -> None:
    sides = np.random.default_rng(seed).choice(np.array([INSIDE, OUTSIDE], np.int32), (5, 5, 5))
    surface = extract(grid, sides=BrickMap.of(grid.coords, sides, 2))
    assert_closed_manifold(surface)
    assert np.isfinite(surface.values).all()


@settings(max_examples=15, deadline=None)
@given(noisy_grids(), st.tuples(*[st.integers(-3, 100)] * 3))
def test_moving_all_bricks_moves_the_surface(grid: BrickGrid, shift: tuple[int, int, int]) -> None:
    here = extract(grid)
    there = extract(BrickGrid(grid.coords + np.array(shift, np.int32), grid.values))
    np.testing.assert_array_equal(here.faces, there.faces)
    np.testing.assert_array_equal(here.values, there.values)
    np.testing.assert_allclose(there.vertices - BRICK * np.array(shift), here.vertices, atol=1e-4)


def test_vertices_stay_off_the_voxel_centres_where_the_field_is_exactly_zero() -> None:
    values = np.zeros((1, 1, BRICK, BRICK, BRICK), np.float32)
    values[0, 0, 2:6, 2:6, 2:6] = -1
    surface = extract(BrickGrid(np.zeros((1, 3), np.int32), values))
    assert_closed_manifold(surface)
    assert np.abs(surface.vertices - np.round(surface.vertices)).max(axis=1).min() > 5e-4


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(bad: float) -> None:
    values = np.ones((1, 2, BRICK, BRICK, BRICK), np.float32)
    values[0, 1, 0, 0, 0] = bad
    with pytest.raises(ValueError, match="not finite"):
        extract(BrickGrid(np.zeros((1, 3), np.int32), values))


def test_bricks_too_far_apart_are_refused() -> None:
    coords = np.array([[0, 0, 0], [100_000, 100_000, 100_000]], np.int32)
    with pytest.raises(ValueError, match="too much"):
        extract(BrickGrid(coords, -np.ones((2, 1, BRICK, BRICK, BRICK), np.float32)))


@pytest.mark.parametrize("count", [0, 3])
def test_a_field_without_inside_gives_an_empty_surface(count: int) -> None:
    coords = np.stack([np.arange(count)] * 3, axis=1).astype(np.int32)
    surface = extract(BrickGrid(coords, np.zeros((count, 3, BRICK, BRICK, BRICK), np.float32)))
    assert surface.vertices.shape == (0, 3)
    assert surface.faces.shape == (0, 3)
    assert surface.values.shape == (0, 2)
