"""Wavefront OBJ files: polygons, texture coordinates, colours and the names of materials. No other file is opened.

Format: Wavefront Technologies, Advanced Visualizer, appendix B1. Points may carry a colour behind their coordinates.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..geometry.surface_attributes import SurfaceAttributes
from ..geometry.triangulation import triangulate
from .files import FormatError, require
from .ply import as_bytes

_CURVED = (b"curv", b"curv2", b"surf", b"cstype")


@dataclass(frozen=True)
class Obj:
    """What an OBJ file holds of a mesh."""

    vertices: NDArray[np.float64]  # (n, 3), all of the file, in its order
    faces: NDArray[np.int64] | None  # (m, 3), triangles of its polygons; indices unchecked above
    normals: NDArray[np.float64] | None  # (n, 3), of a file of points
    attributes: SurfaceAttributes | None
    notes: tuple[str, ...]  # sentences on what was left out


def read_obj(data: bytes) -> Obj:
    """Read an OBJ file. Indices below 0 count back from the line that they stand in. Raises FormatError."""
    lines = _lines(data)
    words = [line.split(None, 1)[0] if line.strip() else b"" for line in lines]
    kind = np.array([_KINDS.get(word, 0) for word in words], np.int8)
    rows = {word: np.flatnonzero(kind == number) for word, number in _KINDS.items()}
    points = _numbers(lines, rows[b"v"], 3)
    require(len(points), "it has no points")
    texture = _numbers(lines, rows[b"vt"], 1) if len(rows[b"vt"]) else None
    corners, on_texture, sizes = _faces(lines, rows)
    vertices = points[:, :3]
    faces = uvs = materials = None
    names: tuple[str, ...] = ()
    if len(sizes):
        try:
            triangles = triangulate(vertices, corners, sizes)
        except ValueError as error:
            raise FormatError(error) from error
        faces = corners[triangles]
        if texture is not None and (on_texture >= 0).any():
            require(on_texture.max() < len(texture), "its faces refer to texture coordinates it does not have")
            flat = np.zeros((len(texture) + 1, 2))
            flat[:-1, : min(texture.shape[1], 2)] = texture[:, :2]
            # a corner without any takes the last row, which is zero
            uvs = flat[on_texture][triangles].astype(np.float32)
        materials, names = _materials(lines, rows, np.maximum(sizes - 2, 0))
    normals = None
    if faces is None and len(rows[b"vn"]) == len(points):
        normals = _numbers(lines, rows[b"vn"], 3)[:, :3]
    library = _named(lines[rows[b"mtllib"][0]]) if len(rows[b"mtllib"]) else ""
    carried = SurfaceAttributes(_colours(points), uvs, materials, names, library)
    curved = sum(word in _CURVED for word in words)
    notes = ("Its curved surfaces are not read: only its polygons are.",) if curved else ()
    return Obj(vertices, faces, normals, carried if carried else None, notes)


_KINDS = {b"v": 1, b"vt": 2, b"vn": 3, b"f": 4, b"fo": 4, b"usemtl": 5, b"mtllib": 6}


def _lines(data: bytes) -> list[bytes]:
    data = data.removeprefix(b"\xef\xbb\xbf")
    # a backslash at its end joins a line with the next
    return re.sub(rb"\\\r?\n", b" ", data).splitlines() if b"\\" in data else data.splitlines()


def _numbers(lines: Sequence[bytes], rows: NDArray, least: int) -> NDArray[np.float64]:
    """Table of the numbers behind the first words of lines, as many columns as the shortest of them has."""
    tokens = [lines[row].split(b"#", 1)[0].split()[1:] for row in rows.tolist()]
    width = min(map(len, tokens), default=least)
    require(width >= least, "one of its lines has too few numbers")
    if max(map(len, tokens), default=width) > width:
        tokens = [row[:width] for row in tokens]
    try:
        return np.array([float(number) for row in tokens for number in row], np.float64).reshape(-1, width)
    except ValueError as error:
        raise FormatError("it holds something that is no number") from error


def _faces(lines: Sequence[bytes], rows: dict[bytes, NDArray]) -> tuple[NDArray, NDArray, NDArray]:
    """Corners (c,) of all polygons, their texture coordinates (c,), -1 for none, and the polygons' sizes (p,)."""
    at = rows[b"f"]
    if not len(at):
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64)
    corners = [lines[row].split(b"#", 1)[0].split()[1:] for row in at.tolist()]
    sizes = np.array([len(row) for row in corners], np.int64)
    tokens = [corner for row in corners for corner in row]
    place, texture = _indices(tokens)
    require((place != 0).all(), "one of its faces refers to point 0, and OBJ counts from 1")
    line = np.repeat(at, sizes)
    return _absolute(place, line, rows[b"v"]), _absolute(texture, line, rows[b"vt"]), sizes


def _indices(tokens: list[bytes]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The first and second number of corners such as 7, 7/3, 7//2 and 7/3/2; 0 where there is none."""
    joined = b" ".join(tokens)
    slashes, double = joined.count(b"/"), joined.count(b"//")
    try:
        if not slashes:
            place = _whole(tokens)
            return place, np.zeros_like(place)
        alike = slashes % len(tokens) == 0 and len({token.count(b"/") for token in tokens}) == 1
        if alike and double in (0, len(tokens)):
            table = _whole(re.sub(rb"/+", b" ", joined).split())
            if len(table) % len(tokens) == 0:
                table = table.reshape(len(tokens), -1)
                return table[:, 0], np.zeros_like(table[:, 0]) if double else table[:, 1]
        parts = [(token + b"/").split(b"/") for token in tokens]
        return _whole([part[0] for part in parts]), _whole([part[1] or b"0" for part in parts])
    except (ValueError, OverflowError, IndexError) as error:
        raise FormatError("one of its faces has a corner that is no number") from error


def _whole(numbers: list[bytes]) -> NDArray[np.int64]:
    return np.array(list(map(int, numbers)), np.int64)


def _absolute(index: NDArray[np.int64], line: NDArray, defined: NDArray) -> NDArray[np.int64]:
    """Indices from 0; those below 0 count back from the things that were defined before their line; -1 for 0."""
    before = np.searchsorted(defined, line)
    found = np.where(index > 0, index - 1, before + index)
    require(found[index < 0].min(initial=0) >= 0, "one of its faces counts back before the first line")
    return np.where(index == 0, -1, found)


def _materials(
    lines: Sequence[bytes], rows: dict[bytes, NDArray], counts: NDArray
) -> tuple[NDArray[np.int32] | None, tuple[str, ...]]:
    """Materials of triangles, of which every polygon has ``counts``, and their names."""
    at = rows[b"usemtl"]
    if not len(at):
        return None, ()
    said = [_named(lines[row]) for row in at.tolist()]
    which = np.searchsorted(at, rows[b"f"]) - 1
    names = list(dict.fromkeys([*(["default"] if which.min() < 0 else []), *said]))
    number = np.array([names.index(name) for name in said], np.int32)
    of_polygon = np.where(which < 0, 0, number[np.maximum(which, 0)])
    return np.repeat(of_polygon, counts).astype(np.int32), tuple(names)


def _named(line: bytes) -> str:
    """What stands behind the first word."""
    text = line.split(None, 1)[1:] or [b""]
    return "".join(letter for letter in text[0].decode("utf-8", "replace").strip() if letter.isprintable())


def _colours(points: NDArray) -> NDArray[np.uint8] | None:
    return as_bytes(points[:, 3:6]) if points.shape[1] >= 6 else None


def write_obj(vertices: NDArray[np.float64], faces: NDArray, attributes: SurfaceAttributes | None = None) -> bytes:
    """An OBJ file of vertices (n, 3) and faces (m, 3), with the attributes of this mesh that OBJ can hold."""
    carried = SurfaceAttributes() if attributes is None else attributes
    lines = [f"mtllib {carried.library}"] if carried.library else []
    if carried.colours is None:
        lines += [f"v {x!r} {y!r} {z!r}" for x, y, z in vertices.tolist()]
    else:
        shades = (carried.colours[:, :3] / 255).tolist()
        pairs = zip(vertices.tolist(), shades, strict=True)
        lines += [f"v {x!r} {y!r} {z!r} {r:.6g} {g:.6g} {b:.6g}" for (x, y, z), (r, g, b) in pairs]
    corners = np.asarray(faces, np.int64) + 1
    if carried.uvs is None:
        faces_said = [f"f {a} {b} {c}" for a, b, c in corners.tolist()]
    else:
        single, number = np.unique(carried.uvs.reshape(-1, 2), axis=0, return_inverse=True)
        lines += [f"vt {u:.7g} {v:.7g}" for u, v in single.tolist()]
        both = np.stack([corners, number.reshape(-1, 3) + 1], axis=2).reshape(-1, 6)
        faces_said = [f"f {a}/{u} {b}/{v} {c}/{w}" for a, u, b, v, c, w in both.tolist()]
    if carried.materials is None:
        return ("\n".join([*lines, *faces_said]) + "\n").encode("utf-8")
    for number, name in enumerate(carried.material_names):
        own = np.flatnonzero(carried.materials == number).tolist()
        lines += [f"usemtl {name}", *(faces_said[face] for face in own)] if own else []
    return ("\n".join(lines) + "\n").encode("utf-8")


def moved_obj(data: bytes, vertices: NDArray[np.float64]) -> bytes:
    """The OBJ file ``data`` with its points at (n, 3); every other character is kept. Raises FormatError."""
    found = list(_POINT.finditer(data))
    require(len(found) == len(vertices), "its points do not stand one in a line")
    parts, end = [], 0
    for match, (x, y, z) in zip(found, vertices.tolist(), strict=True):
        parts += [data[end : match.start(1)], f"{x!r} {y!r} {z!r}".encode("ascii")]
        end = match.end(1)
    return b"".join([*parts, data[end:]])


_POINT = re.compile(rb"(?:^|(?<=[\r\n])|(?<=\xef\xbb\xbf))[ \t]*v[ \t]+([^\s#]+[ \t]+[^\s#]+[ \t]+[^\s#]+)")
