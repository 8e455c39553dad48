"""Smooth displacements of space: sums of Gaussian bumps, fitted by ridge regression, coarse to fine, to known
displacements or to another surface without correspondence (non-rigid registration)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, get_blas_funcs

from .icp import Matcher, Surface

CHUNK = 1 << 22
"""Kernel values held at a time."""
ROUNDS = 8
"""Rounds of matching and fitting for each layer."""
SLIDE = 0.2
"""Weight of the part of a match along the tangent plane: a surface may slide under its match, but not freely."""
STIFFNESS = 0.05
"""Weight of the ridge penalty, for one point per bump."""
MOST_POINTS = 2500
"""Points of the source that the warp is fitted at."""
MOST_SLIDING = 160
"""Layers with at most this many bumps let points slide."""


@dataclass(frozen=True)
class Bumps:
    """A sum of Gaussian bumps."""

    centres: NDArray[np.float64]  # (m, 3)
    gains: NDArray[np.float64]  # (m, 3), displacement of each bump
    radius: float  # standard deviation of the Gaussians

    def values(self, points: NDArray) -> NDArray[np.float64]:
        """Heights (n, m) of the bumps at points (n, 3)."""
        return kernel(points, self.centres, self.radius)

    def displacement(self, values: NDArray) -> NDArray[np.float64]:
        """Displacement (n, 3) where the bumps are ``values`` (n, m) high."""
        return values @ self.gains

    def jacobian(self, values: NDArray, points: NDArray) -> NDArray[np.float64]:
        """Derivative (n, 3, 3) of the displacement at points (n, 3), where the bumps are ``values`` (n, m) high."""
        # d/dx_j sum_m k_m g_mi = sum_m k_m (c_mj - x_j) g_mi / r^2
        outer = (self.gains[:, :, None] * self.centres[:, None, :]).reshape(-1, 9)
        along = (values @ outer).reshape(-1, 3, 3) - (values @ self.gains)[:, :, None] * points[:, None]
        return along / self.radius**2


@dataclass(frozen=True)
class Warp:
    """x -> x + displacement(x), displacement the sum of ``layers``."""

    layers: tuple[Bumps, ...] = ()

    def displacement(self, points: NDArray) -> NDArray[np.float64]:
        """Displacement (n, 3) at points (n, 3)."""
        total = np.zeros((len(points), 3))
        for bumps in self.layers:
            for part in _parts(len(points), len(bumps.centres)):
                total[part] += bumps.displacement(bumps.values(points[part]))
        return total

    def __call__(self, points: NDArray) -> NDArray[np.float64]:
        return points + self.displacement(points)

    def jacobian(self, points: NDArray) -> NDArray[np.float64]:
        """Derivative (n, 3, 3) of the displacement: [n, i, j] of component i along axis j."""
        total = np.zeros((len(points), 3, 3))
        for bumps in self.layers:
            for part in _parts(len(points), len(bumps.centres)):
                total[part] += bumps.jacobian(bumps.values(points[part]), points[part])
        return total

    def normals(self, points: NDArray, normals: NDArray) -> NDArray[np.float64]:
        """Unit normals (n, 3) that surface normals (n, 3) at ``points`` turn into."""
        return turned(normals, self.jacobian(points))

    def bent(self, points: NDArray, normals: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Where points (n, 3) go, and what their unit normals (n, 3) turn into."""
        moved, jacobian = np.array(points, np.float64), np.zeros((len(points), 3, 3))
        for bumps in self.layers:
            for part in _parts(len(points), len(bumps.centres)):
                values = bumps.values(points[part])
                moved[part] += bumps.displacement(values)
                jacobian[part] += bumps.jacobian(values, points[part])
        return moved, turned(normals, jacobian)


def turned(normals: NDArray, jacobian: NDArray) -> NDArray[np.float64]:
    """Unit normals (n, 3) of a surface after a displacement of derivative ``jacobian`` (n, 3, 3)."""
    # normals transform by the cofactors of the Jacobian, which exist even where the warp folds
    a, b, c = np.moveaxis(np.eye(3) + jacobian, 2, 0)
    found = sum(normals[:, i, None] * np.cross(*pair) for i, pair in enumerate(((b, c), (c, a), (a, b))))
    return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-30)


def _parts(points: int, centres: int) -> Iterator[slice]:
    rows = max(1, CHUNK // max(1, centres))
    return (slice(start, start + rows) for start in range(0, points, rows))


def kernel(points: NDArray, centres: NDArray, radius: float) -> NDArray:
    """Gaussians (n, m) of the distances between points (n, 3) and centres (m, 3), in their precision."""
    square, product = (points**2).sum(1)[:, None] + (centres**2).sum(1), points @ centres.T
    product *= 2
    # in place: the arrays are large
    square -= product
    np.maximum(square, 0, out=square)
    square /= -2 * radius**2
    return np.exp(square, out=square)


def gram(values: NDArray) -> NDArray:
    """``values.T @ values`` (m, m) of values (n, m), in their precision."""
    half = half_gram(values)
    found = half + half.T
    found[np.diag_indices_from(found)] /= 2
    return found


def half_gram(values: NDArray) -> NDArray:
    """The upper triangle of ``values.T @ values`` (m, m), zero below it, in Fortran's order: half of a product, by the
    library that knows the processor."""
    (syrk,) = get_blas_funcs(("syrk",), (values,))
    # the rows of an array in C order are the columns of its transpose in Fortran's
    return syrk(1.0, np.ascontiguousarray(values).T)


def spread_points(points: NDArray, spacing: float) -> NDArray[np.intp]:
    """Indices of points (n, 3) of which about one is left in every cube of side ``spacing``."""
    _, first = np.unique(np.floor(points / spacing).astype(np.int64), axis=0, return_index=True)
    return np.sort(first)


@dataclass(frozen=True)
class Ridge:
    """Ridge regression with the energy of the reproducing kernel as its penalty, factored once."""

    values: NDArray[np.float64]  # (n, m), the kernel at the points
    factor: tuple[NDArray[np.float64], bool]  # of the normal matrix (m, m)

    @classmethod
    def of(cls, values: NDArray, penalty: NDArray) -> Ridge:
        """values (n, m): the kernel at the points; penalty (m, m): the kernel among the centres, times the variance of
        a point's noise over the variance of the displacement."""
        normal = gram(values) + penalty
        normal[np.diag_indices_from(normal)] += 1e-9 * np.trace(normal) / len(normal)
        return cls(values, cho_factor(normal, overwrite_a=True, check_finite=False))

    def gains(self, wanted: NDArray) -> NDArray[np.float64]:
        """Gains (m, k) of the bumps that fit ``wanted`` (n, k) at the points."""
        return cho_solve(self.factor, self.values.T @ wanted, check_finite=False)


def match_warp(
    source: Surface,
    matcher: Matcher,
    radii: Sequence[float],
    *,
    reach: float,
    stiffness: float = STIFFNESS,
    points: int = MOST_POINTS,
) -> Warp:
    """Warp from ``source`` onto the matcher's surface, in layers of falling radius, fitted at about ``points`` points.

    reach: matches much farther than this lose weight (Cauchy weights) in all layers.
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
    """Points and their matches."""

    points: NDArray[np.float64]  # (n, 3), after the layers so far
    targets: NDArray[np.float64]  # (n, 3)
    normals: NDArray[np.float64]  # (n, 3), unit, at the targets


Solver = Callable[[Match, NDArray, NDArray], NDArray]
"""From matches, the points before this layer (n, 3) and weights (n,) to the gains (m, 3) of the layer's bumps."""


def _sliding(values: NDArray, penalty: NDArray) -> Solver:
    """Point-to-plane least squares: along the surface a point is nearly free, so that featureless parts, such as the
    side of a leg, follow distinct ones, such as its foot. Three unknowns for each bump, so for few bumps."""
    count, bumps = values.shape

    def solve(match: Match, before: NDArray, weight: NDArray) -> NDArray:
        wanted = match.targets - before
        across = (values[:, :, None] * match.normals[:, None, :]).reshape(count, 3 * bumps)
        root = np.sqrt(weight)[:, None]
        held = SLIDE**2 * gram(root * values) + penalty
        normal = gram(across * root) + np.kron(held, np.eye(3))
        right = across.T @ (weight * (wanted * match.normals).sum(axis=1))
        right = right.reshape(bumps, 3) + SLIDE**2 * (values.T @ (weight[:, None] * wanted))
        normal[np.diag_indices_from(normal)] += 1e-9 * np.trace(normal) / len(normal)
        factor = cho_factor(normal, overwrite_a=True, check_finite=False)
        return cho_solve(factor, right.reshape(-1), check_finite=False).reshape(bumps, 3)

    return solve


def _held(values: NDArray, penalty: NDArray) -> Solver:
    """Least squares that moves points toward their tangent planes by their weights: the weighted problem, majorised, so
    that one factor serves all rounds. For many bumps."""
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
