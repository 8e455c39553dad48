"""Omomi in Blender. Registering starts no process, opens no socket and imports nothing heavy."""

from __future__ import annotations

import atexit
from collections.abc import Callable
from typing import Any

import bpy
from bpy.app.handlers import persistent

from . import jobs, operators, panels, preferences, process, properties

CLASSES = (properties.OmomiSettings, preferences.OmomiPreferences, *operators.CLASSES, *panels.CLASSES)


@persistent
def _on_load_pre(*_: Any) -> None:
    jobs.abort()


@persistent
def _on_history(*_: Any) -> None:
    jobs.sweep_previews()


@persistent
def _on_exit(*_: Any) -> None:
    process.close()


def _handlers() -> list[tuple[list[Any], Callable[..., None]]]:
    handlers: Any = bpy.app.handlers
    pairs = [(handlers.load_pre, _on_load_pre)]
    pairs += [(getattr(handlers, name), _on_history) for name in ("load_post", "undo_post", "redo_post")]
    # From 5.1 on; before, only atexit tells.
    if hasattr(handlers, "exit_pre"):
        pairs.append((handlers.exit_pre, _on_exit))
    return pairs


def register() -> None:
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    properties.add_to_scene()
    for handlers, function in _handlers():
        handlers.append(function)
    atexit.register(process.close)


def unregister() -> None:
    jobs.abort()
    process.close()
    atexit.unregister(process.close)
    for handlers, function in _handlers():
        handlers.remove(function)
    properties.remove_from_scene()
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
