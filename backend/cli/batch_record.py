"""What a batch has done: a line of JSON for each scan, written to the disk before the next one begins."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ErrorCode, OmomiError
from ..formats.files import read_bounded, unreadable, write_whole
from ..protocol.names import EDIT
from ..protocol.recipe import LARGEST_FILE, Recipe
from .output import system_errors

LARGEST_INPUT = 1 << 31
"""Bytes of a mask or an edit."""
_BEFORE = "before-"
Row = dict[str, Any]


@dataclass(frozen=True)
class BatchRecord:
    """The records in the folder of a batch. Each shard writes a file of its own and reads those of all.

    A row says what became of a scan: "scan", "output", "state", "run", and of a result what it was "made_from" and its
    digest "made". A result counts as long as its file has that digest; a row that was cut short never was.
    """

    folder: Path
    shard: str = ""  # of this process

    def add(self, row: Mapping[str, Any]) -> None:
        """Raises OmomiError(DISK)."""
        append(self.folder / f"record{self.shard and '-' + self.shard}.jsonl", {**row, "at": time.time()})

    def rows(self) -> list[Row]:
        """Of all shards, the oldest first."""
        found = [row for path in sorted(self.folder.glob("record*.jsonl")) for row in rows_of(path)]
        return sorted(found, key=lambda row: row["at"])

    def last(self) -> dict[str, Row]:
        """What became of each scan in the end, by the name of its output; "lost" where the result is not there any
        more, or is another one."""
        found = {row["output"]: row for row in self.rows()}
        for name, row in found.items():
            if row["state"] == "done" and digest(self.folder / name) != row["made"]:
                found[name] = {**row, "state": "lost"}
        return found

    def standing(self) -> dict[str, Row]:
        """The rows of the results that lie in the folder, whatever was tried since, by the name of the output."""
        found: dict[str, Row] = {}
        made: dict[str, str | None] = {}
        for row in self.rows():
            name = row["output"]
            if row["state"] == "done":
                made[name] = made[name] if name in made else digest(self.folder / name)
                found |= {name: row} if row["made"] == made[name] else {}
        return found

    def keep(self, row: Row, run: str) -> None:
        """Set aside the result of a row that the run with this key is about to replace, if it is one of another run."""
        if row["run"] == run:
            return
        before = self.folder / f"{_BEFORE}{run}"
        with system_errors():
            before.mkdir(exist_ok=True)
            # A copy, so that the folder always has a whole result.
            write_whole(before / row["output"], (self.folder / row["output"]).read_bytes())
            append(before / "record.jsonl", row)

    def begin(self, run: str) -> None:
        """Let go of what earlier runs have set aside."""
        for before in self.folder.glob(f"{_BEFORE}*"):
            if before.name != f"{_BEFORE}{run}":
                shutil.rmtree(before, ignore_errors=True)

    def restore(self) -> list[str]:
        """Put back what the last run has replaced; the names of the files. Raises OmomiError."""
        names = []
        for before in sorted(self.folder.glob(f"{_BEFORE}*")):
            # The first row of an output is that of the run before; a run that was taken up again may have added others.
            rows = {row["output"]: row for row in reversed(rows_of(before / "record.jsonl"))}
            for name, row in rows.items():
                with system_errors():
                    write_whole(self.folder / name, (before / name).read_bytes())
                self.add(row)
                names.append(name)
            shutil.rmtree(before, ignore_errors=True)
        if not names:
            raise OmomiError(ErrorCode.BAD_OPTION, f"{self.folder} keeps no run before the last one.")
        return names


def append(path: Path, row: Mapping[str, Any]) -> None:
    """Add a row and wait until it is on the disk. Raises OmomiError(DISK)."""
    line = json.dumps(row, allow_nan=False).encode() + b"\n"
    with system_errors():
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            # A line that was cut short must not swallow this one.
            if os.fstat(file).st_size and (os.lseek(file, -1, os.SEEK_END), os.read(file, 1))[1] != b"\n":
                line = b"\n" + line
            if os.write(file, line) != len(line):
                raise OSError(f"{path} took only a part of a line")
            os.fsync(file)
        finally:
            os.close(file)


def rows_of(path: Path) -> list[Row]:
    """The whole rows of a record; none where there is none."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        return []
    rows = []
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and {"scan", "output", "state", "run", "at"} <= set(row):
            rows.append(row)
    return rows


@dataclass(frozen=True)
class KeptRecipe:
    """A recipe as the results of a batch are made from it: its bytes, and those of its edits and masks, were read once
    and lie in a folder that is named after their digest."""

    path: Path
    digest: str
    model: str  # hash of the model that it belongs to


def keep_recipe(path: Path, folder: Path) -> KeptRecipe:
    """Copy a recipe, and what it names, into the folder of a batch. Raises OmomiError: UNREADABLE_FILE, DISK."""
    data = read_bounded(path, LARGEST_FILE)
    recipe = Recipe.from_json(data, path.name)
    masks = [*recipe.fit.masks.values(), *(layer.mask for layer in recipe.entries if layer.mask is not None)]
    beside = {f"{layer.edit}{EDIT}" for layer in recipe.entries if layer.sha256}
    beside |= {f"{mask.name}.npy" for mask in masks if mask.kind == "file"}
    files = {name: read_bounded(path.parent / name, LARGEST_INPUT) for name in sorted(beside)}
    # Its own name is no part of what a result is made from.
    listed = "".join(
        f"{hashlib.sha256(content).hexdigest()} {name}\n" for name, content in [*files.items(), ("", data)]
    )
    made = hashlib.sha256(listed.encode()).hexdigest()
    kept = folder / f"recipe-{made[:12]}"
    with system_errors():
        kept.mkdir(parents=True, exist_ok=True)
    for name, content in [*files.items(), (path.name, data)]:
        if digest(kept / name) != hashlib.sha256(content).hexdigest():
            write_whole(kept / name, content)
    return KeptRecipe(kept / path.name, made, recipe.model)


def run_key(common: Mapping[str, Any]) -> str:
    """A short name of what all results of a run have in common."""
    return hashlib.sha256(json.dumps(common, sort_keys=True).encode()).hexdigest()[:12]


def digest(path: Path) -> str | None:
    """SHA-256 of a file, None where it cannot be read."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return None


def needed(path: Path) -> str:
    """SHA-256 of a file. Raises OmomiError(UNREADABLE_FILE)."""
    found = digest(path)
    if found is None:
        raise unreadable(path.name, "it is not there, or may not be read")
    return found
