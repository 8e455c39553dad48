"""The two-dimensional XY model, H = -sum cos(theta_i - theta_j): Markov chains, observables, curves over temperature.

``spins`` is complex (L, L, R): exp(i theta) on an L x L torus, L even, of R independent lattices; ``beta`` (R,) is the
inverse temperature of each (J = kB = 1). The last axis is the lattice, so that every step is one sum over all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Spins = NDArray[np.complex128]
Reals = NDArray[np.float64]
Keep = Callable[[Spins], None] | None

QUARTERS = ((0, 0), (0, 1), (1, 1), (1, 0))  # parity of row and column: no two sites of a quarter are neighbours
UNORDERED = 1.0  # temperature from which a lattice starts at random
QUANTITIES = ("e", "m", "Y", "n", "C")
"""Energy per site, length of the magnetisation, helicity modulus, vortices of both signs per plaquette, specific heat
per site."""

T_KT = 0.8929  # temperature of the Kosterlitz-Thouless transition of the infinite lattice (Hasenbusch 2005, 0.89294(8))

_TABLE = np.genfromtxt(Path(__file__).with_name("reference.csv"), delimiter=",", names=True)
REFERENCE = {side: {name: _TABLE[name][_TABLE["L"] == side] for name in ("T", *QUANTITIES)} for side in (16, 32)}
"""Quantities at temperatures T by side of the lattice, computed for this project with other code: Metropolis,
over-relaxation and Wolff clusters, 60,000 to 100,000 measurements per temperature."""
TEMPERATURES = tuple(REFERENCE[16]["T"].tolist())
ERRORS = {"e": 6e-4, "m": 9e-4, "Y": 2.5e-3, "n": 2.5e-4, "C": 0.015}  # one sigma of the reference, at most


def random_spins(rng: np.random.Generator, *shape: int) -> Spins:
    """Infinite temperature."""
    return np.exp(2j * np.pi * rng.random(shape))


def pull(spins: Spins, row: int, column: int) -> Spins:
    """Sum of the four neighbours (L/2, L/2, R) of each site of a quarter: its energy is -Re(conj(spin) pull)."""
    above, beside = spins[1 - row :: 2, column::2], spins[row::2, 1 - column :: 2]
    return above + np.roll(above, 1 - 2 * row, 0) + beside + np.roll(beside, 1 - 2 * column, 1)


def metropolis(spins: Spins, beta: Reals, rng: np.random.Generator) -> None:
    """Offer every spin a turn, quarter by quarter, in place; about half of the turns are accepted."""
    reach = np.minimum(np.pi, 2.4 / np.sqrt(beta))
    for row, column in QUARTERS:
        own = spins[row::2, column::2]
        turned = own * np.exp(1j * reach * rng.uniform(-1, 1, own.shape))
        cost = ((own - turned).conj() * pull(spins, row, column)).real
        spins[row::2, column::2] = np.where(rng.random(own.shape) < np.exp(-beta * np.maximum(cost, 0)), turned, own)


def overrelax(spins: Spins) -> None:
    """Mirror every spin at the pull of its neighbours, in place: far moves that leave the energy as it is."""
    for row, column in QUARTERS:
        force = pull(spins, row, column)
        weight = np.maximum((force * force.conj()).real, 1e-300)
        spins[row::2, column::2] = force * force * spins[row::2, column::2].conj() / weight


def flip_clusters(spins: Spins, beta: Reals, rng: np.random.Generator) -> None:
    """Mirror clusters of spins at a random line per lattice, in place: along a direction the spins' components are an
    Ising model (Wolff 1989), whose clusters are drawn as by Swendsen and Wang, each mirrored with probability one half.
    """
    direction = random_spins(rng, *spins.shape[2:])
    along = (spins * direction.conj()).real
    site = np.arange(spins.size).reshape(spins.shape)
    bonds = []
    for axis in (0, 1):
        joined = rng.random(spins.shape) < -np.expm1(np.minimum(-2 * beta * along * np.roll(along, -1, axis), 0))
        bonds.append((site[joined], np.roll(site, -1, axis)[joined]))
    here, there = np.concatenate(bonds, axis=1)
    graph = coo_array((np.ones(len(here), np.int8), (here, there)), (spins.size, spins.size))
    count, label = connected_components(graph, directed=False)
    mirrored = rng.random(count) < 0.5
    spins -= 2 * along * direction * mirrored[label].reshape(spins.shape)


def sweep(spins: Spins, beta: Reals, rng: np.random.Generator) -> None:
    """One of everything, in place: turns for the detail, mirrors for the waves, clusters for the whole."""
    metropolis(spins, beta, rng)
    overrelax(spins)
    flip_clusters(spins, beta, rng)
    spins /= np.abs(spins)


def energy(spins: Spins) -> Reals:
    """Per site: -2 where all are aligned."""
    return -(_bond(spins, 0) + _bond(spins, 1)).real.mean((0, 1))


def magnetisation(spins: Spins) -> Reals:
    """Length of the mean spin."""
    return np.abs(spins.mean((0, 1)))


def current(spins: Spins) -> Reals:
    """Squared total current per site, mean of the two axes: what lowers the helicity modulus below -e/2."""
    rows, columns = (_bond(spins, axis).imag.sum((0, 1)) ** 2 for axis in (0, 1))
    return (rows + columns) / (2 * spins.shape[0] * spins.shape[1])


def winding(spins: Spins) -> NDArray[np.int64]:
    """Vorticity (L, L, ...) of the plaquette up and right of each site: +1, 0 or -1 turns along its edge."""
    right, up = np.angle(_bond(spins, 1)), np.angle(_bond(spins, 0))
    around = right + np.roll(up, -1, 1) - np.roll(right, -1, 0) - up
    return np.rint(around / (2 * np.pi)).astype(np.int64)


def vortex_density(spins: Spins) -> Reals:
    """Vortices and antivortices per plaquette."""
    return np.abs(winding(spins)).mean((0, 1))


def helicity(spins: Spins, beta: float) -> float:
    """Stiffness against a twist, of the lattices (L, L, R) of one temperature together."""
    return float((-energy(spins) / 2 - beta * current(spins)).mean())


def upright(spins: Spins) -> Spins:
    """Turned as a whole until the mean spin points along the real axis: H does not know the global angle."""
    mean = spins.mean((0, 1))
    return spins * (mean.conj() / np.maximum(np.abs(mean), 1e-300))


def _bond(spins: Spins, axis: int) -> Spins:
    """exp(i (theta_next - theta)) along an axis."""
    return np.roll(spins, -1, axis) * spins.conj()


@dataclass(frozen=True)
class Curves:
    """Quantities of lattices of one size over K temperatures."""

    side: int
    temperatures: Reals  # (K,), ascending
    value: dict[str, Reals]  # (K,) for each of QUANTITIES
    error: dict[str, Reals]  # one sigma

    def at(self, temperature: float, quantity: str) -> tuple[float, float]:
        """Value and error at a measured temperature."""
        place = int(np.argmin(np.abs(self.temperatures - temperature)))
        return float(self.value[quantity][place]), float(self.error[quantity][place])

    def deviations(self, quantity: str) -> tuple[Reals, Reals]:
        """From the reference at the temperatures of both: as they are, and in units of both errors together."""
        wanted = dict(zip(TEMPERATURES, REFERENCE[self.side][quantity], strict=True))
        found = [(*self.at(at, quantity), wanted[at]) for at in TEMPERATURES if at in self.temperatures]
        value, error, true = np.array(found).T
        return value - true, (value - true) / np.hypot(error, ERRORS[quantity])

    def crossing(self) -> tuple[float, float]:
        """Temperature and error where the helicity modulus falls below 2 T / pi, the universal jump at T_KT: by a cubic
        through the excess of the measured temperatures nearby, weighed by their errors."""
        excess = self.value["Y"] - 2 * self.temperatures / np.pi
        near = np.abs(excess) < 0.25
        at, values, errors = self.temperatures[near], excess[near], self.error["Y"][near]
        spread = np.std([first_fall(at, noisy, errors) for noisy in _noisy(values, errors)])
        return first_fall(at, values, errors), float(spread)

    def peak(self) -> tuple[float, float, float]:
        """Temperature, height and error of the height of the specific heat's peak, by a cubic around the largest."""
        near = np.abs(self.temperatures - self.temperatures[np.argmax(self.value["C"])]) < 0.13
        at, values, errors = self.temperatures[near], self.value["C"][near], self.error["C"][near]

        def summit(values: Reals) -> tuple[float, float]:
            curve = np.polynomial.Polynomial.fit(at, values, 3, w=1 / errors)
            fine = np.linspace(at[0], at[-1], 401)
            return float(fine[np.argmax(curve(fine))]), float(curve(fine).max())

        return *summit(values), float(np.std([summit(noisy)[1] for noisy in _noisy(values, errors)]))


def _noisy(values: Reals, errors: Reals) -> Reals:
    """Values (64, n) as they might have been measured."""
    return values + np.random.default_rng(0).normal(0, errors, (64, len(values)))


def first_fall(at: Reals, values: Reals, errors: Reals | None = None) -> float:
    """Where a weighted cubic through the values first falls through zero; NaN if it does not within their reach."""
    curve = np.polynomial.Polynomial.fit(at, values, 3, w=None if errors is None else 1 / errors)
    fine = np.linspace(at[0], at[-1], 2001)
    below = np.flatnonzero(curve(fine) < 0)
    return float(fine[below[0]]) if len(below) and below[0] else float("nan")


def measure(
    side: int, temperatures: Sequence[float], replicas: int, sweeps: int, seed: int, keep: Keep = None, every: int = 50
) -> Curves:
    """Curves of ``replicas`` lattices per temperature over ``sweeps``, a tenth more to warm up. keep: receives the
    spins (L, L, K, replicas) every so many sweeps."""
    rng = np.random.default_rng(seed)
    each = np.repeat(np.asarray(temperatures, float), replicas)
    shape = (side, side, len(each))
    spins = np.where(each < UNORDERED, np.ones(shape, np.complex128), random_spins(rng, *shape))
    for _ in range(max(sweeps // 10, 50)):
        sweep(spins, 1 / each, rng)
    seen = np.empty((sweeps, 4, len(each)))
    for step in range(sweeps):
        sweep(spins, 1 / each, rng)
        seen[step] = [energy(spins), magnetisation(spins), current(spins), vortex_density(spins)]
        if keep is not None and step % every == 0:
            keep(spins.reshape(side, side, len(temperatures), replicas))
    return _curves(side, np.asarray(temperatures, float), seen.reshape(sweeps, 4, len(temperatures), replicas))


def _curves(side: int, temperatures: Reals, seen: Reals) -> Curves:
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


def _quantities(side: int, temperatures: Reals, means: Reals) -> dict[str, Reals]:
    """From the means of energy, its square, magnetisation, current and vortices."""
    energy, square, size, flow, vortices = means
    heat = side**2 * (square - energy**2) / temperatures**2
    return {"e": energy, "m": size, "Y": -energy / 2 - flow / temperatures, "n": vortices, "C": heat}
