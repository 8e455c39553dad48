"""Two autoencoders of configurations, plain and with the energy in its loss, and what they make of new ones.

As the product predicts a signed distance per voxel (``backend.training.losses``), an angle has a mean and a Laplace
scale here, wrapped around the circle: the likelihood is ``laplace_loss`` of the shorter way round, plus what the
wrapping adds, and the expected energy has a closed form, since the first harmonic of the noise is 1 / (1 + b^2). The
energy difference is per site, as in Cristoforetti et al. 2017. Angles are (B, L, L), in radians.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from ...training.losses import laplace_loss
from ..instruments import minimise
from . import lattice
from .lattice import Reals, first_fall

CODE, WIDTH = 64, 256
LEAST_LOG_SCALE, LARGEST_LOG_SCALE = -5.0, 2.0
ENERGY_WEIGHT = 600.0
"""Of the energy difference per site, where the likelihood counts 256 sites: enough to lead the scale, too little for
it to shrink the scale against the likelihood."""

Physics: TypeAlias = dict[str, Reals]  # of an ensemble, per temperature (K,): e, m, Y and n, see ``lattice.QUANTITIES``


def wrapped(angle: Tensor) -> Tensor:
    """The same angle within -pi .. pi."""
    return angle - 2 * math.pi * torch.round(angle / (2 * math.pi))


def surprise(mean: Tensor, log_scale: Tensor, angle: Tensor) -> Tensor:
    """Negative log likelihood per site of angles under wrapped Laplace noise, averaged over all sites."""
    away = wrapped(mean - angle)
    field = torch.stack([away, log_scale], dim=1)[..., None]
    # the angle is the origin: there all sites weigh the same, and zero filling asks for the median
    straight = laplace_loss(field, torch.zeros_like(field[:, :1]), away.new_zeros(len(away)), evenness=0.0)
    scale = log_scale.exp()
    outside, back = torch.exp(-2 * math.pi / scale), torch.exp(-2 * (math.pi - away.abs()) / scale)
    return straight + math.log(2) + (torch.log1p(-outside) - torch.log1p(back)).mean()


def energy(angle: Tensor, length: Tensor | None = None) -> Tensor:
    """Of the XY model (B,), per site, of spins of this length, by default 1."""
    length = torch.ones_like(angle) if length is None else length
    bonds = [torch.cos(angle - angle.roll(1, axis)) * length * length.roll(1, axis) for axis in (1, 2)]
    return -torch.stack(bonds).sum(0).mean((1, 2))


def expected_energy(mean: Tensor, log_scale: Tensor) -> Tensor:
    """Mean energy (B,) per site of all draws."""
    return energy(mean, 1 / (1 + torch.exp(2 * log_scale)))


def energy_difference(mean: Tensor, log_scale: Tensor, angle: Tensor) -> Tensor:
    """Mean of |H(x) - E H(draw)| per site over a batch: the term that the paper adds to the loss."""
    return (energy(angle) - expected_energy(mean, log_scale)).abs().mean()


def drawn(mean: Tensor, log_scale: Tensor, generator: torch.Generator) -> Tensor:
    """One draw of the angles, each site by itself."""
    half = torch.rand(mean.shape, generator=generator) - 0.5
    away = -log_scale.exp() * half.sign() * torch.log1p((-2 * half.abs()).clamp(min=-1 + 1e-7))
    return wrapped(mean + away)


class Layer(nn.Module):
    """A straight path, since waves of small angle are linear, and a bent one beside it."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.straight = nn.Linear(inputs, outputs)
        self.into, self.out = nn.Linear(inputs, WIDTH), nn.Linear(WIDTH, outputs)

    def forward(self, values: Tensor) -> Tensor:
        return self.straight(values) + self.out(silu(self.into(values)))


@dataclass(frozen=True)
class Decoded:
    vector: Tensor  # (B, 2, L, L): mean (cos, sin), of any length
    log_scale: Tensor  # (B, L, L): of its noise, -inf for the plain model, which has none

    @property
    def angle(self) -> Tensor:
        """The mean decode (B, L, L)."""
        return torch.atan2(self.vector[:, 1], self.vector[:, 0])


class Vae(nn.Module):
    """Angles (B, L, L) <-> codes (B, CODE). ``scaled``: with a scale per site, and the energy difference in the loss.
    Both models see (cos, sin) of configurations turned upright, and differ in output and loss alone."""

    def __init__(self, side: int, scaled: bool) -> None:
        super().__init__()
        self.side, self.scaled = side, scaled
        self.encoder = Layer(2 * side**2, 2 * CODE)
        self.decoder = Layer(CODE, (3 if scaled else 2) * side**2)

    def encode(self, angle: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log sd (B, CODE) of the codes."""
        mean, log_sd = self.encoder(_vector(angle).flatten(1)).chunk(2, dim=1)
        return mean, log_sd.clamp(-6, 1)

    def decode(self, code: Tensor) -> Decoded:
        out = self.decoder(code).unflatten(1, (-1, self.side, self.side))
        if not self.scaled:
            return Decoded(out, torch.full_like(out[:, 0], -torch.inf))
        return Decoded(out[:, :2], (out[:, 2] - 1).clamp(LEAST_LOG_SCALE, LARGEST_LOG_SCALE))

    def loss(self, angle: Tensor, generator: torch.Generator) -> Tensor:
        """Negative evidence bound per configuration, with the energy difference where the model has a scale. The plain
        model's is Gaussian in (cos, sin) with the one variance that suits the batch best."""
        mean, log_sd = self.encode(angle)
        found = self.decode(mean + log_sd.exp() * torch.randn(mean.shape, generator=generator))
        if self.scaled:
            rebuilt = self.side**2 * surprise(found.angle, found.log_scale, angle)
            rebuilt = rebuilt + ENERGY_WEIGHT * energy_difference(found.angle, found.log_scale, angle)
        else:
            rebuilt = self.side**2 * (found.vector - _vector(angle)).square().mean().log()
        return rebuilt + divergence(mean, log_sd).sum(1).mean()


def divergence(mean: Tensor, log_sd: Tensor) -> Tensor:
    """From the standard normal (B, CODE), of each number of a code."""
    return 0.5 * (mean.square() + torch.exp(2 * log_sd) - 1) - log_sd


def train(angles: Tensor, scaled: bool, steps: int, seed: int, batch: int = 128, rate: float = 3e-3) -> Vae:
    """A model of upright configurations (n, L, L), shown shifted, transposed, mirrored: all as likely as they are."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    model = Vae(angles.shape[1], scaled)
    adam = torch.optim.AdamW(model.parameters(), rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(adam, rate, total_steps=steps, pct_start=0.1)

    def loss() -> Tensor:
        chosen = torch.randint(len(angles), (batch,), generator=generator)
        return model.loss(_moved(angles[chosen], generator), generator)

    minimise(loss, schedule, steps, largest=100.0)
    return model.eval()


def _vector(angle: Tensor) -> Tensor:
    return torch.stack([angle.cos(), angle.sin()], dim=1)


def _moved(angle: Tensor, generator: torch.Generator) -> Tensor:
    shift = torch.randint(angle.shape[1], (2,), generator=generator).tolist()
    transposed, mirrored, turned = torch.randint(2, (3,), generator=generator).tolist()
    angle = angle.roll(shift, (1, 2))
    angle = angle.transpose(1, 2) if transposed else angle
    angle = angle.flip(1) if mirrored else angle
    return -angle if turned else angle


def physics(configurations: Tensor, temperatures: Reals) -> Physics:
    """Of angles (K, n, L, L)."""
    rows = []
    for angle, temperature in zip(configurations, temperatures, strict=True):
        spins = np.moveaxis(np.exp(1j * angle.double().numpy()), 0, -1)
        means = (of(spins).mean() for of in (lattice.energy, lattice.magnetisation, lattice.vortex_density))
        rows.append((*means, lattice.helicity(spins, 1 / temperature)))
    return dict(zip(("e", "m", "n", "Y"), np.array(rows).T, strict=True))


@dataclass(frozen=True)
class Evaluation:
    """What one model makes of n configurations at each of K temperatures."""

    side: int
    temperatures: Reals  # (K,)
    true: Physics  # of the configurations
    mean: Physics  # of their mean decodes
    drawn: Physics  # of one draw of each decode; of the plain model the mean again
    error: Reals  # (K,): mean |energy - true energy| per site of the mean decode
    expected_error: Reals  # (K,): of the expected energy in closed form
    code: Reals  # (K, n): the number of the code that says most, signed to grow with ``size``
    size: Reals  # (K, n): length of the magnetisation
    correlation: float  # of code and size

    def magnetisation_read(self) -> float:
        """Temperature at which the magnetisation that the code stands for passes that of a lattice at T_KT, or NaN. In
        spin-wave theory it is <|m|> = (sqrt(2) L)^(-1/8) there (Bramwell and Holdsworth 1993). A line fitted to |m|
        sets the unit of the code."""
        line = np.polynomial.Polynomial.fit(self.code.ravel(), self.size.ravel(), 1)
        return self._fall(line(self.code).mean(1) - (math.sqrt(2) * self.side) ** -0.125, 0.15)

    def helicity_read(self) -> float:
        """Temperature at which the helicity modulus of the draws falls below 2 T / pi; NaN if it does not."""
        return self._fall(self.drawn["Y"] - 2 * self.temperatures / np.pi, 0.25)

    def steepest(self) -> float:
        """Temperature of the steepest fall of the code."""
        slope = np.diff(self.code.mean(1)) / np.diff(self.temperatures)
        middle = (self.temperatures[1:] + self.temperatures[:-1]) / 2
        return float(middle[np.argmin(slope)])

    def _fall(self, excess: Reals, reach: float) -> float:
        near = np.abs(excess) < reach
        return first_fall(self.temperatures[near], excess[near]) if near.sum() >= 4 else float("nan")


@torch.no_grad()
def evaluate(model: Vae, held_out: Tensor, temperatures: Reals, seed: int) -> Evaluation:
    """held_out (K, n, L, L): upright configurations of each temperature."""
    generator = torch.Generator().manual_seed(seed)
    shape, flat = held_out.shape[:2], held_out.flatten(0, 1)
    mean, log_sd = model.encode(flat)
    found = model.decode(mean + log_sd.exp() * torch.randn(mean.shape, generator=generator))
    draws = drawn(found.angle, found.log_scale, generator)
    off, expected_off = (
        (expected - energy(flat)).abs().unflatten(0, shape).mean(1).double().numpy()
        for expected in (energy(found.angle), expected_energy(found.angle, found.log_scale))
    )
    size = torch.polar(torch.ones_like(flat), flat).mean((1, 2)).abs().unflatten(0, shape).double().numpy()
    leading = divergence(mean, log_sd).mean(0).argmax()
    code = mean[:, leading].unflatten(0, shape).double().numpy()
    correlation = float(np.corrcoef(code.ravel(), size.ravel())[0, 1])
    ensembles = (held_out, found.angle.unflatten(0, shape), draws.unflatten(0, shape))
    true, decoded, noisy = (physics(each, temperatures) for each in ensembles)
    code = code * math.copysign(1, correlation)
    return Evaluation(model.side, temperatures, true, decoded, noisy, off, expected_off, code, size, abs(correlation))


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
        made.append(drawn(found.angle, found.log_scale, generator))
    return torch.stack(made)
