"""The stack of edits of an object: what is in it, how strong each is, and how it travels to the backend."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import bpy
import numpy as np
from numpy.typing import NDArray

from ..backend.protocol.recipe import ROW, SHAPE, Layer, MaskRef
from ..scene import mesh_io
from ..text import Refusal
from . import library, shape_sliders

__all__ = [
    "ATTRIBUTES", "CARD", "Attribute", "StackSnapshot", "add", "is_neutral", "move", "outside", "read", "remove",
    "safe_text", "settle", "stamp", "strengths", "structure",
]  # fmt: skip


class Attribute(NamedTuple):
    """A built-in edit: what it is called by the backend and here, and what strength 1 does."""

    name: str
    label: str
    description: str


ATTRIBUTES = (
    Attribute("thickness", "Thickness", "Grow or shrink by 1 % of the longest side; useful from -2 to 2"),
    Attribute("smoothness", "Smoothness", "Take roughness away or bring it out; useful from -1 to 1"),
    Attribute("detail", "Detail", "Make relief deeper or shallower; useful from -1 to 1"),
    Attribute("sharpness", "Sharpness", "Sharpen edges or round them; useful from -1 to 1"),
)


# What the shipped model can do.
CARD = Path(__file__).parents[1] / "backend" / "models" / "card.json"


class StackSnapshot(NamedTuple):
    """What a ``StackRequest`` wants. ``signature`` is equal for stacks that do the same at the same strengths."""

    layers: tuple[Layer, ...]
    masks: NDArray[np.float32] | None
    signature: tuple[Any, ...]


def add(obj: Any, kind: str, name: str, path: str = "") -> Any:
    """A new edit at the end of the stack; it becomes the active one. Raises `Refusal` for a shape slider that the
    model does not have."""
    slider = shape_sliders.find(CARD, name) if kind == "shape" else None
    if kind == "shape" and slider is None:
        raise Refusal(f"The model has no shape slider '{name}'. Choose one of the list.")
    edits = obj.omomi.edits
    edit = edits.add()
    edit.name, edit.kind, edit.path = name, kind, path
    if slider is not None:
        edit.reach = slider.low, slider.high
    obj.omomi.active = len(edits) - 1
    return edit


def strengths(obj: Any) -> tuple[float, ...]:
    """One for each edit; 0 for those that are muted."""
    return tuple(0.0 if edit.mute else edit.strength for edit in obj.omomi.edits)


def is_neutral(obj: Any) -> bool:
    """Whether the stack does nothing."""
    return not any(strengths(obj))


def stamp(obj: Any) -> str:
    """Names the shape that the stack gives the object, to the last bit of every strength."""
    return "|".join(
        f"{'shape:' * (edit.kind == 'shape')}{edit.path or edit.name}={strength.hex()}@{edit.mask}"
        for edit, strength in zip(obj.omomi.edits, strengths(obj), strict=True)
        if strength
    )


def structure(obj: Any) -> tuple[Any, ...]:
    """What of the stack is no strength: when it is the same, only the numbers of a ``PoseRequest`` change."""
    return tuple((edit.kind, edit.name, edit.path, edit.mask, edit.mute) for edit in obj.omomi.edits)


def read(obj: Any) -> StackSnapshot:
    """The stack with its masks, one weight for each vertex of the object's own mesh."""
    edits = obj.omomi.edits
    names = list(dict.fromkeys(edit.mask for edit in edits if edit.mask))
    masks = mesh_io.group_weights(obj, names) if names else None
    layers, marks = [], []
    for edit, strength in zip(edits, strengths(obj), strict=True):
        path = bpy.path.abspath(edit.path) if edit.kind == "learned" else ""
        mask: MaskRef | None = None
        mark: tuple[Any, ...] = (edit.kind, edit.name, path, library.version(path), edit.mute)
        if edit.mask and masks is not None:
            mask = MaskRef(ROW, row=names.index(edit.mask))
            mark += (zlib.crc32(masks[mask.row].tobytes()),)
        name, kind = Path(path).stem if path else edit.name, SHAPE if edit.kind == SHAPE else None
        layers.append(Layer(name, strength, mute=edit.mute, mask=mask, kind=kind, path=path))
        marks.append(mark)
    return StackSnapshot(tuple(layers), None if masks is None else masks.reshape(-1), tuple(marks))


def outside(edit: Any) -> bool:
    """Whether the strength is known, or expected, to change the topology."""
    low, high = _safe_range(edit)
    return not edit.mute and (edit.safe or low < high) and not low <= edit.strength <= high


def safe_text(edit: Any) -> str:
    """
    >>> from types import SimpleNamespace
    >>> safe_text(SimpleNamespace(safe=True, safe_low=-0.4, safe_high=1.25))
    'safe -0.4 .. 1.25'
    >>> safe_text(SimpleNamespace(safe=False, foretold=(-0.5, 2.0), reach=(0, 0)))
    'safe about -0.5 .. 2'
    """
    low, high = _safe_range(edit)
    if not (edit.safe or low < high):
        return "safe range not measured"
    return f"safe {'' if edit.safe else 'about '}{low:.3g} .. {high:.3g}"


def _safe_range(edit: Any) -> tuple[float, float]:
    """What was measured, else what was foretold on this scan, else on others; 0 and 0 where nothing is known."""
    if edit.safe:
        return edit.safe_low, edit.safe_high
    low, high = edit.foretold if edit.foretold[0] < edit.foretold[1] else edit.reach
    return low, high


def move(obj: Any, step: int) -> None:
    """Move the active edit up (-1) or down (1)."""
    group = obj.omomi
    target = min(max(group.active + step, 0), len(group.edits) - 1)
    group.edits.move(group.active, target)
    group.active = target


def remove(obj: Any) -> None:
    """Take the active edit out of the stack."""
    group = obj.omomi
    group.edits.remove(group.active)
    group.active = max(min(group.active, len(group.edits) - 1), 0)


def settle(objects: Sequence[Any]) -> None:
    """All strengths to 0: what the stack did is now in the mesh."""
    for obj in objects:
        for edit in obj.omomi.edits:
            edit.strength = 0.0
