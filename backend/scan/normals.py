"""Unit normals that point out of the object, from the best witness that the scan has."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.spatial import KDTree

from .frame import box
from .sign_propagation import spread_signs
from .voxels import occupied_cells

NEIGHBOURS, MOST_NEIGHBOURS = 24, 96
LINKS = 10
"""Neighbours along which an orientation may spread."""
MOST_FITTED = 300_000
"""Larger scans are thinned to about so many points for fitting; the rest take the normal of the nearest of those."""
SHEET = 3.0
"""Radius of a fitted neighbourhood against the sd of the noise."""


def unit(vectors: NDArray) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Vectors (n, 3) at length one, and (n,) whether they have a direction (zero, NaN and infinite ones have none)."""
    vectors = vectors.astype(np.float64)
    length = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    good = np.isfinite(length) & (length > 1e-30)
    vectors[~good] = 0.0
    length[~good] = 1.0
    return (vectors / length[:, None]).astype(np.float32), good


def vertex_normals(count: int, faces: NDArray[np.int32], face_normals: NDArray[np.float32]) -> NDArray[np.float32]:
    """(count, 3) sums of the normals of the faces around each point, which are as long as twice the area: a weight."""
    corners = sparse.csc_matrix(
        (np.ones(3 * len(faces), np.float32), faces.ravel(), np.arange(0, 3 * len(faces) + 1, 3)),
        shape=(count, len(faces)),
    )
    return corners @ face_normals


def repaired(points: NDArray[np.float32], normals: NDArray) -> NDArray[np.float32]:
    """Unit normals (n, 3); a point without a direction takes that of the nearest point (n, 3) that has one.

    At least one normal must have a direction.
    """
    normals, good = unit(normals)
    if not good.all():
        nearest = KDTree(points[good]).query(points[~good])[1]
        normals[~good] = normals[good][nearest]
    return normals


def fitted_normals(
    points: NDArray[np.float32], noise: float, to_sensor: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Normals (n, 3) of local planes, turned to the sensor if it is known, else by propagation and then outward.

    points: (n, 3); noise: sd along the normal in the same units; to_sensor: (n, 3) unit directions.
    """
    chosen = _fitted_points(points)
    some = points[chosen]
    tree = KDTree(some)
    distance, near = _nearest(tree, some, NEIGHBOURS)
    # Wider neighbourhoods where noise is large against the spacing, so that each is still a sheet.
    width = max(float(np.median(distance[:, -1])), np.finfo(np.float32).tiny)
    wanted = int(min(NEIGHBOURS * (SHEET * noise / width) ** 2, MOST_NEIGHBOURS))
    normals = _plane_normals(some, near if wanted <= NEIGHBOURS else _nearest(tree, some, wanted)[1])
    if to_sensor is None:
        normals = _propagated(some, normals, near[:, 1 : LINKS + 1])
    else:
        normals[np.einsum("ij,ij->i", normals, to_sensor[chosen]) < 0] *= -1
    if len(chosen) < len(points):
        return normals[_nearest(tree, points, 1)[1][:, 0]]
    everywhere = np.empty_like(normals)
    everywhere[chosen] = normals
    return everywhere


def _nearest(tree: KDTree, points: NDArray, count: int) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Distances and indices, both (n, count or as many as there are), of the nearest points of ``tree``."""
    distance, index = tree.query(points, k=min(count, tree.n), workers=-1)
    return np.reshape(distance, (len(points), -1)), np.reshape(index, (len(points), -1))


def _fitted_points(points: NDArray[np.float32]) -> NDArray[np.intp]:
    """All points, or one per cell of a grid fine enough for about MOST_FITTED of them, cell by cell.

    Points near each other in space are then near each other in memory, which makes the search several times faster.
    """
    low, high = box(points)
    cells = occupied_cells(points, float((high - low).max()) * np.sqrt(2 / min(len(points), MOST_FITTED)))
    if len(points) <= MOST_FITTED:
        return np.argsort(cells.cell_of, kind="stable")
    first = np.full(len(cells.keys), len(points))
    np.minimum.at(first, cells.cell_of, np.arange(len(points)))
    return first


def _plane_normals(points: NDArray[np.float32], near: NDArray[np.intp]) -> NDArray[np.float32]:
    """(n, 3) direction of least spread of each neighbourhood ``near`` (n, k)."""
    normals = np.empty_like(points)
    for start in range(0, len(points), 50_000):  # in blocks, to bound the memory of the gathered neighbourhoods
        block = slice(start, start + 50_000)
        local = points[near[block]].astype(np.float64)
        local -= local.mean(axis=1, keepdims=True)
        normals[block] = np.linalg.eigh(local.transpose(0, 2, 1) @ local)[1][:, :, 0]
    return normals


def _propagated(
    points: NDArray[np.float32], normals: NDArray[np.float32], near: NDArray[np.intp]
) -> NDArray[np.float32]:
    """Spread an orientation over each connected part, along links of near-parallel normals (Hoppe et al. 1992).

    Each part is then turned so that it encloses a positive volume about the middle of the scan.
    """
    count = len(points)
    tail, head = np.repeat(np.arange(count), near.shape[1]), near.ravel()
    link = np.unique(np.minimum(tail, head) * count + np.maximum(tail, head))
    pairs = np.stack([link // count, link % count], axis=1)
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    turn = np.einsum("ij,ij->i", normals[pairs[:, 0]], normals[pairs[:, 1]])
    sign, part = spread_signs(count, pairs, np.where(turn < 0, -1, 1), cost=1.001 - np.minimum(np.abs(turn), 1.0))
    normals = normals * sign[:, None]
    middle = (points.max(axis=0) + points.min(axis=0)) / 2
    outward = np.bincount(part, weights=np.einsum("ij,ij->i", points - middle, normals))
    return normals * np.where(outward < 0, -1, 1).astype(np.float32)[part, None]
