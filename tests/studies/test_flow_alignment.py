"""The study of alignment with a flow prior: densities, symmetries, closed forms, and a small run of it all."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from scipy.spatial import KDTree

from backend.field.onnx_model import CODE
from backend.prior.archive import COARSE, coarse
from backend.prior.codes import Codes, level0_field
from backend.prior.flow import LEVELS, FlowPrior, ScoreQuantiles
from backend.prior.shape_prior import ShapePrior
from backend.prior.velocity import Block, Velocity
from backend.studies.flow_alignment.codes import (
    BLENDED,
    OVERDRIVEN,
    SHUFFLED,
    code_of_outline,
    errors,
    flow_surprise,
    made_up,
    nearest,
    scorers,
    turned,
)
from backend.studies.flow_alignment.latents import sample_flow, unwhiten
from backend.studies.flow_alignment.study import study
from backend.studies.flow_alignment.toys import (
    Toy,
    agreement,
    align_and_rescatter,
    align_to_levels,
    align_to_median,
    descend,
    detached,
    five_gaussians,
    losses,
    mean_loss,
    modes_of,
    toys,
)
from backend.studies.study import Size, Source
from backend.training.flow import FlowConfig, alignment, train_flow


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def still(size: int, drift: float = 0.0) -> Velocity:
    """Of N(0, I), whose network adds nothing; with a drift it is that of N(drift pi / 2, I)."""
    none, one, few = np.zeros((1, size), np.float32), np.zeros((1, 1), np.float32), np.zeros(1, np.float32)
    return Velocity(none, few, (Block(one, few, one, one, few),), none.T.copy(), np.full(size, drift, np.float32))


def gaussian_prior() -> ShapePrior:
    """Codes in a random basis, and N(0, I) for a flow."""
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.standard_normal((COARSE**3, CODE)))[0].astype(np.float32)
    mean = rng.standard_normal(COARSE**3).astype(np.float32)
    scale = np.linspace(5, 1, CODE, dtype=np.float32)
    codes = Codes(mean, basis, scale, np.eye(CODE, dtype=np.float32)[:2])
    blank = ScoreQuantiles(np.zeros(len(LEVELS), np.float32))
    unit = np.eye(CODE, dtype=np.float32)
    return ShapePrior(codes, FlowPrior(np.zeros(CODE, np.float32), unit, still(CODE), blank, blank))


@pytest.mark.parametrize("toy", [five_gaussians(), *toys()], ids=lambda toy: toy.name)
def test_density_of_every_toy_integrates_to_one_and_its_points_have_unit_spread(toy: Toy):
    axis = torch.linspace(-6, 6, 301) / toy.scale
    points = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), dim=-1).reshape(-1, 2)
    cell = (12 / 300) ** 2
    assert float((-toy.surprise(points)).exp().sum()) * cell == pytest.approx(1, abs=1e-3)
    drawn = toy.sample(20_000, seeded())
    assert float(drawn.square().mean()) == pytest.approx(1, abs=0.02)
    assert drawn.mean(0).abs().max() < 0.03


def test_likelihood_of_real_data_is_the_entropy():
    # modes that do not overlap: ln 5 for the mode, and that of a Gaussian in the plane
    toy = five_gaussians()
    entropy = math.log(5) + math.log(2 * math.pi * math.e * toy.sd**2)
    drawn = toy.surprise(toy.sample(40_000, seeded()))
    assert abs(float(drawn.mean()) - entropy) < 4 * float(drawn.std()) / 200


def test_exact_velocity_turns_with_the_five_modes():
    toy, angle = five_gaussians(), 2 * math.pi / 5
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    x, t = torch.randn(200, 2, generator=seeded()), torch.rand(200, generator=seeded(1))
    assert torch.allclose(toy.field(x @ turn.T, t), toy.field(x, t) @ turn.T, atol=1e-4)


def test_gradients_of_one_gaussian_agree_with_and_without_the_velocity_and_those_of_five_do_not():
    # for N(0, I) both are pi / 2 y / d, since (1 - t) / s^2 and its square have the same mean over time
    points = torch.randn(20, 2, generator=seeded())
    times = ((torch.arange(4000) + 0.5) / 4000)[None]
    starts = torch.zeros(1, 4000, 2)

    def slopes(toy: Toy) -> tuple[torch.Tensor, torch.Tensor]:
        at = points.clone().requires_grad_()
        whole, cut = (alignment(field, at, times, starts).sum() for field in (toy.field, detached(toy.field)))
        return torch.autograd.grad(whole, at)[0], torch.autograd.grad(cut, at)[0]

    through, past = slopes(Toy("one", torch.zeros(1, 2), 1.0))
    assert torch.allclose(through, math.pi / 4 * points, atol=1e-3)
    assert torch.allclose(past, through, atol=1e-3)
    through, past = slopes(five_gaussians())
    assert (through - past).norm() > 0.2 * through.norm()


def test_descent_begins_at_the_start_goes_down_and_is_the_same_again():
    toy, start = five_gaussians(), torch.randn(60, 2, generator=seeded())
    first, middle, last = descend(start, toy.field, [0, 40, 120], seed=3)
    assert torch.equal(first, start)
    means = [mean_loss(points, toy.field) for points in (first, middle, last)]
    assert means[0] > means[1] > means[2]
    assert torch.equal(last, descend(start, toy.field, [120], seed=3)[0])


def test_latents_that_stop_leave_the_good_ones_alone():
    toy, start = five_gaussians(), torch.randn(80, 2, generator=seeded())
    real = toy.sample(500, seeded(1))
    ends = align_to_median(start, toy.field, real, 80)
    assert toy.surprise(ends).mean() < 0.5 * toy.surprise(start).mean()
    settled = align_to_median(real[:100], toy.field, real, 5)
    better = losses(real[:100], toy.field, 64, seed=0) < float(losses(real, toy.field, 64, seed=0).median())
    late = losses(real[:100], toy.field, 64, (0.75, 1.0), seed=0)
    better &= late < float(losses(real, toy.field, 64, (0.75, 1.0), seed=0).median())
    assert better.any()
    assert torch.equal(settled[better], real[:100][better])


def test_latents_at_levels_of_the_data_spread_more_than_at_one_level_and_those_led_out_again_as_the_data_do():
    toy = five_gaussians()
    real, start = toy.sample(600, seeded(1)), torch.randn(240, 2, generator=seeded())
    ends = (
        align_to_median(start, toy.field, real, 120),
        *(way(start, toy.field, real, 120, seeded(2)) for way in (align_to_levels, align_and_rescatter)),
    )
    one, some, out = (modes_of(points, toy) for points in ends)
    assert one.spread < some.spread < 1.1
    assert out.spread == pytest.approx(1, abs=0.12)
    assert abs(out.offset) < 0.12 < -some.offset
    assert out.counts == pytest.approx(some.counts, abs=8)


def test_modes_of_real_data_and_of_data_shrunk_and_drawn_inward():
    toy = five_gaussians()
    drawn = toy.sample(4000, seeded())
    found = modes_of(drawn, toy)
    assert sum(found.counts) == 4000
    assert found.spread == pytest.approx(1, abs=0.04)
    assert found.offset == pytest.approx(0, abs=0.05)
    nearest_centre = toy.centres[torch.cdist(drawn * toy.scale, toy.centres).argmin(1)]
    # a third of the spread, and one deviation inward
    moved = (nearest_centre * (1 - toy.sd / 3) + (drawn * toy.scale - nearest_centre) / 3) / toy.scale
    found = modes_of(moved, toy)
    assert found.spread == pytest.approx(1 / 3, abs=0.02)
    assert found.offset == pytest.approx(-1, abs=0.02)


def test_agreement_is_whole_for_a_rising_curve_and_looks_only_below():
    one = torch.linspace(0, 10, 50)
    rank, line = agreement(one**3, one)
    assert rank == pytest.approx(1)
    assert 0.5 < line < 1
    bent = torch.where(one < 5, one, -one)
    assert agreement(bent, one, below=5)[1] == pytest.approx(1)


def test_untrained_flow_carries_a_gaussian_to_itself():
    velocity = train_flow(2 * torch.randn(3000, 2, generator=seeded()) + 1, FlowConfig(width=8, blocks=1, steps=0))
    start = torch.randn(50, 2, generator=seeded(1))
    assert torch.allclose(sample_flow(velocity, start, 100), start, atol=1e-2)
    assert torch.allclose(velocity.whiten(unwhiten(velocity, start)), start, atol=1e-4)


@pytest.mark.parametrize("drift", [0.0, 0.4])
def test_likelihood_along_a_flow_is_exact_where_it_is_known(drift: float):
    # x = s u turns dx/dt = (2 t - 1) / s^2 x + c / s into du/dt = c / s^2, which adds c pi / 2
    points = np.random.default_rng(0).standard_normal((40, 6)).astype(np.float32)
    expected = 0.5 * np.square(points - drift * math.pi / 2).mean(axis=1) + 0.5 * math.log(2 * math.pi)
    assert np.allclose(flow_surprise(still(6, drift), points, steps=60), expected, atol=2e-3)


def test_flow_that_is_gaussian_denoises_and_ranks_as_the_gaussian_does():
    flow = gaussian_prior().flow
    real = np.random.default_rng(1).standard_normal((30, CODE)).astype(np.float32)
    plain, ours = errors(flow, real, 0.5)
    assert ours == pytest.approx(plain, rel=1e-4)
    # for unit variance the best guess leaves 1 / (1 + doubt^2) of the noise's square
    assert plain == pytest.approx(0.8, abs=0.03)
    asked = scorers(flow)
    square, late = asked["Gaussian (KL)"](real), asked["L, late times"](real)
    assert agreement(torch.from_numpy(square), torch.from_numpy(late))[0] > 0.9


def test_turned_codes_are_codes_of_turned_fields():
    codes = gaussian_prior().codes
    code = np.random.default_rng(2).standard_normal((1, CODE)).astype(np.float32)
    every = turned(codes, code)
    assert every.shape == (48, CODE)
    assert np.allclose(every[0], code[0], atol=1e-3)
    field = codes.field_of(code[0])
    # the last of all: axes reversed, and all three flipped
    moved = field.transpose(2, 1, 0)[::-1, ::-1, ::-1].reshape(-1)
    assert np.allclose(every[-1], (moved - codes.mean) @ codes.basis / codes.scale, atol=1e-3)


def test_made_up_codes_are_what_they_are_called():
    prior = gaussian_prior()
    real = np.random.default_rng(3).standard_normal((20, CODE)).astype(np.float32)
    made = made_up(real, prior, 0)
    assert all(codes.shape == real.shape and np.isfinite(codes).all() for codes in made.values())
    assert np.allclose(np.sort(made[SHUFFLED], axis=0), np.sort(real, axis=0))
    assert not np.allclose(made[SHUFFLED], real)
    assert np.allclose(made[BLENDED].mean(axis=0), real.mean(axis=0), atol=1e-5)
    # the model has two directions and no sliders: three times the usual end of one of them
    moved = made[OVERDRIVEN] - real
    assert np.allclose(np.abs(moved).sum(axis=1), 6, atol=1e-4)
    assert ((np.abs(moved) > 1).sum(axis=1) == 1).all()


def test_code_of_a_ball_comes_back_from_its_outline_and_one_that_is_no_distance_does_not():
    ball = trimesh.creation.icosphere(3, radius=0.6)
    field = coarse(level0_field(ball.vertices, ball.faces)[None])[0]
    basis = np.linalg.qr(np.random.default_rng(5).standard_normal((COARSE**3, CODE - 1)))[0]
    # the first number of the code makes the field steeper all over
    along = (field / np.linalg.norm(field))[:, None]
    basis = np.linalg.qr(np.concatenate([along, basis], axis=1))[0].astype(np.float32)
    codes = Codes(field, basis, np.ones(CODE, np.float32), np.zeros((0, CODE), np.float32))
    steep = np.zeros((2, CODE), np.float32)
    steep[1] = 0.6 * (field @ basis)
    backs, shares = zip(*(code_of_outline(code, codes) for code in steep), strict=True)
    away = [float(np.linalg.norm(back - code)) / COARSE**1.5 for back, code in zip(backs, steep, strict=True)]
    assert shares == pytest.approx((1, 1))
    assert away[0] < 0.1
    assert away[1] > 0.5


def test_nearest_is_that_of_a_search_tree():
    rng = np.random.default_rng(4)
    points, known = rng.standard_normal((20, 5)), rng.standard_normal((60, 5))
    assert np.allclose(nearest(points, known), KDTree(known).query(points)[0])


def test_study_measures_every_row_and_draws_every_figure(tmp_path: Path):
    said: list[str] = []
    found = study(Size.TEST, tmp_path, said.append)
    assert all(math.isfinite(claim.measured) for claim in found.claims)
    keys = [claim.key for claim in found.claims]
    assert len(set(keys)) == len(keys)
    assert {claim.source for claim in found.claims} >= {Source.COMPUTED, Source.EXACT, Source.PROPOSED}
    assert said
    for path, caption in found.figures:
        assert path.parent == tmp_path
        assert path.stat().st_size > 10_000
        assert caption
    # what holds at any size
    by_key = {claim.key: claim.measured for claim in found.claims}
    assert by_key["M1"] > 0.9
    assert by_key["M6"] > 0.98
    assert by_key["E7"] < by_key["D1"]
    assert by_key["E10"] < 1
