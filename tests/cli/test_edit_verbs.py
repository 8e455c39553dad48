"""The verbs that edit: what they write, that recipes reproduce it, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh

from backend.cli import main
from backend.formats.mesh_files import load_scan
from tests.children import Run
from tests.edits.test_learned import blob, pushed
from tests.fakes import MODEL, MeshEngine
from tests.worker_tasks import ball, engine_of_balls


@pytest.fixture
def engine() -> MeshEngine:
    return MeshEngine(ball=ball(), blob=blob(0))


def test_an_attribute_moves_the_surface_in_world_units_and_a_recipe_reproduces_it(omomi: Run) -> None:
    code, found, _ = omomi("edit", "ball.ply", "-o", "a.ply", "--set", "thickness=2", "--save-recipe", "r.json")
    assert code == 0 and found["largest_move"] == pytest.approx(0.02 * 4, rel=1e-3)
    radius = np.linalg.norm(load_scan(Path("a.ply")).points - [10, 0, 0], axis=1)
    assert np.allclose(radius, 2.08, atol=2e-3)
    assert json.loads(Path("r.json").read_text())["entries"][0]["sha256"] == ""
    assert omomi("edit", "ball.ply", "-o", "b.ply", "--recipe", "r.json")[0] == 0
    assert Path("a.ply").read_bytes() == Path("b.ply").read_bytes()


def test_what_belongs_to_the_fit_goes_to_the_fit_and_into_the_recipe(omomi: Run, engine: MeshEngine) -> None:
    words = ["--set", "fill=0.5", "--set", "denoise=-1", "--level", 1, "--save-recipe", "r.json"]
    assert omomi("edit", "ball.ply", "-o", "a.ply", *words)[0] == 0
    assert (engine.options.fill, engine.options.denoise, engine.options.level) == (0.5, -1.0, 1)
    assert json.loads(Path("r.json").read_text())["fit"]["fill"] == 0.5
    assert np.array_equal(load_scan(Path("a.ply")).points, load_scan(Path("ball.ply")).points)


def test_a_mask_is_that_of_the_options_of_the_fit_too_and_the_recipe_has_it(omomi: Run, engine: MeshEngine) -> None:
    scan = load_scan(Path("ball.ply"))
    np.save("right.npy", (scan.points[:, 0] > 10.5).astype(np.float32))
    words = ["--set", "fill=0.5", "--set", "denoise=-1", "--mask", "right.npy", "--save-recipe", "r.json"]
    runs = [
        ["edit", "ball.ply", "-o", "a.ply", *words],
        ["edit", "ball.ply", "-o", "a.ply", "--recipe", "r.json"],
        ["fit", "ball.ply", "-o", "a.ply", "--fill", "0.5", "--denoise", "-1", "--mask", "right.npy"],
        ["fit", "ball.ply", "-o", "a.ply", "--fill", "0.5", "--mask", "fill=right.npy"],
    ]
    for words, names in zip(runs, (["denoise", "fill"],) * 3 + (["fill"],), strict=True):
        engine.masks = {}
        assert omomi(*words)[0] == 0
        assert sorted(engine.masks) == sorted(engine.options.masks) == names
        left, right = engine.masks["fill"].at(np.array([[-0.8, 0.0, 0.0], [0.8, 0.0, 0.0]]))
        assert (left, right) == (0, 1)
    np.save("short.npy", np.ones(3, np.float32))
    code, _, told = omomi("fit", "ball.ply", "-o", "b.ply", "--fill", "1", "--mask", "short.npy")
    assert code == 1 and "3 weights" in told and not Path("b.ply").exists()


def test_a_new_mesh_is_closed_and_where_the_moved_one_is(omomi: Run) -> None:
    code, found, _ = omomi("edit", "ball.ply", "-o", "a.ply", "--set", "thickness=2", "--remesh")
    mesh = trimesh.load("a.ply")
    assert code == 0 and mesh.is_watertight and found["vertices"] == len(mesh.vertices) != 2562  # type: ignore[union-attr]
    assert np.allclose(np.linalg.norm(mesh.vertices - [10, 0, 0], axis=1), 2.08, atol=6e-3)  # type: ignore[union-attr]


def test_a_mask_is_part_of_the_recipe_and_found_beside_it(omomi: Run) -> None:
    points = load_scan(Path("ball.ply")).points
    np.save("right.npy", (points[:, 0] > 10.5).astype(np.float32))
    words = ["--set", "thickness=2", "--mask", "right.npy", "--keep-topology"]
    assert omomi("edit", "ball.ply", "-o", "a.ply", *words, "--save-recipe", "r.json")[0] == 0
    moved = np.linalg.norm(load_scan(Path("a.ply")).points - points, axis=1)
    assert moved[points[:, 0] > 11].min() > 0.07 and moved[points[:, 0] < 10].max() == 0
    assert omomi("edit", "ball.ply", "-o", "b.ply", "--recipe", "r.json", "--keep-topology")[0] == 0
    assert Path("a.ply").read_bytes() == Path("b.ply").read_bytes()
    Path("right.npy").unlink()
    assert omomi("edit", "ball.ply", "-o", "b.ply", "--recipe", "r.json")[1]["error"]["code"] == "unreadable_file"


def test_a_recipe_away_from_its_mask_is_warned_about(omomi: Run, tmp_path: Path) -> None:
    np.save("all.npy", np.ones(2562, np.float32))
    (tmp_path / "elsewhere").mkdir()
    words = ["--set", "thickness=1", "--mask", "all.npy", "--save-recipe", "elsewhere/r.json"]
    assert "all.npy has to lie beside the recipe." in omomi("edit", "ball.ply", "-o", "a.ply", *words)[1]["warnings"]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--set", "beauty=1"], "bad_option", "thickness"),
        (["--set", "thickness=1", "--mask", "short.npy"], "bad_option", "5"),
        (["--recipe", "foreign.json"], "model_mismatch", "f" * 16),
        (["--recipe", "unknown.json"], "bad_option", "beauty"),
        (["--recipe", "absent.json"], "unreadable_file", "absent.json"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_leaves_nothing(
    omomi: Run, words: list[str], code: str, says: str
) -> None:
    np.save("short.npy", np.zeros(5, np.float32))
    entry = {"edit": "beauty", "strength": 1.0}
    Path("foreign.json").write_text(json.dumps({"version": 1, "model": "f" * 16}))
    Path("unknown.json").write_text(json.dumps({"version": 1, "model": MODEL, "entries": [entry]}))
    exit_code, found, err = omomi("edit", "ball.ply", "-o", "a.ply", *words)
    assert exit_code == 1 and found["error"]["code"] == code and says in found["error"]["message"]
    assert err.strip().endswith(found["error"]["message"]) and not Path("a.ply").exists()


def test_solve_finds_the_strength_and_names_what_can_be_reached(omomi: Run) -> None:
    code, found, _ = omomi("solve", "ball.ply", "-o", "a.ply", "--set", "thickness", "--until", "length_x=4.1")
    assert code == 0 and found["reached"] and found["strength"] == pytest.approx(1.25, abs=0.01)
    assert np.ptp(load_scan(Path("a.ply")).points[:, 0]) == pytest.approx(4.1, abs=0.01)
    code, found, _ = omomi("solve", "ball.ply", "-o", "b.ply", "--set", "thickness", "--until", "length_x=40", "--to=3")
    assert code == 1 and found["error"]["code"] == "no_solution" and "4.24" in found["error"]["message"]
    assert not Path("b.ply").exists()


def test_a_batch_goes_on_where_it_was_stopped_and_past_failures(omomi: Run, engine: MeshEngine) -> None:
    omomi("edit", "ball.ply", "-o", "a.ply", "--set", "thickness=1", "--save-recipe", "r.json")
    Path("bad.ply").write_text("no mesh")
    engine.fits = 0
    code, found, _ = omomi("batch", "r.json", "ball.ply", "bad.ply", "blob.ply", "-o", "out")
    assert code == 1 and (found["done"], found["failed"], engine.fits) == (2, 1, 2)
    assert [result["state"] for result in found["results"]] == ["failed", "done", "done"]
    assert Path("out/ball.ply").read_bytes() == Path("a.ply").read_bytes()
    assert json.loads(Path("out/batch.json").read_text()) == found
    # half a result is none
    Path("out/blob.ply").write_bytes(Path("out/blob.ply").read_bytes()[:-9])
    code, found, _ = omomi("batch", "r.json", "ball.ply", "blob.ply", "-o", "out")
    assert code == 0 and [result["state"] for result in found["results"]] == ["skipped", "done"]
    # another recipe is another result
    omomi("edit", "ball.ply", "-o", "a.ply", "--set", "thickness=2", "--save-recipe", "r.json")
    assert omomi("batch", "r.json", "ball.ply", "-o", "out")[1]["done"] == 1


def test_a_batch_runs_in_several_processes(tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("ball", "other"):
        ball().export(f"{name}.ply")
    entry = {"edit": "thickness", "strength": 1.0}
    Path("r.json").write_text(json.dumps({"version": 1, "model": MODEL, "entries": [entry]}))
    words = ["batch", "r.json", "ball.ply", "other.ply", "-o", "out", "--workers", "2", "--json"]
    assert main.main(words, engine_of_balls) == 0
    assert json.loads(capsys.readouterr().out)["done"] == 2
    assert Path("out/ball.ply").read_bytes() == Path("out/other.ply").read_bytes()


def test_blend_writes_a_mesh_for_every_step_and_the_phase_picture(omomi: Run, engine: MeshEngine) -> None:
    other = blob(0)
    engine.meshes["pushed"] = trimesh.Trimesh(pushed(other), other.faces, process=False)
    engine.meshes["pushed"].export("pushed.ply")
    code, found, err = omomi("blend", "blob.ply", "pushed.ply", "-o", "out", "--steps", 2)
    assert code == 0 and [frame["share"] for frame in found["frames"]] == [0.0, 0.5, 1.0]
    assert np.array_equal(load_scan(Path(found["frames"][0]["output"])).points, load_scan(Path("blob.ply")).points)
    assert trimesh.load(found["frames"][1]["output"]).is_watertight  # type: ignore[union-attr]
    assert Path("out/phase.svg").read_text().startswith("<svg") and found["transitions"] == []
    assert json.loads(Path("out/blend.json").read_text()) == found and "following the topology" in err
    _, few, _ = omomi("blend", "blob.ply", "pushed.ply", "-o", "few", "--steps", 2, "--faces", 60)
    for frame in few["frames"]:
        faces = load_scan(Path(frame["output"])).faces
        assert faces is not None and len(faces) == frame["faces"] <= 66 < len(other.faces)
