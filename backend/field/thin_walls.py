"""Walls thinner than a voxel, whose two sides are moved apart so that a field can hold them.

Of a solid the winding number says how thick it is. Of a scan the points of the two sides say it, as far as both were
seen: means of a few, in cells of a grid, because their noise is half as large as such walls are thick.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from ..geometry.normals import unit
from ..geometry.winding_number import winding_at
from ..scan.cell_means import facing_cells
from ..scan.given_surface import DEPTHS, GivenSurface
from ..scan.kind import Kind
from ..scan.prepare import PreparedScan
from .bricks import voxel_size
from .coverage import SAID, said_of_thinness

WIDTH = 1.5
"""Voxels between the sides of a wall that is kept. Chosen on thin discs, plates and leaves at levels 1 to 3."""
HALVINGS = 5
"""The thickness is found to this many halvings of that."""
AROUND, REACH, ASIDE = 32, 2.5, 1.0
"""Cells, as wide as a voxel, that say how thick a scan's wall is: so many, within so many voxels, weighted by their
distance aside with this standard deviation (voxels)."""
SAME, OPPOSITE = 0.5, -0.5
"""Cosine between the normals of two cells on the same side of a wall, at least, and on opposite sides, at most."""
FEWEST = 3
"""Points on the opposite side that make a wall."""
SAMPLES, LEAST_SHARE = 2000, 0.01
"""Cells by which a scan is said to have thin walls, where a larger share of them is on one. These figures were chosen
on cups, bowls, tubes and plates with walls of a voxel under conditions B and D, and on `scans/valid` under B, where no
scan but a glass changes by more than noise does."""
AT_ONCE = 2**15
"""Cells that are looked at together; what is kept of each takes 256 bytes."""


def parted(scan: PreparedScan, level: int) -> tuple[np.ndarray, str]:
    """Points f32 (n, 3) of a scan, canonical, and a sentence on what was done to them: both sides of every wall that is
    thinner than WIDTH voxels of a level move out along their normals, by half of what is missing each. Nothing moves
    where no thickness is known, as where one side alone was seen, and on sheets.
    """
    if scan.report.kind == Kind.SCAN.value:
        return _parted_scan(scan, level)
    given, wide = scan.given, WIDTH * voxel_size(level)
    thinner = None if given is None else given.thinner(wide)
    # all points are looked at only where some of a few thousand samples are thin
    if given is None or thinner is None or not thinner.any():
        return scan.points, ""
    points, normals = scan.points.astype(np.float64), scan.normals.astype(np.float64)
    thin = np.flatnonzero(np.logical_or.reduce([_outside(given, points - wide * share * normals) for share in DEPTHS]))
    if not len(thin):
        return scan.points, ""
    low, high = np.zeros(len(thin)), np.full(len(thin), wide)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        beyond = _outside(given, points[thin] - middle[:, None] * normals[thin])
        low, high = np.where(beyond, low, middle), np.where(beyond, middle, high)
    points[thin] += ((wide - (low + high) / 2) / 2)[:, None] * normals[thin]
    said = said_of_thinness(scan, level)
    return points.astype(np.float32), f"{said} Thin walls were made {WIDTH} voxels thick, to stay." if said else ""


def _outside(given: GivenSurface, places: np.ndarray) -> np.ndarray:
    """Whether places (p, 3) are outside of a solid."""
    assert given.vertices is not None and given.faces is not None
    return winding_at(given.vertices, given.faces, places) <= 0


def _parted_scan(scan: PreparedScan, level: int) -> tuple[np.ndarray, str]:
    """`parted` of a scan."""
    voxel = voxel_size(level)
    cells = _SideMeans.of(scan.points.astype(np.float64) / voxel, scan.normals.astype(np.float64))
    some = np.arange(0, len(cells.places), 1 + len(cells.places) // SAMPLES)
    if (cells.around(some).missing > 0).mean() <= LEAST_SHARE:
        return scan.points, ""
    every = np.array_split(np.arange(len(cells.places)), 1 + len(cells.places) // AT_ONCE)
    walls = [cells.around(part) for part in every]
    missing = np.concatenate([part.missing for part in walls])
    move = np.concatenate([part.mean(missing / 2) for part in walls])[cells.cell]
    points = (scan.points + (voxel * move)[:, None] * scan.normals).astype(np.float32)
    share = float((missing[cells.cell] > 0).mean())
    said = (
        f"{share:.0%} of the scan is thinner than {WIDTH} voxels of level {level}: "
        "such walls were made as thick, to stay."
    )
    return points, said if share >= SAID else ""


@dataclass(frozen=True)
class _SideMeans:
    """Means of a scan's points in `facing_cells` as wide as a voxel; in voxels."""

    places: NDArray[np.float64]  # (c, 3)
    normals: NDArray[np.float32]  # (c, 3), unit
    counts: NDArray[np.float64]  # (c,) of points
    cell: NDArray[np.intp]  # (n,), of each point
    tree: KDTree  # of the places

    @classmethod
    def of(cls, points: NDArray, normals: NDArray) -> _SideMeans:
        cell, counts = facing_cells(points, normals, 1.0)
        mean = np.stack([np.bincount(cell, part) / counts for part in (*points.T, *normals.T)], axis=1)
        places = mean[:, :3]
        return cls(places, unit(mean[:, 3:])[0], counts, cell, KDTree(places))

    def around(self, chosen: NDArray[np.intp]) -> _WallSides:
        """What lies around some cells (k,)."""
        place, normal = self.places[chosen], self.normals[chosen]
        distance, near = self.tree.query(place, k=AROUND, distance_upper_bound=REACH)
        found = np.isfinite(distance)
        near = np.where(found, near, 0)
        cosine = np.einsum("nkj,nj->nk", self.normals[near], normal)
        height = np.einsum("nkj,nj->nk", self.places[near] - place[:, None], normal)
        counts, aside = found * self.counts[near], np.where(found, distance**2 - height**2, 0)
        weight = counts * np.exp(-aside / (2 * ASIDE**2))
        own, other = weight * (cosine > SAME), weight * (cosine < OPPOSITE)
        sides = [(side * height).sum(axis=1) / np.maximum(side.sum(axis=1), 1e-12) for side in (own, other)]
        thickness = sides[0] - sides[1]
        # the two sides of a gap lie in front of each other: a wall of less than no thickness
        wall = ((counts * (other > 0)).sum(axis=1) >= FEWEST) & (thickness > 0)
        missing = np.where(wall, np.maximum(WIDTH - thickness, 0), 0)
        return _WallSides(near.astype(np.int32), own.astype(np.float32), missing)


@dataclass(frozen=True)
class _WallSides:
    """The sides of walls at k cells."""

    near: NDArray[np.int32]  # (k, AROUND), the cells around each
    own: NDArray[np.float32]  # (k, AROUND), their weights; 0 for those that are not on its own side
    missing: NDArray[np.float64]  # (k,), voxels that the wall is thinner than WIDTH; 0 where there is none

    def mean(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Means (k,) of the values (c,) of all cells, over those around each on its own side."""
        return (self.own * values[self.near]).sum(axis=1) / np.maximum(self.own.sum(axis=1), 1e-12)
