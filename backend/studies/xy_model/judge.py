"""What a trained model makes of configurations that it has not seen, temperature by temperature."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from . import angles, observables
from .chain import first_fall
from .model import Vae, divergence


@dataclass(frozen=True)
class Physics:
    """Of an ensemble, per temperature (K,): mean energy per site, mean length of the magnetisation, helicity modulus,
    vortices per plaquette."""

    e: NDArray[np.float64]
    m: NDArray[np.float64]
    Y: NDArray[np.float64]
    n: NDArray[np.float64]

    @classmethod
    def of(cls, configurations: Tensor, temperatures: NDArray[np.float64]) -> Physics:
        """Of angles (K, n, L, L)."""
        rows = []
        for angle, temperature in zip(configurations, temperatures, strict=True):
            spins = np.moveaxis(np.exp(1j * angle.double().numpy()), 0, -1)
            rows.append(
                (
                    observables.energy(spins).mean(),
                    observables.magnetisation(spins).mean(),
                    observables.helicity(spins, 1 / temperature),
                    observables.vortex_density(spins).mean(),
                )
            )
        return cls(*np.array(rows).T)


@dataclass(frozen=True)
class Judged:
    """Of one model; K temperatures, n configurations each.

    true, mean, drawn: physics of the configurations, of their mean decodes, and of one draw of each decode (for the
    plain model the mean again). error, expected_error (K,): mean |energy - true energy| per site of the mean decode,
    and of the expected energy in closed form. code (K, n): the number of the code that says most, signed to grow with
    ``size`` (K, n), the length of the magnetisation. correlation: of the two.
    """

    side: int
    temperatures: NDArray[np.float64]
    true: Physics
    mean: Physics
    drawn: Physics
    error: NDArray[np.float64]
    expected_error: NDArray[np.float64]
    code: NDArray[np.float64]
    size: NDArray[np.float64]
    correlation: float

    def magnetisation_read(self) -> float:
        """Temperature at which the magnetisation that the code stands for passes that of a lattice at T_KT; NaN if it
        does not.

        There the magnetisation decays with exponent eta = 1/4, which in spin-wave theory is
        <|m|> = (sqrt(2) L)^(-1/8) (Bramwell and Holdsworth 1993). A line fitted to |m| sets the unit of the code.
        """
        line = np.polynomial.Polynomial.fit(self.code.ravel(), self.size.ravel(), 1)
        return _falls(self.temperatures, line(self.code).mean(1) - (math.sqrt(2) * self.side) ** -0.125, 0.15)

    def helicity_read(self) -> float:
        """Temperature at which the helicity modulus of the draws falls below 2 T / pi; NaN if it does not."""
        return _falls(self.temperatures, self.drawn.Y - 2 * self.temperatures / np.pi, 0.25)

    def steepest(self) -> float:
        """Temperature of the steepest fall of the code."""
        slope = np.diff(self.code.mean(1)) / np.diff(self.temperatures)
        middle = (self.temperatures[1:] + self.temperatures[:-1]) / 2
        return float(middle[np.argmin(slope)])


@torch.no_grad()
def judge(model: Vae, held_out: Tensor, temperatures: NDArray[np.float64], seed: int) -> Judged:
    """held_out (K, n, L, L): upright configurations of each temperature."""
    generator = torch.Generator().manual_seed(seed)
    shape, flat = held_out.shape[:2], held_out.flatten(0, 1)
    mean, log_sd = model.encode(flat)
    found = model.decode(mean + log_sd.exp() * torch.randn(mean.shape, generator=generator))
    draws = angles.drawn(found.angle, found.log_scale, generator)
    off, expected_off = (
        (energy - angles.energy(flat)).abs().unflatten(0, shape).mean(1).double().numpy()
        for energy in (angles.energy(found.angle), angles.expected_energy(found.angle, found.log_scale))
    )
    size = torch.polar(torch.ones_like(flat), flat).mean((1, 2)).abs().unflatten(0, shape).double().numpy()
    leading = divergence(mean, log_sd).mean(0).argmax()
    code = mean[:, leading].unflatten(0, shape).double().numpy()
    correlation = float(np.corrcoef(code.ravel(), size.ravel())[0, 1])
    return Judged(
        side=model.side,
        temperatures=temperatures,
        true=Physics.of(held_out, temperatures),
        mean=Physics.of(found.angle.unflatten(0, shape), temperatures),
        drawn=Physics.of(draws.unflatten(0, shape), temperatures),
        error=off,
        expected_error=expected_off,
        code=code * math.copysign(1, correlation),
        size=size,
        correlation=abs(correlation),
    )


@torch.no_grad()
def generated(model: Vae, held_out: Tensor, seed: int) -> Tensor:
    """As many new configurations (K, n, L, L) as were held out: codes from a normal distribution fitted to those of
    each temperature, decoded and drawn."""
    generator = torch.Generator().manual_seed(seed)
    made = []
    for configurations in held_out:
        mean, log_sd = model.encode(configurations)
        code = mean + log_sd.exp() * torch.randn(mean.shape, generator=generator)
        # the diagonal keeps the root real when there are fewer codes than numbers in one
        root = torch.linalg.cholesky(torch.cov(code.T) + 1e-3 * torch.eye(code.shape[1]))
        found = model.decode(code.mean(0) + torch.randn(code.shape, generator=generator) @ root.T)
        made.append(angles.drawn(found.angle, found.log_scale, generator))
    return torch.stack(made)


def _falls(temperatures: NDArray[np.float64], excess: NDArray[np.float64], reach: float) -> float:
    near = np.abs(excess) < reach
    return first_fall(temperatures[near], excess[near]) if near.sum() >= 4 else float("nan")
