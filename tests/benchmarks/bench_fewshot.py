"""Edits learned from examples: real skulls against copying, and procedural families in any pose.

omomi bench fewshot [--parts skulls families] [--shots 1 3 5] [--resume] [--quick]

The method sees the training pairs and the scan to edit, nothing else; its result keeps the scan's mesh. E_in is the
share of the wanted change that is wrong (1: nothing done). Copying moves the nearest voxel's change over after
registration.

Needs the `bench` extra, the folder of scans (OMOMI_SCANS) and the scoring tool beside it; without them it says so and
does nothing.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import point_cloud_utils as pcu
import trimesh
from scipy.stats import norm

from backend.edits.apply import check_topology
from backend.edits.apply_learned import apply_learned
from backend.edits.displacement import MOVED, Edited
from backend.edits.fitted_scan import EditableMesh
from backend.edits.gear import LearnedEdit
from backend.edits.learn import learn_from
from backend.edits.learned import LearnedMovement
from backend.errors import OmomiError
from backend.field.fit import ignore
from backend.formats.mesh_files import load_scan, save_mesh
from backend.scan.prepare import prepare
from tests.benchmarks.bars import Bar, Journal, mean, number, say, table, verdict, write_report
from tests.benchmarks.cases import CaseFailed, ScoringTool, arguments, prepared
from tests.benchmarks.families import FAMILIES, member
from tests.movements import apply_movement

KINDS = ("push", "dent", "scale", "twist")
SEEDS = (0, 1)
BARS = {1: 0.8, 3: 0.7, 5: 0.6}
"""Median error against the copy's, by number of examples."""
SPREAD = 0.8
FAMILY_MEDIAN, FAMILY_SPREAD = 0.25, 0.45
DRIFT, LARGEST_DRIFT = 0.001, 0.005
SECONDS = 3.0
UNSEEN_MEMBERS = 20
NOMINAL = (0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.9, 0.95)
"""Shares at which the calibration of the posterior is read."""
COVERED = (0.85, 0.95)


def learned(pairs: Sequence[tuple[Path, Path]]) -> tuple[LearnedMovement, float]:
    """The edit of some pairs of files, and the seconds that it took, reading included."""
    started = time.perf_counter()
    scans = [(load_scan(before), load_scan(after)) for before, after in pairs]
    edit, _ = learn_from(scans, [before.stem for before, _ in pairs], None, ignore)
    return edit.movement, time.perf_counter() - started


def edited(edit: LearnedMovement, scan: Path, after: Path, result: Path) -> dict:
    """Write the edited scan. Returns the seconds that it took, reading and writing included, whether the solid kept its
    topology, and the shares of the errors within the NOMINAL intervals of the posterior."""
    started = time.perf_counter()
    raw = load_scan(scan)
    prepared = prepare(raw)
    assert raw.faces is not None
    centre, scale = prepared.frame.centre, prepared.frame.scale
    vertices = (raw.points - centre) * scale
    change = apply_movement(apply_learned(LearnedEdit(edit), prepared)[0], 1.0, vertices, raw.faces)
    save_mesh(result, raw.points + change.move / scale, raw.faces)
    seconds = time.perf_counter() - started
    topology = check_topology(EditableMesh(vertices, raw.faces, np.zeros(len(vertices))), change.move)
    return {
        "seconds": seconds,
        "topology_kept": None if topology is None else topology["change"] == "",
        "posterior": within_posterior((vertices + change.move) / scale + centre, change, scale, after),
    }


def within_posterior(places: np.ndarray, change: Edited, scale: float, after: Path) -> list[float]:
    """Shares of the moved vertices, at ``places`` (n, 3) in world units, whose distance to the true surface lies within
    the NOMINAL intervals of the posterior."""
    truth = trimesh.load_mesh(after, process=False)
    length = np.linalg.norm(change.move, axis=1)
    moved = length > MOVED * length.max(initial=0.0)
    distance, _, _ = pcu.closest_points_on_mesh(places[moved], np.array(truth.vertices), np.array(truth.faces))
    ratio = distance * scale / np.maximum(change.doubt[moved], 1e-12)
    return [float((ratio <= width).mean()) for width in norm.ppf(0.5 + np.array(NOMINAL) / 2)] if moved.any() else []


def posterior_bars(rows: Sequence[dict]) -> list[Bar]:
    """Coverage of the posterior's 90 % interval."""
    curves = np.array([row["posterior"] for row in rows if row.get("posterior")])
    if not len(curves):
        return []
    covered = float(curves.mean(axis=0)[NOMINAL.index(0.9)])
    return [
        Bar("families: 90 % interval of the posterior covers at least", covered, COVERED[0], False, len(curves)),
        Bar("families: 90 % interval of the posterior covers at most", covered, COVERED[1], True, len(curves)),
    ]


def record_of(
    tool: ScoringTool, edit: LearnedMovement, before: Path, after: Path, mask: Path | None, samples: int
) -> dict:
    """Scores of one edited scan. A refused scan counts as unchanged."""
    result = before.with_name(before.name.replace("before", "result"))
    record: dict = {"scan": before.stem}
    try:
        record |= edited(edit, before, after, result)
    except OmomiError as error:
        record |= {"refused": error.message}
        result = before
    return record | tool.score_edit(before, after, result, mask, samples)


def skulls(tool: ScoringTool, options: argparse.Namespace, journal: Journal) -> list[Bar]:
    """Edits of skulls, learned from k others."""
    found: list[Bar] = []
    for k in options.shots:
        for kind in KINDS:
            for seed in SEEDS[:1] if options.quick else SEEDS:
                if not journal.known(kind=kind, k=k, seed=seed):
                    journal.add(_skull_rows(tool, options, kind, k, seed))
        rows = journal.known(part="skulls", k=k)
        ours, copy = ([row[name] for row in rows] for name in ("E_in", "closest"))
        found.append(Bar(f"skulls, k = {k}: median E_in / copy's", _ratio(ours, copy, 50), BARS[k], True, len(rows)))
        if k == 3:
            name = "skulls, k = 3: 90th percentile / copy's"
            found.append(Bar(name, _ratio(ours, copy, 90), SPREAD, True, len(rows)))
            found += _seconds("skulls", rows)
    return found + _drift("skulls", journal.known(part="skulls"))


def _skull_rows(tool: ScoringTool, options: argparse.Namespace, kind: str, k: int, seed: int) -> list[dict]:
    folder = tool.pairs(kind, k, 100 * seed + k)
    copied = tool.copy_baseline(folder, options.samples)
    pairs = [(folder / f"train_{i + 1}_before.ply", folder / f"train_{i + 1}_after.ply") for i in range(k)]
    edit, seconds = learned(pairs)
    rows = []
    for test in ("test_1", "test_2"):
        before, after, mask = (folder / f"{test}_{part}" for part in ("before.ply", "after.ply", "mask.npy"))
        row = record_of(tool, edit, before, after, mask, options.samples)
        row |= {"part": "skulls", "kind": kind, "k": k, "seed": seed, "learn_seconds": seconds}
        row |= {name: copied[name]["each"][test]["E_in"] for name in ("closest", "known")}
        rows.append(row)
        say(f"k {k} {kind} {seed} {test}: {row['E_in']:.2f}, copy {row['closest']:.2f} {row.get('refused', '')}")
    return rows


def families(tool: ScoringTool, options: argparse.Namespace, journal: Journal) -> list[Bar]:
    """Edits of a named part, learned from three members in any pose and applied to others in any pose."""
    found: list[Bar] = []
    for family in FAMILIES:
        if not journal.known(family=family):
            journal.add(_family_rows(tool, options, family))
        rows = journal.known(family=family)
        errors = [row["E_in"] for row in rows]
        found.append(Bar(f"{family}: median E_in", float(np.median(errors)), FAMILY_MEDIAN, True, len(rows)))
        spread = float(np.percentile(errors, 90))
        found.append(Bar(f"{family}: 90th percentile", spread, FAMILY_SPREAD, True, len(rows)))
    rows = journal.known(part="families")
    kept = [float(row["topology_kept"]) for row in rows if row.get("topology_kept") is not None]
    found.append(Bar("families: topology kept", mean(kept), 1.0, False, len(kept)))
    return found + posterior_bars(rows) + _seconds("families", rows) + _drift("families", rows)


def _family_rows(tool: ScoringTool, options: argparse.Namespace, family: str) -> list[dict]:
    folder = options.cache / f"family_{family}"
    folder.mkdir(exist_ok=True)
    unseen = 3 if options.quick else UNSEEN_MEMBERS
    paths = [_member_files(folder, family, seed) for seed in range(3 + unseen)]
    edit, seconds = learned(paths[:3])
    rows = []
    for before, after in paths[3:]:
        row = record_of(tool, edit, before, after, None, options.samples)
        rows.append(row | {"part": "families", "family": family, "learn_seconds": seconds})
        say(f"{family} {before.stem}: {row['E_in']:.2f} {row.get('refused', '')}")
    return rows


def _member_files(folder: Path, family: str, seed: int) -> tuple[Path, Path]:
    before, after = folder / f"{seed}_before.ply", folder / f"{seed}_after.ply"
    made = member(family, seed)
    for path, mesh in ((before, made.before), (after, made.after)):
        save_mesh(path, mesh.vertices, mesh.faces)
    return before, after


def _ratio(ours: Sequence[float], copy: Sequence[float], percentile: float) -> float:
    return float(np.percentile(ours, percentile) / np.percentile(copy, percentile))


def _drift(name: str, records: Sequence[dict]) -> list[Bar]:
    """Movement outside of the edit. The scan's own mesh is moved, so there is no decode error to subtract."""
    shares = [row["D_99"] for row in records if row["D_99"] is not None]
    largest = [row["D_max"] for row in records if row["D_max"] is not None]
    return [
        Bar(f"{name}: drift outside, mean of D_99", mean(shares), DRIFT, True, len(shares)),
        Bar(f"{name}: largest drift outside", max(largest, default=None), LARGEST_DRIFT, True, len(largest)),
    ]


def _seconds(name: str, rows: Sequence[dict]) -> list[Bar]:
    """Times of learning from three pairs and of applying, reading and writing of files included."""
    found = []
    for what, column in (("learning from 3 pairs", "learn_seconds"), ("applying", "seconds")):
        taken = [row[column] for row in rows if column in row]
        for word, value in (("median", float(np.median(taken))), ("slowest", max(taken))):
            found.append(Bar(f"{name}: {what}, {word} (s)", value, SECONDS, True, len(taken)))
    return found


def family_table(records: Sequence[dict]) -> str:
    """One row per family."""
    rows = []
    for family in dict.fromkeys(row["family"] for row in records):
        chosen = [row for row in records if row["family"] == family]
        errors = [row["E_in"] for row in chosen]
        refused = sum("refused" in row for row in chosen)
        figures = [number(float(np.median(errors))), number(float(np.percentile(errors, 90)))]
        rows.append([family, *figures, str(refused), str(len(chosen))])
    return table(["families, k = 3", "median error", "90th percentile", "refused", "cases"], rows)


def skull_table(records: Sequence[dict]) -> str:
    """One row per kind and number of examples."""
    rows = []
    for k in sorted({row["k"] for row in records}):
        for kind in KINDS:
            chosen = [row for row in records if (row["k"], row["kind"]) == (k, kind)]
            medians = [number(float(np.median([row[name] for row in chosen]))) for name in ("E_in", "closest", "known")]
            rows.append([kind, str(k), *medians, str(len(chosen))])
    return table(["skulls", "k", "ours", "copy, closest", "copy, given correspondence", "cases"], rows)


def parse(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Options of the command line."""
    parser = arguments(__doc__, "fewshot")
    parser.add_argument("--parts", nargs="+", default=["skulls", "families"], choices=["skulls", "families"])
    parser.add_argument("--shots", nargs="+", type=int, default=[1, 3, 5], choices=sorted(BARS))
    parser.add_argument("--samples", type=int, default=20_000, help="surface samples of a score")
    parser.add_argument("--resume", action="store_true", help="go on where the last run was cut off")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> int:
    """Run the benchmark; status 1 when a bar is missed."""
    options = parse(words)
    tool = prepared(options)
    if tool is None:
        return 0
    found: list[Bar] = []
    tables: list[str] = []
    journal = Journal(options.out / "rows.json", options.resume)
    try:
        for part, run, shown in (("skulls", skulls, skull_table), ("families", families, family_table)):
            if part in options.parts:
                found += run(tool, options, journal)
                tables.append(shown(journal.known(part=part)))
    except CaseFailed as failure:
        print(f"The scoring tool failed: {failure}", file=sys.stderr)
        return 1
    curves = [row["posterior"] for row in journal.known(part="families") if row.get("posterior")]
    posterior = {"nominal": NOMINAL, "observed": np.mean(curves, axis=0).tolist() if curves else []}
    report = {"rows": journal.rows, "posterior": posterior}
    write_report(options.out / "bench_fewshot.json", options, report, found, tables)
    return verdict(tables, found)


if __name__ == "__main__":
    sys.exit(main())
