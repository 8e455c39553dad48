"""Small charts as SVG. Their colours are the page's, for light and dark."""

from __future__ import annotations

from collections.abc import Sequence

from ..geometry.svg import Markup, drawing, el, line, points, rect, short, words
from .html import number

WIDTH, BAR_WIDTH, SLIDER_WIDTH = 1000, 240, 420
INK, SOFT, LINE, FAINT = "var(--ink)", "var(--soft)", "var(--line)", "var(--faint)"
GOOD, BAD, OURS, OTHER = "var(--good)", "var(--bad)", "var(--ours)", "var(--other)"
BAND = 0.05
"""Half the width of the band beside the diagonal of a calibration curve that still counts as honest."""


def bar(share: float, colour: str = OURS) -> Markup:
    """One bar, ``share`` of its track long."""
    length = BAR_WIDTH * min(max(share, 0.0), 1.0)
    filled = rect(0, 1, max(length, 10.0 if length > 0 else 0.0), 10, colour, rx=5)
    return drawing(BAR_WIDTH, 12, rect(0, 1, BAR_WIDTH, 10, FAINT, rx=5), filled)


def versus(
    value: float | None, limit: float, at_most: bool | None, passed: bool | None, wide: int = BAR_WIDTH
) -> Markup | None:
    """A figure as a dot against a mark at its bar, in the middle of the chart; the side that passes is shaded. None
    where there is nothing to draw."""
    if value is None or not limit > 0:
        return None
    middle, place = wide / 2, min(max(value / (2 * limit), 0.015), 0.985) * wide
    shaded = []
    if at_most is not None:
        shaded = [rect(0 if at_most else middle, 5, middle, 10, "var(--good-soft)", rx=3)]
    dot = el("circle", cx=place, cy=10, r=5.5, fill=GOOD if passed else BAD if passed is False else OTHER)
    return drawing(wide, 20, rect(0, 5, wide, 10, FAINT, rx=3), *shaded, line(middle, 1, middle, 19, INK, 2), dot)


def spreads(rows: Sequence[tuple[float, float, str]], top: float, mark: float | None) -> Markup:
    """Means with their standard deviations, rows of (mean, sd, colour) on a scale from 0 to ``top``; mark: a value to
    reach."""
    parts = [line(0, 6 + 13 * row, BAR_WIDTH, 6 + 13 * row, FAINT, 5, "round") for row in range(len(rows))]
    tall = 13 * len(rows)

    def place(value: float) -> float:
        return 6 + (BAR_WIDTH - 12) * min(max(value / top, 0.0), 1.0)

    if mark is not None:
        parts.append(line(place(mark), 0, place(mark), tall, INK, 1.5))
    for row, (mean, sd, colour) in enumerate(rows):
        y = 6 + 13 * row
        parts.append(line(place(mean - sd), y, place(mean + sd), y, colour, 3, "round"))
        parts.append(el("circle", cx=place(mean), cy=y, r=4.5, fill=colour))
    return drawing(BAR_WIDTH, tall, *parts)


def interval(
    low: float, high: float, safe: tuple[float, float], inner: tuple[float, float] | None = None
) -> Markup:
    """A slider from ``low`` to ``high`` with the part between ``safe`` filled; inner: a part of that in a stronger
    colour. A mark stands at 0 and at each end that lies within the slider."""
    span = max(high - low, 1e-12)

    def place(value: float) -> float:
        return 4 + (SLIDER_WIDTH - 8) * min(max((value - low) / span, 0.0), 1.0)

    parts = [rect(4, 9, SLIDER_WIDTH - 8, 8, FAINT, rx=4)]
    for ends, colour in ((safe, GOOD if inner is None else "var(--good-soft)"), (inner, GOOD)):
        if ends is not None:
            parts.append(rect(place(ends[0]), 9, max(place(ends[1]) - place(ends[0]), 2), 8, colour, rx=4))
    for end in dict.fromkeys(value for ends in (safe, inner or safe) for value in ends):
        if low + 0.002 * span < end < high - 0.002 * span:
            parts.append(line(place(end), 4, place(end), 22, BAD, 2.5))
    if low < 0 < high:
        parts.append(el("circle", cx=place(0), cy=13, r=4, fill="var(--panel)", stroke=INK, stroke_width=1.5))
    return drawing(SLIDER_WIDTH, 26, *parts)


def calibration(nominal: Sequence[float], observed: Sequence[float], label: str, size: int = 225) -> Markup:
    """A calibration curve: below the diagonal the model was too sure."""
    left, top, room = 40, 10, size - 54
    bottom = top + room

    def at(x: float, y: float) -> tuple[float, float]:
        return left + room * min(max(x, 0.0), 1.0), bottom - room * min(max(y, 0.0), 1.0)

    honest = [at(0, BAND), at(1 - BAND, 1), at(1, 1), at(1, 1 - BAND), at(BAND, 0), at(0, 0)]
    parts = [rect(left, top, room, room, "none", stroke=LINE)]
    parts.append(el("polygon", points=points(honest), fill="var(--good-soft)", opacity=0.7))
    parts.append(line(*at(0, 0), *at(1, 1), SOFT, 1))
    for tick in (0.0, 0.5, 1.0):
        (x, _), (_, y) = at(tick, 0), at(0, tick)
        parts.append(words(x, bottom + 16, f"{100 * tick:.0f}", anchor="middle", soft=True))
        parts.append(words(left - 7, y + 4, f"{100 * tick:.0f}", anchor="end", soft=True))
    pairs = sorted(zip(nominal, observed, strict=True))
    places = [at(0, 0), *(at(x, y) for x, y in pairs)]
    parts.append(el("polyline", points=points(places), fill="none", stroke=OURS, stroke_width=2.5))
    for (x, y), (said, held) in zip(places[1:], pairs, strict=True):
        title = el("title", f"said {100 * said:.0f} %, held {100 * held:.0f} %")
        parts.append(el("circle", title, cx=x, cy=y, r=3.8, fill=OURS))
    parts.append(words(left + room / 2, bottom + 33, "said to hold, %", anchor="middle", soft=True))
    parts.append(words(12, top + room / 2, "did hold, %", anchor="middle", soft=True, turn=-90))
    return drawing(size, bottom + 40, *parts, label=label)


def matrix(
    values: Sequence[Sequence[float | None]], rows: Sequence[str], columns: Sequence[str], marked: set[tuple[int, int]]
) -> Markup:
    """Values from -1 to 1 as coloured squares, those in ``marked`` outlined; warm above 0, cool below."""
    longest = max((len(short(name, 20)) for name in columns), default=0)
    left, top, side = 190, 20 + 4.8 * longest, min(52.0, (WIDTH - 200) / max(len(columns), 1))
    tall = min(side, 34.0)
    parts: list[Markup] = []
    for number_, name in enumerate(columns):
        x = left + side * (number_ + 0.5)
        parts.append(words(x + 4, top - 8, short(name, 20), turn=-40))
    for row, name in enumerate(rows):
        y = top + tall * row
        parts.append(words(left - 10, y + tall / 2 + 4, short(name, 26), anchor="end"))
        for column, value in enumerate(values[row]):
            x = left + side * column
            title = el("title", f"{name}, {columns[column]}: {number(value, 2)}")
            parts.append(el("g", title, *_square(x, y, side, tall, value, (row, column) in marked)))
    wide = left + side * len(columns) + 90
    return el(
        "div",
        drawing(wide, top + tall * len(rows) + 6, *parts, label="table of colours", style=f"max-width:{wide:.0f}px"),
        class_="wide",
    )


def _square(x: float, y: float, side: float, tall: float, value: float | None, marked: bool) -> list[Markup]:
    parts = [rect(x + 1, y + 1, side - 2, tall - 2, FAINT, rx=4)]
    if value is not None:
        strength = min(abs(value), 1.0)
        parts.append(rect(x + 1, y + 1, side - 2, tall - 2, OURS if value > 0 else OTHER, rx=4, opacity=strength))
        if strength >= 0.15:
            fill = "fill:var(--panel)" if strength > 0.6 else None
            parts.append(words(x + side / 2, y + tall / 2 + 4, number(value, 2), "middle", style=fill))
    if marked:
        parts.append(rect(x + 1.5, y + 1.5, side - 3, tall - 3, "none", rx=4, stroke=INK, stroke_width=2))
    return parts
