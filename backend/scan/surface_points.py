"""The points that stand for the surface, with the best witness of which way it faces."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .clean import CleanScan
from .face_samples import sample_faces
from .normals import unit, vertex_normals
from .orient_faces import OrientedMesh

ENOUGH = 0.5
"""Normals or sensor directions are used when at least this share of them has a direction."""
AGREEMENT = 0.75
"""Given normals are trusted against the faces when this share of them lies on one side of those."""


@dataclass(frozen=True)
class OrientedPoints:
    """points: (n, 3) in units of the clean scan; measured: (n,) False for points sampled on faces.

    normals: (n, 3), of any length, or None where they must be fitted; to_sensor: (n, 3) or None.
    normals_from: as in CleanReport.
    """

    points: NDArray[np.float32]
    measured: NDArray[np.bool_]
    normals: NDArray[np.float32] | None
    to_sensor: NDArray[np.float32] | None
    normals_from: str

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
    """Bare points: given normals, else the sensor decides, else orientation has to spread from point to point."""
    measured = np.ones(len(scan.points), bool)
    if scan.normals is not None and unit(scan.normals)[1].mean() >= ENOUGH:
        return OrientedPoints(scan.points, measured, scan.normals, scan.to_sensor, "given")
    if scan.to_sensor is not None and unit(scan.to_sensor)[1].mean() >= ENOUGH:
        return OrientedPoints(scan.points, measured, None, scan.to_sensor, "sensor")
    return OrientedPoints(scan.points, measured, None, None, "propagated")


def from_mesh(scan: CleanScan, shell: OrientedMesh) -> OrientedPoints:
    """The vertices of a mesh, and points on those of its faces that are large against the scan.

    Given vertex normals that largely agree with the faces are used. Where they largely oppose them, they are
    believed on an open mesh, whose winding is a convention, and the faces on a closed one, whose volume settles the
    matter. Where they do neither, they are noise, and the faces are believed.
    """
    of_face = shell.normals
    of_vertex = vertex_normals(len(scan.points), shell.faces, of_face)
    if not unit(of_vertex)[1].any():
        return from_points(scan)
    normals, normals_from = of_vertex, "faces"
    if scan.normals is not None:
        given, good = unit(scan.normals)
        if good.mean() >= ENOUGH:
            agreeing = np.mean(np.einsum("ij,ij->i", given[good], of_vertex[good]) > 0)
            opposed = agreeing <= 1 - AGREEMENT and shell.open_loops > 0
            if opposed:
                of_face, of_vertex = -of_face, -of_vertex
            if opposed or agreeing >= AGREEMENT:
                normals, normals_from = np.where(good[:, None], given, of_vertex), "given"
    samples, owner = sample_faces(scan.points, shell.faces, of_face)
    return OrientedPoints(
        np.concatenate([scan.points, samples]),
        np.arange(len(scan.points) + len(samples)) < len(scan.points),
        np.concatenate([normals, of_face[owner]]),
        None,
        normals_from,
    )
