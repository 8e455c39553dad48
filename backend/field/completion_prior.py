"""Completion: surface that nobody measured, but that a mirror plane or a family of shapes suggests."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from scipy.spatial import KDTree

from .bricks import voxel_size

CLEARANCE = 2.0
"""A point of a completion counts on a level where no scan point is nearer than this many of the level's voxels,"""
LEAST_CLEARANCE = 0.03
"""nor nearer than this (canonical): on fine levels the voxels may be closer than the scan's points."""
REACH = 0.06
"""A vertex this near (canonical) to a point of the completion takes that point's sigma."""
MOST_SCAN_POINTS = 200_000
"""A larger scan is thinned to about so many points, which suffice to measure distances from it."""


@dataclass(frozen=True)
class CompletionPrior:
    """Points of a surface that a prior suggests. They count like measured ones, where no scan point is near."""

    points: np.ndarray  # f32 (n, 3), canonical
    normals: np.ndarray  # f32 (n, 3), unit, outwards
    sigma: np.ndarray  # f32 (n,), one standard deviation of the surface there, canonical
    source: str  # what suggests it, in words for the artist
    clearance: np.ndarray | None = None  # f32 (n,), shares of the usual clearance from the scan; None: all of it
    notes: tuple[str, ...] = ()  # what the artist should know of it, a sentence each

    def __len__(self) -> int:
        return len(self.points)

    def take(self, chosen: np.ndarray) -> CompletionPrior:
        """The points that an index or mask chooses."""
        clearance = None if self.clearance is None else self.clearance[chosen]
        taken = {"points": self.points[chosen], "normals": self.normals[chosen], "sigma": self.sigma[chosen]}
        return replace(self, **taken, clearance=clearance)


def joined(parts: list[CompletionPrior], source: str = "") -> CompletionPrior:
    """Completions put together."""
    given = [np.ones(len(part), np.float32) if part.clearance is None else part.clearance for part in parts]
    return CompletionPrior(
        np.concatenate([part.points for part in parts]),
        np.concatenate([part.normals for part in parts]),
        np.concatenate([part.sigma for part in parts]),
        source,
        None if all(part.clearance is None for part in parts) else np.concatenate(given),
        tuple(note for part in parts for note in part.notes),
    )


@dataclass(frozen=True)
class CompletionPoints:
    """A completion beside a scan: the points of it that count on a level, and the sigma that it gives to vertices."""

    prior: CompletionPrior  # without the points nearer than LEAST_CLEARANCE to the scan
    distance: np.ndarray  # (n,), of each point from the scan, canonical, over its share of the usual clearance; or inf
    scan: KDTree = field(repr=False)
    tree: KDTree | None = field(repr=False)  # of the completion's points; None where there are none

    @classmethod
    def beside(cls, prior: CompletionPrior, points: np.ndarray) -> CompletionPoints:
        """points f32 (n, 3): the scan's, canonical."""
        scan = KDTree(points[:: max(1, len(points) // MOST_SCAN_POINTS)])
        # beyond what any level asks for, how far does not matter, and would take long to find
        distance, _ = scan.query(prior.points, distance_upper_bound=CLEARANCE * voxel_size(0))
        if prior.clearance is not None:
            distance = distance / prior.clearance
        clear = distance >= LEAST_CLEARANCE
        prior = prior.take(clear)
        return cls(prior, distance[clear], scan, KDTree(prior.points) if len(prior) else None)

    def at(self, voxel: float) -> CompletionPrior:
        """The points that count on a level whose voxels are ``voxel`` wide, canonical."""
        return self.prior.take(self.distance >= CLEARANCE * voxel)

    def sigma(self, positions: np.ndarray) -> np.ndarray:
        """Least sigma f32 (n,) of vertices f32 (n, 3), canonical: the completion's where only it is near, else 0."""
        least = np.zeros(len(positions), np.float32)
        if self.tree is None:
            return least
        nearest, which = (np.asarray(a) for a in self.tree.query(positions, distance_upper_bound=REACH))
        near = np.flatnonzero(nearest < REACH)
        away, _ = self.scan.query(positions[near], distance_upper_bound=LEAST_CLEARANCE)
        # sigma rises from 0 at half of the least clearance to all of it at the whole
        share = np.clip(away / (LEAST_CLEARANCE / 2) - 1, 0, 1)
        least[near] = share * self.prior.sigma[which[near]]
        return least
