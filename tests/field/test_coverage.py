"""What a fit keeps and invents: shares against those of shapes for which they are known."""

from __future__ import annotations

import numpy as np
import pytest

from backend.field.bricks import voxel_size
from backend.field.coverage import covered_report, invented, said_of_thinness
from backend.field.fit import fit
from backend.field.onnx_model import Model
from backend.field.thin_walls import WIDTH, parted
from backend.formats.raw_scan import RawScan
from backend.geometry.topology import label_faces
from backend.protocol.fit_options import FitOptions
from backend.scan.clean import CleanReport
from backend.scan.prepare import prepare
from tests import input_kinds as kinds

NOTHING = np.zeros((0, 3), np.float32)
LEVEL = 2


def report(given: RawScan, result: kinds.Mesh, kind: str = "auto", gone: kinds.Mesh | None = None) -> CleanReport:
    """Of a result that is known."""
    scan = prepare(given, kind)
    vertices = scan.frame.to_canonical(result[0])
    left = NOTHING if gone is None else scan.frame.to_canonical(gone[0])
    return covered_report(scan, LEVEL, vertices, result[1], left, int(gone is not None))


def cap(share: float, count: int = 160) -> kinds.Mesh:
    """The lowest ``share`` of the area of a ball: what is below a height."""
    return kinds.without(kinds.ball(count), lambda middle: middle[:, 2] > 2 * share - 1)


def rim(share: float) -> float:
    """What lies within a voxel beyond the border of a cap, which is near it."""
    return voxel_size(LEVEL) / 0.8 * np.sqrt(share * (1 - share))


@pytest.mark.parametrize("share", [0.5, 0.7, 0.95])
def test_a_ball_is_kept_as_far_as_the_result_reaches(share: float) -> None:
    found = report(RawScan(*kinds.ball(80)), cap(share))
    assert found.kept == pytest.approx(share + rim(share), abs=0.01) and found.invented < 0.001


@pytest.mark.parametrize("share", [0.5, 0.7, 0.95])
@pytest.mark.parametrize("bare", [False, True])
def test_a_ball_is_invented_as_far_as_the_scan_does_not_reach(share: float, bare: bool) -> None:
    points, faces = cap(share, 400 if bare else 160)
    given = RawScan(points, None, points.astype(np.float32)) if bare else RawScan(points, faces)
    found = report(given, kinds.ball(160), "scan")
    assert found.invented == pytest.approx(1 - share - rim(share), abs=0.01)
    assert found.invented == pytest.approx(1 - share, abs=0.015) and found.kept == 1.0


def test_points_scattered_by_chance_invent_nothing() -> None:
    points = np.random.default_rng(3).normal(size=(6_000, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    scan = prepare(RawScan(points, None, points.astype(np.float32)))
    vertices, faces = kinds.ball(80)
    assert invented(scan, LEVEL, scan.frame.to_canonical(vertices), faces).mean() < 0.001


@pytest.mark.parametrize("voxels", [0.3, 0.6, 0.9, 1.2, 3.0])
def test_a_plate_is_thin_but_for_its_rim(voxels: float) -> None:
    wall = voxels * voxel_size(LEVEL) / 1.6
    plate = kinds.box((1, 0.8, wall), count=12)
    found = report(RawScan(*plate), plate)
    flat = 0.8 / (0.8 + 1.8 * wall) if voxels < 1 else 0.0
    assert found.thinner == pytest.approx(flat, abs=0.01)


@pytest.mark.parametrize("voxels", [0.7, 1.4])
def test_a_tube_is_thin_where_its_wall_is(voxels: float) -> None:
    wall = voxels * voxel_size(LEVEL) / 1.6
    found = report(RawScan(*(pipe := kinds.thick(kinds.tube(), wall))), pipe, "solid")
    assert found.thinner == pytest.approx(float(voxels < 1), abs=0.03)


def test_a_blade_is_thin_where_its_two_sides_are_near() -> None:
    points, faces = kinds.box((1, 0.5, 1), count=60)
    tallest = 4 * voxel_size(LEVEL) / 1.6
    points[:, 2] *= tallest * (points[:, 0] + 0.5)
    blade = points + [0, 0, 0], faces
    # two sides of nearly one unit each, a back and two ends
    found = report(RawScan(*kinds.without(blade, lambda middle: np.zeros(len(middle), bool))), blade, "solid")
    whole = 1.0 + 0.5 * tallest + tallest
    assert found.thinner == pytest.approx(0.25 / whole, abs=0.02)


def test_what_lies_inside_is_dropped_by_its_share_of_the_area() -> None:
    inner = kinds.ball(24, 0.8)
    found = report(RawScan(*kinds.joined(kinds.ball(), inner)), kinds.ball(), "solid")
    assert found.dropped == pytest.approx(0.64 / 1.64, abs=0.01) and "what lies inside" in found.notes[-1]


def test_pieces_that_a_result_leaves_out_are_dropped_by_their_share_of_the_area() -> None:
    small = kinds.ball(60, 0.3, (1.6, 0, 0))
    found = report(RawScan(*kinds.joined(kinds.ball(60), small)), kinds.ball(120), gone=small)
    assert found.dropped == pytest.approx(0.09 / 1.09, abs=0.01)
    assert found.dropped_pieces == 1 and found.kept == pytest.approx(1 / 1.09, abs=0.01)


def test_thickness_is_unknown_of_points_scans_and_sheets() -> None:
    points, faces = kinds.sheets()["terrain"]
    assert report(RawScan(points, faces), (points, faces)).thinner is None
    ball = kinds.ball(60)
    assert report(RawScan(ball[0], None, ball[0].astype(np.float32)), ball).thinner is None
    assert report(RawScan(*cap(0.6)), ball, "scan").thinner is None


def test_the_level_that_is_named_is_the_first_that_holds_the_wall() -> None:
    plate = RawScan(*kinds.box((1, 0.8, 1.7 * voxel_size(4) / 1.6), count=12))
    assert "Level 4 keeps it" in said_of_thinness(prepare(plate), 2)
    thinnest = RawScan(*kinds.box((1, 0.8, 0.2 * voxel_size(5) / 1.6), count=12))
    assert "finest level" in said_of_thinness(prepare(thinnest), 2)
    assert said_of_thinness(prepare(RawScan(*kinds.ball())), 2) == ""


def test_nothing_is_said_of_a_fit_that_keeps_everything(model: Model) -> None:
    found = fit(RawScan(*kinds.ball()), model, FitOptions(level=1)).report
    assert (found.kept, found.thinner, found.dropped, found.invented, found.notes) == (1.0, 0.0, 0.0, 0.0, ())


def test_the_sides_of_a_thin_wall_are_parted_evenly_and_others_stay() -> None:
    scan = prepare(RawScan(*kinds.box((1, 0.8, 0.005), count=24)))
    height = parted(scan, LEVEL)[0][np.abs(scan.normals[:, 2]) > 0.99, 2]
    assert np.abs(height) == pytest.approx(WIDTH * voxel_size(LEVEL) / 2, rel=0.03)
    ball = prepare(RawScan(*kinds.ball(12)))
    assert np.array_equal(parted(ball, LEVEL)[0], ball.points) and parted(ball, LEVEL)[1] == ""


@pytest.mark.parametrize("name", ["a thin leaf", "a thin plate"])
def test_a_thin_part_is_kept_whole(name: str, model: Model) -> None:
    found = fit(RawScan(*kinds.solids()[name]), model, FitOptions(level=2))
    assert label_faces(found.mesh.faces)[1] == 1 and found.report.kept > 0.99
    assert any("made 1.5 voxels thick" in note for note in found.report.notes)
