"""Normals of noisy scans: by quadrics, on the side that was given, where they are better."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial import KDTree

from backend.scan.orientation import fitted_normals
from backend.scan.quadric_normals import MOST_POINTS, refined_normals


def angles(normals: NDArray, true: NDArray) -> NDArray:
    """Degrees (n,) between unit normals (n, 3)."""
    return np.degrees(np.arccos(np.clip((normals * true).sum(axis=1), -1, 1)))


def bowl(count: int, noise: float = 0.0, seed: int = 0) -> tuple[NDArray[np.float32], NDArray]:
    """Points and true normals (n, 3) of a paraboloid that ends at x = 0."""
    rng = np.random.default_rng(seed)
    x, y = rng.random(count), rng.uniform(-1, 1, count)
    normals = np.stack([-x, -y, np.ones(count)], axis=1)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    points = np.stack([x, y, (x**2 + y**2) / 2], axis=1) + noise * rng.normal(size=(count, 1)) * normals
    return points.astype(np.float32), normals


def planes(points: NDArray[np.float32], true: NDArray, count: int = 24) -> NDArray[np.float32]:
    """Normals (n, 3) of planes through so many neighbours, on the true side."""
    local = points[KDTree(points).query(points, k=count)[1]].astype(np.float64)
    local -= local.mean(axis=1, keepdims=True)
    normals = np.linalg.eigh(local.transpose(0, 2, 1) @ local)[1][:, :, 0]
    return (normals * np.where((normals * true).sum(axis=1) < 0, -1, 1)[:, None]).astype(np.float32)


@pytest.mark.parametrize("noise", [0.0, 0.0005])
def test_where_a_scan_ends_the_normal_is_that_of_the_point(noise: float) -> None:
    points, true = bowl(4000, noise)
    border = points[:, 0] < 0.02
    before = planes(points, true)
    after = refined_normals(points, before, noise, given=False)
    # a plane has the normal of its middle, which leans away from the border
    assert before[border, 0].mean() < -0.02 and abs(after[border, 0].mean() + points[border, 0].mean()) < 0.003
    assert angles(after, true)[border].mean() < 0.7 * angles(before, true)[border].mean()


def test_the_normals_of_a_quadric_are_exact() -> None:
    points, true = bowl(4000)
    # three digits below the angle between neighbours
    assert angles(refined_normals(points, planes(points, true), 0.0, given=False), true).max() < 0.1


def test_two_faces_do_not_mix_at_their_edge() -> None:
    rng = np.random.default_rng(0)
    u, v, first = rng.random(6000), rng.random(6000), rng.random(6000) < 0.5
    nothing, one = np.zeros(6000), np.ones(6000)
    points = np.where(first[:, None], np.stack([u, v, nothing], axis=1), np.stack([nothing, v, u], axis=1))
    true = np.where(
        first[:, None], np.stack([nothing, nothing, one], axis=1), np.stack([one, nothing, nothing], axis=1)
    )
    points = (points + rng.normal(0, 0.002, (6000, 1)) * true).astype(np.float32)
    near = (u < 0.04) & (u > 0.015)
    before = planes(points, true)
    after = refined_normals(points, before, 0.002, given=False)
    assert np.mean(angles(before, true)[near] < 10) < 0.4 < 0.9 < np.mean(angles(after, true)[near] < 10)


def test_the_sides_stay() -> None:
    points, true = bowl(3000, 0.002)
    turned = np.where(np.random.default_rng(1).random(3000) < 0.1, -1, 1)[:, None]
    given = (planes(points, true) * turned).astype(np.float32)
    assert (np.einsum("ij,ij->i", refined_normals(points, given, 0.002, given=True), given) > 0).all()


def test_a_scan_turned_and_moved_has_its_normals_turned() -> None:
    points, true = bowl(2000, 0.002)
    turn = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))[0]
    before = planes(points, true)
    plain = refined_normals(points, before, 0.002, given=False)
    moved = refined_normals(
        (points @ turn.T + 0.3).astype(np.float32), (before @ turn.T).astype(np.float32), 0.002, False
    )
    assert np.median(angles(moved, plain @ turn.T)) < 0.01


def test_true_normals_of_few_points_stay_to_the_bit_and_planes_do_not() -> None:
    rng = np.random.default_rng(3)
    true = rng.normal(size=(800, 3))
    true /= np.linalg.norm(true, axis=1, keepdims=True)
    # a ball with a flat bottom has an edge, which quadrics round off
    points = np.where(true[:, 2:] < -0.5, true * (-0.5 / true[:, 2:]), true).astype(np.float32)
    true = np.where(true[:, 2:] < -0.5, [0, 0, -1], true).astype(np.float32)
    assert np.array_equal(refined_normals(points, true, 0.0, given=True), true)
    given = planes(points, true)
    found = refined_normals(points, given, 0.0, given=True)
    assert not np.array_equal(found, given) and angles(found, true).mean() < angles(given, true).mean()


def test_normals_with_an_error_of_their_own_are_refined() -> None:
    points, true = bowl(4000, 0.001)
    given = true + np.random.default_rng(4).normal(0, 0.2, true.shape)
    given = (given / np.linalg.norm(given, axis=1, keepdims=True)).astype(np.float32)
    found = refined_normals(points, given, 0.001, given=True)
    assert angles(found, true).mean() < 0.3 * angles(given, true).mean()


def test_noise_as_large_as_the_neighbourhoods_few_points_and_very_many_leave_all_as_it_is() -> None:
    points, true = bowl(2000, 0.03)
    before = planes(points, true)
    assert np.array_equal(refined_normals(points, before, 0.03, given=False), before)
    assert np.array_equal(refined_normals(points[:40], before[:40], 0.0, given=False), before[:40])
    many = np.zeros((MOST_POINTS + 1, 3), np.float32)
    assert refined_normals(many, many, 0.0, given=False) is many


@pytest.mark.parametrize("width", [1, 2])
def test_points_on_a_line_or_a_plane_have_unit_normals(width: int) -> None:
    points = np.zeros((200, 3), np.float32)
    points[:, :width] = np.random.default_rng(5).random((200, width))
    normals = np.tile(np.array([0, 0, 1], np.float32), (200, 1))
    found = refined_normals(points, normals, 0.0, given=False)
    assert np.isfinite(found).all() and angles(found, normals).max() < 0.1


def test_scans_without_normals_or_with_those_of_planes_are_fitted_alike_on_both_ways() -> None:
    points, true = bowl(3000, 0.001)
    fitted = fitted_normals(points, 0.001, true.astype(np.float32))
    ours, theirs = (
        refined_normals(points, one, 0.001, given) for one, given in ((fitted, False), (planes(points, true), True))
    )
    assert np.median(angles(ours, theirs)) < 0.5
