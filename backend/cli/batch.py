"""``omomi batch``: a recipe on many scans, to be taken up again where it was left."""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..errors import ErrorCode, OmomiError, refuse
from ..protocol.recipe import Point
from ..protocol.requests import EditTarget
from .arguments import (
    MakeEngine,
    add_faces,
    folder,
    integer,
    progress,
    recipe_layers,
    report,
    told,
    with_places,
    write_json,
)
from .batch_record import BatchRecord, KeptRecipe, Row, digest, keep_recipe, needed, run_key
from .edit import edit_scan
from .merge import write_report
from .output import system_errors
from .paths import scans_of, spare_folders, spare_inputs
from .workers import results

if TYPE_CHECKING:
    from ..engine import Engine

TRIAL = "trial.json"
_STATES = ("done", "skipped", "failed")


@dataclass(frozen=True)
class _Task:
    """One scan of a batch."""

    scan: Path
    output: Path
    recipe: KeptRecipe
    made_from: dict[str, Any]  # but the scan
    run: str
    remesh: bool
    faces: int | None
    places: dict[str, Point]  # world units, of edits by their name
    device: str
    threads: int


def add(verbs: Any, parents: list[argparse.ArgumentParser]) -> None:
    batch = verbs.add_parser("batch", parents=parents, help="a recipe on many scans; goes on where it was stopped")
    batch.add_argument("recipe", nargs="?", type=Path, metavar="RECIPE")
    batch.add_argument("scans", nargs="*", type=Path, metavar="SCAN")
    batch.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="for meshes and records")
    batch.add_argument("--remesh", action="store_true", help="write new meshes, of what the moved ones enclose")
    add_faces(batch)
    batch.add_argument(
        "--places", type=Path, metavar="PLACES.json",
        help='where edits belong on scans that are not to be searched: {"SCAN": {"EDIT": [X, Y, Z]}}',
    )  # fmt: skip
    batch.add_argument("--workers", type=integer(1, 256), default=1, metavar="N", help="processes")
    shard = "every N-th scan by name, from the I-th or the I-th to J-th on; omomi merge joins what the shards report"
    batch.add_argument("--shard", type=_shard, metavar="I[-J]/N", help=shard)
    trial = batch.add_mutually_exclusive_group()
    trial.add_argument("--trial", type=integer(1, 1 << 30), metavar="N", help="N of the scans first, to look at")
    trial.add_argument("--accept", action="store_true", help="the trial is good: go on with the others")
    trial.add_argument("--restore", action="store_true", help="put back the results that the last run has replaced")
    batch.set_defaults(run=_run, misuse=batch.error)


def _shard(text: str) -> tuple[int, int, int]:
    """I/N or I-J/N, counted from 1."""
    numbers, _, count = text.partition("/")
    first, _, last = numbers.partition("-")
    shard = int(first), int(last or first), int(count)
    if not 1 <= shard[0] <= shard[1] <= shard[2]:
        raise argparse.ArgumentTypeError(f"{text} names no shards, such as 2/8 or 3-5/8")
    return shard


def _run(arguments: argparse.Namespace, make_engine: MakeEngine) -> int:
    if arguments.restore:
        names = BatchRecord(arguments.output).restore()
        (arguments.output / TRIAL).unlink(missing_ok=True)
        return report(arguments, {"restored": names}, f"{arguments.output}: {len(names)} results put back")
    if arguments.recipe is None or not arguments.scans:
        arguments.misuse("give a RECIPE and at least one SCAN")
    scans = sorted(scans_of(arguments.scans), key=lambda scan: scan.stem)
    names = [scan.stem for scan in scans]
    if len(set(names)) < len(names):
        arguments.misuse("two scans have the same name, and results are named after their scans")
    places: dict[str, dict[str, Point]] = {} if arguments.places is None else read_places(arguments.places)
    if unknown := sorted(set(places) - set(names)):
        arguments.misuse(f"{arguments.places} places edits on {unknown[0]:.80}, which is none of the scans")
    written = [arguments.output / f"{name}.ply" for name in names]
    written += [arguments.output / name for name in ("batch.json", "review.html", "record.jsonl", TRIAL)]
    spare_inputs(written, [*scans, arguments.recipe, arguments.places])
    spare_folders(arguments.output, scans)
    recipe = keep_recipe(arguments.recipe, folder(arguments.output))
    common = {"recipe": recipe.digest, "model": recipe.model, "omomi": __version__, "remesh": arguments.remesh}
    common |= {} if arguments.faces is None else {"faces": arguments.faces}
    run = run_key(common)
    trial = _trial(arguments, run)
    if arguments.shard is not None:
        first, last, count = arguments.shard
        scans = [scan for number, scan in enumerate(scans) if first - 1 <= number % count < last]
    if trial:
        scans = sorted(scans, key=lambda scan: hashlib.sha256(scan.stem.encode()).digest())[:trial]
    # Two processes that each take every core are slower than one.
    threads = arguments.threads or (max(1, (os.cpu_count() or 1) // arguments.workers) if arguments.workers > 1 else 0)
    tasks = []
    for scan in scans:
        own = places.get(scan.stem, {})
        made_from = common | ({"places": {name: list(place) for name, place in own.items()}} if own else {})
        output = arguments.output / f"{scan.stem}.ply"
        mesh = arguments.remesh, arguments.faces
        tasks.append(_Task(scan, output, recipe, made_from, run, *mesh, own, arguments.device, threads))
    shard = "" if arguments.shard is None else "{}-{}-of-{}".format(*arguments.shard)
    rows = _rows(tasks, BatchRecord(arguments.output, shard), arguments.workers, make_engine)
    found: dict[Path, Row] = {}
    for task, row in rows:
        found[task.scan] = row
        reason = f" ({row['error']['message']})" if "error" in row else ""
        print(f"{task.scan}: {row['state']}{reason}", file=sys.stderr)
    ordered = [found[scan] for scan in scans]
    counts = {state: sum(row["state"] == state for row in ordered) for state in _STATES}
    summary: dict[str, Any] = {"recipe": str(arguments.recipe), **counts, "results": ordered}
    said = [f"{arguments.output}: {', '.join(f'{count} {state}' for state, count in counts.items())}"]
    if arguments.shard is None:
        write_json(arguments.output / "batch.json", summary)
    if trial:
        write_report(arguments.output)
        said.append(f"Look at {arguments.output / 'review.html'}, then run the batch again with --accept.")
    report(arguments, summary, *said)
    return 1 if counts["failed"] else 0


def _trial(arguments: argparse.Namespace, run: str) -> int:
    """How many scans to try, 0 for all of them. Raises OmomiError(BAD_OPTION) while a trial waits to be accepted."""
    path = arguments.output / TRIAL
    if arguments.trial:
        write_json(path, {"run": run})
        return arguments.trial
    if arguments.accept:
        if not path.exists():
            refuse(f"there is no trial in {arguments.output} to accept")
        path.unlink()
    elif path.exists():
        refuse(f"the trial in {arguments.output} is not accepted yet: look at its review.html, then give --accept")
    return 0


def read_places(path: Path) -> dict[str, dict[str, Point]]:
    """Places in world units by scan and edit, of a file {"SCAN": {"EDIT": [X, Y, Z]}}. Raises
    OmomiError(UNREADABLE_FILE)."""
    from ..formats.files import FormatError, parse_json, read_bounded, require, unreadable
    from ..protocol.recipe import LARGEST_FILE, point

    data = read_bounded(path, LARGEST_FILE)
    try:
        value = parse_json(data, "it")
        require(isinstance(value, dict), "it is no object of scans")
        for scan, edits in value.items():
            require(isinstance(edits, dict), f"{scan!r:.80} is no object of edits")
        return {scan: {edit: point(edit, at) for edit, at in edits.items()} for scan, edits in value.items()}
    except FormatError as flaw:
        raise unreadable(path.name, flaw) from flaw
    except OmomiError as error:
        raise unreadable(path.name, error.message[0].lower() + error.message[1:].rstrip(".")) from error


def _rows(
    tasks: Sequence[_Task], record: BatchRecord, workers: int, make_engine: MakeEngine
) -> Iterator[tuple[_Task, Row]]:
    """What becomes of each scan, in any order; what was done is in the record before it is here."""
    standing, last, left = record.standing(), record.last(), []
    run = tasks[0].run if tasks else ""
    record.begin(run)
    for task in tasks:
        row = standing.get(task.output.name)
        if row is not None:
            if row["made_from"] == {**task.made_from, "scan": digest(task.scan)}:
                if row != last[task.output.name]:
                    record.add(row)
                yield task, {**row, "state": "skipped"}
                continue
            record.keep(row, run)
        left.append(task)
    work = partial(_result, make_engine)
    # one engine, opened for the first scan that is not done yet
    pairs = results(work, left, workers) if workers > 1 else ((task, work(task)) for task in left)
    for task, row in pairs:
        if row is None:
            row = _failed(task, OmomiError(ErrorCode.INTERNAL, "Its process ended, perhaps for want of memory."))
        record.add(row)
        yield task, row


@lru_cache(maxsize=1)
def _engine(make_engine: MakeEngine, device: str, threads: int) -> Engine:
    return make_engine(device, threads)


def _result(make_engine: MakeEngine, task: _Task) -> Row:
    """What became of one scan; its state is done or failed."""
    try:
        source = needed(task.scan)
        with system_errors(), progress(task.scan.name) as line:
            engine = _engine(make_engine, task.device, task.threads)
            options, layers = recipe_layers(task.recipe.path, None, engine.info())
            layers = with_places(layers, task.places, {})
            masks = None, task.recipe.path.parent
            mesh = masks, task.remesh, task.faces
            found = edit_scan(task.scan, task.output, engine, options, layers, line, EditTarget.FIT, *mesh)
        if needed(task.scan) != source:
            refuse(f"{task.scan.name} changed while it was read: run the batch again", ErrorCode.UNREADABLE_FILE)
        made = needed(task.output)
    except OmomiError as error:
        return _failed(task, error)
    except Exception as error:  # noqa: BLE001  one scan must not stop the others
        return _failed(task, OmomiError(ErrorCode.INTERNAL, f"{type(error).__name__}: {error}"))
    made_from = {**task.made_from, "scan": source}
    return {**found, "output": task.output.name, "state": "done", "run": task.run, "made_from": made_from, "made": made}


def _failed(task: _Task, error: OmomiError) -> Row:
    failed = {"scan": str(task.scan), "output": task.output.name, "state": "failed", "run": task.run}
    return {**failed, "error": told(error)}
