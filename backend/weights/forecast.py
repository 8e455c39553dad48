"""Where a slider will change the topology of its mesh, foretold without walking along it.

Under mu0 + strength * change the extracted mesh (``field.surface``) can change its topology in two ways only:

- a voxel changes sign, at strength -mu0 / change. In that moment it is joined only with the six voxels that share a
  face with it, and these are joined with each other unless they lie opposite. Nothing changes unless they are all on
  one side, or two opposite ones are alone on theirs;
- the bilinear saddle of a face of four voxels changes sign, at a root of a quadratic, while the signs of its corners
  alternate: then what was joined across the face are the other two corners. Nothing changes when exactly one of the two
  cells at the face joins them anyway.

Every voxel and face is looked at in the neighbourhood that it will have at its own strength, so for a field that is
linear in the strength the forecast is exact (to 1e-4 voxel). Along a curved path it holds for the chord, and
``linearity_mismatch`` says how far the chord is off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from ..field.bricks import BRICK, BrickGrid, BrickMap
from ..field.neighbours import BrickTable

TRUNCATION = 3.0
"""Fields stop at this distance (voxels), so they do not know when a voxel so far off really flips."""
TILT = np.array([1.0, 1.272, 1.618]) * 2e-6
"""Slope, in voxels per voxel, that is added to every field: on a shape that is symmetric to the grid many voxels flip
at once, and a tilted front passes over them one after another without opening and closing anything on the way."""
NEAR, SOON = 2, 5e-5
"""Events this close (voxels), while the surface moves this far (voxels), are one: what flips at once in truth."""
_NEVER, _UNKNOWN = np.iinfo(np.int32).max - 1, np.iinfo(np.int32).max
"""Turns of voxels that do not flip and of voxels that are not stored."""


class Kind(StrEnum):
    """What happens at one place as the strength moves away from 0. ``text`` says it to an artist."""

    APPEARS = "appears"
    MEETS = "meets"
    CLOSES = "closes"
    FILLS = "fills"
    VANISHES = "vanishes"
    PARTS = "parts"
    OPENS = "opens"
    HOLLOWS = "hollows"

    @property
    def text(self) -> str:
        return _TEXTS[self]


_TEXTS = {
    Kind.APPEARS: "a new piece appears",
    Kind.MEETS: "parts of the surface meet",
    Kind.CLOSES: "a tunnel or a hollow is closed off",
    Kind.FILLS: "a hollow inside fills up",
    Kind.VANISHES: "a piece vanishes",
    Kind.PARTS: "a thin part breaks",
    Kind.OPENS: "the surface breaks through",
    Kind.HOLLOWS: "a hollow forms inside",
}
_KINDS = np.array([list(Kind)[:4], list(Kind)[4:]])


@dataclass(frozen=True)
class Event:
    """One foretold change: the strength at which it happens, its kind, the voxel i32 (3,), by how much the Euler number
    b0 - b1 + b2 changes, and the clearance: the distance (voxels) from the surface to that voxel at strength 0."""

    strength: float
    kind: Kind
    voxel: NDArray[np.int32]
    euler: int
    clearance: float


@dataclass(frozen=True)
class Forecast:
    """All changes foretold between ``low`` and ``high``, by rising strength.

    strengths f64 (n,); kinds str (n,); voxels i32 (n, 3); euler i64 (n,) and clearances f32 (n,) as in ``Event``.
    reach: strengths between which no voxel flips whose distance is truncated or whose neighbours are not stored;
    beyond it the forecast is as right as the field.
    """

    low: float
    high: float
    reach: tuple[float, float]
    strengths: NDArray[np.float64]
    kinds: NDArray[np.str_]
    voxels: NDArray[np.int32]
    euler: NDArray[np.int64]
    clearances: NDArray[np.float32]

    def event(self, number: int) -> Event:
        return Event(
            float(self.strengths[number]),
            Kind(self.kinds[number]),
            self.voxels[number],
            int(self.euler[number]),
            float(self.clearances[number]),
        )

    @property
    def first_below(self) -> Event | None:
        """The change closest to 0 on the negative side."""
        below = int((self.strengths < 0).sum())
        return self.event(below - 1) if below else None

    @property
    def first_above(self) -> Event | None:
        """The change closest to 0 on the positive side."""
        below = int((self.strengths < 0).sum())
        return self.event(below) if below < len(self.strengths) else None

    @property
    def margin(self) -> tuple[float, float]:
        """The strengths around 0 between which no change is foretold."""
        below, above = self.first_below, self.first_above
        return (below.strength if below else self.low), (above.strength if above else self.high)


def forecast(
    base: NDArray[np.floating] | BrickGrid,
    change: NDArray[np.floating] | BrickGrid,
    low: float = -1.0,
    high: float = 1.0,
    sides: BrickMap | None = None,
) -> Forecast:
    """Changes of topology of {base + strength * change < 0} for strengths from ``low`` <= 0 to ``high`` >= 0.

    base: signed distance in voxels, an array (x, y, z), outside all around, or channel 0 of bricks; change: its change
    per unit of strength, in the same layout. sides: where the absent bricks lie; they never flip.
    For the way from a field a to a field b, not linear in the strength, foretell (a, b - a, 0, 1).
    Raises ValueError for a range without 0, different layouts or values that are not finite.
    """
    if not (np.isfinite([low, high]).all() and low <= 0 <= high):
        raise ValueError(f"the strengths {low} .. {high} must be finite and hold 0")
    blocks = _Blocks.of(base, change, sides)
    if not (np.isfinite(blocks.base).all() and np.isfinite(blocks.change).all()):
        raise ValueError("the field or its change has values that are not finite")
    rimmed = blocks.with_rim(blocks.base, (TRUNCATION, -TRUNCATION)), blocks.with_rim(blocks.change, (0, 0))
    below, low_reach = _foretell(blocks, *rimmed, low)
    above, high_reach = _foretell(blocks, *rimmed, high)
    events = _joined([below, above])
    order = np.argsort(events.strengths, kind="stable")
    events = events.rows(order)
    return Forecast(
        low,
        high,
        (low_reach, high_reach),
        events.strengths,
        events.kinds,
        events.voxels,
        events.euler,
        events.clearances,
    )


def linearity_mismatch(
    first: NDArray[np.floating], last: NDArray[np.floating], middle: NDArray[np.floating], band: float = 2.0
) -> float:
    """How far the middle of a path of fields is from the mean of its ends: the mean size of the difference, in voxels,
    where either comes within ``band`` voxels of the surface. Arrays of one shape; 0.0 when no surface is near."""
    chord = (np.asarray(first, np.float64) + last) / 2
    near = np.minimum(np.abs(chord), np.abs(middle)) < band
    return float(np.abs(middle - chord)[near].mean()) if near.any() else 0.0


@dataclass(frozen=True)
class _Blocks:
    """Boxes of voxels: base, tilted, and change f32 (m, x, y, z), and coordinates i64 (m, 3) of their first voxels.

    table: which brick lies where, with ``coords`` i32 (m, 3) the bricks' own coordinates; None for one dense box.
    """

    base: NDArray[np.float32]
    change: NDArray[np.float32]
    first: NDArray[np.int64]
    table: BrickTable | None
    coords: NDArray[np.int32]

    @classmethod
    def of(
        cls,
        base: NDArray[np.floating] | BrickGrid,
        change: NDArray[np.floating] | BrickGrid,
        sides: BrickMap | None,
    ) -> _Blocks:
        if isinstance(base, BrickGrid) and isinstance(change, BrickGrid):
            if not np.array_equal(base.coords, change.coords):
                raise ValueError("the change must be given on the bricks of the field")
            values = base.values[:, 0]
            table = BrickTable.around(base.coords, values < 0, sides) if len(values) else None
            first = base.coords.astype(np.int64) * BRICK
            return cls(values + _tilt(first, values.shape), change.values[:, 0], first, table, base.coords)
        if isinstance(base, BrickGrid) or isinstance(change, BrickGrid) or base.shape != change.shape:
            raise ValueError("the field and its change must have one layout")
        # One layer more, so that every face that touches the array starts at one of its voxels.
        values = np.pad(np.asarray(base, np.float32), 1, constant_values=TRUNCATION)[None]
        moves = np.pad(np.asarray(change, np.float32), 1)[None]
        first = np.full((1, 3), -1)
        return cls(values + _tilt(first, values.shape), moves, first, None, np.zeros((1, 3), np.int32))

    def voxels(self, places: NDArray[np.int64]) -> NDArray[np.int32]:
        """Coordinates i32 (n, 3) of places in the flattened blocks."""
        box, *voxel = np.unravel_index(places, self.base.shape)
        return (self.first[box] + np.stack(voxel, axis=1)).astype(np.int32)

    def with_rim(self, voxels: np.ndarray, absent: tuple[float, float]) -> np.ndarray:
        """Values (m, x, y, z) with the voxels around each box; ``absent`` is for boxes outside and inside."""
        if self.table is None:
            return np.pad(voxels, ((0, 0), *((1, 1),) * 3), constant_values=absent[0])
        last = len(voxels) - 1
        result = np.empty((len(voxels), *(BRICK + 2,) * 3), voxels.dtype)
        to = {-1: slice(0, 1), 0: slice(1, -1), 1: slice(-1, None)}
        source = {-1: slice(-1, None), 0: slice(None), 1: slice(0, 1)}
        constants = np.array(absent, voxels.dtype)
        for offset in product((-1, 0, 1), repeat=3):
            rows = self.table.find(self.coords + np.array(offset))
            place = (slice(None), *(to[step] for step in offset))
            result[place] = voxels[np.minimum(rows, last), *(source[step] for step in offset)]
            missing = np.flatnonzero(rows > last)
            result[missing, *place[1:]] = constants[rows[missing] - last - 1, None, None, None]
        return result


def _tilt(first: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The tilt (m, x, y, z) of boxes that start at the voxels ``first`` (m, 3), zero in their middle."""
    x, y, z = (np.arange(side) * slope for side, slope in zip(shape[1:], TILT, strict=True))
    within = x[:, None, None] + y[:, None] + z
    starts = (first - first.mean(axis=0)) @ TILT if len(first) else np.zeros(0)
    return (starts[:, None, None, None] + (within - within.mean())).astype(np.float32)


@dataclass(frozen=True)
class _Events:
    """Columns of a Forecast, and how fast (voxels per unit of strength) the field changes at each event."""

    strengths: NDArray[np.float64]
    kinds: NDArray[np.str_]
    voxels: NDArray[np.int32]
    euler: NDArray[np.int64]
    clearances: NDArray[np.float32]
    speeds: NDArray[np.float32]

    def rows(self, chosen: NDArray[np.int64]) -> _Events:
        return _Events(*(getattr(self, column.name)[chosen] for column in _COLUMNS))


_COLUMNS = fields(_Events)


def _foretell(
    blocks: _Blocks, base: NDArray[np.float32], change: NDArray[np.float32], limit: float
) -> tuple[_Events, float]:
    """The changes between 0 and ``limit``, and how far they can be trusted; base and change have their rims."""
    sign = float(np.sign(limit))
    slope = change * np.float32(sign)
    end = base + slope * np.float32(abs(limit))
    at_voxels, reach = _voxel_events(blocks, slope, abs(limit))
    # Whether each voxel is ever inside, and whether it is ever outside.
    ever = np.minimum(base, end) < 0, np.maximum(base, end) >= 0
    at_faces = (_face_events(blocks, base, slope, ever, axis, abs(limit)) for axis in range(3))
    merged = _settled(_joined([at_voxels, *at_faces]))
    return replace(merged, strengths=merged.strengths * sign), reach * sign


def _voxel_events(blocks: _Blocks, slope: NDArray[np.float32], limit: float) -> tuple[_Events, float]:
    """What happens where voxels change sign, and the first strength at which one does so unreliably."""
    inside = blocks.base < 0
    speed = slope[:, 1:-1, 1:-1, 1:-1].reshape(-1)
    # Zero counts as outside, so a voxel at zero enters at once but never leaves.
    moving = np.flatnonzero(np.where(inside.reshape(-1), speed > 0, speed < 0))
    when = np.abs(blocks.base.reshape(-1)[moving].astype(np.float64)) / np.abs(speed[moving])
    in_time = when <= limit
    moving, when = moving[in_time], when[in_time]
    # One at a time also among those that flip together: a fixed order gives one way from before to after.
    order = np.argsort(when, kind="stable")
    moving, when = moving[order], when[order]
    turns = np.full(inside.shape, _NEVER, np.int32)
    turns.reshape(-1)[moving] = np.arange(len(moving), dtype=np.int32)

    around, rim = _neighbourhoods(blocks, inside, turns, moving)
    distance = np.abs(blocks.base.reshape(-1)[moving])
    blind = np.flatnonzero(rim | (distance > 0.999 * TRUNCATION))
    reach = float(when[blind[0]]) if len(blind) else limit

    critical = np.flatnonzero((_PARTS[around] != 1) | (_PARTS[63 - around] != 1))
    parts_inside, parts_outside = _PARTS[around[critical]], _PARTS[63 - around[critical]]
    chosen = moving[critical]
    leaving = inside.reshape(-1)[chosen]
    kinds = np.select([parts_inside == 0, parts_inside > 1, parts_outside == 0], [0, 1, 3], 2)
    events = _Events(
        when[critical],
        _KINDS[leaving.astype(int), kinds],
        blocks.voxels(chosen),
        (parts_outside - parts_inside) * np.where(leaving, -1, 1),
        distance[critical],
        np.abs(speed[chosen]),
    )
    return events, reach


_PARTS = np.ones(64, np.int64)
"""Parts that a set of the six voxels at the faces forms; bits 2 * axis and 2 * axis + 1 lie opposite."""
_PARTS[0] = 0
_PARTS[[0b11, 0b1100, 0b110000]] = 2


def _neighbourhoods(
    blocks: _Blocks, inside: NDArray[np.bool_], turns: NDArray[np.int32], moving: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Which of the six voxels around each of ``moving`` (n,) are inside when it flips, and whether one is absent."""
    # The side at 0 and the turn in one number, so that each neighbour is fetched once: inside is the complement.
    states = blocks.with_rim(np.where(inside, ~turns, turns), (_UNKNOWN, ~_UNKNOWN))
    at = _in_rim(moving, inside.shape)
    now = np.arange(len(moving), dtype=np.int32)
    around = np.zeros(len(moving), np.int64)
    rim = np.zeros(len(moving), bool)
    for bit, step in enumerate(step * way for step in _steps(states) for way in (-1, 1)):
        state = states.reshape(-1)[at + step]
        side = state < 0
        turn = np.where(side, ~state, state)
        around |= (side ^ (turn < now)).astype(np.int64) << bit
        rim |= turn == _UNKNOWN
    return around, rim & (blocks.table is not None)


def _face_events(
    blocks: _Blocks,
    base: NDArray[np.float32],
    slope: NDArray[np.float32],
    ever: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    axis: int,
    limit: float,
) -> _Events:
    """What happens where saddles change sign, on the faces across ``axis`` that start at the voxels of the blocks."""
    along = [other for other in range(3) if other != axis]
    corners = [tuple(int(other in steps) for other in range(3)) for steps in ([], along[:1], along, along[1:])]
    inside, outside = ([_shifted(side, corner) for corner in corners] for side in ever)
    faces = np.flatnonzero(
        (inside[0] & inside[2] & outside[1] & outside[3]) | (outside[0] & outside[2] & inside[1] & inside[3])
    )
    values, slopes, steps = base.reshape(-1), slope.reshape(-1), _steps(base)
    at = _in_rim(faces, blocks.base.shape)
    places = [at + np.array(corner) @ steps for corner in corners]
    a, b, c, d = starts = [values[place].astype(np.float64) for place in places]
    va, vb, vc, vd = speeds = [slopes[place].astype(np.float64) for place in places]
    # The saddle has the sign of ac - bd, or the opposite one.
    square, linear = va * vc - vb * vd, a * vc + va * c - b * vd - vb * d
    found = []
    for when in _roots(square, linear, a * c - b * d):
        seen = np.flatnonzero((when > 0) & (when <= limit))
        signs = np.stack([x[seen] + when[seen] * v[seen] for x, v in zip(starts, speeds, strict=True)]) < 0
        alternating = (signs != np.roll(signs, 1, axis=0)).all(axis=0)
        seen, first = seen[alternating], signs[0, alternating]
        strength = when[seen]
        rising = 2 * square[seen] * strength + linear[seen]
        # Cells, of the two at the face, that do not join its inside corners in another way.
        span = [steps[other] for other in along]
        below, above = (_apart(values, slopes, at[seen], (*span, way * steps[axis]), strength) for way in (-1, 1))
        apart = below + above
        changing = (apart != 1) & (rising != 0)
        seen, apart, joins = seen[changing], apart[changing], (first == (rising > 0))[changing]
        found.append(
            _Events(
                strength[changing],
                _KINDS[(~joins).astype(int), np.where(apart == 2, 1, 2)],
                blocks.voxels(faces[seen]),
                (1 - apart) * np.where(joins, 1, -1),
                np.abs(values[at[seen]]),
                np.max(np.abs([speed[seen] for speed in speeds]), axis=0),
            )
        )
    return _joined(found)


def _roots(square: np.ndarray, linear: np.ndarray, constant: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The two roots of square x^2 + linear x + constant, NaN or infinite where there is none."""
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        half = -0.5 * (linear + np.copysign(np.sqrt(linear * linear - 4 * square * constant), linear))
        return half / square, constant / half


_CUBE = np.array(list(np.ndindex(2, 2, 2)))
"""Corners of a cell; corner (i, j, k) is row 4 i + 2 j + k."""
_BESIDE = np.abs(_CUBE[:, None] - _CUBE).sum(axis=2) <= 1
_FACES = ((0, 1, 3, 2), (4, 5, 7, 6), (0, 1, 5, 4), (2, 3, 7, 6), (0, 2, 6, 4))
"""Faces of a cell, each as a ring of corners, but for the last one, k = 1."""


def _apart(
    values: np.ndarray, slopes: np.ndarray, at: np.ndarray, steps: tuple[int, int, int], when: np.ndarray
) -> NDArray[np.int64]:
    """1 where the inside corners of a face are in different parts of the rest of a cell at it, else 0.

    at (n,): the first voxel of the face in the flat arrays, which spans ``steps[:2]``; the cell follows along
    ``steps[2]``. The signs of the face alternate at the strengths ``when`` (n,).
    """
    # The face is k = 1, so the cell's other voxels are at k = 0.
    places = at[:, None] + (_CUBE * np.array([1, 1, -1]) + np.array([0, 0, 1])) @ np.array(steps)
    corners = values[places] + when[:, None] * slopes[places].astype(np.float64)
    inside = corners < 0
    joined = inside[:, :, None] & inside[:, None, :] & _BESIDE
    for a, b, c, d in _FACES:
        straight, across = corners[:, a] * corners[:, c], corners[:, b] * corners[:, d]
        for first, second, link in ((a, c, straight > across), (b, d, across > straight)):
            joined[:, first, second] |= inside[:, first] & inside[:, second] & link
            joined[:, second, first] = joined[:, first, second]
    for _ in range(3):
        joined = np.matmul(joined, joined)
    return np.where(inside[:, 1], ~joined[:, 1, 7], ~joined[:, 3, 5]).astype(np.int64)


def _shifted(rimmed: np.ndarray, corner: tuple[int, ...]) -> np.ndarray:
    """The voxels of the blocks (m, x, y, z), each replaced by the one ``corner`` further; from arrays with a rim."""
    return rimmed[:, *(slice(1 + step, step - 1 or None) for step in corner)]


def _steps(rimmed: np.ndarray) -> NDArray[np.int64]:
    """Steps along the three axes in a flattened array (m, x, y, z)."""
    return np.array(rimmed.strides[1:]) // rimmed.itemsize


def _in_rim(chosen: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Places in the flattened array with a rim of places in the flattened one of ``shape`` without it."""
    box, *voxel = np.unravel_index(chosen, shape)
    return np.ravel_multi_index((box, *(axis + 1 for axis in voxel)), (shape[0], *(side + 2 for side in shape[1:])))


def _joined(parts: Sequence[_Events]) -> _Events:
    return _Events(*(np.concatenate([getattr(part, column.name) for part in parts]) for column in _COLUMNS))


def _settled(events: _Events) -> _Events:
    """The events in order; those at one place and strength as one, and none where they cancel."""
    order = np.argsort(events.strengths, kind="stable")
    events = events.rows(order)
    count = len(order)
    if count == 0:
        return events
    first, second = KDTree(events.voxels).query_pairs(NEAR + 0.5, p=np.inf, output_type="ndarray").T
    moved = np.abs(events.strengths[first] - events.strengths[second])
    together = moved * np.maximum(events.speeds[first], events.speeds[second]) <= SOON
    graph = coo_matrix((np.ones(together.sum(), np.int8), (first[together], second[together])), shape=(count, count))
    groups, label = connected_components(graph, directed=False)
    euler = np.bincount(label, events.euler, minlength=groups).round().astype(np.int64)
    # A group is named after the first of those that go its way.
    named = np.flatnonzero(np.sign(events.euler) * np.sign(euler[label]) > 0)
    found, row = np.unique(label[named], return_index=True)
    rows = named[row]
    order = np.argsort(rows)
    return replace(events.rows(rows[order]), euler=euler[found[order]])
