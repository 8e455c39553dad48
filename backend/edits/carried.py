"""What a scan carries, on meshes that are made of it: colours, texture coordinates, materials, values of vertices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..field.bricks import voxel_size
from ..field.fit import FittedMesh
from ..formats.raw_scan import RawScan
from ..geometry.attribute_transfer import PointTransfer, Transfer
from ..geometry.surface_attributes import SurfaceAttributes
from ..protocol.requests import EditTarget
from ..scan.prepare import PreparedScan
from .stack import EditSession

FAR = 2.0
"""Voxels from the scan beyond which a surface is invented: elsewhere noise and rounding move it. Chosen on procedural
shapes: the covered part of spheres and boxes with a hole, with and without noise, stayed within half a voxel at level
1, and that of a shell of 2.5 voxels within 1.3."""

MENTIONED = 5e-4
"""Share of invented faces that is said; less is 0.0 % in print."""


def carried(raw: RawScan, scan: PreparedScan, mesh: FittedMesh) -> SurfaceAttributes | None:
    """Attributes of a mesh that a fit made of a scan, by the nearest points of it; None where it carries nothing."""
    given = raw.attributes
    if given is None or not given:
        return None
    reach = _reach(scan, mesh.level)
    if raw.faces is None or not len(raw.faces):
        return PointTransfer(raw.points, mesh.vertices, mesh.faces).attributes(given, reach)
    return Transfer(raw.points, raw.faces, mesh.vertices, mesh.faces).attributes(given, reach)


def _reach(scan: PreparedScan, level: int) -> float:
    """FAR in world units."""
    return FAR * voxel_size(level) / scan.frame.scale


def reach_of(session: EditSession) -> float:
    """Distance from its scan, world units, beyond which the surface of a fit is invented."""
    return _reach(session.fitted.scan, session.fitted.level)


def carried_by_edit(
    session: EditSession, strengths: Sequence[float], vertices: NDArray, faces: NDArray
) -> SurfaceAttributes | None:
    """Attributes of what `apply_stack` makes of a session at strengths: vertices (n, 3), world units, faces (m, 3). A
    mesh whose vertices were moved keeps its own; a new one takes them from the moved one."""
    raw, fit, scan = session.fitted.raw, session.fitted.fit, session.fitted.scan
    if raw.attributes is None or not raw.attributes:
        return None
    if fit is None or session.stack.mesh is not session.fitted.mesh(EditTarget.FIT):
        found = raw.attributes
    else:
        found = carried(raw, scan, fit.mesh)
    if found is None or np.array_equal(faces, session.stack.mesh.faces):
        return found
    moved = session.stack.moved(strengths)
    return Transfer(moved, session.stack.mesh.faces, vertices, faces).attributes(found, reach_of(session))


def invented_note(attributes: SurfaceAttributes | None) -> list[str]:
    """A sentence where attributes stand on a surface that the scan does not cover."""
    invented = None if attributes is None else attributes.invented
    if invented is None or invented.sum() < max(1, MENTIONED * len(invented)):
        return []
    share = f"{invented.mean():.1%} of the faces lie beyond the scan"
    return [f"{share}: they take the colours of its border, and are marked as invented."]
