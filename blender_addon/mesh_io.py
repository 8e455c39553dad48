"""The one place that reads and writes mesh data, and that knows the traps of doing so.

Arrays are in the *posed* frame: the object's rotation, scale and shear applied, its translation left out. Its units are
the world's, so that voxels are isotropic there, and a scan far from the origin keeps its precision.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import bpy
import numpy as np
from numpy.typing import NDArray

from .backend.errors import ErrorCode, OmomiError
from .messages import Refusal

__all__ = [
    "COLOUR", "GUESSED", "SIGMA", "SURE", "ScanArrays",
    "fill_mesh", "object_by_uid", "object_linear", "open_loops",
    "paint_sigma", "read_scan", "to_local", "uncertainty_colours",
]  # fmt: skip

SIGMA = "omomi_sigma"
COLOUR = "omomi_uncertainty"

# Ends of the colour ramp: one standard deviation as a share of the longest side of the result.
SURE, GUESSED = 0.001, 0.03
# Linear RGB from sure to guessed; blue to orange stays readable with the common colour deficiencies.
RAMP = np.array([[0.04, 0.16, 0.50], [0.75, 0.72, 0.62], [0.85, 0.18, 0.02]], np.float32)

# A matrix worse than this flattens the object to less than float32 can undo.
MAX_CONDITION = 1e6


class ScanArrays(NamedTuple):
    """``points`` f64 (n, 3) posed; ``faces`` i32 (m, 3) wound as seen in the world; ``normals`` f32 (n, 3)"""

    points: NDArray[np.float64]
    faces: NDArray[np.int32] | None
    normals: NDArray[np.float32] | None


def object_linear(obj: Any) -> NDArray[np.float64]:
    """The 3x3 part of the object's world matrix; raises ``FLAT_SCAN`` where it cannot be undone."""
    linear = np.array(obj.matrix_world, np.float64)[:3, :3]
    if not np.isfinite(linear).all() or np.linalg.cond(linear) > MAX_CONDITION:
        raise OmomiError(ErrorCode.FLAT_SCAN, f"{obj.name} is scaled to zero on at least one axis")
    return linear


def read_scan(obj: Any, depsgraph: Any) -> ScanArrays:
    """Vertices and triangles of the object with its modifiers and shape keys applied.

    A float vector attribute ``normal`` on the points, as point cloud importers leave it, is read as their normals.
    Raises ``EMPTY_SCAN``, ``FLAT_SCAN`` (singular matrix), `Refusal` (edit mode).
    """
    if obj.mode == "EDIT":
        raise Refusal(f"{obj.name} is in Edit Mode. Leave it with Tab, then press Fit.")
    linear = object_linear(obj)
    mesh = obj.evaluated_get(depsgraph).data
    if not len(mesh.vertices):
        raise OmomiError(ErrorCode.EMPTY_SCAN, f"{obj.name} has no vertices")
    # Coordinates that are not finite are the backend's to report.
    with np.errstate(invalid="ignore"):
        points = _vectors(mesh.attributes["position"]).astype(np.float64) @ linear.T
    faces = _triangles(mesh)
    if faces is not None and np.linalg.det(linear) < 0:
        faces = faces[:, ::-1]
    return ScanArrays(points, None if faces is None else np.ascontiguousarray(faces), _point_normals(mesh, linear))


def _vectors(attribute: Any) -> NDArray[np.float32]:
    values = np.empty((len(attribute.data), 3), np.float32)
    attribute.data.foreach_get("vector", values.reshape(-1))
    return values


def _ints(data: Any, member: str, count: int) -> NDArray[np.int32]:
    values = np.empty(count, np.int32)
    data.foreach_get(member, values)
    return values


def _triangles(mesh: Any) -> NDArray[np.int32] | None:
    if not len(mesh.polygons):
        return None
    corners = len(mesh.loops)
    totals = _ints(mesh.polygons, "loop_total", len(mesh.polygons))
    if (totals == 3).all():
        return _ints(mesh.attributes[".corner_vert"].data, "value", corners).reshape(-1, 3)
    mesh.calc_loop_triangles()
    return _ints(mesh.loop_triangles, "vertices", 3 * len(mesh.loop_triangles)).reshape(-1, 3)


def _point_normals(mesh: Any, linear: NDArray[np.float64]) -> NDArray[np.float32] | None:
    attribute = mesh.attributes.get("normal")
    if attribute is None or attribute.domain != "POINT" or attribute.data_type != "FLOAT_VECTOR":
        return None
    normals = _vectors(attribute) @ np.linalg.inv(linear)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.divide(normals, length, out=np.zeros_like(normals), where=length > 0).astype(np.float32)


def to_local(
    posed: NDArray[np.floating], faces: NDArray[np.int32], linear: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Posed vertices and faces -> the local frame of an object whose world matrix has the part ``linear``."""
    local = (posed.astype(np.float64) @ np.linalg.inv(linear).T).astype(np.float32)
    return local, faces[:, ::-1] if np.linalg.det(linear) < 0 else faces


def fill_mesh(mesh: Any, vertices: NDArray[np.float32], faces: NDArray[np.int32]) -> None:
    """Replace all geometry of ``mesh``. Writing through attributes is ten times as fast as ``from_pydata``."""
    mesh.clear_geometry()
    count = len(faces)
    mesh.vertices.add(len(vertices))
    mesh.loops.add(3 * count)
    mesh.polygons.add(count)
    mesh.attributes["position"].data.foreach_set("vector", np.ascontiguousarray(vertices, np.float32).reshape(-1))
    if count:
        corners = mesh.attributes.get(".corner_vert") or mesh.attributes.new(".corner_vert", "INT", "CORNER")
        corners.data.foreach_set("value", np.ascontiguousarray(faces, np.int32).reshape(-1))
        mesh.polygons.foreach_set("loop_start", np.arange(0, 3 * count, 3, dtype=np.int32))
    _drop_cached_bounds(mesh)
    mesh.update(calc_edges=True)
    if count:
        mesh.shade_smooth()


def _drop_cached_bounds(mesh: Any) -> None:
    # Up to 5.0 a write through the attribute leaves the cached bounding box stale, even after update().
    if len(mesh.vertices):
        mesh.vertices[0].co = mesh.vertices[0].co


def paint_sigma(mesh: Any, sigma: NDArray[np.float32], size: float) -> None:
    """Store one standard deviation per vertex (world units) and its colour; ``size`` as in `uncertainty_colours`."""
    values = mesh.attributes.new(SIGMA, "FLOAT", "POINT")
    values.data.foreach_set("value", np.ascontiguousarray(sigma, np.float32))
    mesh.attributes.new(COLOUR, "FLOAT_COLOR", "POINT")
    # The second new() may move the storage, so look it up again.
    mesh.attributes[COLOUR].data.foreach_set("color", uncertainty_colours(sigma, size).reshape(-1))
    mesh.color_attributes.active_color = mesh.attributes[COLOUR]


def uncertainty_colours(sigma: NDArray[np.float32], size: float) -> NDArray[np.float32]:
    """Linear RGBA f32 (n, 4): blue up to a sigma of 0.1 % of ``size``, orange from 3 % on, logarithmic between.

    ``size`` is the longest side of the result, both in world units.
    """
    share = np.maximum(np.nan_to_num(sigma, nan=np.inf), 0.0) / max(size, np.finfo(np.float32).tiny)
    t = np.log(np.clip(share, SURE, GUESSED) / SURE) / math.log(GUESSED / SURE)
    stops = np.linspace(0.0, 1.0, len(RAMP))
    return np.stack([*(np.interp(t, stops, channel) for channel in RAMP.T), np.ones_like(t)], axis=1).astype(np.float32)


def open_loops(mesh: Any) -> int:
    """Connected runs of edges that have a face on one side only: the holes and rims of a scan."""
    if not len(mesh.polygons):
        return 0
    uses = np.bincount(_ints(mesh.attributes[".corner_edge"].data, "value", len(mesh.loops)), minlength=len(mesh.edges))
    edges = _ints(mesh.attributes[".edge_verts"].data, "value", 2 * len(mesh.edges)).reshape(-1, 2)[uses == 1]
    if not len(edges):
        return 0
    vertices, ends = np.unique(edges, return_inverse=True)
    a, b = ends.reshape(-1, 2).T
    label = np.arange(len(vertices))
    while not np.array_equal(label[a], label[b]):
        np.minimum.at(label, np.maximum(label[a], label[b]), np.minimum(label[a], label[b]))
        while not np.array_equal(label, label[label]):
            label = label[label]
    return len(np.unique(label))


def object_by_uid(uid: int) -> Any | None:
    """The object with this ``session_uid``, which survives undo and renaming, or None if it was deleted."""
    return next((obj for obj in bpy.data.objects if obj.session_uid == uid), None)
