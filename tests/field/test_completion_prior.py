"""A completion counts where nothing was measured; sigma is never below its own, and measured surface stays."""

from __future__ import annotations

import numpy as np
import pytest

from backend.field.bricks import Level
from backend.field.completion_prior import LEAST_CLEARANCE, CompletionPoints, CompletionPrior
from backend.field.fit import FittedMesh, fit
from backend.field.onnx_model import Model
from backend.formats.raw_scan import RawScan
from backend.protocol.fit_options import FitOptions
from backend.scan.prepare import PreparedScan, prepare

LID = 0.7
"""The sphere is seen below this height."""


def directions(count: int = 20_000) -> np.ndarray:
    rng = np.random.default_rng(0)
    found = rng.normal(size=(count, 3))
    return found / np.linalg.norm(found, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def scan() -> PreparedScan:
    seen = directions()[directions()[:, 2] < LID]
    return prepare(RawScan(seen, None, seen.astype(np.float32), None, "bowl"))


def cap(scan: PreparedScan, height: float = 1.0, sigma: float = 0.02) -> CompletionPrior:
    """The unseen cap, moved up or down to ``height`` at its top."""
    cut = directions()[directions()[:, 2] > LID - 0.1]
    growth = (height - LID) / (1 - LID)
    moved = np.column_stack([cut[:, :2], LID + (cut[:, 2] - LID) * growth])
    # normals of a surface that grows along z shrink there
    normals = cut / [1, 1, growth]
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    points, sure = scan.frame.to_canonical(moved), np.full(len(cut), sigma, np.float32)
    return CompletionPrior(points, normals.astype(np.float32), sure, "a cap")


@pytest.fixture(scope="module")
def plain(model: Model, scan: PreparedScan) -> FittedMesh:
    """Fitted without a prior."""
    fitted = fit(scan, model, FitOptions(level=1))
    assert fitted.stats.guess == ""
    return fitted.mesh


@pytest.fixture(scope="module")
def raised(model: Model, scan: PreparedScan) -> FittedMesh:
    """Fitted with a prior that lies above where the sphere would be."""
    return fit(scan, model, FitOptions(level=1), completion=cap(scan, 1.1)).mesh


@pytest.fixture(scope="module")
def capped(model: Model, scan: PreparedScan) -> FittedMesh:
    """Fitted with a prior that was there from the beginning."""
    return fit(scan, model, FitOptions(level=1), completion=cap(scan)).mesh


def test_without_a_completion_nothing_changes(model: Model, scan: PreparedScan, plain: FittedMesh) -> None:
    asked: list[int | None] = []

    def silent(_: PreparedScan, level: Level | None) -> None:
        asked.append(None if level is None else level.number)

    nothing = cap(scan).take(np.zeros(0, int))
    for prior in (silent, nothing):
        other = fit(scan, model, FitOptions(level=1), completion=prior).mesh
        assert np.array_equal(plain.vertices, other.vertices)
        assert np.array_equal(plain.faces, other.faces)
        assert np.array_equal(plain.sigma, other.sigma)
    assert asked == [None, 0]


def test_the_surface_follows_the_completion_where_nothing_was_measured(
    model: Model, scan: PreparedScan, raised: FittedMesh
) -> None:
    def top(points: np.ndarray) -> float:
        return float(points[(np.hypot(*points.T[:2]) < 0.1) & (points[:, 2] > 0), 2].mean())

    lowered = fit(scan, model, FitOptions(level=1), completion=cap(scan, 0.9))
    assert lowered.stats.guess == "a cap"
    # the two differ by about two voxels at the top
    for height, mesh in ((0.9, lowered.mesh), (1.1, raised)):
        assert top(mesh.vertices) == pytest.approx(top(scan.frame.to_world(cap(scan, height).points)), abs=0.02)


def test_measured_surface_is_not_moved(plain: FittedMesh, raised: FittedMesh) -> None:
    for mesh in (raised, plain):
        measured = mesh.vertices[mesh.vertices[:, 2] < LID - 0.1]
        assert np.abs(np.linalg.norm(measured, axis=1) - 1).max() < 0.03


def test_a_completion_on_measured_surface_does_not_count(model: Model, scan: PreparedScan, plain: FittedMesh) -> None:
    points = scan.points[::3]
    wrong = CompletionPrior(
        points + np.float32(0.01), -scan.normals[::3], np.full(len(points), 0.1, np.float32), "nonsense"
    )
    said = fit(scan, model, FitOptions(level=1), completion=wrong).mesh
    assert np.array_equal(said.vertices, plain.vertices) and np.array_equal(said.sigma, plain.sigma)


def test_sigma_is_never_below_that_of_the_completion(model: Model, scan: PreparedScan) -> None:
    mesh = fit(scan, model, FitOptions(level=1), completion=cap(scan, sigma=0.2)).mesh
    guessed = mesh.vertices[:, 2] > LID + 0.1
    assert guessed.any()
    assert (mesh.sigma[guessed] * scan.frame.scale >= 0.2 - 1e-6).all()
    assert np.median(mesh.sigma[mesh.vertices[:, 2] < LID - 0.1]) < 0.01


def test_what_is_known_before_level_0_is_fitted_once(model: Model, scan: PreparedScan, capped: FittedMesh) -> None:
    frames: list[FittedMesh] = []
    asked = fit(
        scan, model, FitOptions(level=1), on_frame=frames.append,
        completion=lambda prepared, level: cap(scan) if level is None else None,
    )  # fmt: skip
    assert [frame.level for frame in frames] == [0, 1]
    assert np.array_equal(asked.mesh.vertices, capped.vertices)


def test_a_completer_that_knows_more_after_level_0_has_it_fitted_again(
    model: Model, scan: PreparedScan, capped: FittedMesh
) -> None:
    frames: list[FittedMesh] = []
    seen_before_asking: list[int] = []

    def completer(prepared: PreparedScan, level: Level | None) -> CompletionPrior | None:
        assert prepared is scan
        if level is None:
            return None
        assert level.number == 0
        seen_before_asking.append(len(frames))
        return cap(scan)

    asked = fit(scan, model, FitOptions(level=1), completion=completer, on_frame=frames.append)
    assert seen_before_asking == [1]
    assert [frame.level for frame in frames] == [0, 0, 1]
    assert [row["level"] for row in asked.stats.levels] == [0, 1]
    assert np.array_equal(asked.mesh.vertices, capped.vertices)


def test_a_completer_is_asked_after_level_1_too_and_no_coarser_frame_follows(model: Model, scan: PreparedScan) -> None:
    frames: list[FittedMesh] = []
    asked: list[int | None] = []

    def completer(prepared: PreparedScan, level: Level | None) -> CompletionPrior | None:
        asked.append(None if level is None else level.number)
        return cap(scan) if asked[-1] == 1 else None

    found = fit(scan, model, FitOptions(level=2), completion=completer, on_frame=frames.append)
    assert asked == [None, 0, 1]
    assert [frame.level for frame in frames] == [0, 1, 1, 2] and found.stats.guess == "a cap"
    assert [row["level"] for row in found.stats.levels] == [0, 1, 2]
    known_at_once = fit(scan, model, FitOptions(level=2), completion=cap(scan))
    assert np.array_equal(found.mesh.vertices, known_at_once.mesh.vertices)


def test_a_fit_that_ends_at_level_0_asks_once(model: Model, scan: PreparedScan) -> None:
    def completer(prepared: PreparedScan, level: Level | None) -> None:
        assert level is None

    assert fit(scan, model, FitOptions(level=0), completion=completer).mesh.final


def test_points_near_the_scan_are_left_out_and_more_of_them_on_coarse_levels(scan: PreparedScan) -> None:
    added = CompletionPoints.beside(cap(scan), scan.points)
    counts = [len(added.at(2 / resolution)) for resolution in (32, 64, 128, 256, 512)]
    assert counts == sorted(counts) and 0 < counts[0] < counts[2]
    assert counts[2] <= counts[3] == counts[4] == len(added.prior) < len(cap(scan))
    away = np.linalg.norm(added.prior.points[:, None] - scan.points[::50], axis=2)
    assert away.min() >= LEAST_CLEARANCE
