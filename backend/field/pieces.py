"""Which pieces of a surface stay, and what of a scan has no surface."""

from __future__ import annotations

import numpy as np
from scipy.spatial import KDTree

from ..geometry.topology import label_faces, signed_volumes
from ..protocol.fit_options import DEEPEST_LEVEL
from .bricks import voxel_size

SUPPORT_RESOLUTION = 64
"""Cells along [-1, 1] of the grid on which a vertex near a scan point counts as supported."""
SUPPORTED_SHARE = 0.5
"""A piece stays when at least this share of its vertices is supported."""
LEAST_VOLUME = 1e-3
"""Supported pieces smaller than this share of the largest are crumbs of noise."""
LOST, LOST_POINTS, LOST_SHARE = 2.0, 5_000, 0.01
"""A point of the scan is lost where no vertex is within so many voxels; so many points are looked at; a larger share of
them is said."""
HELD = 1.5
"""Voxels. A wall of this thickness keeps most of its surface. Chosen on a disc and a plate that level 3 keeps whole."""


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


def lost_share(vertices: np.ndarray, points: np.ndarray, voxel: float) -> float:
    """Share of scan points f32 (n, 3) that no vertex f32 (m, 3) is near; all canonical, as is the width of a voxel."""
    some = points[:: max(1, len(points) // LOST_POINTS)]
    distance = KDTree(vertices).query(some, distance_upper_bound=LOST * voxel)[0]
    return float(np.mean(~np.isfinite(distance)))


def said_of_loss(share: float, thickness: float, level: int) -> tuple[str, ...]:
    """What an artist should know of it. thickness: mean one of a solid's parts, canonical; 0 where it is unknown."""
    if share < LOST_SHARE:
        return ()
    lost = f"{share:.0%} of the input has no surface near it"
    finer = [number for number in range(level + 1, DEEPEST_LEVEL + 1) if thickness >= HELD * voxel_size(number)]
    if not thickness or thickness >= HELD * voxel_size(level):
        return (f"{lost}: it is too small or too thin for this level of detail.",)
    if not finer:
        return (f"{lost}: it is thinner than a voxel of the finest level.",)
    return (f"{lost}: it is thinner than a voxel of level {level}. Level {finer[0]} keeps it.",)


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
