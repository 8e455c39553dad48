"""Sparse voxel grids of 8^3 bricks, the sizes of levels and blocks, and the field of a level."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from ..scan.prepare import LONGEST_SIDE

BRICK = 8
"""Voxels along an edge of a brick."""
BLOCK_BRICKS = 4
BLOCK = BLOCK_BRICKS * BRICK
"""Voxels along an edge of a block, on which the network runs."""
TRUNCATION = 3.0
"""Signed distances are truncated here (voxels)."""
LOG_SCALE_LIMITS = (-5.0, 1.5)
"""The network's scale stays between .007 and 4.5 voxels."""
ABSENT_LOG_SCALE = -3.0
"""Log scale (voxels) of a brick that is not stored: small, because the surface is certainly beyond the truncation."""


def resolution(level: int) -> int:
    """Voxels along the canonical cube on a level: one block on level 0, twice as many on each level below."""
    return BLOCK * 2**level


def voxels_along(level: int) -> float:
    """Voxels along the longest side of a scan on a level."""
    return resolution(level) * LONGEST_SIDE / 2


def voxel_size(level: int) -> float:
    """Canonical width of a voxel on a level."""
    return 2.0 / resolution(level)


@dataclass(frozen=True)
class BrickGrid:
    """Bricks of a voxel grid with several channels.

    coords: i32 (m, 3), brick coordinates, sorted lexicographically and unique; voxel (i, j, k) lies in brick
    (i // 8, j // 8, k // 8). values: f32 (m, c, 8, 8, 8).
    """

    coords: np.ndarray
    values: np.ndarray

    @classmethod
    def from_dense(
        cls, dense: np.ndarray, keep: np.ndarray | None = None, origin: tuple[int, int, int] = (0, 0, 0)
    ) -> BrickGrid:
        """Bricks of an array (c, x, y, z) whose sides are multiples of 8.

        keep: bool (x/8, y/8, z/8), the bricks to store; all of them when absent. origin: coordinates of the
        first brick.
        """
        channels, *sides = dense.shape
        bx, by, bz = (side // BRICK for side in sides)
        split = dense.reshape(channels, bx, BRICK, by, BRICK, bz, BRICK).transpose(1, 3, 5, 0, 2, 4, 6)
        chosen = np.ones((bx, by, bz), bool) if keep is None else keep
        coords = (np.argwhere(chosen) + np.array(origin)).astype(np.int32)
        return cls(coords, np.ascontiguousarray(split[chosen], np.float32))


OUTSIDE, INSIDE = -1, -2
"""What a brick map holds for a brick that is not stored: which side of the surface it lies on."""


@dataclass(frozen=True)
class BrickMap:
    """Finds bricks by coordinates: one i32 for every brick of the level's domain, 1/512 of a dense grid.

    index: i32 (s, s, s), number of the stored brick, or OUTSIDE or INSIDE; entry (0, 0, 0) is brick ``-margin``.
    """

    index: np.ndarray
    margin: int
    count: int

    @classmethod
    def of(cls, coords: np.ndarray, sides: np.ndarray, margin: int) -> BrickMap:
        """coords i32 (m, 3) of the stored bricks; sides i32 (s, s, s), OUTSIDE or INSIDE for all the others."""
        index = sides.copy()
        x, y, z = (coords + margin).T
        index[x, y, z] = np.arange(len(coords), dtype=np.int32)
        return cls(index, margin, len(coords))

    def find(self, coords: np.ndarray) -> np.ndarray:
        """Entries i32 (...) for brick coordinates (..., 3); OUTSIDE beyond the domain."""
        place = [coords[..., axis] + self.margin for axis in range(3)]
        held = [along.clip(0, len(self.index) - 1) for along in place]
        within = (held[0] == place[0]) & (held[1] == place[1]) & (held[2] == place[2])
        return np.where(within, self.index[tuple(held)], OUTSIDE)


def upsampled(grid: BrickGrid, bricks: BrickMap, coords: np.ndarray) -> np.ndarray:
    """Means f32 (k, 8, 8, 8) of a level on bricks of the next one with coordinates i32 (k, 3): what
    `Trilinear.values` gives at the centres of their voxels, many times as fast."""
    half = BRICK // 2
    # a child's brick lies within six voxels of its parent along each axis
    brick, inner = np.divmod(coords[:, :, None] * half + np.arange(-1, half + 1), BRICK)
    index = bricks.find(np.stack(np.broadcast_arrays(*along_axes(brick)), axis=-1))
    stored = grid.values[np.maximum(index, 0), 0, *along_axes(inner)]
    side = np.where(index == INSIDE, -np.float32(TRUNCATION), np.float32(TRUNCATION))
    parent = np.where(index >= 0, stored, side)
    lower = (np.arange(BRICK) + 1) // 2
    share = np.where(np.arange(BRICK) % 2, 0.25, 0.75)
    total = np.zeros((len(coords), BRICK, BRICK, BRICK), np.float32)
    for corner in itertools.product((0, 1), repeat=3):
        x, y, z = (lower + end for end in corner)
        a, b, c = (share if end else 1 - share for end in corner)
        weight = (a[:, None, None] * b[:, None] * c).astype(np.float32)
        total += weight * parent[:, x[:, None, None], y[:, None], z]
    return total


def along_axes(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(k, 3, n) -> three arrays that broadcast to (k, n, n, n)."""
    return values[:, 0, :, None, None], values[:, 1, None, :, None], values[:, 2, None, None, :]


def voxel_places(coords: np.ndarray, voxel: float) -> np.ndarray:
    """Canonical centres (k, 8, 8, 8, 3) of the voxels, ``voxel`` wide, of bricks with coordinates (k, 3)."""
    inner = np.stack(np.meshgrid(*[np.arange(BRICK) + 0.5] * 3, indexing="ij"), axis=-1)
    return (coords[:, None, None, None] * BRICK + inner) * voxel - 1


@dataclass(frozen=True)
class Level:
    """The field at one level of the recursion."""

    number: int
    grid: BrickGrid  # mean and log scale, in voxels, on the stored bricks
    bricks: BrickMap  # finds them, and holds the side of the surface of all the others
    blocks: np.ndarray  # i32 (b, 3), first bricks of the blocks that the network ran on, all on one lattice
    code: np.ndarray  # f32 (CODE,), the shape's, on which the level was conditioned
    closed: int = 0  # tunnels of it that were closed, see `tunnels`

    @property
    def resolution(self) -> int:
        return resolution(self.number)

    @property
    def voxel(self) -> float:
        """Canonical size of a voxel."""
        return voxel_size(self.number)

    def dense(self, channel: int = 0, absent: float | None = None) -> np.ndarray:
        """A channel f32 (n, n, n) of the field: 0 the mean, 1 the log scale.

        Bricks that are not stored hold ``absent``, or the truncation with their side's sign.
        """
        count, margin = self.resolution // BRICK, self.bricks.margin
        inner = slice(margin, margin + count)
        if absent is None:
            side = np.where(self.bricks.index[inner, inner, inner] == INSIDE, -TRUNCATION, TRUNCATION)
        else:
            side = np.full((count,) * 3, absent)
        split = np.broadcast_to(side.astype(np.float32)[:, None, :, None, :, None], (count, BRICK) * 3).copy()
        coords = self.grid.coords
        stored = ((coords >= 0) & (coords < count)).all(axis=1)
        x, y, z = coords[stored].T
        split[x, :, y, :, z] = self.grid.values[stored, channel]
        return split.reshape((self.resolution,) * 3)
