"""``omomi score``: how plausible scans are, once fitted."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .arguments import MakeEngine, add_fit, first_error, fit_options, one_of_many, progress, report
from .paths import scans_of

if TYPE_CHECKING:
    from ..engine import Engine

COLUMNS = ("scan", "plausibility", "most like", "distance", "typical", "outside")


def add(verbs: Any, parents: list[argparse.ArgumentParser]) -> None:
    score = verbs.add_parser("score", parents=parents, help="how plausible scans are, and what they are most like")
    score.add_argument("scans", nargs="+", type=Path, metavar="SCAN")
    score.add_argument("--profile", type=Path, metavar="FILE", help="of a family: how typical they are of it, too")
    add_fit(score)
    score.set_defaults(run=_run, misuse=score.error)


def _run(arguments: argparse.Namespace, make_engine: MakeEngine) -> int:
    from ..prior.shape_prior import shipped_prior

    # missing, it is told before anything is fitted
    shipped_prior()
    engine = make_engine(arguments.device, arguments.threads)
    rows: list[dict[str, Any]] = []
    scans = scans_of(arguments.scans)
    for path in scans:
        with one_of_many(rows, str(path), {"scan": str(path)}, lambda error: len(scans) == 1):
            rows.append({"scan": str(path), **_scored(path, engine, arguments)})
    failed = first_error(rows)
    summary = {"model": engine.info().model_hash, "results": rows, **failed}
    report(arguments, summary, *_table([row for row in rows if "error" not in row]))
    return 1 if failed else 0


def _scored(path: Path, engine: Engine, arguments: argparse.Namespace) -> dict[str, Any]:
    from ..edits.family import family_check
    from ..edits.plausibility import plausibility_at
    from ..edits.stack import EditSession
    from ..engine import fit_scan
    from ..formats.mesh_files import load_scan

    with progress(path.name) as line:
        session = EditSession(fit_scan(engine, load_scan(path), fit_options(arguments), line.show))
        found = plausibility_at(session, [], engine.model)
        assert found is not None, "a fit is closed, and the prior is there"
        row: dict[str, Any] = {"plausibility": found["value"], "nearest": found["nearest"]}
        if arguments.profile is not None:
            row["family"], _ = family_check(arguments.profile, session, [])
    return row


def _table(rows: list[dict[str, Any]]) -> list[str]:
    """Lines of columns, the scans to the left and numbers to the right."""
    cells = [COLUMNS, *(_cells(row) for row in rows)]
    shown = [column for column in zip(*cells, strict=True) if any(column[1:])]
    widths = [max(map(len, column)) for column in shown]
    return [
        "  ".join(
            cell.rjust(width) if number else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in zip(*shown, strict=True)
    ]


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    first = next(iter(row["nearest"]), None)
    like = ("", "") if first is None else (first["family"], f"{first['distance']:.2f}")
    family = row.get("family")
    member = ("", "") if family is None else (f"{family['typical']:.2f}", f"{family['outside']:.1%}")
    return (row["scan"], f"{row['plausibility']:.2f}", *like, *member)
