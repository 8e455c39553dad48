"""``omomi sweep``: the topology along the strength of one edit."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .arguments import (
    MakeEngine,
    add_source,
    edit_target,
    fit_options,
    folder,
    integer,
    layers_of,
    open_session,
    progress,
    real,
    report,
    write_json,
)
from .paths import spare_inputs

if TYPE_CHECKING:
    from ..edits.stack import EditSession
    from ..field.onnx_model import Model
    from .output import ProgressLine


def add(verbs: Any, parents: list[argparse.ArgumentParser]) -> None:
    sweep = verbs.add_parser("sweep", parents=parents, help="topology, volume and area along the strength of an edit")
    add_source(sweep)
    add_range(sweep)
    steps = "at least; more where a step would skip a voxel"
    sweep.add_argument("--steps", type=integer(1, 1000), default=24, metavar="N", help=steps)
    sweep.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="for sweep.json and phase.svg")
    sweep.set_defaults(run=_run, misuse=sweep.error)


def add_range(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--from", dest="low", type=real(), metavar="A", help="by default the slider's lowest strength")
    verb.add_argument("--to", dest="high", type=real(), metavar="B", help="by default the slider's highest strength")


def one_edit(
    arguments: argparse.Namespace, make_engine: MakeEngine, line: ProgressLine
) -> tuple[EditSession, float, float, Model]:
    """The scan with one edit on it, the strengths that were given, or those of its slider, and the model. Raises
    OmomiError."""
    from ..edits.shape_sliders import PLAUSIBLE
    from ..edits.stack import edit_range
    from ..protocol.fit_options import FitOptions

    engine = make_engine(arguments.device, arguments.threads)
    settings = [(arguments.set, 1.0)] if arguments.set else []
    edits = [(arguments.edit, 1.0)] if arguments.edit else []
    options, layers = layers_of(settings, edits, arguments.mask, FitOptions())
    if not layers:
        arguments.misuse(f"{arguments.set} belongs to the fit: it is not a movement that has a strength")
    least, most = edit_range(layers[0])
    low, high = least if arguments.low is None else arguments.low, most if arguments.high is None else arguments.high
    if layers[0].source == "shape" and layers[0].edit == PLAUSIBLE:
        low, high = max(low, least), min(high, most)
    if not low < high:
        arguments.misuse("--from must be less than --to")
    options = fit_options(arguments, options)
    session = open_session(arguments.scan, engine, options, layers, line, edit_target(arguments), arguments.mask)
    return session, low, high, engine.model


def _run(arguments: argparse.Namespace, make_engine: MakeEngine) -> int:
    from ..edits.sweep import sweep_stack
    from ..formats.files import write_whole

    written = [arguments.output / name for name in ("phase.svg", "sweep.json")]
    spare_inputs(written, [arguments.scan, arguments.mask, arguments.edit])
    with progress(arguments.scan.name) as line:
        session, low, high, model = one_edit(arguments, make_engine, line)
        way = low, high, arguments.steps, lambda share, text: line.show(share, "sweeping")
        swept = sweep_stack(session, [0.0], 0, *way, model)
        write_whole(folder(arguments.output) / "phase.svg", swept.picture)
        table = swept.to_json()
        del table["picture"]
        summary = {"scan": str(arguments.scan), "edit": session.stack.layers[0].layer.edit, **table}
        write_json(arguments.output / "sweep.json", summary)
    low, high = swept.safe
    shown = []
    if swept.shown is not None and swept.shown != swept.safe:
        shown = [f"as at strength 1, which the examples show, it is from {swept.shown[0]:.3g} to {swept.shown[1]:.3g}"]
    return report(
        arguments,
        summary,
        f"{arguments.output}: the topology stays as it is from strength {low:.3g} to {high:.3g}",
        *shown,
        *(f"{turn.strength:.3f}: {turn.change}" for turn in swept.transitions),
    )
