"""``omomi sweep``: the topology along the strength of one edit."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .arguments import (
    SHAPE_PREFIX,
    MakeEngine,
    Placed,
    add_source,
    chosen,
    folder,
    needs_fit,
    number,
    opened,
    placed,
    progress,
    report,
    shell_of,
    write_json,
)

if TYPE_CHECKING:
    from ..edits.fitted_scan import EditableMesh, FittedScan
    from .output import ProgressLine


def add(verbs: Any, parents: list[argparse.ArgumentParser]) -> None:
    sweep = verbs.add_parser("sweep", parents=parents, help="topology, volume and area along the strength of an edit")
    add_source(sweep)
    add_range(sweep)
    steps = "at least; more where a step would skip a voxel"
    sweep.add_argument("--steps", type=int, choices=range(1, 1001), default=24, metavar="N", help=steps)
    sweep.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="for sweep.json and phase.svg")
    sweep.set_defaults(run=_run, misuse=sweep.error)


def add_range(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--from", dest="low", type=number, metavar="A", help="by default the slider's lowest strength")
    verb.add_argument("--to", dest="high", type=number, metavar="B", help="by default the slider's highest strength")


def strengths_of(arguments: argparse.Namespace) -> tuple[float, float]:
    """The range that was given, or that of the slider."""
    from ..edits import shape_sliders
    from ..edits.attributes import ATTRIBUTES
    from ..edits.stack import SEEN
    from ..prior import shape_prior

    name = arguments.set or ""
    slider, found = name.removeprefix(SHAPE_PREFIX), ATTRIBUTES.get(name)
    if slider != name:
        least, most = shape_sliders.range_of(slider, shape_prior.shipped_prior())
    else:
        least, most = SEEN if found is None else (found.low, found.high)
    low, high = least if arguments.low is None else arguments.low, most if arguments.high is None else arguments.high
    if slider == shape_sliders.PLAUSIBLE:
        low, high = max(low, least), min(high, most)
    if not low < high:
        arguments.misuse("--from must be less than --to")
    return low, high


def one_edit(
    arguments: argparse.Namespace, make_engine: MakeEngine, line: ProgressLine
) -> tuple[FittedScan, EditableMesh, Placed]:
    """The scan, what is moved of it, and the one edit. Raises OmomiError."""
    from ..protocol.fit_options import FitOptions

    engine = make_engine(arguments.device, arguments.threads)
    settings = [(arguments.set, 1.0)] if arguments.set else []
    edits = [(arguments.edit, 1.0)] if arguments.edit else []
    options, choices = chosen(settings, edits, arguments.mask, FitOptions(), engine.info().model_hash)
    if not choices:
        arguments.misuse(f"{arguments.set} belongs to the fit: it is not a movement that has a strength")
    if arguments.level is not None:
        options = replace(options, level=arguments.level)
    subject = opened(arguments.scan, engine, options, line, needs_fit(choices, arguments.keep_topology))
    shell = shell_of(subject, arguments.keep_topology)
    (found,) = placed(choices, subject, options.level)
    return subject, shell, found


def _run(arguments: argparse.Namespace, make_engine: MakeEngine) -> int:
    from ..edits.displacement import units
    from ..edits.sweep import sweep_layer
    from ..formats.files import write_whole

    low, high = strengths_of(arguments)
    with progress(arguments.scan.name) as line:
        subject, shell, found = one_edit(arguments, make_engine, line)
        name = found.choice.entry.edit
        swept = sweep_layer(
            shell,
            units([found.layer], shell.vertices, shell.normals),
            [0.0],
            0,
            low,
            high,
            arguments.steps,
            subject.scan.frame.scale,
            f"{name} on {arguments.scan.stem}",
            lambda share, text: line.show(share, "sweeping"),
        )
        write_whole(folder(arguments.output) / "phase.svg", swept.picture)
        table = swept.to_json()
        del table["picture"]
        summary = {"scan": str(arguments.scan), "edit": name, **table}
        write_json(arguments.output / "sweep.json", summary)
    low, high = swept.safe
    return report(
        arguments,
        summary,
        f"{arguments.output}: the topology stays as it is from strength {low:.3g} to {high:.3g}",
        *(f"{turn.strength:.3f}: {turn.change}" for turn in swept.transitions),
    )
