"""A stack of edits on one scan: the sum of what they do, and what there is to say about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..scan.normals import unit, vertex_normals
from ..scan.winding import face_normals
from .masks import Mask
from .placing import PlacedEdit

MOVED = 0.05
"""Vertices that move by more than this share of the largest displacement count as moved."""


@dataclass(frozen=True)
class Layer:
    """One edit of the stack: where it lies on this scan, how strong it is, and where it may act (None: everywhere)."""

    placed: PlacedEdit
    strength: float
    mask: Mask | None = None

    def displacement(self, points: NDArray, normals: NDArray) -> NDArray[np.float64]:
        """Displacement (n, 3), canonical; points (n, 3), unit normals (n, 3)."""
        return self.weight(points, normals) * self.placed.displacement(points, normals)

    def doubt(self, points: NDArray, normals: NDArray) -> NDArray[np.float64]:
        """Standard deviation (n,) of the displacement, canonical."""
        into = self.placed.into_reference
        weight = np.abs(self.weight(points, normals)[:, 0])
        return weight * self.placed.doubt(points, normals) * self.placed.edit.size / into.scale

    def weight(self, points: NDArray, normals: NDArray) -> NDArray[np.float64]:
        """Strength times mask (n, 1)."""
        if self.mask is None:
            return np.full((len(points), 1), self.strength)
        return self.strength * self.mask.at(points, normals).astype(np.float64)[:, None]


@dataclass(frozen=True)
class Edited:
    """move f64 (n, 3): displacement of every vertex, canonical; doubt f64 (n,): its standard deviation per axis; moved:
    share of the vertices; largest: length of a displacement; guessed: share of the moved vertices whose doubt exceeds
    half of their move; folded: faces that the edits turned over."""

    move: NDArray[np.float64]
    doubt: NDArray[np.float64]
    moved: float
    largest: float
    guessed: float
    folded: int


def normals_of(vertices: NDArray, faces: NDArray) -> NDArray[np.float64]:
    """Unit vertex normals (n, 3) of a mesh, weighted by area; zero where a vertex has no face with an area."""
    points = np.asarray(vertices, np.float32)
    return unit(vertex_normals(len(points), faces, face_normals(points, faces)))[0].astype(np.float64)


def apply(layers: Sequence[Layer], vertices: NDArray, faces: NDArray, normals: NDArray | None = None) -> Edited:
    """What all layers together do to canonical vertices (n, 3) of a mesh with faces (m, 3), in any order.

    The displacement is exactly zero far from every edit, and everywhere at strength 0. Vertices that are not finite do
    not move.
    """
    vertices = np.asarray(vertices, np.float64)
    facing = normals_of(vertices, faces) if normals is None else np.asarray(normals, np.float64)
    move, variance = np.zeros_like(vertices), np.zeros(len(vertices))
    finite = np.flatnonzero(np.isfinite(vertices).all(axis=1))
    for layer in layers:
        if layer.strength != 0:
            move[finite] += layer.displacement(vertices[finite], facing[finite])
            variance[finite] += layer.doubt(vertices[finite], facing[finite]) ** 2
    length, doubt = np.linalg.norm(move, axis=1), np.sqrt(variance)
    largest = float(length.max(initial=0.0))
    moved = length > max(MOVED * largest, 1e-9)
    before, after = (face_normals(np.asarray(points, np.float32), faces) for points in (vertices, vertices + move))
    return Edited(
        move,
        doubt,
        float(moved.mean()) if len(moved) else 0.0,
        largest,
        float((doubt[moved] > 0.5 * length[moved]).mean()) if moved.any() else 0.0,
        int(((before * after).sum(axis=1) < 0).sum()),
    )
