"""What a scan carries, on meshes that are made of it: colours, texture coordinates, materials, values of vertices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..field.coverage import SAID, invented, near
from ..field.fit import FittedMesh
from ..formats.raw_scan import RawScan
from ..geometry.attribute_transfer import PointTransfer, Transfer
from ..geometry.decimation import decimated
from ..geometry.surface_attributes import SurfaceAttributes
from ..protocol.requests import EditTarget
from ..scan.prepare import PreparedScan
from .stack import EditSession


def carried(raw: RawScan, scan: PreparedScan, mesh: FittedMesh) -> SurfaceAttributes | None:
    """Attributes of a mesh that a fit made of a scan, by the nearest points of it; None where it carries nothing."""
    given = raw.attributes
    if given is None or not given:
        return None
    beyond = invented(scan, mesh.level, scan.frame.to_canonical(mesh.vertices), mesh.faces)
    if raw.faces is None or not len(raw.faces):
        return PointTransfer(raw.points, mesh.vertices, mesh.faces).attributes(given, beyond)
    return Transfer(raw.points, raw.faces, mesh.vertices, mesh.faces).attributes(given, beyond)


def reach_of(session: EditSession) -> float:
    """Distance from its scan, world units, beyond which the surface of a fit is invented."""
    scan = session.fitted.scan
    return near(scan, session.fitted.level) / scan.frame.scale


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
    transfer = Transfer(moved, session.stack.mesh.faces, vertices, faces)
    return transfer.attributes(found, transfer.beyond(reach_of(session)))


def with_fewer_faces(
    vertices: NDArray, faces: NDArray, sigma: NDArray, attributes: SurfaceAttributes | None, count: int | None
) -> tuple[NDArray, NDArray, NDArray, SurfaceAttributes | None]:
    """A mesh of about ``count`` triangles, see `decimated`, with the sigma (n,) and the attributes of one with vertices
    (n, 3) and faces (m, 3); that mesh where it has no more, or without a count."""
    if count is None or len(faces) <= count:
        return vertices, faces, sigma, attributes
    made = decimated(vertices, faces, count)
    transfer = Transfer(vertices, faces, *made)
    if attributes is not None:
        found = transfer.attributes(attributes, np.zeros(len(made[1]), bool))
        attributes = found if attributes.invented is not None else replace(found, invented=None)
    return *made, transfer.vertex_values(np.asarray(sigma)[:, None])[:, 0], attributes


def invented_note(attributes: SurfaceAttributes | None) -> list[str]:
    """A sentence where attributes stand on a surface that the scan does not cover."""
    marked = None if attributes is None else attributes.invented
    if marked is None or marked.sum() < max(1, SAID * len(marked)):
        return []
    return ["What lies beyond the scan takes the colours of its border, and is marked as invented."]
