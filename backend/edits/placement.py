"""The way from a scan into the frame of an edit, which is that of its first example."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from ..registration.align import Alignment
from ..registration.similarity import Similarity
from ..registration.warp import Warp

NODES = 33
"""Nodes along the canonical cube on which the way into the edit's frame is computed; between them it is interpolated
linearly, which costs a tenth of a voxel of 128^3."""


@dataclass(frozen=True)
class Placement:
    """The way from the canonical frame of a scan into the frame of an edit: a similarity, a warp, and a shift there."""

    similarity: Similarity
    warp: Warp = field(default_factory=Warp)
    shift: NDArray[np.float64] = field(default_factory=lambda: np.zeros(3))  # (3,), in the edit's frame
    lattice: WarpLattice = field(default_factory=lambda: WarpLattice(), compare=False)  # of any shift

    @classmethod
    def of(cls, alignment: Alignment, room: float = 1.0) -> Placement:
        """That of an alignment, from a cube in which one unit is ``room`` canonical units of the scan."""
        found = alignment.similarity
        return cls(replace(found, scale=found.scale * room), alignment.warp)

    @property
    def scale(self) -> float:
        """Length in the edit's frame of one canonical unit of the scan."""
        return self.similarity.scale

    def exact(self, points: NDArray) -> NDArray[np.float64]:
        """Places (n, 3) in the edit's frame of canonical points (n, 3) of the scan."""
        return self.warp(self.similarity.points(points)) + self.shift

    def __call__(self, points: NDArray) -> NDArray[np.float64]:
        """The same for points (n, 3) in the canonical cube, with the warp from a lattice."""
        found = self.similarity.points(points) + self.shift
        if self.warp.layers:
            found += self.lattice.displacement(points, self.similarity, self.warp)
        return found


class WarpLattice:
    """The displacement of a warp on NODES^3 nodes of the canonical cube, each computed when it is first needed."""

    def __init__(self) -> None:
        self._known = np.zeros((NODES,) * 3, bool)
        self._moves = np.zeros((*self._known.shape, 3))

    def displacement(self, points: NDArray, similarity: Similarity, warp: Warp) -> NDArray[np.float64]:
        """Displacement (n, 3) at points (n, 3), interpolated linearly; always of the same warp after the same
        similarity."""
        at = ((np.asarray(points, np.float64) + 1) * ((NODES - 1) / 2)).clip(0, NODES - 1)
        self._compute(np.minimum(at.astype(np.int64), NODES - 2), similarity, warp)
        return np.stack([map_coordinates(part, at.T, order=1) for part in np.moveaxis(self._moves, 3, 0)], axis=1)

    def _compute(self, cells: NDArray, similarity: Similarity, warp: Warp) -> None:
        """All corners of cells (n, 3)."""
        needed = np.zeros_like(self._known)
        x, y, z = cells.T
        needed[x, y, z] = True
        for axis in range(3):
            needed |= np.roll(needed, 1, axis)
        new = np.argwhere(needed & ~self._known)
        if len(new):
            x, y, z = new.T
            nodes = new * (2 / (NODES - 1)) - 1
            self._moves[x, y, z] = warp.displacement(similarity.points(nodes))
            self._known |= needed
