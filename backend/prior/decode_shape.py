"""Shapes that nobody scanned: the recursion told a code, with the code's own outline for evidence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import zoom

from ..errors import ErrorCode, OmomiError
from ..field.bricks import BrickGrid, Level
from ..field.fit import FINEST_SHARE, FittedMesh, ignore, level_surface
from ..field.isosurface import extract
from ..field.onnx_model import CancelToken, Model
from ..field.recursion import recursion
from ..field.uncertainty import Variation
from ..geometry.normals import normals_of
from ..geometry.topology import label_faces, signed_volumes
from ..protocol.fit_options import DEEPEST_LEVEL
from .codes import Codes

SOFTNESS = 0.01
"""Noise (canonical) that the atom is told: an outline is soft."""
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


def decode_shape(
    code: np.ndarray,
    model: Model,
    level: int = 2,
    *,
    outline: Outline | None = None,
    variation: Variation | None = None,
    on_frame: Callable[[FittedMesh], None] = ignore,
    on_progress: Callable[[float, str], None] = ignore,
    cancel: CancelToken | None = None,
) -> FittedMesh:
    """The closed surface, in one piece, of the shape with a code (CODE,), canonical.

    outline: of the code, to begin with; without it the atom has the code alone. variation: draws what the code leaves
    open, else it is the most likely shape. on_frame receives the mesh of each level, the last one with ``final`` set;
    on_progress a share 0 .. 1 and words. Raises OmomiError: CANCELLED, BAD_OPTION, NO_SURFACE where the code is of no
    shape.
    """
    if not 0 <= level <= DEEPEST_LEVEL:
        raise OmomiError(ErrorCode.BAD_OPTION, f"level must lie between 0 and {DEEPEST_LEVEL}, not {level}.")
    cancel = cancel or CancelToken()

    def progress(number: int, done: int, of: int) -> None:
        before, whole = (sum(FINEST_SHARE**k for k in range(count)) for count in (number, level + 1))
        on_progress((before + done / of * FINEST_SHARE**number) / whole, f"level {number} of {level}")

    nothing = np.zeros((0, 3), np.float32)
    known = (nothing, nothing) if outline is None else (outline.points, outline.normals)
    levels: list[Level] = []
    mesh: FittedMesh | None = None
    asked = *known, SOFTNESS, 0.0, level, model, cancel, progress
    for found in recursion(*asked, code=np.asarray(code, np.float32), variation=variation):
        levels.append(found)
        surface = level_surface(levels, nothing, model, largest_only=True)
        cancel.raise_if_cancelled()
        mesh = None
        if surface is not None:
            positions, faces, sigma = surface
            mesh = FittedMesh(positions.astype(np.float64), faces, sigma, found.number, found.number == level)
            on_frame(mesh)
    if mesh is None or not mesh.final:
        raise OmomiError(ErrorCode.NO_SURFACE, "The model imagines no surface for this code: draw another one.")
    on_progress(1.0, "done")
    return mesh
