"""What nothing else completes is a fair surface, as the network connects it: not ragged, and as unsure as it is far."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import KDTree

from backend.edits.regions import fit_masks
from backend.field.bricks import Level
from backend.field.fit import Fit, fit
from backend.field.onnx_model import Model
from backend.field.paint import Weights
from backend.formats.raw_scan import RawScan
from backend.geometry.normals import unit_normals
from backend.prior.completion import completed_fit
from backend.prior.faired_surface import BASIS, DEEP, KNOWN, SOURCE, faired_prior
from backend.protocol.fit_options import FitOptions, MaskRef
from backend.scan.prepare import PreparedScan, prepare

PLAIN = FitOptions(level=2, symmetry=False, base=False, walls=False)


def block(seen: Callable[[np.ndarray], np.ndarray], seed: int = 0, count: int = 30_000) -> PreparedScan:
    """Noisy points of a block of 2 x 1.4 x 0.8, those alone that are seen."""
    rng = np.random.default_rng(seed)
    size = np.array([2.0, 1.4, 0.8])
    axis = rng.choice(3, count, p=(1 / size) / (1 / size).sum())
    side = rng.choice([-1.0, 1.0], count)
    points = rng.uniform(-1, 1, (count, 3))
    points[np.arange(count), axis] = side
    normals = np.zeros((count, 3))
    normals[np.arange(count), axis] = side
    points = points * size / 2 + rng.normal(0, 0.003, (count, 1)) * normals
    kept = seen(points)
    return prepare(RawScan(points[kept], None, normals[kept].astype(np.float32), None, "block"), "scan")


@pytest.fixture(scope="module")
def above() -> PreparedScan:
    """A block whose lower half no view saw."""
    return block(lambda points: points[:, 2] > -0.05)


@pytest.fixture(scope="module")
def level(above: PreparedScan, model: Model) -> Level:
    """`BASIS` of its fit."""
    field = fit(above, model, FitOptions(level=BASIS)).field
    assert field is not None
    return field.levels[BASIS]


@pytest.fixture(scope="module")
def watched(above: PreparedScan, model: Model) -> tuple[Fit, list[int]]:
    """The completed fit of the block, and the levels of its frames."""
    frames: list[int] = []
    return completed_fit(above, model, PLAIN, on_frame=lambda mesh: frames.append(mesh.level)), frames


def roughness(found: Fit, scan: PreparedScan) -> float:
    """Mean angle, degrees, between neighbouring faces where nothing was measured."""
    vertices, faces = np.asarray(found.mesh.vertices, np.float64), found.mesh.faces
    normals, _ = unit_normals(vertices[faces])
    far = scan.tree.query(scan.frame.to_canonical(vertices[faces].mean(axis=1)))[0] > 2 * KNOWN
    ends = np.sort(np.concatenate([faces[:, [k, (k + 1) % 3]] for k in range(3)]), axis=1)
    order = np.lexsort(ends.T)
    one, two = (np.tile(np.arange(len(faces)), 3)[order[k::2]] for k in (0, 1))
    both = far[one] & far[two]
    cosine = np.einsum("na,na->n", normals[one[both]], normals[two[both]])
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))).mean())


def test_the_unseen_half_of_a_block_is_fair_and_says_so(
    model: Model, above: PreparedScan, watched: tuple[Fit, list[int]]
) -> None:
    fair, network = watched[0], fit(above, model, PLAIN)
    assert roughness(fair, above) < 0.6 * roughness(network, above)
    assert fair.stats.guess == SOURCE and network.stats.guess == ""
    # what was measured is as it was
    seen = network.mesh.vertices[network.mesh.vertices[:, 2] > 0.1]
    assert np.quantile(KDTree(fair.mesh.vertices).query(seen)[0], 0.99) < 0.02


def test_points_lie_far_from_what_is_known_face_out_and_are_less_sure_there(above: PreparedScan, level: Level) -> None:
    found = faired_prior(above, level, None)
    assert found is not None
    away = above.tree.query(found.points)[0]
    assert away.max() > DEEP
    assert np.corrcoef(away, found.sigma)[0, 1] > 0.99 and (found.sigma >= above.noise).all()
    down = found.points[:, 2] < np.quantile(found.points[:, 2], 0.2)
    assert np.mean(found.normals[down, 2]) < -0.5
    assert np.linalg.norm(found.normals, axis=1) == pytest.approx(1, abs=1e-5)


def test_where_all_was_seen_or_gaps_are_narrow_there_is_none(model: Model) -> None:
    for seen in (lambda points: points[:, 2] > -9, lambda points: np.abs(points[:, 0]) > DEEP / 2):
        scan = block(seen)
        field = fit(scan, model, FitOptions(level=BASIS)).field
        assert field is not None and faired_prior(scan, field.levels[BASIS], None) is None


def test_what_something_else_completes_is_left_to_it(above: PreparedScan, level: Level) -> None:
    whole = faired_prior(above, level, None, fill=1.0)
    assert whole is not None
    assert faired_prior(above, level, whole) is None
    half = faired_prior(above, level, whole.take(whole.points[:, 0] > 0))
    assert half is not None and half.points[:, 0].max() < 0.1 and len(half) < 0.7 * len(whole)


def test_hole_filling_that_is_asked_for_is_the_networks(above: PreparedScan, level: Level) -> None:
    whole = [faired_prior(above, level, None, fill) for fill in (0.0, 0.2, -1.0, 1.0)]
    assert all(part is not None for part in whole)
    fair, little, less, more = (part.points for part in whole if part is not None)
    network = fit_surface(level)
    off = [float(network.query(points)[0].mean()) for points in (fair, little, less, more)]
    assert off[2] == off[3] < 0.5 * off[0]
    assert np.abs(little - fair).max() < 0.1 * np.abs(more - fair).max()


def fit_surface(level: Level) -> KDTree:
    """Middles of the faces of a level's surface, canonical."""
    from backend.field.isosurface import extract

    surface = extract(level.grid, sides=level.bricks)
    return KDTree((surface.vertices[surface.faces].mean(axis=1) + 0.5) * level.voxel - 1)


def test_the_progress_never_falls_although_levels_are_fitted_again(model: Model, above: PreparedScan) -> None:
    shares: list[float] = []
    completed_fit(above, model, PLAIN, on_progress=lambda done, text: shares.append(done))
    assert len(shares) > 5 and shares == sorted(shares) and shares[-1] == 1.0


def test_where_hole_filling_is_painted_nothing_is_fair(above: PreparedScan, level: Level) -> None:
    class Left(Weights):
        def touches(self, centres: np.ndarray, reach: float) -> np.ndarray:
            return centres[:, 0] < reach

        def at(self, points: np.ndarray) -> np.ndarray:
            return (points[:, 0] < 0).astype(np.float32)

    whole, part = (faired_prior(above, level, None, painted=mask) for mask in (None, Left()))
    assert whole is not None and part is not None
    assert np.array_equal(part.points, whole.points[whole.points[:, 0] >= 0])


def test_painted_hole_filling_still_fills(model: Model, above: PreparedScan, watched: tuple[Fit, list[int]]) -> None:
    raw = RawScan(above.frame.to_world(above.points), None, above.normals, None, "block")
    options = replace(PLAIN, fill=1.0).masked({"fill": MaskRef("sphere", centre=(0.0, 0.0, -1.2), radius=1.5)})
    found = completed_fit(above, model, options, masks=fit_masks(raw, above, options, None))
    assert KDTree(watched[0].mesh.vertices).query(found.mesh.vertices)[0].max() > 0.1


def test_coarser_frames_do_not_follow_finer_ones(
    model: Model, above: PreparedScan, watched: tuple[Fit, list[int]]
) -> None:
    found, frames = watched
    assert frames == sorted(frames) and frames[-1] == 2 and len(frames) <= 4
    assert [row["level"] for row in found.stats.levels] == [0, 1, 2]
    assert np.array_equal(found.mesh.vertices, completed_fit(above, model, PLAIN).mesh.vertices)


def test_other_completions_are_the_networks(model: Model, above: PreparedScan) -> None:
    found = completed_fit(above, model, replace(PLAIN, variation=3))
    assert found.stats.guess == ""
