"""New vertices and faces appended to an object's own mesh, of which everything else stays bit for bit.

The backend says where they are and what they carry: attributes, vertex groups and shape keys from the border inwards.
BMesh keeps every layer and shape key of the old vertices and faces. What lies on points and corners is numbers that the
backend interpolates; what lies on faces is taken from the face beside the border.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import bmesh
import bpy
import numpy as np
from numpy.typing import NDArray

from ..backend.errors import ErrorCode, OmomiError
from ..backend.protocol.messages import Done, MeshFrame
from ..context import context
from ..session.slices import Sliced
from ..text import Refusal
from . import mesh_io
from .attributes import KINDS
from .snapshot import Snapshot, triangles_alone

# BMesh of Blender 4.5 crashes on them.
UNKEPT = "FLOAT4X4"
# Geometry, and what only the window knows.
LEFT = ("position", ".edge_verts", ".corner_vert", ".corner_edge", ".select_", ".hide_", ".uv_select")


class PatchSource(NamedTuple):
    """A mesh as it was when the backend was asked to patch it: n vertices, m triangles."""

    scan: mesh_io.ScanArrays
    linear: NDArray[np.float64]  # as of `mesh_io.object_linear`
    values: NDArray[np.float32]  # (n, channels): point attributes, vertex groups, then shape keys
    uvs: NDArray[np.float32]  # (layers, m, 3, 2): corner attributes in pairs of columns
    polygons: NDArray[np.int32]  # (m,): of each triangle
    counts: tuple[int, int]  # vertices and corners of the mesh


def why_not(obj: Any) -> str | None:
    """The reason why nothing can be appended to the mesh of this object, or None."""
    mesh = obj.data
    if obj.library is not None or mesh.library is not None:
        return f"{obj.name} is linked from another file. Use Object > Relations > Make Local first."
    if obj.override_library is not None or mesh.override_library is not None:
        return f"{obj.name} is a library override, so its mesh cannot be changed. Make it local first."
    if reason := mesh_io.why_not_read(obj):
        return reason
    if not len(mesh.polygons):
        return f"{obj.name} has no faces, so it has no holes."
    if any(modifier.type == "MULTIRES" for modifier in obj.modifiers):
        return f"{obj.name} has a Multiresolution modifier, which cannot follow new faces. Apply it first."
    unkept = next((item.name for item in mesh.attributes if item.data_type == UNKEPT), None)
    if unkept is not None:
        return f"The attribute '{unkept}' of {obj.name} holds matrices, which new faces cannot have. Convert it first."
    return None


def read(obj: Any) -> Sliced:
    """`PatchSource`: the own mesh of an object, in its rest shape. Raises OmomiError as `Snapshot`."""
    with Snapshot(obj, shown=False) as copy:
        mesh, rest = obj.data, mesh_io.rest_shape(obj.data)
        counts = len(mesh.vertices), len(mesh.loops)
        points = [_read(item, counts[0]) for item in _interpolated(mesh, "POINT")]
        keys = [mesh_io.read_values(block.points, "co", rest.shape) - rest for block in _moved_keys(mesh)]
        pairs = [pair for item in _interpolated(mesh, "CORNER") for pair in _pairs(_read(item, counts[1]))]
        # from here on the object may be freed
        scan = yield from copy.scan()
        weights = yield from copy.weights(list(copy.groups))
        triangulation = yield from copy.triangulation()
    corners, polygons = triangulation or triangles_alone(len(scan.faces))
    if copy.mirrored:
        corners = corners[:, ::-1]
    uvs = np.stack([pair[corners] for pair in pairs]) if pairs else np.zeros((0, len(corners), 3, 2), np.float32)
    values = np.concatenate([*points, weights.T, *keys], axis=1).astype(np.float32)
    return PatchSource(scan, copy.linear, values, uvs, polygons, counts)


def closed_by_modifiers(obj: Any) -> str:
    """A sentence where the modifiers of an object change how many borders its mesh has, or ""."""
    if not any(modifier.show_viewport for modifier in obj.modifiers):
        return ""
    own = mesh_io.open_loops(obj.data)
    shown = mesh_io.open_loops(obj.evaluated_get(context.evaluated_depsgraph_get()).data)
    if own == shown:
        return ""
    return (
        f"The modifiers of {obj.name} change its borders: the mesh itself has {own}, with them there are {shown}. "
        "Holes are those of the mesh itself; untick what a modifier closes."
    )


def shared_with(obj: Any) -> str:
    """A sentence where other objects show the same mesh, or ""."""
    others = [other.name for other in bpy.data.objects if other.data == obj.data and other != obj]
    if not others:
        return ""
    first, more = others[0], len(others) - 1
    if not more:
        return f"{obj.name} shares its mesh with {first}, where the holes are closed as well."
    return f"{obj.name} shares its mesh with {first} and {more} more, where the holes are closed as well."


def append(obj: Any, source: PatchSource, frame: MeshFrame, done: Done) -> None:
    """Append what a patch has made. Raises ``CANCELLED`` where the mesh has changed since it was read, and `Refusal`
    where it has faces that Blender does not keep."""
    mesh: Any = obj.data
    if source.counts != (len(mesh.vertices), len(mesh.loops)):
        raise OmomiError(ErrorCode.CANCELLED, f"{obj.name} has changed in the meantime")
    local, faces = mesh_io.to_local(frame.world(), frame.faces, source.linear)
    vertices, polygons, corners = len(mesh.vertices), len(mesh.polygons), len(mesh.loops)
    if not len(faces):
        return
    _grow(obj, local, faces)
    values = np.zeros((len(local), 0)) if done.values is None else done.values.reshape(len(local), -1)
    _continue_points(obj, values, vertices)
    if done.corners is not None:
        laid = done.corners.reshape(-1, len(faces), 3, 2)
        _continue_corners(mesh, laid[:, :, ::-1] if np.linalg.det(source.linear) < 0 else laid, corners)
    if done.sources is not None:
        _continue_faces(mesh, source.polygons[done.sources], polygons)
    if mesh_io.is_made(mesh):
        _doubt(mesh, vertices)
    mesh.update()


def _grow(obj: Any, local: NDArray[np.float32], faces: NDArray[np.int32]) -> None:
    mesh = obj.data
    grown = bmesh.new()
    try:
        grown.from_mesh(mesh)
        kept = len(grown.verts), len(grown.edges), len(grown.faces)
        if kept != (len(mesh.vertices), len(mesh.edges), len(mesh.polygons)):
            raise Refusal(f"{obj.name} has faces that are invalid. Use Mesh > Clean Up > Degenerate Dissolve first.")
        # BMesh takes new elements one by one only.
        for place in local.tolist():
            grown.verts.new(place)
        grown.verts.ensure_lookup_table()
        vertices = grown.verts
        for face in faces.tolist():
            grown.faces.new([vertices[number] for number in face])
        grown.to_mesh(mesh)
    except ValueError as error:
        # One of its faces is there already.
        raise Refusal(f"A hole of {obj.name} is as large as the face beside it. Untick it.") from error
    finally:
        grown.free()


def _continue_points(obj: Any, values: NDArray[np.floating], first: int) -> None:
    """Give the vertices from ``first`` on the values (k, channels) in the order of `PatchSource`."""
    mesh, at = obj.data, 0
    for item in _interpolated(mesh, "POINT"):
        width = KINDS[item.data_type].width
        _write(item, values[:, at : at + width], first)
        at += width
    names = [group.name for group in obj.vertex_groups]
    mesh_io.set_groups(obj, names, values[:, at : at + len(names)].astype(np.float32), first)
    at += len(names)
    rest = mesh_io.rest_shape(mesh)
    for block in _moved_keys(mesh):
        places = mesh_io.read_values(block.points, "co", rest.shape)
        places[first:] = rest[first:] + values[:, at : at + 3]
        mesh_io.write_values(block.points, "co", places)
        at += 3
    # foreach_set on a shape key does not.
    mesh.update_tag()


def _continue_corners(mesh: Any, laid: NDArray[np.float32], first: int) -> None:
    """Give the corners from ``first`` on the pairs (layers, j, 3, 2) in the order of `PatchSource`."""
    at = 0
    for item in _interpolated(mesh, "CORNER"):
        width = KINDS[item.data_type].width
        count = (width + 1) // 2
        columns = np.concatenate([pair.reshape(-1, 2) for pair in laid[at : at + count]], axis=1)
        _write(item, columns[:, :width], first)
        at += count


def _continue_faces(mesh: Any, sources: NDArray[np.int32], first: int) -> None:
    """Give the faces from ``first`` on what these faces have."""
    kept = [item for item in mesh.attributes if item.domain == "FACE" and item.data_type in KINDS]
    for item in [item for item in kept if not _is_left(item)]:
        _write(item, _read(item, len(mesh.polygons))[sources], first)


def _doubt(mesh: Any, first: int) -> None:
    """Nobody measured the vertices from ``first`` on of a mesh that Omomi made."""
    sigma = np.full((len(mesh.vertices) - first, 1), np.nan, np.float32)
    _write(mesh.attributes[mesh_io.SIGMA], sigma, first)
    if mesh_io.COLOUR in mesh.color_attributes:
        _write(mesh.attributes[mesh_io.COLOUR], mesh_io.uncertainty_colours(sigma[:, 0], 1.0), first)


def _interpolated(mesh: Any, domain: str) -> Iterator[Any]:
    """The attributes of points or corners that are numbers to be interpolated, by name."""
    kept = [item for item in mesh.attributes if item.domain == domain and not _is_left(item)]
    blended = [item for item in kept if item.data_type in KINDS and KINDS[item.data_type].blends]
    yield from sorted(blended, key=lambda item: item.name)


def _is_left(item: Any) -> bool:
    return item.name.startswith(LEFT)


def _moved_keys(mesh: Any) -> list[Any]:
    """The shape keys but for the basis."""
    if mesh.shape_keys is None:
        return []
    return [block for block in mesh.shape_keys.key_blocks if block != mesh.shape_keys.reference_key]


def _read(item: Any, count: int) -> NDArray[Any]:
    kind = KINDS[item.data_type]
    return mesh_io.read_values(item.data, kind.member, (count, kind.width), kind.dtype)


def _write(item: Any, values: NDArray[Any], first: int) -> None:
    """Give the elements of an attribute from ``first`` on these values; the others keep theirs."""
    kept = _read(item, len(item.data))
    kept[first:] = values
    kind = KINDS[item.data_type]
    mesh_io.write_values(item.data, kind.member, kept, kind.dtype)


def _pairs(values: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Columns (n, width) as pairs (n, 2), an odd one with zeros."""
    padded = np.pad(values, ((0, 0), (0, values.shape[1] % 2)))
    return np.split(padded, padded.shape[1] // 2, axis=1)
