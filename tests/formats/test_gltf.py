"""GLB and glTF: what they carry, far from the origin, and that nothing they name is opened."""

from __future__ import annotations

import base64
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from numpy.typing import NDArray

from backend.errors import OmomiError
from backend.formats.files import offset_path
from backend.formats.mesh_files import load_scan, save_mesh
from backend.geometry.surface_attributes import SurfaceAttributes
from tests.scan_shapes import cube, globe

POINTS, FACES = cube()


def glb(header: dict[str, Any], binary: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 4)
    chunk = struct.pack("<2I", len(binary), 0x004E4942) + binary if binary else b""
    return struct.pack("<5I", 0x46546C67, 2, 20 + len(text) + len(chunk), len(text), 0x4E4F534A) + text + chunk


def of_points(buffer: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "asset": {"version": "2.0"}, "scene": 0, "scenes": [{"nodes": [0]}], "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "mode": 0}]}],
        "accessors": [{"bufferView": 0, "componentType": 5126, "count": 8, "type": "VEC3"}],
        "bufferViews": [{"buffer": 0, "byteLength": 96}], "buffers": [{"byteLength": 96, **buffer}], **more,
    }  # fmt: skip


def told(points: NDArray, faces: NDArray, carried: SurfaceAttributes) -> NDArray[np.float64]:
    """All that is known of each triangle, in an order that does not depend on the file's."""
    assert carried.colours is not None and carried.uvs is not None and carried.materials is not None
    names = np.array([len(name) for name in carried.material_names])[carried.materials]
    parts = [points[faces], carried.colours[faces], carried.uvs, names]
    table = np.concatenate([np.asarray(part, float).reshape(len(faces), -1) for part in parts], axis=1)
    return table[np.lexsort(table.round(3).T)]


def test_what_a_mesh_carries_is_written_and_read_again(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    given = SurfaceAttributes(
        rng.integers(0, 256, (8, 4)).astype(np.uint8),
        rng.random((12, 3, 2)).astype(np.float32),
        np.sort(np.arange(12, dtype=np.int32) % 2),
        ("skin", "eye left"),
    )
    save_mesh(tmp_path / "cube.glb", POINTS, FACES, None, given)
    scan = load_scan(tmp_path / "cube.glb")
    found = scan.attributes
    assert scan.faces is not None and found is not None
    assert np.allclose(told(scan.points, scan.faces, found), told(POINTS, FACES, given), atol=1e-6)
    # and another program finds the same surface
    assert trimesh.load_mesh(tmp_path / "cube.glb").area == pytest.approx(6)


@pytest.mark.parametrize("suffix", [".glb", ".stl", ".ply", ".obj"])
def test_a_mesh_far_from_the_origin_keeps_its_detail_in_every_format(tmp_path: Path, suffix: str) -> None:
    points, faces = globe()
    far = points * 0.5 + [512_345.678, 4_501_234.567, 812.3]
    notes = save_mesh(tmp_path / f"far{suffix}", far, faces)
    scan = load_scan(tmp_path / f"far{suffix}")
    assert scan.faces is not None
    offset = np.zeros(3)
    if suffix == ".stl":
        offset = np.array(json.loads(offset_path(tmp_path / "far.stl").read_text())["offset"])
        assert len(notes) == 1 and "far from the origin" in notes[0] and "far.offset.json" in notes[0]
    else:
        assert not notes and not offset_path(tmp_path / f"far{suffix}").exists()
    assert np.abs((scan.points + offset)[scan.faces] - far[faces]).max() < 1e-6


def test_an_stl_near_the_origin_stays_where_it_is(tmp_path: Path) -> None:
    assert save_mesh(tmp_path / "near.stl", POINTS + 3, FACES) == []
    assert [path.name for path in tmp_path.iterdir()] == ["near.stl"]


@pytest.mark.parametrize(
    "uri", ["private.bin", "../outside.bin", "/etc/hostname", "file:///etc/hostname", "http://a/b"]
)
@pytest.mark.parametrize("suffix", [".glb", ".gltf"])
def test_a_mesh_in_another_file_is_refused_and_that_file_not_opened(tmp_path: Path, uri: str, suffix: str) -> None:
    (tmp_path / "private.bin").write_bytes(POINTS.astype("<f4").tobytes())
    header = of_points({"uri": uri})
    (tmp_path / f"a{suffix}").write_bytes(glb(header) if suffix == ".glb" else json.dumps(header).encode())
    with pytest.raises(OmomiError, match=r"another file.*save it as one GLB"):
        load_scan(tmp_path / f"a{suffix}")


def test_buffers_in_the_file_itself_are_read_and_pictures_are_not_looked_at(tmp_path: Path) -> None:
    binary = POINTS.astype("<f4").tobytes()
    data = "data:application/octet-stream;base64," + base64.b64encode(binary).decode()
    pictures = {"images": [{"uri": "secret.png"}], "textures": [{"source": 0}], "materials": [{"name": "skin"}]}
    (tmp_path / "a.gltf").write_text(json.dumps(of_points({"uri": data}, **pictures)))
    (tmp_path / "a.glb").write_bytes(glb(of_points({}, **pictures), binary))
    for name in ("a.gltf", "a.glb"):
        assert np.allclose(load_scan(tmp_path / name).points, POINTS)


@pytest.mark.parametrize("name", ["KHR_draco_mesh_compression", "EXT_meshopt_compression"])
def test_a_compressed_mesh_is_refused_rather_than_read_as_zeros(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.glb").write_bytes(glb(of_points({}, extensionsRequired=[name]), bytes(96)))
    with pytest.raises(OmomiError, match=rf"compressed .{name}"):
        load_scan(tmp_path / "a.glb")
