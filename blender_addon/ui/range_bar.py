"""The swept range of a slider as a bar: a tick at every change of the topology, filled up to the strength, red where
the topology is another one."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any, NamedTuple

from ..session import travel
from ..text import changes

LEAST = 1 / 20
"""Of the bar: the shortest way between two ticks. Changes that are nearer to one another share one. Blender draws no
shorter part: with 1 / 32 bars of many reach beyond the sidebar."""
HEIGHT = 0.5
"""Of a button."""


class Segment(NamedTuple):
    """A part of the bar between two ticks."""

    low: float
    high: float
    is_safe: bool


def draw(layout: Any, edit: Any) -> None:
    """Draw the bar of an edit whose range was measured, with the percent of the slider at its ends."""
    low, high = edit.swept
    if not (edit.safe and low < high):
        return
    column = layout.column(align=True)
    bar = column.row(align=True)
    bar.scale_y = HEIGHT
    for segment in segments(low, high, (edit.safe_low, edit.safe_high), [at for at, _ in changes(edit.transitions)]):
        width = segment.high - segment.low
        # what is left of the bar is divided again, because a row would make all parts equally wide
        here = bar.split(factor=width / (high - segment.low), align=True) if segment.high < high else bar
        part = here.row(align=True)
        part.alert = not segment.is_safe
        filled = (edit.strength - segment.low) / width
        part.progress(factor=min(max(filled, 0.0), 1.0), type="BAR", text="")
        bar = here
    ends = column.row()
    ends.label(text=f"{travel.shown(edit, low)} %", translate=False)
    right = ends.row()
    right.alignment = "RIGHT"
    right.label(text=f"{travel.shown(edit, high)} %", translate=False)


def segments(low: float, high: float, safe: tuple[float, float], ticks: Iterable[float]) -> list[Segment]:
    """The parts of a bar from ``low`` to ``high``; safe: the interval in which the topology stays.

    >>> [tuple(part) for part in segments(0.0, 2.0, (0.0, 1.0), [1.0, 1.001])]
    [(0.0, 1.0, True), (1.0, 2.0, False)]
    """
    middle, least = (safe[0] + safe[1]) / 2, LEAST * (high - low)
    ends = [low, high]
    # the nearest first, so that the ends of the safe interval stay
    for tick in sorted(ticks, key=lambda tick: abs(tick - middle)):
        if all(abs(tick - end) >= least for end in ends):
            ends.append(tick)
    ends.sort()
    return [Segment(start, end, start <= middle <= end) for start, end in pairwise(ends)]
