"""The flow prior over codes at run time: it samples codes, scores them and moves them toward plausible ones.

The score of a code is its alignment loss L (see `velocity`), always over the same draws. A lower L is more plausible
down to the L of the data, but not below it: the minima of L lie at the modes, not at typical data. A descent of L
therefore stops at the L of the data.

L over all times, as in the paper, mostly measures the distance of a code from the middle of the data, and its minima
lie inward of the modes, because the early velocity points to the mean of all data. L over late times, where x is the
code with little noise, measures the density near by: on the paper's five Gaussians its rank correlation with the
density is .999 rather than .96, and its minima lie 0 rather than 1 standard deviation inward. The score is therefore L
over late times. A descent first follows L over all times, which brings a code back from far away, and then the score.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ..errors import ErrorCode, OmomiError
from ..formats.files import FormatError, write_whole
from ..formats.tables import load_tables, pack, table
from .velocity import Block, Draws, Velocity, scores_of, slopes_of

FILE = "flow.safetensors"
"""Beside the model."""
KIND = "flow over codes, version 1"
LARGEST_FILE = 32 << 20
LARGEST_SIZE = 1024
"""Dimensions of a code, and of the network's layers."""
LARGEST_NUMBER = 1e4
"""Largest number in a code, in its own units, and in the file."""
LEVELS = np.linspace(0, 1, 101)
"""Shares of the held-out codes at which the quantiles of their scores are kept."""
DRAWS = 64
"""Draws of time and start over which L is averaged."""
WHOLE, LATE = (0.0, 1.0), (0.75, 1.0)
"""Spans of time over which L is averaged: in the paper, and for scores."""
MOST_SAMPLES = 10_000
STRIDE = 0.04
"""Length of a step of a descent over the length of the code, which is typically the root of its dimensions."""
MOST_STEPS = 80
"""Steps of a descent at most, on each span of time."""
_OUTER = ("enter", "enter_shift", "leave", "leave_shift")
_INNER = ("first", "shift", "time", "second", "offset")


@dataclass(frozen=True)
class ScoreQuantiles:
    """Quantiles of L over held-out codes: they turn an L into a plausibility."""

    quantiles: np.ndarray  # (101,), at LEVELS

    @classmethod
    def of(cls, scores: np.ndarray) -> ScoreQuantiles:
        return cls(np.quantile(scores, LEVELS).astype(np.float32))

    def score_of(self, plausible: float) -> float:
        """The L whose plausibility is ``plausible``, 0 to 1; that of typical data at 0.5."""
        return float(np.interp(1 - plausible, LEVELS, self.quantiles))

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """Plausibilities: the share of held-out codes with a larger L, 1 at the modes, 0.5 for typical data.

        Below a hundredth it falls off exponentially, as fast as from 0.1 to 0.01, so that codes beyond all data keep
        their order.
        """
        scores = np.asarray(scores, np.float64)
        tenth, hundredth = np.interp((0.9, 0.99), LEVELS, self.quantiles)
        within = 1 - np.interp(scores, self.quantiles, LEVELS)
        beyond = 0.01 * 0.1 ** (np.maximum(scores - hundredth, 0) / max(hundredth - tenth, 1e-6))
        return np.where(scores > hundredth, beyond, within)


@dataclass(frozen=True)
class DescentPath:
    """Codes along a descent of L, the first one the code itself."""

    codes: np.ndarray  # (k, d)
    scores: np.ndarray  # (k,)

    def at(self, strength: float) -> np.ndarray:
        """The code (d,) at this share, 0 to 1, of the path's length: a slider. Raises OmomiError(BAD_OPTION)."""
        if not 0 <= strength <= 1:
            raise OmomiError(ErrorCode.BAD_OPTION, "The strength must lie between 0 and 1.")
        lengths = np.linalg.norm(np.diff(self.codes, axis=0), axis=1)
        reached = np.concatenate([[0.0], np.cumsum(lengths)])
        place = np.interp(strength * reached[-1], reached, np.arange(len(reached)))
        before = min(int(place), max(len(lengths) - 1, 0))
        share = np.float32(place - before)
        return (1 - share) * self.codes[before] + share * self.codes[min(before + 1, len(lengths))]


@dataclass(frozen=True)
class FlowPrior:
    """A rectified flow over codes. Arrays are float32."""

    mean: np.ndarray  # (d,), of the codes it was trained on
    whitening: np.ndarray  # (d, d), symmetric, of the same codes
    velocity: Velocity  # of whitened codes
    closeness: ScoreQuantiles  # of L over all times
    plausibility: ScoreQuantiles  # of the score, L over late times

    @property
    def size(self) -> int:
        """Dimensions of a code."""
        return len(self.mean)

    @cached_property
    def _unwhitening(self) -> np.ndarray:
        return np.linalg.inv(self.whitening.astype(np.float64)).astype(np.float32)

    def whiten(self, codes: np.ndarray) -> np.ndarray:
        return (codes - self.mean) @ self.whitening

    def unwhiten(self, points: np.ndarray) -> np.ndarray:
        return points @ self._unwhitening + self.mean

    def sample(self, count: int, seed: int, steps: int = 100) -> np.ndarray:
        """(count, d) new codes: Heun's method along the velocity from N(0, I). Raises OmomiError(BAD_OPTION)."""
        if not 1 <= count <= MOST_SAMPLES or steps < 1 or seed < 0:
            sentence = f"Ask for 1 to {MOST_SAMPLES} samples, with a step or more and a seed that is not negative."
            raise OmomiError(ErrorCode.BAD_OPTION, sentence)
        x = np.random.default_rng(seed).standard_normal((count, self.size)).astype(np.float32)
        for step in range(steps):
            here = self.velocity(x, np.full(count, step / steps))
            there = self.velocity(x + here / steps, np.full(count, (step + 1) / steps))
            x = x + (here + there) / (2 * steps)
        return self.unwhiten(x)

    def alignment(self, codes: np.ndarray, draws: int = DRAWS, seed: int = 0) -> np.ndarray:
        """The paper's L (n,), over all times. Raises as `score` does."""
        return scores_of(self.velocity, self._checked(codes), Draws.fixed(self.size, draws, seed, WHOLE))

    def score(self, codes: np.ndarray, draws: int = DRAWS, seed: int = 0) -> np.ndarray:
        """L (n,) of codes (n, d), over late times. Raises OmomiError(BAD_OPTION) for codes of another size, and for
        numbers that are not finite or larger than LARGEST_NUMBER."""
        return scores_of(self.velocity, self._checked(codes), Draws.fixed(self.size, draws, seed, LATE))

    def gradient(self, codes: np.ndarray, draws: int = DRAWS, seed: int = 0) -> np.ndarray:
        """Gradient (n, d) of the score by the code. Raises as `score` does."""
        fixed = Draws.fixed(self.size, draws, seed, LATE)
        return slopes_of(self.velocity, self._checked(codes), fixed) @ self.whitening.T

    def descent(self, code: np.ndarray, plausible: float = 0.5) -> DescentPath:
        """The path of a code (d,) downhill to the plausibility ``plausible``, 0 to 1.

        It lowers L over all times and then the score, each until it has that plausibility. The path of a code that is
        plausible enough has no length; it ends early where no step lowers L. Raises as `score` does.
        """
        if not 0 <= plausible <= 1:
            raise OmomiError(ErrorCode.BAD_OPTION, "The plausibility must lie between 0 and 1.")
        points = [self._checked(np.asarray(code)[None])]
        for span, quantiles in ((WHOLE, self.closeness), (LATE, self.plausibility)):
            draws = Draws.fixed(self.size, DRAWS, 0, span)
            points += _descend(self.velocity, points[-1], draws, quantiles.score_of(plausible))
        codes = self.unwhiten(np.concatenate(points))
        codes[0] = code
        return DescentPath(codes, self.score(codes))

    def save(self, path: Path) -> None:
        """Write ``flow.safetensors``. Raises OmomiError(DISK); what was at ``path`` is untouched then."""
        arrays = {"mean": self.mean, "whitening": self.whitening}
        arrays["quantiles"] = np.stack([self.closeness.quantiles, self.plausibility.quantiles])
        arrays |= {name: getattr(self.velocity, name) for name in _OUTER}
        for index, block in enumerate(self.velocity.blocks):
            arrays |= {f"block.{index}.{name}": getattr(block, name) for name in _INNER}
        write_whole(path, pack({name: np.asarray(array, np.float32) for name, array in arrays.items()}, {"kind": KIND}))

    def _checked(self, codes: np.ndarray) -> np.ndarray:
        """Whitened codes (n, d)."""
        codes = np.asarray(codes, np.float32)
        if codes.ndim != 2 or codes.shape[1] != self.size:
            raise OmomiError(ErrorCode.BAD_OPTION, f"A code of this model has {self.size} numbers.")
        if not (np.abs(codes) < LARGEST_NUMBER).all():
            raise OmomiError(ErrorCode.BAD_OPTION, "A code holds a number that is not finite or far too large.")
        return self.whiten(codes)


def _descend(velocity: Velocity, point: np.ndarray, draws: Draws, target: float) -> list[np.ndarray]:
    """Points (1, d) along a descent of L from ``point``, until L is ``target``; it never falls below."""
    score, stride, points = float(scores_of(velocity, point, draws)[0]), STRIDE, []
    while score > target and len(points) < MOST_STEPS and stride > STRIDE / 100:
        slope = slopes_of(velocity, point, draws)
        length = stride * max(float(np.linalg.norm(point)), math.sqrt(point.shape[1]))
        step = slope * np.float32(-length / max(float(np.linalg.norm(slope)), 1e-12))
        reached = float(scores_of(velocity, point + step, draws)[0])
        if not reached < score:
            stride /= 2
        elif reached >= target:
            point, score = point + step, reached
            points.append(point)
        else:
            share = _share_before(velocity, point, step, draws, target)
            return points + [point + share * step] if share else points
    return points


def _share_before(velocity: Velocity, point: np.ndarray, step: np.ndarray, draws: Draws, target: float) -> np.float32:
    """The share of a step at which a falling L just does not pass the target, by bisection."""
    kept, passed = np.float32(0), np.float32(1)
    for _ in range(12):
        middle = (kept + passed) / np.float32(2)
        if scores_of(velocity, point + middle * step, draws)[0] < target:
            passed = middle
        else:
            kept = middle
    return kept


def load_flow(path: Path) -> FlowPrior:
    """Read what `FlowPrior.save` wrote. Raises OmomiError(UNREADABLE_FILE) for anything else."""
    return load_tables(path, LARGEST_FILE, _flow)


def _flow(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> FlowPrior:
    if metadata.get("kind") != KIND:
        raise FormatError("it is not a flow over codes in a format that this Omomi reads")
    blocks, rest = divmod(len(arrays) - 3 - len(_OUTER), len(_INNER))
    enter, first_time = arrays.get("enter", np.empty(0)), arrays.get("block.0.time", np.empty((0, 0)))
    if rest or blocks < 0 or enter.ndim != 2 or first_time.ndim != 2:
        raise FormatError("it does not hold the arrays of a flow")
    (width, size), times = enter.shape, first_time.shape[1]
    if not all(0 < side <= LARGEST_SIZE for side in (width, size)) or times > LARGEST_SIZE:
        raise FormatError(f"its layers do not have 1 to {LARGEST_SIZE} dimensions")
    shapes = {"mean": (size,), "whitening": (size, size), "quantiles": (2, *LEVELS.shape)}
    shapes |= dict(zip(_OUTER, ((width, size), (width,), (size, width), (size,)), strict=True))
    inner = ((width, width), (width,), (width, times), (width, width), (width,))
    for index in range(blocks):
        shapes |= {f"block.{index}.{name}": shape for name, shape in zip(_INNER, inner, strict=True)}
    for name, shape in shapes.items():
        table(arrays, name, shape, LARGEST_NUMBER)
    if (np.diff(arrays["quantiles"]) < 0).any() or (arrays["quantiles"] < 0).any():
        raise FormatError("its quantiles do not rise")
    if not np.linalg.cond(arrays["whitening"].astype(np.float64)) < 1e6:
        raise FormatError("its whitening cannot be undone")
    network = tuple(Block(*(arrays[f"block.{index}.{name}"] for name in _INNER)) for index in range(blocks))
    velocity = Velocity(arrays["enter"], arrays["enter_shift"], network, arrays["leave"], arrays["leave_shift"])
    prior = FlowPrior(arrays["mean"], arrays["whitening"], velocity, *map(ScoreQuantiles, arrays["quantiles"]))
    with np.errstate(over="ignore", invalid="ignore"):
        if not np.isfinite(prior.gradient(prior.mean[None])).all():
            raise FormatError("its velocity is not finite")
    return prior


def auroc(real: np.ndarray, odd: np.ndarray) -> float:
    """The chance that an odd code scores higher than a real one, ties counting half (Mann-Whitney)."""
    ordered = np.sort(real)
    below = np.searchsorted(ordered, odd, side="left")
    upto = np.searchsorted(ordered, odd, side="right")
    return float(np.mean(below + upto) / (2 * len(ordered)))
