"""The random program of a batch of shapes: its draws, and the height fields that displace a surface.

Discrete choices are shared by the batch, continuous ones are drawn for each member. A height field is added to a
distance; its slope stays well below one.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor

from .primitives import Field, cells, waves

Choice = TypeVar("Choice")
COLUMNS = 4096


class ProgramDraws:
    """Reads the program of a batch from `seed` and the parameters of its members from the rows of a table: member b
    depends on the seed and on row b alone, so that a degenerate member is replaced by a new row."""

    def __init__(self, seed: int, table: Tensor) -> None:
        self._program = random.Random(seed)
        self._table = table
        self._column = 0
        self.count = table.shape[0]
        self.device = table.device

    def chance(self, probability: float) -> bool:
        """One coin for the whole batch."""
        return self._program.random() < probability

    def integer(self, low: int, high: int) -> int:
        """One integer of low..high, both included, for the whole batch."""
        return self._program.randint(low, high)

    def choice(self, options: Sequence[Choice]) -> Choice:
        """One of the options for the whole batch."""
        return self._program.choice(options)

    def raw(self, columns: int) -> Tensor:
        """`(B, columns)` uniform in 0..1."""
        first, self._column = self._column, self._column + columns
        if self._column > self._table.shape[1]:
            raise ValueError(f"a program uses more than {self._table.shape[1]} random numbers")
        return self._table[:, first : self._column]

    def uniform(self, low: float, high: float, columns: int = 1) -> Tensor:
        """`(B, columns)` uniform in low..high."""
        return self.raw(columns) * (high - low) + low

    def log_uniform(self, low: float, high: float, columns: int = 1) -> Tensor:
        """`(B, columns)` in low..high, uniform in the logarithm."""
        return torch.exp(self.uniform(math.log(low), math.log(high), columns))

    def normal(self, columns: int) -> Tensor:
        """`(B, columns)` standard normal."""
        return math.sqrt(2) * torch.erfinv((self.raw(columns) * 2 - 1).clamp(-0.9999, 0.9999))

    def absent(self, probability: float) -> Tensor:
        """`(B, 1)`: 0 for most members, 4 for a few: added to a distance, it removes that part."""
        return (self.raw(1) < probability).float() * 4

    def direction(self) -> Tensor:
        """`(B, 3)` unit vectors."""
        return torch.nn.functional.normalize(self.normal(3), dim=1)

    def rotation(self) -> Tensor:
        """`(B, 3, 3)` uniform rotations."""
        w, x, y, z = torch.nn.functional.normalize(self.normal(4), dim=1).unbind(1)
        rows = (
            1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
            2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
            2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
        )  # fmt: skip
        return torch.stack(rows, 1).reshape(-1, 3, 3)

    def constant(self, *values: float) -> Tensor:
        """`(B, n)`, the same row for every member."""
        return torch.tensor(values, device=self._table.device).expand(self.count, -1)


def noise(draws: ProgramDraws, octaves: int, low: float, slope: float, sharp: bool = False) -> Field:
    """Height field of several octaves from the frequency `low` (radians per unit) on, creased if `sharp`."""
    vectors, amplitudes = [], []
    frequency = draws.log_uniform(low, low * 2)
    for _ in range(octaves):
        for _ in range(5):
            vectors.append(draws.direction() * frequency * draws.uniform(0.7, 1.3))
            amplitudes.append(slope / octaves / frequency * 0.6)
        frequency = frequency * 2.1
    vector, amplitude = torch.stack(vectors, 1), torch.cat(amplitudes, 1)
    phase = draws.uniform(0.0, 6.28, vector.shape[1])
    if sharp:
        return lambda p: waves(p, vector, phase, amplitude).abs_()
    return lambda p: waves(p, vector, phase, amplitude)


def patches(draws: ProgramDraws) -> Field:
    """Smooth weight in 0..1 that covers a random half of space in patches of about .5."""
    cover = noise(draws, 1, 2.5, 2.5)
    shift = draws.uniform(-0.3, 0.5)
    return lambda p: cover(p).add_(shift).mul_(6).sigmoid_()


def knobs(draws: ProgramDraws, count: int, low: float, high: float) -> Field:
    """Rounded scales or pits around `count` random centres, of a radius in low..high, slope about .35."""
    centres = draws.uniform(-0.9, 0.9, 3 * count).reshape(-1, count, 3)
    radius = draws.log_uniform(low, high)

    def field(p: Tensor) -> Tensor:
        inside = (radius - cells(p, centres)).clamp_(min=0)
        return inside.mul_(inside).mul_(-0.17 / radius)

    return field


def lattice(draws: ProgramDraws) -> Field:
    """Regular bumps or grooves: products of sines along random skew axes, as in knitting or scales."""
    frequency = draws.log_uniform(20.0, 90.0)
    height = torch.minimum(draws.log_uniform(0.003, 0.015), 0.3 / frequency)
    axes = torch.stack([draws.direction() * frequency for _ in range(3)], 1)
    phase = draws.uniform(0.0, 6.28, 3)
    bias = draws.uniform(-0.3, 0.3)[:, :, None]

    def field(p: Tensor) -> Tensor:
        a, b, c = torch.sin(torch.baddbmm(phase[:, :, None], axes, p)).unbind(1)
        return (a * b).add_(c * 0.5).add_(bias[:, 0]).clamp_(-0.6, 0.6).mul_(height)

    return field


def detail(draws: ProgramDraws) -> Field:
    """Fine detail of a random kind, everywhere or in patches; amplitude .002 to .015."""
    kind = draws.choice(("sines", "sines", "creases", "knobs", "lattice"))
    if kind == "knobs":
        relief = knobs(draws, draws.choice((60, 120)), 0.04, 0.12)
    elif kind == "lattice":
        relief = lattice(draws)
    else:
        relief = noise(draws, draws.integer(1, 2), draws.choice((8.0, 16.0, 32.0, 48.0)), 0.25, kind == "creases")
    if not draws.chance(0.4):
        return relief
    weight = patches(draws)
    return lambda p: relief(p).mul_(weight(p))
