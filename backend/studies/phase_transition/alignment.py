"""C5: halfway between two nets lies a shape when both were fitted from one start, and rubble when they were not.

Hidden units can be permuted without a change of the field, so that nets fitted from starts of their own have nothing
to do with each other unit by unit.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor

from .families import FAMILIES
from .fit import Pool, fit_each
from .net import field_of, start
from .solids import mesh_of
from .subspace import LATEST, examples

BETWEEN = (0.25, 0.5, 0.75)
STARTS = ("anchor", "shared", "independent")
"""A net that was fitted to the mean shape; one random net for all shapes; a random net for each."""


@dataclass(frozen=True)
class Bank:
    """Nets theta (S, LENGTH) of S shapes of one family and topology, from a kind of start."""

    family: int
    thetas: Tensor


def banks(family: int, shapes: int, seed: int, steps: int) -> dict[str, Bank]:
    """A bank from each of STARTS; from the anchor half the steps are enough."""
    chosen = examples(shapes, seed)
    mean = torch.tensor([[LATEST / 2, 0.0, 0.0]])
    pool = Pool.of(torch.full((shapes + 1,), family), torch.cat((mean, chosen)), seed)
    own = Pool(*(part[1:] for part in (pool.family, pool.shape, pool.points, pool.distance)))
    first = start(seed)[None].expand(shapes + 1, -1)
    # the mean shape is fitted along with the others from the shared start
    shared = fit_each(pool, first, seed, steps)
    anchored = fit_each(own, shared[:1].expand(shapes, -1), seed, steps // 2)
    apart = torch.stack([start(1000 + 100 * seed + number) for number in range(shapes)])
    thetas = (anchored, shared[1:], fit_each(own, apart, seed, steps))
    return {name: Bank(family, theta) for name, theta in zip(STARTS, thetas, strict=True)}


def mixes(bank: Bank) -> list[Tensor]:
    """theta between every two nets of a bank."""
    return [torch.lerp(one, other, t) for one, other in combinations(bank.thetas, 2) for t in BETWEEN]


def kept(bank: Bank, side: int) -> float:
    """Share of the mixes that are one closed component of the family's topology."""
    right = [mesh_of(field_of(theta), side).betti == FAMILIES[bank.family].before for theta in mixes(bank)]
    return sum(right) / len(right)
