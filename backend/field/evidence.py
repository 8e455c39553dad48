"""Evidence: the scan as the network sees it, sums over the points in each voxel. The atom blurs and divides them."""

from __future__ import annotations

import numpy as np

from .blocks import join_bricks
from .bricks import BLOCK_BRICKS, BRICK, BrickMap

CHANNELS = 5
"""Number of points; sum of normals (3); sum of normal . position, in voxels from the centre of the brick."""


def splat(points: np.ndarray, normals: np.ndarray, resolution: int, bricks: BrickMap) -> np.ndarray:
    """Sums f32 (m, 5, 8, 8, 8) over the points of each voxel, for the m bricks of ``bricks``.

    points f32 (n, 3) canonical, normals f32 (n, 3); points outside the bricks are left out. resolution: voxels along
    the canonical cube. `training.grids.splat` does the same for one block.
    """
    sums = np.zeros((bricks.count, CHANNELS, BRICK, BRICK, BRICK), np.float32)
    add_splat(sums, points, normals, resolution, bricks)
    return sums


def add_splat(sums: np.ndarray, points: np.ndarray, normals: np.ndarray, resolution: int, bricks: BrickMap) -> None:
    """Add the sums over further points to ``sums``, as `splat` returns them.

    Only voxels that hold a point are touched: most of a level's hold none.
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
    number = np.zeros(bricks.count * BRICK**3, np.int32)
    number[flat] = 1
    held = np.flatnonzero(number)
    number[held] = np.arange(len(held))
    rows, columns = np.divmod(held, BRICK**3)
    table = sums.reshape(bricks.count, CHANNELS, BRICK**3)
    for channel, values in enumerate((None, normal[:, 0], normal[:, 1], normal[:, 2], moment)):
        found = np.bincount(number[flat], values, len(held)).astype(np.float32)
        table[rows, channel, columns] += found


def gather_evidence(sums: np.ndarray, index: np.ndarray) -> np.ndarray:
    """The atom's evidence f32 (b, 5, 32, 32, 32) from the bricks' sums (m, 5, 8, 8, 8); index (b, 4, 4, 4) into them.

    The last channel is taken about the centre of each brick; here it moves to the centre of the block.
    """
    evidence = join_bricks(sums[index])
    centre = np.repeat((np.arange(BLOCK_BRICKS, dtype=np.float32) - (BLOCK_BRICKS - 1) / 2) * BRICK, BRICK)
    evidence[:, 4] += evidence[:, 1] * centre[:, None, None]
    evidence[:, 4] += evidence[:, 2] * centre[:, None]
    evidence[:, 4] += evidence[:, 3] * centre
    return evidence
