"""``omomi patch`` on files: what it writes, lists and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import trimesh

from backend.cli.main import main
from backend.formats.mesh_files import load_scan, save_mesh
from backend.geometry.topology import edge_report
from tests.fakes import MeshEngine
from tests.scan.test_holes import mug


def run(*words: object) -> int:
    return main([*map(str, words)], lambda device, threads: MeshEngine(mug=trimesh.Trimesh(*mug(), process=False)))


@pytest.fixture
def mug_file(tmp_path: Path) -> Path:
    path = tmp_path / "mug.ply"
    save_mesh(path, *mug())
    return path


@pytest.mark.parametrize("suffix", [".ply", ".npz"])
def test_the_file_holds_the_mesh_first_and_as_it_was(mug_file: Path, tmp_path: Path, suffix: str) -> None:
    output = tmp_path / f"out{suffix}"
    assert run("patch", mug_file, "-o", output, "--close", "smooth") == 0
    before, after = load_scan(mug_file), load_scan(output)
    assert before.faces is not None and after.faces is not None
    assert after.points[: len(before.points)].tobytes() == before.points.tobytes()
    assert after.faces[: len(before.faces)].tobytes() == before.faces.tobytes()
    assert edge_report(after.faces).boundary_loops == 1


def test_the_list_names_holes_and_openings_and_writes_nothing(
    mug_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("patch", mug_file, "--list") == 0
    head, hole, opening = capsys.readouterr().out.splitlines()
    assert "perimeter" in head and " hole " in hole and " opening " in opening and "mouth" in opening
    assert run("patch", mug_file, "--list", "--json") == 0
    rows = json.loads(capsys.readouterr().out)["holes"]
    assert [row["is_hole"] for row in rows] == [True, False] and rows[0]["closed"] == ""
    assert [path.name for path in mug_file.parent.iterdir()] == ["mug.ply"]


def test_what_is_left_open_is_said(mug_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("patch", mug_file, "-o", tmp_path / "out.ply", "--close", "flat") == 0
    assert "Opening 2 is left open" in capsys.readouterr().err
    assert run("patch", mug_file, "-o", tmp_path / "out.ply", "--holes", "1,2", "--close", "flat") == 0
    assert "left open" not in capsys.readouterr().err
    assert edge_report(load_scan(tmp_path / "out.ply").faces).watertight  # type: ignore[arg-type]


def test_the_input_is_never_written_over_and_notes_are_said(
    mug_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = mug_file.read_bytes()
    (tmp_path / "other.ply").symlink_to(mug_file)
    for path in (mug_file, tmp_path / "other.ply"):
        assert run("patch", mug_file, "-o", path, "--close", "flat") == 1
    assert "written over" in capsys.readouterr().err and mug_file.read_bytes() == before
    assert run("patch", mug_file, "-o", tmp_path / "out.glb", "--close", "flat", "--json") == 0
    assert "written anew" in json.loads(capsys.readouterr().out)["notes"][0]


@pytest.mark.parametrize(
    ("words", "code"),
    [(["--holes", "0"], 2), (["--holes", "x"], 2), (["--close", "magic"], 2), ([], 2), (["-o", "out.txt"], 2)],
)
def test_misuse_ends_with_2(mug_file: Path, words: list[str], code: int) -> None:
    with pytest.raises(SystemExit) as ended:
        run("patch", mug_file, *words)
    assert ended.value.code == code


def test_a_hole_that_is_not_there_and_bare_points_are_refused(mug_file: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.ply"
    assert run("patch", mug_file, "-o", output, "--holes", "7") == 1
    points = tmp_path / "points.npz"
    np.savez(points, points=np.random.default_rng(0).normal(size=(50, 3)))
    assert run("patch", points, "-o", output) == 1
    assert not output.exists()
