"""Fewer triangles for a mesh, few where it is flat: edges are collapsed by the error quadrics of Garland and Heckbert.

The small libraries that do this leave holes and pinched edges on some closed meshes, above all on flat ones. Here many
edges that have nothing to do with one another collapse at once, vectorised, and each only where the surface stays the
manifold that it was.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .edges import edge_ends, edge_keys
from .normals import face_normals

CHEAPEST = 0.1
"""Share of the edges that may collapse in a round: in the end, the dearest are left, as if one went after the other."""
TURN = 0.3
"""Cosine between the normals of a triangle before and after, below which an edge stays."""
SLIVER = 0.01
"""Area of a triangle over that of a regular one with the same sides squared, below which it may not become worse."""
PULL = 1e-6
"""Weight of the middle of an edge, in planes: where the planes do not say where a vertex belongs."""
STALLED, MOST_STALLED = 0.002, 20
"""Rounds in a row in which fewer than this share of the free edges collapse, after which the rest stays."""
EVEN = 1e-12
"""Costs below this, for a mesh of size one, are equal."""


def decimated(vertices: NDArray, faces: NDArray, count: int) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """A mesh of about ``count`` triangles of one with vertices (n, 3) and faces (m, 3); vertices that faces use, only.

    A closed manifold stays one, in as many pieces with as many handles; borders stay to the bit. There are more
    triangles than wanted where the shape cannot do with so few. The same mesh gives the same bits.
    """
    used, faces = np.unique(faces, return_inverse=True)
    faces = faces.reshape(-1, 3).astype(np.int64)
    places = np.asarray(vertices, np.float64)[used]
    if len(faces) <= count:
        return places, faces.astype(np.int32)
    centre, size = places.mean(axis=0), float(np.ptp(places, axis=0).max()) or 1.0
    points = (places - centre) / size
    fixed = _borders(faces, len(points))
    quadrics = _quadrics(points, faces)
    moved = np.zeros(len(points), bool)
    random = np.random.Generator(np.random.PCG64(0))
    # keys of edges that cannot collapse, until something beside them does
    refused = np.zeros(0, np.int64)
    stalled = 0
    while len(faces) > count and stalled < MOST_STALLED:
        keys = np.unique(edge_keys(*_sides(faces)))
        every = edge_ends(keys)
        free = ~fixed[every].any(axis=1) & np.isin(keys, refused, assume_unique=True, invert=True)
        keys, edges = keys[free], every[free]
        if not len(edges):
            break
        place, cost = _best_places(quadrics[edges].sum(axis=1), points[edges].mean(axis=1))
        # within a factor of two, chance decides: equal costs in a row would let one edge collapse at a time
        rank = np.log2(np.maximum(cost, EVEN)) + random.random(len(edges))
        chosen = _independent(edges, rank, every, len(points))
        chosen = chosen[np.argsort(rank[chosen], kind="stable")]
        sound = _sound(points, faces, edges[chosen], place[chosen])
        refused = np.concatenate([refused, keys[chosen[~sound]]])
        wanted, chosen = max(1, (len(faces) - count + 1) // 2), chosen[sound]
        stalled = stalled + 1 if len(chosen) < min(wanted, STALLED * len(edges)) else 0
        chosen = chosen[:wanted]
        kept, gone = edges[chosen].T
        points[kept], moved[kept] = place[chosen], True
        quadrics[kept] += quadrics[gone]
        number = np.arange(len(points))
        number[gone] = kept
        faces = number[faces]
        faces = faces[(faces != np.roll(faces, 1, axis=1)).all(axis=1)]
        beside = np.zeros(len(points), bool)
        beside[kept] = True
        beside[faces[beside[faces].any(axis=1)]] = True
        refused = refused[~beside[edge_ends(refused)].any(axis=1)]
    left, faces = np.unique(faces, return_inverse=True)
    # what has not moved keeps its bits
    found = np.where(moved[left, None], points[left] * size + centre, places[left])
    return found, faces.reshape(-1, 3).astype(np.int32)


def _sides(faces: NDArray) -> tuple[NDArray, NDArray]:
    """Starts (3 m,) and ends (3 m,) of the sides of triangles (m, 3)."""
    return faces.ravel(), np.roll(faces, -1, axis=1).ravel()


def _borders(faces: NDArray, count: int) -> NDArray[np.bool_]:
    """Which vertices (count,) lie on edges that have not two triangles, one on either side."""
    start, end = _sides(faces)
    keys, edge, uses = np.unique(edge_keys(start, end), return_inverse=True, return_counts=True)
    forward = np.bincount(edge.reshape(-1), start < end, minlength=len(keys))
    found = np.zeros(count, bool)
    found[edge_ends(keys[(uses != 2) | (forward != 1)])] = True
    return found


def _quadrics(points: NDArray, faces: NDArray) -> NDArray[np.float64]:
    """Sums (n, 10) of squared distances from the planes around each vertex, by area: xx xy xz yy yz zz, x y z, 1."""
    normals = face_normals(points, faces)
    area = np.linalg.norm(normals, axis=1)
    x, y, z = (normals / np.maximum(area, 1e-300)[:, None]).T
    offset = -(np.stack([x, y, z], axis=1) * points[faces[:, 0]]).sum(axis=1)
    each = area * np.stack([x * x, x * y, x * z, y * y, y * z, z * z, x * offset, y * offset, z * offset, offset**2])
    sums = [np.bincount(faces.ravel(), np.repeat(row, 3), len(points)) for row in each]
    return np.stack(sums, axis=1).astype(np.float64)


def _best_places(quadrics: NDArray, middles: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where the quadrics (e, 10) are least, (e, 3), with a slight pull to middles (e, 3), and their values (e,)."""
    xx, xy, xz, yy, yz, zz, x, y, z, one = quadrics.T
    pull = PULL * (xx + yy + zz)
    a, d, f = xx + pull, yy + pull, zz + pull
    right = pull[:, None] * middles - quadrics[:, 6:9]
    cofactors = d * f - yz * yz, xz * yz - xy * f, xy * yz - xz * d, a * f - xz * xz, xy * xz - a * yz, a * d - xy * xy
    p, q, r, s, t, u = cofactors
    determinant = a * p + xy * q + xz * r
    k, m, n = right.T
    place = np.stack([p * k + q * m + r * n, q * k + s * m + t * n, r * k + t * m + u * n], axis=1)
    place /= np.where(determinant > 0, determinant, 1)[:, None]
    place = np.where((determinant > 0)[:, None], place, middles)
    i, j, w = place.T
    planes = xx * i * i + yy * j * j + zz * w * w + 2 * (xy * i * j + xz * i * w + yz * j * w + x * i + y * j + z * w)
    return place, np.maximum(planes + one, 0) + pull * ((place - middles) ** 2).sum(axis=1)


def _independent(edges: NDArray, rank: NDArray, every: NDArray, count: int) -> NDArray[np.intp]:
    """Numbers of the edges (e, 2) of the least rank (e,) among all edges at their ends and the neighbours of these.
    every: all edges of the mesh (k, 2), between its ``count`` vertices."""
    order = np.argsort(rank, kind="stable")
    place = np.empty(len(rank), np.int64)
    place[order] = np.arange(len(rank))
    least = np.full(count, len(rank))
    for end in edges.T:
        np.minimum.at(least, end, place)
    around = least.copy()
    for end, other in (every.T, every.T[::-1]):
        np.minimum.at(around, end, least[other])
    cheap = place <= CHEAPEST * len(rank)
    return np.flatnonzero(cheap & (around[edges] == place[:, None]).all(axis=1))


def _sound(points: NDArray, faces: NDArray, edges: NDArray, places: NDArray) -> NDArray[np.bool_]:
    """Which independent edges (k, 2) can become vertices at places (k, 3): the ends have two neighbours in common, no
    triangle turns over, and none becomes a sliver."""
    if not len(edges):
        return np.zeros(0, bool)
    count = len(points)
    start, end = _sides(faces)
    ends = np.concatenate([start, end]), np.concatenate([end, start])
    # of an edge on a border, which has one direction only, both are counted once
    beside = sparse.csr_matrix((np.ones(2 * len(start), np.int32), ends), shape=(count, count))
    beside.data[:] = 1
    first, second = (sparse.csr_matrix(beside[end]) for end in edges.T)
    common = np.asarray(first.multiply(second).sum(axis=1)).ravel()
    sound = common == 2

    owner = np.full(count, -1)
    owner[edges[:, 0]] = owner[edges[:, 1]] = np.arange(len(edges))
    corners = owner[faces]
    rows = np.flatnonzero((corners >= 0).sum(axis=1) == 1)
    collapse = corners[rows].max(axis=1)
    old = points[faces[rows]]
    new = np.where((corners[rows] >= 0)[..., None], places[collapse][:, None], old)
    (before, plump), (after, plumper) = _normals(old), _normals(new)
    turned = (before * after).sum(axis=1) < TURN
    bad = turned | ((plumper < SLIVER) & (plumper < plump))
    sound[collapse[bad]] = False
    return sound


def _normals(corners: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Unit normals (m, 3) of triangles (m, 3, 3), and their area over that of regular ones with sides as long."""
    a, b, c = corners.transpose(1, 0, 2)
    normal = np.cross(b - a, c - a)
    area = np.linalg.norm(normal, axis=1)
    sides = sum(((first - second) ** 2).sum(axis=1) for first, second in ((a, b), (b, c), (c, a)))
    return normal / np.maximum(area, 1e-300)[:, None], 2 * np.sqrt(3) * area / np.maximum(sides, 1e-300)
