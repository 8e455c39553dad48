"""The command ``omomi``. Importing this is cheap: each verb imports what it needs, after ``--site`` has been obeyed."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from .. import __version__
from ..errors import ErrorCode, OmomiError
from ..formats.files import MESH_SUFFIXES
from . import (
    align,
    audit,
    batch,
    blend,
    edit,
    learn,
    sample,
    score,
    solve,
    sweep,
)
from .output import ProgressLine, disk_errors, print_json, print_lines

if TYPE_CHECKING:
    from ..engine import Engine, Mesh
    from ..protocol.fit_options import FitOptions

MakeEngine: TypeAlias = "Callable[[str, int], Engine]"

MOST_VARIATIONS = 99

# Verbs of the developer, with parsers of their own; an installed extension does not have these modules.
_ELSEWHERE = {
    "train": "..training.train",
    "export": "..training.export",
    "ablate": "..training.ablation",
    "study": "..studies.run",
    "bench": "tests.benchmarks",
}


def main(argv: Sequence[str] | None = None, make_engine: MakeEngine | None = None) -> int:
    """Run one command; the exit code: 0 done, 1 failed, 2 misused. ``make_engine(device, threads)`` is for tests."""
    words = list(sys.argv[1:] if argv is None else argv)
    as_json = "--json" in words
    try:
        if words and words[0] in _ELSEWHERE:
            return _delegate(words[0], words[1:])
        arguments = _parser().parse_args(words)
        sys.path += [folder for folder in arguments.site if folder not in sys.path]
        return arguments.run(arguments, make_engine or _onnx_engine)
    except OmomiError as error:
        return _fail(error, as_json)
    except KeyboardInterrupt:
        return _fail(OmomiError(ErrorCode.CANCELLED, "Cancelled."), as_json)


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    common.add_argument("--site", action="append", default=[], metavar="DIR", help="another folder with packages")
    engine = argparse.ArgumentParser(add_help=False)
    engine.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    engine.add_argument("--threads", type=_integer(0, 1024), default=0, metavar="N", help="0: as many as are useful")

    parser = argparse.ArgumentParser(prog="omomi", description="Scans to signed distance fields and meshes.")
    parser.add_argument("--version", action="version", version=f"omomi {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    doctor = verbs.add_parser("doctor", parents=[common, engine], help="say what works here")
    doctor.set_defaults(run=_doctor)

    fit = verbs.add_parser("fit", parents=[common, engine], help="fit scans and write closed meshes")
    fit.add_argument("scans", nargs="+", type=Path, metavar="SCAN", help="PLY, OBJ, STL, GLB or NPZ")
    fit.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help="a file, or a folder for several")
    fit.add_argument("--level", type=_integer(0, 5), metavar="0..5", help="resolution 32 * 2^level")
    fit.add_argument("--denoise", type=_number(-2, 2), metavar="-2..2", help="smooth more or less than estimated")
    fit.add_argument("--fill", type=_number(-1, 1), metavar="-1..1", help="close holes more or less willingly")
    fit.add_argument("--largest-only", action="store_true", help="keep the largest piece only")
    fit.add_argument("--no-symmetry", action="store_true", help="do not complete by the scan's own mirror symmetry")
    fit.add_argument(
        "--profile", type=Path, metavar="FILE", help="of a family (omomi align): completes what was not seen"
    )
    others = "N other completions of what was not seen too: OUT-1, OUT-2, ..."
    fit.add_argument("--variations", type=_integer(0, MOST_VARIATIONS), default=0, metavar="N", help=others)
    fit.add_argument("--frames", type=Path, metavar="DIR", help="write each mesh on the way there")
    fit.set_defaults(run=_fit, misuse=fit.error)

    for module in (learn, edit, sweep, blend, solve, batch, sample, score, align, audit):
        module.add(verbs, [common, engine])

    measure = verbs.add_parser("measure", parents=[common], help="volume, area, thickness, topology and energies")
    measure.add_argument("scan", type=Path, metavar="SCAN")
    measure.set_defaults(run=_measure)

    serve = verbs.add_parser("serve", parents=[common, engine], help="speak the protocol on stdin and stdout")
    serve.add_argument("--memory-mb", type=_integer(0, 1 << 30), default=0, metavar="N", help="bound; 0: none (Linux)")
    serve.add_argument("--log", type=Path, metavar="FILE", help="log there instead of to stderr")
    serve.set_defaults(run=_serve)
    for verb in _ELSEWHERE:
        verbs.add_parser(verb, add_help=False, help=f"see: omomi {verb} --help")
    return parser


def _onnx_engine(device: str, threads: int) -> Engine:
    from ..engine import OnnxEngine

    return OnnxEngine(device, threads)


def _doctor(arguments: argparse.Namespace, make_engine: MakeEngine) -> int:
    from .doctor import examine

    with contextlib.redirect_stdout(sys.stderr):
        findings = examine(make_engine(arguments.device, arguments.threads))
    (print_json if arguments.json else print_lines)(findings)
    return 0 if findings["ok"] else 1


def _fit(arguments: argparse.Namespace, make_engine: MakeEngine) -> int:
    from ..formats.mesh_files import check_output
    from ..protocol.fit_options import FitOptions

    outputs = _outputs(arguments)
    check_output(outputs[0])
    given = {name: getattr(arguments, name) for name in ("level", "denoise", "fill")}
    chosen = {name: value for name, value in given.items() if value is not None}
    options = FitOptions(**chosen, keep_islands=not arguments.largest_only, symmetry=not arguments.no_symmetry)
    engine = make_engine(arguments.device, arguments.threads)
    results: list[dict[str, Any]] = []
    errors: list[OmomiError] = []
    for scan, output in zip(arguments.scans, outputs, strict=True):
        written = [_numbered(output, number) for number in range(arguments.variations + 1)]
        try:
            # Libraries may print; stdout is for the result.
            with contextlib.redirect_stdout(sys.stderr):
                found = _fit_one(engine, scan, written, options, arguments.frames, arguments.profile)
        except OmomiError as error:
            if len(outputs) == 1:
                raise
            print(f"{scan}: {error.message}", file=sys.stderr)
            found = [{"scan": str(scan), "error": {"code": error.code.value, "message": error.message}}]
            errors.append(error)
        results += found
        for result in [] if arguments.json else found:
            if "output" in result:
                name, vertices, faces, level = (result[key] for key in ("output", "vertices", "faces", "level"))
                print(f"{name}: {vertices} vertices, {faces} faces, level {level}")
    if arguments.json:
        device = engine.info()
        summary: dict[str, Any] = {"device": device.device, "model": device.model_hash, "results": results}
        if errors:
            summary["error"] = {"code": errors[0].code.value, "message": errors[0].message}
        print_json(summary)
    return 1 if errors else 0


def _outputs(arguments: argparse.Namespace) -> list[Path]:
    """Where each scan's mesh goes; ends the program with 2 when that makes no sense."""
    scans, output = arguments.scans, arguments.output
    if len(scans) == 1:
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


def _numbered(path: Path, number: int) -> Path:
    """NAME-1.ply beside NAME.ply, which has the number 0."""
    return path.with_stem(f"{path.stem}-{number}") if number else path


def _fit_one(
    engine: Engine, scan: Path, outputs: list[Path], options: FitOptions, frames: Path | None, profile: Path | None
) -> list[dict[str, Any]]:
    """Fit a scan and write it: the most likely completion first, then others, as many as there are outputs."""
    from ..formats.mesh_files import load_scan, save_mesh
    from ..protocol.codec import jsonable

    results: list[dict[str, Any]] = []
    with disk_errors():
        for folder in (outputs[0].parent, *([frames] if frames is not None else [])):
            folder.mkdir(parents=True, exist_ok=True)
        line = ProgressLine(scan.name)
        try:
            prepared, family = engine.prepare(load_scan(scan)), {}
            if profile is not None:
                from ..edits.family_check import member_of

                family["completion"] = member_of(profile, prepared).completion
            for number, output in enumerate(outputs):
                written: list[str] = []

                def on_frame(mesh: Mesh, name: str = output.stem, written: list[str] = written) -> None:
                    if frames is not None:
                        path = frames / f"{name}-{len(written)}-level{mesh.level}.ply"
                        save_mesh(path, mesh.vertices, mesh.faces, mesh.sigma)
                        written.append(str(path))

                result = engine.fit(
                    prepared, replace(options, variation=number), on_frame, line.show, engine.token(), **family
                )
                mesh = result.mesh
                save_mesh(output, mesh.vertices, mesh.faces, mesh.sigma)
                results.append(
                    {
                        "scan": str(scan),
                        "output": str(output),
                        "frames": written,
                        "vertices": len(mesh.vertices),
                        "faces": len(mesh.faces),
                        "level": mesh.level,
                        "stats": jsonable(result.stats),
                        "report": jsonable(result.report),
                    }
                )
        finally:
            line.end()
    return results


def _measure(arguments: argparse.Namespace, make_engine: MakeEngine) -> int:
    from ..formats.mesh_files import load_scan
    from ..geometry.measure import energies, measure
    from ..protocol.codec import jsonable

    with contextlib.redirect_stdout(sys.stderr):
        scan = load_scan(arguments.scan)
        if scan.faces is None or not len(scan.faces):
            raise OmomiError(ErrorCode.NOT_A_MESH, f"{arguments.scan} holds points without faces: there is no surface.")
        try:
            measures = jsonable(measure(scan.points, scan.faces))
            measures["energies"] = energies(scan.points, scan.faces)
        except ValueError as error:
            raise OmomiError(ErrorCode.NOT_A_MESH, f"{arguments.scan} cannot be measured: {error}.") from error
    (print_json if arguments.json else print_lines)(measures)
    return 0


def _serve(arguments: argparse.Namespace, make_engine: MakeEngine) -> int:
    from ..server.server import serve
    from ..server.stdio import limit_memory

    logging.basicConfig(filename=arguments.log, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    limit_memory(arguments.memory_mb)
    serve(make_engine(arguments.device, arguments.threads), arguments.memory_mb)


def _delegate(verb: str, words: list[str]) -> int:
    name = _ELSEWHERE[verb]
    try:
        module = importlib.import_module(name, __package__)
    except ImportError as error:
        raise OmomiError(ErrorCode.BAD_OPTION, f"omomi {verb} is not part of this installation: {error}.") from error
    return int(module.main(words) or 0)


def _fail(error: OmomiError, as_json: bool) -> int:
    print(f"omomi: {error.message}", file=sys.stderr)
    if as_json:
        print_json({"error": {"code": error.code.value, "message": error.message}})
    return 1


def _integer(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        value = int(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text} is not between {low} and {high}")
        return value

    return parse


def _number(low: float, high: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        value = float(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text} is not between {low} and {high}")
        return value

    return parse
