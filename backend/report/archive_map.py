"""The map of the archive: a dot for every training shape, pictures of some of them, and where scans lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from ..prior.archive import Archive
from .html import Markup, el, join
from .pictures import thumbnail_uri

COLOURS = (
    "#4c86c6", "#e0605e", "#3f9b57", "#c9a227", "#35b0c7", "#b05bb5",
    "#c77a3a", "#8b8f98", "#6d74d8", "#d84f8f", "#7fa32b", "#2fa38f",
)  # fmt: skip
"""Of the families; read on light and on dark ground."""
WIDTH, TALLEST = 1000, 820
EDGE = 40
PICTURE = 54
"""Pixels along a side of the pictures on the map."""
MOST_PICTURES = 56


@dataclass(frozen=True)
class Pin:
    """A scan on the map: its name, place f64 (2,), and the rows of its nearest training shapes."""

    name: str
    place: NDArray[np.float64]
    nearest: Sequence[int]


def colour(family: int) -> str:
    return COLOURS[family % len(COLOURS)]


def archive_map(archive: Archive, pins: Sequence[Pin]) -> Markup:
    """The map with a legend. Where the pointer rests on a family in the legend, the others fade, without a script."""
    places = archive.places.astype(np.float64)
    low, high = places.min(axis=0), places.max(axis=0)
    extent = np.maximum(high - low, 1e-6)
    scale = float(min((WIDTH - 2 * EDGE) / extent[0], (TALLEST - 2 * EDGE) / extent[1]))
    tall = float(scale * extent[1] + 2 * EDGE)
    shift = np.array([(WIDTH - scale * extent[0]) / 2, EDGE])

    def at(place: NDArray) -> NDArray[np.float64]:
        return (place - low) * scale + shift

    spots = at(places)
    layers = [_dots(archive, spots), _pictures(archive, spots)]
    taken: list[tuple[float, float]] = []
    layers += [_pin(pin, at(pin.place), spots, tall, taken) for pin in pins]
    svg = el(
        "svg",
        join(layers),
        viewBox=f"0 0 {WIDTH} {tall:.6g}",
        font_size=15,
        role="img",
        aria_label="Map of the training shapes, a dot for each, coloured by family",
    )
    present = np.unique(archive.family).tolist()
    return el("figure", el("style", Markup("".join(map(_rule, present)))), svg, _legend(archive, present), class_="map")


def _dots(archive: Archive, spots: NDArray) -> Markup:
    groups = []
    for number in np.unique(archive.family).tolist():
        dots = [el("circle", cx=round(x, 1), cy=round(y, 1), r=4) for x, y in spots[archive.family == number].tolist()]
        title = el("title", archive.families[number])
        groups.append(el("g", title, *dots, class_=f"dot f{number}", fill=colour(number), fill_opacity=0.8))
    return join(groups)


def _pictures(archive: Archive, spots: NDArray) -> Markup:
    """Pictures of shapes that do not overlap, those with most shapes around them first."""
    crowded = np.asarray(KDTree(spots).query_ball_point(spots, PICTURE, return_length=True))
    chosen: list[int] = []
    for row in np.argsort(-crowded, kind="stable").tolist():
        if len(chosen) == MOST_PICTURES:
            break
        if not chosen or np.abs(spots[chosen] - spots[row]).max(axis=1).min() >= PICTURE + 6:
            chosen.append(row)
    parts = []
    for row in chosen:
        (x, y), family = spots[row] - PICTURE / 2, int(archive.family[row])
        picture = thumbnail_uri(archive.pictures[row], 1)
        ring = el(
            "rect",
            x=round(x, 1),
            y=round(y, 1),
            width=PICTURE,
            height=PICTURE,
            rx=9,
            fill="var(--tile)",
            stroke=colour(family),
            stroke_width=2,
        )
        image = el("image", href=picture, x=round(x + 3, 1), y=round(y + 3, 1), width=PICTURE - 6, height=PICTURE - 6)
        parts.append(el("g", el("title", archive.families[family]), ring, image, class_=f"dot f{family}"))
    return join(parts)


def _pin(pin: Pin, spot: NDArray, spots: NDArray, tall: float, taken: list[tuple[float, float]]) -> Markup:
    """A ring with its name beside it, lines to the nearest shapes."""
    x, y = spot.tolist()
    lines = [
        el("line", x1=x, y1=y, x2=there[0], y2=there[1], stroke="var(--ink)", stroke_width=1.2, opacity=0.55)
        for there in spots[list(pin.nearest)].tolist()
    ]
    name = pin.name if len(pin.name) <= 28 else pin.name[:27] + "\u2026"
    wide = 9.0 * len(name) + 18
    left = x + 20 if x + 24 + wide < WIDTH else x - 20 - wide
    down = min(max(y, 18.0), tall - 18)
    # labels of scans that lie together stand below one another
    while any(abs(left - one) < 200 and abs(down - other) < 30 for one, other in taken):
        down += 30
    taken.append((left, down))
    return el(
        "g",
        *lines,
        el("circle", cx=x, cy=y, r=13, fill="none", stroke="var(--panel)", stroke_width=8),
        el("circle", cx=x, cy=y, r=13, fill="none", stroke="var(--ink)", stroke_width=4),
        el("circle", cx=x, cy=y, r=5, fill="var(--accent)"),
        el("rect", x=left, y=down - 15, width=wide, height=30, rx=8, fill="var(--ink)"),
        el("text", name, x=left + 9, y=down + 5, style="fill:var(--paper)", font_weight=600),
    )


def _legend(archive: Archive, present: Sequence[int]) -> Markup:
    entries = [
        el("span", el("i", style=f"background:{colour(number)}"), archive.families[number], class_=f"key f{number}")
        for number in present
    ]
    return el("div", *entries, class_="legend")


def _rule(family: int) -> str:
    return f".map:has(.key.f{family}:hover) .dot:not(.f{family}){{opacity:.07}}"
