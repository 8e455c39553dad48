"""Scans of shapes whose normals, noise and topology are known."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SCANS = Path(os.environ.get("OMOMI_SCANS", Path(__file__).resolve().parents[1].parent / "shared" / "scans"))


def sphere(count: int, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Random points (count, 3) of a sphere of radius 0.5, and normals."""
    normals = np.random.default_rng(seed).normal(size=(count, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return normals / 2, normals


def box(count: int, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Random points of a unit cube, and normals."""
    rng = np.random.default_rng(seed)
    points = rng.random((count, 3)) - 0.5
    axis, side = rng.integers(0, 3, count), rng.choice([-1.0, 1.0], count)
    normals = np.zeros((count, 3))
    normals[np.arange(count), axis] = side
    points[np.arange(count), axis] = side / 2
    return points, normals


def cube() -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """A cube of 8 vertices and 12 outward triangles."""
    points = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)
    quads = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
    return points, np.array([t for a, b, c, d in quads for t in ([a, b, c], [a, c, d])], np.int32)


def globe(rings: int = 24, segments: int = 48, radius: float = 0.5) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """A closed triangulated sphere, wound outward."""
    polar = np.pi * np.arange(1, rings) / rings
    around = 2 * np.pi * np.arange(segments) / segments
    middle = np.stack(
        [
            np.outer(np.sin(polar), np.cos(around)),
            np.outer(np.sin(polar), np.sin(around)),
            np.outer(np.cos(polar), np.ones(segments)),
        ],
        axis=-1,
    ).reshape(-1, 3)
    points = np.concatenate([middle, [[0, 0, 1], [0, 0, -1]]])
    row, column = np.meshgrid(np.arange(rings - 2), np.arange(segments), indexing="ij")
    a = row * segments + column
    b = row * segments + (column + 1) % segments
    faces = [np.stack([a, a + segments, b], axis=-1), np.stack([b, a + segments, b + segments], axis=-1)]
    top, bottom = len(points) - 2, len(points) - 1
    i, j = np.arange(segments), (np.arange(segments) + 1) % segments
    last = (rings - 2) * segments
    caps = [np.stack([np.full(segments, top), i, j], 1), np.stack([np.full(segments, bottom), last + j, last + i], 1)]
    return radius * points, np.concatenate([*(f.reshape(-1, 3) for f in faces), *caps]).astype(np.int32)


def volume(points: NDArray, faces: NDArray) -> float:
    """Signed volume of a triangle mesh."""
    a, b, c = points[faces].transpose(1, 0, 2)
    return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6)


def equal(first: Any, second: Any) -> bool:
    """Whether two arrays, either of which may be absent, are there and the same."""
    return first is not None and second is not None and np.array_equal(first, second)
