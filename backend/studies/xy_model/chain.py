"""Measured temperatures of one lattice size, with error bars, and the configurations that a model learns from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import observables
from .spins import aligned, random_spins, sweep

QUANTITIES = ("e", "m", "Y", "n", "C")
"""Energy per site, length of the magnetisation, helicity modulus, vortices per plaquette, specific heat per site."""
UNORDERED = 1.0
"""Temperature from which a lattice starts at random."""


@dataclass(frozen=True)
class Curves:
    """temperatures (K,) ascending; value and error (one sigma): K values per quantity."""

    side: int
    temperatures: NDArray[np.float64]
    value: dict[str, NDArray[np.float64]]
    error: dict[str, NDArray[np.float64]]

    def at(self, temperature: float, quantity: str) -> tuple[float, float]:
        """Value and error at a measured temperature."""
        place = int(np.argmin(np.abs(self.temperatures - temperature)))
        return float(self.value[quantity][place]), float(self.error[quantity][place])

    def crossing(self) -> tuple[float, float]:
        """Temperature and error where the helicity modulus falls below 2 T / pi, the universal jump at T_KT.

        A cubic through the excess of the measured temperatures nearby, weighed by their errors.
        """
        excess = self.value["Y"] - 2 * self.temperatures / np.pi
        near = np.abs(excess) < 0.25

        def root(values: NDArray[np.float64]) -> float:
            return first_fall(self.temperatures[near], values, self.error["Y"][near])

        rng = np.random.default_rng(0)
        spread = [root(excess[near] + rng.normal(0, self.error["Y"][near])) for _ in range(64)]
        return root(excess[near]), float(np.std(spread))

    def peak(self) -> tuple[float, float, float]:
        """Temperature, height and error of the height of the specific heat's peak, by a cubic around the largest."""
        top = self.temperatures[np.argmax(self.value["C"])]
        near = np.abs(self.temperatures - top) < 0.13

        def summit(values: NDArray[np.float64]) -> tuple[float, float]:
            curve = np.polynomial.Polynomial.fit(self.temperatures[near], values, 3, w=1 / self.error["C"][near])
            fine = np.linspace(self.temperatures[near][0], self.temperatures[near][-1], 401)
            return float(fine[np.argmax(curve(fine))]), float(curve(fine).max())

        rng = np.random.default_rng(0)
        noisy = [summit(self.value["C"][near] + rng.normal(0, self.error["C"][near]))[1] for _ in range(64)]
        return *summit(self.value["C"][near]), float(np.std(noisy))


def first_fall(
    at: NDArray[np.float64], values: NDArray[np.float64], errors: NDArray[np.float64] | None = None
) -> float:
    """Where a weighted cubic through the values first falls through zero; NaN if it does not within their reach."""
    curve = np.polynomial.Polynomial.fit(at, values, 3, w=None if errors is None else 1 / errors)
    fine = np.linspace(at[0], at[-1], 2001)
    below = np.flatnonzero(curve(fine) < 0)
    return float(fine[below[0]]) if len(below) and below[0] else float("nan")


def start(
    side: int, temperatures: NDArray[np.float64], warm_up: int, rng: np.random.Generator
) -> NDArray[np.complex128]:
    """Spins (L, L, R) in equilibrium, a lattice per temperature given."""
    spins = np.where(
        temperatures < UNORDERED, aligned(side, len(temperatures)), random_spins(side, len(temperatures), rng)
    )
    for _ in range(warm_up):
        sweep(spins, 1 / temperatures, rng)
    return spins


def measure(
    side: int,
    temperatures: Sequence[float],
    replicas: int,
    sweeps: int,
    seed: int,
    keep: Callable[[NDArray[np.complex128]], None] | None = None,
    every: int = 50,
) -> Curves:
    """Curves of ``replicas`` lattices per temperature over ``sweeps``, a tenth more to warm up.

    keep: told the spins (L, L, K, replicas) every so many sweeps.
    """
    rng = np.random.default_rng(seed)
    each = np.repeat(np.asarray(temperatures, float), replicas)
    spins = start(side, each, max(sweeps // 10, 50), rng)
    seen = np.empty((sweeps, 4, len(each)))
    for step in range(sweeps):
        sweep(spins, 1 / each, rng)
        seen[step] = [
            observables.energy(spins),
            observables.magnetisation(spins),
            observables.current(spins),
            observables.vortex_density(spins),
        ]
        if keep is not None and step % every == 0:
            keep(spins.reshape(side, side, len(temperatures), replicas))
    return _curves(side, np.asarray(temperatures, float), seen.reshape(sweeps, 4, len(temperatures), replicas))


def _curves(side: int, temperatures: NDArray[np.float64], seen: NDArray[np.float64]) -> Curves:
    """From (sweeps, 4, K, replicas): errors by leaving out one block at a time, a block being half a replica's run."""
    half = len(seen) // 2
    blocks = seen[: 2 * half].reshape(2, half, *seen.shape[1:])
    energies, size, flow, vortices = np.moveaxis(blocks, 2, 0)
    means = np.stack([energies, energies**2, size, flow, vortices]).mean(2)  # quantity, 2, K, replicas
    means = np.moveaxis(means, 2, 1).reshape(5, len(temperatures), -1)
    count = means.shape[2]
    whole = means.mean(2, keepdims=True)
    values = _quantities(side, temperatures[:, None], whole)
    without = _quantities(side, temperatures[:, None], (whole * count - means) / (count - 1))
    errors = {name: np.sqrt((count - 1) * without[name].var(1)) for name in QUANTITIES}
    return Curves(side, temperatures, {name: values[name][:, 0] for name in QUANTITIES}, errors)


def _quantities(
    side: int, temperatures: NDArray[np.float64], means: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """From the means of energy, its square, magnetisation, current and vortices."""
    energy, square, size, flow, vortices = means
    return {
        "e": energy,
        "m": size,
        "Y": -energy / 2 - flow / temperatures,
        "n": vortices,
        "C": side**2 * (square - energy**2) / temperatures**2,
    }
