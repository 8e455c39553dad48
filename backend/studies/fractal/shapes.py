"""Occupancy of procedural solids on a 16^3 grid: what the atoms learn."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations, product

import torch
from torch import Tensor

from ...training.bank import jittered
from ...training.grids import grid_points
from ...training.shapes.families import FAMILIES, draw

SIDE = 16
HALF_CELL = 1 / SIDE
"""Of the domain [-1, 1]^3."""


def draw_shapes(rounds: int, members: int, poses: int, first_seed: int) -> Tensor:
    """``rounds`` programs of every family, ``members`` solids of each, in ``poses`` sizes, places and
    orientations: bool (n, 16, 16, 16), axes x, y, z.

    A cell is occupied when the ball inscribed in it meets the solid, by the solid's own signed distance: walls thinner
    than a cell stay closed. Different seeds have different programs: sets with disjoint seeds share no solid.
    """
    grids = []
    for number in range(rounds * len(FAMILIES)):
        seed = first_seed + number
        generator = torch.Generator().manual_seed(seed)
        solids = draw(FAMILIES[number % len(FAMILIES)], members, seed)
        for _ in range(poses):
            distance = jittered(solids.sdf, members, generator)(grid_points(SIDE).expand(members, -1, -1))
            cells = (distance < HALF_CELL).reshape(members, SIDE, SIDE, SIDE)
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
