"""The shape sliders that the shipped model has, as its card tells them. No bpy."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from . import library

__all__ = ["PLAUSIBLE", "Slider", "find", "sliders"]

LARGEST_CARD = 4 << 20
# More than a menu can show.
MOST_SLIDERS = 64
LONGEST_UNIT = 64


class Slider(NamedTuple):
    """unit: what strength 1 stands for, or empty; low, high: between these strengths shapes kept their topology."""

    name: str
    unit: str
    low: float
    high: float

    @property
    def description(self) -> str:
        if self.name == PLAUSIBLE.name:
            return "Pull the shape toward what shapes are like; 0 leaves it alone, 1 goes all the way"
        unit = f", in {self.unit}" if self.unit else ""
        return f"Change the {self.name} of the whole shape{unit}; useful from {self.low:.3g} to {self.high:.3g}"


PLAUSIBLE = Slider("plausible", "", 0.0, 1.0)

_read: dict[Path, tuple[tuple[int, int], tuple[Slider, ...]]] = {}


def sliders(card: Path) -> tuple[Slider, ...]:
    """Those of a card, then `PLAUSIBLE`, which is always there. What is no slider in it is left out, and a card that
    cannot be read has none. Cheap enough to draw."""
    try:
        found = os.stat(card)
    except (OSError, ValueError):
        return (PLAUSIBLE,)
    stamp = found.st_mtime_ns, found.st_size
    if _read.get(card, ((0, 0), ()))[0] != stamp:
        _read[card] = stamp, (*_sliders(card), PLAUSIBLE)
    return _read[card][1]


def find(card: Path, name: str) -> Slider | None:
    return next((slider for slider in sliders(card) if slider.name == name), None)


def _sliders(card: Path) -> list[Slider]:
    try:
        with open(card, "rb") as file:
            data = file.read(LARGEST_CARD + 1)
        listed = json.loads(data)["sliders"] if len(data) <= LARGEST_CARD else []
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return []
    found: dict[str, Slider] = {}
    for entry in listed if isinstance(listed, list) else []:
        slider = _slider(entry)
        if slider is not None and slider.name != PLAUSIBLE.name:
            found.setdefault(slider.name, slider)
    return list(found.values())[:MOST_SLIDERS]


def _slider(entry: Any) -> Slider | None:
    if not isinstance(entry, dict) or entry.get("kind") != "shape":
        return None
    name, unit = entry.get("name"), entry.get("unit", "")
    if not library.is_name(name):
        return None
    unit = unit if isinstance(unit, str) and len(unit) <= LONGEST_UNIT and unit.isprintable() else ""
    # Reaches of several shapes: what all of them have.
    pairs = list(_pairs(entry.get("reach"))) or list(_pairs(entry.get("range")))
    low, high = max((pair[0] for pair in pairs), default=-1.0), min((pair[1] for pair in pairs), default=1.0)
    return Slider(name, unit, low, high) if low < high else Slider(name, unit, -1.0, 1.0)


def _pairs(value: Any) -> Iterator[tuple[float, float]]:
    """An interval, or a list of them."""
    if not isinstance(value, list):
        return
    numbers = [isinstance(item, int | float) and not isinstance(item, bool) and abs(item) < 100 for item in value]
    if len(value) == 2 and all(numbers) and value[0] < value[1]:
        yield float(value[0]), float(value[1])
        return
    for item in value:
        if isinstance(item, list) and not any(isinstance(part, list) for part in item):
            yield from _pairs(item)
