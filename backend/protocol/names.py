"""Names that the add-on and the backend share: of files, of the built-in attributes, and of the shape sliders that a
model's card lists. Standard library only."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

from ..formats.files import FormatError, parse_json, read_bounded, unreadable
from ..formats.files import write_whole as write_whole  # for the add-on, which does not see the formats

EDIT, RECIPE, PROFILE = ".omomi", ".json", ".profile"
"""Suffixes of a learned edit, of a recipe (the add-on's presets are recipes), and of the profile of a family."""

POINT_FILES = (".xyz", ".asc", ".pts", ".pcd", ".off", ".npz", ".las", ".laz", ".e57")
"""Suffixes of scans that the backend reads and Blender does not; the last three with packages of their own."""

LONGEST_NAME = 64
"""Characters of a name without its suffix: every file system takes this many, and so does a row of Blender's panels."""
_FORBIDDEN = frozenset('/\\:*?"<>|')
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
"""Windows opens devices under these names, whatever the suffix."""


def name_flaw(name: str) -> str:
    """Why a text cannot name a file on every system, as the end of a sentence; empty where it can."""
    if not 0 < len(name) <= LONGEST_NAME:
        return f"it must have 1 to {LONGEST_NAME} characters"
    # printable leaves out line ends, direction marks and halves of surrogate pairs
    if not name.isprintable():
        return "all its characters must be printable"
    if _FORBIDDEN & set(name):
        return f"it must contain none of {' '.join(sorted(_FORBIDDEN))}"
    if name != name.strip(" ."):
        return "it must not begin or end with a dot or a space"
    return "Windows reserves it for a device" if _DEVICE.fullmatch(name) else ""


def is_file_name(value: Any) -> TypeGuard[str]:
    """Whether an edit, a mask, a preset or a family can have this name."""
    return isinstance(value, str) and not name_flaw(value)


DELTA, MOVEMENT = "delta", "movement"
"""Gears of an edit: the network makes its new mesh, or it moves the surface."""
NEW_MESH_NEEDED = "{name} makes more than a movement of the surface: it needs a new mesh of the fit."
"""What there is to say where a delta moves vertices alone."""


class Attribute(NamedTuple):
    """A built-in edit that acts on any scan."""

    name: str  # in requests, recipes and on the command line
    label: str  # in a menu
    description: str  # the start of a sentence
    unit: str  # what strength 1 stands for; empty where it is a share
    low: float  # range of the slider
    high: float
    one: str  # what strength 1 does


ATTRIBUTES = {
    attribute.name: attribute
    for attribute in (
        Attribute(
            "thickness", "Thickness", "Grow or shrink by 1 % of the longest side", "% of the longest side", -2.0, 2.0,
            "the surface moves out by 1 % of the longest side",
        ),
        Attribute(
            "smoothness", "Smoothness", "Take roughness away or bring it out", "", -1.0, 1.0,
            "most of what is rougher than 1.5 % of the longest side is smoothed away",
        ),
        Attribute(
            "detail", "Detail", "Make relief deeper or shallower", "", -1.0, 1.0,
            "relief between 0.8 and 2.5 % of the longest side is twice as high",
        ),
        Attribute(
            "sharpness", "Sharpness", "Sharpen edges or round them", "", -1.0, 1.0,
            "edges that the fit rounded stand out as they would without",
        ),
    )
}  # fmt: skip
"""By name, in the order of a menu."""

PLAUSIBLE = "plausible"
"""The shape slider of every model: 0 leaves the shape alone, 1 moves it to the most plausible one near by."""
LARGEST_CARD = 4 << 20
"""Bytes of a card."""
MOST_SLIDERS = 64
"""More than a menu can show."""
LONGEST_UNIT = 64
FARTHEST = 10.0
"""Units of a slider: no shape of the training set lies farther out."""


class CardSlider(NamedTuple):
    """A shape slider as the model's card describes it; None for what the card does not say."""

    name: str
    unit: str  # what strength 1 stands for, in words; may be empty
    direction: int | None  # row of the directions in the file of codes
    range: tuple[float, float] | None  # strengths, around 0, that the training shapes fill


def card_members(path: Path) -> Mapping[str, Any]:
    """The card of a model, whose members may be anything. Raises OmomiError(UNREADABLE_FILE)."""
    path = Path(path)
    data = read_bounded(path, LARGEST_CARD)
    try:
        card = parse_json(data, "it")
        if not isinstance(card, dict):
            raise FormatError("it is not a card")
    except FormatError as flaw:
        raise unreadable(path.name, flaw) from flaw
    return card


def card_predecessors(card: Mapping[str, Any]) -> tuple[str, ...]:
    """Hashes of earlier models to which codes and edits meant the same, as a card names them."""
    listed = card.get("predecessors")
    return tuple(name for name in listed if isinstance(name, str)) if isinstance(listed, list) else ()


def card_sliders(card: Mapping[str, Any]) -> Iterator[CardSlider]:
    """The shape sliders of a card, in its order, a name perhaps twice. Entries without a proper name are left out."""
    listed = card.get("sliders")
    for entry in listed if isinstance(listed, list) else ():
        if not isinstance(entry, dict) or entry.get("kind") != "shape":
            continue
        name, unit, direction = entry.get("name"), entry.get("unit"), entry.get("direction")
        if not is_file_name(name) or name == PLAUSIBLE:
            continue
        words = unit if isinstance(unit, str) and len(unit) <= LONGEST_UNIT and unit.isprintable() else ""
        ends = _interval(entry.get("range"))
        around_zero = ends is not None and -FARTHEST <= ends[0] <= 0 <= ends[1] <= FARTHEST
        yield CardSlider(
            name,
            words,
            direction if type(direction) is int and direction >= 0 else None,
            ends if around_zero else None,
        )


def _interval(value: Any) -> tuple[float, float] | None:
    if not isinstance(value, list) or len(value) != 2 or any(type(end) not in (int, float) for end in value):
        return None
    low, high = value
    # written so that NaN fails too
    return (float(low), float(high)) if -1e2 < low < high < 1e2 else None
