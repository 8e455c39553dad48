"""The verbs ``omomi learn``, ``omomi edit`` and ``omomi sweep``. Importing this is cheap, as for ``cli``."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .console import ProgressLine, disk_errors, print_json
from .errors import ErrorCode, OmomiError

if TYPE_CHECKING:
    import numpy as np

    from .engine import Engine
    from .scan.prepare import PreparedScan
    from .scan.raw import RawScan
    from .weights.masks import Mask
    from .weights.recipe import Entry
    from .weights.stack import Edited
    from .weights.store import StoredEdit

MOST_EXAMPLES = 5
CONTRADICTING = 0.5
UNEXPLAINED = 0.4


def add_verbs(verbs: Any, parents: list[argparse.ArgumentParser]) -> None:
    learn = verbs.add_parser("learn", parents=parents, help="learn an edit from examples of before and after")
    learn.add_argument("--before", type=Path, action="append", required=True, metavar="A.ply")
    learn.add_argument("--after", type=Path, action="append", required=True, metavar="B.ply")
    learn.add_argument("-o", "--output", type=Path, required=True, metavar="NAME.omomi")
    learn.set_defaults(run=_learn, misuse=learn.error)

    edit = verbs.add_parser("edit", parents=parents, help="fit a scan and apply edits to it")
    edit.add_argument("scan", type=Path, metavar="SCAN")
    edit.add_argument("-o", "--output", type=Path, required=True, metavar="OUT")
    edit.add_argument("--edit", type=_weighted, action="append", default=[], metavar="FILE.omomi=STRENGTH")
    edit.add_argument("--mask", type=Path, metavar="FILE.npy", help="a weight 0..1 for every vertex of SCAN")
    edit.add_argument("--keep-topology", action="store_true", help="move SCAN's own vertices; no fit")
    edit.add_argument("--recipe", type=Path, metavar="R.json", help="edits are looked for beside it")
    edit.add_argument("--save-recipe", type=Path, metavar="R.json")
    edit.add_argument("--level", type=int, choices=range(6), metavar="0..5", help="resolution 32 * 2^level")
    edit.set_defaults(run=_edit, misuse=edit.error)

    sweep = verbs.add_parser("sweep", parents=parents, help="topology, volume and area along the strength of an edit")
    sweep.add_argument("scan", type=Path, metavar="SCAN")
    sweep.add_argument("--edit", type=Path, required=True, metavar="FILE.omomi")
    sweep.add_argument("--from", dest="low", type=float, default=-1.0, metavar="A")
    sweep.add_argument("--to", dest="high", type=float, default=2.0, metavar="B")
    sweep.add_argument(
        "--steps",
        type=int,
        choices=range(1, 1001),
        default=24,
        metavar="N",
        help="at least; more where a step would skip a voxel",
    )
    sweep.add_argument("--mask", type=Path, metavar="FILE.npy", help="a weight 0..1 for every vertex of SCAN")
    sweep.add_argument("--keep-topology", action="store_true", help="take SCAN's own closed mesh; no fit")
    sweep.add_argument("--level", type=int, choices=range(6), metavar="0..5", help="resolution 32 * 2^level")
    sweep.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="for sweep.json and phase.svg")
    sweep.set_defaults(run=_sweep, misuse=sweep.error)


def _weighted(text: str) -> tuple[Path, float]:
    """FILE=STRENGTH, or FILE alone at full strength."""
    name, separator, strength = text.rpartition("=")
    if not separator:
        return Path(text), 1.0
    value = float(strength)
    if not abs(value) <= 1e6:
        raise argparse.ArgumentTypeError(f"{strength} is not a strength")
    return Path(name), value


def _learn(arguments: argparse.Namespace, make_engine: Callable[[str, int], Engine]) -> int:
    if len(arguments.before) != len(arguments.after):
        arguments.misuse("every --before needs its --after")
    if len(arguments.before) > MOST_EXAMPLES:
        arguments.misuse(f"at most {MOST_EXAMPLES} examples")
    from .weights.store import SUFFIX, save_edit

    if arguments.output.suffix.lower() != SUFFIX:
        arguments.misuse(f"NAME must end in {SUFFIX}")
    with contextlib.redirect_stdout(sys.stderr):
        from .weights.examples import observe
        from .weights.placing import learn_edit

        model = make_engine(arguments.device, arguments.threads).info().model_hash
        started = time.perf_counter()
        changes = []
        line = ProgressLine(arguments.output.stem)
        try:
            for number, pair in enumerate(zip(arguments.before, arguments.after, strict=True)):
                line.show(number / len(arguments.before), f"example {number + 1}")
                before, after = (_prepared(path)[1] for path in pair)
                changes.append(observe(before, after))
            edit = learn_edit(changes)
        finally:
            line.end()
        names = ", ".join(path.stem for path in arguments.before)
        stored = save_edit(arguments.output, edit, model, names)
        warnings = []
        if edit.changes_nothing:
            warnings.append("The examples show no change: this edit does nothing.")
        if edit.disagreement > CONTRADICTING:
            warnings.append("The examples contradict one another: expect much doubt where the edit is applied.")
        if edit.unexplained > UNEXPLAINED:
            warnings.append(
                "A large part of the change is no movement of the surface (a new tunnel, a part cut off or put on): "
                "that part is not learned."
            )
    summary = {
        "output": str(arguments.output),
        "sha256": stored.sha256,
        "model": model,
        "examples": edit.examples,
        "changed_share": [float(change.changed.mean()) for change in changes],
        "disagreement": edit.disagreement,
        "unexplained": edit.unexplained,
        "seconds": time.perf_counter() - started,
        "warnings": warnings,
    }
    if arguments.json:
        print_json(summary)
    else:
        print(f"{arguments.output}: learned from {edit.examples} example(s) in {summary['seconds']:.1f} s")
        print("\n".join(warnings), file=sys.stderr, end="\n" if warnings else "")
    return 0


def _edit(arguments: argparse.Namespace, make_engine: Callable[[str, int], Engine]) -> int:
    if not (arguments.edit or arguments.recipe):
        arguments.misuse("give at least one --edit or a --recipe")
    with contextlib.redirect_stdout(sys.stderr):
        summary = _edited(arguments, make_engine(arguments.device, arguments.threads))
    if arguments.json:
        print_json(summary)
    else:
        print(f"{summary['output']}: {summary['moved']:.1%} of {summary['vertices']} vertices moved")
        print("\n".join(summary["warnings"]), file=sys.stderr, end="\n" if summary["warnings"] else "")
    return 0


def _edited(arguments: argparse.Namespace, engine: Engine) -> dict[str, Any]:
    import numpy as np

    from .field.fit import FitOptions
    from .scan.save import save_mesh
    from .weights.placing import place
    from .weights.recipe import Entry, Recipe, check_model, read_recipe, write_recipe
    from .weights.stack import Layer, apply
    from .weights.store import load_edit

    model = engine.info().model_hash
    options, entries, edits = FitOptions(), [], []
    if arguments.recipe:
        recipe = read_recipe(arguments.recipe)
        check_model(recipe, model, arguments.recipe.name)
        options = recipe.fit
        entries += recipe.entries
        edits += [_from_recipe(entry, arguments.recipe.parent, model) for entry in recipe.entries]
    for path, strength in arguments.edit:
        stored = load_edit(path, model)
        edits.append(stored)
        entries.append(Entry(stored.name, strength, stored.sha256))
    if arguments.level is not None:
        options = FitOptions(arguments.level, options.denoise, options.fill, options.keep_islands)

    raw, scan = _prepared(arguments.scan)
    mask = None if arguments.mask is None else _mask(arguments.mask, raw, scan, options.level)
    placed = {stored.sha256: place(stored.edit, scan) for stored in edits}
    layers = [
        Layer(placed[stored.sha256], 0.0 if entry.mute else entry.strength, mask or _region(entry))
        for stored, entry in zip(edits, entries, strict=True)
    ]
    world, faces, sigma = _surface(arguments, engine, raw, scan, options)
    vertices = (world - scan.frame.centre) * scan.frame.scale
    edited = apply(layers, vertices, faces)
    topology = _topology(vertices, faces, edited)
    doubt = np.hypot(sigma, edited.doubt / scan.frame.scale)
    save_mesh(arguments.output, world + edited.move / scan.frame.scale, faces, doubt)
    if arguments.save_recipe:
        write_recipe(arguments.save_recipe, Recipe(model, options, tuple(entries)))
    return {
        "scan": str(arguments.scan),
        "output": str(arguments.output),
        "vertices": len(world),
        "faces": len(faces),
        "edits": [
            {"edit": entry.edit, "strength": entry.strength, "misfit": placed[stored.sha256].misfit}
            for stored, entry in zip(edits, entries, strict=True)
        ],
        "moved": edited.moved,
        "largest_move": edited.largest / scan.frame.scale,
        "guessed": edited.guessed,
        "folded_faces": edited.folded,
        "topology": topology,
        "warnings": [*_warnings(edited), *([topology["change"]] if topology and topology["change"] else [])],
    }


def _topology(vertices: np.ndarray, faces: np.ndarray, edited: Edited) -> dict[str, Any] | None:
    """Pieces, tunnels and hollows before and after; None where the mesh has no inside."""
    from .weights.guard import describe
    from .weights.moving import encloses, moving_solid

    if not encloses(faces):
        return None
    solid = moving_solid(vertices, faces, edited.move)
    before = solid.betti(0.0)
    after = solid.betti(1.0) if edited.largest else before
    return {"before": before, "after": after, "change": describe(before, after) if before != after else ""}


def _sweep(arguments: argparse.Namespace, make_engine: Callable[[str, int], Engine]) -> int:
    if not arguments.low < arguments.high:
        arguments.misuse("--from must be less than --to")
    with contextlib.redirect_stdout(sys.stderr):
        summary = _swept(arguments, make_engine(arguments.device, arguments.threads))
    if arguments.json:
        print_json(summary)
    else:
        low, high = summary["safe"]
        print(f"{arguments.output}: the topology stays as it is from strength {low:.3g} to {high:.3g}")
        for transition in summary["transitions"]:
            print(f"{transition['strength']:.3f}: {transition['change']}")
    return 0


def _swept(arguments: argparse.Namespace, engine: Engine) -> dict[str, Any]:
    from .field.fit import FitOptions
    from .shape.phase import phase_picture
    from .weights.files import write_whole
    from .weights.guard import describe
    from .weights.moving import encloses, enough_steps, moving_solid
    from .weights.placing import place
    from .weights.stack import Layer, apply
    from .weights.store import load_edit
    from .weights.sweep import refine, sweep

    stored = load_edit(arguments.edit, engine.info().model_hash)
    options = FitOptions() if arguments.level is None else FitOptions(arguments.level)
    raw, scan = _prepared(arguments.scan)
    mask = None if arguments.mask is None else _mask(arguments.mask, raw, scan, options.level)
    world, faces, _ = _surface(arguments, engine, raw, scan, options)
    if not encloses(faces):
        raise OmomiError(ErrorCode.NOT_A_MESH, f"{arguments.scan} is not closed: leave out --keep-topology to fit it.")
    vertices = (world - scan.frame.centre) * scan.frame.scale
    edited = apply([Layer(place(stored.edit, scan), 1.0, mask)], vertices, faces)
    solid = moving_solid(vertices, faces, edited.move)
    steps = max(arguments.steps, enough_steps((arguments.high - arguments.low) * edited.largest))
    found = refine(solid, sweep(solid, arguments.low, arguments.high, steps, check=True))
    present = min(max(0.0, arguments.low), arguments.high)
    safe = found.safe_interval(present)
    with disk_errors():
        arguments.output.mkdir(parents=True, exist_ok=True)
    picture = phase_picture(
        found.strengths, found.betti, safe, found.unstable, f"{stored.name} on {arguments.scan.stem}", at=present
    )
    write_whole(arguments.output / "phase.svg", picture)
    rows = [
        {"strength": strength, "b0": b0, "b1": b1, "b2": b2, **_measures(world, faces, edited.move * strength, scan)}
        for strength, (b0, b1, b2) in zip(found.strengths.tolist(), found.betti.tolist(), strict=True)
    ]
    summary = {
        "scan": str(arguments.scan),
        "edit": stored.name,
        "safe": safe,
        "transitions": [
            {"strength": change.strength, "change": describe(change.before, change.after)}
            for change in found.transitions
        ],
        "unstable": [] if found.unstable is None else found.strengths[found.unstable].tolist(),
        "rows": rows,
    }
    write_whole(arguments.output / "sweep.json", (json.dumps(summary, indent=1) + "\n").encode())
    return summary


def _measures(world: np.ndarray, faces: np.ndarray, move: np.ndarray, scan: PreparedScan) -> dict[str, float]:
    """Signed volume and area of the moved mesh, world units."""
    import numpy as np

    corners = (world + move / scan.frame.scale - scan.frame.centre)[faces]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return {
        "volume": float(np.einsum("na,na->", corners[:, 0], across) / 6),
        "area": float(np.linalg.norm(across, axis=1).sum() / 2),
    }


def _prepared(path: Path) -> tuple[RawScan, PreparedScan]:
    from .scan.load import load_scan
    from .scan.prepare import prepare

    raw = load_scan(path)
    return raw, prepare(raw)


def _from_recipe(entry: Entry, folder: Path, model: str) -> StoredEdit:
    from .weights.store import SUFFIX, load_edit

    if not entry.sha256:
        raise OmomiError(ErrorCode.BAD_OPTION, f"There is no built-in edit '{entry.edit}'.")
    stored = load_edit(folder / f"{entry.edit}{SUFFIX}", model)
    if stored.sha256 != entry.sha256:
        raise OmomiError(
            ErrorCode.UNREADABLE_FILE, f"{entry.edit}{SUFFIX} is not the edit that the recipe was made with."
        )
    return stored


def _mask(path: Path, raw: RawScan, scan: PreparedScan, level: int) -> Mask:
    import numpy as np

    from .weights.masks import PaintedMask, mask_from_file
    from .weights.stack import normals_of

    weights = mask_from_file(path, len(raw.points))
    vertices, voxel = (raw.points - scan.frame.centre) * scan.frame.scale, 2.0 / (32 * 2**level)
    if raw.faces is None:
        return PaintedMask(vertices, weights, voxel)
    return PaintedMask.of_mesh(vertices, np.asarray(raw.faces), weights, voxel, normals_of(vertices, raw.faces))


def _region(entry: Entry) -> Mask | None:
    """The mask that a recipe describes by itself."""
    from .weights.masks import BoxMask, SphereMask

    mask = entry.mask
    if mask is None:
        return None
    if mask.kind == "box":
        return BoxMask(mask.low, mask.high, mask.falloff)  # type: ignore[arg-type]
    if mask.kind == "sphere":
        return SphereMask(mask.centre, mask.radius, mask.falloff)  # type: ignore[arg-type]
    raise OmomiError(ErrorCode.BAD_OPTION, f"The recipe wants a painted mask for {entry.edit}: give it with --mask.")


def _surface(
    arguments: argparse.Namespace, engine: Engine, raw: RawScan, scan: PreparedScan, options: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """World vertices f64 (n, 3), faces i32 (m, 3) and sigma (n,) of what is edited: the scan's own mesh, or its fit."""
    import numpy as np

    if arguments.keep_topology:
        if raw.faces is None or not len(raw.faces):
            raise OmomiError(ErrorCode.NOT_A_MESH, f"{arguments.scan} has no faces whose topology could be kept.")
        return raw.points, raw.faces, np.zeros(len(raw.points))
    line = ProgressLine(arguments.scan.name)
    try:
        chosen = {name: getattr(options, name) for name in ("level", "denoise", "fill", "keep_islands")}
        mesh = engine.fit(scan, chosen, lambda _: None, line.show, engine.token()).mesh
    finally:
        line.end()
    return np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces), np.asarray(mesh.sigma, np.float64)


def _warnings(edited: Edited) -> Sequence[str]:
    warnings = []
    if edited.guessed > 0.2:
        warnings.append(
            f"{edited.guessed:.0%} of what moved is a guess: the examples say little about this scan there."
        )
    if edited.folded:
        warnings.append(f"{edited.folded} faces were turned over: lower the strength.")
    return warnings
