"""The atom's losses: a likelihood of the signed distance, its slope near the surface, and the field's energies.

Likelihood: the Laplace distribution that mean and scale describe, made asymmetric where hole filling asks for it.

Energies: HG-VAE (Cristoforetti et al. 2017, 1705.09524) adds |H(x) - H(reconstruction)| to a variational loss and takes
the expected energy of its mean-and-scale output without sampling. Here H is geometric. A field with mean mu and Laplace
scale b is zero at a voxel with density exp(-|mu| / b) / (2 b), which gives the area; bending is that of the mean's own
zero set. The slope has to be one only where the scale is small: the mean of many shapes is no distance to any of them.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from ..field.bricks import TRUNCATION

QUANTILE_REACH = 0.4  # hole filling -1 .. 1 asks for the quantile .5 + .4 .. .5 - .4 of the signed distance
SLOPE_WEIGHT = 0.5  # of the slope's error beside the likelihood
EVENNESS = 0.5  # power of the predicted scale that weighs a voxel's likelihood (Seitzer et al. 2022, beta-NLL)
NARROWEST = 0.6  # scale (voxels) below which the zero set would fall between the voxels
BAND = 1.5  # voxels around the zero set in which the slope should be one


def truncated(mean: Tensor, target: Tensor) -> Tensor:
    """The mean, but free beyond the truncation where the target is truncated on the same side."""
    mean = torch.where(target >= TRUNCATION, mean.clamp(max=TRUNCATION), mean)
    return torch.where(target <= -TRUNCATION, mean.clamp(min=-TRUNCATION), mean)


def laplace_loss(field: Tensor, target: Tensor, filling: Tensor, evenness: float = EVENNESS) -> Tensor:
    """Weighted mean of the negative log likelihood; field (B, 2, ...), target (B, 1, ...), filling (B,).

    At the quantile one half this is the Laplace distribution. Where the evidence does not decide, a low quantile of the
    distance means more solid, so openings close, and a high one that what was not seen stays empty.
    """
    mean, log_scale = field[:, :1], field[:, 1:]
    quantile = (0.5 - QUANTILE_REACH * filling)[:, None, None, None, None]
    residual = target - truncated(mean, target)
    pinball = 2 * torch.maximum(quantile * residual, (quantile - 1) * residual)
    # the zero set is what the artist gets, far voxels only have to keep their sign
    weight = 0.2 + torch.exp(-0.5 * target.square())
    even = torch.exp(evenness * log_scale.detach())
    return (weight * even * (pinball * torch.exp(-log_scale) + log_scale)).sum() / weight.sum()


def slope_loss(field: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error of forward differences where the target is within two voxels of the surface."""
    mean = truncated(field[:, :1], target)
    near = target.abs() < 2
    total = mean.new_zeros(())
    for axis in (2, 3, 4):
        kept = near.narrow(axis, 1, near.shape[axis] - 1) & near.narrow(axis, 0, near.shape[axis] - 1)
        error = (mean.diff(dim=axis) - target.diff(dim=axis)).abs()
        total = total + (error * kept).sum() / kept.sum().clamp(min=1)
    return total / 3


def mean_error(field: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error (voxels) within one voxel of the surface: the figure that the log shows."""
    near = target.abs() < 1
    error = (truncated(field[:, :1], target) - target).abs()
    return (error * near).sum() / near.sum().clamp(min=1)


def energies(mean: Tensor, scale: Tensor) -> Tensor:
    """Area (voxel faces), bending (integral of the squared mean curvature) and eikonal residual (B, 3) per block.

    mean, scale (B, 1, n, n, n) in voxels.
    """
    slope = torch.stack(torch.gradient(mean, dim=(2, 3, 4))).square().sum(0).add(1e-4).sqrt()
    curvature = torch.stack([_second(mean, axis) for axis in (2, 3, 4)]).sum(0)
    inner = (slice(None), slice(None), slice(1, -1), slice(1, -1), slice(1, -1))
    scale = scale.clamp(min=NARROWEST)
    area = (_density(mean, scale) * slope)[inner].sum((1, 2, 3, 4))
    own = (_density(mean, torch.full_like(scale, NARROWEST)) * slope)[inner]
    bending = (own * 0.25 * curvature[inner].square()).sum((1, 2, 3, 4))
    sure = (NARROWEST / scale).square() * (mean.abs() < BAND)
    eikonal = ((slope - 1).square() * sure)[inner].sum((1, 2, 3, 4))
    return torch.stack([area, bending, eikonal], dim=1)


def energy_loss(field: Tensor, target: Tensor) -> Tensor:
    """Mean relative error of the three energies; field (B, 2, ...), target (B, 1, ...)."""
    found = energies(truncated(field[:, :1], target), field[:, 1:].exp())
    wanted = energies(target, torch.full_like(target, NARROWEST))
    # a face of the block is the least that an energy is compared with, so that an empty block does not rule
    room = torch.tensor([64.0, 4.0, 16.0], device=target.device)
    return ((found - wanted).abs() / (wanted + room)).mean()


def _density(mean: Tensor, scale: Tensor) -> Tensor:
    """Of a Laplace-distributed field at zero."""
    return torch.exp(-mean.abs() / scale) / (2 * scale)


def _second(volume: Tensor, axis: int) -> Tensor:
    """Second differences along an axis, zero at the ends."""
    # `pad` begins with the last axis
    room = [int(each == axis) for each in (4, 4, 3, 3, 2, 2)]
    return pad(volume.diff(n=2, dim=axis), room)
