"""The part of the report on sliders: how far each can be pushed, and whether it moves one thing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..edits.reach import Reach
from .card import METRICS, Card, MeasuredSlider, Score, Spread
from .charts import OTHER, OURS, bar, interval, matrix, spreads
from .html import Markup, cell, el, figure, number, percent, plural, table
from .scans import ScanLook

TIGHTEST = 0.1
"""The reach that is shown in dark green holds for all but this share of the reference shapes."""


def potential_part(card: Card, looks: Sequence[ScanLook]) -> Markup:
    """The part on the reach of the sliders: on each scan, and on the reference shapes of the card."""
    words = (
        "A slider can be pushed until pieces part or join, or a tunnel opens or closes. The green part of each bar "
        "is safe: the shape keeps its pieces, tunnels and hollows. A red mark shows where that ends."
    )
    parts = [el("p", words, class_="lead")]
    for look in looks:
        if look.reaches:
            parts += [el("h3", f"On {look.name}"), reach_table(look.reaches)]
            if any(reach.foretold for reach in look.reaches):
                words = "Estimated from the walls that face each other, not measured by a sweep."
                parts.append(el("p", words, class_="soft small"))
    parts.append(el("h3", "On the reference shapes"))
    measured = [slider for slider in card.sliders if slider.reach]
    if measured:
        count = max(len(slider.reach) for slider in measured)
        words = f"Light green holds for half of {plural(count, 'reference shape')}, dark green for nine in ten."
        parts += [el("p", words), _reference(measured)]
    else:
        parts.append(el("p", "Not measured for this model.", class_="no"))
    return el("div", *parts)


def reach_table(reaches: Sequence[Reach]) -> Markup:
    rows = []
    for reach in reaches:
        chart = cell(interval(reach.low, reach.high, reach.safe), class_="chart")
        ends = cell(_ends(reach), class_="w small")
        rows.append([cell(el("b", reach.name)), chart, _range(reach.safe, reach.unit), ends])
    return table(["Slider", "Safe part", "", "What happens beyond"], rows)


def reach_of_references(slider: MeasuredSlider, share: float) -> tuple[float, float]:
    """The interval that holds for all but ``share`` of the reference shapes, each end by itself."""
    low, high = np.array(slider.reach).T
    return float(np.quantile(low, 1 - share)), float(np.quantile(high, share))


def _ends(reach: Reach) -> str:
    said = [(reach.safe[0], reach.below), (reach.safe[1], reach.above)]
    lines = [f"Past {number(at, 2)}: {change[0].lower()}{change[1:]}" for at, change in said if change]
    if reach.foretold:
        ends = [(reach.safe[0], reach.low), (reach.safe[1], reach.high)]
        lines = [f"Walls may meet past {number(at, 2)}." for at, end in ends if at != end]
    lines = lines or ["Nothing: safe to both ends."]
    return " ".join([*lines, "Some walls are too thin to be sure."] if reach.unsure else lines)


def _reference(sliders: Sequence[MeasuredSlider]) -> Markup:
    rows = []
    for slider in sliders:
        half, most = reach_of_references(slider, 0.5), reach_of_references(slider, TIGHTEST)
        # where the ends cross, nothing holds for nearly all
        inner = most if most[0] < most[1] else None
        whole = np.mean([pair[0] <= slider.low and pair[1] >= slider.high for pair in slider.reach])
        chart = cell(interval(slider.low, slider.high, half, inner), class_="chart")
        ends = cell(f"Safe to its ends on {percent(float(whole))} of the shapes.", class_="w small")
        rows.append([_named(slider), chart, _range(half, slider.unit), ends])
    return table(["Slider", "Safe part", "Safe on half of them", ""], rows, (2,))


def disentanglement_part(card: Card) -> Markup:
    """The part on what sliders move: scores of disentanglement, effects and side effects."""
    words = (
        "A slider earns its name if it moves that one thing and leaves the rest. This is measured on shapes whose "
        "properties are known, drawn mugs, and compared with sliders that were found without any names (principal "
        "components)."
    )
    parts = [el("p", words, class_="lead")]
    if card.scores:
        once = "measured once" if not card.seeds or card.seeds < 2 else f"mean and spread over {card.seeds} runs"
        legend = el(
            "div",
            el("span", el("i", style=f"background:{OURS}"), "our sliders", class_="key"),
            el("span", el("i", style=f"background:{OTHER}"), "principal components", class_="key"),
            el("span", f"A line marks what is asked. Each is {once}."),
            class_="legend",
        )
        parts += [score_table(card.scores), legend]
        if card.scores_z:
            said = "The same for the code of the model itself, which has to serve shapes of all kinds:"
            parts.append(el("details", el("summary", "Sliders for shapes of all kinds"), el("p", said),
                            score_table(card.scores_z)))  # fmt: skip
    else:
        parts.append(el("p", "Not measured for this model.", class_="no"))
    effects = [slider for slider in card.sliders if slider.effect]
    known = [slider for slider in card.sliders if slider.side_effect is not None]
    if effects and card.descriptors:
        parts += [
            el("h3", "What each slider moves"),
            el("p", "Warm: more of it, cool: less. One strong square in a row, and little beside it, is best."),
            _effects(effects, card.descriptors),
        ]
    if known:
        words = (
            "What else one unit of a slider moves on a single shape. Over many shapes much of that cancels out, and "
            "the name of a slider rests on that mean."
        )
        parts += [el("h3", "Side effects"), el("p", words), _side_effects(known)]
    return el("div", *parts)


def score_table(scores: Sequence[Score]) -> Markup:
    rows = []
    for score in scores:
        drawn = [
            (spread.mean, spread.sd, colour) for spread, colour in ((score.ours, OURS), (score.pca, OTHER)) if spread
        ]
        top = max(1.0, *(mean + sd for mean, sd, _ in drawn))
        if score.metric.lower_is_better:
            top = max(2 * (score.metric.bar or 0.5), *(mean + sd for mean, sd, _ in drawn))
        name = cell(el("b", score.metric.name), el("div", score.metric.asks, class_="soft small"))
        style = {None: "", True: "good", False: "bad"}[reached(score)]
        ours = cell(spread_in_words(score.ours), class_=f"n {style}")
        pca, limit = cell(spread_in_words(score.pca), class_="n"), cell(asked(score), class_="n soft")
        rows.append([name, cell(spreads(drawn, top, score.metric.bar), class_="chart"), ours, pca, limit])
    return table(["What is asked", "", "Ours", "Components", "To reach"], rows, (2, 3, 4))


def spread_in_words(spread: Spread | None) -> str:
    if spread is None:
        return "not measured"
    return number(spread.mean) + (f" \u00b1 {number(spread.sd, 2)}" if spread.sd > 0 else "")


def asked(score: Score) -> str:
    if score.metric.bar is None:
        return ""
    return f"{'at most' if score.metric.lower_is_better else 'at least'} {score.metric.bar:g}"


def reached(score: Score) -> bool | None:
    """Whether our figure passes its bar; None where one of them is missing."""
    if score.ours is None or score.metric.bar is None:
        return None
    below = score.ours.mean <= score.metric.bar
    return below if score.metric.lower_is_better else score.ours.mean >= score.metric.bar


def _effects(sliders: Sequence[MeasuredSlider], descriptors: Sequence[str]) -> Markup:
    values, own = [], set()
    for row, slider in enumerate(sliders):
        effect = slider.effect[: len(descriptors)]
        largest = max(map(abs, effect)) or 1.0
        values.append([value / largest for value in effect] + [None] * (len(descriptors) - len(effect)))
        own.add((row, int(np.argmax(np.abs(effect)))))
    return el(
        "figure",
        matrix(values, [slider.name for slider in sliders], list(descriptors), own),
        el("figcaption", "Each row is relative to what its slider moves most, which is outlined."),
    )


def _side_effects(sliders: Sequence[MeasuredSlider]) -> Markup:
    limit = METRICS["side_effect"].bar or 0.15
    top = max(2 * limit, *(slider.side_effect or 0.0 for slider in sliders))
    rows = []
    for slider in sliders:
        value = slider.side_effect or 0.0
        style = "good" if value <= limit else "bad"
        chart = cell(bar(value / top, f"var(--{style})"), class_="chart")
        beside = cell(", ".join(f"{name} {number(score)}" for name, score in slider.scores), class_="soft small")
        rows.append([_named(slider), chart, figure(value, style=style), beside])
    return table(["Slider", f"Side effect, at most {limit:g} sd is asked", "", "Also measured"], rows, (2,))


def _named(slider: MeasuredSlider) -> Markup:
    return cell(el("b", slider.name), el("div", slider.kind, class_="soft small") if slider.kind else None)


def _range(ends: tuple[float, float], unit: str) -> Markup:
    return cell(f"{number(ends[0], 2)} to {number(ends[1], 2)} {unit}", class_="n")
