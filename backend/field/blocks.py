"""Blocks of 4^3 bricks (32^3 voxels), on which the network runs: their places, their inputs, and their average.

Neighbouring blocks share one brick. There their fields are averaged with weights that fall to zero at the border of
each block, so that no seam shows.
"""

from __future__ import annotations

import itertools

import numpy as np

from .bricks import ABSENT_LOG_SCALE, BLOCK, BLOCK_BRICKS, BRICK, OUTSIDE, TRUNCATION, BrickGrid, BrickMap, along_axes

STRIDE = BLOCK_BRICKS - 1
"""Bricks from one block to the next."""
AXIS_BITS = np.array([4, 2, 1])
"""A number for each set of axes."""
AT_ONCE = 2**16
"""Bricks, those of each lattice of blocks counted, that are looked at together: bounds the memory."""
PARENT = BLOCK // 2 + 2
"""Parent voxels along an edge: the block's own and one voxel of halo on each side."""


def cover(active: np.ndarray) -> np.ndarray:
    """First bricks i32 (b, 3) of blocks that cover the ``active`` bricks i32 (m, 3).

    Neighbouring blocks share a layer of bricks. A shared brick needs only one of them; where the surface continues on
    both sides, the bricks beyond it bring both blocks in. Of the 27 places of the lattice of blocks the one with the
    fewest blocks is taken, because the network takes nearly all the time of a fit.
    """
    if len(active) == 0:
        return np.zeros((0, 3), np.int32)
    shifts = np.array(list(itertools.product(range(STRIDE), repeat=3)), np.int32)
    together = max(1, AT_ONCE // len(active))
    parts = [shifts[start : start + together] for start in range(0, len(shifts), together)]
    return min((block for part in parts for block in _covers(active, part)), key=len)


def cover_on_lattice(active: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """A cover, as of `cover`, by blocks whose first bricks are ``shift`` (3,) plus multiples of the stride."""
    return _covers(active, shift[None])[0]


def _covers(active: np.ndarray, shifts: np.ndarray) -> list[np.ndarray]:
    """For each of ``shifts`` (s, 3) what `cover_on_lattice` returns."""
    lattice, remainder = np.divmod(active - shifts[:, None], STRIDE)
    # one more for the block before the first one
    origin = lattice.min(axis=(0, 1)) - 1
    size = lattice.max(axis=(0, 1)) - origin + 1
    weight = np.array([size[1] * size[2], size[2], 1])
    place = (lattice - origin) @ weight + size.prod() * np.arange(len(shifts))[:, None]
    # along which axes a brick is the first of its block, as bits; and along how many
    first, shared = ((remainder == 0) @ bits for bits in (AXIS_BITS, np.ones(3, int)))
    chosen = np.zeros(len(shifts) * size.prod(), bool)
    # first the bricks of one block, then those shared by two, four and eight
    for axes in range(4):
        at, own = place[shared == axes], first[shared == axes]
        covered = np.zeros(len(at), bool)
        for before in itertools.product((0, 1), repeat=3):
            if sum(before) > axes:
                continue
            # the first brick of a block is the last brick of the block before it
            bits = before @ AXIS_BITS
            covered |= ((own & bits) == bits) & chosen[at - before @ weight]
        chosen[at[~covered]] = True
    each = chosen.reshape(len(shifts), *size)
    return [
        (np.argwhere(found) + origin).astype(np.int32) * STRIDE + shift
        for found, shift in zip(each, shifts, strict=True)
    ]


KEY_BITS = 20
"""Bits of a coordinate in a key."""
KEY_OFFSET = 1 << (KEY_BITS - 1)
"""Added to coordinates, which may be negative."""


def _keys(coords: np.ndarray) -> np.ndarray:
    """One i64 per row of small integers (n, 3), in lexicographic order."""
    x, y, z = (coords.astype(np.int64) + KEY_OFFSET).T
    return (x << (2 * KEY_BITS)) | (y << KEY_BITS) | z


def _unkeyed(keys: np.ndarray) -> np.ndarray:
    mask = (1 << KEY_BITS) - 1
    coords = np.stack([keys >> (2 * KEY_BITS), (keys >> KEY_BITS) & mask, keys & mask], axis=1)
    return (coords - KEY_OFFSET).astype(np.int32)


def bricks_of(blocks: np.ndarray) -> np.ndarray:
    """Brick coordinates i32 (b, 4, 4, 4, 3) of blocks given by their first bricks (b, 3)."""
    steps = np.stack(np.meshgrid(*[np.arange(BLOCK_BRICKS, dtype=np.int32)] * 3, indexing="ij"), axis=-1)
    return blocks[:, None, None, None] + steps


def distinct(coords: np.ndarray) -> np.ndarray:
    """Distinct bricks i32 (m, 3) in lexicographic order, from coordinates (..., 3)."""
    return _unkeyed(np.unique(_keys(coords.reshape(-1, 3))))


def among(coords: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Which bricks i32 (m, 3) are among others (..., 3)."""
    return np.isin(_keys(coords), _keys(others.reshape(-1, 3)))


def join_bricks(bricks: np.ndarray) -> np.ndarray:
    """Bricks (b, 4, 4, 4, c, 8, 8, 8) of each block, put together: (b, c, 32, 32, 32), contiguous."""
    count, channels = len(bricks), bricks.shape[4]
    return bricks.transpose(0, 4, 1, 5, 2, 6, 3, 7).reshape(count, channels, BLOCK, BLOCK, BLOCK)


def split_blocks(blocks: np.ndarray) -> np.ndarray:
    """The reverse of `join_bricks`, a view: (b, c, 32, 32, 32) -> (b, 4, 4, 4, c, 8, 8, 8)."""
    count, channels = blocks.shape[:2]
    return blocks.reshape(count, channels, *[BLOCK_BRICKS, BRICK] * 3).transpose(0, 2, 4, 6, 1, 3, 5, 7)


def gather_parent(grid: BrickGrid, bricks: BrickMap, blocks: np.ndarray) -> np.ndarray:
    """The parent field f32 (b, 2, 18, 18, 18) under blocks given by their first bricks (b, 3) in the child's level."""
    first = blocks * (BRICK // 2) - 1
    voxel = first[:, :, None] + np.arange(PARENT, dtype=np.int32)
    brick, inner = voxel >> 3, voxel & (BRICK - 1)
    corner = np.stack(np.broadcast_arrays(*along_axes(brick)), axis=-1)
    index = bricks.find(corner)
    x, y, z = along_axes(inner)
    flat = (x * BRICK + y) * BRICK + z
    values = grid.values.reshape(len(grid.coords), 2, BRICK**3)
    known = np.maximum(index, 0)
    mean, log_scale = values[known, 0, flat], values[known, 1, flat]
    absent = np.where(index == OUTSIDE, np.float32(TRUNCATION), np.float32(-TRUNCATION))
    return np.stack(
        [np.where(index >= 0, mean, absent), np.where(index >= 0, log_scale, np.float32(ABSENT_LOG_SCALE))], axis=1
    ).astype(np.float32)


def blend_weights() -> np.ndarray:
    """Weights f32 (32, 32, 32) of a block: 1 in the middle, falling linearly to 0 over the bricks that blocks share."""
    ramp = (np.arange(BRICK, dtype=np.float32) + 0.5) / BRICK
    line = np.concatenate([ramp, np.ones(BLOCK - 2 * BRICK, np.float32), ramp[::-1]])
    return line[:, None, None] * line[:, None] * line


class BlockAverage:
    """Weighted mean of overlapping blocks on ``count`` bricks; batches are added one after the other."""

    def __init__(self, count: int, channels: int) -> None:
        self._sums = np.zeros((count, channels, BRICK, BRICK, BRICK), np.float32)
        self._weights = np.zeros((count, 1, BRICK, BRICK, BRICK), np.float32)
        self._weight = blend_weights()
        self._weight_bricks = split_blocks(self._weight[None, None]).reshape(-1, *self._weights.shape[1:])

    def add(self, blocks: np.ndarray, index: np.ndarray) -> None:
        """Add blocks f32 (b, c, 32, 32, 32), which are overwritten; index i32 (b, 4, 4, 4): their bricks' numbers."""
        blocks *= self._weight
        # the bricks of one block differ, so plain indexing adds each of them once
        for bricks, numbers in zip(split_blocks(blocks), index.reshape(len(index), -1), strict=True):
            self._sums[numbers] += bricks.reshape(len(numbers), *self._sums.shape[1:])
            self._weights[numbers] += self._weight_bricks

    def mean(self) -> np.ndarray:
        """The averaged channels f32 (count, c, 8, 8, 8); zeros in bricks that no block has."""
        self._sums /= np.maximum(self._weights, np.finfo(np.float32).tiny)
        return self._sums

    def mixed(self, values: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """`mean`, mixed with ``values`` (k, c, 8, 8, 8) in the bricks ``rows`` (k,) where blocks weigh less than 1: no
        seam shows where the blocks end."""
        mean, own = self.mean(), np.minimum(self._weights[rows], 1)
        mean[rows] = own * mean[rows] + (1 - own) * values
        return mean
