"""``omomi edit``: edits on one scan."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .arguments import (
    MakeEngine,
    add_faces,
    add_source,
    edit_target,
    fit_options,
    layers_of,
    numbered,
    open_session,
    placed_at,
    progress,
    recipe_layers,
    report,
    with_places,
)
from .paths import spare_inputs

if TYPE_CHECKING:
    from ..edits.apply import AppliedStack
    from ..edits.stack import EditSession
    from ..engine import Engine
    from ..protocol.fit_options import FitOptions
    from ..protocol.recipe import Layer
    from ..protocol.requests import EditTarget
    from .output import ProgressLine


def add(verbs: Any, parents: list[argparse.ArgumentParser]) -> None:
    edit = verbs.add_parser("edit", parents=parents, help="fit a scan and apply edits to it")
    add_source(edit, many=True)
    edit.add_argument("-o", "--output", type=Path, required=True, metavar="OUT")
    edit.add_argument("--remesh", action="store_true", help="write a new mesh of the solid that the moved one encloses")
    edit.add_argument(
        "--at", type=placed_at, action="append", default=[], metavar="NAME=X,Y,Z",
        help="where on SCAN a learned edit belongs, if it is not to find its place by itself",
    )  # fmt: skip
    edit.add_argument(
        "--without", type=numbered, action="append", default=[], metavar="NAME=N,N",
        help="places of a learned edit that are left alone, of those that a run before has listed",
    )  # fmt: skip
    add_faces(edit)
    edit.add_argument("--recipe", type=Path, metavar="R.json", help="its edits and masks are looked for beside it")
    edit.add_argument("--save-recipe", type=Path, metavar="R.json")
    edit.set_defaults(run=_run, misuse=edit.error)


def _run(arguments: argparse.Namespace, make_engine: MakeEngine) -> int:
    from ..formats.files import offset_path
    from ..formats.mesh_files import check_output
    from ..protocol.fit_options import FitOptions
    from ..protocol.recipe import Recipe, write_recipe

    if not (arguments.edit or arguments.set or arguments.recipe):
        arguments.misuse("give at least one --set or --edit, or a --recipe")
    check_output(arguments.output)
    written = [arguments.output, offset_path(arguments.output), arguments.save_recipe]
    read = [arguments.scan, arguments.mask, arguments.recipe, *(path for path, _ in arguments.edit)]
    spare_inputs([path for path in written if path is not None], read)
    with progress(arguments.scan.name) as line:
        engine = make_engine(arguments.device, arguments.threads)
        info = engine.info()
        options, layers, beside = FitOptions(), [], None
        if arguments.recipe:
            options, layers = recipe_layers(arguments.recipe, arguments.mask, info)
            beside = arguments.recipe.parent
        options, more = layers_of(arguments.set, arguments.edit, arguments.mask, options)
        options, layers = fit_options(arguments, options), [*layers, *more]
        layers = with_places(layers, dict(arguments.at), dict(arguments.without))
        masks = arguments.mask, beside
        summary = edit_scan(
            arguments.scan, arguments.output, engine, options, layers, line, edit_target(arguments), masks,
            arguments.remesh, arguments.faces,
        )  # fmt: skip
        if arguments.save_recipe:
            entries = tuple(replace(layer, path="") for layer in layers)
            write_recipe(arguments.save_recipe, Recipe(info.model_hash, options, entries))
            used = [*options.masks.values(), *(layer.mask for layer in layers)]
            mask = arguments.mask if any(one is not None and one.kind == "file" for one in used) else None
            summary["warnings"] += _elsewhere(arguments.save_recipe, layers, mask)
    lines = [f"{arguments.output}: {summary['moved']:.1%} of {summary['vertices']} vertices moved"]
    for layer in summary["layers"]:
        for number, place in enumerate(layer["places"] if len(layer["places"]) > 1 else (), start=1):
            lines.append(f"{layer['name']}, place {number}: {', '.join(f'{along:.4g}' for along in place)}")
    return report(arguments, summary, *lines)


def edit_scan(
    scan: Path,
    output: Path,
    engine: Engine,
    options: FitOptions,
    layers: Sequence[Layer],
    line: ProgressLine,
    target: EditTarget,
    masks: tuple[Path | None, Path | None] = (None, None),
    remesh: bool = False,
    faces: int | None = None,
) -> dict[str, Any]:
    """Edit one scan and write the result; what there is to say about it, lengths in world units. masks: as of
    `with_masks`; remesh: write a new mesh of the solid that the moved one encloses, as deltas of the network always do;
    faces: as of `save_edited`. Raises OmomiError."""
    from ..edits.apply import apply_stack
    from ..protocol.requests import EditTarget, Outcome

    session = open_session(scan, engine, options, layers, line, target, *masks)
    strengths = [layer.strength for layer in layers]
    new = remesh or (target is EditTarget.FIT and session.stack.deltas(strengths))
    applied = apply_stack(session, strengths, Outcome.REMESHED if new else Outcome.CARRIED, engine.model, line.show)
    saved = save_edited(session, strengths, applied, scan, output, target is EditTarget.SCAN and not new, faces)
    made = [layer.summary for layer in session.stack.layers]
    return {"scan": str(scan), "output": str(output), "layers": made, **applied.summary, **saved}


def save_edited(
    session: EditSession,
    strengths: Sequence[float],
    applied: AppliedStack,
    scan: Path,
    output: Path,
    own: bool,
    faces: int | None,
) -> dict[str, Any]:
    """Write what edits made of a scan, with what the scan carries; own: as the scan's own file with other coordinates,
    unless the mesh is to have about so many ``faces``. Returns the size of the mesh, and sentences on what the file
    does not hold. Raises OmomiError."""
    from ..edits.carried import carried_by_edit, invented_note, with_fewer_faces
    from ..formats.mesh_files import save_mesh, save_moved

    raw, vertices, triangles, sigma = session.fitted.raw, applied.vertices, applied.faces, applied.sigma
    if own and faces is None:
        notes = save_moved(output, scan, raw, vertices, sigma)
    else:
        attributes = carried_by_edit(session, strengths, vertices, triangles)
        vertices, triangles, sigma, attributes = with_fewer_faces(vertices, triangles, sigma, attributes, faces)
        notes = [*invented_note(attributes), *save_mesh(output, vertices, triangles, sigma, attributes)]
    return {"vertices": len(vertices), "faces": len(triangles), "notes": [*raw.notes, *notes]}


def _elsewhere(recipe: Path, layers: Sequence[Layer], mask: Path | None) -> list[str]:
    """What has to be brought to the recipe before it can be used."""
    beside = recipe.resolve().parent
    sources = [Path(layer.path) for layer in layers if layer.path]
    if mask is not None:
        sources.append(mask)
    away = sorted({path.name for path in sources if path.resolve().parent != beside})
    return [f"{name} has to lie beside the recipe." for name in away]
