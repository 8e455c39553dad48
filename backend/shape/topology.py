"""Betti numbers of solids: b0 parts, b1 handles (tunnels), b2 cavities."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import NamedTuple, cast

import numpy as np
from scipy import ndimage
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from .components import label_faces, signed_volumes


class Betti(NamedTuple):
    """Parts, handles and cavities of a solid."""

    b0: int
    b1: int
    b2: int


@dataclass(frozen=True)
class EdgeReport:
    """How the faces of a mesh meet.

    watertight: every edge has exactly two faces (False for a mesh without faces). edge_manifold: no edge has
    more than two. winding_consistent: the two faces of an edge run through it in opposite directions.
    boundary_loops: groups of edges with one face, counted by connection. edges: number of edges.
    """

    watertight: bool
    edge_manifold: bool
    winding_consistent: bool
    boundary_loops: int
    edges: int


def edge_report(faces: np.ndarray) -> EdgeReport:
    """Count how often each edge of ``faces`` (m, 3) is used, and in which direction."""
    if len(faces) == 0:
        return EdgeReport(False, True, True, 0, 0)
    directed = np.concatenate([faces, np.roll(faces, -1, axis=1)]).reshape(2, -1).T.astype(np.int64)
    size = int(faces.max()) + 1
    forward = directed[:, 0] < directed[:, 1]
    keys = directed.min(axis=1) * size + directed.max(axis=1)
    edges, index, uses = np.unique(keys, return_inverse=True, return_counts=True)
    forwards = np.bincount(index.reshape(-1), forward, minlength=len(edges))
    ends = np.stack(np.divmod(edges[uses == 1], size), axis=1)
    return EdgeReport(
        watertight=bool((uses == 2).all()),
        edge_manifold=bool((uses <= 2).all()),
        winding_consistent=bool((forwards[uses == 2] == 1).all()),
        boundary_loops=_count_groups(ends),
        edges=len(edges),
    )


def _count_groups(ends: np.ndarray) -> int:
    """Number of connected groups of edges (e, 2)."""
    if len(ends) == 0:
        return 0
    used, local = np.unique(ends, return_inverse=True)
    local = local.reshape(ends.shape)
    graph = coo_matrix((np.ones(len(ends), np.int8), (local[:, 0], local[:, 1])), shape=(len(used), len(used)))
    return int(connected_components(graph, directed=False)[0])


def betti_of_mesh(vertices: np.ndarray, faces: np.ndarray) -> Betti:
    """Betti numbers of the solid bounded by a closed mesh, vertices (n, 3) and faces (m, 3).

    A component with positive volume is the outside of a part, one with negative volume the wall of a cavity;
    b1 is the sum of their genera. Right when parts do not overlap and each cavity's wall is wound into it.
    Raises ValueError for a mesh that is not closed and consistently wound.
    """
    report = edge_report(faces)
    if not (report.watertight and report.winding_consistent):
        raise ValueError("only a closed, consistently wound mesh has Betti numbers")
    labels, count = label_faces(faces)
    volumes = signed_volumes(vertices, faces, labels, count)
    euler = len(np.unique(faces)) - report.edges + len(faces)
    return Betti(int((volumes > 0).sum()), count - euler // 2, int((volumes <= 0).sum()))


def betti_of_occupancy(inside: np.ndarray) -> Betti:
    """Betti numbers of a boolean array (x, y, z); beyond its border all is outside.

    Inside voxels are closed cubes, so they are 26-connected, and outside voxels are 6-connected.
    """
    padded = np.pad(np.asarray(inside, bool), 1)
    parts = _count_parts(padded, np.ones((3, 3, 3)))
    outside = _count_parts(~padded, None)
    cavities = outside - 1
    return Betti(parts, parts + cavities - _euler_of_cubes(padded), cavities)


def _count_parts(mask: np.ndarray, structure: np.ndarray | None) -> int:
    """Number of connected groups of True voxels; ``structure`` None means across faces only."""
    _, number = cast(tuple[np.ndarray, int], ndimage.label(mask, structure))
    return int(number)


def _euler_of_cubes(padded: np.ndarray) -> int:
    """Vertices - edges + faces - cubes of the union of closed voxels; the array's border must be False."""
    total = 0
    for spread in product((False, True), repeat=3):
        # A face, edge or vertex belongs to the union when any voxel around it does.
        cells = padded
        for axis in np.flatnonzero(spread):
            low = cells.take(range(cells.shape[axis] - 1), axis)
            cells = low | cells.take(range(1, cells.shape[axis]), axis)
        total -= (-1) ** sum(spread) * int(np.count_nonzero(cells))
    return total
