"""The marching-cubes table, derived from the geometry of the cube instead of written down.

A configuration is a cell's corner signs plus, for every ambiguous face (its inside corners are diagonal),
whether the inside corners are joined across the face. Both cells at a face see the same four signs and the
same decision, so they draw the same segments on it, and the segments of a cell close to loops that share no
vertex. Each loop becomes a disk.

A diagonal of that disk between two vertices on one cell face could coincide with an edge of the cell behind
the face and would then belong to four triangles. The triangulation avoids such diagonals; a loop that has
none without them is fanned around a vertex in its middle. (Compare Lewiner et al. 2003 for hand-made tables;
Nielson and Hamann 1991 for the faces.)
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np

CORNERS = tuple(product((0, 1), repeat=3))
"""Corner 4 dx + 2 dy + dz lies at (dx, dy, dz)."""


def _edges() -> list[tuple[int, int]]:
    """The 12 edges as (lower corner, axis)."""
    return [(index, axis) for axis in range(3) for index, corner in enumerate(CORNERS) if corner[axis] == 0]


def _faces() -> list[tuple[int, int, int, int]]:
    """Corners of the 6 faces, anticlockwise seen from outside; face 2 axis + side."""
    faces = []
    for axis, side in product(range(3), range(2)):
        loop = []
        for b, c in ((0, 0), (1, 0), (1, 1), (0, 1)):
            corner = [0, 0, 0]
            corner[axis], corner[(axis + 1) % 3], corner[(axis + 2) % 3] = side, b, c
            loop.append(4 * corner[0] + 2 * corner[1] + corner[2])
        a, b, c, d = loop if side else loop[::-1]
        faces.append((a, b, c, d))
    return faces


EDGES = tuple(_edges())
FACES = tuple(_faces())
CENTRE = len(EDGES)
"""Local vertex numbers from here on are centres of loops."""

_EDGE_BETWEEN = {frozenset((low, low + (4 >> axis))): edge for edge, (low, axis) in enumerate(EDGES)}
_FACE_EDGES = tuple(tuple(_EDGE_BETWEEN[frozenset((face[i], face[(i + 1) % 4]))] for i in range(4)) for face in FACES)
_MIDDLES = np.array(
    [np.array(CORNERS[low]) + 0.5 * (np.arange(3) == axis) for low, axis in EDGES],
)
_SAME_FACE = np.array([[any(a in f and b in f for f in _FACE_EDGES) for b in range(12)] for a in range(12)])


@dataclass(frozen=True)
class CubeTable:
    """All configurations of a cell.

    configuration: i16 (256, 64), number of the configuration of corner code (bit c: corner c is inside) and
    joined faces (bit f: the inside corners of face f are joined; only bits of ambiguous faces may be set).
    ambiguous: u8 (256,), bits of the ambiguous faces. first: i32 (n + 1,), where each configuration's rows of
    ``triangles`` begin. triangles: i8 (t, 3), numbers of edges, or CENTRE + s for centre s, wound with the
    inside behind. centres: bool (n, s, 12), edges around centre s; all False where the configuration lacks
    it.
    """

    configuration: np.ndarray
    ambiguous: np.ndarray
    first: np.ndarray
    triangles: np.ndarray
    centres: np.ndarray


def is_ambiguous(code: int, face: int) -> bool:
    """Whether the inside corners of this face are two diagonal ones."""
    a, b, c, d = (code >> corner & 1 for corner in FACES[face])
    return a == c and b == d and a != b


def loops(code: int, joined: int) -> list[tuple[int, ...]]:
    """Cycles of edge numbers in which the surface meets the cube's faces, wound with the inside behind."""
    following: dict[int, int] = {}
    for face, (corners, edges) in enumerate(zip(FACES, _FACE_EDGES, strict=True)):
        # Walking round the face, a segment cuts off a run of corners; on an ambiguous face the runs are the
        # single inside corners, or the single outside ones where the inside is joined.
        inside = [bool(code >> corner & 1) for corner in corners]
        cut_off = not (is_ambiguous(code, face) and joined >> face & 1)
        starts = [i for i in range(4) if inside[i] == cut_off and inside[i - 1] != cut_off]
        for start in starts:
            end = next(i for i in range(start, start + 4) if inside[(i + 1) % 4] != cut_off)
            entry, leave = edges[start - 1], edges[end % 4]
            source, target = (entry, leave) if cut_off else (leave, entry)
            following[source] = target
    cycles = []
    while following:
        cycle = [next(iter(following))]
        while (target := following.pop(cycle[-1])) != cycle[0]:
            cycle.append(target)
        cycles.append(tuple(cycle))
    return cycles


@cache
def triangulate(loop: tuple[int, ...]) -> tuple[tuple[int, int, int], ...] | None:
    """Triangles of a loop without diagonals inside a cube face, shortest diagonals first; None if there are
    none."""
    size = len(loop)
    length = ((_MIDDLES[list(loop), None] - _MIDDLES[list(loop)]) ** 2).sum(axis=2)
    best: dict[tuple[int, int], tuple[float, tuple[tuple[int, int, int], ...]]] = {}
    for gap in range(1, size):
        for i in range(size - gap):
            j = i + gap
            if gap == 1:
                best[i, j] = (0.0, ())
                continue
            outer = gap == size - 1
            if not outer and _SAME_FACE[loop[i], loop[j]]:
                continue
            cost = 0.0 if outer else float(length[i, j])
            choices = [
                (
                    best[i, m][0] + best[m, j][0] + cost,
                    (*best[i, m][1], (loop[i], loop[m], loop[j]), *best[m, j][1]),
                )
                for m in range(i + 1, j)
                if (i, m) in best and (m, j) in best
            ]
            if choices:
                best[i, j] = min(choices)
    whole = best.get((0, size - 1))
    return None if whole is None else whole[1]


@cache
def cube_table() -> CubeTable:
    """The table, built at the first call (some tens of milliseconds)."""
    configuration = np.full((256, 64), -1, np.int16)
    ambiguous = np.zeros(256, np.uint8)
    rows: list[list[tuple[int, int, int]]] = []
    centre_loops: list[list[tuple[int, ...]]] = []
    for code in range(256):
        bits = sum(1 << face for face in range(6) if is_ambiguous(code, face))
        ambiguous[code] = bits
        for joined in range(64):
            if joined & ~bits:
                continue
            configuration[code, joined] = len(rows)
            triangles: list[tuple[int, int, int]] = []
            centred: list[tuple[int, ...]] = []
            for loop in loops(code, joined):
                flat = triangulate(loop)
                if flat is None:
                    centre = CENTRE + len(centred)
                    flat = tuple((a, b, centre) for a, b in zip(loop, (*loop[1:], loop[0]), strict=True))
                    centred.append(loop)
                triangles.extend(flat)
            rows.append(triangles)
            centre_loops.append(centred)
    centres = np.zeros((len(rows), max(map(len, centre_loops)), 12), bool)
    for row, centred in enumerate(centre_loops):
        for slot, loop in enumerate(centred):
            centres[row, slot, list(loop)] = True
    first = np.cumsum([0, *map(len, rows)]).astype(np.int32)
    flat_rows = np.array([triangle for row in rows for triangle in row], np.int8)
    return CubeTable(configuration, ambiguous, first, flat_rows, centres)
