"""Rank correlation."""

from __future__ import annotations

from typing import Any, cast

from numpy.typing import NDArray
from scipy.stats import spearmanr


def spearman(one: NDArray, other: NDArray) -> float:
    """Spearman's correlation of two rows of numbers."""
    # scipy's result has no declared type
    return float(cast(Any, spearmanr(one, other)).statistic)
