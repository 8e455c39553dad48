"""Walls thinner than a voxel, whose two sides are moved apart so that a field can hold them."""

from __future__ import annotations

import numpy as np

from ..geometry.winding_number import winding_at
from ..scan.given_surface import DEPTHS, GivenSurface
from ..scan.prepare import PreparedScan
from .bricks import voxel_size
from .coverage import said_of_thinness

WIDTH = 1.5
"""Voxels between the sides of a wall that is kept. Chosen on thin discs, plates and leaves at levels 1 to 3."""
HALVINGS = 5
"""The thickness is found to this many halvings of that."""


def parted(scan: PreparedScan, level: int) -> tuple[np.ndarray, str]:
    """Points f32 (n, 3) of a scan, canonical, and a sentence on what was done to them: both sides of every wall of a
    solid that is thinner than WIDTH voxels of a level move out along their normals, by half of what is missing each.
    Nothing moves where no thickness is known.
    """
    given, wide = scan.given, WIDTH * voxel_size(level)
    thinner = None if given is None else given.thinner(wide)
    # all points are looked at only where some of a few thousand samples are thin
    if given is None or thinner is None or not thinner.any():
        return scan.points, ""
    points, normals = scan.points.astype(np.float64), scan.normals.astype(np.float64)
    thin = np.flatnonzero(np.logical_or.reduce([_outside(given, points - wide * share * normals) for share in DEPTHS]))
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
