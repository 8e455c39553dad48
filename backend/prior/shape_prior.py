"""The prior over whole shapes that comes with a model: codes, flow, archive and shape sliders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ErrorCode, OmomiError
from ..field.onnx_model import CODE, MODEL_FOLDER
from ..formats.files import unreadable
from ..protocol.names import MOST_SLIDERS, card_members, card_predecessors, card_sliders
from ..protocol.recipe import check_model
from .archive import FILE as ARCHIVE
from .archive import Archive, load_archive
from .codes import FILE as CODES
from .codes import Codes, load_codes
from .flow import FILE as FLOW
from .flow import FlowPrior, load_flow

CARD = "card.json"


@dataclass(frozen=True)
class ShapeSlider:
    """A named direction of the code."""

    name: str
    delta: NDArray[np.float32]  # (CODE,), change of the code for one unit, one standard deviation
    low: float  # range in units, around 0
    high: float
    unit: str = ""  # in words


@dataclass(frozen=True)
class ShapePrior:
    """All parts of the prior."""

    codes: Codes
    flow: FlowPrior
    archive: Archive | None = None  # None where it is not installed
    sliders: Mapping[str, ShapeSlider] = field(default_factory=dict)  # by name, in the card's order


def load_prior(folder: Path = MODEL_FOLDER) -> ShapePrior:
    """The prior beside a model. Raises OmomiError: MODEL_MISSING; UNREADABLE_FILE; MODEL_MISMATCH for files of another
    model."""
    missing = [name for name in (CODES, FLOW, CARD) if not (folder / name).is_file()]
    if missing:
        raise OmomiError(
            ErrorCode.MODEL_MISSING,
            f"This model has no prior over whole shapes: {', '.join(missing)} is not installed.",
        )
    card = card_members(folder / CARD)
    codes, flow = load_codes(folder / CODES), load_flow(folder / FLOW)
    archive = load_archive(folder / ARCHIVE) if (folder / ARCHIVE).is_file() else None
    if flow.size != CODE:
        raise unreadable(FLOW, f"its codes have {flow.size} numbers, not {CODE}")
    for name, made_with in ((CODES, codes.model), (ARCHIVE, archive.model if archive else "")):
        if made_with and card.get("hash"):
            check_model(made_with, str(card["hash"]), name, card_predecessors(card))
    return ShapePrior(codes, flow, archive, {slider.name: slider for slider in sliders_of(card, codes)})


@lru_cache(maxsize=1)
def shipped_prior() -> ShapePrior:
    """`load_prior` of the shipped model, read once. Raises as it does."""
    return load_prior()


def installed_prior() -> ShapePrior | None:
    """`shipped_prior`, or None where the model came without one."""
    try:
        return shipped_prior()
    except OmomiError as error:
        if error.code is ErrorCode.MODEL_MISSING:
            return None
        raise


def sliders_of(card: Mapping[str, Any], codes: Codes) -> list[ShapeSlider]:
    """The shape sliders of a card that have a range and a direction among the codes'; of a name twice the first."""
    found: dict[str, ShapeSlider] = {}
    for slider in card_sliders(card):
        row, ends = slider.direction, slider.range
        if row is not None and row < len(codes.directions) and ends is not None:
            found.setdefault(slider.name, ShapeSlider(slider.name, codes.directions[row], *ends, slider.unit))
    return list(found.values())[:MOST_SLIDERS]
