"""Membranes and thin plates on triangle meshes: harmonic extensions of values, and smooth surfaces across holes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import splu

COTANGENTS = (0.05, 10.0)
"""Weights of edges are kept between these: a negative one folds the mesh, a huge one makes a vertex rigid."""
SMALLEST_AREA = 1e-3
"""Of a vertex, as a share of the mean: a sliver would outweigh all others."""


def cotangent_laplacian(vertices: NDArray, faces: NDArray) -> tuple[sparse.csr_matrix, NDArray[np.float64]]:
    """The symmetric Laplacian (n, n), rows of sum zero, and the area (n,) around each vertex.

    Pinkall and Polthier, "Computing discrete minimal surfaces" (1993), with the weights bounded.
    """
    count = len(vertices)
    rows, columns, weights = [], [], []
    area = np.zeros(count)
    for corner in range(3):
        one, two, other = faces[:, corner], faces[:, (corner + 1) % 3], faces[:, (corner + 2) % 3]
        a, b = vertices[one] - vertices[other], vertices[two] - vertices[other]
        cross = np.linalg.norm(np.cross(a, b), axis=1)
        weight = np.clip(np.einsum("na,na->n", a, b) / np.maximum(cross, 1e-300), *COTANGENTS) / 2
        rows += [one, two]
        columns += [two, one]
        weights += [weight, weight]
        area += np.bincount(one, cross / 6, count)
    across = sparse.csr_matrix((np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns))), (count,) * 2)
    laplacian = sparse.csr_matrix(across - sparse.diags(np.asarray(across.sum(axis=1)).reshape(-1)))
    return laplacian, np.maximum(area, SMALLEST_AREA * area.mean() + 1e-300)


def harmonic(vertices: NDArray, faces: NDArray, free: NDArray[np.bool_], values: NDArray) -> NDArray[np.float64]:
    """``values`` (n, c) with those of the free vertices (n,) replaced by the harmonic extension of the others."""
    laplacian, _ = cotangent_laplacian(vertices, faces)
    return _minimum(-laplacian, free, values)


def plate(
    vertices: NDArray,
    faces: NDArray,
    free: NDArray[np.bool_],
    targets: NDArray | None = None,
    pull: NDArray | None = None,
) -> NDArray[np.float64]:
    """Vertices (n, 3) with the free ones (n,) moved so that the plate bends least.

    With two rings of fixed vertices around, the surface joins them with their tangent planes. pull: (n,), 0 for none,
    how much each free vertex is drawn to its target (n, 3), per area, over a length to the fourth: details of the
    targets that are smaller than pull^(-1/4) are smoothed away.
    """
    laplacian, area = cotangent_laplacian(vertices, faces)
    bending = laplacian.T @ sparse.diags(1 / area) @ laplacian
    if targets is None or pull is None:
        return _minimum(bending, free, vertices)
    return _minimum(bending + sparse.diags(pull * area), free, vertices, (pull * area)[:, None] * targets)


def faired(
    vertices: NDArray, faces: NDArray, free: NDArray[np.bool_], tension: float = 0.0, pull: float = 0.0
) -> NDArray[np.float64]:
    """Vertices (n, 3) of a closed mesh with the free ones (n,) moved so that the surface between the others bends
    least.

    Umbrella vectors, from each vertex to the mean of its neighbours, are made short in squares (Kobbelt et al. 1998,
    "Interactive multi-resolution modeling on arbitrary meshes"): unlike those of `plate`, their weights do not depend
    on the shape. tension: 0 for a plate that joins the fixed vertices with their tangent planes; features wider than
    its root's inverse, in edges, are spanned as by a membrane. pull: of each free vertex to where it was; 0 for a
    surface that forgets it, else details that are narrower than pull^(-1/4) edges are smoothed away.
    """
    count = len(vertices)
    ends = np.concatenate([faces[:, :2], faces[:, 1:], faces[:, [2, 0]]])
    across = sparse.csr_matrix((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), (count, count))
    degree = np.asarray(across.sum(axis=1)).reshape(-1)
    stretch = sparse.diags(degree) - across
    umbrellas = sparse.diags(1 / np.maximum(degree, 1)) @ stretch
    energy = umbrellas.T @ umbrellas + tension / max(degree.mean(), 1) * stretch + pull * sparse.identity(count)
    return _minimum(energy, free, vertices, pull * np.asarray(vertices, np.float64))


def _minimum(
    energy: sparse.spmatrix, free: NDArray[np.bool_], values: NDArray, load: NDArray | None = None
) -> NDArray[np.float64]:
    """Values (n, c) of least x' E x - 2 x' load, those that are not free as they are."""
    found = np.array(values, np.float64)
    if free.any():
        rows: Any = sparse.csr_matrix(energy)[free]
        right = -(rows[:, ~free] @ found[~free]) + (0.0 if load is None else load[free])
        found[free] = splu(sparse.csc_matrix(rows[:, free])).solve(right)
    return found
