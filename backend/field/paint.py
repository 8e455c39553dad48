"""Options of a fit that act in part of it: how much of an option acts where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

PARTS = 8
"""A block takes the amount of its highest weight, rounded up to this part: blocks of one amount run together."""
ROUNDING = 1e-3
"""Of a weight in such parts: what an interpolated weight may be too high."""


class Weights(Protocol):
    """A weight of every place in space."""

    def touches(self, centres: np.ndarray, reach: float) -> np.ndarray:
        """bool (m,): whether a weight within ``reach`` of canonical points (m, 3) may be above 0."""
        ...

    def at(self, points: np.ndarray) -> np.ndarray:
        """Weights f32 (n,), 0 .. 1, at canonical points (n, 3)."""
        ...


@dataclass(frozen=True)
class Paint:
    """An option of `fit_options.PAINTED` of which every place takes its share of the amount."""

    option: str
    amount: float
    weights: Weights


def shares(weights: np.ndarray) -> np.ndarray:
    """Of blocks with weights (b, ...), the share (b,) of the amount that each is run with."""
    highest = weights.reshape(len(weights), -1).max(axis=1)
    return np.ceil(highest * PARTS - ROUNDING) / PARTS
