"""New rows at the end of the vertices and faces of a PLY file that stays as it is, byte for byte."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from .addition import Addition, as_type
from .files import require
from .ply import COLOURS, NORMALS, UVS, polygons
from .ply_elements import Columns, Element, ElementReader, read_header

Rows: TypeAlias = dict[str, tuple[str, str | None, NDArray]]
"""By the name of the property its type, the type of its count if it is a list, and the new values."""


def appended_ply(data: bytes, addition: Addition) -> tuple[bytes, list[str]]:
    """The PLY file ``data`` with more vertices and triangles, and sentences on what those lack. Only the two counts of
    its header change. New rows carry every property: colours and fractions go on from the border, other whole numbers
    and those of faces are the nearest ones there, ``sigma`` is unknown.

    Raises FormatError: without lists of faces, or where their type is too narrow for more vertices.
    """
    header = read_header(data)
    body, found, ends = ElementReader(header, data), {}, {}
    elements = {one.name: one for one in header.elements[::-1]}
    require("vertex" in elements and elements.get("face") and elements["face"].lists, "it has no lists of corners")
    for element in header.elements:
        if {"vertex", "face"} <= found.keys():
            break
        columns = body.read(element)
        if element.name not in found:
            found[element.name], ends[element.name] = columns, body.at
    vertex, face = elements["vertex"], elements["face"]
    addition, textured = _seamed(found, addition)
    rows = {"vertex": _vertex_rows(vertex, found["vertex"], addition, textured)}
    rows["face"], notes = _face_rows(face, found, addition)
    parts, begin = [_counted(data[: header.start], elements, rows)], header.start
    places = _places(data, header.start) if header.encoding == "ascii" else None
    for name in sorted(ends, key=ends.__getitem__):
        end = ends[name] if places is None else int(places[ends[name] - 1])
        if name not in rows:
            continue
        order = ">" if "big" in header.encoding else "<"
        new = _text(rows[name]) if places is not None else _binary(rows[name], order)
        parts += [data[begin:end], new]
        begin = end
    return b"".join([*parts, data[begin:]]), notes


def _seamed(found: dict[str, Columns], addition: Addition) -> tuple[Addition, dict[str, NDArray]]:
    """`Addition.seamed` and its texture coordinates by name; the same and nothing where vertices have none."""
    numbers = found["vertex"].numbers
    names = next((names for names in UVS if set(names) <= numbers.keys()), None)
    points = _points(numbers)
    name, corners, _, triangles = polygons(found["face"].lists, points)
    if names is None or not name or triangles is None or not len(addition.faces):
        return addition, {}
    textured = np.stack([numbers[name] for name in names], axis=1).astype(np.float64)
    addition, textured = addition.seamed(points, corners[triangles], textured)
    return addition, dict(zip(names, textured.T, strict=True))


def _vertex_rows(element: Element, columns: Columns, addition: Addition, textured: dict[str, NDArray]) -> Rows:
    numbers, new = columns.numbers, len(addition.vertices)
    require(not element.lists, "its vertices have lists")
    require(len(numbers["x"]) + new == len(addition.normals), "it has another number of vertices")
    blended = {name for names in COLOURS for name in names} | {"alpha", "diffuse_alpha", "a"}
    rows: Rows = {}
    normals = addition.normals[len(addition.normals) - new :]
    own = dict(zip("xyz", addition.vertices.T, strict=True)) | dict(zip(NORMALS, normals.T, strict=True)) | textured
    mixed = [
        one.name for one in element.properties
        if one.name not in own and (one.type.startswith("f") or one.name in blended)
    ]  # fmt: skip
    table = np.stack([numbers[name].astype(np.float64) for name in mixed], axis=1) if mixed else None
    means = {} if table is None else dict(zip(mixed, addition.of_vertices(table).T, strict=True))
    for one in element.properties:
        if one.name == "sigma" and one.type.startswith("f"):
            values = np.full(new, np.nan)
        elif one.name in own:
            values = own[one.name]
        elif one.name in means:
            values = means[one.name]
        else:
            values = numbers[one.name][addition.near]
        rows[one.name] = (one.type, None, values)
    return rows


def _points(numbers: Mapping[str, NDArray]) -> NDArray[np.float64]:
    return np.stack([numbers[name] for name in "xyz"], axis=1).astype(np.float64)


def _face_rows(element: Element, found: dict[str, Columns], addition: Addition) -> tuple[Rows, list[str]]:
    numbers, lists = found["face"].numbers, found["face"].lists
    points = _points(found["vertex"].numbers)
    name, corners, sizes, triangles = polygons(lists, points)
    require(name and triangles is not None, "its faces are not one list of corners each")
    assert triangles is not None
    kind = next(one.type for one in element.lists if one.name == name)
    largest = len(points) + len(addition.vertices) - 1
    wide = kind.startswith("f") or largest <= np.iinfo(kind).max
    require(wide, "its faces count vertices in a type that is too narrow for more")
    polygon = np.repeat(np.arange(len(sizes)), np.maximum(sizes - 2, 0))[addition.sources]
    rows: Rows = {}
    notes = []
    for one in element.properties:
        if one.name == name:
            values = addition.faces
        elif one.name == "texcoord" and len(lists[one.name].values) == 2 * len(corners):
            own = lists[one.name].values.astype(np.float64).reshape(-1, 2)[triangles]
            values = addition.of_corners(own).reshape(-1, 6)
        elif one.count_type:
            values = np.zeros((len(addition.faces), 0))
            notes.append(f"The new faces have an empty list {one.name}.")
        elif one.name == "invented":
            values = np.ones(len(addition.faces))
        else:
            values = numbers[one.name][polygon]
        rows[one.name] = (one.type, one.count_type, values)
    return rows, notes


def _counted(header: bytes, elements: dict[str, Element], rows: dict[str, Rows]) -> bytes:
    """The header with the counts of elements raised by those of the new rows."""
    for name, columns in rows.items():
        more = len(next(iter(columns.values()))[2])
        line = re.compile(rb"([\r\n]element[ \t]+" + name.encode() + rb"[ \t]+)\d+", re.IGNORECASE)
        header = line.sub(lambda match, to=elements[name].count + more: match[1] + b"%d" % to, header, count=1)
    return header


def _binary(rows: Rows, order: str) -> bytes:
    fields: list[tuple] = []
    for number, (kind, count, values) in enumerate(rows.values()):
        if count:
            fields.append((f"n{number}", order + count))
        fields.append((f"{number}", order + kind, values.shape[1:]))
    table = np.zeros(len(next(iter(rows.values()))[2]), fields)
    for number, (kind, count, values) in enumerate(rows.values()):
        if count:
            table[f"n{number}"] = values.shape[1]
        table[f"{number}"] = as_type(values, kind)
    return table.tobytes()


def _text(rows: Rows) -> bytes:
    columns = []
    for kind, count, values in rows.values():
        # digits enough for the values as they were computed, whatever type the header declares
        exact = values.astype(np.float64) if kind.startswith("f") else as_type(values, kind)
        words = [" ".join(map(repr, row)) for row in exact.reshape(len(values), -1).tolist()]
        columns.append([f"{values.shape[1]} {word}".rstrip() for word in words] if count else words)
    return "".join(f"\n{' '.join(row)}" for row in zip(*columns, strict=True)).encode("ascii")


def _places(data: bytes, start: int) -> NDArray[np.int64]:
    """Where each word of a text ends that begins at ``start``."""
    blank = np.frombuffer(data, np.uint8, offset=start) <= 32
    return start + np.flatnonzero(~blank & np.concatenate([blank[1:], [True]])) + 1
