"""Markov chains of the two-dimensional XY model, H = -sum cos(theta_i - theta_j), many lattices at once.

``spins`` is complex (L, L, R): exp(i theta) on an L x L torus, L even, of R independent lattices; ``beta`` (R,) is the
inverse temperature of each (J = kB = 1). The last axis is the lattice, so that every step is one sum over all.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

QUARTERS = ((0, 0), (0, 1), (1, 1), (1, 0))
"""Parity of the row and the column: no two sites of a quarter are neighbours."""


def aligned(side: int, lattices: int) -> NDArray[np.complex128]:
    """The ground state."""
    return np.ones((side, side, lattices), np.complex128)


def random_spins(side: int, lattices: int, rng: np.random.Generator) -> NDArray[np.complex128]:
    """Infinite temperature."""
    return _turns(rng, (side, side, lattices))


def pull(spins: NDArray[np.complex128], row: int, column: int) -> NDArray[np.complex128]:
    """Sum of the four neighbours (L/2, L/2, R) of each site of a quarter: its energy is -Re(conj(spin) pull)."""
    above, beside = spins[1 - row :: 2, column::2], spins[row::2, 1 - column :: 2]
    return above + np.roll(above, 1 - 2 * row, 0) + beside + np.roll(beside, 1 - 2 * column, 1)


def metropolis(spins: NDArray[np.complex128], beta: NDArray[np.float64], rng: np.random.Generator) -> None:
    """Offer every spin a turn, quarter by quarter, in place; the largest turn suits about half to be taken."""
    reach = np.minimum(np.pi, 2.4 / np.sqrt(beta))
    for row, column in QUARTERS:
        own = spins[row::2, column::2]
        turned = own * np.exp(1j * reach * rng.uniform(-1, 1, own.shape))
        cost = ((own - turned).conj() * pull(spins, row, column)).real
        spins[row::2, column::2] = np.where(rng.random(own.shape) < np.exp(-beta * np.maximum(cost, 0)), turned, own)


def overrelax(spins: NDArray[np.complex128]) -> None:
    """Mirror every spin at the pull of its neighbours, in place: far moves that leave the energy as it is."""
    for row, column in QUARTERS:
        force = pull(spins, row, column)
        weight = np.maximum((force * force.conj()).real, 1e-300)
        spins[row::2, column::2] = force * force * spins[row::2, column::2].conj() / weight


def flip_clusters(spins: NDArray[np.complex128], beta: NDArray[np.float64], rng: np.random.Generator) -> None:
    """Mirror clusters of spins at a random line per lattice, in place.

    Along a direction the spins' components are an Ising model (Wolff 1989), whose clusters are drawn as by Swendsen
    and Wang: all of all lattices at once, each mirrored with probability one half.
    """
    direction = _turns(rng, spins.shape[2:])
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


def sweep(spins: NDArray[np.complex128], beta: NDArray[np.float64], rng: np.random.Generator) -> None:
    """One of everything, in place: turns for the detail, mirrors for the waves, clusters for the whole."""
    metropolis(spins, beta, rng)
    overrelax(spins)
    flip_clusters(spins, beta, rng)
    spins /= np.abs(spins)


def _turns(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.complex128]:
    return np.exp(2j * np.pi * rng.random(shape))
