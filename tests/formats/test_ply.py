"""PLY files as other programs write them: more lists than the corners of faces, any line ends and types, colours."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from backend.errors import OmomiError
from backend.formats.files import FormatError
from backend.formats.mesh_files import load_scan, save_mesh
from backend.formats.ply import moved_ply, read_ply, write_ply
from backend.geometry.surface_attributes import SurfaceAttributes
from tests.scan_shapes import cube, equal, volume

POINTS, FACES = cube()
XYZ = "property float x\nproperty float y\nproperty float z\n"


def header(form: str, vertex: str, face: str, count: int = len(FACES), between: str = "") -> str:
    begun = f"ply\nformat {form} 1.0\n{between}element vertex {len(POINTS)}\n"
    return f"{begun}{vertex}element face {count}\n{face}end_header\n"


def rows(*parts: NDArray) -> bytes:
    """Rows of bytes: the parts (n, ...) side by side."""
    raw = [np.ascontiguousarray(part).view(np.uint8).reshape(len(part), -1) for part in parts]
    return np.concatenate(raw, axis=1).tobytes()


def same_cube(data: bytes) -> None:
    ply = read_ply(data)
    assert ply.faces is not None
    assert np.allclose(ply.vertices, POINTS) and equal(np.sort(ply.faces), np.sort(FACES))
    assert volume(ply.vertices, ply.faces) == pytest.approx(1)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("uneven", [False, True])
def test_lists_of_vertices_and_faces_are_stepped_over(order: str, uneven: bool) -> None:
    word = {"<": "little", ">": "big"}[order]
    vertex = f"{XYZ}property list uchar uint view_indices\nproperty list int float view_weights\nproperty short tag\n"
    face = "property list uchar int vertex_indices\nproperty list ushort double notes\nproperty int texnumber\n"
    data = header(f"binary_{word}_endian", vertex, face).encode()
    for number, point in enumerate(POINTS):
        views = 2 + number % 3 * uneven
        data += struct.pack(f"{order}3fB{views}Ii{views}fh", *point, views, *range(views), views, *range(views), 7)
    for number, corners in enumerate(FACES.tolist()):
        notes = 1 + number % 2 * uneven
        data += struct.pack(f"{order}B3iH{notes}di", 3, *corners, notes, *range(notes), number % 2)
    same_cube(data)
    ply = read_ply(data)
    assert ply.attributes is not None and ply.attributes.materials is not None
    assert ply.attributes.materials.tolist() == [0, 1] * 6 and ply.attributes.values["tag"].tolist() == [7] * 8


def test_texture_coordinates_of_corners_are_read_with_their_triangles() -> None:
    uvs = np.random.default_rng(0).random((len(FACES), 6)).astype("<f4")
    face = "property list uchar int vertex_indices\nproperty list uchar float texcoord\n"
    three, six = np.full((12, 1), 3, "u1"), np.full((12, 1), 6, "u1")
    body = POINTS.astype("<f4").tobytes() + rows(three, FACES.astype("<i4"), six, uvs)
    data = header("binary_little_endian", XYZ, face).encode() + body
    same_cube(data)
    attributes = read_ply(data).attributes
    assert attributes is not None and attributes.uvs is not None
    assert equal(attributes.uvs.reshape(12, 6), uvs)


def ascii_cube(end: str = "\n", index: str = "vertex_indices", axes: str = XYZ) -> str:
    text = header("ascii", axes, f"property list uchar int {index}\n")
    text += "".join(f"{x:g} {y:g} {z:g}\n" for x, y, z in POINTS) + "".join(f"3 {a} {b} {c}\n" for a, b, c in FACES)
    return text.replace("\n", end)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("index", ["vertex_index", "vertex_indexes", "Vertex_Indices", "corners"])
def test_any_line_end_mark_and_name_of_the_corners_is_read(end: str, mark: bytes, index: str) -> None:
    same_cube(mark + ascii_cube(end, index).encode())
    capital = "".join(f"property double {axis}\n" for axis in "XYZ")
    same_cube(mark + ascii_cube(end, index, capital).encode())


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_what_follows_a_header_of_any_line_end_may_begin_with_a_byte_like_one(end: str) -> None:
    points = np.frombuffer(b"\n\r\n\x00" * 24, "<f4").reshape(8, 3)
    text = header("binary_little_endian", XYZ, "property list uchar int vertex_indices\n", 0).replace("\n", end)
    assert equal(read_ply(text.encode() + points.tobytes()).vertices, points)


def test_long_and_bool_types_are_read() -> None:
    face = "property bool smooth\nproperty list uint8 int64 vertex_indices\nproperty uint64 id\n"
    one, three = np.ones((12, 1), "u1"), np.full((12, 1), 3, "u1")
    data = header("binary_little_endian", f"{XYZ}property bool chosen\n", face).encode()
    data += rows(POINTS.astype("<f4"), np.ones((8, 1), "u1"))
    same_cube(data + rows(one, three, FACES.astype("<i8"), np.full((12, 1), 2**40, "<u8")))


def test_a_grid_of_ranges_is_read_as_its_points_and_a_list_before_the_vertices_is_passed() -> None:
    points = "".join(f"{x:g} {y:g} {z:g}\n" for x, y, z in POINTS)
    grid = (
        f"element range_grid 10\nproperty list uchar int vertex_indices\nend_header\n{points}" + "0\n" * 2 + "1 0\n" * 8
    )
    ply = read_ply(f"ply\nformat ascii 1.0\nobj_info num_cols 5\nelement vertex 8\n{XYZ}{grid}".encode())
    assert ply.faces is None and np.allclose(ply.vertices, POINTS)
    before = "element material 2\nproperty list uchar int ids\n"
    text = (
        ascii_cube()
        .replace("element vertex", f"{before}element vertex")
        .replace("end_header\n", "end_header\n2 5 6\n0\n")
    )
    same_cube(text.encode())


def test_strips_of_triangles_turn_every_other_triangle() -> None:
    # a band around an axis, as two strips that share a list, and one in a list of its own
    strips = [[0, 1, 2, 3, -1, 4, 5, 6], [7, 6, 5, 4]]
    data = f"ply\nformat binary_little_endian 1.0\nelement vertex 8\n{XYZ}element tristrips 2\n".encode()
    data += b"property list int int vertex_indices\nend_header\n" + POINTS.astype("<f4").tobytes()
    data += b"".join(struct.pack(f"<i{len(strip)}i", len(strip), *strip) for strip in strips)
    faces = read_ply(data).faces
    assert faces is not None
    assert faces.tolist() == [[0, 1, 2], [2, 1, 3], [4, 5, 6], [7, 6, 5], [5, 6, 4]]


def test_a_concave_polygon_is_covered_and_not_its_notch() -> None:
    arrow = "0 0 0\n2 1 0\n0 2 0\n.7 1 0\n"
    text = f"ply\nformat ascii 1.0\nelement vertex 4\n{XYZ}element face 1\nproperty list uchar int vertex_index\n"
    ply = read_ply(f"{text}end_header\n{arrow}4 0 1 2 3\n".encode())
    assert ply.faces is not None
    assert sorted(map(sorted, ply.faces.tolist())) == [[0, 1, 3], [1, 2, 3]]


def splats() -> bytes:
    names = ["x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2", "f_rest_0", "opacity"]
    names += [*(f"scale_{k}" for k in range(3)), *(f"rot_{k}" for k in range(4))]
    table = np.zeros((4, len(names)), "<f4")
    table[:, :3] = np.eye(4, 3)
    table[:, 6:9] = np.array([[1, 0, 0.5]]) / 0.28209479177387814 - 0.5 / 0.28209479177387814
    table[:, 10] = [4, 4, -5, 4]
    lines = "".join(f"property float {name}\n" for name in names)
    return f"ply\nformat binary_little_endian 1.0\nelement vertex 4\n{lines}end_header\n".encode() + table.tobytes()


def test_gaussian_splats_are_points_of_their_colour_without_the_transparent_ones(tmp_path: Path) -> None:
    (tmp_path / "splats.ply").write_bytes(splats())
    scan = load_scan(tmp_path / "splats.ply")
    assert scan.faces is None and scan.normals is None and len(scan.points) == 3
    assert scan.attributes is not None and scan.attributes.colours is not None
    assert scan.attributes.colours.tolist() == [[255, 0, 128]] * 3 and not scan.attributes.values
    assert any("1 of 4" in note and "opaque" in note for note in scan.notes)


@pytest.mark.parametrize(
    ("kind", "values", "bytes_"),
    [
        ("uchar", [0, 7, 255], [0, 7, 255]),
        ("float", [0, 0.5, 1], [0, 128, 255]),
        ("ushort", [0, 257, 65535], [0, 1, 255]),
    ],
)
def test_colours_of_any_type_are_bytes(kind: str, values: list, bytes_: list) -> None:
    channels = "".join(f"property {kind} {name}\n" for name in ("red", "green", "blue"))
    text = f"ply\nformat ascii 1.0\nelement vertex 3\n{XYZ}{channels}end_header\n"
    text += "".join(f"0 0 {k} {' '.join(map(str, values))}\n" for k in range(3))
    attributes = read_ply(text.encode()).attributes
    assert attributes is not None and attributes.colours is not None
    assert attributes.colours.tolist() == [bytes_] * 3


def test_all_that_a_mesh_carries_is_written_and_read_again(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    given = SurfaceAttributes(
        rng.integers(0, 256, (8, 4)).astype(np.uint8),
        rng.random((12, 3, 2)).astype(np.float32),
        np.arange(12, dtype=np.int32) % 2,
        ("skin", "eye left"),
        values={"rest": rng.random(8).astype(np.float32)},
    )
    save_mesh(tmp_path / "cube.ply", POINTS, FACES, np.ones(8), given)
    scan = load_scan(tmp_path / "cube.ply")
    found = scan.attributes
    assert found is not None and scan.sigma is not None
    assert equal(found.colours, given.colours) and equal(found.uvs, given.uvs)
    assert equal(found.materials, given.materials) and found.material_names == given.material_names
    assert equal(found.values["rest"], given.values["rest"])


@pytest.mark.parametrize("form", ["ascii", "binary_little_endian", "binary_big_endian"])
@pytest.mark.parametrize("lists", [False, True])
def test_a_moved_file_differs_in_coordinates_and_normals_only(form: str, lists: bool) -> None:
    extra = "property list uchar ushort seen\n" if lists else ""
    vertex = f"property uchar red\n{XYZ}{extra}property float nx\nproperty float ny\nproperty float nz\n"
    face = "property list uchar int vertex_indices\nproperty uchar flag\n"
    data = header(form, vertex, face, between="comment made by hand\n").encode()
    order = ">" if "big" in form else "<"
    for number, point in enumerate(POINTS):
        seen = [number % 3, *range(number % 3)] if lists else []
        if form == "ascii":
            data += f"9 {' '.join(map(str, point.tolist()))}\t{' '.join(map(str, seen))} 0 0 1\n".encode()
        else:
            data += struct.pack(f"{order}B3f", 9, *point)
            data += struct.pack(f"{order}B{len(seen) - 1}H", *seen) if lists else b""
            data += struct.pack(f"{order}3f", 0, 0, 1)
    for corners in FACES.tolist():
        row = (3, *corners, 5)
        data += f"{' '.join(map(str, row))}\n".encode() if form == "ascii" else struct.pack(f"{order}B3iB", *row)
    normals = np.tile([0.0, 0.6, 0.8], (8, 1))
    moved = moved_ply(data, POINTS * 2 + 0.25, normals)
    ply, before = read_ply(moved), read_ply(data)
    assert equal(ply.vertices, POINTS * 2 + 0.25) and ply.normals is not None
    assert np.allclose(ply.normals, normals)
    # and back again it is the file that it was
    assert before.normals is not None
    again = moved_ply(moved, POINTS, before.normals)
    assert read_ply(again).vertices.tolist() == POINTS.tolist()
    assert again == data if form != "ascii" else again.split() == moved_ply(data, POINTS, before.normals).split()


@pytest.mark.parametrize("cut", [0.05, 0.3, 0.6, 0.9, 0.999])
def test_a_file_of_lists_is_refused_wherever_it_ends(cut: float) -> None:
    data = header(
        "binary_little_endian", f"{XYZ}property list uchar uint views\n", "property list uchar int vertex_indices\n"
    )
    body = b"".join(struct.pack(f"<3fB{k % 3}I", *point, k % 3, *range(k % 3)) for k, point in enumerate(POINTS))
    whole = data.encode() + body + rows(np.full((12, 1), 3, "u1"), FACES.astype("<i4"))
    same_cube(whole)
    with pytest.raises(FormatError):
        read_ply(whole[: int(len(whole) * cut)])


def test_a_list_that_promises_more_than_there_is_takes_no_memory() -> None:
    data = header("binary_little_endian", f"{XYZ}property list uint double views\n", "", 0).encode()
    with pytest.raises(FormatError):
        read_ply(data + struct.pack("<3fI", 0, 0, 0, 2**32 - 1))


def test_damaged_bytes_of_a_file_of_lists_never_escape_as_another_error(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    colours = SurfaceAttributes(np.zeros((8, 3), np.uint8), np.zeros((12, 3, 2), np.float32))
    for data in (write_ply(POINTS, FACES, {}, colours), splats(), ascii_cube().encode()):
        for _ in range(200):
            broken = bytearray(data)
            for at in rng.integers(0, len(data), 4):
                broken[at] = rng.integers(0, 256)
            (tmp_path / "broken.ply").write_bytes(broken)
            try:
                load_scan(tmp_path / "broken.ply")
            except OmomiError as error:
                assert error.code != "internal" and "complete" not in error.message
