"""How far a slider can go before walls meet, foretold without a sweep."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest
import trimesh

from backend.edits.collision_margin import CollisionMargin, collision_margin
from backend.geometry.normals import normals_of

TORUS = trimesh.creation.torus(0.6, 0.2, major_sections=96, minor_sections=48)


def told(mesh: trimesh.Trimesh, move: np.ndarray | float, low: float = -1.0, high: float = 1.0) -> CollisionMargin:
    """A number moves along the normals."""
    vertices, faces = np.asarray(mesh.vertices), np.asarray(mesh.faces)
    normals = normals_of(vertices, faces)
    return collision_margin(vertices, normals, move if isinstance(move, np.ndarray) else move * normals, low, high)


def balls(gap: float) -> trimesh.Trimesh:
    pair = [
        trimesh.creation.icosphere(4, radius=0.3).apply_translation([x, 0, 0]) for x in (-0.3 - gap / 2, 0.3 + gap / 2)
    ]
    return cast(trimesh.Trimesh, trimesh.util.concatenate(pair))


def test_a_torus_that_swells_closes_its_tunnel_and_one_that_shrinks_vanishes() -> None:
    found = told(TORUS, 1.0, -0.5, 0.6)
    assert found.margin == pytest.approx((-0.2, 0.4), abs=0.005)
    assert found.mismatch is not None and found.mismatch < 0.05


def test_walls_meet_at_the_sum_of_their_speeds() -> None:
    both = balls(0.4)
    side = np.sign(np.asarray(both.vertices)[:, :1])
    assert told(both, side * [-0.4, 0, 0]).margin == pytest.approx((-1, 0.5), abs=0.01)
    # one of them stands still
    assert told(both, np.where(side > 0, side, 0) * [-0.5, 0, 0]).margin == pytest.approx((-1, 0.8), abs=0.015)


def test_a_strength_scales_with_the_move_and_turns_with_its_sign() -> None:
    once, twice, back = told(TORUS, 0.5), told(TORUS, 1.0), told(TORUS, -1.0)
    assert once.margin == pytest.approx(tuple(2 * end for end in twice.margin), rel=0.02)
    assert back.margin == pytest.approx(tuple(-end for end in twice.margin[::-1]), rel=0.02)


def test_a_sharp_rim_is_not_a_wall_that_breaks() -> None:
    # two caps of balls, joined at a rim where the thickness goes to zero
    ball = trimesh.creation.icosphere(5, radius=1.0)
    points = np.asarray(ball.vertices)
    lens = trimesh.Trimesh(points * [0.6, 0.6, 0.2], ball.faces, process=False)
    found = told(lens, 1.0, -0.15, 0.15)
    # at the centre the walls meet at -.2; at the rim there is nearly no thickness at all
    assert found.margin[0] < -0.08
    assert found.margin[1] == 0.15


def test_what_moves_as_one_never_meets() -> None:
    both = balls(0.05)
    found = told(both, np.tile([0.3, 0.2, 0.1], (len(both.vertices), 1)))
    assert found == CollisionMargin((-1.0, 1.0), None)
    assert told(both, 0.0) == CollisionMargin((-1.0, 1.0), None)


def test_vertices_that_are_not_finite_or_have_no_normal_are_left_out() -> None:
    vertices = np.concatenate([np.asarray(TORUS.vertices), [[np.nan] * 3, [0.0, 0.0, 0.0]]])
    normals = np.concatenate([normals_of(np.asarray(TORUS.vertices), TORUS.faces), np.zeros((2, 3))])
    found = collision_margin(vertices, normals, 1.0 * normals, 0.0, 0.6)
    assert found.margin == pytest.approx((0, 0.4), abs=0.005)


def test_a_range_without_zero_is_refused() -> None:
    for low, high in ((0.1, 1), (-1, -0.5), (np.nan, 1)):
        with pytest.raises(ValueError, match="hold 0"):
            told(TORUS, 1.0, low, high)
