"""Mirror planes are found in partial scans and refused where there are none; what they suggest stays off the scan."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh
from scipy.spatial import KDTree

from backend.errors import ErrorCode, OmomiError
from backend.field.bricks import Level
from backend.field.completion_prior import LEAST_CLEARANCE
from backend.field.onnx_model import CancelToken, Model
from backend.field.recursion import ScanEvidence, recursion
from backend.formats.raw_scan import RawScan
from backend.prior.completion import completed_fit
from backend.prior.symmetry import (
    Mirror,
    SymmetryScorer,
    half_sphere,
    mirror_planes,
    refine_plane,
    same_plane,
    thinned,
)
from backend.prior.symmetry_completion import LATER_WORTH, LEAST_ACROSS, LEAST_WORTH, accepted_planes, symmetry_prior
from backend.protocol.fit_options import FitOptions
from backend.scan.prepare import PreparedScan, prepare

NOISE = 0.004


@pytest.fixture(scope="module")
def partial(model: Model) -> tuple[PreparedScan, np.ndarray, Level]:
    """A scan without half of an arm, its rotation, and level 0 of its fit."""
    scan, rotation = scanned(SYMMETRIC, SEEN)
    return scan, rotation, level_0(scan, model)


def turn(seed: int) -> np.ndarray:
    return trimesh.transformations.random_rotation_matrix(np.random.default_rng(seed).random(3))[:3, :3]


def solid(parts: list[tuple[tuple[float, float, float], tuple[float, float, float]]]) -> tuple[np.ndarray, np.ndarray]:
    """Points and normals on the union of ellipsoids (centre, semi-axes)."""
    rng = np.random.default_rng(0)
    points, normals = [], []
    for centre, axes in parts:
        sphere = rng.normal(size=(4_000, 3))
        sphere /= np.linalg.norm(sphere, axis=1, keepdims=True)
        points.append(sphere * axes + centre)
        normals.append(sphere / axes)
    cloud, facing = np.concatenate(points), np.concatenate(normals)
    facing /= np.linalg.norm(facing, axis=1, keepdims=True)
    covered = np.zeros(len(cloud), bool)
    for centre, axes in parts:
        covered |= (((cloud - centre) / axes) ** 2).sum(axis=1) < 0.999
    return cloud[~covered], facing[~covered]


SYMMETRIC = solid(
    [
        ((0, 0, 0), (0.35, 0.8, 0.25)),
        ((0.4, 0.35, 0.1), (0.3, 0.1, 0.1)),
        ((-0.4, 0.35, 0.1), (0.3, 0.1, 0.1)),
        ((0, -0.7, 0.25), (0.12, 0.15, 0.3)),
    ]
)
"""A body, two arms, a tail; x -> -x leaves it the same."""
CROOKED = solid(
    [
        ((0, 0, 0), (0.3, 0.75, 0.25)),
        ((0.4, 0.45, 0.1), (0.35, 0.12, 0.1)),
        ((-0.3, -0.2, 0.3), (0.1, 0.1, 0.3)),
        ((0.15, -0.6, -0.25), (0.25, 0.1, 0.2)),
        ((-0.25, 0.5, -0.3), (0.1, 0.2, 0.25)),
    ]
)
SEEN = SYMMETRIC[0][:, 0] < 0.45
"""All but the outer half of the arm at x > 0."""


def scanned(shape: tuple[np.ndarray, np.ndarray], seen: np.ndarray, seed: int = 1) -> tuple[PreparedScan, np.ndarray]:
    """The ``seen`` part of a shape in a random pose, noisy; and its rotation."""
    points, normals = shape[0][seen], shape[1][seen]
    rotation = turn(seed)
    noise = np.random.default_rng(seed).normal(size=points.shape) * NOISE
    raw = RawScan((points + noise) @ rotation.T, None, (normals @ rotation.T).astype(np.float32), None, "shape")
    return prepare(raw), rotation


def level_0(scan: PreparedScan, model: Model) -> Level:
    seen = ScanEvidence(scan.points, scan.normals, scan.noise, 0.0)
    return next(recursion(seen, 1, model, CancelToken(), lambda *_: None))


@pytest.mark.parametrize("seed", [2, 3])
def test_the_plane_of_a_partial_noisy_scan_is_found(model: Model, seed: int) -> None:
    scan, rotation = scanned(SYMMETRIC, SEEN, seed)
    best = mirror_planes(scan.points, scan.normals, SymmetryScorer(level_0(scan, model)))[0]
    true = rotation[:, 0]
    assert abs(float(best.normal @ true)) > np.cos(np.radians(2))
    middle = scan.frame.to_canonical(np.zeros((1, 3)))[0]
    assert abs(float(middle @ best.normal) - best.offset) < 0.02
    assert best.worth > 2 * LEAST_WORTH and best.contradict < 0.02


def test_an_asymmetric_shape_is_refused(model: Model) -> None:
    for seen in (CROOKED[0][:, 0] < 0.4, np.ones(len(CROOKED[0]), bool)):
        scan, _ = scanned(CROOKED, seen)
        level = level_0(scan, model)
        assert accepted_planes(mirror_planes(scan.points, scan.normals, SymmetryScorer(level))) == []
        assert symmetry_prior(scan, level) is None


def test_the_missing_arm_comes_back_and_is_less_sure(
    model: Model, partial: tuple[PreparedScan, np.ndarray, Level]
) -> None:
    scan, rotation, _ = partial
    arm = SYMMETRIC[0][SYMMETRIC[0][:, 0] > 0.5] @ rotation.T
    with_arm, without = (completed_fit(scan, model, FitOptions(level=1, symmetry=on)) for on in (True, False))

    def missed(vertices: np.ndarray) -> float:
        return float(np.linalg.norm(arm[::20, None] - vertices[None], axis=2).min(axis=1).mean())

    assert missed(with_arm.mesh.vertices) < 0.6 * missed(without.mesh.vertices)
    assert "mirror" in with_arm.stats.guess and without.stats.guess == ""
    across = with_arm.mesh.vertices @ rotation[:, 0]
    assert np.median(with_arm.mesh.sigma[across > 0.55]) > 2 * np.median(with_arm.mesh.sigma[across < 0.3])


def test_the_completion_stays_off_the_scan_and_has_normals_and_sigma(
    partial: tuple[PreparedScan, np.ndarray, Level],
) -> None:
    scan, _, level = partial
    guess = symmetry_prior(scan, level)
    assert guess is not None and guess.points.dtype == guess.normals.dtype == guess.sigma.dtype == np.float32
    assert np.allclose(np.linalg.norm(guess.normals, axis=1), 1, atol=1e-3)
    apart = np.min([np.linalg.norm(guess.points - point, axis=1) for point in scan.points[::10]], axis=0)
    assert apart.min() >= LEAST_CLEARANCE
    assert (guess.sigma > scan.noise).all()


def test_the_same_scan_gives_the_same_completion(partial: tuple[PreparedScan, np.ndarray, Level]) -> None:
    scan, _, level = partial
    one, other = (symmetry_prior(scan, level) for _ in range(2))
    assert one is not None and other is not None
    assert np.array_equal(one.points, other.points) and one.source == other.source


@pytest.mark.parametrize("count", [33, 200])
def test_few_points_do_no_harm(model: Model, count: int) -> None:
    chosen = np.random.default_rng(0).permutation(len(CROOKED[0]))[:count]
    scan, _ = scanned((CROOKED[0][chosen], CROOKED[1][chosen]), np.ones(count, bool))
    mirror_planes(scan.points, scan.normals, SymmetryScorer(level_0(scan, model)))
    completed_fit(scan, model, FitOptions(level=1))


def test_walls_that_meet_across_a_plane_do_not_print_the_bottom_of_a_cup_on_its_unseen_mouth(model: Model) -> None:
    rng = np.random.default_rng(0)
    # a wall of radius .4 and height 1.4 along z, and its bottom; nothing of the mouth
    around = rng.uniform(0, 2 * np.pi, 9_000)
    ring = np.stack([np.cos(around), np.sin(around), np.zeros(9_000)], axis=1)
    wall = 0.4 * ring + rng.uniform(0, 1.4, (9_000, 1)) * [0, 0, 1]
    disc = 0.4 * np.sqrt(rng.random((2_000, 1))) * ring[:2_000]
    cup = np.concatenate([wall, disc]), np.concatenate([ring, np.tile([0.0, 0.0, -1.0], (2_000, 1))])
    scan, rotation = scanned(cup, np.ones(len(cup[0]), bool))
    scorer, points, normals = SymmetryScorer(level_0(scan, model)), *thinned(scan.points, scan.normals, 700)

    def across(axis: int) -> Mirror:
        middle = scan.frame.to_canonical(np.array([[0, 0, 0.7]]) @ rotation.T)[0]
        normal = rotation[:, axis]
        return refine_plane(normal, float(middle @ normal), points, normals, KDTree(points), normals, scorer)

    along, between = across(0), across(2)
    assert accepted_planes([along]) == [along]
    # it is worth as much, but nothing that faces along it meets
    assert between.agree > 0.7 and between.worth > LATER_WORTH and between.across < LEAST_ACROSS
    assert accepted_planes([between]) == []


def test_mirroring_twice_is_doing_nothing() -> None:
    rng = np.random.default_rng(0)
    normal = rng.normal(size=3)
    mirror = Mirror((normal / np.linalg.norm(normal)).astype(np.float32), 0.3, 1.0, 0.0, 0.3, 0.0)
    points = rng.normal(size=(50, 3)).astype(np.float32)
    assert np.allclose(mirror.points(mirror.points(points)), points, atol=1e-5)
    assert np.allclose(mirror.directions(mirror.directions(points)), points, atol=1e-5)
    middle = (points + mirror.points(points)) / 2
    assert np.allclose(middle @ mirror.normal, 0.3, atol=1e-5)


def test_a_plane_is_the_same_from_both_sides() -> None:
    normal = np.array([0.6, 0.8, 0.0])
    assert same_plane(-normal, -0.2, normal, 0.2) and not same_plane(-normal, 0.2, normal, 0.2)
    assert not same_plane(np.array([0.0, 0.0, 1.0]), 0.2, normal, 0.2)


def test_directions_cover_the_half_sphere_evenly() -> None:
    directions = half_sphere(300)
    assert np.allclose(np.linalg.norm(directions, axis=1), 1, atol=1e-5) and (directions[:, 2] > 0).all()
    rng = np.random.default_rng(0)
    probes = rng.normal(size=(500, 3))
    probes /= np.linalg.norm(probes, axis=1, keepdims=True)
    assert np.degrees(np.arccos(np.abs(probes @ directions.T).max(axis=1).clip(max=1))).max() < 9


def test_thinning_is_even_and_keeps_at_most_as_many_as_asked() -> None:
    points = np.random.default_rng(0).uniform(-0.8, 0.8, (30_000, 3)).astype(np.float32)
    points[:, 2] = 0
    points = np.concatenate([points, points[points[:, 0] > 0.7]])
    kept, normals = thinned(points, points, 500)
    assert 300 < len(kept) <= 500 and np.array_equal(kept, normals)
    right = (kept[:, 0] > 0).mean()
    assert 0.45 < right < 0.55


def test_symmetry_is_either_on_or_off() -> None:
    with pytest.raises(OmomiError) as refused:
        FitOptions(symmetry="perhaps")  # type: ignore[arg-type]
    assert refused.value.code == ErrorCode.BAD_OPTION
