"""Shapes drawn from a ladder of atoms: whole ones, and ones that keep the cells that are known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .atom import Atom, Cache, Ladder, surprise
from .octree import CHILDREN, LEVELS, children_of, context, put_children, turn

GREEDY = (math.inf,) * LEVELS
SHARP = (1.5,) * LEVELS


@dataclass(frozen=True)
class Known:
    """What is fixed of every grid of a pyramid, bool (n, 2^l, 2^l, 2^l) per level: ``free`` nodes are drawn, the others
    are as ``occupied`` says. A node is fixed when one of its known cells is occupied, or all its cells are known."""

    occupied: list[Tensor]
    free: list[Tensor]

    @classmethod
    def of_cells(cls, occupied: Tensor, known: Tensor) -> Known:
        """From cells (n, s, s, s) of which those in ``known`` count."""
        filled, free = [occupied & known], [~known]
        while filled[0].shape[-1] > 1:
            some, open_ = children_of(filled[0]).any(-1), children_of(free[0]).any(-1)
            filled.insert(0, some)
            free.insert(0, open_ & ~some)
        return cls(filled, free)

    @classmethod
    def nothing(cls, count: int, levels: int = LEVELS) -> Known:
        """No cell is known, but there is a shape: the root is occupied."""
        sides = [2**level for level in range(levels + 1)]
        grids = [torch.zeros(count, side, side, side, dtype=torch.bool) for side in sides]
        grids[0][:] = True
        return cls(grids, [torch.zeros_like(grids[0])] + [torch.ones_like(grid) for grid in grids[1:]])


@torch.no_grad()
def sample(
    ladder: Ladder,
    known: Known,
    generator: torch.Generator,
    sharpness: Sequence[float] = (1.0,) * LEVELS,
    cached: bool = True,
) -> tuple[list[Tensor], Tensor]:
    """Pyramids of n shapes, bool (n, 2^l, 2^l, 2^l) per level, and the surprise (n,) of what was not drawn, bits.

    Level after level, turn after turn, child after child, each in one batch: 8 steps for the root, 64 for every other
    level. ``sharpness`` multiplies the logits of each level, as the paper's temperature does: 1 draws from the model,
    GREEDY takes the likelier state.
    """
    root = known.occupied[0] | known.free[0]
    grids, fixed = [root], torch.zeros(len(root))
    for level in range(len(known.occupied) - 1):
        grids.append(torch.zeros_like(known.occupied[level + 1]))
        parents = grids[level].nonzero()
        turns = turn(parents)
        for number in range(CHILDREN):
            now = parents[turns == number]
            if not len(now):
                continue
            at = now.unbind(1)
            filled, free = (children_of(each[level + 1])[at] for each in (known.occupied, known.free))
            seen = context(grids, level, now)
            draws = torch.logit(torch.rand(filled.shape, generator=generator), 1e-7) / sharpness[level]
            children, bits = _children(ladder.at(level), seen, draws, filled, free, cached)
            put_children(grids[level + 1], now, children)
            fixed.index_add_(0, now[:, 0], bits)
    return grids, fixed


def _children(
    atom: Atom, seen: Tensor, draws: Tensor, filled: Tensor, free: Tensor, cached: bool
) -> tuple[Tensor, Tensor]:
    """States (m, 8) of the children of m parents, and the surprise (m,) of those that were not drawn, bits. ``draws``
    (m, 8) are what their logits must exceed. Where nothing else can be, the last ``free`` child must be occupied: its
    parent is."""
    children, bits = torch.zeros_like(filled), torch.zeros(len(seen))
    condition, past = atom.condition(seen), Cache()
    possible = (filled | free).long()
    later = possible.sum(1, keepdim=True) - possible.cumsum(1) > 0
    for child in range(CHILDREN):
        if cached:
            logit, past = atom.step(condition[:, child], children[:, child - 1] if child else None, past)
        else:
            logit = atom.logits(condition[:, : child + 1], children[:, :child])[:, -1]
        alone = ~children[:, :child].any(1)
        if child == CHILDREN - 1:
            logit = logit.masked_fill(alone, math.inf)
        forced = alone & ~later[:, child]
        drawn = (draws[:, child] < logit) | forced
        children[:, child] = torch.where(free[:, child], drawn, filled[:, child])
        bits += torch.where(free[:, child] & ~forced, 0.0, surprise(logit, children[:, child]))
    return children, bits
