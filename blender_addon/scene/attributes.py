"""Attributes of a mesh (UVs, colours, vertex groups, materials), and their transfer to one of other topology."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..backend.protocol.requests import TransferRequest
from ..session.task import Client, Work
from . import mesh_io


class MeshAttributes(NamedTuple):
    """Of a mesh of n vertices and m triangles, which are in the order of `mesh_io.read_own`."""

    values: NDArray[np.float32]  # (n, channels): four for each colour attribute, then one for each vertex group
    uvs: NDArray[np.float32]  # (layers * m * 3, 2)
    materials: NDArray[np.int32]  # (m,): slots
    smooth: NDArray[np.bool_]  # (m,)
    colours: tuple[tuple[str, str], ...]  # name and type of each
    groups: tuple[str, ...]  # names
    layers: tuple[str, ...]  # names of the UV maps
    active: tuple[str, str]  # names of the active UV map and of the active colours


class TransferredAttributes(NamedTuple):
    """The attributes of a mesh, transferred to a new one of w vertices and k triangles."""

    source: MeshAttributes
    values: NDArray[np.float32]  # (w, channels)
    uvs: NDArray[np.float32]  # (layers, k, 3, 2)
    sources: NDArray[np.int32]  # (k,): the triangle that each comes from


def read_attributes(obj: Any) -> MeshAttributes:
    """The attributes of the own mesh of an object with faces that can be transferred to another mesh."""
    mesh = obj.data
    corners, polygons = mesh_io.triangle_corners(mesh)
    if np.linalg.det(mesh_io.object_linear(obj)) < 0:
        corners = corners[:, ::-1]
    coloured = [item for item in mesh.color_attributes if item.name not in (mesh_io.COLOUR, mesh_io.DEPARTURE)]
    groups = tuple(group.name for group in obj.vertex_groups)
    columns = [_point_colours(mesh, item) for item in coloured]
    columns.append(mesh_io.group_weights(obj, groups).T)
    uvs = [_corner_uvs(layer, len(mesh.loops))[corners].reshape(-1, 2) for layer in mesh.uv_layers]
    flat = np.zeros(len(mesh.polygons), bool)
    mesh.polygons.foreach_get("use_smooth", flat)
    active = mesh.uv_layers.active, mesh.color_attributes.active_color
    return MeshAttributes(
        np.concatenate(columns, axis=1),
        np.concatenate(uvs) if uvs else np.zeros((0, 2), np.float32),
        mesh_io.material_indices(mesh)[polygons],
        flat[polygons],
        tuple((item.name, item.data_type) for item in coloured),
        groups,
        tuple(layer.name for layer in mesh.uv_layers),
        (active[0].name if active[0] else "", active[1].name if active[1] else ""),
    )


def transfer(
    client: Client,
    source: MeshAttributes,
    points: NDArray[np.float32],
    faces: NDArray[np.int32],
    target_points: NDArray[np.float32],
    target_faces: NDArray[np.int32],
) -> Work:
    """Transfer to the target mesh, which lies in the same frame: `TransferredAttributes`. Raises OmomiError."""
    channels, layers = source.values.shape[1], len(source.layers)
    answer = yield client.request(
        TransferRequest, channels=channels, layers=layers, points=points, faces=faces,
        target_points=target_points, target_faces=target_faces,
        values=source.values.reshape(-1) if channels else None, uvs=source.uvs if layers else None,
    )  # fmt: skip
    done = answer.done
    return TransferredAttributes(
        source,
        np.zeros((len(target_points), 0), np.float32) if done.values is None else done.values.reshape(-1, channels),
        np.zeros((0, len(target_faces), 3, 2), np.float32)
        if done.uvs is None
        else done.uvs.reshape(layers, len(target_faces), 3, 2),
        np.zeros(len(target_faces), np.int32) if done.sources is None else done.sources,
    )


def apply_attributes(obj: Any, transferred: TransferredAttributes, mirrored: bool) -> None:
    """Give the triangle mesh of ``obj`` what was transferred to it; mirrored: its faces are wound the other way."""
    mesh, source = obj.data, transferred.source
    for row, name in enumerate(source.layers):
        corners = transferred.uvs[row][:, ::-1] if mirrored else transferred.uvs[row]
        mesh.uv_layers.new(name=name, do_init=False)
        mesh.uv_layers[name].uv.foreach_set("vector", np.ascontiguousarray(corners, np.float32).reshape(-1))
    for row, (name, kind) in enumerate(source.colours):
        mesh.color_attributes.new(name=name, type=kind, domain="POINT")
        colours = np.ascontiguousarray(transferred.values[:, 4 * row : 4 * row + 4])
        mesh.color_attributes[name].data.foreach_set("color", colours.reshape(-1))
    mesh_io.set_faces(mesh, source.materials[transferred.sources], source.smooth[transferred.sources])
    first = 4 * len(source.colours)
    mesh_io.set_groups(obj, source.groups, transferred.values[:, first:])
    if source.active[0]:
        mesh.uv_layers.active = mesh.uv_layers[source.active[0]]
    if source.active[1] in mesh.color_attributes:
        mesh.color_attributes.active_color = mesh.color_attributes[source.active[1]]


def _corner_uvs(layer: Any, count: int) -> NDArray[np.float32]:
    values = np.empty((count, 2), np.float32)
    layer.uv.foreach_get("vector", values.reshape(-1))
    return values


def _point_colours(mesh: Any, attribute: Any) -> NDArray[np.float32]:
    """Linear RGBA (n, 4); those of corners are averaged."""
    values = np.empty((len(attribute.data), 4), np.float32)
    attribute.data.foreach_get("color", values.reshape(-1))
    if attribute.domain == "POINT":
        return values
    vertices = mesh_io.corner_vertices(mesh)
    count = np.bincount(vertices, minlength=len(mesh.vertices))
    sums = [np.bincount(vertices, weights=channel, minlength=len(count)) for channel in values.T]
    return (np.stack(sums, axis=1) / np.maximum(count, 1)[:, None]).astype(np.float32)
