"""What an edit does to the vertices of one mesh: displacements, their doubt, and their sum over a stack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..geometry.normals import face_normals
from .masks import Mask

MOVED = 0.05
"""Vertices that move by more than this share of the largest displacement count as moved."""


class Movement(Protocol):
    """What an edit does to one scan at strength 1: a learned edit in its place, an attribute or a shape slider."""

    def evaluate(self, points: NDArray, normals: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Displacement (n, 3) of points (n, 3) with unit normals (n, 3), and its standard deviation (n,) per axis,
        canonical."""
        ...


@dataclass(frozen=True)
class SummedMovement:
    """Movements that do not know of each other, such as one edit in several places."""

    movements: tuple[Movement, ...]

    def evaluate(self, points: NDArray, normals: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        move, variance = np.zeros((len(points), 3)), np.zeros(len(points))
        for movement in self.movements:
            own, doubt = movement.evaluate(points, normals)
            move += own
            variance += doubt**2
        return move, np.sqrt(variance)


@dataclass(frozen=True)
class Displacement:
    """One edit at strength 1 on the vertices of a mesh, canonical. A slider multiplies it."""

    move: NDArray[np.float64]  # (n, 3)
    doubt: NDArray[np.float64]  # (n,) standard deviation per axis


@dataclass(frozen=True)
class Edited:
    """What a stack of edits does to the vertices of a mesh."""

    move: NDArray[np.float64]  # (n, 3) displacement of every vertex, canonical
    doubt: NDArray[np.float64]  # (n,) its standard deviation per axis, canonical
    moved: float  # share of the vertices that move
    largest: float  # length of the largest displacement, canonical
    guessed: float  # share of the moved vertices whose doubt exceeds half of their displacement
    folded: int  # faces that the edits turn over


def displacement_of(movement: Movement, vertices: NDArray, normals: NDArray) -> Displacement:
    """What a movement does at strength 1 to canonical vertices (n, 3) with unit normals (n, 3). Those that are not
    finite do not move."""
    finite = np.flatnonzero(np.isfinite(vertices).all(axis=1))
    move, doubt = np.zeros((len(vertices), 3)), np.zeros(len(vertices))
    move[finite], doubt[finite] = movement.evaluate(vertices[finite], normals[finite])
    return Displacement(move, doubt)


def masked(whole: Displacement, mask: Mask, vertices: NDArray, normals: NDArray) -> Displacement:
    """A displacement of vertices (n, 3) with unit normals (n, 3), where a mask lets it act."""
    finite, share = np.isfinite(vertices).all(axis=1), np.zeros(len(vertices))
    share[finite] = mask.at(vertices[finite], normals[finite])
    return Displacement(share[:, None] * whole.move, share * whole.doubt)


def total(moves: Sequence[NDArray], strengths: Sequence[float], count: int) -> NDArray[np.float64]:
    """Sum (count, 3) of moves (count, 3) at their strengths; exactly zero far from every edit."""
    whole = np.zeros((count, 3))
    for move, strength in zip(moves, strengths, strict=True):
        if strength != 0:
            whole += strength * move
    return whole


def combine(parts: Sequence[Displacement], strengths: Sequence[float], vertices: NDArray, faces: NDArray) -> Edited:
    """What displacements at their strengths together do to canonical vertices (n, 3) of a mesh with faces (m, 3)."""
    move, variance = total([part.move for part in parts], strengths, len(vertices)), np.zeros(len(vertices))
    for part, strength in zip(parts, strengths, strict=True):
        if strength != 0:
            variance += (strength * part.doubt) ** 2
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
