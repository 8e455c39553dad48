"""The solid that a mesh encloses while an edit moves it: what the topology guard looks at."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..shape.topology import Betti, betti_of_occupancy, edge_report
from ..shape.voxelise import winding_grid
from .sweep import Solid

RESOLUTION = 128
"""Voxels along the canonical cube, as at the usual detail."""
OTHER = 0.75
"""The resolution that tells results which depend on the grid, relative to the first."""
ROOM = 2.37
"""Empty voxels around the mesh; not a whole number, for a tunnel around a column of voxel centres never closes."""


def encloses(faces: NDArray) -> bool:
    """Whether a mesh with faces (m, 3) has an inside at all: closed and consistently wound."""
    report = edge_report(faces)
    return report.watertight and report.winding_consistent


def enough_steps(path: float, resolution: int = RESOLUTION) -> int:
    """Steps of a sweep over which vertices move by ``path`` (canonical) at most: none is longer than half a voxel.

    A tunnel whose walls have passed through one another is open again, so that larger steps could miss that it closed.
    """
    return max(1, int(np.ceil(path * resolution)))


def moving_solid(vertices: NDArray, faces: NDArray, move: NDArray, resolution: int = RESOLUTION) -> Solid:
    """The solid inside vertices + strength * move; vertices and move (n, 3), canonical; faces (m, 3) of a closed mesh.

    Parts that come to overlap are joined, and walls that pass through one another open, though the mesh itself keeps
    its faces.
    """

    def betti_at(strength: float, resolution: int) -> Betti:
        voxels = (vertices + strength * move) * (resolution / 2)
        low = np.floor(voxels.min(axis=0)) - ROOM
        x, y, z = (np.ceil(np.ptp(voxels, axis=0)) + 2 * ROOM + 2).astype(int).tolist()
        return betti_of_occupancy(winding_grid(voxels - low, faces, (x, y, z)) > 0)

    return Solid(lambda strength: betti_at(strength, resolution), lambda s: betti_at(s, round(OTHER * resolution)))
