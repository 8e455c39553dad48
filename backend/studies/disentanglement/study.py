"""The study: the measures themselves, sliders with and without labels, and two views of the shipped model: as an
archive of what it has seen, and as the potential of what can still be made of a shape."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from ...field.onnx_model import load_model
from ...prior.archive import Archive
from ...prior.shape_prior import load_prior
from ...report.model_coverage import colour
from ...training.disentanglement_metrics import SCORES
from ...training.latent_directions import SIDE_EFFECT
from ...training.shapes.mugs import FACTORS
from ...training.sliders import ExperimentSize, experiment, field_components
from ..instruments import Album, Result, study_of
from ..study import Mean, Measured, Plan, Say
from . import measures


@study_of("disentanglement")
def study(plan: Plan, album: Album, say: Say) -> Result:
    say("the measures against what is known of them")
    codes = {kind: measures.scores(kind, plan) for kind in ("identity", "useless", "doubled")}
    say("sliders with labels and without")
    # the code of the family's fields are their principal components, as in a profile of a family
    sliders = experiment(field_components(members=plan.components), ExperimentSize(**plan.experiment), say)
    draw_scores(album, sliders)
    draw_side_effects(album, sliders)
    say("channels of the shipped model's style")
    model = load_model("cpu", 1)
    styles = measures.measured_styles(model, plan)
    if len(styles.shares):
        draw_styles(album, styles)
    measured = measures.table_checks() | measures.code_checks(*codes.values())
    measured |= slider_checks(sliders) | measures.style_checks(styles)
    values = {"doubled": measures.completeness(plan.factors), "grid": measures.GRID}
    say("the archive")
    prior = load_prior()
    if prior.archive is not None:
        found = [measures.standings(prior, prior.archive, plan.members, seed) for seed in range(plan.seeds)]
        draw_archive(album, prior.archive, found)
        more, words = measures.archive_checks(prior.archive, found)
        measured, values = measured | more, values | words
    say("the potential")
    slid = measures.slid_shapes(prior, plan.shapes, plan.sliders, say)
    draw_reach(album, slid)
    data: dict[str, Any] = {"codes": codes, "sliders": sliders, "model": model.hash, "styles": styles, "reach": slid}
    return measured | measures.reach_checks(slid), values, data


def slider_checks(found: dict[str, Any]) -> dict[str, Measured]:
    """Of `training.sliders.experiment`: the scores, the gaps to plain components, the side effects. Deviations are over
    the seeds."""
    ours, plain = found["scores"]["sliders"], found["scores"]["components"]
    side, unfair = found["side_effect"]["decoded"], found["side_effect"]["decoded, correlated"]
    seeds = found["settings"]["seeds"]

    def gap(measure: str) -> dict[str, float]:
        one, other = ours[measure], plain[measure]
        return {"mean": one["mean"] - other["mean"], "sd": math.hypot(one["sd"], other["sd"])}

    summaries = (
        *(ours["dci_d"], ours["mig"], plain["dci_d"], plain["mig"], gap("dci_d"), gap("mig")),
        *(unfair["before"], unfair["debiased"], unfair["bent"]),
        *(side["before"], side["debiased"], side["components"], found["worst_side_effect"]),
    )
    measured: dict[str, Measured] = {
        f"S{number}": Mean(each["mean"], each["sd"] if seeds > 1 else None, seeds)
        for number, each in enumerate(summaries, 1)
    }
    named = [sum(bool(each["name"]) for each in found[kind]) for kind in ("sliders", "components")]
    follows = min(each["follows"] for each in found["sliders"])
    return measured | {"S14": follows, "S15": named[0], "S16": named[1]}


OURS, PLAIN, RAW = "#a8481f", "#7c8796", "#cfc8bb"
SPELLED = {"dci_d": "DCI disentangl.", "dci_c": "DCI complete.", "dci_i": "DCI informat.", "mig": "MIG", "sap": "SAP"}
SPELLED |= {"factor_vae": "FactorVAE", "beta_vae": "beta-VAE"}
MEANT = {"before": "with labels", "debiased": "debiased", "bent": "bent", "components": "plain\ncomponents"}


def bars(axes: Axes, number: int, series: int, each: Iterable[dict[str, float]], shade: str, label: str) -> None:
    """Bar ``number`` of every group of ``series``: {"mean", "sd"}."""
    means, spread = zip(*((one["mean"], one["sd"]) for one in each), strict=True)
    at = np.arange(len(means)) + 0.8 / series * (number - (series - 1) / 2)
    axes.bar(at, means, 0.74 / series, yerr=spread if any(spread) else None, color=shade, label=label, capsize=2)


def draw_scores(album: Album, found: dict[str, Any]) -> None:
    """All measures of sliders, components, and the code as it is."""
    kinds = (("sliders", "sliders with labels", OURS), ("components", "plain components", PLAIN), ("code", "code", RAW))
    with album.figure("scores", (10, 4.2)) as figure:
        axes = figure.subplots()
        for number, (kind, name, shade) in enumerate(kinds):
            bars(axes, number, len(kinds), found["scores"][kind].values(), shade, name)
        for measure, target in (("dci_d", 0.8), ("mig", 0.4)):
            place = SCORES.index(measure)
            axes.hlines(target, place - 0.42, place + 0.42, color="black", lw=1.5, ls="--")
        names = [SPELLED.get(measure, measure) for measure in SCORES]
        axes.set_xticks(range(len(SCORES)), names, rotation=20, ha="right")
        axes.set(ylabel="score (0 to 1)", ylim=(0, 1.08))
        axes.legend(frameon=False, ncols=3, loc="upper center", bbox_to_anchor=(0.5, 1.11))


def draw_side_effects(album: Album, found: dict[str, Any]) -> None:
    """What a slider moves that it should not, by kind of slider and by what it was learned from."""
    places = (("decoded", "factors are independent", PLAIN), ("decoded, correlated", "any two correlate by .5", OURS))
    with album.figure("side_effects", (10, 4.2)) as figure:
        kinds, sliders = figure.subplots(1, 2)
        for number, (place, name, shade) in enumerate(places):
            side = found["side_effect"][place].values()
            bars(kinds, number, len(places), side, shade, f"learned where {name}")
        kinds.set_xticks(range(len(MEANT)), list(MEANT.values()))
        kinds.set(ylabel="mean side effect (sd of each measure)", title="By kind of slider")
        for number, (kind, shade) in enumerate((("before", RAW), ("debiased", PLAIN), ("bent", OURS))):
            side = [{"mean": row["side"][kind], "sd": 0.0} for row in found["sliders"]]
            bars(sliders, number, 3, side, shade, MEANT[kind])
        sliders.set_xticks(range(len(FACTORS)), FACTORS)
        sliders.set(ylabel="side effect (sd)", title="By slider, factors independent")
        for axes in (kinds, sliders):
            axes.axhline(SIDE_EFFECT, color="black", lw=1.2, ls="--")
            axes.legend(frameon=False, fontsize=9)


def draw_styles(album: Album, found: measures.Styles) -> None:
    """Every channel that was pushed: how much of the surface it moves, and what else it moves."""
    with album.figure("styles", (8, 4.6)) as figure:
        axes = figure.subplots()
        for number, factor in enumerate(FACTORS):
            own = [place for place, moved in enumerate(found.moves) if moved == factor]
            axes.scatter(found.shares[own], found.sides[own], s=46, color=colour(number), label=f"moves {factor} most")
        axes.axhline(SIDE_EFFECT, color="black", lw=1.2, ls="--")
        axes.set(xlabel="share of the surface that the channel moves", ylabel="side effect (sd)", yscale="log")
        axes.legend(frameon=False, fontsize=9)


def draw_archive(album: Album, archive: Archive, found: Sequence[measures.Standings]) -> None:
    """The map of the training shapes with new ones on it, and how far these lie from them."""
    with album.figure("archive", (13, 5.2)) as figure:
        flat, apart, covered = figure.subplots(1, 3, width_ratios=(1.5, 1, 1))
        families = np.concatenate([one.family for one in found])
        for number, name in enumerate(archive.families):
            own = archive.family == number
            if own.any():
                flat.scatter(*archive.places[own].T, s=9, color=colour(number), label=name, linewidths=0)
            new = np.array([each.place for one in found for each in one.fresh])[families == number]
            shade = colour(number) if own.any() else "white"
            flat.scatter(*new.T, s=34, color=shade, edgecolors="black", linewidths=0.9)
        flat.set(xticks=[], yticks=[])
        flat.set_title("Training shapes (dots), new ones (ringed;\nwhite: of a family that is missing)")
        flat.legend(frameon=False, fontsize=8, ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.01), markerscale=2)
        kinds = {"driven": ("sliders over-driven", RAW), "fresh": ("new shapes", OURS)}
        kinds |= {"random": ("random codes", PLAIN)}
        far = {kind: [each.distance for one in found for each in getattr(one, kind)] for kind in kinds}
        bins = np.geomspace(max(min(map(min, far.values())), 0.05), max(map(max, far.values())), 30)
        for kind, (name, shade) in kinds.items():
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


def draw_reach(album: Album, found: Sequence[measures.Slid]) -> None:
    """A panel for each shape: the safe part of every slider, counted and foretold."""
    shapes = list(dict.fromkeys(one.shape for one in found))
    rows, columns = -(-len(shapes) // 3), min(len(shapes), 3)
    with album.figure("reach", (12, 0.8 + 3.3 * rows)) as figure:
        panels = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
        for axes, shape in zip(panels, shapes, strict=False):
            own = [one for one in found if one.shape == shape]
            for row, one in enumerate(own):
                ends = np.maximum(np.array([-one.reach.low, one.reach.high]), 1e-9)
                low, high = np.array(one.reach.safe) / ends
                axes.barh(row, 2, left=-1, height=0.5, color="#efebe4")
                axes.barh(row, high - low, left=low, height=0.5, color="#79b48c")
                axes.plot(np.array(one.foretold) / ends, (row, row), color="#23201c", lw=2, solid_capstyle="butt")
            axes.set_yticks(range(len(own)), [one.reach.name for one in own])
            axes.set(xlim=(-1.05, 1.05), title=shape)
            axes.axvline(0, color="black", lw=0.8)
        for axes in panels[-columns:]:
            axes.set_xlabel("strength (share of the slider)")
        panels[0].invert_yaxis()
        for axes in panels[len(shapes) :]:
            axes.set_visible(False)
