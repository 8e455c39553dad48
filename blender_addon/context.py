"""Blender's context. Wherever the add-on runs it has a scene, a view layer and a window manager, which the stubs of
Blender do not know."""

from typing import Any

import bpy


class _Context:
    """Looks ``bpy.context`` up at each use: while Blender imports an add-on, a context without a scene stands there."""

    def __getattr__(self, name: str) -> Any:
        return getattr(bpy.context, name)


context: Any = _Context()
