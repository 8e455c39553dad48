"""Outliers, found by counting points in sparse voxels.

Two kinds are removed: clusters too small and too far from everything to be part of an object, and single points in
densely scanned surroundings. Thin parts, sparse regions and points scattered near the surface stay: the network weighs
them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .frame import box
from .voxels import Cells, block_counts, clusters, coarser, occupied_cells

FINE_CELLS = 64
"""Fine cells along the scan, where it is dense enough for that many."""
SPACINGS = 3.0
"""A fine cell is at least this many point spacings wide, so that a sheet of points leaves no empty cells."""
TINY_SHARE = 0.001
"""A separate cluster with a smaller share of the points is an outlier."""
ALONE, CROWDED = 2, 320
"""A point is alone with at most ALONE points in 3^3 fine cells where 3^3 coarse ones (16 x the area) hold CROWDED."""
TAIL = 0.005
"""Share of the points at either end of an axis that may be outliers when the frame is chosen."""


@dataclass(frozen=True)
class Occupancy:
    """The same points in fine cells and in cells four times as wide; ``coarse.cell_of`` maps fine to coarse cells."""

    fine: Cells
    coarse: Cells


def occupancy(points: NDArray[np.float32]) -> Occupancy:
    """Sort points (n, 3), whose middle 95 % measure about 1 along the longest side, into cells."""
    spacing = float(np.sqrt(2 / len(points)))
    fine = occupied_cells(points, max(1 / FINE_CELLS, SPACINGS * spacing))
    return Occupancy(fine, coarser(fine, 2))


def outliers(cells: Occupancy) -> NDArray[np.bool_]:
    """(n,) True for points that are no part of the object."""
    fine, coarse = cells.fine, cells.coarse
    total = int(fine.counts.sum())
    label = clusters(coarse)
    size = np.bincount(label, weights=coarse.counts)
    tiny = size <= max(3, TINY_SHARE * total)
    tiny[size.argmax()] = False
    drop = tiny[label][coarse.cell_of]

    suspects = np.flatnonzero((fine.counts <= ALONE) & ~drop)
    suspects = suspects[block_counts(fine, suspects) <= ALONE]
    drop[suspects] = block_counts(coarse, coarse.cell_of[suspects]) >= CROWDED
    return drop[fine.cell_of]


def near_core(points: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(n,) True for points within one core length of the core box, which leaves TAIL of the points out at each side.

    Points farther out, less than TAIL of all, would shrink the object to a third of the frame or less. A far cluster
    with a larger share of the points is part of the object, as is a spike joined to it by faces.
    """
    low, high = np.quantile(points[:: max(1, len(points) // 50_000)], [TAIL, 1 - TAIL], axis=0)
    reach = (high - low).max()
    low, high = low - reach, high + reach
    lowest, highest = box(points)
    if np.all(lowest >= low) and np.all(highest <= high):
        return np.ones(len(points), bool)
    return np.all((points >= low) & (points <= high), axis=1)
