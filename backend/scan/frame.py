"""The canonical frame, in which the network sees the scan, and its inverse."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

LONGEST_SIDE = 1.6
"""Longest side of a scan in the canonical cube [-1, 1]^3; the rest is room for unseen parts."""


@dataclass(frozen=True)
class Frame:
    """canonical = (world - centre) * scale. No rotation: the pose of the scan is kept."""

    centre: NDArray[np.float64]  # (3,), world units
    scale: float  # canonical units per world unit

    def to_canonical(self, world: ArrayLike) -> NDArray[np.float32]:
        """Map (n, 3) world points; subtracts in float64, so a far offset costs no precision."""
        return ((np.asarray(world, np.float64) - self.centre) * self.scale).astype(np.float32)

    def to_world(self, canonical: ArrayLike) -> NDArray[np.float64]:
        """Map (n, 3) canonical points back to world units."""
        return np.asarray(canonical, np.float64) / self.scale + self.centre


def box(points: NDArray) -> tuple[NDArray, NDArray]:
    """Lowest and highest corner (3,) of the box around points (n, 3)."""
    axes = np.ascontiguousarray(points.T)  # reducing along rows is many times slower
    return axes.min(axis=1), axes.max(axis=1)


def frame_of_box(low: NDArray, high: NDArray) -> Frame:
    """Frame that puts the box from ``low`` to ``high`` (3,) in the middle of the canonical cube."""
    low, high = np.asarray(low, np.float64), np.asarray(high, np.float64)
    return Frame(centre=(low + high) / 2, scale=LONGEST_SIDE / float((high - low).max()))
