"""Shapes as a whole: completion and its uncertainty, plausibility, samples, and family profiles.

omomi bench prior [--parts scans plausibility samples profile sliders] [--models M ...] [--samples N] [--quick]

Completion is scored on the models with a known truth under the conditions B and D; `measured surface` is where three
or more views agree. A profile is learned from 24 scans of a family and judged on specimens that it has not seen,
scanned in part as under D. A planted defect is a bump or a dent of .04 (standard deviation) and of the height given,
in shares of the longest side. The figures of the named sliders come from training: `omomi train` writes them into the
card.

Needs the `bench` extra, the folder of scans (OMOMI_SCANS) and the scoring tool beside it; without them it says so and
does nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import point_cloud_utils as pcu
import trimesh
from scipy.spatial import KDTree

from backend.field.onnx_model import MODEL_FOLDER
from tests.benchmarks.bars import Bar, geometric_mean, mean, number, ratios, say, table, verdict, write_report
from tests.benchmarks.bench_fit import quality
from tests.benchmarks.cases import Case, CaseFailed, ScoringTool, arguments, prepared
from tests.benchmarks.shape_cases import imagined, likeness_bars, plausible, slider_bars

UNSEEN = 0.35
MEASURED = 2.0
"""Most that measured surface moves, 99th percentile, in standard deviations of the noise."""
COVERAGE = (0.85, 0.95)
AUROC = 0.9
ONE_PIECE = 0.95
LEVEL = 2
REACH = 0.025
"""Points within this distance (longest side = 1) of a place vote on it; the scanner's pixels are 0.01 wide."""
VIEWS, POINTS = 3, 15
"""Fewest views and points that may vote on a place."""
AGREED = 1.5
"""They agree when their rms distance from one quadric is at most this many times the noise: at edges and between walls
they do not."""
PLACES = 4000
"""Places that are tried."""


def scans(tool: ScoringTool, options: argparse.Namespace) -> tuple[list[Bar], list[str], dict]:
    """Completion and its doubt: models with a known truth under the conditions B and D."""
    asked = argparse.Namespace(**vars(options) | {"levels": [LEVEL], "conditions": ["D", "B"]})
    records = quality(tool, asked)
    unseen = ratios(records, "D", lambda score: score["comp_unseen"])
    found = [Bar("unseen error / peer, D", geometric_mean(unseen), UNSEEN, True, len(unseen))]
    moved: dict[str, np.ndarray] = {}
    for record in records:
        if record["condition"] == "B" and record["ours"]:
            mesh = options.out / f"{record['model']}_B_{LEVEL}.ply"
            distance, noise = moved_from_measured(tool, Case(record["model"], "B"), mesh)
            moved[record["model"]] = distance / noise
    for name, values in (("pooled", np.concatenate(list(moved.values()))), ("worst model", None)):
        chosen = list(moved.values()) if values is None else [values]
        value = max(float(np.quantile(one, 0.99)) for one in chosen)
        title = f"measured surface, three or more views, B: moved by (sd of noise), 99th percentile, {name}"
        found.append(Bar(title, value, MEASURED, True, len(moved)))
    sigmas = [record["ours"]["uncertainty"] for record in records if record["ours"]]
    covered = mean([sigma["coverage_90"] for sigma in sigmas])
    auroc = [sigma["AUROC_unseen"] for sigma in sigmas if sigma["AUROC_unseen"] is not None]
    better = [sigma["AUSE"] / sigma["baseline_AUSE"] for sigma in sigmas]
    found += [
        Bar("sigma: 90 % interval covers at least", covered, COVERAGE[0], False, len(sigmas)),
        Bar("sigma: 90 % interval covers at most", covered, COVERAGE[1], True, len(sigmas)),
        Bar("sigma: AUROC unseen", mean(auroc), AUROC, False, len(auroc)),
        Bar("sigma: AUSE / that of the distance to the scan", geometric_mean(better), 1.0, True, len(better)),
    ]
    return found, [scan_table(records)], {"records": records}


def scan_table(records: Sequence[dict]) -> str:
    """One row per case."""
    rows = []
    for record in records:
        name, ours, peer = f"{record['model']} {record['condition']}", record["ours"], record["peer"]
        if not ours or not peer:
            rows.append([name, record.get("failure", "failed")[:60], *[""] * 5])
            continue
        sigma = ours["uncertainty"]
        scored = [
            [f"{number(ours[key])} / {number(peer[key])}" for key in ("comp_unseen", "CD")],
            [number(sigma[key]) for key in ("coverage_90", "AUROC_unseen", "AUSE", "baseline_AUSE")],
        ]
        rows.append([name, *scored[0], record["fit"].get("guess") or "-", *scored[1]])
    head = ["case (ours / peer)", "unseen error", "chamfer", "guess", "cover 90", "AUROC", "AUSE", "by distance"]
    return table(head, rows)


def moved_from_measured(tool: ScoringTool, case: Case, result: Path) -> tuple[np.ndarray, float]:
    """Distances (n,) of a result from places where the views agree, and the scanner's noise; longest side = 1."""
    sys.path.insert(0, str(tool.folder))
    try:
        from score.scanner import CONDITIONS, scan_model
    finally:
        sys.path.pop(0)
    model = trimesh.load_mesh(tool.scans / "clean" / f"{case.model}.ply", process=False)
    condition = CONDITIONS[case.condition]
    scan = scan_model(model, condition, case.seed)
    points, view = scan.points / scan.unit, scan.view
    tree = KDTree(points)
    chosen = np.random.default_rng(0).permutation(len(points))[:PLACES]
    places = []
    for near in tree.query_ball_point(points[chosen], REACH):
        if len(near) >= POINTS and len(np.unique(view[near])) >= VIEWS:
            place, residual = _consensus(points[near])
            if residual <= AGREED * condition.noise:
                places.append(place)
    mesh = trimesh.load_mesh(result, process=False)
    vertices = np.asarray(mesh.vertices, np.float64) / scan.unit
    distance, _, _ = pcu.closest_points_on_mesh(np.array(places).reshape(-1, 3), vertices, np.array(mesh.faces))
    return distance, condition.noise


def _consensus(around: np.ndarray) -> tuple[np.ndarray, float]:
    """Where a quadric through points (n, 3) has its middle, and the rms distance of the points from it."""
    centre = around.mean(axis=0)
    axes = np.linalg.svd(around - centre, full_matrices=False)[2]
    u, v, height = ((around - centre) @ axes.T).T
    terms = np.stack([np.ones_like(u), u, v, u * u, u * v, v * v], axis=1)
    found = np.linalg.lstsq(terms, height, rcond=None)[0]
    residual = height - terms @ found
    return centre + found[0] * axes[2], float(np.sqrt((residual**2).sum() / (len(around) - terms.shape[1])))


def plausibility(tool: ScoringTool, options: argparse.Namespace) -> tuple[list[Bar], list[str], dict]:
    """Real shapes against the same ones with their sliders driven far out of range."""
    found = plausible(tool.scans, options.quick)
    rows = [[kind, str(len(values)), number(float(np.median(values)))] for kind, values in found.scores.items()]
    bars = [
        Bar("plausibility: AUC, real against over-driven", found.auc, AUROC, False, found.pairs),
        Bar("plausibility: over-driven below what they were made from", found.of_itself, AUROC, False, found.pairs),
    ]
    return bars, [table(["plausibility", "shapes", "median"], rows)], {"scores": found.scores}


def samples(tool: ScoringTool, options: argparse.Namespace) -> tuple[list[Bar], list[str], dict]:
    """Shapes that the model makes up."""
    found = imagined(10 if options.quick else options.samples)
    bars = [
        Bar("samples: watertight", found["watertight"], 1.0, False, found["count"]),
        Bar("samples: one piece as they come", found["whole"], ONE_PIECE, False, found["count"]),
        *likeness_bars(card()),
    ]
    return bars, [], found


def card() -> dict:
    """The shipped model's."""
    return json.loads((MODEL_FOLDER / "card.json").read_text(encoding="utf-8"))


def profile(tool: ScoringTool, options: argparse.Namespace) -> tuple[list[Bar], list[str], dict]:
    """Families with a profile: completion, score, and defects."""
    from tests.benchmarks.profile_cases import profile_bars

    return profile_bars(tool, options)


PARTS = {"scans": scans, "plausibility": plausibility, "samples": samples, "profile": profile}


def parse(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Options of the command line."""
    parser = arguments(__doc__, "prior")
    parser.add_argument("--parts", nargs="+", default=[*PARTS, "sliders"], choices=[*PARTS, "sliders"])
    parser.add_argument("--models", nargs="+", help="all with a known truth unless named")
    parser.add_argument("--samples", type=int, default=40)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--model", type=Path, help="folder of an exported model; the shipped one unless named")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> int:
    """Run the benchmark; status 1 when a bar is missed."""
    options = parse(words)
    tool = prepared(options)
    if tool is None:
        return 0
    options.models = options.models or (["rocker_arm"] if options.quick else tool.models())
    report: dict = {}
    found: list[Bar] = []
    tables: list[str] = []
    for name, part in PARTS.items():
        if name not in options.parts:
            continue
        say(name)
        try:
            bars, shown, report[name] = part(tool, options)
        except CaseFailed as failure:
            print(f"The scoring tool failed: {failure}", file=sys.stderr)
            return 1
        found += bars
        tables += shown
    if "sliders" in options.parts:
        found += slider_bars(card())
    write_report(options.out / "bench_prior.json", options, report, found, tables)
    return verdict(tables, found)


if __name__ == "__main__":
    sys.exit(main())
