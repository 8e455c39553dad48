"""Copies of meshes, read array by array while the artist goes on working.

Blender's arrays are shared between copies until one of them is written: a copy takes no time, and stays what it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from ..backend.errors import ErrorCode, OmomiError
from ..context import context
from ..session.slices import Pause, Sliced, in_thread
from ..text import refuse
from . import mesh_io, storage
from .mesh_io import ScanArrays
from .scratch import Scratch

VIEW = "view"
READING = "reading the mesh"
VERTICES = 20_000
"""Of which the weights are read in one slice: some hundredths of a second."""
Triangulation = tuple[NDArray[np.int32], NDArray[np.int32]]
"""The corners (m, 3) of triangles, and the polygon (m,) that each is a part of."""


class Snapshot:
    """A copy of the mesh of an object, for a ``with`` block."""

    def __init__(self, obj: Any, *, shown: bool, linear: NDArray[np.float64] | None = None, name: str = "") -> None:
        """shown: with modifiers and shape keys applied, else the own mesh in its rest shape; linear: as of
        `mesh_io.object_linear`, and name: what errors call the object; its own unless others are given. Raises
        ``FLAT_SCAN`` (singular matrix), `Refusal` (as of `mesh_io.why_not_read`)."""
        refuse(mesh_io.why_not_read(obj))
        self.linear = mesh_io.object_linear(obj) if linear is None else linear
        self.mirrored = bool(np.linalg.det(self.linear) < 0)
        self.place = np.array(obj.matrix_world, np.float64)[:3, 3]
        self.groups = {group.name: group.index for group in obj.vertex_groups}
        self._name = name or obj.name
        self._made = bool(obj.data.get(mesh_io.MADE))
        self.own_materials = slots(obj.data)
        # The copy has no shape keys.
        self._rest = None if shown or obj.data.shape_keys is None else mesh_io.rest_shape(obj.data)
        source = obj.evaluated_get(context.evaluated_depsgraph_get()) if shown else obj
        copy: Any = bpy.data.meshes.new_from_object(source)
        self._scratch = Scratch(copy, f"{self._name} was being read when something was undone")
        self._triangulation: Triangulation | None = None

    def __enter__(self) -> Snapshot:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._scratch.remove()

    @property
    def mesh(self) -> Any:
        """The copy, for use up to the next pause. Raises ``CANCELLED`` where an undo has taken it away."""
        return self._scratch.mesh

    def scan(self, groups: Sequence[str] = ()) -> Sliced:
        """`ScanArrays`: vertices and triangles, the normals that a point cloud importer leaves as ``normal``, and the
        weights in vertex groups. Raises ``EMPTY_SCAN``."""
        if not len(self.mesh.vertices):
            raise OmomiError(ErrorCode.EMPTY_SCAN, f"{self._name} has no vertices")
        local = self._rest
        if local is None:
            local = yield from self.values("position", "vector", 3)
        corners = triangles = normals = views = sigma = masks = None
        if len(self.mesh.polygons):
            corners = yield from self.values(".corner_vert", "value", 1, np.int32)
            triangles = yield from self.triangulation()
        if self._holds("normal", "FLOAT_VECTOR"):
            normals = yield from self.values("normal", "vector", 3)
        # an importer may make a number of any kind a float
        for kind, dtype in (("INT", np.int32), ("FLOAT", np.float32)):
            if self._holds(VIEW, kind):
                views = yield from self.values(VIEW, "value", 1, dtype)
        if self._made and mesh_io.holds_sigma(self.mesh):
            sigma = yield from self.values(mesh_io.SIGMA, "value", 1)
            sigma = sigma[:, 0]
        if groups:
            masks = yield from self.weights(groups)
            masks = masks.reshape(-1)

        def posed() -> ScanArrays:
            return ScanArrays(
                self._posed(local),
                None if corners is None else self._wound(corners, triangles),
                None if normals is None else self._turned(normals),
                sigma,
                None if views is None else np.round(views[:, 0]).astype(np.int32),
                masks,
            )

        return (yield from in_thread(posed, READING))

    def values(self, name: str, member: str, width: int, dtype: Any = np.float32) -> Sliced:
        """Values (elements, width) of an attribute of a type of `storage.STORED`."""
        # up to 5.0 an attribute that is asked for by its name is no longer shared with another mesh
        kind = next(item.data_type for item in self.mesh.attributes if item.name == name)
        return (yield from storage.read(lambda: self._elements(name), kind, member, width, dtype, READING))

    def triangulation(self) -> Sliced:
        """The `Triangulation` of a mesh with polygons; None where each is a triangle: none has fewer corners."""
        mesh = self.mesh
        if len(mesh.loops) == 3 * len(mesh.polygons):
            return None
        if self._triangulation is None and len(mesh.loops) == 4 * len(mesh.polygons):
            self._triangulation = yield from self._halves()
        if self._triangulation is None:
            self.mesh.calc_loop_triangles()
            yield Pause(READING)
            triangles, owners = lambda: self.mesh.loop_triangles, lambda: self.mesh.loop_triangle_polygons
            corners = yield from storage.read(triangles, "TRIANGLE", "loops", 3, np.int32, READING)
            polygons = yield from storage.read(owners, "INT", "value", 1, np.int32, READING)
            self._triangulation = corners, polygons[:, 0]
        return self._triangulation

    def _halves(self) -> Sliced:
        """The `Triangulation` of a mesh of quads, as Blender has it; None where some polygons are none."""
        corners = yield from self.values(".corner_vert", "value", 1, np.int32)
        edges = yield from self.values(".corner_edge", "value", 1, np.int32)
        ends = yield from self.values(".edge_verts", "value", 2, np.int32)
        points = yield from self.values("position", "vector", 3)
        return (yield from in_thread(lambda: halves(corners[:, 0], edges[:, 0], ends, points), READING))

    def weights(self, names: Sequence[str]) -> Sliced:
        """Weights f32 (groups, n) in vertex groups; 0 where a vertex or a group is missing."""
        count = len(self.mesh.vertices)
        weights = np.zeros((len(names), count), np.float32)
        rows = {self.groups[name]: row for row, name in enumerate(names) if name in self.groups}
        # Weights are the one thing that Blender hands out only vertex by vertex.
        for start in range(0, count, VERTICES) if rows else ():
            for number, vertex in enumerate(self.mesh.vertices[start : start + VERTICES], start):
                for element in vertex.groups:
                    row = rows.get(element.group)
                    if row is not None:
                        weights[row, number] = element.weight
            yield Pause(f"reading vertex groups, {100 * start // count} %")
        return weights

    def _elements(self, name: str) -> Any:
        # up to 5.0 those of a UV map may stay shared
        uvs = self.mesh.uv_layers
        return uvs[name].uv if name in uvs else self.mesh.attributes[name].data

    def _holds(self, name: str, kind: str) -> bool:
        attribute = self.mesh.attributes.get(name)
        return attribute is not None and (attribute.domain, attribute.data_type) == ("POINT", kind)

    def _posed(self, local: NDArray[np.float32]) -> NDArray[np.float64]:
        # Coordinates that are not finite are the backend's to report.
        points = local.astype(np.float64)
        if np.array_equal(self.linear, np.eye(3)):
            return points
        with np.errstate(invalid="ignore"):
            return points @ self.linear.T

    def _wound(self, corners: NDArray[np.int32], triangles: Triangulation | None) -> NDArray[np.int32]:
        faces = corners.reshape(-1, 3) if triangles is None else corners[:, 0][triangles[0]]
        return np.ascontiguousarray(faces[:, ::-1]) if self.mirrored else faces

    def _turned(self, normals: NDArray[np.float32]) -> NDArray[np.float32]:
        turned = normals @ np.linalg.inv(self.linear)
        length = np.linalg.norm(turned, axis=1, keepdims=True)
        return np.divide(turned, length, out=np.zeros_like(turned), where=length > 0).astype(np.float32)


def halves(
    corners: NDArray[np.int32], edges: NDArray[np.int32], ends: NDArray[np.int32], points: NDArray[np.float32]
) -> Triangulation | None:
    """The `Triangulation` of quads; None where the polygons of these corners are not all quads.

    corners: the vertex of each corner; edges: the edge from each to the next of its polygon; ends (edges, 2).
    """
    quads = corners.reshape(-1, 4)
    following = np.roll(quads, -1, axis=1)
    low, high = np.minimum(quads, following), np.maximum(quads, following)
    ends = np.sort(ends, axis=1)[edges].reshape(-1, 4, 2)
    if not (np.array_equal(ends[..., 0], low) and np.array_equal(ends[..., 1], high)):
        return None
    a, b, c, d = (points[quads[:, number]] for number in range(4))
    # cut the other way where both triangles would lie on one side of the first diagonal
    turned = np.einsum("ij,ij->i", np.cross(b - a, c - a), np.cross(d - a, c - a)) > 0
    found = np.array([[[0, 1, 2], [0, 2, 3]], [[0, 1, 3], [1, 2, 3]]], np.int32)[turned.astype(np.intp)]
    first = np.arange(0, len(corners), 4, dtype=np.int32)
    return (found + first[:, None, None]).reshape(-1, 3), np.repeat(np.arange(len(quads), dtype=np.int32), 2)


def slots(mesh: Any) -> tuple[int, ...]:
    """The ``session_uid`` of the material of each slot of a mesh; 0 for none."""
    return tuple(0 if material is None else material.original.session_uid for material in mesh.materials)


def triangles_alone(count: int) -> Triangulation:
    """The `Triangulation` of a mesh of triangles."""
    return np.arange(3 * count, dtype=np.int32).reshape(-1, 3), np.arange(count, dtype=np.int32)


def read_scan(
    obj: Any, groups: Sequence[str] = (), linear: NDArray[np.float64] | None = None, *, shown: bool
) -> Sliced:
    """`ScanArrays` of an object, as of `Snapshot` and `Snapshot.scan`."""
    with Snapshot(obj, shown=shown, linear=linear) as copy:
        return (yield from copy.scan(groups))
