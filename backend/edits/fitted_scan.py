"""A scan opened for editing: what was given, what was fitted, and the mesh whose vertices an edit moves."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from ..errors import ErrorCode, OmomiError
from ..field.fit import Fit
from ..field.fit import OnProgress as OnProgress
from ..formats.raw_scan import RawScan
from ..geometry.moving_solid import Reading, read_solid
from ..geometry.normals import normals_of
from ..geometry.topology import edge_report
from ..geometry.winding_number import tangled_share
from ..prior.codes import level0_winding
from ..protocol.requests import EditTarget
from ..scan.prepare import PreparedScan


@dataclass(frozen=True)
class EditableMesh:
    """A mesh in the canonical frame of a scan."""

    vertices: NDArray[np.float64]  # (n, 3) canonical
    faces: NDArray[np.int32]  # (m, 3)
    sigma: NDArray[np.float64]  # (n,) standard deviation of the surface, canonical

    @cached_property
    def normals(self) -> NDArray[np.float64]:
        """Unit normals (n, 3); zero where a vertex has no face."""
        return normals_of(self.vertices, self.faces)

    @cached_property
    def closed(self) -> bool:
        """Whether it has an inside."""
        return edge_report(self.faces).closed

    @cached_property
    def topology(self) -> Reading:
        """Of the solid in a closed mesh."""
        return read_solid(self.vertices, self.faces)

    @cached_property
    def outwards(self) -> NDArray[np.int32]:
        """The faces of a closed mesh, wound so that they enclose a volume above 0."""
        first, second, third = (self.vertices[self.faces[:, corner]] for corner in range(3))
        volume = (first * np.cross(second, third)).sum()
        return self.faces if volume >= 0 else np.ascontiguousarray(self.faces[:, ::-1])

    @cached_property
    def tangled(self) -> float:
        """See `tangled_share`; of a closed mesh."""
        return tangled_share(level0_winding(self.vertices, self.outwards))


@dataclass(frozen=True)
class FittedScan:
    """A scan, and what the engine made of it."""

    raw: RawScan  # as given
    scan: PreparedScan
    fit: Fit | None = None  # None where only the scan's own mesh is edited
    level: int = 2  # of the fit, or that whose voxels masks and new meshes take

    @property
    def is_sheet(self) -> bool:
        """Whether it stays open: it is a sheet, and its fit gave it no thickness."""
        return self.scan.sheet is not None and (self.fit is None or not self._fitted.closed)

    def need_inside(self, what: str) -> None:
        """Raises OmomiError(NOT_A_MESH) for a sheet, which has no inside; what: needs one, in the sentence."""
        if self.is_sheet:
            how = "fit it with a thickness, or as a scan or a solid, first"
            raise OmomiError(ErrorCode.NOT_A_MESH, f"{self.scan.name} is a sheet, and {what} an inside: {how}.")

    def mesh(self, target: EditTarget) -> EditableMesh:
        """The mesh that is edited. Raises OmomiError(NOT_A_MESH) for the scan's own where it has no faces."""
        return self._fitted if target is EditTarget.FIT else self._own

    def world(self, target: EditTarget) -> NDArray[np.float64]:
        """Vertices (n, 3) of that mesh in world units, bit for bit as they were given or fitted."""
        own = target is EditTarget.SCAN or self.fit is None
        return np.asarray(self.raw.points if own else self.fit.mesh.vertices, np.float64)  # type: ignore[union-attr]

    def to_canonical(self, world: NDArray) -> NDArray[np.float64]:
        """Points (n, 3) in the canonical frame, with the precision of f64."""
        return (np.asarray(world, np.float64) - self.scan.frame.centre) * self.scan.frame.scale

    def on_scan(self, mesh: EditableMesh, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Values f32 (m,) at the points of the scan as it was given, each that of the nearest vertex of ``mesh``, which
        is about a voxel away. NaN at points that are not finite."""
        points = self.to_canonical(self.raw.points)
        known = np.isfinite(points).all(axis=1)
        finite = np.isfinite(mesh.vertices).all(axis=1)
        found = np.full(len(points), np.nan, np.float32)
        nearest = KDTree(mesh.vertices[finite]).query(points[known])[1]
        found[known] = values[finite][np.asarray(nearest)]
        return found

    @cached_property
    def _fitted(self) -> EditableMesh:
        if self.fit is None:
            raise OmomiError(ErrorCode.BAD_OPTION, f"{self.scan.name} is not fitted.")
        mesh = self.fit.mesh
        sigma = np.asarray(mesh.sigma, np.float64) * self.scan.frame.scale
        return EditableMesh(self.to_canonical(mesh.vertices), np.asarray(mesh.faces, np.int32), sigma)

    @cached_property
    def _own(self) -> EditableMesh:
        faces = self.raw.faces
        if faces is None or not len(faces):
            raise OmomiError(ErrorCode.NOT_A_MESH, f"{self.scan.name} has no faces whose topology could be kept.")
        known = np.zeros(len(self.raw.points)) if self.raw.sigma is None else self.raw.sigma.astype(np.float64)
        sigma = np.where(np.isfinite(known), known, 0.0).clip(0.0) * self.scan.frame.scale
        return EditableMesh(self.to_canonical(self.raw.points), np.asarray(faces, np.int32), sigma)
