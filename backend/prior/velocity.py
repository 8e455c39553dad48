"""The velocity network of `training/flow.py` in numpy, with its vector-Jacobian product, and the alignment loss

    L(y) = E |v((1 - t) x0 + t y, t) - (y - x0)|^2 / d,    x0 ~ N(0, I), t ~ U[0, 1]

of Li et al. 2025, "Aligning Latent Spaces with Flow Priors" (2506.05240, section 4), with its gradient, over fixed
draws of t and x0. Points y are whitened codes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

_ROWS = 4096
"""Rows that pass through the network at a time, which bounds the memory."""

Pullback = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Block:
    """h + second silu(first h + time cosines + shift) + offset."""

    first: np.ndarray  # (w, w)
    shift: np.ndarray  # (w,)
    time: np.ndarray  # (w, k)
    second: np.ndarray  # (w, w)
    offset: np.ndarray  # (w,)


@dataclass(frozen=True)
class Velocity:
    """The weights of the network, float32."""

    enter: np.ndarray  # (w, d)
    enter_shift: np.ndarray  # (w,)
    blocks: tuple[Block, ...]
    leave: np.ndarray  # (d, w)
    leave_shift: np.ndarray  # (d,)

    def __call__(self, x: np.ndarray, t: np.ndarray) -> np.ndarray:
        """(n, d) points at times (n,) -> (n, d) velocities."""
        return self.with_pullback(x, t)[0]

    def with_pullback(self, x: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, Pullback]:
        """Velocities (n, d), and the function that maps g (n, d) to g^T dv/dx (n, d)."""
        t = t[:, None].astype(x.dtype)
        square = t**2 + (1 - t) ** 2
        inverse = 1 / np.sqrt(square)
        gaussian = (2 * t - 1) / square
        times = self.blocks[0].time.shape[1] if self.blocks else 0
        time = np.cos(np.pi * t * np.arange(1, times + 1, dtype=x.dtype))
        h = (x * inverse) @ self.enter.T + self.enter_shift
        slopes = []
        for block in self.blocks:
            bent, slope = _silu(h @ block.first.T + block.shift + time @ block.time.T)
            slopes.append(slope)
            h = h + bent @ block.second.T + block.offset
        bent, last = _silu(h)

        def pullback(g: np.ndarray) -> np.ndarray:
            back = (g * inverse) @ self.leave * last
            for block, slope in zip(reversed(self.blocks), reversed(slopes), strict=True):
                back = back + (back @ block.second * slope) @ block.first
            return gaussian * g + inverse * (back @ self.enter)

        return gaussian * x + inverse * (bent @ self.leave.T + self.leave_shift), pullback


def _silu(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x / (1 + exp(-x)) and its slope; the form with tanh does not overflow."""
    share = 0.5 + 0.5 * np.tanh(0.5 * x)
    return x * share, share * (1 + x * (1 - share))


@dataclass(frozen=True)
class Draws:
    """Draws over which L is averaged, float32."""

    times: np.ndarray  # (k,)
    starts: np.ndarray  # (k, d), x0

    @classmethod
    def fixed(cls, size: int, count: int, seed: int, span: tuple[float, float] = (0.0, 1.0)) -> Draws:
        """Stratified times in ``span`` and paired starts x0, -x0 of unit variance in every dimension; count is even.

        L contains |x0|^2; its variance would otherwise dominate the error of the estimate.
        """
        half = count // 2
        starts = np.random.default_rng(seed).standard_normal((half, size))
        starts /= np.sqrt(np.mean(starts**2, axis=0))
        paired = np.stack([starts, -starts], axis=1).reshape(2 * half, size)
        times = span[0] + (span[1] - span[0]) * np.repeat((np.arange(half) + 0.5) / half, 2)
        return cls(times.astype(np.float32), paired.astype(np.float32))


def scores_of(velocity: Velocity, points: np.ndarray, draws: Draws) -> np.ndarray:
    """L (n,) of points (n, d)."""
    return np.concatenate([(_residuals(velocity, part, draws)[0] ** 2).mean((1, 2)) for part in _parts(points, draws)])


def slopes_of(velocity: Velocity, points: np.ndarray, draws: Draws) -> np.ndarray:
    """dL/dy (n, d): the residual v + x0 - y changes with y by t J - 1."""
    parts = []
    for part in _parts(points, draws):
        residual, pullback = _residuals(velocity, part, draws)
        back = pullback(residual.reshape(-1, points.shape[1])).reshape(residual.shape)
        parts.append(2 / points.shape[1] * (draws.times[:, None] * back - residual).mean(1))
    return np.concatenate(parts)


def _residuals(velocity: Velocity, points: np.ndarray, draws: Draws) -> tuple[np.ndarray, Pullback]:
    """What the velocity misses of y - x0 (n, k, d), and its pullback over the n k rows."""
    at, end = draws.times[:, None], points[:, None, :]
    mixed = (1 - at) * draws.starts + at * end
    flow, pullback = velocity.with_pullback(mixed.reshape(-1, points.shape[1]), np.tile(draws.times, len(points)))
    return flow.reshape(mixed.shape) + draws.starts - end, pullback


def _parts(points: np.ndarray, draws: Draws) -> list[np.ndarray]:
    """The points in parts that pass at most _ROWS rows through the network; at least one part, perhaps empty."""
    size = max(1, _ROWS // len(draws.times))
    return [points[start : start + size] for start in range(0, max(len(points), 1), size)]
