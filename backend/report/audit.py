"""The report: what the model knows, how far it reaches, and how far to trust it, on one page that needs no other."""

from __future__ import annotations

from collections.abc import Sequence

from ..prior.archive import Archive
from .card import METRICS, Bar, Card, Curve
from .card_diff import against_part
from .charts import calibration, versus
from .html import Markup, badge, cell, el, figure, number, page, percent, plural, table
from .model_coverage import archive_part, verdict
from .scans import ScanLook
from .slider_limits import disentanglement_part, potential_part

HONEST = 0.05
"""A range is honest when the share that it holds differs by no more than this from what it says."""
TITLES = {"fit": "Fitting scans", "edits": "Edits", "fewshot": "Edits by example", "guard": "The topology guard",
          "prior": "Shapes as a whole"}  # fmt: skip
MADE_UP = "samples"
PRIOR = {
    "coverage": "Share of unseen shapes that are the nearest one of some made-up shape: more is better.",
    "matching distance": "From an unseen shape to the nearest made-up one, on average: less is better.",
    "nearest training shape": "How far they are from what the model learned from: copies would be at 0.",
    "left out by a code": "What the numbers of a code cannot say of a shape, voxels of the coarsest level.",
}
"""What the measures of the prior mean, by name."""


def audit_page(
    card: Card, archive: Archive | None = None, looks: Sequence[ScanLook] = (), against: Card | None = None
) -> bytes:
    """The page, HTML in UTF-8. The same contents give the same bytes.

    card: of the model; archive: what it learned from; looks: at scans; against: an older card. The page calls what is
    missing "not measured". Raises OmomiError(BAD_OPTION) for a scan whose code does not belong to the archive.
    """
    sections: list[tuple[str, str, Markup | None]] = [
        ("archive", "What the model knows", archive_part(archive, looks, card.models)),
        ("potential", "How far it can be pushed", potential_part(card, looks)),
        ("sliders", "Does a slider move one thing?", disentanglement_part(card)),
        ("sigma", "Does it know what it does not know?", calibration_part(card)),
        ("bars", "What was asked, and what was reached", el("div", bars_part(card), samples_part(card))),
        ("against", "Against an older model", None if against is None else against_part(card, against)),
        ("limits", "Known limits", el("ul", *(el("li", line) for line in card.limits)) if card.limits else None),
    ]
    shown = [(name, title, part) for name, title, part in sections if part is not None]
    scans = f" with {', '.join(look.name for look in looks)}" if looks else ""
    return page(
        "Omomi audit",
        el(
            "header",
            el("h1", "Audit of the model"),
            el("p", f"What it knows, how far it reaches, and how far to trust it{scans}.", class_="lead"),
            el("nav", *(el("a", title, href=f"#{name}") for name, title, _ in shown)),
        ),
        el(
            "main",
            _glance(card, archive, looks),
            *(el("section", el("h2", title, id=name), part) for name, title, part in shown),
        ),
        el("footer", el("hr"), _made(card)),
    )


def _glance(card: Card, archive: Archive | None, looks: Sequence[ScanLook]) -> Markup:
    """The tiles at the top."""
    tiles = []
    for look in looks:
        standing = None if archive is None or look.code is None else archive.position(look.code)
        word, style = verdict(standing)
        tiles.append(_tile(word, f"{look.name}: how well the model knows shapes like it", style))
    if archive is not None:
        families = sum(family.kept > 0 for family in archive.coverage())
        about = f"shapes it learned from, of {plural(families, 'family', 'families')}"
        tiles.append(_tile(f"{int(archive.trained.sum()):,}", about))
    if card.bars:
        passed = sum(bar.passed is True for bar in card.bars)
        style = "good" if passed == len(card.bars) else "warn"
        tiles.append(_tile(f"{passed} of {len(card.bars)}", "bars passed", style))
    if card.calibration:
        worst = max(card.calibration, key=lambda curve: abs(curve.held() - 0.9))
        about = f"is what its 90 % range holds at worst ({worst.name}): {honesty(worst)[0]}"
        tiles.append(_tile(percent(worst.held()), about, honesty(worst)[1]))
    effects = [slider.side_effect for slider in card.sliders if slider.side_effect is not None]
    if effects:
        limit = METRICS["side_effect"].bar or 0.0
        good = sum(effect <= limit for effect in effects)
        about = "sliders move one thing and little else"
        tiles.append(_tile(f"{good} of {len(effects)}", about, "good" if good == len(effects) else "warn"))
    return el("div", *tiles, class_="tiles")


def _tile(figure: str, about: str, style: str = "") -> Markup:
    return el("div", el("b", figure, class_=style or None), el("span", about), class_="tile")


def _made(card: Card) -> Markup:
    said = [f"Model {card.hash}" if card.hash else "A model without a hash"]
    if card.parameters:
        said.append(f"{card.parameters:,} weights")
    if card.seconds:
        where = f" on {card.device}" if card.device else ""
        said.append(f"last trained for {number(card.seconds / 60, 2)} minutes{where}")
    return el("div", el("p", ", ".join(said) + "."), el("p", card.history, class_="small") if card.history else None)


def calibration_part(card: Card) -> Markup:
    """The part on sigma: calibration curves by level, and of edits by example."""
    words = (
        "Omomi says how sure it is of every bit of surface (sigma). Here that is held against the truth: a range "
        "that is said to hold 90 % of the surface should hold 90 %. On the line it is honest, below it too sure of "
        "itself, above it too careful."
    )
    few_shot = [card.few_shot] if card.few_shot else []
    title = el("h3", "Edits by example")
    return el("div", el("p", words, class_="lead"), _curves(card.calibration), title, _curves(few_shot))


def honesty(curve: Curve) -> tuple[str, str]:
    """A word on a curve, and its style."""
    off = curve.held() - 0.9
    if abs(off) <= HONEST:
        return "honest", "good"
    return ("too sure", "bad") if off < 0 else ("too careful", "warn")


def _curves(curves: Sequence[Curve]) -> Markup:
    if not curves:
        return el("p", "Not measured.", class_="no")
    shown = []
    for curve in curves:
        word, style = honesty(curve)
        shown.append(
            el(
                "figure",
                el("h4", curve.name, "  ", badge(word, style)),
                calibration(curve.nominal, curve.observed, f"Calibration of {curve.name}"),
                el("figcaption", f"Its 90 % range holds {percent(curve.held())}. {_worst(curve)}"),
            )
        )
    return el("div", *shown, class_="grid")


def _worst(curve: Curve) -> str:
    said, held = max(zip(curve.nominal, curve.observed, strict=True), key=lambda pair: abs(pair[1] - pair[0]))
    if abs(held - said) <= HONEST:
        return "It is nowhere far off."
    return f"At worst it says {percent(said)} and holds {percent(held)}."


def bars_part(card: Card) -> Markup:
    """The part on bars: those that were missed, then all of them by benchmark."""
    if not card.bars:
        return el("p", "No benchmark has been run on this model.", class_="no")
    missed = [bar for bar in card.bars if bar.passed is False]
    passed = sum(bar.passed is True for bar in card.bars)
    rest = f"{len(missed)} missed, named first." if missed else "None was missed."
    parts = [el("p", f"{passed} of {plural(len(card.bars), 'bar')} passed. {rest}", class_="lead")]
    if missed:
        parts += [el("h3", "Missed"), _bars(missed, True)]
    for bench in dict.fromkeys(bar.bench for bar in card.bars):
        own = [bar for bar in card.bars if bar.bench == bench]
        good = sum(bar.passed is True for bar in own)
        title = f"{TITLES.get(bench, bench)}: {good} of {len(own)} passed"
        parts.append(el("details", el("summary", title), _bars(own, False)))
    return el("div", *parts)


def _bars(bars: Sequence[Bar], named: bool) -> Markup:
    rows = []
    for bar in bars:
        word, style = {True: ("passed", "good"), False: ("missed", "bad"), None: ("not measured", "no")}[bar.passed]
        sign = {True: "at most ", False: "at least ", None: ""}[bar.at_most]
        name = f"{TITLES.get(bar.bench, bar.bench)}: {bar.name}" if named else bar.name
        chart = cell(versus(bar.measured, bar.limit, bar.at_most, bar.passed), class_="chart")
        limit = cell(f"{sign}{number(bar.limit)}", class_="n soft")
        rows.append([cell(name), chart, figure(bar.measured), limit, cell(badge(word, style))])
    return table(["Measure", "Figure against the bar", "Figure", "Bar", ""], rows, (2, 3))


def samples_part(card: Card) -> Markup | None:
    """The part on the prior over whole shapes, a row for the figures of one name; None where nothing was measured."""
    if not card.prior:
        return None
    figures: dict[str, dict[str, float]] = {}
    for name, value in card.prior:
        what, _, whose = name.replace("_", " ").rpartition(", ")
        figures.setdefault(what or whose, {})[whose if what else ""] = value
    rows = []
    for name, values in figures.items():
        made = values.pop(MADE_UP, values.pop("", None))
        beside = ", ".join(f"{number(value)} ({whose})" for whose, value in values.items())
        what = el("div", PRIOR[name], class_="soft small") if name in PRIOR else None
        rows.append([cell(el("b", name), what), figure(made), cell(beside, class_="n soft")])
    words = "Shapes that the model makes up from nothing, held against shapes that it has never seen."
    found = table(["Measure", "Made up", "To compare with"], rows, (1, 2))
    return el("div", el("h3", "Shapes as a whole"), el("p", words), found)
