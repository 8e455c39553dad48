"""Which pieces of a surface stay: the largest, and those that the scan supports."""

from __future__ import annotations

import numpy as np

from ..geometry.components import label_faces, signed_volumes

SUPPORT_RESOLUTION = 64
"""Grid (cells along [-1, 1]) on which a vertex near a scan point counts as supported."""
SUPPORTED_SHARE = 0.5
"""A piece stays when at least this share of its vertices is supported."""
LEAST_VOLUME = 1e-3
"""Supported pieces smaller than this share of the largest are crumbs of noise."""


def kept_faces(vertices: np.ndarray, faces: np.ndarray, points: np.ndarray, largest_only: bool) -> np.ndarray:
    """Faces i32 (k, 3) of the pieces that stay; vertices and scan points canonical, f32 (n, 3).

    Pieces are closed. The largest outer piece always stays; other outer pieces and the walls of cavities stay when the
    scan has points there. A cavity goes with the piece around it only if nothing supports it.
    """
    labels, count = label_faces(faces)
    if count <= 1:
        return faces
    volume = signed_volumes(vertices, faces, labels, count)
    largest = int(np.argmax(volume))
    keep = np.zeros(count, bool)
    keep[largest] = True
    if not largest_only:
        others = np.flatnonzero(labels != largest)
        corner = faces[others, 0]
        supported = _supported(vertices[corner], points)
        total = np.bincount(labels[others], minlength=count)
        share = np.bincount(labels[others], supported, minlength=count) / np.maximum(total, 1)
        keep |= (share >= SUPPORTED_SHARE) & (np.abs(volume) >= LEAST_VOLUME * volume[largest])
    return faces[keep[labels]]


def compacted(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers (k,) of the vertices that ``faces`` use, ascending, and the faces with the new numbering."""
    used = np.zeros(len(vertices), bool)
    used[faces] = True
    number = np.cumsum(used) - 1
    return np.flatnonzero(used), number[faces].astype(np.int32)


def _supported(vertices: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Whether each vertex (n, 3) has a scan point in its cell or in one of the 26 around it."""
    cells = np.zeros((SUPPORT_RESOLUTION + 4,) * 3, bool)
    at = _cells(points)
    for offset in np.ndindex(3, 3, 3):
        x, y, z = (at + np.array(offset) - 1).T
        cells[x, y, z] = True
    x, y, z = _cells(vertices).T
    return cells[x, y, z]


def _cells(positions: np.ndarray) -> np.ndarray:
    cell = np.floor((positions + 1) * (SUPPORT_RESOLUTION / 2)).astype(np.int32)
    return np.clip(cell, 0, SUPPORT_RESOLUTION - 1) + 2
