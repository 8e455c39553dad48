"""``omomi batch``: a recipe on many scans, to be taken up again where it was left."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from ..errors import ErrorCode, OmomiError
from ..protocol.recipe import Point
from ..protocol.requests import EditTarget
from .arguments import MakeEngine, folder, integer, progress, recipe_layers, report, told, with_places, write_json
from .edit import edit_scan
from .paths import scans_of, spare_inputs


@dataclass(frozen=True)
class _Task:
    """One scan of a batch. recipe_hash: of the recipe's file; site: folders with packages, for other processes."""

    scan: Path
    output: Path
    recipe: Path
    recipe_hash: str
    remesh: bool
    places: dict[str, Point]  # world units, of edits by their name
    device: str
    threads: int
    site: tuple[str, ...]

    @property
    def record(self) -> Path:
        """Says what the result was made from, written after it."""
        return self.output.with_suffix(".done.json")


def add(verbs: Any, parents: list[argparse.ArgumentParser]) -> None:
    batch = verbs.add_parser("batch", parents=parents, help="a recipe on many scans; goes on where it was stopped")
    batch.add_argument("recipe", type=Path, metavar="RECIPE")
    batch.add_argument("scans", nargs="+", type=Path, metavar="SCAN")
    batch.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="for meshes and batch.json")
    batch.add_argument("--remesh", action="store_true", help="write new meshes, of what the moved ones enclose")
    batch.add_argument(
        "--places", type=Path, metavar="PLACES.json",
        help='where edits belong on scans that are not to be searched: {"SCAN": {"EDIT": [X, Y, Z]}}',
    )  # fmt: skip
    batch.add_argument("--workers", type=integer(1, 256), default=1, metavar="N", help="processes")
    batch.set_defaults(run=_run, misuse=batch.error)


def _run(arguments: argparse.Namespace, make_engine: MakeEngine) -> int:
    from ..protocol.recipe import read_recipe

    read_recipe(arguments.recipe)
    digest = _digest(arguments.recipe) or ""
    scans = scans_of(arguments.scans)
    names = [scan.stem for scan in scans]
    if len(set(names)) < len(names):
        arguments.misuse("two scans have the same name, and results are named after their scans")
    places: dict[str, dict[str, Point]] = {} if arguments.places is None else read_places(arguments.places)
    if unknown := sorted(set(places) - set(names)):
        arguments.misuse(f"{arguments.places} places edits on {unknown[0]:.80}, which is none of the scans")
    meshes = [arguments.output / f"{name}.ply" for name in names]
    records = [path.with_suffix(".done.json") for path in meshes]
    written = [*meshes, *records, arguments.output / "batch.json"]
    spare_inputs(written, [*scans, arguments.recipe, arguments.places])
    folder(arguments.output)
    site = tuple(arguments.site)
    tasks = [
        _Task(scan, mesh, arguments.recipe, digest, arguments.remesh, places.get(scan.stem, {}), arguments.device,
              arguments.threads, site)
        for scan, mesh in zip(scans, meshes, strict=True)
    ]  # fmt: skip
    results = []
    for task, result in zip(tasks, _results(tasks, arguments.workers, make_engine), strict=True):
        results.append(result)
        reason = f" ({result['error']['message']})" if "error" in result else ""
        print(f"{task.scan}: {result['state']}{reason}", file=sys.stderr)
    counts = {state: sum(result["state"] == state for result in results) for state in ("done", "skipped", "failed")}
    summary: dict[str, Any] = {"recipe": str(arguments.recipe), **counts, "results": results}
    write_json(arguments.output / "batch.json", summary)
    said = ", ".join(f"{count} {state}" for state, count in counts.items())
    report(arguments, summary, f"{arguments.output}: {said}")
    return 1 if counts["failed"] else 0


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


def _results(tasks: list[_Task], workers: int, make_engine: MakeEngine) -> Iterator[dict[str, Any]]:
    """In the order of the tasks, each as soon as it is there."""
    if workers == 1:
        # one engine, opened for the first scan that is not done yet
        same_engine = cache(make_engine)
        yield from (_result(task, same_engine) for task in tasks)
        return
    # spawned, for neither ONNX Runtime nor CUDA survives a fork
    with ProcessPoolExecutor(workers, get_context("spawn"), _start, (tasks[0].site,)) as pool:
        futures = [pool.submit(_result, task, make_engine) for task in tasks]
        for task, future in zip(tasks, futures, strict=True):
            try:
                yield future.result()
            except Exception as error:  # noqa: BLE001  a process that dies takes its scan with it, not the others
                yield _failed(task, OmomiError(ErrorCode.INTERNAL, f"A process ended: {error}."))


def _start(site: tuple[str, ...]) -> None:
    sys.path += [path for path in site if path not in sys.path]


def _result(task: _Task, make_engine: MakeEngine) -> dict[str, Any]:
    """What became of one scan; its state is done, skipped or failed."""
    source = _digest(task.scan)
    made_from: dict[str, Any] = {"recipe": task.recipe_hash, "scan": source, "remesh": task.remesh}
    if task.places:
        made_from["places"] = {name: list(place) for name, place in task.places.items()}
    if _whole(task, made_from):
        return {"scan": str(task.scan), "output": str(task.output), "state": "skipped"}
    try:
        with progress(task.scan.name) as line:
            engine = make_engine(task.device, task.threads)
            options, layers = recipe_layers(task.recipe, None, engine.info().model_hash)
            layers = with_places(layers, task.places, {})
            masks = None, task.recipe.parent
            found = edit_scan(task.scan, task.output, engine, options, layers, line, EditTarget.FIT, masks, task.remesh)
        write_json(task.record, {**made_from, "output": _digest(task.output)})
    except OmomiError as error:
        return _failed(task, error)
    except Exception as error:  # noqa: BLE001  one scan must not stop the others
        return _failed(task, OmomiError(ErrorCode.INTERNAL, f"{type(error).__name__}: {error}"))
    return {**found, "state": "done"}


def _failed(task: _Task, error: OmomiError) -> dict[str, Any]:
    return {"scan": str(task.scan), "state": "failed", "error": told(error)}


def _whole(task: _Task, made_from: dict[str, Any]) -> bool:
    """Whether the result is there, made from the same scan and recipe, and as it was written."""
    try:
        record = json.loads(task.record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return made_from["scan"] is not None and record == {**made_from, "output": _digest(task.output)}


def _digest(path: Path) -> str | None:
    """SHA-256 of a file, None where it cannot be read."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return None
