"""The part of a triangle mesh where a value given at its vertices is not above zero."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def clipped(faces: NDArray, values: NDArray) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """Cut a mesh with faces (m, 3) where ``values`` (n,) at its vertices pass zero.

    Returns edges (k, 2) and shares (k,) of the new vertices, which lie at (1 - share) * first + share * second and
    follow the n old ones, and the faces (q, 3) of the part that stays. Edges are cut once for both their faces.
    """
    faces = np.asarray(faces, np.int64)
    kept = values <= 0
    inside = kept[faces]
    count = inside.sum(axis=1)
    one, two = faces[count == 1], faces[count == 2]
    # the odd corner comes first: the kept one of one, the lost one of two
    one = np.take_along_axis(one, (np.argmax(inside[count == 1], axis=1)[:, None] + np.arange(3)) % 3, axis=1)
    two = np.take_along_axis(two, (np.argmin(inside[count == 2], axis=1)[:, None] + np.arange(3)) % 3, axis=1)
    crossed = np.concatenate([one[:, [0, 1]], one[:, [0, 2]], two[:, [0, 1]], two[:, [0, 2]]])
    edges, number = np.unique(np.sort(crossed, axis=1), axis=0, return_inverse=True)
    number = number.reshape(-1) + len(values)
    first, second, third, fourth = np.split(number, np.cumsum([len(one), len(one), len(two)]))
    pieces = [
        faces[count == 3],
        np.stack([one[:, 0], first, second], axis=1),
        np.stack([third, two[:, 1], two[:, 2]], axis=1),
        np.stack([third, two[:, 2], fourth], axis=1),
    ]
    low, high = values[edges].T.astype(np.float64) if len(edges) else np.zeros((2, 0))
    return edges, low / (low - high), np.concatenate(pieces)
