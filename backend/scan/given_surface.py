"""The surface that was given, as even samples: which of it was left out before the fit, and how thick its solid is."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from ..geometry.winding_number import winding_at
from .clean import CleanScan
from .kind import FoundKind, Kind
from .orientation import OrientedMesh
from .samples import area_samples
from .sheet import outer_side
from .solid import closed_faces, covered

MOST_SAMPLES = 20_000
"""Points of a scan without faces that stand for it, as many as samples of a mesh: shares are within .4 %."""
MOST_DEPTHS = 3_000
"""Samples whose thickness is looked at: shares are within 1 %, and more would take too long."""
MOST_SORTED = 200_000
"""Points of a mesh among which the one nearest to a sample says whether the sample is an outlier."""
DEPTHS = np.array([1.0, 2 / 3, 1 / 3])
"""Shares of a depth at which a sample is looked at from within: behind a gap may be another wall."""


@dataclass(frozen=True)
class GivenSurface:
    """Even samples of a scan as it was given: of the area of a mesh, or of bare points."""

    points: NDArray[np.float32]  # (n, 3), units of the clean scan, canonical once it is `framed`
    normals: NDArray[np.float32]  # (n, 3), unit, outwards where there is a solid; zero for bare points
    left_out: NDArray[np.bool_]  # (n,)
    vertices: NDArray[np.float32] | None = None  # (v, 3), of the closed parts; None where no part counts as solid
    faces: NDArray[np.int32] | None = None  # (m, 3), of the closed parts

    @classmethod
    def of_mesh(cls, scan: CleanScan, mesh: OrientedMesh, found: FoundKind) -> GivenSurface:
        """Of a mesh in the parts that its kind was found by, without a look at outliers."""
        points, normals, face = area_samples(scan.points, mesh, MOST_SAMPLES)
        left = np.zeros(len(points), bool)
        if found.closing is not None:
            left |= found.closing.faces[face]
        if found.shell is not None:
            left |= ~outer_side(points, normals, found.shell, found.thickness)
        if found.covered:
            left |= covered(scan.points, mesh, points, normals)
        solid = found.kind is Kind.SOLID and mesh.closed.any()
        given = cls(points.astype(np.float32), normals.astype(np.float32), left)
        return replace(given, vertices=scan.points, faces=closed_faces(mesh)) if solid else given

    @classmethod
    def of_points(cls, points: NDArray[np.float32], left_out: NDArray[np.bool_]) -> GivenSurface:
        """Of bare points (p, 3), some of which are left out."""
        some = np.sort(np.random.Generator(np.random.PCG64(0)).permutation(len(points))[:MOST_SAMPLES])
        return cls(points[some], np.zeros((len(some), 3), np.float32), left_out[some])

    def without(self, points: NDArray[np.float32], outlier: NDArray[np.bool_]) -> GivenSurface:
        """With samples left out whose nearest point, of a mesh's points (p, 3), is an outlier."""
        if not outlier.any():
            return self
        step = 1 + len(points) // MOST_SORTED
        nearest = np.asarray(KDTree(points[::step], balanced_tree=False).query(self.points)[1])
        return replace(self, left_out=self.left_out | outlier[::step][nearest])

    def framed(self, middle: NDArray[np.float32], factor: float) -> GivenSurface:
        """In canonical units: (places - middle) * factor."""
        vertices = None if self.vertices is None else (self.vertices - middle) * np.float32(factor)
        return replace(self, points=(self.points - middle) * np.float32(factor), vertices=vertices)

    def thinner(self, depth: float, which: NDArray[np.bool_] | None = None) -> NDArray[np.bool_] | None:
        """Whether the solid is thinner than a canonical ``depth``, along the normal, at samples (k,), an even choice of
        MOST_DEPTHS. None where nothing is known of it: of bare points, open scans and sheets.

        which: those of them that are looked at; the others count as thicker. What was left out has no thickness.
        """
        if self.vertices is None or self.faces is None:
            return None
        some = slice(None, None, 1 + (len(self.points) - 1) // MOST_DEPTHS)
        points, normals = (part[some].astype(np.float64) for part in (self.points, self.normals))
        looked = ~self.left_out[some] if which is None else which & ~self.left_out[some]
        places = points[looked, None] - depth * DEPTHS[:, None] * normals[looked, None]
        outside = winding_at(self.vertices, self.faces, places.reshape(-1, 3)) <= 0
        found = np.zeros(len(points), bool)
        found[looked] = outside.reshape(-1, len(DEPTHS)).any(axis=1)
        return found
