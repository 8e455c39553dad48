"""Edits as they are asked for over the protocol, checked in every part."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from ..errors import ErrorCode, OmomiError

_KINDS = ("attribute", "path", "shape")


@dataclass(frozen=True)
class LayerSpec:
    """An edit as it is asked for: an attribute, a file, or a slider of the shape. mask: f32 (n,), one weight for
    every point of the scan as it was given, or None for everywhere."""

    attribute: str | None
    path: Path | None
    strength: float = 1.0
    mute: bool = False
    mask: NDArray[np.float32] | None = None
    shape: str | None = None

    @property
    def name(self) -> str:
        return self.attribute or self.shape or (self.path.stem if self.path else "")

    @property
    def kind(self) -> str:
        return "attribute" if self.attribute else "shape" if self.shape else "learned"


def specs_of(layers: Sequence[Mapping[str, Any]], masks: NDArray[np.float32] | None, points: int) -> list[LayerSpec]:
    """The layers of a `StackRequest` on a scan of ``points`` points. Raises OmomiError(BAD_OPTION)."""
    if masks is None:
        masks = np.zeros(0, np.float32)
    if len(masks) % max(points, 1):
        _refuse(f"a mask has one weight for each of the scan's {points:,} points, and {len(masks):,} is no such number")
    rows = masks.reshape(-1, points) if points else masks.reshape(0, 0)
    return [_spec(layer, rows) for layer in layers]


def _spec(layer: Mapping[str, Any], masks: NDArray[np.float32]) -> LayerSpec:
    if unknown := sorted(set(layer) - {*_KINDS, "strength", "mute", "mask"}):
        _refuse(f"an edit has no {unknown[0]!r:.80}")
    given = [layer[kind] for kind in _KINDS if layer.get(kind) is not None]
    strength, mute, mask = layer.get("strength", 1.0), layer.get("mute", False), layer.get("mask")
    name = given[0] if len(given) == 1 else None
    if not isinstance(name, str) or not name or "\0" in name:
        _refuse("an edit is the name of an attribute or of a shape slider, or the path of a file")
    if type(strength) not in (int, float) or not math.isfinite(strength):
        _refuse(f"the strength of {name} is not a number")
    if not isinstance(mute, bool):
        _refuse(f"whether {name} is muted must be true or false")
    if mask is not None and (type(mask) is not int or not 0 <= mask < len(masks)):
        _refuse(f"the mask of {name} was not sent")
    weights = None if mask is None else masks[mask]
    path = None if layer.get("path") is None else Path(name)
    return LayerSpec(layer.get("attribute"), path, float(strength), mute, weights, layer.get("shape"))


def _refuse(why: str) -> NoReturn:
    raise OmomiError(ErrorCode.BAD_OPTION, f"{why[0].upper()}{why[1:]}.")
