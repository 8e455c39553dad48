"""The stack of edits of an object: the built-in edits, the strengths, and the layers of a request or a preset."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import bpy
import numpy as np
from numpy.typing import NDArray

from ..backend.errors import OmomiError
from ..backend.protocol.names import (
    ATTRIBUTES,
    DELTA,
    MOST_SLIDERS,
    PLAUSIBLE,
    card_members,
    card_sliders,
)
from ..backend.protocol.recipe import ROW, SHAPE, Layer, MaskRef, Point
from ..scene import measures, places
from ..scene.snapshot import Snapshot
from ..text import Refusal
from ..translations import told
from . import library
from .slices import Sliced

# What the shipped model can do.
CARD = Path(__file__).parents[1] / "backend" / "models" / "card.json"


class BuiltIn(NamedTuple):
    """An edit that needs no file."""

    kind: str  # "attribute" or "shape"
    name: str
    label: str  # in a menu
    description: str
    useful: tuple[float, float]  # strengths that it is made for


_ATTRIBUTES = tuple(
    BuiltIn(
        "attribute", item.name, item.label, f"{item.description}; useful from {item.low:g} to {item.high:g}",
        (item.low, item.high),
    )
    for item in ATTRIBUTES.values()
)  # fmt: skip
_PLAUSIBLE = BuiltIn(
    SHAPE, PLAUSIBLE, "Usual Shape",
    "Move the shape toward the most usual one near by, a share of the way: 0 leaves it alone, 1 goes all the way",
    (0.0, 1.0),
)  # fmt: skip
# Labels and descriptions of the shape sliders that the training names (`training.slider_names`).
_SHAPES = {
    "width": ("Width (X)", "Stretch the whole shape along its X axis"),
    "depth": ("Depth (Y)", "Stretch the whole shape along its Y axis"),
    "height": ("Height (Z)", "Stretch the whole shape along its Z axis"),
    "fullness": ("Fullness", "Have the whole shape fill more of the box around it"),
    "lean in x": ("Taper to +X", "Thin the whole shape out toward its +X end, below 0 toward the other end"),
    "lean in y": ("Taper to +Y", "Thin the whole shape out toward its +Y end, below 0 toward the other end"),
    "lean in z": ("Taper to +Z", "Thin the whole shape out toward its +Z end, below 0 toward the other end"),
}
_UNITS = {"standard deviations": "1 is how much shapes usually differ in that"}
# By the time and the size of the card.
_shapes: dict[tuple[Path, int, int], tuple[BuiltIn, ...]] = {}


class Edit(NamedTuple):
    """One edit of a stack as it was when it was frozen; the members are those of the property group."""

    name: str
    kind: str
    path: str
    mask: str
    mute: bool
    strength: float
    at: Point | None  # the artist's own place, as of `places.given`
    places: tuple[places.Place, ...]  # that were found


# What objects have in common that share a stack. Places are of one scan: each object has its own.
_SHARED = Edit._fields[:-2]


Edits: TypeAlias = Any
"""A stack: the collection ``object.omomi.edits``, or a tuple of `Edit`."""


class StackSnapshot(NamedTuple):
    """What a ``StackRequest`` wants. ``signature`` is equal for stacks that do the same at the same strengths."""

    layers: tuple[Layer, ...]
    masks: NDArray[np.float32] | None
    signature: tuple[Any, ...]


def built_in() -> tuple[BuiltIn, ...]:
    """The attributes, then the shape sliders of the shipped card, then `PLAUSIBLE`. A card that cannot be read has no
    sliders. Cheap enough to draw."""
    try:
        found = os.stat(CARD)
        key = CARD, found.st_mtime_ns, found.st_size
        if key not in _shapes:
            _shapes.clear()
            _shapes[key] = _card_shapes()
        shapes = _shapes[key]
    except OSError:
        shapes = ()
    return (*_ATTRIBUTES, *shapes, _PLAUSIBLE)


def _card_shapes() -> tuple[BuiltIn, ...]:
    try:
        sliders = list(card_sliders(card_members(CARD)))
    except OmomiError:
        return ()
    found: dict[str, BuiltIn] = {}
    for slider in sliders:
        low, high = slider.range or (-1.0, 1.0)
        unit = _UNITS.get(slider.unit, f"in {slider.unit}" if slider.unit else "")
        plain = slider.name.capitalize(), f"Change the {slider.name} of the whole shape"
        label, does = _SHAPES.get(slider.name, plain)
        useful = f"useful from {low:.3g} to {high:.3g}"
        description = "; ".join(filter(None, (does, unit, useful)))
        found.setdefault(slider.name, BuiltIn(SHAPE, slider.name, label, description, (low, high)))
    return tuple(found.values())[:MOST_SLIDERS]


def find(kind: str, name: str) -> BuiltIn | None:
    """The built-in edit of this kind, "attribute" or "shape", and name."""
    return next((item for item in built_in() if (item.kind, item.name) == (kind, name)), None)


def label(edit: Any) -> str:
    """What an edit is called in a list, in the artist's language."""
    known = find(edit.kind, edit.name)
    return edit.name if known is None else told(known.label)


def add(obj: Any, kind: str, name: str, path: str = "") -> Any:
    """A new edit at the end of the stack; it becomes the active one. Raises `Refusal` for a built-in edit that
    does not exist, and for a learned one without its file."""
    known = find(kind, name)
    if kind == "learned" and not path:
        raise Refusal("A learned edit needs its file. Choose one of the library.")
    if kind == "attribute" and known is None:
        raise Refusal(f"There is no attribute '{name}'. Choose one of the list.")
    if kind == SHAPE and known is None:
        raise Refusal(f"The model has no shape slider '{name}'. Choose one of the list.")
    edits = obj.omomi.edits
    edit = edits.add()
    edit.name, edit.kind, edit.path = name, kind, path
    obj.omomi.active = len(edits) - 1
    return edit


def why_not_own(obj: Any) -> str | None:
    """The reason why an object can have no stack of its own, or None."""
    if obj.library is not None:
        return f"{obj.name} is linked from another file, so it can have no edits. Make it local first."
    overrides = obj.override_library is not None
    return f"{obj.name} is a library override, so it can have no edits. Make it local first." if overrides else None


def frozen(stack: Edits) -> tuple[Edit, ...]:
    """The stack as it is now, which no slider changes any more."""
    found = []
    for edit in stack:
        shared: dict[str, Any] = {name: getattr(edit, name) for name in _SHARED}
        known = tuple(places.Place(place.use, tuple(place.location)) for place in edit.places)
        found.append(Edit(**shared, at=edit.at, places=known))
    return tuple(found)


def give(obj: Any, stack: Edits) -> None:
    """Put a stack on an object in place of its own. Of the edits that it has already, the places stay, and what was
    measured."""
    own = obj.omomi.edits
    for number, edit in enumerate(stack):
        same = next((n for n in range(number, len(own)) if _is_same(own[n], edit)), len(own))
        if same == len(own):
            own.add()
        own.move(same, number)
        for name in _SHARED:
            value = getattr(edit, name)
            # A member that is written is one that has to be shown.
            if getattr(own[number], name) != value:
                setattr(own[number], name, value)
    while len(own) > len(stack):
        places.clear(own[-1])
        own.remove(len(own) - 1)
    obj.omomi.active = min(obj.omomi.active, max(len(own) - 1, 0))


def owned(obj: Any, stack: Edits) -> tuple[Edit, ...]:
    """A stack as an object will have it, with the places of its own edits."""
    left, found = list(frozen(obj.omomi.edits)), []
    for edit in frozen(stack):
        same = next((one for one in left if _is_same(one, edit)), None)
        if same is not None:
            left.remove(same)
        at, known = (None, ()) if same is None else (same.at, same.places)
        found.append(edit._replace(at=at, places=known))
    return tuple(found)


def _is_same(one: Any, other: Any) -> bool:
    """Whether two edits of two stacks are one edit."""
    return (one.kind, one.name, one.path) == (other.kind, other.name, other.path)


def found_places(stack: Edits, told: Sequence[Mapping[str, Any]], linear: NDArray[np.float64]) -> tuple[Edit, ...]:
    """The stack with the places that the backend has found; told and linear: as of a `BackendFit`. The backend looks
    for none of an edit that is muted, or that the artist has placed."""
    return tuple(
        edit if edit.mute or edit.at is not None
        else edit._replace(places=places.chosen_again(edit.places, said.get("places") or (), linear))
        for edit, said in zip(frozen(stack), told, strict=True)
    )  # fmt: skip


def strengths(stack: Edits) -> tuple[float, ...]:
    """The strength of each edit; 0 where it is muted."""
    return tuple(0.0 if edit.mute else edit.strength for edit in stack)


def is_neutral(stack: Edits) -> bool:
    """Whether the stack does nothing."""
    return not any(strengths(stack))


def stamp(stack: Edits) -> str:
    """A text that is equal for stacks that give the object the same shape bit for bit."""
    return "|".join(
        f"{'shape:' * (edit.kind == 'shape')}{edit.path or edit.name}={strength.hex()}@{edit.mask}{_place_stamp(edit)}"
        for edit, strength in zip(stack, strengths(stack), strict=True)
        if strength
    )


def _place_stamp(edit: Any) -> str:
    at, left = edit.at, places.without(edit)
    return f" at {at}" if at is not None else f" without {left}" if left else ""


def structure(stack: Edits) -> tuple[Any, ...]:
    """The stack without its strengths: while it stays equal, a ``PoseRequest`` is enough to follow the stack."""
    return tuple(
        (edit.kind, edit.name, edit.path, edit.mask, edit.mute, edit.at, places.without(edit)) for edit in stack
    )


def given_places(stack: Edits) -> tuple[Point | None, ...]:
    """The artist's own place of each edit; empty where there is none."""
    found = tuple(edit.at for edit in stack)
    return found if any(at is not None for at in found) else ()


def unmasked(obj: Any, groups: Iterable[str], what: str) -> list[str]:
    """Sentences on vertex groups that the object does not have, of which each masks edits or sliders: ``what``."""
    missing = [name for name in dict.fromkeys(groups) if name not in obj.vertex_groups]
    return [f"There is no vertex group '{name}', so the {what} that it masks do nothing." for name in missing]


def read(obj: Any, stack: Edits) -> Sliced:
    """`StackSnapshot` of a frozen stack for an object, with masks of one weight for each vertex of the object's own
    mesh. Raises OmomiError as `Snapshot`."""
    names, masks = list(dict.fromkeys(edit.mask for edit in stack if edit.mask)), None
    if names:
        with Snapshot(obj, shown=False) as copy:
            masks = yield from copy.weights(names)
    layers, marks = [], []
    for edit, strength in zip(stack, strengths(stack), strict=True):
        path = _path(edit)
        mask: MaskRef | None = None
        at, left = edit.at, places.without(edit) or None
        mark: tuple[Any, ...] = (edit.kind, edit.name, path, library.version(path), edit.mute, at, left)
        if edit.mask and masks is not None:
            mask = MaskRef(ROW, row=names.index(edit.mask))
            mark += (zlib.crc32(masks[mask.row].tobytes()),)
        name = Path(path).stem if path else edit.name
        layers.append(Layer(name, strength, "", edit.mute, mask, _kind(edit), path, at, left))
        marks.append(mark)
    return StackSnapshot(tuple(layers), None if masks is None else masks.reshape(-1), tuple(marks))


def preset_layer(edit: Any) -> Layer:
    """An edit as a preset keeps it: without its places, which are of one scan. Raises OmomiError: UNREADABLE_FILE where
    its file is gone, BAD_OPTION where its name or its mask cannot stand in a recipe."""
    sha256 = library.digest(Path(_path(edit))) if edit.kind == "learned" else ""
    mask = MaskRef("vertex_group", name=edit.mask) if edit.mask else None
    return Layer(edit.name, edit.strength, sha256, edit.mute, mask, _kind(edit))


def _path(edit: Any) -> str:
    """The file of a learned edit; empty for the others."""
    return bpy.path.abspath(edit.path) if edit.kind == "learned" else ""


def _kind(edit: Any) -> str | None:
    """The ``kind`` of its `Layer`."""
    return SHAPE if edit.kind == SHAPE else None


def makes_new_mesh(edit: Any) -> bool:
    """Whether the edit acts, and the network makes the whole of it."""
    return edit.gear == DELTA and not edit.mute and edit.strength != 0


def move(obj: Any, step: int) -> None:
    """Move the active edit up (-1) or down (1)."""
    group = obj.omomi
    target = min(max(group.active + step, 0), len(group.edits) - 1)
    group.edits.move(group.active, target)
    group.active = target


def remove(obj: Any) -> None:
    """Take the active edit out of the stack."""
    group = obj.omomi
    places.clear(group.edits[group.active])
    group.edits.remove(group.active)
    group.active = max(min(group.active, len(group.edits) - 1), 0)


def remove_all(obj: Any) -> None:
    """Empty the stack."""
    give(obj, ())


def unmeasured(edit: Any) -> None:
    """Forget what was measured and expected of an edit, for it acts elsewhere now."""
    edit.safe, edit.transitions = False, ""
    edit.foretold = edit.kept = edit.seen = (0.0, 0.0)


def settle(obj: Any, new_mesh: bool = False) -> None:
    """Set all strengths to 0: the mesh now holds what the stack did. new_mesh: what was measured on the old one says
    nothing of it."""
    for edit in obj.omomi.edits:
        edit.strength = 0.0
        if new_mesh:
            unmeasured(edit)
    if new_mesh:
        measures.note(obj, {})
