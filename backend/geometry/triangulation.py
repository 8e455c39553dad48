"""Triangulations of closed loops in space: of least weight, then refined to a wanted length of edges."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from .edges import edge_keys

MOST_EXACT = 200
"""Edges of a loop that the cubic table takes; of longer ones ears are cut first, which fill their teeth."""
EAR_TILTS = (0.5, 0.0)
"""Least cosine between an ear's normal and the surface's, then the loop's own."""
STRAIGHT = 3.0
"""An ear at a straight corner counts as so much longer: narrow ones are cut first, as between teeth."""
FLAT = 1e-6
"""Sine of the turn at a corner that counts as straight: its ear has no area."""
EARS_AT_ONCE = 0.3
"""Share of the corners whose ears are looked at in one round, the shortest."""
TOO_LONG = 4 / 3
"""An edge is split where it is longer than this many wanted lengths: its halves are then not too short."""
MOST_ROUNDS = 40
"""Of splitting; each halves the longest edges."""
FLIPS = 6
"""Passes of flips after each round of splitting."""


def triangulate_loop(points: NDArray, normals: NDArray | None = None) -> NDArray[np.int64]:
    """Triangles (n - 2, 3) that fill a closed loop of points (n, 3), wound as the loop runs.

    normals: (n, 3) of the surface around the loop, which the triangles should not turn away from. The least weight is
    that of Liepa, "Filling holes in meshes" (2003), with the turn as a factor of the area. The table is cubic: what is
    longer than MOST_EXACT loses ears until it is not.
    """
    points = np.asarray(points, np.float64)
    ears, left = _ears_cut(points, normals)
    return np.concatenate([*ears, left[_least_weight(points[left], None if normals is None else normals[left])]])


def _ears_cut(points: NDArray, normals: NDArray | None) -> tuple[list[NDArray[np.int64]], NDArray[np.int64]]:
    """Ears (t, 3) of a loop, and the corners that are left: MOST_EXACT at most.

    An ear turns left as seen against the normals of the surface and holds no other corner. Those with short chords are
    cut first, many at a time and no two side by side. Where the surface has no more, as around a limb that was cut off,
    the loop is seen along its own normal; and where that has none either, any ear is cut.
    """
    left, ears = np.arange(len(points)), []
    stages = [*(EAR_TILTS[normals is None :]), -np.inf]
    while len(left) > MOST_EXACT:
        at = points[left]
        if normals is not None and stages[0] == EAR_TILTS[0]:
            facing = normals[left] + np.roll(normals[left], 1, axis=0) + np.roll(normals[left], -1, axis=0)
        else:
            centred = at - at.mean(axis=0)
            facing = np.broadcast_to(np.cross(centred, np.roll(centred, -1, axis=0)).sum(axis=0), at.shape)
        chosen = _best_ears(at, facing / np.maximum(np.linalg.norm(facing, axis=1, keepdims=True), 1e-300), stages[0])
        if not len(chosen):
            stages.pop(0)
            continue
        chosen = chosen[: len(left) - MOST_EXACT]
        ears.append(np.stack([left[chosen - 1], left[chosen], left[(chosen + 1) % len(left)]], axis=1))
        left = np.delete(left, chosen)
    return ears, left


def _best_ears(points: NDArray, facing: NDArray, tilt: float) -> NDArray[np.intp]:
    """Corners (k,) of a loop (n, 3) that can be cut, the shortest chords first. facing: unit normals (n, 3)."""
    count = len(points)
    before, after = np.roll(points, 1, axis=0), np.roll(points, -1, axis=0)
    one, two, chord = points - before, after - points, after - before
    across, length = np.cross(one, two), np.linalg.norm(chord, axis=1)
    size = np.linalg.norm(across, axis=1)
    along = np.einsum("na,na->n", one, two)
    sides = np.linalg.norm(one, axis=1) * np.linalg.norm(two, axis=1)
    straight = (size <= FLAT * sides) & (along > 0) & np.isfinite(tilt)
    valid = ~straight & (np.einsum("na,na->n", across, facing) >= tilt * size)
    cost = np.where(valid, length * (1 + STRAIGHT * np.clip(along / np.maximum(sides, 1e-300), 0, 1)), np.inf)
    shortest = np.argsort(cost, kind="stable")[: max(int(EARS_AT_ONCE * count), 1)]
    shortest = shortest[np.isfinite(cost[shortest])]
    if np.isfinite(tilt) and len(shortest):
        shortest = shortest[_empty(points, facing, shortest)]
    # of neighbours the better one
    rank = np.full(count, count)
    rank[shortest] = np.arange(len(shortest))
    best = (rank[shortest] < rank[shortest - 1]) & (rank[shortest] < rank[(shortest + 1) % count])
    return shortest[best]


def _empty(points: NDArray, facing: NDArray, ears: NDArray) -> NDArray[np.bool_]:
    """Which ears (k,) of a loop (n, 3) hold no other corner, seen against their normals."""
    count = len(points)
    corners = np.stack([ears - 1, ears, (ears + 1) % count], axis=1) % count
    triangle = points[corners]
    middle = triangle.mean(axis=1)
    reach = np.linalg.norm(triangle - middle[:, None], axis=2).max(axis=1)
    near = KDTree(points).query_ball_point(middle, reach * (1 + 1e-9))
    ear = np.repeat(np.arange(len(ears)), [len(rows) for rows in near])
    other = np.concatenate([np.asarray(rows, np.int64) for rows in near])
    own = (other[:, None] == corners[ear]).any(axis=1)
    ear, other = ear[~own], other[~own]
    inside = np.ones(len(ear), bool)
    for side in range(3):
        start, end = triangle[ear, side], triangle[ear, (side + 1) % 3]
        turned = np.einsum("na,na->n", np.cross(end - start, points[other] - start), facing[ears[ear]])
        inside &= turned >= -1e-9 * reach[ear] ** 2
    empty = np.ones(len(ears), bool)
    empty[ear[inside]] = False
    return empty


def _least_weight(points: NDArray, normals: NDArray | None) -> NDArray[np.int64]:
    count = len(points)
    weight, middle = np.full((count, count), np.inf), np.full((count, count), -1)
    first = np.arange(count - 1)
    weight[first, first + 1] = 0
    for gap in range(2, count):
        first = np.arange(count - gap)
        last = first + gap
        between = first[:, None] + np.arange(1, gap)
        cross = np.cross(points[between] - points[first][:, None], points[last][:, None] - points[first][:, None])
        area = np.sqrt(np.einsum("nka,nka->nk", cross, cross))
        total = weight[first[:, None], between] + weight[between, last[:, None]] + area
        if normals is not None:
            around = normals[between] + normals[first][:, None] + normals[last][:, None]
            size = np.sqrt(np.einsum("nka,nka->nk", around, around))
            total += area - np.einsum("nka,nka->nk", cross, around) / np.maximum(size, 1e-30)
        best = total.argmin(axis=1)
        weight[first, last] = total[np.arange(len(first)), best]
        middle[first, last] = best + first + 1
    triangles, spans = [], [(0, count - 1)]
    while spans:
        start, end = spans.pop()
        if end - start >= 2:
            cut = int(middle[start, end])
            triangles.append((start, cut, end))
            spans += [(start, cut), (cut, end)]
    return np.array(triangles, np.int64).reshape(-1, 3)


def refine(
    vertices: NDArray,
    faces: NDArray,
    size: Callable[[NDArray], NDArray],
    most: int,
    fixed: int | None = None,
    taken: NDArray | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Vertices and faces with interior edges split to the length that ``size`` wants at their ends (k, 3), and flipped.

    The border stays, and the vertices given come first; those from ``fixed`` on, none where it is None, may move. Not
    more than ``most`` vertices are added, about. taken: pairs (t, 2) of vertices that no interior edge may join, since
    a face elsewhere does: such edges are split, however short they are.
    """
    given = len(vertices)
    fixed = given if fixed is None else fixed
    vertices, faces = np.array(vertices, np.float64), np.array(faces, np.int64)
    known = np.zeros(0, np.int64) if taken is None else np.unique(edge_keys(*np.asarray(taken, np.int64).T))
    wanted = size(vertices)
    for number in range(MOST_ROUNDS):
        ends, sides, opposite = inner_edges(faces)
        if not len(ends):
            break
        length = np.linalg.norm(vertices[ends[:, 0]] - vertices[ends[:, 1]], axis=1)
        excess = length / wanted[ends].mean(axis=1)
        excess[np.isin(edge_keys(*ends.T), known)] += 1e6
        room = given + most - len(vertices)
        chosen = _independent(np.where(excess > TOO_LONG, excess, -np.inf), sides, len(faces))[: max(room, 0)]
        if len(chosen):
            vertices, faces = _split(vertices, faces, ends[chosen], sides[chosen], opposite[chosen])
            wanted = np.concatenate([wanted, size(vertices[len(wanted) :])])
        flips = 0
        for _ in range(FLIPS):
            changed = flip(vertices, faces, known)
            flips += changed
            if not changed:
                break
        if number % 3 == 2:
            vertices[fixed:] = relaxed(vertices, faces)[fixed:]
        if not len(chosen) and not flips:
            break
    return vertices, faces


def inner_edges(faces: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """Ends (e, 2), the two faces (e, 2) and the corners opposite (e, 2) of the edges between two faces (m, 3)."""
    start, end, other = faces.reshape(-1), faces[:, [1, 2, 0]].reshape(-1), faces[:, [2, 0, 1]].reshape(-1)
    key = edge_keys(start, end)
    order = np.argsort(key)
    key = key[order]
    twin = np.flatnonzero(key[1:] == key[:-1])
    one, two = np.sort([order[twin], order[twin + 1]], axis=0)
    return (
        np.stack([start[one], end[one]], axis=1),
        np.stack([one // 3, two // 3], axis=1),
        np.stack([other[one], other[two]], axis=1),
    )


def flip(vertices: NDArray, faces: NDArray, known: NDArray) -> int:
    """Flip edges of ``faces``, in place, whose opposite angles add up to more than 180 degrees; how many.

    known: keys of edges that may not be made.
    """
    ends, sides, opposite = inner_edges(faces)
    if not len(ends):
        return 0
    one, two = (_angle(vertices[corner], vertices[ends[:, 0]], vertices[ends[:, 1]]) for corner in opposite.T)
    excess = one + two - np.pi
    chosen = np.flatnonzero(excess > 1e-3)
    # an edge that is there already would be doubled
    existing = np.concatenate([known, edge_keys(faces.reshape(-1), faces[:, [1, 2, 0]].reshape(-1))])
    chosen = chosen[~np.isin(edge_keys(*opposite[chosen].T), existing)]
    # nor may the two new faces fold
    (a, b), (c, d) = (vertices[table[chosen]].transpose(1, 0, 2) for table in (ends, opposite))
    unfolded = np.einsum("na,na->n", np.cross(d - c, b - c), np.cross(c - d, a - d)) > 0
    score = np.full(len(ends), -np.inf)
    score[chosen[unfolded]] = excess[chosen[unfolded]]
    chosen = _independent(score, sides, len(faces))
    # two flips can make one edge
    chosen = chosen[np.unique(edge_keys(*opposite[chosen].T), return_index=True)[1]]
    (a, b), (c, d) = ends[chosen].T, opposite[chosen].T
    faces[sides[chosen, 0]] = np.stack([a, d, c], axis=1)
    faces[sides[chosen, 1]] = np.stack([d, b, c], axis=1)
    return len(chosen)


def _angle(corner: NDArray, one: NDArray, two: NDArray) -> NDArray[np.float64]:
    a, b = one - corner, two - corner
    length = np.sqrt(np.einsum("na,na->n", a, a) * np.einsum("na,na->n", b, b))
    return np.arccos(np.clip(np.einsum("na,na->n", a, b) / np.maximum(length, 1e-300), -1, 1))


def _independent(score: NDArray, sides: NDArray, count: int) -> NDArray[np.intp]:
    """Edges (k,) with a finite score, best first, of which none shares a face with a better one; ties go by number."""
    rank = np.empty(len(score), np.intp)
    rank[np.argsort(-score, kind="stable")] = np.arange(len(score))
    best = np.full(count, len(score))
    np.minimum.at(best, sides.reshape(-1), np.repeat(rank, 2))
    chosen = np.flatnonzero((rank <= best[sides].min(axis=1)) & np.isfinite(score))
    return chosen[np.argsort(rank[chosen])]


def _split(
    vertices: NDArray, faces: NDArray, ends: NDArray, sides: NDArray, opposite: NDArray
) -> tuple[NDArray, NDArray]:
    new = len(vertices) + np.arange(len(ends))
    kept = np.ones(len(faces), bool)
    kept[sides.reshape(-1)] = False
    (a, b), (c, d) = ends.T, opposite.T
    made = [np.stack(corners, axis=1) for corners in ((a, new, c), (new, b, c), (b, new, d), (new, a, d))]
    return np.concatenate([vertices, vertices[ends].mean(axis=1)]), np.concatenate([faces[kept], *made])


def relaxed(vertices: NDArray, faces: NDArray) -> NDArray[np.float64]:
    """Vertices half way to the mean of those around."""
    one, two = faces.reshape(-1), faces[:, [1, 2, 0]].reshape(-1)
    row, column = np.concatenate([one, two]), np.concatenate([two, one])
    number = np.maximum(np.bincount(row, minlength=len(vertices)), 1)[:, None]
    sums = np.stack([np.bincount(row, vertices[column, axis], len(vertices)) for axis in range(3)], axis=1)
    return (vertices + sums / number) / 2
