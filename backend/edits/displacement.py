"""A stack of edits on one scan: the sum of what they do, and what there is to say about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..geometry.normals import face_normals, normals_of
from .masks import Mask

MOVED = 0.05
"""Vertices that move by more than this share of the largest displacement count as moved."""


class Movement(Protocol):
    """What an edit does to one scan at strength 1: a learned edit in its place, or an attribute."""

    def evaluate(self, points: NDArray, normals: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Displacement (n, 3) of points (n, 3) with unit normals (n, 3), and its standard deviation (n,) per axis,
        canonical."""
        ...


@dataclass(frozen=True)
class Layer:
    """One edit of the stack: what it does on this scan, how strong it is, and where it may act (None: everywhere)."""

    movement: Movement
    strength: float
    mask: Mask | None = None

    def unit(self, points: NDArray, normals: NDArray) -> Displacement:
        """What the edit does to points (n, 3) with unit normals (n, 3) at strength 1, within its mask."""
        move, doubt = self.movement.evaluate(points, normals)
        if self.mask is not None:
            share = self.mask.at(points, normals).astype(np.float64)
            move, doubt = share[:, None] * move, share * doubt
        return Displacement(move, doubt)


@dataclass(frozen=True)
class Displacement:
    """One edit at strength 1 on the vertices of a scan: move f64 (n, 3) and its standard deviation doubt f64 (n,),
    canonical. A slider multiplies it."""

    move: NDArray[np.float64]
    doubt: NDArray[np.float64]


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


def units(layers: Sequence[Layer], vertices: NDArray, normals: NDArray) -> list[Displacement]:
    """What each layer does at strength 1; vertices that are not finite do not move."""
    finite = np.flatnonzero(np.isfinite(vertices).all(axis=1))
    found = []
    for layer in layers:
        some = layer.unit(vertices[finite], normals[finite])
        move, doubt = np.zeros_like(vertices), np.zeros(len(vertices))
        move[finite], doubt[finite] = some.move, some.doubt
        found.append(Displacement(move, doubt))
    return found


def combine(parts: Sequence[Displacement], strengths: Sequence[float], vertices: NDArray, faces: NDArray) -> Edited:
    """What units at their strengths together do to canonical vertices (n, 3) of a mesh with faces (m, 3), in any order.

    The displacement is exactly zero far from every edit, and everywhere at strength 0.
    """
    move, variance = np.zeros((len(vertices), 3)), np.zeros(len(vertices))
    for part, strength in zip(parts, strengths, strict=True):
        if strength != 0:
            move += strength * part.move
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


def apply(layers: Sequence[Layer], vertices: NDArray, faces: NDArray, normals: NDArray | None = None) -> Edited:
    """`combine` of the layers' own units and strengths; those at strength 0 are not looked at."""
    vertices = np.asarray(vertices, np.float64)
    facing = normals_of(vertices, faces) if normals is None else np.asarray(normals, np.float64)
    active = [layer for layer in layers if layer.strength != 0]
    return combine(units(active, vertices, facing), [layer.strength for layer in active], vertices, faces)
