"""Shapes that nobody scanned: the recursion told a code, with the code's own outline for evidence."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..errors import ErrorCode, OmomiError
from ..field.components_filter import compacted, kept_faces
from ..field.fit import DEEPEST_LEVEL, FINEST_SHARE, FittedMesh, ignore
from ..field.isosurface import extract
from ..field.onnx_model import CancelToken, Model
from ..field.recursion import Level, recursion
from ..field.uncertainty import vertex_sigma
from ..field.variation import Variation
from .outline import Outline

SOFTNESS = 0.01
"""Noise (canonical) that the atom is told: an outline is soft."""


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
        mesh = _surface(levels, model, found.number == level)
        cancel.raise_if_cancelled()
        if mesh is not None:
            on_frame(mesh)
    if mesh is None or not mesh.final:
        raise OmomiError(ErrorCode.NO_SURFACE, "The model imagines no surface for this code: draw another one.")
    on_progress(1.0, "done")
    return mesh


def _surface(levels: list[Level], model: Model, final: bool) -> FittedMesh | None:
    """The largest piece of the last of ``levels``; None where there is no inside, as of thin walls on coarse levels."""
    level = levels[-1]
    surface = extract(level.grid, sides=level.bricks)
    if len(surface.faces) == 0:
        return None
    positions = (surface.vertices + np.float32(0.5)) * np.float32(level.voxel) - np.float32(1)
    used, faces = compacted(positions, kept_faces(positions, surface.faces, positions[:0], largest_only=True))
    factors = model.card.get("sigma_factors", [1.0])
    sigma = vertex_sigma(positions[used], surface.values[used, 0], levels, factors)
    return FittedMesh(positions[used].astype(np.float64), faces, sigma, level.number, final)
