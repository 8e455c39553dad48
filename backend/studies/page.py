"""All studies on one page that needs no other file."""

from __future__ import annotations

from collections.abc import Sequence

from ..report.charts import versus
from ..report.html import Markup, cell, el, page, plural, table, text
from ..report.pictures import data_uri
from .claims import Claim, Source
from .outcome import Outcome, device, has_target, measured, verdict

STYLES = {"met": "good", "missed": "bad", "reported": "no"}
SOURCES = {
    Source.PAPER: "the paper",
    Source.EXACT: "exact",
    Source.COMPUTED: "computed",
    Source.PROPOSED: "proposed",
}
LONGEST_NOTE = 3000
"""Characters."""


def studies_page(outcomes: Sequence[Outcome]) -> bytes:
    """The page, HTML in UTF-8, with all figures in it. Raises OSError where a figure cannot be read."""
    return page(
        "Omomi studies",
        el(
            "header",
            el("h1", "Five papers, reproduced small"),
            el(
                "p",
                "Each system that Omomi is built from, run by itself on a small case. Every row is a claim: what is "
                "asked, what was measured, and whether it holds. What is missed is shown as missed.",
                class_="lead",
            ),
            el("nav", *(el("a", _title(outcome), href=f"#{outcome.name}") for outcome in outcomes)),
        ),
        el("main", el("div", *map(_tile, outcomes), class_="tiles"), *map(_section, outcomes)),
        el("footer", el("hr"), _made(outcomes)),
    )


def _title(outcome: Outcome) -> str:
    return outcome.name if outcome.findings is None else outcome.findings.title


def _tile(outcome: Outcome) -> Markup:
    if outcome.findings is None:
        return el("div", el("b", "failed", class_="bad"), el("span", _title(outcome)), class_="tile")
    judged = len(outcome.judged)
    style = "good" if outcome.met == judged else "warn"
    return el("div", el("b", f"{outcome.met} of {judged}", class_=style), el("span", _title(outcome)), class_="tile")


def _section(outcome: Outcome) -> Markup:
    title = el("h2", _title(outcome), id=outcome.name)
    found = outcome.findings
    if found is None:
        return el("section", title, el("p", text(outcome.failure, LONGEST_NOTE), class_="bad"))
    pictures = [
        el(
            "figure",
            el(
                "img",
                src=data_uri(path.read_bytes()),
                alt=caption,
                style="width:100%;background:#fff;border-radius:8px",
            ),
            el("figcaption", text(caption, LONGEST_NOTE)),
        )
        for path, caption in found.figures
    ]
    missed = [claim for claim in found.claims if verdict(claim) == "missed"]
    return el(
        "section",
        title,
        el("p", found.paper, class_="lead"),
        table(["", "Claim", "", "Measured", "To reach", "", "From"], list(map(_row, found.claims)), (3, 4)),
        el("h3", "What was missed") if missed else None,
        el("ul", *(el("li", el("b", claim.key), ": ", text(outcome.reason(claim), LONGEST_NOTE)) for claim in missed))
        if missed
        else None,
        *pictures,
        el("p", f"Measured in {outcome.seconds:.0f} s at the size “{outcome.size.value}”.", class_="soft small"),
    )


def _row(claim: Claim) -> list[Markup]:
    word = verdict(claim)
    note = el("div", text(claim.note, LONGEST_NOTE), class_="soft small") if claim.note and word != "missed" else None
    seeds = el("div", plural(claim.seeds, "seed"), class_="soft small") if claim.seeds > 1 else None
    return [
        cell(el("b", claim.key)),
        cell(claim.what, note, class_="w"),
        cell(_chart(claim), class_="chart"),
        cell(measured(claim), seeds, class_="n"),
        cell(claim.target if has_target(claim) else "", class_="n soft"),
        cell(el("span", word, class_=f"badge {STYLES[word]}")),
        cell(SOURCES[claim.source], class_="soft small"),
    ]


def _chart(claim: Claim) -> Markup | None:
    """Measured against the bar, where there is one bar."""
    low, high = claim.low > float("-inf"), claim.high < float("inf")
    if low == high or claim.measured != claim.measured:
        return None
    return versus(claim.measured, claim.high if high else claim.low, high, claim.met, wide=160)


def _made(outcomes: Sequence[Outcome]) -> Markup:
    here = device()
    versions = ", ".join(f"{name} {version}" for name, version in here["versions"].items())
    total = sum(outcome.seconds for outcome in outcomes) / 60
    said = f"Measured in {total:.0f} minutes on {here['processor']}, {plural(here['cores'], 'core')}, {here['system']}"
    return el("div", el("p", f"{said}."), el("p", f"{versions}.", class_="small"))
