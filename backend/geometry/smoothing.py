"""Linear filters along a surface: they do not mix the two sides of a wall, however thin it is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .normals import face_normals, normals_of

MOST_STEPS = 200
"""Steps of one smoothing at most; on a finer mesh the filter acts on smaller features than was asked for."""


def falloff(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 up to ``share`` 0, smoothly down to 0 from 1 on: one less the cubic smoothstep."""
    share = share.clip(0.0, 1.0)
    return 1.0 - share * share * (3.0 - 2.0 * share)


@dataclass(frozen=True)
class SmoothedMesh:
    """A mesh on which values are filtered."""

    vertices: NDArray[np.float64]  # (n, 3)
    faces: NDArray[np.int32]  # (m, 3)

    @cached_property
    def normals(self) -> NDArray[np.float64]:
        """Unit normals (n, 3); zero where a vertex has no face."""
        return normals_of(self.vertices, self.faces)

    def smoothed(self, values: NDArray, radius: float) -> NDArray[np.float64]:
        """``values`` (n, c) averaged along the surface with a kernel of standard deviation ``radius`` per axis."""
        steps = max(1, round(min((radius / self._stride) ** 2, MOST_STEPS)))
        for _ in range(steps):
            values = self._step @ values
        return values

    @cached_property
    def _step(self) -> sparse.csr_matrix:
        """One step of a diffusion (n, n): means over the vertices around each one, weighted by area, so that many small
        triangles of an isosurface do not outweigh the large ones beside them."""
        area = self._areas
        pairs = np.concatenate([self.faces[:, [0, 1]], self.faces[:, [1, 2]], self.faces[:, [2, 0]]]).astype(np.int64)
        length = np.linalg.norm(self.vertices[pairs[:, 0]] - self.vertices[pairs[:, 1]], axis=1)
        typical = float(length.mean()) if len(length) else 1.0
        near = np.exp(-((length / max(typical, 1e-12)) ** 2) / 2)
        count = len(self.vertices)
        row = np.concatenate([pairs[:, 0], pairs[:, 1]])
        column = np.concatenate([pairs[:, 1], pairs[:, 0]])
        around = sparse.csr_matrix((np.tile(near, 2) / 2, (row, column)), (count, count))
        weight = (around + sparse.identity(count)) @ sparse.diags(area)
        return sparse.csr_matrix(sparse.diags(1 / np.asarray(weight.sum(axis=1)).reshape(-1)) @ weight)

    @cached_property
    def _stride(self) -> float:
        """Standard deviation per axis, along the surface, of one step."""
        step = self._step.tocoo()
        moved = np.linalg.norm(self.vertices[step.row] - self.vertices[step.col], axis=1)
        variance = np.bincount(step.row, step.data * moved**2, len(self.vertices)) / 2
        return max(float(np.sqrt(np.average(variance, weights=self._areas))), 1e-12)

    @cached_property
    def _areas(self) -> NDArray[np.float64]:
        """Area (n,) around each vertex, bounded below."""
        third = np.linalg.norm(face_normals(self.vertices, self.faces), axis=1) / 6
        area = np.bincount(self.faces.reshape(-1), np.repeat(third, 3), len(self.vertices))
        return np.maximum(area.astype(np.float64), 1e-3 * area.mean() + 1e-30, dtype=np.float64)
