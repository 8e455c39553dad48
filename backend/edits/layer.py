"""Edits as they are asked for over the protocol, checked in every part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from ..errors import ErrorCode, OmomiError
from ..protocol.recipe import Layer


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


def specs_of(layers: Sequence[Layer], masks: NDArray[np.float32] | None, points: int) -> list[LayerSpec]:
    """The layers of a `StackRequest` on a scan of ``points`` points. Raises OmomiError(BAD_OPTION)."""
    if masks is None:
        masks = np.zeros(0, np.float32)
    if len(masks) % max(points, 1):
        _refuse(f"a mask has one weight for each of the scan's {points:,} points, and {len(masks):,} is no such number")
    rows = masks.reshape(-1, points) if points else masks.reshape(0, 0)
    return [_spec(layer, rows) for layer in layers]


def _spec(layer: Layer, masks: NDArray[np.float32]) -> LayerSpec:
    row = None if layer.mask is None else layer.mask.row
    if layer.mask is not None and (row is None or not row < len(masks)):
        _refuse(f"the mask of {layer.edit} was not sent")
    weights = None if row is None else masks[row]
    path = Path(layer.path) if layer.path else None
    attribute = layer.edit if layer.source == "attribute" else None
    return LayerSpec(attribute, path, layer.strength, layer.mute, weights, layer.edit if layer.kind else None)


def _refuse(why: str) -> NoReturn:
    raise OmomiError(ErrorCode.BAD_OPTION, f"{why[0].upper()}{why[1:]}.")
