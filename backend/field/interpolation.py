"""Bricks that the level above decides: where a scan has too few points for a level's voxels, the network would only
repeat what the level above says, so its field is interpolated there."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .blocks import BlockAverage, among, bricks_of, distinct
from .bricks import (
    ABSENT_LOG_SCALE,
    BRICK,
    INSIDE,
    LOG_SCALE_LIMITS,
    TRUNCATION,
    Level,
    along_axes,
    resolution,
    voxel_size,
)
from .trilinear import Trilinear

FROM = 3
"""Coarser levels run the network everywhere."""
REFINE_POINTS = 6
"""A brick with this many scan points is refined in any case: the level above may be too coarse to show a
thin wall."""
SUPPORT = 32
"""Points in the 3^3 bricks around a brick, for each brick of them that holds any, below which it is interpolated.
Chosen with `MISSED` at 256^3 on six models of `scans/valid`, between 16 and 48: with more, thin walls are lost."""
MISSED, SURE = 0.2, 2.0
"""Voxels, and standard deviations of the noise of a mean, that the mean of these points may lie from the surface of the
level above; beyond that the network runs however few they are."""
AT_ONCE = 2048
"""Bricks that are interpolated at once: bounds the memory."""
HALO = 2
"""Voxels of the parent beyond a brick's own, on each side."""


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


@dataclass(frozen=True)
class Support:
    """What the points of a scan say of the bricks of a level: bool (s, s, s), s bricks along the domain."""

    held: NDArray[np.bool_]  # to be kept in any case: for its points, or because the level above misses them
    network: NDArray[np.bool_]  # the network runs

    @classmethod
    def of(cls, points: NDArray, noise: float, above: Level) -> Support:
        """Of the level below ``above``: the network runs where the points f32 (n, 3), canonical, are dense, or where
        they miss the surface of the level above by more than this noise along their normals, as both sides of a wall do
        that it dissolved. Coarser levels than `FROM` run it everywhere."""
        number = above.number + 1
        count = resolution(number) // BRICK
        cell = np.floor((points + np.float32(1)) * np.float32(count / 2)).astype(np.int32)
        inside = ((cell >= 0) & (cell < count)).all(axis=1)
        flat = cell[inside] @ np.array([count * count, count, 1])
        members = np.bincount(flat, minlength=count**3).reshape((count,) * 3)
        if number < FROM:
            return cls(members >= REFINE_POINTS, np.ones_like(members, bool))
        places = (points[inside] + 1) * np.float32(above.resolution / 2) - np.float32(0.5)
        # in voxels of the level itself
        away = 2 * Trilinear(above.grid, above.bricks).values(places)
        missed = np.bincount(flat, away, count**3).reshape(members.shape)
        around, full, missed = map(_around, (members, members > 0, missed))
        off = np.abs(missed) > around * MISSED + SURE * noise / voxel_size(number) * np.sqrt(around)
        dense = around >= SUPPORT * np.maximum(full, 1)
        return cls((members >= REFINE_POINTS) | (off & (members > 0)), dense | off)

    def runs_on(self, coords: NDArray) -> NDArray[np.bool_]:
        """On which bricks i32 (m, 3) the network runs; beyond the domain it does not."""
        count = len(self.network)
        return ((coords >= 0) & (coords < count)).all(axis=1) & self.network[tuple(coords.clip(0, count - 1).T)]


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
    return _around(marked)[tuple((coords - low).T)] > 0


def joined_bricks(blocks: np.ndarray, plain: np.ndarray) -> np.ndarray:
    """Distinct bricks of blocks' (b, 4, 4, 4, 3) and of others (k, 3)."""
    return distinct(np.concatenate([blocks.reshape(-1, 3), plain]))


def _around(table: NDArray) -> NDArray[np.float64]:
    """Sums over the 3^3 entries around each of a table (a, b, c)."""
    total = np.pad(table.astype(np.float64), 1)
    for axis in range(3):
        lines = np.moveaxis(total, axis, 0)
        total = np.moveaxis(lines[:-2] + lines[1:-1] + lines[2:], 0, axis)
    return total
