"""Which brick lies next to which, and what stands in for the bricks that a sparse grid does not store."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import cast

import numpy as np
from scipy import ndimage

from .bricks import BRICK

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
    def around(cls, coords: np.ndarray, inside: np.ndarray) -> BrickTable:
        """Table of bricks ``coords`` i32 (m, 3), m > 0, with voxels bool (m, 8, 8, 8) inside or outside.

        Absent bricks that touch by faces share a sign, so that no surface runs between two of them: those
        connected with infinity are outside, every other group takes the sign of most of the stored voxels
        that its faces touch. Hence every sign change along the grid involves a stored voxel, and the surface
        is closed whatever is stored. Raises ValueError when the bricks are too far apart.
        """
        low = coords.min(axis=0).astype(np.int64) - 1
        shape = tuple(int(side) for side in coords.max(axis=0) - low + 3)
        if np.prod(shape, dtype=np.float64) > LARGEST_BOX:
            raise ValueError(f"bricks span {shape} bricks, which is too much")
        count = len(coords)
        rows = np.full(shape, count, np.int32)
        x, y, z = (coords - low).T
        rows[x, y, z] = np.arange(count, dtype=np.int32)
        groups, number = cast(tuple[np.ndarray, int], ndimage.label(rows == count))
        if number > 1:
            votes = np.zeros(number + 1)
            for axis, side in product(range(3), (0, 1)):
                step = np.zeros(3, np.int64)
                step[axis] = 2 * side - 1
                beside = groups[tuple((coords - low + step).T)]
                face = inside.take(-side, axis=1 + axis).reshape(count, -1)
                votes += np.bincount(beside, face.mean(axis=1) - 0.5, minlength=number + 1)
            solid = votes > 0
            solid[[0, groups[0, 0, 0]]] = False
            rows[solid[groups]] = count + 1
        return cls(low, rows, count)

    def find(self, coords: np.ndarray) -> np.ndarray:
        """Rows (n,) of bricks (n, 3) in the box."""
        x, y, z = (coords - self.origin).T
        return self.rows[x, y, z]

    def find_octant(self, coords: np.ndarray) -> np.ndarray:
        """Rows (n, 8) of the bricks at ``coords`` (n, 3) plus each of OFFSETS."""
        return np.stack([self.find(coords + np.array(offset)) for offset in OFFSETS], axis=1)

    def absent_before(self, coords: np.ndarray) -> np.ndarray:
        """Coordinates (n, 3) of the absent bricks from which a stored one lies at one of OFFSETS."""
        before = np.zeros(self.rows.shape, bool)
        for offset in OFFSETS:
            x, y, z = (coords - self.origin - np.array(offset)).T
            before[x, y, z] = True
        return np.argwhere(before & (self.rows >= self.count)) + self.origin


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
