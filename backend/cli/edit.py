"""``omomi edit``: edits on one scan."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .arguments import (
    Choice,
    MakeEngine,
    add_source,
    chosen,
    from_recipe,
    needs_fit,
    opened,
    placed,
    progress,
    report,
    shell_of,
)

if TYPE_CHECKING:
    from ..engine import Engine
    from ..protocol.fit_options import FitOptions
    from .output import ProgressLine


def add(verbs: Any, parents: list[argparse.ArgumentParser]) -> None:
    edit = verbs.add_parser("edit", parents=parents, help="fit a scan and apply edits to it")
    add_source(edit, many=True)
    edit.add_argument("-o", "--output", type=Path, required=True, metavar="OUT")
    edit.add_argument("--remesh", action="store_true", help="write a new mesh of the solid that the moved one encloses")
    edit.add_argument("--recipe", type=Path, metavar="R.json", help="its edits and masks are looked for beside it")
    edit.add_argument("--save-recipe", type=Path, metavar="R.json")
    edit.set_defaults(run=_run, misuse=edit.error)


def _run(arguments: argparse.Namespace, make_engine: MakeEngine) -> int:
    from ..formats.mesh_files import check_output
    from ..protocol.fit_options import FitOptions
    from ..protocol.recipe import Recipe, write_recipe

    if not (arguments.edit or arguments.set or arguments.recipe):
        arguments.misuse("give at least one --set or --edit, or a --recipe")
    check_output(arguments.output)
    with progress(arguments.scan.name) as line:
        engine = make_engine(arguments.device, arguments.threads)
        model = engine.info().model_hash
        options, choices = FitOptions(), []
        if arguments.recipe:
            options, choices = from_recipe(arguments.recipe, arguments.mask, model)
        options, more = chosen(arguments.set, arguments.edit, arguments.mask, options, model)
        choices += more
        if arguments.level is not None:
            options = replace(options, level=arguments.level)
        summary = edited(
            arguments.scan, arguments.output, engine, options, choices, line, arguments.keep_topology, arguments.remesh
        )
        if arguments.save_recipe:
            write_recipe(arguments.save_recipe, Recipe(model, options, tuple(choice.entry for choice in choices)))
            summary["warnings"] += _elsewhere(arguments, choices)
    return report(
        arguments, summary, f"{arguments.output}: {summary['moved']:.1%} of {summary['vertices']} vertices moved"
    )


def edited(
    scan: Path,
    output: Path,
    engine: Engine,
    options: FitOptions,
    choices: Sequence[Choice],
    line: ProgressLine,
    keep_topology: bool = False,
    anew: bool = False,
) -> dict[str, Any]:
    """Edit one scan and write the result; what there is to say about it, lengths in world units.

    anew: write a new mesh of the solid that the moved one encloses. Raises OmomiError.
    """
    import numpy as np

    from ..edits.apply import warnings_of
    from ..edits.displacement import apply
    from ..edits.stack import strength_warnings
    from ..edits.topology_check import check_topology
    from ..formats.mesh_files import save_mesh

    subject = opened(scan, engine, options, line, needs_fit(choices, keep_topology))
    line.show(1.0, "placing the edits")
    found = placed(choices, subject, options.level)
    shell, scale = shell_of(subject, keep_topology), subject.scan.frame.scale
    done = apply([one.layer for one in found], shell.vertices, shell.faces, shell.normals)
    topology = check_topology(shell, done.move)
    sigma = np.hypot(shell.sigma, done.doubt)
    if anew:
        from ..edits.remesh import RESOLUTION, nearest_values, remesh
        from ..field.bricks import resolution

        moved = shell.vertices + done.move
        vertices, faces = remesh(moved, shell.faces, max(RESOLUTION, resolution(options.level)))
        world, sigma = subject.to_world(vertices), nearest_values(moved, shell.faces, sigma, vertices)
    else:
        # what does not move stays bit for bit where it was
        own = subject.raw.points if keep_topology or subject.fit is None else subject.fit.mesh.vertices
        world, faces = own + done.move / scale, shell.faces
    save_mesh(output, world, faces, sigma / scale)
    learned = [one.choice.entry for one in found if one.choice.stored is not None]
    warnings = [text for entry in learned for text in strength_warnings(entry.edit, entry.strength)]
    warnings += [text for one in found for text in one.warnings]
    warnings += warnings_of(done)
    if topology and topology["change"]:
        warnings.append(topology["change"])
    return {
        "scan": str(scan),
        "output": str(output),
        "vertices": len(world),
        "faces": len(faces),
        "edits": [
            {"edit": one.choice.entry.edit, "strength": one.layer.strength, "misfit": one.misfit} for one in found
        ],
        "moved": done.moved,
        "largest_move": done.largest / scale,
        "guessed": done.guessed,
        "folded_faces": done.folded,
        "topology": topology,
        "warnings": warnings,
    }


def _elsewhere(arguments: argparse.Namespace, choices: Sequence[Choice]) -> list[str]:
    """What has to be brought to the recipe before it can be used."""
    beside = arguments.save_recipe.resolve().parent
    sources = [path for path, _ in arguments.edit] + [arguments.mask for choice in choices if choice.mask][:1]
    if arguments.recipe:
        sources += [arguments.recipe.parent / choice.entry.edit for choice in choices if choice.stored is not None]
    away = sorted({path.name for path in sources if path is not None and path.resolve().parent != beside})
    return [f"{name} has to lie beside the recipe." for name in away]
