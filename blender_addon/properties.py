"""The settings of a scene and of one run. They mean the same as on the command line."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, PointerProperty

__all__ = ["FIT_OPTIONS", "OmomiSettings", "add_to_scene", "remove_from_scene"]

LEVELS = [
    (str(level), f"{32 * 2**level}\u00b3", f"{32 * 2**level} voxels along the longest side; {note}", level)
    for level, note in enumerate(
        ("a first idea", "rough", "the usual choice", "fine", "very fine, slow", "needs much memory")
    )
]
RESULTS = [
    ("NEW", "New mesh", "Make a new object NAME.fit in the same place and hide the scan"),
    ("REPLACE", "Replace", "Give the scan's object the new mesh; the old mesh is kept as NAME.original"),
]


def _denoise() -> Any:
    return FloatProperty(
        name="Denoise",
        description="Trust the scan less (positive) or more (negative) than its measured noise suggests, in octaves",
        default=0.0, min=-2.0, max=2.0, precision=2,
    )  # fmt: skip


def _fill() -> Any:
    return FloatProperty(
        name="Fill",
        description="Close holes eagerly (positive) or reluctantly (negative)",
        default=0.0, min=-1.0, max=1.0, precision=2,
    )  # fmt: skip


def _level() -> Any:
    return EnumProperty(name="Detail", description="Resolution of the fitted field", items=LEVELS, default=2)


def _result() -> Any:
    return EnumProperty(name="Result", description="What becomes of the fitted mesh", items=RESULTS, default="NEW")


def _keep_islands() -> Any:
    return BoolProperty(
        name="Keep Islands",
        description="Keep every separate piece that the scan supports; off keeps only the largest",
        default=True,
    )


# Shared by the scene's settings and the Fit operator, so that a default is written once.
FIT_OPTIONS = {"level": _level, "denoise": _denoise, "fill": _fill, "keep_islands": _keep_islands, "result": _result}


class OmomiSettings(bpy.types.PropertyGroup):
    """``scene.omomi``"""

    __annotations__ = {name: make() for name, make in FIT_OPTIONS.items()}


def add_to_scene() -> None:
    scene: Any = bpy.types.Scene
    scene.omomi = PointerProperty(type=OmomiSettings)


def remove_from_scene() -> None:
    delattr(bpy.types.Scene, "omomi")
