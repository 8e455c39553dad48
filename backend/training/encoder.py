"""The variational encoder: what is known of a shape's code from its evidence, and how well.

The atom itself looks first: without a code, at level 0. The features of the field that it sees are already close to the
code, and its scale says how close; a small network learns what is missing, which is mostly in the unseen.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool3d, silu

from ..field.bricks import TRUNCATION
from ..field.onnx_model import CODE
from .features import Features

WIDTH = 256
LEAST_LOG_SD, LARGEST_LOG_SD = -3.0, 0.3


class Encoder(nn.Module):
    """Field of level 0 (B, 2, 32, 32, 32), mean and log scale in voxels -> mean and log sd of z, each (B, CODE)."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(2 * CODE, WIDTH)
        self.middle = nn.Linear(WIDTH, WIDTH)
        self.out = nn.Linear(WIDTH, 2 * CODE)
        # it begins with what the field says
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, features: Features, field: Tensor) -> tuple[Tensor, Tensor]:
        seen = features(field[:, :1].clamp(-TRUNCATION, TRUNCATION))
        # the variance of a Laplace distribution is twice the square of its scale
        variance = avg_pool3d(2 * torch.exp(2 * field[:, 1:]), 2).flatten(1) @ features.basis.square()
        doubt = 0.5 * torch.log(variance / features.scale.square() + 1e-4)
        known = silu(self.hidden(torch.cat([seen, doubt], dim=1)))
        shift, widen = self.out(silu(self.middle(known))).split(CODE, dim=1)
        return seen + shift, (doubt + widen).clamp(LEAST_LOG_SD, LARGEST_LOG_SD)
