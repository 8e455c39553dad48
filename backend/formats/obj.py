"""Wavefront OBJ files: polygons, texture coordinates, colours and the names of materials. No other file is opened.

Format: Wavefront Technologies, Advanced Visualizer, appendix B1. Points may carry a colour behind their coordinates.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..geometry.polygons import triangulate
from ..geometry.surface_attributes import SurfaceAttributes
from .addition import Addition
from .files import FormatError, require
from .ply import as_bytes
from .ply_elements import numbers_of

_WORDS = (b"v", b"vt", b"vn", b"f", b"usemtl", b"mtllib", b"cstype")
_SHORT = {b"v ": 0, b"vt": 1, b"vn": 2, b"f ": 3, b"": 8, b"# ": 8, b"g ": 8, b"s ": 8, b"o ": 8}
"""What nearly all lines begin with, and the number of the word; 8 for one that is not looked at."""


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
    rows = _rows(lines)
    require(len(rows[b"v"]), "it has no points")
    points = _numbers(lines, rows, b"v", 3)
    texture = _numbers(lines, rows, b"vt", 1) if len(rows[b"vt"]) else None
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
        normals = _numbers(lines, rows, b"vn", 3)[:, :3]
    library = _named(lines[rows[b"mtllib"][0]]) if len(rows[b"mtllib"]) else ""
    carried = SurfaceAttributes(_colours(points), uvs, materials, names, library)
    notes = ["Its curved surfaces are not read: only its polygons are."] if len(rows[b"cstype"]) else []
    if few := int((sizes < 3).sum()):
        notes.append(f"Faces with less than three corners, which are left out: {few}.")
    return Obj(vertices, faces, normals, carried if carried else None, tuple(notes))


def _lines(data: bytes) -> list[bytes]:
    data = data.removeprefix(b"\xef\xbb\xbf")
    # a backslash at its end joins a line with the next
    return re.sub(rb"\\\r?\n", b" ", data).splitlines() if b"\\" in data else data.splitlines()


def _rows(lines: Sequence[bytes]) -> dict[bytes, NDArray[np.intp]]:
    """Numbers of the lines that begin with each word."""
    number = np.fromiter((_SHORT.get(line[:2], 9) for line in lines), np.int8, len(lines))
    words = {word: place for place, word in enumerate((*_WORDS, b"fo"))}
    for row in np.flatnonzero(number == 9).tolist():
        begun = lines[row].split(None, 1)[:1]
        number[row] = words.get(begun[0], 8) if begun else 8
    # the old word for a face
    number[number == len(_WORDS)] = _WORDS.index(b"f")
    return {word: np.flatnonzero(number == place) for place, word in enumerate(_WORDS)}


def _joined(lines: Sequence[bytes], rows: NDArray) -> bytes:
    """Lines one after another, without what stands behind a #."""
    text = b"\n".join([lines[row] for row in rows.tolist()])
    return re.sub(rb"#[^\n]*", b"", text) if b"#" in text else text


def _parsed(text: bytes, word: bytes) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Numbers of lines that begin with a word, and how many each line has."""
    found = numbers_of(text.replace(word, b" nan "))
    begins = np.flatnonzero(np.isnan(found))
    sizes = np.diff(begins, append=len(found)) - 1
    require(len(begins) == text.count(b"\n") + 1, "it holds something that is no number")
    return np.delete(found, begins), sizes


def _numbers(lines: Sequence[bytes], rows: dict[bytes, NDArray], word: bytes, least: int) -> NDArray[np.float64]:
    """Table of the numbers in the lines that begin with a word, as many columns as the shortest of them has."""
    numbers, sizes = _parsed(_joined(lines, rows[word]), word)
    width = int(sizes.min())
    require(width >= least, "one of its lines has too few numbers")
    first = np.cumsum(sizes) - sizes
    return numbers[first[:, None] + np.arange(width)]


def _faces(lines: Sequence[bytes], rows: dict[bytes, NDArray]) -> tuple[NDArray, NDArray, NDArray]:
    """Corners (c,) of all polygons, their texture coordinates (c,), -1 for none, and the polygons' sizes (p,)."""
    at = rows[b"f"]
    if not len(at):
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64)
    place, texture, sizes = _indices(_joined(lines, at).replace(b"fo", b"f"))
    require((place != 0).all(), "one of its faces refers to point 0, and OBJ counts from 1")
    line = np.repeat(at, sizes)
    return _absolute(place, line, rows[b"v"]), _absolute(texture, line, rows[b"vt"]), sizes


def _indices(text: bytes) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The first and second number of corners such as 7, 7/3, 7//2 and 7/3/2, 0 where there is none, and how many
    corners each line has."""
    slashes = _slashes(text)
    most = int(slashes.max(initial=0))
    if (most and (slashes != most).any()) or text.count(b"//") not in (0, len(slashes)):
        # corners of several kinds: all get three numbers
        text = re.sub(rb"([^\s/]+)(?:/([^\s/]*))?(?:/[^\s/]*)*", _completed, text)
        most = 1
    elif b"//" in text:
        text, most = text.replace(b"//", b" 0/"), 2
    numbers, sizes = _parsed(text.replace(b"/", b" "), b"f")
    require((sizes % (most + 1) == 0).all(), "one of its faces has a corner that is no number")
    require((np.abs(numbers) < 1 << 53).all(), "one of its faces has a corner that is no number")
    whole = numbers.astype(np.int64)
    require((whole == numbers).all(), "one of its faces has a corner that is no number")
    table = whole.reshape(-1, most + 1)
    return table[:, 0], table[:, 1] if most else np.zeros_like(table[:, 0]), sizes // (most + 1)


def _completed(corner: re.Match[bytes]) -> bytes:
    return corner[0] if corner[0] == b"f" else corner[1] + b"/" + (corner[2] or b"0")


def _slashes(text: bytes) -> NDArray[np.int64]:
    """How many slashes each corner has; a face has one word more, of none."""
    raw = np.frombuffer(text, np.uint8)
    # blanks, and the word of the line
    blank = (raw <= 32) | (raw == ord("f"))
    begins = np.flatnonzero(~blank & np.concatenate([[True], blank[:-1]]))
    return np.add.reduceat((raw == ord("/")).astype(np.int64), begins) if len(begins) else np.zeros(0, np.int64)


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
    row = {name: place for place, name in enumerate(names)}
    number = np.array([row[name] for name in said], np.int32)
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
    for row, own in carried.faces_by_material():
        lines += [f"usemtl {carried.material_names[row]}", *(faces_said[face] for face in own.tolist())]
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


def has_normals(data: bytes) -> bool:
    """Whether an OBJ file has normals (``vn`` lines), which `moved_obj` leaves as they are."""
    return _NORMAL.search(data) is not None


_NORMAL = re.compile(rb"(?:^|(?<=[\r\n]))[ \t]*vn[ \t]")
_POINT = re.compile(rb"(?:^|(?<=[\r\n])|(?<=\xef\xbb\xbf))[ \t]*v[ \t]+([^\s#]+[ \t]+[^\s#]+[ \t]+[^\s#]+)")


def appended_obj(data: bytes, addition: Addition) -> tuple[bytes, list[str]]:
    """The OBJ file ``data`` with lines behind its last one for more vertices and triangles, in a group of their own,
    and sentences on what those lack. They carry colours, texture coordinates, normals and materials where the file has
    any. Raises FormatError."""
    lines = _lines(data)
    rows = _rows(lines)
    points = _numbers(lines, rows, b"v", 3)
    corners, on_texture, sizes = _faces(lines, rows)
    require(len(points) + len(addition.vertices) == len(addition.normals), "it has another number of points")
    triangles = triangulate(points[:, :3], corners, sizes)
    new = np.concatenate([addition.vertices, addition.of_vertices(points[:, 3:])], axis=1)
    added = ["g omomi_patch", *_written("v", new)]
    # the numbers of each corner: of a place, of texture coordinates, of a normal
    said = [np.char.mod("%d", addition.faces + 1), *2 * [np.full(addition.faces.shape, "")]]
    if len(rows[b"vt"]):
        table = _numbers(lines, rows, b"vt", 1)
        given = (on_texture >= 0)[triangles].all(axis=1)
        flat = np.concatenate([table, np.zeros((1, table.shape[1]))])
        corner_values = addition.of_corners(flat[on_texture][triangles]).reshape(-1, table.shape[1])
        single, place = np.unique(corner_values, axis=0, return_inverse=True)
        added += _written("vt", single)
        number = np.char.mod("%d", place.reshape(-1, 3) + len(table) + 1)
        said[1] = np.where(given[addition.sources][:, None], number, "")
    if len(rows[b"vn"]):
        used, place = np.unique(addition.faces, return_inverse=True)
        added += _written("vn", addition.normals[used])
        said[2] = np.char.mod("%d", place.reshape(-1, 3) + len(rows[b"vn"]) + 1)
    words = ["/".join(numbers).rstrip("/") for numbers in zip(*(one.reshape(-1) for one in said), strict=True)]
    faces = [f"f {a} {b} {c}" for a, b, c in zip(words[::3], words[1::3], words[2::3], strict=True)]
    materials, names = _materials(lines, rows, np.maximum(sizes - 2, 0))
    if materials is None:
        added += faces
    else:
        of_new = materials[addition.sources]
        for row in np.unique(of_new).tolist():
            added += [f"usemtl {names[row]}", *(faces[face] for face in np.flatnonzero(of_new == row).tolist())]
    end = b"\r\n" if b"\r\n" in data[: 1 << 16] else b"\n"
    # a backslash there would join the first new line to the last one
    gap = b"" if data.endswith((b"\n", b"\r")) and not data.rstrip(b"\r\n").endswith(b"\\") else end
    notes = []
    if sum(line[:2] in (b"o ", b"o\t") for line in lines) > 1:
        notes.append("It has several objects: the new faces are a group of the last one, whichever they close.")
    return b"".join([data, gap, end.join(line.encode("utf-8") for line in added), end]), notes


def _written(word: str, table: NDArray[np.float64]) -> list[str]:
    return [f"{word} {' '.join(map(repr, row))}" for row in table.tolist()]
