"""What the command line and the server do with the prior over shapes: verbs, recipes, requests, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh

from backend.cli import main
from backend.edits.stack import EditSession
from backend.errors import ErrorCode, OmomiError
from backend.field.onnx_model import CODE
from backend.formats.mesh_files import load_scan
from backend.prior import shape_prior
from backend.protocol.fit_options import FitOptions
from backend.protocol.messages import Done, FitDone, MeshFrame
from backend.protocol.recipe import Layer
from backend.protocol.requests import (
    AlignRequest,
    AuditRequest,
    CheckRequest,
    FitRequest,
    LearnRequest,
    SampleRequest,
    StackRequest,
    SweepRequest,
)
from backend.server.fit_cache import FitCache
from backend.server.handlers import JobContext, perform
from backend.server.jobs import Job
from tests.children import Run
from tests.fake_priors import BallModel, prior_of
from tests.fakes import MeshEngine, subject_of

BALL = trimesh.creation.icosphere(3, radius=2.0)
POINTS, FACES = np.asarray(BALL.vertices, "<f8"), np.asarray(BALL.faces, "<i4")


class PriorEngine(MeshEngine):
    """Its model sees balls, one for each that is wanted."""

    balls: tuple[tuple[float, float], ...] = ((0.0, 0.8),)

    @property
    def model(self) -> Any:
        return BallModel(*self.balls)


@pytest.fixture(autouse=True)
def prior(monkeypatch: pytest.MonkeyPatch) -> shape_prior.ShapePrior:
    found = prior_of()
    monkeypatch.setattr(shape_prior, "shipped_prior", lambda: found)
    return found


@pytest.fixture
def engine() -> PriorEngine:
    return PriorEngine(ball=BALL, box=trimesh.creation.box((1, 1, 3)).subdivide().subdivide().subdivide())


# The command line


def test_scores_tell_the_usual_from_the_unusual_and_what_they_are_like(omomi: Run, capsys: Any, engine: Any) -> None:
    code, found, _ = omomi("score", "ball.ply", "box.ply")
    ball, box = found["results"]
    assert code == 0 and ball["plausibility"] > 0.9 > 0.1 > box["plausibility"]
    assert ball["nearest"][0]["family"] == "ball" and "family" not in ball
    assert main.main(["score", "ball.ply", "box.ply"], lambda device, threads: engine) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["scan", "plausibility", "most", "like", "distance"] and len(lines) == 3


def test_one_bad_scan_does_not_cost_the_others_their_scores(omomi: Run) -> None:
    Path("bad.ply").write_bytes(b"ply\nthis is no mesh")
    code, found, err = omomi("score", "bad.ply", "ball.ply")
    assert code == 1 and ["error" in row for row in found["results"]] == [True, False] and "bad.ply" in err
    assert omomi("score", "bad.ply")[0] == 1


def test_a_profile_that_is_none_is_refused(omomi: Run) -> None:
    Path("family.profile").write_bytes(b"no profile")
    for words in (["score", "ball.ply"], ["fit", "ball.ply", "-o", "out.ply"]):
        for name in ("family.profile", "absent.profile"):
            code, found, _ = omomi(*words, "--profile", name)
            assert code == 1 and found["error"]["code"] == "unreadable_file"


def test_samples_are_written_with_what_they_are_like(omomi: Run, engine: PriorEngine) -> None:
    code, found, _ = omomi("sample", "-n", 2, "--seed", 7, "--level", 0, "-o", "made")
    assert code == 0 and [row["seed"] for row in found["samples"]] == [7, 8]
    assert json.loads(Path("made/samples.json").read_text()) == found
    for row in found["samples"]:
        mesh = trimesh.load(row["output"])
        assert mesh.is_watertight and len(mesh.faces) == row["faces"]  # type: ignore[union-attr]
        assert 0 <= row["plausibility"] <= 1 and row["nearest"][0]["family"] == "ball"
    engine.balls = ()
    code, found, err = omomi("sample", "--seed", 3, "--level", 0, "-o", "none")
    assert code == 1 and found["samples"][0]["error"]["code"] == "no_surface" and "seed 3" in err
    assert [path.name for path in Path("none").iterdir()] == ["samples.json"]


@pytest.mark.parametrize("words", [["-n", "0"], ["-n", "1001"], ["--seed", "-1"], ["--seed", "x"], ["--level", "6"]])
def test_samples_that_cannot_be_meant_are_misuse(words: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main.main(["sample", "-o", "d", *words], lambda device, threads: None)  # type: ignore[arg-type,return-value]
    assert caught.value.code == 2


def test_a_shape_slider_is_an_edit_like_any_other_and_a_recipe_reproduces_it(omomi: Run) -> None:
    words = ["--set", "shape:size=1", "--set", "thickness=1", "--save-recipe", "r.json"]
    code, found, _ = omomi("edit", "ball.ply", "-o", "a.ply", *words)
    # half a voxel of level 0 and a hundredth of the longest side, 4
    assert code == 0 and found["largest_move"] == pytest.approx((0.5 / 16 + 0.016) / 0.4, rel=1e-2)
    entries = json.loads(Path("r.json").read_text())["entries"]
    assert [entry.get("kind") for entry in entries] == ["shape", None] and entries[0]["edit"] == "size"
    assert omomi("edit", "ball.ply", "-o", "b.ply", "--recipe", "r.json")[0] == 0
    assert Path("a.ply").read_bytes() == Path("b.ply").read_bytes()
    Path("r.json").write_text(Path("r.json").read_text().replace('"size"', '"charm"'))
    assert omomi("edit", "ball.ply", "-o", "b.ply", "--recipe", "r.json")[1]["error"]["code"] == "bad_option"


def test_the_way_to_the_plausible_ends_at_full_strength(omomi: Run) -> None:
    for name, strength in (("one", 1), ("nine", 9)):
        words = ["--set", "shape:size=4", "--set", f"shape:plausible={strength}"]
        assert omomi("edit", "ball.ply", "-o", f"{name}.ply", *words)[0] == 0
    one, nine = (load_scan(Path(f"{name}.ply")).points for name in ("one", "nine"))
    assert np.array_equal(one, nine)
    assert np.linalg.norm(one, axis=1).mean() < 2.0 + 4 * 0.5 / 16 / 0.4 - 0.05


def test_a_slider_that_the_model_does_not_have_is_refused_by_name(omomi: Run) -> None:
    code, found, _ = omomi("edit", "ball.ply", "-o", "a.ply", "--set", "shape:charm=1")
    assert code == 1 and found["error"]["code"] == "bad_option" and "size, bend, plausible" in found["error"]["message"]


def test_a_shape_slider_is_swept_over_its_own_range_and_solved_for(omomi: Run) -> None:
    code, found, _ = omomi("sweep", "ball.ply", "--set", "shape:size", "--steps", 2, "-o", "swept")
    assert code == 0 and [found["rows"][at]["strength"] for at in (0, -1)] == [-2.0, 2.0]
    code, found, _ = omomi("solve", "ball.ply", "--set", "shape:size", "--until", "length_x=4.1", "-o", "s.ply")
    assert code == 0 and found["reached"] and found["strength"] == pytest.approx(0.05 / (0.5 / 16 / 0.4), rel=0.02)


def test_other_completions_are_written_beside_the_first_and_symmetry_can_be_off(
    omomi: Run, engine: PriorEngine, monkeypatch: Any
) -> None:
    asked: list[FitOptions] = []
    plain = engine.fit

    def fit(raw: Any, options: Any, *rest: Any, **more: Any) -> Any:
        asked.append(options)
        return plain(raw, options, *rest, **more)

    monkeypatch.setattr(engine, "fit", fit)
    code, found, _ = omomi("fit", "ball.ply", "-o", "out.ply", "--variations", 2, "--no-symmetry")
    assert code == 0 and [row["output"] for row in found["results"]] == ["out.ply", "out-1.ply", "out-2.ply"]
    assert all(Path(row["output"]).is_file() for row in found["results"])
    assert [options.variation for options in asked] == [0, 1, 2]
    assert all(options.symmetry is False for options in asked)


def test_completions_of_scans_with_one_name_do_not_overwrite_each_other(omomi: Run) -> None:
    Path("other").mkdir()
    Path("other/ball.ply").write_bytes(Path("ball.ply").read_bytes())
    code, found, _ = omomi("fit", "ball.ply", "other/ball.ply", "-o", "out", "--variations", 2)
    names = [row["output"] for row in found["results"]]
    assert code == 0 and len(names) == 6 == len(set(names))


# The server


def ask(engine: PriorEngine, request: Any, shelf: FitCache | None = None) -> tuple[FitDone | Done, list[MeshFrame]]:
    """What a request is answered with, and the meshes that came before."""
    job, meshes = Job(request), []
    job.begin(engine.token())
    return perform(JobContext(engine, shelf or FitCache(), job, lambda share, text: None, meshes.append)), meshes


def refused(engine: PriorEngine, request: Any, shelf: FitCache | None = None) -> ErrorCode:
    with pytest.raises(OmomiError) as caught:
        ask(engine, request, shelf)
    return caught.value.code


@pytest.fixture
def shelf() -> FitCache:
    shelf = FitCache()
    shelf.put(1, EditSession(subject_of(BALL, "ball"), (0.0, 0.0, 0.0)))
    return shelf


def test_a_sample_streams_and_says_what_it_is_like(engine: PriorEngine) -> None:
    done, meshes = ask(engine, SampleRequest(9, 3, 1))
    assert [(mesh.level, mesh.final) for mesh in meshes] == [(0, False), (1, True)]
    assert isinstance(done, Done) and set(done.result) == {"plausibility", "nearest"}
    assert done.result["nearest"][0]["family"] == "ball"
    for seed, level in ((-1, 1), (1 << 31, 1), (0, -1), (0, 6)):
        assert refused(engine, SampleRequest(9, seed, level)) is ErrorCode.BAD_OPTION
    engine.balls = ()
    assert refused(engine, SampleRequest(9, 3, 1)) is ErrorCode.NO_SURFACE


def slider(name: str) -> Layer:
    return Layer(name, 1.0, kind="shape")


def test_a_check_tells_the_plausibility_of_the_shape_as_edited(engine: PriorEngine, shelf: FitCache) -> None:
    ask(engine, StackRequest(2, 1, "fit", (slider("bend"),)), shelf)
    rest, driven = (ask(engine, CheckRequest(3, 1, (strength,), ""), shelf)[0] for strength in (0.0, 20.0))
    assert isinstance(rest, Done) and isinstance(driven, Done)
    assert rest.result["plausibility"]["value"] > driven.result["plausibility"]["value"]
    assert rest.result["family"] is None and rest.deviation is None and rest.values is not None
    assert set(rest.result["plausibility"]["nearest"][0]) == {"family", "distance"}


def test_a_stack_takes_shape_sliders_and_refuses_what_is_none(engine: PriorEngine, shelf: FitCache) -> None:
    done, _ = ask(engine, StackRequest(2, 1, "fit", (slider("plausible"), slider("size"))), shelf)
    assert isinstance(done, Done)
    assert [(layer["name"], layer["kind"]) for layer in done.result["layers"]] == [
        ("plausible", "shape"),
        ("size", "shape"),
    ]
    assert refused(engine, StackRequest(2, 1, "fit", (slider("charm"),)), shelf) is ErrorCode.BAD_OPTION
    # beyond the plausible there is nothing to sweep
    assert refused(engine, SweepRequest(3, 1, (0.0, 0.0), 0, 2.0, 3.0, 2), shelf) is ErrorCode.BAD_OPTION


def test_files_that_a_request_names_are_looked_at_before_anything_else(
    engine: PriorEngine, shelf: FitCache, tmp_path: Path
) -> None:
    bad, unreadable = ErrorCode.BAD_OPTION, ErrorCode.UNREADABLE_FILE
    for profile, code in (
        ("a\0.profile", bad),
        (str(tmp_path / "none.profile"), unreadable),
        (str(tmp_path), unreadable),
    ):
        assert refused(engine, CheckRequest(3, 1, (), profile), shelf) is code
        assert refused(engine, FitRequest(3, "ball", FitOptions(), profile, POINTS, FACES)) is code
    assert engine.fits == 0
    for path in ("", "a\0.html", str(tmp_path / "page.exe")):
        assert refused(engine, AuditRequest(4, -1, path, "")) is bad
    page = str(tmp_path / "page.html")
    assert refused(engine, AuditRequest(4, -1, page, str(tmp_path / "none.json"))) is unreadable
    assert refused(engine, AuditRequest(4, 99, page, "")) is ErrorCode.UNKNOWN_SCAN
    assert list(tmp_path.iterdir()) == []


def test_a_family_is_counted_before_it_is_aligned(engine: PriorEngine, tmp_path: Path) -> None:
    path, size = str(tmp_path / "a.profile"), (len(POINTS), len(FACES))
    cases: list[tuple[str, tuple[str, ...], tuple[int, ...]]] = [
        (str(tmp_path / "a.omomi"), ("a",), size),
        ("a\0.profile", ("a",), size),
        (path, ("a", "b"), size),
        (path, ("a",), (*size, 0)),
        (path, ("a",), (len(POINTS) + 1, len(FACES))),
        (path, ("a",), (-1, 1)),
        (path, ("a",), (1 << 62, 1)),
        (path, (), ()),
        # a member alone is no family
        (path, ("a",), size),
    ]
    for where, names, counts in cases:
        assert refused(engine, AlignRequest(5, "a", where, names, counts, POINTS, FACES)) is ErrorCode.BAD_OPTION
    assert refused(engine, LearnRequest(6, "a", "a.omomi", size, POINTS, FACES)) is ErrorCode.BAD_OPTION
    assert list(tmp_path.iterdir()) == []


def test_an_audit_is_a_page_with_the_scan_on_it(engine: PriorEngine, shelf: FitCache, tmp_path: Path) -> None:
    done, _ = ask(engine, AuditRequest(4, 1, str(tmp_path / "page.html"), ""), shelf)
    assert isinstance(done, Done) and done.result == {"path": str(tmp_path / "page.html")}
    assert b"ball" in (tmp_path / "page.html").read_bytes()


def test_the_prior_has_codes_of_the_length_that_the_model_takes(prior: shape_prior.ShapePrior) -> None:
    assert prior.codes.basis.shape[1] == CODE == prior.flow.size
