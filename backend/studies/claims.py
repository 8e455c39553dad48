"""What a study returns: claims, each with its target, what was measured, and the verdict."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TypeAlias

import numpy as np


class Size(Enum):
    """TEST runs within a minute and asserts what holds at any size; WHOLE measures the claims, within 15 minutes on two
    cores."""

    TEST = "test"
    WHOLE = "whole"


class Source(Enum):
    """Where a target comes from."""

    PAPER = "paper"
    EXACT = "exact"
    """Mathematics, or physics known beforehand."""
    COMPUTED = "computed"
    """A reference that was computed for this project."""
    PROPOSED = "proposed"
    """By us: the paper has no figure for it."""


@dataclass(frozen=True)
class Claim:
    """A row of a study's table. key: short, such as C2; what: the claim in words; measured: mean over ``seeds`` runs,
    ``spread`` their standard deviation, None where nothing varies; the claim is met when low <= measured <= high;
    note: why it is missed, or what limits it."""

    key: str
    what: str
    measured: float
    low: float = -math.inf
    high: float = math.inf
    spread: float | None = None
    seeds: int = 1
    source: Source = Source.PROPOSED
    note: str = ""

    @classmethod
    def over_seeds(
        cls,
        key: str,
        what: str,
        runs: Sequence[float],
        low: float = -math.inf,
        high: float = math.inf,
        source: Source = Source.PROPOSED,
        note: str = "",
    ) -> Claim:
        """A claim measured once per seed."""
        spread = float(np.std(runs, ddof=1)) if len(runs) > 1 else None
        return cls(key, what, float(np.mean(runs)), low, high, spread, len(runs), source, note)

    @property
    def met(self) -> bool:
        """False for NaN too."""
        return bool(self.low <= self.measured <= self.high)

    @property
    def target(self) -> str:
        """The target in words."""
        if math.isinf(self.low) and math.isinf(self.high):
            return "reported"
        if math.isinf(self.high):
            return f"≥ {self.low:g}"
        if math.isinf(self.low):
            return f"≤ {self.high:g}"
        return f"{self.low:g}" if self.low == self.high else f"{self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class Findings:
    """What a study found. figures: PNG files with a caption each, in the order of telling; data: plain numbers and
    lists, for JSON."""

    title: str
    paper: str
    claims: tuple[Claim, ...]
    figures: tuple[tuple[Path, str], ...] = ()
    data: dict = field(default_factory=dict)


Say: TypeAlias = Callable[[str], None]
"""Told one line on what a study is doing."""

Study: TypeAlias = Callable[[Size, Path, Say], Findings]
"""``study(size, out, say)``: runs with fixed seeds and writes figures into ``out``, an existing folder."""
