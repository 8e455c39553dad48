"""Files of points: text (XYZ, ASC, PTS), PCD, and OFF, which has polygons too; LAS, LAZ and E57 by packages."""

from __future__ import annotations

import io
import os
import re
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import ErrorCode, OmomiError
from ..geometry.polygons import triangulate
from ..geometry.surface_attributes import SurfaceAttributes
from .files import FormatError, open_file, require
from .ply import as_bytes
from .raw_scan import MOST_POINTS, RawScan

_NUMBER = rb"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]?(?:nan|inf)"
_ROW = re.compile(rb"\s*(?:%s)(?:[\s,;]+(?:%s))+[\s,;]*" % (_NUMBER, _NUMBER), re.IGNORECASE)
_NUMBERS = re.compile(_NUMBER, re.IGNORECASE)
MOST_TITLES = 1000
"""Lines at the start that may be something else than numbers."""
_CUT = "it ends in the middle"
UNIT = 0.02
"""Three columns are normals where their lengths differ from 1 by less than this: files have three digits or more."""


def read_points(data: bytes, name: str) -> RawScan:
    """A table of numbers, a point in each line: x y z, then, if wanted, one number, and then colours or normals.

    Lines at the start that are no such table, such as PTS's count and titles, are stepped over. Raises FormatError.
    """
    lines = [line for line in data.removeprefix(b"\xef\xbb\xbf").splitlines() if line.strip()]
    first = next((row for row, line in enumerate(lines[:MOST_TITLES]) if _ROW.fullmatch(line)), None)
    if first is None:
        raise FormatError("it has no line of numbers")
    width = len(_words(lines[first]))
    for title in lines[:first]:
        # a damaged row is no title
        words = _words(title)
        numbers = sum(_NUMBERS.fullmatch(word) is not None for word in words)
        require(len(words) != width or 2 * numbers <= width, "one of its numbers is none")
    lines = lines[first:]
    require(width >= 3, "its lines have less than three numbers")
    # a count may stand alone, as between the parts of a PTS file
    text = b"\n".join(line for line in lines if not line.strip().isdigit())
    text = text.replace(b",", b" ").replace(b";", b" ")
    try:
        table = np.loadtxt(io.BytesIO(text), np.float64, comments=("#", "//"), ndmin=2)
    except ValueError as error:
        raise FormatError("its lines are not all of as many numbers") from error
    colours, normals, values = None, None, {}
    rest = table[:, 3:]
    if width in (4, 7, 10):
        values["intensity"] = rest[:, 0].astype(np.float32)
        rest = rest[:, 1:]
    for three in (rest[:, start : start + 3] for start in range(0, rest.shape[1] - 2, 3)):
        if normals is None and len(three) and np.all(np.abs(np.linalg.norm(three, axis=1) - 1) < UNIT):
            normals = three
        elif colours is None and three.min() >= 0 and three.max() <= 65535:
            colours = as_bytes(three if three.max() <= 1 else three.astype(np.int64))
    carried = SurfaceAttributes(colours, values=values)
    return RawScan(table[:, :3], None, normals, name=name, attributes=carried if carried else None)


def _words(line: bytes) -> list[bytes]:
    return re.split(rb"[\s,;]+", line.strip(b" \t,;"))


def read_off(data: bytes, name: str) -> RawScan:
    """Object File Format: vertices with or without colours, and polygons. Raises FormatError."""
    lines = [line.split(b"#", 1)[0].split() for line in data.removeprefix(b"\xef\xbb\xbf").splitlines()]
    lines = [line for line in lines if line]
    kind = lines[0][0] if lines else b""
    require(re.fullmatch(rb"(ST)?C?N?OFF", kind), "it does not begin with OFF")
    require(len(lines[0]) > 1 or len(lines) > 1, _CUT)
    counts = lines[0][1:] or lines.pop(1)
    try:
        points, polygons = int(counts[0]), int(counts[1])
        require(min(points, polygons) >= 0 and 1 + points + polygons <= len(lines), _CUT)
        table = np.array([[float(number) for number in line] for line in lines[1 : 1 + points]]).reshape(points, -1)
        rows = lines[1 + points : 1 + points + polygons]
        sizes = np.array([int(line[0]) for line in rows], np.int64)
        require(all(len(line) > size >= 0 for line, size in zip(rows, sizes.tolist(), strict=True)), "it is damaged")
        corners = np.array([int(n) for row, k in zip(rows, sizes, strict=True) for n in row[1 : 1 + k]], np.int64)
        triangles = triangulate(table[:, :3], corners, sizes)
    except (ValueError, IndexError, OverflowError) as error:
        raise FormatError(str(error) if isinstance(error, FormatError) else "it is damaged") from error
    require(table.shape[1] >= 3, "its vertices have less than three numbers")
    shades = table[:, 3 + 3 * (b"N" in kind) :]
    colours = as_bytes(shades[:, :4]) if b"C" in kind and shades.shape[1] >= 3 else None
    carried = None if colours is None else SurfaceAttributes(colours)
    return RawScan(table[:, :3], corners[triangles] if len(triangles) else None, name=name, attributes=carried)


def read_pcd(data: bytes, name: str) -> RawScan:
    """Point Cloud Data, version 0.7, ASCII or binary. Raises FormatError."""
    found = re.search(rb"^DATA[ \t]+(\w+)[ \t]*\r?\n", data[: 1 << 16], re.MULTILINE)
    if found is None:
        raise FormatError("it has no PCD header")
    words = [line.split() for line in data[: found.start()].decode("ascii", "replace").splitlines()]
    head = {line[0]: line[1:] for line in words if line}
    try:
        names, kinds = head["FIELDS"], head["TYPE"]
        sizes, counts = ([int(number) for number in head[key]] for key in ("SIZE", "COUNT"))
        points = int(head["POINTS"][0])
        record = np.dtype(
            [(f"{n}", f"<{k.lower()}{s}", (c,)) for n, (k, s, c) in enumerate(zip(kinds, sizes, counts, strict=True))]
        )
        whole = len(names) == len(kinds) and {"x", "y", "z"} <= set(names) and min(points, *counts) >= 0
        require(whole and 0 not in counts and set(kinds) <= {*"FIU"}, "its header is damaged")
    except (KeyError, ValueError, IndexError, TypeError) as error:
        raise FormatError("its header is damaged") from error
    body = data[found.end() :]
    if found[1] == b"ascii":
        lines = [line.split() for line in body.splitlines() if line.strip()][:points]
        require(len(lines) == points, _CUT)
        first = np.cumsum([0, *counts[:-1]])
        try:
            columns = {
                field: np.array([float(line[at]) for line in lines]) for field, at in zip(names, first, strict=True)
            }
        except (ValueError, IndexError) as error:
            raise FormatError("it holds something that is no number") from error
    else:
        require(found[1] == b"binary", "its points are compressed: save it as ascii or binary")
        require(record.itemsize * points <= len(body), _CUT)
        rows = np.frombuffer(body, record, points)
        columns = {field: rows[f"{row}"][:, 0] for row, field in enumerate(names)}
    table = np.stack([columns[axis].astype(np.float64) for axis in "xyz"], axis=1)
    # where a camera saw nothing, an organised cloud holds NaN
    seen = np.isfinite(table).all(axis=1)
    directions = [f"normal_{axis}" for axis in "xyz"]
    turned = [columns[name] for name in directions] if set(directions) <= columns.keys() else None
    normals = None if turned is None else np.stack(turned, axis=1)[seen]
    known = {"x", "y", "z", "rgb", "rgba", "normal_x", "normal_y", "normal_z", "_"}
    with np.errstate(over="ignore", invalid="ignore"):
        values = {key: column[seen].astype(np.float32) for key, column in columns.items() if key not in known}
    shade = columns.get("rgb", columns.get("rgba"))
    colours = None
    if shade is not None:
        # three bytes in the bits of a float or of a whole number
        # in an ASCII file a whole number may be written as one
        whole = shade.dtype.kind in "iu" or bool(np.all(shade == np.floor(shade)) and shade.max(initial=0) >= 1)
        bits = shade.astype(np.uint32) if whole else shade.astype(np.float32).view(np.uint32)
        colours = np.stack([bits >> shift & 255 for shift in (16, 8, 0)], axis=1).astype(np.uint8)[seen]
    carried = SurfaceAttributes(colours, values=values)
    return RawScan(table[seen], None, normals, name=name, attributes=carried if carried else None)


def read_las(path: Path) -> RawScan:
    """LAS and LAZ, by laspy. Raises OmomiError(BAD_OPTION) where it is not installed."""
    try:
        import laspy
    except ImportError as error:
        raise _needs(path, "laspy") from error
    _check_las(path)
    las = laspy.read(path)
    table = np.stack([np.asarray(las[axis], np.float64) for axis in "xyz"], axis=1)
    given = set(las.point_format.dimension_names)
    colours = None
    if {"red", "green", "blue"} <= given:
        colours = as_bytes(np.stack([np.asarray(las[name]) for name in ("red", "green", "blue")], axis=1))
    kept = [name for name in ("intensity", "classification") if name in given]
    values = {name: np.asarray(las[name]).astype(np.float32) for name in kept}
    return RawScan(table, name=path.stem, attributes=SurfaceAttributes(colours, values=values))


def _check_las(path: Path) -> None:
    """Raises FormatError where the header of a LAS or LAZ file promises more than the file holds: what laspy does for
    that is endless, or ends the process."""
    with open_file(path) as stream:
        size, head = os.fstat(stream.fileno()).st_size, stream.read(375)
        require(len(head) >= 227 and head[:4] == b"LASF", "it is no LAS file")
        begin, records, kind, length, points = struct.unpack_from("<IIBHI", head, 96)
        require(54 * records <= begin <= size, _CUT)
        if head[24:26] >= b"\1\4":
            require(len(head) == 375, _CUT)
            later, more, points = struct.unpack_from("<QIQ", head, 235)
            require(not more or later + 60 * more <= size, _CUT)
        if not kind & 128:
            require(begin + length * points <= size, _CUT)
            return
        # compressed: where the table of chunks lies stands before the chunks, or at the end of the file
        for place in (begin, size - 8):
            stream.seek(place)
            table = int.from_bytes(stream.read(8), "little", signed=True)
            if table != -1:
                break
        require(begin + 8 <= table <= size - 8, _CUT)
        stream.seek(table + 4)
        chunks = int.from_bytes(stream.read(4), "little")
        require(chunks <= points, "its table of chunks is damaged")
        require(points <= MOST_POINTS, f"it has more than {MOST_POINTS:,} points")


def read_e57(path: Path) -> RawScan:
    """E57, by pye57: all its scans in their common frame. Raises OmomiError(BAD_OPTION) where it is not installed."""
    try:
        import pye57
    except ImportError as error:
        raise _needs(path, "pye57") from error
    points, shades = [], []
    file = pye57.E57(str(path))
    for number in range(file.scan_count):
        fields = file.get_header(number).point_fields
        colourful = "colorRed" in fields
        scan = file.read_scan(number, colors=colourful, ignore_missing_fields=True)
        points.append(np.stack([scan[f"cartesian{axis}"] for axis in "XYZ"], axis=1))
        names: Sequence[str] = ("colorRed", "colorGreen", "colorBlue")
        shades.append(np.stack([scan[name] for name in names], axis=1) if colourful else None)
    require(points, "it holds no points")
    whole: list[NDArray] = [table for table in shades if table is not None]
    colours = as_bytes(np.concatenate(whole)) if len(whole) == len(shades) else None
    carried = None if colours is None else SurfaceAttributes(colours)
    view = np.repeat(np.arange(len(points)), [len(table) for table in points])
    return RawScan(np.concatenate(points), name=path.stem, view=view, attributes=carried)


def _needs(path: Path, package: str) -> OmomiError:
    sentence = f"{path.name} needs the Python package {package}: install omomi[formats], or save it as PLY."
    return OmomiError(ErrorCode.BAD_OPTION, sentence)
