"""The holes of an object's own mesh, as the backend has found them: a list on the object, and where they are.

A hole is known again by its border, so that others may be closed and vertices be moved between search and closing.
Where the borders are is kept for this session only, for the view.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..text import Refusal
from . import mesh_io

Key = tuple[int, int]
"""The least vertex of a border, and the number of its edges."""


class FoundHoles(NamedTuple):
    """What the backend has found in a mesh."""

    rows: Sequence[Mapping[str, Any]]  # as of ``PatchRequest``
    loops: Sequence[NDArray[np.int32]]  # the vertices of each border

    @classmethod
    def of(cls, done: Any) -> FoundHoles:
        """From the answer to a ``PatchRequest`` that only looks."""
        rows = done.result.get("holes", ())
        ends = np.cumsum([row["edges"] for row in rows])
        joined = np.zeros(0, np.int32) if done.sources is None else done.sources
        return cls(rows, np.split(joined, ends[:-1]) if len(rows) else [])

    def keys(self) -> list[Key]:
        return [(int(loop.min()), len(loop)) for loop in self.loops]


class ShownHole(NamedTuple):
    """A border as the view shows it."""

    number: int
    use: bool
    line: NDArray[np.float32]  # (n, 3): closed, in the local frame


_lines: dict[int, dict[Key, NDArray[np.float32]]] = {}


def forget_all() -> None:
    """Forget where holes are: another file is open."""
    _lines.clear()


def key(hole: Any) -> Key:
    """What tells a hole on the list of an object from the others."""
    return hole.vertex, hole.edges


def write(obj: Any, found: FoundHoles) -> None:
    """Put what was found on the list of an object; holes are ticked, openings are not, but what the artist has ticked
    or unticked before stays so."""
    before = {key(hole): hole.use for hole in obj.omomi.holes}
    obj.omomi.holes.clear()
    obj.omomi.active_hole = 0
    for row, (vertex, edges) in zip(found.rows, found.keys(), strict=True):
        hole = obj.omomi.holes.add()
        hole.vertex, hole.edges, hole.number = vertex, edges, row["number"]
        hole.is_hole, hole.why, hole.radius = row["is_hole"], row["why"], row["radius"]
        hole.use = before.get((vertex, edges), hole.is_hole)
    places = mesh_io.rest_shape(obj.data)
    _lines[obj.session_uid] = dict(zip(found.keys(), (places[loop] for loop in found.loops), strict=True))


def drop(obj: Any, keys: set[Key]) -> None:
    """Take holes off the list of an object: they are closed."""
    for index in reversed(range(len(obj.omomi.holes))):
        if key(obj.omomi.holes[index]) in keys:
            obj.omomi.holes.remove(index)
    obj.omomi.active_hole = 0


def ticked(obj: Any, found: FoundHoles) -> tuple[int, ...]:
    """The numbers that the ticked holes of an object have now. Raises `Refusal` where none is ticked, or one is not
    there any more."""
    numbers = {of: row["number"] for of, row in zip(found.keys(), found.rows, strict=True)}
    wanted = [hole for hole in obj.omomi.holes if hole.use]
    if not wanted:
        raise Refusal(f"No hole of {obj.name} is ticked.")
    if gone := [hole.number for hole in wanted if key(hole) not in numbers]:
        raise Refusal(f"Hole {gone[0]} of {obj.name} is not there any more. Press Find Holes again.")
    return tuple(numbers[key(hole)] for hole in wanted)


def shown(obj: Any) -> list[ShownHole]:
    """The borders of the holes on the list of an object, as far as this session knows where they are."""
    lines = _lines.get(obj.session_uid, {})
    return [ShownHole(hole.number, hole.use, lines[key(hole)]) for hole in obj.omomi.holes if key(hole) in lines]
