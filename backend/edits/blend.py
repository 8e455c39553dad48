"""Blending two scans: the second is registered to the first, and every share between the two is a solid.

Where the scans have the same parts a smooth warp takes one to the other, there and back, so that parts move instead of
fading out in one place and in at another; what the warp leaves is mixed as signed distance, which also carries changes
of topology. A blend goes both ways at once, or, to keep the topology, one after the other.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ErrorCode, OmomiError, refuse
from ..geometry.phase_diagram import phase_picture
from ..geometry.topology import Betti, describe, topology_change
from ..geometry.topology_sweep import Solid, refine, sweep
from ..protocol.requests import EditTarget
from ..registration.icp import NORMAL_REACH, Matcher, Surface, register, register_nearby
from ..registration.similarity import Similarity
from ..registration.warp import Bumps, Ridge, Warp, kernel, match_warp, mismatch, spread_points
from .blend_solid import Mix
from .fitted_scan import EditableMesh, FittedScan, OnProgress
from .remesh import remesh_resolution

POINTS, FEW = 20_000, 4000
UNLIKE = 0.15
"""Scans whose surfaces stay farther apart than this (sizes) have nothing in common that could be blended."""
RIVAL, OTHER_SHAPE = 1.15, 2.0
"""Another pose is as good as the best one up to this factor of its residual; what it makes of the second scan is
another shape where it lies farther from what the best pose makes of it than this factor of the residual."""
LEAST_RESIDUAL = 0.02
"""Surfaces that lie on one another are apart by up to this much (sizes): it is how finely they are sampled."""
RADII, STIFFNESS, WARP_POINTS = (0.5, 0.25, 0.12), 0.03, 2500
INVERSE_STIFFNESS = 0.01
REACH, LEAST_REACH = 4.0, 0.03
"""Matches this many times farther than the median one are doubted, and none nearer than that (sizes)."""
LATTICE = 4
"""Steps along either way in the search for a path that keeps the topology."""
CHECKED = 3
"""Places that are looked at within each of these steps."""
LEAST_ROWS, FINENESS = 16, 1 / 64
"""Of a sweep: steps at least, and how exactly changes are found."""
SEARCHED = 96
"""Voxels along the canonical cube in that search."""

Place = tuple[float, float]
"""How far the first scan has gone, and the second's share in the distances (see `mixing.Mix`)."""


@dataclass(frozen=True)
class Blend:
    """The solids between two scans, in the first one's canonical frame.

    first: the scan whose frame and units that is; into_first: from the second scan's canonical frame; residual: mean
    distance of the surfaces after that (sizes of the first); path: the places that a share from 0 to 1 passes, in equal
    steps; keeps: whether all along it the topology is that of both ends, None where that was not asked for.
    """

    first: FittedScan
    mix: Mix
    into_first: Similarity
    residual: float
    path: tuple[Place, ...] = ((0.0, 0.0), (1.0, 1.0))
    keeps: bool | None = None

    def place(self, share: float) -> Place:
        """Raises OmomiError(BAD_OPTION) for a share that is not between 0 and 1."""
        # written so that NaN fails too
        if not 0 <= share <= 1:
            refuse(f"the share of a blend lies between 0 and 1, not at {share:g}")
        at = np.linspace(0, 1, len(self.path))
        gone, mixed = (float(np.interp(share, at, axis)) for axis in zip(*self.path, strict=True))
        return gone, mixed

    def mesh(self, share: float) -> EditableMesh:
        """The mesh at a share: the first scan's own at 0, bit for bit, the second's at 1, and a closed one between."""
        place = self.place(share)
        if share in (0, 1):
            return (self.mix.first, self.mix.second)[int(share)]
        return self.mix.surface(*place, remesh_resolution(self.first.level))

    def world(self, share: float) -> tuple[NDArray[np.float64], NDArray[np.int32], NDArray[np.float64]]:
        """Vertices (n, 3), faces (m, 3) and sigma (n,) at a share, in the first scan's world."""
        mesh = self.mesh(share)
        # there and back again would cost the last bits
        frame = self.first.scan.frame
        vertices = self.first.world(EditTarget.FIT) if share == 0 else frame.to_world(mesh.vertices)
        return vertices, mesh.faces, mesh.sigma / frame.scale

    @property
    def summary(self) -> dict[str, Any]:
        """What an artist is told: {"residual", "scale", "keeps_topology": None where not asked for, "warnings"}."""
        said = "No path was found that keeps the topology: the blend takes the straight one."
        return {
            "residual": self.residual,
            "scale": self.into_first.scale,
            "keeps_topology": self.keeps,
            "warnings": [said] if self.keeps is False else [],
        }

    def change(self, share: float) -> dict[str, Any]:
        """The topology of the first scan and at a share, see `topology_change`; unstable: it depends on the grid."""
        solid = self.solid
        before, after = solid.betti(0.0), solid.betti(share)
        changes = [np.subtract(after, before), np.subtract(solid.other(share), solid.other(0.0))]
        return topology_change(before, after, bool((changes[0] != changes[1]).any()))

    @property
    def solid(self) -> Solid:
        """For sweeps over the share. The check joins voxels the other way: where that changes otherwise than the
        topology does, it says so as if it were a matter of tunnels."""

        @cache
        def read(share: float) -> tuple[Betti, tuple[int, int]]:
            place = self.place(share)
            return self.mix.betti(*place), self.mix.eulers(*place)

        def other(share: float) -> Betti:
            (betti, here), (_, start) = read(share), read(0.0)
            odd = (here[1] - start[1]) - (here[0] - start[0])
            return Betti(betti.b0, betti.b1 - odd, betti.b2)

        return Solid(lambda share: read(share)[0], other)

    def guarded(self, on_progress: OnProgress) -> Blend:
        """The same blend along a path that keeps the topology, where one is found; on_progress may raise."""
        path = _keeping_path(self.mix, on_progress)
        return replace(self, path=path or self.path, keeps=path is not None)


def blend(first: FittedScan, second: FittedScan, on_progress: OnProgress, guarded: bool = False) -> Blend:
    """Bring ``second`` to ``first``; on_progress may raise.

    guarded: take a path that keeps the topology, where there is one. Raises OmomiError: NOT_REGISTERED where the scans
    have nothing in common; AMBIGUOUS_POSE where they fit in several poses that make different shapes of the second;
    NOT_A_MESH.
    """
    for each in (first, second):
        each.need_inside("a blend needs")
    meshes = first.mesh(EditTarget.FIT), second.mesh(EditTarget.FIT)
    if not all(mesh.closed and len(mesh.faces) for mesh in meshes):
        refuse("only closed surfaces can be blended: fit both scans first", ErrorCode.NOT_A_MESH)
    on_progress(0.05, "registering")
    here, there = (Surface(mesh.vertices, mesh.normals).thinned(POINTS) for mesh in meshes)
    into_first, residual = _registered(there, here, f"{second.scan.name} and {first.scan.name}")
    there = there.moved(into_first)
    on_progress(0.2, "matching")
    warp = _warp(here, there)
    back = _inverse(warp, here.thinned(FEW).points)
    moved = meshes[1]
    moved = EditableMesh(into_first.points(moved.vertices), moved.faces, moved.sigma * into_first.scale)
    on_progress(0.3, "matching")
    ways = warp.displacement(meshes[0].vertices), back.displacement(moved.vertices)
    found = Blend(first, Mix(meshes[0], moved, ways), into_first, residual)
    if guarded:
        found = found.guarded(lambda done, text: on_progress(0.4 + 0.6 * done, text))
    return found


def sweep_blend(blend: Blend, steps: int, title: str, on_progress: OnProgress) -> dict[str, Any]:
    """The topology from one scan to the other, in at least ``steps`` steps; on_progress may raise.

    {"transitions": [{"share", "change"}], "unstable": shares, "rows": [{"share", "b0", "b1", "b2"}], "safe": shares
    with the topology of the first scan, "picture": SVG}.
    """
    rows, looks = max(steps, LEAST_ROWS), itertools.count()

    def look() -> None:
        number = next(looks)
        on_progress(number / (number + rows), "following the topology")

    solid = blend.solid.watched(look)
    found = refine(solid, sweep(solid, 0.0, 1.0, rows, check=True), FINENESS)
    assert found.unstable is not None
    safe = found.safe_interval(0.0)
    picture = phase_picture(found.strengths, found.betti, safe, found.unstable, title, at=None)
    return {
        "safe": list(safe),
        "transitions": [
            {"share": turn.strength, "change": describe(turn.before, turn.after)} for turn in found.transitions
        ],
        "unstable": found.strengths[found.unstable].tolist(),
        "rows": [{"share": share, **found.at(row)._asdict()} for row, share in enumerate(found.strengths.tolist())],
        "picture": picture.decode(),
    }


def _registered(source: Surface, target: Surface, names: str) -> tuple[Similarity, float]:
    """The pose of the source, and the residual. That in which it stands is taken before others that are as good."""
    found = register(source, target)
    poses = [register_nearby(source, target), found.transform, *(pose for pose, _ in found.rivals)]
    residuals = [apart(source.moved(pose), target) for pose in poses]
    best = min(residuals)
    if best > UNLIKE:
        raise OmomiError(ErrorCode.NOT_REGISTERED, f"{names} do not look alike: there is nothing to blend along.")
    limit = RIVAL * max(best, LEAST_RESIDUAL)
    good = [(pose, residual) for pose, residual in zip(poses, residuals, strict=True) if residual <= limit]
    if residuals[0] > limit:
        one = source.moved(good[0][0])
        if any(apart(source.moved(pose), one) > OTHER_SHAPE * limit for pose, _ in good[1:]):
            sentence = f"{names} fit in more than one pose: turn one the way the other stands."
            raise OmomiError(ErrorCode.AMBIGUOUS_POSE, sentence)
    return good[0]


def apart(one: Surface, other: Surface) -> float:
    """Mean distance of two surfaces, both ways, in sizes of the second."""
    one, other = one.thinned(FEW), other.thinned(FEW)
    ways = ((one, other), (other, one))
    return float(np.mean([mismatch(a, Matcher(b, NORMAL_REACH * other.size)).mean() for a, b in ways])) / other.size


def _warp(first: Surface, second: Surface) -> Warp:
    """Warp of the first surface onto the second."""
    size = second.size
    matcher = Matcher(second, NORMAL_REACH * size)
    reach = max(REACH * float(np.median(mismatch(first.thinned(FEW), matcher))), LEAST_REACH * size)
    radii = [radius * size for radius in RADII]
    return match_warp(first, matcher, radii, reach=reach, stiffness=STIFFNESS, points=WARP_POINTS)


def _inverse(warp: Warp, points: NDArray) -> Warp:
    """The warp that brings warped points (n, 3) back: parts meet half way only if both scans go the same way."""
    there = warp(points)
    inverse = Warp()
    for bumps in warp.layers:
        left = points - inverse(there)
        centres = there[spread_points(there, bumps.radius)]
        values, penalty = kernel(there, centres, bumps.radius), kernel(centres, centres, bumps.radius)
        ridge = Ridge.of(values, INVERSE_STIFFNESS * len(there) / len(centres) * penalty)
        inverse = Warp((*inverse.layers, Bumps(centres, ridge.gains(left), bumps.radius)))
    return inverse


def _keeping_path(mix: Mix, on_progress: OnProgress) -> tuple[Place, ...] | None:
    """A path from (0, 0) to (1, 1) on a lattice of places all of which have the topology of the ends.

    The straight path is tried first, then all others that never go back.
    """
    known: dict[Place, Betti] = {}

    def keeps(place: Place) -> bool:
        if place not in known:
            on_progress(len(known) / (len(known) + 20), "looking for a path that keeps the topology")
            known[place] = mix.betti(*place, SEARCHED)
        return known[place] == known[0.0, 0.0]

    if not (keeps((0.0, 0.0)) and keeps((1.0, 1.0))):
        return None
    dead: set[tuple[int, int]] = set()

    def walk(i: int, j: int) -> tuple[Place, ...] | None:
        """The rest of a path, from this node of the lattice on."""
        if (i, j) == (LATTICE, LATTICE):
            return ((1.0, 1.0),)
        nearer_diagonal = sorted(((1, 1), (1, 0), (0, 1)), key=lambda step: abs(i + step[0] - j - step[1]))
        for di, dj in nearer_diagonal:
            end = i + di, j + dj
            between = (
                ((i + di * step / CHECKED) / LATTICE, (j + dj * step / CHECKED) / LATTICE)
                for step in range(1, CHECKED + 1)
            )
            if max(end) <= LATTICE and end not in dead and all(map(keeps, between)) and (rest := walk(*end)):
                return ((i / LATTICE, j / LATTICE), *rest)
        dead.add((i, j))
        return None

    return walk(0, 0)
