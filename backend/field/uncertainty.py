"""One standard deviation for every vertex, from the scales that the levels predict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .sampling import sample

if TYPE_CHECKING:
    from .recursion import Level

CERTAIN, SATURATED = 0.3, 1.0
"""Scales (voxels) between which a level hands over to the one above: distances end at three voxels, so a level
that sees nothing cannot say how far off the surface may be, only that it may."""
SCALE_TO_SD = math.sqrt(2.0)
"""The standard deviation of a Laplace distribution of scale 1."""
ABSENT = -3.0


def vertex_sigma(
    positions: np.ndarray, log_scale: np.ndarray, levels: Sequence[Level], factors: Sequence[float]
) -> np.ndarray:
    """Standard deviations f32 (n,), canonical units, of vertices at ``positions`` f32 (n, 3), canonical.

    log_scale (n,): of the finest level, at the vertices; levels: coarse to fine; factors: calibration of each level.
    """
    sigma: np.ndarray | None = None
    for level in levels:
        if level is levels[-1]:
            scale = np.exp(log_scale)
        else:
            voxels = (positions + 1) * np.float32(level.resolution / 2) - np.float32(0.5)
            scale = np.exp(sample(level.grid, level.bricks, voxels, 1, ABSENT))
        own = scale * np.float32(SCALE_TO_SD * level.voxel * factors[min(level.number, len(factors) - 1)])
        if sigma is None:
            sigma = own
        else:
            blind = np.clip((scale - CERTAIN) / (SATURATED - CERTAIN), 0, 1)
            sigma = own + blind * np.maximum(sigma - own, 0)
    assert sigma is not None, "a fit has at least one level"
    return sigma.astype(np.float32)
