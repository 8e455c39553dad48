"""The first part of the report: what the model learned from, and where a scan lies among it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..prior.archive import COMMON, Archive, Coverage, Standing
from .archive_map import Pin, archive_map, colour
from .charts import bar
from .html import Markup, cell, el, number, percent, plural, table
from .pictures import picture_uri, thumbnail_uri
from .scans import ScanLook

FAMILIAR, STRANGE = 0.8, 0.95
"""Shares of the training shapes with a nearer relative, or fuller surroundings: up to the one a scan is familiar, above
the other it is strange."""
SPARSE, THIN = 0.6, 0.5
"""A family is thin where fewer of its shapes than the one have a near relative, or where it has less than the other of
what the families have on average."""
NEIGHBOURS = 6
LONELY = 8


def archive_part(archive: Archive | None, looks: Sequence[ScanLook], model: str) -> Markup:
    """looks: the scans; model: hash of the card, to warn of an archive that was made with another one."""
    if archive is None:
        return el("p", "The archive of the training shapes is not installed with this model.", class_="no")
    families = archive.coverage()
    present = [family for family in families if family.kept]
    standings = [None if look.code is None else archive.standing(look.code, NEIGHBOURS) for look in looks]
    pins = [
        Pin(look.name, standing.place, standing.neighbours.rows[:3].tolist())
        for look, standing in zip(looks, standings, strict=True)
        if standing is not None
    ]
    other = None
    if archive.model and model and archive.model != model:
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
        archive_map(archive, pins),
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


def verdict(standing: Standing | None) -> tuple[str, str]:
    """A word on how well a scan's kind is known, and the class to show it with."""
    if standing is None:
        return "not placed", "no"
    apart = max(standing.rank, 1 - standing.crowding)
    if apart <= FAMILIAR:
        return "familiar", "good"
    return ("unusual", "warn") if apart <= STRANGE else ("strange to the model", "bad")


def gaps(families: Sequence[Coverage]) -> list[str]:
    """What is under-represented, in sentences."""
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


def _scan(archive: Archive, look: ScanLook, standing: Standing | None) -> Markup:
    word, style = verdict(standing)
    picture = el("img", src=picture_uri(look.picture), alt=f"Picture of {look.name}")
    title = el("h3", f"{look.name}  ", el("span", word, class_=f"badge {style}"))
    if standing is None:
        return el("div", title, el("div", picture, el("div", el("p", look.why_not)), class_="scan panel"))
    near = standing.neighbours.rows.tolist()
    return el(
        "div",
        title,
        el(
            "div",
            picture,
            el(
                "div",
                el("p", standing_in_words(archive, standing, look.plausibility)),
                el("h4", "Its nearest relatives"),
                el("div", *(_shape(archive, row) for row in near), class_="row"),
            ),
            class_="scan panel",
        ),
    )


def standing_in_words(archive: Archive, standing: Standing, plausibility: float | None = None) -> str:
    """What an artist should know of where a scan lies."""
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
    for number_, family in enumerate(families):
        picture = None
        if family.typical >= 0:
            picture = el("img", src=thumbnail_uri(archive.pictures[family.typical], 1), alt="", loading="lazy")
        near = family.covered
        style = "no" if near is None else "bad" if near < SPARSE else "good" if near >= COMMON else "warn"
        rows.append(
            [
                cell(picture, class_="mini"),
                cell(el("b", family.family)),
                cell(bar(family.shapes / most, colour(number_)), class_="chart"),
                cell(plural(family.shapes, "shape") if family.shapes else "none", class_="n"),
                cell("" if near is None else bar(near, f"var(--{style})"), class_="chart"),
                cell(percent(near), class_=f"n {style}"),
            ]
        )
    return table(["", "Family", "Learned from", "", "Have a near relative", ""], rows, (3, 5))


def _shape(archive: Archive, row: int) -> Markup:
    name = archive.families[int(archive.family[row])]
    image = el("img", src=thumbnail_uri(archive.pictures[row]), alt=f"A shape of the family {name}")
    return el("div", image, name, el("span", f"no. {archive.seeds[row]}"), class_="shape")


def _names(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
