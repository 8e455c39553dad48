"""What a mesh carries, on the new faces of a patch: from the border inwards."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from ..formats.addition import Addition
from ..formats.raw_scan import RawScan
from ..geometry.membrane import harmonic
from ..scan.hole_fill import vertex_normals_of
from .patch import ClosedHole, Patch


def addition(raw: RawScan, patch: Patch) -> Addition:
    """A patch with all that its new faces carry on, for a file or a request."""
    assert raw.faces is not None
    points = raw.points
    near = np.zeros(len(patch.vertices), np.int64)
    if len(near):
        loops = np.concatenate([one.hole.loop for one in patch.closed if len(one.vertices)])
        near = loops[KDTree(points[loops]).query(patch.vertices)[1]]
    vertices = np.concatenate([points, patch.vertices])
    # of the surface around the new faces only: normals of the others are not asked for
    touched = np.zeros(len(vertices), bool)
    touched[patch.faces] = True
    around = np.concatenate([raw.faces[touched[raw.faces].any(axis=1)], patch.faces])
    used, local = np.unique(around, return_inverse=True)
    normals = np.zeros_like(vertices)
    normals[used] = vertex_normals_of(vertices[used], local.reshape(-1, 3))
    return Addition(
        patch.vertices,
        patch.faces.astype(np.int64),
        np.where(touched[:, None], normals, 0),
        lambda values: vertex_values(points, patch, values),
        lambda values: corner_values(points, patch, values),
        near.astype(np.int64),
        face_sources(points, patch),
    )


def vertex_values(points: NDArray, patch: Patch, values: NDArray) -> NDArray[np.float64]:
    """Values (k, c) of the new vertices of a patch, harmonic between those of the border: colours, weights.

    points: (n, 3) of the mesh, with values (n, c). They stay between the least and the greatest of a hole's border.
    """
    values = np.asarray(values, np.float64)
    count = len(points)
    found = np.zeros((len(patch.vertices), values.shape[1]))
    if not len(found):
        return found
    used, faces = np.unique(patch.faces, return_inverse=True)
    vertices = np.concatenate([points, patch.vertices])[used]
    free = used >= count
    known = np.where(free[:, None], 0.0, values[np.where(free, 0, used)])
    found[used[free] - count] = harmonic(vertices, faces.reshape(-1, 3), free, known)[free]
    return found


def face_sources(points: NDArray, patch: Patch) -> NDArray[np.int64]:
    """The face of the mesh at the border edge nearest to each new face (j,): for materials and smooth flags."""
    parts = [one.hole.corners[_nearest_edges(points, one), 0] // 3 for one in patch.closed]
    return np.concatenate([np.zeros(0, np.int64), *parts])


def corner_values(points: NDArray, patch: Patch, values: NDArray) -> NDArray[np.float64]:
    """Values (j, 3, c) at the corners of a patch's new faces: UVs. values: (m, 3, c) of the mesh's.

    Harmonic between the corners at the border. Where a seam runs through the hole, its border is cut there into runs
    without a jump; each face takes the run next to it, continued as far as the face, so that none stretches across.
    """
    values = np.asarray(values, np.float64)
    size = values.shape[-1]
    flat = values.reshape(-1, size)
    parts = [_of_hole(points, one, flat) for one in patch.closed]
    return np.concatenate([np.zeros((0, 3, size)), *parts])


def _of_hole(points: NDArray, one: ClosedHole, flat: NDArray) -> NDArray[np.float64]:
    if not len(one.faces):
        return np.zeros((0, 3, flat.shape[1]))
    start, end = (flat[one.hole.corners[:, side]] for side in range(2))
    # a new run starts where the value at a vertex is not the one with which the edge before it ended
    run = np.cumsum((start != np.roll(end, 1, axis=0)).any(axis=1))
    run %= max(int(run[-1]), 1)
    used, faces = np.unique(one.faces, return_inverse=True)
    faces = faces.reshape(-1, 3)
    vertices = np.concatenate([points, one.vertices])[used]
    place = np.searchsorted(used, one.hole.loop)
    run_of_face = run[_nearest_edges(points, one)]
    found = np.zeros((*faces.shape, flat.shape[1]))
    for number in np.unique(run_of_face):
        edges = np.flatnonzero(run == number)
        known = np.zeros((len(used), flat.shape[1]))
        free = np.ones(len(used), bool)
        for at, of_edges in ((place[(edges + 1) % len(place)], end[edges]), (place[edges], start[edges])):
            known[at], free[at] = of_edges, False
        chosen = run_of_face == number
        found[chosen] = harmonic(vertices, faces, free, known)[faces[chosen]]
    return found


def _nearest_edges(points: NDArray, one: ClosedHole) -> NDArray[np.int64]:
    """The border edge (j,) of a hole nearest to the middle of each of its new faces."""
    if not len(one.faces):
        return np.zeros(0, np.int64)
    border = points[one.hole.loop]
    middles = np.concatenate([points, one.vertices])[one.faces].mean(axis=1)
    found = KDTree((border + np.roll(border, -1, axis=0)) / 2).query(middles)[1]
    return np.asarray(found, np.int64)
