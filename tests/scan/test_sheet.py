"""A sheet's part of a closed surface around it."""

from __future__ import annotations

import numpy as np
import pytest

from backend.formats.raw_scan import RawScan
from backend.geometry.normals import normals_of
from backend.geometry.topology import edge_report, label_faces
from backend.scan.prepare import prepare
from backend.scan.sheet import Sheet, SheetBorder
from tests import input_kinds as kinds

VOXEL = 2 / 128


def sheet_of(mesh: kinds.Mesh) -> Sheet:
    points, faces = mesh
    normals = normals_of(points, faces)
    return Sheet(points.astype(np.float32), normals.astype(np.float32), SheetBorder.of(points, faces, normals))


def flat(count: int = 81) -> kinds.Mesh:
    return kinds.moved(kinds.grid(lambda x, y: 0 * x, count), (-0.5, -0.5, 0))


def slab() -> kinds.Mesh:
    """Closed, wider than the sheet, with its upper side on it."""
    wide = kinds.moved(kinds.grid(lambda x, y: 0 * x, 101), (-0.5, -0.5, 0))
    return kinds.thick(kinds.moved(wide, scale=(1.3, 1.3, 1)), 0.06)


def test_the_front_stays_up_to_the_border_and_the_back_goes() -> None:
    points, faces = slab()
    vertices, found, sigma, *_ = sheet_of(flat()).cut(points, faces, np.linspace(1, 2, len(points)), VOXEL)
    report = edge_report(found)
    assert (report.boundary_loops, label_faces(found)[1], report.edge_manifold) == (1, 1, True)
    assert np.abs(vertices[:, 2]).max() < 1e-6
    edge = np.abs(vertices[:, :2]).max()
    assert abs(edge - 0.5) < VOXEL / 4
    assert len(sigma) == len(vertices) and sigma.min() >= 1 and sigma.max() <= 2


def test_holes_inside_the_border_are_closed() -> None:
    holed = kinds.holes(kinds.moved(flat(), (0.5, 0.5, 0)), 0.1, (0.3, 0.4), (0.7, 0.6))
    sheet = sheet_of(kinds.moved(holed, (-0.5, -0.5, 0)))
    assert (sheet.border.reach > 0).any() and (sheet.border.reach == 0).any()
    _, found, *_ = sheet.cut(*slab(), np.ones(len(slab()[0])), VOXEL)
    assert edge_report(found).boundary_loops == 1


def test_bare_points_end_where_none_lies_beyond_and_their_gaps_are_closed() -> None:
    points = np.zeros((9000, 3), np.float32)
    points[:, :2] = np.random.default_rng(0).uniform(-0.5, 0.5, (9000, 2))
    points = points[np.abs(points[:, :2] - [0.1, 0.1]).max(axis=1) > 0.03]
    up = np.tile(np.array([0, 0, 1], np.float32), (len(points), 1))
    mesh = slab()
    vertices, found, *_ = Sheet(points, up, SheetBorder.none()).cut(*mesh, np.ones(len(mesh[0])), VOXEL)
    assert edge_report(found).boundary_loops == 1
    # without a rule of its own a border lay 2.5 voxels beyond
    beyond = np.abs(vertices[:, :2]).max(axis=1) - 0.5
    assert beyond.max() < 1.7 * VOXEL and np.quantile(beyond, 0.99) > 0.2 * VOXEL


def test_places_along_a_border_point_away_from_the_sheet() -> None:
    border = SheetBorder.of(*flat(), normals_of(*flat()))
    assert np.allclose(np.abs(border.places[:, :2]).max(axis=1), 0.5)
    assert ((border.places + 0.01 * border.outward)[:, :2].__abs__().max(axis=1) > 0.505).all()


def test_panels_that_meet_have_no_border_between_them() -> None:
    left = kinds.moved(flat(41), (-0.5, 0, 0), (1, 1, 1))
    right = kinds.moved(flat(41), (0.5, 0, 0), (1, 1, 1))
    sheet = sheet_of(kinds.moved(kinds.joined(left, right), scale=0.5))
    _, found, *_ = sheet.cut(*slab(), np.ones(len(slab()[0])), VOXEL)
    assert edge_report(found).boundary_loops == 1 and label_faces(found)[1] == 1


def test_panels_are_turned_to_the_side_that_is_seen() -> None:
    found = prepare(RawScan(*kinds.panels()))
    assert found.report.kind == "sheet"
    outward = (found.points / np.array([2, 0.9, 0.6], np.float32) ** 2 * found.normals).sum(axis=1)
    assert (outward > 0).mean() > 0.99


def test_of_a_thin_closed_shell_the_outer_side_counts() -> None:
    radii = np.array([1, 0.8, 0.7])
    shell = kinds.sheets()["a generated shell"]
    found = prepare(RawScan(*shell))
    outward = (found.points / radii.astype(np.float32) ** 2 * found.normals).sum(axis=1)
    assert (outward > 0).mean() > 0.97
    assert 0.3 < found.report.dropped_inner / (found.report.dropped_inner + len(found.points)) < 0.6
    assert found.sheet is not None and len(found.sheet.border.places)


@pytest.mark.parametrize(("radius", "loops"), [(3.2, 1), (7.0, 2)])
def test_gaps_of_the_cut_smaller_than_a_crumb_are_closed_and_larger_ones_stay(radius: float, loops: int) -> None:
    voxel = 1 / 40
    plane, faces = kinds.grid(lambda x, y: 0 * x, 81)
    kept = np.linalg.norm(plane[:, :2] - 0.5, axis=1) > radius * voxel
    up = np.tile(np.array([0, 0, 1], np.float32), (len(plane), 1))
    sheet = Sheet(plane[kept].astype(np.float32), up[kept], SheetBorder.none())
    wound = faces if np.cross(*(plane[faces[0, 1:]] - plane[faces[0, 0]]))[2] > 0 else faces[:, ::-1]
    found = sheet.cut(plane, wound, np.zeros(len(plane)), voxel)
    assert edge_report(found[1]).boundary_loops == loops
