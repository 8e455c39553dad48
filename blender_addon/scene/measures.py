"""What a check has measured of an object, for the edits that are to change it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NAMES = ("thickness", "volume", "area", "length_x", "length_y", "length_z")
"""In the order of the numbers of ``object.omomi.measures``, which are 0 where they are not known."""


def note(obj: Any, found: Mapping[str, Any]) -> None:
    """Keep the measures of a check, world units; none: forget them, for the object has another mesh."""
    low, high = found.get("bounds") or ((0.0,) * 3,) * 2
    sides = zip(NAMES[3:], (b - a for a, b in zip(low, high, strict=True)), strict=True)
    known = {**found, **dict(sides)}
    obj.omomi.measures = [known.get(name) or 0.0 for name in NAMES]


def now(obj: Any, name: str) -> float:
    """A measure of an object, world units; 0 where it is not known."""
    return obj.omomi.measures[NAMES.index(name)]
