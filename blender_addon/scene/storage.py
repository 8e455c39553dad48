"""Values of all elements of a mesh, read and written in slices, between which Blender draws and listens.

``foreach_get`` and ``foreach_set`` take all elements in one call. Elements that lie one after the other in memory are
copied from there instead, some at a time. They may have moved when a slice begins, and so it asks anew where they are;
within a slice nothing else runs.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, TypeAlias

import bpy
import numpy as np
from numpy.typing import NDArray

from ..session.slices import Pause, Sliced, in_thread

STORED: dict[str, tuple[Any, int]] = {
    "FLOAT": (np.float32, 1), "FLOAT2": (np.float32, 2), "FLOAT_VECTOR": (np.float32, 3),
    "FLOAT_COLOR": (np.float32, 4), "BYTE_COLOR": (np.uint8, 4), "QUATERNION": (np.float32, 4),
    "FLOAT4X4": (np.float32, 16), "INT": (np.int32, 1), "INT8": (np.int8, 1), "INT16_2D": (np.int16, 2),
    "INT32_2D": (np.int32, 2), "BOOLEAN": (np.bool_, 1), "TRIANGLE": (np.int32, 3),
}  # fmt: skip
"""Type and number of the values of an element in memory, by Blender's name of the type of an attribute, or for a
triangle of corners."""
COPIED = 1 << 23
"""Bytes that are copied in some milliseconds."""
CONVERTED = 1 << 17
"""Colours that Blender converts in as long."""

Elements: TypeAlias = Callable[[], Any]
"""Finds a collection of Blender's, of which nothing is held from one slice to the next."""


def read(elements: Elements, kind: str, member: str, width: int, dtype: Any, text: str) -> Sliced:
    """Values (n, width) of this member of all elements, which are stored as of an attribute of this type: what
    ``foreach_get`` gives."""
    count = len(elements())
    # Blender has just copied what the mesh shared with another.
    yield Pause(text)
    stored, number = STORED[kind]

    def room() -> tuple[NDArray[Any], NDArray[Any]]:
        # To touch memory for the first time takes longer than to copy there.
        values = np.ones((count, width), dtype)
        as_stored = kind == "BYTE_COLOR" or values.dtype == stored
        return values, values if as_stored else np.ones((count, number), stored)

    values, kept = yield from in_thread(room, text)

    def copy(start: int, end: int, place: int) -> None:
        ctypes.memmove(kept[start:end].ctypes.data, place, kept[start:end].nbytes)

    def convert(start: int, end: int, place: int) -> None:
        _convert(values[start:end], member, lambda own, size: ctypes.memmove(own, place, size))

    do, step = (convert, CONVERTED) if kind == "BYTE_COLOR" else (copy, COPIED // (kept.itemsize * number))
    if not (yield from _sliced(elements, count, np.dtype(stored).itemsize * number, step, do, text)):
        elements().foreach_get(member, values.reshape(-1))
        yield Pause(text)
    elif kept is not values:
        values = yield from in_thread(lambda: kept.astype(dtype), text)
    return values


def write(elements: Elements, kind: str, member: str, values: NDArray[Any], text: str) -> Sliced:
    """Give all elements, stored as of an attribute of this type, values (n, width) of this member: as ``foreach_set``
    does. The mesh must be one that Blender shows nowhere, and updated afterwards."""
    count = len(elements())
    yield Pause(text)
    stored, number = STORED[kind]
    as_stored = values.dtype if kind == "BYTE_COLOR" else stored
    kept = yield from in_thread(lambda: np.ascontiguousarray(values, as_stored), text)

    def copy(start: int, end: int, place: int) -> None:
        ctypes.memmove(place, kept[start:end].ctypes.data, kept[start:end].nbytes)

    def convert(start: int, end: int, place: int) -> None:
        _convert(kept[start:end], member, lambda own, size: ctypes.memmove(place, own, size), given=True)

    do, step = (convert, CONVERTED) if kind == "BYTE_COLOR" else (copy, COPIED // (kept.itemsize * number))
    if not (yield from _sliced(elements, count, np.dtype(stored).itemsize * number, step, do, text)):
        elements().foreach_set(member, np.ascontiguousarray(values).reshape(-1))
        yield Pause(text)


def address(elements: Any, count: int, size: int) -> int | None:
    """Where these elements lie one after the other, of ``size`` bytes each; None where they do not. Blender promises no
    such layout, so the first and the last have to be as far apart as it puts them."""
    if count < 2:
        return None
    first, last = elements[0].as_pointer(), elements[count - 1].as_pointer()
    return first if last - first == (count - 1) * size else None


def _sliced(
    elements: Elements, count: int, size: int, step: int, do: Callable[[int, int, int], None], text: str
) -> Sliced:
    """Call ``do(start, end, address of the first)`` for runs of elements. Whether all lay one after the other; if not,
    foreach_get and foreach_set are left."""
    for start in range(0, count, step):
        first = address(elements(), count, size)
        if first is None:
            return False
        do(start, min(start + step, count), first + start * size)
        yield Pause(text)
    return True


def _convert(
    values: NDArray[np.float32], member: str, copy: Callable[[int, int], object], *, given: bool = False
) -> None:
    """Linear colours (n, 4) of sRGB bytes, or the other way where the values are given; ``copy(address, size)`` fetches
    or takes the bytes. Blender does it, on a mesh for the moment: how depends on the working space of the file."""
    mesh: Any = bpy.data.meshes.new("omomi")
    try:
        mesh.vertices.add(len(values))
        colours = mesh.attributes.new("colours", "BYTE_COLOR", "POINT").data
        if given:
            colours.foreach_set(member, values.reshape(-1))
        copy(colours[0].as_pointer(), 4 * len(values))
        if not given:
            colours.foreach_get(member, values.reshape(-1))
    finally:
        bpy.data.meshes.remove(mesh)
