"""What a check has painted, shown in all 3D views with a legend, until it is hidden: then they look as before.

Nothing is drawn, and no drawing module imported, where Blender has no window.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import bpy
import numpy as np

from ..context import context
from ..scene import mesh_io, preview, units
from ..translations import told
from .widgets import active_mesh

# Pixels at scale 1: the bar, its distance from the lower left corner, and the letters.
WIDTH, HEIGHT, MARGIN, LETTERS = 220, 12, 24, 12
SHOWN = ("SOLID", "VERTEX")
"""How a view shows the colours."""
STEPS = 32
"""Rectangles of the bar."""


class Legend(NamedTuple):
    """What the colours of a check mean."""

    title: str
    colours: Any  # f32 (STEPS, 4) sRGB, from the left to the right
    low: str
    high: str


_handles: list[Any] = []
_shown = ""
# How each view was shaded and coloured before.
_before: dict[int, tuple[str, str]] = {}


def shown() -> str:
    """Which colours are shown, of those of `mesh_io`; empty for none."""
    return _shown


def show(colours: str) -> None:
    """Show these colours, ``mesh_io.COLOUR`` or ``mesh_io.DEPARTURE``, of every mesh that has them."""
    global _shown
    _shown = colours
    for mesh in bpy.data.meshes:
        if mesh.library is None and (painted := mesh.color_attributes.get(colours)) is not None:
            mesh.color_attributes.active_color = painted
    for shading in _shadings():
        _before.setdefault(shading.as_pointer(), (shading.type, shading.color_type))
        shading.type, shading.color_type = SHOWN
    space: Any = bpy.types.SpaceView3D
    if not _handles and not bpy.app.background:
        _handles.append(space.draw_handler_add(_draw, (), "WINDOW", "POST_PIXEL"))
    preview.redraw()


def hide() -> None:
    """Colour the views as before."""
    global _shown
    _shown = ""
    for shading in _shadings():
        before = _before.get(shading.as_pointer())
        if before is not None and shading.color_type == SHOWN[1]:
            shading.color_type = before[1]
            if shading.type == SHOWN[0]:
                shading.type = before[0]
    _before.clear()
    space: Any = bpy.types.SpaceView3D
    while _handles:
        space.draw_handler_remove(_handles.pop(), "WINDOW")
    preview.redraw()


def legend(obj: Any, colours: str) -> Legend:
    """What these colours say of an object, in units of the scene."""
    if colours == mesh_io.DEPARTURE:
        deviations = np.linspace(-mesh_io.ALIEN, mesh_io.ALIEN, STEPS, dtype=np.float32)
        painted = mesh_io.departure_colours(deviations)
        return Legend("Departure from the family", _screen(painted), "falls short", "stands out")
    size = max(obj.dimensions)
    low, high = mesh_io.SURE * size, mesh_io.GUESSED * size
    painted = mesh_io.uncertainty_colours(np.geomspace(low, high, STEPS, dtype=np.float32), size)
    ends = (f"{units.shown('LENGTH', value)}, {word}" for value, word in ((low, "measured"), (high, "guessed")))
    return Legend("Error to expect", _screen(painted), *ends)


def _shadings() -> list[Any]:
    return [space.shading for area in preview.view_areas() for space in area.spaces if space.type == "VIEW_3D"]


def _screen(linear: Any) -> Any:
    """Linear colours as a screen shows them."""
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055)
    srgb[:, 3] = 1.0
    return srgb


def _draw() -> None:
    import blf
    import gpu
    from gpu_extras.batch import batch_for_shader

    obj = active_mesh(context)
    if obj is None or _shown not in obj.data.attributes:
        return
    shown, scale = legend(obj, _shown), context.preferences.system.ui_scale
    left, width, height, line = MARGIN * scale, WIDTH * scale, HEIGHT * scale, 1.6 * LETTERS * scale
    bottom = MARGIN * scale + line
    edges = left + width * np.arange(STEPS + 1) / STEPS
    corners = [[(a, bottom), (b, bottom), (b, bottom + height), (a, bottom + height)] for a, b in pairwise(edges)]
    triangles = np.arange(0, 4 * STEPS, 4)[:, None] + [0, 1, 2, 0, 2, 3]
    shader = gpu.shader.from_builtin("SMOOTH_COLOR")
    content = {"pos": np.concatenate(corners).tolist(), "color": np.repeat(shown.colours, 4, axis=0).tolist()}
    batch_for_shader(shader, "TRIS", content, indices=triangles.reshape(-1, 3).tolist()).draw(shader)
    blf.size(0, LETTERS * scale)
    blf.color(0, 1.0, 1.0, 1.0, 1.0)
    blf.enable(0, blf.SHADOW)
    blf.shadow(0, 3, 0.0, 0.0, 0.0, 1.0)
    title, low, high = told(shown.title), told(shown.low), told(shown.high)
    right = left + width - blf.dimensions(0, high)[0]
    below, above = bottom - line, bottom + height + 0.5 * line
    for text, x, y in ((title, left, above), (low, left, below), (high, max(right, left), below)):
        blf.position(0, x, y, 0)
        blf.draw(0, text)
    blf.disable(0, blf.SHADOW)
