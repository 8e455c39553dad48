"""Sparse voxel grids: 8^3 bricks, kept only where they are needed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BRICK = 8


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

    def to_dense(self, shape: tuple[int, int, int], fill: float = np.nan) -> np.ndarray:
        """Array f32 (c, x, y, z) of ``shape``, a multiple of 8 in voxels, from voxel (0, 0, 0); ``fill``
        elsewhere."""
        bx, by, bz = (side // BRICK for side in shape)
        channels = self.values.shape[1]
        split = np.full((bx, by, bz, channels, BRICK, BRICK, BRICK), fill, np.float32)
        x, y, z = self.coords.T
        split[x, y, z] = self.values
        return split.transpose(3, 0, 4, 1, 5, 2, 6).reshape(channels, *shape)
