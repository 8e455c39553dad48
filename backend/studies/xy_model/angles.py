"""Mean and scale of an angle per site: likelihood, expected energy without sampling, and draws.

The product predicts a signed distance per voxel with a mean and a Laplace scale (``backend.training.losses``), and
takes the energy of that field in closed form (``backend.training.losses``). Here an angle takes the place of the
distance. Its noise is the same Laplace noise, wrapped around the circle: the likelihood is ``laplace_loss`` of the
shorter way round, plus what the wrapping adds; the expected energy has a closed form as well, since the first harmonic
of the noise is 1 / (1 + b^2). (For Gaussian noise it is exp(-s^2 / 2); the longer tails of Laplace's leave room for
vortices.) Where the product's ``energy_loss`` is relative, as areas of shapes differ by orders of magnitude, the
difference here is per site, as in Cristoforetti et al. 2017. Angles are (B, L, L), in radians.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...training.losses import laplace_loss


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
    other_ways = torch.log1p(-torch.exp(-2 * math.pi / scale)) - torch.log1p(
        torch.exp(-2 * (math.pi - away.abs()) / scale)
    )
    return straight + math.log(2) + other_ways.mean()


def energy(angle: Tensor) -> Tensor:
    """Of the XY model (B,), per site."""
    return _energy(angle, torch.ones_like(angle))


def expected_energy(mean: Tensor, log_scale: Tensor) -> Tensor:
    """Mean energy (B,) per site of all draws."""
    return _energy(mean, 1 / (1 + torch.exp(2 * log_scale)))


def energy_difference(mean: Tensor, log_scale: Tensor, angle: Tensor) -> Tensor:
    """Mean of |H(x) - E H(draw)| per site over a batch: the term that the paper adds to the loss."""
    return (energy(angle) - expected_energy(mean, log_scale)).abs().mean()


def drawn(mean: Tensor, log_scale: Tensor, generator: torch.Generator) -> Tensor:
    """One draw of the angles, each site by itself."""
    half = torch.rand(mean.shape, generator=generator) - 0.5
    away = -log_scale.exp() * half.sign() * torch.log1p((-2 * half.abs()).clamp(min=-1 + 1e-7))
    return wrapped(mean + away)


def _energy(angle: Tensor, length: Tensor) -> Tensor:
    bonds = [torch.cos(angle - angle.roll(1, axis)) * length * length.roll(1, axis) for axis in (1, 2)]
    return -torch.stack(bonds).sum(0).mean((1, 2))
