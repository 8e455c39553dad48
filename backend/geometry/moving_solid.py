"""The solid that a mesh encloses while an edit moves it, for the topology guard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ..errors import refuse
from .topology import Betti, betti_of_occupancy, euler_of_occupancy
from .topology_sweep import Solid
from .winding_number import winding_grid

RESOLUTION = 256
"""Voxels along the canonical cube: two for each one of the usual detail."""
STRIDE = 128
"""A step of a sweep moves no vertex farther than half a voxel of this resolution."""
MOST_STEPS = 512
CRUMB = (RESOLUTION // 128) ** 3
"""Pieces and hollows of fewer voxels are crumbs of folds, too small for the usual detail."""
MOST_VOXELS = 1 << 27
"""Twice the canonical cube along each side, which takes 1.5 GB to read."""
ROOM = 2.37
"""Empty voxels around the mesh; not a whole number, because a tunnel around a column of voxel centres never closes."""
SHIFT = np.array([0.44, 0.76, 0.21])
"""Shift of the second grid against the first, in voxels."""


def enough_steps(path: float) -> int:
    """Steps of a sweep in which vertices move by ``path`` (canonical) at most: MOST_STEPS, or as many as keep each step
    below half a voxel of STRIDE^3.

    Larger steps could miss a closed tunnel, because it is open again once its walls have passed through one another.
    """
    return min(max(1, int(np.ceil(path * STRIDE))), MOST_STEPS)


@dataclass(frozen=True)
class Reading:
    """The topology of a solid on grids. Walls that meet or break by less than a voxel change some of the Euler numbers
    only."""

    betti: Betti  # on one grid, without crumbs
    eulers: tuple[int, ...]  # with crumbs, on that grid and on a shifted one, each with both ways to join voxels

    def odd(self, base: Reading) -> int | None:
        """An Euler number whose change since ``base`` contradicts that of ``betti``; None where there is none.

        They contradict where they change in opposite directions, where only one changes, and where they differ by more
        than the change. Walls that are too thin for the grid in both solids cancel out.
        """
        start = _euler(base.betti)
        change = _euler(self.betti) - start
        found = [here - there for here, there in zip(self.eulers, base.eulers, strict=True)]
        odd = (other for other in found if np.sign(other) != np.sign(change) or abs(other - change) > abs(change))
        return next((start + other for other in odd), None)


def read_solid(vertices: NDArray, faces: NDArray, resolution: int = RESOLUTION) -> Reading:
    """The topology of the solid inside a closed mesh; vertices (n, 3), canonical, faces (m, 3)."""
    first, second = (
        solid_voxels([vertices + shift], faces, resolution)[0] for shift in (0.0, SHIFT * (2 / resolution))
    )
    return Reading(betti_of_occupancy(first, CRUMB), (*euler_of_occupancy(first), *euler_of_occupancy(second)))


def betti_of_solid(vertices: NDArray, faces: NDArray, resolution: int = RESOLUTION) -> Betti:
    """The Betti numbers of `read_solid` alone, in half the time."""
    return betti_of_occupancy(solid_voxels([vertices], faces, resolution)[0], CRUMB)


def _euler(betti: Betti) -> int:
    return betti.b0 - betti.b1 + betti.b2


def solid_voxels(poses: Sequence[NDArray], faces: NDArray, resolution: int = RESOLUTION) -> list[NDArray[np.bool_]]:
    """Which voxels (x, y, z) the mesh encloses in each pose, vertices (n, 3), canonical; one grid around them all.
    Raises OmomiError(BAD_OPTION) where that grid has more than MOST_VOXELS."""
    scaled = [np.asarray(pose, np.float64) * (resolution / 2) for pose in poses]
    low = np.floor(np.min([pose.min(axis=0) for pose in scaled], axis=0)) - ROOM
    sides = np.ceil(np.max([pose.max(axis=0) for pose in scaled], axis=0) - low) + ROOM
    # written so that NaN fails too
    if not sides.prod() <= MOST_VOXELS:
        refuse("the edits move the surface too far away: lower the strength")
    x, y, z = sides.astype(int).tolist()
    return [winding_grid(pose - low, faces, (x, y, z)) > 0 for pose in scaled]


def moving_solid(vertices: NDArray, faces: NDArray, move: NDArray, resolution: int = RESOLUTION) -> Solid:
    """The solid inside vertices + strength * move; vertices and move (n, 3), canonical; faces (m, 3) of a closed mesh.

    Parts that overlap are joined, and walls that pass through one another open, although the mesh keeps its faces.
    Where the Euler numbers contradict one another on the change since strength 0, the check returns Betti numbers for
    the odd one, with the difference counted as tunnels.
    """

    @cache
    def read(strength: float) -> Reading:
        return read_solid(vertices + strength * move, faces, resolution)

    def other(strength: float) -> Betti:
        found = read(strength)
        euler = found.odd(read(0.0))
        if euler is None:
            return found.betti
        return Betti(found.betti.b0, found.betti.b0 + found.betti.b2 - euler, found.betti.b2)

    def grows(low: float, high: float) -> bool | None:
        first, last = solid_voxels([vertices + low * move, vertices + high * move], faces, resolution)
        before, after = (betti_of_occupancy(inside, CRUMB) for inside in (first, last))
        either, common = (betti_of_occupancy(inside, CRUMB) for inside in (first | last, first & last))
        if (either, common) == (after, before):
            return True
        return False if (either, common) == (before, after) else None

    return Solid(lambda strength: read(strength).betti, other, grows)
