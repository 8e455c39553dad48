"""Edges of a mesh as whole numbers, which sort and compare fast."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def edge_keys(one: NDArray, two: NDArray) -> NDArray[np.int64]:
    """A number (e,) for each edge between vertices (e,) and (e,), the same in both directions. Numbers rise with the
    lower vertex, then with the higher one."""
    return (np.minimum(one, two).astype(np.int64) << 32) + np.maximum(one, two)


def edge_ends(keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """The lower and the higher vertex (e, 2) of edges with these keys (e,)."""
    return np.stack([keys >> 32, keys & 0xFFFFFFFF], axis=-1)
