"""Pictures of the study."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ...report.pictures import mesh_picture
from .measure import Reading

PICTURE = 170
COLOURS = ("#1f4e79", "#4f81bd", "#8fb8de", "#c9dff2")


def gallery(path: Path, title: str, rows: Sequence[tuple[str, NDArray[np.bool_]]]) -> Path:
    """Rows of shapes (n, s, s, s), each row with its name."""
    columns = max(len(shapes) for _, shapes in rows)
    figure = Figure(figsize=(1.25 * columns + 1.3, 1.35 * len(rows) + 0.5), layout="constrained")
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for line, (name, shapes) in zip(axes, rows, strict=True):
        for place in line:
            place.set_xticks([])
            place.set_yticks([])
            for spine in place.spines.values():
                spine.set_visible(False)
        line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
        for place, cells in zip(line, shapes, strict=False):
            place.imshow(mesh_picture(*_mesh_of_cells(cells), PICTURE))
    figure.suptitle(title, fontsize=11)
    return _saved(figure, path)


def bits_figure(path: Path, readings: dict[str, list[Reading]], others: dict[str, float], cells: int) -> Path:
    """Bits per cell of every ladder, stacked by level, and of the ``others``."""
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    axes = figure.subplots()
    mean = {name: np.mean([each.bits for each in runs], axis=0) / cells for name, runs in readings.items()}
    left = np.zeros(len(mean))
    for level, colour in enumerate(COLOURS):
        part = np.array([bits[level] for bits in mean.values()])
        axes.barh(list(mean), part, left=left, color=colour, label=f"level {level}: to {2 ** (level + 1)}³")
        left += part
    axes.barh(list(others), list(others.values()), color="#b0a899", label="no levels")
    for name, total in [*zip(mean, left, strict=True), *others.items()]:
        axes.text(total, name, f" {total:.4f}", va="center", fontsize=9)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.15 * max([*left, *others.values()]))
    axes.set_xlabel("held-out negative log likelihood, bits per cell of 16³")
    axes.set_title("What the shapes cost, by level: a view of siblings and neighbours saves bits")
    axes.legend(fontsize=8, loc="upper right")
    return _saved(figure, path)


def levels_figure(path: Path, reading: Reading, sampled: Sequence[float], real: Sequence[float]) -> Path:
    """Recall and precision per level, and how many nodes samples and held-out shapes have."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    names = [f"{2 ** (level + 1)}³" for level in range(len(reading.recall))]
    at = np.arange(len(names))
    left.bar(at - 0.2, reading.recall, 0.38, label="recall", color=COLOURS[0])
    left.bar(at + 0.2, reading.precision, 0.38, label="precision", color=COLOURS[2])
    left.set(title="Splits, given the true ones before", ylabel="share of occupied children", ylim=(0, 1.0))
    right.bar(at - 0.2, sampled, 0.38, label="samples", color=COLOURS[0])
    right.bar(at + 0.2, real, 0.38, label="held-out shapes", color=COLOURS[2])
    right.set(title="Occupied nodes, drawn freely", ylabel="mean number per shape", yscale="log")
    for axes in (left, right):
        axes.set_xticks(at, names)
        axes.set_xlabel("grid that the split leads to")
        axes.legend(fontsize=8, loc="lower right")
    return _saved(figure, path)


def overlap_figure(path: Path, sampled: NDArray, held: NDArray) -> Path:
    """How near samples and held-out shapes come to the training shapes."""
    figure = Figure(figsize=(7, 3.4), layout="constrained")
    axes = figure.subplots()
    bins = np.linspace(0, 1, 31)
    for values, name, colour in ((held, "held-out shapes", COLOURS[2]), (sampled, "samples", COLOURS[0])):
        weights = np.full(len(values), 1 / len(values))
        axes.hist(values, bins.tolist(), weights=weights, alpha=0.7, label=name, color=colour)
    axes.set(
        xlabel="intersection over union with the nearest training shape, any orientation (1: a copy)",
        ylabel="share",
        title="How near samples and held-out shapes come to the training shapes",
    )
    axes.legend(fontsize=8)
    return _saved(figure, path)


def _mesh_of_cells(cells: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The faces between occupied and empty cells, as vertices (4 f, 3) and triangles (2 f, 3)."""
    padded = np.pad(cells, 1)
    quads = []
    for axis in range(3):
        low = np.moveaxis(padded, axis, 0)
        place = np.stack(np.nonzero(low[1:] != low[:-1]), axis=1).astype(float)
        corners = np.array([[1, 0, 0], [1, 1, 0], [1, 1, 1], [1, 0, 1]])
        order = [*range(1, axis + 1), 0, *range(axis + 1, 3)]
        quads.append((place[:, None] + corners)[:, :, order])
    vertices = np.concatenate(quads).reshape(-1, 3)
    first = 4 * np.arange(len(vertices) // 4)[:, None]
    return vertices, np.concatenate((first + [0, 1, 2], first + [0, 2, 3]))


def _saved(figure: Figure, path: Path) -> Path:
    figure.savefig(path, dpi=110, facecolor="white")
    return path
