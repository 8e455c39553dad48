"""Sharp edges in a mesh: triangles across a crease are cut along it, and vertices beside it move onto their faces."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from ..geometry.nearest import LEAF
from ..geometry.normals import face_normals, normals_of, unit
from .creases import APART, LEAST_ANGLE, Creases, meeting
from .isosurface import Isosurface

WIDE = 2.5
"""Voxels from a crease within which vertices move onto the faces beside it."""
HIGHEST = 0.75
"""Voxels between a vertex and its face beside a crease: no rounded edge is farther."""
FARTHEST = 1.2
"""Voxels; no vertex moves farther."""
TILT = 1.0
"""Voxels that a face may be farther from a vertex than another one whose normal is at a right angle to the vertex's."""
SNAP = .5
"""Voxels. A vertex so near to the crease moves onto it, for a cut would leave a sliver."""
FOLDED = 0.5
"""Cosine between a triangle's normals before and after, below which it is folded."""


def sharpened(surface: Isosurface, points: NDArray, noise: float) -> Isosurface:
    """A closed surface whose edges are sharp where points (p, 3) of a scan, in voxels, say so, see `Creases`.

    noise: deviation of the points, in voxels. It stays closed and manifold; where no edge is found it stays as it is. A
    vertex depends on what is within a dozen voxels alone.
    """
    if not len(surface.faces):
        return surface
    creases = Creases.of(surface.vertices, surface.faces).sharp(points, noise)
    if not len(creases.places):
        return surface
    old = surface.vertices.astype(np.float64)
    beside, normals, heights = _faces_beside(old, normals_of(old, surface.faces), creases)
    flat, moved = np.zeros(old.shape), old.copy()
    flat[beside], moved[beside] = normals, old[beside] - heights[:, None] * normals
    near = flat.any(axis=1)[surface.faces].any(axis=1)
    part = replace(surface, faces=surface.faces[near])
    while True:
        made, wrong = _cut(part, flat, moved, creases)
        wrong = wrong[flat[wrong].any(axis=1)]
        # each round leaves some vertices where they were, so that there is a last one
        if not len(wrong):
            return replace(made, faces=np.concatenate([surface.faces[~near], made.faces]))
        flat[wrong], moved[wrong] = 0, old[wrong]


def _cut(
    part: Isosurface, flat: NDArray, moved: NDArray, creases: Creases
) -> tuple[Isosurface, NDArray[np.intp]]:
    """Part of a surface, cut where the faces beside a crease, of which its vertices are, meet; and its vertices (k,) at
    which triangles are folded. flat (n, 3): normals of these faces, zero for the other vertices; moved (n, 3): the
    vertices on them."""
    old, faces = part.vertices.astype(np.float64), part.faces
    count = len(old)
    ends = np.sort(np.stack([faces, np.roll(faces, -1, axis=1)], axis=2).astype(np.int64), axis=2)
    low, high = ends[..., 0], ends[..., 1]
    labelled = flat.any(axis=1)
    across = labelled[low] & labelled[high]
    across[across] = np.einsum("ij,ij->i", flat[low[across]], flat[high[across]]) < LEAST_ANGLE
    keys = np.where(across, low * count + high, -1)
    edges = np.unique(keys[across])
    a, b = np.divmod(edges, count)
    first, second = (np.abs(np.einsum("ij,ij->i", moved[b] - moved[a], flat[end])) for end in (b, a))
    middle = moved[a] + (first / np.maximum(first + second, 1e-9))[:, None] * (moved[b] - moved[a])
    above, over = (np.einsum("ij,ij->i", middle - moved[end], flat[end]) for end in (a, b))
    on = middle + meeting(flat[a], flat[b], above, over)
    far = np.linalg.norm(on - middle, axis=1) > FARTHEST
    if far.any():
        return part, np.concatenate([a[far], b[far]])

    corners = creases.corners
    snapped, moved = _snapped(moved, faces, np.concatenate([a, b]), np.concatenate([on, on]), corners)
    cut = ~(snapped[a] | snapped[b])
    edges, on, a, b = edges[cut], on[cut], a[cut], b[cut]
    new = np.full(keys.shape, -1)
    whole = across & ~(snapped[low] | snapped[high])
    new[whole] = count + np.searchsorted(edges, keys[whole])
    vertices, parts, parent = _parts(np.concatenate([moved, on]), faces, new)
    halves = (part.values[a] + part.values[b]) / 2
    values = np.concatenate([part.values, halves, part.values[faces[(new >= 0).all(axis=1)]].mean(axis=1)])
    creased = np.concatenate([np.flatnonzero(snapped), np.arange(count, len(vertices))])
    centres = np.arange(count + len(on), len(vertices))
    vertices = _with_corners(vertices, creased, centres, corners)
    facing = np.zeros(vertices.shape)
    facing[:count] = np.where(snapped[:, None], 0, flat)
    folded = faces[parent[_folded(old, faces, vertices, parts, parent, facing)]].ravel()
    return Isosurface(vertices.astype(np.float32), parts.astype(np.int32), values), folded


def _faces_beside(
    vertices: NDArray, normals: NDArray, creases: Creases
) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.float64]]:
    """Vertices (k,) beside creases, the normal (k, 3) of the face of the crease that each belongs to, and its height
    (k,) above it. normals: of all vertices (n, 3)."""
    bent = creases.bent
    away, place = KDTree(creases.places, LEAF).query(vertices[bent], distance_upper_bound=WIDE)
    near = np.isfinite(away)
    bent, place = bent[near], place[near]
    offset = vertices[bent] - creases.places[place]
    planes = creases.normals[:, place]
    height = np.einsum("pnj,nj->pn", planes, offset) + creases.heights[:, place]
    cosine = np.einsum("pnj,nj->pn", planes, normals[bent])
    best = (np.abs(height) + TILT * (1 - cosine)).argmin(axis=0), np.arange(len(bent))
    kept = (np.abs(height[best]) < HIGHEST) & (cosine[best] > 0)
    return bent[kept], planes[best][kept], height[best][kept]


def _snapped(
    vertices: NDArray, faces: NDArray, ends: NDArray, on: NDArray, corners: NDArray
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Which vertices (n, 3) lie on a crease, being nearer than SNAP to it, and all vertices with these on it. ends (e,)
    of edges across the crease, which meet it at places (e, 3). No triangle has all three corners on it, and next to
    corners (k, 3) of the solid, which have to be free, no vertex has."""
    away = np.linalg.norm(vertices[ends] - on, axis=1)
    order = np.lexsort((away, ends))
    end, first = np.unique(ends[order], return_index=True)
    distance = np.full(len(vertices), np.inf)
    distance[end] = away[order][first]
    snapped = distance < SNAP
    if len(corners):
        close = np.flatnonzero(snapped)
        away = KDTree(corners).query(vertices[close], distance_upper_bound=APART)[0]
        snapped[close[np.isfinite(away)]] = False
    while (whole := snapped[faces].all(axis=1)).any():
        corners = faces[whole]
        snapped[corners[np.arange(len(corners)), distance[corners].argmax(axis=1)]] = False
    placed = vertices.copy()
    chosen = snapped[end]
    placed[end[chosen]] = on[order][first][chosen]
    return snapped, placed


def _parts(vertices: NDArray, faces: NDArray, new: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """Vertices, with one more in each triangle that is cut on three sides; parts (k, 3) of triangles (m, 3); and the
    triangle (k,) of each. new (m, 3): vertices on the sides, each from its corner to the next, -1 where there is none.
    """
    count = (new >= 0).sum(axis=1)
    whole, one, two, three = (np.flatnonzero(count == number) for number in range(4))
    # the first side is cut
    (a, b, c), (d, _, _) = _turned(faces, new, one, (new[one] >= 0).argmax(axis=1))
    parts = [faces[whole].T, np.stack([a, d, c]), np.stack([d, b, c])]
    # the first two are cut
    (p, q, r), (s, t, _) = _turned(faces, new, two, ((new[two] < 0).argmax(axis=1) + 1) % 3)
    short = np.linalg.norm(vertices[p] - vertices[t], axis=1) < np.linalg.norm(vertices[r] - vertices[s], axis=1)
    parts += [np.stack([s, q, t]), np.where(short, [p, s, t], [p, s, r]), np.where(short, [p, t, r], [s, t, r])]
    middle = len(vertices) + np.arange(len(three))
    (u, v, w), (x, y, z) = faces[three].T, new[three].T
    around = (u, x), (x, v), (v, y), (y, w), (w, z), (z, u)
    parts += [np.stack([first, second, middle]) for first, second in around]
    parent = np.concatenate([whole, one, one, two, two, two, *[three] * 6])
    centres = vertices[new[three]].mean(axis=1).reshape(-1, 3)
    return np.concatenate([vertices, centres]), np.concatenate(parts, axis=1).T, parent


def _turned(faces: NDArray, new: NDArray, rows: NDArray, first: NDArray) -> tuple[NDArray, NDArray]:
    """Corners and sides (3, k) of triangles ``rows`` (k,), counted from their corner ``first`` (k,) on."""
    at = (np.arange(3) + first[:, None]) % 3
    return faces[rows[:, None], at].T, new[rows[:, None], at].T


def _with_corners(
    vertices: NDArray, creased: NDArray, centres: NDArray, corners: NDArray
) -> NDArray[np.float64]:
    """Vertices of which the one nearest to each of the corners (k, 3), of those on creases, moves onto it, above all
    those amid triangles whose corners belong to three faces: numbers ``creased`` and, of them, ``centres``."""
    if not len(corners):
        return vertices
    free = np.ones(len(corners), bool)
    for some in (centres, creased):
        if len(some) and free.any():
            away, nearest = KDTree(vertices[some]).query(corners[free], distance_upper_bound=FARTHEST)
            found = np.isfinite(away)
            vertices[some[nearest[found]]] = corners[free][found]
            free[np.flatnonzero(free)[found]] = False
    return vertices


def _folded(
    old: NDArray, faces: NDArray, vertices: NDArray, parts: NDArray, parent: NDArray, facing: NDArray
) -> NDArray[np.intp]:
    """Numbers of parts (k, 3) that face away from the faces of their corners, facing (n, 3), or from their triangle."""
    places = np.minimum(parts, len(old) - 1)
    changed = np.flatnonzero((vertices[parts] != old[places]).any(axis=(1, 2)))
    normals, sound = unit(face_normals(vertices, parts[changed]))
    wanted = facing[parts[changed]].sum(axis=1)
    none = ~wanted.any(axis=1)
    wanted[none] = unit(face_normals(old, faces[parent[changed[none]]]))[0]
    cosine = np.einsum("ij,ij->i", normals, unit(wanted)[0])
    return changed[(cosine < FOLDED) | ~sound]
