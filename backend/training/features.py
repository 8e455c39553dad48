"""Target features of clean shapes: what a code z stands for, as whitened principal components of the coarse field.

Aligning latent spaces with flow priors (Li et al. 2025) trains its flow on fixed features of the data. Ours are linear,
so that they can be computed for a whole batch in one product, and turned back into a (blurred) field.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool3d

from ..field.onnx_model import CODE

if TYPE_CHECKING:
    from .batches import Bank

SIZE = 16
"""The level-0 field is averaged to this resolution."""
TURNS = 8
"""Random symmetries of the cube under which every shape of the bank is counted."""


class Features(nn.Module):
    """Level-0 field (B, 1, 32, 32, 32) in voxels -> code (B, CODE), each number of mean 0 and variance 1."""

    mean: Tensor
    basis: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(SIZE**3))
        self.register_buffer("basis", torch.zeros(SIZE**3, CODE))
        self.register_buffer("scale", torch.zeros(CODE))

    @property
    def fitted(self) -> bool:
        return bool((self.scale > 0).all())

    def forward(self, field: Tensor) -> Tensor:
        return (avg_pool3d(field, 2).flatten(1) - self.mean) @ self.basis / self.scale

    def inverse(self, code: Tensor) -> Tensor:
        """The field (B, 1, 16, 16, 16) closest to the mean that has this code; in voxels of level 0."""
        return ((code * self.scale) @ self.basis.T + self.mean).reshape(-1, 1, SIZE, SIZE, SIZE)

    @torch.no_grad()
    def fit(self, fields: Tensor) -> None:
        """Principal components of level-0 fields (n, 1, 32, 32, 32)."""
        pooled = avg_pool3d(fields, 2).flatten(1)
        self.mean.copy_(pooled.mean(0))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            _, size, basis = torch.svd_lowrank(pooled - self.mean, q=min(CODE + 32, len(pooled)), niter=3)
        found = int((size[:CODE] > 1e-4 * size[0]).sum())
        self.basis.zero_()
        self.basis[:, :found] = basis[:, :found]
        # a number of the code for which there are too few fields is always 0
        self.scale.fill_(1)
        self.scale[:found] = size[:found] / len(pooled) ** 0.5


def turned_fields(bank: Bank, turns: int, generator: torch.Generator) -> Tensor:
    """Level-0 fields (n * turns, 1, 32, 32, 32) of every shape of a bank, each under random symmetries of the cube."""
    device, found = generator.device, []
    for path, member in bank.members:
        field = torch.from_numpy(bank.shards[path]["field0"][member]).to(device).float()
        for _ in range(turns):
            axes = torch.randperm(3, generator=generator, device=device).tolist()
            flipped = torch.randint(2, (3,), generator=generator, device=device).nonzero()[:, 0].tolist()
            found.append(field.permute(axes).flip(flipped))
    return torch.stack(found)[:, None]
