"""What attention costs, counted exactly: pairs of a token and one that it sees, itself included."""

from __future__ import annotations

from torch import Tensor

from .octree import CHILDREN


def causal_pairs(tokens: int) -> int:
    """Pairs in one sequence: 1 + 2 + ... + tokens."""
    return tokens * (tokens + 1) // 2


def flat_pairs(side: int) -> int:
    """Of a flat autoregression over side^3 cells, per block of the network."""
    return causal_pairs(side**3)


def fractal_pairs(parents: int) -> int:
    """Of ``parents`` atoms, each over eight children, per block of the network."""
    return parents * causal_pairs(CHILDREN)


def most_parents(side: int) -> int:
    """Parents of an octree with side^3 cells, all occupied: 1 + 8 + 64 + ..."""
    return sum(8**level for level in range(side.bit_length() - 1))


def parents_in(grids: list[Tensor]) -> float:
    """Mean number of parents per shape in a pyramid: the occupied nodes above the cells."""
    return float(sum(grid.flatten(1).sum(1).float() for grid in grids[:-1]).mean())  # type: ignore[union-attr]
