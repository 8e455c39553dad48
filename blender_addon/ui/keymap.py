"""Keys. Only Esc, and only while a new mesh is shown: an operator that cannot run leaves the key to the others."""

from __future__ import annotations

from typing import Any

from ..context import context

_items: list[tuple[Any, Any]] = []


def add_to_blender() -> None:
    # None where Blender has no window manager of its own.
    config: Any = context.window_manager.keyconfigs.addon
    if config is not None:
        keymap = config.keymaps.new(name="Window", space_type="EMPTY")
        _items.append((keymap, keymap.keymap_items.new("omomi.back_to_preview", "ESC", "PRESS")))


def remove_from_blender() -> None:
    for keymap, item in _items:
        keymap.keymap_items.remove(item)
    _items.clear()
