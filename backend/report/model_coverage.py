"""The part of the report on knowledge: what the model learned from, and where a scan lies among it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from ..geometry.svg import short
from ..prior.archive import COVERED_SHARE, Archive, ArchivePosition, Coverage
from .charts import bar
from .html import Markup, badge, cell, el, join, number, percent, plural, table
from .pictures import data_uri, png, thumbnail_uri
from .scans import ScanLook

FAMILIAR, STRANGE = 0.8, 0.95
"""Shares of the training shapes that have a nearer relative or fuller surroundings than a scan. Up to the first the
scan is familiar, above the second it is strange."""
SPARSE, THIN = 0.6, 0.5
"""A family is thin where a smaller share of its shapes than the first has a near relative, or where it has less than
the second of the mean number of shapes of a family."""
NEIGHBOURS = 6
LONELY = 8
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


def archive_part(archive: Archive | None, looks: Sequence[ScanLook], models: Collection[str]) -> Markup:
    """The part; looks: at scans; models: hashes of the card and its predecessors, of which the archive should be."""
    if archive is None:
        return el("p", "The archive of the training shapes is not installed with this model.", class_="no")
    families = archive.coverage()
    present = [family for family in families if family.kept]
    standings = [None if look.code is None else archive.position(look.code, NEIGHBOURS) for look in looks]
    placed = [(look.name, standing) for look, standing in zip(looks, standings, strict=True) if standing is not None]
    other = None
    if archive.model and models and archive.model not in models:
        other = el("p", "This archive was made with another model than the card. Read it with care.", class_="warn")
    return el(
        "div",
        el(
            "p",
            f"The model has learned from {plural(int(archive.trained.sum()), 'shape')} in "
            f"{plural(len(present), 'family', 'families')}. It fills what a scan does not show with what it knows from "
            "them. Where a scan has no near relatives here, what is filled in is a guess.",
            class_="lead",
        ),
        el(
            "p",
            "\u201cAlike\u201d and \u201crelative\u201d mean: of a similar coarse form, standing the same way.",
            class_="soft small",
        ),
        other,
        *(_scan(archive, look, standing) for look, standing in zip(looks, standings, strict=True)),
        el("h3", "The map"),
        archive_map(archive, placed),
        el(
            "p",
            "Every dot is a shape it learned from. Dots close together are alike; far apart, the distance says little: "
            f"of the ten shapes most like a shape, the map keeps {10 * archive.kept_by_map():.0f} beside it. "
            "Rest the pointer on a family to see it alone.",
            class_="soft small",
        ),
        el("h3", "Families"),
        _families(archive, families),
        el("h3", "What is missing"),
        el("ul", *(el("li", line) for line in gaps(families))),
        el("h3", "Seen only once"),
        el("p", "These training shapes have no near relative. What is like them rests on a single example."),
        el("div", *(_shape(archive, row) for row in archive.loneliest(LONELY).tolist()), class_="row"),
    )


def verdict(standing: ArchivePosition | None) -> tuple[str, str]:
    """A word on how well the model knows shapes like a scan, and its style."""
    if standing is None:
        return "not placed", "no"
    apart = max(standing.rank, 1 - standing.crowding)
    if apart <= FAMILIAR:
        return "familiar", "good"
    return ("unusual", "warn") if apart <= STRANGE else ("strange to the model", "bad")


def gaps(families: Sequence[Coverage]) -> list[str]:
    """What the training shapes lack, in sentences."""
    present = [family for family in families if family.kept]
    absent = [family.family for family in families if not family.shapes]
    usual = np.mean([family.shapes for family in present]) if present else 0.0
    few = [family.family for family in present if family.shapes < THIN * usual]
    scattered = [family for family in present if family.covered is not None and family.covered < SPARSE]
    found = []
    if absent:
        found.append(f"There is not one example of: {_names(absent)}. Such scans are filled in from other families.")
    if few:
        found.append(f"There are few examples of: {_names(few)}.")
    for family in sorted(scattered, key=lambda one: one.covered or 0.0):
        found.append(
            f"{family.family.capitalize()}: the shapes differ so much that only {percent(family.covered)} of them have "
            "a near relative. More examples would help most here."
        )
    return found or ["Nothing stands out: all families have examples, and most of them near relatives."]


def _scan(archive: Archive, look: ScanLook, standing: ArchivePosition | None) -> Markup:
    word, style = verdict(standing)
    picture = el("img", src=data_uri(png(look.picture)), alt=f"Picture of {look.name}")
    title = el("h3", f"{look.name}  ", badge(word, style))
    if standing is None:
        return el("div", title, el("div", picture, el("div", el("p", look.why_not)), class_="scan panel"))
    near = (_shape(archive, row) for row in standing.neighbours.rows.tolist())
    told = el("p", standing_in_words(archive, standing, look.plausibility))
    beside = el("div", told, el("h4", "Its nearest relatives"), el("div", *near, class_="row"))
    return el("div", title, el("div", picture, beside, class_="scan panel"))


def standing_in_words(archive: Archive, standing: ArchivePosition, plausibility: float | None = None) -> str:
    """Where a scan lies among the training shapes, for an artist."""
    word, _ = verdict(standing)
    rows = standing.neighbours.rows[:NEIGHBOURS]
    counts = np.bincount(archive.family[rows], minlength=len(archive.families))
    kind = archive.families[int(counts.argmax())]
    if counts.max() > len(rows) / 2:
        share = f"{counts.max()} of its {len(rows)} nearest relatives are of the family \u201c{kind}\u201d. "
    else:
        share = f"Its {len(rows)} nearest relatives are of {int((counts > 0).sum())} families: it is not of one kind. "
    far = f"The nearest one is {number(standing.distance, 2)} times as far from it as relatives usually are. "
    crowd = f"Its surroundings are fuller than those of {percent(standing.crowding)} of the training shapes. "
    usual = ""
    if plausibility is not None:
        usual = f"{percent(plausibility)} of real shapes are no more plausible than it is. "
    close = {
        "familiar": "It lies among what the model knows: what is filled in follows shapes like it.",
        "unusual": "The model knows few shapes like it: look at what is filled in before you trust it.",
    }
    last = close.get(word, "The model knows no shape like it: what is filled in is a guess.")
    return share + far + crowd + usual + last


def _families(archive: Archive, families: Sequence[Coverage]) -> Markup:
    most = max(family.shapes for family in families) or 1
    rows = []
    for row, family in enumerate(families):
        picture = None
        if family.typical >= 0:
            picture = el("img", src=thumbnail_uri(archive.pictures[family.typical], 1), alt="", loading="lazy")
        near = family.covered
        style = "no" if near is None else "bad" if near < SPARSE else "good" if near >= COVERED_SHARE else "warn"
        known = cell(plural(family.shapes, "shape") if family.shapes else "none", class_="n")
        learned = cell(bar(family.shapes / most, colour(row)), class_="chart")
        covered = cell("" if near is None else bar(near, f"var(--{style})"), class_="chart")
        share = cell(percent(near), class_=f"n {style}")
        rows.append([cell(picture, class_="mini"), cell(el("b", family.family)), learned, known, covered, share])
    return table(["", "Family", "Learned from", "", "Have a near relative", ""], rows, (3, 5))


def _shape(archive: Archive, row: int) -> Markup:
    name = archive.families[int(archive.family[row])]
    image = el("img", src=thumbnail_uri(archive.pictures[row]), alt=f"A shape of the family {name}")
    return el("div", image, name, el("span", f"no. {archive.seeds[row]}"), class_="shape")


def _names(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def colour(family: int) -> str:
    return COLOURS[family % len(COLOURS)]


def archive_map(archive: Archive, scans: Sequence[tuple[str, ArchivePosition]]) -> Markup:
    """The map with these scans and a legend. Where the pointer rests on a family in it, the others fade, by CSS."""
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
    for name, standing in scans:
        nearest = spots[standing.neighbours.rows[:3]]
        layers.append(_pin(name, at(standing.place), nearest, tall, taken))
    svg = el(
        "svg",
        join(layers),
        viewBox=f"0 0 {WIDTH} {tall:.6g}",
        font_size=15,
        role="img",
        aria_label="Map of the training shapes, a dot for each, coloured by family",
    )
    present = np.unique(archive.family).tolist()
    rules = (f".map:has(.key.f{family}:hover) .dot:not(.f{family}){{opacity:.07}}" for family in present)
    keys = (
        el("span", el("i", style=f"background:{colour(family)}"), archive.families[family], class_=f"key f{family}")
        for family in present
    )
    return el("figure", el("style", Markup("".join(rules))), svg, el("div", *keys, class_="legend"), class_="map")


def _dots(archive: Archive, spots: NDArray) -> Markup:
    groups = []
    for family in np.unique(archive.family).tolist():
        dots = [el("circle", cx=round(x, 1), cy=round(y, 1), r=4) for x, y in spots[archive.family == family].tolist()]
        title = el("title", archive.families[family])
        groups.append(el("g", title, *dots, class_=f"dot f{family}", fill=colour(family), fill_opacity=0.8))
    return join(groups)


def _pictures(archive: Archive, spots: NDArray) -> Markup:
    """Pictures of shapes that do not overlap, first where the map is most crowded."""
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
        look = {"rx": 9, "fill": "var(--tile)", "stroke": colour(family), "stroke_width": 2}
        ring = el("rect", x=round(x, 1), y=round(y, 1), width=PICTURE, height=PICTURE, **look)
        image = el("image", href=picture, x=round(x + 3, 1), y=round(y + 3, 1), width=PICTURE - 6, height=PICTURE - 6)
        parts.append(el("g", el("title", archive.families[family]), ring, image, class_=f"dot f{family}"))
    return join(parts)


def _pin(name: str, spot: NDArray, nearest: NDArray, tall: float, taken: list[tuple[float, float]]) -> Markup:
    """A ring with its name beside it, lines to the nearest shapes."""
    x, y = spot.tolist()
    lines = [
        el("line", x1=x, y1=y, x2=there[0], y2=there[1], stroke="var(--ink)", stroke_width=1.2, opacity=0.55)
        for there in nearest.tolist()
    ]
    name = short(name, 28)
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
