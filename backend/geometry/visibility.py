"""Which side of a surface can be seen from outside, by looking at samples of it from all around."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

VIEWS = 26
"""Directions to look from: a Fibonacci lattice on the sphere."""
PIXELS = 48
"""Pixels along a view. Some 20,000 samples leave none of the pixels of a surface empty."""
SLACK = 2.5 / PIXELS
"""Depth, in radii of the samples, within which a sample behind another one is still seen: the slope within a pixel."""
GRAZING = 0.35
"""A side is seen where the cosine between its normal and the view is larger."""


def view_directions() -> NDArray[np.float64]:
    """Unit vectors (VIEWS, 3), evenly spread."""
    number = np.arange(VIEWS)
    height = 1 - 2 * (number + 0.5) / VIEWS
    around, radius = number * np.pi * (3 - np.sqrt(5)), np.sqrt(1 - height**2)
    return np.stack([radius * np.cos(around), radius * np.sin(around), height], axis=1)


def views_of_sides(points: NDArray, normals: NDArray) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """From how many of VIEWS directions each sample (n, 3) is seen in front, and from how many behind (n,).

    The samples should be even; normals (n, 3) unit. A view keeps the nearest sample in each of its pixels and those
    close behind it.
    """
    middle = (points.max(axis=0) + points.min(axis=0)) / 2
    moved = np.asarray(points - middle, np.float64)
    moved /= max(float(np.sqrt((moved**2).sum(axis=1).max())), 1e-300)
    front, back = np.zeros(len(points), np.int32), np.zeros(len(points), np.int32)
    for view in view_directions():
        across = np.cross(view, [0.3, 0.4, 1.0])
        across /= np.linalg.norm(across)
        plane = moved @ np.stack([across, np.cross(view, across)], axis=1)
        x, y = ((plane / 2 + 0.5) * (PIXELS - 1)).astype(np.int64).T
        depth, facing = moved @ view, normals @ view
        nearest = np.full(PIXELS * PIXELS, -np.inf)
        np.maximum.at(nearest, x * PIXELS + y, depth)
        seen = depth > nearest[x * PIXELS + y] - SLACK
        front += seen & (facing > GRAZING)
        back += seen & (facing < -GRAZING)
    return front, back
