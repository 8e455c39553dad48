"""Even samples of the surface of a mesh, looked at from all around."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..geometry.normals import unit
from ..geometry.visibility import views_of_sides
from .orientation import OrientedMesh

SAMPLES = 20_000
"""Samples of a surface: about ten in every pixel of a view that it fills."""
DECIDED = 3.0
"""A surface faces out, or in, where it is seen this many times as often in front as from behind, or the other way."""


@dataclass(frozen=True)
class Samples:
    """Even samples of the surface of a mesh, as seen from all around."""

    points: NDArray[np.float64]  # (n, 3)
    normals: NDArray[np.float64]  # (n, 3), unit
    face: NDArray[np.intp]  # (n,)
    front: NDArray[np.int32]  # (n,), views that see the front
    back: NDArray[np.int32]

    @classmethod
    def of(cls, points: NDArray[np.float32], mesh: OrientedMesh) -> Samples:
        """SAMPLES of them, see `area_samples`."""
        found, normals, face = area_samples(points, mesh, SAMPLES)
        return cls(found, normals, face, *views_of_sides(found, normals))

    @property
    def seen(self) -> NDArray[np.bool_]:
        """Whether a sample is seen; from one view alone it may show through a gap between others."""
        return self.front + self.back > 1


def faces_in(points: NDArray[np.float32], normals: NDArray[np.float32]) -> bool:
    """Whether the normals (n, 3) of points (n, 3), of any length, are turned away from all around: inside out."""
    some = slice(None, None, 1 + len(points) // SAMPLES)
    front, back = views_of_sides(points[some], unit(normals[some])[0])
    return bool(back.sum() > DECIDED * front.sum())


def area_samples(
    points: NDArray[np.float32], mesh: OrientedMesh, count: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.intp]]:
    """Points and unit normals (count, 3) and the face (count,) of even samples: one in each of ``count`` equal parts of
    the area. Deterministic."""
    area = np.cumsum(mesh.areas)
    rng = np.random.Generator(np.random.PCG64(0))
    at = (np.arange(count) + rng.random(count)) * (area[-1] / count)
    face = np.minimum(np.searchsorted(area, at), len(area) - 1)
    share = np.sqrt(rng.random(count))
    other = rng.random(count) * share
    weights = np.stack([1 - share, share - other, other], axis=1)
    corners = points[mesh.faces[face]].astype(np.float64)
    found = (weights[:, :, None] * corners).sum(axis=1)
    return found, unit(mesh.normals[face])[0].astype(np.float64), face
