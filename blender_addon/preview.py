"""Streamed meshes -> temporary objects in a collection of their own; the newest frame replaces the last.

Undo and redo may bring a preview back or take one away, so each is found by its mark, never held.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from . import mesh_io

__all__ = ["remove_all_but", "show"]

NAME = "Omomi Preview"
MARK = "omomi_preview"


def show(key: str, name: str, vertices: NDArray[np.floating], faces: NDArray[np.int32]) -> None:
    """Make the preview marked ``key`` show this mesh (world frame, world units)."""
    obj = _find(key) or _new(key, name)
    mesh_io.fill_mesh(obj.data, vertices.astype(np.float32), faces)


def remove_all_but(keys: Collection[str]) -> None:
    """Remove every preview that is not marked with one of ``keys``, and the collection with the last."""
    for obj in [o for o in bpy.data.objects if MARK in o and o[MARK] not in keys]:
        mesh: Any = obj.data
        bpy.data.objects.remove(obj)
        bpy.data.meshes.remove(mesh)
    for collection in [c for c in bpy.data.collections if MARK in c and not c.all_objects]:
        bpy.data.collections.remove(collection)


def _find(key: str) -> Any | None:
    return next((obj for obj in bpy.data.objects if obj.get(MARK) == key), None)


def _new(key: str, name: str) -> Any:
    obj = bpy.data.objects.new(f"{name} ({NAME})", bpy.data.meshes.new(NAME))
    obj[MARK] = key
    obj.hide_render = True
    obj.hide_select = True
    obj.show_in_front = True
    _collection().objects.link(obj)
    return obj


def _collection() -> Any:
    root = bpy.context.scene.collection
    found = next((c for c in root.children if MARK in c), None)
    if found is None:
        found = bpy.data.collections.new(NAME)
        found[MARK] = ""
        root.children.link(found)
    return found
