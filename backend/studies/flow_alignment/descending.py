"""Latents that follow the alignment loss downhill, as in the paper: Adam, fresh draws at every step, and no stop.

`training.flow.align`, the product's, differs in two points: its draws are fixed, and it stops at the data's own score.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from ...prior.flow import LATE, WHOLE
from ...prior.velocity import Draws
from ...training.flow import VelocityField, align, alignment, draw_pairs

RATE = 1e-2
"""The paper's."""
FARTHEST, HALVINGS = 1.0, 20
"""How far out of a mode a level is looked for, and how often the way is halved."""
ROWS = 1 << 16
"""Points times draws that pass through a field at a time."""


def descend(
    start: Tensor,
    field: VelocityField,
    marks: Sequence[int],
    seed: int,
    draws: int = 1,
    span: tuple[float, float] = WHOLE,
) -> list[Tensor]:
    """Points (n, d) after each of these numbers of steps, which rise, from ``start`` (n, d) on.

    draws: of time and noise for every point at every step. The paper's toy has one.
    """
    generator = torch.Generator().manual_seed(seed)
    moved = start.detach().clone().requires_grad_()
    optimiser = torch.optim.Adam([moved], lr=RATE)
    count, size = start.shape
    found = []
    for step in range(marks[-1] + 1):
        if step == marks[len(found)]:
            found.append(moved.detach().clone())
        times, starts = draw_pairs(count, size, draws, generator, span)
        optimiser.zero_grad(set_to_none=True)
        alignment(field, moved, times, starts).sum().backward()
        optimiser.step()
    return found


def detached(field: VelocityField) -> VelocityField:
    """The same field, through which no gradient runs: what the paper's code does by a flag."""
    return lambda x, t: field(x.detach(), t)


def halted(start: Tensor, field: VelocityField, real: Tensor, steps: int, draws: int = 64) -> Tensor:
    """The product's remedy: downhill over all times and then over late ones, each until a point scores what the middle
    one of ``real`` does, and no farther."""
    moved = start
    for span in (WHOLE, LATE):
        own = float(losses(real, field, draws, span, seed=0).median())
        moved = align(moved, field, steps, 2 * RATE, own, draws, span=span)
    return moved


def levelled(
    start: Tensor, field: VelocityField, real: Tensor, steps: int, generator: torch.Generator, draws: int = 64
) -> Tensor:
    """The same for a whole set: over all times as far as ``real`` reaches, then over late ones to a level for each,
    drawn from those of ``real`` (n, d). One level for all would squeeze the set to a rim. Fewer than some 64 draws have
    minima of their own, between the modes."""
    reach = float(losses(real, field, draws, WHOLE, seed=0).max())
    near = align(start, field, steps, 2 * RATE, reach, draws, span=WHOLE)
    return align(near, field, steps, 2 * RATE, _levels(len(start), field, real, generator, draws), draws, span=LATE)


def scattered(
    start: Tensor, field: VelocityField, real: Tensor, steps: int, generator: torch.Generator, draws: int = 64
) -> Tensor:
    """To the mode, and out of it again in a direction drawn at random to a level drawn from those of ``real``: what is
    left of where a point came from is its mode alone."""
    end = align(levelled(start, field, real, steps, generator, draws), field, steps, 2 * RATE, 0.0, draws, span=LATE)
    levels = _levels(len(start), field, real, generator, draws)
    way = functional.normalize(torch.randn(start.shape, generator=generator), dim=1)
    low, high = torch.zeros(len(start)), torch.full((len(start),), FARTHEST)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        beyond = losses(end + middle[:, None] * way, field, draws, LATE, seed=0) > levels
        low, high = torch.where(beyond, low, middle), torch.where(beyond, middle, high)
    return end + low[:, None] * way


def _levels(count: int, field: VelocityField, real: Tensor, generator: torch.Generator, draws: int) -> Tensor:
    """Late L (count,) of points of ``real``, drawn at random."""
    return losses(real, field, draws, LATE, seed=0)[torch.randint(len(real), (count,), generator=generator)]


@torch.no_grad()
def losses(
    points: Tensor, field: VelocityField, draws: int = 256, span: tuple[float, float] = WHOLE, seed: int = 1
) -> Tensor:
    """L (n,) of points (n, d), over the same fixed draws for all."""
    fixed = Draws.fixed(points.shape[1], draws, seed, span)
    times, starts = torch.from_numpy(fixed.times)[None], torch.from_numpy(fixed.starts)[None]
    return torch.cat([alignment(field, part, times, starts) for part in points.split(max(1, ROWS // draws))])


@torch.no_grad()
def mean_loss(points: Tensor, field: VelocityField, draws: int = 100) -> float:
    """The mean L of points (n, d), over draws of their own: fixed ones would favour where a descent on them ends."""
    generator = torch.Generator().manual_seed(9)
    parts = points.split(max(1, ROWS // draws))
    found = [alignment(field, part, *draw_pairs(len(part), part.shape[1], draws, generator)) for part in parts]
    return float(torch.cat(found).mean())
