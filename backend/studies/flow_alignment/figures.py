"""Pictures of the toys: maps of the loss, ways down, and where latents end up."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from torch import Tensor

from .exact import DETACHED, NEARBY, Effort, Maps, Run
from .learned import Learned
from .measures import agreement, modes_of
from .toys import REACH, SIDE, Toy

BLUE, RED, GREY = "#1f5fa8", "#c23b22", "#8a8a8a"
DPI = 110


def draw_maps(path: Path, toy: Toy, over: Maps) -> tuple[Path, str]:
    """The plane by its density and by both losses, and each loss against the density."""
    figure = Figure(figsize=(11, 6.6), layout="constrained")
    axes = figure.subplots(2, 3, height_ratios=(3, 2))
    values = (("−log p", over.surprise), ("L, all times", over.whole), ("late L", over.late))
    for axis, (name, value) in zip(axes[0], values, strict=True):
        shade(axis, toy, value)
        rings(axis, toy)
        axis.set_title(name)
    axes[1, 0].axis("off")
    words = (
        "Above: points of the plane by rank, dark is low.\nWhite rings: 1 and 2 sd of the five modes.\n"
        "The valleys of L over all times lie inward of\nthe modes; those of late L lie at them."
    )
    axes[1, 0].text(0, 0.95, words, va="top", fontsize=11)
    kept = over.surprise < NEARBY
    for axis, (name, value) in zip(axes[1, 1:], values[1:], strict=True):
        axis.plot(over.surprise, value, ".", color=GREY, markersize=2)
        axis.plot(over.surprise[kept], value[kept], ".", color=RED, markersize=3, label=f"−log p < {NEARBY:g}")
        rank, near = agreement(value, over.surprise)[0], agreement(value, over.surprise, NEARBY)[0]
        axis.set(title=f"Spearman {rank:.3f}, near the data {near:.2f}", xlabel="−log p (nats)", ylabel=name)
        axis.legend(loc="lower right", fontsize=8)
    return save(figure, path, "Loss and likelihood over the plane of the five Gaussians, with the exact velocity.")


def draw_ways(path: Path, effort: Effort, runs: Sequence[Run], real: tuple[float, float]) -> tuple[Path, str]:
    """NLL and L against steps; real: those of the data."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    steps = np.maximum(effort.marks, 5)
    for axis, name, own in ((left, "surprise", real[0]), (right, "loss", real[1])):
        _band(axis, steps, np.array([getattr(one, name) for one in runs]), BLUE, "aligned")
        axis.axhline(own, color=GREY, linestyle="--", label="real data")
        axis.set(xscale="log", xlabel="steps of Adam (0 drawn at 5)")
    cut = np.array([one.detached_surprise for one in runs])
    _band(left, steps[: cut.shape[1]], cut, RED, "aligned, input detached")
    left.set(yscale="log", ylabel="mean −log p (nats)", title="Latents pass the data's likelihood; detached ones stall")
    left.minorticks_off()
    left.set_yticks((2, 3, 5, 10, 20), ("2", "3", "5", "10", "20"))
    right.set(ylabel="mean L per dimension", title="and end below the data's own loss")
    left.legend(fontsize=9)
    right.legend(fontsize=9)
    return save(figure, path, "1,000 latents from N(0, I) that follow L of the exact velocity downhill.")


def draw_ends(path: Path, toy: Toy, run: Run) -> tuple[Path, str]:
    """Where the latents of one run end up, by every way."""
    figure = Figure(figsize=(13.5, 7.2), layout="constrained")
    for axis, (name, points) in zip(figure.subplots(2, 4).flat, run.points.items(), strict=True):
        own = points * toy.scale
        axis.plot(*own.T, ".", color=RED if name == DETACHED else BLUE, markersize=2.5, alpha=0.5)
        rings(axis, toy, "black")
        found, surprise = modes_of(points, toy), float(toy.surprise(points).mean())
        measured = f"NLL {surprise:.2f}, spread {found.spread:.2f}, outward {found.offset:+.2f} sd"
        axis.set_title(f"{name}\n{measured}", fontsize=10)
        frame(axis)
    caption = (
        "Aligned to the end, latents shrink and sit inward of the modes (rings: 1 and 2 sd); stopped at levels of the "
        "data's own, or led out of the modes again, they spread as the data do."
    )
    return save(figure, path, caption)


def draw_learned(path: Path, found: Sequence[Learned]) -> tuple[Path, str]:
    """One column for every toy: data, latents aligned to the end over the map of L, and stopped at the data's own."""
    figure = Figure(figsize=(2.4 * len(found), 7.6), layout="constrained")
    axes = figure.subplots(3, len(found), squeeze=False)
    for column, one in enumerate(found):
        ends = ("aligned to the end", one.whole, one.aligned), ("levels of the data", one.late, one.levelled)
        rows = (("data", None, one.real), *ends)
        for axis, (name, value, points) in zip(axes[:, column], rows, strict=True):
            if value is not None:
                shade(axis, one.toy, value)
            axis.plot(*(points * one.toy.scale).T, ".", color=BLUE if value is None else RED, markersize=2)
            frame(axis)
            axis.set_title(f"{one.toy.name}: {name}\nNLL {one.surprise(points):.2f}", fontsize=9)
        for axis, rank in zip(axes[1:, column], one.spearman, strict=True):
            axis.set_xlabel(f"Spearman with −log p {rank:.2f}", fontsize=9)
    caption = "Trained flows: latents (red) over the map of L of all times (middle) and of late L (below)."
    return save(figure, path, caption)


def shade(axis: Axes, toy: Toy, value: Tensor) -> None:
    """A map over the toy's grid, dark where the loss is low: by rank, which shows valleys and far slopes alike."""
    image = value.argsort().argsort().reshape(SIDE, SIDE).T.numpy()
    axis.imshow(image, origin="lower", extent=(-REACH, REACH, -REACH, REACH), cmap="viridis", interpolation="bilinear")
    frame(axis)


def frame(axis: Axes) -> None:
    axis.set(xlim=(-REACH, REACH), ylim=(-REACH, REACH), aspect="equal", xticks=(-4, 0, 4), yticks=(-4, 0, 4))
    axis.tick_params(labelsize=8)


def rings(axis: Axes, toy: Toy, color: str = "white") -> None:
    for centre in toy.centres.tolist():
        for deviations in (1, 2):
            axis.add_patch(Circle((centre[0], centre[1]), deviations * toy.sd, fill=False, color=color, linewidth=0.8))


def save(figure: Figure, path: Path, caption: str) -> tuple[Path, str]:
    figure.savefig(path, dpi=DPI)
    return path, caption


def _band(axis: Axes, steps: np.ndarray, runs: np.ndarray, color: str, label: str) -> None:
    """Mean of runs (r, k) and their range."""
    axis.plot(steps, runs.mean(axis=0), color=color, label=label)
    axis.fill_between(steps, runs.min(axis=0), runs.max(axis=0), color=color, alpha=0.25, linewidth=0)
