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
from ..formats.raw_scan import RawScan
from ..geometry.crossings import crossed
from ..prior.counterpart import MirrorSource
from ..prior.fitted_surface import FitAround, FittedSurface
from ..protocol.requests import Close
from ..scan.hole_fill import HoleFill, SurfaceNear, Targets
from ..scan.holes import OUTER, Hole, MeshHoles, find_holes

STIFFNESS = ((0.1, 0.025), (0.35, 0.05), (0.6, 0.2), (0.8, 0.25), (0.9, 0.6), (0.97, 2.0))
"""Tangent score of a hole, and the size of details of the fit that its plate smooths away, in radii. Chosen on 257
holes cut out of the validation scans: the fit wins where the surface turns, the plate where it runs straight on."""
STIFFNESS_OF_MIRROR = 0.05
"""The same for a counterpart, which has the scan's own detail."""
MOST_MISFIT = 0.12
"""Offset of a counterpart or of the fit at the loop, in radii, above which it is not believed."""
RUNS_ON = 0.97
"""Tangent score above which a plate alone is taken."""
DOME = 1.25
"""Area of a plate, in those of the membrane, above which it stands out as on a limb that was cut off: then a fit that
is smaller is not believed. Chosen on 155 holes cut out of the validation scans: the mean error falls by 3 per cent."""
SMALLEST = 0.02
"""Radius, in longest sides, below which neither the fit nor a counterpart knows more than the plate: two voxels."""
TOLERATED = 0.03
"""Folded edges for each new face up to which a better fill is preferred to a plainer one, where all of them fold."""
MOST_GROWTH = 6
GROWS = 1.1
"""A fill that is larger by this factor once it was drawn to a surface is refined and drawn again, up to MOST_GROWTH
times, as long as it comes nearer to that surface."""
ISLAND = 0.5
"""Of an island's vertices at least this share lie as near to a fill as its own radius."""


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


@dataclass
class _Prior:
    """What is known beyond the surroundings of the holes that are closed; made when it is first asked for."""

    found: MeshHoles
    holes: Sequence[Hole]
    fit: FitAround
    why_not: str = ""  # a sentence where the mesh cannot be fitted

    @cached_property
    def surface(self) -> FittedSurface | None:
        try:
            return FittedSurface(self.found, self.holes, self.fit)
        except OmomiError as error:
            if error.code in (ErrorCode.CANCELLED, ErrorCode.MODEL_MISSING, ErrorCode.DEVICE_UNAVAILABLE):
                raise
            self.why_not = error.message
            return None

    @cached_property
    def mirror(self) -> MirrorSource | None:
        planes = [] if self.surface is None else self.surface.planes()
        return MirrorSource.of(self.found, planes) if planes else None


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

    fit: called only where a hole needs it, and once. numbers: of the holes, openings too if they are named; None for
    all holes. smaller: of those that are not named only these of a smaller radius, world units. Raises OmomiError:
    NOT_A_MESH for points without faces, BAD_OPTION for a number that no hole has, and those of ``fit`` where there is
    no model.
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
        # what is named is wanted, whatever it is
        return "" if hole.number in numbers else "-"
    if not hole.is_hole:
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
    way, said = FillWay.FACES, []
    if fill.free.any():
        tried: list[tuple[FillWay, HoleFill, int]] = []
        for name, other in _ways(fill, hole, close, prior):
            other = other.unfolded()
            tried.append((name, other, other.folds()))
            if not tried[-1][2]:
                break
        way, fill, folds = min(tried, key=lambda one: _rank(one[1], one[2]))
        said = _said(hole, way, folds, _crossings(fill, hole, found), close)
    said += _islands(fill, hole, found)
    held = len(fill.vertices) - int(fill.free.sum())
    # the loop's vertices are the mesh's own, whatever stands for them in the welded mesh
    number = np.full(len(fill.vertices), -1)
    number[fill.loop] = hole.loop
    number[held:] = len(found.mesh.place) + np.arange(len(fill.vertices) - held)
    return ClosedHole(hole, way, " ".join(said), fill.vertices[held:], number[fill.faces])


def _ways(fill: HoleFill, hole: Hole, close: Close, prior: _Prior) -> Iterator[tuple[FillWay, HoleFill]]:
    """Fills of a hole, the best first, each made when the one before it folds."""
    if close is not Close.FLAT:
        smooth = fill.smooth()
        if _known(hole, close) and prior.surface is not None:
            limb = close is Close.AUTO and smooth.area() > DOME * fill.area()
            # the plate stands off the membrane that it was triangulated on
            for way, drawn in _drawn(smooth.remeshed(), hole, prior):
                # the fit closes limbs that were cut off flatter
                if way is FillWay.MIRROR or not limb or drawn.area() >= smooth.area():
                    yield way, drawn
        yield FillWay.SMOOTH, smooth
    yield FillWay.FLAT, fill
    if (plain := fill.plain()) is not None:
        yield FillWay.FACES, plain


def _drawn(smooth: HoleFill, hole: Hole, prior: _Prior) -> Iterator[tuple[FillWay, HoleFill]]:
    """The plate drawn to a counterpart and to the fit, then to the fit alone."""
    assert prior.surface is not None
    counterpart = None if prior.mirror is None else prior.mirror.counterpart(hole)
    for way, surface in ((FillWay.MIRROR, counterpart), (FillWay.MODEL, prior.surface)):
        if surface is None:
            continue
        targets = smooth.targets(surface, hole.radius)
        if targets.misfit <= MOST_MISFIT * hole.radius and targets.known.any():
            yield way, _grown(smooth, targets, hole, surface, prior.surface)


def _grown(fill: HoleFill, targets: Targets, hole: Hole, surface: SurfaceNear, fitted: FittedSurface) -> HoleFill:
    """A fill drawn to its targets on a surface; as long as it grows much and comes nearer to the surface, it is refined
    and drawn on, as where a limb is missing."""
    for _ in range(MOST_GROWTH):
        drawn = _towards(fill, targets, hole, surface, fitted)
        grows = drawn.area() >= GROWS * fill.area()
        if grows and drawn.targets(surface, hole.radius).apart >= targets.apart:
            # it wanders off instead
            return fill
        if not grows:
            # from nearby, places on either side of a ridge are told apart
            return _towards(drawn, drawn.targets(surface, hole.radius), hole, surface, fitted)
        fill = drawn.remeshed()
        targets = fill.targets(surface, hole.radius)
    return fill


def _towards(fill: HoleFill, targets: Targets, hole: Hole, surface: SurfaceNear, fitted: FittedSurface) -> HoleFill:
    """A fill drawn to its targets; where a counterpart has none, to the fit."""
    tangent, stiffness = zip(*STIFFNESS, strict=True)
    of_fit = float(np.exp(np.interp(hole.tangent, tangent, np.log(stiffness))))
    own = of_fit if surface is fitted else STIFFNESS_OF_MIRROR
    places, stiff = targets.places, np.where(targets.known, own * hole.radius, np.inf)
    if surface is not fitted and not targets.known[fill.free].all():
        other = fill.targets(fitted, hole.radius)
        instead = other.known & ~targets.known
        places = np.where(instead[:, None], other.places, places)
        stiff = np.where(instead, of_fit * hole.radius, stiff)
    return fill.drawn(places, stiff)


def _crossings(fill: HoleFill, hole: Hole, found: MeshHoles) -> int:
    """How many faces of the mesh near a fill it cuts through; those at its border do not count."""
    mesh, new = found.mesh, fill.vertices[fill.faces]
    middle = new.mean(axis=(0, 1))
    reach = float(np.linalg.norm(new.reshape(-1, 3) - middle, axis=1).max())
    near = found.around.rings(np.array(found.tree.query_ball_point(middle, reach), np.int64), 1)
    near = near[~np.isin(mesh.faces[near], hole.places).any(axis=1)]
    return int(crossed(mesh.vertices[mesh.faces[near]], new).sum())


def _rank(fill: HoleFill, folds: int) -> float:
    """0 for a fill without folds. Rims of thin walls fold whatever closes them: then some are as good as none at all,
    and of equals the first is taken."""
    share = folds / len(fill.faces)
    return 0.0 if not share else TOLERATED if share <= TOLERATED and fill.free.any() else share + TOLERATED


def _said(hole: Hole, way: FillWay, folds: int, cut: int, close: Close) -> list[str]:
    """What is to be said of a fill with so many folded edges that cuts so many faces."""
    said, closed = [], f"Hole {hole.number} is closed, but its fill"
    if folds:
        said.append(f"{closed} folds back on itself or the mesh at {folds} edges.")
    if cut:
        said.append(f"{closed} cuts through {cut} faces of the mesh.")
    wanted = {Close.FLAT: FillWay.FLAT, Close.SMOOTH: FillWay.SMOOTH}.get(close)
    if wanted is not None and way != wanted:
        said.append(f"Hole {hole.number} is closed {_HOW[way]}: a {wanted} fill would fold.")
    return said


_HOW = {FillWay.FLAT: "flat", FillWay.SMOOTH: "smoothly", FillWay.FACES: "without new vertices"}


def _islands(fill: HoleFill, hole: Hole, found: MeshHoles) -> list[str]:
    """A sentence on the pieces of mesh that lie inside a hole: no fill joins them."""
    others = [one for one in found.holes if one.tangent <= OUTER and one.radius < hole.radius]
    others = [one for one in others if float(np.linalg.norm(one.centre - hole.centre)) < 2 * hole.radius]
    if not others:
        return []
    tree = KDTree(fill.vertices[fill.faces].mean(axis=1))
    inside = [
        str(one.number) for one in others
        if (tree.query(found.mesh.vertices[one.places])[0] < one.radius).mean() >= ISLAND
    ]  # fmt: skip
    if not inside:
        return []
    return [f"Hole {hole.number} has a piece of mesh inside it that the fill does not join: loop {', '.join(inside)}."]
