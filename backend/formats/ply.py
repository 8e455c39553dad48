"""PLY files, ASCII and binary, with triangles, quads and larger polygons mixed as Blender writes them.

The header is checked against the length of the file before anything is allocated.
Format: G. Turk, The PLY Polygon File Format (1994).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from .files import FormatError, require

_TYPES = {
    "char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4",
    "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4",
    "float": "f4", "double": "f8", "float32": "f4", "float64": "f8",
}  # fmt: skip
_LONGEST_HEADER = 1 << 16


@dataclass(frozen=True)
class Ply:
    """What a PLY file holds of a mesh."""

    vertices: NDArray  # (n, 3) float64
    faces: NDArray | None  # (m, 3) int64, polygons as fans; indices unchecked
    normals: NDArray | None  # (n, 3) float64
    sigma: NDArray | None = None  # (n,) float64, as `mesh_files.save_mesh` writes it


@dataclass(frozen=True)
class _Property:
    name: str
    type: str
    count_type: str | None  # of a list


@dataclass(frozen=True)
class _Element:
    name: str
    count: int
    properties: tuple[_Property, ...]

    def names(self) -> list[str]:
        return [p.name for p in self.properties]

    @property
    def lists(self) -> list[int]:
        """Which of its properties are lists."""
        return [i for i, p in enumerate(self.properties) if p.count_type]


def read_ply(data: bytes) -> Ply:
    """Read the vertices and faces of a PLY file; other elements and properties are skipped. Raises FormatError."""
    encoding, elements, start = _header(data)
    order = "<" if "little" in encoding else ">"
    body = _AsciiBody(data[start:]) if encoding == "ascii" else _BinaryBody(data, start, order)
    vertices = faces = normals = sigma = None
    for element in elements:
        if element.name == "vertex":
            columns = body.table(element)
            require({"x", "y", "z"} <= columns.keys(), "its vertices have no x, y and z")
            vertices = np.stack([columns[axis] for axis in "xyz"], axis=1)
            if {"nx", "ny", "nz"} <= columns.keys():
                normals = np.stack([columns[axis] for axis in ("nx", "ny", "nz")], axis=1)
            sigma = columns.get("sigma")
        elif element.name == "face":
            faces = body.polygons(element)
        elif vertices is not None and faces is not None:
            break
        else:
            body.skip(element)
    if vertices is None:
        raise FormatError("it has no vertices")
    return Ply(vertices, faces, normals, sigma)


def _header(data: bytes) -> tuple[str, list[_Element], int]:
    end = data.find(b"end_header", 0, _LONGEST_HEADER)
    require(data[:4].strip() == b"ply" and end >= 0, "it has no PLY header")
    newline = data.find(b"\n", end)
    require(newline >= 0, "it ends with its header")
    encoding, elements = "", []
    try:
        for line in data[:end].decode("ascii", "replace").splitlines()[1:]:
            match line.split():
                case ["format", encoding, _]:
                    pass
                case ["element", name, count]:
                    elements.append((name, int(count), []))
                case ["property", "list", count_type, kind, name]:
                    elements[-1][2].append(_Property(name, _TYPES[kind], _TYPES[count_type]))
                case ["property", kind, name]:
                    elements[-1][2].append(_Property(name, _TYPES[kind], None))
    except (KeyError, ValueError, IndexError) as error:
        raise FormatError(f"its header is damaged ({error})") from error
    known = encoding in ("ascii", "binary_little_endian", "binary_big_endian")
    require(known, "its header names no known format")
    made = [_Element(name, count, tuple(properties)) for name, count, properties in elements]
    require(all(element.count >= 0 for element in made), "its header is damaged")
    return encoding, made, newline + 1


class _BinaryBody:
    def __init__(self, data: bytes, start: int, order: str) -> None:
        self._data, self._at, self._order = data, start, order

    def table(self, element: _Element) -> dict[str, NDArray[np.float64]]:
        require(not element.lists, f"its {element.name} element holds lists")
        record = np.dtype([(f"{i}", self._order + p.type) for i, p in enumerate(element.properties)])
        start = self._at
        self._at += record.itemsize * element.count
        require(self._at <= len(self._data), "it ends in the middle")
        rows = np.frombuffer(self._data, record, element.count, start)
        return {name: rows[f"{i}"].astype(np.float64) for i, name in enumerate(element.names())}

    def polygons(self, element: _Element) -> NDArray[np.int64]:
        before, polygon, after = _split(element)
        if element.count == 0:
            return np.zeros((0, 3), np.int64)
        head = np.dtype([(f"{i}", self._order + p.type) for i, p in enumerate(before)])
        tail = sum(np.dtype(p.type).itemsize for p in after)
        count_type, kind = np.dtype(self._order + str(polygon.count_type)), np.dtype(self._order + polygon.type)
        start = self._at + head.itemsize
        require(start + count_type.itemsize <= len(self._data), "it ends in the middle")
        first = int(np.frombuffer(self._data, count_type, 1, start)[0])
        record = np.dtype(
            [("head", f"V{head.itemsize}"), ("n", count_type), ("i", kind, (first,)), ("tail", f"V{tail}")]
        )
        if self._at + record.itemsize * element.count <= len(self._data):
            rows = np.frombuffer(self._data, record, element.count, self._at)
            if np.all(rows["n"] == first):
                self._at += record.itemsize * element.count
                return _fans([rows["i"].astype(np.int64)])
        return self._mixed(element.count, head.itemsize, count_type, kind, tail)

    def _mixed(self, count: int, head: int, count_type: np.dtype, kind: np.dtype, tail: int) -> NDArray[np.int64]:
        """Polygons of different sizes: the start of one follows from the sizes of all before it."""
        starts, sizes = np.empty(count, np.int64), np.empty(count, np.int64)
        at, data, width, step = self._at + head, self._data, count_type.itemsize, kind.itemsize
        order = "little" if self._order == "<" else "big"
        end = len(data) - width
        for row in range(count):
            if at > end:
                raise FormatError("it ends in the middle")
            size = int.from_bytes(data[at : at + width], order)
            starts[row], sizes[row] = at + width, size
            at += width + size * step + tail + head
        self._at = at - head
        require(self._at <= len(data), "it ends in the middle")
        raw = np.frombuffer(data, np.uint8)
        polygons = []
        for size in np.unique(sizes):
            bytes_at = starts[sizes == size][:, None] + np.arange(size * step)
            polygons.append(raw[bytes_at].view(kind).astype(np.int64))
        return _fans(polygons)

    def skip(self, element: _Element) -> None:
        require(not element.lists, f"its {element.name} element comes before the faces and holds lists")
        self.table(element)


class _AsciiBody:
    def __init__(self, text: bytes) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)
            try:
                self._numbers = np.fromstring(text.decode("ascii", "replace"), sep=" ")
            except (ValueError, DeprecationWarning) as error:
                raise FormatError("it holds something that is no number") from error
        self._at = 0

    def table(self, element: _Element) -> dict[str, NDArray[np.float64]]:
        require(not element.lists, f"its {element.name} element holds lists")
        start, width = self._at, len(element.properties)
        self._at += element.count * width
        require(self._at <= len(self._numbers), "it ends in the middle")
        rows = self._numbers[start : self._at].reshape(element.count, width)
        return dict(zip(element.names(), rows.T, strict=True))

    skip = table

    def polygons(self, element: _Element) -> NDArray[np.int64]:
        before, _, after = _split(element)
        numbers, at = self._numbers, self._at
        starts, sizes = np.empty(element.count, np.int64), np.empty(element.count, np.int64)
        for row in range(element.count):
            at += len(before)
            if at >= len(numbers):
                raise FormatError("it ends in the middle")
            size = numbers[at]
            if not (0 <= size <= len(numbers)):
                raise FormatError("its faces are damaged")
            starts[row], sizes[row] = at + 1, size
            at += 1 + int(size) + len(after)
        require(at <= len(numbers), "it ends in the middle")
        self._at = at
        return _fans([numbers[starts[sizes == n][:, None] + np.arange(n)].astype(np.int64) for n in np.unique(sizes)])

def _split(element: _Element) -> tuple[tuple[_Property, ...], _Property, tuple[_Property, ...]]:
    """The properties before the list of corners, that list, and those after it."""
    corners = [i for i in element.lists if element.properties[i].name in ("vertex_indices", "vertex_index")]
    require(corners and len(element.lists) == 1, "its faces are not one list of corners each")
    at = corners[0]
    return element.properties[:at], element.properties[at], element.properties[at + 1 :]


def _fans(polygons: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Triangles (m, 3) of polygons, given as tables (p, size) by size. Points and lines give none."""
    triangles = [
        np.stack([table[:, 0], table[:, i], table[:, j]], axis=1)
        for table in polygons
        for i, j in pairwise(range(1, table.shape[1]))
    ]
    return np.concatenate(triangles) if triangles else np.zeros((0, 3), np.int64)


def write_ply(vertices: NDArray, faces: NDArray[np.int32], extra: dict[str, NDArray[np.float32]]) -> bytes:
    """A binary little-endian PLY file.

    vertices: (n, 3) float32 or float64; faces: (m, 3); extra: named (n,) vertex properties.
    """
    kind = "f8" if vertices.dtype == np.float64 else "f4"
    columns = [("x", kind), ("y", kind), ("z", kind), *((name, "f4") for name in extra)]
    rows = np.empty(len(vertices), [(name, "<" + t) for name, t in columns])
    for axis, name in enumerate("xyz"):
        rows[name] = vertices[:, axis]
    for name, values in extra.items():
        rows[name] = values
    polygons = np.empty(len(faces), [("n", "u1"), ("i", "<i4", (3,))])
    polygons["n"], polygons["i"] = 3, faces
    words = {"f4": "float", "f8": "double"}
    header = [
        "ply", "format binary_little_endian 1.0", f"element vertex {len(rows)}",
        *(f"property {words[t]} {name}" for name, t in columns),
        f"element face {len(polygons)}", "property list uchar int vertex_indices", "end_header", "",
    ]  # fmt: skip
    return "\n".join(header).encode("ascii") + rows.tobytes() + polygons.tobytes()
