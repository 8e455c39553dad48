"""Surface that nobody measured but something suggests: a mirror plane, a family of shapes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from scipy.spatial import KDTree

WEIGHT = 0.25
"""A suggested point counts this much of a measured one, unless the guess says otherwise."""
APART = 2.0
"""A guess speaks where no scan point is nearer than this many voxels of the level,"""
LEAST_APART = 0.03
"""and on fine levels, whose voxels may be closer than the scan's points, than this (canonical)."""
REACH = 0.06
"""A vertex this near (canonical) a suggested point takes that point's sigma."""
ENOUGH_POINTS = 200_000
"""Scan points that suffice to tell where the scan is."""


@dataclass(frozen=True)
class CompletionPrior:
    """Points f32 (n, 3) and unit normals outwards f32 (n, 3), canonical; sigma f32 (n,), one standard deviation of the
    surface there, canonical; source: whose guess it is, in words; weight: how much a point counts of a measured one. It
    speaks only where no scan point is near."""

    points: np.ndarray
    normals: np.ndarray
    sigma: np.ndarray
    source: str
    weight: float = WEIGHT

    def __len__(self) -> int:
        return len(self.points)

    def take(self, chosen: np.ndarray) -> CompletionPrior:
        """The points that an index or mask chooses."""
        return replace(self, points=self.points[chosen], normals=self.normals[chosen], sigma=self.sigma[chosen])


@dataclass(frozen=True)
class CompletionPoints:
    """A guess beside a scan: what of it speaks at a level, and what it says about sigma."""

    guess: CompletionPrior
    distance: np.ndarray
    scan: KDTree = field(repr=False)
    tree: KDTree | None = field(repr=False)

    @classmethod
    def beside(cls, guess: CompletionPrior, points: np.ndarray) -> CompletionPoints:
        """points f32 (n, 3): the scan's, canonical."""
        scan = KDTree(points[:: max(1, len(points) // ENOUGH_POINTS)])
        distance, _ = scan.query(guess.points)
        speaks = distance >= LEAST_APART
        guess = guess.take(speaks)
        return cls(guess, distance[speaks], scan, KDTree(guess.points) if len(guess) else None)

    def at(self, voxel: float) -> CompletionPrior:
        """What speaks on a level whose voxels are ``voxel`` wide, canonical."""
        return self.guess.take(self.distance >= APART * voxel)

    def sigma(self, positions: np.ndarray) -> np.ndarray:
        """Least sigma f32 (n,) of vertices f32 (n, 3), canonical: the guess's where only the guess is near, else 0."""
        least = np.zeros(len(positions), np.float32)
        if self.tree is None:
            return least
        nearest, which = (np.asarray(a) for a in self.tree.query(positions, distance_upper_bound=REACH))
        guessed = np.flatnonzero(nearest < REACH)
        away, _ = self.scan.query(positions[guessed], distance_upper_bound=LEAST_APART)
        # it comes in between half of the distance at which the guess begins to speak and the whole
        share = np.clip(away / (LEAST_APART / 2) - 1, 0, 1)
        least[guessed] = share * self.guess.sigma[which[guessed]]
        return least
