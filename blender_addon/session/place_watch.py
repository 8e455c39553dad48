"""Watches the artist's own places for edits: an object that was moved or deleted changes what its edit does."""

from __future__ import annotations

import time
from typing import Any

import bpy

from ..scene import mesh_io
from . import edits

# Where the places are, by the session_uid of the scan; scans without any are left out.
_known: dict[int, tuple[Any, ...]] = {}
# When what was moved is taken to rest, likewise.
_rest: dict[int, float] = {}


def note(obj: Any) -> None:
    """The edits of this scan are followed as they are now."""
    _rest.pop(obj.session_uid, None)
    if found := edits.given_places(obj.omomi.edits):
        _known[obj.session_uid] = found
    else:
        _known.pop(obj.session_uid, None)


def note_all() -> None:
    """Another file is open."""
    _known.clear()
    objects: Any = bpy.data.objects
    for obj in objects:
        note(obj)


def look(seconds: float) -> None:
    """Something in the scene has changed. What has moved rests when it does not move for so long."""
    for uid, before in _known.items():
        obj = mesh_io.object_by_uid(uid)
        if obj is not None and (found := edits.given_places(obj.omomi.edits)) != before:
            _known[uid] = found
            _rest[uid] = time.monotonic() + seconds


def is_moving() -> bool:
    """Whether something has moved that `rested` has not returned yet."""
    return bool(_rest)


def rested() -> list[Any]:
    """Scans whose places have moved, and rest now; each is returned once."""
    now = time.monotonic()
    due = [uid for uid, begin in _rest.items() if begin <= now]
    for uid in due:
        del _rest[uid]
    return [obj for obj in map(mesh_io.object_by_uid, due) if obj is not None]


def forget_moves() -> None:
    """Nothing that has moved needs to be followed any more."""
    _rest.clear()
