"""Training of a ladder of atoms, and the exact likelihood of shapes under it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .atom import Ladder, surprise
from .octree import children_of, context, pyramid
from .shapes import turned

SHAPES_AT_ONCE = 32
CALM = 0.1
"""Of the steps: the learning rate rises over these and falls as a cosine after."""


@dataclass(frozen=True)
class Schedule:
    steps: int
    rate: float = 3e-3
    parents: tuple[int, ...] = (8, 32, 96, 256)
    """Drawn per step on each level, at most."""
    seed: int = 0
    turned: bool = True
    """Under symmetries of the cube."""


def optimiser(
    model: nn.Module, steps: int, rate: float
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LambdaLR]:
    """AdamW and its schedule, the same for every model of this study."""
    adam = torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.95), weight_decay=0.05)

    def share(step: int) -> float:
        warm = max(1, round(CALM * steps))
        return min((step + 1) / warm, 0.02 + 0.98 * (1 + math.cos(math.pi * step / steps)) / 2)

    return adam, torch.optim.lr_scheduler.LambdaLR(adam, share)


def teach(ladder: Ladder, cells: Tensor, schedule: Schedule) -> list[float]:
    """Train on shapes (n, 16, 16, 16); returns the loss of every step, bits per shape.

    Each step takes parents of every level from a few shapes. Their surprise counts by
    how many parents its level has, so that the loss is an unbiased estimate of the bits of a shape.
    """
    generator = torch.Generator().manual_seed(schedule.seed)
    adam, falling = optimiser(ladder, schedule.steps, schedule.rate)
    history = []
    for _ in range(schedule.steps):
        chosen = torch.randint(len(cells), (SHAPES_AT_ONCE,), generator=generator)
        batch = cells[chosen]
        grids = pyramid(turned(batch, generator) if schedule.turned else batch)
        loss = torch.zeros(())
        for level, most in enumerate(schedule.parents):
            parents = grids[level].nonzero()
            kept = parents[torch.randperm(len(parents), generator=generator)[:most]]
            bits = surprise_of(ladder, grids, level, kept)
            loss = loss + bits.sum(1).mean() * (len(parents) / len(chosen))
        adam.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(ladder.parameters(), 300.0)
        adam.step()
        falling.step()
        history.append(float(loss.detach()))
    return history


def surprise_of(ladder: Ladder, grids: list[Tensor], level: int, parents: Tensor) -> Tensor:
    """Bits (m, 8) of the children of ``parents`` (m, 4)."""
    at = parents.unbind(1)
    children = children_of(grids[level + 1])[at]
    logits = ladder.at(level)(context(grids, level, parents), children)
    return surprise(logits, children)
