"""Which gear an edit learned from examples takes: a delta of the network's head, or a movement of the surface.

A movement keeps vertices, UVs and detail, and cannot change the topology. Where it does as well on examples that it has
not seen, it is the better gear.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from ..registration.align import Alignment
from .head_delta import LearnedDelta, LevelRows, centred_on_change, learn_delta
from .learned import LearnedMovement, learn
from .pair_difference import Change
from .pair_fields import FieldPair
from .part import Part
from .placement import Placement
from .threads import JobThreads


class Gear(StrEnum):
    """How a learned edit makes a new mesh."""

    DELTA = "delta"
    MOVEMENT = "movement"


@dataclass(frozen=True)
class LearnedEdit:
    """An edit learned from examples, in the canonical frame of the first one."""

    movement: LearnedMovement  # of the surface; also the preview of a delta
    delta: LearnedDelta | None = None  # of the network's head; None where the examples were not fitted
    gear: Gear = Gear.MOVEMENT  # what makes a new mesh
    wrong: Mapping[str, float] = field(default_factory=dict)  # by gear, see `choose_gear`
    anchor: NDArray[np.float64] | None = None  # (3,), the place that is put where an artist gives one; None: its middle

    @property
    def changes_nothing(self) -> bool:
        return len(self.places) == 0

    @property
    def places(self) -> NDArray[np.float64]:
        """(m, 3), of the change."""
        if self.delta is not None and self.delta.reach is not None:
            level = [level for level in self.delta.levels if level is not None][-1]
            return level.delta.centres.astype(np.float64)
        return self.movement.codes[:, :3]

    @cached_property
    def part(self) -> Part | None:
        """What it changes; None where that cannot be told from its surroundings."""
        return Part.of(self.movement.reference, self.places)


def choose_gear(
    changes: Sequence[Change],
    poses: Sequence[Alignment],
    pairs: Sequence[FieldPair | None],
    wholes: Sequence[Alignment],
    marks: Sequence[NDArray | None] = (),
) -> LearnedEdit:
    """The edit with the gear that serves examples best.

    poses: of each before scan on the first one; pairs: None for an example that changes nothing; wholes: the poses that
    another scan will be found by. ``wrong`` is the share of the wanted change that a gear has wrong on an example, by
    what the others show, and of a single example on itself. Where the topology of an example changes, a movement is out
    of question; where an artist moved the vertices of all of them, it is what they show. marks: canonical places (3,)
    that were marked on the examples.
    """
    marks = marks or [None] * len(pairs)
    known = [(*row[:2], row[2]) for row in zip(changes, poses, pairs, strict=True) if row[2] is not None]
    fields = [pair for _, _, pair in known]
    placements = [Placement.of(pose, pair.room) for _, pose, pair in known]
    with JobThreads() as pool:
        whole = pool.submit(learn, changes, [pose.similarity for pose in poses])
        others = pool.map(partial(_without, known), range(len(known)))
        topologies = pool.map(lambda pair: pair.topology, fields)
        expected = placements
        if wholes is not poses:
            placed = zip(wholes, pairs, strict=True)
            expected = [Placement.of(one, pair.room) for one, pair in placed if pair is not None]
        delta, rows = None, []
        if fields:
            placements, spread = centred_on_change(fields, placements, expected)
            delta, rows = learn_delta(fields, placements, spread)
        movement = whole.result()
        if not rows:
            return LearnedEdit(movement, anchor=anchor_of(marks, [Placement.of(pose) for pose in poses]))
        moved = pool.map(_moved, others, fields, placements, rows)
        movements = [each.wrong(found) for each, found in zip(rows, moved, strict=True)]
        topology = any(before != after for before, after in topologies)
    wrong = {
        Gear.DELTA.value: float(np.mean([each.wrong(each.predicted) for each in rows])),
        Gear.MOVEMENT.value: float(np.mean(movements)),
    }
    is_moved = all(change.exact for change, _, _ in known)
    better = topology or wrong[Gear.DELTA] < wrong[Gear.MOVEMENT]
    gear = Gear.DELTA if better and not is_moved else Gear.MOVEMENT
    shown = [
        None if mark is None else mark / pair.room
        for mark, pair in zip(marks, pairs, strict=True)
        if pair is not None
    ]
    return LearnedEdit(movement, delta, gear, wrong, anchor_of(shown, placements))


def anchor_of(marks: Sequence[NDArray | None], placements: Sequence[Placement]) -> NDArray[np.float64] | None:
    """The mean of marked places (3,) of examples in the edit's frame; None where nothing is marked."""
    there = [way.exact(mark[None])[0] for mark, way in zip(marks, placements, strict=True) if mark is not None]
    return np.mean(there, axis=0) if there else None


def _without(known: Sequence[tuple[Change, Alignment, FieldPair]], number: int) -> LearnedMovement:
    """The movement that all examples but one show, or that one alone."""
    others = [row for row in known if row is not known[number]] or known
    return learn([change for change, _, _ in others], [pose.similarity for _, pose, _ in others])


def _moved(edit: LearnedMovement, pair: FieldPair, placement: Placement, rows: LevelRows) -> NDArray[np.float64]:
    """Distances (n,) after a movement: those before at the places that move here."""
    means = pair.before[rows.number]
    voxel = 2 / len(means)
    slope = np.stack(np.gradient(means), axis=0)
    at = (rows.points.T + 1) / voxel - 0.5
    normals = np.stack([map_coordinates(part, at, order=1, mode="nearest") for part in slope], axis=1)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    similarity = placement.similarity
    places = placement(rows.points)
    move = similarity.inverse().vectors(edit.displacement(places, similarity.directions(normals)))
    moved = at - (move / voxel).T
    return map_coordinates(means, moved, order=1, mode="nearest").astype(np.float64)
