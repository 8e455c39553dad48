"""Cases for the site profile: specimens that it has not seen, scanned in part, completed, scored, and dented."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial import KDTree
from scipy.stats import rankdata

from backend.field.fit import fit
from backend.field.onnx_model import MODEL_FOLDER, Model, load_model
from backend.formats.mesh_files import load_scan, save_mesh
from backend.formats.raw_scan import RawScan
from backend.prior.profile.family import Member, learn_profile
from backend.prior.profile.profile import KIND, LEAST_SCORE, Membership, Profile, load_profile, membership, save_profile
from backend.protocol.fit_options import FitOptions
from backend.registration.icp import Matcher, Surface
from backend.registration.warp import mismatch
from backend.scan.prepare import PreparedScan, prepare

from .bars import Bar, number, say, table
from .cases import ScoringTool, run_json

PEER_DEPTH = 7
SCORED = ("--res", "32", "--samples", "30000")
HEIGHTS, DEFECT_RADIUS, CHANGED = (0.03, 0.06), 0.04, 0.01
"""Heights of planted defects, standard deviation of their Gaussian, and the displacement from which on a vertex belongs
to one: shares of the longest side."""
UNSEEN, COVERAGE, AUROC, REFUSED = 0.2, (0.85, 0.95), 0.9, 0.9
"""Bars."""
WHOLE = 5
"""Whole scans of each kind that are scored."""
OUTERMOST_OF = 30
SCAN_NOISE = 0.001
"""Of the dented scans, shares of the longest side."""


@dataclass(frozen=True)
class Fold:
    """A family, how many of its scans make the profile, and the specimens left out, each with a seed for its scan."""

    family: str
    members: int
    left_out: tuple[tuple[str, int], ...]


FOLDS = (
    Fold(
        "family_skulls",
        24,
        (
            ("skull_129S1_SVIMJ", 1), ("skull_C3H_HEJ", 2), ("skull_KK", 3), ("skull_NZO", 4), ("skull_WSB", 5),
        ),
    ),
    Fold(
        "family_teeth",
        24,
        (
            ("tooth_B03", 6), ("tooth_J12", 7), ("tooth_P35", 8), ("tooth_U02", 9), ("tooth_ah14", 10),
            ("tooth_b02", 11),
        ),
    ),
)  # fmt: skip


def profile_of(fold: Fold, scans: Path, cache: Path, on_progress: Callable[[float, str], None]) -> tuple[Profile, dict]:
    """The fold's profile, from disk if it was learned before, and what it took: {"members", "seconds"}."""
    # the version of the file is part of the name
    place = cache / f"{fold.family}_{fold.members}_{KIND.split()[-1]}.profile"
    record = place.with_suffix(".json")
    if not record.exists():
        out = {name for name, _ in fold.left_out}
        paths = [path for path in sorted((scans / fold.family).glob("*.ply")) if path.stem not in out]
        chosen = np.unique(np.linspace(0, len(paths) - 1, fold.members).round().astype(int))
        started = time.process_time()
        members = [Member.of(prepare(load_scan(paths[number]))) for number in chosen]
        profile = learn_profile(members, on_progress)
        save_profile(place, profile)
        took = {"members": [member.name for member in members], "seconds": time.process_time() - started}
        record.write_text(json.dumps(took))
    return load_profile(place), json.loads(record.read_text())


def scan_case(tool: ScoringTool, fold: Fold, name: str, seed: int) -> tuple[Path, Path, Path]:
    """Scan (condition D), truth and the peer's mesh of a specimen, from disk if they were made before."""
    place = tool.cache / f"profile_{name}_{seed}"
    scan, truth, peer = (place / f"{kind}.ply" for kind in ("scan", "truth", "peer"))
    if not peer.exists():
        place.mkdir(parents=True, exist_ok=True)
        model = str(tool.scans / fold.family / f"{name}.ply")
        drawn = ["--condition", "D", "--seed", str(seed)]
        run_json(["-m", "score", "scan", model, *drawn, "-o", str(scan), "--truth-out", str(truth)], tool.folder)
        unfinished = peer.with_name("part.ply")
        run_json(["-m", "score", "peer", str(scan), "-o", str(unfinished), "--depth", str(PEER_DEPTH)], tool.folder)
        os.replace(unfinished, peer)
    return scan, truth, peer


def completion_case(
    tool: ScoringTool, fold: Fold, name: str, seed: int, profile: Profile, model: Model, folder: Path, level: int = 2
) -> dict:
    """Scores of the peer, of a fit and of a fit with the profile's guess: {"peer", "without", "with": the tool's
    scores, "plausibility", "seconds": of placing the profile, "covered": see `guess_coverage`}. The meshes are left in
    ``folder``."""
    scan, truth, peer = scan_case(tool, fold, name, seed)
    prepared = prepare(load_scan(scan))
    started = time.process_time()
    found = membership(profile, prepared)
    row: dict = {"name": name, "plausibility": found.score, "seconds": time.process_time() - started}
    meshes = {"peer": peer}
    for kind, guess in (("without", None), ("with", found.completion)):
        mesh = fit(prepared, model, FitOptions(level=level), completion=guess).mesh
        meshes[kind] = folder / f"{name}_{kind}.ply"
        save_mesh(meshes[kind], mesh.vertices, mesh.faces, mesh.sigma)
    record = scan.with_name("peer_score.json")
    for kind, mesh in meshes.items():
        if kind == "peer" and record.exists():
            row[kind] = json.loads(record.read_text())
            continue
        row[kind] = run_json(["-m", "score", "repair", str(mesh), str(truth), str(scan), *SCORED], tool.folder)
    record.write_text(json.dumps(row["peer"]))
    row["covered"] = guess_coverage(prepare(load_scan(truth)), prepared, found)
    say(f"  {name}: {unseen_ratio([row], 'with'):.3f} of the peer's error, {row['covered']:.2f} covered")
    return row


def unseen_ratio(rows: Sequence[dict], kind: str) -> float:
    """Geometric mean over cases of the error on unseen surface against the peer's."""
    ratios = [row[kind]["comp_unseen"] / row["peer"]["comp_unseen"] for row in rows]
    return float(np.exp(np.log(ratios).mean()))


def family_scores(profile: Profile, scans: Sequence[Path]) -> list[float]:
    """Plausibility of scans under a profile."""
    return [membership(profile, prepare(load_scan(path))).score for path in scans]


@dataclass(frozen=True)
class Dented:
    """A specimen with a planted defect: the scan, its vertices and normals (n, 3), canonical; displaced (n,): by how
    much, along their normals, shares of the longest side."""

    scan: PreparedScan
    vertices: np.ndarray
    normals: np.ndarray
    displaced: np.ndarray


def dented(path: Path, seed: int, height: float) -> Dented:
    """A scan of a specimen with noise and, at a place that follows ``seed``, a dent or a bump."""
    rng = np.random.default_rng(seed)
    raw = load_scan(path)
    assert raw.faces is not None
    points = np.asarray(raw.points, np.float64)
    unit = float(np.ptp(points, axis=0).max())
    first, second, third = (points[raw.faces[:, corner]] for corner in range(3))
    across = np.cross(second - first, third - first)
    normals = np.zeros_like(points)
    for corner in range(3):
        np.add.at(normals, raw.faces[:, corner], across)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-30)
    # on the outside, where a scanner would see it
    tried, look = rng.integers(len(points), size=OUTERMOST_OF), rng.normal(size=3)
    centre = tried[(points[tried] @ look).argmax()]
    square = ((points - points[centre]) ** 2).sum(axis=1) / (DEFECT_RADIUS * unit) ** 2
    # the whole neighbourhood moves one way, so that a thin wall keeps its thickness
    displaced = rng.choice([-1.0, 1.0]) * height * np.exp(-0.5 * square)
    noise = SCAN_NOISE * rng.normal(size=len(points))
    moved = points + unit * (displaced[:, None] * normals[centre] + noise[:, None] * normals)
    scan = prepare(RawScan(moved, raw.faces, None, None, path.stem))
    # what slides along the surface does not show
    across = displaced * np.abs(normals @ normals[centre])
    return Dented(scan, scan.frame.to_canonical(moved).astype(np.float64), normals, across)


def defect_case(profile: Profile, path: Path, seed: int, height: float) -> dict:
    """How well the deviation map finds a planted defect: {"auroc", "found": median deviation in it, "elsewhere": 95 %
    of the vertices elsewhere deviate less}."""
    case = dented(path, seed, height)
    found: Membership = membership(profile, case.scan)
    unit = float(np.ptp(case.vertices, axis=0).max())
    sigma = np.full(len(case.vertices), SCAN_NOISE * unit)
    deviation = np.abs(found.deviations(case.vertices, case.normals, sigma))
    defect = np.abs(case.displaced) > CHANGED
    return {
        "name": path.stem,
        "height": height,
        "auroc": auroc(deviation, defect),
        "found": float(np.median(deviation[defect])),
        "elsewhere": float(np.percentile(deviation[~defect], 95)),
        "plausibility": found.score,
    }


def auroc(values: np.ndarray, positive: np.ndarray) -> float:
    """Chance that a positive has the higher value."""
    count, ranks = int(positive.sum()), rankdata(values)
    return float((ranks[positive].sum() - count * (count + 1) / 2) / (count * (len(values) - count)))


def guess_coverage(truth: PreparedScan, scan: PreparedScan, found: Membership, away: float = 0.04) -> float:
    """Share of the guessed points, farther than ``away`` (canonical) from the scan, that lie within 1.645 of their
    sigma of the truth: nine in ten where sigma is right."""
    points = scan.frame.to_canonical(truth.frame.to_world(truth.points)).astype(np.float64)
    matcher = Matcher(Surface(points, truth.normals.astype(np.float64)), 1e-6)
    guessed = KDTree(scan.points).query(found.completion.points)[0] > away
    guess = found.completion.take(guessed)
    error = mismatch(Surface(guess.points.astype(np.float64), guess.normals.astype(np.float64)), matcher)
    return float((error < 1.645 * guess.sigma).mean())


def inside_and_outside(tool: ScoringTool, fold: Fold, others: Sequence[Fold], members: Sequence[str]) -> tuple:
    """Whole scans of the family that are neither in the profile nor left out for completion; and what is none of it:
    scans of other families, partial and whole, and single things."""
    paths = sorted((tool.scans / fold.family).glob("*.ply"))
    known = {*members, *(name for name, _ in fold.left_out)}
    inside = [path for path in paths if path.stem not in known]
    outside = [scan_case(tool, other, *one)[0] for other in others for one in other.left_out]
    outside += sorted((tool.scans / "family_cups").glob("*.ply"))[: WHOLE - 2]
    outside += sorted((tool.scans / "clean").glob("*.ply"))[:WHOLE]
    return inside[:: max(1, len(inside) // WHOLE)][:WHOLE], outside


def profile_bars(tool: ScoringTool, options: argparse.Namespace) -> tuple[list[Bar], list[str], dict]:
    """Completion, doubt, plausibility and defects of the families with a profile."""
    model = load_model("cpu", folder=options.model or MODEL_FOLDER)
    bars: list[Bar] = []
    report: dict = {}
    completed, plausible, defects = [], [], []
    for fold in FOLDS:
        kind = fold.family.removeprefix("family_")
        say(kind)
        profile, took = profile_of(fold, tool.scans, options.cache, lambda *_: None)
        left_out = fold.left_out[:2] if options.quick else fold.left_out
        rows = [completion_case(tool, fold, *one, profile, model, options.out) for one in left_out]
        others = [other for other in FOLDS if other is not fold]
        paths = inside_and_outside(tool, fold, others, took["members"])
        inside, outside = (family_scores(profile, some[:2] if options.quick else some) for some in paths)
        inside += [row["plausibility"] for row in rows]
        dents = [
            defect_case(profile, tool.scans / fold.family / f"{name}.ply", seed, height)
            for height in HEIGHTS
            for name, seed in left_out
        ]
        for row in rows:
            ratios = (number(unseen_ratio([row], which)) for which in ("without", "with"))
            scored = (number(row[which]["comp_unseen"]) for which in ("peer", "without", "with"))
            completed.append([row["name"], *scored, *ratios, number(row["covered"]), number(row["seconds"])])
        plausible += [[kind, "in", *_spread(inside)], [kind, "out", *_spread(outside)]]
        for dent in dents:
            shown = (number(dent[key]) for key in ("height", "auroc", "found", "elsewhere"))
            defects.append([dent["name"], *shown])
        among = np.arange(len(inside) + len(outside)) < len(inside)
        chance = auroc(np.array([*inside, *outside]), among)
        refused = float(np.mean(np.array(outside) < LEAST_SCORE))
        covered = float(np.mean([row["covered"] for row in rows]))
        bars += [
            Bar(f"{kind}: unseen error / peer, with profile, D", unseen_ratio(rows, "with"), UNSEEN, True, len(rows)),
            Bar(f"{kind}: guess, 90 % interval covers at least", covered, COVERAGE[0], False, len(rows)),
            Bar(f"{kind}: guess, 90 % interval covers at most", covered, COVERAGE[1], True, len(rows)),
            Bar(f"{kind}: AUC, in the family against out of it", chance, AUROC, False, len(among)),
            Bar(f"{kind}: others refused", refused, REFUSED, False, len(outside)),
            Bar(f"{kind}: members let in", float(np.mean(np.array(inside) >= LEAST_SCORE)), 1.0, False, len(inside)),
        ]
        for height in HEIGHTS:
            found = [dent["auroc"] for dent in dents if dent["height"] == height]
            bars.append(Bar(f"{kind}: defect of {height:g}, AUROC", float(np.mean(found)), AUROC, False, len(found)))
        report[kind] = {"rows": rows, "in": inside, "out": outside, "defects": dents, "built": took}
        report[kind]["without"] = unseen_ratio(rows, "without")
    head = ["unseen error, D", "peer", "without", "with", "without / peer", "with / peer", "covered", "s"]
    tables = [
        table(head, completed),
        table(["plausibility", "", "scans", "lowest", "median", "highest"], plausible),
        table(["defect", "height", "AUROC", "found", "95 % elsewhere"], defects),
    ]
    return bars, tables, report


def _spread(values: Sequence[float]) -> list[str]:
    """Cells for a table."""
    return [str(len(values)), *(number(float(np.quantile(values, share))) for share in (0, 0.5, 1))]
