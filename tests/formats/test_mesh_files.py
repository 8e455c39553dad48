"""Reading and writing scans: what goes in comes out, and what is no scan is refused with a reason."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import trimesh

from backend.errors import ErrorCode, OmomiError
from backend.formats.files import MESH_SUFFIXES, FormatError
from backend.formats.mesh_files import SCAN_SUFFIXES, load_scan, save_mesh
from backend.formats.ply import read_ply, write_ply
from backend.formats.raw_scan import RawScan
from backend.geometry.surface_attributes import SurfaceAttributes
from backend.protocol.names import POINT_FILES
from backend.scan.prepare import prepare
from tests.scan_shapes import SCANS, cube, globe, volume

needs_scans = pytest.mark.skipif(not SCANS.is_dir(), reason="no real scans here")


def refused(path: Path) -> OmomiError:
    with pytest.raises(OmomiError) as caught:
        load_scan(path)
    assert caught.value.message.endswith(".") and "\n" not in caught.value.message
    return caught.value


@pytest.mark.parametrize("suffix", [".ply", ".obj", ".stl", ".glb", ".npz"])
def test_every_format_returns_the_surface_that_was_saved(tmp_path, suffix):
    points, faces = globe()
    save_mesh(tmp_path / f"globe{suffix}", points * 3 + 7, faces, np.ones(len(points)))
    scan = load_scan(tmp_path / f"globe{suffix}")
    assert scan.faces is not None and len(scan.faces) == len(faces)
    assert scan.name == "globe"
    assert volume(scan.points - 7, scan.faces) == pytest.approx(27 * volume(points, faces), rel=1e-5)
    assert os.listdir(tmp_path) == [f"globe{suffix}"]


def test_a_ply_far_from_the_origin_keeps_its_precision(tmp_path):
    points, faces = cube()
    save_mesh(tmp_path / "far.ply", points + 1e9, faces)
    assert np.array_equal(load_scan(tmp_path / "far.ply").points, points + 1e9)
    save_mesh(tmp_path / "near.ply", points, faces)
    assert b"property float x" in (tmp_path / "near.ply").read_bytes()


def test_ply_carries_sigma_per_vertex(tmp_path):
    points, faces = cube()
    save_mesh(tmp_path / "cube.ply", points, faces, np.arange(8) / 8)
    mesh = trimesh.load_mesh(tmp_path / "cube.ply", process=False)
    assert np.allclose(mesh.metadata["_ply_raw"]["vertex"]["data"]["sigma"], np.arange(8) / 8)


def test_a_failed_save_leaves_the_old_file_and_no_rubbish(tmp_path, monkeypatch):
    points, faces = cube()
    target = tmp_path / "cube.ply"
    save_mesh(target, points, faces)
    before = target.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OmomiError) as caught:
        save_mesh(target, points * 2, faces)
    assert caught.value.code == ErrorCode.DISK
    assert target.read_bytes() == before
    assert os.listdir(tmp_path) == ["cube.ply"]


def test_saving_into_a_missing_folder_or_under_an_unknown_suffix_is_refused(tmp_path):
    points, faces = cube()
    with pytest.raises(OmomiError) as caught:
        save_mesh(tmp_path / "none" / "cube.ply", points, faces)
    assert caught.value.code == ErrorCode.DISK
    with pytest.raises(OmomiError) as caught:
        save_mesh(tmp_path / "cube.docx", points, faces)
    assert caught.value.code == ErrorCode.BAD_OPTION


def test_no_format_needs_another_package(tmp_path, monkeypatch):
    points, faces = cube()
    monkeypatch.setitem(sys.modules, "trimesh", None)
    for suffix in MESH_SUFFIXES:
        save_mesh(tmp_path / f"cube{suffix}", points, faces)
        scan = load_scan(tmp_path / f"cube{suffix}")
        assert np.array_equal(scan.points[scan.faces], points[faces])


def mixed_ply(order: str) -> bytes:
    """A pyramid over a quad: polygons of two sizes, a property on either side of the corners, normals, colours."""
    word = {"<": "little", ">": "big"}[order]
    header = (
        f"ply\nformat binary_{word}_endian 1.0\ncomment made by hand\nelement vertex 5\n"
        "property double x\nproperty double y\nproperty double z\n"
        "property float nx\nproperty float ny\nproperty float nz\nproperty uchar red\n"
        "element face 5\nproperty uchar flag\nproperty list uchar uint vertex_indices\nproperty short group\n"
        "end_header\n"
    )
    vertices = np.zeros(5, [("p", f"{order}f8", 3), ("n", f"{order}f4", 3), ("c", "u1")])
    vertices["p"] = [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0.5, 0.5, 1]]
    vertices["n"] = vertices["p"] - [0.5, 0.5, 0.3]
    body = vertices.tobytes()
    for corners in ([3, 2, 1, 0], [0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4]):
        body += b"\x01" + bytes([len(corners)]) + np.array(corners, f"{order}u4").tobytes() + b"\x00\x02"
    return header.encode() + body


@pytest.mark.parametrize("order", ["<", ">"])
def test_binary_ply_mixes_triangles_and_quads(order):
    ply = read_ply(mixed_ply(order))
    assert ply.faces is not None and ply.normals is not None
    assert len(ply.faces) == 6
    assert volume(ply.vertices, ply.faces) == pytest.approx(1 / 3)
    assert np.allclose(ply.normals[4], [0, 0, 0.7])


def test_ascii_ply_reads_like_binary_ply():
    text = (
        "ply\nformat ascii 1.0\nelement vertex 5\nproperty float x\nproperty float y\nproperty float z\n"
        "element face 5\nproperty list uchar int vertex_index\nend_header\n"
        "0 0 0\n1 0 0\n1 1 0\n0 1 0\n.5 .5 1e0\n4 3 2 1 0\n3 0 1 4\n3 1 2 4\n3 2 3 4\n3 3 0 4\n"
    )
    ply = read_ply(text.encode())
    assert ply.faces is not None
    assert volume(ply.vertices, ply.faces) == pytest.approx(1 / 3)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.1, 0.3, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("make", ["mixed", "uniform"])
def test_a_truncated_ply_is_refused_wherever_it_ends(tmp_path, share, make):
    data = mixed_ply("<") if make == "mixed" else write_ply(*cube(), {})
    path = tmp_path / "cut.ply"
    path.write_bytes(data[: int(len(data) * share)])
    assert refused(path).code == ErrorCode.UNREADABLE_FILE


def test_damaged_ply_bytes_never_escape_as_another_error():
    rng = np.random.default_rng(0)
    data = mixed_ply("<")
    for _ in range(300):
        broken = bytearray(data)
        for at in rng.integers(0, len(data), 4):
            broken[at] = rng.integers(0, 256)
        try:
            ply = read_ply(bytes(broken))
            RawScan(ply.vertices, ply.faces, ply.normals)
        except (FormatError, OmomiError):
            pass


def test_a_header_that_promises_more_than_the_file_holds_allocates_nothing(tmp_path):
    path = tmp_path / "huge.ply"
    path.write_bytes(write_ply(*cube(), {}).replace(b"vertex 8", b"vertex 80000000000"))
    assert refused(path).code == ErrorCode.UNREADABLE_FILE


def test_faces_that_point_nowhere_are_refused(tmp_path):
    points, faces = cube()
    path = tmp_path / "cube.ply"
    path.write_bytes(write_ply(points, faces + 1, {}))
    assert refused(path).code == ErrorCode.NOT_A_MESH


@pytest.mark.parametrize("suffix", [".ply", ".obj", ".stl", ".glb", ".npz"])
@pytest.mark.parametrize("content", [b"", b"Dear diary,\n\ntoday I scanned an owl.\n", bytes(range(256)) * 8])
def test_a_file_that_is_no_mesh_is_refused_whatever_it_is_called(tmp_path, suffix, content):
    path = tmp_path / f"diary{suffix}"
    path.write_bytes(content)
    assert refused(path).code in (ErrorCode.UNREADABLE_FILE, ErrorCode.NOT_A_MESH, ErrorCode.EMPTY_SCAN)


def test_missing_files_folders_and_unknown_suffixes_are_told_apart(tmp_path):
    (tmp_path / "folder.ply").mkdir()
    (tmp_path / "notes.txt").write_text("1 2 3")
    assert "does not exist" in refused(tmp_path / "gone.ply").message
    assert "not a file" in refused(tmp_path / "folder.ply").message
    assert "suffix" in refused(tmp_path / "notes.txt").message


def test_an_empty_ply_is_an_empty_scan(tmp_path):
    (tmp_path / "empty.ply").write_bytes(write_ply(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32), {}))
    assert refused(tmp_path / "empty.ply").code == ErrorCode.EMPTY_SCAN


def test_glb_with_several_meshes_is_one_scan_in_world_coordinates(tmp_path):
    scene = trimesh.Scene()
    points, faces = cube()
    for place in ([0, 0, 0], [5, 0, 0]):
        scene.add_geometry(
            trimesh.Trimesh(points, faces, process=False), transform=trimesh.transformations.translation_matrix(place)
        )
    mirror = np.diag([-1.0, 1, 1, 1])
    mirror[0, 3] = 20
    scene.add_geometry(trimesh.Trimesh(points, faces, process=False), transform=mirror)
    scene.export(tmp_path / "three.glb")
    scan = load_scan(tmp_path / "three.glb")
    assert scan.faces is not None
    assert np.ptp(scan.points, axis=0) == pytest.approx([20, 1, 1])
    assert volume(scan.points, scan.faces) == pytest.approx(3)


def test_obj_quads_become_triangles(tmp_path):
    points, _ = cube()
    quads = [[1, 2, 4, 3], [5, 7, 8, 6], [1, 5, 6, 2], [3, 4, 8, 7], [1, 3, 7, 5], [2, 6, 8, 4]]
    lines = [f"v {x} {y} {z}" for x, y, z in points] + [f"f {a} {b} {c} {d}" for a, b, c, d in quads]
    (tmp_path / "cube.obj").write_text("\n".join(lines))
    scan = load_scan(tmp_path / "cube.obj")
    assert scan.faces is not None and len(scan.faces) == 12
    assert volume(scan.points, scan.faces) == pytest.approx(1)


def test_npz_of_pickled_objects_is_refused(tmp_path):
    np.savez(tmp_path / "bad.npz", points=np.array([{"run": "me"}], object))
    assert refused(tmp_path / "bad.npz").code == ErrorCode.UNREADABLE_FILE


def test_npz_without_points_or_with_odd_shapes_is_no_mesh(tmp_path):
    np.savez(tmp_path / "a.npz", weights=np.zeros((4, 4)))
    np.savez(tmp_path / "b.npz", points=np.zeros((4, 2)))
    np.savez(tmp_path / "c.npz", points=np.zeros((4, 3)), normals=np.zeros((5, 3)))
    assert {refused(tmp_path / f"{name}.npz").code for name in "abc"} == {ErrorCode.NOT_A_MESH}


def test_range_views_are_joined_with_their_sensor_directions(tmp_path):
    points, faces = cube()
    np.savez(tmp_path / "v.npz", V0=points, F0=faces, dir0=[0, 0, 1], V1=points + 2, F1=faces, dir1=[1, 0, 0])
    scan = load_scan(tmp_path / "v.npz")
    assert scan.faces is not None and scan.to_sensor is not None
    assert scan.faces.max() == 15
    assert np.array_equal(scan.to_sensor[[0, 15]], [[0, 0, 1], [1, 0, 0]])


@needs_scans
@pytest.mark.parametrize(
    "path", sorted(p for d in ("raw", "toponoise", "raw_views") for p in (SCANS / d).glob("*.*")), ids=lambda p: p.name
)
def test_every_real_scan_loads_and_prepares(path):
    raw = load_scan(path)
    scan = prepare(raw)
    assert np.abs(scan.points).max() <= 0.8 + 1e-5
    assert np.ptp(scan.points, axis=0).max() == pytest.approx(1.6, abs=1e-5)
    assert np.allclose(np.linalg.norm(scan.normals, axis=1), 1, atol=1e-5)
    assert scan.report.normals_from == "faces"
    assert scan.report.dropped_outliers < 0.002 * len(scan.points)
    assert 0 < scan.noise < 0.01
    back = scan.frame.to_world(scan.points[:100])
    assert np.all(back >= raw.points.min(axis=0) - 1e-3) and np.all(back <= raw.points.max(axis=0) + 1e-3)


def test_points_that_are_nowhere_take_their_faces_and_all_that_they_carry_along():
    points = np.array([[0, 0, 0], [np.nan, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, np.inf]])
    faces = np.array([[0, 2, 3], [0, 1, 2], [2, 3, 4], [3, 2, 0]])
    numbers = np.arange(5, dtype=np.float32)
    attributes = SurfaceAttributes(
        np.arange(15, dtype=np.uint8).reshape(5, 3),
        np.arange(24, dtype=np.float32).reshape(4, 3, 2),
        np.array([0, 1, 1, 0], np.int32),
        ("a", "b"),
        values={"heat": numbers},
    )
    scan = RawScan(points, faces, sigma=numbers, view=numbers, attributes=attributes).finite()
    assert scan.attributes is not None and attributes.uvs is not None and scan.faces is not None
    assert scan.sigma is not None and scan.view is not None
    assert scan.attributes.colours is not None and scan.attributes.uvs is not None
    assert scan.attributes.materials is not None
    assert scan.points.tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 0]] and scan.faces.tolist() == [[0, 1, 2], [2, 1, 0]]
    assert scan.sigma.tolist() == scan.view.tolist() == scan.attributes.values["heat"].tolist() == [0, 2, 3]
    assert scan.attributes.colours[1].tolist() == [6, 7, 8] and scan.attributes.materials.tolist() == [0, 0]
    assert scan.attributes.uvs.tolist() == attributes.uvs[[0, 3]].tolist()
    assert scan.finite() is scan
    channels = scan.channels()
    assert {name: rows.shape for name, rows in channels.items()} == {"Color": (3, 4), "view": (3, 1), "heat": (3, 1)}


def test_what_the_add_on_offers_to_open_is_read():
    assert set(POINT_FILES) <= set(SCAN_SUFFIXES)
