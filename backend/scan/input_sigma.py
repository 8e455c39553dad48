"""How unsure a scan was before it was fitted: that of a mesh which a fit made, where parts of the surface are guesses.

Fitted again, as it is for edits and checks, such a mesh looks measured all around; without this a guess would become
a fact.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from ..formats.raw_scan import RawScan
from .frame import Frame


@dataclass(frozen=True)
class InputSigma:
    """sigma f32 (n,): one standard deviation of the surface at points f32 (n, 3); both canonical, all finite."""

    points: NDArray[np.float32]
    sigma: NDArray[np.float32]

    @classmethod
    def of(cls, raw: RawScan, frame: Frame) -> InputSigma | None:
        """What a scan says of itself; None where it says nothing. A point whose sigma is not a number is not asked."""
        if raw.sigma is None:
            return None
        known = np.isfinite(raw.points).all(axis=1) & np.isfinite(raw.sigma) & (raw.sigma >= 0)
        if not known.any():
            return None
        return cls(frame.to_canonical(raw.points[known]), raw.sigma[known] * np.float32(frame.scale))

    @cached_property
    def _tree(self) -> KDTree:
        return KDTree(self.points)

    def at(self, positions: NDArray[np.float32]) -> NDArray[np.float32]:
        """Sigma f32 (m,) of the points nearest to ``positions`` (m, 3), canonical."""
        return self.sigma[np.asarray(self._tree.query(positions)[1])]
