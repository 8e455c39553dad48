"""The audit's page: whole by itself, safe with any names, and its pictures and figures say what is there."""

from __future__ import annotations

import argparse
import json
import struct
import zlib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.cli import audit
from backend.edits.reach import Reach, swept_reach
from backend.field.onnx_model import CODE
from backend.geometry.topology import betti_of_occupancy
from backend.geometry.topology_sweep import Solid
from backend.prior import shape_prior
from backend.prior.archive import save_archive
from backend.prior.codes import Codes, save_codes
from backend.prior.shape_prior import ShapePrior, ShapeSlider
from backend.report import charts, pictures
from backend.report.audit import audit_page
from backend.report.card import card_of
from backend.report.html import Markup, el, number, text
from backend.report.model_coverage import gaps, verdict
from backend.report.scans import ScanLook, look
from tests.fakes import MeshEngine, subject_of
from tests.prior.test_archive import make_archive
from tests.prior.test_flow import gaussian_prior
from tests.report.test_card import rich

HOSTILE = "<img src=x onerror=alert(1)>\"'</title><script>alert(2)</script>&amp;\u202e\x00"


class Reader(HTMLParser):
    """Raises where elements do not nest; collects names of elements and all attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.names: list[str] = []
        self.given: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.given += attrs
        if tag not in ("meta", "img", "br", "hr"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def read(page: bytes) -> Reader:
    reader = Reader()
    reader.feed(page.decode())
    reader.close()
    assert not reader.open
    return reader


def looks(name: str = "scan") -> list[ScanLook]:
    picture = np.full((8, 8, 4), 200, np.uint8)
    code = np.random.default_rng(1).normal(size=5).astype(np.float32)
    reaches = (
        Reach(name, name, -2.0, 2.0, (-0.5, 1.0), "A piece splits off.", "", unsure=True),
        Reach("detail", "", -1.0, 1.0, (-1.0, 1.0), foretold=True),
    )
    return [ScanLook(name, picture, code, "", reaches), ScanLook("other", picture, None, "No reason.")]


def full(name: str = "scan") -> bytes:
    raw = rich()
    raw["sliders"][0]["name"] = raw["descriptors"][0] = name
    raw["known_limits"] = [name]
    raw["bench_" + name] = raw["prior"] = {name: {"measured": 1.0, "bar": 2.0, "passed": True}}
    return audit_page(card_of(raw), make_archive(), looks(name), card_of(rich()))


def test_a_page_is_whole_by_itself_and_nothing_in_it_runs() -> None:
    page = full()
    found = read(page)
    assert not {"script", "iframe", "link", "object", "form", "base"} & set(found.names)
    for key, value in found.given:
        assert not key.startswith("on")
        if key in ("src", "href"):
            assert value and value.startswith(("data:image/png;base64,", "#"))
    assert b"url(" not in page and b"@import" not in page and page == full()


def test_names_of_others_stay_names() -> None:
    hostile, plain = read(full(HOSTILE)), read(full())
    assert hostile.names == plain.names
    page = full(HOSTILE)
    assert b"<img src=x" not in page and b"\x00" not in page and "\u202e".encode() not in page
    assert b"&lt;img src=x onerror=alert(1)&gt;" in page


@given(st.text())
@settings(max_examples=200)
def test_any_text_is_only_text(given_text: str) -> None:
    page = str(el("p", given_text, title=given_text))
    assert page.count("<") == 2 and page.count('"') == 2 and len(text(given_text * 700)) < 10_000
    page.encode()


def test_markup_stands_as_it_is_and_nothing_is_nothing() -> None:
    assert el("p", el("b", "<"), None, 3, class_="a", data_x=0.5, hidden=None) == (
        '<p class="a" data-x="0.5"><b>&lt;</b>3</p>'
    )
    assert isinstance(el("p"), Markup)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "\u2013"), (float("nan"), "\u2013"), (-0.125, "\u22120.125"), (1396152, "1,396,152"), (0.0, "0")],
)
def test_numbers_are_shown_as_people_write_them(value: float | None, shown: str) -> None:
    assert number(value) == shown


def decoded(file: bytes) -> np.ndarray:
    """Indices or channels (h, w, c) of a PNG that this module wrote."""
    wide, high, depth, kind = struct.unpack(">IIBB", file[16:26])
    place, data = 8, b""
    while place < len(file):
        (size,), name = struct.unpack(">I", file[place : place + 4]), file[place + 4 : place + 8]
        body = file[place + 8 : place + 8 + size]
        assert zlib.crc32(name + body) == struct.unpack(">I", file[place + 8 + size : place + 12 + size])[0]
        data += body if name == b"IDAT" else b""
        place += 12 + size
    channels = {0: 1, 2: 3, 3: 1, 6: 4}[kind]
    lines = np.frombuffer(zlib.decompress(data), np.uint8).reshape(high, 1 + wide * channels)
    assert depth == 8 and (lines[:, 0] == 2).all()
    return np.cumsum(lines[:, 1:], axis=0, dtype=np.uint8).reshape(high, wide, channels)


@pytest.mark.parametrize("shape", [(3, 5), (4, 2, 3), (7, 1, 4)])
def test_a_png_holds_its_pixels(shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    assert np.array_equal(decoded(pictures.png(pixels)).reshape(shape), pixels)


@pytest.mark.parametrize("pixels", [np.zeros((0, 4), np.uint8), np.zeros((2, 2)), np.zeros((2, 2, 2), np.uint8)])
def test_what_is_no_picture_is_refused(pixels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="no picture"):
        pictures.png(pixels)


def test_a_ball_is_a_disc_that_is_lit_from_the_upper_left() -> None:
    ball = trimesh.creation.icosphere(4, radius=3.0)
    picture = pictures.mesh_picture(ball.vertices + [100, 0, 0], ball.faces, 100).astype(float)
    assert (picture[..., 3] / 255).mean() == pytest.approx(np.pi / 4 / pictures.MARGIN**2, rel=0.01)
    bright = picture[..., :3].sum(axis=2)
    assert bright[30, 30] > 1.5 * bright[70, 70]
    other = pictures.mesh_picture(ball.vertices, ball.faces[:, ::-1], 100)
    assert np.abs(picture - other).max() <= 2


def test_what_is_nearer_hides_what_is_behind() -> None:
    axes = np.array(pictures.VIEW) / np.linalg.norm(pictures.VIEW)
    box, ball = trimesh.creation.box((1, 1, 1)), trimesh.creation.icosphere(3, radius=0.3)
    faces = np.concatenate([box.faces, ball.faces + len(box.vertices)])
    front, behind = (np.concatenate([box.vertices, ball.vertices + side * 3 * axes]) for side in (1, -1))
    alone = pictures.mesh_picture(box.vertices, box.faces, 60).astype(int)
    shown = [pictures.mesh_picture(vertices, faces, 60).astype(int) for vertices in (front, behind)]
    assert np.abs(shown[1] - alone)[..., 3].max() <= 2
    assert np.abs(shown[0][30, 30] - alone[30, 30]).max() > 20


def test_nothing_and_broken_vertices_make_no_trouble() -> None:
    assert not pictures.mesh_picture(np.zeros((0, 3)), np.zeros((0, 3), int), 10).any()
    box = trimesh.creation.box()
    broken = np.concatenate([box.vertices, [[np.nan, 0, 0], [np.inf, 0, 0]]])
    faces = np.concatenate([box.faces, [[0, 1, 8], [0, 2, 9]]])
    assert np.array_equal(pictures.mesh_picture(broken, faces, 40), pictures.mesh_picture(box.vertices, box.faces, 40))
    assert pictures.mesh_picture(np.zeros((3, 3)), [[0, 1, 2]], 10).shape == (10, 10, 4)


def test_a_thumbnail_of_points_is_as_large_and_lit_as_the_mesh() -> None:
    points = np.random.default_rng(0).normal(size=(40_000, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    grey = pictures.thumbnail(points, points)
    assert (grey > 0).mean() == pytest.approx(np.pi / 4 / pictures.MARGIN**2, rel=0.08)
    assert grey[20, 20] > 1.5 * grey[44, 44] > 0
    assert pictures.thumbnail_uri(grey).startswith("data:image/png;base64,")
    assert not pictures.thumbnail(np.zeros((0, 3)), np.zeros((0, 3))).any()


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=2), st.floats(0.01, 100))
def test_charts_take_any_numbers(ends: list[float], limit: float) -> None:
    low, high = sorted(ends)
    for chart in (
        charts.bar(low),
        charts.versus(low, limit, True, False),
        charts.spreads([(low, abs(high), "red")], 1.0, limit),
        charts.interval(-1.0, 1.0, (low, high), (low, low)),
    ):
        assert chart is not None and "nan" not in chart and "inf" not in chart.replace("infinite", "")


def balls(strength: float, side: int = 48) -> np.ndarray:
    """Two balls of radius .3 + .1 strength, .7 apart: they meet at .5, and vanish at -3."""
    axis = np.linspace(-1, 1, side)
    x, y, z = np.meshgrid(axis, axis, axis, indexing="ij")
    apart = [np.sqrt((x - at) ** 2 + y**2 + z**2) for at in (-0.35, 0.35)]
    return np.minimum(*apart) - (0.3 + 0.1 * strength)


@pytest.mark.parametrize(("low", "high"), [(-1.0, 1.0), (-4.0, 1.0), (-4.0, 0.25), (0.0, 1.0), (-1.0, 0.0)])
def test_a_reach_ends_where_the_topology_changes(low: float, high: float) -> None:
    solid = Solid(
        lambda strength: betti_of_occupancy(balls(strength) < 0),
        lambda strength: betti_of_occupancy(balls(strength)[::2, ::2, ::2] < 0),
    )
    found = swept_reach(solid, "size", "", low, high, 8)
    if high > 0.5:
        # the voxels are .04 wide
        assert found.safe[1] == pytest.approx(0.5, abs=0.3) and "join" in found.above
    else:
        assert found.safe[1] == high and not found.above
    if low < -3:
        assert found.safe[0] == pytest.approx(-3, abs=0.6) and "vanish" in found.below
    else:
        assert found.safe[0] == low and not found.below


def make_prior() -> ShapePrior:
    """Codes that are single voxels, and a slider that moves all surface outwards by a quarter of a voxel."""
    nothing, voxels = np.zeros(16**3, np.float32), np.random.default_rng(7).permutation(16**3)[:CODE]
    basis = np.zeros((16**3, CODE), np.float32)
    basis[voxels, np.arange(CODE)] = 1
    delta = np.full(CODE, -0.25, np.float32)
    codes = Codes(nothing, basis, np.ones(CODE, np.float32), delta[None])
    archive = make_archive(size=CODE)
    return ShapePrior(codes, gaussian_prior(CODE), archive, {"size": ShapeSlider("size", delta, 0.0, 2.0, "sd")})


def test_a_scan_is_looked_at_and_placed_by_its_code() -> None:
    ball = trimesh.creation.icosphere(3)
    subject, prior = subject_of(ball, "ball"), make_prior()
    assert prior.archive is not None
    prior.archive.codes[7] = prior.codes.of_mesh(0.8 * np.asarray(ball.vertices), np.asarray(ball.faces))
    found = look(subject, prior, quick=True)
    assert found.code is not None and np.allclose(found.code, prior.archive.codes[7], atol=1e-3)
    assert prior.archive.position(found.code).neighbours.rows[0] == 7
    assert found.picture[..., 3].any() and found.plausibility is not None and 0 <= found.plausibility <= 1
    assert [reach.name for reach in found.reaches] == ["thickness", "smoothness", "detail", "sharpness", "size"]
    assert all(reach.safe == (reach.low, reach.high) and reach.foretold for reach in found.reaches)
    assert b"no more plausible" in audit_page(card_of(rich()), prior.archive, [found])


def test_without_a_prior_a_scan_is_not_placed() -> None:
    found = look(subject_of(trimesh.creation.icosphere(2)), None, quick=True)
    assert found.code is None and found.plausibility is None and "cannot be placed" in found.why_not


def test_what_is_missing_is_said_in_words() -> None:
    said = " ".join(gaps(make_archive().coverage()))
    assert "not one example of: chair" in said
    assert verdict(None)[0] == "not placed" and verdict(make_archive().position(np.full(5, 99.0)))[1] == "bad"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a model with all that it knows lies."""
    monkeypatch.setattr("backend.field.onnx_model.MODEL_FOLDER", tmp_path)
    # not the one that stays loaded for the process
    monkeypatch.setattr(shape_prior, "shipped_prior", lambda: shape_prior.load_prior(tmp_path))
    monkeypatch.chdir(tmp_path)
    prior = make_prior()
    assert prior.archive is not None
    (tmp_path / "card.json").write_text(json.dumps(rich()))
    save_archive(tmp_path / "archive.safetensors", prior.archive)
    save_codes(tmp_path / "prior.safetensors", prior.codes)
    prior.flow.save(tmp_path / "flow.safetensors")
    return tmp_path


def omomi(*words: str, **meshes: trimesh.Trimesh) -> int:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true")
    common.add_argument("--device", default="cpu")
    common.add_argument("--threads", default=1)
    parser = argparse.ArgumentParser()
    audit.add(parser.add_subparsers(), [common])
    arguments: Any = parser.parse_args(["audit", *words])
    return arguments.run(arguments, lambda device, threads: MeshEngine(**meshes))


def test_the_verb_writes_a_page_and_says_what_was_missed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ball = trimesh.creation.icosphere(2)
    ball.export("ball.ply")
    (folder / "old.json").write_text(json.dumps(rich()))
    assert omomi("ball.ply", "--against", "old.json", "--quick", "-o", "out/a.html", "--json", ball=ball) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["missed"] == ["fit: sigma: Spearman"] and told["scans"][0]["reach"]["detail"] == [-1, 1]
    assert told["scans"][0]["verdict"] in ("familiar", "unusual", "strange to the model")
    assert len(told["scans"][0]["nearest"]) == 8
    assert "Against an older model" in (folder / "out" / "a.html").read_text(encoding="utf-8")
    assert omomi() == 0 and read((folder / "report.html").read_bytes())
    assert "1 of 3 bars missed" in capsys.readouterr().out


@pytest.mark.parametrize("missing", ["archive.safetensors", "prior.safetensors"])
def test_the_verb_does_without_what_a_model_lacks(missing: str, folder: Path) -> None:
    (folder / missing).unlink()
    assert omomi("-o", "a.html") == 0 and "not installed" in (folder / "a.html").read_text(encoding="utf-8")
