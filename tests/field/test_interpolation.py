"""Bricks that have too few points for the network are interpolated: exactly, without a seam, and only there."""

from __future__ import annotations

from typing import Any

import numpy as np
import trimesh

from backend.field import interpolation
from backend.field.bricks import BRICK, INSIDE, OUTSIDE, TRUNCATION, BrickGrid, BrickMap, Level, resolution, voxel_size
from backend.field.fit import fit, level_progress
from backend.field.interpolation import Support, beside, interpolated
from backend.field.onnx_model import CODE, CancelToken
from backend.field.paint import Paint
from backend.field.recursion import ScanEvidence, extended, near_children, recursion
from backend.formats.raw_scan import RawScan
from backend.protocol.fit_options import FitOptions
from tests.fake_priors import BallModel

TOKEN = CancelToken()
RADIUS = 0.7


def level_of(mean: np.ndarray, number: int = 2) -> Level:
    """A level with a dense field (n, n, n) and the log scale -1."""
    grid = BrickGrid.from_dense(np.stack([mean, np.full_like(mean, -1.0)]))
    sides = np.full((resolution(number) // BRICK + 8,) * 3, OUTSIDE, np.int32)
    return Level(number, grid, BrickMap.of(grid.coords, sides, 4), np.zeros((0, 3), np.int32), np.zeros(CODE))


def test_a_quadratic_field_is_interpolated_exactly_in_the_voxels_of_the_level_below() -> None:
    axis = (np.arange(32) - 12.0) / 16
    x, y, z = np.meshgrid(axis, axis, axis, indexing="ij")
    mean = 0.4 * x**2 - 0.3 * x * y + 0.2 * z**2 + 0.1 * y - 0.1
    inner = np.argwhere(np.ones((4, 4, 4), bool)) + 2
    found = interpolated(level_of(mean.astype(np.float32)), inner.astype(np.int32))
    child = (np.arange(64) + 0.5) / 2 - 0.5
    x, y, z = np.meshgrid(*[(child - 12.0) / 16] * 3, indexing="ij")
    expected = 2 * (0.4 * x**2 - 0.3 * x * y + 0.2 * z**2 + 0.1 * y - 0.1)
    for row, corner in enumerate(inner):
        part = tuple(slice(first * BRICK, first * BRICK + BRICK) for first in corner)
        assert np.allclose(found[row, 0], expected[part], atol=1e-5)
        assert np.allclose(found[row, 1], -1 + np.log(2), atol=1e-5)


def test_bricks_that_are_not_stored_are_as_far_as_a_distance_goes_on_their_side() -> None:
    level = level_of(np.zeros((8, 8, 8), np.float32))
    sides = level.bricks.index.copy()
    sides[-3:, -3:, -3:] = INSIDE
    level = Level(2, level.grid, BrickMap(sides, 4, 1), level.blocks, level.code)
    far = np.array([[7, 7, 7], [2 * (len(sides) - 6) + 1] * 3], np.int32)
    outside, inside = interpolated(level, far)[:, 0]
    assert (outside == TRUNCATION).all() and (inside == -TRUNCATION).all()


def plane(number: int) -> Level:
    """A level that is inside below z = 0."""
    axis = (np.arange(resolution(number)) + 0.5) * voxel_size(number) - 1
    mean = np.clip(axis / voxel_size(number), -TRUNCATION, TRUNCATION).astype(np.float32)
    return level_of(np.broadcast_to(mean, (len(axis),) * 3), number)


def test_the_network_runs_where_points_are_dense_or_miss_the_surface_of_the_level_above() -> None:
    above, count = plane(interpolation.FROM - 1), resolution(interpolation.FROM) // BRICK
    side, generator = 2 / count, np.random.default_rng(0)
    middle = count // 2

    def points(corner: tuple[int, int, int], many: int, height: float) -> np.ndarray:
        found = (generator.random((many, 3)) + corner) * side - 1
        found[:, 2] = height
        return found.astype(np.float32)

    few = interpolation.SUPPORT // 2
    dense, sparse = points((3, 3, middle), 400, 0.0), points((10, 10, middle), few, 0.0)
    noisy = points((20, 20, middle), few, 0.01)
    coords = np.array([[3, 3, middle], [10, 10, middle], [20, 20, middle], [25, 3, middle], [-1, 3, 3]], np.int32)
    scan = np.concatenate([dense, sparse, noisy])
    assert Support.of(scan, 0.0, above).runs_on(coords).tolist() == [True, False, True, False, False]
    # so far the mean of so few points may lie by chance
    assert Support.of(scan, 0.02, above).runs_on(coords).tolist() == [True, False, False, False, False]
    assert Support.of(scan, 0.0, plane(interpolation.FROM - 2)).runs_on(coords[:4] // 2).all()


def test_a_brick_is_kept_for_points_that_the_level_above_missed() -> None:
    above, count = plane(interpolation.FROM - 1), resolution(interpolation.FROM) // BRICK
    held = Support.of(np.array([[0.5, 0.5, 0.5], [-0.5, -0.5, 0.0]], np.float32), 0.0, above).held
    assert np.argwhere(held).tolist() == [[3 * count // 4] * 3]


def test_bricks_beside_others_are_those_that_touch_one() -> None:
    coords = np.array([[0, 0, 0], [1, 1, 1], [2, 1, 1], [5, 5, 5]], np.int32)
    assert beside(coords, np.array([[0, 0, 0]])).tolist() == [True, True, False, False]
    assert not beside(coords, np.zeros((0, 3), np.int32)).any()


def half_dense(dense: int = 60_000, sparse: int = 700) -> np.ndarray:
    """Points f32 on a ball, many on its right and few on its left."""
    generator = np.random.default_rng(0)
    way = generator.normal(size=(8 * dense, 3))
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    return (RADIUS * np.concatenate([way[way[:, 0] > 0][:dense], way[way[:, 0] < 0][:sparse]])).astype(np.float32)


def levels_of(points: np.ndarray, deepest: int, model: BallModel, **told: Any) -> list[Level]:
    evidence = ScanEvidence(points, points / RADIUS, 0.001, 0.0, **told)
    return list(recursion(evidence, deepest, model, TOKEN, lambda *_: None))  # type: ignore[arg-type]


def test_a_ball_with_few_points_on_one_side_is_whole_and_has_no_seam() -> None:
    points = half_dense()
    level = levels_of(points, 3, BallModel((0.0, RADIUS)))[-1]
    middles = (level.grid.coords + 0.5) * BRICK * voxel_size(3) - 1
    ran = (level.blocks + 2) * BRICK * voxel_size(3) - 1
    assert (ran[:, 0] > -0.25).all() and (middles[:, 0] < -0.5).any()
    # the field and its steps from voxel to voxel, in bricks of either kind and between them
    values = level.grid.values[:, 0]
    places = (level.grid.coords[:, None] * BRICK + np.indices((BRICK,) * 3).reshape(3, -1).T + 0.5) * voxel_size(3) - 1
    true = (np.linalg.norm(places, axis=2) - RADIUS) / voxel_size(3)
    near = np.abs(true) < 0.5
    assert np.abs(values.reshape(len(values), -1) - true)[near].max() < 0.1
    fitted = fit(RawScan(points.astype(np.float64), None, points / RADIUS), BallModel((0.0, 0.8)), FitOptions(level=3))  # type: ignore[arg-type]
    mesh = trimesh.Trimesh(fitted.mesh.vertices, fitted.mesh.faces, process=False)
    assert mesh.is_watertight and mesh.euler_number == 2


def test_a_level_without_any_dense_part_needs_no_network_and_can_be_extended() -> None:
    points = half_dense(1500, 1500)
    levels = levels_of(points, 4, BallModel((0.0, RADIUS)))
    assert [len(level.blocks) > 0 for level in levels] == [True, True, True, False, False]
    shares: list[float] = []
    level_progress(lambda share, _: shares.append(share), 4)(4, 0, 0)
    assert shares == [1.0]
    above, level = levels[-2:]
    wanted = near_children(above)
    farther = np.unique(np.concatenate([wanted, wanted + [0, 0, 1]]), axis=0).astype(np.int32)
    evidence = ScanEvidence(points, points / RADIUS, 0.001, 0.0)
    wider = extended(level, above, farther, evidence, BallModel((0.0, RADIUS)), TOKEN)  # type: ignore[arg-type]
    assert len(wider.grid.coords) > len(level.grid.coords) and not len(wider.blocks)
    kept = wider.bricks.find(level.grid.coords)
    assert np.array_equal(wider.grid.values[kept], level.grid.values)


def test_paint_reaches_bricks_that_are_interpolated_and_changes_no_other_bit() -> None:
    points, model = half_dense(), _Swelling((0.0, RADIUS))
    plain = levels_of(points, 3, model)[-1]
    painted = levels_of(points, 3, model, paints=(Paint("fill", 1.0, _Above()),))[-1]
    rows = painted.bricks.find(plain.grid.coords)
    places = (plain.grid.coords + 0.5) * BRICK * voxel_size(3) - 1
    moved = np.abs(painted.grid.values[rows, 0] - plain.grid.values[:, 0]).max(axis=(1, 2, 3)) > 0
    low, left = places[:, 2] < 0.1, places[:, 0] < -0.3
    assert not moved[low].any()
    assert moved[left & (places[:, 2] > 0.45)].all()


class _Above:
    """Paint that grows from z = .3 to .4."""

    def touches(self, centres: np.ndarray, reach: float) -> np.ndarray:
        return centres[:, 2] + reach > 0.3

    def at(self, points: np.ndarray) -> np.ndarray:
        return np.clip(10 * (points[:, 2] - 0.3), 0, 1).astype(np.float32)


class _Swelling(BallModel):
    """Makes a larger ball where it is told to fill holes."""

    def style(self, noise: float, filling: float, level: int, code: np.ndarray, cancel: Any) -> np.ndarray:
        return np.full((1, 1), filling, np.float32)

    def field(self, evidence: Any, parent: Any, position: np.ndarray, style: Any, cancel: Any) -> np.ndarray:
        found = super().field(evidence, parent, position, style, cancel)
        grown = 0.2 * voxel_size(2) * style[:, 0] / position[:, 3]
        found[:, 0] -= grown.reshape(-1, 1, 1, 1)
        # it does not know, so that filling acts
        found[:, 1] = 1.0
        return found
