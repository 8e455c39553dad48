"""Fitting: quality against screened Poisson, time, memory, and what happens to raw scans.

omomi bench fit [--models M ...] [--conditions B D ...] [--levels 2] [--timed 2 3] [--parts quality timing first raw]
[--cores N] [--resume]

Models with a known truth are scanned virtually under the tool's five conditions, under its misregistered one (E) with
the views told apart, which are registered then (V), and standing on a table (T). Virtual scans and the peer's results
are kept on disk, so that a second run repeats ours alone. Times are measured fresh, ours and the peer's in turn, both
pinned to the same cores. Every raw scan is fitted once; its points should lie on the surface.

Needs the `bench` extra, the folder of scans (OMOMI_SCANS) and the scoring tool beside it; without them it says so and
does nothing.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import point_cloud_utils as pcu
import trimesh
from scipy.stats import spearmanr

from backend.formats.mesh_files import load_scan
from tests.benchmarks import bars, unseen
from tests.benchmarks.bars import Bar, Journal, number, say, table
from tests.benchmarks.cases import ROOT, Case, CaseFailed, ScoringTool, arguments, prepared, run_json

TIMED = (Case("rocker_arm", "B"), Case("armadillo", "B"), Case("ycb_pitcher_base", "C"))
RAW_SAMPLES = 50_000
POOLED = 5_000
"""Vertices of each case in the pooled rank correlation."""


def fit_once(options: argparse.Namespace, scan: Path, *more: str, cores: tuple[int, ...] = ()) -> dict:
    """A fit in its own process."""
    command = ["-m", "tests.benchmarks.fit_once", str(scan), "--device", options.device, *more]
    if options.model:
        command += ["--model", str(options.model.resolve())]
    if cores:
        command += ["--threads", str(len(cores))]
    return run_json(command, ROOT, cores)


def quality(tool: ScoringTool, options: argparse.Namespace) -> list[dict]:
    """Scores of every case, ours and the peer's; a failure is recorded and does not stop the rest."""
    journal = Journal(options.out / "rows.json", options.resume)
    for level in options.levels:
        for condition in options.conditions:
            for model in options.models:
                case = Case(model, condition)
                if journal.known(model=model, condition=condition, level=level):
                    continue
                record: dict = {
                    "model": model,
                    "condition": condition,
                    "level": level,
                    "ours": None,
                    "peer": None,
                }
                stem = options.out / f"{model}_{condition}_{level}"
                mesh, sigma = stem.with_suffix(".ply"), stem.with_suffix(".npy")
                try:
                    scan, more = (tool.views(case), ["--register"]) if condition == "V" else (tool.scan(case)[0], [])
                    more += ["--level", str(level), "-o", str(mesh), "--sigma", str(sigma)]
                    record["fit"] = fit_once(options, scan, *more)
                    record["ours"] = tool.score(case, mesh, sigma, options.quick)
                    record["ours"] |= at_ends(tool, case, mesh, level)
                except CaseFailed as failure:
                    record["failure"] = str(failure)
                try:
                    record["peer"] = tool.score_peer(case, tool.peer(case, level), options.quick)
                    record["peer"] |= at_ends(tool, case, tool.peer(case, level), level)
                    if condition in bars.SMOOTH:
                        record["smooth"] = tool.score_peer(case, tool.smooth_peer(case), options.quick)
                except CaseFailed as failure:
                    record["peer_failure"] = str(failure)
                journal.add([record])
                say(f"level {level} {case}: {_brief(record)}")
    return journal.rows


def at_ends(tool: ScoringTool, case: Case, mesh: Path, level: int) -> dict:
    """Figures of a result where its scan ends, see `unseen`."""
    scan, truth = tool.scan(case)
    return unseen.figures(mesh, truth, load_scan(scan).points, level, tool.said_of_scan(case))


def _brief(record: dict) -> str:
    if not record["ours"]:
        return f"FAILED, {record['failure']}"
    peer = record["peer"]["CD"] if record["peer"] else None
    return f"chamfer {number(record['ours']['CD'])} / {number(peer)}, {record['fit']['seconds']:.1f} s"


def pooled_spearman(tool: ScoringTool, options: argparse.Namespace, records: list[dict], level: int) -> Bar:
    """Rank correlation of sigma and true error over the vertices of all cases together, in shares of each longest side.

    The mean over cases asks whether sigma ranks the vertices of one result; this asks whether it ranks all vertices
    that an artist may ever see, easy scans and hard ones alike.
    """
    sigmas, errors = [], []
    for record in records:
        if record["level"] != level or not record["ours"]:
            continue
        _, truth = tool.scan(Case(record["model"], record["condition"]))
        stem = options.out / f"{record['model']}_{record['condition']}_{level}"
        mesh, surface = (trimesh.load_mesh(path, process=False) for path in (stem.with_suffix(".ply"), truth))
        chosen = np.random.default_rng(0).permutation(len(mesh.vertices))[:POOLED]
        vertices = np.asarray(mesh.vertices, np.float64)[chosen]
        distance, _, _ = pcu.closest_points_on_mesh(vertices, np.array(surface.vertices), np.array(surface.faces))
        unit = surface.extents.max()
        sigmas.append(np.load(stem.with_suffix(".npy"))[chosen] / unit)
        errors.append(distance / unit)
    value = float(cast(Any, spearmanr(np.concatenate(sigmas), np.concatenate(errors))).statistic) if sigmas else None
    return Bar("sigma: Spearman, vertices of all cases pooled", value, bars.SPEARMAN, False, len(sigmas))


def timing(tool: ScoringTool, options: argparse.Namespace) -> tuple[list[dict], list[Bar]]:
    """Times of ours and the peer's on the same cores, share of the network, and memory at level 3."""
    cores = tuple(sorted(os.sched_getaffinity(0))[: options.cores])
    records, found = [], []
    cases = TIMED[:1] if options.quick else TIMED
    for level in options.timed:
        rows: list[dict[str, Any]] = []
        for case in cases:
            scan, _ = tool.scan(case)
            ours = fit_once(options, scan, "--level", str(level), "--repeat", "3", cores=cores)
            peer = min(tool.peer_seconds(case, level, cores) for _ in range(2))
            rows.append({"case": str(case), "level": level, "cores": len(cores), "peer_seconds": peer, **ours})
            say(f"level {level} {case}: {ours['seconds']:.2f} s, peer {peer:.2f} s on {len(cores)} core(s)")
        records += rows
        size = 32 * 2**level
        ratio = bars.geometric_mean([row["seconds"] / row["peer_seconds"] for row in rows])
        share = bars.mean([row["network_seconds"] / row["seconds"] for row in rows])
        found += [
            Bar(f"time / peer at {size}^3", ratio, bars.TIME_RATIO[level], True, len(rows)),
            Bar(f"share of time in the network at {size}^3", share, bars.NETWORK_SHARE, False, len(rows)),
        ]
        if level == 3:
            peak = max(row["peak_bytes"] for row in rows)
            found.append(Bar("peak memory at 256^3 (GB)", peak / 1e9, bars.PEAK_BYTES / 1e9, True, len(rows)))
    return records, found


def first_frame(tool: ScoringTool, options: argparse.Namespace) -> tuple[dict, Bar]:
    """Time to the first mesh of a scan of more than 200,000 vertices, warm."""
    path = tool.cache / "armadillo_subdivided.ply"
    if not path.exists():
        mesh = trimesh.load_mesh(tool.scans / "clean" / "armadillo.ply")
        while len(mesh.vertices) < 200_000:
            mesh = mesh.subdivide()
        mesh.export(path)
    record = fit_once(options, path, "--level", "2", "--repeat", "3")
    name = f"first frame, {record['points']} vertices (s)"
    return record, Bar(name, record["first_frame_seconds"], bars.FIRST_FRAME_SECONDS, True, 1)


def raw_scans(tool: ScoringTool, options: argparse.Namespace) -> tuple[list[dict], Bar]:
    """Every raw scan at level 2: whether it fits, and how far the input lies from the surface."""
    paths = [path for group in ("raw", "raw_views", "toponoise") for path in sorted((tool.scans / group).iterdir())]
    records = []
    for path in paths[:2] if options.quick else paths:
        result = options.out / f"raw_{path.stem}.ply"
        record: dict = {"name": path.stem}
        try:
            record |= fit_once(options, path, "--level", "2", "-o", str(result))
            record |= _distances(path, result)
        except CaseFailed as failure:
            record["failure"] = str(failure)
        records.append(record)
        say(f"raw {path.stem}: {record.get('failure') or 'median ' + number(record['median'])}")
    fitted = [float("failure" not in record) for record in records]
    return records, Bar("raw scans that fit", bars.mean(fitted), 1.0, False, len(fitted))


def _distances(scan: Path, result: Path) -> dict:
    """Distances from input points to the fitted surface, in shares of the input's longest side."""
    points = load_scan(scan).points
    points = points[np.isfinite(points).all(axis=1)]
    unit = np.ptp(points, axis=0).max()
    chosen = points[np.random.default_rng(0).permutation(len(points))[:RAW_SAMPLES]]
    mesh = trimesh.load_mesh(result, process=False)
    distance, _, _ = pcu.closest_points_on_mesh(chosen, np.array(mesh.vertices, np.float64), np.array(mesh.faces))
    distance = distance / unit
    low, high = np.percentile(distance, [50, 95])
    return {
        "median": float(low),
        "p95": float(high),
        "within_1_percent": float((distance < 0.01).mean()),
        "watertight": bool(mesh.is_watertight and mesh.is_winding_consistent),
    }


def raw_table(records: list[dict]) -> str:
    """One row per raw scan."""
    rows = [
        [record["name"], record["failure"][:80], *[""] * 5]
        if "failure" in record
        else [
            record["name"],
            str(record["points"]),
            number(record["median"]),
            number(record["p95"]),
            number(record["within_1_percent"]),
            "yes" if record["watertight"] else "NO",
            f"{record['seconds']:.1f}",
        ]
        for record in records
    ]
    return table(["raw scan, level 2", "points", "median (u)", "p95 (u)", "share < .01 u", "valid", "s"], rows)


def parse(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Options of the command line."""
    parser = arguments(__doc__, "latest", "one small case of each kind, coarse scores")
    parser.add_argument("--models", nargs="+", help="all with a known truth unless named")
    parser.add_argument("--conditions", nargs="+", default=list("ABCDEVT"), choices=list("ABCDEVT"))
    parser.add_argument("--folder", default="clean", help="of models with a known truth; valid is for choosing")
    parser.add_argument("--levels", nargs="+", type=int, default=[2], choices=[2, 3, 4], help="of the quality")
    parser.add_argument("--timed", nargs="+", type=int, default=[2, 3], choices=[2, 3, 4], help="levels of the times")
    parser.add_argument("--parts", nargs="+", default=["quality", "timing", "first", "raw"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--model", type=Path, help="folder of an exported model; the shipped one unless named")
    parser.add_argument("--resume", action="store_true", help="go on where the last run was cut off")
    parser.add_argument("--cores", type=int, default=1, help="cores for the timed runs; the peer uses one thread")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> int:
    """Run the benchmark; status 1 when a bar is missed."""
    options = parse(words)
    tool = prepared(options)
    if tool is None:
        return 0
    if options.quick:
        options.models, options.conditions, options.timed = ["rocker_arm"], ["B"], [2]
    options.models = options.models or tool.models()
    record = options.out / "bench_fit.json"
    report: dict = {}
    found: list[Bar] = []
    tables: list[str] = []
    if "quality" in options.parts:
        report["quality"] = quality(tool, options)
        for level in options.levels:
            tables.append(f"{32 * 2**level}^3\n\n{bars.case_table(report['quality'], level)}")
            level_bars = bars.quality_bars(report["quality"], level)
            level_bars.append(pooled_spearman(tool, options, report["quality"], level))
            report[f"bars_level_{level}"] = [bar.to_json() for bar in level_bars]
            found += [
                Bar(f"{bar.name} [{32 * 2**level}^3]", bar.value, bar.limit, bar.at_most, bar.cases)
                for bar in level_bars
            ]
        bars.write_report(record, options, report, found)
    if "timing" in options.parts:
        report["timing"], more = timing(tool, options)
        found += more
    if "first" in options.parts:
        report["first_frame"], bar = first_frame(tool, options)
        found.append(bar)
    if "raw" in options.parts:
        report["raw"], bar = raw_scans(tool, options)
        found.append(bar)
        tables.append(raw_table(report["raw"]))
    bars.write_report(record, options, report, found, tables)
    return bars.verdict(tables, found)


if __name__ == "__main__":
    sys.exit(main())
