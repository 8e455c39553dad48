"""The part of the report against an older card: which slider became which, and what drifted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .card import Card
from .charts import matrix
from .compare import DRIFTED, Drift, Matches, drifts, match_sliders, settings
from .html import Markup, cell, el, number, plural, table

SAME = 0.9
"""Cosine above which a slider is the one it was."""
MOST_ROWS = 60


def against_part(new: Card, old: Card) -> Markup:
    changed = drifts(old, new)
    matches = match_sliders(old, new)
    return el(
        "div",
        el("p", _in_words(changed), class_="lead"),
        el("h3", "Which slider became which"),
        _sliders(matches),
        el("h3", "What drifted"),
        _drifts(changed),
        el("h3", "What was done otherwise"),
        _settings(old, new),
    )


def _in_words(changed: Sequence[Drift]) -> str:
    if not changed:
        return "The two cards share no measure."
    moved = [drift for drift in changed if abs(drift.change) > DRIFTED]
    better, worse = (sum(drift.better is way for drift in moved) for way in (True, False))
    return (
        f"Of {plural(len(changed), 'measure')} in both cards {len(moved)} changed by more than {100 * DRIFTED:.0f} %: "
        f"{better} for the better, {worse} for the worse, {len(moved) - better - worse} not to be told."
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
            word, style = "turned round", "warn"
        renamed = " (renamed)" if old.name != new.name else ""
        rows.append(
            [
                cell(old.name),
                cell(el("b", new.name), renamed),
                cell(number(alike, 2), class_="n"),
                _verdict(word, style),
            ]
        )
    gone = [[cell(matches.old[row].name), cell("\u2013"), cell(""), _verdict("gone", "bad")] for row in matches.gone]
    fresh = [cell(""), _verdict("new", "good")]
    added = [[cell("\u2013"), cell(el("b", matches.new[row].name)), *fresh] for row in matches.added]
    known = bool(np.isfinite(matches.cosines).any())
    shown = [[None if np.isnan(value) else value for value in row] for row in matches.cosines.tolist()]
    return el(
        "div",
        table(["It was", "It is", "How alike", ""], [*rows, *gone, *added], (2,)),
        el(
            "figure",
            matrix(
                shown,
                [slider.name for slider in matches.old],
                [slider.name for slider in matches.new],
                set(matches.pairs),
            ),
            el("figcaption", "Rows: sliders of the older card. Columns: of this one. 1 is the same effect on the "
               "reference shapes, 0 another one, \u22121 the opposite. Outlined: what became what."),
        )
        if known
        else el("p", "The cards do not say what their sliders do, so that they cannot be matched.", class_="no"),
    )  # fmt: skip


def _verdict(word: str, style: str) -> Markup:
    return cell(el("span", word, class_=f"badge {style}"))


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
        share = f"{100 * drift.change:+.1f} %".replace("-", "\u2212") if np.isfinite(drift.change) else "from nothing"
        word = {"good": "better", "bad": "worse"}.get(style, "")
        rows.append(
            [
                cell(drift.name),
                cell(number(drift.old), class_="n"),
                cell(number(drift.new), class_="n"),
                cell(share, class_=f"n {style}"),
                cell(word, class_=style),
            ]
        )
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
