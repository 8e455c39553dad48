"""The atom's losses: an asymmetric Laplace likelihood of the signed distance, and of its slope near the surface."""

from __future__ import annotations

import torch
from torch import Tensor

from ..field.bricks import TRUNCATION

QUANTILE_REACH = 0.4
"""Hole filling -1 .. 1 asks for the quantile .5 + .4 .. .5 - .4 of the signed distance."""
SLOPE_WEIGHT = 0.5
EVENNESS = 0.5
"""Power of the predicted scale that weighs each voxel's likelihood (Seitzer et al. 2022, beta-NLL): at 0 voxels that
are easy already drown the others, at 1 the hopeless ones do."""


def surface_weight(target: Tensor) -> Tensor:
    """The zero set is what the artist gets; far voxels only have to keep their sign."""
    return 0.2 + torch.exp(-0.5 * target.square())


def truncated(mean: Tensor, target: Tensor) -> Tensor:
    """The mean, but free beyond the truncation where the target is truncated on the same side."""
    mean = torch.where(target >= TRUNCATION, mean.clamp(max=TRUNCATION), mean)
    return torch.where(target <= -TRUNCATION, mean.clamp(min=-TRUNCATION), mean)


def laplace_loss(field: Tensor, target: Tensor, filling: Tensor, evenness: float = EVENNESS) -> Tensor:
    """Weighted mean of the negative log likelihood; field (B, 2, ...), target (B, 1, ...), filling (B,).

    With the quantile at one half this is the Laplace distribution. Where the evidence decides, all quantiles
    coincide; where it does not, a low quantile of the distance means more solid, so openings close, and a high one
    means that what was not seen stays empty.
    """
    mean, log_scale = field[:, :1], field[:, 1:]
    quantile = (0.5 - QUANTILE_REACH * filling)[:, None, None, None, None]
    residual = target - truncated(mean, target)
    pinball = 2 * torch.maximum(quantile * residual, (quantile - 1) * residual)
    weight = surface_weight(target)
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
