"""The edges of a triangle mesh: its pieces and open boundaries, and faces that all turn the same way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

from .sign_propagation import spread_signs


@dataclass(frozen=True)
class OrientedMesh:
    """A mesh as a surface.

    faces: (m, 3) int32, consistently wound where the mesh allows it; normals: (m, 3) float32, as long as twice the
    area.
    pieces: connected by shared points; open_loops: connected boundaries (loops that touch count as one).
    """

    faces: NDArray[np.int32]
    normals: NDArray[np.float32]
    pieces: int
    open_loops: int


@dataclass(frozen=True)
class _Edges:
    """Undirected edges from point low (e,) to point high (e,).

    uses: (e,) faces at the edge; upward: (e,) those of them that run along it from low to high.
    """

    low: NDArray
    high: NDArray
    uses: NDArray
    upward: NDArray


def orient_faces(
    points: NDArray[np.float32], faces: NDArray[np.int32], to_sensor: NDArray[np.float32] | None = None
) -> OrientedMesh:
    """Make neighbouring faces agree, then turn each piece outward.

    A closed piece is turned to positive volume, unless it was wound consistently and its box lies inside that of a
    larger closed piece: then it is the wall of a cavity. An open piece keeps the way most of its area faces, or is
    turned to the sensor if that is known.

    points: (n, 3); faces: (m, 3) distinct triangles; to_sensor: (n, 3) or None.
    """
    edges = _edges(len(points), faces)
    if np.any((edges.uses == 2) & (edges.upward != 1)):
        faces = _agree(points, faces)
    pieces, piece_of_point = _pieces(len(points), faces)
    piece = piece_of_point.take(faces[:, 0])

    boundary = edges.uses == 1
    low, high = edges.low[boundary], edges.high[boundary]
    closed = np.ones(pieces, bool)
    closed[piece_of_point[low]] = False
    normals = face_normals(points, faces)
    flip = _inside_out(points, faces, normals, piece, closed)
    if to_sensor is not None:
        facing = np.einsum("ij,ij->i", normals, to_sensor.take(faces[:, 0], axis=0))
        flip |= ~closed & (np.bincount(piece, weights=facing, minlength=pieces) < 0)
    if flip.any():
        reverse = flip[piece]
        faces, normals = _reversed(faces, reverse), np.where(reverse[:, None], -normals, normals)
    return OrientedMesh(faces, normals, pieces, _loops(low, high))


def face_normals(points: NDArray[np.float32], faces: NDArray[np.int32]) -> NDArray[np.float32]:
    """(m, 3) normals of length twice the area."""
    a, b, c = (points.take(faces[:, corner], axis=0) for corner in range(3))
    u, v = b - a, c - a
    x, y, z = u.T
    p, q, r = v.T
    return np.stack([y * r - z * q, z * p - x * r, x * q - y * p], axis=1)


def _edges(count: int, faces: NDArray[np.int32]) -> _Edges:
    tail, head = faces.ravel(), faces[:, [1, 2, 0]].ravel()
    # A sparse matrix adds up equal entries faster than a sort finds them. Both counts share one 64-bit number.
    tally = np.where(tail < head, np.int64(1 << 32 | 1), np.int64(1))
    table = sparse.csr_matrix((tally, (np.minimum(tail, head), np.maximum(tail, head))), shape=(count, count))
    low = np.repeat(np.arange(count, dtype=np.int32), np.diff(table.indptr))
    uses: NDArray = np.asarray(table.data, np.int64)
    return _Edges(low, table.indices, uses & 0xFFFFFFFF, uses >> 32)


def _reversed(faces: NDArray[np.int32], which: NDArray[np.bool_]) -> NDArray[np.int32]:
    return np.where(which[:, None], faces[:, ::-1], faces)


def _agree(points: NDArray[np.float32], faces: NDArray[np.int32]) -> NDArray[np.int32]:
    """Reverse faces so that two faces at an edge run along it in opposite directions.

    A part that needed it is turned to positive volume if it is closed, else the way most of its area faced.
    """
    tail, head = faces.ravel().astype(np.int64), faces[:, [1, 2, 0]].ravel().astype(np.int64)
    key = np.minimum(tail, head) * len(points) + np.maximum(tail, head)
    order = np.argsort(key, kind="stable")
    key = key[order]
    first = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]]))
    uses = np.diff(np.append(first, len(key)))
    one, two = order[first[uses == 2]], order[first[uses == 2] + 1]
    alike = (tail[one] < head[one]) == (tail[two] < head[two])
    sign, part = spread_signs(len(faces), np.stack([one, two], axis=1) // 3, np.where(alike, -1, 1))
    parts = int(part.max()) + 1
    disputed = np.zeros(parts, bool)
    disputed[part[one[alike] // 3]] = True
    closed = np.ones(parts, bool)
    closed[part[order[first[uses == 1]] // 3]] = False

    turned = _reversed(faces, sign < 0)
    normals = face_normals(points, turned)
    outward = _volumes(points, turned, normals, part, parts)
    majority = np.bincount(part, weights=np.linalg.norm(normals, axis=1) * sign, minlength=parts)
    return _reversed(turned, (disputed & (np.where(closed, outward, majority) < 0))[part])


def _pieces(count: int, faces: NDArray[np.int32]) -> tuple[int, NDArray[np.int32]]:
    """Number of connected pieces and the piece of each point."""
    links = sparse.csr_matrix(
        (np.ones(2 * len(faces), np.int8), (faces[:, :2].T.ravel(), faces[:, 1:].T.ravel())), shape=(count, count)
    )
    return csgraph.connected_components(links, directed=False)


def _loops(low: NDArray, high: NDArray) -> int:
    """Connected groups among the boundary edges from ``low`` to ``high`` (e,)."""
    if len(low) == 0:
        return 0
    ends = np.unique(np.concatenate([low, high]), return_inverse=True)[1].reshape(2, -1)
    count = int(ends.max()) + 1
    links = sparse.csr_matrix((np.ones(len(low), np.int8), (ends[0], ends[1])), shape=(count, count))
    return int(csgraph.connected_components(links, directed=False)[0])


def _volumes(
    points: NDArray[np.float32], faces: NDArray[np.int32], normals: NDArray[np.float32], group: NDArray, groups: int
) -> NDArray[np.float64]:
    """(groups,) six times the signed volume under the faces of each group, about the middle of its corners."""
    corner = points.take(faces[:, 0], axis=0)
    size = np.maximum(np.bincount(group, minlength=groups), 1)
    moment, area = np.zeros(groups), np.zeros((groups, 3))
    middle = np.zeros((groups, 3))
    for axis in range(3):
        moment += np.bincount(group, weights=corner[:, axis] * normals[:, axis].astype(np.float64), minlength=groups)
        area[:, axis] = np.bincount(group, weights=normals[:, axis], minlength=groups)
        middle[:, axis] = np.bincount(group, weights=corner[:, axis], minlength=groups) / size
    return moment - np.einsum("ij,ij->i", area, middle)


def _inside_out(
    points: NDArray[np.float32],
    faces: NDArray[np.int32],
    normals: NDArray[np.float32],
    piece: NDArray,
    closed: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """(p,) closed pieces whose faces should all be reversed."""
    if not closed.any():
        return np.zeros(len(closed), bool)
    volume = np.where(closed, _volumes(points, faces, normals, piece, len(closed)), 0.0)
    largest = int(np.abs(volume).argmax())
    if len(closed) == 1:
        return volume < 0
    # A mesh that is inside out as a whole is turned as a whole, so that its cavities stay cavities.
    turn = -1.0 if volume[largest] < 0 else 1.0
    inward = np.flatnonzero(volume * turn < 0)
    low, high = _boxes(points, faces, piece, len(closed))
    walls = np.argsort(-volume * turn, kind="stable")[:64]
    walls = walls[volume[walls] * turn > 0]
    held = np.all(low[inward, None] >= low[walls], axis=2) & np.all(high[inward, None] <= high[walls], axis=2)
    larger = np.abs(volume[walls]) > np.abs(volume[inward, None])
    wanted = np.ones(len(closed))
    wanted[inward[np.any(held & larger, axis=1)]] = -1.0
    return volume * wanted < 0


def _boxes(
    points: NDArray[np.float32], faces: NDArray[np.int32], piece: NDArray, pieces: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Lowest and highest corner (p, 3) of each piece."""
    low = np.full((pieces, 3), np.inf, np.float32)
    high = np.full((pieces, 3), -np.inf, np.float32)
    corners, owner = points.take(faces.ravel(), axis=0), np.repeat(piece, 3)
    np.minimum.at(low, owner, corners)
    np.maximum.at(high, owner, corners)
    return low, high
