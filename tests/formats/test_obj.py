"""OBJ files: indices of every kind, polygons, seams, materials by name, and the artist's own file with moved points."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from backend.errors import OmomiError
from backend.formats.files import FormatError
from backend.formats.mesh_files import load_scan, save_mesh
from backend.formats.obj import moved_obj, read_obj
from backend.geometry.surface_attributes import SurfaceAttributes
from tests.scan_shapes import cube, equal

SQUARE = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\n"


def faces(text: str) -> list[list[int]]:
    found = read_obj(text.encode()).faces
    assert found is not None
    return found.tolist()


def test_indices_below_zero_count_back_from_their_line() -> None:
    text = "v 0 0 0\nv 1 0 0\nv 0 1 0\nf -3 -2 -1\nv 0 0 7\nv 5 5 5\nv 9 9 9\nf -3 -2 -1\n"
    assert faces(text) == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize(
    "face", ["f 0 1 2", "f -9 1 2", "f 1 2 x", "f 1.5 2 3", "f 1/1/1 2 3/", "f 1/2/3/4 2 3", "f nan 1 2"]
)
def test_indices_that_mean_nothing_are_refused(face: str, tmp_path: Path) -> None:
    (tmp_path / "bad.obj").write_text(f"{SQUARE}vt 0 0\nvt 1 0\nvt 1 1\n{face}\n")
    try:
        scan = load_scan(tmp_path / "bad.obj")
    except OmomiError as error:
        assert error.message.endswith(".")
    else:
        # what stands behind the third number is not looked at
        assert face in ("f 1/1/1 2 3/", "f 1/2/3/4 2 3") and scan.faces is not None


def test_faces_of_less_than_three_corners_are_left_out_and_counted() -> None:
    found = read_obj(f"{SQUARE}f 1 2 3\nf 1 2\nf 4\nf 1 3 4\n".encode())
    assert found.faces is not None and found.faces.tolist() == [[0, 1, 2], [0, 2, 3]]
    assert found.notes == ("Faces with less than three corners, which are left out: 2.",)
    assert not read_obj(f"{SQUARE}f 1 2 3 4\n".encode()).notes


@pytest.mark.parametrize("corner", ["{0}", "{0}/{0}", "{0}//1", "{0}/{0}/1"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_corners_of_every_form_are_the_same_face(corner: str, end: str) -> None:
    rest = "vt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\nvn 0 0 1\n"
    text = f"{SQUARE}{rest}f " + " ".join(corner.format(k) for k in (1, 2, 3)) + " # a comment\n"
    obj = read_obj(text.replace("\n", end).encode())
    assert obj.faces is not None and obj.faces.tolist() == [[0, 1, 2]]
    if corner.count("{0}") == 2:
        assert obj.attributes is not None and obj.attributes.uvs is not None
        assert obj.attributes.uvs.tolist() == [[[0, 0], [1, 0], [1, 1]]]
    else:
        assert obj.attributes is None


def test_faces_with_and_without_texture_coordinates_are_told_apart() -> None:
    obj = read_obj(f"{SQUARE}vt .5 .25\nf 1 2 3\nf 1/1 3/1 4/1\nf 1//1 2//1 4//1\nvn 0 0 1\n".encode())
    assert obj.faces is not None and obj.attributes is not None and obj.attributes.uvs is not None
    assert obj.faces.tolist() == [[0, 1, 2], [0, 2, 3], [0, 1, 3]]
    assert obj.attributes.uvs[:, 0].tolist() == [[0, 0], [0.5, 0.25], [0, 0]]


def test_lines_go_on_behind_a_backslash() -> None:
    assert faces(f"{SQUARE}f 1 2 \\\n 3 4\n") == [[0, 1, 2], [0, 2, 3]]


def test_a_concave_polygon_is_covered_and_not_its_notch() -> None:
    found = faces("v 0 0 0\nv 2 1 0\nv 0 2 0\nv .7 1 0\nf 1 2 3 4\n")
    assert sorted(map(sorted, found)) == [[0, 1, 3], [1, 2, 3]]


def test_points_keep_their_number_at_seams_and_materials_their_names() -> None:
    text = f"mtllib some where.mtl\n{SQUARE}vt 0 0\nvt 1 1\nf 1/1 2/1 3/1\n"
    text += "usemtl skin\nf 1/2 3/2 4/2\nusemtl eye left\nf 1 2 4\n"
    obj = read_obj(text.encode())
    assert len(obj.vertices) == 4 and obj.attributes is not None and obj.attributes.materials is not None
    assert obj.attributes.library == "some where.mtl"
    assert [obj.attributes.material_names[row] for row in obj.attributes.materials] == ["default", "skin", "eye left"]


def test_colours_behind_the_points_and_points_alone_are_read(tmp_path: Path) -> None:
    (tmp_path / "cloud.obj").write_text("v 0 0 0 1 0 0\nv 1 0 0 0 1 0\nv 0 1 0 0 0 .5\nvn 0 0 1\nvn 0 1 0\nvn 1 0 0\n")
    scan = load_scan(tmp_path / "cloud.obj")
    assert scan.faces is None and scan.normals is not None and scan.normals[1].tolist() == [0, 1, 0]
    assert scan.attributes is not None and scan.attributes.colours is not None
    assert scan.attributes.colours.tolist() == [[255, 0, 0], [0, 255, 0], [0, 0, 128]]


def test_a_moved_file_differs_in_coordinates_only() -> None:
    text = "# by hand\r\nmtllib a.mtl\r\no thing\r\n  v  0 0 0   1 0 0 # red\r\nv\t1 0 0\r\nv 1 1 0\r\nv 0 1 0\r\n"
    text += "vt 0 0\r\ng left\r\ns 1\r\nusemtl skin\r\nf 1/1 2/1 3/1 4/1\r\nl 1 2\r\n"
    points = np.arange(12.0).reshape(4, 3) / 8
    moved = moved_obj(text.encode(), points).decode()
    assert equal(read_obj(moved.encode()).vertices, points)
    assert "  v  0.0 0.125 0.25   1 0 0 # red\r\n" in moved
    assert moved_obj(moved.encode(), points) == moved.encode()
    kept = [line for line in text.split("\r\n") if line.split()[:1] != ["v"]]
    assert [line for line in moved.split("\r\n") if line.split()[:1] != ["v"]] == kept
    with pytest.raises(FormatError):
        moved_obj(text.encode(), points[:3])


def test_what_a_mesh_carries_is_written_and_read_again(tmp_path: Path) -> None:
    points, triangles = cube()
    rng = np.random.default_rng(0)
    given = SurfaceAttributes(
        rng.integers(0, 256, (8, 3)).astype(np.uint8),
        rng.random((12, 3, 2)).astype(np.float32),
        np.sort(np.arange(12, dtype=np.int32) % 2),
        ("skin", "eye left"),
        "a.mtl",
    )
    save_mesh(tmp_path / "cube.obj", points, triangles, None, given)
    scan = load_scan(tmp_path / "cube.obj")
    found = scan.attributes
    assert found is not None and found.uvs is not None and given.uvs is not None
    assert equal(scan.faces, triangles) and equal(scan.points, points)
    assert equal(found.colours, given.colours) and np.allclose(found.uvs, given.uvs, atol=1e-6)
    assert equal(found.materials, given.materials) and found.material_names == given.material_names
    assert found.library == "a.mtl"


@pytest.mark.parametrize("suffix", [".obj", ".glb"])
def test_each_triangle_keeps_its_material_in_any_order_and_names_that_none_has_do_no_harm(
    tmp_path: Path, suffix: str
) -> None:
    points, triangles = cube()
    names = ("none", "a", "b", "nobody", "c")
    materials = np.array([4, 1, 2, 4, 1, 1, 2, 4, 4, 2, 1, 2], np.int32)
    save_mesh(tmp_path / f"cube{suffix}", points, triangles, None, SurfaceAttributes(None, None, materials, names))
    scan = load_scan(tmp_path / f"cube{suffix}")
    found = scan.attributes
    assert found is not None and found.materials is not None and scan.faces is not None

    def said(places: NDArray, rows: NDArray, named: tuple[str, ...]) -> list[tuple]:
        return sorted((*places[face].tolist(), named[row]) for face, row in enumerate(rows.tolist()))

    before = said(points[triangles].reshape(12, 9), materials, names)
    assert said(scan.points[scan.faces].reshape(12, 9), found.materials, found.material_names) == before


def test_nothing_that_the_file_names_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.mtl").write_text("newmtl skin\nmap_Kd secret.png\n")
    (tmp_path / "cube.obj").write_text(f"mtllib a.mtl\n{SQUARE}usemtl skin\nf 1 2 3 4\n")
    opened: list[str] = []
    real = os.open

    def watch(path: Any, *rest: Any, **options: Any) -> int:
        opened.append(Path(path).name)
        return real(path, *rest, **options)

    monkeypatch.setattr(os, "open", watch)
    load_scan(tmp_path / "cube.obj")
    assert opened == ["cube.obj"]


def test_damaged_bytes_never_escape_as_another_error(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    data = f"mtllib a.mtl\n{SQUARE}vt 0 0\nvt 1 1\nusemtl skin\nf 1/1 2/1 3/1 4/2\nf -1 -2 -3\n".encode()
    for _ in range(300):
        broken = bytearray(data)
        for at in rng.integers(0, len(data), 3):
            broken[at] = rng.integers(0, 256)
        (tmp_path / "broken.obj").write_bytes(broken)
        try:
            load_scan(tmp_path / "broken.obj")
        except OmomiError as error:
            assert "complete" not in error.message, broken
