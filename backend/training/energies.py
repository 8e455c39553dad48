"""Energies of a field in closed form, and how far a predicted field misses those of its target.

HG-VAE (Cristoforetti et al. 2017) adds |H(x) - H(reconstruction)| to a variational loss, and takes the expected energy
of its mean-and-scale output without sampling. Here H is geometric. A field with mean mu and Laplace scale b is zero at
a voxel with density exp(-|mu| / b) / (2 b), which is what the area needs: a smooth guess with a wide scale has the
area of the shapes that it stands for, and not only its own. Bending is that of the mean's own zero set, and the slope
has to be one only where the scale is small: the mean of many shapes is no distance to any of them.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from .losses import truncated

NARROWEST = 0.6
"""Scale (voxels) below which the zero set would fall between the voxels."""
BAND = 1.5
"""Voxels around the zero set in which the slope should be one."""


def energies(mean: Tensor, scale: Tensor) -> Tensor:
    """Area (voxel faces), bending (integral of the squared mean curvature) and eikonal residual (B, 3) per block.

    mean, scale (B, 1, n, n, n) in voxels.
    """
    slopes = [_centred(mean, axis) for axis in (2, 3, 4)]
    slope = torch.stack(slopes).square().sum(0).add(1e-4).sqrt()
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


def _centred(volume: Tensor, axis: int) -> Tensor:
    """Centred differences along an axis, zero at the ends."""
    length = volume.shape[axis]
    inner = (volume.narrow(axis, 2, length - 2) - volume.narrow(axis, 0, length - 2)) / 2
    return pad(inner, _one_voxel(axis))


def _second(volume: Tensor, axis: int) -> Tensor:
    """Second differences along an axis, zero at the ends."""
    return pad(volume.diff(n=2, dim=axis), _one_voxel(axis))


def _one_voxel(axis: int) -> list[int]:
    room = [0] * 6
    room[2 * (4 - axis)] = room[2 * (4 - axis) + 1] = 1
    return room
