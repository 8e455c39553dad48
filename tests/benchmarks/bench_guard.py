"""The topology guard: its verdicts on slider moves and blend frames, its transitions and its forecasts.

omomi bench guard [--parts checks sweeps time] [--moves N] [--quick]

The truth is the topology of the moved solid on a grid of 256^3 that lies elsewhere than the guard's, and on one of
384^3: a change that only one of them sees, or only one of the two ways to join voxels, depends on the grid. Positions
are held against those at 512^3. `flagged`: said to change, or called unstable.

Needs the folder of scans (OMOMI_SCANS); without it it says so and does nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from backend.edits.apply import check_topology
from backend.edits.collision_margin import collision_margin
from backend.edits.displacement import Displacement
from backend.edits.fitted_scan import EditableMesh
from backend.edits.sweep import sweep_layer
from backend.formats.mesh_files import load_scan
from backend.geometry.moving_solid import solid_voxels
from backend.geometry.topology import betti_of_occupancy, euler_of_occupancy
from backend.scan.prepare import prepare
from tests.benchmarks.bars import Bar, mean, number, say, table, verdict, write_report
from tests.benchmarks.cases import ROOT, find_scans
from tests.benchmarks.guard_cases import MOVES, cases, fitted, shapes

PRECISION, SECONDS, POSITION = 0.8, 0.3, 1 / 32
TRUTH, FINER, DOUBLE = 256, 384, 512
SHIFTS = {TRUTH: np.array([0.71, 0.12, 0.55]), FINER: np.array([0.23, 0.71, 0.44]), DOUBLE: np.array([0.6, 0.3, 0.9])}
"""Where the grids of the truth lie, in their voxels."""
NEAR = (1 / 32, 1 / 16, 1 / 8)
"""Parts of the range on either side of a transition between which its position is sought at double resolution."""
FINENESS = 1 / 256
"""Part of the range to which that position is found."""
WIDEST = 0.15
"""Longest offset of a sweep, canonical."""
SWEPT = ("pair", "dumbbell", "torus", "shell", "comb")
SWEPT_SCANS = ("clean/3holes", "clean/rocker_arm")


def seen(vertices: np.ndarray, faces: np.ndarray, resolution: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Betti numbers of the solid, every voxel counted, and its Euler numbers with both ways to join voxels."""
    inside = solid_voxels([vertices + SHIFTS[resolution] * (2 / resolution)], faces, resolution)[0]
    return tuple(betti_of_occupancy(inside)), euler_of_occupancy(inside)


def checks(scans: Path, options: argparse.Namespace, save) -> tuple[list[dict], list[Bar]]:
    """Verdicts on single poses."""
    records: list[dict] = []
    mesh, base = None, {}
    for case in cases(scans, options.moves, options.quick):
        if mesh is None or mesh.vertices is not case.vertices:
            mesh, base = EditableMesh(case.vertices, case.faces, np.zeros(len(case.vertices))), {}
            if not mesh.closed:
                raise ValueError(f"{case.shape} is not closed")
            check_topology(mesh, np.zeros_like(case.vertices))
        started = time.process_time()
        verdict = check_topology(mesh, case.move)
        seconds = time.process_time() - started
        assert verdict is not None
        row: dict = {
            "shape": case.shape,
            "kind": case.kind,
            "vertices": len(case.vertices),
            "largest": float(np.linalg.norm(case.move, axis=1).max()),
            "changed": bool(verdict["change"]),
            "unstable": verdict["unstable"],
            "before": verdict["before"],
            "after": verdict["after"],
            "seconds": seconds,
        }
        for resolution in (TRUTH, FINER):
            if resolution not in base:
                base[resolution] = seen(case.vertices, case.faces, resolution)
            found = seen(case.vertices + case.move, case.faces, resolution)
            row[f"truth_{resolution}"] = found[0] != base[resolution][0]
            row[f"euler_{resolution}"] = found[1] != base[resolution][1]
        records.append(row)
        save(records)
        flag = "changes" if row["changed"] else "keeps"
        say(
            f"{len(records)} {case.shape} {case.kind}: {flag}{', unstable' if row['unstable'] else ''}; "
            f"truth {row[f'truth_{TRUTH}']} {row[f'truth_{FINER}']}"
        )
    return records, check_bars(records)


def check_bars(records: Sequence[dict]) -> list[Bar]:
    """Bars on single poses. Flagged: said to change, or called unstable."""
    flagged = [row for row in records if row["changed"] or row["unstable"]]
    quiet = [row for row in records if not (row["changed"] or row["unstable"])]
    coarse, fine = f"truth_{TRUTH}", f"truth_{FINER}"
    sure = [row for row in records if row["changed"] and not row["unstable"]]
    return [
        Bar("changes at 256^3 that are not flagged", float(sum(row[coarse] for row in quiet)), 0, True, len(records)),
        Bar(
            "precision: flagged that change at 256^3",
            mean([row[coarse] for row in flagged]),
            PRECISION,
            False,
            len(flagged),
        ),
        Bar(
            "precision: at 256^3 or 384^3",
            mean([row[coarse] or row[fine] for row in flagged]),
            PRECISION,
            False,
            len(flagged),
        ),
        Bar("precision of changes called stable", mean([row[coarse] for row in sure]), PRECISION, False, len(sure)),
    ]


def sweeps(scans: Path, options: argparse.Namespace, save) -> tuple[list[dict], list[Bar]]:
    """Where transitions lie, and whether they were foretold."""
    records: list[dict] = []
    chosen = [(name, vertices, faces) for name, vertices, faces in shapes(scans, True) if name.split()[0] in SWEPT] + [
        (name, *fitted(scans / f"{name}.ply")) for name in SWEPT_SCANS[: 0 if options.quick else None]
    ]
    for name, vertices, faces in chosen:
        mesh = EditableMesh(vertices, faces, np.zeros(len(vertices)))
        unit = Displacement(mesh.normals, np.zeros(len(vertices)))
        started = time.process_time()
        told = collision_margin(mesh.vertices, mesh.normals, unit.move, -WIDEST, WIDEST)
        told_seconds = time.process_time() - started
        ends = [abs(end) for end in told.margin if abs(end) < WIDEST]
        reach = min(1.5 * max(ends, default=WIDEST), WIDEST)
        started = time.process_time()
        found = sweep_layer(mesh, [unit], [0.0], 0, -reach, reach, 16)
        row: dict = {
            "shape": name,
            "reach": reach,
            "foretold": told.margin,
            "mismatch": told.mismatch,
            "foretell_seconds": told_seconds,
            "sweep_seconds": time.process_time() - started,
            "safe": found.safe,
            "transitions": [(turn.strength, turn.change) for turn in found.transitions],
            "first": [],
        }
        below = [turn.strength for turn in found.transitions if turn.strength < 0][-1:]
        above = [turn.strength for turn in found.transitions if turn.strength > 0][:1]
        for strength, end in [
            *((first, told.margin[0]) for first in below),
            *((first, told.margin[1]) for first in above),
        ]:
            off = _off(vertices, faces, unit.move, strength, 2 * reach)
            row["first"].append({"found": strength, "foretold": end, "off": off, "share": off / (2 * reach)})
            save([*records, row])
        records.append(row)
        save(records)
        say(f"{name}: reach {reach:.3f}, {row['first']}")
    firsts = [(first, row["reach"]) for row in records for first in row["first"]]
    shares = [first["share"] for first, _ in firsts]
    early = [abs(first["foretold"]) <= abs(first["found"]) + reach / 16 for first, reach in firsts]
    gaps = [abs(first["foretold"] - first["found"]) / (2 * reach) for first, reach in firsts]
    ratios = [row["foretell_seconds"] / row["sweep_seconds"] for row in records]
    typical = float(np.median(gaps)) if gaps else None
    return records, [
        Bar(
            "transition against 512^3, part of the range, worst", max(shares, default=None), POSITION, True, len(shares)
        ),
        Bar("foretold no later than found, within 1/32 of the range", mean(early), 0.9, False, len(early)),
        Bar("foretold against found, part of the range, median", typical, POSITION, True, len(gaps)),
        Bar("time to foretell / to sweep, worst", max(ratios, default=None), 0.1, True, len(ratios)),
    ]


def _off(vertices: np.ndarray, faces: np.ndarray, move: np.ndarray, strength: float, whole: float) -> float:
    """Distance from ``strength`` to where bisection at double resolution finds the topology to change, crumbs below one
    voxel of 128^3 left out: between the nearest of NEAR, in parts of the ``whole`` range, on either side of which it
    differs. Twice the largest of them where it does not change."""

    def betti(at: float) -> tuple[int, ...]:
        moved = vertices + at * move + SHIFTS[DOUBLE] * (2 / DOUBLE)
        return tuple(betti_of_occupancy(solid_voxels([moved], faces, DOUBLE)[0], (DOUBLE // 128) ** 3))

    for part in NEAR:
        low, high = strength - part * whole, strength + part * whole
        first, last = betti(low), betti(high)
        if first != last:
            break
    else:
        return 2 * NEAR[-1] * whole
    while high - low > FINENESS * whole:
        middle = (low + high) / 2
        between = betti(middle)
        # of two changes the one nearer to what was found
        if between not in (first, last):
            low, high = (middle, high) if strength > middle else (low, middle)
            first, last = (between, last) if strength > middle else (first, between)
        elif between == first:
            low = middle
        else:
            high = middle
    return abs((low + high) / 2 - strength)


def timing(scans: Path, options: argparse.Namespace, save) -> tuple[list[dict], list[Bar]]:
    """A check of a mesh of more than 100,000 vertices, processor time of all threads."""
    scan = prepare(load_scan(scans / "clean" / "igea.ply"))
    raw = load_scan(scans / "clean" / "igea.ply")
    vertices = (np.asarray(raw.points, np.float64) - scan.frame.centre) * scan.frame.scale
    mesh = EditableMesh(vertices, np.asarray(raw.faces, np.int32), np.zeros(len(vertices)))
    rng = np.random.default_rng(0)
    records: list[dict] = []
    check_topology(mesh, np.zeros_like(vertices))
    for kind, make in MOVES.items():
        move = make(rng, vertices, mesh.normals)
        for _ in range(3):
            started = time.process_time()
            check_topology(mesh, move)
            records.append({"kind": kind, "vertices": len(vertices), "seconds": time.process_time() - started})
        save(records)
    seconds = [row["seconds"] for row in records]
    name = f"check of {len(vertices):,} vertices"
    return records, [
        Bar(f"{name}, median (s of one processor)", float(np.median(seconds)), SECONDS, True, len(seconds)),
        Bar(f"{name}, slowest (s of one processor)", max(seconds), SECONDS, True, len(seconds)),
    ]


def kind_table(records: Sequence[dict]) -> str:
    """One row per kind of move."""
    rows = []
    for kind in dict.fromkeys(row["kind"] for row in records):
        some = [row for row in records if row["kind"] == kind]
        counts = [
            sum(bool(row[name]) for row in some) for name in ("changed", "unstable", f"truth_{TRUTH}", f"truth_{FINER}")
        ]
        rows.append([kind, str(len(some)), *map(str, counts), number(max(row["seconds"] for row in some))])
    return table(["move", "cases", "changes", "unstable", "truth 256", "truth 384", "slowest (s)"], rows)


PARTS = {"checks": checks, "sweeps": sweeps, "time": timing}


def main(words: Sequence[str] | None = None) -> int:
    """Run, write the record as it grows, print tables; 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--moves", type=int, default=8, help="of each shape")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench" / "guard")
    parser.add_argument("--quick", action="store_true", help="fewer shapes")
    options = parser.parse_args(words)
    scans = find_scans()
    if scans is None:
        print("No scans: set OMOMI_SCANS to their folder.", file=sys.stderr)
        return 0
    options.out.mkdir(parents=True, exist_ok=True)
    record = options.out / "bench_guard.json"
    # the parts that are not run now stay as they were
    before = json.loads(record.read_text()) if record.exists() else {}
    report: dict = {part: before[part] for part in PARTS if part in before}
    found: list[Bar] = []
    for part in options.parts:

        def save(records: list[dict], part: str = part) -> None:
            report[part] = {"records": records}
            record.write_text(json.dumps(report, indent=1))

        bars = PARTS[part](scans, options, save)[1]
        report[part]["bars"] = [bar.to_json() for bar in bars]
        record.write_text(json.dumps(report, indent=1))
        found += bars
    tables = []
    if "checks" in options.parts:
        records = report["checks"]["records"]
        hidden = sum(row[f"truth_{FINER}"] for row in records if not (row["changed"] or row["unstable"]))
        tables = [kind_table(records), f"Not flagged, and changes at {FINER}^3 only: {hidden} of {len(records)}."]
    write_report(record, options, report, found, tables)
    return verdict(tables, found)


if __name__ == "__main__":
    sys.exit(main())
