"""Polygons as triangles: they cover the polygon once, whatever its outline."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from backend.geometry.polygons import triangulate


def turned(flat: NDArray, seed: int = 1) -> NDArray[np.float64]:
    """Corners (n, 3) of a plane polygon (n, 2) on a plane askew, far from the origin."""
    across = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0]
    return np.column_stack([flat, np.zeros(len(flat))]) @ across.T * 7 + [512_345, 4_501_234, 800]


def areas(flat: NDArray, triangles: NDArray) -> NDArray:
    """Signed areas of triangles of a plane polygon."""
    a, b, c = (flat[triangles[:, k]] for k in range(3))
    sides = np.stack([b - a, c - a], axis=1)
    return np.linalg.det(sides) / 2


def outline(kind: str) -> NDArray:
    t = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    round_ = np.stack([np.cos(t), np.sin(t)], axis=1)
    rng = np.random.default_rng(0)
    match kind:
        case "arrow":
            return np.array([(0, 0), (2, 1), (0, 2), (0.7, 1)], float)
        case "C":
            arc = np.stack([np.cos(t[6:-6]), np.sin(t[6:-6])], axis=1)
            return np.concatenate([arc, 0.6 * arc[::-1]])
        case "gear":
            return round_ * np.where(np.arange(96) // 4 % 2, 1, 0.7)[:, None]
        case "star":
            return round_ * rng.uniform(0.1, 1, 96)[:, None]
        case "spiral":
            arm = np.stack([np.cos(3 * t), np.sin(3 * t)], axis=1)
            return np.concatenate([arm * (1.2 + t)[:, None], (arm * (1 + t)[:, None])[::-1]])
        case "washer":
            # a ring whose hole is joined to its outside by a bridge that both borders run along
            closed = np.concatenate([round_, round_[:1]])
            return np.concatenate([closed, 0.5 * closed[::-1]])
        case "comb with points in a row":
            top = [(x / 2, 1 + x % 2) for x in range(20, -1, -1)]
            return np.array([*((x / 2, 0) for x in range(21)), *top], float)
    raise KeyError(kind)


KINDS = ["arrow", "C", "gear", "star", "spiral", "washer", "comb with points in a row"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("start", [0, 3])
@pytest.mark.parametrize("clockwise", [False, True])
def test_triangles_cover_a_polygon_once_and_are_wound_as_it_is(kind: str, start: int, clockwise: bool) -> None:
    flat = np.roll(outline(kind), start, axis=0)[:: -1 if clockwise else 1]
    triangles = triangulate(turned(flat), np.arange(len(flat)), np.array([len(flat)]))
    following = np.roll(flat, -1, axis=0)
    whole = (flat[:, 0] * following[:, 1] - flat[:, 1] * following[:, 0]).sum() / 2
    covered = areas(flat, triangles)
    assert len(triangles) == len(flat) - 2
    assert covered.sum() == pytest.approx(whole, rel=1e-9)
    assert np.abs(covered).sum() == pytest.approx(abs(whole), rel=1e-9)


def test_polygons_of_all_sizes_keep_their_order_and_those_without_area_give_nothing() -> None:
    shapes = [outline(kind) for kind in KINDS] + [np.zeros((0, 2)), np.zeros((2, 2)), np.eye(3, 2)]
    shapes = [*shapes, *shapes[::-1]]
    sizes = np.array([len(shape) for shape in shapes])
    points = np.concatenate([np.column_stack([shape, np.zeros(len(shape))]) for shape in shapes])
    triangles = triangulate(points, np.arange(len(points)), sizes)
    owner = np.repeat(np.arange(len(sizes)), sizes)[triangles]
    assert (owner == owner[:, :1]).all() and (np.diff(owner[:, 0]) >= 0).all()
    assert np.array_equal(np.bincount(owner[:, 0], minlength=len(sizes)), np.maximum(sizes - 2, 0))
    # each shape was cut as it is alone
    for number, shape in enumerate(shapes):
        first = sizes[:number].sum()
        alone = triangulate(np.column_stack([shape, np.zeros(len(shape))]), np.arange(len(shape)), sizes[[number]])
        together = triangles[owner[:, 0] == number] - first
        assert np.abs(areas(shape, together)).sum() == pytest.approx(np.abs(areas(shape, alone)).sum(), abs=1e-12)


def test_a_polygon_that_crosses_itself_or_lies_on_a_line_still_gives_all_its_triangles() -> None:
    rng = np.random.default_rng(0)
    for flat in (rng.normal(size=(40, 2)), np.outer(np.arange(9.0), [1, 2]), np.zeros((6, 2))):
        assert len(triangulate(turned(flat), np.arange(len(flat)), np.array([len(flat)]))) == len(flat) - 2


def test_corners_that_name_no_point_and_points_that_are_not_finite_do_no_harm() -> None:
    points = turned(outline("arrow"))
    assert triangulate(points, np.array([0, 1, 9, 3]), np.array([4])).tolist() == [[0, 1, 2], [0, 2, 3]]
    points[2] = np.nan
    assert len(triangulate(points, np.arange(4), np.array([4]))) == 2


def test_a_polygon_that_would_take_hours_is_refused() -> None:
    t = np.linspace(0, 2 * np.pi, 20_000, endpoint=False)
    star = np.stack([np.cos(t), np.sin(t)], axis=1) * np.where(np.arange(20_000) % 2, 1, 0.5)[:, None]
    with pytest.raises(ValueError, match="too many corners"):
        triangulate(turned(star), np.arange(20_000), np.array([20_000]))
