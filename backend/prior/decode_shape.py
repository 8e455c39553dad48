"""Decode a code into a shape: the recursion conditioned on the code, with the code's own outline as evidence.

From a code alone the atom predicts the field of level 0 badly: it is better at continuing a shape than at inventing
one. The code's own coarse field is exact, so its surface, the outline, stands in for the points of a scan.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import zoom

from ..errors import ErrorCode, OmomiError
from ..field.bricks import BrickGrid, Level
from ..field.fit import FittedMesh, OnProgress, ignore, level_progress, level_surface
from ..field.isosurface import extract
from ..field.onnx_model import CancelToken, Model
from ..field.recursion import ScanEvidence, recursion
from ..field.uncertainty import Variation
from ..geometry.normals import normals_of
from ..geometry.topology import label_faces, signed_volumes
from ..protocol.fit_options import DEEPEST_LEVEL
from .codes import Codes

SOFTNESS = 0.01
"""Noise (canonical) of an outline, for the atom: it is blurred."""
UPSAMPLING = 4
"""The coarse field is interpolated to this many times its resolution, by cubic splines."""


@dataclass(frozen=True)
class Outline:
    """The surface of a code's coarse field, as the points of a scan."""

    points: NDArray[np.float32]  # (n, 3), canonical
    normals: NDArray[np.float32]  # (n, 3), outwards
    whole: float  # share of the volume in the largest piece, 0 where there is no surface


def outline_of(code: NDArray, codes: Codes) -> Outline:
    """The outline of a code (CODE,): the zero set of its coarse field."""
    fine = np.asarray(zoom(codes.field_of(code), UPSAMPLING, order=3, mode="nearest", grid_mode=True), np.float32)
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
    on_progress: OnProgress = ignore,
    cancel: CancelToken | None = None,
) -> FittedMesh:
    """The closed surface, in one piece, of the shape with a code (CODE,), canonical.

    outline: of the code; without it the atom has the code alone. variation: draws what the code leaves open; without
    it the shape is the most likely one. on_frame receives the mesh of each level, the last one with ``final`` set;
    on_progress a share 0 .. 1 and words. Raises OmomiError: CANCELLED, BAD_OPTION, NO_SURFACE where the field
    of the code has no inside.
    """
    if not 0 <= level <= DEEPEST_LEVEL:
        raise OmomiError(ErrorCode.BAD_OPTION, f"level must lie between 0 and {DEEPEST_LEVEL}, not {level}.")
    cancel = cancel or CancelToken()
    nothing = np.zeros((0, 3), np.float32)
    known = (nothing, nothing) if outline is None else (outline.points, outline.normals)
    levels: list[Level] = []
    mesh: FittedMesh | None = None
    inputs = ScanEvidence(*known, SOFTNESS, 0.0), level, model, cancel, level_progress(on_progress, level)
    for found in recursion(*inputs, code=np.asarray(code, np.float32), variation=variation):
        levels.append(found)
        if on_frame is ignore and found.number < level:
            continue
        surface = level_surface(levels, nothing, model, largest_only=True)
        cancel.raise_if_cancelled()
        mesh = None
        if surface is not None:
            positions, faces, sigma, *_ = surface
            mesh = FittedMesh(positions.astype(np.float64), faces, sigma, found.number, found.number == level)
            on_frame(mesh)
    if mesh is None or not mesh.final:
        raise OmomiError(ErrorCode.NO_SURFACE, "The model finds no surface for this code: draw another one.")
    on_progress(1.0, "done")
    return mesh
