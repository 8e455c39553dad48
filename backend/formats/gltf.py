"""glTF 2.0: GLB files, and glTF files whose buffers are in them. What a file names is not opened.

All that a header promises is compared with what is there before anything is made of it. Coordinates are written in
single precision around the middle of the mesh, and a node carries the middle in double precision: a mesh far from the
origin keeps its detail. Format: Khronos Group, glTF 2.0 Specification.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import struct
from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..geometry.surface_attributes import SurfaceAttributes
from .files import FormatError, parse_json, require
from .gltf_scene import LARGEST, MeshInstance, mesh_instances
from .ply import as_bytes

LARGEST_HEADER = 16 << 20
"""Bytes of the JSON text, which grows some thirtyfold when it is read."""
MOST_COPIED = 20_000_000
"""Corners and points that stand for no two bytes of the file: those of copies. More take next to nothing in a file."""

_MAGIC, _JSON, _BINARY = 0x46546C67, 0x4E4F534A, 0x004E4942
_IGNORED = re.compile(r"(KHR_(materials|texture|lights|xmp|mesh_quantization|animation)|EXT_texture)\w*")
"""Required extensions that do not change where a surface is, or are understood here."""
_TYPES = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}
_POINTS, _TRIANGLES, _STRIP, _FAN = 0, 4, 5, 6
_NO_COLOUR = 255


def read_gltf(data: bytes) -> tuple[NDArray[np.float64], NDArray[np.int64], SurfaceAttributes | None]:
    """Points (n, 3) and faces (m, 3) of all meshes of a file where its scene puts them, and what they carry. Raises
    FormatError."""
    header, binary = _parts(data)
    require(isinstance(header, dict), "its header is no object")
    required = header.get("extensionsRequired") or []
    require(isinstance(required, list), "its header is damaged")
    for name in required:
        packed = f"its mesh is changed or compressed ({name!s:.40}): save it without"
        require(isinstance(name, str) and _IGNORED.fullmatch(name), packed)
    placed = mesh_instances(header)
    accessors = AccessorReader(header, binary)
    uses = Counter(one.mesh for one in placed)
    total = sum(accessors.size(mesh) * count for mesh, count in uses.items())
    require(
        total <= MOST_COPIED + len(data) // 2,
        f"its meshes would have {total:,} corners, many more than it has bytes for",
    )
    return _scene(placed, {mesh: accessors.parts(mesh) for mesh in uses})


def _parts(data: bytes) -> tuple[Any, bytes]:
    """The header, and the binary chunk of a GLB file. Raises FormatError."""
    if data[:4] != b"glTF":
        require(len(data) <= LARGEST_HEADER, f"its text is longer than {LARGEST_HEADER >> 20} MiB: save it as GLB")
        return parse_json(data.removeprefix(b"\xef\xbb\xbf"), "it"), b""
    require(len(data) >= 20, "it ends with its header")
    _, version, size, length, kind = struct.unpack_from("<5I", data)
    require(version == 2, "it is of another version than 2")
    require(size == len(data), f"it has {len(data)} bytes, and its header says {size}")
    require(kind == _JSON and 20 + length <= len(data) and length <= LARGEST_HEADER, "its header is damaged")
    header, rest = parse_json(data[20 : 20 + length].rstrip(b" \0"), "its header"), data[20 + length :]
    if len(rest) < 8:
        return header, b""
    length, kind = struct.unpack_from("<2I", rest)
    require(kind == _BINARY and 8 + length <= len(rest), "it ends in the middle")
    return header, rest[8 : 8 + length]


class Primitives:
    """Points of a mesh and triangles between them, in the coordinates of the mesh."""

    def __init__(self, points: NDArray, colours: NDArray | None, uvs: NDArray | None) -> None:
        self.points, self.colours = points.astype(np.float64), colours
        self.uvs = uvs  # (n, 2) of points
        self.faces: list[NDArray[np.int64]] = []
        self.materials: list[str | None] = []


class AccessorReader:
    """Arrays that a header describes. Raises FormatError for what is not there."""

    def __init__(self, header: dict[str, Any], binary: bytes) -> None:
        self._views, self._accessors = (_objects(header, key) for key in ("bufferViews", "accessors"))
        self._meshes = [_objects(mesh, "primitives") for mesh in _objects(header, "meshes")]
        materials = enumerate(_objects(header, "materials"))
        self._materials = [str(one.get("name") or f"material{number}") for number, one in materials]
        self._buffers = [
            _buffer(one, binary if number == 0 else b"") for number, one in enumerate(_objects(header, "buffers"))
        ]

    def size(self, mesh: int) -> int:
        """Corners and points of a mesh, from the header alone."""
        require(mesh < len(self._meshes), "its scene shows a mesh that it does not have")
        return sum(
            _count(self._accessor(number), "count")
            for one in self._meshes[mesh]
            for number in (_attributes(one).get("POSITION"), one.get("indices"))
            if number is not None
        )

    def parts(self, mesh: int) -> list[Primitives]:
        """What a mesh consists of; primitives between the same points are one."""
        found: dict[str, Primitives] = {}
        for one in self._meshes[mesh]:
            attributes, mode = _attributes(one), one.get("mode", _TRIANGLES)
            if "POSITION" not in attributes or mode not in (_POINTS, _TRIANGLES, _STRIP, _FAN):
                continue
            key = json.dumps(attributes, sort_keys=True)
            if key not in found:
                found[key] = self._part(attributes)
            part = found[key]
            if mode == _POINTS:
                continue
            if one.get("indices") is None:
                corners = np.arange(len(part.points))
            else:
                corners = self._array(one["indices"], (1,))[:, 0].astype(np.int64)
            require(corners.max(initial=-1) < len(part.points), "its faces refer to points it does not have")
            part.faces.append(_triangles(corners, mode))
            part.materials.append(self._material(one.get("material")))
        return list(found.values())

    def _part(self, attributes: dict[str, Any]) -> Primitives:
        points = self._array(attributes["POSITION"], (3,))
        shades, uvs = (
            self._array(attributes[name], widths) if name in attributes else None
            for name, widths in (("COLOR_0", (3, 4)), ("TEXCOORD_0", (2,)))
        )
        same = all(table is None or len(table) == len(points) for table in (shades, uvs))
        require(same, "its points do not have one colour and texture coordinate each")
        colours = None if shades is None else as_bytes(shades)
        if colours is not None and colours.shape[1] == 3:
            colours = np.column_stack([colours, np.full(len(colours), 255, np.uint8)])
        if uvs is not None:
            with np.errstate(invalid="ignore"):
                uvs = np.stack([uvs[:, 0], 1 - uvs[:, 1]], axis=1).astype(np.float32)
        return Primitives(points, colours, uvs)

    def _material(self, number: Any) -> str | None:
        return None if number is None else _item(self._materials, number)

    def _accessor(self, number: Any) -> dict[str, Any]:
        return _item(self._accessors, number)

    def _array(self, number: Any, widths: tuple[int, ...]) -> NDArray:
        """(n, w), w being one of the widths; what is normalised as fractions."""
        about = self._accessor(number)
        require("sparse" not in about and "bufferView" in about, "its numbers are stored sparsely, or not at all")
        view = _item(self._views, about["bufferView"])
        require(not view.get("extensions"), "its mesh is compressed: save it without compression")
        data = _item(self._buffers, view.get("buffer"))
        code, name = about.get("componentType"), about.get("type")
        item = _TYPES.get(code) if type(code) is int else None
        width = _WIDTHS.get(name, 0) if isinstance(name, str) else 0
        if item is None or width not in widths:
            raise FormatError("its header is damaged")
        kind, count = np.dtype(item), _count(about, "count")
        first, length = _count(view, "byteOffset", 0), _count(view, "byteLength")
        start, step = _count(about, "byteOffset", 0), _count(view, "byteStride", 0) or width * kind.itemsize
        require(step >= width * kind.itemsize and first + length <= len(data), "its header is damaged")
        used = start + (step * (count - 1) + width * kind.itemsize if count else 0)
        require(used <= length, "its header promises more than it holds")
        rows: NDArray = np.ndarray((count, width), kind, data, first + start, (step, kind.itemsize))
        if about.get("normalized") is True and kind.kind != "f":
            return np.maximum(rows / np.float32(np.iinfo(kind).max), np.float32(-1))
        return rows


def _objects(header: dict[str, Any], key: str) -> list[dict[str, Any]]:
    found = header.get(key, [])
    require(isinstance(found, list) and all(isinstance(one, dict) for one in found), "its header is damaged")
    return found


def _attributes(primitive: dict[str, Any]) -> dict[str, Any]:
    found = primitive.get("attributes", {})
    require(isinstance(found, dict), "its header is damaged")
    return {name: found[name] for name in ("POSITION", "COLOR_0", "TEXCOORD_0") if name in found}


def _item(items: list, number: Any) -> Any:
    require(type(number) is int and 0 <= number < len(items), "its header refers to what it does not have")
    return items[number]


def _count(about: dict[str, Any], key: str, default: int | None = None) -> int:
    found = about.get(key, default)
    if type(found) is not int or not 0 <= found <= LARGEST:
        raise FormatError("its header is damaged")
    return found


def _buffer(about: dict[str, Any], binary: bytes) -> bytes:
    uri, length = about.get("uri"), _count(about, "byteLength")
    if uri is not None:
        require(isinstance(uri, str), "its header is damaged")
        if not uri.startswith("data:"):
            raise FormatError(
                f"its mesh is in another file ({uri:.40}), and nothing that a file names is opened: save it as one GLB"
            )
        try:
            binary = base64.b64decode(uri.partition(",")[2], validate=True)
        except (binascii.Error, ValueError) as error:
            raise FormatError("one of its buffers is damaged") from error
    require(length <= len(binary), "its header promises more than it holds")
    return binary


def _triangles(corners: NDArray[np.int64], mode: int) -> NDArray[np.int64]:
    """Triangles (m, 3) of lists, strips, of which every other triangle is turned, and fans."""
    if mode == _TRIANGLES:
        require(len(corners) % 3 == 0, "it has a face of less than three corners")
        return corners.reshape(-1, 3)
    a, b, c = corners[:-2], corners[1:-1], corners[2:]
    if mode == _FAN:
        return np.stack([np.broadcast_to(corners[:1], c.shape), b, c], axis=1)
    turned = np.arange(len(c)) % 2 == 1
    return np.stack([np.where(turned, b, a), np.where(turned, a, b), c], axis=1)


def _scene(
    placed: list[MeshInstance], parts: dict[int, list[Primitives]]
) -> tuple[NDArray[np.float64], NDArray[np.int64], SurfaceAttributes | None]:
    """Points, faces counted on, and attributes of all meshes, in world coordinates."""
    points, faces, colours, uvs, materials, start = [], [], [], [], [], 0
    for one in placed:
        turn, shift = one.matrix[:3, :3], one.matrix[:3, 3]
        for part in parts[one.mesh]:
            # what is no number, or too large for one, is left out with the points that are not finite
            with np.errstate(over="ignore", invalid="ignore"):
                points.append(part.points @ turn.T + shift)
            triangles = np.concatenate([np.zeros((0, 3), np.int64), *part.faces])
            # A mirrored copy would turn its faces inside out.
            triangles = triangles[:, ::-1] if np.linalg.det(turn) < 0 else triangles
            faces.append(triangles + start)
            start += len(part.points)
            colours.append(part.colours)
            uvs.append(None if part.uvs is None else part.uvs[triangles])
            materials += zip(part.materials, map(len, part.faces), strict=True)
    require(points, "it holds no mesh and no points")
    counts = [len(table) for table in points], [len(table) for table in faces]
    said = [name or "default" for name, _ in materials]
    names = tuple(dict.fromkeys(said)) if any(name for name, _ in materials) else ()
    number = {name: row for row, name in enumerate(names)}
    many = [count for _, count in materials]
    carried = SurfaceAttributes(
        _joined(colours, counts[0], (4,), np.uint8, _NO_COLOUR),
        _joined(uvs, counts[1], (3, 2), np.float32, 0),
        np.repeat(np.array([number[name] for name in said], np.int32), many) if names else None,
        names,
    )
    return np.concatenate(points), np.concatenate(faces), carried if carried else None


def _joined(parts: list, counts: list[int], shape: tuple[int, ...], kind: type, absent: int) -> NDArray | None:
    """Tables of the parts one after another, ``absent`` where a part has none; None where none has any."""
    if all(part is None for part in parts):
        return None
    filled = [
        np.full((count, *shape), absent, kind) if part is None else part
        for part, count in zip(parts, counts, strict=True)
    ]
    return np.concatenate(filled)


def write_glb(
    vertices: NDArray[np.float64], faces: NDArray[np.int32], attributes: SurfaceAttributes | None = None
) -> bytes:
    """A GLB file of vertices (n, 3) and faces (m, 3), with colours, texture coordinates and names of materials.
    Vertices are split along seams, as glTF wants it."""
    carried = SurfaceAttributes() if attributes is None else attributes
    middle = (vertices.min(axis=0) + vertices.max(axis=0)) / 2 if len(vertices) else np.zeros(3)
    corner, uv = np.arange(len(vertices)), None
    if carried.uvs is not None:
        both = np.column_stack([faces.reshape(-1), carried.uvs.reshape(-1, 2)])
        single, place = np.unique(both, axis=0, return_inverse=True)
        corner, uv, faces = single[:, 0].astype(np.int64), single[:, 1:].astype(np.float32), place.reshape(-1, 3)
        uv[:, 1] = 1 - uv[:, 1]
    header: dict[str, Any] = {"asset": {"version": "2.0", "generator": "Omomi"}, "scene": 0, "scenes": [{"nodes": [0]}]}
    header |= {"nodes": [{"mesh": 0, "translation": middle.tolist()}], "accessors": [], "bufferViews": []}
    binary = bytearray()

    def stored(array: NDArray, component: int, kind: str, **more: Any) -> int:
        raw = array.tobytes() + b"\0" * (-array.nbytes % 4)
        view = {"buffer": 0, "byteOffset": len(binary), "byteLength": array.nbytes}
        binary.extend(raw)
        header["bufferViews"].append(view)
        about = {"bufferView": len(header["bufferViews"]) - 1, "componentType": component, "type": kind}
        header["accessors"].append({**about, "count": len(array), **more})
        return len(header["accessors"]) - 1

    local = (vertices - middle).astype("<f4")[corner]
    bounds = {"min": local.min(axis=0).tolist(), "max": local.max(axis=0).tolist()} if len(local) else {}
    shared = {"POSITION": stored(local, 5126, "VEC3", **bounds)}
    if uv is not None:
        shared["TEXCOORD_0"] = stored(uv.astype("<f4"), 5126, "VEC2")
    if carried.colours is not None:
        alpha = np.full(len(vertices), 255, np.uint8) if carried.colours.shape[1] == 3 else carried.colours[:, 3]
        table = np.column_stack([carried.colours[:, :3], alpha])[corner]
        shared["COLOR_0"] = stored(np.ascontiguousarray(table), 5121, "VEC4", normalized=True)
    groups: list[tuple[int | None, NDArray]] = [(None, faces)]
    if carried.materials is not None:
        groups = [(row, faces[own]) for row, own in carried.faces_by_material()]
        header["materials"] = [{"name": name} for name in carried.material_names]
    primitives = []
    for row, some in groups:
        if len(some):
            about = {"attributes": shared, "indices": stored(some.reshape(-1).astype("<u4"), 5125, "SCALAR")}
            primitives.append(about if row is None else {**about, "material": row})
    header["meshes"] = [{"name": "mesh", "primitives": primitives}]
    header["buffers"] = [{"byteLength": len(binary)}]
    text = json.dumps(header).encode("utf-8")
    text += b" " * (-len(text) % 4)
    parts = struct.pack("<5I", _MAGIC, 2, 28 + len(text) + len(binary), len(text), _JSON), text
    return b"".join([*parts, struct.pack("<2I", len(binary), _BINARY), binary])
