"""Attributes of a mesh (UVs, colours, vertex groups, materials, an artist's own), and their transfer to another."""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection
from functools import cached_property, partial
from typing import Any, NamedTuple, TypeAlias

import bpy
import numpy as np
from numpy.typing import NDArray

from ..backend.errors import ErrorCode, OmomiError
from ..backend.protocol.messages import Done, MeshFrame
from ..backend.protocol.requests import TransferRequest
from ..session.slices import Pause, Sliced, in_thread
from ..session.task import Client, Work
from ..text import lost_attributes
from . import mesh_io, storage
from .snapshot import READING, VERTICES, Snapshot, slots, triangles_alone

MAKING = "making the new mesh"
TRANSFERRING = "transferring attributes"


Found: TypeAlias = Callable[[], Any]
"""Finds a mesh that Blender shows nowhere, for use up to the next pause."""


class AttributeKind(NamedTuple):
    """How Blender hands out the values of a type."""

    member: str
    width: int
    dtype: Any
    blends: bool  # whether values between two are of the same meaning; else the nearest one is taken


KINDS = {
    "FLOAT": AttributeKind("value", 1, np.float32, True),
    "FLOAT2": AttributeKind("vector", 2, np.float32, True),
    "FLOAT_VECTOR": AttributeKind("vector", 3, np.float32, True),
    "FLOAT_COLOR": AttributeKind("color", 4, np.float32, True),
    "BYTE_COLOR": AttributeKind("color", 4, np.float32, True),
    "QUATERNION": AttributeKind("value", 4, np.float32, False),
    "FLOAT4X4": AttributeKind("value", 16, np.float32, False),
    "INT": AttributeKind("value", 1, np.int32, False),
    "INT8": AttributeKind("value", 1, np.int8, False),
    "INT16_2D": AttributeKind("value", 2, np.int32, False),
    "INT32_2D": AttributeKind("value", 2, np.int32, False),
    "BOOLEAN": AttributeKind("value", 1, np.bool_, False),
}
"""By Blender's name of the type. Texts are missing: Blender hands them out one by one."""
COLOURS = "FLOAT_COLOR", "BYTE_COLOR"

SHADING, SLOT = "sharp_face", "material_index"
NOT_CARRIED = frozenset(
    {
        # what every mesh has of its own, or what Omomi says of one mesh alone
        "position", "normal", "custom_normal", mesh_io.SIGMA, mesh_io.COLOUR, mesh_io.DEVIATION, mesh_io.DEPARTURE,
        # of edges and corners of a cage, which mean nothing on a dense mesh
        "sharp_edge", "uv_seam", "freestyle_edge", "crease_edge", "crease_vert", "bevel_weight_edge",
        "bevel_weight_vert",
    }
)  # fmt: skip


class AttributeLayer(NamedTuple):
    """One attribute of a triangle mesh, or of bare points."""

    name: str
    domain: str  # POINT, FACE or CORNER
    kind: str  # one of `KINDS`
    values: NDArray[Any]  # (elements of the domain, width)
    member: str = ""  # of an element, where the values are not of the kind's own


class Shown(NamedTuple):
    """Names of the UV map and the colours that are shown, and of those that are rendered; empty for none."""

    uvs: str
    rendered_uvs: str
    colours: str
    rendered_colours: str


class MeshAttributes(NamedTuple):
    """Of a mesh of n vertices and m triangles, which are in the order of `Snapshot.scan`."""

    layers: tuple[AttributeLayer, ...]
    groups: tuple[str, ...]
    weights: NDArray[np.float32]  # (n, groups)
    materials: tuple[int, ...]  # session_uid of each slot's; 0 for none
    shown: Shown
    notes: tuple[str, ...] = ()  # sentences on what was left out or made up


def read_shown(shown: Snapshot) -> Sliced:
    """`MeshAttributes` of an object as its modifiers show it, for a fit: its shading, that of the scan's own faces, is
    left out. None where that is nothing."""
    found = yield from _read(shown, {SHADING})
    plain = found.materials == shown.own_materials and len(found.materials) < 2
    return None if plain and not found.groups and all(layer.name == SLOT for layer in found.layers) else found


def read_own(obj: Any) -> Sliced:
    """`MeshAttributes`: what the own mesh of an object carries."""
    with Snapshot(obj, shown=False) as copy:
        return (yield from _read(copy, ()))


def read_groups(obj: Any) -> Sliced:
    """`MeshAttributes`: the vertex groups of the own mesh of an object with faces, and nothing else; None where it has
    none."""
    if not len(obj.vertex_groups) or not len(obj.data.polygons):
        return None
    found = yield from read_own(obj)
    return found._replace(layers=(), notes=())


def transfer_to_fit(
    client: Client, handle: int, source: MeshAttributes, scan: mesh_io.ScanArrays, frame: MeshFrame
) -> Work:
    """Transfer from a scan to the final mesh of its fit, which has this handle: `MeshAttributes`. Raises OmomiError."""

    def moved() -> NDArray[np.float32]:
        # Coordinates that are not finite are the backend's to leave out.
        with np.errstate(invalid="ignore", over="ignore"):
            return (scan.points - np.asarray(frame.origin)).astype(np.float32)

    points = yield from in_thread(moved, TRANSFERRING)
    faces = np.zeros((0, 3), np.int32) if scan.faces is None else scan.faces
    return (yield from transfer(client, handle, source, points, faces, frame.vertices, frame.faces))


def transfer(
    client: Client,
    handle: int,
    source: MeshAttributes,
    points: NDArray[np.float32],
    faces: NDArray[np.int32],
    target_points: NDArray[np.float32],
    target_faces: NDArray[np.int32],
) -> Work:
    """Transfer to the target mesh, which lies in the same frame: its `MeshAttributes`. Raises OmomiError.

    handle: of the fit, which tells what lies beyond the scan; faces: none of bare points.
    """
    on_points = [layer for layer in source.layers if _blends(layer, "POINT")]
    on_corners = [layer for layer in source.layers if _blends(layer, "CORNER")]

    def laid() -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Values of points, and of corners."""
        corners = np.concatenate([layer.values.reshape(-1) for layer in on_corners]) if on_corners else None
        return np.concatenate([*(layer.values for layer in on_points), source.weights], axis=1), corners

    values, corners = yield from in_thread(laid, TRANSFERRING)
    answer = yield client.request(
        TransferRequest, handle=handle, channels=values.shape[1], widths=[_width(layer) for layer in on_corners],
        points=points, faces=faces, target_points=target_points, target_faces=target_faces,
        values=values.reshape(-1) if values.size else None, corners=corners,
    )  # fmt: skip
    meshes = points, faces, target_points, target_faces
    return (yield from in_thread(lambda: _transferred(source, answer.done, *meshes), TRANSFERRING))


def _transferred(
    source: MeshAttributes,
    done: Done,
    points: NDArray[np.float32],
    faces: NDArray[np.int32],
    target_points: NDArray[np.float32],
    target_faces: NDArray[np.int32],
) -> MeshAttributes:
    """The attributes on the target, from what the backend found. Raises OmomiError(PROTOCOL) where it sent none."""
    if done.sources is None or done.invented is None:
        raise OmomiError(ErrorCode.PROTOCOL, "The backend process sent no attributes")
    corners = np.zeros(0, np.float32) if done.corners is None else done.corners
    on_points = [layer for layer in source.layers if _blends(layer, "POINT")]
    on_corners = [layer for layer in source.layers if _blends(layer, "CORNER")]
    widths = [*(_width(layer) for layer in on_points), len(source.groups)]
    values = np.zeros(0, np.float32) if done.values is None else done.values
    *blended, weights = np.split(values.reshape(len(target_points), sum(widths)), np.cumsum(widths)[:-1], axis=1)
    ends = np.cumsum([3 * len(target_faces) * _width(layer) for layer in on_corners])
    coats = np.split(corners, ends[:-1]) if on_corners else []
    mixed = {layer.name: part for layer, part in zip(on_points, blended, strict=True)}
    mixed |= {layer.name: part.reshape(-1, _width(layer)) for layer, part in zip(on_corners, coats, strict=True)}
    nearest = _Nearest(done.sources, points, faces, target_points, target_faces)
    layers = [
        layer._replace(values=_within(mixed[layer.name], layer) if layer.name in mixed else nearest.values(layer))
        for layer in source.layers
    ]
    layers = _marked(layers, done.invented.astype(bool))
    notes = *source.notes, *done.result.get("notes", ())
    return source._replace(layers=tuple(layers), weights=weights, notes=notes)


def apply(mesh: Found, attributes: MeshAttributes, mirrored: bool) -> Sliced:
    """Give a triangle mesh these attributes; mirrored: its faces are wound the other way."""
    shown = attributes.shown
    if slots(mesh()) != attributes.materials:
        known = {material.session_uid: material for material in bpy.data.materials}
        mesh().materials.clear()
        for uid in attributes.materials:
            mesh().materials.append(known.get(uid))
    for layer in attributes.layers:
        mesh_io.ensure_attribute(mesh(), layer.name, layer.kind, layer.domain)
        yield Pause(MAKING)
        values = layer.values
        if mirrored and layer.domain == "CORNER":
            values = values.reshape(-1, 3, values.shape[1])[:, ::-1].reshape(values.shape)
        yield from write(mesh, layer.name, values, layer.member)
    yield from paint_groups(mesh, attributes)
    if shown.uvs in mesh().uv_layers:
        mesh().uv_layers.active = mesh().uv_layers[shown.uvs]
    if shown.rendered_uvs in mesh().uv_layers:
        mesh().uv_layers[shown.rendered_uvs].active_render = True
    if shown.colours in mesh().color_attributes:
        mesh().color_attributes.active_color = mesh().color_attributes[shown.colours]
    if shown.rendered_colours in mesh().color_attributes:
        mesh().attributes.default_color_name = shown.rendered_colours


def write(mesh: Found, name: str, values: NDArray[Any], member: str = "") -> Sliced:
    """Give an attribute of a mesh values (elements, width), as of `storage.write`; member: that of its kind if
    empty."""
    stored = mesh().attributes[name].data_type
    kind = KINDS[stored]
    if len(values):
        kept = values.astype(kind.dtype, copy=False)
        member = member or kind.member
        yield from storage.write(lambda: mesh().attributes[name].data, stored, member, kept, MAKING)


def paint_groups(mesh: Found, attributes: MeshAttributes) -> Sliced:
    """Put the vertices of a mesh into these vertex groups."""
    groups, weights = attributes.groups, attributes.weights
    for start in range(0, len(weights), VERTICES) if groups else ():
        # The groups are the mesh's, but objects hand them out.
        holder: Any = bpy.data.objects.new("omomi", mesh())
        try:
            mesh_io.set_groups(holder, groups, weights[start : start + VERTICES], start)
        finally:
            bpy.data.objects.remove(holder)
        yield Pause(MAKING)


def _read(copy: Snapshot, left_out: Collection[str]) -> Sliced:
    places: dict[str, Any] = {"POINT": slice(None)}
    if count := len(copy.mesh.polygons):
        triangulation = yield from copy.triangulation()
        if triangulation is None and not copy.mirrored:
            places["FACE"] = places["CORNER"] = slice(None)
        else:
            corners, places["FACE"] = triangulation or triangles_alone(count)
            places["CORNER"] = (corners[:, ::-1] if copy.mirrored else corners).reshape(-1)
    layers, dropped = [], []
    # the number of their elements would have Blender copy all at once that the mesh shares with another
    found = [(item.name, item.domain, item.data_type) for item in copy.mesh.attributes]
    sizes = {"POINT": len(copy.mesh.vertices), "EDGE": len(copy.mesh.edges), "FACE": count, "CORNER": count}
    for name, domain, data_type in found:
        if name.startswith(".") or name in NOT_CARRIED or name in left_out or not sizes.get(domain):
            continue
        if domain not in places or data_type not in KINDS:
            dropped.append(name)
            continue
        kind = KINDS[data_type]
        values = yield from copy.values(name, kind.member, kind.width, kind.dtype)
        values = yield from in_thread(partial(operator.getitem, values, places[domain]), READING)
        layers.append(AttributeLayer(name, domain, data_type, values))
    groups = tuple(copy.groups)
    weights = yield from copy.weights(groups)
    mesh = copy.mesh
    rendered = next((layer.name for layer in mesh.uv_layers if layer.active_render), "")
    uvs, colours = mesh.uv_layers.active, mesh.color_attributes.active_color
    return MeshAttributes(
        tuple(layers),
        groups,
        weights.T,
        slots(mesh),
        Shown(
            uvs.name if uvs else "", rendered, colours.name if colours else "", mesh.attributes.default_color_name or ""
        ),
        (lost_attributes(dropped),) if dropped else (),
    )


def _width(layer: AttributeLayer) -> int:
    return KINDS[layer.kind].width


def _blends(layer: AttributeLayer, domain: str) -> bool:
    return layer.domain == domain and KINDS[layer.kind].blends


def _within(values: NDArray[np.float32], source: AttributeLayer) -> NDArray[np.float32]:
    """Colours within the range of those that they come from: beyond a seam the others go on as they changed before."""
    if source.kind not in COLOURS:
        return values
    return np.clip(values, np.fmin.reduce(source.values, axis=0), np.fmax.reduce(source.values, axis=0))


class _Nearest:
    """Values of the nearest element, of types that have none in between."""

    def __init__(
        self,
        sources: NDArray[np.int32],
        points: NDArray[np.float32],
        faces: NDArray[np.int32],
        target_points: NDArray[np.float32],
        target_faces: NDArray[np.int32],
    ) -> None:
        """sources: as of ``TransferRequest``."""
        self._sources = sources
        self._faces = faces
        self._meshes = points, target_points, target_faces

    def values(self, layer: AttributeLayer) -> NDArray[Any]:
        """The layer's values on the target."""
        if layer.domain == "FACE" or not len(self._faces):
            return layer.values[self._sources]
        if layer.domain == "CORNER":
            return layer.values[self._corner.reshape(-1)]
        _, points, faces = self._meshes
        # one corner of each vertex; they hardly differ in where they are
        own = np.zeros(len(points), np.int64)
        own[faces] = self._corner
        return layer.values[self._faces.reshape(-1)[own]]

    @cached_property
    def _corner(self) -> NDArray[np.int64]:
        """The number of the nearest corner (k, 3) of the face that each of the target's corners comes from."""
        points, target_points, target_faces = self._meshes
        there, here = points[self._faces[self._sources]], target_points[target_faces]
        apart = ((here[:, :, None] - there[:, None]) ** 2).sum(axis=3)
        return 3 * self._sources[:, None].astype(np.int64) + apart.argmin(axis=2)


def _marked(layers: list[AttributeLayer], invented: NDArray[np.bool_]) -> list[AttributeLayer]:
    """Layers with one that says where the surface was made up, on top of what the source itself had made up."""
    rest = [layer for layer in layers if layer.name != mesh_io.INVENTED]
    for layer in layers:
        if (layer.name, layer.domain, layer.kind) == (mesh_io.INVENTED, "FACE", "BOOLEAN"):
            invented = invented | layer.values[:, 0]
    return [*rest, AttributeLayer(mesh_io.INVENTED, "FACE", "BOOLEAN", invented[:, None])]
