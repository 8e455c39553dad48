"""The axis of a turned thing, found from the points and normals of a partial, noisy scan.

The normals of a surface of revolution meet its axis. That is linear in the axis' Plücker coordinates, so the axis is
the smallest eigenvector of a small matrix (Pottmann and Randrup 1998, "Rotational and helical surface approximation").
What is not turned, such as a handle, loses its weight from step to step. The scan turned about the axis is then scored
against the coarse field of its own fit, as for mirror planes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation

from .symmetry import FINE_POINTS, MEETING_COSINE, MEETING_DISTANCE, SymmetryScorer, thinned, worth_of

STEPS, WIDEST, NARROWEST = 20, 0.2, 0.02
"""Steps of the robust fit, and the distances from the axis, canonical, at which a normal's weight falls to a quarter in
the first step and in the last."""
BELONGS = 0.05
"""A point belongs to the turned part if its normal misses the axis by less, canonical."""
ALONG = 0.05
"""A normal that leaves the axis' direction by a smaller sine says nothing of where the axis is."""
TURNS = 10
"""Turns that score an axis, by elevenths: no prism maps to itself."""


@dataclass(frozen=True)
class Revolution:
    """An axis, canonical, and how well the part of a scan that is turned about it meets itself."""

    centre: NDArray[np.float64]  # (3,), a point of the axis
    axis: NDArray[np.float64]  # (3,), unit
    share: float  # of the scan that belongs to the turned part
    agree: float  # of the turned points the share that meets the scan
    contradict: float  # the share that lies where the field is certain of no surface
    residual: float  # rms point-plane distance where they meet, canonical

    @property
    def worth(self) -> float:
        """Comparable to that of a mirror plane."""
        return worth_of(self.agree, self.contradict, self.residual)

    def belongs(self, points: NDArray, normals: NDArray) -> NDArray[np.bool_]:
        """Which points (n, 3) with unit normals (n, 3) belong to the turned part: their normals meet the axis."""
        return _missed(points - self.centre, normals, self.axis, np.zeros(3)) < BELONGS

    def turned(self, points: NDArray, normals: NDArray, turns: int) -> tuple[NDArray, NDArray]:
        """Points and normals f32 (turns * n, 3): the given ones (n, 3) at ``turns`` even angles between 0 and a whole
        turn."""
        angles = 2 * np.pi * np.arange(1, turns + 1) / (turns + 1)
        rotations = Rotation.from_rotvec(angles[:, None] * self.axis).as_matrix()
        moved = np.einsum("aij,nj->ani", rotations, points - self.centre) + self.centre
        facing = np.einsum("aij,nj->ani", rotations, normals)
        return moved.reshape(-1, 3).astype(np.float32), facing.reshape(-1, 3).astype(np.float32)


def revolution(points: NDArray, normals: NDArray, scorer: SymmetryScorer | None = None) -> Revolution | None:
    """The axis about which most of a scan is turned, points and unit normals f32 (n, 3), canonical; None where the
    scan has too few points or leaves the axis open, as a plane does. Without a scorer nothing contradicts it."""
    points, normals = thinned(points, normals, FINE_POINTS)
    found = _axis(points.astype(np.float64), normals.astype(np.float64))
    if found is None:
        return None
    known = Revolution(*found, 0.0, 0.0, 0.0, np.inf)
    own = known.belongs(points, normals)
    if not own.any():
        return None
    moved, facing = known.turned(points[own], normals[own], TURNS)
    distance, near = KDTree(points).query(moved, distance_upper_bound=MEETING_DISTANCE)
    met = np.isfinite(distance)
    met[met] = (facing[met] * normals[near[met]]).sum(axis=1) > MEETING_COSINE
    gap = ((points[near[met]] - moved[met]) * normals[near[met]]).sum(axis=1)
    against = 0.0 if scorer is None else float(scorer.score(moved, facing)[1].mean())
    residual = float(np.sqrt(np.mean(gap**2))) if len(gap) else np.inf
    return Revolution(*found, float(own.mean()), float(met.mean()), against, residual)


def _axis(points: NDArray, normals: NDArray) -> tuple[NDArray, NDArray] | None:
    """A point of the axis that the normals (n, 3) at points (n, 3) meet, and its unit direction."""
    middle = points.mean(axis=0)
    local = points - middle
    rows = np.concatenate([np.cross(local, normals), normals], axis=1)
    weight = np.ones(len(points))
    axis = moment = np.zeros(3)
    for width in np.geomspace(WIDEST, NARROWEST, STEPS):
        matrix = (rows * weight[:, None]).T @ rows
        own, both, others = matrix[:3, :3], matrix[:3, 3:], matrix[3:, 3:]
        # a little damping: along a cylinder the normals say nothing of the moment
        solved = np.linalg.solve(others + 1e-6 * len(points) * np.eye(3), both.T)
        axis = np.linalg.eigh(own - both @ solved)[1][:, 0]
        moment = -solved @ axis
        # a line's moment is square to it
        moment -= (moment @ axis) * axis
        weight = 1 / (1 + (_missed(local, normals, axis, moment) / width) ** 2) ** 2
    if weight.sum() < 20:
        return None
    return middle + np.cross(axis, moment), axis


def _missed(points: NDArray, normals: NDArray, axis: NDArray, moment: NDArray) -> NDArray[np.float64]:
    """Distances (n,) at which the lines along normals (n, 3) through points (n, 3) pass the line with unit direction
    ``axis`` and a moment."""
    product = np.abs(normals @ moment + np.cross(points, normals) @ axis)
    return product / np.maximum(np.linalg.norm(np.cross(normals, axis), axis=1), ALONG)
