"""Which brick lies next to which, and what stands in for the bricks that a sparse grid does not store."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import cast

import numpy as np
from scipy import ndimage

from .bricks import BRICK, INSIDE, BrickMap

OFFSETS = tuple(product((0, 1), repeat=3))
LARGEST_BOX = 2**23
"""Bricks in the box around a grid; 200 along each side, so 1600 voxels."""


@dataclass(frozen=True)
class BrickTable:
    """Row of every brick in a box around the stored ones.

    origin: i64 (3,), brick coordinates of entry (0, 0, 0). rows: i32 (x, y, z), rows 0 .. count - 1 are
    stored bricks, count is any absent brick outside the solid, count + 1 any absent brick inside it. The box
    reaches one brick further than the stored ones below and two above. Its size is that of the resolution
    cubed / 512.
    """

    origin: np.ndarray
    rows: np.ndarray
    count: int

    @classmethod
    def around(cls, coords: np.ndarray, inside: np.ndarray, known: BrickMap | None = None) -> BrickTable:
        """Table of bricks ``coords`` i32 (m, 3), m > 0, with voxels bool (m, 8, 8, 8) inside or outside.

        known: sides of the absent bricks. Without it absent bricks that touch by faces share a side: those
        connected with infinity are outside, every other group is where most of the stored voxels are that
        its faces touch. That is right as long as stored bricks keep the two sides apart; a single leak
        would turn a solid into a shell, which known sides cannot do. The rim of the box is outside, so
        that whatever is stored, a surface can be closed within the box. Raises ValueError when the bricks
        are too far apart.
        """
        low = coords.min(axis=0).astype(np.int64) - 1
        shape = tuple(int(side) for side in coords.max(axis=0) - low + 3)
        if np.prod(shape, dtype=np.float64) > LARGEST_BOX:
            raise ValueError(f"bricks span {shape} bricks, which is too much")
        count = len(coords)
        rows = np.full(shape, count, np.int32)
        at = tuple((coords - low).T)
        if known is None:
            rows[at] = np.arange(count, dtype=np.int32)
            rows[_solid_groups(rows == count, coords - low, inside)] = count + 1
        else:
            core = tuple(slice(1, -1) for _ in shape)
            rows[core] += _sides(known, low + 1, low + np.array(shape) - 1) == INSIDE
            rows[at] = np.arange(count, dtype=np.int32)
        return cls(low, rows, count)

    def find(self, coords: np.ndarray) -> np.ndarray:
        """Rows (n,) of bricks (n, 3) in the box."""
        x, y, z = (coords - self.origin).T
        return self.rows[x, y, z]

    def find_octant(self, coords: np.ndarray) -> np.ndarray:
        """Rows (n, 8) of the bricks at ``coords`` (n, 3) plus each of OFFSETS."""
        return np.stack([self.find(coords + np.array(offset)) for offset in OFFSETS], axis=1)

    def absent_crossed(self) -> np.ndarray:
        """Coordinates (n, 3) of absent bricks where, with those at OFFSETS, a surface could pass."""
        absent = self.rows[:-1, :-1, :-1] >= self.count
        solid, empty = (_any_of_octant(self.rows == self.count + side) for side in (1, 0))
        return np.argwhere(absent & (_any_of_octant(self.rows < self.count) | (solid & empty))) + self.origin


def _sides(known: BrickMap, first: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Entries of a map for the bricks from ``first`` to before ``end``; those beyond it repeat its rim."""
    last = len(known.index) - 1
    places = (np.arange(a, b) + known.margin for a, b in zip(first, end, strict=True))
    return known.index[np.ix_(*(np.clip(place, 0, last) for place in places))]


def _any_of_octant(mask: np.ndarray) -> np.ndarray:
    """Whether the mask is set at an entry or at any of those at OFFSETS from it; one shorter along each
    axis."""
    mask = mask[:-1] | mask[1:]
    mask = mask[:, :-1] | mask[:, 1:]
    return mask[:, :, :-1] | mask[:, :, 1:]


def _solid_groups(absent: np.ndarray, places: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Where a bool box of absent bricks (x, y, z) is inside; places (m, 3) of the stored bricks in the
    box."""
    groups, number = cast(tuple[np.ndarray, int], ndimage.label(absent))
    votes = np.zeros(number + 1)
    for axis, side in product(range(3), (0, 1)):
        step = np.zeros(3, np.int64)
        step[axis] = 2 * side - 1
        beside = groups[tuple((places + step).T)]
        face = inside.take(-side, axis=1 + axis).reshape(len(places), -1)
        votes += np.bincount(beside, face.mean(axis=1) - 0.5, minlength=number + 1)
    solid = votes > 0
    solid[[0, groups[0, 0, 0]]] = False
    return solid[groups]


def extend(bricks: np.ndarray, octant: np.ndarray, absent: tuple[float, float]) -> np.ndarray:
    """Bricks (m, 8, 8, 8) extended by the first voxels of the bricks that follow on each axis.

    octant: (n, 8) rows as from find_octant; the result (n, 9, 9, 9) has a brick per row of it. absent: values
    of the rows m and m + 1.
    """
    last = len(bricks) - 1
    extended = np.empty((len(octant), BRICK + 1, BRICK + 1, BRICK + 1), bricks.dtype)
    constants = np.array(absent, bricks.dtype)
    for slot, offset in enumerate(OFFSETS):
        rows = octant[:, slot]
        target = extended[:, *(slice(BRICK, None) if step else slice(BRICK) for step in offset)]
        target[...] = bricks[np.minimum(rows, last), *(slice(1) if step else slice(None) for step in offset)]
        missing = np.flatnonzero(rows > last)
        target[missing] = constants[rows[missing] - last - 1, None, None, None]
    return extended
