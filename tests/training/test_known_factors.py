"""The family with known factors: exact distances and surfaces, measures that follow one factor each, and the experiment
on a code that is known to be good."""

from __future__ import annotations

import numpy as np
import pytest
import torch

pytest.importorskip("sklearn")

from backend.training import sliders
from backend.training.shapes.mugs import FACTORS, HIGH, LOW, Mugs, descriptors, known_factors

COUNT = 20


@pytest.fixture(scope="module")
def mugs() -> Mugs:
    return known_factors(COUNT, seed=1)[1]


@pytest.fixture(scope="module")
def surface(mugs: Mugs) -> tuple[torch.Tensor, torch.Tensor]:
    return mugs.surface(1500, torch.Generator().manual_seed(0))


def test_the_same_seed_gives_the_same_factors_and_another_seed_others() -> None:
    first, again, other = (known_factors(5, seed)[0] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_factors_fill_their_range_without_knowing_of_each_other() -> None:
    factors, _ = known_factors(4000, seed=3)
    assert factors.min() >= 0 and factors.max() <= 1
    assert factors.mean(0).sub(0.5).abs().max() < 0.02
    related = np.corrcoef(factors.numpy().T) - np.eye(len(FACTORS))
    assert np.abs(related).max() < 0.06


def test_correlated_factors_are_uniform_and_correlated() -> None:
    factors, _ = known_factors(4000, seed=3, correlation=0.5)
    assert factors.std(0).sub(12**-0.5).abs().max() < 0.02
    related = np.corrcoef(factors.numpy().T)[~np.eye(len(FACTORS), dtype=bool)]
    assert np.all((related > 0.4) & (related < 0.55))


@pytest.mark.parametrize("correlation", [-0.1, 1.0])
def test_an_impossible_correlation_is_refused(correlation: float) -> None:
    with pytest.raises(ValueError, match="correlation"):
        known_factors(2, 0, correlation=correlation)


def test_points_lie_on_the_surface_and_normals_point_outward(mugs: Mugs, surface) -> None:
    points, normals = surface
    assert mugs.sdf(points).abs().max() < 2e-5
    torch.testing.assert_close(normals.norm(dim=2), torch.ones(COUNT, 1500))
    outer, inner = mugs.sdf(points + 1e-3 * normals), mugs.sdf(points - 1e-3 * normals)
    # at an edge, or where parts meet, the nearest surface is another one
    assert ((outer - 1e-3).abs() < 1e-4).float().mean() > 0.98
    assert ((inner + 1e-3).abs() < 1e-4).float().mean() > 0.98


def test_points_are_spread_evenly_over_the_surface(mugs: Mugs) -> None:
    """By the divergence theorem the mean of x . n over an even sample is three volumes by area; of a constant, 0."""
    points, normals = Mugs(mugs.factors[:10]).surface(20_000, torch.Generator().manual_seed(5))
    assert normals.mean(1).abs().max() < 0.03
    flux = (points * normals).mean(1)
    assert (flux.amax(1) - flux.amin(1) < 0.035).all()


def test_mugs_stay_in_the_room_of_the_encoder(surface) -> None:
    assert surface[0].abs().max() < 0.96


@pytest.mark.parametrize("seed", [0, 7])
def test_measures_follow_their_own_factor_and_no_other(seed: int) -> None:
    factors, mugs = known_factors(100, seed)
    found = descriptors(sliders.level0(mugs).numpy())
    rows = np.concatenate((factors.numpy(), np.ones((100, 1))), axis=1)
    fit, *_ = np.linalg.lstsq(rows, found, rcond=None)
    assert np.all(1 - (found - rows @ fit).var(0) / found.var(0) > 0.99)
    slopes = fit[:-1] / (np.array(HIGH) - np.array(LOW))
    np.testing.assert_allclose(np.diag(slopes), 1, atol=0.06)
    effects = fit[:-1] * factors.numpy().std(0)[:, None] / found.std(0)
    assert np.abs(effects - np.diag(np.diag(effects))).max() < 0.02


def test_measures_do_not_depend_on_the_slope_of_the_field_nor_much_on_the_grid(mugs: Mugs) -> None:
    few = Mugs(mugs.factors[:4])
    field = sliders.level0(few).numpy()
    exact = descriptors(field)
    np.testing.assert_allclose(descriptors(field * 0.3), exact, atol=1e-9)
    axis = (torch.arange(64) + 0.5) / 32 - 1
    grid = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(1, -1, 3)
    fine = few.sdf(grid.expand(4, -1, -1)).reshape(4, 64, 64, 64).numpy()
    np.testing.assert_allclose(descriptors(fine)[:, :5], exact[:, :5], atol=0.03)
    np.testing.assert_allclose(descriptors(fine), few_sizes(few), atol=0.03)


def few_sizes(mugs: Mugs) -> np.ndarray:
    sizes = np.array(LOW) + mugs.factors.numpy() * (np.array(HIGH) - np.array(LOW))
    # the handle's middle line is half a tube short of its outer side
    sizes[:, 4] += 0.07
    return sizes


def test_half_of_a_field_mirrored_is_the_whole_field(mugs: Mugs) -> None:
    few = Mugs(mugs.factors[:2])
    grid = sliders.grid_points(32).expand(2, -1, -1)
    whole = (few.sdf(grid) * 16).clamp(-3, 3).reshape(2, 32, 32, 32)
    torch.testing.assert_close(sliders.level0(few), whole, atol=1e-4, rtol=0)


def test_evidence_counts_every_point(mugs: Mugs) -> None:
    found = sliders.evidence(Mugs(mugs.factors[:3]), 500, torch.Generator().manual_seed(0))
    assert found.shape == (3, 5, 32, 32, 32)
    torch.testing.assert_close(found[:, 0].sum((1, 2, 3)), torch.full((3,), 500.0))


def test_the_experiment_names_every_slider_of_a_code_that_is_the_factors() -> None:
    """The encoder is blind and the codes are the factors turned by a rotation: sliders undo it, components do not."""
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(6, 6)))[0]

    def decode(codes: np.ndarray) -> np.ndarray:
        return sliders.level0(Mugs(torch.from_numpy(codes @ turn.T).float())).numpy()

    space = sliders.Space("factors", lambda mugs, _: mugs.factors.numpy() @ turn, decode)
    size = sliders.ExperimentSize(train=500, test=300, seeds=1, decoded=6, swept=2)
    card = sliders.experiment(space, size, log=lambda _: None)
    assert [row["name"] for row in card["sliders"]] == list(FACTORS)
    assert card["scores"]["sliders"]["dci_d"]["mean"] > 0.95
    assert card["scores"]["sliders"]["mig"]["mean"] > 0.6 > card["scores"]["code"]["mig"]["mean"]
    side = {where: {kind: each["mean"] for kind, each in kinds.items()} for where, kinds in card["side_effect"].items()}
    assert side["decoded"]["debiased"] < 0.03
    assert side["decoded, correlated"]["debiased"] < 0.05 < side["decoded, correlated"]["before"]
    assert all(row["follows"] == pytest.approx(1) for row in card["sliders"])
