"""Values of a sparse field at points, trilinear."""

from __future__ import annotations

import itertools

import numpy as np

from .bricks import BRICK, INSIDE, BrickGrid, BrickMap


def sample(grid: BrickGrid, bricks: BrickMap, positions: np.ndarray, channel: int, absent: float) -> np.ndarray:
    """Values f32 (n,) of a channel at ``positions`` f32 (n, 3), in voxels with centres at whole numbers.

    Bricks that are not stored count as ``absent`` on the outside and as -``absent`` inside for channel 0, and as
    ``absent`` for the others.
    """
    values = grid.values.reshape(len(grid.coords), -1, BRICK**3)[:, channel]
    lower = np.floor(positions).astype(np.int32)
    upper = positions - lower
    shares = [(1 - along, along) for along in upper.T]
    total = np.zeros(len(positions), np.float32)
    for corner in itertools.product((0, 1), repeat=3):
        voxel = lower + np.array(corner, np.int32)
        in_x, in_y, in_z = (share[end] for share, end in zip(shares, corner, strict=True))
        index = bricks.find(voxel >> 3)
        x, y, z = (voxel & (BRICK - 1)).T
        value = values[np.maximum(index, 0), (x * BRICK + y) * BRICK + z]
        side = np.where((index == INSIDE) & (channel == 0), -absent, absent)
        total += (in_x * in_y * in_z).astype(np.float32) * np.where(index >= 0, value, side).astype(np.float32)
    return total
