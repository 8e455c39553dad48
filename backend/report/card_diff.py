"""Two cards of one model's life: which slider became which, what drifted, and what was done otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from .card import Card, MeasuredSlider, leaves
from .charts import matrix
from .html import Markup, badge, cell, el, figure, plural, table

ALIKE = 0.5
"""Cosine between the effects of two sliders below which one did not become the other."""
SETTINGS = ("hash", "parameters", "config", "train", "training", "data", "shards", "device", "seed", "history")
"""Members of a card that say how the model was made."""
PREFIXES_APART = ("bench_", "calibration_", "disentanglement_")
APART = (*SETTINGS, "sliders", "descriptors", "disentanglement", "few_shot")
"""Members of a card that hold no measures, or that `_measures` reads by themselves."""
DRIFTED = 0.03
"""A measure that changed by more than this share of its old figure counts as drifted."""
SAME = 0.9
"""Cosine above which a slider is called the same."""
MOST_ROWS = 60
_SMALL = ("error", "difference", "side effect", "seconds", "chamfer", "memory", "held out", "drift")
"""Parts of the names of measures that should be small, for measures without a bar."""


@dataclass(frozen=True)
class Matches:
    """Which slider of an old card became which of a new one."""

    old: tuple[MeasuredSlider, ...]
    new: tuple[MeasuredSlider, ...]
    cosines: NDArray[np.float64]  # (old, new), between the effects; NaN where one is not known
    pairs: tuple[tuple[int, int], ...]  # rows of the sliders that do the same

    @property
    def gone(self) -> list[int]:
        return [row for row in range(len(self.old)) if row not in {pair[0] for pair in self.pairs}]

    @property
    def added(self) -> list[int]:
        return [row for row in range(len(self.new)) if row not in {pair[1] for pair in self.pairs}]


@dataclass(frozen=True)
class Drift:
    """A measure in both cards."""

    name: str
    old: float
    new: float
    better: bool | None  # None where that is not known or nothing changed

    @property
    def change(self) -> float:
        """Relative to the old figure; infinite where that was 0."""
        if self.old == self.new:
            return 0.0
        return (self.new - self.old) / abs(self.old) if self.old else np.inf * np.sign(self.new - self.old)


@dataclass(frozen=True)
class Setting:
    """A setting that differs; None where one card does not have it."""

    name: str
    old: str | None
    new: str | None


def match_sliders(old: Card, new: Card) -> Matches:
    """Match sliders by their effects on the reference shapes, one to one, with the largest sum of cosines.

    A slider whose direction was reversed is still the same one. Effects are compared on the descriptors that both
    cards name; where a card names none, position by position.
    """
    here, there = _effects(old, new)
    cosines = np.full((len(here), len(there)), np.nan)
    for row, one in enumerate(here):
        for column, other in enumerate(there):
            if len(one) == len(other) > 0 and np.any(one) and np.any(other):
                cosines[row, column] = one @ other / (np.linalg.norm(one) * np.linalg.norm(other))
    weight = np.nan_to_num(np.abs(cosines))
    rows, columns = linear_sum_assignment(-weight)
    pairs = [
        (row, column)
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
        if weight[row, column] >= ALIKE
    ]
    return Matches(old.sliders, new.sliders, cosines, tuple(pairs))


def drifts(old: Card, new: Card) -> list[Drift]:
    """The measures that both cards hold, the largest relative change first."""
    before, after = _measures(old), _measures(new)
    found = []
    for name, (value, small) in after.items():
        if name in before:
            was, at_most = before[name][0], before[name][1] if small is None else small
            better = None if value == was or at_most is None else (value < was) == at_most
            found.append(Drift(name, was, value, better))
    return sorted(found, key=lambda drift: -abs(drift.change))


def settings(old: Card, new: Card) -> list[Setting]:
    """The settings that differ."""
    before, after = (
        {
            ", ".join(path): f"{value:.6g}" if isinstance(value, float) else str(value)
            for path, value in leaves(card.raw or {})
            if path[0] in SETTINGS
        }
        for card in (old, new)
    )
    names = dict.fromkeys([*after, *before])
    return [Setting(name, before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)]


def _effects(old: Card, new: Card) -> tuple[list[NDArray], list[NDArray]]:
    shared = [name for name in old.descriptors if name in new.descriptors]
    found = []
    for card in (old, new):
        columns = [card.descriptors.index(name) for name in shared]
        found.append([_picked(slider.effect, columns) for slider in card.sliders])
    return found[0], found[1]


def _picked(effect: Sequence[float], columns: Sequence[int]) -> NDArray:
    if not columns:
        return np.array(effect)
    return np.array([effect[column] for column in columns]) if max(columns) < len(effect) else np.zeros(0)


def _measures(card: Card) -> dict[str, tuple[float, bool | None]]:
    """By name: the figure, and whether it should be small, None where that is not known."""
    found: dict[str, tuple[float, bool | None]] = {}
    for bar in card.bars:
        if bar.measured is not None:
            found[f"{bar.bench}: {bar.name}"] = bar.measured, bar.at_most
    for score in card.scores:
        if score.ours is not None:
            found[f"sliders: {score.metric.name}"] = score.ours.mean, score.metric.lower_is_better
    for curve in (*card.calibration, *([card.few_shot] if card.few_shot else [])):
        found[f"sigma: {curve.name}, 90 % range holds"] = curve.held(), None
    for path, value in leaves(card.raw or {}):
        if not (isinstance(value, (bool, str)) or path[0] in APART or path[0].startswith(PREFIXES_APART)):
            name = ", ".join(path).replace("_", " ")
            found[name] = float(value), True if any(word in name.lower() for word in _SMALL) else None
    return found


def against_part(new: Card, old: Card) -> Markup:
    """The part of the report against an older card."""
    changed = drifts(old, new)
    return el(
        "div",
        el("p", _in_words(changed), class_="lead"),
        el("h3", "Which slider became which"),
        _sliders(match_sliders(old, new)),
        el("h3", "What drifted"),
        _drifts(changed),
        el("h3", "What was set differently"),
        _settings(old, new),
    )


def _in_words(changed: Sequence[Drift]) -> str:
    if not changed:
        return "The two cards share no measure."
    moved = [drift for drift in changed if abs(drift.change) > DRIFTED]
    better, worse = (sum(drift.better is way for drift in moved) for way in (True, False))
    return (
        f"Of {plural(len(changed), 'measure')} in both cards {len(moved)} changed by more than {100 * DRIFTED:.0f} %: "
        f"{better} for the better, {worse} for the worse, {len(moved) - better - worse} unclear."
    )


def _sliders(matches: Matches) -> Markup:
    if not matches.old or not matches.new:
        missing = "Neither card names" if not matches.old and not matches.new else "One of the cards does not name"
        return el("p", f"{missing} its sliders.", class_="no")
    rows = []
    for before, after in matches.pairs:
        old, new, alike = matches.old[before], matches.new[after], float(matches.cosines[before, after])
        word, style = ("the same", "good") if alike >= SAME else ("changed", "warn")
        if alike < 0:
            word, style = "reversed", "warn"
        renamed = " (renamed)" if old.name != new.name else ""
        became = cell(el("b", new.name), renamed)
        rows.append([cell(old.name), became, figure(alike, 2), cell(badge(word, style))])
    nothing, none = cell("\u2013"), cell("")
    gone = [[cell(matches.old[row].name), nothing, none, cell(badge("gone", "bad"))] for row in matches.gone]
    added = [[nothing, cell(el("b", matches.new[row].name)), none, cell(badge("new", "good"))] for row in matches.added]
    known = bool(np.isfinite(matches.cosines).any())
    shown = [[None if np.isnan(value) else value for value in row] for row in matches.cosines.tolist()]
    was, became = ([slider.name for slider in sliders] for sliders in (matches.old, matches.new))
    picture = el(
        "figure",
        matrix(shown, was, became, set(matches.pairs)),
        el("figcaption", "Rows: sliders of the older card. Columns: of this one. 1 is the same effect on the "
           "reference shapes, 0 another one, \u22121 the opposite. Outlined: what became what."),
    )  # fmt: skip
    unknown = el("p", "The cards do not say what their sliders do, so they cannot be matched.", class_="no")
    found = table(["It was", "It is", "How alike", ""], [*rows, *gone, *added], (2,))
    return el("div", found, picture if known else unknown)


def _drifts(changed: Sequence[Drift]) -> Markup:
    if not changed:
        return el("p", "Nothing was measured in both.", class_="no")
    moved = [drift for drift in changed if abs(drift.change) > DRIFTED]
    still = [drift for drift in changed if abs(drift.change) <= DRIFTED]
    parts = [_drift_table(moved) if moved else el("p", f"Nothing changed by more than {100 * DRIFTED:.0f} %.")]
    if still:
        parts.append(el("details", el("summary", f"{plural(len(still), 'measure')} as before"), _drift_table(still)))
    return el("div", *parts)


def _drift_table(changed: Sequence[Drift]) -> Markup:
    rows = []
    for drift in changed[:MOST_ROWS]:
        style = {True: "good", False: "bad", None: ""}[drift.better if abs(drift.change) > DRIFTED else None]
        share = f"{100 * drift.change:+.1f} %".replace("-", "\u2212") if np.isfinite(drift.change) else "from 0"
        word = {"good": "better", "bad": "worse"}.get(style, "")
        old, new = figure(drift.old), figure(drift.new)
        rows.append([cell(drift.name), old, new, cell(share, class_=f"n {style}"), cell(word, class_=style)])
    more = len(changed) - MOST_ROWS
    rest = el("p", f"And {plural(more, 'other')}.", class_="soft small") if more > 0 else None
    return el("div", table(["Measure", "It was", "It is", "Change", ""], rows, (1, 2, 3)), rest)


def _settings(old: Card, new: Card) -> Markup:
    found = settings(old, new)
    if not found:
        return el("p", "Nothing: model, settings and training are the same.")
    rows = [
        [cell(one.name), cell(el("code", one.old or "\u2013")), cell(el("code", one.new or "\u2013"))]
        for one in found[:MOST_ROWS]
    ]
    return table(["Setting", "It was", "It is"], rows)
