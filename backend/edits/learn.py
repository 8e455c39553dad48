"""Learning an edit from pairs of before and after, as the command line and the server both do it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ..errors import refuse
from ..field.onnx_model import CancelToken, Model
from ..formats.raw_scan import RawScan
from ..registration.align import refined
from ..scan.prepare import PreparedScan, prepare
from .apply_learned import learn_movement
from .gear import Gear, LearnedEdit, choose_gear
from .learned import learn
from .pair_difference import Change, pair_difference
from .pair_fields import pair_fields
from .part import example_alignments

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
) -> tuple[LearnedEdit, dict[str, Any]]:
    """The edit that pairs of before and after show, and what there is to say about it: {"examples", "changed_share" of
    the surface in each pair, "disagreement", "unexplained", "gear", "wrong": see `choose_gear`, "warnings"}.

    names: of the pairs, for progress; model: fits the examples, None for a movement alone; on_progress: a share 0 .. 1
    and words, and it may raise. Raises OmomiError: BAD_OPTION for no pair or more than MOST_EXAMPLES; CANCELLED; those
    of `prepare`, `pair_difference` and `learn_movement`.
    """
    if not 1 <= len(pairs) <= MOST_EXAMPLES:
        refuse(f"an edit is learned from 1 to {MOST_EXAMPLES} examples")
    cancel = cancel or CancelToken()
    scans, changes, steps = [], [], 2 * len(pairs) + 1
    on_progress(0.0, f"reading {', '.join(names)}")
    with ThreadPoolExecutor() as pool:
        compared = pool.map(_compared, pairs)
        for number, ((scan, change), name) in enumerate(zip(compared, names, strict=True), start=1):
            scans.append(scan)
            changes.append(change)
            on_progress(number / steps, f"compared {name}")
    movement, poses = learn_movement(changes)
    edit = LearnedEdit(movement)
    if model is not None:
        fields = []
        for number, ((before, after), change, name) in enumerate(zip(scans, changes, names, strict=True)):
            on_progress((len(pairs) + number) / steps, f"fitting {name}")
            fields.append(pair_fields(before, after, change, model, cancel))
        on_progress((steps - 1) / steps, "learning")
        reference = changes[0].surface
        fine = [refined(pose, change.surface, reference) for pose, change in zip(poses[1:], changes[1:], strict=True)]
        whole = [*poses[:1], *fine]
        poses, on_skin = example_alignments(fields, whole)
        if any(pose is not other for pose, other in zip(poses, whole, strict=True)):
            movement = learn(changes, [pose.similarity for pose in poses])
        # on skin, registration of the whole is all there is to place the edit with
        edit = choose_gear(movement, changes, poses, fields, whole if on_skin else poses)
    on_progress(1.0, "done")
    summary = {
        "examples": movement.examples,
        "changed_share": [float(change.changed.mean()) for change in changes],
        "disagreement": movement.disagreement,
        "unexplained": unexplained(edit),
        "gear": edit.gear.value,
        "wrong": dict(edit.wrong),
        "warnings": doubts(edit),
    }
    return edit, summary


def _compared(pair: tuple[RawScan, RawScan]) -> tuple[tuple[PreparedScan, PreparedScan], Change]:
    before, after = map(prepare, pair)
    return (before, after), pair_difference(before, after)


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
    if share > UNEXPLAINED and edit.gear is Gear.DELTA:
        warnings.append(f"What one example shows is {share:.0%} off on another: they contradict one another there.")
    elif share > UNEXPLAINED:
        warnings.append(
            "A large part of the change is no movement of the surface (a new tunnel, a part cut off or put on): "
            "that part is not learned."
        )
    return warnings
