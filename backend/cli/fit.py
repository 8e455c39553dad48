"""``omomi fit``: closed meshes of scans."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..formats.files import MESH_SUFFIXES, offset_path
from .arguments import (
    MakeEngine,
    add_faces,
    add_fit,
    first_error,
    fit_options,
    folder,
    integer,
    one_of_many,
    progress,
    real,
)
from .output import print_json
from .paths import names_many, scans_of, spare_folders, spare_inputs

if TYPE_CHECKING:
    from ..engine import Engine
    from ..field.fit import FittedMesh
    from ..protocol.fit_options import FitOptions

MOST_VARIATIONS = 99
VALUES = ("denoise", "fill", "thickness")


def add(verbs: Any, parents: list[argparse.ArgumentParser]) -> None:
    fit = verbs.add_parser("fit", parents=parents, help="fit scans and write closed meshes")
    scans = "PLY, OBJ, STL, GLB, NPZ or points; a folder or a pattern names many"
    fit.add_argument("scans", nargs="+", type=Path, metavar="SCAN", help=scans)
    fit.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help="a file, or a folder for several")
    add_fit(fit)
    fit.add_argument("--denoise", type=real(-2, 2), metavar="-2..2", help="smooth more or less than estimated")
    fit.add_argument("--fill", type=real(-1, 1), metavar="-1..1", help="close holes more or less willingly")
    weights = "where --denoise and --fill act, or one of them: a weight 0..1 for every vertex of SCAN"
    fit.add_argument("--mask", type=_mask, action="append", default=[], metavar="[NAME=]FILE.npy", help=weights)
    fit.add_argument("--largest-only", action="store_true", help="keep the largest piece only")
    fit.add_argument(
        "--no-keep-thin", dest="keep_thin", action="store_false",
        help="lose walls that are too thin for the level instead of making them thick enough",
    )  # fmt: skip
    thick = "make a sheet a closed solid this thick, in units of the scan"
    fit.add_argument("--thickness", type=real(0), metavar="T", help=thick)
    fit.add_argument("--no-symmetry", action="store_true", help="do not complete by the scan's own symmetry")
    fit.add_argument("--no-base", action="store_true", help="do not close a flat bottom that was not seen by a plane")
    fit.add_argument("--no-walls", action="store_true", help="do not continue thin walls whose other side was not seen")
    views = "register views whose poses are slightly wrong: several files as one scan, or an NPZ with views"
    fit.add_argument("--register", dest="register_views", action="store_true", help=views)
    family = "of a family (omomi align): completes what was not seen"
    fit.add_argument("--profile", type=Path, metavar="FILE", help=family)
    others = "N other completions of what was not seen too: OUT-1, OUT-2, ..."
    fit.add_argument("--variations", type=integer(0, MOST_VARIATIONS), default=0, metavar="N", help=others)
    add_faces(fit)
    fit.add_argument("--frames", type=Path, metavar="DIR", help="write each mesh on the way there")
    fit.set_defaults(run=_run, misuse=fit.error)


def _run(arguments: argparse.Namespace, make_engine: MakeEngine) -> int:
    files = scans_of(arguments.scans)
    whole = arguments.register_views and arguments.output.suffix.lower() in MESH_SUFFIXES
    scans = files[:1] if whole else files
    outputs = _outputs(arguments, scans)
    masks = {name: path for names, path in arguments.mask for name in names}
    spare_inputs(_written(arguments, outputs), [*files, arguments.profile, *masks.values()])
    if any(names_many(path) for path in arguments.scans) and outputs[0] != arguments.output:
        # they would be scans of the next run
        spare_folders(arguments.output, scans)
    given = {name: getattr(arguments, name) for name in VALUES if getattr(arguments, name) is not None}
    switches = {
        "keep_islands": not arguments.largest_only,
        "symmetry": not arguments.no_symmetry,
        "base": not arguments.no_base,
        "walls": not arguments.no_walls,
        "keep_thin": arguments.keep_thin,
        "register_views": arguments.register_views,
    }
    options = replace(fit_options(arguments), **switches, **given)
    engine = make_engine(arguments.device, arguments.threads)
    results: list[dict[str, Any]] = []
    for scan, output in zip(scans, outputs, strict=True):
        written = [_numbered(output, number) for number in range(arguments.variations + 1)]
        with one_of_many(results, str(scan), {"scan": str(scan)}, lambda error: len(outputs) == 1):
            wanted = arguments.frames, arguments.profile, arguments.faces
            found = _fit(engine, files if whole else [scan], written, options, masks, *wanted)
            results += found
            for result in [] if arguments.json else found:
                name, vertices, faces, level = (result[key] for key in ("output", "vertices", "faces", "level"))
                print(f"{name}: {vertices} vertices, {faces} faces, level {level}")
            for sentence in [*_said(found[0], options.kind), *found[0]["notes"]]:
                print(sentence, file=sys.stderr)
    failed = first_error(results)
    if arguments.json:
        info = engine.info()
        print_json({"device": info.device, "model": info.model_hash, "results": results, **failed})
    return 1 if failed else 0


def _mask(text: str) -> tuple[tuple[str, ...], Path]:
    """NAME=FILE, or FILE alone for every option that can be painted: the names, and the file."""
    from ..protocol.fit_options import PAINTED

    name, separator, path = text.partition("=")
    return ((name,), Path(path)) if separator and name in PAINTED else (PAINTED, Path(text))


def _said(result: Mapping[str, Any], kind: str) -> list[str]:
    """What the scan was read as, and what an artist should know of the result, a sentence each."""
    report = result["report"]
    if "kind" not in report:
        return []
    others = " --as scan, solid or sheet overrules." if kind == "auto" else ""
    read = f"was read as a {report['kind']}: {report['reason']}.{others}"
    return [f"{Path(result['scan']).name} {sentence}" for sentence in (read, *report["notes"])]


def _outputs(arguments: argparse.Namespace, scans: list[Path]) -> list[Path]:
    """Where each scan's mesh goes; ends the program with 2 when that makes no sense."""
    output = arguments.output
    if len(scans) == 1 and (output.suffix.lower() in MESH_SUFFIXES or not names_many(arguments.scans[0])):
        if output.suffix.lower() not in MESH_SUFFIXES:
            arguments.misuse(f"OUT must end in one of {', '.join(MESH_SUFFIXES)}")
        return [output]
    if output.suffix.lower() in MESH_SUFFIXES or output.is_file():
        arguments.misuse("with several scans OUT is a folder")
    outputs: list[Path] = []
    taken: set[Path] = set()
    for scan in scans:
        path, number = output / f"{scan.stem}.ply", 1
        while taken & (more := {_numbered(path, other) for other in range(arguments.variations + 1)}):
            number += 1
            path = output / f"{scan.stem}-{number}.ply"
        taken |= more
        outputs.append(path)
    return outputs


def _written(arguments: argparse.Namespace, outputs: list[Path]) -> Iterator[Path]:
    """All meshes that may be written."""
    level = fit_options(arguments).level
    for output in outputs:
        for number in range(arguments.variations + 1):
            own = _numbered(output, number)
            yield own
            yield offset_path(own)
            if arguments.frames is not None:
                # level 0 may come a second time
                every = product(range(level + 2), range(level + 1))
                yield from (_frame_path(arguments.frames, own, frame, of) for frame, of in every)


def _frame_path(folder: Path, output: Path, number: int, level: int) -> Path:
    return folder / f"{output.stem}-{number}-level{level}.ply"


def _write_frame(folder: Path, output: Path, written: list[Path], mesh: FittedMesh) -> None:
    """Write a mesh on the way to an output, and its path to those ``written`` before."""
    from ..formats.mesh_files import save_mesh

    written.append(_frame_path(folder, output, len(written), mesh.level))
    save_mesh(written[-1], mesh.vertices, mesh.faces, mesh.sigma)


def _numbered(path: Path, number: int) -> Path:
    """NAME-1.ply beside NAME.ply, which has the number 0."""
    return path.with_stem(f"{path.stem}-{number}") if number else path


def _fit(
    engine: Engine,
    scans: list[Path],
    outputs: list[Path],
    options: FitOptions,
    masks: Mapping[str, Path],
    frames: Path | None,
    profile: Path | None,
    faces: int | None,
) -> list[dict[str, Any]]:
    """Fit a scan, of which several files are the views, and write it: the most likely completion first, then others, as
    many as there are outputs. masks: of options, by their names; faces: about so many in each mesh that is a result."""
    import numpy as np

    from ..edits.carried import carried, invented_note, with_fewer_faces
    from ..edits.masks import mask_from_file
    from ..edits.regions import fit_masks
    from ..engine import prepare_scan
    from ..field.bricks import voxels_along
    from ..field.fit import divided_progress, ignore
    from ..formats.mesh_files import check_output, load_scan, save_mesh
    from ..formats.raw_scan import RawScan
    from ..protocol.codec import jsonable
    from ..protocol.mask_ref import ROW, MaskRef

    results: list[dict[str, Any]] = []
    for target in (outputs[0].parent, *([] if frames is None else [frames])):
        folder(target)
    for output in outputs:
        check_output(output)
    with progress(scans[0].name) as line:
        # a mask has a weight for every vertex
        # and a view is registered as it is
        voxels = None if masks or options.register_views else voxels_along(options.level)
        parts = [load_scan(scan, voxels, line.show) for scan in scans]
        raw = RawScan.of_views(parts) if len(parts) > 1 else parts[0]
        rows = [mask_from_file(path, len(raw.points)) for path in masks.values()]
        options = options.masked({name: MaskRef(ROW, row=row) for row, name in enumerate(masks)})
        preparing, fitting = divided_progress(line.show, len(raw.points), options.level)
        raw, prepared, prior = prepare_scan(engine, raw, options, profile, preparing)
        weights = fit_masks(raw, prepared, options, np.concatenate(rows) if rows else None)
        for number, output in enumerate(outputs):
            written: list[Path] = []
            on_frame = ignore if frames is None else partial(_write_frame, frames, output, written)
            way = replace(options, variation=number), on_frame, fitting, engine.token(), prior
            fit = engine.fit(prepared, *way, masks=weights)
            mesh = fit.mesh
            attributes = carried(raw, prepared, mesh)
            result = with_fewer_faces(mesh.vertices, mesh.faces, mesh.sigma, attributes, faces)
            notes = save_mesh(output, *result)
            if written and (attributes is not None or faces is not None):
                # the last frame is the result
                save_mesh(written[-1], *result)
            results.append(
                {
                    "scan": str(scans[0]),
                    **({"joined": [str(scan) for scan in scans]} if len(scans) > 1 else {}),
                    "output": str(output),
                    "frames": [str(path) for path in written],
                    "vertices": len(result[0]),
                    "faces": len(result[1]),
                    "level": mesh.level,
                    "stats": jsonable(fit.stats),
                    "report": jsonable(fit.report),
                    "notes": [*raw.notes, *invented_note(attributes), *notes],
                }
            )
    return results
