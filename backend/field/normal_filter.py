"""What is left of a scan's noise in a surface: normals are averaged along it, but not across its edges, and vertices
follow them.

The bilateral filter of normals of Zheng et al. (2011), "Bilateral Normal Filtering for Mesh Denoising", on vertices in
place of triangles. It does not mix the two sides of a wall, however thin it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from ..geometry.normals import normals_of
from .isosurface import Isosurface
from .relaxation import unfolded

LEAST_NOISE = 0.1
"""Voxels of noise below which a surface stays as it is."""
TURN, TURN_PER_NOISE, MOST_TURN = 0.05, 0.25, 0.2
"""Difference of neighbouring unit normals at which their weight falls to exp(-1/2): without noise, more per voxel of
noise, and at most."""
STEPS = 6
"""Of the normals, and then as many of the vertices. These figures were chosen on `scans/valid`, conditions B and C at
128^3: with more steps thin legs shrink, and on triangles the same filter gained less."""
TINY = np.finfo(np.float32).tiny


def denoised(surface: Isosurface, noise: ArrayLike) -> Isosurface:
    """A closed surface whose normals are smooth within its faces; its triangles stay.

    noise: standard deviation of the points that it was made of, in voxels, one number or one for each vertex (n,). A
    vertex depends on the 2 `STEPS` rings of vertices around it alone.
    """
    noise = np.broadcast_to(np.asarray(noise, np.float32), len(surface.vertices))
    if not (noise >= LEAST_NOISE).any():
        return surface
    width = np.where(noise < LEAST_NOISE, 0, np.minimum(TURN + TURN_PER_NOISE * noise, MOST_TURN))
    edges = _NoisyEdges.of(surface.faces, width)
    # x, y and z apart: to take numbers is several times as fast as to take rows
    normals = np.ascontiguousarray(normals_of(surface.vertices, surface.faces).T, np.float32)
    for _ in range(STEPS):
        normals = _unit(normals + edges.sums(edges.weights(normals), normals))
    weights, between = edges.weights(normals), _unit(edges.at_start(normals) + edges.at_end(normals))
    whole = edges.sums(weights, np.ones((1, len(width)), np.float32)) + TINY
    new = np.ascontiguousarray(surface.vertices.T)
    for _ in range(STEPS):
        # each end of an edge is to lie in the plane of the other
        rise = weights * _dots(edges.at_end(new) - edges.at_start(new), between)
        new = new + edges.differences(rise) / whole * normals
    moved, _ = unfolded(surface.vertices, np.ascontiguousarray(new.T), np.ones(len(width), bool), surface.faces)
    return replace(surface, vertices=moved)


@dataclass(frozen=True)
class _NoisyEdges:
    """The edges of a closed mesh of n vertices, each once, where there is noise."""

    start: NDArray[np.int32]  # (e,)
    end: NDArray[np.int32]  # (e,)
    width: NDArray[np.float32]  # (e,), the less of those of the two ends; above 0
    around: sparse.csr_matrix  # (n, n), the number of the edge between two vertices

    @classmethod
    def of(cls, faces: NDArray[np.int32], width: NDArray[np.floating]) -> _NoisyEdges:
        """Of faces (m, 3) between vertices with a width (n,)."""
        start, end = faces.ravel(), np.roll(faces, -1, axis=1).ravel()
        once = (start < end) & (width[start] > 0) & (width[end] > 0)
        start, end = start[once], end[once]
        number, ends = np.tile(np.arange(len(start)), 2), (np.append(start, end), np.append(end, start))
        around = sparse.csr_matrix((number, ends), (len(width), len(width)))
        return cls(start, end, np.minimum(width[start], width[end]).astype(np.float32), around)

    def at_start(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Values (k, e) of the vertices, which have (k, n), at the start of each edge."""
        return values.take(self.start, axis=1)

    def at_end(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """The same at its end."""
        return values.take(self.end, axis=1)

    def weights(self, normals: NDArray[np.float32]) -> NDArray[np.float32]:
        """Weight (e,) of each edge by the unit normals (3, n) of its ends."""
        cosine = _dots(self.at_start(normals), self.at_end(normals))
        return np.exp((cosine - 1) / self.width**2)

    def sums(self, weights: NDArray[np.float32], values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Sums (k, n) over the neighbours of each vertex of their values (k, n), by the weights (e,) of the edges."""
        around = self.around
        matrix = sparse.csr_matrix((weights[around.data], around.indices, around.indptr), around.shape)
        return np.stack([matrix @ row for row in values])

    def differences(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Sums (n,) over the edges that start at each vertex, less those over the edges that end there, of (e,)."""
        count = self.around.shape[0]
        return (np.bincount(self.start, values, count) - np.bincount(self.end, values, count)).astype(np.float32)


def _dots(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    """Dot products (n,) of vectors (3, n)."""
    return first[0] * second[0] + first[1] * second[1] + first[2] * second[2]


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    return vectors / np.sqrt(np.maximum(_dots(vectors, vectors), TINY))
