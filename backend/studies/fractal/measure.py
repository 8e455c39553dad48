"""What is measured of a ladder: likelihood and recall per level, sums of probabilities, what samples are like."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...geometry.topology import betti_of_occupancy
from .atom import Atom, Ladder, certain, surprise
from .octree import CHILDREN, children_of, context, pyramid
from .shapes import symmetries

AT_ONCE = 2048
"""Parents."""


@dataclass(frozen=True)
class Reading:
    """Held-out shapes under a ladder, level by level. bits: per shape. recall, precision and accuracy: of the children
    that it calls occupied, each given the true ones before it."""

    bits: tuple[float, ...]
    recall: tuple[float, ...]
    precision: tuple[float, ...]
    accuracy: tuple[float, ...]

    @property
    def total(self) -> float:
        """Bits per shape."""
        return sum(self.bits)


@torch.no_grad()
def read(ladder: Ladder, cells: Tensor) -> Reading:
    """The exact likelihood of shapes (n, s, s, s)."""
    grids = pyramid(cells)
    rows = [_read_level(ladder, grids, level) for level in range(len(grids) - 1)]
    return Reading(*(tuple(column) for column in zip(*rows, strict=True)))


def _read_level(ladder: Ladder, grids: list[Tensor], level: int) -> tuple[float, float, float, float]:
    bits, hits, called, real, right, number = 0.0, 0, 0, 0, 0, 0
    for parents in grids[level].nonzero().split(AT_ONCE):
        children = children_of(grids[level + 1])[parents.unbind(1)]
        logits = ladder.at(level)(context(grids, level, parents), children)
        guess = logits > 0
        bits += float(surprise(logits, children).sum())
        hits += int((guess & children).sum())
        called += int(guess.sum())
        real += int(children.sum())
        right += int((guess == children).sum())
        number += children.numel()
    return bits / len(grids[0]), hits / max(real, 1), hits / max(called, 1), right / max(number, 1)


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
