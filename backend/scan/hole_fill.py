"""What fills a hole: new triangles as dense as those around, on a plane, a thin plate, or one that may crease."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from ..geometry.edges import edge_keys
from ..geometry.membrane import harmonic, plate
from ..geometry.normals import face_normals
from ..geometry.triangulation import flip, inner_edges, refine, relaxed, triangulate_loop
from .holes import Hole, MeshHoles

RINGS = 3
"""Of faces around the hole that hold it: two give the tangent planes, one more the curvature."""
MOST_VERTICES = 20_000
"""New vertices of one hole, about; in larger ones they grow sparser inwards."""
NEAR = 8
"""Loop vertices whose edges say how dense the fill is at a place."""


FOLDED = -0.87
"""Cosine between the normals of two faces, about 150 degrees apart, from which on one lies back on the other."""
UNFOLD_STEPS, UNFOLD_RINGS = 8, (1, 2, 4, 8)
STEPS = 3
"""Of a fill towards a surface; each looks along its normals anew."""


class SurfaceNear(Protocol):
    """A surface that a fill can be drawn to."""

    def moves(self, points: NDArray, normals: NDArray, reach: float) -> tuple[NDArray, NDArray[np.bool_]]:
        """From points (n, 3) with normals (n, 3) to the surface: moves (n, 3), and (n,) whether it has a place for
        each within ``reach`` that faces the same way."""
        ...


class Targets(NamedTuple):
    """Where the vertices of a fill lie on a surface, without its offset at the loop."""

    places: NDArray[np.float64]  # (n, 3)
    known: NDArray[np.bool_]  # (n,), the new vertices that have a place there
    misfit: float  # root mean square of the offset at the loop, world units
    apart: float  # root mean square distance of the new vertices from theirs; those without count as a radius away


@dataclass(frozen=True)
class HoleFill:
    """A hole with its surroundings and new faces across it: one mesh, of which the new vertices may move."""

    vertices: NDArray[np.float64]  # (n, 3), world units: the surroundings, then the new ones
    around: NDArray[np.int64]  # (b, 3), faces of the surroundings
    faces: NDArray[np.int64]  # (k, 3), new faces
    loop: NDArray[np.int64]  # (l,), the hole's vertices, in its order
    free: NDArray[np.bool_]  # (n,), the new vertices

    @classmethod
    def of(cls, found: MeshHoles, hole: Hole, rings: int = RINGS) -> HoleFill:
        """The triangles of least weight, refined, on a membrane."""
        mesh = found.mesh
        band = mesh.faces[found.around.rings(hole.places, rings)]
        used, around = np.unique(band, return_inverse=True)
        around = around.reshape(band.shape)
        held = mesh.vertices[used]
        loop = np.searchsorted(used, hole.places)
        points = held[loop]
        faces = triangulate_loop(points, vertex_normals_of(held, around)[loop])
        taken = _joined_pairs(around, loop, len(held))
        made, faces = refine(points, faces, _density(points, points, faces), MOST_VERTICES, taken=taken)
        number = np.concatenate([loop, len(held) + np.arange(len(made) - len(loop))])
        free = np.arange(len(held) + len(made) - len(loop)) >= len(held)
        fill = cls(np.concatenate([held, made[len(loop) :]]), around, number[faces], loop, free)
        return fill.membrane()

    @cached_property
    def every_face(self) -> NDArray[np.int64]:
        return np.concatenate([self.around, self.faces])

    def moved(self, vertices: NDArray) -> HoleFill:
        return replace(self, vertices=vertices)

    def plain(self) -> HoleFill | None:
        """The triangles of least weight alone, without new vertices; None where one of their edges is there already."""
        held = self.vertices[~self.free]
        normals = vertex_normals_of(held, self.around)[self.loop]
        faces = triangulate_loop(held[self.loop], normals)
        known = edge_keys(*_joined_pairs(self.around, self.loop, len(held)).T)
        if np.isin(edge_keys(*inner_edges(faces)[0].T), known).any():
            return None
        return HoleFill(held, self.around, self.loop[faces], self.loop, np.zeros(len(held), bool))

    def membrane(self) -> HoleFill:
        """On the surface of least area, nearly: it meets the surroundings without a gap."""
        vertices = self.vertices
        for _ in range(2):
            vertices = harmonic(vertices, self.every_face, self.free, vertices)
        return self.moved(vertices)

    def smooth(self) -> HoleFill:
        """On the thin plate that joins the surroundings with their tangent planes."""
        vertices = self.vertices
        for _ in range(2):
            vertices = plate(vertices, self.every_face, self.free)
        return self.moved(vertices)

    def targets(self, surface: SurfaceNear, radius: float) -> Targets:
        """The fill on a surface; radius: of the hole, world units.

        Inwards the offset at the loop is continued harmonically and taken off, so that the surface's own shape remains.
        """
        moving = np.concatenate([self.loop, np.flatnonzero(self.free)])
        depth = KDTree(self.vertices[self.loop]).query(self.vertices[moving])[0]
        reach = 2 * float(depth.max()) + radius / 4
        total, known = np.zeros_like(self.vertices), np.zeros(len(self.vertices), bool)
        known[moving] = True
        for _ in range(STEPS):
            vertices = self.vertices + total
            move, found = surface.moves(vertices[moving], self._normals(vertices)[moving], reach)
            total[moving] += np.where(found[:, None], move, 0)
            known[moving] &= found
        offset = harmonic(self.vertices, self.every_face, self.free, total)
        misfit = float(np.sqrt((total[self.loop] ** 2).sum(axis=1).mean()))
        places, known = self.vertices + total - offset, known & self.free
        square = np.where(known, ((total - offset) ** 2).sum(axis=1), radius**2)[self.free]
        return Targets(places, known, misfit, float(np.sqrt(square.mean())) if len(square) else 0.0)

    def drawn(self, targets: NDArray, stiffness: NDArray) -> HoleFill:
        """The plate drawn to targets (n, 3); stiffness: (n,), the size of details that it smooths away, world units,
        infinite where it does not follow."""
        return self.moved(plate(self.vertices, self.every_face, self.free, targets, stiffness**-4.0))

    def area(self) -> float:
        """Of the new faces, world units."""
        return float(np.linalg.norm(face_normals(self.vertices, self.faces), axis=1).sum() / 2)

    def remeshed(self) -> HoleFill:
        """The same surface, refined anew where it has grown since it was triangulated."""
        held = len(self.vertices) - int(self.free.sum())
        number = np.full(len(self.vertices), -1)
        number[self.loop] = np.arange(len(self.loop))
        number[held:] = len(self.loop) + np.arange(len(self.vertices) - held)
        points = self.vertices[np.concatenate([self.loop, np.arange(held, len(self.vertices))])]
        faces = number[self.faces]
        room = max(MOST_VERTICES - len(points), 0)
        density = _density(self.vertices[self.loop], points, faces)
        taken = _joined_pairs(self.around, self.loop, held)
        made, faces = refine(points, faces, density, room, len(self.loop), taken)
        number = np.concatenate([self.loop, held + np.arange(len(made) - len(self.loop))])
        free = np.arange(held + len(made) - len(self.loop)) >= held
        vertices = np.concatenate([self.vertices[:held], made[len(self.loop) :]])
        return HoleFill(vertices, self.around, number[faces], self.loop, free)

    def unfolded(self) -> HoleFill:
        """With edges flipped, vertices beside folds moved between those around, and what is left of folds replaced by a
        membrane some rings wide."""
        held, fill = len(self.vertices) - int(self.free.sum()), self
        known = _joined_pairs(self.around, np.arange(held), held).astype(np.int64)
        for _ in range(UNFOLD_STEPS):
            edges = fill._folded_edges()
            if not len(edges):
                break
            faces = fill.faces.copy()
            flip(fill.vertices, faces, edge_keys(known[:, 0], known[:, 1]))
            beside = np.isin(faces, edges).any(axis=1)
            loose = np.zeros(len(fill.vertices), bool)
            loose[faces[beside]] = True
            every = np.concatenate([fill.around, faces])
            vertices = np.where((loose & fill.free)[:, None], relaxed(fill.vertices, every), fill.vertices)
            fill = replace(fill, vertices=vertices, faces=faces)
        fill = fill if fill.folds() < self.folds() else self
        for rings in UNFOLD_RINGS:
            loose = np.zeros(len(fill.vertices), bool)
            loose[fill._folded_edges()] = True
            if not loose.any():
                break
            for _ in range(rings):
                loose[fill.faces[loose[fill.faces].any(axis=1)]] = True
            loose &= fill.free
            flatter = fill.moved(harmonic(fill.vertices, fill.every_face, loose, fill.vertices))
            fill = flatter if flatter.folds() < fill.folds() else fill
        return fill

    def folds(self) -> int:
        """How many edges, at the loop too, have a new face that lies back on its neighbour."""
        return len(self._folded_edges())

    def _folded_edges(self) -> NDArray[np.int64]:
        """Ends (e, 2) of those edges."""
        ends, sides, _ = inner_edges(self.every_face)
        new = (sides >= len(self.around)).any(axis=1)
        ends, sides = ends[new], sides[new]
        normals = face_normals(self.vertices, self.every_face)
        one, two = normals[sides[:, 0]], normals[sides[:, 1]]
        length = np.linalg.norm(one, axis=1) * np.linalg.norm(two, axis=1)
        return ends[np.einsum("na,na->n", one, two) < FOLDED * length]

    def _normals(self, vertices: NDArray) -> NDArray[np.float64]:
        """Unit normals (n, 3) of the vertices."""
        return vertex_normals_of(vertices, self.every_face)


def _joined_pairs(faces: NDArray, loop: NDArray, count: int) -> NDArray[np.int64]:
    """Pairs (t, 2) of places in a loop that an edge of ``faces`` joins already; count: of the vertices."""
    place = np.full(count, -1)
    place[loop] = np.arange(len(loop))
    ends = place[np.stack([faces.reshape(-1), faces[:, [1, 2, 0]].reshape(-1)], axis=1)]
    return ends[(ends >= 0).all(axis=1)]


def vertex_normals_of(vertices: NDArray, faces: NDArray) -> NDArray[np.float64]:
    """Unit normals (n, 3) in double precision, by area; zero where a vertex has no face with an area."""
    across = face_normals(vertices, faces)
    sums = [np.bincount(faces.reshape(-1), np.repeat(axis, 3), len(vertices)) for axis in across.T]
    normals = np.stack(sums, axis=1).astype(np.float64)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-300)


def _density(loop: NDArray, vertices: NDArray, faces: NDArray) -> Callable[[NDArray], NDArray[np.float64]]:
    """The wanted length of edges at places, from those of the loop (n, 3) that the faces fill."""
    edges = np.linalg.norm(np.roll(loop, -1, axis=0) - loop, axis=1)
    length = (edges + np.roll(edges, 1)) / 2
    area = np.linalg.norm(face_normals(vertices, faces), axis=1).sum() / 2
    # a regular triangulation of edges h has a vertex for each 0.87 h^2; growing as h + g d it has about P / 0.87 g h
    typical = float(np.exp(np.log(np.maximum(length, 1e-300)).mean()))
    growth = edges.sum() / (0.87 * MOST_VERTICES * typical) if area > 0.87 * MOST_VERTICES * typical**2 else 0.0
    tree, near = KDTree(loop), min(NEAR, len(loop))

    def wanted(places: NDArray) -> NDArray[np.float64]:
        distance, index = tree.query(places, k=near)
        distance, index = distance.reshape(-1, near), index.reshape(-1, near)
        weight = 1 / (distance + 0.1 * typical) ** 2
        return (weight * length[index]).sum(axis=1) / weight.sum(axis=1) + growth * distance[:, 0]

    return wanted
