"""Matches between surfaces."""

from __future__ import annotations

import numpy as np
import pytest

from backend.registration.icp import Matcher, Surface, along_curve


def sphere(count: int, seed: int) -> Surface:
    normals = np.random.default_rng(seed).normal(size=(count, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return Surface(0.5 * normals, normals)


@pytest.mark.parametrize("spread", [1.0, 0.0])
def test_matches_are_the_nearest_points_in_whatever_order_points_come(spread: float) -> None:
    target, source = sphere(400, 0), sphere(90, 1)
    source = Surface(spread * source.points + [0.3, 0, 0], source.normals)
    distance, index = Matcher(target, 0.2).match(source.points, source.normals)
    turn = source.normals[:, None] - target.normals
    square = ((source.points[:, None] - target.points) ** 2).sum(axis=2) + 0.04 * (turn**2).sum(axis=2)
    assert np.array_equal(index, square.argmin(axis=1))
    assert np.allclose(distance, np.sqrt(square.min(axis=1)))


def test_a_curve_passes_every_point_once_and_none_where_there_is_none() -> None:
    points = np.random.default_rng(2).normal(size=(500, 3))
    assert np.array_equal(np.sort(along_curve(points)), np.arange(500))
    assert len(along_curve(np.zeros((0, 3)))) == 0
    steps = np.linalg.norm(np.diff(points[along_curve(points)], axis=0), axis=1)
    assert steps.mean() < 0.5 * np.linalg.norm(np.diff(points, axis=0), axis=1).mean()
