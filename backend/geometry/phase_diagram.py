"""The phase picture: pieces, tunnels and hollows over the strength of an edit, as an SVG."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .svg import Child, Markup, el, join, leaf

WIDTH, HEIGHT = 720, 420
LEFT, RIGHT, TOP, BOTTOM = 92, 24, 92, 52
"""Margins around the three panels, in pixels."""
GAP = 14
ROWS = (("pieces", "#1f5fa8"), ("tunnels", "#b4471f"), ("hollows", "#5b7f1c"))
SAFE, UNSTABLE, INK, FAINT = "#dcefdc", "#f3d9a8", "#222222", "#b8b8b8"
LABEL_WIDTH = 52
"""Pixels that the value at a transition needs; nearer ones are written on another line."""
LABEL_LINES = 3


def phase_picture(
    strengths: ArrayLike, betti: ArrayLike, safe: tuple[float, float], unstable: ArrayLike, title: str, at: float | None
) -> bytes:
    """The picture, UTF-8.

    strengths: (n,), rising, n > 1; betti: (n, 3), pieces, tunnels and hollows there. The steps, and the marked
    transitions, are drawn midway between rows that differ. safe: interval to shade; unstable: bool (n,), rows to
    underline; at: the present strength. The same input gives the same bytes. Raises ValueError for other shapes, or
    strengths that do not rise.
    """
    x, counts = np.asarray(strengths, np.float64), np.asarray(betti, np.int64)
    if x.ndim != 1 or len(x) < 2 or counts.shape != (len(x), 3):
        raise ValueError(f"strengths {x.shape} and Betti numbers {counts.shape} do not make a table")
    if not (np.isfinite(x).all() and (np.diff(x) > 0).all()):
        raise ValueError("the strengths must be finite and rise")
    size: dict[str, Child] = {"width": WIDTH, "height": HEIGHT, "viewBox": f"0 0 {WIDTH} {HEIGHT}"}
    font: dict[str, Child] = {"font_family": "DejaVu Sans, Arial, sans-serif", "font_size": 12, "fill": INK}
    lines = [Markup(), *_lines(x, counts, safe, np.asarray(unstable, bool), title, at), Markup()]
    return f"{el('svg', join(lines, chr(10)), xmlns='http://www.w3.org/2000/svg', **size, **font)}\n".encode()


def _lines(
    x: NDArray[np.float64],
    counts: NDArray[np.int64],
    safe: tuple[float, float],
    unstable: NDArray[np.bool_],
    title: str,
    at: float | None,
) -> Iterator[Markup]:
    inner = WIDTH - LEFT - RIGHT
    bottom = HEIGHT - BOTTOM

    def place(strength: ArrayLike) -> NDArray[np.float64]:
        return LEFT + inner * (np.asarray(strength) - x[0]) / (x[-1] - x[0])

    changes = np.flatnonzero((counts[1:] != counts[:-1]).any(axis=1))
    middles = (x[changes] + x[changes + 1]) / 2
    yield leaf("rect", width=WIDTH, height=HEIGHT, fill="#ffffff")
    yield el("text", title, class_="title", x=LEFT, y=26, font_size=16, font_weight="bold")
    low, high = float(place(max(safe[0], x[0]))), float(place(min(safe[1], x[-1])))
    yield _rect("safe", low, TOP, high - low, bottom - TOP, SAFE)
    kept = f"same topology from {_number(safe[0], x)} to {_number(safe[1], x)}"
    yield el("text", kept, class_="range", x=WIDTH - RIGHT, y=26, text_anchor="end")
    for first, last in _runs(unstable):
        low = float(place((x[max(first - 1, 0)] + x[first]) / 2))
        high = float(place((x[last] + x[min(last + 1, len(x) - 1)]) / 2))
        yield _rect("unstable", low, bottom - 5, high - low, 5, UNSTABLE)

    tall = (bottom - TOP - 2 * GAP) / 3
    for row, (name, colour) in enumerate(ROWS):
        top = TOP + row * (tall + GAP)
        yield from _panel(place(x), counts[:, row], top, tall, name, colour)

    for strength, line in zip(middles.tolist(), _label_lines(place(middles)), strict=True):
        here, level = _at(place(strength)), TOP - 10 - 14 * line
        ends: dict[str, Child] = {"x1": here, "y1": _at(level + 3), "x2": here, "y2": _at(bottom)}
        yield leaf("line", class_="transition", **ends, stroke=INK, stroke_dasharray="4 3")
        yield el("text", _number(strength, x), class_="value", x=here, y=_at(level), text_anchor="middle")

    for tick in _ticks(x[0], x[-1]):
        here = _at(place(tick))
        mark = leaf("line", class_="tick", x1=here, y1=bottom, x2=here, y2=bottom + 5, stroke=INK)
        yield join([mark, el("text", f"{tick:.6g}", x=here, y=bottom + 19, text_anchor="middle")])
    if at is not None and x[0] <= at <= x[-1]:
        yield leaf("path", class_="present", d=f"M{place(at):.2f} {bottom} l-5 9 h10 z", fill=INK)
    yield el("text", "strength", class_="unit", x=_at(LEFT + inner / 2), y=HEIGHT - 10, text_anchor="middle")


def _panel(
    places: NDArray[np.float64], counts: NDArray[np.int64], top: float, tall: float, name: str, colour: str
) -> Iterator[Markup]:
    """One count as a step line over its own axis."""
    low, high = int(counts.min()), max(int(counts.max()), int(counts.min()) + 1)
    margin = 10

    def height(count: int) -> float:
        return top + tall - margin - (tall - 2 * margin) * (count - low) / (high - low)

    middle = _at(top + tall / 2)
    yield leaf("rect", x=LEFT, y=_at(top), width=WIDTH - LEFT - RIGHT, height=_at(tall), fill="none", stroke=FAINT)
    turn = f"rotate(-90 20 {middle})"
    yield el("text", name, class_="name", x=20, y=middle, text_anchor="middle", fill=colour, transform=turn)
    # at most five counts, the lowest among them
    for count in range(low, high + 1, -(-(high - low) // 4)):
        yield el("text", count, x=LEFT - 8, y=_at(height(count) + 4), text_anchor="end")
    changes = np.flatnonzero(counts[1:] != counts[:-1])
    steps = (places[changes] + places[changes + 1]) / 2
    path = f"M{places[0]:.2f} {height(int(counts[0])):.2f}"
    for step, count in zip(steps.tolist(), counts[changes + 1].tolist(), strict=True):
        path += f" H{step:.2f} V{height(count):.2f}"
    path += f" H{places[-1]:.2f}"
    yield leaf("path", class_=name, d=path, fill="none", stroke=colour, stroke_width=2.5)


def _rect(name: str, x: float, y: float, width: float, height: float, colour: str) -> Markup:
    return leaf("rect", class_=name, x=_at(x), y=_at(y), width=_at(width), height=_at(height), fill=colour)


def _at(place: float | NDArray) -> str:
    """A coordinate, to a hundredth of a pixel."""
    return f"{place:.2f}"


def _runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and last row of every run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [(int(first), int(end) - 1) for first, end in edges.reshape(-1, 2)]


def _label_lines(places: NDArray[np.float64]) -> list[int]:
    """On which line each label stands so that neighbours do not overlap; they start over when all are taken."""
    lines: list[int] = []
    ends = [-np.inf] * LABEL_LINES
    for place in places.tolist():
        free = next((line for line, end in enumerate(ends) if place - end >= LABEL_WIDTH), int(np.argmin(ends)))
        ends[free] = place
        lines.append(free)
    return lines


def _ticks(low: float, high: float) -> list[float]:
    """About five round numbers."""
    rough = (high - low) / 5
    size = 10.0 ** np.floor(np.log10(rough))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough * 0.99)
    numbers = np.arange(np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9) + 1) * step
    return (numbers + 0.0).tolist()


def _number(strength: float, x: NDArray[np.float64]) -> str:
    """A strength with as many digits as a thousandth of the range needs."""
    digits = max(0, 3 - int(np.floor(np.log10(x[-1] - x[0]))))
    return f"{strength + 0.0:.{digits}f}"
