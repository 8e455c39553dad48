"""``omomi score``: how plausible scans are, once fitted."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import OmomiError
from .arguments import MakeEngine, add_level, opened, progress, report

if TYPE_CHECKING:
    from ..edits.fitted_scan import FittedScan
    from ..engine import Engine
    from ..prior.shape_prior import ShapePrior

COLUMNS = ("scan", "plausibility", "most like", "distance", "typical", "outside")


def add(verbs: Any, parents: list[argparse.ArgumentParser]) -> None:
    score = verbs.add_parser("score", parents=parents, help="how plausible scans are, and what they are most like")
    score.add_argument("scans", nargs="+", type=Path, metavar="SCAN")
    score.add_argument("--profile", type=Path, metavar="FILE", help="of a family: how typical they are of it, too")
    add_level(score)
    score.set_defaults(run=_run, misuse=score.error)


def _run(arguments: argparse.Namespace, make_engine: MakeEngine) -> int:
    from dataclasses import replace

    from ..prior.shape_prior import shipped_prior
    from ..protocol.fit_options import FitOptions

    prior = shipped_prior()
    engine = make_engine(arguments.device, arguments.threads)
    options = FitOptions() if arguments.level is None else replace(FitOptions(), level=arguments.level)
    rows: list[dict[str, Any]] = []
    errors: list[OmomiError] = []
    for path in arguments.scans:
        try:
            with progress(path.name) as line:
                rows.append(
                    {
                        "scan": str(path),
                        **_scored(opened(path, engine, options, line), engine, prior, arguments.profile),
                    }
                )
        except OmomiError as error:
            if len(arguments.scans) == 1:
                raise
            print(f"{path}: {error.message}", file=sys.stderr)
            rows.append({"scan": str(path), "error": {"code": error.code.value, "message": error.message}})
            errors.append(error)
    summary: dict[str, Any] = {"model": engine.info().model_hash, "results": rows}
    if errors:
        summary["error"] = {"code": errors[0].code.value, "message": errors[0].message}
    report(arguments, summary, *_table([row for row in rows if "error" not in row]))
    return 1 if errors else 0


def _scored(subject: FittedScan, engine: Engine, prior: ShapePrior, profile: Path | None) -> dict[str, Any]:
    from ..edits.family_check import family_check
    from ..edits.plausibility import plausibility_of
    from ..edits.stack import EditSession
    from ..protocol.requests import EditTarget

    verdict = plausibility_of(subject.shell(EditTarget.FIT), None, prior, engine.model)
    assert verdict is not None, "a fit is closed"
    found = verdict.to_json()
    row: dict[str, Any] = {"plausibility": found["value"], "nearest": found["nearest"]}
    if profile is not None:
        row["family"], _ = family_check(profile, EditSession(subject, (0.0, 0.0, 0.0)), [])
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
