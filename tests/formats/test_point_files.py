"""Files of points and OFF, and what is refused with the reason and the way out."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import numpy as np
import pytest

from backend.errors import ErrorCode, OmomiError
from backend.formats.mesh_files import load_scan
from backend.formats.raw_scan import RawScan
from tests.scan_shapes import cube, equal, volume

TABLE = np.random.default_rng(0).normal(size=(20, 3)).round(3)
NORMALS = TABLE / np.linalg.norm(TABLE, axis=1, keepdims=True)
COLOURS = np.random.default_rng(1).integers(0, 256, (20, 3))


def loaded(path: Path, content: str | bytes) -> RawScan:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return load_scan(path)


def lines(*columns: np.ndarray, between: str = " ") -> str:
    return "".join(between.join(f"{number:.6g}" for number in row) + "\n" for row in np.column_stack(columns))


@pytest.mark.parametrize("between", [" ", "\t", ", ", ";"])
@pytest.mark.parametrize("title", ["", "20\n", "# made by a scanner\n", "//X Y Z\nX,Y,Z\n"])
@pytest.mark.parametrize("suffix", [".xyz", ".asc", ".pts"])
def test_a_table_of_points_is_read_past_its_titles(tmp_path: Path, between: str, title: str, suffix: str) -> None:
    scan = loaded(tmp_path / f"a{suffix}", title + lines(TABLE, between=between))
    assert scan.faces is None and scan.attributes is None and np.allclose(scan.points, TABLE)


@pytest.mark.parametrize("damaged", ["1.5 x2 3", "1.5,2,3-", "1..5 2 3"])
def test_a_damaged_first_point_is_no_title(tmp_path: Path, damaged: str) -> None:
    with pytest.raises(OmomiError, match="one of its numbers is none"):
        loaded(tmp_path / "a.xyz", f"X Y Z\n{damaged}\n" + lines(TABLE))


def test_further_columns_are_normals_colours_or_one_number(tmp_path: Path) -> None:
    one = np.arange(20.0)[:, None]
    both = loaded(tmp_path / "a.xyz", lines(TABLE, NORMALS, COLOURS))
    assert both.normals is not None and np.allclose(both.normals, NORMALS, atol=1e-5)
    assert both.attributes is not None and equal(both.attributes.colours, COLOURS)
    scanner = loaded(tmp_path / "a.pts", "20\n" + lines(TABLE, one, COLOURS))
    assert scanner.attributes is not None and equal(scanner.attributes.colours, COLOURS)
    assert equal(scanner.attributes.values["intensity"], one[:, 0]) and scanner.normals is None
    # nearly black colours are colours, not fractions
    dark = loaded(tmp_path / "b.xyz", lines(TABLE, COLOURS % 3))
    assert dark.attributes is not None and equal(dark.attributes.colours, COLOURS % 3)


def test_off_has_colours_and_concave_polygons(tmp_path: Path) -> None:
    text = "COFF\n# an arrow\n4 1 0\n0 0 0 255 0 0 255\n2 1 0 0 0 9 255\n0 2 0 0 0 0 255\n"
    text += ".7 1 0 0 0 0 255\n4 0 1 2 3 255 0 0\n"
    scan = loaded(tmp_path / "a.off", text)
    assert scan.faces is not None and sorted(map(sorted, scan.faces.tolist())) == [[0, 1, 3], [1, 2, 3]]
    assert scan.attributes is not None and scan.attributes.colours is not None
    assert scan.attributes.colours[:2].tolist() == [[255, 0, 0, 255], [0, 0, 9, 255]]
    points, faces = cube()
    solid = loaded(tmp_path / "b.off", "OFF 8 12 0\n" + lines(points) + lines(np.full(12, 3), faces))
    assert solid.faces is not None and volume(solid.points, solid.faces) == pytest.approx(1)


@pytest.mark.parametrize("form", ["ascii", "binary"])
def test_pcd_has_colours_in_the_bits_of_a_float_and_leaves_out_what_was_not_seen(tmp_path: Path, form: str) -> None:
    head = "# .PCD v0.7\nVERSION 0.7\nFIELDS x y z rgb ring\nSIZE 4 4 4 4 2\nTYPE F F F F U\nCOUNT 1 1 1 1 1\n"
    head += f"WIDTH 3\nHEIGHT 1\nVIEWPOINT 0 0 0 1 0 0 0\nPOINTS 3\nDATA {form}\n"
    shade = struct.unpack("<f", struct.pack("<I", 0xFF8001))[0]
    points = [(0.0, 0.5, 1.0), (np.nan,) * 3, (2.0, 3.0, 4.0)]
    body = b"".join(
        struct.pack("<4fH", *point, shade, 7)
        if form == "binary"
        else f"{' '.join(map(str, point))} {shade!r} 7\n".encode()
        for point in points
    )
    scan = loaded(tmp_path / "a.pcd", head.encode() + body)
    assert scan.points.tolist() == [[0, 0.5, 1], [2, 3, 4]] and scan.attributes is not None
    assert scan.attributes.colours is not None and scan.attributes.colours.tolist() == [[255, 128, 1]] * 2
    assert scan.attributes.values["ring"].tolist() == [7, 7]
    for cut in (40, len(head), len(head) + 30):
        with pytest.raises(OmomiError) as caught:
            loaded(tmp_path / "b.pcd", (head.encode() + body)[:cut])
        assert caught.value.code is ErrorCode.UNREADABLE_FILE


@pytest.mark.parametrize("suffix", [".las", ".laz"])
def test_a_survey_keeps_its_place_colours_and_classes(tmp_path: Path, suffix: str) -> None:
    laspy = pytest.importorskip("laspy")
    points, shades = TABLE + [512_345, 4_501_234, 800], np.random.default_rng(2).integers(0, 1 << 16, (20, 3))
    header = laspy.LasHeader(point_format=3, version="1.2")
    header.offsets, header.scales = points.min(axis=0), [1e-3] * 3
    las = laspy.LasData(header)
    las.x, las.y, las.z = points.T
    las.red, las.green, las.blue = shades.T.astype(np.uint16)
    las.write(tmp_path / f"a{suffix}")
    scan = load_scan(tmp_path / f"a{suffix}")
    assert np.abs(scan.points - points).max() < 1e-3 and scan.attributes is not None
    assert scan.attributes.colours is not None and np.abs(scan.attributes.colours - shades / 257).max() < 1
    assert {"intensity", "classification"} <= scan.attributes.values.keys()


@pytest.mark.parametrize("suffix", [".las", ".laz", ".e57"])
def test_a_format_of_a_package_that_is_missing_names_the_extra(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("laspy", "pye57"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(OmomiError, match=r"omomi\[formats\]") as caught:
        loaded(tmp_path / f"a{suffix}", b"anything")
    assert caught.value.code is ErrorCode.BAD_OPTION


@pytest.mark.parametrize("suffix", [".fbx", ".usdz", ".blend", ".step", ".3mf", ".dae"])
def test_a_format_that_is_not_read_is_refused_with_those_that_are(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(OmomiError, match=r"\.ply, \.obj"):
        loaded(tmp_path / f"a{suffix}", b"anything")


@pytest.mark.parametrize("suffix", [".off", ".xyz", ".pts", ".pcd", ".gltf"])
@pytest.mark.parametrize("content", [b"", b"OFF\n", b"OFF\n3 1\n", b"1 2\n3 4\n", b"{}", b"1 2 3\n4 5\n", bytes(999)])
def test_what_is_no_scan_is_refused_in_a_sentence(tmp_path: Path, suffix: str, content: bytes) -> None:
    with pytest.raises(OmomiError) as caught:
        loaded(tmp_path / f"a{suffix}", content)
    assert caught.value.message.endswith(".") and "\n" not in caught.value.message
    # the reader itself says what is wrong, not the net under all readers
    assert "is not a complete" not in caught.value.message


@pytest.mark.parametrize(
    ("line", "damaged"),
    [("COUNT 1 1 1 1", "COUNT 0 1 1 1"), ("COUNT 1 1 1 1", "COUNT -1 1 1 1"), ("TYPE F F F F", "TYPE S F F F")],
)
def test_a_pcd_header_that_cannot_be_is_damaged(tmp_path: Path, line: str, damaged: str) -> None:
    header = "VERSION 0.7\nFIELDS x y z normal_x\nSIZE 4 4 4 4\nTYPE F F F F\nCOUNT 1 1 1 1\nPOINTS 4\nDATA binary\n"
    points = np.arange(16, dtype="<f4").tobytes()
    # a normal without all its parts is none
    assert loaded(tmp_path / "a.pcd", header.encode() + points).normals is None
    with pytest.raises(OmomiError, match="its header is damaged"):
        loaded(tmp_path / "a.pcd", header.replace(line, damaged).encode() + points)
