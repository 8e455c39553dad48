"""``omomi solve``: the strength for a wanted measure."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .arguments import MakeEngine, add_source, number, progress, report
from .sweep import add_range, one_edit, strengths_of


def add(verbs: Any, parents: list[argparse.ArgumentParser]) -> None:
    solve = verbs.add_parser("solve", parents=parents, help="the strength of an edit for a wanted measure")
    add_source(solve)
    add_range(solve)
    until = "thickness, volume, area, length_x, length_y or length_z, in the scan's units"
    solve.add_argument("--until", type=_wanted, required=True, metavar="MEASURE=VALUE", help=until)
    solve.add_argument("-o", "--output", type=Path, required=True, metavar="OUT")
    solve.set_defaults(run=_run, misuse=solve.error)


def _wanted(text: str) -> tuple[str, float]:
    name, separator, value = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"{text} is not MEASURE=VALUE")
    return name, number(value)


def _run(arguments: argparse.Namespace, make_engine: MakeEngine) -> int:
    import numpy as np

    from ..edits.displacement import combine, units
    from ..edits.solve import MEASURES, solve_layer
    from ..formats.mesh_files import check_output, save_mesh

    measure, value = arguments.until
    if measure not in MEASURES:
        arguments.misuse(f"there is no measure {measure}: there are {', '.join(MEASURES)}")
    check_output(arguments.output)
    low, high = strengths_of(arguments)
    with progress(arguments.scan.name) as line:
        subject, shell, found = one_edit(arguments, make_engine, line)
        line.show(1.0, "solving")
        parts, scale = units([found.layer], shell.vertices, shell.normals), subject.scan.frame.scale
        solution = solve_layer(shell, parts, [0.0], 0, measure, value, low, high, scale)
        done = combine(parts, [solution.strength], shell.vertices, shell.faces)
        own = subject.raw.points if arguments.keep_topology or subject.fit is None else subject.fit.mesh.vertices
        sigma = np.hypot(shell.sigma, done.doubt) / scale
        save_mesh(arguments.output, own + done.move / scale, shell.faces, sigma)
    summary = {
        "scan": str(arguments.scan),
        "output": str(arguments.output),
        "edit": found.choice.entry.edit,
        "measure": measure,
        "wanted": value,
        "strength": solution.strength,
        "reached": solution.reached,
        "measured": solution.measured,
        "safe": solution.safe,
        "warnings": list(solution.warnings),
    }
    return report(
        arguments,
        summary,
        f"{arguments.output}: {measure} is {solution.measured:.5g} at a strength of {solution.strength:.4g}",
    )
