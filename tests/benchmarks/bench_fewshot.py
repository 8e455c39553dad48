"""Benchmark of edits learned from examples: real skulls against copying, and procedural families in any pose.

python -m tests.benchmarks.bench_fewshot [--parts skulls families] [--shots 1 3 5] [--out DIR] [--quick]

Needs the `bench` extra, the folder of scans (OMOMI_SCANS) and the scoring tool beside it; without them it says so and
does nothing. The method sees the training pairs and the scan to edit, nothing else. Its result keeps the scan's mesh.
"""

# The benchmark has an environment of its own; the checks run in the one with Blender.
# pyright: reportMissingImports=false
from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from backend.errors import OmomiError
from backend.scan.load import load_scan
from backend.scan.prepare import prepare
from backend.scan.save import save_mesh
from backend.weights.examples import observe
from backend.weights.learned import LearnedEdit
from backend.weights.placing import learn_edit, place
from backend.weights.stack import Layer, apply
from tests.benchmarks.bars import Bar, mean, number, table
from tests.benchmarks.bench_fit import say
from tests.benchmarks.cases import ROOT, CaseFailed, ScoringTool
from tests.benchmarks.families import FAMILIES, member

KINDS = ("push", "dent", "scale", "twist")
SEEDS = (0, 1)
BARS = {1: 0.8, 3: 0.7, 5: 0.6}
"""Median error against the copy's, by number of examples."""
SPREAD = 0.8
FAMILY_MEDIAN, FAMILY_SPREAD = 0.25, 0.45
DRIFT, LARGEST_DRIFT = 0.001, 0.005
SECONDS = 3.0
UNSEEN_MEMBERS = 20


def learned(pairs: Sequence[tuple[Path, Path]]) -> tuple[LearnedEdit, float]:
    """The edit of some pairs of files, and the seconds that it took, reading included."""
    started = time.perf_counter()
    changes = [observe(*(prepare(load_scan(path)) for path in pair)) for pair in pairs]
    return learn_edit(changes), time.perf_counter() - started


def edited(edit: LearnedEdit, scan: Path, result: Path) -> float:
    """Write the edited scan; the seconds that it took, reading and writing included."""
    started = time.perf_counter()
    raw = load_scan(scan)
    prepared = prepare(raw)
    assert raw.faces is not None
    centre, scale = prepared.frame.centre, prepared.frame.scale
    change = apply([Layer(place(edit, prepared), 1.0)], (raw.points - centre) * scale, raw.faces)
    save_mesh(result, raw.points + change.move / scale, raw.faces)
    return time.perf_counter() - started


def record_of(tool: ScoringTool, edit: LearnedEdit, before: Path, after: Path, mask: Path | None, samples: int) -> dict:
    """Scores of one edited scan. One that is refused was left as it is: it counts as nothing done."""
    result = before.with_name(before.name.replace("before", "result"))
    record: dict = {"scan": before.stem}
    try:
        record["seconds"] = edited(edit, before, result)
    except OmomiError as error:
        record |= {"refused": error.message}
        result = before
    return record | tool.score_edit(before, after, result, mask, samples)


def skulls(tool: ScoringTool, options: argparse.Namespace) -> tuple[list[dict], list[Bar]]:
    """Edits of skulls, learned from k others."""
    records: list[dict] = []
    found: list[Bar] = []
    for k in options.shots:
        rows = []
        for kind in KINDS:
            for seed in SEEDS[:1] if options.quick else SEEDS:
                folder = tool.pairs(kind, k, 100 * seed + k)
                copied = tool.copy_baseline(folder, options.samples)
                pairs = [(folder / f"train_{i + 1}_before.ply", folder / f"train_{i + 1}_after.ply") for i in range(k)]
                edit, seconds = learned(pairs)
                for test in ("test_1", "test_2"):
                    before, after, mask = (
                        folder / f"{test}_{part}" for part in ("before.ply", "after.ply", "mask.npy")
                    )
                    row = record_of(tool, edit, before, after, mask, options.samples)
                    row |= {"kind": kind, "k": k, "seed": seed, "learn_seconds": seconds}
                    row |= {name: copied[name]["each"][test]["E_in"] for name in ("closest", "known")}
                    rows.append(row)
                    say(f"k {k} {kind} {seed} {test}: {row['E_in']:.2f}, copy {row['closest']:.2f}")
        ours, copy = ([row[name] for row in rows] for name in ("E_in", "closest"))
        found.append(Bar(f"skulls, k = {k}: median E_in / copy's", _ratio(ours, copy, 50), BARS[k], True, len(rows)))
        if k == 3:
            found.append(
                Bar("skulls, k = 3: 90th percentile / copy's", _ratio(ours, copy, 90), SPREAD, True, len(rows))
            )
            taken = max(row["learn_seconds"] for row in rows)
            found.append(Bar("skulls: learning from 3 pairs, slowest (s)", taken, SECONDS, True, len(rows)))
            taken = max(row.get("seconds", 0.0) for row in rows)
            found.append(Bar("skulls: applying to 20k vertices, slowest (s)", taken, SECONDS, True, len(rows)))
        records += rows
    found += _drift("skulls", records)
    return records, found


def families(tool: ScoringTool, options: argparse.Namespace) -> tuple[list[dict], list[Bar]]:
    """Edits of a named part, learned from three members in any pose and applied to others in any pose."""
    records: list[dict] = []
    found: list[Bar] = []
    for family in FAMILIES:
        folder = options.cache / f"family_{family}"
        folder.mkdir(exist_ok=True)
        unseen = 3 if options.quick else UNSEEN_MEMBERS
        paths = [_member_files(folder, family, seed) for seed in range(3 + unseen)]
        edit, seconds = learned(paths[:3])
        rows = []
        for before, after in paths[3:]:
            row = record_of(tool, edit, before, after, None, options.samples)
            rows.append(row | {"family": family, "learn_seconds": seconds})
            say(f"{family} {before.stem}: {row['E_in']:.2f} {row.get('refused', '')}")
        errors = [row["E_in"] for row in rows]
        found.append(Bar(f"{family}: median E_in", float(np.median(errors)), FAMILY_MEDIAN, True, len(rows)))
        spread = float(np.percentile(errors, 90))
        found.append(Bar(f"{family}: 90th percentile", spread, FAMILY_SPREAD, True, len(rows)))
        records += rows
    found += _drift("families", records)
    return records, found


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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", default=["skulls", "families"], choices=["skulls", "families"])
    parser.add_argument("--shots", nargs="+", type=int, default=[1, 3, 5], choices=sorted(BARS))
    parser.add_argument("--samples", type=int, default=20_000, help="surface samples of a score")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench" / "fewshot")
    parser.add_argument("--cache", type=Path, default=ROOT / "build" / "bench" / "cache")
    parser.add_argument("--quick", action="store_true", help="fewer cases")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> int:
    """Run the benchmark; status 1 when a bar is missed."""
    options = parse(words)
    options.out, options.cache = options.out.resolve(), options.cache.resolve()
    tool = ScoringTool.find(options.cache)
    if tool is None:
        print("The benchmark needs the folder of scans (OMOMI_SCANS) with the scoring tool beside it: skipped.")
        return 0
    options.out.mkdir(parents=True, exist_ok=True)
    options.cache.mkdir(parents=True, exist_ok=True)
    report: dict = {"options": {name: str(value) for name, value in vars(options).items()}}
    found: list[Bar] = []
    tables: list[str] = []
    try:
        for part, run in (("skulls", skulls), ("families", families)):
            if part in options.parts:
                report[part], more = run(tool, options)
                found += more
                if part == "skulls":
                    tables.append(skull_table(report[part]))
    except CaseFailed as failure:
        print(f"The scoring tool failed: {failure}", file=sys.stderr)
        return 1
    report["bars"] = [bar.to_json() for bar in found]
    (options.out / "bench_fewshot.json").write_text(json.dumps(report, indent=1))
    print("\n\n".join([*tables, table(["measure", "value", "bar", "cases", ""], [bar.row() for bar in found])]))
    return int(any(bar.passed is False for bar in found))


if __name__ == "__main__":
    sys.exit(main())
