"""Evidence: what the scan says at a voxel, as sums that the atom blurs and divides itself."""

from __future__ import annotations

import numpy as np

from .bricks import BRICK, BrickMap

CHANNELS = 5
"""Number of points, sum of normals (3), sum of normal . position (voxels from the centre of the brick)."""


def splat(points: np.ndarray, normals: np.ndarray, resolution: int, bricks: BrickMap) -> np.ndarray:
    """Sums f32 (m, 5, 8, 8, 8) over the points of each voxel, for the m bricks of ``bricks``.

    points f32 (n, 3) canonical, normals f32 (n, 3); points outside the bricks are left out. `training.grids.splat` does
    the same for one block.
    """
    position = (points + np.float32(1)) * np.float32(resolution / 2)
    voxel = np.floor(position).astype(np.int32)
    brick = voxel >> 3
    index = bricks.find(brick)
    kept = np.flatnonzero(index >= 0)
    voxel, brick, position, normal = voxel[kept], brick[kept], position[kept], normals[kept]
    inner = voxel & (BRICK - 1)
    flat = index[kept].astype(np.int64) * BRICK**3 + (inner[:, 0] * BRICK + inner[:, 1]) * BRICK + inner[:, 2]
    local = position - (brick * BRICK + BRICK // 2).astype(np.float32)
    moment = np.einsum("nk,nk->n", local, normal)
    size = bricks.count * BRICK**3
    sums = np.empty((bricks.count, CHANNELS, BRICK**3), np.float32)
    for channel, weights in enumerate((None, normal[:, 0], normal[:, 1], normal[:, 2], moment)):
        sums[:, channel] = np.bincount(flat, weights, size).reshape(bricks.count, -1)
    return sums.reshape(bricks.count, CHANNELS, BRICK, BRICK, BRICK)
