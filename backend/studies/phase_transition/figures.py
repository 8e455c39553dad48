"""The study's four pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ...report.pictures import mesh_picture
from .guard import SIGNALS, Trial, roc
from .solids import Mesh
from .transition import Crossing

BETTI = (("parts $b_0$", "#1f6fb4", "-"), ("tunnels $b_1$", "#d1632a", "--"), ("hollows $b_2$", "#6a8f2a", ":"))
SIGNAL_COLOURS = ("#1f6fb4", "0.6", "#d1632a", "#6a8f2a")
PIXELS = 260


def crossings(found: Sequence[Crossing], sides: Sequence[tuple[Mesh, Mesh]], path: Path) -> None:
    """For each family Betti numbers and volume over t, and the shape just before t* and just after it."""
    figure = Figure(figsize=(11, 3.1 * len(found)), layout="constrained")
    panels = figure.subplots(len(found), 4, width_ratios=(1.5, 1.5, 1, 1), squeeze=False)
    for row, one, meshes in zip(panels, found, sides, strict=True):
        star = one.critical[0]
        for column, (name, colour, line) in enumerate(BETTI):
            row[0].step(one.table.strengths, one.table.betti[:, column], line, where="mid", color=colour, label=name)
        row[0].set(xlabel="t", ylabel=f"{one.family}\nBetti number", ylim=(-0.15, 2.4), yticks=(0, 1, 2))
        row[1].plot(one.table.strengths, one.volumes, color="black")
        row[1].set(xlabel="t", ylabel="volume (canonical units³)", ylim=(0, 1.1 * one.volumes.max()))
        for panel in row[:2] if star is not None else ():
            panel.axvline(star, color="#c23b3b", lw=1)
        if star is not None:
            row[1].annotate(f"t* = {star:.4f}", (star, 0), (5, 8), textcoords="offset points", color="#c23b3b")
        for panel, mesh, title in zip(row[2:], meshes, ("just before t*", "just after t*"), strict=True):
            show(panel, mesh, f"{title}: {words(mesh)}")
    panels[0, 0].legend(frameon=False, fontsize=7, loc="upper left", ncols=3, handlelength=1.2, columnspacing=0.8)
    figure.suptitle("Betti numbers and volume along the conditioning t; t* in red")
    figure.savefig(path, dpi=100)


def moves(rows: Sequence[tuple[str, Sequence[tuple[str, Mesh]]]], path: Path) -> None:
    """For each family its mean shape and the shapes at the ends of its first sliders."""
    columns = max(len(meshes) for _, meshes in rows)
    figure = Figure(figsize=(2.2 * columns, 2.5 * len(rows)), layout="constrained")
    panels = figure.subplots(len(rows), columns, squeeze=False)
    for panel in panels.flat:
        panel.axis("off")
    for row, (name, meshes) in zip(panels, rows, strict=True):
        for panel, (title, mesh) in zip(row, meshes, strict=False):
            show(panel, mesh, f"{name}\n{title}: {words(mesh)}")
    figure.suptitle("Moves along the principal components of a few examples' weights")
    figure.savefig(path, dpi=100)


def between(kept: Mapping[str, Sequence[float]], halfway: Sequence[tuple[str, Mesh]], path: Path) -> None:
    """Share of interpolated nets that are sound, by start, and what lies halfway between two nets."""
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    panels = figure.subplots(1, 1 + len(halfway), width_ratios=(1.5, *(1 for _ in halfway)))
    places = np.arange(len(kept))
    panels[0].bar(places, [np.mean(shares) for shares in kept.values()], color="#9db9d6", width=0.6)
    for place, shares in zip(places, kept.values(), strict=True):
        panels[0].plot(np.full(len(shares), place), shares, "o", color="black", ms=5)
    panels[0].axhline(0.95, color="#c23b3b", lw=1)
    panels[0].set(xticks=places, xticklabels=list(kept), xlabel="start of the fits (dots: seeds)", ylim=(0, 1.05))
    panels[0].set_ylabel("share of interpolated nets that are sound")
    for panel, (title, mesh) in zip(panels[1:], halfway, strict=True):
        show(panel, mesh, f"halfway, {title}:\n{words(mesh)}")
    figure.suptitle("Interpolated nets of single shapes, by the start of their fits")
    figure.savefig(path, dpi=100)


def guards(trials: Sequence[Trial], path: Path) -> None:
    """ROC curves of the signals over all banks together, and the mismatch of sound and broken mixes."""
    scores = np.concatenate([trial.scores for trial in trials], axis=1)
    telling = [trial.areas() for trial in trials if trial.tells()] or [[np.nan] * len(SIGNALS)]
    broken = np.concatenate([trial.broken for trial in trials])
    figure = Figure(figsize=(10, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    areas = np.mean(telling, axis=0)
    for name, colour, score, area in zip(SIGNALS, SIGNAL_COLOURS, scores, areas, strict=True):
        left.plot(*roc(score, broken), color=colour, label=f"{name}: {area:.3f}")
    left.plot((0, 1), (0, 1), ":", color="0.8")
    left.set(xlabel="sound mixes that are flagged", ylabel="broken mixes that are flagged", aspect="equal")
    left.legend(frameon=False, title="mean area within a bank", loc="lower right", fontsize=9)
    _compare(right, np.log10(np.maximum(scores[0], 1e-6)), broken)
    figure.suptitle("Four signals as forecasts of broken mixes of nets, all banks")
    figure.savefig(path, dpi=100)


def _compare(panel: Axes, values: NDArray, broken: NDArray[np.bool_]) -> None:
    edges = np.linspace(values.min() - 1e-6, values.max() + 1e-6, 25)
    for chosen, colour, name in ((~broken, "#1f6fb4", "sound"), (broken, "#c23b3b", "broken")):
        panel.hist(values[chosen], edges, color=colour, alpha=0.55, label=f"{name} ({int(chosen.sum())})")
    panel.set(xlabel="log10 of the linearity mismatch (canonical units)", ylabel="mixes")
    panel.legend(frameon=False)


def show(panel: Axes, mesh: Mesh, title: str) -> None:
    """A shaded picture of a mesh."""
    panel.imshow(mesh_picture(mesh.vertices, mesh.faces, PIXELS))
    panel.set_title(title, fontsize=8)
    panel.axis("off")


def words(mesh: Mesh) -> str:
    """Betti numbers, short."""
    return f"b = {tuple(mesh.betti)}"
