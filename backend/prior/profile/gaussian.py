"""A family's shapes as one Gaussian: a mean, modes of variation, and a smooth residual that no mode explains.

A point-distribution model whose covariance is augmented by a kernel (Luethi, Gerig, Jud and Vetter 2018, "Gaussian
process morphable models"). Measurements condition it in closed form (Albrecht, Luethi, Gerig and Vetter 2013,
"Posterior shape models"). A measurement is the offset of a point along the normal, because a scan does not measure
offsets along the surface.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, cholesky, solve_triangular
from scipy.sparse import csr_matrix
from scipy.spatial import KDTree

from ...registration.icp import oriented_points

RANGES = (0.4, 0.2, 0.1, 0.05)
"""Standard deviations (canonical) of the Gaussians that make up the residual's correlation, each half of the one
before."""
NEIGHBOURS = 12
"""Points around a point that its tangents are computed from."""
CACHED = 1 << 16
"""Values of the kernel that are computed at a time, so that they stay in the processor's cache."""
POSE = 7
"""Numbers in a pose: turn (3), shift (3), growth."""


@dataclass(frozen=True)
class Along:
    """The shape at m places, each along one direction."""

    points: NDArray[np.float64]  # (m, 3), on the mean
    directions: NDArray[np.float64]  # (m, 3), unit
    amplitude: NDArray[np.float64]  # (m,), of the residual there
    loadings: NDArray[np.float64]  # (m, 7 + q), displacement for one standard deviation of each of pose and modes

    @property
    def variance(self) -> NDArray[np.float64]:
        """Prior variance (m,) of the shape there."""
        return (self.loadings**2).sum(axis=1) + self.amplitude**2


@dataclass(frozen=True)
class Posterior:
    """The shape given m measurements. Without the residual there are no gains and no factor."""

    coefficients: NDArray[np.float64]  # (q,), of the modes, in standard deviations
    pose: NDArray[np.float64]  # (7,), first-order turn, shift and growth, to be undone on the scan
    seen: Along  # where it was measured
    gains: NDArray[np.float64] | None  # (m, 3), displacement of the residual around each measurement
    factor: NDArray[np.float64] | None  # (m, m), lower Cholesky factor of the measurements' covariance


@dataclass(frozen=True)
class ShapeGaussian:
    """A Gaussian over shapes of n points. Canonical units."""

    points: NDArray[np.float64]  # (n, 3), of the mean
    normals: NDArray[np.float64]  # (n, 3), unit, of the mean
    modes: NDArray[np.float64]  # (q, n, 3), one standard deviation each
    amplitude: NDArray[np.float64]  # (n,), standard deviation per axis of the residual
    shares: NDArray[np.float64]  # (4,), of the RANGES in its correlation; what they lack to 1 is uncorrelated

    @cached_property
    def size(self) -> float:
        """Root mean square distance from the centre."""
        return float(np.sqrt(((self.points - self.points.mean(axis=0)) ** 2).sum(axis=1).mean()))

    @cached_property
    def spacing(self) -> float:
        """Median distance between neighbouring points."""
        return float(np.median(KDTree(self.points).query(self.points, k=2)[0][:, 1]))

    def part(self, count: int) -> ShapeGaussian:
        """The same Gaussian on ``count`` of the points, at most."""
        if count >= len(self.points):
            return self
        chosen = np.sort(np.random.default_rng(0).permutation(len(self.points))[:count])
        return replace(
            self,
            points=self.points[chosen],
            normals=self.normals[chosen],
            modes=self.modes[:, chosen],
            amplitude=self.amplitude[chosen],
        )

    @cached_property
    def _tangents(self) -> tuple[csr_matrix, csr_matrix]:
        """Matrices (n, n) that map the points to their two tangents, normal = first x second."""
        reach = 3 * self.spacing
        code = oriented_points(self.points, self.normals, reach)
        near = np.asarray(KDTree(code).query(code, k=min(NEIGHBOURS, len(code)))[1])
        first = np.cross(self.normals, np.eye(3)[np.abs(self.normals).argmin(axis=1)])
        first /= np.linalg.norm(first, axis=1, keepdims=True)
        frame = np.stack([first, np.cross(self.normals, first)], axis=2)
        flat = (self.points[near] - self.points[:, None]) @ frame
        # weights by which the offsets of the neighbours sum to unit tangents
        gram = flat.transpose(0, 2, 1) @ flat
        gram += 1e-6 * np.trace(gram, axis1=1, axis2=2)[:, None, None] * np.eye(2) + 1e-30 * np.eye(2)
        weights = np.linalg.solve(gram, flat.transpose(0, 2, 1))
        rows = np.repeat(np.arange(len(near)), near.shape[1])
        shape = (len(near), len(near))
        one, other = (
            csr_matrix((weights[:, axis].ravel(), (rows, near.ravel())), shape)
            - csr_matrix((weights[:, axis].sum(axis=1), (np.arange(len(near)),) * 2), shape)
            for axis in range(2)
        )
        return csr_matrix(one), csr_matrix(other)

    def normals_of(self, points: NDArray) -> NDArray[np.float64]:
        """Unit normals (n, 3) of the shape when its points lie at ``points`` (n, 3)."""
        first, second = self._tangents
        found = np.cross(first @ points, second @ points)
        length = np.linalg.norm(found, axis=1, keepdims=True)
        return np.where(length > 1e-12, found / np.maximum(length, 1e-12), self.normals)

    def correlation(self, one: NDArray, other: NDArray) -> NDArray[np.float32]:
        """Correlation (m, k) of the smooth part of the residual between places (m, 3) and (k, 3) of the mean."""
        found = np.zeros((len(one), len(other)), np.float32)
        one, other = one.astype(np.float32), other.astype(np.float32)
        used = [place for place, share in enumerate(self.shares) if share > 0]
        rows = max(1, CACHED // max(1, len(other)))
        for start in range(0, len(one), rows) if used else ():
            part = slice(start, start + rows)
            square = ((one[part] ** 2).sum(1)[:, None] + (other**2).sum(1)) - 2 * (one[part] @ other.T)
            bell = np.exp(np.maximum(square, 0) / np.float32(-2 * RANGES[used[0]] ** 2))
            for place in range(used[0], used[-1] + 1):
                if place > used[0]:
                    # half the range: the fourth power
                    bell *= bell
                    bell *= bell
                found[part] += np.float32(self.shares[place]) * bell
        return found

    def along(self, index: NDArray, directions: NDArray, pose_sd: NDArray) -> Along:
        """Points (m,) of the shape along unit directions (m, 3); pose_sd (7,): standard deviations of the pose."""
        points = self.points[index]
        growth = (points * directions).sum(axis=1, keepdims=True)
        pose = np.concatenate([np.cross(points, directions), directions, growth], axis=1) * pose_sd
        modes = np.einsum("qmk,mk->mq", self.modes[:, index], directions)
        return Along(points, directions, self.amplitude[index], np.concatenate([pose, modes], axis=1))

    def covariance(self, one: Along, other: Along) -> NDArray[np.float64]:
        """Covariance (m, k) of the shape between places, without the uncorrelated part of the residual."""
        found = self.correlation(one.points, other.points).astype(np.float64)
        found *= one.directions @ other.directions.T
        found *= one.amplitude[:, None] * other.amplitude
        found += one.loadings @ other.loadings.T
        return found

    def factored(self, seen: Along, variance: NDArray) -> NDArray[np.float64]:
        """Lower Cholesky factor (m, m) of the covariance of measurements with noise of ``variance`` (m,)."""
        covariance = self.covariance(seen, seen)
        covariance[np.diag_indices_from(covariance)] += variance + (1 - self.shares.sum()) * seen.amplitude**2
        return cholesky(covariance, lower=True, overwrite_a=True, check_finite=False)

    def condition(
        self, seen: Along, distance: NDArray, variance: NDArray, pose_sd: NDArray, smooth: bool = True
    ) -> Posterior:
        """The shape given distances (m,) from the mean and their variance (m,). pose_sd (7,): as the loadings of
        ``seen`` were made with. Without ``smooth`` the residual counts as noise, which is faster."""
        if not smooth:
            weighted = seen.loadings / (variance + seen.amplitude**2)[:, None]
            normal = weighted.T @ seen.loadings + np.eye(seen.loadings.shape[1])
            found = np.asarray(cho_solve(cho_factor(normal), weighted.T @ distance), np.float64)
            return Posterior(found[POSE:], found[:POSE] * pose_sd, seen, None, None)
        factor = self.factored(seen, variance)
        alpha = cho_solve((factor, True), distance, check_finite=False)
        found = seen.loadings.T @ alpha
        gains = seen.directions * (alpha * seen.amplitude)[:, None]
        return Posterior(found[POSE:], found[:POSE] * pose_sd, seen, gains, factor)

    def displacement(self, posterior: Posterior) -> NDArray[np.float64]:
        """Displacement (n, 3) of the points from the mean."""
        found = np.einsum("q,qnk->nk", posterior.coefficients, self.modes)
        if posterior.gains is not None:
            smooth = self.correlation(self.points, posterior.seen.points) @ posterior.gains.astype(np.float32)
            found += self.amplitude[:, None] * smooth
        return found

    def variance(self, posterior: Posterior, places: Along) -> NDArray[np.float64]:
        """Posterior variance (k,) of the shape at places; the posterior must have been conditioned ``smooth``."""
        assert posterior.factor is not None
        cross = self.covariance(posterior.seen, places)
        explained = solve_triangular(posterior.factor, cross, lower=True, check_finite=False)
        return np.maximum(places.variance - (explained**2).sum(axis=0), 0)
