"""The shape key that shows the stack of edits on the object's own mesh, whose basis is never touched."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..session import edits
from . import mesh_io

NAME = "Omomi"
# In the data that holds the positions, so that undo and files bring back both or neither.
STAMP = "omomi_stamp"
MADE_BASIS = "omomi_made_basis"


def why_not(obj: Any) -> str | None:
    """The reason why this object can have no shape key of its own, or None."""
    mesh = obj.data
    instead = "choose New mesh as the result"
    if obj.library is not None or mesh.library is not None:
        return f"{obj.name} is linked from another file: {instead}."
    if obj.override_library is not None or mesh.override_library is not None:
        return f"{obj.name} is a library override: {instead}."
    if obj.mode == "EDIT":
        return f"{obj.name} is in Edit Mode. Leave it with Tab first."
    if not len(mesh.polygons):
        return f"{obj.name} has no faces, so it can have no shape key: {instead}."
    kept = mesh.use_fake_user + (obj.omomi.origin.mesh == mesh)
    if mesh.users - kept > 1:
        return (
            f"The mesh of {obj.name} is used by other objects as well. Use Object > Relations > Make Single User, "
            f"or {instead}."
        )
    if mesh.shape_keys is not None and not mesh.shape_keys.use_relative:
        return f"The shape keys of {obj.name} are absolute: {instead}."
    return None


def find(obj: Any) -> Any | None:
    """The shape key of the edits, where there is one."""
    keys = obj.data.shape_keys
    return None if keys is None else keys.key_blocks.get(NAME)


def is_all(mesh: Any) -> bool:
    """Whether a mesh has no shape keys but those that were made for the edits."""
    keys = mesh.shape_keys
    return keys is None or (bool(keys.get(MADE_BASIS)) and set(keys.key_blocks.keys()) <= {"Basis", NAME})


def ensure(obj: Any) -> Any:
    """The shape key of the edits; a new one shows the basis."""
    key: Any = find(obj)
    mesh: Any = obj.data
    if key is None:
        if mesh.shape_keys is None:
            obj.shape_key_add(name="Basis", from_mix=False)
            keys: Any = mesh.shape_keys
            keys[MADE_BASIS] = True
        key = obj.shape_key_add(name=NAME, from_mix=False)
        key.name = NAME
        key.value = 1.0
        reset(obj)
    return key


def shows(obj: Any) -> bool:
    """Whether the shape key shows what the stack says."""
    return obj.data.shape_keys.get(STAMP, "") == edits.stamp(obj.omomi.edits)


def reset(obj: Any) -> None:
    """Show the basis, bit for bit."""
    _set(obj, mesh_io.rest_shape(obj.data), "")


def write(obj: Any, moved: NDArray[np.floating], linear: NDArray[np.float64], stamp: str) -> None:
    """Show the basis displaced by ``moved`` (n, 3), posed; vertices that do not move stay bit for bit."""
    rest = mesh_io.rest_shape(obj.data)
    local = moved.astype(np.float64) @ np.linalg.inv(linear).T
    _set(obj, (rest + local).astype(np.float32), stamp)


def _set(obj: Any, positions: NDArray[np.float32], stamp: str) -> None:
    keys = obj.data.shape_keys
    keys.key_blocks[NAME].points.foreach_set("co", positions.reshape(-1))
    keys[STAMP] = stamp
    # foreach_set does not.
    obj.data.update_tag()


def remove(obj: Any) -> None:
    """Remove the shape key, and the basis where it was made for this key alone."""
    obj.shape_key_remove(find(obj))
    keys = obj.data.shape_keys
    if keys is not None and keys.get(MADE_BASIS) and len(keys.key_blocks) == 1:
        obj.shape_key_clear()
