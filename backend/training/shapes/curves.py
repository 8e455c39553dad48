"""Smooth curves through control points."""

from __future__ import annotations

import torch
from torch import Tensor


def spline(points: Tensor, segments: int, closed: bool = False) -> Tensor:
    """Catmull-Rom curve through `(B, S, D)` control points: segments + 1 points, or `segments` if closed."""
    count = points.shape[1]
    if closed:
        t = torch.arange(segments, device=points.device) * (count / segments)
    else:
        t = torch.linspace(0, count - 1, segments + 1, device=points.device).clamp(max=count - 1.0001)
    i = t.floor().long()
    f = (t - i)[None, :, None]

    def at(k: int) -> Tensor:
        index = (i + k) % count if closed else (i + k).clamp(0, count - 1)
        return points[:, index]

    a, b, c, d = at(-1), at(0), at(1), at(2)
    return b + 0.5 * f * (c - a + f * (2 * a - 5 * b + 4 * c - d + f * (3 * (b - c) + d - a)))
