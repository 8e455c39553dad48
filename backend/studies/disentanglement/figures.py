"""The pictures of the study."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...prior.archive import Archive
from ...report.model_coverage import colour
from ...training.disentanglement_metrics import SCORES
from ...training.latent_directions import SIDE_EFFECT
from ...training.shapes.mugs import FACTORS
from .archived import Standings
from .reaching import Slid
from .styles import Styles

DPI = 100
OURS, PLAIN, RAW = "#a8481f", "#7c8796", "#cfc8bb"
SPELLED = {
    "dci_d": "DCI disentangl.",
    "dci_c": "DCI complete.",
    "dci_i": "DCI informat.",
    "mig": "MIG",
    "sap": "SAP",
    "factor_vae": "FactorVAE",
    "beta_vae": "beta-VAE",
    "modularity": "modularity",
    "explicitness": "explicitness",
}
MEANT = {"before": "with labels", "debiased": "debiased", "bent": "bent", "components": "plain\ncomponents"}


def scores_figure(found: dict[str, Any], path: Path) -> None:
    """All measures of sliders, components, and the code as it is."""
    figure, (axes,) = _figure(10.0, 4.2, 1)
    kinds = (("sliders", "sliders with labels", OURS), ("components", "plain components", PLAIN), ("code", "code", RAW))
    for number, (kind, name, shade) in enumerate(kinds):
        each = [found["scores"][kind][measure] for measure in SCORES]
        at = np.arange(len(SCORES)) + 0.27 * (number - 1)
        means, spread = [one["mean"] for one in each], [one["sd"] for one in each]
        axes.bar(at, means, 0.25, yerr=spread, color=shade, label=name, capsize=2)
    for measure, target in (("dci_d", 0.8), ("mig", 0.4)):
        place = SCORES.index(measure)
        axes.hlines(target, place - 0.42, place + 0.42, color="black", lw=1.5, ls="--")
    axes.set_xticks(range(len(SCORES)), [SPELLED[measure] for measure in SCORES], rotation=20, ha="right")
    axes.set(ylabel="score (0 to 1)", ylim=(0, 1.08))
    axes.legend(frameon=False, ncols=3, loc="upper center", bbox_to_anchor=(0.5, 1.11))
    _save(figure, path, "How disentangled six known factors are, with labels and without; dashed: what is asked")


def side_effects_figure(found: dict[str, Any], path: Path) -> None:
    """What a slider moves that it should not, by kind of slider and by what it was learned from."""
    figure, (kinds, sliders) = _figure(10.0, 4.2, 2)
    places = (("decoded", "factors are independent", PLAIN), ("decoded, correlated", "any two correlate by .5", OURS))
    for number, (place, name, shade) in enumerate(places):
        side = found["side_effect"][place]
        at = np.arange(len(side)) + 0.4 * (number - 0.5)
        means, spread = [one["mean"] for one in side.values()], [one["sd"] for one in side.values()]
        kinds.bar(at, means, 0.37, yerr=spread, color=shade, label=f"learned where {name}", capsize=3)
    kinds.set_xticks(range(len(MEANT)), list(MEANT.values()))
    kinds.set(ylabel="mean side effect (sd of each measure)", title="By kind of slider")
    for number, (kind, shade) in enumerate((("before", RAW), ("debiased", PLAIN), ("bent", OURS))):
        values = [row["side"][kind] for row in found["sliders"]]
        sliders.bar(np.arange(len(values)) + 0.27 * (number - 1), values, 0.25, color=shade, label=MEANT[kind])
    sliders.set_xticks(range(len(FACTORS)), FACTORS)
    sliders.set(ylabel="side effect (sd)", title="By slider, factors independent")
    for axes in (kinds, sliders):
        axes.axhline(SIDE_EFFECT, color="black", lw=1.2, ls="--")
        axes.legend(frameon=False, fontsize=9)
    _save(figure, path, "Side effects on decoded shapes; dashed: what is asked")


def styles_figure(found: Styles, path: Path) -> None:
    """Every channel that was pushed: how much of the surface it moves, and what else it moves."""
    figure, (axes,) = _figure(8.0, 4.6, 1)
    for number, factor in enumerate(FACTORS):
        own = [place for place, moved in enumerate(found.moves) if moved == factor]
        axes.scatter(found.shares[own], found.sides[own], s=46, color=colour(number), label=f"moves {factor} most")
    axes.axhline(SIDE_EFFECT, color="black", lw=1.2, ls="--")
    axes.set(xlabel="share of the surface that the channel moves", ylabel="side effect (sd)", yscale="log")
    axes.legend(frameon=False, fontsize=9)
    _save(figure, path, "Single channels of the shipped model's style, without labels")


def archive_figure(archive: Archive, found: Sequence[Standings], path: Path) -> None:
    """The map of the training shapes with new ones on it, and how far these lie from them."""
    figure, (flat, apart, covered) = _figure(13.0, 5.2, 3, widths=(1.5, 1, 1))
    for number, name in enumerate(archive.families):
        own = archive.family == number
        if own.any():
            flat.scatter(*archive.places[own].T, s=9, color=colour(number), label=name, linewidths=0)
        new = [each.place for one in found for each, own in zip(one.fresh, one.family, strict=True) if own == number]
        if new:
            shade = colour(number) if own.any() else "white"
            flat.scatter(*np.array(new).T, s=34, color=shade, edgecolors="black", linewidths=0.9)
    flat.set(
        xticks=[], yticks=[], title="Training shapes (dots), new ones (ringed;\nwhite: of a family that is missing)"
    )
    flat.legend(frameon=False, fontsize=8, ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.01), markerscale=2)
    kinds = (("driven", "sliders over-driven", RAW), ("fresh", "new shapes", OURS), ("random", "random codes", PLAIN))
    far = {kind: [each.distance for one in found for each in getattr(one, kind)] for kind, _, _ in kinds}
    bins = np.geomspace(max(min(map(min, far.values())), 0.05), max(map(max, far.values())), 30)
    for kind, name, shade in kinds:
        apart.hist(far[kind], bins, color=shade, alpha=0.75, label=name)
    apart.set(xscale="log", ylabel="shapes", title="How far from the archive")
    ticks = [tick for tick in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20) if bins[0] <= tick <= bins[-1]]
    apart.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    apart.set_xticks([], minor=True)
    apart.set_xlabel("distance to the nearest training shape\n(usual distance between relatives = 1)")
    apart.legend(frameon=False)
    present = [family for family in archive.coverage() if family.covered is not None]
    share = [family.covered or 0.0 for family in present]
    shades = [colour(archive.families.index(family.family)) for family in present]
    covered.barh([f"{family.family} ({family.kept})" for family in present], share, color=shades)
    covered.set(xlim=(0, 1), xlabel="share with a near relative", title="How well each family is covered")
    _save(figure, path, "The archive: what the model has seen, and where new shapes fall")


def reach_figure(found: Sequence[Slid], path: Path) -> None:
    """A panel for each shape: the safe part of every slider, counted and foretold."""
    shapes = list(dict.fromkeys(one.shape for one in found))
    rows = -(-len(shapes) // 3)
    figure = Figure(figsize=(12.0, 0.8 + 3.3 * rows), dpi=DPI, layout="constrained")
    panels = np.atleast_1d(figure.subplots(rows, min(len(shapes), 3), sharey=True)).ravel()
    for axes, shape in zip(panels, shapes, strict=False):
        own = [one for one in found if one.shape == shape]
        for row, one in enumerate(own):
            _slider(axes, row, one)
        axes.set_yticks(range(len(own)), [one.reach.name for one in own])
        axes.set(xlim=(-1.05, 1.05), title=shape)
        axes.axvline(0, color="black", lw=0.8)
    for axes in panels[-min(len(shapes), 3) :]:
        axes.set_xlabel("strength (share of the slider)")
    panels[0].invert_yaxis()
    for axes in panels[len(shapes) :]:
        axes.set_visible(False)
    _save(
        figure, path, "How far sliders go before the topology changes; bar: counted, line: foretold from facing walls"
    )


def _slider(axes: Axes, row: int, one: Slid) -> None:
    ends = np.array([-one.reach.low, one.reach.high])
    low, high = np.array(one.reach.safe) / np.maximum(ends, 1e-9)
    axes.barh(row, 2, left=-1, height=0.5, color="#efebe4")
    axes.barh(row, high - low, left=low, height=0.5, color="#79b48c")
    axes.plot(np.array(one.foretold) / np.maximum(ends, 1e-9), (row, row), color="#23201c", lw=2, solid_capstyle="butt")


def _figure(wide: float, tall: float, count: int, widths: Sequence[float] | None = None) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(wide, tall), dpi=DPI, layout="constrained")
    panels = figure.subplots(1, count, gridspec_kw={"width_ratios": widths or [1] * count}, squeeze=False)[0]
    return figure, list(panels)


def _save(figure: Figure, path: Path, title: str) -> None:
    if title:
        figure.suptitle(title)
    figure.savefig(path)
