"""Bricks that the level above decides: where a scan has too few points for a level's voxels, the network would only
repeat what the level above says, so its field is interpolated there."""

from __future__ import annotations

import math

import numpy as np

from .blocks import BlockAverage, among, bricks_of, distinct
from .bricks import ABSENT_LOG_SCALE, BRICK, INSIDE, TRUNCATION, Level, along_axes, resolution

FROM = 3
"""Coarser levels run the network everywhere."""
SUPPORT = 16
"""Points in the 3^3 bricks around a brick, for each brick of them that holds any, below which it is interpolated.
Chosen at 256^3 on six models of `scans/valid`: with as many, half the blocks are left out, the surface where the scan
is stays as near (0 to 1 %), normals are as good or better and there are fewer tunnels; with 48, thin walls are lost."""
AT_ONCE = 2048
"""Bricks that are interpolated at once: bounds the memory."""
HALO = 2
"""Voxels of the parent beyond a brick's own, on each side."""
LOG_SCALE_LIMITS = (-5.0, 1.5)
"""Those of the network, see `training.atom`."""


def catmull_rom() -> np.ndarray:
    """(8, 8) matrix from a line of a brick's parent voxels, with their halo, to the brick's own voxels: cubic, and
    exact for quadratics."""
    rows = np.zeros((BRICK, BRICK // 2 + 2 * HALO), np.float32)
    for voxel in range(BRICK):
        at = (voxel + 0.5) / 2 - 0.5 + HALO
        first = math.floor(at) - 1
        t = at - first - 1
        rows[voxel, first : first + 4] = (
            (-t + 2 * t**2 - t**3) / 2,
            (2 - 5 * t**2 + 3 * t**3) / 2,
            (t + 4 * t**2 - 3 * t**3) / 2,
            (-(t**2) + t**3) / 2,
        )
    return rows


def interpolated(above: Level, coords: np.ndarray) -> np.ndarray:
    """Mean and log scale f32 (m, 2, 8, 8, 8), in voxels of the level below ``above``, on its bricks i32 (m, 3)."""
    found = np.empty((len(coords), 2, BRICK, BRICK, BRICK), np.float32)
    for start in range(0, len(coords), AT_ONCE):
        found[start : start + AT_ONCE] = _interpolated(above, coords[start : start + AT_ONCE])
    return found


def _interpolated(above: Level, coords: np.ndarray) -> np.ndarray:
    half = BRICK // 2
    brick, inner = np.divmod(coords[:, :, None] * half + np.arange(-HALO, half + HALO), BRICK)
    index = above.bricks.find(np.stack(np.broadcast_arrays(*along_axes(brick)), axis=-1))
    known, place = np.maximum(index, 0), along_axes(inner)
    side = np.where(index == INSIDE, -np.float32(TRUNCATION), np.float32(TRUNCATION))
    mean = np.where(index >= 0, above.grid.values[known, 0, *place], side)
    spread = np.where(index >= 0, above.grid.values[known, 1, *place], np.float32(ABSENT_LOG_SCALE))
    rows, line = np.stack([mean, spread], axis=1), catmull_rom()
    for _ in range(3):
        # along the last axis, which becomes the first: after three turns all are in place
        rows = np.moveaxis(rows @ line.T, -1, 2)
    rows[:, 0] = np.clip(2 * rows[:, 0], -TRUNCATION, TRUNCATION)
    rows[:, 1] = np.clip(rows[:, 1] + math.log(2), *LOG_SCALE_LIMITS)
    return rows


def mixed(
    average: BlockAverage, above: Level | None, coords: np.ndarray, plain: np.ndarray, more: np.ndarray | None = None
) -> np.ndarray:
    """The field f32 (m, 2, 8, 8, 8) of a level on bricks (m, 3): of its blocks, and interpolated on those of ``plain``
    (k, 3) and where blocks end beside them. more: f32 (m, 1, 8, 8, 8), a further channel of the average there."""
    (rows,) = np.nonzero(beside(coords, plain))
    if above is None or not len(rows):
        return average.mean()
    values = interpolated(above, coords[rows])
    return average.mixed(values if more is None else np.concatenate([values, more[rows]], axis=1), rows)


def supported(coords: np.ndarray, points: np.ndarray, number: int) -> np.ndarray:
    """Which bricks i32 (m, 3) of a level hold enough of the points f32 (n, 3), canonical, for the network."""
    if number < FROM or not len(coords):
        return np.ones(len(coords), bool)
    count = resolution(number) // BRICK
    cell = np.floor((points + np.float32(1)) * np.float32(count / 2)).astype(np.int32)
    cell = cell[((cell >= 0) & (cell < count)).all(axis=1)]
    members = np.bincount(cell @ np.array([count * count, count, 1]), minlength=count**3).reshape((count,) * 3)
    members = np.pad(members, 1)
    total, held = members, (members > 0).astype(np.int64)
    for axis in range(3):
        total, held = (_three(table, axis) for table in (total, held))
    inside = ((coords >= 0) & (coords < count)).all(axis=1)
    at = tuple(coords.clip(0, count - 1).T)
    return inside & (total[at] >= SUPPORT * np.maximum(held[at], 1))


def interpolated_share(level: Level) -> float:
    """Of the bricks that the surface crosses on a level, the share that the network did not make."""
    mean = level.grid.values[:, 0]
    crossed = level.grid.coords[(mean.min(axis=(1, 2, 3)) < 0) & (mean.max(axis=(1, 2, 3)) > 0)]
    return float(np.mean(~among(crossed, bricks_of(level.blocks)))) if len(crossed) else 0.0


def beside(coords: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Which bricks i32 (m, 3) are one of the others (k, 3) or touch one."""
    if not len(others):
        return np.zeros(len(coords), bool)
    low = np.minimum(coords.min(axis=0), others.min(axis=0)) - 1
    size = np.maximum(coords.max(axis=0), others.max(axis=0)) - low + 2
    marked = np.zeros(size, bool)
    marked[tuple((others - low).T)] = True
    for axis in range(3):
        marked = _three(np.pad(marked, [(1, 1) if each == axis else (0, 0) for each in range(3)]), axis) > 0
    return marked[tuple((coords - low).T)]


def joined_bricks(blocks: np.ndarray, plain: np.ndarray) -> np.ndarray:
    """Distinct bricks of blocks' (b, 4, 4, 4, 3) and of others (k, 3)."""
    return distinct(np.concatenate([blocks.reshape(-1, 3), plain]))


def _three(table: np.ndarray, axis: int) -> np.ndarray:
    """Sums of three neighbours along an axis, which loses its ends."""
    table = np.moveaxis(table.astype(np.int64), axis, 0)
    return np.moveaxis(table[:-2] + table[1:-1] + table[2:], 0, axis)
