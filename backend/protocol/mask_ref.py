"""Masks as requests, recipes and the options of a fit name them, and the checks of plain values that come from
anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from ..errors import refuse
from .names import LONGEST_NAME, name_flaw

LARGEST_NUMBER = 1e9
"""Of strengths and positions: beyond any use, and products of a few of them stay finite in single precision."""

Point = tuple[float, float, float]

ROW = "row"

_PARTS = {
    "vertex_group": ("name",), "file": ("name",), "box": ("low", "high"), "sphere": ("centre", "radius"), ROW: ("row",),
}  # fmt: skip


@dataclass(frozen=True)
class MaskRef:
    """Where an edit or an option of a fit acts: 1 inside, falling to 0 over ``falloff``; canonical. Each kind takes its
    own parts, and the others stay None. Raises OmomiError(BAD_OPTION)."""

    kind: str  # "vertex_group" or "file" (both by name), "box", "sphere", or "row" of the masks that a request brings
    name: str | None = None
    low: Point | None = None  # corners of a box
    high: Point | None = None
    centre: Point | None = None  # of a sphere
    radius: float | None = None
    falloff: float = 0.0
    row: int | None = None  # number of a mask in the request; a recipe has none

    def __post_init__(self) -> None:
        if not isinstance(self.kind, str) or self.kind not in _PARTS:
            refuse(f"a mask must be one of {', '.join(_PARTS)}")
        wanted = _PARTS[self.kind]
        given = {part for parts in _PARTS.values() for part in parts if getattr(self, part) is not None}
        if given != set(wanted):
            refuse(f"a mask of the kind {self.kind} takes {' and '.join(wanted)}, and none of the other parts")
        if self.kind == "vertex_group":
            label("the name of a vertex group", self.name)
        elif self.kind == "file":
            file_name("the name of a mask", self.name)
        elif self.kind == "box":
            low, high = point("low", self.low), point("high", self.high)
            if any(a > b for a, b in zip(low, high, strict=True)):
                refuse("the low corner of a box must not lie above its high corner")
            settle(self, low=low, high=high)
        elif self.kind == ROW:
            if integer("the number of a mask", self.row) < 0:
                refuse("masks are counted from 0")
        else:
            settle(self, centre=point("centre", self.centre), radius=number("radius", self.radius, 0.0))
        settle(self, falloff=number("falloff", self.falloff, 0.0))

    @classmethod
    def of(cls, value: Any) -> MaskRef:
        """The mask in a JSON object, which may come from anywhere. Raises OmomiError(BAD_OPTION)."""
        if not isinstance(value, Mapping):
            refuse("a mask is not an object")
        if unknown := sorted(set(value) - {field.name for field in fields(cls)}):
            refuse(f"a mask has the unknown key {unknown[0]!r:.80}")
        if "kind" not in value:
            refuse("a mask has no kind")
        return cls(**value)


def settle(made: object, **values: Any) -> None:
    """Replace fields of a frozen dataclass by what its checks made of them."""
    for key, value in values.items():
        object.__setattr__(made, key, value)


def number(what: str, value: Any, low: float = -LARGEST_NUMBER) -> float:
    # written so that NaN fails too, and before any conversion, which overflows on long integers
    numeric = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not numeric or not low <= value <= LARGEST_NUMBER:
        refuse(f"{what} must be a number between {low:g} and {LARGEST_NUMBER:g}")
    return float(value)


def integer(what: str, value: Any) -> int:
    if type(value) is not int or abs(value) > LARGEST_NUMBER:
        refuse(f"{what} must be a whole number")
    return value


def flag(what: str, value: Any) -> bool:
    if not isinstance(value, bool):
        refuse(f"{what} must be true or false")
    return value


def point(what: str, value: Any) -> Point:
    """Three numbers; errors call them ``what``. Raises OmomiError(BAD_OPTION)."""
    if not isinstance(value, list | tuple) or len(value) != 3:
        refuse(f"{what} must be three numbers")
    x, y, z = (number(what, item) for item in value)
    return x, y, z


def label(what: str, value: Any) -> str:
    """Vertex groups are looked up, never opened, and artists do call them arm/left."""
    # printable leaves out line ends, direction marks and halves of surrogate pairs
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_NAME or not value.isprintable():
        refuse(f"{what} must have 1 to {LONGEST_NAME} printable characters")
    return value


def file_name(what: str, value: Any) -> str:
    """A name that is the stem of a file on any system, and never leads out of its folder."""
    name = label(what, value)
    if flaw := name_flaw(name):
        refuse(f"{what} is {name!r}, which cannot name a file: {flaw}")
    return name
