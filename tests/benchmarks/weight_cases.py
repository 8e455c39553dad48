"""Families of solids with known parts, and edits that put something on them, take it off, open it or close it.

Signed distances, numpy functions of points (n, 3) in the unit ball; the longest side of a family is the same for all
members, so that what an edit makes has one size. Members stand in any pose and scale; each scan of one has its own
meshing and noise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from backend.field.bricks import BRICK
from backend.formats.raw_scan import RawScan
from backend.scan.prepare import Frame
from tests.benchmarks.families import Distance, filleted, meshed, near_surface, voxels_of

SPREAD = 0.1
"""Proportions of members differ by up to this share from those of the family."""
NOISE = 0.0015
"""Standard deviation of the vertices, in longest sides."""
RESOLUTIONS = (128, 136, 144, 152, 160)
AWAY = (0.1, 0.3)
"""How far a part sits elsewhere, in longest sides."""
PLATE, BRACKET = 0.75, 0.65
"""Half the longest side of these families."""
Solids = tuple[Distance, Distance]
"""Before and after an edit."""


@dataclass(frozen=True)
class Edited:
    """A member of a family before and after an edit: scans in world units, and what they are scans of."""

    before: RawScan
    after: RawScan
    solids: Solids
    turn: np.ndarray  # (3, 3), from the members' own frame
    scale: float  # world units
    offset: np.ndarray  # (3,) world units

    def inside(self, frame: Frame, resolution: int) -> tuple[np.ndarray, np.ndarray]:
        """Which voxels (n, n, n) of the canonical cube the solid encloses before and after."""
        before, after = (self._inside(solid, frame, resolution) for solid in self.solids)
        return before, after

    def _inside(self, solid: Distance, frame: Frame, resolution: int) -> np.ndarray:
        def canonical(points: np.ndarray) -> np.ndarray:
            return solid((frame.to_world(points) - self.offset) / self.scale @ self.turn) * (self.scale * frame.scale)

        low, voxel, count = np.full(3, -1.0), 2 / resolution, resolution // BRICK
        near, found = near_surface(canonical, low, voxel, count)
        blocks = np.broadcast_to(found[..., None, None, None], (*found.shape, BRICK, BRICK, BRICK)).copy()
        blocks[near] = (canonical(voxels_of(np.argwhere(near), low, voxel)) < 0).reshape(-1, BRICK, BRICK, BRICK)
        return blocks.transpose(0, 3, 1, 4, 2, 5).reshape((resolution,) * 3)


def edited_member(edit: str, seed: int, elsewhere: bool = False, example: bool = False) -> Edited:
    """A member of the family of an edit of EDITS or REPEATED; everything random follows the arguments. elsewhere: the
    part is not where it is on the others, for an edit of ELSEWHERE; example: only the first of the parts is edited, for
    an edit of REPEATED."""
    rng = np.random.default_rng([seed, int(elsewhere), *edit.encode()])
    solids = REPEATED[edit](rng, example) if edit in REPEATED else EDITS[edit](rng, elsewhere)
    turn = Rotation.random(rng=rng).as_matrix()
    scale, offset = float(10 ** rng.uniform(-1, 2)), rng.normal(size=3)
    # no two scans of a member have the same grid
    resolutions = rng.permutation(RESOLUTIONS)[:2]
    scans = []
    for solid, resolution, name in zip(solids, resolutions, ("before", "after"), strict=True):
        mesh = meshed(solid, turn, int(resolution), rng.uniform(-0.5, 0.5, 3))
        vertices = np.asarray(mesh.vertices)
        vertices = vertices + rng.normal(0, NOISE * np.ptp(vertices, axis=0).max(), vertices.shape)
        scans.append(RawScan(scale * (vertices + offset), mesh.faces, name=f"{edit} {seed} {name}"))
    return Edited(scans[0], scans[1], solids, turn, scale, scale * offset)


def _box(p: np.ndarray, centre: tuple[float, ...], half: tuple[float, ...], rounding: float = 0.02) -> np.ndarray:
    q = np.abs(p - np.array(centre)) - np.array(half) + rounding
    return np.linalg.norm(np.maximum(q, 0), axis=1) + np.minimum(q.max(axis=1), 0) - rounding


def _cylinder(p: np.ndarray, centre: tuple[float, ...], radius: float, half: float, axis: int = 2) -> np.ndarray:
    """half: of its length."""
    q = p - np.array(centre)
    across = [other for other in range(3) if other != axis]
    rim = np.stack([np.hypot(*q[:, across].T) - radius, np.abs(q[:, axis]) - half], axis=1)
    return np.linalg.norm(np.maximum(rim, 0), axis=1) + np.minimum(rim.max(axis=1), 0)


def _capsule(p: np.ndarray, start: tuple[float, ...], end: tuple[float, ...], radii: tuple[float, float]) -> np.ndarray:
    """A rod that tapers from one radius to the other."""
    way = np.subtract(end, start)
    share = np.clip((p - np.array(start)) @ way / (way @ way), 0, 1)
    return np.linalg.norm(p - np.array(start) - share[:, None] * way, axis=1) - radii[0] - share * (radii[1] - radii[0])


def _without(solid: np.ndarray, taken: np.ndarray) -> np.ndarray:
    return np.maximum(solid, -taken)


def _about(rng: np.random.Generator, *values: float) -> list[float]:
    """The proportions of a member."""
    return [value * rng.uniform(1 - SPREAD, 1 + SPREAD) for value in values]


def _shifted(
    rng: np.random.Generator, at: tuple[float, float], side: float, free: Callable[[float, float], bool]
) -> tuple[float, float]:
    """A place AWAY from ``at`` in a plane, where there is room for the part."""
    while True:
        length, angle = rng.uniform(*AWAY) * side, rng.uniform(0, 2 * np.pi)
        x, y = at[0] + length * np.cos(angle), at[1] + length * np.sin(angle)
        if free(x, y):
            return float(x), float(y)


def _plate(rng: np.random.Generator, elsewhere: bool, kind: str) -> Solids:
    """A plate with a knob in a corner, which tells its pose, with or without a boss and a hole through it."""
    depth, thick = _about(rng, 0.5, 0.12)
    x, y = 0.3, 0.0
    if elsewhere:
        knob = np.array([0.12 - PLATE, depth - 0.12])

        def free(x: float, y: float) -> bool:
            apart = np.hypot(*(knob - (x, y))) > 0.4
            return bool(abs(x) < PLATE - 0.22 and abs(y) < depth - 0.22 and apart)

        x, y = _shifted(rng, (x, y), 2 * PLATE, free)

    def plain(p: np.ndarray) -> np.ndarray:
        plate = _box(p, (0, 0, 0), (PLATE, depth, thick), 0.03)
        return np.minimum(plate, _box(p, (0.12 - PLATE, depth - 0.12, thick + 0.12), (0.1, 0.1, 0.16)))

    def boss(p: np.ndarray) -> np.ndarray:
        return filleted(plain(p), _cylinder(p, (x, y, thick + 0.1), 0.16, 0.16), 0.04)

    def drilled(solid: Distance, radius: float) -> Distance:
        return lambda p: _without(solid(p), np.hypot(p[:, 0] - x, p[:, 1] - y) - radius)

    kinds = {
        "drill": (plain, drilled(plain, 0.15)),
        "boss": (plain, boss),
        "bore": (boss, drilled(boss, 0.08)),
        "cut boss": (boss, plain),
    }
    return kinds[kind]


def _animal(rng: np.random.Generator, _: bool, kind: str) -> Solids:
    """A body on four legs with a head and a tail."""
    belly, width, height, head = _about(rng, 0.2, 0.13, 0.55, 0.17)

    def plain(p: np.ndarray) -> np.ndarray:
        solid = _capsule(p, (-0.4, 0, 0), (0.3, 0, 0), (belly, 0.9 * belly))
        solid = filleted(solid, np.linalg.norm(p - (0.5, 0, 0.22), axis=1) - head, 0.08)
        for x in (-0.4, 0.3):
            leg = np.stack([p[:, 0], np.abs(p[:, 1]), p[:, 2]], axis=1)
            solid = filleted(solid, _capsule(leg, (x, width, 0), (x, width, -height), (0.08, 0.06)), 0.04)
        return solid

    def tailed(p: np.ndarray) -> np.ndarray:
        return filleted(plain(p), _capsule(p, (-0.5, 0, 0.08), (-0.8, 0, 0.25), (0.07, 0.05)), 0.04)

    def horned(p: np.ndarray) -> np.ndarray:
        # the same horn on every head
        top = 0.22 + head
        return filleted(tailed(p), _capsule(p, (0.52, 0, top - 0.09), (0.58, 0, top + 0.23), (0.08, 0.035)), 0.03)

    return (tailed, horned) if kind == "horn" else (tailed, plain)


def _mug(rng: np.random.Generator, _: bool, kind: str) -> Solids:
    radius, wall, reach = _about(rng, 0.48, 0.08, 0.26)
    height = 0.72

    def mug(tube: float) -> Distance:
        def distance(p: np.ndarray) -> np.ndarray:
            body = _cylinder(p, (0, 0, 0), radius, height)
            if tube:
                ring = np.hypot(p[:, 0] - radius, p[:, 2]) - reach
                body = filleted(body, np.hypot(ring, p[:, 1]) - tube, 0.04)
            return _without(body, _cylinder(p, (0, 0, wall), radius - wall, height))

        return distance

    return (mug(0.06), mug(0.1)) if kind == "thicken" else (mug(0.07), mug(0.0))


def _bracket(rng: np.random.Generator, elsewhere: bool) -> Solids:
    """The hole in the upright plate of an L is filled."""
    width, thick, rise = _about(rng, 0.42, 0.075, 0.5)
    x, z = 0.0, 0.0
    if elsewhere:
        top = 2 * rise - 0.5
        x, z = _shifted(rng, (x, z), 2 * BRACKET, lambda x, z: abs(x) < width - 0.18 and -0.25 < z < top - 0.18)

    def filled(p: np.ndarray) -> np.ndarray:
        foot = _box(p, (0, 0, -0.5), (width, BRACKET, thick))
        solid = filleted(foot, _box(p, (0, thick - BRACKET, rise - 0.5), (width, thick, rise)), 0.04)
        return _without(solid, np.hypot(np.abs(p[:, 0]) - 0.22, p[:, 1] - 0.35) - 0.07)

    def holed(p: np.ndarray) -> np.ndarray:
        return _without(filled(p), _cylinder(p, (x, thick - BRACKET, z), 0.13, 0.2, axis=1))

    return holed, filled


def _chair(rng: np.random.Generator, _: bool) -> Solids:
    """A slot in the backrest, to hold it by."""
    width, depth, legs = _about(rng, 0.4, 0.4, 0.055)

    def plain(p: np.ndarray) -> np.ndarray:
        solid = _box(p, (0, 0, -0.1), (width, depth, 0.06))
        solid = filleted(solid, _box(p, (0, depth - 0.06, 0.32), (width, 0.06, 0.44)), 0.03)
        leg = np.stack([np.abs(p[:, 0]) - width + legs, np.abs(p[:, 1]) - depth + legs, p[:, 2]], axis=1)
        return filleted(solid, _box(leg, (0, 0, -0.4), (legs, legs, 0.35)), 0.03)

    def slotted(p: np.ndarray) -> np.ndarray:
        return _without(plain(p), _box(p, (0, depth - 0.06, 0.55), (0.2, 0.2, 0.07)))

    return plain, slotted


EDITS: dict[str, Callable[[np.random.Generator, bool], Solids]] = {
    "drill": lambda rng, elsewhere: _plate(rng, elsewhere, "drill"),
    "bore": lambda rng, elsewhere: _plate(rng, elsewhere, "bore"),
    "slot": _chair,
    "boss": lambda rng, elsewhere: _plate(rng, elsewhere, "boss"),
    "horn": lambda rng, elsewhere: _animal(rng, elsewhere, "horn"),
    "cut tail": lambda rng, elsewhere: _animal(rng, elsewhere, "cut tail"),
    "cut handle": lambda rng, elsewhere: _mug(rng, elsewhere, "cut handle"),
    "cut boss": lambda rng, elsewhere: _plate(rng, elsewhere, "cut boss"),
    "fill": _bracket,
    "thicken": lambda rng, elsewhere: _mug(rng, elsewhere, "thicken"),
}
ELSEWHERE = ("bore", "cut boss", "fill")
"""Edits of a part that the scan shows before, wherever it is."""


def _bolted(rng: np.random.Generator, example: bool) -> Solids:
    """A plate with a knob in a corner and 3 to 5 bolts anywhere, which are bored through."""
    depth, thick = _about(rng, 0.5, 0.12)
    knob = np.array([0.12 - PLATE, depth - 0.12])
    bolts: list[np.ndarray] = []
    count = int(rng.integers(3, 6))
    while len(bolts) < count:
        place = rng.uniform(-1, 1, 2) * (PLATE - 0.2, depth - 0.2)
        if all(np.linalg.norm(place - other) > 0.36 for other in (knob, *bolts)):
            bolts.append(place)

    def plain(p: np.ndarray) -> np.ndarray:
        solid = np.minimum(
            _box(p, (0, 0, 0), (PLATE, depth, thick), 0.03), _box(p, (*knob, thick + 0.12), (0.1, 0.1, 0.16))
        )
        for x, y in bolts:
            solid = filleted(solid, _cylinder(p, (x, y, thick + 0.08), 0.12, 0.14), 0.03)
        return solid

    def bored(p: np.ndarray) -> np.ndarray:
        solid = plain(p)
        for x, y in bolts[:1] if example else bolts:
            solid = _without(solid, np.hypot(p[:, 0] - x, p[:, 1] - y) - 0.06)
        return solid

    return plain, bored


def _footed(rng: np.random.Generator, example: bool) -> Solids:
    """A stool with a round foot on each of its four legs."""
    width, depth, legs = _about(rng, 0.45, 0.45, 0.07)

    def plain(p: np.ndarray) -> np.ndarray:
        seat = np.minimum(_box(p, (0, 0, 0.2), (width, depth, 0.07)), _box(p, (0, depth - 0.1, 0.3), (0.1, 0.06, 0.16)))
        leg = np.stack([np.abs(p[:, 0]) - width + legs, np.abs(p[:, 1]) - depth + legs, p[:, 2]], axis=1)
        return filleted(seat, _box(leg, (0, 0, -0.25), (legs, legs, 0.45)), 0.03)

    def footed(p: np.ndarray) -> np.ndarray:
        signs = ((1, 1),) if example else ((1, 1), (1, -1), (-1, 1), (-1, -1))
        feet = [np.linalg.norm(p - (x * (width - legs), y * (depth - legs), -0.66), axis=1) for x, y in signs]
        return filleted(plain(p), np.min(feet, axis=0) - 0.14, 0.02)

    return plain, footed


REPEATED: dict[str, Callable[[np.random.Generator, bool], Solids]] = {"bolts": _bolted, "feet": _footed}
"""Edits of a part that occurs several times; an example shows one of them."""
