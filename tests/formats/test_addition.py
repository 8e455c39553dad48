"""Files to which faces were appended: every byte of the artist's is found again, and the new rows carry what it has."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh

from backend.edits.patch_values import addition
from backend.engine import patch_mesh
from backend.field.fit import ignore
from backend.formats.addition import Addition
from backend.formats.mesh_files import load_scan, save_appended, save_mesh
from backend.formats.ply_elements import ElementReader, read_header
from backend.formats.raw_scan import RawScan
from backend.geometry.topology import edge_report
from backend.protocol.requests import Close
from tests.fakes import MeshEngine

SIZE = 6


def grid_place(x: int, y: int) -> int:
    return y * (SIZE + 1) + x


def quads() -> list[tuple[int, int, int, int]]:
    """A sheet of quads with one missing."""
    missing = (3, 2)
    return [
        (grid_place(x, y), grid_place(x + 1, y), grid_place(x + 1, y + 1), grid_place(x, y + 1))
        for y in range(SIZE) for x in range(SIZE) if (x, y) != missing
    ]  # fmt: skip


def bent() -> np.ndarray:
    y, x = np.divmod(np.arange((SIZE + 1) ** 2), SIZE + 1)
    return np.stack([x / 3, y / 3 + 1e-13, 0.05 * np.sin(x + y)], axis=1)


def smooth_addition(raw: RawScan, numbers: list[int] | None = None) -> Addition:
    return addition(raw, patch_mesh(MeshEngine(), raw, Close.SMOOTH, ignore, numbers=numbers))


def obj_text(end: str = "\n", last: str = "\n") -> bytes:
    """Quads over two charts and two materials, with digits and groups of somebody's own."""
    lines = ["# made by hand", "mtllib own.mtl", "o sheet"]
    lines += [f"v  {x:.13f} {y:.13f}\t{z:.9e}" for x, y, z in bent().tolist()]
    # two charts: left of the middle column of points, and right of it, far away in the texture
    lines += [f"vt {x / 8:.6f} {y / 8:.6f}" for x, y, _ in bent().tolist()]
    lines += [f"vt {x / 8 + 5:.6f} {y / 8:.6f}" for x, y, _ in bent().tolist()]
    lines += ["vn 0 0 1", "s 1"]
    for name, right in (("skin", False), ("cloth", True)):
        lines += [f"g {name}_group", f"usemtl {name}"]
        for corners in quads():
            if (min(corner % (SIZE + 1) for corner in corners) >= 3) == right:
                shift = len(bent()) if right else 0
                lines.append("f " + " ".join(f"{c + 1}/{c + 1 + shift}/-1" for c in corners))
    return end.join(lines).encode() + last.encode()


@pytest.mark.parametrize(("end", "last"), [("\n", "\n"), ("\r\n", "\r\n"), ("\n", ""), ("\n", "\\\n")])
def test_an_obj_file_is_continued_behind_its_last_byte(tmp_path: Path, end: str, last: str) -> None:
    source, path = tmp_path / "in.obj", tmp_path / "out.obj"
    source.write_bytes(obj_text(end, last))
    raw = load_scan(source)
    added = smooth_addition(raw)
    assert save_appended(path, source, raw, added) == []
    data = path.read_bytes()
    assert data.startswith(source.read_bytes())
    more = data[len(source.read_bytes()) :].decode()
    assert [line for line in more.split() if line == "omomi_patch"] and "#" not in more
    assert set(re.findall(r"usemtl (\w+)", more)) <= {"skin", "cloth"}
    after = load_scan(path)
    assert after.faces is not None and raw.faces is not None and after.attributes is not None
    assert after.points[: len(raw.points)].tobytes() == raw.points.tobytes()
    assert after.points[len(raw.points) :].tobytes() == added.vertices.tobytes()
    assert np.array_equal(after.faces[: len(raw.faces)], raw.faces)
    new = after.faces[len(raw.faces) :]
    assert sorted(new.tolist()) == sorted(added.faces.tolist()) and edge_report(after.faces).boundary_loops == 1
    uvs, materials = after.attributes.uvs, after.attributes.materials
    assert uvs is not None and materials is not None
    # the missing quad lies right of the seam: its texture is that of the place there
    at = after.points[new][..., :2] / 8
    new = uvs[len(raw.faces) :].astype(float)
    jump = np.round(new[..., 0] - at[..., 0])
    assert set(jump.reshape(-1).tolist()) == {0.0, 5.0} and np.abs(new - at - jump[..., None] * [1, 0]).max() < 0.03
    names = [after.attributes.material_names[row] for row in materials[len(raw.faces) :]]
    assert set(names) <= {"skin", "cloth"}


def test_an_obj_file_without_textures_normals_and_materials_gets_none(tmp_path: Path) -> None:
    source, path = tmp_path / "in.obj", tmp_path / "out.obj"
    lines = [f"v {x!r} {y!r} {z!r} 0.5 0.25 {x / 4:.3f}" for x, y, z in bent().tolist()]
    source.write_text("\n".join([*lines, *(f"f {a + 1} {b + 1} {c + 1} {d + 1}" for a, b, c, d in quads())]))
    raw = load_scan(source)
    added = smooth_addition(raw)
    save_appended(path, source, raw, added)
    more = path.read_bytes().removeprefix(source.read_bytes()).decode().split("\n")
    assert {line.split()[0] for line in more if line} <= {"g", "v", "f"} and not any("/" in line for line in more)
    after = load_scan(path)
    assert after.attributes is not None and after.attributes.colours is not None
    assert (after.attributes.colours[len(raw.points) :, 0] == 128).all()


def coloured_ball(path: Path, order: str, big: bool = False) -> RawScan:
    """A binary PLY file in double precision with a hole, mixed polygons, colours, a weight, a label, and edges after
    its faces."""
    mesh = trimesh.creation.icosphere(3)
    points, faces = np.asarray(mesh.vertices) + 1e-13, np.asarray(mesh.faces)
    faces = faces[points[faces].mean(axis=1)[:, 2] < 0.9]
    sign = ">" if big else "<"
    vertex = np.zeros(len(points), [
        *((name, f"{sign}f8") for name in "xyz"), *((name, "u1") for name in ("red", "green", "blue")),
        ("weight", f"{sign}f8"), ("label", f"{sign}i4"), ("nx", f"{sign}f4"), ("ny", f"{sign}f4"), ("nz", f"{sign}f4"),
    ])  # fmt: skip
    for axis, name in enumerate("xyz"):
        vertex[name] = points[:, axis]
        vertex[f"n{name}"] = points[:, axis]
    vertex["red"], vertex["weight"] = 200, points[:, 0] / 3
    vertex["label"] = np.where(points[:, 1] > 0, 7, 40_000)
    face = np.zeros(len(faces), [("n", "u1"), ("corners", f"{sign}i4", 3), ("texnumber", "u1"), ("m", "u1")])
    face["n"], face["corners"], face["texnumber"] = 3, faces, 2
    names = {"f8": "double", "u1": "uchar", "i4": "int", "f4": "float"}
    kinds = [f"property {names[np.dtype(vertex.dtype[name]).str[1:]]} {name}" for name in vertex.dtype.names or ()]
    header = [
        "ply", f"format binary_{order}_endian 1.0", "comment from a scanner",
        f"element vertex {len(points)}", *kinds,
        f"element face {len(faces)}", "property list uchar int vertex_indices", "property uchar texnumber",
        "property list uchar float flags", "element edge 2", "property int vertex1", "property int vertex2",
        "end_header", "",
    ]  # fmt: skip
    edges = np.array([[0, 1], [2, 3]], f"{sign}i4")
    path.write_bytes("\n".join(header).encode() + vertex.tobytes() + face.tobytes() + edges.tobytes())
    return load_scan(path)


@pytest.mark.parametrize("big", [False, True])
def test_a_binary_ply_file_keeps_every_row_and_what_follows(tmp_path: Path, big: bool) -> None:
    source, path = tmp_path / "in.ply", tmp_path / "out.ply"
    raw = coloured_ball(source, "big" if big else "little", big)
    added = smooth_addition(raw)
    assert save_appended(path, source, raw, added) == ["The new faces have an empty list flags."]
    before, after = source.read_bytes(), path.read_bytes()
    start = [read_header(data).start for data in (before, after)]
    # rows of 51 bytes for a vertex; what follows the faces is 16 bytes of edges
    split = start[0] + 51 * len(raw.points)
    assert after[start[1] :].startswith(before[start[0] : split])
    assert before[split:-16] in after and after.endswith(before[-16:])
    heads = before[: start[0]], after[: start[1]]
    counted = [re.sub(rb"(element (?:vertex|face)) \d+", rb"\1", head) for head in heads]
    assert counted[0] == counted[1]
    read = load_scan(path)
    assert read.points[len(raw.points) :].tobytes() == added.vertices.tobytes() and read.attributes is not None
    assert edge_report(read.faces).watertight  # type: ignore[arg-type]
    colours, values, new = read.attributes.colours, read.attributes.values, slice(len(raw.points), None)
    assert colours is not None and read.normals is not None and read.attributes.materials is not None
    assert (colours[new] == [200, 0, 0]).all()
    assert np.abs(values["weight"][new] - added.vertices[:, 0] / 3).max() < 0.02
    assert set(values["label"][new].tolist()) == {7, 40_000}
    assert np.abs(read.normals[new] - added.vertices).max() < 0.1
    assert (read.attributes.materials == 0).all() and read.attributes.material_names == ("material2",)


def test_a_ply_file_with_vertices_split_at_seams_gets_new_ones_on_both_sides(tmp_path: Path) -> None:
    """Two charts, far apart in the texture, meet in a seam that runs through the hole."""
    mesh = trimesh.creation.icosphere(3)
    places, faces = np.asarray(mesh.vertices), np.asarray(mesh.faces)
    middles = places[faces].mean(axis=1)
    faces = (faces + len(places) * (middles[:, :1] > 0))[middles[:, 2] < 0.9]
    used, faces = np.unique(faces, return_inverse=True)
    points, chart = places[used % len(places)], used >= len(places)
    vertex = np.concatenate([points, points[:, :2] + 10 * chart[:, None]], axis=1).astype("<f4")
    face = np.zeros(faces.size // 3, [("n", "u1"), ("corners", "<i4", 3)])
    face["n"], face["corners"] = 3, faces.reshape(-1, 3)
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(points)}"]
    header += [f"property float {name}" for name in "xyzst"]
    header += [f"element face {len(face)}", "property list uchar int vertex_indices", "end_header", ""]
    source, path = tmp_path / "in.ply", tmp_path / "out.ply"
    source.write_bytes("\n".join(header).encode() + vertex.tobytes() + face.tobytes())
    raw = load_scan(source)
    assert len(patch_mesh(MeshEngine(), raw, Close.SMOOTH, ignore, numbers=()).found.holes) == 1
    save_appended(path, source, raw, smooth_addition(raw))
    assert vertex.tobytes() in path.read_bytes() and face.tobytes() in path.read_bytes()
    read: Any = load_scan(path)
    uvs, at = read.attributes.uvs[len(face) :], read.points[read.faces[len(face) :]]
    assert (np.ptp(uvs[..., 0], axis=1) < 1).all() and {True, False} == set((uvs[:, 0, 0] > 5).tolist())
    # as on the ball itself, up to where the hole's middle is bent out
    assert np.abs(uvs[..., 1] - 10 * (uvs[..., 0] > 5) - at[..., 1]).max() < 0.1
    welded = np.unique(read.points, axis=0, return_inverse=True)[1].reshape(-1)[read.faces]
    assert edge_report(welded).watertight


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_text_ply_file_keeps_its_lines(tmp_path: Path, end: str) -> None:
    source, path = tmp_path / "in.ply", tmp_path / "out.ply"
    head = ["ply", "format ascii 1.0", f"element vertex {len(bent())}", *(f"property float {name}" for name in "xyz")]
    head += ["property ushort id", "property float sigma", f"element face {len(quads())}"]
    head += ["property list uchar uint vertex_index", "property list uchar float texcoord"]
    head += ["element range 1", "property int n", "end_header"]
    rows = [f"{x:.9f}  {y:.9f} {z:.9f} {number} 0.25" for number, (x, y, z) in enumerate(bent().tolist())]
    rows += [f"4 {' '.join(map(str, quad))} 8 {' '.join(str(q / 8) for q in quad for _ in 'uv')}" for quad in quads()]
    source.write_bytes(end.join([*head, *rows, "5", ""]).encode())
    raw = load_scan(source)
    added = smooth_addition(raw)
    assert save_appended(path, source, raw, added) == []
    own = source.read_bytes().splitlines()
    left = path.read_bytes().splitlines()
    new = iter(left)
    counts = [line for line in own if line.startswith((b"element vertex", b"element face"))]
    # the artist's lines are found in their order, but for the two counts
    assert all(line in counts or line in new for line in own)
    read = load_scan(path)
    assert read.faces is not None and raw.faces is not None and read.sigma is not None
    assert read.points.tobytes() == np.concatenate([raw.points, added.vertices]).tobytes()
    assert np.array_equal(read.faces, np.concatenate([raw.faces, added.faces]))
    assert np.isnan(read.sigma[len(raw.points) :]).all() and edge_report(read.faces).boundary_loops == 1
    header = read_header(path.read_bytes())
    body = ElementReader(header, path.read_bytes())
    assert body.read(header.elements[0]).numbers["id"].max() < len(bent()) and body.read(header.elements[1])
    assert body.read(header.elements[2]).numbers["n"].tolist() == [5]


def test_narrow_indices_are_written_anew_and_that_is_said(tmp_path: Path) -> None:
    """254 vertices counted in bytes leave no room for more."""
    mesh = trimesh.creation.icosphere(2)
    turns = np.concatenate([mesh.vertices, np.random.default_rng(0).normal(size=(255 - len(mesh.vertices), 3))])
    faces = mesh.faces[mesh.triangles_center[:, 2] < 0.7]
    source, path = tmp_path / "in.ply", tmp_path / "out.ply"
    head = ["ply", "format binary_little_endian 1.0", f"element vertex {len(turns)}"]
    head += [*(f"property double {name}" for name in "xyz"), f"element face {len(faces)}"]
    head += ["property list uchar uchar vertex_indices", "end_header", ""]
    rows = np.concatenate([np.full((len(faces), 1), 3), faces], axis=1).astype(np.uint8)
    source.write_bytes("\n".join(head).encode() + np.asarray(turns, "<f8").tobytes() + rows.tobytes())
    raw = load_scan(source)
    added = smooth_addition(raw)
    assert len(added.vertices)
    notes = save_appended(path, source, raw, added)
    assert len(notes) == 1 and "anew" in notes[0] and "too narrow" in notes[0]
    assert edge_report(load_scan(path).faces).watertight  # type: ignore[arg-type]


def test_binary_stl_and_npz_files_are_continued(tmp_path: Path) -> None:
    mesh = trimesh.creation.icosphere(3)
    faces = np.asarray(mesh.faces)[mesh.triangles_center[:, 2] < 0.9]
    shell = trimesh.Trimesh(mesh.vertices, faces, process=False)
    stl, out = tmp_path / "in.stl", tmp_path / "out.stl"
    save_mesh(stl, shell.vertices, shell.faces)
    raw = load_scan(stl)
    added = smooth_addition(raw)
    assert save_appended(out, stl, raw, added) == []
    before, after = stl.read_bytes(), out.read_bytes()
    assert after[84 : len(before)] == before[84:] and after[:80] == before[:80]
    read = load_scan(out)
    assert read.faces is not None and len(read.faces) == len(faces) + len(added.faces)
    packed, longer = tmp_path / "in.npz", tmp_path / "out.npz"
    points = np.asarray(mesh.vertices, np.float32)
    np.savez(packed, points=points, faces=faces.astype(np.int16), heat=points[:, 0], title=np.array([3, 4]))
    raw = load_scan(packed)
    added = smooth_addition(raw)
    assert save_appended(longer, packed, raw, added) == []
    with np.load(packed) as one, np.load(longer) as two:
        for name in ("points", "faces", "heat", "title"):
            assert two[name].dtype == one[name].dtype and two[name][: len(one[name])].tobytes() == one[name].tobytes()
        assert len(two["points"]) == len(two["heat"]) == len(points) + len(added.vertices) and len(two["title"]) == 2


@pytest.mark.parametrize("suffix", [".glb", ".obj"])
def test_another_suffix_keeps_colours_textures_and_materials(tmp_path: Path, suffix: str) -> None:
    source, path = tmp_path / "in.obj", tmp_path / f"out{suffix}"
    source.write_bytes(obj_text())
    if suffix == ".obj":
        raw = load_scan(source)
        source = tmp_path / "other.ply"
    else:
        raw = load_scan(source)
    notes = save_appended(path, source, raw, smooth_addition(raw))
    assert "written anew" in notes[-1]
    read: Any = load_scan(path)
    assert read.attributes.uvs is not None and set(read.attributes.material_names) == {"skin", "cloth"}
    assert read.attributes.uvs[..., 0].max() > 5
