"""How far a slider can go before the surface first meets itself, foretold from the walls that face each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from .displacement import MOVED

POINTS = 15_000
"""Points of the surface through which it is seen."""
SEARCHES = ((0.4, 15_000), (1.0, 4_000))
"""Parts of the reach within which walls are looked for, and from how many points: small tunnels and hollows are seen
from few of them, and large balls cost more."""
ROUNDS = 12
"""Of shrinking a ball until no point of the surface lies in it."""
OPPOSITE, SAME = -0.3, 0.5
"""Cosines between the normals of walls that can meet (those of a tunnel with three sides are 120 degrees apart), and of
points on one wall."""
CLEAR = 1.2
"""Balls that shrink by less than this factor after touching a wall did so for the roughness of the mesh."""
AROUND = 0.35
"""Where the walls come together first, others that come together later lie all around; at a sharp rim, where a wall
ends in nothing, they lie on one side, with their middle this share of their distance away."""
NEIGHBOURS = 24
CANDIDATES = 400


@dataclass(frozen=True)
class CollisionMargin:
    """margin: strengths around 0 between which no walls meet, the ends of the range where none meet within it.
    mismatch: how far the walls that meet first have slid past each other by then, over the distance that they had: at 0
    they meet head on, from 1 the margin is a guess. None where no walls meet."""

    margin: tuple[float, float]
    mismatch: float | None


def collision_margin(vertices: NDArray, normals: NDArray, move: NDArray, low: float, high: float) -> CollisionMargin:
    """What to expect of vertices + strength * move for strengths ``low`` <= 0 to ``high`` >= 0, without a sweep.

    vertices, unit normals and move (n, 3), canonical. Pairs of points whose walls face each other, through the solid or
    across a gap, approach one another at their own speed; the first pair to meet ends the margin. Raises ValueError for
    a range without 0.
    """
    if not (np.isfinite([low, high]).all() and low <= 0 <= high):
        raise ValueError(f"the strengths {low} .. {high} must be finite and hold 0")
    length = np.linalg.norm(move, axis=1)
    reach = 2 * float(length.max(initial=0.0)) * max(-low, high)
    if reach == 0:
        return CollisionMargin((low, high), None)
    rng = np.random.default_rng(0)
    usable = np.flatnonzero(np.isfinite(vertices).all(axis=1) & (np.abs(normals).sum(axis=1) > 0))
    seen = rng.permutation(usable)[:POINTS]
    moving = usable[length[usable] > MOVED * length.max()]
    tree = KDTree(vertices[seen])
    starts = rng.permutation(moving)
    pairs = [
        (*_facing(tree, seen, vertices, normals, starts[:count], way, part * reach), way)
        for part, count in SEARCHES
        for way in (-1.0, 1.0)
    ]
    first, other = (np.concatenate([pair[k] for pair in pairs]) for k in (0, 1))
    sides = np.concatenate([np.full(len(pair[0]), pair[2]) for pair in pairs])
    apart = vertices[other] - vertices[first]
    closing = ((move[first] - move[other]) * apart).sum(axis=1)
    # never, for walls that keep their distance
    when = np.divide((apart**2).sum(axis=1), closing, out=np.full(len(closing), np.inf), where=closing != 0)
    ends, slides = [], []
    for limit in (low, high):
        meets = np.flatnonzero((when > 0) & (when <= limit) | (when < 0) & (when >= limit))
        earliest = _first(np.abs(when[meets]), vertices[first[meets]], normals[first[meets]] * sides[meets, None])
        if earliest is None:
            ends.append(limit)
            continue
        row = meets[earliest]
        there = apart[row] + when[row] * (move[other[row]] - move[first[row]])
        ends.append(float(when[row]))
        slides.append(float(np.linalg.norm(there) / np.linalg.norm(apart[row])))
    return CollisionMargin((ends[0], ends[1]), max(slides, default=None))


def _facing(
    tree: KDTree,
    seen: NDArray[np.intp],
    vertices: NDArray,
    normals: NDArray,
    start: NDArray[np.intp],
    way: float,
    reach: float,
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pairs of vertices whose walls face each other within ``reach``: the largest balls that touch the surface at the
    vertices ``start``, inside for ``way`` -1 and outside for 1, and the vertex that each touches as well."""
    at, along = vertices[start], way * normals[start]
    radius = np.full(len(start), reach / 2)
    touched, reached = np.full(len(start), -1, np.intp), np.zeros(len(start))
    active = np.arange(len(start))
    for _ in range(ROUNDS):
        centres = at[active] + radius[active, None] * along[active]
        distance, nearest = (np.asarray(column) for column in tree.query(centres))
        inside = distance < radius[active] * (1 - 1e-6)
        active, found = active[inside], seen[nearest[inside]]
        offset = vertices[found] - at[active]
        ahead = (offset * along[active]).sum(axis=1)
        alike = (normals[found] * normals[start[active]]).sum(axis=1)
        across = (ahead > 0) & (alike < SAME)
        active, found, offset, ahead = active[across], found[across], offset[across], ahead[across]
        radius[active] = (offset**2).sum(axis=1) / (2 * ahead)
        opposite = alike[across] < OPPOSITE
        touched[active[opposite]], reached[active[opposite]] = found[opposite], radius[active[opposite]]
        if not len(active):
            break
    # a wall that stands between the two hides them from each other
    met = (touched >= 0) & (reached <= CLEAR * radius)
    return start[met], touched[met]


def _first(when: NDArray, points: NDArray, normals: NDArray) -> int | None:
    """The first of the meetings that is one: those of its neighbours on its own wall are later, and all around."""
    if len(when) < 3:
        return None
    tree = KDTree(points)
    count = min(NEIGHBOURS, len(points))
    rows = np.argsort(when)[:CANDIDATES]
    distance, near = (np.asarray(found) for found in tree.query(points[rows], count))
    same = (normals[near] * normals[rows][:, None]).sum(axis=2) > 0.5
    number = same.sum(axis=1)
    middle = (points[near] * same[..., None]).sum(axis=1) / number[:, None] - points[rows]
    size = (distance * same).sum(axis=1) / number
    around = (number >= 3) & (np.linalg.norm(middle, axis=1) <= AROUND * size)
    found = np.flatnonzero(around)
    return int(rows[found[0]]) if len(found) else None
