"""A scan of any quality becomes points, normals and a frame, or is refused with a code."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from backend.errors import ErrorCode, OmomiError
from backend.formats.raw_scan import RawScan
from backend.scan.prepare import prepare
from tests.scan_shapes import box, cube, globe, sphere


def code_of(raw: RawScan) -> ErrorCode:
    with pytest.raises(OmomiError) as caught:
        prepare(raw)
    return caught.value.code


def test_unusable_scans_are_refused_each_with_its_own_code():
    rng = np.random.default_rng(0)
    plane = rng.random((1000, 3)) @ np.array([[1, 0, 0.5], [0, 1, 0.25], [0, 0, 0]])
    assert code_of(RawScan(np.zeros((0, 3)))) == ErrorCode.EMPTY_SCAN
    assert code_of(RawScan(np.ones((1, 3)))) == ErrorCode.TOO_FEW_POINTS
    assert code_of(RawScan(np.ones((1000, 3)))) == ErrorCode.TOO_FEW_POINTS
    assert code_of(RawScan(rng.random((31, 3)))) == ErrorCode.TOO_FEW_POINTS
    assert code_of(RawScan(np.full((100, 3), np.nan))) == ErrorCode.BAD_COORDINATES
    assert code_of(RawScan(np.full((100, 3), np.inf))) == ErrorCode.BAD_COORDINATES
    assert code_of(RawScan(plane)) == ErrorCode.FLAT_SCAN
    assert code_of(RawScan(plane * 1e-9 + 1e-3)) == ErrorCode.FLAT_SCAN
    assert code_of(RawScan(np.outer(rng.random(100), [1, 2, 3]))) == ErrorCode.FLAT_SCAN


def test_a_flat_mesh_is_refused():
    points = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], float)
    assert code_of(RawScan(points, np.array([[0, 1, 2], [0, 2, 3]]))) == ErrorCode.FLAT_SCAN


@pytest.mark.parametrize("field", ["normals", "to_sensor"])
def test_arrays_of_different_length_are_refused(field):
    short: dict[str, Any] = {field: np.zeros((3, 3))}
    with pytest.raises(OmomiError) as caught:
        RawScan(np.zeros((4, 3)), **short)
    assert caught.value.code == ErrorCode.NOT_A_MESH


@pytest.mark.parametrize("index", [-1, 8, 2**40])
def test_faces_out_of_range_are_refused(index):
    points, faces = cube()
    with pytest.raises(OmomiError):
        RawScan(points, np.concatenate([faces, [[0, 1, index]]]))


def test_a_shallow_relief_is_not_flat():
    points = np.random.default_rng(0).random((2000, 3)) * [1, 1, 1e-3]
    assert len(prepare(RawScan(points)).points) == 2000


@pytest.mark.parametrize("offset, size", [(0, 1), (1e12, 1e3), (-1e6, 1e-1), (0, 1e-9), (0, 1e30), (1e30, 1e29)])
def test_size_and_place_do_not_matter(offset, size):
    points, normals = sphere(2000)
    here = prepare(RawScan(points, normals=normals.astype(np.float32)))
    there = prepare(RawScan(points * size + offset, normals=normals.astype(np.float32)))
    assert np.allclose(here.points, there.points, atol=1e-5)
    assert there.noise == pytest.approx(here.noise, abs=1e-5)
    world = points * size + offset
    assert np.allclose(there.frame.to_world(there.points), world, rtol=0, atol=1e-6 * size + 1e-15 * abs(offset))
    assert np.allclose(there.frame.to_canonical(points * size + offset), there.points, atol=1e-5)


def test_the_longest_side_measures_1_6_about_the_origin():
    points, _ = box(5000)
    scan = prepare(RawScan(points * [1, 3, 2] + 5))
    assert np.allclose(np.ptp(scan.points, axis=0), [1.6 / 3, 1.6, 3.2 / 3], atol=1e-3)
    assert np.allclose(scan.points.max(axis=0) + scan.points.min(axis=0), 0, atol=1e-5)
    assert scan.points.dtype == scan.normals.dtype == np.float32


def test_damaged_points_are_dropped_and_counted_and_faces_follow():
    points, faces = globe()
    points[7] = np.nan
    points[9, 1] = -np.inf
    points[11] = 1e200
    scan = prepare(RawScan(points, faces))
    assert scan.report.dropped_nonfinite == 3
    assert scan.report.open_loops == 1  # the three holes are neighbours on a ring
    assert np.isfinite(scan.points).all()
    radial = scan.points / np.linalg.norm(scan.points, axis=1, keepdims=True)
    assert np.einsum("ij,ij->i", radial, scan.normals).min() > 0.9


def test_duplicates_merge_and_a_soup_of_triangles_becomes_one_closed_piece():
    points, faces = globe()
    soup = RawScan(points[faces].reshape(-1, 3), np.arange(3 * len(faces)).reshape(-1, 3))
    scan, whole = prepare(soup), prepare(RawScan(points, faces))
    assert scan.report.dropped_duplicates == 3 * len(faces) - len(points)
    assert (scan.report.pieces, scan.report.open_loops) == (1, 0)
    assert len(scan.points) == len(whole.points)


def test_minus_zero_is_zero():
    points, faces = cube()
    twice = np.concatenate([points, np.where(points == 0, -0.0, points)])
    assert prepare(RawScan(twice, np.concatenate([faces, faces + 8]))).report.dropped_duplicates == 8


def test_degenerate_and_repeated_faces_and_loose_points_are_dropped_and_counted():
    points, faces = globe()
    bad = np.concatenate([faces, faces[:5, [1, 2, 0]], faces[5:7, ::-1], [[0, 0, 1], [2, 3, 2]]])
    loose = np.random.default_rng(0).random((20, 3)) - 0.5
    scan = prepare(RawScan(np.concatenate([points, loose]), bad))
    clean = prepare(RawScan(points, faces))
    assert scan.report.dropped_degenerate_faces == 9
    assert scan.report.dropped_loose == 20
    assert np.allclose(scan.points, clean.points, atol=1e-6)
    assert (scan.report.pieces, scan.report.open_loops) == (1, 0)


def test_a_cloud_with_a_few_faces_is_a_cloud():
    points, _ = sphere(1000)
    scan = prepare(RawScan(points, np.array([[0, 1, 2], [3, 4, 5]])))
    assert scan.report.dropped_loose == 0
    assert len(scan.points) == 1000
    assert scan.report.normals_from == "propagated"


def test_pieces_and_open_loops_are_counted():
    points, faces = globe()
    top = points[faces].mean(axis=1)[:, 2] < 0.4
    scan = prepare(RawScan(np.concatenate([points, points + 3]), np.concatenate([faces, (faces + len(points))[top]])))
    assert (scan.report.pieces, scan.report.open_loops) == (2, 1)
    clouds = np.concatenate([sphere(2000)[0], sphere(2000)[0] + 3])
    assert prepare(RawScan(clouds)).report.pieces == 2


def test_a_cube_of_eight_vertices_is_covered_evenly_with_its_face_normals():
    points, faces = cube()
    scan = prepare(RawScan(points * 10 - 4, faces))
    assert scan.report.added_samples == len(scan.points) - 8
    inner = np.abs(scan.points).max(axis=1)
    assert np.allclose(inner, 0.8, atol=1e-5)
    side = (np.abs(scan.points) > 0.8 - 1e-5).argmax(axis=1)
    flat = (np.abs(scan.points) > 0.8 - 1e-5).sum(axis=1) == 1
    expected = np.sign(scan.points[np.arange(len(side)), side])
    assert np.allclose(scan.normals[np.arange(len(side)), side][flat], expected[flat], atol=1e-5)
    # Every voxel layer of the surface at 128^3 is hit: 102 x 102 squares on each face, none empty.
    face = flat & (side == 2) & (scan.points[:, 2] > 0)
    squares = np.histogram2d(scan.points[face, 0], scan.points[face, 1], bins=102, range=[[-0.8, 0.8]] * 2)[0]
    assert squares.min() >= 1
    assert squares.std() < 0.5 * squares.mean()
    assert scan.noise == 0.0


def test_samples_lie_on_large_triangles_only():
    points, faces = globe(300, 600)
    assert prepare(RawScan(points, faces)).report.added_samples < 0.1 * len(points)
    coarse = prepare(RawScan(*globe(8, 16)))
    assert 50_000 < coarse.report.added_samples <= 400_000


def test_more_points_than_the_limit_are_thinned_and_counted():
    points, normals = sphere(20_000)
    raw = RawScan(points, normals=normals.astype(np.float32))
    scan = prepare(raw, max_points=5000)
    assert len(scan.points) == 5000
    assert scan.report.decimated == 15_000
    assert scan.report.notes == ("5,000 of its 20,000 points are used, chosen at random.",)
    assert np.allclose(scan.points / 1.6, scan.normals / 2, atol=0.01)


@pytest.mark.parametrize("kind", ["given", "faces", "sensor", "propagated"])
def test_the_same_scan_gives_the_same_bits(kind):
    points, normals = sphere(3000)
    noisy = points + 0.003 * np.random.default_rng(1).normal(size=points.shape)
    raw = {
        "given": RawScan(noisy, normals=normals.astype(np.float32)),
        "faces": RawScan(*globe()),
        "sensor": RawScan(noisy, to_sensor=normals.astype(np.float32)),
        "propagated": RawScan(noisy),
    }[kind]
    one, two = prepare(raw, max_points=2500), prepare(raw, max_points=2500)
    assert one.points.tobytes() == two.points.tobytes()
    assert one.normals.tobytes() == two.normals.tobytes()
    assert (one.noise, one.report) == (two.noise, two.report)
    assert one.report.normals_from == kind


def test_the_input_is_not_changed():
    points, faces = globe()
    points[3] = np.nan
    normals = np.full(points.shape, 2, np.float32)
    before = points.copy(), faces.copy(), normals.copy()
    prepare(RawScan(points, faces, normals))
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip((points, faces, normals), before, strict=True))


def test_five_million_vertices_fit():
    count = 5_000_000
    angle = np.arange(count) * 2.399963229728653  # the golden angle spreads points evenly on a sphere
    height = 1 - 2 * (np.arange(count) + 0.5) / count
    ring = np.sqrt(1 - height**2)
    normals = np.stack([ring * np.cos(angle), ring * np.sin(angle), height], axis=1).astype(np.float32)
    scan = prepare(RawScan(normals * 100.0, normals=normals))
    assert len(scan.points) == count
    assert scan.report.dropped_outliers == 0
