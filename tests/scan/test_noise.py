"""The noise that the scan shows is the noise that was put in."""

from __future__ import annotations

import numpy as np
import pytest

from backend.formats.raw_scan import RawScan
from backend.scan.noise import noise_sd
from backend.scan.outliers import occupancy
from backend.scan.prepare import prepare
from tests.scan_shapes import box, globe, sphere


def plane(count: int) -> tuple[np.ndarray, np.ndarray]:
    points = np.random.default_rng(0).random((count, 3)) - 0.5
    points[:, 2] = 0
    return points, np.tile([0.0, 0, 1], (count, 1))


SHAPES = {"sphere": (sphere, np.pi), "box": (box, 6.0), "plane": (plane, 1.0)}


def estimate(points: np.ndarray) -> float:
    points = points.astype(np.float32)
    return noise_sd(points, occupancy(points), np.ones(len(points), bool))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("count", [5000, 40_000])
@pytest.mark.parametrize("ratio", [0.3, 0.7, 1.0, 2.0, 3.0])
def test_noise_is_found_within_a_quarter_from_0_3_to_3_spacings(shape, count, ratio):
    make, area = SHAPES[shape]
    points, normals = make(count)
    sd = ratio * np.sqrt(area / count)
    noisy = points + normals * np.random.default_rng(1).normal(size=(count, 1)) * sd
    assert estimate(noisy) == pytest.approx(sd, rel=0.25)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("count", [500, 5000, 40_000])
def test_a_clean_shape_shows_next_to_no_noise(shape, count):
    make, area = SHAPES[shape]
    assert estimate(make(count)[0]) < 0.2 * np.sqrt(area / count)


def test_noise_grows_with_the_scan_and_is_given_in_canonical_units():
    points, normals = sphere(20_000)
    noisy = points + normals * np.random.default_rng(1).normal(size=(20_000, 1)) * 0.01
    scan = prepare(RawScan(noisy * 250, normals=normals.astype(np.float32)))
    assert scan.noise == pytest.approx(0.01 * 250 * scan.frame.scale, rel=0.15)


def test_the_two_sides_of_a_thin_wall_are_no_noise_when_normals_tell_them_apart():
    points, normals = plane(8000)
    points[::2, 2] += 0.01
    normals[1::2] *= -1
    points = points.astype(np.float32)
    everything = np.ones(len(points), bool)
    blind = noise_sd(points, occupancy(points), everything)
    told = noise_sd(points, occupancy(points), everything, normals.astype(np.float32))
    assert blind > 0.003
    assert told < 1e-4


def crossing_walls(count: int, cell: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Points (count, 3) of walls a fifth of a cell thick that cut a unit cube into cells, and normals."""
    rng, row = np.random.default_rng(seed), np.arange(count)
    points, axis, side = rng.random((count, 3)) - 0.5, rng.integers(0, 3, count), rng.choice([-1.0, 1.0], count)
    points[row, axis] = cell * (rng.integers(0, round(1 / cell) + 1, count) + 0.1 * side) - 0.5
    normals = np.zeros((count, 3))
    normals[row, axis] = side
    return points, normals


@pytest.mark.parametrize("cell", [0.125, 0.25])
@pytest.mark.parametrize("sd", [0.0015, 0.003, 0.006])
@pytest.mark.parametrize("seed", [0, 1])
def test_pores_between_thin_walls_are_no_noise(cell, sd, seed):
    """Wide neighbourhoods hold several walls, so that widening never finds a sheet."""
    points, normals = crossing_walls(20_000, cell, seed)
    noisy = (points + normals * np.random.default_rng(seed + 9).normal(size=(20_000, 1)) * sd).astype(np.float32)
    found = noise_sd(noisy, occupancy(noisy), np.ones(20_000, bool), normals.astype(np.float32))
    assert found == pytest.approx(sd, rel=0.5)


def test_noise_beyond_the_thickness_of_a_wall_is_found_within_a_third():
    """Of two sheets on one another whose normals are told: neither too little nor the distance of the walls."""
    points, normals = plane(8000)
    points[::2, 2] += 0.01
    normals[1::2] *= -1
    noisy = (points + normals * np.random.default_rng(1).normal(size=(8000, 1)) * 0.02).astype(np.float32)
    found = noise_sd(noisy, occupancy(noisy), np.ones(8000, bool), normals.astype(np.float32))
    assert found == pytest.approx(0.02, rel=0.33)


def test_points_sampled_on_faces_do_not_hide_the_noise_of_the_vertices():
    points, faces = globe(60, 120)
    sd = 0.004
    noisy = points * (1 + 2 * sd * np.random.default_rng(0).normal(size=(len(points), 1)))
    scan = prepare(RawScan(noisy, faces))
    assert scan.report.added_samples > len(points)
    assert scan.noise == pytest.approx(sd * scan.frame.scale, rel=0.3)
