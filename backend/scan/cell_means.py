"""Bare points of a scan that is denser than a fit can use, thinned to their means in the cells of a grid.

Most of the time of a fit of millions of bare points goes into their normals, and a voxel gains little from more than
some dozens. A file of very many vertices is thinned alike while it is read, see `formats.ply_clusters`. On noisy
samples of seven models of `valid`, a million points each, a grid of four cells along a voxel leaves the distance to the
truth alone or makes it smaller: by 7 % on one, 2 % larger on another, where another order of the same points changes it
by up to 5 %. One of two cells makes it a tenth larger in the mean, on sharp edges two fifths.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..formats.ply_clusters import FINER, MOST_CELLS, OUTSIDE, SAMPLE, THIN_ABOVE
from ..formats.raw_scan import RawScan

_FARTHEST = 1 << 20
"""Cells from the middle, so that three numbers of them fit into 63 bits."""


def thinned(raw: RawScan, voxels: float) -> tuple[RawScan, tuple[str, ...]]:
    """Points for a fit with ``voxels`` along the longest side of a scan, and a sentence on that. Where it has no more
    than `THIN_ABOVE` points, or faces, views or sigma, which are of single points, it is the scan itself, and none.

    Points that are nowhere stay, to be counted. What the points of a file wear is left out.
    """
    if len(raw.points) <= THIN_ABOVE or raw.faces is not None or raw.view is not None or raw.sigma is not None:
        return raw, ()
    there = np.isfinite(raw.points).all(axis=1)
    points = raw.points[there]
    if not len(points):
        return raw, ()
    low, high = np.percentile(points[:: 1 + len(points) // SAMPLE], (OUTSIDE, 100 - OUTSIDE), axis=0)
    side = float((high - low).max()) / (FINER * voxels)
    if not side > 0:
        return raw, ()
    cell, count = _cells(points, (low + high) / 2, side)
    while count > MOST_CELLS:
        side *= 2
        cell, count = _cells(points, (low + high) / 2, side)

    def means(values: NDArray) -> NDArray:
        sums = np.stack([np.bincount(cell, column, count) for column in values[there].T], axis=1)
        return np.concatenate([sums / np.bincount(cell, minlength=count)[:, None], values[~there]])

    note = f"Its {len(raw.points):,} points were thinned to {count:,}, {FINER} along each voxel."
    normals, to_sensor = (
        None if directions is None else means(np.nan_to_num(directions)) for directions in (raw.normals, raw.to_sensor)
    )
    fewer = replace(raw, points=means(raw.points), normals=normals, to_sensor=to_sensor, attributes=None)
    return fewer, (note,)


def facing_cells(points: NDArray, normals: NDArray, side: float) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """The cell (n,) of each point (n, 3) in a grid of this width, apart by the six ways its normal (n, 3) may face, and
    the points (c,) of each cell. The two sides of a wall that is thinner than a cell do not mix."""
    axis = np.abs(normals).argmax(axis=1)
    facing = 2 * axis + (normals[np.arange(len(axis)), axis] > 0)
    at = np.floor((points - points.min(axis=0)) / side).astype(np.int64)
    _, rows, columns = at.max(axis=0) + 1
    key = ((at[:, 0] * rows + at[:, 1]) * columns + at[:, 2]) * 6 + facing
    _, cell, counts = np.unique(key, return_inverse=True, return_counts=True)
    return cell, counts.astype(np.float64)


def _cells(points: NDArray, middle: NDArray, side: float) -> tuple[NDArray[np.intp], int]:
    """The cell (n,) of each point in a grid of this width, and the number of cells."""
    keys = np.zeros(len(points), np.int64)
    for axis in range(3):
        place = np.floor((points[:, axis] - middle[axis]) / side).clip(-_FARTHEST, _FARTHEST - 1)
        keys = (keys << 21) | (place.astype(np.int64) + _FARTHEST)
    found, cell = np.unique(keys, return_inverse=True)
    return cell, len(found)
