"""Surface that nobody measured but something suggests: a mirror plane, a family of shapes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Guess:
    """Points f32 (n, 3) and unit normals outwards f32 (n, 3), canonical; sigma f32 (n,), one standard deviation of the
    surface there, canonical; source: whose guess it is, in words. It speaks only where no scan point is near."""

    points: np.ndarray
    normals: np.ndarray
    sigma: np.ndarray
    source: str

    def __len__(self) -> int:
        return len(self.points)
