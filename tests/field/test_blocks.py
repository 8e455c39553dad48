"""Blocks cover what is active, read what they should and join without a seam."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.field.blocks import (
    BlockAverage,
    blend_weights,
    bricks_of,
    cover,
    distinct,
    gather_parent,
    join_bricks,
    split_blocks,
)
from backend.field.bricks import BLOCK, INSIDE, OUTSIDE, BrickGrid, BrickMap
from backend.field.evidence import gather_evidence, splat
from backend.field.level_atom import LevelAtom, reflected
from backend.field.onnx_model import CancelToken
from backend.field.trilinear import Trilinear

coordinates = st.lists(st.tuples(*[st.integers(-3, 9)] * 3), min_size=1, max_size=40, unique=True)


@settings(max_examples=40, deadline=None)
@given(coordinates)
def test_every_active_brick_is_covered_and_shared_ones_by_both_where_the_surface_goes_on(
    active: list[tuple[int, int, int]],
) -> None:
    bricks = np.array(active, np.int32)
    blocks = cover(bricks)
    covered = {tuple(brick) for brick in bricks_of(blocks).reshape(-1, 3).tolist()}
    assert set(active) <= covered
    # a line of bricks through a shared one has blocks on both sides of it, whose ramps add up to one there
    line = cover(np.array([(x, 0, 0) for x in range(7)], np.int32))
    coords = distinct(bricks_of(line))
    numbers = BrickMap.of(coords, np.full((40, 40, 40), OUTSIDE, np.int32), 12)
    weight = np.zeros((len(coords), 8, 8, 8), np.float32)
    parts = split_blocks(blend_weights()[None, None])[0]
    for index in numbers.find(bricks_of(line)):
        for place in np.ndindex(4, 4, 4):
            weight[index[place]] += parts[place][0]
    across = weight[numbers.find(np.array([(x, 0, 0) for x in range(1, 6)]))].max(axis=(2, 3))
    assert np.allclose(across, across[0, 0], atol=1e-6)


def test_few_blocks_cover_a_plane() -> None:
    plane = np.array([(x, y, 5) for x in range(12) for y in range(12)], np.int32)
    assert len(cover(plane)) <= 16


def test_blend_of_blocks_that_agree_is_what_they_agree_on() -> None:
    blocks = cover(np.argwhere(np.ones((8, 8, 8), bool)).astype(np.int32))
    coords = distinct(bricks_of(blocks))
    bricks = BrickMap.of(coords, np.full((24, 24, 24), OUTSIDE, np.int32), 8)
    blend = BlockAverage(len(coords), 1)
    for block in blocks:
        origin = block * 8
        inside = (np.arange(BLOCK) + origin[0]).astype(np.float32)
        values = np.broadcast_to(inside[:, None, None], (BLOCK,) * 3)[None, None].copy()
        blend.add(values, bricks.find(bricks_of(block[None])))
    mean = blend.mean()
    expected = (coords[:, 0, None] * 8 + np.arange(8))[:, None, :, None, None]
    assert np.allclose(mean, expected, atol=1e-3)


def test_split_undoes_joined() -> None:
    bricks = np.random.default_rng(0).normal(size=(2, 4, 4, 4, 3, 8, 8, 8)).astype(np.float32)
    assert np.array_equal(split_blocks(join_bricks(bricks)), bricks)


def test_moments_are_taken_about_the_centre_of_the_block() -> None:
    points = np.array([[0.1, -0.3, 0.6]], np.float32)
    normals = np.array([[0.6, 0.0, 0.8]], np.float32)
    block = np.array([[1, 0, 3]], np.int32)
    coords = distinct(bricks_of(block))
    bricks = BrickMap.of(coords, np.full((16, 16, 16), OUTSIDE, np.int32), 4)
    evidence = gather_evidence(splat(points, normals, 64, bricks), bricks.find(bricks_of(block)))[0]
    position = (points[0] + 1) * 32
    voxel = tuple(np.floor(position).astype(int) - block[0] * 8)
    assert evidence[0][voxel] == 1
    expected = normals[0] @ (position - block[0] * 8 - 16)
    assert np.isclose(evidence[4][voxel], expected, atol=1e-4)
    assert np.count_nonzero(evidence[0]) == 1


def test_points_outside_the_bricks_are_left_out() -> None:
    bricks = BrickMap.of(np.array([[0, 0, 0]], np.int32), np.full((4, 4, 4), OUTSIDE, np.int32), 0)
    points = np.array([[-0.9, -0.9, -0.9], [0.9, 0.9, 0.9], [5, 5, 5]], np.float32)
    sums = splat(points, np.ones_like(points), 32, bricks)
    assert sums[:, 0].sum() == 1


def test_absent_parents_are_far_from_the_surface_on_their_side() -> None:
    sides = np.full((4, 4, 4), OUTSIDE, np.int32)
    sides[0] = INSIDE
    grid = BrickGrid(np.array([[3, 3, 3]], np.int32), np.zeros((1, 2, 8, 8, 8), np.float32))
    bricks = BrickMap.of(grid.coords, sides, 0)
    inside, outside = gather_parent(grid, bricks, np.array([[0, 2, 2], [3, 0, 0]], np.int32))[:, 0]
    assert (inside[2:, 1:-1, 1:-1][:6] == -3).all()
    assert (outside == 3).all()


def test_sampling_is_exact_for_linear_fields_across_bricks() -> None:
    x, y, z = np.meshgrid(*[np.arange(16, dtype=np.float32)] * 3, indexing="ij")
    dense = np.stack([x * 0.3 - y + 0.5 * z, x])
    grid = BrickGrid.from_dense(dense)
    bricks = BrickMap.of(grid.coords, np.full((2, 2, 2), OUTSIDE, np.int32), 0)
    at = np.random.default_rng(0).uniform(0, 15, (200, 3)).astype(np.float32)
    assert np.allclose(Trilinear(grid, bricks).values(at), at @ np.array([0.3, -1, 0.5]), atol=1e-4)
    assert np.allclose(Trilinear(grid, bricks, 1).values(at), at[:, 0], atol=1e-4)
    assert Trilinear(grid, bricks).values(np.array([[100, 0, 0]], np.float32))[0] == 3


def test_the_mirrored_inputs_are_those_of_the_mirrored_scan() -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform(-1, 1, (500, 3)).astype(np.float32)
    normals = rng.normal(size=(500, 3)).astype(np.float32)
    level0 = BrickMap.of(np.argwhere(np.ones((4, 4, 4))).astype(np.int32), np.full((4, 4, 4), -1, np.int32), 0)

    def evidence(sign: int) -> np.ndarray:
        sums = splat(sign * points, sign * normals, 32, level0)
        return gather_evidence(sums, level0.find(bricks_of(np.zeros((1, 3), np.int32))))

    parent = rng.normal(size=(1, 2, 18, 18, 18)).astype(np.float32)
    position = np.array([[0.25, -0.5, 0.125, 1 / 16]], np.float32)
    turned, turned_parent, turned_position = reflected(evidence(1), parent, position)
    assert np.allclose(turned, evidence(-1), atol=1e-4)
    assert np.array_equal(turned_parent[:, :, ::-1, ::-1, ::-1], parent)
    assert np.array_equal(turned_position, [[-0.25, 0.5, -0.125, 1 / 16]])


def test_a_field_and_that_of_the_reflected_scan_are_averaged_as_a_mixture() -> None:
    class Told:
        """The first coordinate of each voxel, as the model is given it."""

        def field(self, evidence: np.ndarray, *_: Any) -> np.ndarray:
            steps = np.broadcast_to((np.arange(32.0) - 15.5)[:, None, None], (32, 32, 32))
            return np.broadcast_to(steps, (len(evidence), 2, 32, 32, 32)).astype(np.float32)

    blocks = np.zeros((2, 5, 32, 32, 32), np.float32), np.zeros((2, 2, 18, 18, 18), np.float32), np.zeros((2, 4))
    model: Any = Told()
    mean, log_scale = LevelAtom(model, CancelToken(), [np.zeros((1, 1))], averaged=True)(blocks).swapaxes(0, 1)
    assert np.array_equal(mean, np.zeros((2, 32, 32, 32)))
    # half of both scales, and how far both means are from theirs
    steps = np.arange(32.0) - 15.5
    expected = np.log(np.cosh(steps) + np.abs(steps))
    assert np.allclose(log_scale, expected[:, None, None], atol=1e-5)
