from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from backend.cli import main
from backend.errors import ErrorCode
from backend.protocol.client import BackendClient, State, default_command
from backend.protocol.fit_options import FitOptions
from tests.children import BACKEND, until
from tests.fake_server import FakeEngine, FakeFit, FakeMesh

trimesh = pytest.importorskip("trimesh")
pytest.importorskip("scipy")


class BoxEngine(FakeEngine):
    """Ignores the scan's name and returns its mesh, after a coarse one."""

    def __init__(self) -> None:
        self.options = FitOptions()

    def fit(
        self, raw: Any, options: Any, on_frame: Any, on_progress: Any, cancel: Any, completion: Any = None,
        within: Any = None,
        masks: Any = None,
    ) -> Any:  # fmt: skip
        self.options = options
        print("a stray print")
        on_progress(0.5, "level 1 of 2")
        for level in range(2):
            mesh = FakeMesh(raw.points, raw.faces, np.full(len(raw.points), 0.5, np.float32), level, level == 1)
            on_frame(mesh)
        return FakeFit(mesh, None, {"pieces": 1})  # type: ignore[arg-type]


@pytest.fixture
def engine() -> BoxEngine:
    return BoxEngine()


@pytest.fixture
def omomi(engine: BoxEngine, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run a command with the toy engine: (exit code, stdout, stderr)."""

    def run(*words: object) -> tuple[int, str, str]:
        try:
            code = main.main([str(word) for word in words], lambda device, threads: engine)
        except SystemExit as end:
            code = int(end.code or 0)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def box(tmp_path: Path) -> Path:
    path = tmp_path / "box.ply"
    trimesh.creation.box((1, 2, 3)).export(path)
    return path


Omomi = Callable[..., tuple[int, str, str]]


def test_fit_writes_the_mesh_with_sigma_and_one_json_object(omomi: Omomi, box: Path, tmp_path: Path) -> None:
    code, out, err = omomi("fit", box, "-o", tmp_path / "new" / "out.ply", "--json")
    assert code == 0
    result = json.loads(out)["results"][0]
    assert "a stray print" in err and "level 1 of 2" in err
    mesh = trimesh.load(result["output"], process=False)
    assert len(mesh.vertices) == result["vertices"]
    assert b"sigma" in Path(result["output"]).read_bytes()[:1000]
    assert result["report"] == {"pieces": 1} and result["level"] == 1


def test_fit_passes_on_only_what_was_asked_for(omomi: Omomi, engine: BoxEngine, box: Path, tmp_path: Path) -> None:
    omomi("fit", box, "-o", tmp_path / "o.ply")
    assert engine.options == FitOptions()
    omomi("fit", box, "-o", tmp_path / "o.ply", "--level", 3, "--denoise", -0.5, "--fill", 1, "--largest-only")
    assert engine.options == FitOptions(level=3, denoise=-0.5, fill=1.0, keep_islands=False)


def test_a_fit_has_as_many_faces_as_asked_for(omomi: Omomi, box: Path, tmp_path: Path) -> None:
    _, out, _ = omomi("fit", box, "-o", tmp_path / "o.ply", "--faces", 10, "--frames", tmp_path / "f", "--json")
    result = json.loads(out)["results"][0]
    for path in (result["output"], result["frames"][-1]):
        mesh = trimesh.load(path, process=False)
        assert len(mesh.faces) == result["faces"] == 10 and mesh.is_watertight
    assert omomi("fit", box, "-o", tmp_path / "o.ply", "--faces", 3)[0] == 2


def test_frames_are_written_in_order(omomi: Omomi, box: Path, tmp_path: Path) -> None:
    code, out, _ = omomi("fit", box, "-o", tmp_path / "o.obj", "--frames", tmp_path / "frames", "--json")
    names = sorted(path.name for path in (tmp_path / "frames").iterdir())
    assert code == 0 and len(names) == 2
    assert [Path(path).name for path in json.loads(out)["results"][0]["frames"]] == names


def test_several_scans_go_to_a_folder_and_a_bad_one_does_not_stop_the_others(
    omomi: Omomi, box: Path, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    twin = tmp_path / "other" / "box.ply"
    twin.write_bytes(box.read_bytes())
    bad = tmp_path / "bad.ply"
    bad.write_bytes(b"ply\nthis is no mesh")
    code, out, _ = omomi("fit", box, bad, twin, "-o", tmp_path / "out", "--json")
    summary = json.loads(out)
    assert code == 1
    assert [("error" in result) for result in summary["results"]] == [False, True, False]
    assert summary["error"]["code"] == summary["results"][1]["error"]["code"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["box-2.ply", "box.ply"]


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["conquer"],
        ["fit"],
        ["fit", "a.ply"],
        ["fit", "a.ply", "-o", "out.docx"],
        ["fit", "a.ply", "b.ply", "-o", "out.ply"],
        ["fit", "a.ply", "-o", "out.ply", "--level", "6"],
        ["fit", "a.ply", "-o", "out.ply", "--level", "two"],
        ["fit", "a.ply", "-o", "out.ply", "--denoise", "nan"],
        ["fit", "a.ply", "-o", "out.ply", "--fill", "1.5"],
        ["fit", "a.ply", "-o", "out.ply", "--device", "tpu"],
        ["edit", "a.ply", "-o", "o.ply"],
        ["edit", "a.ply", "-o", "o.ply", "--set", "thickness"],
        ["edit", "a.ply", "-o", "o.ply", "--set", "thickness=nan"],
        ["sweep", "a.ply", "-o", "d"],
        ["sweep", "a.ply", "-o", "d", "--set", "thickness", "--from", "2", "--to", "1"],
        ["solve", "a.ply", "-o", "o.ply", "--set", "thickness", "--until", "weight=3"],
        ["solve", "a.ply", "-o", "o.ply", "--set", "thickness"],
        ["blend", "a.ply", "-o", "d"],
        ["batch", "r.json", "-o", "d"],
        ["learn", "--before", "a.ply", "-o", "e.omomi"],
        ["learn", "--before", "a.ply", "--after", "b.ply", "--at", "1,2", "-o", "e.omomi"],
        ["learn", "--before", "a.ply", "--after", "b.ply", "--at", "1,2,3", "--at", "1,2,3", "-o", "e.omomi"],
        ["measure"],
        ["serve", "--threads", "-1"],
    ],
)
def test_misuse_exits_with_two(omomi: Omomi, words: list[str]) -> None:
    code, out, err = omomi(*words)
    assert code == 2 and out == "" and "usage" in err


def test_a_failure_is_one_sentence_and_one_object(omomi: Omomi, tmp_path: Path) -> None:
    code, out, err = omomi("fit", tmp_path / "absent.ply", "-o", tmp_path / "o.ply", "--json")
    error = json.loads(out)["error"]
    assert code == 1 and error["code"] in tuple(ErrorCode)
    assert err.strip().splitlines()[-1] == f"omomi: {error['message']}"
    assert not (tmp_path / "o.ply").exists()


def test_an_output_that_cannot_be_written_is_a_failure(omomi: Omomi, box: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, out, _ = omomi("fit", box, "-o", tmp_path / "file" / "o.ply", "--json")
    assert code == 1 and json.loads(out)["error"]["code"] == "disk"


def test_measure_tells_the_size_and_topology_of_a_box(omomi: Omomi, box: Path) -> None:
    code, out, _ = omomi("measure", box, "--json")
    measures = json.loads(out)
    assert code == 0 and measures["watertight"] and [measures[f"b{i}"] for i in range(3)] == [1, 0, 0]
    assert measures["volume"] == pytest.approx(6) and measures["area"] == pytest.approx(22)


def test_measure_refuses_points_without_faces(omomi: Omomi, tmp_path: Path) -> None:
    np.savez(tmp_path / "points.npz", points=np.random.default_rng(0).normal(size=(99, 3)))
    code, out, _ = omomi("measure", tmp_path / "points.npz", "--json")
    assert code == 1 and json.loads(out)["error"]["code"] == "not_a_mesh"


def test_doctor_proves_the_cpu_by_running_on_it(omomi: Omomi) -> None:
    pytest.importorskip("onnxruntime")
    code, out, _ = omomi("doctor", "--json")
    findings = json.loads(out)
    assert code == (0 if findings["ok"] else 1)
    assert findings["providers"]["CPUExecutionProvider"] == "works"
    assert findings["packages"]["numpy"] == np.__version__
    assert findings["model"]["hash"] == "0123456789abcdef"
    assert omomi("doctor")[0] == code


def test_one_bad_scan_is_named_and_the_others_are_fitted(omomi: Omomi, box: Path, tmp_path: Path) -> None:
    for bad in ("damaged.npz", "damaged.ply", "damaged.glb"):
        (tmp_path / bad).write_bytes(b"\x93PK ply\n" * 9)
    bad = [tmp_path / name for name in ("damaged.npz", "damaged.ply", "damaged.glb", "none.ply")]
    code, out, err = omomi("fit", bad[0], box, *bad[1:], "-o", tmp_path / "out", "--json")
    results = json.loads(out)["results"]
    assert code == 1 and [("output" in row) for row in results] == [False, True, False, False, False]
    assert all(path.name in err for path in bad)


def test_a_family_with_one_bad_scan_is_aligned_without_it_and_that_is_told(
    omomi: Omomi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bad.ply").write_bytes(b"ply\n")
    for name in "abc":
        trimesh.creation.icosphere(2).export(tmp_path / f"{name}.ply")

    def learn(members: list, on_progress: object) -> object:
        return SimpleNamespace(
            members=[member.name for member in members],
            departures=[1.0] * len(members),
            score=lambda departure: 0.5,
            shape=SimpleNamespace(modes=()),
            sided=False,
        )

    monkeypatch.setattr("backend.edits.family.learn_profile", learn)
    monkeypatch.setattr("backend.edits.family._explained", lambda shape: 1.0)
    monkeypatch.setattr("backend.prior.profile.profile.save_profile", lambda path, profile: None)
    code, out, _ = omomi("align", tmp_path, "-o", tmp_path / "a.profile", "--json")
    found = json.loads(out)
    assert code == 1 and list(found["members"]) == ["a", "b", "c"]
    assert [one["name"] for one in found["left_out"]] == ["bad"] and "cannot be read" in found["left_out"][0]["why"]


def test_a_name_that_stdout_cannot_print_is_escaped_after_a_good_write(
    omomi: Omomi, box: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, "cp1252", errors="strict"))
    code, _, _ = omomi("fit", box, "-o", tmp_path / "重み.ply")
    sys.stdout.flush()
    assert code == 0 and (tmp_path / "重み.ply").is_file() and rb"\u91cd\u307f.ply" in raw.getvalue()


def test_a_want_of_memory_is_an_error_of_one_sentence(
    omomi: Omomi, engine: BoxEngine, box: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(engine, "fit", full)
    code, _, err = omomi("fit", box, "-o", tmp_path / "a.ply")
    assert code == 1 and "memory does not suffice" in err and "Traceback" not in err


def test_a_folder_that_cannot_be_written_to_is_found_before_the_work(omomi: Omomi, box: Path, tmp_path: Path) -> None:
    (tmp_path / "a.ply").mkdir()
    nowhere = "edit", box, "-o", tmp_path / "no" / "a.ply", "--set", "fill=1"
    for words in (("fit", box, "-o", tmp_path / "a.ply"), nowhere):
        code, _, err = omomi(*words)
        assert code == 1 and "cannot be written" in err and "reading" not in err


def test_measure_tells_energies(omomi: Omomi, tmp_path: Path) -> None:
    trimesh.creation.icosphere(3).export(tmp_path / "ball.ply")
    _, out, _ = omomi("measure", tmp_path / "ball.ply", "--json")
    assert json.loads(out)["energies"]["bending"] == pytest.approx(4 * np.pi, rel=0.02)


@pytest.mark.parametrize("verb", sorted(main._ELSEWHERE))
def test_a_developers_verb_that_is_not_installed_says_so(
    omomi: Omomi, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(main._ELSEWHERE, verb, ".not_there")
    code, _, err = omomi(verb, "--steps", "3")
    assert code == 1 and "not part of this installation" in err


@pytest.mark.parametrize(
    "start", [["-m", "backend"], ["-I", str(BACKEND / "__main__.py")], [str(BACKEND / "__main__.py")]]
)
def test_both_ways_to_start_it_work(start: list[str], tmp_path: Path) -> None:
    folder = BACKEND.parent if start[0] == "-m" else tmp_path
    run = subprocess.run([sys.executable, *start, "--version"], cwd=folder, capture_output=True, text=True)
    assert run.returncode == 0 and run.stdout.startswith("omomi ")


def test_started_as_a_script_only_the_package_and_the_given_folders_are_importable(tmp_path: Path) -> None:
    (tmp_path / "backend").symlink_to(BACKEND, target_is_directory=True)
    (tmp_path / "neighbour.py").write_text("")
    site = tmp_path / "site"
    site.mkdir()
    (site / "wheel.py").write_text("")
    code = (
        "import importlib.util, runpy, sys\n"
        f"sys.argv = ['x', 'measure', 'absent.ply', '--site', {str(site)!r}]\n"
        f"try: runpy.run_path({str(tmp_path / 'backend' / '__main__.py')!r}, run_name='__main__')\n"
        "except SystemExit: pass\n"
        "print([importlib.util.find_spec(n) is not None for n in ('backend', 'neighbour', 'errors', 'wheel')])"
    )
    run = subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert run.stdout.strip().splitlines()[-1] == "[True, False, False, True]", run.stderr


def test_the_real_backend_either_is_ready_or_says_why_not(tmp_path: Path) -> None:
    command = default_command(sys.executable, BACKEND, [tmp_path], "cpu", 1, log=tmp_path / "log")
    with BackendClient(command) as client:
        client.start()
        until(lambda: client.poll() or client.hello or client.failure, "a hello or a reason")
        if client.failure is None:
            assert client.state is State.READY and client.hello is not None and client.hello.device == "cpu"
        else:
            assert client.failure.code is ErrorCode.MODEL_MISSING, client.failure.detail


def test_the_addons_half_needs_only_the_standard_library_and_numpy() -> None:
    code = (
        "import sys\n"
        f"sys.path.insert(0, {str(BACKEND.parent)!r})\n"
        "import backend.protocol.client, backend.protocol.messages\n"
        "heavy = {'scipy', 'trimesh', 'onnxruntime', 'torch', 'bpy', 'socket'} & set(sys.modules)\n"
        "print(sorted(heavy), sorted(name for name in sys.modules if name.startswith('backend.')))"
    )
    run = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.startswith("[] "), run.stdout
