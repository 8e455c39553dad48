"""Batches: exactly what changed is done again, nothing stale is believed, and shards are joined."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh

from backend.cli import main
from backend.cli.batch_record import BatchRecord
from backend.cli.paths import scans_of
from backend.formats.mesh_files import load_scan, save_mesh
from tests.children import HERE, LIVENESS, Run, until
from tests.fakes import MODEL, MeshEngine
from tests.protocol.test_client import alive
from tests.worker_tasks import shout

NAMES = ("a", "b", "c")
posix_only = pytest.mark.skipif(sys.platform == "win32", reason="signals")


def ball() -> trimesh.Trimesh:
    return trimesh.creation.icosphere(2, radius=2.0)


def engine_of_balls(device: str, threads: int) -> MeshEngine:
    return MeshEngine(**{name: ball() for name in NAMES})


@pytest.fixture
def engine() -> MeshEngine:
    return engine_of_balls("cpu", 1)


@pytest.fixture
def meddle() -> list[Callable[[], Any]]:
    """What happens in the middle of every edit."""
    return []


@pytest.fixture(autouse=True)
def scaled(monkeypatch: pytest.MonkeyPatch, meddle: list[Callable[[], Any]]) -> None:
    """Edits that only scale a scan, by strength and mask: what is tested here is around them."""

    def edit(scan: Path, output: Path, engine: Any, options: Any, layers: Any, *more: Any) -> dict[str, Any]:
        raw = load_scan(scan)
        assert raw.faces is not None
        for step in meddle:
            step()
        _, _, (_, beside), *_ = more
        (layer,) = layers
        weight = 1.0 if layer.mask is None else float(np.load(beside / f"{layer.mask.name}.npy").mean())
        save_mesh(output, raw.points * (1 + layer.strength * weight), raw.faces)
        return {"scan": str(scan), "output": str(output), "warnings": []}

    monkeypatch.setattr("backend.cli.batch.edit_scan", edit)


def recipe(strength: float = 1.0, mask: str | None = None) -> None:
    entry: dict[str, Any] = {"edit": "thickness", "strength": strength}
    if mask is not None:
        entry["mask"] = {"kind": "file", "name": mask}
    Path("r.json").write_text(json.dumps({"version": 1, "model": MODEL, "entries": [entry]}))


def states(found: dict[str, Any]) -> list[str]:
    return [row["state"] for row in found["results"]]


def folder(path: str) -> dict[str, bytes]:
    return {one.name: one.read_bytes() for one in Path(path).glob("*.ply")}


def test_exactly_what_changed_is_done_again_and_equals_a_clean_run(omomi: Run) -> None:
    np.save("m.npy", np.ones(162, np.float32))
    recipe(mask="m")
    batch = "batch", "r.json", *(f"{name}.ply" for name in NAMES)
    assert states(omomi(*batch, "-o", "out")[1]) == ["done"] * 3
    assert states(omomi(*batch, "-o", "out")[1]) == ["skipped"] * 3
    for change, redone in [
        (lambda: ball().apply_scale(1.5).export("b.ply"), 1),
        (lambda: np.save("m.npy", np.linspace(0, 1, 162, dtype=np.float32)), 3),
        (lambda: recipe(2.0, "m"), 3),
        (lambda: Path("out/c.ply").unlink(), 1),
        (lambda: Path("out/record.jsonl").write_text(""), 3),
    ]:
        change()
        assert states(omomi(*batch, "-o", "out")[1]).count("done") == redone
        assert states(omomi(*batch, "-o", "out")[1]) == ["skipped"] * 3
    omomi(*batch, "-o", "clean")
    assert folder("out") == folder("clean")


def test_a_recipe_that_changes_while_the_batch_runs_changes_none_of_its_results(
    omomi: Run, meddle: list[Callable[[], Any]]
) -> None:
    np.save("m.npy", np.ones(162, np.float32))
    recipe(mask="m")
    meddle += [lambda: recipe(-3.0, "m"), lambda: np.save("m.npy", np.zeros(162, np.float32))]
    omomi("batch", "r.json", "a.ply", "b.ply", "-o", "out")
    meddle.clear()
    assert folder("out")["a.ply"] == folder("out")["b.ply"]
    assert np.ptp(load_scan(Path("out/b.ply")).points) > np.ptp(ball().vertices)
    assert states(omomi("batch", "r.json", "a.ply", "b.ply", "-o", "out")[1]) == ["done", "done"]


def test_a_scan_that_changes_while_it_is_read_is_not_believed(omomi: Run, meddle: list[Callable[[], Any]]) -> None:
    recipe()
    meddle.append(lambda: ball().apply_scale(2).export("a.ply"))
    code, found, _ = omomi("batch", "r.json", "a.ply", "-o", "out")
    assert code == 1 and "changed while it was read" in found["results"][0]["error"]["message"]


def test_shards_share_a_folder_and_are_joined_into_one_report(omomi: Run) -> None:
    recipe()
    Path("d.ply").write_text("no mesh")
    parts = [omomi("batch", "r.json", "*.ply", "-o", "out", "--shard", shard)[1] for shard in ("1/3", "2-3/3")]
    assert [len(part["results"]) for part in parts] == [2, 2]
    code, found, _ = omomi("merge", "out")
    assert code == 1 and (found["done"], found["failed"], found["lost"]) == (3, 1, 0)
    page = Path("out/review.html").read_text()
    # what failed stands first
    assert page.index("d ") < page.index("data:image/png") and page.count("data:image/png") == 3
    # other shards know what these have done
    Path("d.ply").unlink()
    assert states(omomi("batch", "r.json", "*.ply", "-o", "out", "--shard", "1/1")[1]) == ["skipped"] * 3
    Path("out/a.ply").unlink()
    assert omomi("merge", "out")[1]["lost"] == 1


def test_a_trial_has_to_be_accepted_and_the_run_before_can_be_put_back(omomi: Run) -> None:
    recipe()
    batch = "batch", "r.json", "a.ply", "b.ply", "c.ply", "-o", "out"
    assert len(omomi(*batch, "--trial", 1)[1]["results"]) == 1 and Path("out/review.html").exists()
    code, found, _ = omomi(*batch)
    assert code == 1 and "not accepted" in found["error"]["message"]
    assert sorted(states(omomi(*batch, "--accept")[1])) == ["done", "done", "skipped"]
    before = folder("out")
    recipe(-2.0)
    assert omomi(*batch)[1]["done"] == 3 and folder("out") != before
    assert len(omomi("batch", "--restore", "-o", "out")[1]["restored"]) == 3
    assert folder("out") == before
    recipe()
    assert omomi(*batch)[1]["skipped"] == 3
    assert omomi("batch", "--restore", "-o", "out")[0] == 1


def test_results_never_lie_among_the_scans(omomi: Run) -> None:
    recipe()
    for words in (["batch", "r.json", "a.ply", "-o", "."], ["fit", ".", "-o", "."]):
        before = sorted(Path().iterdir())
        code, found, _ = omomi(*words)
        assert code == 1 and found["error"]["code"] == "bad_option" and sorted(Path().iterdir()) == before
    # also where no file would be written over
    ball().export("e.obj")
    assert omomi("batch", "r.json", "e.obj", "-o", ".")[0] == 1
    assert omomi("fit", "*.obj", "-o", ".")[0] == 1


@pytest.mark.parametrize("kind", ["openjd", "slurm", "flamenco"])
def test_a_farms_job_runs_every_scan_once(omomi: Run, kind: str) -> None:
    recipe()
    _, found, _ = omomi("farm", kind, "r.json", "*.ply", "-o", "out", "--chunk", 2)
    text = Path(found["output"]).read_text()
    kept = str(next(Path("out").glob("recipe-*/r.json")).resolve())
    # the recipe as it was when the job was written
    assert kept in text and "r.json" not in text.replace(kept, "")
    if kind == "slurm":
        words = [
            subprocess.run(
                ["bash", "-c", text.replace("exec omomi", "printf '%s\\n'")],
                env={"SLURM_ARRAY_TASK_ID": str(task), "PATH": os.environ["PATH"]},
                capture_output=True, text=True, check=True,
            ).stdout.splitlines()
            for task in (1, 2)
        ]  # fmt: skip
        assert "--array=1-2" in text and [line[-1] for line in words] == ["1-2/3", "3-3/3"]
        for line in words:
            assert main.main(line, engine_of_balls) == 0
        assert sorted(folder("out")) == ["a.ply", "b.ply", "c.ply"]
    elif kind == "openjd":
        template = json.loads(text)
        assert template["specificationVersion"] == "jobtemplate-2023-09" and template["extensions"] == ["TASK_CHUNKING"]
        (shard,) = template["steps"][0]["parameterSpace"]["taskParameterDefinitions"]
        assert (shard["type"], shard["range"]) == ("CHUNK[INT]", "1-3")
        arguments = template["steps"][0]["script"]["actions"]["onRun"]["args"]
        assert arguments[-1] == "{{Task.Param.Shard}}/3" and template["steps"][1]["dependencies"]
    else:
        assert "frameChunker" in text and '"1-3"' in text and "compileJob" in text


FLAMENCO = """
const job = {tasks: [], addTask(task) { this.tasks.push(task); }};
const author = {
    Task: (name, type) => ({
        name, type, commands: [], after: [],
        addCommand(command) { this.commands.push(command); }, addDependency(task) { this.after.push(task.name); },
    }),
    Command: (name, parameters) => ({name, parameters}),
};
// of numbers in a row; two of them are not written as a range
function frameChunker(range, size) {
    const [first, last] = range.split("-").map(Number), chunks = [];
    for (let from = first; from <= last; from += size) {
        const to = Math.min(from + size - 1, last);
        chunks.push(from === to ? `${from}` : to === from + 1 ? `${from},${to}` : `${from}-${to}`);
    }
    return chunks;
}
job.settings = Object.fromEntries(JOB_TYPE.settings.map(setting => [setting.key, setting.default]));
compileJob(job);
console.log(JSON.stringify(job.tasks));
"""
"""What a Flamenco manager offers to the script of a job type, which stands before it."""


@pytest.mark.skipif(shutil.which("node") is None, reason="needs a JavaScript engine")
@pytest.mark.parametrize("chunk", [1, 2, 3])
def test_the_tasks_of_a_flamenco_job_run_every_scan_once(omomi: Run, chunk: int) -> None:
    recipe()
    ball().export("d.ply")
    Path("e.ply").write_bytes(Path("d.ply").read_bytes())
    script = Path(omomi("farm", "flamenco", "r.json", "*.ply", "-o", "out", "--chunk", chunk)[1]["output"])
    run = subprocess.run(["node", "-"], input=script.read_text() + FLAMENCO, capture_output=True, text=True, check=True)
    *parts, merge = json.loads(run.stdout)
    assert merge["after"] == [part["name"] for part in parts] and len(parts) == -(-5 // chunk)
    for task in (*parts, merge):
        [command] = task["commands"]
        assert (task["type"], command["name"], command["parameters"]["exe"]) == ("misc", "exec", "omomi")
        assert main.main(command["parameters"]["args"], engine_of_balls) == 0
    assert [row["state"] for row in json.loads(Path("out/batch.json").read_text())["results"]] == ["done"] * 5


SLOW = f"""
import os, sys, time
sys.path.insert(0, {str(HERE.parent)!r})
from backend.cli import main
from backend.engine import EngineInfo

class Slow:
    model = None

    def __init__(self, device, threads):
        pass

    def info(self):
        return EngineInfo({MODEL!r}, "cpu", (), "0")

    def prepare(self, *given):
        open(f"worker-{{os.getpid()}}", "w").close()
        time.sleep({LIVENESS})

if __name__ == "__main__":
    sys.exit(main.main(sys.argv[1:], Slow))
"""


@posix_only
@pytest.mark.parametrize("way", [signal.SIGKILL, signal.SIGTERM])
def test_workers_end_with_the_process_that_started_them(omomi: Run, way: signal.Signals) -> None:
    recipe()
    Path("slow.py").write_text(SLOW)
    words = [sys.executable, "slow.py", "batch", "r.json", "a.ply", "b.ply", "-o", "out", "--workers", "2"]
    parent = subprocess.Popen(words, stderr=subprocess.DEVNULL)
    until(lambda: len(list(Path().glob("worker-*"))) == 2, "two workers")
    workers = [int(path.name.split("-")[1]) for path in Path().glob("worker-*")]
    began = time.monotonic()
    parent.send_signal(way)
    parent.wait(LIVENESS)
    until(lambda: not any(map(alive, workers)), "the end of the workers")
    assert time.monotonic() - began < LIVENESS / 4 and not list(Path("out").glob(".*"))


@posix_only
def test_what_killed_writers_left_is_swept_and_never_taken_for_a_scan(omomi: Run) -> None:
    from backend.formats import files

    gone = subprocess.Popen(["true"])
    gone.wait()
    Path("out").mkdir()
    left = Path(f"out/.{files._HOST}-{gone.pid}-0123456789abcdef.part")
    mine = Path(f"out/.{files._HOST}-{os.getpid()}-0123456789abcdef.part")
    for path in (left, mine, Path("out/.a.ply"), Path("out/.m0.abcd1234.ply")):
        path.write_bytes(b"half")
    recipe()
    omomi("batch", "r.json", "a.ply", "-o", "out")
    assert not left.exists() and mine.exists()
    assert scans_of([Path("out")]) == [Path("out/a.ply")]


def test_a_worker_that_dies_costs_its_scan_and_no_other(omomi: Run) -> None:
    from backend.cli.workers import results

    found = dict(results(shout, ["a", "die", "b", "c"], 2))
    assert found == {"a": "A", "die": None, "b": "B", "c": "C"}


def test_a_torn_line_costs_itself_and_not_the_next(tmp_path: Path) -> None:
    record = BatchRecord(tmp_path)
    row = {"scan": "a", "output": "a.ply", "state": "failed", "run": "r"}
    record.add(row)
    with (tmp_path / "record.jsonl").open("ab") as file:
        file.write(b'{"scan": "b", "outp')
    record.add({**row, "output": "c.ply"})
    assert [found["output"] for found in record.rows()] == ["a.ply", "c.ply"]
