"""A thing with an inside, scanned with much noise and stray points."""

from typing import Any

import bpy

scene: Any = bpy.context.scene
settings = scene.omomi
settings.kind = "scan"
settings.denoise = 1.0
settings.fill = 0.25
settings.symmetry = True
settings.base = True
settings.keep_islands = False
settings.keep_thin = True
