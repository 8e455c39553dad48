"""Non-rigid matching: the smooth warp that carries one surface onto another, without correspondence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from .icp import Matcher, Surface
from .warp import Bumps, Ridge, Warp, spread_points, turned

ROUNDS = 8
SLIDE = 0.2
"""Share of the way along the tangent plane that a match pulls: a surface may slide under its match, but not freely."""
STIFFNESS = 0.05
MOST_POINTS = 2500
MOST_SLIDING = 160
"""Layers with at most this many bumps let points slide."""


def match_warp(
    source: Surface,
    matcher: Matcher,
    radii: Sequence[float],
    *,
    reach: float,
    stiffness: float = STIFFNESS,
    points: int = MOST_POINTS,
) -> Warp:
    """Warp from ``source`` onto the matcher's surface, in layers of falling radius, seen at about ``points`` places.

    reach: matches much farther than this are doubted (Cauchy weights), whatever the layer.
    """
    source = source.thinned(points)
    layers: list[Bumps] = []
    moved, jacobian = source.points, np.zeros((len(source.points), 3, 3))
    for radius in radii:
        centres = source.points[spread_points(source.points, radius)]
        bumps = Bumps(centres, np.zeros_like(centres), radius)
        values, penalty = bumps.values(source.points), bumps.values(centres)
        stiff = stiffness * len(source.points) / len(centres)
        solve = _sliding(values, stiff * penalty) if len(centres) <= MOST_SLIDING else _held(values, stiff * penalty)
        before, bent, normals = moved, jacobian, turned(source.normals, jacobian)
        for _ in range(ROUNDS):
            distance, index = matcher.match(moved, normals)
            match = Match(moved, matcher.surface.points[index], matcher.surface.normals[index])
            agree = np.clip((normals * match.normals).sum(axis=1), 0.0, 1.0)
            weight = agree / (1 + (distance / reach) ** 2)
            bumps = replace(bumps, gains=solve(match, before, weight))
            moved = before + bumps.displacement(values)
            jacobian = bent + bumps.jacobian(values, source.points)
            normals = turned(source.normals, jacobian)
        layers.append(bumps)
    return Warp(tuple(layers))


@dataclass(frozen=True)
class Match:
    """Points (n, 3) where they are now, their matches (n, 3), and the unit normals (n, 3) there."""

    points: NDArray[np.float64]
    targets: NDArray[np.float64]
    normals: NDArray[np.float64]


Solver = Callable[[Match, NDArray, NDArray], NDArray]
"""From matches, the points before this layer (n, 3) and weights (n,) to the gains (m, 3) of the layer's bumps."""


def _sliding(values: NDArray, penalty: NDArray) -> Solver:
    """Point-to-plane least squares: along the surface a point is nearly free, so that what is the same all along, as
    the side of a leg, follows what is not, as its foot. Three unknowns for each bump: for few bumps."""
    count, bumps = values.shape

    def solve(match: Match, before: NDArray, weight: NDArray) -> NDArray:
        wanted = match.targets - before
        across = (values[:, :, None] * match.normals[:, None, :]).reshape(count, 3 * bumps)
        root = np.sqrt(weight)[:, None]
        held = SLIDE**2 * (values.T @ (weight[:, None] * values)) + penalty
        normal = (across * root).T @ (across * root) + np.kron(held, np.eye(3))
        right = across.T @ (weight * (wanted * match.normals).sum(axis=1))
        right = right.reshape(bumps, 3) + SLIDE**2 * (values.T @ (weight[:, None] * wanted))
        normal[np.diag_indices_from(normal)] += 1e-9 * np.trace(normal) / len(normal)
        factor = cho_factor(normal, overwrite_a=True, check_finite=False)
        return cho_solve(factor, right.reshape(-1), check_finite=False).reshape(bumps, 3)

    return solve


def _held(values: NDArray, penalty: NDArray) -> Solver:
    """Least squares that moves points towards their tangent planes and leaves doubted ones where they are: the weighted
    problem, majorised, so that one factor serves all rounds. For many bumps."""
    ridge = Ridge.of(values, penalty)

    def solve(match: Match, before: NDArray, weight: NDArray) -> NDArray:
        toward = match.targets - match.points
        along = (toward * match.normals).sum(axis=1, keepdims=True) * match.normals
        return ridge.gains(match.points + weight[:, None] * (along + SLIDE * (toward - along)) - before)

    return solve


def mismatch(surface: Surface, matcher: Matcher) -> NDArray[np.float64]:
    """Distance (n,) from points to the tangent planes of their matches; to the matches where these lie far off."""
    distance, index = matcher.match(surface.points, surface.normals)
    toward = matcher.surface.points[index] - surface.points
    plane = np.abs((toward * matcher.surface.normals[index]).sum(axis=1))
    return np.where(distance < 4 * plane.clip(min=1e-9) + 0.02, np.minimum(plane, distance), distance)
