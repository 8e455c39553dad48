"""The report: what the model knows, how far it reaches, and how far to trust it, on one page that needs no other."""

from __future__ import annotations

from collections.abc import Sequence

from ..prior.archive import Archive
from .calibration import bars_part, calibration_part, honesty, samples_part
from .card import METRICS, Card
from .card_diff import against_part
from .html import Markup, el, number, page, percent, plural
from .model_coverage import archive_part, verdict
from .scans import ScanLook
from .slider_limits import disentanglement_part, potential_part


def audit_page(
    card: Card, archive: Archive | None = None, looks: Sequence[ScanLook] = (), against: Card | None = None
) -> bytes:
    """The page, HTML in UTF-8: the same contents give the same bytes.

    card: of the model; archive: what it learned from; looks: at scans; against: an older card. What is missing is shown
    as not measured. Raises OmomiError(BAD_OPTION) for a scan whose code is not one of the archive.
    """
    sections: list[tuple[str, str, Markup | None]] = [
        ("archive", "What the model knows", archive_part(archive, looks, card.hash)),
        ("potential", "How far it can be pushed", potential_part(card, looks)),
        ("sliders", "Does a slider move one thing?", disentanglement_part(card)),
        ("sigma", "Does it know what it does not know?", calibration_part(card)),
        ("bars", "What was asked, and what was reached", el("div", bars_part(card), samples_part(card))),
        ("against", "Against an older model", None if against is None else against_part(card, against)),
        ("limits", "Known limits", _limits(card)),
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
        standing = None if archive is None or look.code is None else archive.standing(look.code)
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


def _limits(card: Card) -> Markup | None:
    return el("ul", *(el("li", line) for line in card.limits)) if card.limits else None


def _made(card: Card) -> Markup:
    said = [f"Model {card.hash}" if card.hash else "A model without a hash"]
    if card.parameters:
        said.append(f"{card.parameters:,} weights")
    if card.seconds:
        where = f" on {card.device}" if card.device else ""
        said.append(f"last trained for {number(card.seconds / 60, 2)} minutes{where}")
    return el("div", el("p", ", ".join(said) + "."), el("p", card.history, class_="small") if card.history else None)
