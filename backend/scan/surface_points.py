"""The points that represent the surface, with the best information on its orientation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..geometry.normals import unit, vertex_normals
from .clean import CleanScan
from .orientation import OrientedMesh

LEAST_VALID = 0.5
"""Normals or sensor directions are used when at least this share of them has a direction."""
AGREEMENT = 0.75
"""Given normals count against the faces when this share of them lies on one side of the faces' own."""
SPACING = 1 / 200
"""Distance between points, in sizes of the scan (the middle of a clean scan measures 1)."""
MOST_SAMPLES = 400_000
"""At most so many points are added; the spacing grows instead."""
_PLASTIC = 1.32471795724474602596
"""The plastic number, the root of x^3 = x + 1."""


@dataclass(frozen=True)
class OrientedPoints:
    """Points of a surface, in units of the clean scan."""

    points: NDArray[np.float32]  # (n, 3)
    measured: NDArray[np.bool_]  # (n,), False for points sampled on faces
    normals: NDArray[np.float32] | None  # (n, 3), of any length; None where they have to be fitted
    to_sensor: NDArray[np.float32] | None  # (n, 3)
    normals_from: str  # as in CleanReport

    def take(self, which: NDArray) -> OrientedPoints:
        """The points that ``which`` selects."""
        return OrientedPoints(
            self.points[which],
            self.measured[which],
            None if self.normals is None else self.normals[which],
            None if self.to_sensor is None else self.to_sensor[which],
            self.normals_from,
        )


def from_points(scan: CleanScan) -> OrientedPoints:
    """Bare points: turned as given normals are, else to the sensor, else by propagation from point to point."""
    measured = np.ones(len(scan.points), bool)
    if scan.normals is not None and unit(scan.normals)[1].mean() >= LEAST_VALID:
        return OrientedPoints(scan.points, measured, scan.normals, scan.to_sensor, "given")
    if scan.to_sensor is not None and unit(scan.to_sensor)[1].mean() >= LEAST_VALID:
        return OrientedPoints(scan.points, measured, None, scan.to_sensor, "sensor")
    return OrientedPoints(scan.points, measured, None, None, "propagated")


def from_mesh(
    scan: CleanScan, shell: OrientedMesh, faces_out: bool = False, spacing: float = SPACING
) -> OrientedPoints:
    """The vertices of a mesh, and points on those of its faces that are large against ``spacing``.

    Given vertex normals that mostly agree with the faces are used. Where most oppose the faces, they are used on an
    open mesh, whose winding is a convention; on a closed one the faces are used, because its volume decides, and so
    where they can be seen to face out. Where neither holds, the given normals are noise, and the faces are used.
    """
    of_face = shell.normals
    of_vertex = vertex_normals(len(scan.points), shell.faces, of_face)
    if not unit(of_vertex)[1].any():
        return from_points(scan)
    normals, normals_from = of_vertex, "faces"
    if scan.normals is not None:
        given, good = unit(scan.normals)
        if good.mean() >= LEAST_VALID:
            agreeing = np.mean(np.einsum("ij,ij->i", given[good], of_vertex[good]) > 0)
            opposed = agreeing <= 1 - AGREEMENT and shell.open_loops > 0 and not faces_out
            if opposed:
                of_face, of_vertex = -of_face, -of_vertex
            if opposed or agreeing >= AGREEMENT:
                normals, normals_from = np.where(good[:, None], given, of_vertex), "given"
    samples, owner = sample_faces(scan.points, shell.faces, of_face, spacing)
    return OrientedPoints(
        np.concatenate([scan.points, samples]),
        np.arange(len(scan.points) + len(samples)) < len(scan.points),
        np.concatenate([normals, of_face[owner]]),
        None,
        normals_from,
    )


def sample_faces(
    points: NDArray[np.float32], faces: NDArray[np.int32], normals: NDArray[np.float32], spacing: float = SPACING
) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """Spread points evenly over the area that the corners of the faces leave bare.

    points: (n, 3) of a clean scan; faces: (m, 3); normals: (m, 3) of length twice the area; spacing: between points.
    Returns points (s, 3) and the face (s,) of each. Deterministic: the R2 sequence (M. Roberts, 2018), folded into the
    triangles.
    """
    area = np.linalg.norm(normals.astype(np.float64), axis=1) / 2
    cell = max(spacing**2, area.sum() / MOST_SAMPLES)
    # A corner is shared by about six triangles, so a triangle already owns half a point.
    wanted = np.maximum(area / cell - 0.5, 0.0)
    counts = np.diff(np.floor(np.concatenate([[0.0], np.cumsum(wanted)]))).astype(np.int64)
    owner = np.repeat(np.arange(len(faces)), counts)
    index = np.arange(1, len(owner) + 1, dtype=np.float64)
    u, v = (index / _PLASTIC) % 1.0, (index / _PLASTIC**2) % 1.0
    beyond = u + v > 1
    u, v = np.where(beyond, 1 - u, u)[:, None], np.where(beyond, 1 - v, v)[:, None]
    a, b, c = (points.take(faces[owner, corner], axis=0) for corner in range(3))
    return (a * (1 - u - v) + b * u + c * v).astype(np.float32), owner
