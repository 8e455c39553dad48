"""Energies of a surface: what bends it, and what it takes to cover it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .measure import weld

LARGEST_COTANGENT = 10.0
"""Of the angle of a face: slivers, which a grid leaves where it only just cuts a surface, would drown all others."""


def energies(vertices: NDArray, faces: NDArray) -> dict[str, float]:
    """{"area", "bending"} of a mesh with vertices (n, 3) and faces (m, 3).

    area: in squared units of the vertices. bending: integral of the squared mean curvature, which does not depend on
    the size; 4 pi of a sphere, and no closed surface has less (Willmore). Borders do not count.
    """
    vertices, faces = weld(np.asarray(vertices, np.float64), np.asarray(faces))
    corners = vertices[faces]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    double = np.linalg.norm(across, axis=1)
    normal, share = np.zeros_like(vertices), np.zeros(len(vertices))
    for k in range(3):
        a, b, c = (faces[:, (k + step) % 3] for step in range(3))
        one, other = vertices[b] - vertices[a], vertices[c] - vertices[a]
        with np.errstate(divide="ignore", invalid="ignore"):
            cotangent = np.einsum("na,na->n", one, other) / double
        cotangent = np.clip(np.nan_to_num(cotangent), -LARGEST_COTANGENT, LARGEST_COTANGENT)
        pull = cotangent[:, None] * (vertices[b] - vertices[c])
        np.add.at(normal, b, pull)
        np.add.at(normal, c, -pull)
        share += np.bincount(a, double / 6, len(vertices))
    edges = np.sort(np.concatenate([faces[:, [k, (k + 1) % 3]] for k in range(3)]), axis=1)
    pairs, uses = np.unique(edges, axis=0, return_counts=True)
    share[pairs[uses == 1]] = 0
    inner = share > 0
    # the mean curvature times its normal is a quarter of the pull over the vertex's share of the area
    bending = (normal[inner] ** 2).sum(axis=1) / (16 * share[inner])
    return {"area": float(double.sum() / 2), "bending": float(bending.sum())}
