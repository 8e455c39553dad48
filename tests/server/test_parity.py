"""The same request through the command line and through the server: the same mesh bit for bit, the same warnings, the
same JSON. Both run in this process with one engine, whose fits are the scans' own meshes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh

from backend.cli.main import main
from backend.errors import ErrorCode, OmomiError
from backend.formats.mesh_files import load_scan
from backend.prior import shape_prior
from backend.protocol.fit_options import FitOptions
from backend.protocol.messages import Done, FitDone, MeshFrame
from backend.protocol.recipe import Layer, MaskRef
from backend.protocol.requests import (
    AlignRequest,
    ApplyRequest,
    AuditRequest,
    BlendRequest,
    CheckRequest,
    FitRequest,
    LearnRequest,
    PatchRequest,
    ReadRequest,
    SampleRequest,
    SolveRequest,
    StackRequest,
    SweepRequest,
)
from backend.server.fit_cache import FitCache
from backend.server.handlers import JobContext, perform
from backend.server.jobs import Job
from tests.edits.test_learned import blob, pushed
from tests.fake_priors import BallModel, prior_of
from tests.fakes import MeshEngine

SMALL = 4
"""Subdivisions of the meshes: some 2,500 vertices."""
BLOB = trimesh.Trimesh(blob(0, SMALL).vertices + [10, -3, 0.5], blob(0, SMALL).faces, process=False)


class BallEngine(MeshEngine):
    """Its model sees one ball, whatever it is told."""

    @property
    def model(self) -> Any:
        return BallModel((0.0, 0.8))


class Both:
    """Runs a command and a request, each with its own memory but one engine."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.engine = BallEngine(blob=BLOB, other=trimesh.Trimesh(pushed(BLOB), BLOB.faces, process=False))
        self.fits, self.frames, self.numbers = FitCache(), [], iter(range(1, 100))
        self._capsys = capsys
        for name, mesh in self.engine.meshes.items():
            mesh.export(f"{name}.ply", vertex_normal=False)

    def cli(self, *words: object) -> dict[str, Any]:
        self._capsys.readouterr()
        code = main([*map(str, words), "--json"], lambda device, threads: self.engine)
        captured = self._capsys.readouterr()
        assert code == 0, captured.err
        return json.loads(captured.out)

    def ask(self, kind: type, **fields: Any) -> Done | FitDone:
        job, self.frames = Job(kind(id=next(self.numbers), **fields)), []
        job.begin(self.engine.token())
        return perform(JobContext(self.engine, self.fits, job, lambda share, text: None, self.frames.append))

    def fit(self, name: str = "blob", **options: Any) -> int:
        scan = load_scan(Path(f"{name}.ply"))
        done = self.ask(
            FitRequest, name=name, options=FitOptions(**options), profile="", points=scan.points, faces=scan.faces
        )
        return done.id

    def apply(
        self, handle: int, body: str, layers: list[Layer], outcome: str, masks: np.ndarray | None = None
    ) -> dict[str, Any]:
        stacked = self.ask(StackRequest, handle=handle, body=body, layers=tuple(layers), masks=masks)
        strengths = tuple(layer.strength for layer in layers)
        done = self.ask(ApplyRequest, handle=handle, strengths=strengths, outcome=outcome)
        assert isinstance(stacked, Done) and isinstance(done, Done)
        return {**stacked.result, **done.result}


@pytest.fixture
def both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Both:
    monkeypatch.chdir(tmp_path)
    prior = prior_of()
    for name in ("shipped_prior", "installed_prior"):
        monkeypatch.setattr(shape_prior, name, lambda: prior)
    return Both(capsys)


def assert_same_mesh(path: Path | str, frame: MeshFrame) -> None:
    """A file holds world coordinates in double precision, a frame single ones from its origin."""
    with np.load(path) as mesh:
        assert (mesh["points"] - frame.origin).astype("<f4").tobytes() == frame.vertices.tobytes()
        assert mesh["faces"].astype("<i4").tobytes() == frame.faces.tobytes()
        assert mesh["sigma"].astype("<f4").tobytes() == frame.sigma.tobytes()


def same(summary: dict[str, Any], answer: dict[str, Any]) -> None:
    """All that the server says, the command line says, in the same words."""
    assert {key: summary[key] for key in answer} == json.loads(json.dumps(answer))


@pytest.fixture(scope="module")
def bump(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The file of an edit that was learned on the command line."""
    folder = tmp_path_factory.mktemp("bump")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_pair()
        words = ["learn", "--before", "before.ply", "--after", "after.ply", "-o", "bump.omomi", "--json"]
        assert main(words, lambda device, threads: BallEngine()) == 0
    return (folder / "bump.omomi").read_bytes()


def write_pair() -> None:
    BLOB.export("before.ply", vertex_normal=False)
    trimesh.Trimesh(pushed(BLOB), BLOB.faces, process=False).export("after.ply", vertex_normal=False)


def test_a_fit_is_the_same_mesh_and_the_same_report(both: Both) -> None:
    found = both.cli("fit", "blob.ply", "-o", "a.npz", "--level", 1, "--fill", 0.5, "--as", "solid")["results"][0]
    handle = both.fit(level=1, fill=0.5, kind="solid")
    assert_same_mesh("a.npz", both.frames[-1])
    assert both.engine.options == FitOptions(level=1, fill=0.5, kind="solid")
    assert found["level"] == both.fits.take(handle).fitted.fit.mesh.level  # type: ignore[union-attr]


EDITS: dict[str, tuple[list[str], list[Layer]]] = {
    "attribute": (["--set", "thickness=1.5"], [Layer("thickness", 1.5)]),
    "attributes": (
        ["--set", "thickness=-0.5", "--set", "smoothness=0.7"],
        [Layer("thickness", -0.5), Layer("smoothness", 0.7)],
    ),
    "far outside of what was seen": (["--set", "thickness=5"], [Layer("thickness", 5.0)]),
    "shape": (["--set", "shape:size=0.5"], [Layer("size", 0.5, kind="shape")]),
    "plausible after bend": (
        ["--set", "shape:bend=3", "--set", "shape:plausible=2"],
        [Layer("bend", 3.0, kind="shape"), Layer("plausible", 2.0, kind="shape")],
    ),
    "learned": (["--edit", "bump.omomi=0.75"], [Layer("bump", 0.75, path="bump.omomi")]),
    "learned, far outside": (["--edit", "bump.omomi=-3"], [Layer("bump", -3.0, path="bump.omomi")]),
}


WAYS = {
    "fit": ([], "fit", "carried"),
    "scan": (["--keep-topology"], "scan", "carried"),
    "new mesh": (["--remesh"], "fit", "remeshed"),
}


def test_a_painted_fit_is_told_the_same(both: Both) -> None:
    scan = load_scan(Path("blob.ply"))
    weights = np.linspace(0, 1, len(scan.points), dtype=np.float32)
    np.save("rim.npy", weights)
    both.cli("fit", "blob.ply", "-o", "out.npz", "--fill", 0.5, "--mask", "fill=rim.npy")
    options, masks = both.engine.options, both.engine.masks
    row = FitOptions(fill=0.5, fill_mask=MaskRef("row", row=0))
    sent = {"options": row, "profile": "", "points": scan.points, "faces": scan.faces, "masks": weights}
    both.ask(FitRequest, name="blob", **sent)
    assert both.engine.options == options == row and list(both.engine.masks) == list(masks) == ["fill"]
    assert np.array_equal(both.engine.masks["fill"].weights, masks["fill"].weights)
    assert masks["fill"].weights.max() > 0.9
    with pytest.raises(OmomiError, match="between 0 and 1"):
        both.ask(FitRequest, name="blob", **{**sent, "masks": 2 * weights})


@pytest.mark.parametrize(
    ("name", "way"),
    [*((name, "fit") for name in EDITS), ("attribute", "new mesh"), ("learned", "scan"), ("shape", "scan")],
)
def test_an_edit_is_the_same_mesh_with_the_same_warnings(both: Both, bump: bytes, name: str, way: str) -> None:
    Path("bump.omomi").write_bytes(bump)
    (given, layers), (words, body, outcome) = EDITS[name], WAYS[way]
    found = both.cli("edit", "blob.ply", "-o", "a.npz", *given, *words)
    answer = both.apply(both.fit(), body, layers, outcome)
    assert_same_mesh("a.npz", both.frames[-1])
    same(found, answer)
    if "far outside" in name:
        assert any("far outside" in warning for warning in found["warnings"])


def test_doubts_of_a_learned_edit_and_changes_of_topology_are_warned_of_on_both_sides(both: Both) -> None:
    plate = trimesh.creation.box((2, 1, 0.2)).subdivide().subdivide().subdivide().subdivide()
    hollow = trimesh.Trimesh(plate.vertices, plate.faces, process=False)
    plate.export("before.ply", vertex_normal=False)
    hollow.export("after.ply", vertex_normal=False)
    both.cli("learn", "--before", "before.ply", "--after", "after.ply", "-o", "nothing.omomi")
    both.engine.meshes["plate"] = plate
    plate.export("plate.ply", vertex_normal=False)
    given = ["--edit", "nothing.omomi=1", "--set", "thickness=-20"]
    found = both.cli("edit", "plate.ply", "-o", "a.npz", *given)
    layers = [Layer("thickness", -20.0), Layer("nothing", 1.0, path="nothing.omomi")]
    same(found, both.apply(both.fit("plate"), "fit", layers, "carried"))
    assert any("does nothing" in warning for warning in found["warnings"])
    assert found["topology"]["change"] in found["warnings"]


@pytest.mark.parametrize("mask", ["painted", "box", "muted"])
def test_a_mask_and_a_recipe_do_the_same(both: Both, mask: str) -> None:
    weights = np.linspace(0, 1, len(BLOB.vertices)).astype(np.float32)
    np.save("rim.npy", weights)
    box = MaskRef("box", low=(-1.0, -1.0, 0.0), high=(1.0, 1.0, 1.0), falloff=0.1)
    in_file = {"painted": MaskRef("file", name="rim"), "box": box, "muted": None}[mask]
    entry = Layer("thickness", 2.0, mask=in_file, mute=mask == "muted")
    recipe = {"version": 1, "model": both.engine.info().model_hash, "entries": [entry.to_json()]}
    Path("r.json").write_text(json.dumps(recipe))
    found = both.cli("edit", "blob.ply", "-o", "a.npz", "--recipe", "r.json")
    sent = MaskRef("row", row=0) if mask == "painted" else in_file
    layer = Layer("thickness", 2.0, mask=sent, mute=entry.mute)
    answer = both.apply(both.fit(), "fit", [layer], "carried", weights if mask == "painted" else None)
    assert_same_mesh("a.npz", both.frames[-1])
    same(found, answer)


def test_a_sweep_finds_the_same(both: Both) -> None:
    found = both.cli("sweep", "blob.ply", "--set", "thickness", "--from", -1, "--to", 1, "--steps", 2, "-o", "out")
    handle = both.fit()
    both.ask(StackRequest, handle=handle, body="fit", layers=(Layer("thickness", 1.0),))
    asked = {"handle": handle, "strengths": (0.0,), "layer": 0, "low": -1.0, "high": 1.0, "steps": 2}
    answer = both.ask(SweepRequest, **asked)
    assert isinstance(answer, Done)
    assert Path("out/phase.svg").read_text() == answer.result.pop("picture")
    same(found, answer.result)


def test_a_solution_is_the_same(both: Both) -> None:
    found = both.cli("solve", "blob.ply", "-o", "a.npz", "--set", "thickness", "--until", "length_x=2.6")
    handle = both.fit()
    both.ask(StackRequest, handle=handle, body="fit", layers=(Layer("thickness", 1.0),))
    asked = {"handle": handle, "strengths": (0.0,), "layer": 0, "measure": "length_x", "value": 2.6}
    answer = both.ask(SolveRequest, **asked)
    assert isinstance(answer, Done)
    same(found, answer.result)
    both.ask(ApplyRequest, handle=handle, strengths=(answer.result["strength"],), outcome="carried")
    assert_same_mesh("a.npz", both.frames[-1])


def test_a_blend_is_the_same_at_every_share(both: Both) -> None:
    found = both.cli("blend", "blob.ply", "other.ply", "-o", "out", "--steps", 2)
    first, second = both.fit(), both.fit("other")
    for frame in found["frames"]:
        asked = {"handle": first, "other": second, "share": frame["share"], "guarded": False, "steps": 2}
        answer = both.ask(BlendRequest, **asked)
        assert isinstance(answer, Done)
        mesh, sent = load_scan(Path(frame["output"])), both.frames[-1]
        # the files of a blend are PLY, in single precision
        assert np.allclose(mesh.points, sent.world(), rtol=0, atol=2e-6)
        assert mesh.faces is not None and np.array_equal(mesh.faces, sent.faces)
        answer.result.pop("topology")
        assert Path("out/phase.svg").read_text() == answer.result.pop("picture")
        same(found, answer.result)


def test_an_edit_is_learned_the_same_to_the_byte(both: Both) -> None:
    write_pair()
    before, after = load_scan(Path("before.ply")), load_scan(Path("after.ply"))
    marked = "--at=" + ",".join(map(repr, before.points[0].tolist()))
    found = both.cli("learn", "--before", "before.ply", "--after", "after.ply", "-o", "bump.omomi", marked)
    assert before.faces is not None and after.faces is not None
    counts = (len(before.points), len(before.faces), len(after.points), len(after.faces))
    answer = both.ask(
        LearnRequest, name="before", path="other.omomi", counts=counts,
        points=np.concatenate([before.points, after.points]), faces=np.concatenate([before.faces, after.faces]),
        marks=before.points[:1],
    )  # fmt: skip
    assert isinstance(answer, Done)
    same(found, answer.result)
    assert Path("other.omomi").read_bytes() == Path("bump.omomi").read_bytes()


def test_a_family_is_refused_in_the_same_words(both: Both, capsys: pytest.CaptureFixture[str]) -> None:
    Path("family").mkdir()
    BLOB.export("family/blob.ply", vertex_normal=False)
    assert main(["align", "family", "-o", "a.profile", "--json"], lambda device, threads: both.engine) == 1
    said = json.loads(capsys.readouterr().out)["error"]["message"]
    with pytest.raises(OmomiError) as caught:
        both.ask(
            AlignRequest, name="a", path="a.profile", names=("blob",), counts=(len(BLOB.vertices), len(BLOB.faces)),
            points=np.asarray(BLOB.vertices, np.float64), faces=np.asarray(BLOB.faces, "<i4"),
        )  # fmt: skip
    assert caught.value.message == said


def test_a_check_and_a_score_say_the_same_of_a_shape(both: Both) -> None:
    (scored,) = both.cli("score", "blob.ply")["results"]
    answer = both.ask(CheckRequest, handle=both.fit(), strengths=(), profile="")
    assert isinstance(answer, Done)
    assert answer.result["plausibility"]["value"] == scored["plausibility"]
    assert answer.result["plausibility"]["nearest"] == scored["nearest"]


@pytest.mark.parametrize("code", [ErrorCode.NOT_REGISTERED, ErrorCode.UNREADABLE_FILE])
def test_a_check_of_a_stranger_says_so_and_does_the_rest(
    both: Both, monkeypatch: pytest.MonkeyPatch, code: ErrorCode
) -> None:
    def stranger(*_: object) -> None:
        raise OmomiError(code, "blob is none of them.")

    monkeypatch.setattr("backend.edits.family.family_check", stranger)
    asked = {"handle": both.fit(), "strengths": (), "profile": str(Path("mugs.profile").resolve())}
    if code is ErrorCode.UNREADABLE_FILE:
        with pytest.raises(OmomiError, match="none of them"):
            both.ask(CheckRequest, **asked)
        return
    answer = both.ask(CheckRequest, **asked)
    assert isinstance(answer, Done) and answer.deviation is None and answer.values is not None
    assert answer.result["family"] == {"name": "mugs", "why": "blob is none of them."}
    assert answer.result["measures"]["volume"] > 0


def test_a_sampled_shape_is_the_same(both: Both) -> None:
    (row,) = both.cli("sample", "--seed", 3, "--level", 0, "-o", "out")["samples"]
    answer = both.ask(SampleRequest, seed=3, level=0)
    assert isinstance(answer, Done)
    same(row, answer.result)
    mesh, sent = load_scan(Path(row["output"])), both.frames[-1]
    assert np.allclose(mesh.points, sent.world(), rtol=0, atol=1e-6)
    assert mesh.faces is not None and np.array_equal(mesh.faces, sent.faces)


def test_a_file_of_points_is_read_with_what_its_points_carry(both: Both) -> None:
    far = np.array([500_000.0, 4_000_000.0, 100.0])
    points = np.random.default_rng(0).random((60, 3)) + far
    colours = np.random.default_rng(1).integers(0, 256, (60, 3))
    rows = [f"{x:.6f} {y:.6f} {z:.6f} {r} {g} {b}" for (x, y, z), (r, g, b) in zip(points, colours, strict=True)]
    Path("yard.xyz").write_text("\n".join([*rows, "nan 0 0 1 2 3"]))
    done = both.ask(ReadRequest, path=str(Path("yard.xyz").resolve()))
    assert isinstance(done, Done) and done.values is not None and done.corners is None
    (frame,) = both.frames
    assert frame.final and not len(frame.faces) and np.allclose(frame.world(), points, rtol=0, atol=1e-6)
    assert done.result["name"] == "yard" and done.result["channels"] == [{"name": "Color", "width": 4}]
    assert np.allclose(done.values.reshape(60, 4), np.c_[colours / 255, np.ones(60)], atol=1e-6)
    assert "1 of its 61 points have no finite position" in done.result["notes"][0]


def test_a_mesh_is_read_with_both_sides_of_its_seams(both: Both) -> None:
    lines = ["v 0 0 0", "v 1 0 0", "v 0 1 0", "vt 0 0", "vt 1 0", "vt 0 1", "f 1/1 2/2 3/3", "f 2/1 1/2 3/3"]
    Path("leaf.obj").write_text("\n".join(lines))
    done = both.ask(ReadRequest, path=str(Path("leaf.obj").resolve()))
    assert isinstance(done, Done) and done.corners is not None
    (frame,) = both.frames
    assert len(frame.vertices) == 3 and len(frame.faces) == 2
    assert done.corners.reshape(2, 3, 2).tolist() == [[[0, 0], [1, 0], [0, 1]]] * 2


def test_a_file_that_is_none_is_refused_in_the_words_of_the_command_line(both: Both) -> None:
    Path("note.txt").write_text("hello")
    with pytest.raises(OmomiError) as caught:
        both.ask(ReadRequest, path=str(Path("note.txt").resolve()))
    assert caught.value.code is ErrorCode.UNREADABLE_FILE
    with pytest.raises(OmomiError) as caught:
        both.ask(ReadRequest, path="")
    assert caught.value.code is ErrorCode.BAD_OPTION


def test_the_audit_of_a_scan_is_the_same_page(both: Both) -> None:
    both.cli("audit", "blob.ply", "--quick", "-o", "cli.html")
    both.ask(AuditRequest, handle=both.fit(), path="server.html", against="")
    assert Path("cli.html").read_bytes() == Path("server.html").read_bytes()


def test_a_patched_mesh_is_the_same_both_ways(both: Both) -> None:
    gone = BLOB.triangles_center[:, 0] > np.quantile(BLOB.triangles_center[:, 0], 0.97)
    trimesh.Trimesh(BLOB.vertices, BLOB.faces[~gone], process=False).export("blob.ply", vertex_normal=False)
    scan = load_scan(Path("blob.ply"))
    summary = both.cli("patch", "blob.ply", "-o", "patched.npz")
    fields = {"name": "blob", "close": "auto", "smaller": 0.0, "points": scan.points, "faces": scan.faces}
    done = both.ask(PatchRequest, numbers=(), look=False, **fields)
    assert isinstance(done, Done)
    same(summary, done.result)
    (frame,) = both.frames
    with np.load("patched.npz") as mesh:
        assert mesh["points"][: len(scan.points)].tobytes() == scan.points.tobytes()
        added = mesh["points"][len(scan.points) :]
        assert (added - frame.origin).astype("<f4").tobytes() == frame.vertices.tobytes()
        assert mesh["faces"][len(scan.faces) :].astype("<i4").tobytes() == frame.faces.tobytes()
    # what the mesh carries goes on over the new faces, as in a file
    coats = np.tile(scan.points[scan.faces][..., :2].reshape(-1, 2), (2, 1)).astype("<f4")
    fields |= {"values": np.ones(3 * len(scan.points), "<f4"), "uvs": coats}
    done = both.ask(PatchRequest, numbers=(), look=False, **fields)
    assert isinstance(done, Done) and done.values is not None and done.corners is not None and done.sources is not None
    assert np.allclose(done.values, 1) and len(done.values) == 3 * len(frame.vertices)
    assert len(done.corners) == 2 * 6 * len(frame.faces) and len(done.sources) == len(frame.faces)
    assert scan.faces is not None and done.sources.max() < len(scan.faces)
    looked = both.ask(PatchRequest, numbers=(), look=True, **fields)
    assert isinstance(looked, Done)
    same(both.cli("patch", "blob.ply", "--list"), looked.result)


def test_a_patch_carries_what_the_mesh_has_onto_its_new_faces(both: Both) -> None:
    gone = BLOB.triangles_center[:, 0] > np.quantile(BLOB.triangles_center[:, 0], 0.97)
    points, faces = np.asarray(BLOB.vertices, "<f8"), np.asarray(BLOB.faces[~gone], "<i4")
    fields = {"name": "blob", "close": "smooth", "smaller": 0.0, "points": points, "faces": faces, "numbers": ()}
    looked = both.ask(PatchRequest, look=True, **fields)
    assert isinstance(looked, Done) and looked.sources is not None
    edges = [row["edges"] for row in looked.result["holes"]]
    assert sum(edges) == len(looked.sources) == len(set(looked.sources.tolist()))
    values = np.stack([points[:, 0], np.ones(len(points))], axis=1).astype("<f4")
    uvs = np.stack([points[faces][:, :, :2], points[faces][:, :, 1:]]).astype("<f4")
    done = both.ask(PatchRequest, look=False, values=values.reshape(-1), uvs=uvs.reshape(-1, 2), **fields)
    assert isinstance(done, Done) and done.values is not None and done.corners is not None and done.sources is not None
    frame = both.frames[-1]
    carried = done.values.reshape(len(frame.vertices), 2)
    assert np.allclose(carried[:, 1], 1, atol=1e-5)
    border = points[looked.sources, 0]
    assert carried[:, 0].min() >= border.min() - 1e-5 and carried[:, 0].max() <= border.max() + 1e-5
    first, second = done.corners.reshape(2, len(frame.faces), 3, 2)
    at_border = frame.faces < len(points)
    assert at_border.any() and np.allclose(first[at_border], points[frame.faces[at_border], :2], atol=1e-5)
    assert np.allclose(second[at_border], points[frame.faces[at_border], 1:], atol=1e-5)
    # Every new face takes after one at the border.
    assert set(faces[done.sources].reshape(-1).tolist()) & set(looked.sources.tolist())
    with pytest.raises(OmomiError, match="not as many as the mesh has places for"):
        both.ask(PatchRequest, look=False, values=values.reshape(-1)[1:], **fields)
