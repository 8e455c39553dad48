"""Patches: the holes of an artist's mesh closed, and everything else left as it is.

What fills a hole is a thin plate (`scan.hole_fill`). Where the surface runs straight on into the hole, nothing is
better. Where it turns, the plate is drawn to the same place across a mirror plane, if the mesh has one, or to the fit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from ..errors import ErrorCode, OmomiError, refuse
from ..field.fit import Fit
from ..formats.raw_scan import RawScan
from ..prior.counterpart import Counterpart, MirrorSource, Plane
from ..prior.symmetry import SymmetryScorer, mirror_planes
from ..protocol.requests import Close
from ..scan.hole_fill import HoleFill, vertex_normals_of
from ..scan.holes import Hole, MeshHoles, find_holes
from ..scan.prepare import PreparedScan

STIFFNESS = ((0.1, 0.05), (0.35, 0.1), (0.6, 0.2), (0.8, 0.25), (0.9, 0.6), (0.97, 2.0))
"""Tangent score of a hole, and the size of details of the fit that its plate smooths away, in radii. Chosen on 257
holes cut out of the validation scans: the fit wins where the surface turns, the plate where it runs straight on."""
STIFFNESS_OF_MIRROR = 0.05
"""The same for a counterpart, which has the scan's own detail."""
MOST_MISFIT = 0.12
"""Offset of a counterpart at the loop, in radii, above which it is not believed."""
RUNS_ON = 0.97
"""Tangent score above which a plate alone is taken."""
SMALLEST = 0.02
"""Radius, in longest sides, below which neither the fit nor a counterpart knows more than the plate: two voxels."""
TOLERATED = 0.03
"""Folded edges for each new face up to which a better fill is still preferred to a plainer one."""
MOST_GROWTH = 6
GROWS = 1.1
"""A fill that is larger by this factor once it was drawn to a surface is refined and drawn again, up to MOST_GROWTH
times."""
NEIGHBOURS = 12
"""Vertices of the fit that say where its surface is."""
FACING = 0.3
"""Least cosine between a fill's normal and that of the fit beside it: thin walls have two sides."""


AROUND = 2.5
"""How far beyond the holes the mesh is fitted, in radii of the largest that needs it."""

FitAround = Callable[[NDArray, float], tuple[PreparedScan, Fit]]
"""Fits the mesh within a reach, world units, of places (k, 3)."""


class FillWay(StrEnum):
    """How a hole was closed."""

    FACES = "faces"  # without new vertices
    FLAT = "flat"
    SMOOTH = "smooth"
    MODEL = "model"
    MIRROR = "mirror"


@dataclass(frozen=True)
class ClosedHole:
    """What became of one hole."""

    hole: Hole
    way: FillWay | None  # None where it was left
    said: str  # one sentence where it was left, or not closed as was wanted; else ""
    vertices: NDArray[np.float64]  # (k, 3), new, world units
    faces: NDArray[np.int64]  # (j, 3), new; vertices of the mesh, then of this hole


@dataclass(frozen=True)
class Patch:
    """New vertices and faces; the mesh itself is not touched."""

    found: MeshHoles
    closed: tuple[ClosedHole, ...]
    vertices: NDArray[np.float64]  # (k, 3), world units, to append to those of the mesh
    faces: NDArray[np.int32]  # (j, 3), to append; indices into the vertices of the mesh and these
    of_hole: NDArray[np.int32]  # (j,), the number of the hole that each face closes
    warnings: tuple[str, ...]

    def summary(self) -> dict[str, object]:
        """{"holes": [rows of `Hole.to_json` with "closed" (how) and "said"], "new_vertices", "new_faces",
        "warnings"}."""
        done = {one.hole.number: one for one in self.closed}
        rows = [
            hole.to_json() | {"closed": str(done[hole.number].way or ""), "said": done[hole.number].said}
            for hole in self.found.holes
        ]
        counts = {"new_vertices": len(self.vertices), "new_faces": len(self.faces)}
        return {"holes": rows, **counts, "warnings": list(self.warnings)}


class _FittedSurface:
    """The fit of the whole mesh, as a surface that a fill can be drawn to, and its mirror planes."""

    def __init__(self, found: MeshHoles, holes: Sequence[Hole], make: FitAround) -> None:
        places = found.mesh.vertices[np.concatenate([hole.places for hole in holes])]
        reach = AROUND * max(hole.radius for hole in holes)
        self._scan, self._fit = make(places, reach)
        mesh = self._fit.mesh
        vertices = np.asarray(mesh.vertices, np.float64)
        normals = vertex_normals_of(vertices, np.asarray(mesh.faces, np.int64))
        # what is beyond is rough
        near = np.isfinite(KDTree(places).query(vertices, distance_upper_bound=reach)[0])
        if not near.any():
            raise OmomiError(ErrorCode.NO_SURFACE, "No surface was found beside its holes.")
        self._vertices, self._normals = vertices[near], normals[near]
        self._tree = KDTree(self._vertices)

    def planes(self) -> list[Plane]:
        """In world units, best first; none where the fit has no field."""
        if self._fit.field is None:
            return []
        found = mirror_planes(self._scan.points, self._scan.normals, SymmetryScorer(self._fit.field.levels[0]))
        planes = []
        for mirror in found:
            normal = np.asarray(mirror.normal, np.float64)
            normal /= np.linalg.norm(normal)
            at = self._scan.frame.to_world(normal[None] * mirror.offset)[0]
            planes.append(Plane(normal, float(normal @ at), mirror.agree))
        return planes

    def moves(self, points: NDArray, normals: NDArray, reach: float) -> tuple[NDArray, NDArray[np.bool_]]:
        """As of `scan.hole_fill.SurfaceNear`: to the tangent planes of the nearest vertices that face alike."""
        most = min(NEIGHBOURS, len(self._vertices))
        distance, near = self._tree.query(points, k=most, distance_upper_bound=reach)
        distance, near = distance.reshape(-1, most), near.reshape(-1, most)
        known = np.isfinite(distance)
        if not known.any():
            return np.zeros_like(points), np.zeros(len(points), bool)
        near = np.where(known, near, 0)
        across = self._normals[near]
        alike = known & (np.einsum("nka,na->nk", across, normals) > FACING)
        off = np.einsum("nka,nka->nk", self._vertices[near] - points[:, None], across)
        width = float(np.median(distance[known])) + 1e-300
        weight = np.where(alike, np.exp(-((np.where(known, distance, 0) / width) ** 2)), 0)
        total = weight.sum(axis=1)
        move = np.einsum("nk,nk,nka->na", weight, off, across) / np.maximum(total, 1e-300)[:, None]
        return move, total > 0


@dataclass
class _Prior:
    """What is known beyond the surroundings of the holes that are closed; made when it is first asked for."""

    found: MeshHoles
    holes: Sequence[Hole]
    fit: FitAround
    why_not: str = ""  # a sentence where the mesh cannot be fitted

    @cached_property
    def surface(self) -> _FittedSurface | None:
        try:
            return _FittedSurface(self.found, self.holes, self.fit)
        except OmomiError as error:
            if error.code in (ErrorCode.CANCELLED, ErrorCode.MODEL_MISSING, ErrorCode.DEVICE_UNAVAILABLE):
                raise
            self.why_not = error.message
            return None

    @cached_property
    def mirror(self) -> MirrorSource | None:
        planes = [] if self.surface is None else self.surface.planes()
        return MirrorSource.of(self.found, self.holes, planes) if planes else None


def patch(
    raw: RawScan,
    fit: FitAround,
    *,
    numbers: Sequence[int] | None = None,
    smaller: float | None = None,
    close: Close = Close.AUTO,
    on_progress: Callable[[float, str], None] = lambda share, text: None,
) -> Patch:
    """Close holes of a triangle mesh.

    fit: called only where a hole needs it, and once. numbers: of the holes, openings too if they are named;
    None for all holes. smaller: only those of a smaller radius, world units. Raises OmomiError: NOT_A_MESH for points
    without faces, BAD_OPTION for a number that no hole has, and those of ``fit`` where there is no model.
    """
    if raw.faces is None or not len(raw.faces):
        raise OmomiError(ErrorCode.NOT_A_MESH, f"{raw.name} holds points without faces: it has no holes to close.")
    on_progress(0.0, "looking for holes")
    found = find_holes(raw.points, raw.faces)
    if numbers is not None and (unknown := sorted(set(numbers) - {hole.number for hole in found.holes})):
        refuse(f"there is no hole {unknown[0]}: {raw.name} has {len(found.holes)}")
    needing = [hole for hole in found.holes if not _left(hole, numbers, smaller) and _known(hole, close)]
    prior = _Prior(found, needing, fit)
    closed: list[ClosedHole] = []
    for count, hole in enumerate(found.holes):
        on_progress(count / max(len(found.holes), 1), f"hole {hole.number}")
        why = _left(hole, numbers, smaller)
        closed.append(_nothing(hole, why) if why else _closed(hole, found, close, prior))
    on_progress(1.0, "done")
    vertices, faces, of_hole = [np.zeros((0, 3))], [np.zeros((0, 3), np.int64)], [np.zeros(0, np.int64)]
    first = len(raw.points)
    for one in closed:
        # a hole counts its own vertices on from those of the mesh
        faces.append(np.where(one.faces >= len(raw.points), one.faces - len(raw.points) + first, one.faces))
        vertices.append(one.vertices)
        of_hole.append(np.full(len(one.faces), one.hole.number))
        first += len(one.vertices)
    warnings = [one.said for one in closed if one.said]
    if prior.why_not:
        warnings.append(f"The mesh could not be fitted, so its holes are closed smoothly: {prior.why_not}")
    if found.loose_edges:
        warnings.append(
            f"{found.loose_edges} border edges belong to no loop, as where three faces meet; they are left."
        )
    return Patch(
        found,
        tuple(closed),
        np.concatenate(vertices),
        np.concatenate(faces).astype(np.int32),
        np.concatenate(of_hole).astype(np.int32),
        tuple(warnings),
    )


def _left(hole: Hole, numbers: Sequence[int] | None, smaller: float | None) -> str:
    """A sentence why a hole is left open, or ""."""
    if numbers is not None:
        if hole.number not in numbers:
            return "-"
    elif not hole.is_hole:
        return f"Opening {hole.number} is left open: {hole.why}."
    if smaller is not None and hole.radius >= smaller:
        return f"Hole {hole.number} is left open: its radius is {hole.radius:.3g}."
    return ""


def _known(hole: Hole, close: Close) -> bool:
    """Whether a fit or a counterpart may know more of a hole than its surroundings say."""
    wanted = close is Close.MODEL or (close is Close.AUTO and hole.tangent < RUNS_ON)
    return wanted and hole.share >= SMALLEST


def _nothing(hole: Hole, why: str) -> ClosedHole:
    """A hole that is left; ``why`` "-" where nobody asked for it."""
    return ClosedHole(hole, None, why.removeprefix("-"), np.zeros((0, 3)), np.zeros((0, 3), np.int64))


def _closed(hole: Hole, found: MeshHoles, close: Close, prior: _Prior) -> ClosedHole:
    fill = HoleFill.of(found, hole)
    if len(np.unique(hole.loop)) < len(hole.loop):
        return _nothing(hole, f"Hole {hole.number} is left open: its border runs through a vertex twice.")
    held = len(fill.vertices) - int(fill.free.sum())
    way, said = FillWay.FACES, ""
    if fill.free.any():
        made, fewest = fill, np.inf
        for name, other in _ways(fill, hole, close, prior):
            other = other.unfolded()
            folds = other.folds()
            if folds < fewest:
                way, made, fewest = name, other, folds
            if folds <= TOLERATED * len(other.faces):
                break
        if fewest:
            said = f"Hole {hole.number} is closed, but its fill folds back on itself or the mesh at {fewest} edges."
        wanted = {Close.FLAT: FillWay.FLAT, Close.SMOOTH: FillWay.SMOOTH}.get(close)
        if wanted is not None and way != wanted:
            said = said or f"Hole {hole.number} is closed {way}: a {wanted} fill would fold."
        fill = made
    # the loop's vertices are the mesh's own, whatever stands for them in the welded mesh
    number = np.full(len(fill.vertices), -1)
    number[fill.loop] = hole.loop
    number[held:] = len(found.mesh.place) + np.arange(len(fill.vertices) - held)
    return ClosedHole(hole, way, said, fill.vertices[held:], number[fill.faces])


def _ways(fill: HoleFill, hole: Hole, close: Close, prior: _Prior) -> Iterator[tuple[FillWay, HoleFill]]:
    """Fills of a hole, the best first, each made when the one before it folds."""
    if close is Close.FLAT:
        yield FillWay.FLAT, fill
        return
    smooth = fill.smooth()
    if _known(hole, close) and prior.surface is not None:
        yield from _drawn(smooth, hole, prior)
    yield FillWay.SMOOTH, smooth
    yield FillWay.FLAT, fill


def _drawn(smooth: HoleFill, hole: Hole, prior: _Prior) -> Iterator[tuple[FillWay, HoleFill]]:
    """The plate drawn to a counterpart and to the fit, then to the fit alone."""
    counterpart = None if prior.mirror is None else prior.mirror.counterpart(hole)
    if counterpart is not None:
        _, there, misfit = smooth.targets(counterpart, hole.radius)
        if misfit <= MOST_MISFIT * hole.radius and there.any():
            yield FillWay.MIRROR, _grown(smooth, lambda fill: _towards(fill, hole, prior, counterpart))
    yield FillWay.MODEL, _grown(smooth, lambda fill: _towards(fill, hole, prior, None))


def _towards(fill: HoleFill, hole: Hole, prior: _Prior, counterpart: Counterpart | None) -> HoleFill:
    assert prior.surface is not None
    tangent, stiffness = zip(*STIFFNESS, strict=True)
    targets, known, _ = fill.targets(prior.surface, hole.radius)
    of_fit = float(np.exp(np.interp(hole.tangent, tangent, np.log(stiffness))))
    stiff = np.where(known, of_fit * hole.radius, np.inf)
    if counterpart is not None:
        copied, there, _ = fill.targets(counterpart, hole.radius)
        targets = np.where(there[:, None], copied, targets)
        stiff = np.where(there, STIFFNESS_OF_MIRROR * hole.radius, stiff)
    return fill.drawn(targets, stiff)


def _grown(fill: HoleFill, step: Callable[[HoleFill], HoleFill]) -> HoleFill:
    """A fill drawn to a surface; as long as it grows much, it is refined and drawn on, as where a limb is missing."""
    for _ in range(MOST_GROWTH):
        before = fill.area()
        fill = step(fill)
        if fill.area() < GROWS * before:
            break
        fill = fill.remeshed()
    return fill
