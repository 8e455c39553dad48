"""The phase picture: pieces, tunnels and hollows over the strength of an edit, as an SVG written as text."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

import numpy as np
from numpy.typing import ArrayLike, NDArray

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
    strengths: ArrayLike,
    betti: ArrayLike,
    safe: tuple[float, float] | None = None,
    unstable: ArrayLike | None = None,
    title: str = "Topology along the slider",
    unit: str = "",
    at: float | None = 0.0,
) -> bytes:
    """The picture, UTF-8.

    strengths: (n,), rising, n > 1, in ``unit``; betti: (n, 3), pieces, tunnels and hollows there. The steps, and the
    marked transitions, are drawn midway between rows that differ. safe: interval to shade; unstable: bool (n,), rows to
    underline; at: the present strength. The same input gives the same bytes. Raises ValueError for other shapes, or
    strengths that do not rise.
    """
    x, counts = np.asarray(strengths, np.float64), np.asarray(betti, np.int64)
    if x.ndim != 1 or len(x) < 2 or counts.shape != (len(x), 3):
        raise ValueError(f"strengths {x.shape} and Betti numbers {counts.shape} do not make a table")
    if not (np.isfinite(x).all() and (np.diff(x) > 0).all()):
        raise ValueError("the strengths must be finite and rise")
    flags = np.zeros(len(x), bool) if unstable is None else np.asarray(unstable, bool)
    return ("\n".join(_lines(x, counts, safe, flags, title, unit, at)) + "\n").encode()


def _lines(
    x: NDArray[np.float64],
    counts: NDArray[np.int64],
    safe: tuple[float, float] | None,
    unstable: NDArray[np.bool_],
    title: str,
    unit: str,
    at: float | None,
) -> Iterator[str]:
    inner = WIDTH - LEFT - RIGHT
    bottom = HEIGHT - BOTTOM

    def place(strength: ArrayLike) -> NDArray[np.float64]:
        return LEFT + inner * (np.asarray(strength) - x[0]) / (x[-1] - x[0])

    changes = np.flatnonzero((counts[1:] != counts[:-1]).any(axis=1))
    middles = (x[changes] + x[changes + 1]) / 2
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'font-family="DejaVu Sans, Arial, sans-serif" font-size="12" fill="{INK}">'
    )
    yield f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>'
    yield f'<text class="title" x="{LEFT}" y="26" font-size="16" font-weight="bold">{escape(title)}</text>'
    if safe is not None:
        low, high = float(place(max(safe[0], x[0]))), float(place(min(safe[1], x[-1])))
        yield _rect("safe", low, TOP, high - low, bottom - TOP, SAFE)
        yield (
            f'<text class="range" x="{WIDTH - RIGHT}" y="26" text-anchor="end">'
            f"same topology from {_number(safe[0], x)} to {_number(safe[1], x)}{_of(unit)}</text>"
        )
    for first, last in _runs(unstable):
        low = float(place((x[max(first - 1, 0)] + x[first]) / 2))
        high = float(place((x[last] + x[min(last + 1, len(x) - 1)]) / 2))
        yield _rect("unstable", low, bottom - 5, high - low, 5, UNSTABLE)

    tall = (bottom - TOP - 2 * GAP) / 3
    for row, (name, colour) in enumerate(ROWS):
        top = TOP + row * (tall + GAP)
        yield from _panel(place(x), counts[:, row], top, tall, name, colour)

    for strength, line in zip(middles.tolist(), _label_lines(place(middles)), strict=True):
        here = place(strength)
        level = TOP - 10 - 14 * line
        yield (
            f'<line class="transition" x1="{here:.2f}" y1="{level + 3:.2f}" x2="{here:.2f}" y2="{bottom:.2f}" '
            f'stroke="{INK}" stroke-dasharray="4 3"/>'
        )
        yield f'<text class="value" x="{here:.2f}" y="{level:.2f}" text-anchor="middle">{_number(strength, x)}</text>'

    for tick in _ticks(x[0], x[-1]):
        here = place(tick)
        yield (
            f'<line class="tick" x1="{here:.2f}" y1="{bottom}" x2="{here:.2f}" y2="{bottom + 5}" stroke="{INK}"/>'
            f'<text x="{here:.2f}" y="{bottom + 19}" text-anchor="middle">{tick:.6g}</text>'
        )
    if at is not None and x[0] <= at <= x[-1]:
        here = place(at)
        yield f'<path class="present" d="M{here:.2f} {bottom} l-5 9 h10 z" fill="{INK}"/>'
    yield (
        f'<text class="unit" x="{LEFT + inner / 2:.2f}" y="{HEIGHT - 10}" text-anchor="middle">'
        f"strength{f' ({escape(unit)})' if unit else ''}</text>"
    )
    yield "</svg>"


def _panel(
    places: NDArray[np.float64], counts: NDArray[np.int64], top: float, tall: float, name: str, colour: str
) -> Iterator[str]:
    """One count as a step line over its own axis."""
    low, high = int(counts.min()), max(int(counts.max()), int(counts.min()) + 1)
    margin = 10

    def height(count: int) -> float:
        return top + tall - margin - (tall - 2 * margin) * (count - low) / (high - low)

    middle = top + tall / 2
    yield (
        f'<rect x="{LEFT}" y="{top:.2f}" width="{WIDTH - LEFT - RIGHT}" height="{tall:.2f}" fill="none" '
        f'stroke="{FAINT}"/>'
    )
    yield (
        f'<text class="name" x="20" y="{middle:.2f}" text-anchor="middle" fill="{colour}" '
        f'transform="rotate(-90 20 {middle:.2f})">{name}</text>'
    )
    for count in _whole_ticks(low, high):
        yield f'<text x="{LEFT - 8}" y="{height(count) + 4:.2f}" text-anchor="end">{count}</text>'
    changes = np.flatnonzero(counts[1:] != counts[:-1])
    steps = (places[changes] + places[changes + 1]) / 2
    path = f"M{places[0]:.2f} {height(int(counts[0])):.2f}"
    for step, count in zip(steps.tolist(), counts[changes + 1].tolist(), strict=True):
        path += f" H{step:.2f} V{height(count):.2f}"
    path += f" H{places[-1]:.2f}"
    yield f'<path class="{name}" d="{path}" fill="none" stroke="{colour}" stroke-width="2.5"/>'


def _rect(name: str, x: float, y: float, width: float, height: float, colour: str) -> str:
    return f'<rect class="{name}" x="{x:.2f}" y="{y:.2f}" width="{width:.2f}" height="{height:.2f}" fill="{colour}"/>'


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


def _whole_ticks(low: int, high: int) -> list[int]:
    """At most five counts, the lowest among them."""
    return list(range(low, high + 1, -(-(high - low) // 4)))


def _number(strength: float, x: NDArray[np.float64]) -> str:
    """A strength with as many digits as a thousandth of the range needs."""
    digits = max(0, 3 - int(np.floor(np.log10(x[-1] - x[0]))))
    return f"{strength + 0.0:.{digits}f}"


def _of(unit: str) -> str:
    return f" {escape(unit)}" if unit else ""
