"""No allocation that fails costs more than the job that asked for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh

from backend.cli import main
from backend.engine import Engine, OnnxEngine
from backend.errors import ErrorCode
from backend.protocol.fit_options import FitOptions
from backend.protocol.messages import Failure, MeshFrame, Response
from backend.protocol.recipe import Layer
from backend.protocol.requests import (
    ApplyRequest,
    CheckRequest,
    FitRequest,
    Outcome,
    PoseRequest,
    RemeshRequest,
    Request,
    StackRequest,
    SweepRequest,
    TravelRequest,
)
from backend.server.jobs import Job
from backend.server.server import Server
from tests.children import Run
from tests.fakes import MODEL, MeshEngine
from tests.fault_injection import Memory
from tests.faults.conftest import ALL, Share

BALL = trimesh.creation.icosphere(2)
VERTICES, FACES = np.asarray(BALL.vertices, np.float32), np.asarray(BALL.faces, np.int32)
BUMP = 0.2 * np.exp(-((VERTICES - [1, 0, 0]) ** 2).sum(axis=1) / 0.1)[:, None] * [1, 0, 0]


@pytest.fixture(scope="module")
def memory() -> Memory:
    return Memory()


@pytest.fixture(scope="module")
def real() -> Engine:
    """With the shipped network."""
    return OnnxEngine("cpu", 1)


@pytest.fixture
def engine() -> MeshEngine:
    """Without one: what it fits is there before, so that each try is quick."""
    bumpy = trimesh.Trimesh(VERTICES + BUMP, FACES, process=False)
    return MeshEngine(a=BALL, b=bumpy, c=BALL.copy().apply_scale(2))


def files() -> dict[str, bytes]:
    """All that lies in the working folder and the folders in it, but the dates of records."""
    found = {str(path): path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    for name, data in found.items():
        if name.endswith(".jsonl"):
            rows = [json.loads(line) for line in data.splitlines()]
            found[name] = repr([{**row, "at": 0} for row in rows]).encode()
    return found


def test_a_fit_without_memory_leaves_every_file_and_the_next_one_works(
    memory: Memory,
    real: Engine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    share: Share,
) -> None:
    monkeypatch.chdir(tmp_path)
    BALL.export("a.ply")

    def fit() -> tuple[int, dict[str, Any]]:
        code = main.main(["fit", "a.ply", "-o", "b.ply", "--level", "0", "--json"], lambda device, threads: real)
        return code, json.loads(capsys.readouterr().out)

    fit()
    places = memory.places(fit)
    before = files()
    assert len(places) > 300 and set(before) == {"a.ply", "b.ply"}
    for number in share(places, 5):
        with memory.failing(number):
            code, found = fit()
        assert memory.met and files() == before, number
        if code:
            assert found["error"]["code"] in ("out_of_memory", "too_large"), (number, found)
            assert found["error"]["message"].endswith("."), found
    assert fit()[0] == 0 and files() == before


def test_a_run_of_the_network_without_memory_fails_the_job_and_the_next_one_works(
    real: Engine, monkeypatch: pytest.MonkeyPatch, share: Share
) -> None:
    requests, runs, fatal = Requests(real), 0, 0

    class Session:
        def __init__(self, session: Any) -> None:
            self.session = session

        def run(self, *given: Any) -> Any:
            nonlocal runs
            runs += 1
            if runs == fatal:
                raise RuntimeError("bfc_arena.cc: Failed to allocate memory for requested buffer of size 9")
            return self.session.run(*given)

    for graph, session in real.model.sessions.items():
        monkeypatch.setitem(real.model.sessions, graph, Session(session))
    clean = said(*requests.ask(ON_A_FIT["fit"](1)))
    for number in share(range(1, runs + 1), 2):
        runs, fatal = 0, number
        response, _ = requests.ask(ON_A_FIT["fit"](1))
        assert isinstance(response, Failure) and response.code is ErrorCode.OUT_OF_MEMORY, (number, response)
        assert said(*requests.ask(ON_A_FIT["fit"](1))) == clean


def test_an_edit_that_cannot_be_learned_for_want_of_memory_leaves_the_one_before(
    memory: Memory, omomi: Run, share: Share
) -> None:
    words = "learn", "--before", "a.ply", "--after", "b.ply", "-o", "bump.omomi"
    omomi(*words)
    places = memory.places(lambda: omomi(*words))
    before = files()
    for number in share(places, 2):
        with memory.failing(number):
            code, found, _ = omomi(*words)
        assert memory.met and files() == before, number
        if code:
            assert found["error"]["code"] in ("out_of_memory", "too_large"), (number, found)
    assert omomi(*words)[0] == 0 and files() == before


def test_a_scan_of_a_batch_without_memory_costs_itself_and_no_other(memory: Memory, omomi: Run, share: Share) -> None:
    layer = {"edit": "thickness", "strength": 0.2}
    Path("r.json").write_text(json.dumps({"version": 1, "model": MODEL, "entries": [layer]}))
    scans = "a.ply", "b.ply"
    omomi("batch", "r.json", *scans, "-o", "clean")
    clean, given = meshes("clean"), meshes(".")
    count = 0

    def batch() -> tuple[int, dict[str, Any], str]:
        nonlocal count
        count += 1
        return omomi("batch", "r.json", *scans, "-o", f"out{count}")

    for number in share(memory.places(batch), 2):
        with memory.failing(number):
            code, found, _ = batch()
        assert memory.met and meshes(".") == given, number
        if code:
            [error] = [row["error"] for row in (found, *found.get("results", ())) if "error" in row]
            assert error["code"] in ("out_of_memory", "too_large"), (number, error)
            assert len(meshes(f"out{count}")) >= ("results" in found), (number, error)
        assert meshes(f"out{count}").items() <= clean.items(), number
        assert omomi("batch", "r.json", *scans, "-o", f"out{count}")[0] == 0
        assert meshes(f"out{count}") == clean and not list(Path(f"out{count}").glob(".*")), number


def meshes(folder: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(folder).glob("*.ply")}


class Requests:
    """Jobs of a server, one after another, on this thread."""

    def __init__(self, engine: Engine) -> None:
        self.server = Server(engine, None, None)  # type: ignore[arg-type]

    def ask(self, request: Request) -> tuple[Response, list[MeshFrame]]:
        """The response, and the last mesh before it."""
        response = self.server._respond(Job(request))
        sent = self.server._outbox.drain()
        return response, [message for message in sent if isinstance(message, MeshFrame)][-1:]


def said(response: Response, frames: list[MeshFrame]) -> list[Any]:
    """All bits of an answer but how long it took."""
    parts = []
    for part in (response, *frames):
        for name, value in vars(part).items():
            parts.append(value.tobytes() if isinstance(value, np.ndarray) else (name, str(value)))
    return [part for part in parts if not (isinstance(part, tuple) and part[0] in ("stats", "id"))]


ON_A_FIT: dict[str, Callable[[int], Request]] = {
    "fit": lambda job: FitRequest(job, "b", FitOptions(level=0), "", VERTICES, FACES),
    "stack": lambda job: StackRequest(job, 1, "fit", (Layer("smoothness", 0.2), Layer("thickness", 0.1))),
    "pose": lambda job: PoseRequest(job, 1, (0.2, 0.1)),
    "apply": lambda job: ApplyRequest(job, 1, (0.2, 0.1), Outcome.CARRIED),
    "remesh": lambda job: RemeshRequest(job, 1, (0.2, 0.1)),
    "check": lambda job: CheckRequest(job, 1, (0.2, 0.1), ""),
    "sweep": lambda job: SweepRequest(job, 1, (0.2, 0.1), 0, -0.2, 0.2, 2),
    "travel": lambda job: TravelRequest(job, 1, 0),
}


@pytest.mark.parametrize("kind", ON_A_FIT if ALL else ("stack", "apply"))
def test_a_job_without_memory_fails_alone_and_what_is_kept_stays_as_it_was(
    kind: str, memory: Memory, real: Engine, share: Share
) -> None:
    requests, make = Requests(real), ON_A_FIT[kind]
    for start in ("fit", "stack", "apply"):
        response, _ = requests.ask(ON_A_FIT[start](1 if start == "fit" else 2))
        assert not isinstance(response, Failure), response
    pose = said(*requests.ask(ON_A_FIT["pose"](3)))
    clean = said(*requests.ask(make(4)))
    places = memory.places(lambda: requests.ask(make(4)))
    for number in share(places, 1):
        with memory.failing(number):
            response, frames = requests.ask(make(4))
        assert memory.met, number
        if isinstance(response, Failure):
            assert response.code is ErrorCode.OUT_OF_MEMORY, (number, response)
        else:
            assert said(response, frames) == clean, number
        assert said(*requests.ask(ON_A_FIT["pose"](5))) == pose, number
        assert said(*requests.ask(make(4))) == clean, number
