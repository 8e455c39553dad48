"""``omomi study NAME``: one of the five papers reproduced small, or all of them: tables, figures, JSON and a page."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

from ..cli.output import disk_errors, print_json
from ..formats.files import write_whole
from .claims import Claim, Say, Size
from .outcome import STUDIES, Find, Outcome, as_plain, find_study, measured, run_study, verdict
from .page import studies_page

ALL = "all"
PAGE = "studies.html"
DEFAULT_OUT = Path("build/studies")
WIDTH = 58
"""Characters of a line of a claim in the table."""


def main(argv: Sequence[str] | None = None, find: Find = find_study) -> int:
    """Exit code 0 when all that was asked for ran, whether or not its claims are met, else 1."""
    parser = argparse.ArgumentParser(prog="omomi study", description="The five papers behind Omomi, reproduced small.")
    parser.add_argument("name", choices=(*STUDIES, ALL), metavar="NAME", help=f"{', '.join(STUDIES)}, or {ALL}")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, metavar="DIR", help=f"default: {DEFAULT_OUT}")
    parser.add_argument("--size", choices=[size.value for size in Size], default=Size.WHOLE.value)
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    options = parser.parse_args(argv)
    out, size = options.out, Size(options.size)
    outcomes = []
    with disk_errors():
        for name in STUDIES if options.name == ALL else (options.name,):
            # libraries may print; stdout is for the result
            with contextlib.redirect_stdout(sys.stderr):
                outcome = run_study(name, size, out / name, _teller(name), find)
            plain = as_plain(outcome, out)
            write_whole(out / f"{name}.json", json.dumps(plain, indent=2, allow_nan=False).encode())
            outcomes.append(outcome)
            if not options.json:
                print("\n".join(table(outcome)) + "\n", flush=True)
            elif outcome.failure:
                print(f"omomi: {outcome.failure}", file=sys.stderr)
        page = out / PAGE if options.name == ALL else None
        if page is not None:
            write_whole(page, studies_page(outcomes))
    if options.json:
        print_json({"studies": [as_plain(outcome, out) for outcome in outcomes], "page": page and str(page)})
    else:
        print(f"{page or out / options.name}: {_summary(outcomes)}")
    return 1 if any(outcome.failure for outcome in outcomes) else 0


def table(outcome: Outcome) -> list[str]:
    """Lines of text: the title, a row for each claim, and the notes."""
    found = outcome.findings
    if found is None:
        return [f"{outcome.name}: {outcome.failure}"]
    rows = [("", "claim", "target", "measured", "verdict", "source"), *map(_row, found.claims)]
    wide = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    wide[1] = min(wide[1], WIDTH)
    lines = [f"{outcome.name}: {found.title}", found.paper, ""]
    for row in rows:
        first, *more = textwrap.wrap(row[1], WIDTH) or [""]
        cells = (row[0], first, *row[2:])
        lines.append("  ".join(text.ljust(width) for text, width in zip(cells, wide, strict=True)).rstrip())
        lines += [" " * (wide[0] + 2) + line for line in more]
    return [*lines, *_notes(outcome, found.claims), f"{outcome.seconds:.0f} s, {_summary([outcome])}"]


def _row(claim: Claim) -> tuple[str, ...]:
    seeds = f" ({claim.seeds})" if claim.seeds > 1 else ""
    return claim.key, claim.what, claim.target, measured(claim) + seeds, verdict(claim), claim.source.value


def _notes(outcome: Outcome, claims: Sequence[Claim]) -> list[str]:
    """What is said of single claims; a claim that is missed always has a line."""
    lines = [""]
    for claim in claims:
        word = verdict(claim)
        if claim.note or word == "missed":
            told = f"{claim.key}, {word}: {outcome.reason(claim)}"
            lines += textwrap.wrap(told, 2 * WIDTH, subsequent_indent="  ")
    return lines


def _summary(outcomes: Sequence[Outcome]) -> str:
    failed = sum(bool(outcome.failure) for outcome in outcomes)
    judged = sum(len(outcome.judged) for outcome in outcomes)
    said = f"{sum(outcome.met for outcome in outcomes)} of {judged} claims met"
    return f"{said}, {failed} of {len(outcomes)} studies failed" if failed else said


def _teller(name: str) -> Say:
    return lambda text: print(f"{name}: {text}", file=sys.stderr, flush=True)
