"""Sheets that are given a thickness."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from backend.errors import ErrorCode, OmomiError
from backend.field.fit import fit
from backend.field.onnx_model import Model, load_model
from backend.field.shell import shell
from backend.formats.raw_scan import RawScan
from backend.geometry.normals import face_normals
from backend.geometry.topology import edge_report
from backend.protocol.fit_options import FitOptions
from tests import input_kinds as kinds


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model("cpu", 1)


def sheet(name: str) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    points, faces = kinds.sheets()[name]
    return np.asarray(points, np.float32), np.asarray(faces, np.int32)


def shell_of(points: NDArray, faces: NDArray, thickness: float, level: int = 1) -> tuple[NDArray, NDArray]:
    return shell(points, faces, np.zeros(len(points), np.float32), thickness, level)[:2]


@pytest.mark.parametrize("voxels", [1.0, 1.4, 2.0, 5.0, 40.0])
def test_the_shell_of_a_tilted_disc_is_closed_and_as_thick_as_asked_at_any_level_that_holds_it(voxels: float) -> None:
    turn = np.linspace(0, 2 * np.pi, 65)[:-1]
    ring = 0.5 * np.stack([np.cos(turn), np.sin(turn), 0 * turn], axis=1)
    tilt = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    points = (np.concatenate([np.zeros((1, 3)), ring]) @ tilt).astype(np.float32)
    # small faces, as those of a fit
    faces = np.stack([np.zeros(64, int), np.arange(1, 65), np.arange(1, 65) % 64 + 1], axis=1)
    for _ in range(3):
        points, faces = quartered(points, faces)
    thickness = voxels / 32
    made, closed = shell_of(points, faces, thickness)
    report = edge_report(closed)
    wanted = np.pi * 0.25 * thickness + np.pi**2 * 0.5 * thickness**2 / 4 + np.pi * thickness**3 / 6
    assert report.closed and report.edge_manifold and volume(made, closed) == pytest.approx(wanted, rel=0.03)


def volume(points: NDArray, faces: NDArray) -> float:
    a, b, c = np.asarray(points, np.float64)[faces].transpose(1, 0, 2)
    return float((a * np.cross(b, c)).sum() / 6)


def quartered(points: NDArray, faces: NDArray) -> tuple[NDArray, NDArray]:
    edges = np.sort(np.stack([faces, np.roll(faces, -1, axis=1)], axis=-1).reshape(-1, 2), axis=1)
    unique, index = np.unique(edges, axis=0, return_inverse=True)
    a, b, c = faces.T
    ab, bc, ca = (index.reshape(-1, 3) + len(points)).T
    return np.concatenate([points, points[unique].mean(axis=1)]), np.concatenate(
        [np.stack(corners, axis=1) for corners in ((a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca))]
    )


@pytest.mark.parametrize("name", ["a leaf", "panels that face both ways"])
def test_a_sheet_of_any_facing_becomes_a_closed_solid_around_it(name: str, model: Model) -> None:
    raw = RawScan(*kinds.sheets()[name])
    thickness = 0.04 * float(np.ptp(raw.points, axis=0).max())
    plain = fit(raw, model, FitOptions(level=1)).mesh
    found = fit(raw, model, FitOptions(level=1, thickness=thickness))
    thick = found.mesh
    assert edge_report(thick.faces).closed
    middle = raw.points.mean(axis=0)
    area = float(np.linalg.norm(face_normals(plain.vertices - middle, plain.faces), axis=1).sum() / 2)
    assert 0.95 < volume(thick.vertices - middle, thick.faces) / (area * thickness) < 1.2
    # what is kept is counted of the sheet, not of its sides
    assert found.report.kept > 0.97


def test_a_thickness_below_a_voxel_names_the_level_that_holds_it(model: Model) -> None:
    raw = RawScan(*kinds.sheets()["a leaf"])
    size = float(np.ptp(raw.points, axis=0).max())
    for share, said in ((0.008, "level 3 would do"), (1e-4, "than one of the finest level"), (0.5, "can be up to")):
        with pytest.raises(OmomiError, match=said) as caught:
            fit(raw, model, FitOptions(level=1, thickness=share * size))
        assert caught.value.code == ErrorCode.BAD_OPTION


def test_what_is_no_sheet_is_left_as_it_is_and_that_is_said(model: Model) -> None:
    raw = RawScan(*kinds.ball())
    plain, asked = (fit(raw, model, FitOptions(level=0, thickness=t)) for t in (0.0, 0.1))
    assert np.array_equal(plain.mesh.vertices, asked.mesh.vertices)
    assert asked.report.notes == (*plain.report.notes, "It is no sheet: no thickness was given to it.")
