"""The counterpart of a hole: the same place on the other side of a mirror plane, laid on the hole's surroundings.

Most things are only nearly symmetric, and a plane is only nearly right: the mirrored mesh is therefore moved rigidly
onto what surrounds the hole, and how well it fits there says whether it is believed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation

from ..geometry.borders import FacesAround
from ..geometry.nearest import closest_on_triangles
from ..geometry.normals import unit_normals
from ..scan.hole_fill import vertex_normals_of
from ..scan.holes import Hole, MeshHoles
from .symmetry import Plane

SAMPLES = 300
"""Vertices around a hole on which the mirrored mesh is laid."""
WIDTH = 1.2
"""Of the surroundings beyond the loop, in radii of the hole."""
STEPS, EXACT = 5, 2
"""Gauss-Newton steps of laying it there; before the last ones the tangent planes of vertices stand for the faces."""
TURNED = 0.02
"""Sides of the mesh that a normal which is one off counts as far: what faces alike is found behind thin walls too. With
five times as many a fill changes little."""
ROUNDS = 4
"""Times that the faces around the nearest one are looked at; three suffice on hulls with faces of any length."""
FACING, MET = 0.6, 0.2
"""Least cosine between normals of surroundings that count, and of the fill and what it is drawn to."""
LEAST_AGREE = 0.3
"""Of a plane: share of the scan's mirrored points that meet the scan."""
MOST_PLANES = 4
MOST_APART = 0.03
"""Median distance from the surroundings, in radii of the hole, above which a counterpart is not believed. Between .01
and .06 the error over all holes changes by one per cent (chosen on the validation scans)."""


@dataclass(frozen=True)
class MirrorSource:
    """A mesh that can be looked at in its mirror planes."""

    vertices: NDArray[np.float64]  # (n, 3), welded
    normals: NDArray[np.float64]  # (n, 3)
    around: FacesAround
    border: NDArray[np.bool_]  # (n,), at a loop
    tree: KDTree  # of the vertices
    used: NDArray[np.bool_]  # (n,), by a face
    turned: float  # world units that a normal which is one off counts as
    facing: KDTree  # of the used vertices, each with its normal times ``turned``
    planes: tuple[Plane, ...]  # world units

    @classmethod
    def of(cls, found: MeshHoles, planes: Sequence[Plane]) -> MirrorSource:
        mesh = found.mesh
        border, used = np.zeros((2, len(mesh.vertices)), bool)
        for hole in found.holes:
            border[hole.places] = True
        used[mesh.faces] = True
        planes = tuple(plane for plane in planes if plane.agree >= LEAST_AGREE)[:MOST_PLANES]
        normals = vertex_normals_of(mesh.vertices, mesh.faces)
        turned = TURNED * float(np.ptp(mesh.vertices, axis=0).max())
        facing = KDTree(np.hstack([mesh.vertices, turned * normals])[used], balanced_tree=False)
        return cls(mesh.vertices, normals, found.around, border, found.tree, used, turned, facing, planes)

    def counterpart(self, hole: Hole) -> Counterpart | None:
        """The best counterpart of a hole; None where none fits its surroundings."""
        near = np.array(self.tree.query_ball_point(hole.centre, _surroundings(self.vertices, hole)), np.int64)
        near = np.sort(near[self.used[near] & ~self.border[near]])
        if len(near) < SAMPLES // 20:
            return None
        near = np.random.Generator(np.random.PCG64(0)).permutation(near)[:SAMPLES]
        laid = [self._laid(plane, hole, near) for plane in self.planes]
        best = min(laid, key=lambda one: one.residual, default=None)
        return best if best is not None and best.apart <= MOST_APART * hole.radius else None

    def _laid(self, plane: Plane, hole: Hole, near: NDArray) -> Counterpart:
        points, normals = plane.points(self.vertices[near]), plane.directions(self.normals[near])
        turn, shift = np.eye(3), np.zeros(3)
        gap = np.zeros(0)
        for step in range(STEPS + 1):
            foot, across = (self._vertices_near if step <= STEPS - EXACT else self._faces_near)(points, normals)
            off = np.einsum("na,na->n", foot - points, across)
            faces_alike = np.einsum("na,na->n", across, normals) > FACING
            gap = np.where(faces_alike, np.abs(off), hole.radius).clip(0, hole.radius)
            if step == STEPS or faces_alike.sum() < SAMPLES // 30:
                break
            width = max(1.5 * float(np.median(np.abs(off[faces_alike]))), 1e-4 * hole.radius)
            move, about, along = _rigid(points, off, across, faces_alike / (1 + (off / width) ** 2) ** 2)
            points, normals = (points - about) @ move.T + about + along, normals @ move.T
            turn, shift = move @ turn, (shift - about) @ move.T + about + along
        residual, apart = float(np.sqrt((gap**2).mean())), float(np.median(gap))
        return Counterpart(self, plane, turn, shift, residual, apart)

    def _faces_near(self, points: NDArray, normals: NDArray) -> tuple[NDArray, NDArray]:
        """The feet (n, 3) of points on the mesh and its unit normals there."""
        return self.feet(points, normals)[:2]

    def _vertices_near(self, points: NDArray, normals: NDArray) -> tuple[NDArray, NDArray]:
        """The same of the nearest vertices."""
        chosen = self._nearest(points, normals)
        return self.vertices[chosen], self.normals[chosen]

    def _nearest(self, points: NDArray, normals: NDArray) -> NDArray[np.intp]:
        """The vertices (n,) nearest to points by place and facing."""
        return np.flatnonzero(self.used)[self.facing.query(np.hstack([points, self.turned * normals]))[1]]

    def feet(self, points: NDArray, normals: NDArray) -> tuple[NDArray, NDArray, NDArray[np.bool_]]:
        """The feet (n, 3) of points on the mesh, unit normals (n, 3) there, and (n,) whether they lie at a border.

        Looked at are the faces around the nearest vertices, then those around the corners of the nearest
        of these: a long face may have no corner near a point.
        """
        vertex = self._nearest(points, normals)
        # a vertex without faces is its own foot
        foot, across, at_border = self.vertices[vertex], self.normals[vertex], np.ones(len(points), bool)
        distance, asked, corner = np.full(len(points), np.inf), np.arange(len(points)), vertex
        for _ in range(ROUNDS):
            first, number = self.around.first[corner], np.diff(self.around.first)[corner]
            row = np.repeat(np.arange(len(corner)), number)
            face = self.around.order[np.arange(len(row)) + np.repeat(first - np.cumsum(number) + number, number)]
            point, corners = asked[row], self.around.faces[face]
            barycentric, away = closest_on_triangles(self.vertices[corners], points[point])
            order = np.lexsort((away, point))
            best = order[np.flatnonzero(np.diff(point[order], prepend=-1))]
            best = best[away[best] < distance[point[best]]]
            if not len(best):
                break
            has, corners, barycentric = point[best], corners[best], barycentric[best]
            distance[has] = away[best]
            foot[has] = np.einsum("nk,nka->na", barycentric, self.vertices[corners])
            across[has] = unit_normals(self.vertices[corners])[0]
            at_border[has] = ((barycentric > 1e-6) & ~self.border[corners]).sum(axis=1) == 0
            asked, corner = np.repeat(has, 3), corners.ravel()
        return foot, across, at_border


def _surroundings(vertices: NDArray, hole: Hole) -> float:
    """The radius of what surrounds a hole on which its counterpart is laid, world units."""
    return WIDTH * hole.radius + float(np.linalg.norm(vertices[hole.places] - hole.centre, axis=1).max())


@dataclass(frozen=True)
class Counterpart:
    """A part of the mesh that shows what a hole would hold: places go over by the plane, then by turn and shift."""

    source: MirrorSource
    plane: Plane
    turn: NDArray[np.float64]  # (3, 3)
    shift: NDArray[np.float64]  # (3,)
    residual: float  # rms distance from the hole's surroundings, world units
    apart: float  # its median

    def moves(self, points: NDArray, normals: NDArray, reach: float) -> tuple[NDArray, NDArray[np.bool_]]:
        """As of `scan.hole_fill.SurfaceNear`; where the part has a hole itself, there is no place."""
        over, facing = (
            self.plane.points(points) @ self.turn.T + self.shift,
            self.plane.directions(normals) @ self.turn.T,
        )
        foot, across, at_border = self.source.feet(over, facing)
        near = np.linalg.norm(foot - over, axis=1) < reach
        good = (np.einsum("na,na->n", across, facing) > MET) & near & ~at_border
        return self.plane.points((foot - self.shift) @ self.turn) - points, good


def _rigid(points: NDArray, off: NDArray, normals: NDArray, weight: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """The small motion x -> turn (x - about) + about + along of points (n, 3) that makes up for ``off`` (n,) along
    normals (n, 3) best. Directions that nothing holds stay: a little damping."""
    about = points.mean(axis=0)
    arms = points - about
    slope = np.concatenate([np.cross(arms, normals), normals], axis=1)
    size = float((arms**2).sum(axis=1).mean())
    matrix = (slope * weight[:, None]).T @ slope + 1e-6 * len(points) * np.diag([size] * 3 + [1.0] * 3)
    found = np.linalg.solve(matrix, (slope * weight[:, None]).T @ off)
    return Rotation.from_rotvec(found[:3]).as_matrix(), about, found[3:]
