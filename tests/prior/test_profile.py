"""A family's profile: the Gaussian is exact, a scan in any pose is completed, a planted dent stands out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation

from backend.errors import ErrorCode, OmomiError
from backend.formats.raw_scan import RawScan
from backend.prior.profile import family, fitted_shape
from backend.prior.profile.deviation import (
    RESIDUAL_RANGES,
    departure,
    deviations,
    patch_scores,
    residual_variances,
    surface_offsets,
    usual_scores,
)
from backend.prior.profile.family import (
    HIDDEN_POINTS,
    Member,
    learn_profile,
    learn_shape,
    principal,
    two_sided,
    unseen_error,
)
from backend.prior.profile.fitted_shape import POINT_SLACK, POSE_SD, FittedShape, Round, fit_from_pose
from backend.prior.profile.gaussian import POSE, RANGES, Posterior, ShapeGaussian
from backend.prior.profile.profile import Membership, Profile, membership
from backend.registration.icp import Matcher, Surface
from backend.registration.similarity import Similarity
from backend.registration.warp import mismatch
from backend.scan.prepare import PreparedScan, prepare

NOISE = 0.002


def directions(count: int) -> NDArray[np.float64]:
    """Evenly spread over the sphere."""
    height = 1 - (2 * np.arange(count) + 1) / count
    angle = np.arange(count) * np.pi * (3 - np.sqrt(5))
    ring = np.sqrt(1 - height**2)
    return np.stack([ring * np.cos(angle), ring * np.sin(angle), height], axis=1)


def pear(factors: NDArray, count: int = 6000) -> Surface:
    """A solid without symmetry; factors (2,): how long its neck is and how far its nose stands out."""
    unit = directions(count)
    axes = np.array([0.45, 0.5, 0.7])
    neck = 0.18 * factors[0] * np.exp(-((unit[:, 2] - 1) ** 2) / 0.3)
    nose = (0.2 + 0.1 * factors[1]) * np.exp(8 * (unit @ np.array([0.8, 0.0, 0.6]) - 1))
    ear = 0.2 * np.exp(20 * (unit @ np.array([0.0, 0.96, -0.28]) - 1))
    points = unit * axes * (1 + neck + nose + ear)[:, None]
    shape = ShapeGaussian(unit * axes, unit, np.zeros((0, count, 3)), np.ones(count), np.zeros(len(RANGES)))
    return Surface(points, shape.normals_of(points))


def scan_of(surface: Surface, seed: int, name: str = "scan") -> PreparedScan:
    """Noisy points in some pose and scale."""
    rng = np.random.default_rng(seed)
    turned = Similarity(
        Rotation.random(None, np.random.default_rng(seed)).as_matrix(), rng.uniform(0.2, 5), rng.normal(size=3)
    )
    noisy = surface.points + NOISE * rng.normal(size=(len(surface.points), 1)) * surface.normals
    points, normals = turned.points(noisy), turned.directions(surface.normals)
    return prepare(RawScan(points, None, normals.astype(np.float32), None, name))


@pytest.fixture(scope="module")
def shape() -> ShapeGaussian:
    rng = np.random.default_rng(0)
    unit = directions(90)
    modes = rng.normal(size=(2, 90, 3)) * 0.05
    return ShapeGaussian(unit * 0.6, unit, modes, rng.uniform(0.02, 0.05, 90), np.array([0.3, 0.0, 0.4, 0.2]))


def test_the_conditional_mean_and_variance_are_those_of_the_gaussian(shape: ShapeGaussian) -> None:
    rng = np.random.default_rng(1)
    count = len(shape.points)
    square = ((shape.points[:, None] - shape.points) ** 2).sum(axis=2)
    bells = [share * np.exp(-square / (2 * reach**2)) for share, reach in zip(shape.shares, RANGES, strict=True)]
    smooth = sum(bells) * shape.amplitude[:, None] * shape.amplitude
    x = shape.points
    turns = [np.cross(axis, x) for axis in np.eye(3)]
    shifts = [np.tile(axis, (count, 1)) for axis in np.eye(3)]
    pose = np.stack([*turns, *shifts, x]) * POSE_SD[:, None, None]
    linear = np.concatenate([pose, shape.modes]).reshape(POSE + 2, -1)
    whole = np.kron(smooth, np.eye(3)) + linear.T @ linear
    index = rng.permutation(count)[:30]
    distance, variance = rng.normal(size=30) * 0.05, rng.uniform(1e-5, 1e-3, 30)
    look = np.zeros((30, count, 3))
    look[np.arange(30), index] = shape.normals[index]
    look = look.reshape(30, -1)
    noise = variance + (1 - shape.shares.sum()) * shape.amplitude[index] ** 2
    gain = whole @ look.T @ np.linalg.inv(look @ whole @ look.T + np.diag(noise))
    mean, after = (gain @ distance).reshape(count, 3), whole - gain @ look @ whole

    seen = shape.along(index, shape.normals[index], POSE_SD)
    posterior = shape.condition(seen, distance, variance, POSE_SD)
    moved = np.tensordot(posterior.pose / POSE_SD, pose, 1)
    assert np.allclose(shape.displacement(posterior) + moved, mean, atol=2e-5)
    everywhere = np.arange(count)
    look = np.zeros((count, count, 3))
    look[everywhere, everywhere] = shape.normals
    wanted = np.einsum("kn,nm,km->k", look.reshape(count, -1), after, look.reshape(count, -1))
    wanted += (1 - shape.shares.sum()) * shape.amplitude**2
    places = shape.along(everywhere, shape.normals, POSE_SD)
    assert np.allclose(shape.variance(posterior, places), wanted, rtol=1e-3, atol=1e-7)


def test_without_the_residual_it_is_ridge_regression(shape: ShapeGaussian) -> None:
    index = np.arange(0, 90, 3)
    seen = shape.along(index, shape.normals[index], POSE_SD)
    distance = np.linspace(-0.05, 0.05, len(index))
    variance = np.full(len(index), 1e-4)
    found = shape.condition(seen, distance, variance, POSE_SD, smooth=False)
    noise = np.diag(1 / (variance + shape.amplitude[index] ** 2))
    normal = seen.loadings.T @ noise @ seen.loadings + np.eye(POSE + 2)
    wanted = np.linalg.solve(normal, seen.loadings.T @ noise @ distance)
    assert np.allclose(found.coefficients, wanted[POSE:])
    assert np.allclose(found.pose, wanted[:POSE] * POSE_SD)


def test_a_linear_family_is_recovered(shape: ShapeGaussian) -> None:
    rng = np.random.default_rng(2)
    unit = shape.normals
    # modes across the sphere that no pose makes
    truth = np.stack([unit * (unit[:, :1] * unit[:, 1:2]), unit * (3 * unit[:, 2:] ** 2 - 1)]) * 0.1
    coefficients = rng.normal(size=(12, 2))
    found = learn_shape(shape, np.tensordot(coefficients, truth, 1))
    assert len(found.modes) == 2
    basis = np.linalg.qr(truth.reshape(2, -1).T)[0]
    flat = found.modes.reshape(2, -1)
    assert np.linalg.norm(flat - flat @ basis @ basis.T) < 1e-2 * np.linalg.norm(flat)
    assert np.abs(found.points - shape.points - np.tensordot(coefficients.mean(axis=0), truth, 1)).max() < 2e-3
    assert found.amplitude.max() < 0.01


def test_modes_have_the_sample_covariance() -> None:
    rng = np.random.default_rng(3)
    centred = rng.normal(size=(6, 10, 3))
    centred -= centred.mean(axis=0)
    flat, modes = centred.reshape(6, -1), principal(centred)
    assert np.allclose(modes.reshape(len(modes), -1).T @ modes.reshape(len(modes), -1), flat.T @ flat / 5)


@pytest.fixture(scope="module")
def profile() -> Profile:
    """Of twelve pears whose points correspond, judged by four others."""
    rng = np.random.default_rng(4)
    pears = [pear(rng.normal(size=2), 2500) for _ in range(16)]
    points = np.stack([one.points for one in pears[:12]])
    none = np.zeros((0, 2500, 3))
    start = ShapeGaussian(points[0], pears[0].normals, none, np.full(2500, 0.01), np.zeros(len(RANGES)))
    # two numbers explain all of a pear; a family of real things leaves a rest
    shape = replace(
        learn_shape(start, points - points[0]),
        amplitude=np.full(2500, 0.02),
        shares=np.array([0.0, 0.6, 0.3, 0.0]),
    )
    here = Similarity.identity()
    departures = []
    for one in pears[12:]:
        noisy = one.points + NOISE * rng.normal(size=(2500, 1)) * one.normals
        departures.append(departure(shape, Surface(noisy, one.normals), here, NOISE, True))
    rest = np.full(len(RESIDUAL_RANGES) + 1, 1e-4)
    return Profile(shape, True, np.array(departures), rest, np.ones(2500), 1.0, tuple("abcd"))


@pytest.fixture(scope="module")
def other(profile: Profile) -> tuple[PreparedScan, Surface, Membership]:
    """A partial scan of a pear that the profile has not seen, and all of its surface in the scan's frame."""
    whole = pear(np.array([0.4, -0.3]))
    seen = whole.points @ np.array([0.6, -0.64, 0.48]) > -0.25
    scan = scan_of(Surface(whole.points[seen], whole.normals[seen]), 77)
    # the same pose as in scan_of
    rng = np.random.default_rng(77)
    turned = Similarity(
        Rotation.random(None, np.random.default_rng(77)).as_matrix(), rng.uniform(0.2, 5), rng.normal(size=3)
    )
    truth = Surface(
        scan.frame.to_canonical(turned.points(whole.points)).astype(np.float64), turned.directions(whole.normals)
    )
    return scan, truth, membership(profile, scan)


def test_a_partial_scan_is_completed_in_any_pose(other: tuple[PreparedScan, Surface, Membership]) -> None:
    scan, truth, found = other
    unseen = KDTree(scan.points).query(truth.points)[0] > 0.1
    assert 0.1 < unseen.mean() < 0.6
    guess = Surface(found.completion.points.astype(np.float64), found.completion.normals.astype(np.float64))
    error = mismatch(Surface(truth.points[unseen], truth.normals[unseen]), Matcher(guess, 0.05))
    assert error.mean() < 0.02
    assert np.allclose(np.linalg.norm(found.completion.normals, axis=1), 1, atol=1e-3)
    nearest = KDTree(truth.points).query(found.completion.points)[1]
    assert ((found.completion.normals * truth.normals[nearest]).sum(axis=1) > 0.5).mean() > 0.95
    # surer where the scan is
    away = KDTree(scan.points).query(found.completion.points)[0]
    assert np.median(found.completion.sigma[away > 0.2]) > 1.5 * np.median(found.completion.sigma[away < 0.02])


def test_a_member_scores_higher_than_another_shape(
    profile: Profile, other: tuple[PreparedScan, Surface, Membership]
) -> None:
    box = directions(4000)
    box /= np.abs(box).max(axis=1, keepdims=True)
    normals = np.where(np.abs(box) > 0.999, np.sign(box), 0.0)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    strange = membership(profile, scan_of(Surface(box * np.array([0.3, 0.5, 0.7]), normals), 5))
    # four members leave three degrees of freedom, hence heavy tails
    assert strange.score < 0.05 and strange.score < 0.2 * other[2].score, other[2].score
    with pytest.raises(OmomiError) as refused:
        Membership(profile, strange.placed, 0.0, strange.completion).require_likeness("a box")
    assert refused.value.code == ErrorCode.NOT_REGISTERED


def test_a_planted_dent_stands_out() -> None:
    unit = directions(3000)
    stretch = unit * np.array([0.0, 0.0, 1.0]) * unit[:, 2:] * 0.1
    shape = ShapeGaussian(unit * 0.6, unit, stretch[None], np.full(3000, 0.01), np.array([0.0, 0.5, 0.4, 0.0]))
    dent = np.exp(-0.5 * ((unit * 0.6 - np.array([0.6, 0.0, 0.0])) ** 2).sum(axis=1) / 0.06**2)
    rest = dent < 0.01
    noise = NOISE * np.random.default_rng(0).normal(size=3000)
    points = unit * 0.6 + 0.7 * stretch + (noise - 0.05 * dent)[:, None] * unit
    surface = Surface(points, shape.normals_of(points))
    placed = fit_from_pose(shape, surface, Similarity.identity(), NOISE, (Round(0.1, 600, True),) * 3, True)
    ones, variances = np.ones(3000), 1e-4 * np.array([0.0, 0.5, 0.4, 0.0, 0.0, 0.1])
    found = deviations(shape, placed, surface, np.full(3000, NOISE), True, variances, ones)
    assert np.median(found[dent > 0.7]) < -3 < -1.5 < -np.median(np.abs(found[rest]))
    ranks = np.abs(found).argsort().argsort()
    hollow = dent > 0.3
    wins = ranks[hollow].sum() - hollow.sum() * (hollow.sum() - 1) / 2
    assert wins / (hollow.sum() * (~hollow).sum()) > 0.95
    # noisier vertices say less, and so do places where departures are usual
    unsure = deviations(shape, placed, surface, np.full(3000, 0.1), True, variances, ones)
    assert np.abs(unsure).max() < 3
    assert np.allclose(deviations(shape, placed, surface, np.full(3000, NOISE), True, variances, 2 * ones), found / 2)


def test_a_surface_drawn_from_the_gaussian_stands_out_nowhere() -> None:
    unit = directions(2000)
    shape = ShapeGaussian(unit * 0.6, unit, np.zeros((0, 2000, 3)), np.full(2000, 0.01), np.array([0.0, 0.0, 0.5, 0.4]))
    everywhere = shape.along(np.arange(2000), unit, np.zeros(POSE))
    variance = np.full(2000, NOISE**2 + (POINT_SLACK * shape.spacing) ** 2)
    draws = shape.factored(everywhere, variance) @ np.random.default_rng(0).normal(size=(2000, 3))
    found = []
    for offset in draws.T:
        surface = Surface(unit * (0.6 + offset[:, None]), unit)
        still = Posterior(np.zeros(0), np.zeros(POSE), everywhere, None, None)
        placed = FittedShape(Similarity.identity(), still, shape.points, unit, 0.0)
        found.append(surface_offsets(shape, placed, surface, np.zeros(2000), True))
    rest = residual_variances(found)
    assert (rest >= 0).all() and np.isclose(rest.sum(), np.mean([(one.residual**2).mean() for one in found]), rtol=0.1)
    found = [patch_scores(shape, one, rest) for one in found]
    values = np.concatenate([one.value for one in found])
    assert abs(values.mean()) < 0.2 and 0.7 < np.sqrt((values**2).mean()) < 1.3
    usual = usual_scores(shape, found)
    assert usual.shape == (2000,) and 0.6 < np.median(usual) < 1.4


def test_sigma_is_judged_by_members_that_were_left_out(profile: Profile) -> None:
    rng = np.random.default_rng(8)
    pears = [Member("", pear(rng.normal(size=2), 3000), NOISE) for _ in range(2)]
    here = Similarity.identity()
    errors = np.concatenate([unseen_error(profile.shape, one, here, True, seed) for seed, one in enumerate(pears)])
    # the pears vary less than the residual says that this profile was given
    assert HIDDEN_POINTS < len(errors) <= 2 * HIDDEN_POINTS and 0.02 < np.quantile(errors, 0.9) < 1.645


def test_closed_surfaces_have_two_sides_and_sheets_have_not() -> None:
    whole = pear(np.zeros(2))
    half = whole.points[:, 2] > 0
    sheet = Member("sheet", Surface(whole.points[half], whole.normals[half]), NOISE)
    assert two_sided([Member("solid", whole, NOISE), sheet]) and not two_sided([sheet])


def test_members_in_any_pose_make_a_profile() -> None:
    rng = np.random.default_rng(6)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"POINTS": 800, "CANDIDATES": 1, "COMPARED": 1}.items():
            patch.setattr(family, name, value)
        for name, value in {"GROWTHS": (1.0,), "REFINED": 1}.items():
            patch.setattr(fitted_shape, name, value)
        scans = [scan_of(pear(rng.normal(size=2), 2000), seed, f"pear {seed}") for seed in range(3)]
        said: list[float] = []
        found = learn_profile([Member.of(scan) for scan in scans], lambda share, _: said.append(share))
    assert found.sided and found.members == ("pear 0", "pear 1", "pear 2") and len(found.shape.modes) == 2
    assert said == sorted(said) and said[0] == 0
    # the members were told apart by two numbers and matched to within a little more than the noise
    assert np.sqrt((found.shape.modes**2).sum(axis=(0, 2))).max() > 3 * np.median(found.shape.amplitude)


def test_too_few_members_are_refused() -> None:
    with pytest.raises(OmomiError) as refused:
        learn_profile([Member("one", pear(np.zeros(2)), NOISE)])
    assert refused.value.code == ErrorCode.BAD_OPTION
