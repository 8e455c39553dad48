"""What a study of sharp topology and soft geometry in weight space rests on."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.integrate import trapezoid
from scipy.optimize import root_scalar

from backend.geometry.topology import Betti
from backend.studies.phase_transition import measures, solids
from backend.studies.phase_transition import networks as net
from backend.studies.phase_transition.networks import Pool
from backend.studies.phase_transition.solids import FAMILIES, draw, truth
from backend.studies.phase_transition.study import study
from backend.studies.study import Size
from backend.training.grids import grid_points

ALL = range(len(FAMILIES))


def field_of_shape(family: int, *numbers: float):
    return lambda points: truth(family, torch.tensor(numbers), points)


def slope(family: int, numbers: tuple[float, ...], points: torch.Tensor, step: float = 1e-3) -> torch.Tensor:
    """Length (N,) of the gradient, by central differences."""
    field = field_of_shape(family, *numbers)
    steps = step * torch.eye(3)
    parts = [(field(points + each) - field(points - each)) / (2 * step) for each in steps]
    return torch.stack(parts).norm(dim=0)


@pytest.fixture(scope="module")
def conditional() -> net.Conditional:
    """Untrained, with a style that does something."""
    model = net.Conditional(0)
    with torch.no_grad():
        model.phi.code_out.weight.normal_(std=0.05, generator=torch.Generator().manual_seed(1))
    return model.requires_grad_(False)


@pytest.mark.parametrize("family", ALL)
@pytest.mark.parametrize("girth", [-1.0, 0.5])
def test_the_topology_of_a_family_changes_at_its_critical_t(family: int, girth: float) -> None:
    star = FAMILIES[family].critical(girth)
    found = [solids.mesh_of(field_of_shape(family, star + step, girth, 0.3), 64).betti for step in (-0.03, 0.03)]
    assert found == [FAMILIES[family].before, FAMILIES[family].after]


@pytest.mark.parametrize("family", ALL)
def test_at_the_critical_t_the_field_vanishes_at_its_saddle(family: int) -> None:
    place = torch.tensor([FAMILIES[family].saddle])

    def value(t: float) -> float:
        return float(field_of_shape(family, t, 0.4, 0.0)(place))

    star = float(root_scalar(value, bracket=(0.01, 0.99)).root)
    assert star == pytest.approx(FAMILIES[family].critical(0.4), abs=1e-4)
    assert float(slope(family, (star, 0.4, 0.0), place)) < 1e-2


@pytest.mark.parametrize("family", ALL)
def test_distances_have_unit_slope_away_from_blends(family: int) -> None:
    length = slope(family, (0.2, 0.0, 0.0), grid_points(16)[0])
    assert float(length.max()) < 1 + 1e-3
    assert float(((length - 1).abs() < 0.02).float().mean()) > 0.5


@pytest.mark.parametrize("family", ALL)
def test_shapes_are_symmetric_and_lie_within_the_cube(family: int) -> None:
    points = 2 * torch.rand(500, 3, generator=torch.Generator().manual_seed(0)) - 1
    field = field_of_shape(family, 0.7, 1.0, 1.0)
    torch.testing.assert_close(field(points), field(points * torch.tensor([1.0, -1.0, 1.0])))
    mesh = solids.mesh_of(field, 48)
    assert np.abs(mesh.vertices).max() < 0.97


def test_draws_cover_t_evenly() -> None:
    shape = draw(20, 3)
    assert sorted((shape[:, 0] * 20).int().tolist()) == list(range(20))
    assert float(shape[:, 1:].abs().max()) <= 1


def test_the_mesh_of_a_ball_is_a_ball() -> None:
    mesh = solids.mesh_of(lambda points: points.norm(dim=1) - 0.5, 48)
    assert mesh.betti == Betti(1, 0, 0)
    assert mesh.volume == pytest.approx(math.pi / 6, rel=0.01)
    np.testing.assert_allclose(np.linalg.norm(mesh.vertices, axis=1), 0.5, atol=0.002)


def test_a_crumb_far_from_everything_is_not_missed() -> None:
    def field(points: torch.Tensor) -> torch.Tensor:
        crumb = (points - torch.tensor([0.8, 0.8, -0.8])).norm(dim=1) - 0.07
        return torch.minimum(points.norm(dim=1) - 0.3, crumb)

    assert solids.mesh_of(field, 48).betti == Betti(2, 0, 0)


def test_nothing_inside_is_an_empty_mesh() -> None:
    mesh = solids.mesh_of(lambda points: torch.ones(len(points)), 32)
    assert (mesh.betti, mesh.volume) == (Betti(0, 0, 0), 0.0)


def test_displacement_is_how_far_a_surface_lies_outside() -> None:
    points = torch.nn.functional.normalize(torch.randn(50, 3, generator=torch.Generator().manual_seed(0)), dim=1) * 0.5
    moved = solids.displacement(lambda p: 3 * (p.norm(dim=1) - 0.6), points)
    torch.testing.assert_close(moved, torch.full((50,), 0.1))


def test_a_style_of_zero_leaves_the_weights_bit_for_bit(conditional: net.Conditional) -> None:
    still = torch.zeros(1, net.GAINS + net.PLACED)
    assert torch.equal(conditional.weights(still)[0], conditional.theta)


def test_a_gain_scales_the_rows_of_its_channel_alone(conditional: net.Conditional) -> None:
    channel = 5
    style = torch.zeros(1, net.GAINS + net.PLACED)
    style[0, net.WIDTH + channel] = 1.0
    ratio = (conditional.weights(style)[0] / conditional.theta).nan_to_num(1.0)
    second = ratio[net.PLACED + net.WIDTH :][: net.WIDTH**2].reshape(net.WIDTH, net.WIDTH)
    assert (second[:, channel] == 2).all()
    assert int((ratio == 2).sum()) == net.WIDTH
    assert (ratio[(ratio != 2)] == 1).all()


def test_weights_are_affine_in_the_style(conditional: net.Conditional) -> None:
    one, other = conditional.style(torch.tensor([0, 2]), torch.tensor([[0.1, 0.5, 0.2], [0.9, -0.5, 0.0]]))
    mixed = conditional.weights((0.3 * one + 0.7 * other)[None])
    expected = 0.3 * conditional.weights(one[None]) + 0.7 * conditional.weights(other[None])
    torch.testing.assert_close(mixed, expected, atol=1e-5, rtol=1e-5)


def test_permuting_hidden_units_keeps_the_field_but_not_the_one_halfway() -> None:
    theta = net.start(0)
    order = torch.randperm(net.WIDTH, generator=torch.Generator().manual_seed(0))
    sizes = [size for inputs, outputs in net.SIZES for size in (inputs * outputs, outputs)]
    parts = list(theta.split(sizes))
    parts[0] = parts[0].reshape(-1, net.WIDTH)[:, order].reshape(-1)
    parts[1] = parts[1][order]
    parts[2] = parts[2].reshape(net.WIDTH, net.WIDTH)[order].reshape(-1)
    permuted = torch.cat(parts)
    points = 2 * torch.rand(200, 3, generator=torch.Generator().manual_seed(1)) - 1
    alone = net.distance(torch.stack((theta, permuted)), points.expand(2, -1, -1))
    torch.testing.assert_close(alone[0], alone[1], atol=1e-4, rtol=1e-4)
    halfway = net.distance(((theta + permuted) / 2)[None], points[None])[0]
    assert float((halfway - alone[0]).abs().mean()) > 0.3 * float(alone[0].abs().mean())


def test_training_points_lie_near_the_surface_and_know_their_distance() -> None:
    shape = draw(1, 0)
    pool = Pool.of(torch.tensor([1]), shape, 0)
    torch.testing.assert_close(pool.distance[0], truth(1, shape[0], pool.points[0]))
    half = pool.distance.shape[1] // 2
    assert float(pool.distance[0, half:].abs().mean()) < 0.5 * float(pool.distance[0, :half].abs().mean())


def test_a_sweep_finds_the_known_transition_on_both_grids(monkeypatch: pytest.MonkeyPatch) -> None:
    # the path hands on t, and the analytic field stands in for a net's
    monkeypatch.setattr(measures, "field_of", lambda theta: field_of_shape(0, float(theta[0]), 0.0, 0.0))
    found = measures.cross(lambda t: torch.tensor([t]), 0, 20, (32, 48), 1e-4)
    star = FAMILIES[0].critical(0.0)
    assert found.right
    assert found.steps == 1
    assert found.gap < 0.02
    assert found.critical[1] == pytest.approx(star, abs=0.02)
    # to either side of the saddle the volume changes as smoothly as anywhere
    assert found.jump < 0.05


def test_sliders_span_what_few_examples_differ_in() -> None:
    generator = torch.Generator().manual_seed(0)
    directions = torch.randn(2, net.LENGTH, generator=generator)
    thetas = net.start(0) + torch.randn(8, 2, generator=generator) @ directions
    sliders = measures.sliders_of(thetas)
    assert len(sliders) == 2
    back = torch.stack([measures.theta_at(sliders, row) for row in sliders.positions(thetas.double().numpy())])
    torch.testing.assert_close(back, thetas, atol=1e-3, rtol=1e-3)


def test_examples_stay_clear_of_the_transition() -> None:
    for family in ALL:
        assert min(FAMILIES[family].critical(girth) for girth in (-1.0, 1.0)) > measures.LATEST + 0.05


def test_chamfer_distance_is_that_of_the_region_asked_for() -> None:
    def ball(radius: float):
        return solids.mesh_of(
            lambda p: torch.minimum(p.norm(dim=1) - 0.3, (p - torch.tensor([0.7, 0, 0])).norm(dim=1) - radius), 64
        )

    middle = np.array([0.7, 0.0, 0.0])
    small, large = ball(0.15), ball(0.2)
    assert measures.chamfer(small, large, middle, 0.25, True) == pytest.approx(0.05, abs=0.005)
    assert measures.chamfer(small, large, middle, 0.25, False) == 0


def test_an_edit_of_strength_zero_is_the_base_bit_for_bit(conditional: net.Conditional) -> None:
    base, goal = conditional.style(torch.tensor([0, 0]), torch.tensor([[0.1, 0.0, -1.0], [0.1, 0.0, 1.0]]))
    points = grid_points(16)[0]
    untouched = net.field_of(conditional.weights(base[None])[0])(points)
    assert torch.equal(measures.edited(conditional, base, goal, 0.0)(points), untouched)


def test_the_linearity_mismatch_vanishes_for_single_nets_and_linear_ones() -> None:
    thetas = torch.stack([net.start(0), net.start(1)])
    points = 2 * torch.rand(100, 3, generator=torch.Generator().manual_seed(1)) - 1
    amounts = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
    found = measures.mismatch(thetas, amounts, points)
    assert found[:2].tolist() == pytest.approx([0, 0], abs=1e-5)
    assert float(found[2]) > 0.05
    # nets that differ in the last layer alone are linear in it
    last = thetas[:1].repeat(2, 1)
    last[1, -net.WIDTH - 1 :] += 0.3
    assert measures.mismatch(last, torch.tensor([[2.0, -1.0], [-3.0, 4.0]]), points).max() < 1e-4


def test_coefficients_sum_to_one_and_spread_more_and_more() -> None:
    amounts = measures.coefficients(4, 9, 0)
    torch.testing.assert_close(amounts.sum(dim=1), torch.ones(9))
    spread = (amounts - 0.25).norm(dim=1)
    torch.testing.assert_close(spread, torch.linspace(0, measures.FARTHEST, 9))


def test_the_curve_has_the_area_that_is_the_chance_of_the_right_order() -> None:
    rng = np.random.default_rng(0)
    scores, broken = np.round(rng.normal(size=60), 1), rng.random(60) < 0.4
    pairs = scores[broken][:, None] - scores[~broken][None]
    chance = (pairs > 0).mean() + (pairs == 0).mean() / 2
    assert measures.Trial(scores[None], broken).areas() == pytest.approx([chance])
    alarms, hits = measures.roc(scores, broken)
    assert trapezoid(hits, alarms) == pytest.approx(chance)


def test_the_study_runs_small(tmp_path) -> None:
    found = study(Size.TEST, tmp_path, lambda line: None)
    assert {claim.key.split()[0] for claim in found.claims} == {"C1", "C2", "C3", "C4", "C5", "C6"}
    assert all(math.isfinite(claim.measured) for claim in found.claims)
    assert len(found.figures) == 4
    assert all(path.stat().st_size > 10_000 for path, _ in found.figures)
    zero = next(claim for claim in found.claims if claim.key == "C4 zero")
    assert zero.verdict == "met"
