"""A surface that stays open."""

from typing import Any

import bpy

scene: Any = bpy.context.scene
settings = scene.omomi
settings.kind = "sheet"
settings.denoise = 0.0
settings.fill = 0.0
settings.symmetry = False
settings.base = False
settings.keep_islands = True
settings.keep_thin = True
