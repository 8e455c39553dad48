"""Outliers, found by counting points in sparse voxels.

Two kinds are removed: clusters too small and too far from everything to be part of an object, and single points in
densely scanned surroundings. Thin parts, sparse regions and points scattered near the surface stay: the network weighs
them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

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
_BITS = 21
"""Bits of a coordinate in the key of a cell."""
_MIDDLE = 1 << (_BITS - 1)
_X, _Y, _Z = 1 << (2 * _BITS), 1 << _BITS, 1
_COLUMNS = np.array([dx * _X + dy * _Y for dx in (-1, 0, 1) for dy in (-1, 0, 1)])
_FORWARD = np.array(
    [d for dx in (-1, 0, 1) for dy in (-1, 0, 1) for dz in (-1, 0, 1) if (d := dx * _X + dy * _Y + dz * _Z) > 0]
)
"""Differences between keys: to the 9 columns of cells around one, and to half of the 26 neighbours of a cell."""


@dataclass(frozen=True)
class Cells:
    """Occupied cells of a regular grid."""

    keys: NDArray[np.int64]  # (m,), sorted; x, y, z in 21 bits each, so that neighbours in z have consecutive keys
    counts: NDArray[np.int64]  # (m,), points in each cell
    cell_of: NDArray[np.intp]  # (n,), the cell of each point, or of each cell of a finer grid


def occupied_cells(points: NDArray[np.float32], size: float) -> Cells:
    """Cells of side ``size`` that hold ``points`` (n, 3). Coordinates beyond about a million cells are clamped."""
    index = np.floor(points * np.float32(1 / size))
    np.clip(index, 1 - _MIDDLE, _MIDDLE - 2, out=index)
    index = index.astype(np.int64) + _MIDDLE
    keys, cell_of, counts = np.unique(
        index[:, 0] * _X + index[:, 1] * _Y + index[:, 2], return_inverse=True, return_counts=True
    )
    return Cells(keys, counts, cell_of)


def coarser(cells: Cells, octaves: int) -> Cells:
    """The grid with cells 2**octaves times as large; ``cell_of`` then maps fine cells to coarse ones."""
    mask = (1 << _BITS) - 1
    # Shifted about the middle and moved back, so that the clamp's margin of one cell stays.
    index = [((cells.keys >> shift) & mask) - _MIDDLE >> octaves for shift in (2 * _BITS, _BITS, 0)]
    x, y, z = (axis + _MIDDLE for axis in index)
    keys, cell_of = np.unique(x * _X + y * _Y + z, return_inverse=True)
    counts = np.bincount(cell_of, weights=cells.counts, minlength=len(keys)).astype(np.int64)
    return Cells(keys, counts, cell_of)


def _block_runs(cells: Cells, which: NDArray) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The 3 x 3 x 3 block around each cell of ``which`` as 9 runs (first, last) of cells, each (c, 9)."""
    columns = cells.keys[which][:, None] + _COLUMNS
    return np.searchsorted(cells.keys, columns - 1), np.searchsorted(cells.keys, columns + 1, side="right")


def block_counts(cells: Cells, which: NDArray) -> NDArray[np.int64]:
    """Number of points in the 3 x 3 x 3 cells around each cell of ``which`` (c,)."""
    first, last = _block_runs(cells, which)
    total = np.concatenate([[0], np.cumsum(cells.counts)])
    return (total[last] - total[first]).sum(axis=1)


def in_blocks(cells: Cells, which: NDArray) -> NDArray[np.bool_]:
    """(m,) whether each cell lies in a 3 x 3 x 3 block around a cell of ``which``."""
    first, last = _block_runs(cells, which)
    steps = np.bincount(first.ravel(), minlength=len(cells.keys) + 1) - np.bincount(
        last.ravel(), minlength=len(cells.keys) + 1
    )
    return np.cumsum(steps)[:-1] > 0


def clusters(cells: Cells) -> NDArray[np.int32]:
    """(m,) label of the connected cluster of each cell; cells that share a face, edge or corner are connected."""
    count = len(cells.keys)
    wanted = cells.keys[:, None] + _FORWARD
    found = np.minimum(np.searchsorted(cells.keys, wanted), count - 1)
    row, column = np.nonzero(cells.keys[found] == wanted)
    links = sparse.coo_matrix((np.ones(len(row), np.int8), (row, found[row, column])), shape=(count, count))
    return csgraph.connected_components(links, directed=False)[1]


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


def box(points: NDArray) -> tuple[NDArray, NDArray]:
    """Lowest and highest corner (3,) of the box around points (n, 3)."""
    axes = np.ascontiguousarray(points.T)  # reducing along rows is many times slower
    return axes.min(axis=1), axes.max(axis=1)
