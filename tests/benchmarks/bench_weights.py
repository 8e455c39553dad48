"""Edits by example that the network makes: holes, slots, parts put on and taken off, on families of known solids.

omomi bench weights [--edits NAME ...] [--shots 1 3] [--members N] [--resume] [--quick]

An edit is learned from members of a family and applied to the fit (128^3) of others, all in a pose and scale of their
own, meshed anew before and after, with noise. ``elsewhere``: the examples are as usual, and the part of the other
member sits .1 to .3 sides away. All figures but the times count voxels of the canonical cube, as shares of the wanted
change, which is where the true solids before and after differ:

- E_in: wrong within it (1: nothing done, and what a refusal counts);
- beside: wrong within .1 of it, less what the plain fit has wrong there;
- drift: changed farther away.

Where a member has several parts, the examples show one of them, and the truth is the edit on all.

preview: the median distance (voxels), at a quarter of the strength, of the surface that a delta makes anew from what a
slider in motion shows.

It needs no scans and nothing beside the backend's own packages.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.ndimage import distance_transform_edt, label

from backend.edits.apply import AppliedStack, apply_stack, new_mesh
from backend.edits.edit_file import save_edit
from backend.edits.fitted_scan import FittedScan
from backend.edits.gear import Gear
from backend.edits.learn import learn_from
from backend.edits.pair_fields import CRUMB
from backend.edits.stack import EditSession
from backend.engine import OnnxEngine, fit_scan
from backend.errors import OmomiError
from backend.field.bricks import voxel_size
from backend.field.fit import FittedMesh, ignore
from backend.geometry.nearest import nearest_on_mesh
from backend.geometry.topology import betti_of_occupancy
from backend.geometry.winding_number import winding_grid
from backend.protocol.fit_options import FitOptions
from backend.protocol.recipe import Layer
from backend.protocol.requests import EditTarget, Outcome
from tests.benchmarks.bars import Bar, Journal, mean, number, say, table, verdict, write_report
from tests.benchmarks.cases import ROOT
from tests.benchmarks.weight_cases import EDITS, ELSEWHERE, REPEATED, Edited, edited_member

MEDIAN, SPREAD, SINGLE_MEDIAN = 0.1, 0.3, 0.2
"""Of E_in from three examples, its 90th percentile, and the median from one."""
ELSEWHERE_DRIFT = 0.05
BETTI = 0.95
DRIFT, LARGEST_DRIFT = 0.02, 0.1
LEARN_SECONDS, FIRST_FRAME_SECONDS, APPLY_SECONDS = 4.0, 0.3, 2.0
LEVEL, RESOLUTION = 2, 128
PREVIEW_VOXELS, PREVIEW_STRENGTH = 0.3, 0.25
MADE_ANEW = 0.1
"""Voxels that a place of the new mesh lies off the fit's surface."""
FOUND = 0.9
INTERVAL, COVERED = 1.645, (0.85, 0.95)
"""Standard deviations of a 90 % interval, and the shares that it may cover."""
MADE = 0.5
"""Share of a wanted change that may be wrong where it counts as made."""
BESIDE = 0.1
"""Canonical distance up to which a place is beside the wanted change."""
EXAMPLES, MEMBERS, QUICK_MEMBERS = 3, 20, 3


def figures(result: np.ndarray, plain: np.ndarray, truth: tuple[np.ndarray, np.ndarray]) -> dict:
    """E_in, beside, drift and the Betti numbers of an edited solid; all arrays bool (n, n, n), voxels inside.

    plain: of the fit without the edit; truth: before and after.
    """
    before, after = truth
    want = before ^ after
    far = np.asarray(distance_transform_edt(~want)) * (2 / len(want)) > BESIDE
    near, volume = ~want & ~far, float(want.sum())

    def share(voxels: np.ndarray) -> float:
        return float(voxels.sum()) / volume

    wrong = result ^ after
    parts, count = label(want)
    sizes, missed = (np.bincount(parts[chosen], minlength=count + 1)[1:] for chosen in (want, want & wrong))
    large = sizes > CRUMB
    return {
        "E_in": share(wrong & want),
        "beside": share(wrong & near) - share((plain ^ after) & near),
        "drift": share((result ^ plain) & far),
        "parts": int(large.sum()),
        "made": int((missed[large] < MADE * sizes[large]).sum()),
        "betti": list(betti_of_occupancy(result, CRUMB)),
        "betti_truth": list(betti_of_occupancy(after, CRUMB)),
    }


def enclosed(fitted: FittedScan, vertices: np.ndarray, faces: np.ndarray, cells: int = RESOLUTION) -> np.ndarray:
    """Voxels (n, n, n) of the canonical cube in a closed mesh; vertices (n, 3) in world units."""
    voxels = (fitted.to_canonical(vertices) + 1) * (cells / 2) - 0.5
    return winding_grid(voxels, faces, (cells, cells, cells)) > 0


def learned(engine: OnnxEngine, edit: str, k: int, path: Path) -> dict:
    """Learn an edit from k members and write it to a file. Returns what there is to say about it, and the seconds."""
    members = [edited_member(edit, seed, example=True) for seed in range(k)]
    pairs = [(member.before, member.after) for member in members]
    row: dict = {"part": "learning", "edit": edit, "k": k}
    started, processor = time.perf_counter(), time.process_time()
    try:
        found, said = learn_from(pairs, [f"member {seed}" for seed in range(k)], engine.model, ignore)
    except OmomiError as error:
        path.unlink(missing_ok=True)
        return row | {"refused": error.message}
    row |= {"seconds": time.perf_counter() - started, "processor_seconds": time.process_time() - processor}
    save_edit(path, found, engine.model.hash)
    return row | {name: said[name] for name in ("gear", "wrong", "unexplained", "warnings")}


def applied(
    engine: OnnxEngine, fitted: FittedScan, path: Path, at: np.ndarray | None = None
) -> tuple[dict, AppliedStack]:
    """Times (s), gear and runs of the network of an edit, and what it makes; at (3,): its place, world units. Raises
    OmomiError."""
    # nothing that an earlier edit has found out about the scan
    session = EditSession(replace(fitted))
    started = time.perf_counter()
    place = None if at is None else (float(at[0]), float(at[1]), float(at[2]))
    layer = Layer(path.stem, 1.0, path=str(path), at=place)
    stack = session.lay(EditTarget.FIT, [layer], None, ignore, engine.model)
    frames: list[float] = []

    def frame(_: FittedMesh) -> None:
        frames.append(time.perf_counter())

    before, laid, processor = engine.model.runs.total(), time.perf_counter(), time.process_time()
    made = apply_stack(session, [1.0], Outcome.REMESHED, engine.model, ignore, frame)
    ended, processor = time.perf_counter(), time.process_time() - processor
    gear = stack.layers[0].summary["gear"]
    row = {
        "gear": gear,
        "places": len(stack.layers[0].summary["places"]),
        "lay_seconds": laid - started,
        "first_frame": frames[0] - laid if frames else None,
        "seconds": ended - laid,
        "processor_seconds": processor,
        "runs": engine.model.runs.total() - before,
    }
    row["preview"] = preview_distance(engine, session) if gear == Gear.DELTA else None
    return row, made


def covered(member: Edited, fitted: FittedScan, made: AppliedStack) -> float | None:
    """Share of the new surface that lies within its own 90 % interval of the true one; None without any."""
    assert fitted.fit is not None
    plain, voxel = fitted.fit.mesh, voxel_size(fitted.level) / fitted.scan.frame.scale
    new = nearest_on_mesh(plain.vertices, plain.faces, made.vertices).distance > MADE_ANEW * voxel
    own = (made.vertices[new] - member.offset) / member.scale @ member.turn
    off = np.abs(member.solids[1](own)) * member.scale
    return float((off < INTERVAL * made.sigma[new]).mean()) if new.any() else None


def preview_distance(engine: OnnxEngine, session: EditSession) -> float:
    """See ``preview`` above; of the one delta on a fit."""
    stack, strengths = session.stack, [PREVIEW_STRENGTH]
    vertices = session.fitted.to_canonical(new_mesh(session, strengths, engine.model, ignore)[0])
    shown = session.fitted.to_canonical(stack.pose(strengths))
    voxel, faces = voxel_size(session.fitted.level), stack.mesh.faces
    anew = nearest_on_mesh(stack.mesh.vertices, faces, vertices).distance > MADE_ANEW * voxel
    return float(np.median(nearest_on_mesh(shown, faces, vertices[anew]).distance)) / voxel if anew.any() else 0.0


def rows_of(engine: OnnxEngine, member: Edited, paths: Sequence[Path]) -> list[dict]:
    """Figures of an unseen member, one row for each file of an edit; a missing file is a refusal."""
    options = FitOptions(level=LEVEL)
    fitted = fit_scan(engine, member.before, options, ignore)
    assert fitted.fit is not None
    truth = member.inside(fitted.scan.frame, RESOLUTION)
    plain = enclosed(fitted, fitted.fit.mesh.vertices, fitted.fit.mesh.faces)
    rows = []
    for path in paths:
        try:
            row, made = applied(engine, fitted, path)
        except OmomiError as error:
            rows.append(figures(plain, plain, truth) | {"E_in": 1.0, "refused": error.message})
        else:
            result = enclosed(fitted, made.vertices, made.faces)
            rows.append(row | figures(result, plain, truth) | {"covered": covered(member, fitted, made)})
    return rows


def measure(engine: OnnxEngine, options: argparse.Namespace, journal: Journal) -> None:
    """Add the rows that are missing."""
    for edit in options.edits or (*EDITS, *REPEATED):
        for elsewhere in (False, True) if edit in ELSEWHERE else (False,):
            for seed in range(EXAMPLES, EXAMPLES + options.members):
                case = {"part": "edits", "edit": edit, "elsewhere": elsewhere, "member": seed}
                # from one example the part is where it was
                shots = [k for k in options.shots if not (elsewhere and k < EXAMPLES)]
                shots = [k for k in shots if not journal.known(**case, k=k)]
                if not shots:
                    continue
                paths = [options.out / f"{edit} {k}.omomi" for k in shots]
                for k, path in zip(shots, paths, strict=True):
                    if not journal.known(part="learning", edit=edit, k=k):
                        journal.add([learned(engine, edit, k, path)])
                found = rows_of(engine, edited_member(edit, seed, elsewhere), paths)
                journal.add([case | {"k": k} | row for k, row in zip(shots, found, strict=True)])
                said = ", ".join(f"k {k}: {row['E_in']:.3f}" for k, row in zip(shots, found, strict=True))
                say(f"{edit}{' elsewhere' * elsewhere} {seed}: {said}")


def bars(rows: Sequence[dict]) -> list[Bar]:
    """Bars on the rows of a journal."""
    found: list[Bar] = []
    cases = [row for row in rows if row["part"] == "edits"]
    usual = [row for row in cases if not row["elsewhere"]]
    for edit in dict.fromkeys(row["edit"] for row in cases):
        for k, limits in ((EXAMPLES, (MEDIAN, SPREAD)), (1, (SINGLE_MEDIAN,))):
            errors = [row["E_in"] for row in usual if (row["edit"], row["k"]) == (edit, k)]
            found += _spread(f"{edit}, k = {k}", errors, limits)
        away = [row for row in cases if row["edit"] == edit and row["elsewhere"]]
        if away:
            found += _spread(f"{edit} elsewhere", [row["E_in"] for row in away], (MEDIAN, SPREAD))
            drift = [row["drift"] for row in away]
            found.append(_median(f"{edit} elsewhere: drift, median", drift, ELSEWHERE_DRIFT))
    several = [row for row in usual if row["edit"] in REPEATED and row["k"] == EXAMPLES]
    if several:
        right = [float(row["made"] == row["parts"] == row.get("places")) for row in several]
        found.append(Bar("several parts: all are found, none invented", mean(right), FOUND, False, len(right)))
    usual = [row for row in usual if row["k"] == EXAMPLES]
    right = [float(row["betti"] == row["betti_truth"]) for row in usual]
    drift = [row["drift"] for row in usual]
    found.append(Bar("Betti numbers are right", mean(right), BETTI, False, len(right)))
    found.append(_median("drift, median", drift, DRIFT))
    found.append(Bar("drift, worst", max(drift, default=None), LARGEST_DRIFT, True, len(drift)))
    learning = [
        row["seconds"] for row in rows if row["part"] == "learning" and row["k"] == EXAMPLES and "seconds" in row
    ]
    found.append(_median("learning from 3 pairs, median (s)", learning, LEARN_SECONDS))
    done = [row for row in cases if "refused" not in row]
    frames = [row["first_frame"] for row in done if row["first_frame"] is not None]
    found.append(_median("first frame, median (s)", frames, FIRST_FRAME_SECONDS))
    found.append(_median("new mesh, median (s)", [row["seconds"] for row in done], APPLY_SECONDS))
    previews = [row["preview"] for row in done if row.get("preview") is not None]
    found.append(_median(f"preview at strength {PREVIEW_STRENGTH}, median (voxels)", previews, PREVIEW_VOXELS))
    inside = [row["covered"] for row in done if row.get("covered") is not None]
    # of all new surface: errors of one member go together, so that most members are covered whole and a few hardly
    share = mean(inside)
    found += [
        Bar("the 90 % interval covers at least", share, COVERED[0], False, len(inside)),
        Bar("the 90 % interval covers at most", share, COVERED[1], True, len(inside)),
    ]
    ran = [float(row["runs"] > 0) for row in done if row["gear"] == Gear.DELTA]
    return [*found, Bar("deltas: the network runs", mean(ran), 1.0, False, len(ran))]


def _spread(name: str, errors: Sequence[float], limits: Sequence[float]) -> list[Bar]:
    found = [_median(f"{name}: median E_in", errors, limits[0])] if errors else []
    if errors and len(limits) > 1:
        high = float(np.percentile(errors, 90))
        found.append(Bar(f"{name}: 90th percentile", high, limits[1], True, len(errors)))
    return found


def _median(name: str, values: Sequence[float], limit: float) -> Bar:
    return Bar(name, float(np.median(values)) if values else None, limit, True, len(values))


def edit_table(rows: Sequence[dict]) -> str:
    """One row per edit, place of the part and number of examples."""
    cases = [row for row in rows if row["part"] == "edits"]
    learning = {(row["edit"], row["k"]): row for row in rows if row["part"] == "learning"}
    shown = []
    for edit, elsewhere, k in dict.fromkeys((row["edit"], row["elsewhere"], row["k"]) for row in cases):
        chosen = [row for row in cases if (row["edit"], row["elsewhere"], row["k"]) == (edit, elsewhere, k)]
        done = [row for row in chosen if "refused" not in row]
        errors, drift = ([row[name] for row in chosen] for name in ("E_in", "drift"))
        known = learning.get((edit, k), {})
        shown.append(
            [
                edit + " elsewhere" * elsewhere,
                str(k),
                known.get("gear", "-"),
                number(float(np.median(errors))),
                number(float(np.percentile(errors, 90))),
                number(float(np.median([row["beside"] for row in chosen]))),
                f"{number(float(np.median(drift)))}, {number(max(drift))}",
                f"{sum(row['betti'] == row['betti_truth'] for row in chosen)} of {len(chosen)}",
                f"{sum(row['made'] for row in chosen)} of {sum(row['parts'] for row in chosen)}",
                str(len(chosen) - len(done)),
                number(mean([row["runs"] for row in done])),
                number(known.get("seconds")),
                number(mean([row["first_frame"] for row in done if row["first_frame"] is not None])),
                number(mean([row["seconds"] for row in done])),
            ]
        )
    head = ["edit", "k", "gear", "median E_in", "90th percentile", "beside", "drift: median, worst", "Betti right"]
    return table([*head, "parts", "refused", "runs", "learning (s)", "first frame (s)", "new mesh (s)"], shown)


def parse(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Options of the command line. A run of fewer members than MEMBERS counts as quick."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--edits", nargs="+", choices=(*EDITS, *REPEATED), help="all of them if not given")
    parser.add_argument("--shots", nargs="+", type=int, default=[1, EXAMPLES], choices=(1, EXAMPLES))
    parser.add_argument("--members", type=int, default=MEMBERS, help="unseen ones for each edit")
    parser.add_argument("--resume", action="store_true", help="go on where the last run was cut off")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench" / "weights")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_MEMBERS} members")
    options = parser.parse_args(words)
    if options.quick:
        options.members = min(options.members, QUICK_MEMBERS)
    options.quick |= options.members < MEMBERS
    return options


def main(words: Sequence[str] | None = None) -> int:
    """Run the benchmark; status 1 when a bar is missed."""
    options = parse(words)
    options.out.mkdir(parents=True, exist_ok=True)
    journal = Journal(options.out / "rows.json", options.resume)
    measure(OnnxEngine("cpu"), options, journal)
    found, tables = bars(journal.rows), [edit_table(journal.rows)]
    write_report(options.out / "bench_weights.json", options, {"rows": journal.rows}, found, tables)
    return verdict(tables, found)


if __name__ == "__main__":
    sys.exit(main())
