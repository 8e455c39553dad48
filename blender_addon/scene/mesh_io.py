"""Reading and writing mesh data, with the traps of each version of Blender.

Arrays are in the *posed* frame: the object's rotation, scale and shear applied, its translation left out. Its units are
the world's, so that voxels are isotropic there, and a scan far from the origin keeps its precision.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import bpy
import numpy as np
from numpy.typing import NDArray

from ..backend.errors import ErrorCode, OmomiError
from ..context import context
from ..text import Refusal

SIGMA = "omomi_sigma"
MADE = "omomi_made"
"""Custom property of a mesh that Omomi made: its sigma is its own, and no check overwrites it."""
COLOUR = "omomi_uncertainty"
DEVIATION = "omomi_deviation"
DEPARTURE = "omomi_departure"
INVENTED = "omomi_invented"
"""Faces of a result that stand where the scan shows nothing."""

SHARP = math.radians(40)
"""Between the normals of two faces: triangles of a round surface a voxel wide turn by less."""
# Ends of the colour ramp: one standard deviation as a share of the longest side of the result.
SURE, GUESSED = 0.001, 0.03
# Linear RGB from sure to guessed; blue to orange stays readable with the common colour deficiencies.
RAMP = np.array([[0.04, 0.16, 0.50], [0.75, 0.72, 0.62], [0.85, 0.18, 0.02]], np.float32)

# Standard deviations, of the family and of the scan's own noise together: up to the first a member may depart by
# chance, from the second on it certainly does not.
USUAL, ALIEN = 2.0, 5.0
GREY = np.array([0.4, 0.4, 0.4], np.float32)

FACES_OF_AREA = 2.8
"""Triangles on a voxel's worth of area, the median over seven scans: 2.4 to 2.9, and 4.1 where half of one is missing.
On seven others the count is within 15 %."""
MEASURED = 1000
"""Faces of which the area is read, at least."""
CELLS, COUNTED = 16, 4000
"""Along the longest side of bare points, in which so many of them are counted."""
AREA_OF_CELL = 0.89
"""Surface in a cell that holds points, in squares of its side: the median over the models of `valid`, of which eight in
ten have .83 to 1.36, for it is more where walls are thin. On those of `clean` eight in ten have .83 to .98."""
BOX_SHARE = 0.8
"""The longest side of a scan as a share of that of the field."""

# Condition number: a worse matrix flattens the object more than float32 can undo.
MAX_CONDITION = 1e6


# Of the bare points that were counted last.
_counted: dict[tuple[int, int, float], float] = {}


class ScanArrays(NamedTuple):
    """A mesh as the backend takes it."""

    points: NDArray[np.float64]  # (n, 3), posed
    faces: NDArray[np.int32] | None  # (m, 3), wound as seen in the world
    normals: NDArray[np.float32] | None  # (n, 3), posed
    sigma: NDArray[np.float32] | None = None  # (n,), of a mesh that Omomi made
    view: NDArray[np.int32] | None = None  # (n,), number of the view of each point
    masks: NDArray[np.float32] | None = None  # (groups * n,), weights in vertex groups, group by group


def why_not_read(obj: Any) -> str | None:
    """The reason why the mesh of an object is not what the artist sees, for a mode has it, also by way of another
    object; or None."""
    if obj.data.is_editmode:
        return f"{obj.name} is in Edit Mode. Leave it with Tab first."
    if obj.use_dynamic_topology_sculpting:
        return f"{obj.name} is sculpted with Dyntopo. Go back to Object Mode first."
    return None


def object_linear(obj: Any) -> NDArray[np.float64]:
    """The 3x3 part of the object's world matrix. Raises ``FLAT_SCAN`` where it cannot be inverted."""
    linear = np.array(obj.matrix_world, np.float64)[:3, :3]
    if not np.isfinite(linear).all() or np.linalg.cond(linear) > MAX_CONDITION:
        raise OmomiError(ErrorCode.FLAT_SCAN, f"{obj.name} is scaled to zero on at least one axis")
    return linear


def rest_shape(mesh: Any) -> NDArray[np.float32]:
    """Local positions f32 (n, 3) of the basis of the shape keys, or of the mesh where it has none."""
    if mesh.shape_keys is None:
        count = len(mesh.vertices)
        found = read_values(mesh.attributes["position"].data, "vector", (count, 3)) if count else np.empty((0, 3))
        return found.astype(np.float32, copy=False)
    points = mesh.shape_keys.reference_key.points
    return read_values(points, "co", (len(points), 3))


def is_made(mesh: Any) -> bool:
    """Whether Omomi made the mesh, and it still has its sigma and its faces."""
    return bool(mesh.get(MADE)) and holds_sigma(mesh) and len(mesh.polygons) > 0


def holds_sigma(mesh: Any) -> bool:
    """Whether a mesh has one sigma for each vertex."""
    attribute = mesh.attributes.get(SIGMA)
    return attribute is not None and (attribute.domain, attribute.data_type) == ("POINT", "FLOAT")


def read_values(data: Any, member: str, shape: int | tuple[int, ...], dtype: Any = np.float32) -> NDArray[Any]:
    """This member of all elements of a collection of Blender's, as an array of this shape."""
    values = np.empty(shape, dtype)
    data.foreach_get(member, values.reshape(-1))
    return values


def write_values(data: Any, member: str, values: NDArray[Any], dtype: Any = np.float32) -> None:
    """Give all elements of a collection of Blender's this member."""
    data.foreach_set(member, np.ascontiguousarray(values, dtype).reshape(-1))


def ensure_attribute(mesh: Any, name: str, kind: str, domain: str) -> None:
    """Give a mesh an attribute of this type, unless it has that, in place of another of this name. The storage of its
    other attributes may move: write values once all attributes are there."""
    old = mesh.attributes.get(name)
    if old is not None and (old.domain, old.data_type) != (domain, kind):
        mesh.attributes.remove(old)
        old = None
    if old is None:
        mesh.attributes.new(name, kind, domain)


def set_groups(obj: Any, names: Sequence[str], weights: NDArray[np.float32], first: int = 0) -> None:
    """Put the vertices from ``first`` on into vertex groups, which are made where they are missing, with weights
    (n, groups); those of weight 0 stay out of a group."""
    for name, column in zip(names, weights.T, strict=True):
        group = obj.vertex_groups.get(name) or obj.vertex_groups.new(name=name)
        inside = np.flatnonzero(column > 1e-4)
        # One call for each weight, so they are rounded to what eight bits hold.
        rounded = np.round(np.clip(column[inside], 0, 1) * 255).astype(np.int32)
        for level in np.unique(rounded):
            group.add((first + inside[rounded == level]).tolist(), level / 255, "REPLACE")


def to_local(
    posed: NDArray[np.floating], faces: NDArray[np.int32], linear: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Posed vertices and faces -> the local frame of an object whose world matrix has the part ``linear``."""
    local = (posed.astype(np.float64) @ np.linalg.inv(linear).T).astype(np.float32)
    return local, faces[:, ::-1] if np.linalg.det(linear) < 0 else faces


def fill_mesh(mesh: Any, vertices: NDArray[np.float32], faces: NDArray[np.int32]) -> None:
    """Replace all geometry of ``mesh``, shaded smooth but for edges of more than `SHARP`. Large meshes keep the window
    waiting; a `draft.Draft` does not.

    Writing through attributes is ten times as fast as ``from_pydata``.
    """
    mesh.clear_geometry()
    count = len(faces)
    mesh.vertices.add(len(vertices))
    mesh.loops.add(3 * count)
    mesh.polygons.add(count)
    write_values(mesh.attributes["position"].data, "vector", vertices)
    if count:
        corners = mesh.attributes.get(".corner_vert") or mesh.attributes.new(".corner_vert", "INT", "CORNER")
        write_values(corners.data, "value", faces, np.int32)
        write_values(mesh.polygons, "loop_start", np.arange(0, 3 * count, 3), np.int32)
    _drop_cached_bounds(mesh)
    mesh.update(calc_edges=True)
    if count:
        mesh.shade_smooth()
        mesh.set_sharp_from_angle(angle=SHARP)


def move_vertices(mesh: Any, vertices: NDArray[np.float32]) -> None:
    """Give the vertices of a mesh without shape keys other positions (n, 3)."""
    write_values(mesh.attributes["position"].data, "vector", vertices)
    refresh(mesh)


def refresh(mesh: Any) -> None:
    """Have Blender see what was written to a mesh that has its edges."""
    _drop_cached_bounds(mesh)
    mesh.update()


def _drop_cached_bounds(mesh: Any) -> None:
    # Up to 5.0 a write through the attribute leaves the cached bounding box stale, even after update().
    if len(mesh.vertices):
        mesh.vertices[0].co = mesh.vertices[0].co


def paint_sigma(mesh: Any, sigma: NDArray[np.float32], size: float) -> None:
    """Store one standard deviation per vertex (world units) and its colour; ``size`` as in `uncertainty_colours`.

    A check of a mesh that Omomi made changes its colours alone, for a check's sigma holds the doubt of edits too."""
    stored = None if mesh.get(MADE) else SIGMA
    _paint(mesh, stored, sigma, COLOUR, uncertainty_colours(sigma, size))


def paint_deviation(mesh: Any, deviation: NDArray[np.float32]) -> None:
    """Store by how many standard deviations every vertex departs from a family, and its colour."""
    _paint(mesh, DEVIATION, deviation, DEPARTURE, departure_colours(deviation))


def _paint(mesh: Any, name: str | None, values: NDArray[np.float32], shown: str, colours: NDArray[np.float32]) -> None:
    if name is not None:
        ensure_attribute(mesh, name, "FLOAT", "POINT")
    ensure_attribute(mesh, shown, "FLOAT_COLOR", "POINT")
    if name is not None:
        write_values(mesh.attributes[name].data, "value", values)
    write_values(mesh.attributes[shown].data, "color", colours)
    mesh.color_attributes.active_color = mesh.attributes[shown]


def longest_side(points: NDArray[np.floating]) -> float:
    """Longest side of the box around points (n, 3); 0 without any."""
    return float(np.ptp(points, axis=0).max()) if len(points) else 0.0


def departure_colours(deviation: NDArray[np.float32]) -> NDArray[np.float32]:
    """Linear RGBA f32 (n, 4): grey up to `USUAL` standard deviations, then more and more orange outwards and blue
    inwards, in full from `ALIEN` on. Unknown deviations are grey."""
    known = np.nan_to_num(deviation, nan=0.0, posinf=ALIEN, neginf=-ALIEN)
    t = (np.clip((np.abs(known) - USUAL) / (ALIEN - USUAL), 0.0, 1.0))[:, None]
    colours = GREY + t * (np.where(known[:, None] > 0, RAMP[-1], RAMP[0]) - GREY)
    return np.concatenate([colours, np.ones_like(t)], axis=1).astype(np.float32)


def uncertainty_colours(sigma: NDArray[np.float32], size: float) -> NDArray[np.float32]:
    """Linear RGBA f32 (n, 4): blue up to a sigma of 0.1 % of ``size``, the longest side of the result, orange from 3 %
    on, logarithmic between. Both are in world units."""
    share = np.maximum(np.nan_to_num(sigma, nan=np.inf), 0.0) / max(size, float(np.finfo(np.float32).tiny))
    t = np.log(np.clip(share, SURE, GUESSED) / SURE) / math.log(GUESSED / SURE)
    stops = np.linspace(0.0, 1.0, len(RAMP))
    return np.stack([*(np.interp(t, stops, channel) for channel in RAMP.T), np.ones_like(t)], axis=1).astype(np.float32)


def predicted_faces(obj: Any, level: int) -> int:
    """About how many triangles a fit of an object's own mesh or point cloud will have, to two digits; 0 where it does
    not tell."""
    side = longest_side(np.array(obj.bound_box))
    squares = _squares(obj.data, side) if side > 0 else 0.0
    faces = FACES_OF_AREA * squares * (BOX_SHARE * (32 << level)) ** 2
    return int(float(f"{faces:.2g}")) if math.isfinite(faces) else 0


def _squares(data: Any, side: float) -> float:
    """The area of a mesh, or of the surface that points lie on, in squares of the longest side."""
    polygons = getattr(data, "polygons", ())
    if len(polygons):
        # of thousands that are spread over all, the mean is known to a few percent
        areas = [polygons[number].area for number in range(0, len(polygons), max(1, len(polygons) // MEASURED))]
        return float(np.mean(areas)) * len(polygons) / side**2
    points = data.vertices if hasattr(data, "vertices") else data.points
    if len(points) < COUNTED:
        return 0.0
    key = data.session_uid, len(points), side
    if key not in _counted:
        _counted.clear()
        places = np.array([points[len(points) * number // COUNTED].co for number in range(COUNTED)])
        cells = np.floor(places / side * CELLS)
        _counted[key] = AREA_OF_CELL * len(np.unique(cells[np.isfinite(cells).all(axis=1)], axis=0)) / CELLS**2
    return _counted[key]


def triangles_above(obj: Any, count: int, name: str = "") -> int:
    """How many triangles the mesh of an object has, of which an error says that it is called so. Raises `Refusal` where
    they are no more than ``count``."""
    found = len(obj.data.loops) - 2 * len(obj.data.polygons)
    if found <= count:
        raise Refusal(f"{name or obj.name} has {found:,} triangles already. Ask for fewer.")
    return found


def open_loops(mesh: Any) -> int:
    """The number of border loops, connected runs of edges with a face on one side only: holes and rims of a scan."""
    if not len(mesh.polygons):
        return 0
    corners = read_values(mesh.attributes[".corner_edge"].data, "value", len(mesh.loops), np.int32)
    edges = read_values(mesh.attributes[".edge_verts"].data, "value", (len(mesh.edges), 2), np.int32)
    edges = edges[np.bincount(corners, minlength=len(edges)) == 1]
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


def discard(obj: Any) -> None:
    """Remove an object, and its mesh unless others show it."""
    mesh = obj.data
    bpy.data.objects.remove(obj)
    if not mesh.users:
        bpy.data.meshes.remove(mesh)


def homes(obj: Any) -> list[Any]:
    """The local collections of this scene that hold an object. Where there is none: the scene's own, or those that hold
    an object that is not in this scene."""
    scene = context.scene
    reachable = {scene.collection, *scene.collection.children_recursive}
    local = [c for c in obj.users_collection if c.library is None and c.override_library is None]
    return [c for c in local if c in reachable] or (not in_view(obj) and local) or [scene.collection]


def in_view(obj: Any) -> bool:
    """Whether the view layer holds an object, shown or hidden."""
    # which brings the list up to date with what was just linked or excluded
    obj.visible_get()
    return any(other == obj for other in context.view_layer.objects)
