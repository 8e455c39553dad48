"""The closed parts of a mesh that also has walls inside, sheets or seams where more than two surfaces meet."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from ..geometry.edges import edge_keys
from .orientation import OrientedMesh, inside_out
from .samples import Samples

ROUNDS = 4
"""Rounds in which what is open is put aside. Walls that meet on walls take one each."""
LEAST_HIDDEN = 0.01
"""Where less than this share of the samples is hidden there are no walls inside."""
HIDDEN = 0.2
"""A patch is a wall inside where less than this share of its samples is seen."""


def in_parts(points: NDArray[np.float32], mesh: OrientedMesh, samples: Samples) -> OrientedMesh:
    """The mesh in pieces that are joined at edges of two faces, closed ones turned outwards as by `orient_faces`.

    Faces that share a vertex only are no piece, so a wall that touches the skin of a box is one by itself. Where three
    patches meet at a seam and none has a border, the hidden one is the wall: it is put aside, and the others are
    joined. samples: of the mesh, seen from all around.
    """
    if (not len(mesh.border) and not mesh.seams) or 1 - samples.seen.mean() < LEAST_HIDDEN:
        return mesh
    count = len(mesh.faces)
    seen = np.bincount(samples.face, samples.seen, count)
    hits = np.bincount(samples.face, minlength=count)
    part, closed = np.zeros(count, np.int64), np.zeros(0, bool)
    left = np.arange(count)
    for _ in range(ROUNDS):
        found, free, odd = _patches(mesh.faces[left])
        number = len(free)
        aside = free
        if not aside.any():
            shown = np.bincount(found, seen[left], number) / np.maximum(np.bincount(found, hits[left], number), 1)
            walls = np.where(odd, shown, np.inf)
            aside = (walls < HIDDEN) & (walls == walls.min())
        gone = aside[found]
        if not gone.any():
            part[left] = found + len(closed)
            closed = np.append(closed, ~odd)
            break
        _, part_gone = np.unique(found[gone], return_inverse=True)
        part[left[gone]] = part_gone + len(closed)
        closed = np.append(closed, np.zeros(int(aside.sum()), bool))
        left = left[~gone]
        if not len(left):
            break
    else:
        part[left] = len(closed)
        closed = np.append(closed, False)
    whole = replace(mesh, piece=part.astype(np.int32), closed=closed)
    return whole.turned(inside_out(points, whole.faces, whole.normals, whole.piece, closed))


def _patches(faces: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.bool_], NDArray[np.bool_]]:
    """The patch of each face (m,), joined at edges of two faces; and of each patch whether it has a border, and whether
    it lies at a seam of an odd number of faces."""
    key = edge_keys(faces.ravel(), faces[:, [1, 2, 0]].ravel())
    order = np.argsort(key, kind="stable")
    first = np.flatnonzero(np.append(True, key[order[1:]] != key[order[:-1]]))
    uses = np.diff(np.append(first, len(key)))
    pair = first[uses == 2]
    links = order[pair] // 3, order[pair + 1] // 3
    graph = coo_matrix((np.ones(len(pair), np.int8), links), shape=(len(faces), len(faces)))
    number, patch = connected_components(graph, directed=False)
    of_edge = np.repeat(uses, uses)
    at = patch[order // 3]
    free, odd = np.zeros(number, bool), np.zeros(number, bool)
    free[at[of_edge == 1]] = True
    odd[at[(of_edge % 2 == 1) & (of_edge > 1)]] = True
    return patch, free, odd
