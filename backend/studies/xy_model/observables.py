"""What is measured on configurations of the XY model; spins (L, L, ...) complex as in ``spins``, of any number."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def energy(spins: NDArray[np.complex128]) -> NDArray[np.float64]:
    """Per site: -2 where all are aligned."""
    return -(_bond(spins, 0) + _bond(spins, 1)).real.mean((0, 1))


def magnetisation(spins: NDArray[np.complex128]) -> NDArray[np.float64]:
    """Length of the mean spin."""
    return np.abs(spins.mean((0, 1)))


def current(spins: NDArray[np.complex128]) -> NDArray[np.float64]:
    """Squared total current per site, mean of the two axes: what lowers the helicity modulus below -e/2."""
    rows, columns = (_bond(spins, axis).imag.sum((0, 1)) ** 2 for axis in (0, 1))
    return (rows + columns) / (2 * spins.shape[0] * spins.shape[1])


def winding(spins: NDArray[np.complex128]) -> NDArray[np.int64]:
    """Vorticity (L, L, ...) of the plaquette up and right of each site: +1, 0 or -1 turns along its edge."""
    right, up = np.angle(_bond(spins, 1)), np.angle(_bond(spins, 0))
    around = right + np.roll(up, -1, 1) - np.roll(right, -1, 0) - up
    return np.rint(around / (2 * np.pi)).astype(np.int64)


def vortex_density(spins: NDArray[np.complex128]) -> NDArray[np.float64]:
    """Vortices and antivortices per plaquette."""
    return np.abs(winding(spins)).mean((0, 1))


def helicity(spins: NDArray[np.complex128], beta: float) -> float:
    """Stiffness against a twist, of the lattices (L, L, R) of one temperature together."""
    return float((-energy(spins) / 2 - beta * current(spins)).mean())


def upright(spins: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """Turned as a whole until the mean spin points along the real axis: H does not know the global angle."""
    mean = spins.mean((0, 1))
    return spins * (mean.conj() / np.maximum(np.abs(mean), 1e-300))


def _bond(spins: NDArray[np.complex128], axis: int) -> NDArray[np.complex128]:
    """exp(i (theta_next - theta)) along an axis."""
    return np.roll(spins, -1, axis) * spins.conj()
