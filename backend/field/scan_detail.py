"""What a scan's points say of the surface beyond its field: by how much that is off, how much of it is noise, and which
of its edges are sharp.

The network smooths all scans alike, and exact points lie off its surface by a tenth of a voxel. The mean of the points'
distances near a vertex says by how much it is off, the less the noisier they are: a ridge regression of a constant,
weighted by a kernel.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from ..geometry.normals import normals_of
from ..scan.cell_means import facing_cells
from .bricks import Level
from .isosurface import Isosurface
from .normal_filter import denoised
from .paint import Paint
from .recursion import ScanEvidence
from .relaxation import unfolded
from .sharp_edges import sharpened
from .trilinear import Trilinear

NOISIEST = 0.3
"""Voxels of noise from which on the surface stays: it would gain 3 per cent for a tenth of the time."""
CELL, WIDER, WIDEST, PER_WIDTH = 0.7, 12.0, 3.0, 1.4
"""Voxels: the side of the cells of exact points; the kernel's standard deviation per voxel of noise, and its largest.
And how many cells its standard deviation is at least."""
LEAST, OF_NOISE = 0.1, 50.0
"""The weight, in points, of no move: at least, and per squared voxel of noise."""
FARTHEST = 1.5
"""Voxels from the surface; points that lie farther are of something else."""
AROUND, NEAREST, REACH = 24, 8, 3.0
"""Cells that a cell is averaged with, cells that are asked for a vertex, and how many standard deviations away at most.
All of these were chosen on `scans/valid`: six views with noise from none to that of condition C at 128^3, and a million
points of one model at 512^3 and 1024^3."""


@dataclass(frozen=True)
class Residuals:
    """How far points lie outside a surface, put together in cells; places and lengths in voxels."""

    normals: NDArray[np.float32]  # (c, 3), mean ones
    sums: NDArray[np.float64]  # (c,) of the points' distances, positive outside
    counts: NDArray[np.float64]  # (c,) of points
    side: float  # of a cell
    ridge: float  # the weight of no move, in points
    tree: KDTree = field(repr=False)  # of the points' mean places

    @classmethod
    def of(cls, points: NDArray, normals: NDArray, distance: NDArray, noise: float) -> Residuals:
        """Of points (p, 3) with normals (p, 3), ``distance`` (p,) outside of the surface."""
        width = min(WIDER * noise, WIDEST)
        side = max(CELL, width / PER_WIDTH)
        row, counts = facing_cells(points, normals, side)
        mean = np.stack([np.bincount(row, part) / counts for part in (*points.T, *normals.T)], axis=1)
        sums = np.bincount(row, distance).astype(np.float64)
        facing_out = mean[:, 3:].astype(np.float32)
        found = cls(facing_out, sums, counts, side, LEAST + OF_NOISE * noise**2, KDTree(mean[:, :3]))
        if width <= side:
            return found
        sums, counts = found.near(mean[:, :3], facing_out, AROUND, width)
        return replace(found, sums=sums, counts=counts)

    def near(self, places: NDArray, normals: NDArray, cells: int, width: float) -> tuple[NDArray, NDArray]:
        """Sums and counts f64 (n,) of so many cells around places (n, 3) with normals (n, 3) that face the same way,
        weighted by a kernel with a standard deviation of ``width``."""
        distance, cell = self.tree.query(places, k=cells, distance_upper_bound=REACH * width)
        known = np.isfinite(distance)
        cell = np.where(known, cell, 0)
        agree = np.einsum("nkj,nj->nk", self.normals[cell], normals)
        weight = np.where(known, np.exp(-0.5 * (distance / width) ** 2) * np.clip(agree, 0, None) ** 2, 0)
        return (weight * self.sums[cell]).sum(axis=1), (weight * self.counts[cell]).sum(axis=1)

    def moved(self, surface: Isosurface) -> Isosurface:
        """A surface whose vertices moved along their normals onto the points."""
        old = surface.vertices
        normals = normals_of(old, surface.faces)
        sums, counts = self.near(old, normals, NEAREST, self.side)
        new = old + ((sums / (counts + self.ridge))[:, None] * normals).astype(np.float32)
        return replace(surface, vertices=unfolded(old, new, np.ones(len(old), bool), surface.faces)[0])


@dataclass(frozen=True)
class ScanDetail:
    """Points of a scan beside the field of a level, in its voxels."""

    points: NDArray[np.float32]  # (p, 3)
    noise: float
    residuals: Residuals | None  # None where the points are too noisy, or far from the surface
    voxel: float  # canonical
    paints: tuple[Paint, ...]  # what the artist says of the noise in parts of the scan

    @classmethod
    def of(cls, level: Level, scan: ScanEvidence) -> ScanDetail:
        """Beside the level that a scan was fitted with; it holds for surfaces of edits of that level, too."""
        points = (scan.points + np.float32(1)) / np.float32(level.voxel) - np.float32(0.5)
        noise = scan.noise / level.voxel
        paints = tuple(paint for paint in scan.paints if paint.option == "denoise")
        unmoved = cls(points, noise, None, level.voxel, paints)
        if noise > NOISIEST:
            return unmoved
        distance = Trilinear(level.grid, level.bricks).values(points)
        near = np.abs(distance) < FARTHEST
        for paint in paints:
            # how noisy the points are there is for the artist to say
            near &= paint.weights.at(scan.points) == 0
        if not near.any():
            return unmoved
        residuals = Residuals.of(points[near], scan.normals[near], distance[near], noise)
        return replace(unmoved, residuals=residuals)

    def added_to(self, surface: Isosurface) -> Isosurface:
        """A surface of the level on the points, without their noise, and with the sharp edges that they show."""
        moved = surface if self.residuals is None else self.residuals.moved(surface)
        return sharpened(denoised(moved, self._noise_at(moved.vertices)), self.points, self.noise)

    def _noise_at(self, vertices: NDArray[np.float32]) -> NDArray[np.float32]:
        """Voxels of noise (n,) at vertices (n, 3)."""
        places = (vertices + np.float32(0.5)) * np.float32(self.voxel) - np.float32(1)
        doublings = np.zeros(len(vertices), np.float32)
        for paint in self.paints:
            doublings += np.float32(paint.amount) * paint.weights.at(places)
        return np.float32(self.noise) * np.exp2(doublings)
