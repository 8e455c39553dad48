"""Random numbers of a batch of shapes: discrete choices shared by the batch, continuous ones per member."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor

Choice = TypeVar("Choice")
COLUMNS = 4096


class Draws:
    """Reads the program of a batch from `seed` and the parameters of its members from the rows of a table.

    Member b depends on the seed and on row b alone, so that a degenerate member is replaced by a new row.
    """

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

    def spread(self, low: float, high: float) -> float:
        """One number for the whole batch."""
        return self._program.uniform(low, high)

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
