"""The outline of a code: the coarse surface that it stands for, as the evidence of a scan would be.

Told nothing but a code the atom guesses the level-0 field badly: its weights can say how a shape goes on far better
than what shape it is. The code's own field, which is exact by construction, gives it points to begin with.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import zoom

from ..edits.displacement import normals_of
from ..field.bricks import BrickGrid
from ..field.isosurface import extract
from ..geometry.components import label_faces, signed_volumes
from .codes import Codes

FINER = 4
"""The coarse field is interpolated to this many times its resolution, by cubic splines."""


@dataclass(frozen=True)
class Outline:
    """points, normals f32 (n, 3), canonical, normals outwards; whole: share of the volume that is in the largest
    piece, 0 where there is no surface."""

    points: NDArray[np.float32]
    normals: NDArray[np.float32]
    whole: float


def outline_of(code: NDArray, codes: Codes) -> Outline:
    """The outline of a code (CODE,)."""
    fine = np.asarray(zoom(codes.field_of(code), FINER, order=3, mode="nearest", grid_mode=True), np.float32)
    surface = extract(BrickGrid.from_dense(fine[None]))
    if not len(surface.faces):
        return Outline(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.float32), 0.0)
    points = (surface.vertices + np.float32(0.5)) * np.float32(2 / len(fine)) - np.float32(1)
    labels, count = label_faces(surface.faces)
    # hollows count against the piece around them
    volumes = signed_volumes(points, surface.faces, labels, count)
    whole = float(volumes.max() / np.maximum(volumes, 0).sum())
    return Outline(points, normals_of(points, surface.faces).astype(np.float32), whole)
