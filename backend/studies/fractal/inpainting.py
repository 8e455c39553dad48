"""Completion of shapes of which some cells are known."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .atom import Ladder
from .sampling import Known, sample
from .shapes import SIDE


@torch.no_grad()
def complete(ladder: Ladder, occupied: Tensor, known: Tensor, tries: int, generator: torch.Generator) -> Tensor:
    """Cells (n, s, s, s) that keep those ``known`` of ``occupied`` and draw the rest.

    What is fixed late in the order cannot steer what was drawn before it, so ``tries`` completions are drawn and one is
    taken with the weight that the atoms give to what was fixed (importance resampling).
    """
    count = len(occupied)
    each = Known.of_cells(occupied.repeat(tries, 1, 1, 1), known.repeat(tries, 1, 1, 1))
    grids, bits = sample(ladder, each, generator)
    bits = bits.reshape(tries, count)
    weight = torch.exp2(bits.amin(0) - bits).T
    taken = torch.multinomial(weight, 1, generator=generator)[:, 0]
    return grids[-1].reshape(tries, count, *grids[-1].shape[1:])[taken, torch.arange(count)]


@dataclass(frozen=True)
class Completions:
    """Of ``shapes`` bool (n, 16, 16, 16) the cells ``known``; completed in one try each, ``chosen`` of ``tries``, and
    shapes drawn ``blind``, without knowing anything."""

    shapes: Tensor
    known: Tensor
    once: Tensor
    chosen: Tensor
    blind: Tensor
    tries: int


def complete_halves(ladder: Ladder, shapes: Tensor, tries: int, generator: torch.Generator) -> Completions:
    """The half of low x is known."""
    known = torch.zeros_like(shapes)
    known[:, : SIDE // 2] = True
    once, chosen = (complete(ladder, shapes, known, number, generator) for number in (1, tries))
    blind = sample(ladder, Known.nothing(len(shapes)), generator)[0][-1]
    return Completions(shapes, known, once, chosen, blind, tries)
