"""Procedural solids as an octree of occupancy, a pyramid of grids, and what a parent sees when its children are drawn.

Level l has (2^l)^3 nodes; a node is occupied when any of its eight children is. Only occupied nodes are parents. Within
a level the parents take turns by their own place among their siblings (eight classes): no two of a class touch, so a
class is drawn in one batch, and each of its parents sees what its neighbours of earlier classes became.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import permutations, product

import torch
from torch import Tensor
from torch.nn import functional

from ...training.bank import jittered
from ...training.grids import grid_points
from ...training.shapes.families import FAMILIES, draw

SIDE = 16  # of the grid that the atoms learn, on the domain [-1, 1]^3
LEVELS = 4  # splits from the root to the cells
CHILDREN = 8
COUSINS = 6  # side of the window of children of a parent and its 26 neighbours
UNCLES = 5  # side of the window around a parent, and around each of its ancestors, on their own levels
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
    shape, place = parents[:, :1], 2 * parents[:, None, 1:] + offsets(2)
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
    near = window(grids[level], parents, UNCLES)
    inner = near.reshape(-1, UNCLES, UNCLES, UNCLES)[:, 1:-1, 1:-1, 1:-1]
    empty = ~functional.interpolate(inner[:, None].float(), scale_factor=2.0).flatten(1).bool()
    corner = torch.cat((parents[:, :1], 2 * parents[:, 1:]), 1)
    cousins = _signed(window(grids[level + 1], corner, COUSINS))
    parts = [torch.where(empty, -1.0, cousins * _drawn_before()[own])]
    for up in range(ANCESTORS):
        if level < up:
            parts.append(torch.zeros(len(parents), UNCLES**3 + CHILDREN))
            continue
        ancestor = torch.cat((parents[:, :1], parents[:, 1:] >> up), 1)
        around = near if up == 0 else window(grids[level - up], ancestor, UNCLES)
        parts += [_signed(around), functional.one_hot(turn(ancestor), CHILDREN).float()]
    parts.append(functional.one_hot(torch.tensor(level), LEVELS).float().expand(len(parents), -1))
    return torch.cat(parts, 1)


def seen_features(cousins: bool, uncles: bool) -> Tensor:
    """f32 (FEATURES,): 0 for what is hidden. Where a parent is, and on which level, is always seen."""
    windows = torch.cat((torch.full((UNCLES**3,), float(uncles)), torch.ones(CHILDREN))).repeat(ANCESTORS)
    return torch.cat((torch.full((COUSINS**3,), float(cousins)), windows, torch.ones(LEVELS)))


def _signed(cells: Tensor) -> Tensor:
    return 2 * cells.float() - 1


def window(grid: Tensor, places: Tensor, side: int) -> Tensor:
    """Cells (m, side^3) around ``places`` (m, 4: shape, x, y, z), False beyond the grid; an even window is that of a
    block of two, given by its first cell."""
    margin = (side - 1) // 2
    padded = functional.pad(grid, (margin,) * 6)
    width = padded.shape[-1]
    weight = torch.tensor([width**3, width**2, width, 1])
    return padded.flatten()[(places @ weight)[:, None] + offsets(side) @ weight[1:]]


@cache
def offsets(side: int) -> Tensor:
    """(side^3, 3), last axis fastest."""
    axis = torch.arange(side)
    return torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)


@cache
def _drawn_before() -> Tensor:
    """f32 (8, 6^3): whether the cousins at these places are drawn before the parent's own turn."""
    own = offsets(2)
    neighbour = offsets(COUSINS) // 2 - 1
    theirs = ((own[:, None] + neighbour) & 1) @ torch.tensor([4, 2, 1])
    return (theirs < torch.arange(CHILDREN)[:, None]).float()


def draw_shapes(rounds: int, members: int, poses: int, first_seed: int) -> Tensor:
    """``rounds`` programs of every family, ``members`` solids of each, in ``poses`` sizes, places and orientations:
    bool (n, 16, 16, 16), axes x, y, z. A cell is occupied when the ball inscribed in it, of radius 1 / SIDE, meets the
    solid: walls thinner than a cell stay closed. Disjoint seeds share no solid."""
    grids = []
    for number in range(rounds * len(FAMILIES)):
        seed = first_seed + number
        generator = torch.Generator().manual_seed(seed)
        solids = draw(FAMILIES[number % len(FAMILIES)], members, seed)
        for _ in range(poses):
            distance = jittered(solids.sdf, members, generator)(grid_points(SIDE).expand(members, -1, -1))
            cells = (distance < 1 / SIDE).reshape(members, SIDE, SIDE, SIDE)
            grids.append(turned(cells, generator))
    shapes = torch.cat(grids)
    return shapes[shapes.flatten(1).any(1)]


def turned(cells: Tensor, generator: torch.Generator) -> Tensor:
    """Grids (..., s, s, s) under one of the 48 symmetries of the cube, drawn at random."""
    return _view(cells, *_SYMMETRIES[int(torch.randint(len(_SYMMETRIES), (1,), generator=generator))])


def symmetries(cells: Tensor) -> Iterator[Tensor]:
    """Grids (..., s, s, s) under each of the 48 symmetries of the cube."""
    return (_view(cells, *symmetry) for symmetry in _SYMMETRIES)


_AXES = (-3, -2, -1)
_SYMMETRIES = tuple(
    (order, tuple(axis for axis, flip in zip(_AXES, flips, strict=True) if flip))
    for order in permutations(_AXES)
    for flips in product((False, True), repeat=3)
)


def _view(cells: Tensor, order: tuple[int, ...], flips: tuple[int, ...]) -> Tensor:
    return cells.movedim(order, _AXES).flip(flips)


def causal_pairs(tokens: int) -> int:
    """Pairs of a token and one that it sees, itself included, in one sequence: 1 + 2 + ... + tokens."""
    return tokens * (tokens + 1) // 2


def most_parents(side: int) -> int:
    """Parents of an octree with side^3 cells, all occupied: 1 + 8 + 64 + ..."""
    return sum(8**level for level in range(side.bit_length() - 1))


def parents_in(grids: list[Tensor]) -> float:
    """Mean number of parents per shape in a pyramid: the occupied nodes above the cells."""
    return float(torch.stack([grid.flatten(1).sum(1) for grid in grids[:-1]]).sum(0).float().mean())


def nodes_in(grids: list[Tensor]) -> list[float]:
    """Mean number of occupied nodes per shape, level by level."""
    return [float(grid.flatten(1).sum(1).float().mean()) for grid in grids]
