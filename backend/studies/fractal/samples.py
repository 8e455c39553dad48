"""Shapes drawn from a ladder of atoms, whole ones and ones that keep the cells that are known, and what is measured of
both: likelihood and recall per level, sums of probabilities, what samples are like."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...geometry.topology import betti_of_occupancy
from .networks import Atom, Cache, Ladder, certain, surprise
from .octree import CHILDREN, LEVELS, children_of, context, put_children, pyramid, symmetries, turn

PLAIN, SHARP, GREEDY = (1.0,) * LEVELS, (1.5,) * LEVELS, (math.inf,) * LEVELS  # sharpness of the draws of every level
PARENTS_AT_ONCE = 2048


@dataclass(frozen=True)
class Known:
    """The fixed nodes of a pyramid, bool (n, 2^l, 2^l, 2^l) per level. A node is fixed when one of its known cells is
    occupied, or all its cells are known."""

    occupied: list[Tensor]  # states of the fixed nodes
    free: list[Tensor]  # nodes that are drawn

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
    ladder: Ladder, known: Known, generator: torch.Generator, sharpness: Sequence[float] = PLAIN, cached: bool = True
) -> tuple[list[Tensor], Tensor]:
    """Pyramids of n shapes, bool (n, 2^l, 2^l, 2^l) per level, and the surprise (n,) of what was not drawn, bits. Level
    after level, turn after turn, child after child, each in one batch. ``sharpness`` multiplies the logits of each
    level, as the paper's temperature does: 1 draws from the model, GREEDY takes the likelier state."""
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


@torch.no_grad()
def complete(ladder: Ladder, occupied: Tensor, known: Tensor, tries: int, generator: torch.Generator) -> Tensor:
    """Cells (n, s, s, s) that keep those ``known`` of ``occupied`` and draw the rest. What is fixed late in the order
    cannot steer what was drawn before it: of ``tries`` completions one is taken with the weight that the atoms give to
    what was fixed (importance resampling)."""
    count = len(occupied)
    each = Known.of_cells(occupied.repeat(tries, 1, 1, 1), known.repeat(tries, 1, 1, 1))
    grids, bits = sample(ladder, each, generator)
    bits = bits.reshape(tries, count)
    weight = torch.exp2(bits.amin(0) - bits).T
    taken = torch.multinomial(weight, 1, generator=generator)[:, 0]
    return grids[-1].reshape(tries, count, *grids[-1].shape[1:])[taken, torch.arange(count)]


@dataclass(frozen=True)
class Reading:
    """Held-out shapes under a ladder, level by level; each child is predicted from the true ones before it."""

    bits: tuple[float, ...]  # per shape
    recall: tuple[float, ...]  # of occupied children
    precision: tuple[float, ...]
    accuracy: tuple[float, ...]

    @property
    def total(self) -> float:
        """Bits per shape."""
        return sum(self.bits)


@torch.no_grad()
def read(ladder: Ladder, cells: Tensor) -> Reading:
    """The exact likelihood of shapes (n, s, s, s)."""
    grids, rows = pyramid(cells), []
    for level in range(len(grids) - 1):
        bits, guesses, truths = 0.0, [], []
        for parents in grids[level].nonzero().split(PARENTS_AT_ONCE):
            children = children_of(grids[level + 1])[parents.unbind(1)]
            logits = ladder.at(level)(context(grids, level, parents), children)
            bits += float(surprise(logits, children).sum())
            guesses.append(logits > 0)
            truths.append(children)
        guess, real = torch.cat(guesses), torch.cat(truths)
        hits, right = int((guess & real).sum()), int((guess == real).sum())
        recall, precision = (hits / max(int(kind.sum()), 1) for kind in (real, guess))
        rows.append((bits / len(cells), recall, precision, right / max(real.numel(), 1)))
    return Reading(*(tuple(column) for column in zip(*rows, strict=True)))


@torch.no_grad()
def sum_of_states(atom: Atom, contexts: Tensor) -> Tensor:
    """Sum (m,) of the probabilities of all 2^8 states of the children, f64, for contexts (m, FEATURES)."""
    states = (torch.arange(2**CHILDREN)[:, None] >> torch.arange(CHILDREN)) & 1
    each = states.bool().repeat(len(contexts), 1)
    logits = atom(contexts.repeat_interleave(len(states), 0), each)
    chances = torch.exp2(-surprise(logits.double(), each).sum(1))
    return chances.reshape(len(contexts), -1).sum(1)


@torch.no_grad()
def cache_error(atom: Atom, contexts: Tensor, children: Tensor) -> float:
    """Largest difference of a probability with keys and values kept from one computed anew."""
    condition, past, logits = atom.condition(contexts), [], []
    for child in range(CHILDREN):
        logit, past = atom.step(condition[:, child], children[:, child - 1] if child else None, past)
        logits.append(logit)
    anew, kept = atom(contexts, children), certain(torch.stack(logits, 1), children)
    return float((anew.sigmoid() - kept.sigmoid()).abs().max())


def parts(cells: Tensor) -> np.ndarray:
    """Number of parts (n,) of each shape (n, s, s, s)."""
    return np.array([betti_of_occupancy(each).b0 for each in cells.numpy()])


def nearest_overlap(cells: Tensor, train: Tensor) -> Tensor:
    """Intersection over union (n,) of each shape with the most similar training shape under any symmetry of the cube:
    1 is a copy."""
    known = train.flatten(1).float()
    size, own = known.sum(1), cells.flatten(1).sum(1, keepdim=True)
    best = torch.zeros(len(cells))
    for view in symmetries(cells):
        shared = view.flatten(1).float() @ known.T
        best = torch.maximum(best, (shared / (size + own - shared).clamp(min=1)).amax(1))
    return best


def overlap(one: Tensor, other: Tensor) -> Tensor:
    """Intersection over union (n,) of grids (n, ...); 1 where both are empty."""
    both, any_ = (one & other).flatten(1).sum(1), (one | other).flatten(1).sum(1)
    return torch.where(any_ > 0, both / any_.clamp(min=1), 1.0)
