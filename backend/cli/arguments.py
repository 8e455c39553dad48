"""What the verbs share: their options, the edits that a command line or a recipe names, and how results are printed."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ..errors import ErrorCode, OmomiError
from .output import ProgressLine, print_json, system_errors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..edits.stack import EditSession
    from ..engine import Engine, EngineInfo
    from ..protocol.fit_options import FitOptions
    from ..protocol.recipe import Layer, Point
    from ..protocol.requests import EditTarget

MakeEngine: TypeAlias = "Callable[[str, int], Engine]"

SHAPE_PREFIX = "shape:"
"""What --set calls the sliders of the model's shape code by."""
FEWEST_FACES = 4
"""Of a closed mesh: a tetrahedron's."""
LARGEST = 1e6
"""Of numbers on the command line."""


def integer(low: int, high: int) -> Callable[[str], int]:
    """Reads a whole number between two others."""

    def parse(text: str) -> int:
        value = int(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text} is not between {low} and {high}")
        return value

    return parse


def real(low: float = -LARGEST, high: float = LARGEST) -> Callable[[str], float]:
    """Reads a number between two others."""

    def parse(text: str) -> float:
        value = float(text)
        # written so that NaN fails too
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text} is not between {low:g} and {high:g}")
        return value

    return parse


def add_source(verb: argparse.ArgumentParser, *, many: bool = False) -> None:
    """The options of every verb that edits one scan."""
    verb.add_argument("scan", type=Path, metavar="SCAN")
    weights = "where the edits act: a weight 0..1 for every vertex of SCAN"
    verb.add_argument("--mask", type=Path, metavar="FILE.npy", help=weights)
    verb.add_argument("--keep-topology", action="store_true", help="take SCAN's own vertices, not those of its fit")
    add_fit(verb)
    if many:
        known = "an attribute, shape:SLIDER, fill or denoise"
        verb.add_argument("--set", type=named, action="append", default=[], metavar="NAME=VALUE", help=known)
        verb.add_argument("--edit", type=weighted, action="append", default=[], metavar="FILE.omomi=STRENGTH")
    else:
        one = verb.add_mutually_exclusive_group(required=True)
        one.add_argument("--set", metavar="NAME", help="a built-in attribute, or shape:SLIDER")
        one.add_argument("--edit", type=Path, metavar="FILE.omomi")


def add_level(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--level", type=integer(0, 5), metavar="0..5", help="resolution 32 * 2^level")


def add_faces(verb: argparse.ArgumentParser) -> None:
    few = "write a mesh of about N triangles, few where it is flat"
    verb.add_argument("--faces", type=integer(FEWEST_FACES, 1 << 30), metavar="N", help=few)


def add_fit(verb: argparse.ArgumentParser) -> None:
    """The options of every verb that fits scans."""
    from ..protocol.fit_options import KINDS

    add_level(verb)
    what = "what the scan is; auto finds out and says it"
    verb.add_argument("--as", dest="kind", choices=KINDS, help=what)


def weighted(text: str) -> tuple[Path, float]:
    """FILE=STRENGTH, or FILE alone at full strength."""
    name, separator, strength = text.rpartition("=")
    return (Path(name), real()(strength)) if separator else (Path(text), 1.0)


def named(text: str) -> tuple[str, float]:
    """NAME=VALUE."""
    name, separator, value = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"{text} is not NAME=VALUE")
    return name, real()(value)


def place(text: str) -> Point:
    """X,Y,Z."""
    found = [real()(number) for number in text.split(",")]
    if len(found) != 3:
        raise argparse.ArgumentTypeError(f"{text} is not X,Y,Z")
    x, y, z = found
    return x, y, z


def placed_at(text: str) -> tuple[str, Point]:
    """NAME=X,Y,Z."""
    name, separator, numbers = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"{text} is not NAME=X,Y,Z")
    return name, place(numbers)


def numbered(text: str) -> tuple[str, tuple[int, ...]]:
    """NAME=N,N: places, counted from 1."""
    name, separator, numbers = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"{text} is not NAME=N,N")
    return name, tuple(integer(1, 1000)(number) for number in numbers.split(","))


def with_places(
    layers: Sequence[Layer], at: Mapping[str, Point], without: Mapping[str, tuple[int, ...]]
) -> list[Layer]:
    """Layers whose edits have a place, or leave places out, which are counted from 1; both by the edit's name. Raises
    OmomiError(BAD_OPTION) where no layer has a name, or its edit was not learned."""
    unknown = sorted({*at, *without} - {layer.edit for layer in layers})
    if unknown:
        raise OmomiError(ErrorCode.BAD_OPTION, f"There is no edit called {unknown[0]:.80} to place.")
    found = []
    for layer in layers:
        if layer.edit in at:
            layer = replace(layer, at=at[layer.edit])
        if layer.edit in without:
            layer = replace(layer, without=tuple(number - 1 for number in without[layer.edit]))
        found.append(layer)
    return found


def fit_options(arguments: argparse.Namespace, options: FitOptions | None = None) -> FitOptions:
    """How to fit: as ``options`` say, or as usual, at the level and as the kind that were asked for."""
    from ..protocol.fit_options import FitOptions

    asked = {name: getattr(arguments, name, None) for name in ("level", "kind")}
    asked = {name: value for name, value in asked.items() if value is not None}
    return replace(options or FitOptions(), **asked)


def edit_target(arguments: argparse.Namespace) -> EditTarget:
    from ..protocol.requests import EditTarget

    return EditTarget.SCAN if arguments.keep_topology else EditTarget.FIT


def layers_of(
    settings: Sequence[tuple[str, float]],
    edits: Sequence[tuple[Path, float]],
    mask: Path | None,
    options: FitOptions,
) -> tuple[FitOptions, list[Layer]]:
    """The fit's options and the edits that a command line asks for. Raises OmomiError where one of them is unknown."""
    from ..edits.edit_file import load_edit
    from ..edits.stack import edit_range
    from ..protocol.fit_options import PAINTED
    from ..protocol.mask_ref import MaskRef
    from ..protocol.names import ATTRIBUTES
    from ..protocol.recipe import SHAPE, Layer

    region = None if mask is None else MaskRef("file", name=mask.stem)
    layers = []
    for name, value in settings:
        if name in PAINTED:
            change: dict[str, Any] = {name: value}
            options = replace(options, **change)
            if region is not None:
                options = options.masked({**options.masks, name: region})
            continue
        kind = SHAPE if name.startswith(SHAPE_PREFIX) else None
        if kind is None and name not in ATTRIBUTES:
            known = ", ".join((*ATTRIBUTES, *PAINTED, f"{SHAPE_PREFIX}NAME"))
            raise OmomiError(ErrorCode.BAD_OPTION, f"There is no attribute '{name:.80}': there are {known}.")
        layer = Layer(name.removeprefix(SHAPE_PREFIX), value, mask=region, kind=kind)
        edit_range(layer)
        layers.append(layer)
    for path, value in edits:
        stored = load_edit(path)
        layers.append(Layer(stored.name, value, stored.sha256, mask=region, path=str(path)))
    return options, layers


def recipe_layers(path: Path, mask: Path | None, engine: EngineInfo) -> tuple[FitOptions, list[Layer]]:
    """The fit's options and the edits of a recipe; files of edits are looked for beside it. mask: for edits that have
    none. Raises OmomiError where one of them is unknown."""
    from ..edits.edit_file import stored_edit
    from ..edits.stack import edit_range
    from ..protocol.mask_ref import MaskRef
    from ..protocol.names import EDIT
    from ..protocol.recipe import check_model, read_recipe

    recipe = read_recipe(path)
    check_model(recipe, engine.model_hash, path.name, engine.predecessors)
    layers = []
    for layer in recipe.entries:
        if layer.sha256:
            layer = replace(layer, path=str(path.parent / f"{layer.edit}{EDIT}"))
            stored_edit(layer)
        else:
            edit_range(layer)
        if layer.mask is None and mask is not None:
            layer = replace(layer, mask=MaskRef("file", name=mask.stem))
        layers.append(layer)
    return recipe.fit, layers


def with_masks(
    options: FitOptions, layers: Sequence[Layer], mask: Path | None, folder: Path | None, count: int
) -> tuple[FitOptions, list[Layer], NDArray[np.float32] | None]:
    """Options and layers whose painted masks are rows of the array that comes with them, as `fit_scan` and
    `EditSession.lay` take it.

    mask: a file in place of every painted mask; folder: of a recipe's masks; count: points of the scan. Raises
    OmomiError."""
    import numpy as np

    from ..edits.masks import mask_from_file
    from ..protocol.mask_ref import ROW, MaskRef

    rows: dict[Path, NDArray[np.float32]] = {}

    def row(found: MaskRef | None, what: str) -> MaskRef | None:
        if found is None or found.kind not in ("file", "vertex_group"):
            return found
        path = folder / f"{found.name}.npy" if mask is None and found.kind == "file" and folder is not None else mask
        if path is None:
            raise OmomiError(ErrorCode.BAD_OPTION, f"The recipe wants a painted mask for {what}: give it with --mask.")
        if path not in rows:
            rows[path] = mask_from_file(path, count)
        return MaskRef(ROW, row=list(rows).index(path))

    masks = {name: found for name, mask in options.masks.items() if (found := row(mask, name)) is not None}
    placed = [replace(layer, mask=row(layer.mask, layer.edit)) for layer in layers]
    return options.masked(masks), placed, np.concatenate(list(rows.values())) if rows else None


def open_session(
    path: Path,
    engine: Engine,
    options: FitOptions,
    layers: Sequence[Layer],
    line: ProgressLine,
    target: EditTarget,
    mask: Path | None = None,
    folder: Path | None = None,
) -> EditSession:
    """A scan with edits on it; mask and folder as of `with_masks`. It is fitted unless only learned edits move its own
    vertices: what is built in is read off the fitted surface. Raises OmomiError."""
    from ..edits.fitted_scan import FittedScan
    from ..edits.stack import EditSession
    from ..engine import fit_scan
    from ..formats.mesh_files import load_scan
    from ..protocol.requests import EditTarget

    line.show(0.0, "reading")
    raw = load_scan(path)
    options, placed, masks = with_masks(options, layers, mask, folder, len(raw.points))
    if target is EditTarget.FIT or any(layer.source != "learned" for layer in layers):
        fitted = fit_scan(engine, raw, options, line.show, masks=masks)
    else:
        fitted = FittedScan(raw, engine.prepare(raw, options.kind), level=options.level)
    session = EditSession(fitted)
    session.lay(target, placed, masks, line.show)
    return session


@contextmanager
def progress(label: str) -> Generator[ProgressLine]:
    """A line on stderr; what libraries print goes there too, for stdout is for the result."""
    line = ProgressLine(label)
    with redirect_stdout(sys.stderr):
        try:
            yield line
        finally:
            line.end()


def folder(path: Path) -> Path:
    """A folder for results, made if need be. Raises OmomiError(DISK)."""
    with system_errors():
        path.mkdir(parents=True, exist_ok=True)
    return path


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Raises OmomiError(DISK)."""
    from ..formats.files import write_whole

    write_whole(path, (json.dumps(value, indent=1) + "\n").encode())


def told(error: OmomiError) -> dict[str, Any]:
    """An error in a result."""
    return {"code": error.code.value, "message": error.message}


@contextmanager
def one_of_many(
    rows: list[dict[str, Any]], label: str, known: Mapping[str, Any], fatal: Callable[[OmomiError], bool]
) -> Generator[None]:
    """An error in the block is told and becomes a row of the results, beside what is ``known``, unless it is fatal."""
    try:
        with system_errors():
            yield
    except OmomiError as error:
        if fatal(error):
            raise
        print(f"{label}: {error.message}", file=sys.stderr)
        rows.append({**known, "error": told(error)})


def first_error(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The first error of a command's results, as a member of its summary; nothing where none has failed."""
    return next(({"error": row["error"]} for row in rows if "error" in row), {})


def report(arguments: argparse.Namespace, summary: Mapping[str, Any], *lines: str) -> int:
    """Print a result: as one object, or in lines, with its warnings, and its notes on files, on stderr. The exit code
    is 0."""
    from ..protocol.codec import jsonable

    if arguments.json:
        print_json(jsonable(summary))
    else:
        print("\n".join(lines))
        for sentence in (*summary.get("warnings", ()), *summary.get("notes", ())):
            print(sentence, file=sys.stderr)
    return 0
