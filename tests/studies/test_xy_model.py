"""The XY model: exact values, symmetries and conservation laws; the autoencoder's likelihood and energy; the study."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import i0e, ive

from backend.studies.study import Size
from backend.studies.xy_model import autoencoder as angles
from backend.studies.xy_model import lattice
from backend.studies.xy_model.autoencoder import Vae
from backend.studies.xy_model.lattice import REFERENCE, TEMPERATURES, measure
from backend.studies.xy_model.study import study


def vortices(side: int, *cores: tuple[float, float, int]) -> np.ndarray:
    """Spins (L, L, 1) with a vortex of the given charge at each (row, column)."""
    row, column = np.mgrid[:side, :side]
    turn = sum(charge * np.arctan2(row - y, column - x) for y, x, charge in cores)
    return np.exp(1j * turn)[..., None]


def ring_energy(beta: float, sites: int) -> float:
    """Energy per bond of a closed chain, from Z = sum over all k of I_k(beta)^sites."""
    k = np.arange(-60, 61)
    bessel, slope = ive(k, beta), (ive(k - 1, beta) + ive(k + 1, beta)) / 2
    return float(-(bessel ** (sites - 1) * slope).sum() / (bessel**sites).sum())


def test_aligned_spins_have_the_lowest_energy_and_full_stiffness() -> None:
    state = np.ones((8, 8, 3), np.complex128)
    assert lattice.energy(state) == pytest.approx(-2)
    assert lattice.magnetisation(state) == pytest.approx(1)
    assert lattice.helicity(state, beta=5.0) == pytest.approx(1)
    assert not lattice.winding(state).any()


def test_a_turn_of_all_spins_changes_nothing_that_is_measured() -> None:
    state = lattice.random_spins(np.random.default_rng(0), 8, 8, 5)
    turned = state * np.exp(1.234j)
    for measured in (lattice.energy, lattice.magnetisation, lattice.current, lattice.vortex_density):
        assert measured(turned) == pytest.approx(measured(state))
    upright = lattice.upright(state)
    assert upright.mean((0, 1)) == pytest.approx(lattice.magnetisation(state))
    assert lattice.upright(turned) == pytest.approx(upright)


@pytest.mark.parametrize("charge", [1, -1])
def test_a_single_vortex_winds_once_around_its_plaquette(charge: int) -> None:
    # not the border: on a torus a lone vortex has its opposite there
    inside = lattice.winding(vortices(12, (5.5, 5.5, charge)))[:-1, :-1, 0]
    assert inside[5, 5] == charge
    assert np.abs(inside).sum() == 1


def test_a_planted_pair_is_counted_and_charges_cancel_on_the_torus() -> None:
    winding = lattice.winding(vortices(16, (7.5, 5.5, 1), (7.5, 9.5, -1)))[..., 0]
    assert (winding[7, 5], winding[7, 9]) == (1, -1)
    assert winding.sum() == 0
    assert np.abs(winding[:-1, :-1]).sum() == 2
    random = lattice.random_spins(np.random.default_rng(1), 10, 10, 20)
    assert not lattice.winding(random).sum((0, 1)).any()


def test_random_spins_have_a_vortex_on_every_third_plaquette() -> None:
    density = lattice.vortex_density(lattice.random_spins(np.random.default_rng(2), 64, 64, 40))
    # four independent angles wind with probability 1/3
    assert density.mean() == pytest.approx(1 / 3, abs=0.005)


def test_overrelaxation_conserves_the_energy_but_moves_the_spins() -> None:
    state = lattice.random_spins(np.random.default_rng(3), 16, 16, 4)
    before, energy = state.copy(), lattice.energy(state)
    for _ in range(10):
        lattice.overrelax(state)
    assert lattice.energy(state) == pytest.approx(energy, abs=1e-12)
    assert np.abs(state) == pytest.approx(1, abs=1e-12)
    assert np.abs(state - before).mean() > 0.5


@pytest.mark.parametrize("update", ["metropolis", "clusters", "sweep"])
@pytest.mark.parametrize("beta", [0.3, 1.0])
def test_each_update_samples_the_exact_energy_of_four_spins(update: str, beta: float) -> None:
    # on the 2 x 2 torus every pair of neighbours has two bonds: a closed chain of four at twice the coupling
    rng = np.random.default_rng(4)
    state, betas = lattice.random_spins(rng, 2, 2, 4000), np.full(4000, beta)
    step = {
        "metropolis": lattice.metropolis,
        "clusters": lattice.flip_clusters,
        "sweep": lattice.sweep,
    }[update]
    seen = []
    for turn in range(90):
        step(state, betas, rng)
        if turn >= 40:
            seen.append(lattice.energy(state).mean())
    assert np.mean(seen) == pytest.approx(2 * ring_energy(2 * beta, 4), abs=0.012)


def test_a_long_closed_chain_has_the_energy_of_an_open_one() -> None:
    assert ring_energy(0.7, 200) == pytest.approx(-float(ive(1, 0.7) / i0e(0.7)))


def test_cold_lattices_follow_spin_wave_theory() -> None:
    temperatures = (0.1, 0.2)
    curves = measure(16, temperatures, replicas=8, sweeps=60, seed=0)
    for temperature in temperatures:
        e, _ = curves.at(temperature, "e")
        # one mode of the N has no energy: the turn of all spins
        assert e == pytest.approx(-2 + (temperature / 2) * (1 - 1 / 256) + temperature**2 / 16, abs=0.003)
        assert curves.at(temperature, "Y")[0] == pytest.approx(1 - temperature / 4, abs=0.01)
        assert curves.at(temperature, "C")[0] == pytest.approx(0.5, abs=0.12)


def test_a_short_chain_meets_the_reference_within_its_own_errors() -> None:
    curves = measure(16, (0.8, 1.2), replicas=12, sweeps=120, seed=1)
    for temperature in (0.8, 1.2):
        place = TEMPERATURES.index(temperature)
        for quantity in ("e", "m", "n"):
            value, error = curves.at(temperature, quantity)
            assert abs(value - REFERENCE[16][quantity][place]) < 5 * error + 1e-3


@pytest.mark.parametrize("scale", [0.1, 0.6, 3.0])
def test_the_likelihood_is_normalised_on_the_circle(scale: float) -> None:
    around = torch.linspace(-math.pi, math.pi, 801, dtype=torch.float64)[:-1]
    log_scale = torch.full((1, 1, 1), math.log(scale), dtype=torch.float64)
    density = [
        float(torch.exp(-angles.surprise(torch.full_like(log_scale, 0.7), log_scale, a)))
        for a in around[:, None, None, None]
    ]
    assert np.mean(density) * 2 * math.pi == pytest.approx(1, abs=1e-3)


def test_the_likelihood_does_not_know_where_an_angle_wraps() -> None:
    mean, log_scale = torch.rand(2, 4, 4), torch.zeros(2, 4, 4)
    angle = 2 * math.pi * torch.rand(2, 4, 4)
    shifted = angle + 2 * math.pi * torch.randint(-2, 3, angle.shape)
    torch.testing.assert_close(angles.surprise(mean, log_scale, shifted), angles.surprise(mean, log_scale, angle))


def test_the_expected_energy_is_the_mean_over_draws() -> None:
    generator = torch.Generator().manual_seed(0)
    mean = 0.5 * torch.randn(1, 8, 8, generator=generator)
    log_scale = torch.randn(1, 8, 8, generator=generator) * 0.5 - 0.7
    many = angles.drawn(mean.expand(20000, -1, -1), log_scale.expand(20000, -1, -1), generator)
    energies = angles.energy(many)
    error = float(energies.std()) / math.sqrt(len(many))
    assert float(angles.expected_energy(mean, log_scale)) == pytest.approx(float(energies.mean()), abs=4 * error)
    # without noise it is the energy, and noise can only raise that of aligned spins
    assert angles.expected_energy(mean, torch.full_like(mean, -12.0)) == pytest.approx(angles.energy(mean), abs=1e-4)
    assert float(angles.expected_energy(torch.zeros_like(mean), log_scale)) > -2


def test_the_energy_of_angles_is_that_of_spins() -> None:
    state = lattice.random_spins(np.random.default_rng(5), 8, 8, 5)
    angle = torch.from_numpy(np.moveaxis(np.angle(state), -1, 0).copy())
    np.testing.assert_allclose(angles.energy(angle).numpy(), lattice.energy(state), atol=1e-12)


def test_the_energy_difference_reaches_the_scale() -> None:
    # aligned means of hot configurations: only a wider scale can raise the expected energy
    angle = math.pi * (2 * torch.rand(4, 8, 8) - 1)
    log_scale = torch.full_like(angle, -2.0, requires_grad=True)
    angles.energy_difference(torch.zeros_like(angle), log_scale, angle).backward()
    assert log_scale.grad is not None
    assert bool((log_scale.grad < 0).all())


@pytest.mark.parametrize("scaled", [True, False])
def test_both_models_descend_from_finite_losses(scaled: bool) -> None:
    torch.manual_seed(0)
    model, generator = Vae(8, scaled), torch.Generator().manual_seed(0)
    loss = model.loss(torch.randn(16, 8, 8), generator)
    loss.backward()
    assert bool(loss.isfinite())
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in model.parameters())


def test_the_study_measures_every_row_and_draws_its_figures(tmp_path: Path) -> None:
    findings = study(Size.TEST, tmp_path, lambda _: None)
    assert all(math.isfinite(claim.measured) for claim in findings.claims)
    assert len({claim.key for claim in findings.claims}) == len(findings.claims)
    assert len(findings.figures) == 5
    assert all(path.stat().st_size > 10_000 for path, _ in findings.figures)
