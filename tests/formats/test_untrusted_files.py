"""Files from others: wrong ones are refused with a reason, small ones take little memory, and none opens another."""

from __future__ import annotations

import io
import os
import struct
import sys
import threading
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from backend.edits.edit_file import load_edit
from backend.edits.masks import mask_from_file
from backend.errors import ErrorCode, OmomiError
from backend.formats import mesh_files
from backend.formats.files import check_writable, write_whole
from backend.formats.mesh_files import check_output, load_scan, save_mesh
from backend.formats.npz import read_npy
from backend.formats.ply import read_ply
from backend.geometry.moving_solid import read_solid
from backend.geometry.polygons import triangulate
from backend.protocol.recipe import read_recipe
from tests.formats.test_gltf import glb, of_points
from tests.scan_shapes import cube

POINTS, FACES = cube()
XYZ = "property float x\nproperty float y\nproperty float z\n"
CORNERS = "property list uchar int vertex_indices\n"
MEMORY = 64 << 20
"""Bytes that a small file may take at most."""


def refused(path: Path, *words: str, code: ErrorCode | None = None) -> None:
    with pytest.raises(OmomiError) as caught:
        load_scan(path)
    error = caught.value
    assert error.message.endswith(".") and "\n" not in error.message and "complete" not in error.message, error.detail
    assert all(word in error.message for word in words), error.message
    assert code is None or error.code == code


def npz(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def ply(path: Path, vertex: str, body: str, face: str = "", encoding: str = "ascii") -> Path:
    path.write_text(f"ply\nformat {encoding} 1.0\n{vertex}{face}end_header\n{body}")
    return path


# Wrong geometry


@pytest.mark.parametrize("faces", [FACES + 0.9, np.where(FACES == 3, np.nan, FACES), FACES + 0j, FACES.astype(str)])
def test_faces_of_an_npz_that_are_no_whole_numbers_are_refused(tmp_path: Path, faces: NDArray) -> None:
    refused(npz(tmp_path / "a.npz", points=POINTS, faces=faces))
    refused(npz(tmp_path / "b.npz", V0=POINTS, F0=faces, dir0=np.zeros(3)))


def test_views_of_complex_numbers_are_refused_and_faces_stay_within_their_view(tmp_path: Path) -> None:
    refused(npz(tmp_path / "a.npz", V0=POINTS + 1j, F0=FACES, dir0=np.zeros(3)), "real numbers")
    refused(npz(tmp_path / "b.npz", V0=POINTS, F0=FACES, dir0=np.array([["a", "b", "c"]])), "real numbers")
    views = {"V0": POINTS, "F0": FACES + 8, "dir0": np.zeros(3), "V1": POINTS, "F1": FACES, "dir1": np.zeros(3)}
    refused(npz(tmp_path / "c.npz", **views), code=ErrorCode.NOT_A_MESH)


def test_faces_in_floats_that_are_whole_are_read(tmp_path: Path) -> None:
    scan = load_scan(npz(tmp_path / "a.npz", points=POINTS, faces=FACES.astype(float)))
    assert scan.faces is not None and np.array_equal(scan.faces, FACES)


@pytest.mark.parametrize("numbers", ["0 0 0 9\n", "0 0\n", "0 0 0\n\n1\n"])
def test_a_line_with_more_or_less_numbers_than_the_header_declares_is_refused(tmp_path: Path, numbers: str) -> None:
    refused(ply(tmp_path / "a.ply", f"element vertex 4\n{XYZ}", 4 * numbers))
    face = f"element face 2\n{CORNERS}"
    refused(ply(tmp_path / "b.ply", f"element vertex 4\n{XYZ}", 4 * numbers + "3 0 1 2\n3 1 2 3\n", face))


@pytest.mark.parametrize("corner", ["nan", "1.5", "1e300"])
def test_corners_in_a_text_that_are_no_whole_numbers_are_refused(tmp_path: Path, corner: str) -> None:
    face = f"element face 1\n{CORNERS}"
    refused(ply(tmp_path / "a.ply", f"element vertex 3\n{XYZ}", f"0 0 0\n1 0 0\n0 1 0\n3 0 {corner} 2\n", face))


def test_what_a_header_declares_twice_is_refused(tmp_path: Path) -> None:
    refused(ply(tmp_path / "a.ply", f"element vertex 1\nproperty float x\n{XYZ}", "0 1 2 3\n"), "twice")
    refused(ply(tmp_path / "b.ply", f"element vertex 1\n{XYZ}element vertex 1\n{XYZ}", "0 1 2\n3 4 5\n"), "twice")


def test_a_binary_ply_with_more_than_its_header_says_is_refused(tmp_path: Path) -> None:
    save_mesh(tmp_path / "a.ply", POINTS, FACES)
    data = (tmp_path / "a.ply").read_bytes()
    (tmp_path / "a.ply").write_bytes(data.replace(b"face 12", b"face 11"))
    refused(tmp_path / "a.ply", "more than its header says")


@pytest.mark.parametrize("count", [0, 11, 13, 0xFFFFFFFF])
def test_an_stl_whose_count_lies_is_refused(tmp_path: Path, count: int) -> None:
    save_mesh(tmp_path / "a.stl", POINTS, FACES)
    data = (tmp_path / "a.stl").read_bytes()
    (tmp_path / "a.stl").write_bytes(data[:80] + struct.pack("<I", count) + data[84:])
    refused(tmp_path / "a.stl", "number of faces")


def test_a_text_stl_is_read_whole_or_not_at_all(tmp_path: Path) -> None:
    rows = [f"vertex {x:g} {y:g} {z:g}" for x, y, z in POINTS[FACES].reshape(-1, 3)]
    facets = [
        " ".join(["facet normal 0 0 1 outer loop", *rows[k : k + 3], "endloop endfacet"]) for k in range(0, 36, 3)
    ]
    path, text = tmp_path / "a.stl", "solid vertex of a part\n" + "\n".join(facets) + "\nendsolid vertex of a part\n"
    path.write_text(text.upper())
    scan = load_scan(path)
    assert scan.faces is not None and np.array_equal(scan.points[scan.faces], POINTS[FACES])
    for share in (0.5, 0.9, 0.98):
        path.write_text(text[: int(share * len(text))])
        refused(path)


def test_points_that_are_nowhere_are_said_and_a_scan_of_nothing_else_is_refused(tmp_path: Path) -> None:
    some = POINTS.copy()
    some[2, 1] = np.nan
    save_mesh(tmp_path / "some.stl", some, FACES)
    assert "no finite position" in load_scan(tmp_path / "some.stl").notes[0]
    save_mesh(tmp_path / "all.stl", np.full((8, 3), np.nan), FACES)
    refused(tmp_path / "all.stl", code=ErrorCode.BAD_COORDINATES)


# Bombs


def bomb(path: Path, kind: str, shape: tuple[int, ...], size: int) -> Path:
    """An NPZ file whose points have a header that says so, and ``size`` zeros."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": kind, "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("points.npy", header.getvalue() + bytes(size))
    return path


def little_memory(path: Path) -> None:
    tracemalloc.start()
    try:
        refused(path)
        assert tracemalloc.get_traced_memory()[1] < MEMORY
    finally:
        tracemalloc.stop()


def test_a_small_npz_that_wants_gigabytes_takes_no_memory(tmp_path: Path) -> None:
    little_memory(bomb(tmp_path / "ratio.npz", "|u1", (1 << 27,), 1 << 27))
    little_memory(bomb(tmp_path / "lie.npz", "<f8", (10**12, 3), 100))
    little_memory(bomb(tmp_path / "empty.npz", "<f8", (0, 10**18), 0))
    little_memory(bomb(tmp_path / "less.npz", "<f8", (4, 3), 100))
    # within the bound on bytes, but its numbers become wider
    little_memory(bomb(tmp_path / "narrow.npz", "|u1", (1 << 24, 3), 3 << 24))


def test_narrow_numbers_of_many_views_count_together(tmp_path: Path) -> None:
    points, face = np.zeros((1 << 20, 3), "u1"), np.zeros((1, 3), "u1")
    views: dict[str, NDArray] = {}
    for view in range(9):
        views |= {f"V{view}": points, f"F{view}": face, f"dir{view}": np.ones(3)}
    np.savez_compressed(tmp_path / "a.npz", **views)
    refused(tmp_path / "a.npz", "many more numbers")


@pytest.mark.parametrize("element", ["vertex", "face", "other"])
def test_rows_of_a_ply_are_counted_before_they_are_read(tmp_path: Path, element: str) -> None:
    others = f"element {element} 100000001\nproperty list uchar uchar a\n"
    path = tmp_path / "a.ply"
    path.write_bytes(f"ply\nformat binary_little_endian 1.0\n{others}end_header\n".encode() + bytes(100))
    refused(path, "more than 100,000,000")


def test_strips_and_polygons_are_counted_before_they_are_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.geometry.polygons.MOST_TRIANGLES", 5)
    with pytest.raises(ValueError, match="more than 5 triangles"):
        triangulate(POINTS, np.arange(8), np.array([4, 4, 4, 4]))
    monkeypatch.setattr("backend.formats.ply.MOST_ROWS", 5)
    strip = b"element tristrips 1\nproperty list uchar uchar vertex_indices\nend_header\n"
    head = b"ply\nformat binary_little_endian 1.0\nelement vertex 1\n" + XYZ.encode() + strip
    with pytest.raises(ValueError, match="more than 5 faces"):
        read_ply(head + bytes(12) + b"\6" + bytes(6))


def test_members_of_a_zip_that_share_bytes_or_a_name_are_refused(tmp_path: Path) -> None:
    stored = io.BytesIO()
    np.save(stored, POINTS)
    with pytest.warns(UserWarning), zipfile.ZipFile(tmp_path / "a.npz", "w") as packed:
        packed.writestr("points.npy", stored.getvalue())
        packed.writestr("points.npy", stored.getvalue())
    refused(tmp_path / "a.npz", "one name")


@pytest.mark.parametrize(("field", "value"), [(8, 99), (8, 14), (6, 1)])
def test_encrypted_and_strangely_packed_arrays_are_refused_in_our_words(tmp_path: Path, field: int, value: int) -> None:
    data = bytearray(npz(tmp_path / "a.npz", points=POINTS).read_bytes())
    central = data.index(b"PK\x01\x02")
    struct.pack_into("<H", data, field, value)
    struct.pack_into("<H", data, central + field + 2, value)
    (tmp_path / "a.npz").write_bytes(data)
    refused(tmp_path / "a.npz", "encrypted, or packed in a way")


def test_no_array_of_a_file_runs_anything(tmp_path: Path) -> None:
    refused(npz(tmp_path / "a.npz", points=np.array([{}], object)), "something else than numbers")
    np.save(tmp_path / "m.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(OmomiError, match="something else than numbers"):
        mask_from_file(tmp_path / "m.npy", 1)


def scene(nodes: list[dict[str, Any]], roots: list[int]) -> bytes:
    return glb(of_points({}, nodes=nodes, scenes=[{"nodes": roots}]), POINTS.astype("<f4").tobytes())


@pytest.mark.parametrize(
    "nodes",
    [
        [{"mesh": 0, "children": [1]}, {"mesh": 0, "children": [0]}],
        [{"mesh": 0, "children": [0]}],
        [{"children": [k + 1, k + 1]} for k in range(24)] + [{"mesh": 0}],
        [{"children": [9]}],
        [{"mesh": 0, "matrix": [1e308] * 16}],
        [{"mesh": 0, "translation": [0, 10**400, 0]}],
        [{"mesh": 3}],
    ],
)
def test_scenes_that_are_no_trees_are_refused(tmp_path: Path, nodes: list[dict[str, Any]]) -> None:
    (tmp_path / "a.glb").write_bytes(scene(nodes, [0]))
    refused(tmp_path / "a.glb")


def test_a_long_chain_of_nodes_is_read(tmp_path: Path) -> None:
    nodes: list[dict[str, Any]] = [{"children": [k + 1], "translation": [0, 0, 1]} for k in range(3000)]
    (tmp_path / "a.glb").write_bytes(scene([*nodes, {"mesh": 0}], [0]))
    assert np.allclose(load_scan(tmp_path / "a.glb").points, POINTS + [0, 0, 3000])


def test_copies_of_a_mesh_are_counted_before_they_are_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.formats.gltf.MOST_COPIED", 0)
    for copies in (100, 1000):
        (tmp_path / f"{copies}.glb").write_bytes(scene([{"mesh": 0}] * copies, list(range(copies))))
    assert len(load_scan(tmp_path / "100.glb").points) == 800
    little = tmp_path / "1000.glb"
    # what is left is less than the header's own bytes are worth
    monkeypatch.setattr("backend.formats.gltf.MOST_COPIED", 7999 - len(little.read_bytes()) // 2)
    monkeypatch.setattr("backend.formats.gltf._scene", None)
    with pytest.raises(OmomiError, match="more than it has bytes for"):
        load_scan(little)


@pytest.mark.parametrize(
    "change",
    [
        {"count": 10**9}, {"count": -1}, {"count": True}, {"byteOffset": 4}, {"bufferView": 7}, {"bufferView": None},
        {"componentType": 5130}, {"type": "MAT4"}, {"sparse": {}},
    ],
)  # fmt: skip
def test_accessors_that_promise_what_is_not_there_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    header = of_points({})
    header["accessors"][0] |= change
    (tmp_path / "a.glb").write_bytes(glb(header, POINTS.astype("<f4").tobytes()))
    little_memory(tmp_path / "a.glb")


def test_polygons_of_many_corners_or_many_sizes_are_bounded_by_their_work() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(100, 3))
    sizes = rng.integers(3, 6, 3000)
    triangles = triangulate(points, rng.integers(0, 100, sizes.sum()), sizes)
    assert len(triangles) == (sizes - 2).sum() and triangles.max() < sizes.sum()
    with pytest.raises(ValueError, match="too many corners"):
        triangulate(points, np.arange(6000) % 100, np.array([6000]))


def test_concave_polygons_of_four_and_five_corners_are_covered_once() -> None:
    flat = np.array([(0, 0), (2, 0), (2, 2), (1, 0.4), (0, 2)], float)
    for kept in (flat, np.array([(0, 0), (2, 1), (0, 2), (0.7, 1)])):
        points = np.column_stack([kept, np.zeros(len(kept))])
        for start in range(len(kept)):
            corners = np.roll(np.arange(len(kept)), start)
            a, b, c = points[corners[triangulate(points, corners, np.array([len(kept)]))]].transpose(1, 0, 2)
            assert (np.cross(b - a, c - a)[:, 2] > 0).all()


def test_the_moved_box_is_bounded_before_it_is_filled() -> None:
    for size in (1e3, np.nan):
        with pytest.raises(OmomiError, match="lower the strength"):
            read_solid(POINTS * size, FACES)


# Other files, and what is no file


def pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("a.ply", load_scan), ("a.e57", load_scan), ("a.npz", load_scan), ("r.json", read_recipe),
        ("m.npy", lambda path: mask_from_file(path, 8)), ("e.omomi", load_edit), ("a.stl", check_writable),
    ],
)  # fmt: skip
def test_pipes_devices_and_folders_are_refused_and_not_waited_for(tmp_path: Path, name: str, read: Any) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / name).mkdir()
    (tmp_path / "device").mkdir()
    (tmp_path / "device" / name).symlink_to("/dev/zero")
    errors: list[OmomiError] = []

    def ask(path: Path) -> None:
        try:
            read(path)
        except OmomiError as error:
            errors.append(error)

    for path in (pipe(tmp_path / name), tmp_path / "folder" / name, tmp_path / "device" / name):
        thread = threading.Thread(target=ask, args=(path,), daemon=True)
        thread.start()
        thread.join(5)
        assert not thread.is_alive()
    assert len(errors) == 3


def test_a_want_of_memory_while_reading_says_what_helps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(stream: object, path: Path) -> None:
        raise MemoryError

    monkeypatch.setitem(mesh_files._READERS, ".ply", full)
    save_mesh(tmp_path / "a.ply", POINTS, FACES)
    with pytest.raises(OmomiError, match="thin or split it") as caught:
        load_scan(tmp_path / "a.ply")
    assert caught.value.code == ErrorCode.TOO_LARGE and "level" not in caught.value.message


# Writing


@pytest.mark.parametrize("length", [244, 251, 255])
def test_the_longest_names_that_a_folder_takes_are_written(tmp_path: Path, length: int) -> None:
    path = tmp_path / ("a" * (length - 4) + ".ply")
    check_output(path)
    save_mesh(path, POINTS, FACES)
    assert os.listdir(tmp_path) == [path.name]


def test_what_cannot_be_written_is_known_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "folder.ply").mkdir()
    long = tmp_path / ("a" * 300 + ".ply")
    for path in (tmp_path / "none" / "a.ply", tmp_path / "folder.ply", long, tmp_path / "a\0.ply"):
        with pytest.raises(OmomiError) as caught:
            check_output(path)
        assert caught.value.code == ErrorCode.DISK
    assert os.listdir(tmp_path) == ["folder.ply"]


@pytest.mark.parametrize("suffix", [".npz", ".ply"])
def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> int:
        path.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OmomiError, match="the disk is full") as caught:
        save_mesh(tmp_path / f"a{suffix}", POINTS, FACES)
    assert caught.value.code == ErrorCode.DISK and not os.listdir(tmp_path)


def test_what_is_written_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    sync, rename = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda number: (done.append("sync"), sync(number)))
    monkeypatch.setattr(os, "replace", lambda a, b: (done.append("rename"), rename(a, b)))
    write_whole(tmp_path / "a.ply", b"1")
    assert done == ["sync", "rename"]


def test_an_npy_of_another_order_or_version_is_read() -> None:
    for array in (np.asfortranarray(POINTS), POINTS.astype(">f4"), POINTS[0, 0].reshape(())):
        for version in ((1, 0), (2, 0), (3, 0)):
            stream = io.BytesIO()
            np.lib.format.write_array(stream, array, version)
            length = stream.tell()
            stream.seek(0)
            assert np.array_equal(read_npy(stream, length), array)


# Surveys, which packages read that believe their headers


def survey(version: int = 4, **fields: int) -> bytes:
    """The header of a LAS file of 3 points of 20 bytes, and as many bytes."""
    head = bytearray(375 + 60)
    values = {
        "begin": 375,
        "records": 0,
        "kind": 0,
        "length": 20,
        "points": 3,
        "later": 0,
        "more": 0,
        "all": 3,
    } | fields
    places = {"begin": (96, 4), "records": (100, 4), "kind": (104, 1), "length": (105, 2), "points": (107, 4)}
    places |= {"later": (235, 8), "more": (243, 4), "all": (247, 8)}
    head[:4], head[24:26] = b"LASF", bytes((1, version))
    for name, (at, size) in places.items():
        head[at : at + size] = values[name].to_bytes(size, "little")
    return bytes(head)


TABLE = (391).to_bytes(8, "little") + bytes(8) + bytes(4)


@pytest.mark.parametrize(
    "data",
    [
        b"LASF", b"FSAL" + survey()[4:], survey()[:300], survey()[:-1], survey(records=1 << 31), survey(begin=1 << 30),
        survey(length=21), survey(all=4), survey(2, points=4), survey(more=1 << 31), survey(more=1, later=400),
        # compressed
        survey(kind=128)[:375] + (1 << 40).to_bytes(8, "little") + bytes(60),
        survey(kind=128)[:375] + (-2).to_bytes(8, "little", signed=True) + bytes(60),
        survey(kind=128)[:375] + TABLE + (1 << 31).to_bytes(4, "little"),
        survey(kind=128)[:375] + b"\xff" * 8 + TABLE[8:] + b"\xff\xff\0\0" + TABLE[:8],
        survey(kind=128, all=60_000_000)[:375] + TABLE + (1).to_bytes(4, "little"),
    ],
)  # fmt: skip
def test_a_survey_whose_header_lies_never_reaches_the_package_that_reads_it(
    tmp_path: Path, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Path] = []

    def read(path: Path) -> Any:
        seen.append(path)
        raise ValueError

    monkeypatch.setitem(sys.modules, "laspy", SimpleNamespace(read=read))
    (tmp_path / "a.las").write_bytes(data)
    refused(tmp_path / "a.las")
    assert not seen
    for whole in (survey(), survey(2), survey(kind=128)[:375] + TABLE + (3).to_bytes(4, "little")):
        (tmp_path / "a.las").write_bytes(whole)
        with pytest.raises(OmomiError):
            load_scan(tmp_path / "a.las")
    assert len(seen) == 3


def test_a_corner_that_is_no_number_of_this_machine_is_damage(tmp_path: Path) -> None:
    (tmp_path / "a.off").write_text(f"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 {10**30}\n")
    refused(tmp_path / "a.off", "damaged")


def test_what_a_text_of_points_has_lost_of_a_line_is_no_count(tmp_path: Path) -> None:
    (tmp_path / "a.pts").write_text("2\n0 0 0\n1 0 0\n 1 \n0 1 0\n")
    assert len(load_scan(tmp_path / "a.pts").points) == 3
    (tmp_path / "b.pts").write_text("2\n0 0 0\n1 0 0\n-0.5\n0 1 0\n")
    refused(tmp_path / "b.pts", "as many numbers")


@pytest.mark.parametrize("change", [lambda data: data + bytes(4), lambda data: data[:-40] + bytes(8) + data[-40:]])
def test_a_glb_with_bytes_too_many_is_refused(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    save_mesh(tmp_path / "a.glb", POINTS, FACES)
    (tmp_path / "b.glb").write_bytes(change((tmp_path / "a.glb").read_bytes()))
    refused(tmp_path / "b.glb", "bytes")
