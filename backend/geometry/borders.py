"""Borders of a triangle mesh of any quality: vertices at one place are one, faces wound alike, loops simple."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from .edges import edge_keys
from .normals import face_normals

SAME_PLACE = 1e-6
"""Border vertices closer than this share of the longest side are one: rounding of a file, not a gap."""


@dataclass(frozen=True)
class WeldedMesh:
    """A mesh as its places and faces, for topology only: files split vertices at seams, and STL at every face."""

    vertices: NDArray[np.float64]  # (w, 3), the places
    faces: NDArray[np.int64]  # (k, 3), of places: none without extent, none twice, wound alike where that is possible
    place: NDArray[np.int64]  # (n,), of every vertex of the mesh
    source: NDArray[np.int64]  # (k,), the mesh's face
    turned: NDArray[np.bool_]  # (k,), whether it is wound against the mesh's

    @classmethod
    def of(cls, vertices: NDArray, faces: NDArray) -> WeldedMesh:
        """From vertices (n, 3) and faces (m, 3). Faces with a vertex that is not finite do not count."""
        vertices = np.asarray(vertices, np.float64).reshape(-1, 3)
        faces = np.asarray(faces, np.int64).reshape(-1, 3)
        finite = np.isfinite(vertices).all(axis=1)
        place = _same_rows(np.where(finite[:, None], vertices + 0.0, 0.0))
        # the first vertex at each place stands for it
        first = np.full(int(place.max(initial=-1)) + 1, -1)
        first[place[::-1]] = np.arange(len(vertices))[::-1]
        places = np.where(finite[:, None], vertices, 0.0)[first]
        source, kept = _proper(place[faces], np.flatnonzero(finite[faces].all(axis=1)))
        place = _joined(places, kept)[place]
        source, kept = _proper(place[faces], source)
        kept, turned = _wound_alike(places, kept)
        return cls(places, kept, place, source, turned)

    def loops(self) -> tuple[list[NDArray[np.int64]], int]:
        """Border loops, each the places (n,) in the order in which faces that fill it run; and the number of border
        edges in no loop, as at the end of an edge with three faces."""
        start, end = self.faces[:, [1, 2, 0]].reshape(-1), self.faces.reshape(-1)
        _, edge, uses = np.unique(edge_keys(start, end), return_inverse=True, return_counts=True)
        border = np.flatnonzero(uses[edge.reshape(-1)] == 1)
        loops = _walk(start[border], end[border])
        return loops, len(border) - sum(map(len, loops))


def border_edges(faces: NDArray[np.int64]) -> NDArray[np.int64]:
    """Edges (b, 2) with one face, in its direction; faces (m, 3) of vertices as they are, not welded."""
    directed = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    _, first, uses = np.unique(edge_keys(*directed.T), return_index=True, return_counts=True)
    return directed[first[uses == 1]]


def _same_rows(rows: NDArray) -> NDArray[np.int64]:
    """Number (n,) of each row among the different ones."""
    order = np.lexsort(rows.T)
    changed = (rows[order][1:] != rows[order][:-1]).any(axis=1)
    number = np.empty(len(rows), np.int64)
    number[order] = np.concatenate([[0], np.cumsum(changed)]) if len(rows) else 0
    return number


def _proper(faces: NDArray, source: NDArray) -> tuple[NDArray, NDArray]:
    """Of the faces ``source`` (k,) those that have three different places and come first of their like, with these."""
    chosen = faces[source]
    whole = (chosen != np.roll(chosen, 1, axis=1)).all(axis=1)
    source, chosen = source[whole], chosen[whole]
    if not len(source):
        return source, chosen
    number = _same_rows(np.sort(chosen, axis=1))
    first = np.sort(np.unique(number, return_index=True)[1])
    return source[first], chosen[first]


def _joined(places: NDArray, faces: NDArray) -> NDArray[np.int64]:
    """For each place the one that stands for it: of border places that are nearly the same, the lowest."""
    same = np.arange(len(places))
    if not len(faces):
        return same
    start, end = faces.reshape(-1), faces[:, [1, 2, 0]].reshape(-1)
    _, edge, uses = np.unique(edge_keys(start, end), return_inverse=True, return_counts=True)
    single = uses[edge.reshape(-1)] == 1
    border = np.unique(np.concatenate([start[single], end[single]]))
    if not len(border):
        return same
    reach = SAME_PLACE * float(np.ptp(places[faces.reshape(-1)], axis=0).max())
    pairs = border[KDTree(places[border]).query_pairs(reach, output_type="ndarray")]
    graph = coo_matrix((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), (len(places),) * 2)
    label = connected_components(graph, directed=False)[1]
    return np.unique(label, return_index=True)[1][label]


def _wound_alike(places: NDArray, faces: NDArray) -> tuple[NDArray, NDArray[np.bool_]]:
    """Faces turned so that neighbours agree, each piece as most of its area has it; and (k,) which were turned."""
    count = len(faces)
    turned = np.zeros(count, bool)
    if not count:
        return faces, turned
    start, end = faces.reshape(-1), faces[:, [1, 2, 0]].reshape(-1)
    key = edge_keys(start, end)
    order = np.argsort(key, kind="stable")
    change = np.flatnonzero(np.concatenate([[True], key[order][1:] != key[order][:-1], [True]]))
    pair = change[:-1][np.diff(change) == 2]
    one, two = order[pair], order[pair + 1]
    against = start[one] == start[two]
    if not against.any():
        return faces, turned
    # a face as it is and the same face turned are two nodes: what agrees is joined
    one, two = one // 3, two // 3
    row = np.concatenate([one, one + count])
    column = np.concatenate([two + count * against, two + count * ~against])
    label = connected_components(coo_matrix((np.ones(len(row), np.int8), (row, column)), (2 * count,) * 2), False)[1]
    as_it_is, other = label[:count], label[count:]
    area = np.bincount(as_it_is, np.linalg.norm(face_normals(places, faces), axis=1), label.max() + 1)
    # a piece with one side only has both nodes in one group, and stays
    less = (area[as_it_is] < area[other]) | ((area[as_it_is] == area[other]) & (as_it_is > other))
    turned = less & (as_it_is != other)
    return np.where(turned[:, None], faces[:, ::-1], faces), turned


def _walk(start: NDArray, end: NDArray) -> list[NDArray[np.int64]]:
    """Simple loops of directed edges. A walk that returns to where it was has closed a loop, so that loops which touch
    at a vertex come apart."""
    out: dict[int, list[int]] = {}
    for a, b in zip(start.tolist(), end.tolist(), strict=True):
        out.setdefault(a, []).append(b)
    loops = []
    for first in sorted(out):
        while out[first]:
            path, at = [first], {first: 0}
            while path and out.get(path[-1]):
                to = out[path[-1]].pop()
                if to not in at:
                    at[to] = len(path)
                    path.append(to)
                    continue
                loop = path[at[to] :]
                if len(loop) > 2:
                    loops.append(np.array(loop, np.int64))
                for passed in loop[1:]:
                    del at[passed]
                path = path[: at[to] + 1]
                if len(path) == 1:
                    break
    return loops


@dataclass(frozen=True)
class FacesAround:
    """The faces of each vertex, so that what surrounds a hole costs what it holds and not the mesh."""

    faces: NDArray[np.int64]  # (m, 3)
    order: NDArray[np.intp]  # faces, in the order of their vertices
    first: NDArray[np.intp]  # (n + 1,), where those of a vertex start

    @classmethod
    def of(cls, faces: NDArray, count: int) -> FacesAround:
        order = np.argsort(faces.reshape(-1), kind="stable")
        return cls(faces, order // 3, np.searchsorted(faces.reshape(-1)[order], np.arange(count + 1)))

    def rings(self, seeds: NDArray, number: int) -> NDArray[np.intp]:
        """Faces (k,) within ``number`` rings of the seeds (s,), ascending."""
        found, front = np.zeros(0, np.intp), np.unique(seeds)
        for _ in range(number):
            count = self.first[front + 1] - self.first[front]
            place = np.repeat(self.first[front] - np.cumsum(count) + count, count) + np.arange(count.sum())
            found = np.unique(self.order[place])
            front = np.unique(self.faces[found])
        return found
