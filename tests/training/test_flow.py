"""The rectified flow: exact velocities, closed-form scores, the paper's toy, alignment, training, export."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import rankdata
from torch import Tensor

from backend.prior.flow import LATE, WHOLE, auroc, load_flow
from backend.prior.velocity import Draws
from backend.studies.flow_alignment.toys import align, exact_velocity
from backend.training.flow import (
    FlowConfig,
    VelocityField,
    VelocityNetwork,
    alignment,
    alignment_loss,
    as_prior,
    draw_pairs,
    export_flow,
    train_flow,
)

MODES, RADIUS, SD, SCALE = 5, 3.0, 0.3, 2.142
"""The paper's toy: Gaussians on a circle, all divided by the spread of the whole."""
SMALL = FlowConfig(width=48, blocks=2, steps=500, batch=256, rate=3e-3, average=0.98)


def toy_means() -> Tensor:
    angle = torch.arange(MODES) * (2 * math.pi / MODES)
    return RADIUS * torch.stack([angle.cos(), angle.sin()], dim=1)


def toy_field() -> VelocityField:
    return exact_velocity(toy_means() / SCALE, SD / SCALE, torch.full((MODES,), 1 / MODES))


def toy_data(count: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randint(MODES, (count,), generator=generator)
    return (toy_means()[chosen] + SD * torch.randn(count, 2, generator=generator)) / SCALE


def toy_surprise(points: Tensor) -> Tensor:
    """Negative log likelihood in the toy's own units."""
    square = ((points[:, None] * SCALE - toy_means()) ** 2).sum(-1) / SD**2
    return math.log(MODES * 2 * math.pi * SD**2) - torch.logsumexp(-square / 2, dim=1)


def scores(field: VelocityField, points: Tensor, draws: int = 256, span: tuple[float, float] = WHOLE) -> Tensor:
    fixed = Draws.fixed(points.shape[1], draws, 1, span)
    return alignment(field, points, torch.from_numpy(fixed.times)[None], torch.from_numpy(fixed.starts)[None])


def mean_score(points: Tensor, draws: int = 500) -> float:
    """The toy's L over fresh draws for every point, which leaves no bias of the fixed ones."""
    generator = torch.Generator().manual_seed(9)
    return float(alignment(toy_field(), points, *draw_pairs(len(points), 2, draws, generator)).mean())


def rank_correlation(a: Tensor | np.ndarray, b: Tensor) -> float:
    """Spearman's."""
    return float(np.corrcoef(rankdata(np.asarray(a)), rankdata(np.asarray(b)))[0, 1])


def spread_and_offset(points: Tensor) -> tuple[list[int], float, float]:
    """How many points are nearest to each mode, their spread about it and their way outward, both per SD; medians."""
    points = points * SCALE
    nearest = torch.cdist(points, toy_means()).argmin(1)
    counts = torch.bincount(nearest, minlength=MODES).tolist()
    centres = torch.stack([points[nearest == mode].median(0).values for mode in range(MODES)])
    # of a 2D Gaussian's radius the median is 1.177 SD
    spread = (points - centres[nearest]).norm(dim=1).median() / (1.1774 * SD)
    return counts, float(spread), float((centres.norm(dim=1).mean() - RADIUS) / SD)


def test_exact_velocity_of_one_gaussian_gives_the_closed_form_score():
    # with s^2 = t^2 + (1 - t)^2 the residual is t/s^2 x0 - (1 - t)/s^2 y, so L = pi/4 (1 + |y|^2 / d)
    field = exact_velocity(torch.zeros(1, 6), 1.0, torch.ones(1))
    points = 2 * torch.randn(40, 6, generator=torch.Generator().manual_seed(0))
    expected = math.pi / 4 * (1 + points.square().mean(1))
    assert torch.allclose(scores(field, points, draws=2000), expected, rtol=0.02)


def test_exact_velocity_at_the_ends_of_time():
    # at t = 0 nothing is known of x1, at t = 1 nothing of x0
    means, weights = torch.tensor([[2.0, 0.0], [-1.0, 1.0]]), torch.tensor([0.25, 0.75])
    field = exact_velocity(means, 0.5, weights)
    x = torch.randn(10, 2, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(field(x, torch.zeros(10)), weights @ means - x, atol=1e-5)
    assert torch.allclose(field(x, torch.ones(10)), x, atol=1e-5)


def test_toy_scores_agree_with_the_papers():
    data, noise = toy_data(1500, 0), torch.randn(1500, 2, generator=torch.Generator().manual_seed(1))
    assert float(toy_surprise(data).mean()) == pytest.approx(2.04, abs=0.06)
    assert mean_score(data, 100) == pytest.approx(1.28, abs=0.03)
    assert 2.58 < mean_score(noise, 100) < 2.75
    assert 17 < float(toy_surprise(noise).mean()) < 19


def test_score_ranks_points_as_their_density_does_and_late_times_do_it_better():
    axis = torch.linspace(-5, 5, 45) / SCALE
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), dim=-1).reshape(-1, 2)
    whole = rank_correlation(scores(toy_field(), grid, 128), toy_surprise(grid))
    late = rank_correlation(scores(toy_field(), grid, 128, LATE), toy_surprise(grid))
    assert whole >= 0.92
    assert late >= 0.99


def test_descent_to_the_end_collapses_below_the_data_and_inward():
    start = torch.randn(90, 2, generator=torch.Generator().manual_seed(2))
    end = align(start, toy_field(), steps=80, rate=5e-2, stop_at=0.0, draws=256, span=WHOLE)
    assert mean_score(end, 500) == pytest.approx(1.135, abs=0.015)
    assert float(toy_surprise(end).mean()) == pytest.approx(1.71, abs=0.2)
    counts, spread, offset = spread_and_offset(end)
    assert min(counts) >= 8
    assert spread < 0.4
    assert offset == pytest.approx(-1.04, abs=0.15)


@pytest.mark.parametrize("span", [WHOLE, LATE])
def test_alignment_stops_at_the_datas_own_score_and_keeps_the_spread(span: tuple[float, float]):
    start = torch.randn(90, 2, generator=torch.Generator().manual_seed(2))
    fixed = Draws.fixed(2, 128, 0, span)
    times, starts = torch.from_numpy(fixed.times)[None], torch.from_numpy(fixed.starts)[None]
    own = float(alignment(toy_field(), toy_data(400, 3), times, starts).mean())
    before = alignment(toy_field(), start, times, starts)
    stopped = align(start, toy_field(), steps=150, rate=2e-2, stop_at=own, draws=128, span=span)
    after = alignment(toy_field(), stopped, times, starts)
    assert torch.equal(stopped[before <= own], start[before <= own])
    # a step of Adam is the most by which it passes
    assert own - 0.1 < float(after[before > own].mean()) <= own + 0.05
    counts, spread, _ = spread_and_offset(stopped)
    assert min(counts) >= 8
    assert 0.6 < spread < 1.6


def test_late_times_draw_to_the_modes_themselves_and_not_inward():
    start = torch.randn(90, 2, generator=torch.Generator().manual_seed(2))
    end = align(start, toy_field(), steps=80, rate=5e-2, stop_at=0.0, draws=128, span=LATE)
    counts, _, offset = spread_and_offset(end)
    assert min(counts) >= 8
    assert abs(offset) < 0.25


def test_gradient_of_the_alignment_loss_runs_through_the_velocity():
    velocity = VelocityNetwork(4, SMALL).double()
    for parameter in velocity.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    velocity.requires_grad_(False)
    codes = torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)

    def loss(codes: Tensor) -> Tensor:
        return alignment_loss(velocity, codes, 8, torch.Generator().manual_seed(5))

    assert loss(codes).shape == (3,)
    assert torch.autograd.gradcheck(loss, (codes,))
    assert all(parameter.grad is None for parameter in velocity.parameters())


def test_loss_before_training_is_that_of_a_gaussian_whatever_the_features_scale():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(4000, 8, generator=generator) @ torch.randn(8, 8, generator=generator) * 50 + 30
    untrained = train_flow(features, FlowConfig(width=16, blocks=1, steps=0))
    assert float(alignment_loss(untrained, features, 8, generator).mean()) == pytest.approx(math.pi / 2, rel=0.02)


def test_trained_flow_finds_what_a_gaussian_misses_and_covers_the_modes():
    velocity = train_flow(toy_data(4000, 5), SMALL)
    held_out = toy_data(1000, 6)
    generator = torch.Generator().manual_seed(0)
    # the exact field scores 1.28, the Gaussian 1.57
    assert float(alignment_loss(velocity, held_out, 16, generator).mean()) < 1.40
    prior = as_prior(velocity, held_out)
    sampled = torch.from_numpy(prior.sample(500, seed=0, steps=40))
    counts, _, offset = spread_and_offset(sampled)
    assert min(counts) >= 60
    assert abs(offset) < 0.6
    assert float((toy_surprise(sampled) < 6).float().mean()) > 0.75
    axis = np.linspace(-5, 5, 45) / SCALE
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    assert rank_correlation(prior.score(grid), toy_surprise(torch.from_numpy(grid))) >= 0.9
    assert auroc(prior.score(held_out.numpy()), prior.score(1.5 * held_out.numpy())) >= 0.9


def test_same_seed_gives_the_same_velocity_and_leaves_the_global_generator_alone():
    features = toy_data(300, 7)
    config = FlowConfig(width=16, blocks=1, steps=5, batch=64)
    torch.manual_seed(1)
    first = train_flow(features, config).state_dict()
    drawn = torch.rand(1)
    torch.manual_seed(1)
    assert torch.equal(drawn, torch.rand(1))
    again = train_flow(features, config).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_exported_flow_agrees_with_torch_in_velocity_score_and_gradient(tmp_path: Path):
    velocity = train_flow(3 * toy_data(500, 8) + 1, FlowConfig(width=32, blocks=3, steps=60, batch=128))
    held_out = 3 * toy_data(200, 9) + 1
    prior = export_flow(tmp_path / "flow.safetensors", velocity, held_out)
    read = load_flow(tmp_path / "flow.safetensors")
    generator = torch.Generator().manual_seed(0)
    x, t = torch.randn(50, 2, generator=generator), torch.rand(50, generator=generator)
    assert np.allclose(read.velocity(x.numpy(), t.numpy()), velocity(x, t).numpy(), atol=1e-5)
    codes = held_out[:20].clone().requires_grad_()
    fixed = Draws.fixed(2, 64, 0)
    times, starts = torch.from_numpy(fixed.times)[None], torch.from_numpy(fixed.starts)[None]
    loss = alignment(velocity, velocity.whiten(codes), times, starts)
    assert np.allclose(read.alignment(held_out[:20].numpy()), loss.detach().numpy(), atol=1e-5)
    fixed = Draws.fixed(2, 64, 0, LATE)
    times, starts = torch.from_numpy(fixed.times)[None], torch.from_numpy(fixed.starts)[None]
    alignment(velocity, velocity.whiten(codes), times, starts).sum().backward()
    assert codes.grad is not None
    assert np.allclose(read.gradient(held_out[:20].numpy()), codes.grad.numpy(), atol=1e-5)
    assert np.array_equal(read.plausibility.quantiles, prior.plausibility.quantiles)
    assert float(np.median(read.plausibility(read.score(held_out.numpy())))) == pytest.approx(0.5, abs=0.02)
