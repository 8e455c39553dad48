"""What one movement does to a mesh, without a scan that is open for edits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.edits.displacement import Edited, Movement, combine, displacement_of, masked
from backend.edits.masks import Mask
from backend.geometry.normals import normals_of


def apply_movement(
    movement: Movement, strength: float, vertices: NDArray, faces: NDArray, mask: Mask | None = None
) -> Edited:
    """What one movement at a strength does to canonical vertices (n, 3) of a mesh with faces (m, 3)."""
    vertices = np.asarray(vertices, np.float64)
    if strength == 0:
        return combine([], [], vertices, faces)
    normals = normals_of(vertices, faces)
    part = displacement_of(movement, vertices, normals)
    part = part if mask is None else masked(part, mask, vertices, normals)
    return combine([part], [strength], vertices, faces)
