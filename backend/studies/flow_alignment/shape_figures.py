"""Pictures of codes of shapes: what each prior tells apart, and what is drawn from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter, SymmetricalLogLocator
from numpy.typing import NDArray
from scipy.ndimage import zoom

from ...field.bricks import BrickGrid
from ...field.isosurface import extract
from ...prior.shape_prior import ShapePrior
from ...report.pictures import mesh_picture
from .drawing import PULLED, SHRUNK, Drawn
from .figures import BLUE, GREY, RED, save
from .scoring import KL, LATE, TYPICAL, Told
from .scoring import WHOLE as WHOLE_TIME
from .shapes import GAUSSIAN, REAL, SAMPLED

SHOWN = 8
PIXELS = 120
FINER = 4
"""Voxels drawn for each of a code's, along an edge."""
SAMPLES = "Shapes drawn from each prior, by the coarse fields of their codes; nothing where a thin wall is lost."
COLORS = {KL: GREY, TYPICAL: "#c9c9c9", WHOLE_TIME: "#7fa8d6", LATE: BLUE}


def draw_told(path: Path, told: Told) -> tuple[Path, str]:
    """AUROC by kind and judge, and the scores of real codes beside made-up ones."""
    figure = Figure(figsize=(11, 7.4), layout="constrained")
    top, bottom = figure.subplots(2, 1, height_ratios=(1, 1))
    kinds = list(told.auc[KL])
    places = np.arange(len(kinds))
    for number, (name, color) in enumerate(COLORS.items()):
        runs = np.array([told.auc[name][kind] for kind in kinds])
        top.bar(places + 0.2 * (number - 1.5), runs.mean(axis=1), 0.19, color=color, label=name)
    top.axhline(0.5, color="black", linewidth=0.8)
    top.set(ylim=(0, 1.2), ylabel="AUROC against real shapes", title="Which score tells made-up codes from real ones")
    top.set_xticks(places, [_broken(kind) for kind in kinds])
    top.legend(ncols=4, fontsize=9, loc="upper left")
    for name, offset, color in ((KL, -0.2, GREY), (LATE, 0.2, BLUE)):
        table = told.scores[name]
        middle = np.median(table[REAL])
        boxes = [table[kind] / middle for kind in (REAL, *kinds)]
        drawn = bottom.boxplot(
            boxes, positions=np.arange(len(boxes)) + offset, widths=0.3, showfliers=False, patch_artist=True
        )
        for box in drawn["boxes"]:
            box.set_facecolor(color)
        for line in drawn["medians"]:
            line.set_color("black")
    bottom.axhline(1, color="black", linewidth=0.8, linestyle="--")
    bottom.set_xticks(np.arange(len(kinds) + 1), [_broken(kind) for kind in (REAL, *kinds)])
    bottom.set(ylabel="score / median of real", title="Scores: Gaussian (grey) and late L (blue)")
    return save(
        figure, path, "Real and made-up codes of shapes under the Gaussian that KL pulls to, and under the flow."
    )


def draw_likelihood(path: Path, told: Told) -> tuple[Path, str]:
    """The scores of codes against the flow's own likelihood."""
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    axes = figure.subplots(1, 3)
    for axis, name in zip(axes, (KL, WHOLE_TIME, LATE), strict=True):
        for kind, surprise in told.surprise.items():
            table = told.scores[name][kind]
            chosen = np.linspace(0, len(table) - 1, len(surprise)).astype(int)
            axis.plot(surprise, table[chosen], ".", markersize=4, color="black" if kind == REAL else None, label=kind)
        title = f"{name}: Spearman {told.rank[name]:.2f}"
        axis.set(xlabel="flow's −log p (nats per number)", xscale="symlog", yscale="log", title=title)
        axis.xaxis.set_major_locator(SymmetricalLogLocator(base=10, linthresh=1, subs=(1, 2, 5)))
        axis.xaxis.set_major_formatter(ScalarFormatter())
        for set_formatter in (axis.yaxis.set_major_formatter, axis.yaxis.set_minor_formatter):
            set_formatter(ScalarFormatter())
        axis.tick_params(which="both", labelsize=8)
    axes[0].set_ylabel("score")
    axes[0].legend(fontsize=7)
    return save(figure, path, "Scores of codes against the flow's own likelihood, by its change of variables.")


def draw_samples(path: Path, found: Drawn, prior: ShapePrior) -> tuple[Path, str]:
    """The first shapes of every kind by their outlines, and how far all are from training shapes."""
    kinds = (REAL, SAMPLED, GAUSSIAN, PULLED, SHRUNK)
    figure = Figure(figsize=(11, 9.4), layout="constrained")
    upper, lower = figure.subfigures(2, 1, height_ratios=(5, 2), squeeze=False)[:, 0]
    grid = upper.subplots(len(kinds), SHOWN, squeeze=False)
    for row, kind in zip(grid, kinds, strict=True):
        table = found.codes[kind]
        # neighbours in the table of real shapes are of one program
        chosen = table[:: max(1, len(table) // SHOWN)] if kind == REAL else table
        for axis in row:
            axis.axis("off")
        for axis, code in zip(row, chosen, strict=False):
            axis.imshow(picture(code, prior))
        row[0].set_title(kind, fontsize=10, loc="left")
    axis = lower.subplots()
    for kind, color in zip(kinds[:4], ("black", BLUE, GREY, RED), strict=True):
        distances = np.sort(found.distance[kind])
        axis.plot(distances, (np.arange(len(distances)) + 1) / len(distances), color=color, label=kind)
    axis.set(xlabel="distance to the nearest training shape (rms voxels of level 0)", ylabel="share of shapes nearer")
    axis.legend(fontsize=9)
    return save(figure, path, SAMPLES)


def picture(code: NDArray, prior: ShapePrior) -> NDArray[np.uint8]:
    """RGBA (PIXELS, PIXELS, 4) of the surface of a code's coarse field, clear where there is none."""
    field = np.asarray(zoom(prior.codes.field_of(code), FINER, order=3, mode="nearest", grid_mode=True), np.float32)
    surface = extract(BrickGrid.from_dense(field[None]))
    return mesh_picture(surface.vertices, surface.faces, PIXELS)


def _broken(words: str) -> str:
    """In two lines, so that labels stand side by side."""
    first, _, rest = words.partition(" ")
    return f"{first}\n{rest}"
