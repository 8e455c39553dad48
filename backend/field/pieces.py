"""Which pieces of a surface stay."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import maximum_filter

from ..geometry.topology import label_faces, signed_volumes

SUPPORT_RESOLUTION = 64
"""Cells along [-1, 1] of the grid on which a vertex near a scan point counts as supported."""
SUPPORTED_SHARE = 0.5
"""A piece stays when at least this share of its vertices is supported."""
LEAST_VOLUME = 1e-3
"""Supported pieces smaller than this share of the largest are crumbs of noise."""


def kept_faces(
    vertices: np.ndarray, faces: np.ndarray, points: np.ndarray, largest_only: bool, least: float = LEAST_VOLUME
) -> tuple[np.ndarray, int]:
    """Faces i32 (k, 3) of the pieces that stay, and how many pieces go; vertices and scan points canonical, f32 (n, 3).

    Pieces are closed. Outer pieces and the walls of cavities stay when the scan has points there, and no piece stays
    without, however large; the one with most points always stays. Pieces below the share ``least`` of the volume of the
    largest go. A cavity goes with the piece around it only if nothing supports it.
    """
    labels, count = label_faces(faces)
    if count <= 1:
        return faces, 0
    volume = signed_volumes(vertices, faces, labels, count)
    supported = _supported(vertices, points)[faces[:, 0]] if len(points) else np.zeros(len(faces), bool)
    hits = np.bincount(labels, supported, minlength=count)
    keep = hits >= SUPPORTED_SHARE * np.bincount(labels, minlength=count)
    # of an open scan most of the surface may be unseen; without points the largest counts
    keep[np.lexsort((volume, np.where(volume > 0, hits, -1)))[-1]] = True
    largest = int(np.argmax(np.where(keep, volume, -np.inf)))
    if largest_only:
        keep = np.arange(count) == largest
    keep &= np.abs(volume) >= least * volume[largest]
    return faces[keep[labels]], count - int(keep.sum())


def _supported(vertices: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Whether each vertex (n, 3) has a scan point in its cell or in one of the 26 around it."""
    cells = np.zeros((SUPPORT_RESOLUTION + 4,) * 3, bool)
    cells[tuple(_cells(points).T)] = True
    around = maximum_filter(cells, 3)
    return around[tuple(_cells(vertices).T)]


def _cells(positions: np.ndarray) -> np.ndarray:
    cell = np.floor((positions + 1) * (SUPPORT_RESOLUTION / 2)).astype(np.int32)
    return np.clip(cell, 0, SUPPORT_RESOLUTION - 1) + 2
