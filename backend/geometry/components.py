"""Connected components of a triangle mesh and the volume that each encloses."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components


def label_faces(faces: np.ndarray) -> tuple[np.ndarray, int]:
    """Label i32 (m,) of each face of ``faces`` (m, 3), and the number of labels.

    Faces belong together when a chain of shared vertices joins them. Labels count from 0 in the order of the
    lowest vertex.
    """
    if len(faces) == 0:
        return np.zeros(0, np.int32), 0
    size = int(faces.max()) + 1
    ends = np.concatenate([faces[:, :2], faces[:, 1:]])
    graph = coo_matrix((np.ones(len(ends), np.int8), (ends[:, 0], ends[:, 1])), shape=(size, size))
    _, of_vertex = connected_components(graph, directed=False)
    used, labels = np.unique(of_vertex[faces[:, 0]], return_inverse=True)
    return labels.reshape(-1).astype(np.int32), len(used)


def signed_volumes(vertices: np.ndarray, faces: np.ndarray, labels: np.ndarray, count: int) -> np.ndarray:
    """Volume f64 (count,) inside each labelled component, in cubic units of ``vertices`` (n, 3).

    Positive where the normals point outwards. Meaningful for closed components only.
    """
    if len(faces) == 0:
        return np.zeros(count)
    used = vertices[faces].astype(np.float64)
    # About the middle of the mesh, because far from the origin the tetrahedra would cancel badly.
    a, b, c = (used - used.reshape(-1, 3).mean(axis=0)).transpose(1, 0, 2)
    return np.bincount(labels, (a * np.cross(b, c)).sum(axis=1) / 6, minlength=count)
