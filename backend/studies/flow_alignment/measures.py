"""Where aligned latents end up, and how a loss agrees with a likelihood."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..ranks import spearman
from .toys import Toy


@dataclass(frozen=True)
class Modes:
    """counts: points nearest to each centre; spread: root mean square of a coordinate about the middle of its mode, 1
    for real data; offset: how far the points lie beyond their centre on the way out from the middle of all, negative
    inward. Both per standard deviation of a mode."""

    counts: tuple[int, ...]
    spread: float
    offset: float


def modes_of(points: Tensor, toy: Toy) -> Modes:
    """For points (n, 2) of a toy none of whose centres is the middle."""
    own = points * toy.scale
    nearest = torch.cdist(own, toy.centres).argmin(1)
    counts = torch.bincount(nearest, minlength=len(toy.centres))
    sums = torch.zeros_like(toy.centres).index_add_(0, nearest, own)
    middles = sums / counts.clamp(min=1)[:, None]
    spread = float((own - middles[nearest]).square().mean().sqrt())
    outward = torch.nn.functional.normalize(toy.centres, dim=1)[nearest]
    offset = float(((own - toy.centres[nearest]) * outward).sum(1).mean())
    return Modes(tuple(counts.tolist()), spread / toy.sd, offset / toy.sd)


def agreement(loss: Tensor, surprise: Tensor, below: float = math.inf) -> tuple[float, float]:
    """Spearman's and Pearson's correlation, where the surprise is less than ``below`` nats."""
    kept = surprise < below
    one, other = loss[kept].numpy(), surprise[kept].numpy()
    return spearman(one, other), float(np.corrcoef(one, other)[0, 1])
