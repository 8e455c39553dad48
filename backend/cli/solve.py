"""``omomi solve``: the strength for a wanted measure."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..formats.files import offset_path
from .arguments import MakeEngine, add_faces, add_source, named, progress, report
from .edit import save_edited
from .paths import spare_inputs
from .sweep import add_range, one_edit


def add(verbs: Any, parents: list[argparse.ArgumentParser]) -> None:
    solve = verbs.add_parser("solve", parents=parents, help="the strength of an edit for a wanted measure")
    add_source(solve)
    add_range(solve)
    until = "thickness, volume, area, length_x, length_y or length_z, in the scan's units"
    solve.add_argument("--until", type=named, required=True, metavar="MEASURE=VALUE", help=until)
    add_faces(solve)
    solve.add_argument("-o", "--output", type=Path, required=True, metavar="OUT")
    solve.set_defaults(run=_run, misuse=solve.error)


def _run(arguments: argparse.Namespace, make_engine: MakeEngine) -> int:
    from ..edits.apply import apply_stack
    from ..edits.solve import MEASURES, solve_stack
    from ..formats.mesh_files import check_output
    from ..protocol.requests import Outcome

    measure, value = arguments.until
    if measure not in MEASURES:
        arguments.misuse(f"there is no measure {measure}: there are {', '.join(MEASURES)}")
    check_output(arguments.output)
    spare_inputs([arguments.output, offset_path(arguments.output)], [arguments.scan, arguments.mask, arguments.edit])
    with progress(arguments.scan.name) as line:
        session, low, high, model = one_edit(arguments, make_engine, line)
        solution = solve_stack(session, [0.0], 0, measure, value, line.show, low, high, model)
        strengths, own = [solution.strength], arguments.keep_topology
        outcome = Outcome.REMESHED if not own and session.stack.deltas(strengths) else Outcome.CARRIED
        applied = apply_stack(session, strengths, outcome, model, line.show)
        saved = save_edited(session, strengths, applied, arguments.scan, arguments.output, own, arguments.faces)
    summary = {
        "scan": str(arguments.scan),
        "output": str(arguments.output),
        "edit": session.stack.layers[0].layer.edit,
        "measure": measure,
        "wanted": value,
        **asdict(solution),
        **saved,
    }
    return report(
        arguments,
        summary,
        f"{arguments.output}: {measure} is {solution.measured:.5g} at a strength of {solution.strength:.4g}",
    )
