"""A model of closed parts that overlap, with edges and gaps that are meant."""

from typing import Any

import bpy

scene: Any = bpy.context.scene
settings = scene.omomi
settings.kind = "solid"
settings.denoise = -1.0
settings.fill = -0.5
settings.symmetry = False
settings.base = False
settings.keep_islands = True
settings.keep_thin = True
