"""Which pieces of a surface stay: those with evidence, however small, and none without, however large."""

from __future__ import annotations

import numpy as np
import pytest

from backend.errors import ErrorCode, OmomiError
from backend.field.bricks import BRICK, voxel_size
from backend.field.fit import Fit, fit
from backend.field.onnx_model import Model
from backend.field.pieces import kept_faces
from backend.field.recursion import ScanEvidence
from backend.formats.raw_scan import RawScan
from backend.geometry.topology import betti_of_mesh, edge_report, label_faces
from backend.protocol.fit_options import FitOptions
from backend.scan.solid import Interior
from tests import input_kinds as kinds


def fitted(mesh: kinds.Mesh, model: Model, **options: object) -> Fit:
    return fit(RawScan(*mesh), model, FitOptions(**{"level": 1, **options}))  # type: ignore[arg-type]


def parts(*radii: float) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    balls = [kinds.ball(16, radius, (-0.6 + 0.6 * k, 0, 0)) for k, radius in enumerate(radii)]
    points, faces = kinds.joined(*balls)
    return points.astype(np.float32), faces.astype(np.int32), [ball[0].astype(np.float32) for ball in balls]


def test_a_large_piece_without_evidence_goes() -> None:
    vertices, faces, (_, second, third) = parts(0.28, 0.1, 0.12)
    kept = kept_faces(vertices, faces, np.concatenate([second, third]), False)[0]
    assert label_faces(kept)[1] == 2 and kept.min() >= len(vertices) // 3


def test_the_largest_alone_is_the_largest_of_those_with_evidence() -> None:
    vertices, faces, (_, second, third) = parts(0.28, 0.1, 0.12)
    kept = kept_faces(vertices, faces, np.concatenate([second, third]), True)[0]
    assert label_faces(kept)[1] == 1 and kept.min() >= 2 * (len(vertices) // 3)


def test_the_piece_with_most_points_stays_even_where_most_of_it_is_unseen() -> None:
    vertices, faces, (first, _, _) = parts(0.28, 0.1, 0.12)
    seen = first[first[:, 0] < -0.8]
    assert 0 < len(seen) < 0.3 * len(first)
    assert label_faces(kept_faces(vertices, faces, seen, False)[0])[1] == 1


def test_crumbs_of_a_scan_go_and_small_parts_of_a_solid_stay() -> None:
    vertices, faces, points = parts(0.28, 0.02, 0.02)
    known = np.concatenate(points)
    assert label_faces(kept_faces(vertices, faces, known, False)[0])[1] == 1
    assert label_faces(kept_faces(vertices, faces, known, False, 0.0)[0])[1] == 3


def test_the_interior_decides_only_far_from_points_and_only_where_the_field_is_wrong() -> None:
    points, faces = kinds.ball(48, 0.5)
    evidence = ScanEvidence(
        points.astype(np.float32), points.astype(np.float32), 0.0, 0.0, None, Interior.of(points, faces)
    )
    number = 1
    coords = np.argwhere(np.ones((8, 8, 8), bool)).astype(np.int32)
    inner = np.stack(np.meshgrid(*[np.arange(BRICK) + 0.5] * 3, indexing="ij"), -1)
    place = (coords[:, None, None, None] * BRICK + inner) * voxel_size(number) - 1
    radius = np.linalg.norm(place, axis=-1)
    for wrong in (-2.0, 2.0):
        field = np.full((len(coords), 2, BRICK, BRICK, BRICK), wrong, np.float32)
        mean = evidence.sided(field.copy(), coords, number)[:, 0]
        far = np.abs(radius - 0.5) > 2.2 * voxel_size(number)
        near = np.abs(radius - 0.5) < 1.5 * voxel_size(number)
        assert np.array_equal(mean[far] < 0, radius[far] < 0.5)
        assert (mean[near] == wrong).all()
        assert (mean[(mean < 0) == (wrong < 0)] == wrong).all()


def test_nothing_grows_between_two_bodies_far_apart(model: Model) -> None:
    found = fitted(kinds.joined(kinds.ball(), kinds.ball(24, 1.0, (20, 0, 0))), model, level=2)
    assert label_faces(found.mesh.faces)[1] == 2
    middle = found.mesh.vertices[:, 0]
    assert not ((middle > 2) & (middle < 18)).any()


def test_parts_that_overlap_become_one_body_without_anything_inside(model: Model) -> None:
    found = fitted(kinds.solids()["balls that overlap"], model)
    assert betti_of_mesh(found.mesh.vertices, found.mesh.faces) == (1, 0, 0)
    assert found.report.dropped_inner > 100


def test_a_sheet_comes_back_open_with_its_holes_closed(model: Model) -> None:
    points, faces = kinds.sheets()["terrain with holes"]
    found = fitted((points, faces), model, level=2)
    report = edge_report(found.mesh.faces)
    assert (found.report.kind, report.boundary_loops, label_faces(found.mesh.faces)[1]) == ("sheet", 1, 1)
    off = np.abs(found.mesh.vertices[:, 2] - kinds.hills(*found.mesh.vertices[:, :2].T))
    assert np.quantile(off, 0.95) < 0.02
    low, high = found.mesh.vertices.min(axis=0), found.mesh.vertices.max(axis=0)
    assert np.abs(low[:2]).max() < 0.01 and np.abs(high[:2] - 1).max() < 0.01


def test_a_sheet_keeps_its_place_far_from_the_origin(model: Model) -> None:
    near = fitted(kinds.sheets()["terrain"], model).mesh
    far = fitted(kinds.sheets()["terrain far from the origin"], model).mesh
    assert edge_report(far.faces).boundary_loops == 1
    assert (
        np.abs((far.vertices - [512345.0, 4501234.0, 812.0]).max(axis=0) / 80 - near.vertices.max(axis=0)).max() < 0.01
    )


def test_a_fit_given_again_is_fitted_again(model: Model) -> None:
    first = fitted(kinds.without(kinds.bumpy(40), lambda middle: middle[:, 2] < -0.6), model).mesh
    again = fit(RawScan(first.vertices, first.faces, sigma=first.sigma), model, FitOptions(level=1))
    assert again.report.kind == "solid" and again.report.kept > 0.99
    assert np.ptp(again.mesh.vertices, axis=0) == pytest.approx(np.ptp(first.vertices, axis=0), rel=0.05)
    # what was guessed stays unsure
    low = again.mesh.vertices[:, 2] < -0.75
    assert low.any() and np.median(again.mesh.sigma[low]) > 2 * np.median(again.mesh.sigma[~low])


def test_what_is_thinner_than_a_voxel_is_counted_and_a_finer_level_named(model: Model) -> None:
    found = fitted(kinds.solids()["a thin leaf"], model, level=2, keep_thin=False).report
    assert found.kept < 0.9
    assert any("thinner than a voxel of level 2. Level 4 keeps it." in note for note in found.notes)


def test_where_nothing_is_left_the_error_names_a_finer_level(model: Model) -> None:
    with pytest.raises(OmomiError) as caught:
        fitted(kinds.solids()["a thin plate"], model, level=1, keep_thin=False)
    assert caught.value.code == ErrorCode.NO_SURFACE and "Level 3 keeps it" in caught.value.message
