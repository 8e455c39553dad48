"""The borders of the holes of the active object, drawn over the 3D view with their numbers, until they are hidden.

Nothing is drawn, and no drawing module imported, where Blender has no window.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import bpy
import numpy as np
from numpy.typing import NDArray

from ..context import context
from ..scene import holes, preview
from .widgets import active_mesh

# Linear RGBA of what is ticked and what is not; orange and blue stay apart with the common colour deficiencies.
TICKED, UNTICKED = (0.95, 0.4, 0.03, 1.0), (0.2, 0.5, 1.0, 1.0)
# Pixels at scale 1.
LINE, LETTERS = 3.0, 15
# Numbers beyond would hide one another. Holes come first, the largest first.
MOST_NUMBERS = 200

_handles: list[Any] = []


class Marks(NamedTuple):
    """What is drawn of the ticked holes, or of the others."""

    colour: tuple[float, float, float, float]
    segments: NDArray[np.float32]  # (2 n, 3) world: ends in pairs
    numbers: list[tuple[int, NDArray[np.float32]]]  # of each hole, and the middle of its border


def is_shown() -> bool:
    return bool(_handles)


def show() -> None:
    """Draw the holes of the active object from now on."""
    space: Any = bpy.types.SpaceView3D
    if not _handles and not bpy.app.background:
        _handles.append(space.draw_handler_add(_draw_borders, (), "WINDOW", "POST_VIEW"))
        _handles.append(space.draw_handler_add(_draw_numbers, (), "WINDOW", "POST_PIXEL"))
    preview.redraw()


def hide() -> None:
    """Draw them no more."""
    space: Any = bpy.types.SpaceView3D
    while _handles:
        space.draw_handler_remove(_handles.pop(), "WINDOW")
    preview.redraw()


def marks(obj: Any) -> list[Marks]:
    """What is drawn of an object."""
    matrix = np.array(obj.matrix_world, np.float32)
    found = [(hole, hole.line @ matrix[:3, :3].T + matrix[:3, 3]) for hole in holes.shown(obj)]
    made = []
    for colour, use in ((UNTICKED, False), (TICKED, True)):
        lines = [(hole.number, line) for hole, line in found if hole.use == use]
        if lines:
            ends = [np.stack([line, np.roll(line, -1, axis=0)], axis=1).reshape(-1, 3) for _, line in lines]
            numbers = [(number, line.mean(axis=0)) for number, line in lines[:MOST_NUMBERS]]
            made.append(Marks(colour, np.concatenate(ends), numbers))
    return made


def _draw_borders() -> None:
    import gpu
    from gpu_extras.batch import batch_for_shader

    shader = gpu.shader.from_builtin("POLYLINE_UNIFORM_COLOR")
    shader.bind()
    shader.uniform_float("viewportSize", gpu.state.viewport_get()[2:])
    shader.uniform_float("lineWidth", LINE * context.preferences.system.ui_scale)
    for group in _marks():
        shader.uniform_float("color", group.colour)
        batch_for_shader(shader, "LINES", {"pos": group.segments.tolist()}).draw(shader)


def _draw_numbers() -> None:
    import blf
    from bpy_extras.view3d_utils import location_3d_to_region_2d

    blf.size(0, LETTERS * context.preferences.system.ui_scale)
    blf.enable(0, blf.SHADOW)
    blf.shadow(0, 3, 0.0, 0.0, 0.0, 1.0)
    for group in _marks():
        blf.color(0, *group.colour)
        for number, middle in group.numbers:
            at = location_3d_to_region_2d(context.region, context.region_data, middle.tolist())
            if at is not None:
                blf.position(0, at.x, at.y, 0)
                blf.draw(0, str(number))
    blf.disable(0, blf.SHADOW)


def _marks() -> list[Marks]:
    obj = active_mesh(context)
    return [] if obj is None or not obj.visible_get() else marks(obj)
