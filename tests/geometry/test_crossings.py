"""Triangles that cut through others are found; those that touch or stand apart are not."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from backend.geometry.crossings import crossed

FLAT = np.array([[[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]])


@pytest.mark.parametrize(
    ("other", "cuts"),
    [
        ([[0.2, 0.2, -1], [0.2, 0.2, 1], [2, 2, 0.5]], True),  # an edge through the middle
        ([[0.2, -1, 0.1], [0.2, 2, -0.1], [0.2, -1, -2]], True),  # only its own edges are cut
        ([[0.2, 0.2, 0], [0.3, 0.2, 0], [0.2, 0.3, 0]], False),  # in the plane
        ([[0, 0, 0], [1, 0, 0], [0.3, -1, 1]], False),  # along an edge
        ([[0.2, 0.2, 0], [0.2, 0.2, 1], [2, 2, 0.5]], False),  # stands on it
        ([[3, 3, -1], [3, 3, 1], [4, 4, 0]], False),
        ([[0.2, 0.2, 0], [0.2, 0.2, 0], [0.2, 0.2, 0]], False),  # without extent
    ],
)
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_cuts_are_told_from_touches(other: list, cuts: bool, scale: float) -> None:
    triangle = np.array([other], float) * scale
    assert crossed(FLAT * scale, triangle).tolist() == [cuts]
    assert crossed(triangle, FLAT * scale).tolist() == [cuts]


def test_the_seam_of_two_balls_is_found_and_nothing_else() -> None:
    one, two = trimesh.creation.icosphere(3), trimesh.creation.icosphere(3)
    two.apply_translation([1, 0.013, 0.007])
    found = crossed(np.asarray(one.triangles), np.asarray(two.triangles))
    away = np.abs(np.linalg.norm(one.triangles_center - [1, 0.013, 0.007], axis=1) - 1)
    assert found.any() and away[found].max() < 0.15 and found[away < 0.005].mean() > 0.9


def test_nothing_crosses_nothing() -> None:
    empty = np.zeros((0, 3, 3))
    assert not len(crossed(empty, FLAT)) and not crossed(FLAT, empty).any()
