"""What a scan carries is on what is made of it: colours, texture coordinates, materials, values of vertices."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from numpy.typing import NDArray

from backend.cli.main import main
from backend.edits.carried import carried, invented_note, with_fewer_faces
from backend.field.fit import FittedMesh
from backend.formats.mesh_files import load_scan, save_mesh
from backend.formats.raw_scan import RawScan
from backend.geometry.surface_attributes import SurfaceAttributes
from backend.geometry.topology import edge_report
from backend.scan.prepare import prepare
from tests.fakes import MeshEngine


def colour(points: NDArray) -> NDArray[np.float64]:
    """A smooth colour of places (n, 3), in 0 .. 255."""
    return 127.5 + 127.5 * np.sin(3 * np.asarray(points) + [0, 1, 2])


def ball(level: int) -> trimesh.Trimesh:
    return trimesh.creation.icosphere(level)


def fitted(mesh: trimesh.Trimesh, offset: float = 0.0) -> FittedMesh:
    vertices = np.asarray(mesh.vertices) + offset
    return FittedMesh(vertices, np.asarray(mesh.faces, np.int32), np.zeros(len(vertices), np.float32), 2, True)


def painted(points: NDArray, faces: NDArray | None, offset: float = 0.0) -> RawScan:
    values = {"rest": points[:, 2].astype(np.float32)}
    attributes = SurfaceAttributes(np.rint(colour(points)).astype(np.uint8), values=values)
    return RawScan(points + offset, faces, attributes=attributes)


@pytest.mark.parametrize("offset", [0.0, 4e6])
@pytest.mark.parametrize("kind", ["mesh", "points", "noisy points"])
def test_colours_and_values_are_those_of_the_place(kind: str, offset: float) -> None:
    if kind == "mesh":
        mesh = ball(5)
        raw = painted(np.asarray(mesh.vertices), mesh.faces, offset)
    else:
        points = np.random.default_rng(0).normal(size=(30_000, 3))
        points /= np.linalg.norm(points, axis=1, keepdims=True)
        raw = painted(points, None)
        assert raw.attributes is not None
        moved = points + np.random.default_rng(1).normal(size=points.shape) * 0.004 * (kind == "noisy points")
        raw = RawScan(moved + offset, attributes=raw.attributes)
    target = fitted(ball(4), offset)
    found = carried(raw, prepare(raw), target)
    assert found is not None and found.colours is not None and found.invented is not None
    error = np.abs(found.colours - colour(target.vertices - offset))
    assert error.mean() < 2
    assert np.abs(found.values["rest"] - (target.vertices - offset)[:, 2]).mean() < 0.01
    assert not found.invented.any() and invented_note(found) == []


def test_what_the_scan_does_not_cover_takes_the_colour_of_its_border_and_is_marked() -> None:
    mesh = ball(5)
    middle = mesh.triangles_center[:, 2]
    shades = np.where(np.asarray(mesh.vertices)[:, 2:] > 0.3, [[255, 0, 0]], [[0, 0, 255]]).astype(np.uint8)
    raw = RawScan(np.asarray(mesh.vertices), mesh.faces[middle < 0.5], attributes=SurfaceAttributes(shades))
    target = fitted(ball(4))
    found = carried(raw, prepare(raw), target)
    assert found is not None and found.colours is not None and found.invented is not None
    height = target.vertices[target.faces][:, :, 2].mean(axis=1)
    assert found.invented[height > 0.6].all() and not found.invented[height < 0.45].any()
    assert (found.colours[target.vertices[:, 2] > 0.6] == [255, 0, 0]).all()
    assert "beyond the scan" in invented_note(found)[0]


def test_a_scan_that_carries_nothing_costs_nothing_and_a_point_without_a_place_counts_for_nothing() -> None:
    mesh = ball(3)
    bare = RawScan(np.asarray(mesh.vertices), mesh.faces)
    assert carried(bare, prepare(bare), fitted(ball(2))) is None
    raw = painted(np.asarray(mesh.vertices), None)
    assert raw.attributes is not None
    points = np.concatenate([raw.points, [[np.nan, 0, 0]]])
    shades = np.concatenate([raw.attributes.colours, [[1, 2, 3]]]).astype(np.uint8)  # type: ignore[list-item]
    holed = RawScan(points, attributes=SurfaceAttributes(shades))
    found = carried(holed, prepare(holed), fitted(ball(2)))
    same = carried(raw, prepare(raw), fitted(ball(2)))
    assert found is not None and same is not None and np.array_equal(found.colours, same.colours)  # type: ignore[arg-type]


def sleeve() -> RawScan:
    """A closed tube with a seam along it, its two halves of two materials."""
    around, along = 48, 12
    mesh = trimesh.creation.capsule(height=2, radius=0.5, count=[along, around])
    points, faces = np.asarray(mesh.vertices), np.asarray(mesh.faces, np.int32)
    turn = np.arctan2(points[:, 1], points[:, 0])[faces] / (2 * np.pi) + 0.5
    # a face across the seam goes on beyond 1
    turn += (turn < turn.max(axis=1, keepdims=True) - 0.5) * 1.0
    uvs = np.stack([turn, points[faces][:, :, 2] / 3], axis=2).astype(np.float32)
    rows = (points[faces].mean(axis=1)[:, 1] > 0).astype(np.int32)
    return RawScan(points, faces, attributes=SurfaceAttributes(None, uvs, rows, ("left", "right"), "coat.mtl"))


def test_texture_coordinates_do_not_cross_a_seam_and_materials_stay_on_their_side() -> None:
    raw = sleeve()
    mesh = trimesh.creation.capsule(height=2, radius=0.5, count=[20, 70])
    target = fitted(trimesh.Trimesh(mesh.vertices, mesh.faces, process=False))
    found = carried(raw, prepare(raw), target)
    assert found is not None and found.uvs is not None and found.materials is not None
    side = np.abs(target.vertices[target.faces][:, :, 2]).max(axis=1) < 1.2
    # around the tube a face spans a seventieth of a turn; across a seam it would span nearly a whole one
    assert np.ptp(found.uvs[side][:, :, 0], axis=1).max() < 0.05
    middle = target.vertices[target.faces].mean(axis=1)
    far = np.abs(middle[:, 1]) > 0.1
    assert np.array_equal(found.materials[far], (middle[far, 1] > 0).astype(int))
    assert found.material_names == ("left", "right") and found.library == "coat.mtl"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable:
    """Runs a command in a folder with tube.ply and its colours, and quads.obj."""
    monkeypatch.chdir(tmp_path)
    mesh = ball(4)
    raw = painted(np.asarray(mesh.vertices), mesh.faces)
    save_mesh(Path("ball.ply"), raw.points, mesh.faces, None, raw.attributes)
    Path("quads.obj").write_text(quads())
    engine = MeshEngine(ball=ball(3), quads=ball(3))

    def command(*words: object) -> dict:
        capsys.readouterr()
        code = main([*map(str, words), "--json"], lambda device, threads: engine)
        captured = capsys.readouterr()
        assert code == 0, captured.err
        return json.loads(captured.out)

    return command


def quads() -> str:
    """A ball of quads between the poles' rings, with a seam, a group and a material."""
    around, rings = 24, 13
    lines = ["# by hand", "mtllib t.mtl"]
    for i in range(rings):
        polar = np.pi * (i + 0.5) / rings
        for j in range(around):
            turn = 2 * np.pi * j / around
            place = np.sin(polar) * np.cos(turn), np.sin(polar) * np.sin(turn), np.cos(polar)
            lines.append("v " + " ".join(f"{along:g}" for along in place))
    lines += [f"vt {j / around:g} {1 - i / 12:g}" for i in range(rings) for j in range(around + 1)]
    lines += ["g skin", "usemtl skin", "s 1"]
    for i in range(rings - 1):
        for j in range(around):
            corners = ((i, j), (i + 1, j), (i + 1, j + 1), (i, j + 1))
            lines.append("f " + " ".join(f"{a * around + b % around + 1}/{a * 25 + b + 1}" for a, b in corners))
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    "words", [["fit"], ["edit", "--set", "thickness=1"], ["edit", "--set", "thickness=1", "--remesh"]]
)
@pytest.mark.parametrize("suffix", [".ply", ".obj", ".glb"])
def test_fits_and_edits_keep_colours_in_every_format_that_holds_them(run: Callable, words: list, suffix: str) -> None:
    run(words[0], "ball.ply", "-o", f"out{suffix}", *words[1:])
    made = load_scan(Path(f"out{suffix}"))
    assert made.attributes is not None and made.attributes.colours is not None
    unit = made.points / np.linalg.norm(made.points, axis=1, keepdims=True)
    assert np.abs(made.attributes.colours[:, :3] - colour(unit)).mean() < 3


def test_the_last_frame_has_the_colours_of_the_result(run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = MeshEngine.fit

    def streamed(self: MeshEngine, raw: Any, options: Any, on_frame: Callable, *rest: Any, **more: Any) -> Any:
        fit = plain(self, raw, options, on_frame, *rest, **more)
        on_frame(replace(fit.mesh, level=1, final=False))
        on_frame(fit.mesh)
        return fit

    monkeypatch.setattr(MeshEngine, "fit", streamed)
    frames = run("fit", "ball.ply", "-o", "out.ply", "--frames", "frames")["results"][0]["frames"]
    assert [Path(frame).name for frame in frames] == ["out-0-level1.ply", "out-1-level2.ply"]
    assert Path(frames[1]).read_bytes() == Path("out.ply").read_bytes()
    assert load_scan(Path(frames[0])).attributes is None


def test_an_edit_that_keeps_the_topology_writes_the_artists_own_file(run: Callable) -> None:
    np.save("mask.npy", np.linspace(0, 1, 312).astype(np.float32))
    words = ["--set", "thickness=1", "--mask", "mask.npy"]
    found = run("edit", "quads.obj", "-o", "out.obj", "--keep-topology", *words)
    assert found["vertices"] == 312 and found["notes"] == []
    before, after = (Path(name).read_text().splitlines() for name in ("quads.obj", "out.obj"))
    changed = [old.split()[0] for old, new in zip(before, after, strict=True) if old != new]
    assert set(changed) == {"v"} and len(changed) > 150
    Path("quads.obj").write_text("vn 0 0 1\n" + Path("quads.obj").read_text())
    found = run("edit", "quads.obj", "-o", "out.obj", "--keep-topology", *words)
    assert found["notes"] == ["out.obj keeps the normals (vn) that quads.obj has: compute them anew."]
    found = run("edit", "quads.obj", "-o", "out.glb", "--keep-topology", *words)
    assert any("written anew" in note for note in found["notes"])


def test_an_edit_that_keeps_the_topology_keeps_a_ply_files_colours(run: Callable) -> None:
    run("edit", "ball.ply", "-o", "out.ply", "--keep-topology", "--set", "thickness=1")
    before, after = load_scan(Path("ball.ply")), load_scan(Path("out.ply"))
    assert before.attributes is not None and after.attributes is not None
    assert np.array_equal(before.attributes.colours, after.attributes.colours)  # type: ignore[arg-type]
    assert np.array_equal(before.faces, after.faces) and not np.array_equal(before.points, after.points)  # type: ignore[arg-type]


def test_fewer_faces_carry_sigma_colours_uvs_and_marks() -> None:
    ball = trimesh.creation.icosphere(4)
    vertices, faces = np.asarray(ball.vertices, np.float64), np.asarray(ball.faces, np.int32)
    colours = np.clip(128 + 127 * vertices, 0, 255).astype(np.uint8)
    uvs = vertices[faces][..., :2].astype(np.float32)
    marked = vertices[faces].mean(axis=1)[:, 2] > 0
    given = SurfaceAttributes(colours=colours, uvs=uvs, invented=marked)
    made, fewer, sigma, found = with_fewer_faces(vertices, faces, vertices[:, 0].astype(np.float32), given, 1000)
    assert found is not None and found.colours is not None and found.uvs is not None
    assert abs(len(fewer) - 1000) <= 1 and edge_report(fewer).closed
    found.check(len(made), len(fewer))
    np.testing.assert_allclose(sigma, made[:, 0], atol=0.02)
    np.testing.assert_allclose(found.colours, np.clip(128 + 127 * made, 0, 255), atol=4)
    np.testing.assert_allclose(found.uvs, made[fewer][..., :2], atol=0.03)
    high = made[fewer].mean(axis=1)[:, 2]
    assert found.invented is not None and found.invented[high > 0.1].all() and not found.invented[high < -0.1].any()
    assert with_fewer_faces(vertices, faces, sigma, None, None)[:2] == (vertices, faces)
    unmarked = with_fewer_faces(vertices, faces, vertices[:, 0], SurfaceAttributes(colours=colours), 1000)[3]
    assert unmarked is not None and unmarked.invented is None
