"""glTF 2.0: GLB files, and glTF files whose buffers are in them. What a file names is not opened.

Reading is trimesh's, of a header without pictures. Writing needs no package. Coordinates are in single precision around
the middle of the mesh, and a node carries the middle in double precision: a mesh far from the origin keeps its detail.
"""

from __future__ import annotations

import io
import json
import struct
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..geometry.surface_attributes import SurfaceAttributes
from .files import FormatError, parse_json, require
from .ply import as_bytes

_MAGIC, _JSON, _BINARY = 0x46546C67, 0x4E4F534A, 0x004E4942
_PACKED = ("KHR_draco_mesh_compression", "EXT_meshopt_compression")
_NO_COLOUR = 255


def read_gltf(
    data: bytes, trimesh: ModuleType
) -> tuple[NDArray[np.float64], NDArray[np.int64], SurfaceAttributes | None]:
    """Points (n, 3) and faces (m, 3) of all meshes of a file where its scene puts them, and what they carry. Raises
    FormatError; trimesh raises what it likes for damaged files."""
    packed = data[:4] == b"glTF"
    header, rest = _header(data) if packed else (parse_json(data.removeprefix(b"\xef\xbb\xbf"), "it"), b"")
    require(isinstance(header, dict), "its header is no object")
    text = json.dumps(_harmless(header)).encode()
    if packed:
        text += b" " * (-len(text) % 4)
        text = struct.pack("<5I", _MAGIC, 2, 20 + len(text) + len(rest), len(text), _JSON) + text + rest
    scene = trimesh.load_scene(io.BytesIO(text), file_type="glb" if packed else "gltf", process=False)
    return flattened(scene)


def _header(data: bytes) -> tuple[Any, bytes]:
    require(len(data) >= 20, "it ends with its header")
    _, version, _, length, kind = struct.unpack_from("<5I", data)
    require(version == 2, "it is of another version than 2")
    require(kind == _JSON and 20 + length <= len(data), "its header is damaged")
    return parse_json(data[20 : 20 + length].rstrip(b" \0"), "its header"), data[20 + length :]


def _harmless(header: dict[str, Any]) -> dict[str, Any]:
    """The header without pictures, materials being names. Raises FormatError where the mesh is in another file, or is
    packed in a way that nobody here unpacks."""
    buffers, materials = header.get("buffers", []), header.get("materials", [])
    require(isinstance(buffers, list) and isinstance(materials, list), "its header is damaged")
    for buffer in buffers:
        uri = buffer.get("uri", "data:") if isinstance(buffer, dict) else None
        if not isinstance(uri, str):
            raise FormatError("its header is damaged")
        if not uri.startswith("data:"):
            raise FormatError(
                f"its mesh is in another file ({uri:.40}), and nothing that a file names is opened: save it as one GLB"
            )
    required = header.get("extensionsRequired", [])
    for name in _PACKED:
        require(name not in (required or []), f"its mesh is compressed ({name}): save it without compression")
    kept = {key: value for key, value in header.items() if key not in ("images", "textures", "samplers")}
    if materials:
        names = [one.get("name") if isinstance(one, dict) else None for one in materials]
        kept["materials"] = [{"name": str(name or f"material{row}")} for row, name in enumerate(names)]
    return kept


def flattened(scene: Any) -> tuple[NDArray[np.float64], NDArray[np.int64], SurfaceAttributes | None]:
    """Points, faces counted on, and attributes of all meshes and point clouds of trimesh's scene, in world coordinates.
    Raises FormatError where there are none."""
    points, faces, colours, uvs, materials, start = [], [], [], [], [], 0
    for node in sorted(scene.graph.nodes_geometry):
        transform, name = scene.graph[node]
        geometry = scene.geometry[name]
        corners = getattr(geometry, "faces", None)
        if corners is None and type(geometry).__name__ != "PointCloud":
            continue
        local = np.asarray(geometry.vertices, np.float64)
        points.append(local @ transform[:3, :3].T + transform[:3, 3])
        triangles = np.zeros((0, 3), np.int64) if corners is None else np.asarray(corners, np.int64)
        # A mirrored copy would turn its faces inside out.
        triangles = triangles[:, ::-1] if np.linalg.det(transform[:3, :3]) < 0 else triangles
        faces.append(triangles + start)
        start += len(local)
        visual = geometry.visual
        colours.append(_vertex_colours(geometry))
        uv = getattr(visual, "uv", None)
        uvs.append(None if uv is None else np.asarray(uv, np.float32)[:, :2][triangles])
        materials.append(getattr(getattr(visual, "material", None), "name", None))
    require(points, "it holds no mesh and no points")
    counts = [len(table) for table in points], [len(table) for table in faces]
    names = list(dict.fromkeys(name or "default" for name in materials))
    carried = SurfaceAttributes(
        _joined(colours, counts[0], (4,), np.uint8, _NO_COLOUR),
        _joined(uvs, counts[1], (3, 2), np.float32, 0),
        None if not any(materials) else np.repeat(
            np.array([names.index(name or "default") for name in materials], np.int32), counts[1]
        ),
        tuple(names) if any(materials) else (),
    )  # fmt: skip
    return np.concatenate(points), np.concatenate(faces), carried if carried else None


def _vertex_colours(geometry: Any) -> NDArray[np.uint8] | None:
    """(n, 4) of a mesh or a cloud, None where the file has none: trimesh invents grey ones."""
    visual = geometry.visual
    found = getattr(visual, "vertex_attributes", {}).get("color") if visual.kind == "texture" else None
    if visual.kind == "vertex" and getattr(visual, "defined", True):
        found = visual.vertex_colors
    if found is None or len(found) != len(geometry.vertices):
        return None
    table = as_bytes(np.asarray(found))
    return table if table.shape[1] == 4 else np.column_stack([table[:, :3], np.full(len(table), 255, np.uint8)])


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
    chunks: list[bytes] = []

    def stored(array: NDArray, component: int, kind: str, **more: Any) -> int:
        raw = array.tobytes() + b"\0" * (-array.nbytes % 4)
        view = {"buffer": 0, "byteOffset": sum(map(len, chunks)), "byteLength": array.nbytes}
        chunks.append(raw)
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
    groups = [(None, faces)]
    if carried.materials is not None:
        groups = [(row, faces[carried.materials == row]) for row in range(len(carried.material_names))]
        header["materials"] = [{"name": name} for name in carried.material_names]
    primitives = []
    for row, some in groups:
        if len(some):
            about = {"attributes": shared, "indices": stored(some.reshape(-1).astype("<u4"), 5125, "SCALAR")}
            primitives.append(about if row is None else {**about, "material": row})
    header["meshes"] = [{"name": "mesh", "primitives": primitives}]
    binary = b"".join(chunks)
    header["buffers"] = [{"byteLength": len(binary)}]
    text = json.dumps(header).encode("utf-8")
    text += b" " * (-len(text) % 4)
    parts = struct.pack("<5I", _MAGIC, 2, 28 + len(text) + len(binary), len(text), _JSON), text
    return b"".join([*parts, struct.pack("<2I", len(binary), _BINARY), binary])
