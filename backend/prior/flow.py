"""The flow prior over codes at run time: it samples codes, scores them and pulls them toward the plausible.

A code is judged by its alignment loss L (see `velocity`), always over the same draws. Lower is more plausible down to
the data's own L and no more than that below it: the minimum lies at the modes, not at the data, and what follows L
downhill stops at the data's own.

L over all times, as in the paper, is mostly about how far a code lies from the middle of the data, and its minima lie
inward of the modes, since the early velocity points to the mean of all. Its late part, where x is the code under a
little noise, is about the data near by: on the paper's five Gaussians its rank correlation with the density is .999
rather than .96, and its minima lie 0 rather than 1 standard deviation inward. So the late part scores a code.
Downhill, all times bring a code back from afar almost to where it came from, and the late part then finishes.
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
from ..formats.safetensors import pack
from ..formats.tables import load_tables, table
from .velocity import Block, Draws, Velocity, scores_of, slopes_of

FILE = "flow.safetensors"
"""Beside the model."""
KIND = "flow over codes, version 1"
LARGEST_FILE = 32 << 20
LARGEST_SIZE = 1024
"""Dimensions of a code, and of the network's layers."""
LARGEST_NUMBER = 1e4
"""In a code, in its own units, and in the file."""
LEVELS = np.linspace(0, 1, 101)
"""At which the quantiles of the scores of held-out codes are kept."""
DRAWS = 64
WHOLE, LATE = (0.0, 1.0), (0.75, 1.0)
"""Spans of time over which L is averaged: as in the paper, and for scores."""
MOST_SAMPLES = 10_000
STRIDE = 0.04
"""A step of a pull as a share of the code's length, of which the root of its dimensions is typical."""
MOST_STEPS = 80
_OUTER = ("enter", "enter_shift", "leave", "leave_shift")
_INNER = ("first", "shift", "time", "second", "offset")


@dataclass(frozen=True)
class Plausibility:
    """What an L means: ``quantiles`` (101,) of that of codes held out, at LEVELS."""

    quantiles: np.ndarray

    @classmethod
    def of(cls, scores: np.ndarray) -> Plausibility:
        return cls(np.quantile(scores, LEVELS).astype(np.float32))

    def score_of(self, plausible: float) -> float:
        """The score that this share, 0 to 1, of real codes do not better: at 0.5, the data's own."""
        return float(np.interp(1 - plausible, LEVELS, self.quantiles))

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """The share of real codes that score no better: 1 at the modes, 0.5 for the typical, 0 for the absurd.

        The last hundredth falls off exponentially, as fast as from 0.1 to 0.01, so that the order is kept beyond all
        real codes.
        """
        scores = np.asarray(scores, np.float64)
        tenth, hundredth = np.interp((0.9, 0.99), LEVELS, self.quantiles)
        within = 1 - np.interp(scores, self.quantiles, LEVELS)
        beyond = 0.01 * 0.1 ** (np.maximum(scores - hundredth, 0) / max(hundredth - tenth, 1e-6))
        return np.where(scores > hundredth, beyond, within)


@dataclass(frozen=True)
class Way:
    """codes (k, d) on the way to the plausible, from the code itself on, and their scores (k,)."""

    codes: np.ndarray
    scores: np.ndarray

    def at(self, strength: float) -> np.ndarray:
        """The code (d,) at this share, 0 to 1, of the way's length: a slider. Raises OmomiError(BAD_OPTION)."""
        if not 0 <= strength <= 1:
            raise OmomiError(ErrorCode.BAD_OPTION, "The strength of a pull lies between 0 and 1.")
        lengths = np.linalg.norm(np.diff(self.codes, axis=0), axis=1)
        reached = np.concatenate([[0.0], np.cumsum(lengths)])
        place = np.interp(strength * reached[-1], reached, np.arange(len(reached)))
        before = min(int(place), max(len(lengths) - 1, 0))
        share = np.float32(place - before)
        return (1 - share) * self.codes[before] + share * self.codes[min(before + 1, len(lengths))]


@dataclass(frozen=True)
class FlowPrior:
    """mean (d,) and whitening (d, d), symmetric, of the codes it was trained on; the velocity of whitened codes; what
    its alignment losses and its scores mean. Arrays are float32."""

    mean: np.ndarray
    whitening: np.ndarray
    velocity: Velocity
    closeness: Plausibility
    plausibility: Plausibility

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
        """L (n,) of codes (n, d), over late times. Raises OmomiError(BAD_OPTION) for codes of another size, not
        finite or absurdly large."""
        return scores_of(self.velocity, self._checked(codes), Draws.fixed(self.size, draws, seed, LATE))

    def gradient(self, codes: np.ndarray, draws: int = DRAWS, seed: int = 0) -> np.ndarray:
        """Of the score by the code (n, d). Raises as `score` does."""
        fixed = Draws.fixed(self.size, draws, seed, LATE)
        return slopes_of(self.velocity, self._checked(codes), fixed) @ self.whitening.T

    def way(self, code: np.ndarray, plausible: float = 0.5) -> Way:
        """The way of a code (d,) to where it is as plausible as this share, 0 to 1, of real codes.

        It goes downhill until L over all times and then the score are those of the data, and no farther; a code that
        is as plausible already has nowhere to go, and where nothing lowers L any more the way ends early. Raises as
        `score` does.
        """
        if not 0 <= plausible <= 1:
            raise OmomiError(ErrorCode.BAD_OPTION, "How plausible a code is to become lies between 0 and 1.")
        points = [self._checked(np.asarray(code)[None])]
        for span, judge in ((WHOLE, self.closeness), (LATE, self.plausibility)):
            draws = Draws.fixed(self.size, DRAWS, 0, span)
            points += _descent(self.velocity, points[-1], draws, judge.score_of(plausible))
        codes = self.unwhiten(np.concatenate(points))
        codes[0] = code
        return Way(codes, self.score(codes))

    def pull(self, code: np.ndarray, strength: float = 1.0, plausible: float = 0.5) -> np.ndarray:
        """A code (d,) moved by ``strength``, 0 to 1, of its `way`. Raises as `way` does."""
        return self.way(code, plausible).at(strength)

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


def _descent(velocity: Velocity, point: np.ndarray, draws: Draws, target: float) -> list[np.ndarray]:
    """Points (1, d) on the way of a point downhill until L is ``target``, which the last does not pass."""
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
        raise FormatError("it is not a flow over codes that this version knows")
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
    prior = FlowPrior(arrays["mean"], arrays["whitening"], velocity, *map(Plausibility, arrays["quantiles"]))
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
