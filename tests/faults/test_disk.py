"""No write, sync or rename that fails costs more than the file that it was for, and none leaves half of one."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh

from backend.formats import files as files_module
from backend.formats.mesh_files import load_scan, save_mesh
from tests.children import Run
from tests.fakes import MODEL, MeshEngine
from tests.fault_injection import Disk, died
from tests.faults.conftest import Share

BALL = trimesh.creation.icosphere(1)
FAR = BALL.copy().apply_translation([1e6, 0, 0])
posix_only = pytest.mark.skipif(sys.platform == "win32", reason="forks")


@pytest.fixture
def engine() -> MeshEngine:
    """Fits of what is there before."""
    return MeshEngine(a=BALL, b=BALL.copy().apply_scale(2), far=FAR)


@pytest.fixture(autouse=True)
def scaled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Edits that only scale a scan, by their strength: what is tested here is how their results are written."""

    def edit(scan: Path, output: Path, engine: Any, options: Any, layers: Any, *more: Any) -> dict[str, Any]:
        raw = load_scan(scan)
        assert raw.faces is not None
        save_mesh(output, raw.points * (1 + layers[0].strength), raw.faces)
        return {"scan": str(scan), "vertices": len(raw.points), "moved": 1.0, "layers": [], "warnings": []}

    monkeypatch.setattr("backend.cli.batch.edit_scan", edit)
    monkeypatch.setattr("backend.cli.edit.edit_scan", edit)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


COMMANDS: dict[str, tuple[str, ...]] = {
    "a fit": ("fit", "a.ply", "-o", "out.glb"),
    "fits": ("fit", "a.ply", "b.ply", "-o", "out"),
    "a fit far away": ("fit", "far.ply", "-o", "out.stl"),
    "an edit": ("edit", "a.ply", "--set", "thickness=0.1", "-o", "out.obj", "--save-recipe", "saved.json"),
    "an edit in place of an old one": ("edit", "a.ply", "--set", "thickness=0.1", "-o", "old.ply"),
    "a batch": ("batch", "r.json", "a.ply", "b.ply", "-o", "out"),
    "a trial": ("batch", "r.json", "a.ply", "b.ply", "-o", "out", "--trial", "1"),
    "a farm's job": ("farm", "slurm", "r.json", "a.ply", "b.ply", "-o", "out"),
    "a report": ("merge", "done"),
    "a step back": ("batch", "--restore", "-o", "done"),
}


@pytest.fixture
def fresh(omomi: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Makes the working folder what it was at first: scans, a recipe, an old result and a batch that was run twice."""
    omomi("fit", "a.ply", "-o", "old.ply")
    np.save("m.npy", np.ones(42, np.float32))
    for strength in (0.1, 0.2):
        layer = {"edit": "thickness", "strength": strength, "mask": {"kind": "file", "name": "m"}}
        Path("r.json").write_text(json.dumps({"version": 1, "model": MODEL, "entries": [layer]}))
        omomi("batch", "r.json", "a.ply", "b.ply", "-o", "done")
    shutil.copytree(tmp_path, tmp_path / "first")

    def again() -> None:
        # always of the same name, which is in what is written
        monkeypatch.chdir(tmp_path)
        shutil.rmtree("work", ignore_errors=True)
        shutil.copytree("first", "work")
        monkeypatch.chdir("work")
        files_module._swept.clear()

    return again


def here() -> dict[str, bytes]:
    """The files of the working folder but reports, which tell of failures too."""
    reports = ".jsonl", "batch.json", "review.html", "trial.json"
    paths = [path for path in Path().rglob("*") if path.is_file() and not path.name.endswith(reports)]
    return {str(path): path.read_bytes() for path in paths}


def undisturbed(
    words: Sequence[str], omomi: Run, fresh: Callable[[], None], disk: Disk
) -> tuple[dict[str, bytes], dict[str, bytes], list[int]]:
    """Files before and after a run of a command in which nothing fails, and the places at which something can."""
    fresh()
    before = here()
    places = disk.places(lambda: omomi(*words))
    return before, here(), places


@pytest.mark.parametrize("command", COMMANDS)
def test_what_the_disk_refuses_is_said_in_a_sentence_and_no_file_is_half_written(
    command: str, omomi: Run, fresh: Callable[[], None], disk: Disk, share: Share
) -> None:
    words = COMMANDS[command]
    before, clean, places = undisturbed(words, omomi, fresh, disk)
    assert (places and clean != before) or command == "a report"
    for number in share(places, 3):
        fresh()
        with disk.failing(number):
            code, found, _ = omomi(*words)
        errors = [row["error"] for row in (found, *found.get("results", ())) if "error" in row]
        # a folder that is there already is not missed
        assert code == (1 if errors else 0) and {error["code"] for error in errors} <= {"disk"}, (number, found)
        assert errors or here() == clean, number
        assert all(error["message"].endswith(".") for error in errors), errors
        left = here()
        assert all(data in (before.get(path), clean.get(path)) for path, data in left.items()), number
        assert before.keys() <= left.keys(), number
        assert omomi(*words)[0] == 0 and here() == clean, number


@posix_only
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_that_dies_over_the_disk_is_made_up_for_by_the_next(
    command: str, omomi: Run, fresh: Callable[[], None], disk: Disk, share: Share
) -> None:
    words = COMMANDS[command]
    before, clean, places = undisturbed(words, omomi, fresh, disk)

    def dying(number: int) -> None:
        with disk.failing(number, lambda: os._exit(9)):
            omomi(*words)

    for number in share(places, 3):
        fresh()
        assert died(lambda number=number: dying(number)), number
        left = {path: data for path, data in here().items() if not Path(path).name.startswith(".")}
        assert all(data in (before.get(path), clean.get(path)) for path, data in left.items()), number
        assert before.keys() <= left.keys(), number
        assert omomi(*words)[0] == 0 and here() == clean, number
