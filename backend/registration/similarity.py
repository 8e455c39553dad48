"""Similarity transforms: rotation, uniform scale and shift, and the best one between matched points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

SLIDE = 0.1
"""Weight of the distance along the planes of a step, so that no direction is free."""


@dataclass(frozen=True)
class Similarity:
    """x -> scale * rotation @ x + shift; rotation (3, 3) proper, shift (3,), all float64."""

    rotation: NDArray[np.float64]
    scale: float
    shift: NDArray[np.float64]

    @classmethod
    def identity(cls) -> Similarity:
        return cls(np.eye(3), 1.0, np.zeros(3))

    def points(self, points: NDArray) -> NDArray[np.float64]:
        """Map points (n, 3)."""
        return self.scale * (points @ self.rotation.T) + self.shift

    def vectors(self, vectors: NDArray) -> NDArray[np.float64]:
        """Map displacements (n, 3): turned and scaled, not shifted."""
        return self.scale * (vectors @ self.rotation.T)

    def directions(self, directions: NDArray) -> NDArray[np.float64]:
        """Map unit directions (n, 3): only turned."""
        return directions @ self.rotation.T

    def inverse(self) -> Similarity:
        turned = self.rotation.T
        return Similarity(turned, 1 / self.scale, -(turned @ self.shift) / self.scale)

    def after(self, first: Similarity) -> Similarity:
        """The transform that applies ``first`` and then this one."""
        shift = self.scale * (self.rotation @ first.shift) + self.shift
        return Similarity(self.rotation @ first.rotation, self.scale * first.scale, shift)


def angle_between(a: NDArray, b: NDArray) -> float:
    """Angle (radians) of the turn from rotation ``a`` (3, 3) to ``b``."""
    return float(np.arccos(np.clip((np.trace(a.T @ b) - 1) / 2, -1.0, 1.0)))


def best_similarity(source: NDArray, target: NDArray, weight: NDArray) -> Similarity:
    """Weighted least squares from source (n, 3) to target (n, 3), weight (n,) (Umeyama 1991). The scale is the ratio of
    the spreads (Horn 1987), which does not shrink when the match is poor."""
    share = weight / weight.sum()
    source_mean, target_mean = share @ source, share @ target
    source, target = source - source_mean, target - target_mean
    left, _, right = np.linalg.svd(target.T @ (share[:, None] * source))
    mirror = np.array([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    rotation = (left * mirror) @ right
    scale = float(np.sqrt((share @ (target**2).sum(axis=1)) / (share @ (source**2).sum(axis=1))))
    return Similarity(rotation, scale, target_mean - scale * (rotation @ source_mean))


def best_sliding(source: NDArray, target: NDArray, normals: NDArray) -> Similarity:
    """The step from source (n, 3) to the planes through target (n, 3) with unit normals (n, 3), to first order."""
    centre = source.mean(axis=0)
    size = np.sqrt(((source - centre) ** 2).sum(axis=1).mean())
    arm, wanted = (source - centre) / size, (target - source) / size
    # unknowns: turn (3), shift (3) and growth: the derivative of a point is turn x arm + shift + growth * arm
    across = np.concatenate([np.cross(arm, normals), normals, (arm * normals).sum(axis=1, keepdims=True)], axis=1)
    zero, (x, y, z) = np.zeros(len(arm)), arm.T
    turns = np.stack([np.stack(row, axis=1) for row in ((zero, z, -y), (-z, zero, x), (y, -x, zero))], axis=1)
    every = np.concatenate([turns, np.broadcast_to(np.eye(3), turns.shape), arm[:, :, None]], axis=2).reshape(-1, 7)
    normal = across.T @ across + SLIDE**2 * (every.T @ every)
    right = across.T @ (wanted * normals).sum(axis=1) + SLIDE**2 * (every.T @ wanted.reshape(-1))
    step = np.linalg.solve(normal + 1e-12 * np.trace(normal) * np.eye(7), right)
    rotation, scale = Rotation.from_rotvec(step[:3]).as_matrix(), float(np.exp(step[6]))
    return Similarity(rotation, scale, centre + size * step[3:6] - scale * (rotation @ centre))
