"""What the verbs share: opening a scan, the edits that a command line or a recipe names, and printing results."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ..errors import ErrorCode, OmomiError
from .output import ProgressLine, disk_errors, print_json

if TYPE_CHECKING:
    from ..edits.displacement import Layer
    from ..edits.edit_file import StoredEdit
    from ..edits.fitted_scan import EditableMesh, FittedScan
    from ..edits.masks import Mask
    from ..engine import Engine
    from ..protocol.fit_options import FitOptions
    from ..protocol.recipe import Entry

MakeEngine: TypeAlias = "Callable[[str, int], Engine]"

FIT_OPTIONS = ("fill", "denoise")
"""What --set gives to the fit rather than to the fitted surface."""
SHAPE_PREFIX = "shape:"
"""What --set calls the sliders of the model's shape code by."""
LARGEST = 1e6


@dataclass(frozen=True)
class Choice:
    """An edit to be made. stored: what its file holds, None for what is built in; mask: a file with weights."""

    entry: Entry
    stored: StoredEdit | None
    mask: Path | None = None


@dataclass(frozen=True)
class Placed:
    """An edit on a scan. misfit: of its registration (sizes), None where there is none; warnings: what an artist should
    know of it."""

    choice: Choice
    layer: Layer
    misfit: float | None
    warnings: tuple[str, ...] = ()


def add_source(verb: argparse.ArgumentParser, *, many: bool = False) -> None:
    """The options of every verb that edits one scan."""
    verb.add_argument("scan", type=Path, metavar="SCAN")
    verb.add_argument("--mask", type=Path, metavar="FILE.npy", help="a weight 0..1 for every vertex of SCAN")
    verb.add_argument("--keep-topology", action="store_true", help="take SCAN's own vertices, not those of its fit")
    add_level(verb)
    if many:
        known = "an attribute, shape:SLIDER, fill or denoise"
        verb.add_argument("--set", type=setting, action="append", default=[], metavar="NAME=VALUE", help=known)
        verb.add_argument("--edit", type=weighted, action="append", default=[], metavar="FILE.omomi=STRENGTH")
    else:
        one = verb.add_mutually_exclusive_group(required=True)
        one.add_argument("--set", metavar="NAME", help="a built-in attribute, or shape:SLIDER")
        one.add_argument("--edit", type=Path, metavar="FILE.omomi")


def add_level(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--level", type=int, choices=range(6), metavar="0..5", help="resolution 32 * 2^level")


def weighted(text: str) -> tuple[Path, float]:
    """FILE=STRENGTH, or FILE alone at full strength."""
    name, separator, strength = text.rpartition("=")
    return (Path(name), number(strength)) if separator else (Path(text), 1.0)


def setting(text: str) -> tuple[str, float]:
    """NAME=VALUE."""
    name, separator, value = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"{text} is not NAME=VALUE")
    return name, number(value)


def number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    # written so that NaN fails too
    if not abs(value) <= LARGEST:
        raise argparse.ArgumentTypeError(f"{text} is not a number that could be meant")
    return value


def chosen(
    settings: Sequence[tuple[str, float]],
    edits: Sequence[tuple[Path, float]],
    mask: Path | None,
    options: FitOptions,
    model: str,
) -> tuple[FitOptions, list[Choice]]:
    """The fit's options and the edits that a command line asks for. Raises OmomiError."""
    from ..edits.attributes import ATTRIBUTES
    from ..edits.edit_file import load_edit
    from ..protocol.recipe import SHAPE, Entry, MaskRef

    region = None if mask is None else MaskRef("file", name=mask.stem)
    choices = []
    for name, value in settings:
        if name in FIT_OPTIONS:
            options = replace(options, **{name: value})
        elif name in ATTRIBUTES:
            choices.append(Choice(Entry(name, value, mask=region), None, mask))
        elif name.startswith(SHAPE_PREFIX):
            name = shape_named(name.removeprefix(SHAPE_PREFIX))
            choices.append(Choice(Entry(name, value, mask=region, kind=SHAPE), None, mask))
        else:
            known = ", ".join((*ATTRIBUTES, *FIT_OPTIONS, f"{SHAPE_PREFIX}NAME"))
            raise OmomiError(ErrorCode.BAD_OPTION, f"There is no attribute '{name:.80}': there are {known}.")
    for path, value in edits:
        stored = load_edit(path, model)
        choices.append(Choice(Entry(stored.name, value, stored.sha256, mask=region), stored, mask))
    return options, choices


def shape_named(name: str) -> str:
    """The name, once the model has a shape slider of it. Raises OmomiError."""
    from ..edits import shape_sliders
    from ..prior import shape_prior

    shape_sliders.range_of(name, shape_prior.shipped_prior())
    return name


def from_recipe(path: Path, mask: Path | None, model: str) -> tuple[FitOptions, list[Choice]]:
    """The fit's options and the edits of a recipe; files are looked for beside it. mask: in place of painted ones, and
    for edits that have none. Raises OmomiError."""
    from ..edits.attributes import ATTRIBUTES
    from ..edits.edit_file import load_edit
    from ..protocol.names import EDIT
    from ..protocol.recipe import SHAPE, MaskRef, check_model, read_recipe

    recipe = read_recipe(path)
    check_model(recipe, model, path.name)
    choices = []
    for entry in recipe.entries:
        stored = None
        if entry.sha256:
            stored = load_edit(path.parent / f"{entry.edit}{EDIT}", model)
            if stored.sha256 != entry.sha256:
                raise OmomiError(
                    ErrorCode.UNREADABLE_FILE, f"{entry.edit}{EDIT} is not the edit that the recipe was made with."
                )
        elif entry.kind == SHAPE:
            shape_named(entry.edit)
        elif entry.edit not in ATTRIBUTES:
            raise OmomiError(ErrorCode.BAD_OPTION, f"There is no built-in edit '{entry.edit}'.")
        painted = mask
        if entry.mask is None and mask is not None:
            entry = replace(entry, mask=MaskRef("file", name=mask.stem))
        elif entry.mask is not None and mask is None and entry.mask.kind == "file":
            painted = path.parent / f"{entry.mask.name}.npy"
        choices.append(Choice(entry, stored, painted))
    return recipe.fit, choices


def opened(path: Path, engine: Engine, options: FitOptions, line: ProgressLine, fitted: bool = True) -> FittedScan:
    """A scan, cleaned and, where it is wanted, fitted. Raises OmomiError."""
    from ..edits.fitted_scan import FittedScan
    from ..formats.mesh_files import load_scan
    from ..scan.prepare import prepare

    line.show(0.0, "reading")
    raw = load_scan(path)
    scan = prepare(raw)
    if not fitted:
        return FittedScan(raw, scan)
    return FittedScan(raw, scan, engine.fit(scan, options, lambda _: None, line.show, engine.token()))


def shell_of(subject: FittedScan, keep_topology: bool) -> EditableMesh:
    from ..protocol.requests import EditTarget

    return subject.shell(EditTarget.SCAN if keep_topology else EditTarget.FIT)


def placed(choices: Sequence[Choice], subject: FittedScan, level: int) -> list[Placed]:
    """The edits where they belong on a scan. Raises OmomiError."""
    from ..edits.apply_learned import apply_learned
    from ..edits.attributes import attribute
    from ..edits.displacement import Layer, Movement

    known: dict[str, tuple[Movement, float | None]] = {}
    found: list[Placed] = []
    for choice in choices:
        entry, stored = choice.entry, choice.stored
        strength, mask = 0.0 if entry.mute else entry.strength, _mask(choice, subject, level)
        if entry.kind is not None:
            found.append(_shape(choice, subject, strength, mask, found))
            continue
        key = entry.sha256 or entry.edit
        if key not in known and stored is None:
            known[key] = attribute(entry.edit, subject.scan, subject.fit), None
        elif key not in known and stored is not None:
            there = apply_learned(stored.edit, subject.scan)
            known[key] = there, there.alignment.misfit
        movement, misfit = known[key]
        found.append(Placed(choice, Layer(movement, strength, mask), misfit))
    return found


def _shape(choice: Choice, subject: FittedScan, strength: float, mask: Mask | None, before: Sequence[Placed]) -> Placed:
    """A slider of the shape; the way to the plausible starts where the edits before it bring the scan."""
    from ..edits import shape_sliders
    from ..edits.displacement import Layer, apply
    from ..prior import shape_prior
    from ..protocol.requests import EditTarget

    moved = None
    if choice.entry.edit == shape_sliders.PLAUSIBLE and subject.fit is not None:
        shell = subject.shell(EditTarget.FIT)
        layers = [one.layer for one in before]
        moved = shell.vertices + apply(layers, shell.vertices, shell.faces, shell.normals).move
    made = shape_sliders.shape_edit(choice.entry.edit, subject.scan, subject.fit, shape_prior.shipped_prior(), moved)
    if made.strict:
        strength = min(max(strength, made.low), made.high)
    return Placed(choice, Layer(made.movement, strength, mask), None, made.warnings)


def needs_fit(choices: Sequence[Choice], keep_topology: bool) -> bool:
    """What is built in is read off the fitted surface, whatever it moves."""
    return not keep_topology or any(choice.stored is None for choice in choices)


def _mask(choice: Choice, subject: FittedScan, level: int) -> Mask | None:
    from ..edits.masks import BoxMask, PaintedMask, SphereMask, mask_from_file
    from ..field.bricks import voxel_size
    from ..protocol.requests import EditTarget

    mask = choice.entry.mask
    if mask is None:
        return None
    if mask.kind == "box":
        return BoxMask(mask.low, mask.high, mask.falloff)  # type: ignore[arg-type]
    if mask.kind == "sphere":
        return SphereMask(mask.centre, mask.radius, mask.falloff)  # type: ignore[arg-type]
    if choice.mask is None:
        raise OmomiError(
            ErrorCode.BAD_OPTION, f"The recipe wants a painted mask for {choice.entry.edit}: give it with --mask."
        )
    raw, voxel = subject.raw, voxel_size(level)
    weights = mask_from_file(choice.mask, len(raw.points))
    if raw.faces is None or not len(raw.faces):
        return PaintedMask(subject.to_canonical(raw.points), weights, voxel)
    own = subject.shell(EditTarget.SCAN)
    return PaintedMask.of_mesh(own.vertices, own.faces, weights, voxel, own.normals)


@contextmanager
def progress(label: str) -> Iterator[ProgressLine]:
    """A line on stderr; what libraries print goes there too, for stdout is for the result."""
    line = ProgressLine(label)
    with redirect_stdout(sys.stderr):
        try:
            yield line
        finally:
            line.end()


def folder(path: Path) -> Path:
    """A folder for results, made if need be. Raises OmomiError(DISK)."""
    with disk_errors():
        path.mkdir(parents=True, exist_ok=True)
    return path


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Raises OmomiError(DISK)."""
    from ..formats.files import write_whole

    write_whole(path, (json.dumps(value, indent=1) + "\n").encode())


def report(arguments: argparse.Namespace, summary: Mapping[str, Any], *lines: str) -> int:
    """Print a result: as one object, or in lines, with its warnings on stderr. The exit code is 0."""
    from ..protocol.codec import jsonable

    if arguments.json:
        print_json(jsonable(summary))
    else:
        print("\n".join(lines))
        for warning in summary.get("warnings", ()):
            print(warning, file=sys.stderr)
    return 0
