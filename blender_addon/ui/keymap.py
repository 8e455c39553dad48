"""Keys. Only Esc, and only while the preview waits, or a new mesh, the numbers of holes or the colours of a check are
shown: an operator that cannot run leaves the key to the others."""

from __future__ import annotations

from typing import Any

from ..context import context

_items: list[tuple[Any, Any]] = []


def add_to_blender() -> None:
    # None where Blender has no window manager of its own.
    config: Any = context.window_manager.keyconfigs.addon
    if config is not None:
        keymap = config.keymaps.new(name="Window", space_type="EMPTY")
        for operator in ("omomi.stop_preview", "omomi.back_to_preview", "omomi.hide_holes", "omomi.hide_colours"):
            _items.append((keymap, keymap.keymap_items.new(operator, "ESC", "PRESS")))


def remove_from_blender() -> None:
    for keymap, item in _items:
        keymap.keymap_items.remove(item)
    _items.clear()
