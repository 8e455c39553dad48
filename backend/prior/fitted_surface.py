"""The fit of a mesh as a surface that the fill of a hole can be drawn to, and its mirror planes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from ..errors import ErrorCode, OmomiError
from ..field.fit import Fit
from ..scan.hole_fill import vertex_normals_of
from ..scan.holes import Hole, MeshHoles
from ..scan.prepare import PreparedScan
from .symmetry import Plane, SymmetryScorer, mirror_planes

AROUND = 2.5
"""How far beyond the holes the mesh is fitted, in radii of the largest that needs it."""
NEIGHBOURS = 12
"""Vertices of the fit that say where its surface is."""
FACING = 0.3
"""Least cosine between a fill's normal and that of the fit beside it: thin walls have two sides."""

FitAround = Callable[[NDArray, float], tuple[PreparedScan, Fit]]
"""Fits the mesh within a reach, world units, of places (k, 3)."""


class FittedSurface:
    """The fit of a mesh around some of its holes. Raises OmomiError as ``make`` does."""

    def __init__(self, found: MeshHoles, holes: Sequence[Hole], make: FitAround) -> None:
        places = found.mesh.vertices[np.concatenate([hole.places for hole in holes])]
        reach = AROUND * max(hole.radius for hole in holes)
        self._scan, self._fit = make(places, reach)
        mesh = self._fit.mesh
        vertices = np.asarray(mesh.vertices, np.float64)
        normals = vertex_normals_of(vertices, np.asarray(mesh.faces, np.int64))
        # what is beyond is rough
        near = np.isfinite(KDTree(places).query(vertices, distance_upper_bound=reach)[0])
        if not near.any():
            raise OmomiError(ErrorCode.NO_SURFACE, "No surface was found beside its holes.")
        self._vertices, self._normals = vertices[near], normals[near]
        self._tree = KDTree(self._vertices)

    def planes(self) -> list[Plane]:
        """In world units, best first; none where the fit has no field."""
        if self._fit.field is None:
            return []
        found = mirror_planes(self._scan.points, self._scan.normals, SymmetryScorer(self._fit.field.levels[0]))
        planes = []
        for mirror in found:
            normal = np.asarray(mirror.normal, np.float64)
            normal /= np.linalg.norm(normal)
            at = self._scan.frame.to_world(normal[None] * mirror.offset)[0]
            planes.append(Plane(normal, float(normal @ at), mirror.agree))
        return planes

    def moves(self, points: NDArray, normals: NDArray, reach: float) -> tuple[NDArray, NDArray[np.bool_]]:
        """As of `scan.hole_fill.SurfaceNear`: to the tangent planes of the nearest vertices that face alike."""
        most = min(NEIGHBOURS, len(self._vertices))
        distance, near = self._tree.query(points, k=most, distance_upper_bound=reach)
        distance, near = distance.reshape(-1, most), near.reshape(-1, most)
        known = np.isfinite(distance)
        if not known.any():
            return np.zeros_like(points), np.zeros(len(points), bool)
        near = np.where(known, near, 0)
        across = self._normals[near]
        alike = known & (np.einsum("nka,na->nk", across, normals) > FACING)
        off = np.einsum("nka,nka->nk", self._vertices[near] - points[:, None], across)
        width = float(np.median(distance[known])) + 1e-300
        weight = np.where(alike, np.exp(-((np.where(known, distance, 0) / width) ** 2)), 0)
        total = weight.sum(axis=1)
        move = np.einsum("nk,nk,nka->na", weight, off, across) / np.maximum(total, 1e-300)[:, None]
        return move, total > 0
