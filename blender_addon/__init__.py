"""Omomi in Blender. Registering starts no process, opens no socket and imports nothing heavy."""

from __future__ import annotations

import atexit
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
from bpy.app.handlers import persistent

from . import operators, translations
from .scene import holes, preview, scratch
from .session import backend_fit, fits, live, place_watch, process
from .ui import colour_overlay, hole_overlay, keymap, manual, menus, panels, preferences, properties, widgets

FOLDER = str(Path(__file__).parent)
"""Has the presets that come with Omomi."""
CLASSES = (
    *properties.CLASSES,
    preferences.OmomiPreferences,
    *operators.CLASSES,
    *widgets.CLASSES,
    *panels.CLASSES,
    *menus.CLASSES,
)


@persistent
def _on_load_pre(*_: Any) -> None:
    live.stop()
    fits.abort()
    backend_fit.forget_all()
    hole_overlay.hide()
    colour_overlay.hide()
    holes.forget_all()


@persistent
def _on_load(*_: Any) -> None:
    fits.sweep_previews()
    place_watch.note_all()


@persistent
def _on_update(*_: Any) -> None:
    live.after_update()


@persistent
def _on_save(*_: Any) -> None:
    # Previews are in the window alone; what is veiled for one is veiled again a moment later.
    preview.put_aside()


@persistent
def _on_saved(*_: Any) -> None:
    preview.bring_back()


@persistent
def _on_history(*_: Any) -> None:
    fits.sweep_previews()
    scratch.sweep()
    live.after_history()


@persistent
def _on_exit(*_: Any) -> None:
    process.close()


def _handlers() -> list[tuple[list[Any], Callable[..., None]]]:
    handlers: Any = bpy.app.handlers
    pairs = [(handlers.load_pre, _on_load_pre)]
    pairs += [(handlers.load_post, _on_load), (handlers.save_pre, _on_save)]
    pairs += [(handlers.save_post, _on_saved), (handlers.save_post_fail, _on_saved)]
    pairs.append((handlers.depsgraph_update_post, _on_update))
    pairs += [(handlers.undo_post, _on_history), (handlers.redo_post, _on_history)]
    # From 5.1 on; before, only atexit tells.
    if hasattr(handlers, "exit_pre"):
        pairs.append((handlers.exit_pre, _on_exit))
    return pairs


def register() -> None:
    translations.register(CLASSES)
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    bpy.utils.register_preset_path(FOLDER)
    properties.add_to_blender()
    keymap.add_to_blender()
    menus.add_to_blender()
    manual.add_to_blender()
    for handlers, function in _handlers():
        handlers.append(function)
    atexit.register(process.close)


def unregister() -> None:
    live.stop()
    fits.abort()
    hole_overlay.hide()
    colour_overlay.hide()
    process.close()
    atexit.unregister(process.close)
    for handlers, function in _handlers():
        handlers.remove(function)
    manual.remove_from_blender()
    menus.remove_from_blender()
    keymap.remove_from_blender()
    properties.remove_from_blender()
    bpy.utils.unregister_preset_path(FOLDER)
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
    translations.unregister()
