"""What the field does not know: a standard deviation for every vertex, and other completions than the likeliest one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .bricks import ABSENT_LOG_SCALE, BRICK, BrickGrid, Level
from .trilinear import Trilinear

CERTAIN, SATURATED = 0.3, 1.0
"""Scales (voxels) between which a level hands over to the one above. Distances are truncated, so a level that sees
nothing cannot predict how far away the surface is."""
SCALE_TO_SD = math.sqrt(2.0)
"""The standard deviation of a Laplace distribution of scale 1."""
MEASURED, UNMEASURED, MEASURED_SHARE = 0.15, 0.5, 0.6
"""Scales (voxels) up to which a vertex was measured, and from which on it was not; the share of the calibrated sigma
that holds where it was. Training scans are noisier than most, and one factor serves both. Chosen on `scans/valid`,
conditions B, D, E and T, where .68 covered .94: views that are off from each other need the most."""
WAVES = 48
"""Random cosines in a draw of a field."""
WAVE_LENGTH = 8.0
"""Voxels over which a drawn field stays alike. A rougher one would make crumbs, a smoother one would only shift the
surface."""
DEEPEST_DRAWN = 1
"""Finer levels follow what this one and those above drew."""
VOXELS_AT_ONCE = 65_536
"""Bounds the memory of a draw."""


def unknown_share(scale: np.ndarray) -> np.ndarray:
    """Weight 0 .. 1 of the level above where a level has this scale (voxels): 1 where it sees nothing."""
    return np.clip((scale - CERTAIN) / (SATURATED - CERTAIN), 0, 1)


def calibrated_share(scale: np.ndarray) -> np.ndarray:
    """Share of the calibrated sigma that holds at vertices of a scale (voxels)."""
    return np.interp(scale, (MEASURED, UNMEASURED), (MEASURED_SHARE, 1.0)).astype(np.float32)


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
            scale = np.exp(Trilinear(level.grid, level.bricks, 1, ABSENT_LOG_SCALE).values(voxels).astype(np.float32))
        factor = SCALE_TO_SD * level.voxel * factors[min(level.number, len(factors) - 1)]
        own = scale * calibrated_share(scale) * np.float32(factor)
        if sigma is None:
            sigma = own
        else:
            sigma = own + unknown_share(scale) * np.maximum(sigma - own, 0)
    assert sigma is not None, "a fit has at least one level"
    return sigma.astype(np.float32)


@dataclass(frozen=True)
class Variation:
    """One of many completions: a draw of the code, and of every level's field where the level does not know it.

    Coarse first, as in fractal generation (Li et al. 2025): what is drawn on a level conditions the ones below it.
    """

    seed: int  # which completion
    amount: float = 1.0  # 1 draws as widely as the model's own scale, 0 not at all

    def code(self, mean: np.ndarray, sd: np.ndarray) -> np.ndarray:
        """A draw f32 (CODE,) of the posterior of the code."""
        drawn = np.random.default_rng([self.seed, 0]).normal(size=mean.shape)
        return (mean + self.amount * sd * drawn).astype(np.float32)

    def field(self, grid: BrickGrid, level: int) -> BrickGrid:
        """The field of a level, mean and log scale, with the mean drawn where the scale leaves it open."""
        if level > DEEPEST_DRAWN or self.amount == 0:
            return grid
        rng = np.random.default_rng([self.seed, 1 + level])
        frequency = rng.normal(size=(3, WAVES)) / WAVE_LENGTH
        phase = rng.uniform(0, 2 * math.pi, WAVES)
        scale = np.exp(grid.values[:, 1])
        unknown = unknown_share(scale)
        brick, x, y, z = np.nonzero(unknown > 0)
        voxel = grid.coords[brick] * BRICK + np.stack([x, y, z], axis=1)
        wave = np.empty(len(voxel))
        for start in range(0, len(voxel), VOXELS_AT_ONCE):
            part = slice(start, start + VOXELS_AT_ONCE)
            wave[part] = np.cos(voxel[part] @ frequency + phase).sum(axis=1)
        sd = self.amount * SCALE_TO_SD * math.sqrt(2 / WAVES)
        values = grid.values.copy()
        chosen = brick, 0, x, y, z
        values[chosen] += (sd * wave * (unknown * scale)[brick, x, y, z]).astype(np.float32)
        return BrickGrid(grid.coords, values)
