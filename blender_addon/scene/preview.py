"""Streamed meshes -> temporary objects in a collection of their own; the newest frame replaces the last.

Undo and redo may bring a preview back or take one away, so each is found by its mark, never held.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterator
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix
from numpy.typing import NDArray

from ..context import context
from . import mesh_io

NAME = "Omomi Preview"
MARK = "omomi_preview"
# Of the faces, so that only positions are written while they stay.
SHOWN = "omomi_preview_faces"
# On an object that is veiled: its own display type. Undo and files bring back both or neither.
VEILED = "omomi_display_type"

# Key, name, vertices, faces and matrix of each preview that is not in the file while that is saved.
_aside: list[tuple[str, str, NDArray[np.float32], NDArray[np.int32], NDArray[np.float64]]] = []


def show(key: str, name: str, vertices: NDArray[np.floating], faces: NDArray[np.int32]) -> None:
    """Make the preview marked ``key`` show this mesh (world frame, world units)."""
    obj: Any = _found(key) or _new(key, name)
    carry(key, np.eye(4))
    mesh = obj.data
    if len(mesh.vertices) == len(vertices) and len(mesh.polygons) == len(faces) and obj.get(SHOWN) == _digest(faces):
        mesh_io.move_vertices(mesh, vertices.astype(np.float32))
    else:
        mesh_io.fill_mesh(mesh, vertices.astype(np.float32), faces)
        obj[SHOWN] = _digest(faces)


def carry(key: str, matrix: NDArray[np.float64]) -> None:
    """Place the preview marked ``key``: matrix (4, 4) from where it was shown."""
    obj = _found(key)
    # Blender keeps place, turn and scale in f32, and would draw anew for the last bit.
    if obj is not None and not np.allclose(np.array(obj.matrix_basis), matrix, 1e-6, 1e-7):
        obj.matrix_basis = Matrix(matrix.tolist())


def remove(key: str) -> None:
    """Remove the preview marked ``key``."""
    remove_all_but({obj[MARK] for obj in bpy.data.objects if MARK in obj} - {key})


def remove_all_but(keys: Collection[str]) -> None:
    """Remove every preview that is not marked with one of ``keys``, and the collection with the last. No object but
    those with these uids stays veiled."""
    remove_objects([obj for obj in bpy.data.objects if MARK in obj and obj[MARK] not in keys], MARK)
    unveil_all_but(keys)


def veil(obj: Any) -> None:
    """Draw no more than the box of an object: its surface would be seen through the holes of its preview. It stays
    selected and active."""
    if VEILED not in obj and obj.library is None:
        obj[VEILED] = obj.display_type
        obj.display_type = "BOUNDS"


def unveil_all_but(keys: Collection[str]) -> None:
    """Draw all objects as before, but for those with these uids."""
    for obj in [obj for obj in bpy.data.objects if VEILED in obj and str(obj.session_uid) not in keys]:
        unveil(obj)


def put_aside() -> None:
    """Take all previews out of the file, which is about to be saved, until `bring_back`."""
    for obj in [obj for obj in bpy.data.objects if MARK in obj]:
        mesh: Any = obj.data
        vertices = mesh_io.read_values(mesh.vertices, "co", (len(mesh.vertices), 3))
        # previews are made of triangles
        faces = mesh_io.read_values(mesh.attributes[".corner_vert"].data, "value", (len(mesh.polygons), 3), np.int32)
        name, matrix = obj.name.partition(f" ({NAME})")[0], np.array(obj.matrix_basis)
        _aside.append((obj[MARK], name, vertices, faces, matrix))
    remove_all_but(())


def bring_back() -> None:
    """Show again what was put aside."""
    for key, name, vertices, faces, matrix in _aside:
        show(key, name, vertices, faces)
        carry(key, matrix)
    _aside.clear()


def unveil(obj: Any) -> None:
    """Draw an object as before."""
    if VEILED in obj:
        obj.display_type = obj[VEILED]
        del obj[VEILED]


def remove_objects(objects: list[Any], mark: str) -> None:
    """Remove objects with their meshes, and the collections with this mark that are empty then."""
    for obj in objects:
        mesh_io.discard(obj)
    for collection in [c for c in bpy.data.collections if mark in c and not c.all_objects]:
        bpy.data.collections.remove(collection)


def marked_collection(mark: str, name: str) -> Any:
    """The collection of the scene with this mark; a new one with this name where there is none."""
    root = context.scene.collection
    found = next((c for c in root.children if mark in c), None)
    if found is None:
        found = bpy.data.collections.new(name)
        found[mark] = True
        root.children.link(found)
    return found


def view_areas() -> Iterator[Any]:
    """The 3D views of all windows."""
    for window in context.window_manager.windows:
        yield from (area for area in window.screen.areas if area.type == "VIEW_3D")


def redraw() -> None:
    """Have all 3D views drawn again."""
    for area in view_areas():
        area.tag_redraw()


def _found(key: str) -> Any | None:
    return next((obj for obj in bpy.data.objects if obj.get(MARK) == key), None)


def _digest(faces: NDArray[np.int32]) -> str:
    return f"{zlib.crc32(faces.tobytes()):08x}"


def _new(key: str, name: str) -> Any:
    obj = bpy.data.objects.new(f"{name} ({NAME})", bpy.data.meshes.new(NAME))
    obj[MARK] = key
    obj.hide_render = True
    obj.hide_select = True
    obj.show_in_front = True
    marked_collection(MARK, NAME).objects.link(obj)
    return obj
