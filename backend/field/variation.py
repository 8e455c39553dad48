"""One of many completions: a draw of the code, and of every level's field where the level cannot know.

Coarse first, as in fractal generation (Li et al. 2025): what is drawn on a level conditions the ones below it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .bricks import BRICK, BrickGrid
from .uncertainty import CERTAIN, SATURATED, SCALE_TO_SD

WAVES = 48
"""Random cosines in a draw of a field."""
LENGTH = 8.0
"""Voxels over which a drawn field stays alike: rougher, and it would be crumbs; smoother, and it would only shift."""
DEEPEST = 1
"""Finer levels follow what these drew."""
VOXELS_AT_ONCE = 65_536


@dataclass(frozen=True)
class Variation:
    """seed: which completion; amount: 1 draws as widely as the model doubts, 0 not at all."""

    seed: int
    amount: float = 1.0

    def code(self, mean: np.ndarray, sd: np.ndarray) -> np.ndarray:
        """A draw f32 (CODE,) of the posterior of the code."""
        drawn = np.random.default_rng([self.seed, 0]).normal(size=mean.shape)
        return (mean + self.amount * sd * drawn).astype(np.float32)

    def field(self, grid: BrickGrid, level: int) -> BrickGrid:
        """The field of a level, mean and log scale, with the mean drawn where the scale says that it is a guess."""
        if level > DEEPEST or self.amount == 0:
            return grid
        rng = np.random.default_rng([self.seed, 1 + level])
        frequency = rng.normal(size=(3, WAVES)) / LENGTH
        phase = rng.uniform(0, 2 * math.pi, WAVES)
        scale = np.exp(grid.values[:, 1])
        doubt = np.clip((scale - CERTAIN) / (SATURATED - CERTAIN), 0, 1)
        brick, x, y, z = np.nonzero(doubt > 0)
        voxel = grid.coords[brick] * BRICK + np.stack([x, y, z], axis=1)
        wave = np.empty(len(voxel))
        for start in range(0, len(voxel), VOXELS_AT_ONCE):
            part = slice(start, start + VOXELS_AT_ONCE)
            wave[part] = np.cos(voxel[part] @ frequency + phase).sum(axis=1)
        sd = self.amount * SCALE_TO_SD * math.sqrt(2 / WAVES)
        values = grid.values.copy()
        chosen = brick, 0, x, y, z
        values[chosen] += (sd * wave * (doubt * scale)[brick, x, y, z]).astype(np.float32)
        return BrickGrid(grid.coords, values)
