"""Scans of files that Blender does not read: what the backend reads of them, as an object."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from ..backend.protocol.messages import MeshFrame
from ..context import context
from ..session.task import Answer
from . import mesh_io
from .attributes import AttributeLayer, MeshAttributes, Shown
from .draft import Draft

NORMAL, COLOUR, VIEW = "normal", "Color", "view"
"""Channels that are not plain numbers."""
UVS = "UVMap"
FAR = 1000.0
"""A scan whose middle is more of its longest sides away has an origin of its own there: single precision would move its
points by more than some hundred-thousandths of that side."""


class ScanFile:
    """One file, read."""

    def __init__(self, answer: Answer) -> None:
        """answer: to a ``ReadRequest``. Raises ``PROTOCOL`` where it holds no mesh."""
        self.name = str(answer.done.result.get("name") or "scan")
        self.notes = tuple(map(str, answer.done.result.get("notes", ())))
        frame = answer.mesh
        self.points, self.faces = len(frame.vertices), len(frame.faces)
        self.place = frame.origin if is_far(frame) else (0.0, 0.0, 0.0)
        shown = replace(frame, origin=(0.0, 0.0, 0.0)) if is_far(frame) else frame
        self.draft = Draft(shown, np.eye(3), _attributes(answer), made=False)

    def put(self) -> Any:
        """The object, in the active collection, selected and active."""
        obj: Any = bpy.data.objects.new(self.name, self.draft.take(self.name))
        obj.location = self.place
        context.collection.objects.link(obj)
        obj.select_set(True)
        context.view_layer.objects.active = obj
        return obj


def is_far(frame: MeshFrame) -> bool:
    """Whether a scan needs an origin of its own."""
    side = mesh_io.longest_side(frame.vertices.astype(np.float64))
    return float(np.abs(frame.origin).max()) > FAR * side


def _attributes(answer: Answer) -> MeshAttributes:
    """What the points and the faces of a file carry."""
    done, count = answer.done, len(answer.mesh.vertices)
    values: NDArray[np.float32] = np.zeros(0, np.float32) if done.values is None else done.values
    layers, start = [], 0
    for channel in done.result.get("channels", ()):
        name, width = str(channel["name"]), int(channel["width"])
        table = values[start : start + count * width].reshape(count, width)
        start += count * width
        if name == COLOUR:
            layers.append(AttributeLayer(name, "POINT", "BYTE_COLOR", table, "color_srgb"))
        elif name == VIEW:
            layers.append(AttributeLayer(name, "POINT", "INT", table.astype(np.int32)))
        else:
            layers.append(AttributeLayer(name, "POINT", "FLOAT_VECTOR" if name == NORMAL else "FLOAT", table))
    if done.corners is not None:
        layers.append(AttributeLayer(UVS, "CORNER", "FLOAT2", done.corners.reshape(-1, 2)))
    names = [layer.name for layer in layers]
    uvs, colours = (name if name in names else "" for name in (UVS, COLOUR))
    return MeshAttributes(tuple(layers), (), np.zeros((count, 0), np.float32), (), Shown(uvs, uvs, colours, colours))
