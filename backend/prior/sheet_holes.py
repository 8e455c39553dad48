"""Holes of a sheet: each is closed by a thin plate. The slab that the network makes closes small ones by itself; into a
large one it only runs a little way, and ends in a ragged lip."""

from __future__ import annotations

import numpy as np

from ..field.completion_prior import CompletionPrior, joined
from ..scan.holes import find_holes, loop_radius
from ..scan.prepare import PreparedScan
from .thin_walls import FEWEST_EDGES, LARGEST, MOST_EDGES, closing_plate, plate_prior

SOURCE = "what surrounds the holes of a sheet"
SMALLEST = 0.04
"""Radius of the holes, canonical, two and a half voxels of level 2: the network closes smaller ones by itself."""


def sheet_hole_prior(scan: PreparedScan) -> CompletionPrior | None:
    """What closes the holes of a sheet; None where it has none, or has no faces."""
    if scan.sheet is None or scan.mesh is None:
        return None

    def right(loops: list[np.ndarray]) -> list[bool]:
        radius, count = np.array([loop_radius(loop) for loop in loops]), np.array([len(loop) for loop in loops])
        fits = (radius >= SMALLEST) & (radius <= LARGEST) & (count >= FEWEST_EDGES) & (count <= MOST_EDGES)
        return fits.tolist()

    found = find_holes(scan.mesh.vertices, scan.mesh.faces, right)
    plates = [closing_plate(found, hole) for hole in found.holes if hole.is_hole]
    return joined([plate_prior(plate, scan.noise) for plate in plates], SOURCE) if plates else None
