"""Blender's context. Wherever the add-on runs it has a scene, a view layer and a window manager, which the stubs of
Blender do not know."""

from typing import Any

import bpy

context: Any = bpy.context
