"""Strays go, parts of the object stay, and a stray never decides the frame."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import ArrayLike

from backend.formats.raw_scan import RawScan
from backend.scan.prepare import PreparedScan, prepare
from tests.scan_shapes import box, cube, globe, sphere


def prepared(*parts: ArrayLike) -> PreparedScan:
    points = np.concatenate([np.asarray(part, float) for part in parts])
    return prepare(RawScan(points, normals=np.tile(np.array([0, 0, 1], np.float32), (len(points), 1))))


@pytest.mark.parametrize("count", [60, 1000, 20_000])
@pytest.mark.parametrize("distance", [5.0, 100.0, 1e9])
def test_single_strays_far_away_are_dropped_and_do_not_shrink_the_object(count, distance):
    points, _ = sphere(count)
    scan = prepared(points, [[distance, 0, 0]], [[0, -distance, distance]])
    assert scan.report.dropped_outliers == 2
    assert scan.frame.scale == pytest.approx(prepared(points).frame.scale)


def test_a_tiny_far_cluster_goes_and_a_far_part_of_the_object_stays():
    body, _ = sphere(20_000)
    crumb = np.random.default_rng(1).normal(size=(15, 3)) * 0.01 + [0.9, 0, 0]
    lid = sphere(600)[0] * 0.1 + [0.9, 0, 0]
    assert prepared(body, crumb).report.dropped_outliers == 15
    assert prepared(body, lid).report.dropped_outliers == 0


def test_a_point_alone_beside_a_dense_surface_goes():
    points, _ = sphere(20_000)
    assert prepared(points, [[0, 0, 0.58]]).report.dropped_outliers == 1


def test_nothing_is_dropped_from_clean_shapes_of_any_density():
    for count in (40, 300, 3000, 30_000):
        for make in (sphere, box):
            assert prepared(make(count)[0]).report.dropped_outliers == 0


def test_a_thin_wire_and_a_sparsely_scanned_half_stay():
    rng = np.random.default_rng(0)
    ball, _ = sphere(20_000)
    wire = np.stack([rng.uniform(0.5, 1.0, 300), 0.003 * rng.normal(size=300), 0.003 * rng.normal(size=300)], axis=1)
    assert prepared(ball, wire).report.dropped_outliers == 0
    sparse = ball[(ball[:, 2] > 0) | (rng.random(len(ball)) < 1 / 10)]
    assert prepared(sparse).report.dropped_outliers <= 1


def test_a_long_coarse_part_of_an_uneven_mesh_stays():
    points, faces = globe(60, 120)
    corners, sides = cube()
    pole = (corners - 0.5) * [0.2, 0.2, 5] + [0, 0, -3]
    whole = np.concatenate([points, pole])
    scan = prepare(RawScan(whole, np.concatenate([faces, sides + len(points)])))
    assert scan.report.dropped_outliers == 0
    assert scan.frame.scale == pytest.approx(1.6 / np.ptp(whole[:, 2]))


def test_a_far_cluster_with_a_fair_share_of_the_points_is_part_of_the_object():
    points, _ = sphere(10_000)
    other = sphere(500)[0] * 0.2 + [4, 0, 0]
    scan = prepared(points, other)
    assert scan.report.dropped_outliers == 0
    assert scan.report.pieces == 2
    assert scan.points[:, 0].max() == pytest.approx(0.8, abs=1e-5)
