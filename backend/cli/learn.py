"""``omomi learn``: an edit from examples."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from .arguments import MakeEngine, place, progress, report
from .paths import spare_inputs

GEARS = {
    "delta": "the network makes its new meshes",
    "movement": "it moves the surface, which keeps its vertices",
}
"""What an edit's gear means."""


def add(verbs: Any, parents: list[argparse.ArgumentParser]) -> None:
    learn = verbs.add_parser("learn", parents=parents, help="learn an edit from examples of before and after")
    learn.add_argument("--before", type=Path, action="append", required=True, metavar="A.ply")
    learn.add_argument("--after", type=Path, action="append", required=True, metavar="B.ply")
    marked = "where the edit is on each A.ply, in turn; --at of an edited scan is the same place there (--at=-1,2,3)"
    learn.add_argument("--at", type=place, action="append", default=[], metavar="X,Y,Z", help=marked)
    learn.add_argument("-o", "--output", type=Path, required=True, metavar="NAME.omomi")
    learn.set_defaults(run=_run, misuse=learn.error)


def _run(arguments: argparse.Namespace, make_engine: MakeEngine) -> int:
    import numpy as np

    from ..edits.edit_file import save_edit
    from ..edits.learn import MOST_EXAMPLES, learn_from
    from ..formats.files import check_writable
    from ..formats.mesh_files import load_scan
    from ..protocol.names import EDIT

    if len(arguments.before) != len(arguments.after):
        arguments.misuse("every --before needs its --after")
    if len(arguments.at) > len(arguments.before):
        arguments.misuse("every --at needs its --before")
    if len(arguments.before) > MOST_EXAMPLES:
        arguments.misuse(f"at most {MOST_EXAMPLES} examples")
    if arguments.output.suffix.lower() != EDIT:
        arguments.misuse(f"NAME must end in {EDIT}")
    spare_inputs([arguments.output], [*arguments.before, *arguments.after])
    check_writable(arguments.output)
    with progress(arguments.output.stem) as line:
        engine = make_engine(arguments.device, arguments.threads)
        model = engine.info().model_hash
        started = time.perf_counter()
        pairs = [(load_scan(a), load_scan(b)) for a, b in zip(arguments.before, arguments.after, strict=True)]
        names = [path.stem for path in arguments.before]
        marks = [np.array(at) for at in arguments.at]
        edit, found = learn_from(pairs, names, engine.model, line.show, marks=marks)
        stored = save_edit(arguments.output, edit, model, ", ".join(names))
    seconds = time.perf_counter() - started
    summary = {
        "output": str(arguments.output), "sha256": stored.sha256, "model": model, **found, "seconds": seconds,
    }  # fmt: skip
    makes = GEARS[edit.gear]
    said = f"{arguments.output}: learned from {found['examples']} example(s) in {seconds:.1f} s; {makes}"
    return report(arguments, summary, said)
