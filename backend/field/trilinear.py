"""Values between the voxels of a sparse grid: trilinear interpolation, its gradient, and by how much it is off."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from itertools import product

import numpy as np

from .bricks import BRICK, INSIDE, OUTSIDE, TRUNCATION, BrickGrid, BrickMap

STEEPEST_BEND = 1.0
"""Voxels; a distance bends more only across its medial axis, or where the stored bricks end."""
BEFORE, BEYOND = -1, 2
"""The voxels of a line before and beyond the two that a position is between, 0 and 1."""
AT_ONCE = 16_384
"""Positions whose values stay in a processor's cache; all at once take twice as long."""


class Trilinear:
    """A channel of a grid between its voxels; positions (n, 3) are in voxels with centres at whole numbers.

    Bricks that are not stored count as ``absent`` on the outside and as -``absent`` inside for channel 0, and as
    ``absent`` for the others.
    """

    def __init__(self, grid: BrickGrid, bricks: BrickMap, channel: int = 0, absent: float = TRUNCATION) -> None:
        self.stored = grid.values.reshape(-1) if len(grid.coords) else np.zeros(1, np.float32)
        # with a rim that stands for all beyond the domain
        index = np.pad(bricks.index, 1, constant_values=OUTSIDE)
        self.side, self.margin = len(index), bricks.margin + 1
        start = (index.astype(np.int64) * grid.values.shape[1] + channel) * BRICK**3
        self.first = np.where(index >= 0, start, index).reshape(-1)
        self.absent = {OUTSIDE: absent, INSIDE: -absent if channel == 0 else absent}

    def _parts(self, positions: np.ndarray) -> Iterator[_Around]:
        for start in range(0, max(1, len(positions)), AT_ONCE):
            yield _Around(self, positions[start : start + AT_ONCE])

    def values(self, positions: np.ndarray) -> np.ndarray:
        """f64 (n,)."""
        return np.concatenate([part.values() for part in self._parts(positions)])

    def slopes(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Values f64 (n,) and gradients f64 (n, 3)."""
        found = [(part.values(), part.gradients()) for part in self._parts(positions)]
        values, gradients = map(np.concatenate, zip(*found, strict=True))
        return values, gradients

    def linear_error(self, positions: np.ndarray) -> np.ndarray:
        """By how much, f64 (n,), the values lie above quadratic interpolation along each axis.

        Between voxels a straight line misses a curve by t (1 - t) / 2 of its second difference. On a sphere that sets
        the trilinear surface inside the true one, most in the middle of the cells.
        """
        return np.concatenate([part.linear_error() for part in self._parts(positions)])


class _Around:
    """The voxels around some positions."""

    def __init__(self, field: Trilinear, positions: np.ndarray) -> None:
        along = np.ascontiguousarray(np.transpose(positions))
        self._field, self._lower = field, np.floor(along).astype(np.int64)
        self._shares = along - self._lower
        self._places: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]] = {}

    def _along(self, axis: int, at: int) -> tuple[np.ndarray, np.ndarray]:
        """What a step along one axis adds to the places of a brick in the index and of a voxel in a brick."""
        if (axis, at) not in self._places:
            voxel, side = self._lower[axis] + at, self._field.side
            brick = ((voxel >> 3) + self._field.margin).clip(0, side - 1)
            self._places[axis, at] = brick * side ** (2 - axis), (voxel & (BRICK - 1)) * BRICK ** (2 - axis)
        return self._places[axis, at]

    def _read(self, *at: int) -> np.ndarray:
        """Values f64 (n,) of the voxels that lie ``at`` these steps from the lower one along each axis."""
        (slab, x), (row, y), (brick, z) = (self._along(axis, step) for axis, step in enumerate(at))
        place = self._field.first[slab + row + brick]
        missing = np.flatnonzero(place < 0)
        side = place[missing]
        place += x + y + z
        place[missing] = 0
        value = self._field.stored[place].astype(np.float64)
        value[missing] = np.where(side == INSIDE, self._field.absent[INSIDE], self._field.absent[OUTSIDE])
        return value

    @cached_property
    def _corners(self) -> dict[tuple[int, ...], np.ndarray]:
        return {corner: self._read(*corner) for corner in product((0, 1), repeat=3)}

    @cached_property
    def _lines(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """For each axis, values at its voxels 0 and 1, each between the four voxels across it."""
        return [(self._across(axis, 0), self._across(axis, 1)) for axis in range(3)]

    def _across(self, axis: int, step: int) -> np.ndarray:
        """Bilinear values f64 (n,) in the plane across ``axis`` at ``step``."""
        first, second = (other for other in range(3) if other != axis)

        def corner(one: int, other: int) -> np.ndarray:
            at = [0, 0, 0]
            at[axis], at[first], at[second] = step, one, other
            return self._corners[tuple(at)] if step in (0, 1) else self._read(*at)

        rows = (between(corner(one, 0), corner(one, 1), self._shares[second]) for one in (0, 1))
        return between(next(rows), next(rows), self._shares[first])

    def values(self) -> np.ndarray:
        return between(*self._lines[0], self._shares[0])

    def gradients(self) -> np.ndarray:
        return np.stack([upper - lower for lower, upper in self._lines], axis=1)

    def linear_error(self) -> np.ndarray:
        error = np.zeros(len(self._shares[0]))
        for axis, (share, (lower, upper)) in enumerate(zip(self._shares, self._lines, strict=True)):
            rise = upper - lower
            bend = between(
                self._across(axis, BEFORE) - lower + rise, self._across(axis, BEYOND) - upper - rise, share
            )
            error += share * (1 - share) / 2 * bend.clip(-STEEPEST_BEND, STEEPEST_BEND)
        return error


def between(lower: np.ndarray, upper: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Linear interpolation, ``share`` of the way to ``upper``."""
    return lower + (upper - lower) * share
