"""Views of one scan find their places among one another, and keep to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from backend.registration.views import CHANCE, FARTHEST_SHIFT, register_views
from tests.scan_shapes import sphere

EYES = np.array([[1, 0, 0.4], [-0.5, 0.87, 0.4], [-0.5, -0.87, 0.4], [0.5, 0.87, -0.3], [0.5, -0.87, -0.3]])
NOISE = 0.003
Motion = tuple[NDArray[np.float64], NDArray[np.float64]]


class Views:
    """A scan of a surface by five cameras around it, with noise; of those named the pose is wrong."""

    def __init__(self, points: NDArray, normals: NDArray, wrong: Mapping[int, Motion] | None = None) -> None:
        random = np.random.default_rng(5)
        seen = [normals @ (eye / np.linalg.norm(eye)) > 0.25 for eye in EYES]
        self.view = np.repeat(np.arange(len(EYES)), [int(one.sum()) for one in seen])
        chosen = np.concatenate([np.flatnonzero(one) for one in seen])
        self.normals = normals[chosen]
        self.true = points[chosen] + random.normal(0, NOISE, (len(chosen), 1)) * self.normals
        self.points = self.true.copy()
        for view, (turn, shift) in (wrong or {}).items():
            own = self.view == view
            self.points[own] = Rotation.from_rotvec(turn).apply(self.true[own]) + shift

    def errors(self, found: NDArray) -> NDArray[np.float64]:
        """Root mean square distance (v,) of each view from where it belongs."""
        square = ((found - self.true) ** 2).sum(axis=1)
        return np.sqrt([square[self.view == view].mean() for view in range(len(EYES))])


def pebble(count: int) -> tuple[NDArray, NDArray]:
    """Points (count, 3) of a closed surface that no motion maps to itself, and its normals."""
    directions = sphere(count, 3)[1]

    def radius(u: NDArray) -> NDArray:
        return 0.4 * (1 + 0.2 * np.sin(3 * u[:, 0] + 1) * np.cos(4 * u[:, 1]) + 0.1 * np.sin(7 * u[:, 2] + 2 * u[:, 0]))

    steps = 1e-5 * np.eye(3)
    slope = np.stack([(radius(directions + step) - radius(directions - step)) / 2e-5 for step in steps], axis=1)
    slope -= (slope * directions).sum(axis=1, keepdims=True) * directions
    far = radius(directions)[:, None]
    normals = directions - slope / far
    return far * directions, normals / np.linalg.norm(normals, axis=1, keepdims=True)


def motion(seed: int, shift: float = 0.004, degrees: float = 0.5) -> Motion:
    random = np.random.default_rng(seed)
    return random.normal(0, np.radians(degrees), 3), random.normal(0, shift, 3)


def test_a_view_whose_pose_is_wrong_comes_to_its_place_and_the_right_ones_stay_bit_for_bit() -> None:
    views = Views(*pebble(9000), {1: motion(1, 0.01, 1.0)})
    found, motions = register_views(views.points, views.normals, views.view)
    assert [one.state for one in motions] == ["right", "moved", "right", "right", "right"]
    assert views.errors(views.points)[1] > 0.01
    assert views.errors(found)[1] < 0.0008
    assert np.array_equal(found[views.view != 1], views.points[views.view != 1])
    shift = views.errors(views.points)[1] / np.ptp(views.points, axis=0).max()
    assert motions[1].shift == pytest.approx(shift, rel=0.2)


def test_views_that_are_all_wrong_come_together_up_to_a_common_motion() -> None:
    views = Views(*pebble(9000), {view: motion(view) for view in range(len(EYES))})
    found, motions = register_views(views.points, views.normals, views.view)
    assert all(one.state == "moved" and one.turn > 0 for one in motions)
    turn, _ = Rotation.align_vectors(views.true - views.true.mean(axis=0), found - found.mean(axis=0))
    together = turn.apply(found - found.mean(axis=0)) + views.true.mean(axis=0)
    assert views.errors(together).max() < 0.001
    assert views.errors(views.points).mean() > 0.006


@pytest.mark.parametrize("scale", [1e-3, 1e4])
def test_units_and_a_far_origin_do_not_matter(scale: float) -> None:
    views = Views(*pebble(4000), {1: motion(1, 0.01, 1.0)})
    found, motions = register_views(views.points, views.normals, views.view)
    away = np.array([300.0, -100, 0]) * scale
    scaled, same = register_views(scale * views.points + away, views.normals, views.view)
    assert np.allclose((scaled - away) / scale, found, atol=1e-4)
    assert [one.state for one in same] == [one.state for one in motions]


def test_outliers_do_not_pull() -> None:
    views = Views(*pebble(6000), {1: motion(1, 0.01, 1.0)})
    stray = np.random.default_rng(0).random(len(views.points)) < 0.02
    views.points[stray] += 0.03 * np.random.default_rng(1).normal(size=(int(stray.sum()), 3))
    found, _ = register_views(views.points, views.normals, views.view)
    own = ~stray & (views.view == 1)
    assert np.sqrt(((found - views.true)[own] ** 2).sum(axis=1).mean()) < 0.0015


def rod(count: int) -> tuple[NDArray, NDArray]:
    random = np.random.default_rng(2)
    angle, height = random.uniform(0, 2 * np.pi, count), random.uniform(-0.5, 0.5, count)
    normals = np.stack([np.cos(angle), np.sin(angle), np.zeros(count)], axis=1)
    return 0.25 * normals + height[:, None] * [0.0, 0, 1], normals


@pytest.mark.parametrize("shape", [sphere, rod])
def test_what_slides_along_itself_does_not_drift(shape: Callable[[int], tuple[NDArray, NDArray]]) -> None:
    views = Views(*shape(6000))
    assert np.array_equal(register_views(views.points, views.normals, views.view)[0], views.points)
    # one that is off comes back onto the surface, hardly farther than it was off
    wrong = Views(*shape(6000), {2: (np.zeros(3), np.array([-0.006, -0.006, 0.0]))})
    found, motions = register_views(wrong.points, wrong.normals, wrong.view)
    assert [one.state for one in motions] == ["right", "right", "moved", "right", "right"]
    off = (found - wrong.true)[wrong.view == 2]
    assert motions[2].shift < 1.1 * 0.006 * np.sqrt(2)
    assert np.abs((off * wrong.normals[wrong.view == 2]).sum(axis=1)).mean() < 0.0005


def test_a_view_that_overlaps_no_other_stays_and_is_said() -> None:
    views = Views(*pebble(3000), {1: motion(1, 0.01, 1.0), 4: (np.zeros(3), np.array([3.0, 0, 0]))})
    found, motions = register_views(views.points, views.normals, views.view)
    assert [one.state for one in motions][1:] == ["moved", "right", "right", "apart"]
    assert np.array_equal(found[views.view == 4], views.points[views.view == 4])


def test_a_view_that_would_have_to_go_far_stays_and_is_said() -> None:
    far = 1.6 * FARTHEST_SHIFT * np.ptp(pebble(3000)[0], axis=0).max()
    views = Views(*pebble(6000), {1: (np.zeros(3), np.array([0.0, far, 0]))})
    found, motions = register_views(views.points, views.normals, views.view)
    assert motions[1].state == "far" and motions[1].shift > FARTHEST_SHIFT
    assert np.array_equal(found, views.points)


def test_the_two_walls_of_a_thin_sheet_are_not_pressed_together() -> None:
    random = np.random.default_rng(4)
    flat = np.column_stack([random.random((6000, 2)), np.zeros(6000)])
    wall = flat + 0.05 * np.column_stack([np.zeros((6000, 2)), np.sin(6 * flat[:, 0]) * np.cos(5 * flat[:, 1])])
    up = np.tile([0.0, 0, 1], (6000, 1))
    points = np.concatenate([wall, wall - [0, 0, 0.02]]) + random.normal(0, 0.001, (12000, 3))
    view = np.repeat([0, 1], 6000)
    found, motions = register_views(points, np.concatenate([up, -up]), view)
    assert [one.state for one in motions] == ["apart", "apart"]
    assert np.array_equal(found, points)


def test_views_that_are_right_hardly_ever_move() -> None:
    moved = 0
    for seed in range(4):
        points, normals = pebble(3000)
        turn = Rotation.random(random_state=seed)
        views = Views(turn.apply(points), turn.apply(normals))
        moved += sum(one.state != "right" for one in register_views(views.points, views.normals, views.view)[1])
    assert CHANCE < 1e-3 and moved == 0
