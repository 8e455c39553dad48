"""The holes of a mesh: border loops that an artist would call holes, told from openings that are meant to be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from ..errors import ErrorCode, OmomiError
from ..geometry.borders import FacesAround, WeldedMesh
from ..geometry.normals import face_normals
from ..geometry.triangulation import triangulate_loop

TANGENT = 0.5
"""Mean cosine between the surface at a loop and the way into its fill, from which on the surface runs on into it.
Lost patches of scans have .8 and more, mouths of vessels about 0, outer borders -.5 and less."""
OUTER = -0.5
"""At most this: the fill would lie back on the surface that the loop bounds."""
LARGEST = 0.35
"""Radius of a hole in longest sides."""
FEW_EDGES = 5
"""A loop of so few edges is a face that is missing, whatever way the surface goes, ..."""
SMALL = 0.1
"""... if its radius is at most this share of the longest side, ..."""
FLUSH = 0.9
"""... or a face beside it has at least this cosine with its fill: half of a flat side is missing, and not a lid."""
SHORT = 12
"""Loops of fewer edges are judged by the faces beside them; along longer ones normals are averaged, against noise."""
SAMPLES = 120
"""Vertices of a loop at which the way into it is looked at."""


@dataclass(frozen=True)
class Hole:
    """One border loop. Lengths are in world units."""

    number: int  # from 1: holes first, then openings, each the longest first
    is_hole: bool  # False for an opening
    why: str  # a clause: why it is an opening; "" for a hole
    loop: NDArray[np.int64]  # (n,) vertices of the mesh, in the order in which faces that fill it run
    places: NDArray[np.int64]  # (n,) the same in the welded mesh
    corners: NDArray[np.int64]  # (n, 2) corners 3 * face + k of the mesh's faces at the start and the end of each edge
    perimeter: float
    radius: float  # root mean square distance from the centre
    share: float  # radius over the longest side of the mesh
    planarity: float  # root mean square distance from its plane, over the radius
    centre: NDArray[np.float64]  # (3,)
    normal: NDArray[np.float64]  # (3,), unit, out of the surface that fills it
    tangent: float  # -1 .. 1: how much the surface runs on into it

    def to_json(self) -> dict[str, object]:
        """All but the vertices, whose number is ``edges``."""
        plain = ("number", "is_hole", "why", "perimeter", "radius", "share", "planarity", "tangent")
        return {
            **{name: getattr(self, name) for name in plain},
            "edges": len(self.loop),
            "centre": self.centre.tolist(),
            "normal": self.normal.tolist(),
        }


@dataclass(frozen=True)
class MeshHoles:
    """The border loops of a mesh."""

    holes: tuple[Hole, ...]  # openings too, by number
    mesh: WeldedMesh
    around: FacesAround  # of the welded mesh
    side: float  # longest side of the mesh
    loose_edges: int  # border edges in no loop

    @cached_property
    def tree(self) -> KDTree:
        """Of the welded mesh's vertices."""
        return KDTree(self.mesh.vertices)


def find_holes(
    points: NDArray, faces: NDArray, wanted: Callable[[list[NDArray]], list[bool]] | None = None
) -> MeshHoles:
    """The holes and openings of a mesh, points (n, 3), world units, and triangles (m, 3).

    wanted: which loops, each given by its points (l, 3), are looked at; all without.
    Raises OmomiError(NOT_A_MESH) where there is no face with an extent.
    """
    mesh = WeldedMesh.of(points, faces)
    if not len(mesh.faces):
        raise OmomiError(ErrorCode.NOT_A_MESH, "There is no surface: every face is without extent.")
    side = float(np.ptp(mesh.vertices[mesh.faces.reshape(-1)], axis=0).max())
    around = FacesAround.of(mesh.faces, len(mesh.vertices))
    loops, loose = mesh.loops()
    if wanted is not None:
        chosen = wanted([mesh.vertices[loop] for loop in loops])
        loops = [loop for loop, right in zip(loops, chosen, strict=True) if right]
    vertex = np.asarray(faces, np.int64).reshape(-1)
    found = [
        _described(mesh, around, loop, side) | {"loop": vertex[corners[:, 0]], "corners": corners}
        for loop, corners in zip(loops, _corners(mesh, loops), strict=True)
    ]
    found.sort(key=lambda hole: (not hole["is_hole"], -hole["perimeter"], hole["loop"].min()))
    holes = tuple(Hole(number=number, **hole) for number, hole in enumerate(found, 1))
    return MeshHoles(holes, mesh, around, side, loose)


def _corners(mesh: WeldedMesh, loops: list[NDArray]) -> list[NDArray[np.int64]]:
    """The corners (n, 2) of the mesh's faces at the start and the end of each edge of each loop."""
    if not loops:
        return []
    size = len(mesh.vertices)
    # in a fill an edge runs against the face beside it
    key = mesh.faces[:, [1, 2, 0]].reshape(-1) * size + mesh.faces.reshape(-1)
    order = np.argsort(key, kind="stable")
    key = key[order]
    found = []
    for loop in loops:
        face, end = np.divmod(order[np.searchsorted(key, loop * size + np.roll(loop, -1))], 3)
        corner = np.stack([(end + 1) % 3, end], axis=1)
        corner = np.where(mesh.turned[face][:, None], 2 - corner, corner)
        found.append(3 * mesh.source[face][:, None] + corner)
    return found


def _described(mesh: WeldedMesh, around: FacesAround, places: NDArray, side: float) -> dict:
    points = mesh.vertices[places]
    count, centre, radius = len(points), points.mean(axis=0), loop_radius(points)
    lengths = np.linalg.norm(np.roll(points, -1, axis=0) - points, axis=1)
    axes, spread = np.linalg.svd(points - centre, full_matrices=False)[2], np.zeros(3)
    spread[: min(count, 3)] = np.linalg.svd(points - centre, compute_uv=False)
    if count < SHORT:
        area, cosines = _beside_edges(mesh, around, places, points)
        tangent = float(np.average(cosines, weights=lengths + 1e-300))
    else:
        chosen = np.unique(np.linspace(0, count - 1, min(count, SAMPLES)).round().astype(int))
        area, into = _ways_into(points[chosen])
        away = _ways_out(mesh, around, places, points, float(lengths.mean()))[chosen]
        cosines = np.einsum("na,na->n", into, away)
        tangent = float(cosines.mean())
    size = float(np.linalg.norm(area))
    normal = area / size if size > 0 else axes[2]
    share = radius / side if side > 0 else 0.0
    missing_face = count <= FEW_EDGES and tangent > OUTER and (share <= SMALL or cosines.max() >= FLUSH)
    why = "" if missing_face else _why_open(tangent, share)
    return {
        "is_hole": not why,
        "why": why,
        "places": places,
        "perimeter": float(lengths.sum()),
        "radius": radius,
        "share": share,
        "planarity": float(spread[2] / np.sqrt(count) / max(radius, 1e-300)),
        "centre": centre,
        "normal": normal,
        "tangent": tangent,
    }


def loop_radius(points: NDArray) -> float:
    """Root mean square distance of a loop's points (n, 3) from their mean."""
    return float(np.sqrt(points.var(axis=0).sum()))


def _why_open(tangent: float, share: float) -> str:
    if tangent <= OUTER:
        return "it is the outer border of a piece"
    if tangent < TANGENT:
        return "the surface does not run on into it, as at the mouth of a vessel or the end of a tube"
    return "it is as large as the outer border of a view" if share > LARGEST else ""


def _beside_edges(
    mesh: WeldedMesh, around: FacesAround, places: NDArray, points: NDArray
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The area vector (3,) of a loop's fill of least weight, and per edge (n,) the cosine of the fill's normal there
    with that of the face beside it."""
    faces = triangulate_loop(points)
    normals = face_normals(points, faces)
    band = mesh.faces[around.rings(places, 1)]
    of_band = _unit(face_normals(mesh.vertices, band))
    size = len(mesh.vertices)
    at_edge = np.zeros((2, len(points), 3))
    wanted = places * size + np.roll(places, -1)
    tables = (
        (places[faces], _unit(normals), lambda one, two: one * size + two),
        (band, of_band, lambda one, two: two * size + one),
    )
    for side, (table, of_faces, key) in enumerate(tables):
        keys = key(table.reshape(-1), table[:, [1, 2, 0]].reshape(-1))
        edge, corner = np.nonzero(wanted[:, None] == keys)
        at_edge[side, edge] = of_faces[corner // 3]
    return normals.sum(axis=0), np.einsum("na,na->n", *at_edge)


def _ways_into(points: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The area vector (3,) of a loop's fill of least weight, and at each point (n, 3) the unit way into it."""
    faces = triangulate_loop(points)
    normals = face_normals(points, faces)
    sums = _unit(np.stack([np.bincount(faces.reshape(-1), np.repeat(a, 3), len(points)) for a in normals.T], axis=1))
    along = np.roll(points, -1, axis=0) - np.roll(points, 1, axis=0)
    return normals.sum(axis=0), _unit(np.cross(sums, along))


def _ways_out(
    mesh: WeldedMesh, around: FacesAround, places: NDArray, points: NDArray, edge: float
) -> NDArray[np.float64]:
    """At each point (n, 3) of a loop the unit way (n, 3) in which the surface runs beyond it, by the border's direction
    and the normal there, averaged over some edges."""
    band = mesh.faces[around.rings(places, 3)]
    used, local = np.unique(band, return_inverse=True)
    local = local.reshape(band.shape)
    normals = face_normals(mesh.vertices[used], local)
    at = np.stack([np.bincount(local.reshape(-1), np.repeat(a, 3), len(used)) for a in normals.T], axis=1)
    at = np.concatenate([_unit(at), np.zeros((1, 3))])
    near = KDTree(mesh.vertices[used]).query(points, k=min(12, len(used)), distance_upper_bound=2.5 * edge + 1e-300)[1]
    near = np.asarray(near).reshape(len(points), -1)
    # the nearest is always there, even beside long edges
    near[:, 0] = np.searchsorted(used, places)
    smooth = _unit(at[near].sum(axis=1))
    step = max(1, min(4, len(points) // 12))
    along = np.roll(points, -step, axis=0) - np.roll(points, step, axis=0)
    return _unit(np.cross(smooth, along))


def _unit(vectors: NDArray) -> NDArray[np.float64]:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-300)
