"""Dense bare points are thinned to what a fit can use."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import backend.scan.cell_means
from backend.engine import OnnxEngine, prepare_scan
from backend.formats.raw_scan import RawScan
from backend.protocol.fit_options import FitOptions
from backend.scan.cell_means import thinned

VOXELS = 12.8
COUNT = 40_000


@pytest.fixture(autouse=True)
def low_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend.scan.cell_means, "THIN_ABOVE", 1000)


def ball(count: int = COUNT, noise: float = 0.005) -> RawScan:
    """Noisy points of a unit sphere with their normals."""
    random = np.random.default_rng(100)
    normals = random.normal(size=(count, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    points = normals * (1 + random.normal(0, noise, (count, 1)))
    return RawScan(points, normals=normals.astype(np.float32), name="ball")


def off(raw: RawScan) -> float:
    return float(np.abs(np.linalg.norm(raw.points, axis=1) - 1).mean())


def test_points_become_their_means_four_along_a_voxel_and_that_is_said() -> None:
    raw = ball()
    fewer, (note,) = thinned(raw, VOXELS)
    count = len(fewer.points)
    assert note == f"Its 40,000 points were thinned to {count:,}, 4 along each voxel."
    # 4 * 12.8 cells along two units
    cells = 4 * np.pi * (4 * VOXELS / 2) ** 2
    assert cells < count < 2 * cells < COUNT
    assert np.allclose(np.sum(raw.points, axis=0) / COUNT, 0, atol=0.02) and off(fewer) < 0.9 * off(raw)
    assert fewer.normals is not None
    normals = fewer.normals / np.linalg.norm(fewer.normals, axis=1, keepdims=True)
    places = fewer.points / np.linalg.norm(fewer.points, axis=1, keepdims=True)
    assert np.einsum("ij,ij->i", normals, places).min() > 0.999


def test_a_cell_holds_the_mean_of_its_points() -> None:
    corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], float)
    raw = RawScan(np.repeat(corners, 500, axis=0) + np.tile([[0, 0, 0], [1e-3, 0, 0]], (1000, 1)))
    fewer, notes = thinned(raw, VOXELS)
    assert notes and np.allclose(sorted(fewer.points.tolist()), sorted((corners + [5e-4, 0, 0]).tolist()))


def test_a_grid_of_too_many_cells_is_made_coarser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend.scan.cell_means, "MOST_CELLS", 3000)
    fewer, _ = thinned(ball(), VOXELS)
    assert 1000 < len(fewer.points) <= 3000


@pytest.mark.parametrize(
    "field",
    [
        {"faces": np.array([[0, 1, 2]])},
        {"view": np.zeros(COUNT, int)},
        {"sigma": np.ones(COUNT)},
    ],
)
def test_what_is_of_single_points_is_not_thinned(field: dict[str, Any]) -> None:
    raw = RawScan(ball().points, **field)
    assert thinned(raw, VOXELS) == (raw, ())


def test_few_points_points_in_one_place_and_none_that_is_finite_are_left_alone() -> None:
    few, one, none = ball(1000), RawScan(np.ones((COUNT, 3))), RawScan(np.full((COUNT, 3), np.nan))
    assert all(thinned(raw, VOXELS)[0] is raw for raw in (few, one, none))


def test_points_that_are_nowhere_stay_and_far_ones_stay_far() -> None:
    points = ball().points.copy()
    points[:3], points[3] = np.nan, (1e9, 0, 0)
    fewer, _ = thinned(RawScan(points), VOXELS)
    assert np.isnan(fewer.points).all(axis=1).sum() == 3 and np.nanmax(fewer.points) == 1e9
    assert np.median(np.abs(np.linalg.norm(fewer.points[:-3], axis=1) - 1)) < 0.005


def test_the_same_scan_gives_the_same_bits() -> None:
    one, other = (thinned(ball(), VOXELS)[0] for _ in range(2))
    assert np.array_equal(one.points, other.points)


def test_a_fit_takes_the_thinned_points_says_so_and_keeps_the_scan() -> None:
    raw = ball()
    kept, scan, _ = prepare_scan(OnnxEngine("cpu"), raw, FitOptions(level=0), None, lambda done, text: None)
    assert kept is raw and len(scan.points) < 0.7 * COUNT
    assert scan.report.notes[0].startswith("Its 40,000 points were thinned to ")
