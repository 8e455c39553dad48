"""Learning an edit from pairs of before and after, as the command line and the server both do it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ..errors import refuse
from ..formats.raw_scan import RawScan
from ..scan.prepare import prepare
from .apply_learned import learn_edit
from .learned import LearnedEdit
from .pair_difference import pair_difference

MOST_EXAMPLES = 5
CONTRADICTING = 0.5
UNEXPLAINED = 0.4


def learn_from(
    pairs: Sequence[tuple[RawScan, RawScan]], names: Sequence[str], on_progress: Callable[[float, str], None]
) -> tuple[LearnedEdit, dict[str, Any]]:
    """The edit that pairs of before and after show, and what there is to say about it: {"examples", "changed_share" of
    the surface in each pair, "disagreement", "unexplained", "warnings"}.

    names: of the pairs, for progress; on_progress: a share 0 .. 1 and words, and it may raise. Raises OmomiError:
    BAD_OPTION for no pair or more than MOST_EXAMPLES; those of `prepare`, `pair_difference` and `learn_edit`.
    """
    if not 1 <= len(pairs) <= MOST_EXAMPLES:
        refuse(f"an edit is learned from 1 to {MOST_EXAMPLES} examples")
    changes = []
    on_progress(0.0, f"reading {', '.join(names)}")
    with ThreadPoolExecutor() as pool:
        compared = pool.map(lambda pair: pair_difference(*map(prepare, pair)), pairs)
        for number, (change, name) in enumerate(zip(compared, names, strict=True), start=1):
            changes.append(change)
            on_progress(number / (len(pairs) + 1), f"compared {name}")
    on_progress(len(pairs) / (len(pairs) + 1), "learning")
    edit = learn_edit(changes)
    on_progress(1.0, "done")
    summary = {
        "examples": edit.examples,
        "changed_share": [float(change.changed.mean()) for change in changes],
        "disagreement": edit.disagreement,
        "unexplained": edit.unexplained,
        "warnings": doubts(edit),
    }
    return edit, summary


def doubts(edit: LearnedEdit) -> list[str]:
    """What an artist should know of an edit before using it."""
    warnings = []
    if edit.changes_nothing:
        warnings.append("The examples show no change: this edit does nothing.")
    if edit.disagreement > CONTRADICTING:
        warnings.append("The examples contradict one another: expect much doubt where the edit is applied.")
    if edit.unexplained > UNEXPLAINED:
        warnings.append(
            "A large part of the change is no movement of the surface (a new tunnel, a part cut off or put on): "
            "that part is not learned."
        )
    return warnings
