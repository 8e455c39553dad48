"""What the studies measure with: a frame for each of them, one thread, training, rank correlation and figures."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import spearmanr
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler

from .study import Findings, Measured, Plan, Say, Sheet, Size, Study

DPI = 110  # of figures
Result: TypeAlias = tuple[Mapping[str, Measured], Mapping[str, object], dict[str, Any]]
"""Measurements by the key of their claim, values for the names in braces of the sheet, and data for JSON."""


class Album:
    """Figures in a folder, with the captions of a sheet, in the order in which they are shown."""

    def __init__(self, sheet: Sheet, folder: Path) -> None:
        self.figures: list[tuple[Path, str]] = []
        self._sheet, self._folder = sheet, folder

    @contextmanager
    def figure(
        self, name: str, size: tuple[float, float], layout: Literal["constrained", "compressed"] = "constrained"
    ) -> Generator[Figure]:
        """A figure of ``size`` inches to draw into; it is saved as ``name``.png afterwards."""
        title, caption = self._sheet.figures[name]
        figure = Figure(figsize=size, layout=layout)
        yield figure
        if title:
            figure.suptitle(title)
        path = self._folder / f"{name}.png"
        figure.savefig(path, dpi=DPI)
        self.figures.append((path, caption))


def study_of(name: str) -> Callable[[Callable[[Plan, Album, Say], Result]], Study]:
    """Makes the study of this name of a function that runs a plan. It runs on one thread."""

    def made(run: Callable[[Plan, Album, Say], Result]) -> Study:
        @one_thread()
        def study(size: Size, out: Path, say: Say) -> Findings:
            sheet = Sheet.of(name)
            album = Album(sheet, out)
            measured, values, data = run(sheet.plans[size], album, say)
            return Findings(sheet.title, sheet.paper, sheet.claims(measured, values), album.figures, data)

        return study

    return made


def counted(say: Say, what: str, count: int) -> Iterator[int]:
    """0 .. count - 1, such as seeds, and says of each ``what`` is done."""
    for number in range(count):
        say(f"{what} {number + 1} of {count}")
        yield number


@contextmanager
def one_thread() -> Generator[None]:
    """torch on one thread, and afterwards as before: the nets of the studies are too small to be shared between two.

    Also a decorator."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def spearman(one: NDArray, other: NDArray) -> float:
    """Spearman's rank correlation of two rows of numbers."""
    # scipy's result has no declared type
    return float(cast(Any, spearmanr(one, other)).statistic)


def minimise(loss: Callable[[], Tensor], schedule: LRScheduler, steps: int, largest: float = math.inf) -> list[float]:
    """Follow a loss downhill by the optimiser of a schedule of rates, gradients cut to the length ``largest``; returns
    the loss of every step."""
    optimiser = schedule.optimizer
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    history = []
    for _ in range(steps):
        value = loss()
        optimiser.zero_grad()
        value.backward()
        if math.isfinite(largest):
            nn.utils.clip_grad_norm_(parameters, largest)
        optimiser.step()
        schedule.step()
        history.append(float(value.detach()))
    return history
