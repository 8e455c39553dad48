"""Measures in the units of the scene."""

from __future__ import annotations

import bpy

from ..context import context

POWERS = {"LENGTH": 1, "AREA": 2, "VOLUME": 3}


def shown(kind: str, value: float) -> str:
    """A length, area or volume in Blender's own units, as Blender writes it; kind: one of `POWERS`."""
    units = context.scene.unit_settings
    scaled = value * units.scale_length ** POWERS[kind]
    written: str = bpy.utils.units.to_string(units.system, kind, scaled, precision=4)
    return written
