"""A family's shapes as one Gaussian: a mean, modes of variation, and a smooth residual that no mode explains.

A point-distribution model whose covariance is augmented by a kernel (Luethi, Gerig, Jud and Vetter 2018, "Gaussian
process morphable models"). What was measured conditions it in closed form (Albrecht, Luethi, Gerig and Vetter 2013,
"Posterior shape models"): a measurement is the offset of a point along the normal, for along the surface a scan says
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.sparse import csr_matrix
from scipy.spatial import KDTree

RANGES = (0.4, 0.2, 0.1, 0.05)
"""Standard deviations (canonical) of the Gaussians that the residual's correlation consists of, each half the last."""
NEIGHBOURS = 12
"""Points around one that tell its tangents."""
CACHED = 1 << 16
"""Values of the kernel that are worked on at a time: as many as stay in the processor's cache."""
POSE = 7
"""Turn, shift, growth."""


@dataclass(frozen=True)
class Along:
    """Places of a shape, each looked at in one direction: points (m, 3) on the mean, unit directions (m, 3), amplitude
    (m,) of the residual there, and loadings (m, 7 + q): what one standard deviation of pose and modes does there."""

    points: NDArray[np.float64]
    directions: NDArray[np.float64]
    amplitude: NDArray[np.float64]
    loadings: NDArray[np.float64]

    @property
    def variance(self) -> NDArray[np.float64]:
        """Of the shape there (m,), before anything is measured."""
        return (self.loadings**2).sum(axis=1) + self.amplitude**2


@dataclass(frozen=True)
class Posterior:
    """coefficients (q,), in standard deviations; pose (7,): first order turn, shift and growth, to be undone on the
    scan; seen: where it was measured; gains (m, 3): how each measurement pulls the residual around it; factor: lower
    Cholesky factor (m, m) of the measurements' covariance. The last two are None where the residual was left out."""

    coefficients: NDArray[np.float64]
    pose: NDArray[np.float64]
    seen: Along
    gains: NDArray[np.float64] | None
    factor: NDArray[np.float64] | None


@dataclass(frozen=True)
class ShapeGaussian:
    """points (n, 3) and unit normals (n, 3): the mean; modes (q, n, 3), one standard deviation each; amplitude (n,):
    standard deviation per axis of what the modes leave; shares (4,) of the RANGES in its correlation, which sum to one
    at most: the rest is uncorrelated. Canonical units."""

    points: NDArray[np.float64]
    normals: NDArray[np.float64]
    modes: NDArray[np.float64]
    amplitude: NDArray[np.float64]
    shares: NDArray[np.float64]

    @cached_property
    def size(self) -> float:
        """Root mean square distance from the centre."""
        return float(np.sqrt(((self.points - self.points.mean(axis=0)) ** 2).sum(axis=1).mean()))

    @cached_property
    def spacing(self) -> float:
        """Median distance between neighbouring points."""
        return float(np.median(KDTree(self.points).query(self.points, k=2)[0][:, 1]))

    def part(self, count: int) -> ShapeGaussian:
        """The same on about ``count`` of the points."""
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
        """Differences between neighbours that make the two tangents of every point, normal = first x second."""
        reach = 3 * self.spacing
        code = np.concatenate([self.points, reach * self.normals], axis=1)
        near = np.asarray(KDTree(code).query(code, k=min(NEIGHBOURS, len(code)))[1])
        first = np.cross(self.normals, np.eye(3)[np.abs(self.normals).argmin(axis=1)])
        first /= np.linalg.norm(first, axis=1, keepdims=True)
        frame = np.stack([first, np.cross(self.normals, first)], axis=2)
        flat = (self.points[near] - self.points[:, None]) @ frame
        # weights with which the offsets of the neighbours sum to unit tangents
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
        """Of the smooth part of the residual between places (m, 3) and (k, 3) of the mean."""
        found = np.zeros((len(one), len(other)), np.float32)
        one, other = one.astype(np.float32), other.astype(np.float32)
        speaking = [place for place, share in enumerate(self.shares) if share > 0]
        rows = max(1, CACHED // max(1, len(other)))
        for start in range(0, len(one), rows) if speaking else ():
            part = slice(start, start + rows)
            square = ((one[part] ** 2).sum(1)[:, None] + (other**2).sum(1)) - 2 * (one[part] @ other.T)
            bell = np.exp(np.maximum(square, 0) / np.float32(-2 * RANGES[speaking[0]] ** 2))
            for place in range(speaking[0], speaking[-1] + 1):
                if place > speaking[0]:
                    # half the range: the fourth power
                    bell *= bell
                    bell *= bell
                found[part] += np.float32(self.shares[place]) * bell
        return found

    def along(self, index: NDArray, directions: NDArray, pose_sd: NDArray) -> Along:
        """Points (m,) of the shape in unit directions (m, 3); pose_sd (7,): how far the pose may be off."""
        points = self.points[index]
        growth = (points * directions).sum(axis=1, keepdims=True)
        pose = np.concatenate([np.cross(points, directions), directions, growth], axis=1) * pose_sd
        modes = np.einsum("qmk,mk->mq", self.modes[:, index], directions)
        return Along(points, directions, self.amplitude[index], np.concatenate([pose, modes], axis=1))

    def covariance(self, one: Along, other: Along) -> NDArray[np.float64]:
        """Of the shape between places (m, k), but for the part of the residual that is uncorrelated."""
        found = self.correlation(one.points, other.points).astype(np.float64)
        found *= one.directions @ other.directions.T
        found *= one.amplitude[:, None] * other.amplitude
        found += one.loadings @ other.loadings.T
        return found

    def factored(self, seen: Along, variance: NDArray) -> NDArray[np.float64]:
        """Lower Cholesky factor (m, m) of the covariance of measurements with noise of ``variance`` (m,)."""
        covariance = self.covariance(seen, seen)
        covariance[np.diag_indices_from(covariance)] += variance + (1 - self.shares.sum()) * seen.amplitude**2
        return np.tril(cho_factor(covariance, lower=True, overwrite_a=True, check_finite=False)[0])

    def condition(
        self, seen: Along, distance: NDArray, variance: NDArray, pose_sd: NDArray, smooth: bool = True
    ) -> Posterior:
        """The shape given distances (m,) from the mean and their variance (m,) at places whose loadings were made with
        ``pose_sd``. Without ``smooth`` the residual is taken for noise: fast, for the first rounds."""
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
        """Of the points (n, 3) from the mean."""
        found = np.einsum("q,qnk->nk", posterior.coefficients, self.modes)
        if posterior.gains is not None:
            smooth = self.correlation(self.points, posterior.seen.points) @ posterior.gains.astype(np.float32)
            found += self.amplitude[:, None] * smooth
        return found

    def variance(self, posterior: Posterior, places: Along) -> NDArray[np.float64]:
        """Of the shape at places (k,), after measurements that took the residual in."""
        assert posterior.factor is not None
        cross = self.covariance(posterior.seen, places)
        explained = solve_triangular(posterior.factor, cross, lower=True, check_finite=False)
        return np.maximum(places.variance - (explained**2).sum(axis=0), 0)
