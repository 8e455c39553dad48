"""Normals point out of the object, whoever has to say so."""

from __future__ import annotations

import numpy as np
import pytest

from backend.formats.raw_scan import RawScan
from backend.geometry.normals import face_normals, vertex_normals
from backend.scan.orientation import fitted_normals, orient_faces, spread_signs
from backend.scan.prepare import PreparedScan, prepare
from tests.input_kinds import cup, scans, thick
from tests.scan_shapes import box, cube, globe, sphere, volume


def outward(scan: PreparedScan) -> np.ndarray:
    """(n,) cosine between each normal and the direction away from the middle."""
    away = scan.points / np.linalg.norm(scan.points, axis=1, keepdims=True)
    return np.einsum("ij,ij->i", away, scan.normals)


def mixed(faces: np.ndarray, share: float) -> np.ndarray:
    turned = np.random.default_rng(0).random(len(faces)) < share
    return np.where(turned[:, None], faces[:, ::-1], faces)


def test_given_normals_are_used_at_unit_length_and_repaired():
    points, normals = sphere(2000)
    given = (normals * np.random.default_rng(0).uniform(0.1, 9, (2000, 1))).astype(np.float32)
    given[::10] = 0
    given[1::10] = np.nan
    given[2::10, 0] = np.inf
    scan = prepare(RawScan(points, normals=given))
    assert scan.report.normals_from == "given"
    assert np.allclose(np.linalg.norm(scan.normals, axis=1), 1, atol=1e-6)
    assert outward(scan).min() > 0.9


def test_given_normals_without_any_direction_count_as_absent():
    points, _ = sphere(2000)
    scan = prepare(RawScan(points, normals=np.full((2000, 3), np.nan, np.float32)))
    assert scan.report.normals_from == "propagated"
    assert outward(scan).min() > 0.9


def test_sensor_directions_turn_fitted_normals():
    points, normals = box(4000)
    sensor = normals + 0.3 * np.random.default_rng(0).normal(size=normals.shape)
    sensor[np.einsum("ij,ij->i", sensor, normals) < 0] *= -1
    scan = prepare(RawScan(points, to_sensor=sensor.astype(np.float32)))
    assert scan.report.normals_from == "sensor"
    cosine = np.einsum("ij,ij->i", scan.normals, normals)
    assert np.mean(cosine > 0.95) > 0.8
    assert np.mean(cosine > 0) > 0.995


@pytest.mark.parametrize("noise", [0.0, 0.004])
def test_orientation_propagates_over_closed_shapes(noise):
    points, normals = sphere(6000)
    points = points + noise * np.random.default_rng(0).normal(size=points.shape)
    scan = prepare(RawScan(points * [1, 0.5, 0.3]))
    assert scan.report.normals_from == "propagated"
    expected = normals / [1, 0.5, 0.3]
    assert np.mean(np.einsum("ij,ij->i", scan.normals, expected) > 0) > 0.995


def test_orientation_propagates_around_a_torus_and_over_separate_parts():
    rng = np.random.default_rng(0)
    a, b = rng.uniform(0, 2 * np.pi, (2, 8000))
    ring = np.stack([np.cos(a), np.sin(a), np.zeros_like(a)], axis=1)
    normals = ring * np.cos(b)[:, None] + np.sin(b)[:, None] * [0, 0, 1]
    torus = ring + 0.3 * normals
    ball, ball_normals = sphere(3000)
    scan = prepare(RawScan(np.concatenate([torus, ball + [0, 3, 0]])))
    expected = np.concatenate([normals, ball_normals])
    assert np.mean(np.einsum("ij,ij->i", scan.normals, expected) > 0) > 0.995


def test_large_clouds_are_fitted_on_a_part_and_still_oriented():
    points, _ = sphere(350_000)
    assert outward(prepare(RawScan(points))).min() > 0.95


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_mixed_winding_of_a_closed_mesh_is_made_outward(share):
    points, faces = globe()
    scan = prepare(RawScan(points, mixed(faces, share)))
    assert scan.report.normals_from == "faces"
    assert outward(scan).min() > 0.95


@pytest.mark.parametrize("share", [0.0, 0.2, 0.4])
@pytest.mark.parametrize("side", [1, -1])
def test_an_open_mesh_keeps_the_way_most_of_it_faces(share, side):
    points, faces = globe(40, 80)
    half = faces[points[faces].mean(axis=1)[:, 2] > 0][:, ::side]
    shell = orient_faces(points.astype(np.float32), mixed(half, share).astype(np.int32))
    out = np.einsum("ij,ij->i", shell.normals, points[shell.faces[:, 0]])
    assert np.all(out * side > 0)
    assert shell.open_loops == 1


def test_an_open_mesh_is_turned_to_the_sensor():
    points, faces = globe(40, 80)
    half = faces[points[faces].mean(axis=1)[:, 2] > 0][:, ::-1]
    sensor = np.tile(np.array([0, 0, 1], np.float32), (len(points), 1))
    shell = orient_faces(points.astype(np.float32), half, sensor)
    assert shell.normals[:, 2].sum() > 0


@pytest.mark.parametrize("inverted", [False, True])
def test_a_cavity_keeps_facing_its_inside_and_separate_solids_face_out(inverted):
    points, faces = globe()
    count = len(points)
    everything = np.concatenate([points, 0.5 * points, points + 3]).astype(np.float32)
    whole = np.concatenate([faces, faces[:, ::-1] + count, faces + 2 * count])
    shell = orient_faces(everything, whole[:, ::-1] if inverted else whole)
    parts = shell.faces.reshape(3, -1, 3)
    ball = volume(points, faces)
    assert [volume(everything, part) for part in parts] == pytest.approx([ball, -ball / 8, ball], rel=1e-4)


def test_one_solid_that_is_inside_out_beside_another_is_turned():
    points, faces = globe()
    both = np.concatenate([points, 0.7 * points + 3]).astype(np.float32)
    shell = orient_faces(both, np.concatenate([faces, faces[:, ::-1] + len(points)]))
    assert volume(both, shell.faces[len(faces) :]) > 0


def test_winding_survives_non_manifold_edges_and_moebius_bands():
    points, faces = cube()
    fin = np.concatenate([points, [[0.5, 0.5, 3]]]).astype(np.float32)
    shell = orient_faces(fin, np.concatenate([faces, [[0, 1, 8]]]).astype(np.int32))
    assert len(shell.faces) == 13
    turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    rim = []
    for s in (-0.3, 0.3):
        reach = 1 + s * np.cos(turn / 2)
        rim.append(np.stack([np.cos(turn) * reach, np.sin(turn) * reach, s * np.sin(turn / 2)], axis=1))
    i, j = np.arange(40), (np.arange(40) + 1) % 40
    low, high = np.where(j == 0, 40, j), np.where(j == 0, 0, 40 + j)
    band = np.concatenate([np.stack([i, low, 40 + i], 1), np.stack([low, high, 40 + i], 1)]).astype(np.int32)
    shell = orient_faces(np.concatenate(rim).astype(np.float32), band)
    assert (shell.pieces, shell.open_loops) == (1, 1)


@pytest.mark.parametrize("scale, used", [(1.0, "given"), (-1.0, "faces")])
def test_a_closed_mesh_follows_its_volume_over_opposed_normals(scale, used):
    points, faces = globe()
    scan = prepare(RawScan(points, faces, (points * scale).astype(np.float32)))
    assert scan.report.normals_from == used
    assert outward(scan).min() > 0.95


def test_a_part_that_is_inside_out_in_the_hollow_of_a_vessel_is_no_cavity_and_that_is_said():
    vessel, faces = thick(cup(), 0.1)
    part, its_faces = globe(12, 24, 0.2)
    both = np.concatenate([vessel, part]).astype(np.float32)
    wound = np.concatenate([faces, its_faces[:, ::-1] + len(vessel)]).astype(np.int32)
    shell = orient_faces(both, wound)
    assert volume(both, shell.faces[: len(faces)]) > 0 and volume(both, shell.faces[len(faces) :]) > 0
    assert prepare(RawScan(both, wound)).report.notes == ("2% of the surface was inside out and was turned over.",)


@pytest.mark.parametrize("name", ["a ball with a hole", "a vessel", "a bust", "a body in two pieces"])
@pytest.mark.parametrize("given", [False, True])
def test_an_open_scan_that_is_inside_out_all_around_is_turned_over_and_that_is_said(name, given):
    points, faces = scans()[name]
    scan = prepare(RawScan(points, faces))
    wrong = -vertex_normals(len(points), faces, face_normals(points, faces)) if given else None
    turned = prepare(RawScan(points, faces[:, ::-1], wrong))
    assert np.einsum("ij,ij->i", scan.normals, turned.normals).min() > 0
    assert not scan.report.notes
    assert turned.report.notes == ("100% of the surface was inside out and was turned over.",)


def test_one_view_from_either_side_keeps_its_winding():
    points, faces = scans()["a view of a ball, 0"]
    one, other = (prepare(RawScan(points, way)) for way in (faces, faces[:, ::-1]))
    assert np.einsum("ij,ij->i", one.normals, other.normals).max() < 0 and not other.report.notes


def test_points_whose_normals_all_point_inwards_are_turned_over_and_that_is_said():
    points, normals = sphere(20_000)
    scan = prepare(RawScan(points, None, (-normals).astype(np.float32)))
    assert outward(scan).min() > 0.95
    assert scan.report.notes == ("100% of the surface was inside out and was turned over.",)


def test_normals_against_a_winding_that_can_be_seen_to_face_out_are_not_used():
    points, faces = globe()
    bowl = faces[points[faces].mean(axis=1)[:, 2] < 0.3]
    scan = prepare(RawScan(points, bowl, (-points).astype(np.float32)))
    assert scan.report.normals_from == "faces" and outward(scan).min() > 0


def test_an_open_mesh_follows_opposed_normals_over_its_winding():
    points, faces = globe()
    bowl = faces[points[faces].mean(axis=1)[:, 2] < 0]
    scan = prepare(RawScan(points, bowl, (-points).astype(np.float32)))
    assert scan.report.normals_from == "given"
    assert np.mean(outward(scan) < 0) > 0.99


def test_normals_that_are_noise_against_the_faces_are_not_used():
    points, faces = globe()
    normals = np.random.default_rng(0).normal(size=points.shape).astype(np.float32)
    scan = prepare(RawScan(points, faces, normals))
    assert scan.report.normals_from == "faces"
    assert outward(scan).min() > 0.95


def test_signs_hold_along_a_long_chain_and_in_each_part():
    count = 10_000
    chain = np.stack([np.arange(count - 1), np.arange(1, count)], axis=1)
    chain = np.delete(chain, 4999, axis=0)
    relation = np.random.default_rng(0).choice([-1, 1], len(chain))
    for cost in (None, np.ones(len(chain))):
        sign, part = spread_signs(count, chain, relation, cost)
        assert np.array_equal(sign[chain[:, 0]] * sign[chain[:, 1]], relation)
        assert len(np.unique(part)) == 2


def test_nodes_without_pairs_are_parts_of_their_own():
    sign, part = spread_signs(3, np.zeros((0, 2), int), np.zeros(0, int))
    assert np.array_equal(sign, [1, 1, 1])
    assert len(np.unique(part)) == 3


@pytest.mark.parametrize("bulge", [0.3, -0.3])
def test_ground_of_bare_points_faces_up_whether_it_is_a_hill_or_a_valley(bulge: float) -> None:
    place = np.random.default_rng(0).uniform(-1, 1, (4000, 2))
    points = np.column_stack([place, bulge * np.exp(-3 * (place**2).sum(axis=1))]).astype(np.float32)
    assert (fitted_normals(points, 0.0, ground=True)[:, 2] > 0).mean() > 0.99
    upright = points[:, [2, 0, 1]]
    outward = fitted_normals(upright, 0.0)
    assert np.array_equal(fitted_normals(upright, 0.0, ground=True), outward)


def test_a_sheet_of_bare_points_is_fitted_facing_up() -> None:
    place = np.random.default_rng(1).uniform(-1, 1, (4000, 2))
    valley = np.column_stack([place, 0.2 * (place**2).sum(axis=1)])
    assert (prepare(RawScan(valley), "sheet").normals[:, 2] > 0).mean() > 0.99


def test_both_sides_of_a_wall_as_thick_as_a_neighbourhood_is_wide_are_told_apart() -> None:
    rng = np.random.default_rng(0)
    # the nearest 24 points reach as far aside as the wall is thick
    side = np.where(rng.random(20_000) < 0.5, 1.0, -1.0)
    height = 0.01 * side + rng.normal(0, 0.003, 20_000)
    points = np.column_stack([rng.random((20_000, 2)), height]).astype(np.float32)
    up = np.column_stack([np.zeros((20_000, 2)), side]).astype(np.float32)
    cosine = (fitted_normals(points, 0.003, up) * up).sum(axis=1)
    assert np.mean(cosine > np.cos(np.radians(30))) > 0.95
