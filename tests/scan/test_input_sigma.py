"""A mesh that a fit made stays as unsure as it was, through files and when it is fitted again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh

from backend.edits.fitted_scan import FittedScan
from backend.errors import ErrorCode, OmomiError
from backend.field.fit import fit
from backend.field.onnx_model import Model
from backend.formats.mesh_files import load_scan, save_mesh
from backend.formats.raw_scan import RawScan
from backend.protocol.fit_options import FitOptions
from backend.protocol.requests import EditTarget
from backend.scan.prepare import Frame, InputSigma, prepare


def unseen(vertices: np.ndarray) -> np.ndarray:
    """The lid below half a ball at (5, 0, 0)."""
    return (vertices[:, 2] < 0.2) & (np.hypot(vertices[:, 0] - 5, vertices[:, 1]) < 0.6)


def half_ball(centre: tuple[float, float, float] = (0, 0, 0)) -> RawScan:
    """Seen from above only."""
    direction = np.random.default_rng(0).normal(size=(20_000, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    direction = direction[direction[:, 2] > -0.1]
    return RawScan(direction + np.array(centre), None, direction.astype(np.float32), None, "half a ball")


def test_a_completed_part_keeps_its_sigma_when_the_fit_is_fitted_again(model: Model) -> None:
    first = fit(half_ball((5, 0, 0)), model, FitOptions(level=1)).mesh
    alone = fit(RawScan(first.vertices, first.faces), model, FitOptions(level=1)).mesh
    again = fit(RawScan(first.vertices, first.faces, sigma=first.sigma), model, FitOptions(level=1)).mesh
    np.testing.assert_array_equal(again.vertices, alone.vertices)
    unsure = np.median(first.sigma[unseen(first.vertices)])
    assert np.median(alone.sigma[unseen(alone.vertices)]) < 0.5 * unsure
    assert np.median(again.sigma[unseen(again.vertices)]) > 0.8 * unsure
    assert (again.sigma >= alone.sigma).all()


def test_errors_add_in_quadrature(model: Model) -> None:
    scan = half_ball()
    alone = fit(scan, model, FitOptions(level=0)).mesh.sigma
    known = np.full(len(scan.points), 0.25, np.float32)
    given = fit(RawScan(scan.points, None, scan.normals, sigma=known), model, FitOptions(level=0)).mesh.sigma
    np.testing.assert_allclose(given, np.hypot(alone, 0.25), rtol=1e-4)


def test_sigma_changes_nothing_else_of_a_prepared_scan() -> None:
    scan = half_ball()
    plain, unsure = prepare(scan), prepare(RawScan(scan.points, None, scan.normals, sigma=np.ones(len(scan.points))))
    np.testing.assert_array_equal(plain.points, unsure.points)
    np.testing.assert_array_equal(plain.normals, unsure.normals)
    assert (plain.noise, plain.input_sigma) == (unsure.noise, None) and unsure.input_sigma is not None


def test_sigma_is_that_of_the_nearest_point_with_one_in_canonical_units() -> None:
    points = np.array([[0, 0, 0], [1, 0, 0], [2, 0, 0], [np.nan, 0, 0], [3, 0, 0]])
    raw = RawScan(points, sigma=np.array([0.5, np.nan, 1.0, 9.0, -1.0]))
    doubt = InputSigma.of(raw, Frame(np.zeros(3), 2.0))
    assert doubt is not None
    np.testing.assert_allclose(doubt.at(np.array([[0.1, 0, 0], [1.0, 0, 0], [9.0, 0, 0]], np.float32)), [1, 1, 2])


@pytest.mark.parametrize("sigma", [np.full(3, np.nan), np.full(3, np.inf), np.full(3, 1e300), np.full(3, -1.0)])
def test_a_scan_whose_sigma_is_not_a_number_has_none(sigma: np.ndarray) -> None:
    assert InputSigma.of(RawScan(np.eye(3), sigma=sigma), Frame(np.zeros(3), 1.0)) is None


@pytest.mark.parametrize("sigma", [np.ones(2), np.ones((3, 1)), np.array(["a", "b", "c"]), 1.0])
def test_sigma_is_one_number_for_each_point(sigma: object) -> None:
    with pytest.raises(OmomiError) as refused:
        RawScan(np.eye(3), sigma=sigma)  # type: ignore[arg-type]
    assert refused.value.code is ErrorCode.NOT_A_MESH


@pytest.mark.parametrize("suffix", [".ply", ".npz"])
def test_files_keep_it(tmp_path: Path, suffix: str) -> None:
    sigma = np.array([0.1, 0.2, 0.3], np.float32)
    save_mesh(tmp_path / f"mesh{suffix}", np.eye(3), [[0, 1, 2]], sigma)
    kept = load_scan(tmp_path / f"mesh{suffix}").sigma
    assert kept is not None
    np.testing.assert_array_equal(kept, sigma)
    save_mesh(tmp_path / f"bare{suffix}", np.eye(3), [[0, 1, 2]])
    assert load_scan(tmp_path / f"bare{suffix}").sigma is None


def test_values_of_a_body_are_told_at_the_points_of_the_scan_even_where_some_are_not_finite(model: Model) -> None:
    points = np.concatenate([half_ball().points, [[np.nan, 0, 0]]])
    raw = RawScan(points)
    scan = prepare(raw)
    subject = FittedScan(raw, scan, fit(scan, model, FitOptions(level=1)))
    shell = subject.mesh(EditTarget.FIT)
    height = subject.scan.frame.to_world(shell.vertices)[:, 2].astype(np.float32)
    told = subject.on_scan(shell, height)
    assert np.isnan(told[-1]) and told.shape == (len(points),)
    # a voxel at level 1 is 2 / 51 wide
    assert np.abs(told[:-1] - points[:-1, 2]).max() < 2 * 2 / 51


def test_the_own_mesh_of_a_scan_is_as_unsure_as_it_says() -> None:
    ball = trimesh.creation.icosphere(3, 2.0)
    sigma = np.linspace(0, 1, len(ball.vertices), dtype=np.float32)
    sigma[7] = np.nan
    raw = RawScan(ball.vertices, ball.faces, sigma=sigma)
    subject = FittedScan(raw, prepare(raw))
    found = subject.mesh(EditTarget.SCAN).sigma / subject.scan.frame.scale
    np.testing.assert_allclose(found, np.nan_to_num(sigma), rtol=1e-6)
    assert not FittedScan(RawScan(ball.vertices, ball.faces), prepare(raw)).mesh(EditTarget.SCAN).sigma.any()
