"""Learning an edit from pairs of before and after, as the command line and the server both do it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain, repeat, zip_longest
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ErrorCode, refuse
from ..field.onnx_model import CancelToken, Model
from ..formats.raw_scan import RawScan
from ..registration.align import refined
from ..registration.icp import Surface
from ..scan.prepare import PreparedScan, prepare
from .apply_learned import FARTHEST_PLACE, example_poses, place_on
from .gear import Gear, LearnedEdit, anchor_of, choose_gear
from .learned import learn
from .pair_difference import moved_vertices, pair_difference
from .pair_fields import pair_fields
from .part import example_alignments
from .placement import Placement
from .threads import JobThreads

MOST_EXAMPLES = 5
CONTRADICTING = 0.5
UNEXPLAINED = 0.4
"""Share of the wanted change that neither gear explains, from which an artist is told."""


def learn_from(
    pairs: Sequence[tuple[RawScan, RawScan]],
    names: Sequence[str],
    model: Model | None,
    on_progress: Callable[[float, str], None],
    cancel: CancelToken | None = None,
    marks: Sequence[NDArray | None] = (),
) -> tuple[LearnedEdit, dict[str, Any]]:
    """The edit that pairs of before and after show, and what there is to say about it: {"examples", "changed_share" of
    the surface in each pair, "disagreement", "unexplained", "gear", "wrong": see `choose_gear`, "warnings"}.

    names: of the pairs, for progress; model: fits the examples, None for a movement alone; on_progress: a share 0 .. 1
    and words, and it may raise; marks: the place (3,) of the edit on each mesh before, world units, None or missing
    where it was not marked: a place that an artist gives the edit on another scan is the same place there. Raises
    OmomiError: BAD_OPTION for no pair or more than MOST_EXAMPLES; BAD_PLACE for a mark far from its mesh; CANCELLED;
    those of `prepare`, `pair_difference` and `example_poses`.
    """
    if not 1 <= len(pairs) <= MOST_EXAMPLES:
        refuse(f"an edit is learned from 1 to {MOST_EXAMPLES} examples")
    cancel = cancel or CancelToken()
    steps = 2 * len(pairs) + 1
    on_progress(0.0, f"reading {', '.join(names)}")
    with JobThreads() as pool:
        prepared = list(pool.map(prepare, chain.from_iterable(pairs)))
        befores, afters = prepared[::2], prepared[1::2]
        changes = []
        moved = [moved_vertices(before, after) for before, after in pairs]
        for name, change in zip(names, pool.map(pair_difference, befores, afters, moved), strict=True):
            changes.append(change)
            on_progress(len(changes) / steps, f"compared {name}")
        known = [_mark(before, mark, name) for before, mark, name in zip_longest(befores, marks, names)]
        fits = None
        if model is not None:
            # the network runs while the poses are found
            fits = pool.map(pair_fields, befores, afters, changes, repeat(model), repeat(cancel))
        poses = example_poses(changes)
        if fits is None:
            movement = learn(changes, [pose.similarity for pose in poses])
            edit = LearnedEdit(movement, anchor=anchor_of(known, [Placement.of(pose) for pose in poses]))
        else:
            reference = changes[0].surface
            fine = pool.map(lambda pose, change: refined(pose, change.surface, reference), poses[1:], changes[1:])
            fields = []
            for name, found in zip(names, fits, strict=True):
                fields.append(found)
                on_progress((len(pairs) + len(fields)) / steps, f"fitted {name}")
            whole = [*poses[:1], *fine]
            poses, on_skin = example_alignments(fields, whole)
            # on skin, registration of the whole is all there is to place the edit with
            edit = choose_gear(changes, poses, fields, whole if on_skin else poses, known)
    on_progress(1.0, "done")
    summary = {
        "examples": edit.movement.examples,
        "changed_share": [float(change.changed.mean()) for change in changes],
        "disagreement": edit.movement.disagreement,
        "unexplained": unexplained(edit),
        "gear": edit.gear.value,
        "wrong": dict(edit.wrong),
        "warnings": doubts(edit),
    }
    return edit, summary


def _mark(scan: PreparedScan, mark: NDArray | None, name: str) -> NDArray[np.float64] | None:
    """A marked place (3,) of a scan, canonical, at its surface."""
    if mark is None:
        return None
    surface = Surface(scan.points.astype(np.float64), scan.normals.astype(np.float64))
    there = scan.frame.to_canonical(np.asarray(mark, np.float64)).astype(np.float64)
    place, nearest = place_on(surface, there)
    # written so that NaN fails too
    if not np.linalg.norm(surface.points[nearest] - there) <= FARTHEST_PLACE:
        refuse(f"the place that is marked on {name} is not at its surface", ErrorCode.BAD_PLACE)
    return place


def unexplained(edit: LearnedEdit) -> float:
    """Share 0 .. 1 of the change that the edit does not make."""
    return min(1.0, edit.wrong[Gear.DELTA]) if edit.gear is Gear.DELTA else edit.movement.unexplained


def doubts(edit: LearnedEdit) -> list[str]:
    """What an artist should know of an edit before using it."""
    warnings, share = [], unexplained(edit)
    if edit.changes_nothing:
        warnings.append("The examples show no change: this edit does nothing.")
    if edit.movement.disagreement > CONTRADICTING and edit.gear is Gear.MOVEMENT:
        warnings.append("The examples contradict one another: expect much doubt where the edit is applied.")
    if share > UNEXPLAINED and edit.gear is Gear.DELTA and edit.movement.examples == 1:
        warnings.append(
            f"The network gets {share:.0%} of the change wrong on its own example: look closely at what it makes. "
            "An example whose vertices you only moved is learned exactly."
        )
    elif share > UNEXPLAINED and edit.gear is Gear.DELTA:
        warnings.append(f"What one example shows is {share:.0%} off on another: they contradict one another there.")
    elif share > UNEXPLAINED:
        warnings.append(
            "A large part of the change is no movement of the surface (a new tunnel, a part cut off or put on): "
            "that part is not learned."
        )
    return warnings
