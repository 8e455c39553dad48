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
    uvs = [
        mesh_io.read_values(layer.uv, "vector", (len(mesh.loops), 2))[corners].reshape(-1, 2)
        for layer in mesh.uv_layers
    ]
    smooth = mesh_io.read_values(mesh.polygons, "use_smooth", len(mesh.polygons), bool)
    active = mesh.uv_layers.active, mesh.color_attributes.active_color
    return MeshAttributes(
        np.concatenate(columns, axis=1),
        np.concatenate(uvs) if uvs else np.zeros((0, 2), np.float32),
        mesh_io.read_values(mesh.polygons, "material_index", len(mesh.polygons), np.int32)[polygons],
        smooth[polygons],
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
        mesh_io.write_values(mesh.uv_layers[name].uv, "vector", corners)
    for row, (name, kind) in enumerate(source.colours):
        mesh.color_attributes.new(name=name, type=kind, domain="POINT")
        colours = transferred.values[:, 4 * row : 4 * row + 4]
        mesh_io.write_values(mesh.color_attributes[name].data, "color", colours)
    mesh_io.write_values(mesh.polygons, "material_index", source.materials[transferred.sources], np.int32)
    mesh_io.write_values(mesh.polygons, "use_smooth", source.smooth[transferred.sources], bool)
    first = 4 * len(source.colours)
    mesh_io.set_groups(obj, source.groups, transferred.values[:, first:])
    if source.active[0]:
        mesh.uv_layers.active = mesh.uv_layers[source.active[0]]
    if source.active[1] in mesh.color_attributes:
        mesh.color_attributes.active_color = mesh.color_attributes[source.active[1]]


def _point_colours(mesh: Any, attribute: Any) -> NDArray[np.float32]:
    """Linear RGBA (n, 4); those of corners are averaged."""
    values = mesh_io.read_values(attribute.data, "color", (len(attribute.data), 4))
    if attribute.domain == "POINT":
        return values
    vertices = mesh_io.corner_vertices(mesh)
    count = np.bincount(vertices, minlength=len(mesh.vertices))
    sums = [np.bincount(vertices, weights=channel, minlength=len(count)) for channel in values.T]
    return (np.stack(sums, axis=1) / np.maximum(count, 1)[:, None]).astype(np.float32)
