"""The axis of a turned thing is found in partial scans, and no axis where a thing is not turned."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation

from backend.field.onnx_model import CancelToken, Model
from backend.field.recursion import ScanEvidence, recursion
from backend.formats.raw_scan import RawScan
from backend.prior.completion import completed_fit
from backend.prior.revolution import Revolution, revolution
from backend.prior.symmetry import SymmetryScorer
from backend.prior.symmetry_completion import accepted_axis, lies_on_its_side
from backend.protocol.fit_options import FitOptions
from backend.scan.prepare import PreparedScan, prepare

NOISE = 0.004
Shape = tuple[np.ndarray, np.ndarray]  # points and unit normals (n, 3)


def vase(oblate: float = 1.0, corners: int = 0, count: int = 20_000) -> Shape:
    """A closed vase about z. oblate: its width along y. corners: of its cross section, smooth ones; 0 for a circle."""
    rng = np.random.default_rng(0)
    angle, height = rng.uniform(0, 2 * np.pi, count), rng.uniform(-0.8, 0.8, count)

    def radius(angle: np.ndarray, height: np.ndarray) -> np.ndarray:
        round_one = 0.3 + 0.12 * np.sin(4 * height) + 0.08 * height
        return round_one * (1 + (0.12 * np.cos(corners * angle) if corners else 0))

    def place(angle: np.ndarray, height: np.ndarray) -> np.ndarray:
        out = radius(angle, height)
        return np.stack([out * np.cos(angle), oblate * out * np.sin(angle), height], axis=1)

    step = 1e-4
    along = place(angle + step, height) - place(angle - step, height)
    up = place(angle, height + step) - place(angle, height - step)
    normals = np.cross(along, up)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    lids = [(place(angle, np.full(count, end)) * np.sqrt(rng.uniform(0, 1, (count, 1)))) for end in (-0.8, 0.8)]
    few = slice(None, None, 6)
    points = [place(angle, height)]
    for end, lid in zip((-0.8, 0.8), lids, strict=True):
        lid[:, 2] = end
        points.append(lid[few])
    facing = [normals, *(np.tile([0.0, 0.0, end], (len(lids[0][few]), 1)) for end in (-1.0, 1.0))]
    return np.concatenate(points), np.concatenate(facing)


def with_handle(shape: Shape) -> Shape:
    """The same with a bar that stands off it."""
    rng = np.random.default_rng(1)
    angle, along = rng.uniform(0, 2 * np.pi, 2_500), rng.uniform(-0.35, 0.35, 2_500)
    out = np.stack([np.cos(angle), np.sin(angle), np.zeros(2_500)], axis=1)
    bar = out * 0.06 + np.stack([np.full(2_500, 0.62), np.zeros(2_500), along], axis=1)
    return np.concatenate([shape[0], bar]), np.concatenate([shape[1], out])


def scanned(
    shape: Shape, model: Model, seen: float = 0.15, seed: int = 3
) -> tuple[PreparedScan, SymmetryScorer, Rotation]:
    """What lies below a plane x = ``seen`` of a shape in a random pose, noisy; what scores it; and its rotation."""
    kept = shape[0][:, 0] < seen
    points, normals = shape[0][kept], shape[1][kept]
    rng, pose = np.random.default_rng(seed), Rotation.random(random_state=seed)
    noisy = pose.apply(points + rng.normal(size=points.shape) * NOISE)
    scan = prepare(RawScan(noisy, None, pose.apply(normals).astype(np.float32), None, "shape"))
    evidence = ScanEvidence(scan.points, scan.normals, scan.noise, 0.0)
    level = next(recursion(evidence, 1, model, CancelToken(), lambda *_: None))
    return scan, SymmetryScorer(level), pose


@pytest.mark.parametrize("shape", [vase(), with_handle(vase())])
def test_the_axis_of_a_half_seen_vase_is_found_also_beside_a_handle(model: Model, shape: Shape) -> None:
    scan, scorer, pose = scanned(shape, model)
    found = revolution(scan.points, scan.normals, scorer)
    assert found is not None and accepted_axis(found) is found
    true = pose.apply([0.0, 0.0, 1.0])
    assert abs(float(found.axis @ true)) > np.cos(np.radians(1))
    middle = scan.frame.to_canonical(np.zeros((1, 3)))[0] - found.centre
    assert np.linalg.norm(middle - (middle @ found.axis) * found.axis) < 0.02
    assert found.contradict < 0.02


@pytest.mark.parametrize(("oblate", "corners"), [(0.75, 0), (1.0, 4), (1.0, 3)])
def test_what_is_not_round_has_no_axis(model: Model, oblate: float, corners: int) -> None:
    scan, scorer, _ = scanned(vase(oblate, corners), model, seen=1.0)
    assert accepted_axis(revolution(scan.points, scan.normals, scorer)) is None


def test_a_plane_leaves_the_axis_open(model: Model) -> None:
    _, scorer, _ = scanned(vase(), model)
    rng = np.random.default_rng(0)
    points = np.stack([*rng.uniform(-0.8, 0.8, (2, 3_000)), np.zeros(3_000)], axis=1).astype(np.float32)
    found = revolution(points, np.tile(np.array([0, 0, 1], np.float32), (3_000, 1)), scorer)
    assert accepted_axis(found) is None


def test_points_turned_about_an_axis_keep_their_distance_from_it_and_their_height() -> None:
    rng = np.random.default_rng(0)
    axis = np.array([2.0, -1.0, 2.0]) / 3
    about = Revolution(np.array([0.1, 0.2, -0.3]), axis, 1.0, 1.0, 0.0, 0.0)
    points, normals = rng.normal(size=(50, 3)), rng.normal(size=(50, 3))
    moved, facing = about.turned(points, normals, 5)
    assert moved.shape == facing.shape == (250, 3) and moved.dtype == np.float32
    before, after = points - about.centre, moved.reshape(5, 50, 3) - about.centre
    assert np.allclose(after @ axis, before @ axis, atol=1e-5)
    assert np.allclose(np.linalg.norm(after, axis=-1), np.linalg.norm(before, axis=-1), atol=1e-5)
    assert np.allclose((facing.reshape(5, 50, 3) * after).sum(-1), (normals * before).sum(-1), atol=1e-4)
    # by sixths of a turn
    square = before - (before @ axis)[:, None] * axis
    turned = after[0] - (after[0] @ axis)[:, None] * axis
    assert np.allclose((square * turned).sum(1), 0.5 * (square**2).sum(1), atol=1e-4)


def test_the_unseen_side_of_a_vase_follows_its_axis_and_says_so(model: Model) -> None:
    shape = vase()
    scan, _, pose = scanned(shape, model, seen=0.05)
    unseen = pose.apply(shape[0][shape[0][:, 0] > 0.15])
    fits = [completed_fit(scan, model, FitOptions(level=1, symmetry=on, base=on)) for on in (True, False)]
    missed = [float(KDTree(fit.mesh.vertices).query(unseen)[0].mean()) for fit in fits]
    assert missed[0] < 0.03 and missed[0] < 0.5 * missed[1]
    assert "the axis" in fits[0].stats.guess and fits[1].stats.guess == ""
    measured = pose.apply(shape[0][shape[0][:, 0] < 0])
    # its border is flat, but no base: it ends where the sensor saw no further
    assert lies_on_its_side(scan, pose.apply([1.0, 0.0, 0.0])) and not lies_on_its_side(scan, pose.apply([0, 0, 1.0]))
    sigma = [fits[0].mesh.sigma[KDTree(fits[0].mesh.vertices).query(part)[1]] for part in (unseen, measured)]
    assert np.median(sigma[0]) > 1.5 * np.median(sigma[1])
