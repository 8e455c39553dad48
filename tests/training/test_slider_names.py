"""What shape sliders are named after, measured on fields whose measures are known."""

from __future__ import annotations

import numpy as np
import pytest

from backend.training.grids import grid_points
from backend.training.slider_names import MEASURES, measured

SIZE = 16


def box(sides: tuple[float, float, float], centre: tuple[float, float, float] = (0, 0, 0)) -> np.ndarray:
    """Signed distance (1, SIZE, SIZE, SIZE), in voxels of level 0, of a box; canonical sides and centre."""
    outside = np.abs(grid_points(SIZE)[0].numpy() - centre) - np.array(sides) / 2
    distance = np.linalg.norm(np.maximum(outside, 0), axis=1) + np.minimum(outside.max(axis=1), 0)
    return np.clip(distance * 16, -3, 3).reshape(1, SIZE, SIZE, SIZE)


def of(field: np.ndarray) -> dict[str, float]:
    return dict(zip(MEASURES, measured(field)[0].tolist(), strict=True))


def test_sides_of_a_box_are_measured_and_it_is_full_and_leans_nowhere() -> None:
    found = of(box((1.0, 1.25, 0.75)))
    # the truncated field softens the surface: sides are a little long, by the same for all
    long = [found["width"] - 1.0, found["depth"] - 1.25, found["height"] - 0.75]
    assert min(long) > 0 and max(long) < 0.15
    assert max(long) - min(long) < 0.06
    assert 0.6 < found["fullness"] < 1.0
    assert max(abs(found[f"lean in {axis}"]) for axis in "xyz") < 0.02


def test_measures_do_not_depend_on_the_place_and_turn_with_the_axes() -> None:
    here, there = of(box((0.75, 1.0, 0.75))), of(box((0.75, 1.0, 0.75), (0.125, -0.25, 0.125)))
    assert here == pytest.approx(there, abs=0.02)
    turned = of(box((0.75, 1.0, 0.75)).swapaxes(1, 2))
    assert turned["width"] == pytest.approx(here["depth"]) and turned["depth"] == pytest.approx(here["width"])


def test_a_shape_leans_toward_its_thin_end() -> None:
    # the mean cube is ruled by the few far places: a heavy half on the left leaves a tail on the right
    heavy = np.minimum(box((0.5, 1.0, 1.0), (-0.5, 0, 0)), box((1.5, 0.4, 0.4)))
    assert of(heavy)["lean in x"] > 0.1
    assert of(heavy[:, ::-1])["lean in x"] < -0.1
    assert abs(of(heavy)["lean in y"]) < 0.05


def test_a_field_without_any_inside_is_measured_without_a_warning() -> None:
    with np.errstate(all="raise"):
        assert np.isfinite(measured(np.full((1, SIZE, SIZE, SIZE), 3.0))).all()
