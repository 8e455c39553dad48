"""``omomi study NAME``: one of the five papers reproduced small, or all of them; what is told of them, as text and as
one page that needs no other file."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..cli.output import print_json, system_errors
from ..formats.files import write_whole
from ..report.charts import versus
from ..report.html import Markup, cell, el, page, plural, table, text
from ..report.pictures import data_uri
from .study import REPORTED, STUDIES, Find, Record, Say, Size, find_study, run_study

ALL = "all"
PAGE = "studies.html"
DEFAULT_OUT = Path("build/studies")
STYLES = {"met": "good", "missed": "bad", REPORTED: "no"}
SOURCES = {"paper": "the paper", "exact": "exact", "computed": "computed", "proposed": "proposed"}
LONGEST_NOTE = 3000  # characters
WIDTH = 58  # characters of a line of a claim in the text


def main(argv: Sequence[str] | None = None, find: Find = find_study) -> int:
    """Exit code 0 when all that was asked for ran, whether or not its claims are met, else 1."""
    parser = argparse.ArgumentParser(prog="omomi study", description="The five papers behind Omomi, reproduced small.")
    parser.add_argument("name", choices=(*STUDIES, ALL), metavar="NAME", help=f"{', '.join(STUDIES)}, or {ALL}")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, metavar="DIR", help=f"default: {DEFAULT_OUT}")
    parser.add_argument("--size", choices=[size.value for size in Size], default=Size.WHOLE.value)
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    options = parser.parse_args(argv)
    out, records = options.out, []
    with system_errors():
        for name in STUDIES if options.name == ALL else (options.name,):
            # libraries may print; stdout is for the result
            with contextlib.redirect_stdout(sys.stderr):
                record = run_study(name, Size(options.size), out, _teller(name), find)
            write_whole(out / f"{name}.json", json.dumps(record, indent=2, allow_nan=False).encode())
            records.append(record)
            if not options.json:
                print(study_text(record) + "\n", flush=True)
            elif "error" in record:
                print(f"omomi: {record['error']}", file=sys.stderr)
        shown = out / PAGE if options.name == ALL else None
        if shown is not None:
            write_whole(shown, studies_page(records, out))
    if options.json:
        print_json({"studies": records, "page": shown and str(shown)})
    else:
        print(f"{shown or out / options.name}: {summary(records)}")
    return 1 if any("error" in record for record in records) else 0


def _teller(name: str) -> Say:
    return lambda told: print(f"{name}: {told}", file=sys.stderr, flush=True)


def measured(claim: dict[str, Any]) -> str:
    """Mean and spread, in words."""
    spread = "" if claim["spread"] is None else f" ± {claim['spread']:.2g}"
    return f"{'nan' if claim['measured'] is None else format(claim['measured'], '.4g')}{spread}"


def reason(record: Record, claim: dict[str, Any]) -> str:
    """Why a claim is missed."""
    hardly = "at this size nothing is learned to the end." if record["size"] == Size.TEST.value else ""
    return claim["note"] or hardly or "no reason is known."


def summary(records: Sequence[Record]) -> str:
    """How many claims are met, in words."""
    failed = sum("error" in record for record in records)
    met, judged = (sum(record.get(name, 0) for record in records) for name in ("met", "judged"))
    said = f"{met} of {judged} claims met"
    return f"{said}, {failed} of {len(records)} studies failed" if failed else said


def study_text(record: Record) -> str:
    """The title, a row for each claim, and the notes."""
    if "error" in record:
        return f"{record['study']}: {record['error']}"
    rows = [("", "claim", "target", "measured", "verdict", "source")]
    notes = [""]
    for claim in record["claims"]:
        key, verdict = claim["key"], claim["verdict"]
        found = measured(claim) + (f" ({claim['seeds']})" if claim["seeds"] > 1 else "")
        rows.append((key, claim["what"], claim["target"], found, verdict, claim["source"]))
        if claim["note"] or verdict == "missed":
            told = f"{key}, {verdict}: {reason(record, claim)}"
            notes += textwrap.wrap(told, 2 * WIDTH, subsequent_indent="  ")
    wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
    wide[1] = min(wide[1], WIDTH)
    lines = [f"{record['study']}: {record['title']}", record["paper"], ""]
    for key, what, *rest in rows:
        first, *more = textwrap.wrap(what, WIDTH)
        cells = zip((key, first, *rest), wide, strict=True)
        lines.append("  ".join(each.ljust(width) for each, width in cells).rstrip())
        lines += [" " * (wide[0] + 2) + line for line in more]
    return "\n".join([*lines, *notes, f"{record['seconds']:.0f} s, {summary([record])}"])


def studies_page(records: Sequence[Record], root: Path) -> bytes:
    """The page, HTML in UTF-8, with all figures in it. Raises OSError where a figure in ``root`` cannot be read."""
    lead = (
        "Each system that Omomi is built from, run by itself on a small case. Every row is a claim: what is asked, "
        "what was measured, and whether it holds. What is missed is shown as missed."
    )
    links = (el("a", _title(record), href=f"#{record['study']}") for record in records)
    sections = (_section(record, root) for record in records)
    return page(
        "Omomi studies",
        el("header", el("h1", "Five papers, reproduced small"), el("p", lead, class_="lead"), el("nav", *links)),
        el("main", el("div", *map(_tile, records), class_="tiles"), *sections),
        el("footer", el("hr"), _made(records)),
    )


def _title(record: Record) -> str:
    return record.get("title", record["study"])


def _tile(record: Record) -> Markup:
    said, style = "failed", "bad"
    if "error" not in record:
        said = f"{record['met']} of {record['judged']}"
        style = "good" if record["met"] == record["judged"] else "warn"
    return el("div", el("b", said, class_=style), el("span", _title(record)), class_="tile")


def _section(record: Record, root: Path) -> Markup:
    title = el("h2", _title(record), id=record["study"])
    if "error" in record:
        return el("section", title, el("p", text(record["error"], LONGEST_NOTE), class_="bad"))
    style = "width:100%;background:#fff;border-radius:8px"
    pictures = [
        el(
            "figure",
            el("img", src=data_uri((root / one["file"]).read_bytes()), alt=one["caption"], style=style),
            el("figcaption", text(one["caption"], LONGEST_NOTE)),
        )
        for one in record["figures"]
    ]
    missed = [
        el("li", el("b", claim["key"]), ": ", text(reason(record, claim), LONGEST_NOTE))
        for claim in record["claims"]
        if claim["verdict"] == "missed"
    ]
    return el(
        "section",
        title,
        el("p", record["paper"], class_="lead"),
        table(["", "Claim", "", "Measured", "To reach", "", "From"], list(map(_row, record["claims"])), (3, 4)),
        *((el("h3", "What was missed"), el("ul", *missed)) if missed else ()),
        *pictures,
        el("p", f"Measured in {record['seconds']:.0f} s at the size “{record['size']}”.", class_="soft small"),
    )


def _row(claim: dict[str, Any]) -> list[Markup]:
    word, told = claim["verdict"], claim["note"]
    note = el("div", text(told, LONGEST_NOTE), class_="soft small") if told and word != "missed" else None
    seeds = el("div", plural(claim["seeds"], "seed"), class_="soft small") if claim["seeds"] > 1 else None
    return [
        cell(el("b", claim["key"])),
        cell(claim["what"], note, class_="w"),
        cell(_chart(claim), class_="chart"),
        cell(measured(claim), seeds, class_="n"),
        cell("" if claim["target"] == REPORTED else claim["target"], class_="n soft"),
        cell(el("span", word, class_=f"badge {STYLES[word]}")),
        cell(SOURCES[claim["source"]], class_="soft small"),
    ]


def _chart(claim: dict[str, Any]) -> Markup | None:
    """Measured against the bar, where there is one bar."""
    low, high = claim["low"], claim["high"]
    if (low is None) == (high is None) or claim["measured"] is None:
        return None
    limit = low if high is None else high
    return versus(claim["measured"], limit, high is not None, claim["verdict"] == "met", wide=160)


def _made(records: Sequence[Record]) -> Markup:
    here = records[0]["device"]
    versions = ", ".join(f"{name} {version}" for name, version in here["versions"].items())
    total = sum(record["seconds"] for record in records) / 60
    said = f"Measured in {total:.0f} minutes on {here['processor']}, {plural(here['cores'], 'core')}, {here['system']}"
    return el("div", el("p", f"{said}."), el("p", f"{versions}.", class_="small"))
