"""Fair surfaces: they span what is free between what is fixed, whatever was there."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from backend.geometry.membrane import faired
from tests import input_kinds as kinds

BALL = kinds.ball(32)
CAP = BALL[0][:, 2] > 0.6
"""Free vertices of a ball of radius 1."""


def ragged(seed: int = 0) -> np.ndarray:
    """The ball with a cap that is anything but fair."""
    vertices = BALL[0].copy()
    vertices[CAP] += np.random.default_rng(seed).normal(0, 0.3, (CAP.sum(), 3))
    return vertices


def test_a_plate_continues_what_is_around_it_and_forgets_what_was_there() -> None:
    made = [faired(ragged(seed), BALL[1], CAP) for seed in (0, 1)]
    assert np.allclose(made[0], made[1], atol=1e-9)
    assert np.array_equal(made[0][~CAP], BALL[0][~CAP])
    height = np.linalg.norm(made[0][CAP], axis=1)
    assert height.min() > 0.9 and height.max() < 1.1


def test_tension_spans_a_rim_by_a_flat_membrane() -> None:
    plate, tense, membrane = (faired(ragged(), BALL[1], CAP, tension)[CAP, 2].max() for tension in (0.0, 0.05, 1e3))
    assert plate > tense > membrane
    assert membrane == pytest.approx(0.6, abs=0.05)


def test_with_a_pull_only_details_narrower_than_its_length_go() -> None:
    vertices = BALL[0] * np.where(CAP, 1.3, 1.0)[:, None]
    rough = vertices + np.where(CAP, np.random.default_rng(0).normal(0, 0.05, len(vertices)), 0)[:, None] * BALL[0]

    def height(pull: float) -> np.ndarray:
        return np.linalg.norm(faired(rough, BALL[1], CAP, 0.0, pull)[BALL[0][:, 2] > 0.8], axis=1)

    assert np.allclose(faired(rough, BALL[1], CAP, 0.0, 1e6), rough, atol=1e-4)
    assert height(1e-2).mean() == pytest.approx(1.3, abs=0.03) and height(1e-2).std() < 0.7 * height(1e6).std()
    assert height(0.0).mean() < 1.15


def test_a_fair_surface_turns_moves_and_grows_with_what_it_joins() -> None:
    turn = Rotation.from_euler("xyz", [0.3, 1.1, -2.0]).as_matrix()
    moved = 3.0 * ragged() @ turn.T + [10.0, -4.0, 2.0]
    expected = 3.0 * faired(ragged(), BALL[1], CAP, 0.03, 1e-3) @ turn.T + [10.0, -4.0, 2.0]
    assert np.allclose(faired(moved, BALL[1], CAP, 0.03, 1e-3), expected, atol=1e-6)


def test_where_nothing_is_free_nothing_moves() -> None:
    assert np.array_equal(faired(BALL[0], BALL[1], np.zeros(len(BALL[0]), bool)), BALL[0])
