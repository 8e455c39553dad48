"""An octree of occupancy as a pyramid of grids, and what a parent sees when its eight children are drawn.

Level l has (2^l)^3 nodes; a node is occupied when any of its eight children is. Only occupied nodes are parents.
Within a level the parents take turns by their own place among their siblings (eight classes): no two parents of a class
touch, so a class is drawn in one batch, and each of its parents sees what its neighbours of earlier classes became.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

LEVELS = 4
"""Splits from the root to the cells of 16^3."""
CHILDREN = 8
COUSINS = 6
"""Side of the window of children of a parent and its 26 neighbours."""
UNCLES = 5
"""Side of the window around a parent, and around each of its ancestors, on their own levels."""
ANCESTORS = 3
FEATURES = COUSINS**3 + ANCESTORS * (UNCLES**3 + CHILDREN) + LEVELS


def pyramid(cells: Tensor) -> list[Tensor]:
    """Grids of levels 0 .. L, bool (n, 2^l, 2^l, 2^l), from those of the finest level."""
    grids = [cells]
    while grids[0].shape[-1] > 1:
        grids.insert(0, children_of(grids[0]).any(-1))
    return grids


def children_of(grid: Tensor) -> Tensor:
    """(n, s, s, s, 8) of a grid (n, 2s, 2s, 2s); child 4 dx + 2 dy + dz lies at (dx, dy, dz)."""
    half = grid.shape[-1] // 2
    split = grid.reshape(-1, half, 2, half, 2, half, 2)
    return split.permute(0, 1, 3, 5, 2, 4, 6).reshape(-1, half, half, half, CHILDREN)


def put_children(grid: Tensor, parents: Tensor, values: Tensor) -> None:
    """Write ``values`` (m, 8) of the children of ``parents`` (m, 4: shape, x, y, z) into ``grid`` (n, 2s, 2s, 2s)."""
    shape, place = parents[:, :1], 2 * parents[:, None, 1:] + _offsets(2)
    grid[shape, place[..., 0], place[..., 1], place[..., 2]] = values


def turn(parents: Tensor) -> Tensor:
    """Class (m,) of parents (m, 4): the place among its siblings, 0 to 7."""
    return ((parents[:, 1:] & 1) * torch.tensor([4, 2, 1])).sum(1)


def context(grids: list[Tensor], level: int, parents: Tensor) -> Tensor:
    """What ``parents`` (m, 4: shape, x, y, z) of ``level`` see, f32 (m, FEATURES): 1 occupied, -1 empty, 0 unknown.

    The children of its neighbours, as far as they are drawn or the neighbour is empty; the windows around itself and
    its ancestors; the place of each of these among its siblings; the level. ``grids`` reach to ``level`` + 1, where
    only children of earlier turns than a parent's own are read.
    """
    own = turn(parents)
    near = _window(grids[level], parents, UNCLES)
    inner = near.reshape(-1, UNCLES, UNCLES, UNCLES)[:, 1:-1, 1:-1, 1:-1]
    empty = ~functional.interpolate(inner[:, None].float(), scale_factor=2.0).flatten(1).bool()
    corner = torch.cat((parents[:, :1], 2 * parents[:, 1:]), 1)
    cousins = _signed(_window(grids[level + 1], corner, COUSINS))
    parts = [torch.where(empty, -1.0, cousins * _drawn_before()[own])]
    for up in range(ANCESTORS):
        if level < up:
            parts.append(torch.zeros(len(parents), UNCLES**3 + CHILDREN))
            continue
        ancestor = torch.cat((parents[:, :1], parents[:, 1:] >> up), 1)
        window = near if up == 0 else _window(grids[level - up], ancestor, UNCLES)
        parts += [_signed(window), functional.one_hot(turn(ancestor), CHILDREN).float()]
    parts.append(functional.one_hot(torch.tensor(level), LEVELS).float().expand(len(parents), -1))
    return torch.cat(parts, 1)


def seen_features(cousins: bool, uncles: bool) -> Tensor:
    """f32 (FEATURES,): 0 for what is hidden. Where a parent is, and on which level, is always seen."""
    windows = torch.cat((torch.full((UNCLES**3,), float(uncles)), torch.ones(CHILDREN))).repeat(ANCESTORS)
    return torch.cat((torch.full((COUSINS**3,), float(cousins)), windows, torch.ones(LEVELS)))


def _signed(cells: Tensor) -> Tensor:
    return 2 * cells.float() - 1


def _window(grid: Tensor, places: Tensor, side: int) -> Tensor:
    """Cells (m, side^3) around ``places`` (m, 4: shape, x, y, z), False beyond the grid; an even window is that of a
    block of two, given by its first cell."""
    margin = (side - 1) // 2
    padded = functional.pad(grid, (margin,) * 6)
    width = padded.shape[-1]
    weight = torch.tensor([width**3, width**2, width, 1])
    return padded.flatten()[(places @ weight)[:, None] + _offsets(side) @ weight[1:]]


@cache
def _offsets(side: int) -> Tensor:
    """(side^3, 3), last axis fastest."""
    axis = torch.arange(side)
    return torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)


@cache
def _drawn_before() -> Tensor:
    """f32 (8, 6^3): whether the cousins at these places are drawn before the parent's own turn."""
    own = _offsets(2)
    neighbour = _offsets(COUSINS) // 2 - 1
    theirs = ((own[:, None] + neighbour) & 1) @ torch.tensor([4, 2, 1])
    return (theirs < torch.arange(CHILDREN)[:, None]).float()
