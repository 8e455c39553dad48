"""``omomi merge``: what all shards of a batch have done, as one report and a sheet to look through."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..errors import ErrorCode, OmomiError
from .arguments import MakeEngine, report, write_json
from .batch_record import BatchRecord


def add(verbs: Any, parents: list[argparse.ArgumentParser]) -> None:
    merge = verbs.add_parser("merge", parents=parents[:1], help="join the reports of a batch's shards, with a sheet")
    merge.add_argument("folder", type=Path, metavar="DIR", help="the folder of the batch")
    merge.set_defaults(run=_run, misuse=merge.error)


def _run(arguments: argparse.Namespace, make_engine: MakeEngine) -> int:
    summary = write_report(arguments.folder)
    said = ", ".join(f"{summary[state]} {state}" for state in ("done", "failed", "lost"))
    report(arguments, summary, f"{arguments.folder / 'review.html'}: {said}")
    return 1 if summary["failed"] or summary["lost"] else 0


def write_report(folder: Path) -> dict[str, Any]:
    """Write batch.json and review.html; what the first holds. Raises OmomiError."""
    from ..formats.files import write_whole
    from ..report.review import review_page

    found = BatchRecord(folder).last()
    if not found:
        raise OmomiError(ErrorCode.UNREADABLE_FILE, f"{folder} holds no record of a batch.")
    rows = [found[name] for name in sorted(found)]
    counts = {state: sum(row["state"] == state for row in rows) for state in ("done", "failed", "lost")}
    summary = {**counts, "results": rows}
    write_json(folder / "batch.json", summary)
    write_whole(folder / "review.html", review_page(rows, folder))
    return summary
