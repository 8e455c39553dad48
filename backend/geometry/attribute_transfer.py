"""Attributes of an artist's mesh on a new mesh of other topology, by the nearest point of the surface."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from ..errors import ErrorCode, OmomiError
from .nearest import Nearest, closest_on_triangles, nearest_on_mesh
from .normals import unit_normals
from .surface_attributes import SurfaceAttributes

NEIGHBOURS = 6
"""Bare points whose mean a place of the new mesh takes: they are noisy, and the mesh runs through their middle."""
GAP = 4.0
"""A place farther from bare points than this many times their spacing has no point of its own."""
STRETCH = 3.0
"""UVs, or other values of corners, that change this many times faster over a face than over the faces that they come
from have crossed a seam."""


@dataclass(frozen=True)
class Transfer:
    """Carries attributes of a source mesh to a target mesh in the same frame.

    The search runs once, at the first use. On thin walls the meshes' own normals decide, so both should be wound alike.

    Raises OmomiError(NOT_A_MESH) for faces that do not belong to their vertices, a source without a face to transfer
    from (all with vertices that are not finite count as none), and a target with vertices that are not finite.
    """

    source_vertices: NDArray  # (v, 3), any unit
    source_faces: NDArray  # (m, 3)
    vertices: NDArray  # (w, 3)
    faces: NDArray  # (k, 3)

    def __post_init__(self) -> None:
        for name, points, corners in (("old", "source_vertices", "source_faces"), ("new", "vertices", "faces")):
            array = np.asarray(getattr(self, points), np.float64).reshape(-1, 3)
            faces = np.asarray(getattr(self, corners), np.int64).reshape(-1, 3)
            _refuse_strays(name, array, faces)
            object.__setattr__(self, points, array)
            object.__setattr__(self, corners, faces)
        if not np.isfinite(self.source_vertices[self.source_faces]).all(axis=(1, 2)).any():
            raise OmomiError(ErrorCode.NOT_A_MESH, "The old mesh has no faces, so it has no attributes to transfer.")
        if not np.isfinite(self.vertices).all():
            raise OmomiError(ErrorCode.NOT_A_MESH, "The new mesh has points without a finite position.")

    def vertex_values(self, values: NDArray) -> NDArray[np.float32]:
        """Values f32 (w, c) of the target's vertices from those of the source's, (v, c): colours, groups, uncertainty.

        Linear over each face; a value that is not finite affects the faces around its vertex only.
        """
        values = self._matching(values, len(self.source_vertices), "vertices")
        corners = values[self.source_faces[self._vertices.face]].astype(np.float64)
        share = self._vertices.barycentric[..., None]
        # a corner of share 0 may hold NaN, and NaN times 0 is NaN
        return np.where(share > 0, share * np.where(share > 0, corners, 0), 0).sum(axis=1).astype(np.float32)

    def face_values(self, values: NDArray) -> NDArray:
        """Values (k, ...) of the target's faces from those of the source's, (m, ...): materials, smooth flags."""
        return self._matching(values, len(self.source_faces), "faces")[self._faces.face]

    def corner_values(self, values: NDArray, invented: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
        """Values f32 (k, 3, c) of the target's face corners from those of the source's, (m, 3, c): UVs, colours.

        A face lies wholly in the chart of its middle, extrapolated linearly beyond the chart's border, so that no face
        is stretched across a seam. Where it is invented, bool (k,), it keeps to the source face that is nearest.
        """
        values = self._matching(values, len(self.source_faces), "faces").astype(np.float64)
        if len(self.faces) == 0:
            return np.zeros((0, *values.shape[1:]), np.float32)
        charts = label_charts(self.source_faces, values)
        triangles, source = self.source_vertices[self.source_faces], self._faces.face
        places = self.vertices[self.faces].reshape(-1, 3)
        home = np.repeat(source, 3)

        # each corner is searched once for each chart that it lies in
        pairs = np.stack([self.faces.reshape(-1), charts[home]], axis=1)
        single, back = np.unique(pairs, axis=0, return_inverse=True)
        within = nearest_on_mesh(
            self.source_vertices,
            self.source_faces,
            self.vertices[single[:, 0]],
            self._normals[single[:, 0]],
            (charts, single[:, 1]),
        )
        back = back.reshape(-1)
        face, barycentric, distance = within.face[back], within.barycentric[back], within.distance[back]

        # the face under the middle comes first; elsewhere the chart may end before the corner
        own, own_distance = closest_on_triangles(triangles[home], places)
        tolerance = 1e-9 * float(np.ptp(places, axis=0).max())
        here = own_distance <= distance + tolerance
        face, barycentric = np.where(here, home, face), np.where(here[:, None], own, barycentric)
        distance = np.where(here, own_distance, distance)
        apart = self._vertices.distance[self.faces.reshape(-1)]
        near = np.repeat(np.ones(len(self.faces), bool) if invented is None else ~invented, 3)
        beyond = near & (distance > apart + tolerance)
        barycentric[beyond] = _on_plane(triangles[face[beyond]], places[beyond], barycentric[beyond])
        found = _mixed(values[face], barycentric)

        # a chart that meets itself in a seam, as around a cylinder, has UVs that jump within the chart
        middle = np.repeat(_mixed(values[source], self._faces.barycentric), 3, axis=0)
        from_middle = np.linalg.norm(places - np.repeat(self._middles, 3, axis=0), axis=1)
        pace = np.maximum(_pace(triangles[home], values[home]), _pace(triangles[face], values[face]))
        astray = ~here & (np.linalg.norm(found - middle, axis=1) > STRETCH * pace * from_middle)
        within = own.copy()
        astray_near = astray & near
        within[astray_near] = _on_plane(triangles[home[astray_near]], places[astray_near], own[astray_near])
        found[astray] = _mixed(values[home[astray]], within[astray])
        return found.reshape(-1, 3, values.shape[2]).astype(np.float32)

    @property
    def sources(self) -> NDArray[np.intp]:
        """The source face (k,) nearest to the middle of each of the target's."""
        return self._faces.face

    def beyond(self, reach: float) -> NDArray[np.bool_]:
        """Which of the target's faces (k,) have their middle farther than ``reach`` from the source."""
        return self._faces.distance > reach

    def attributes(self, given: SurfaceAttributes, invented: NDArray[np.bool_]) -> SurfaceAttributes:
        """Attributes of the target from those of the source. invented: which of the target's faces (k,) are, beside
        those near an invented one of the source. Beyond the source it takes the colours of the source's border.
        """
        colours = None if given.colours is None else _as_colours(self.vertex_values(given.colours))
        if len(self.faces) and given.invented is not None:
            invented = invented | self.face_values(given.invented)
        return replace(
            given,
            colours=colours,
            uvs=None if given.uvs is None else self.corner_values(given.uvs, invented),
            materials=None if given.materials is None else self.face_values(given.materials),
            values={name: self.vertex_values(value[:, None])[:, 0] for name, value in given.values.items()},
            invented=invented,
        )

    def _matching(self, values: NDArray, count: int, kind: str) -> NDArray:
        if len(values) != count:
            raise ValueError(f"{len(values)} values for {count} {kind}")
        return np.asarray(values)

    @cached_property
    def _vertices(self) -> Nearest:
        return nearest_on_mesh(self.source_vertices, self.source_faces, self.vertices, self._normals)

    @cached_property
    def _faces(self) -> Nearest:
        normals = unit_normals(self.vertices[self.faces])[0]
        return nearest_on_mesh(self.source_vertices, self.source_faces, self._middles, normals)

    @cached_property
    def _middles(self) -> NDArray[np.float64]:
        return self.vertices[self.faces].mean(axis=1)

    @cached_property
    def _normals(self) -> NDArray[np.float64]:
        """Normals (w, 3) of the target's vertices: the sum of those of the faces around."""
        of_faces = np.repeat(unit_normals(self.vertices[self.faces])[0], 3, axis=0)
        corner = self.faces.reshape(-1)
        sums = [np.bincount(corner, axis, minlength=len(self.vertices)) for axis in of_faces.T]
        return np.stack(sums, axis=1).astype(np.float64)


@dataclass(frozen=True)
class PointTransfer:
    """Carries attributes of bare points to a target mesh in the same frame: at each vertex the mean of the nearest
    points, nearer ones counting more. Points that are not finite count for nothing.

    Raises OmomiError(NOT_A_MESH) where no point is finite, and for a target as `Transfer` does.
    """

    points: NDArray  # (n, 3), any unit
    vertices: NDArray  # (w, 3)
    faces: NDArray  # (k, 3)

    def __post_init__(self) -> None:
        if not len(self._known):
            raise OmomiError(ErrorCode.NOT_A_MESH, "The scan has no points with a finite position.")
        if not np.isfinite(self.vertices).all():
            raise OmomiError(ErrorCode.NOT_A_MESH, "The new mesh has points without a finite position.")
        _refuse_strays("new", self.vertices, self.faces)

    def vertex_values(self, values: NDArray) -> NDArray[np.float32]:
        """Values f32 (w, c) of the target's vertices from those of the points, (n, c)."""
        distance, row = self._nearest
        share = 1 / (distance + 0.5 * self._spacing + 1e-300)
        share /= share.sum(axis=1, keepdims=True)
        return np.einsum("nk,nka->na", share, values.astype(np.float64)[row]).astype(np.float32)

    @property
    def sources(self) -> NDArray[np.intp]:
        """The point (w,) nearest to each of the target's vertices."""
        return self._nearest[1][:, 0]

    def beyond(self, reach: float) -> NDArray[np.bool_]:
        """Which of the target's faces (k,) lie wholly farther from the points than ``reach`` and than the points are
        from each other."""
        far = self._nearest[0][:, 0] > max(reach, GAP * self._spacing)
        return far[self.faces].all(axis=1)

    def attributes(self, given: SurfaceAttributes, invented: NDArray[np.bool_]) -> SurfaceAttributes:
        """As `Transfer.attributes`."""
        return SurfaceAttributes(
            None if given.colours is None else _as_colours(self.vertex_values(given.colours)),
            values={name: self.vertex_values(value[:, None])[:, 0] for name, value in given.values.items()},
            invented=invented,
        )

    @cached_property
    def _known(self) -> NDArray[np.intp]:
        return np.flatnonzero(np.isfinite(self.points).all(axis=1))

    @cached_property
    def _tree(self) -> KDTree:
        return KDTree(self.points[self._known])

    @cached_property
    def _nearest(self) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
        """Distances (w, up to NEIGHBOURS) of each vertex's nearest points, ascending, and the points' numbers."""
        count = min(NEIGHBOURS, len(self._known))
        distance, row = self._tree.query(self.vertices, k=[*range(1, count + 1)])
        return distance, self._known[row]

    @cached_property
    def _spacing(self) -> float:
        """Median distance of a point from the next."""
        some = self.points[self._known[:: max(1, len(self._known) // 1000)]]
        return float(np.median(self._tree.query(some, k=[min(2, len(self._known))])[0]))


def _refuse_strays(name: str, vertices: NDArray, faces: NDArray) -> None:
    if len(faces) and not 0 <= faces.min() <= faces.max() < len(vertices):
        raise OmomiError(ErrorCode.NOT_A_MESH, f"The {name} mesh has faces that refer to points it lacks.")


def _as_colours(values: NDArray) -> NDArray[np.uint8]:
    return np.clip(np.rint(np.nan_to_num(values)), 0, 255).astype(np.uint8)


def label_charts(faces: NDArray, values: NDArray) -> NDArray[np.intp]:
    """Label (m,) of the chart of each face: faces (m, 3) joined across edges whose values, such as UVs, (m, 3, c) agree
    at both ends."""
    corners = np.concatenate([faces.reshape(-1, 1), values.reshape(3 * len(faces), values.shape[-1])], axis=1)
    _, corner = np.unique(corners, axis=0, return_inverse=True)
    corner = corner.reshape(-1, 3)
    ends = np.sort(np.stack([corner, np.roll(corner, -1, axis=1)], axis=2).reshape(-1, 2), axis=1)
    _, edge = np.unique(ends, axis=0, return_inverse=True)
    edge = edge.reshape(-1)
    count = len(faces)
    face = np.repeat(np.arange(count), 3)
    size = count + int(edge.max(initial=-1)) + 1
    graph = coo_matrix((np.ones(len(edge), np.int8), (face, edge + count)), shape=(size, size))
    return connected_components(graph, directed=False)[1][:count].astype(np.intp)


def _mixed(values: NDArray, barycentric: NDArray) -> NDArray[np.float64]:
    """Values (n, c) at barycentric coordinates (n, 3) of corners' values (n, 3, c)."""
    return np.einsum("nk,nka->na", barycentric, values)


def _on_plane(triangles: NDArray, points: NDArray, otherwise: NDArray) -> NDArray[np.float64]:
    """Barycentric coordinates (n, 3) of the feet of points (n, 3) on the planes of triangles, also beyond their edges.

    ``otherwise`` (n, 3) where a triangle has next to no area.
    """
    first, second = triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]
    toward = points - triangles[:, 0]
    normal = np.cross(first, second)
    square = (normal * normal).sum(axis=1)
    flat = square <= 1e-12 * (first * first).sum(axis=1) * (second * second).sum(axis=1)
    square = np.where(flat, 1, square)
    v = (np.cross(toward, second) * normal).sum(axis=1) / square
    w = (np.cross(first, toward) * normal).sum(axis=1) / square
    return np.where(flat[:, None], otherwise, np.stack([1 - v - w, v, w], axis=1))


def _pace(triangles: NDArray, values: NDArray) -> NDArray[np.float64]:
    """Largest change (n,) of values (n, 3, c) per length along an edge of triangles (n, 3, 3)."""
    steps = np.linalg.norm(np.roll(triangles, -1, axis=1) - triangles, axis=2)
    runs = np.linalg.norm(np.roll(values, -1, axis=1) - values, axis=2)
    return (runs / np.where(steps > 0, steps, np.inf)).max(axis=1)
