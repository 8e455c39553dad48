"""Paths on the command line: folders and patterns name scans, and no verb writes over what it reads."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from backend.cli.main import main
from backend.cli.paths import scans_of, spare_inputs
from backend.errors import ErrorCode, OmomiError
from backend.formats.mesh_files import load_scan, save_mesh
from tests.fakes import MeshEngine
from tests.scan_shapes import globe

POINTS, FACES = globe()


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable:
    """Runs a command in a folder with a.ply and b.ply: (exit code, what was printed)."""
    monkeypatch.chdir(tmp_path)
    import trimesh

    mesh = trimesh.Trimesh(POINTS, FACES, process=False)
    engine = MeshEngine(**dict.fromkeys(("a", "b", "link", "hard"), mesh))
    for name in ("a.ply", "b.ply"):
        save_mesh(Path(name), POINTS, FACES)

    def command(*words: object) -> tuple[int, str]:
        capsys.readouterr()
        code = main([str(word) for word in words], lambda device, threads: engine)
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return command


def test_a_folder_and_a_pattern_name_the_scans_in_them_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("b.ply", "a.obj", "notes.txt", ".hidden.ply", "cloud.xyz"):
        Path(name).touch()
    Path("sub").mkdir()
    assert scans_of([Path()]) == [Path("a.obj"), Path("b.ply"), Path("cloud.xyz")]
    assert scans_of([Path("*.ply"), Path("a.obj"), Path("b.ply")]) == [Path("b.ply"), Path("a.obj")]
    # a name that is no pattern is left to the reader, which says what is wrong with it
    assert scans_of([Path("gone.ply")]) == [Path("gone.ply")]
    # a file whose name looks like a pattern is that file
    Path("scan[1].ply").touch()
    assert scans_of([Path("scan[1].ply")]) == [Path("scan[1].ply")]
    for empty in (Path("sub"), Path("*.stl")):
        with pytest.raises(OmomiError, match="names no scan"):
            scans_of([empty])


def test_links_of_any_kind_are_seen_through(tmp_path: Path) -> None:
    source = tmp_path / "a.ply"
    source.touch()
    os.symlink(source, tmp_path / "link.ply")
    os.link(source, tmp_path / "hard.ply")
    os.symlink(tmp_path, tmp_path / "folder")
    for name in ("a.ply", "link.ply", "hard.ply", "folder/a.ply", "folder/../" + tmp_path.name + "/a.ply"):
        with pytest.raises(OmomiError, match="one of the inputs") as caught:
            spare_inputs([tmp_path / "new.ply", tmp_path / name], [None, source])
        assert caught.value.code is ErrorCode.BAD_OPTION
    spare_inputs([tmp_path / "new.ply"], [source, tmp_path / "gone.ply"])


OVER = [
    "fit a.ply -o a.ply",
    "fit a.ply b.ply -o .",
    "fit . -o .",
    "fit *.ply -o .",
    "fit a.ply -o link.ply",
    "fit a.ply -o hard.ply",
    "fit x-0-level2.ply -o x.ply --frames .",
    "fit x-1.ply -o x.ply --variations 2",
    "edit a.ply -o a.ply --set thickness=1",
    "edit a.ply -o hard.ply --set thickness=1 --keep-topology",
    "edit a.ply -o b.ply --recipe r.json --save-recipe r.json",
    "edit a.ply -o b.ply --set thickness=1 --mask m.npy --save-recipe m.npy",
    "solve a.ply -o link.ply --set thickness --until length_x=1",
    "sweep phase.svg.ply --set thickness -o out --mask out/sweep.json",
    "blend out/blend-0.ply a.ply -o out --steps 1",
    "learn --before a.ply --after b.ply -o hard.omomi",
    "batch r.json a.ply b.ply -o .",
    "batch out/batch.json a.ply -o out",
    "align . -o hard.profile",
    "audit a.ply -o hard.ply",
]


@pytest.mark.parametrize("words", OVER)
def test_no_verb_writes_over_what_it_reads(run: Callable, words: str) -> None:
    Path("r.json").write_text('{"version": 1, "model": "0123456789abcdef", "entries": []}')
    np.save("m.npy", np.ones(len(POINTS), np.float32))
    Path("out").mkdir()
    for name in ("out/sweep.json", "out/blend-0.ply", "out/batch.json", "x-0-level2.ply", "x-1.ply"):
        Path(name).write_bytes(Path("r.json").read_bytes() if name.endswith("json") else Path("a.ply").read_bytes())
    os.symlink("a.ply", "link.ply")
    for name in ("hard.ply", "hard.omomi", "hard.profile"):
        os.link("a.ply", name)
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    code, said = run(*words.split())
    assert code == 1 and "one of the inputs" in said
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before


def test_a_pattern_fits_all_that_it_matches_into_a_folder(run: Callable) -> None:
    code, _ = run("fit", "[ab].ply", "-o", "out", "--frames", "frames")
    assert code == 0 and sorted(path.name for path in Path("out").iterdir()) == ["a.ply", "b.ply"]
    # one scan in a folder goes to a folder too, unless a file is asked for
    Path("one").mkdir()
    os.rename("a.ply", "one/a.ply")
    assert run("fit", "one", "-o", "made")[0] == 0 and len(load_scan(Path("made/a.ply")).points) == len(POINTS)
    assert run("fit", "one", "-o", "made.obj")[0] == 0 and Path("made.obj").is_file()
