"""Regression on kernels that end a few radii from their centres: most products of two of them are zero.

Places and centres are sorted along one axis. A band of places meets the centres of one stretch of that axis only, so
that the normal matrix is a sum of small dense blocks on its diagonal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..field.weight_delta import FLOOR, GATE
from ..registration.warp import half_gram, kernel

CUT = 4.0
"""Radii from a centre beyond which its kernel counts as 0 where an edit is learned: all that is beyond is a thousandth
of a place's kernels."""
ROWS = 256
"""Places of a band: fewer make its products slow, more make it wide."""
NEGLIGIBLE = np.float32(1e-9)
"""Heights below this count as 0: products of two are below what single precision holds at full speed, and made the
normal matrix thirty times as slow."""


def gated_kernels(places: NDArray, centres: NDArray, radius: float) -> NDArray[np.float32]:
    """What the graph delta multiplies with its weights (n, E); see `training.atom.HeadDelta`."""
    # single precision, as in the graph, takes half the time
    height = kernel(np.asarray(places, np.float32), np.asarray(centres, np.float32), radius)
    low, high = GATE
    share = np.clip((height.max(axis=1, initial=0.0) - low) / (high - low), 0, 1)
    gate = share * share * (3 - 2 * share)
    height *= (gate / (height.sum(axis=1) + np.float32(FLOOR)))[:, None]
    height[height < NEGLIGIBLE] = 0
    return height


@dataclass(frozen=True)
class BandedKernels:
    """Gated kernels of n places and E centres, two columns for each centre: times the mean at the place, and plain."""

    bands: Sequence[tuple[slice, slice, NDArray[np.float32]]]  # rows, columns and values (rows, columns) of each
    columns: int  # 2 E

    @classmethod
    def of(cls, places: NDArray, centres: NDArray, radius: float, means: NDArray, axis: int) -> BandedKernels:
        """places (n, 3) and centres (E, 3), both in the order of their ``axis``; means (n,)."""
        bands = []
        for start in range(0, len(places), ROWS):
            some = places[start : start + ROWS]
            ends = some[0, axis] - CUT * radius, some[-1, axis] + CUT * radius
            low, high = np.searchsorted(centres[:, axis], ends).tolist()
            plain = gated_kernels(some, centres[low:high], radius)
            rows = slice(start, start + len(some))
            both = np.stack([means[rows, None] * plain, plain], axis=2).reshape(len(some), -1)
            bands.append((rows, slice(2 * low, 2 * high), both))
        return cls(bands, 2 * len(centres))

    def add_gram(self, found: NDArray[np.float32], chosen: NDArray[np.bool_], sign: int = 1) -> None:
        """Add ``sign`` times ``values.T @ values`` over chosen (n,) places to the upper triangle of (2 E, 2 E); fast
        in Fortran's order."""
        for rows, columns, values in self.bands:
            some = chosen[rows]
            if some.any():
                product = half_gram(values if some.all() else values[some])
                block = found[columns, columns]
                (np.add if sign > 0 else np.subtract)(block, product, out=block)

    def right(self, wanted: NDArray) -> NDArray[np.float32]:
        """``values.T @ wanted`` (2 E,); wanted (n,)."""
        found = np.zeros(self.columns, np.float32)
        for rows, columns, values in self.bands:
            found[columns] += wanted[rows] @ values
        return found

    def predicted(self, weights: NDArray) -> NDArray[np.float32]:
        """``values @ weights`` (n,); weights (2 E,)."""
        few = weights.astype(np.float32)
        return np.concatenate([values @ few[columns] for _, columns, values in self.bands])
