"""Whole shapes for the benchmark of the prior: real ones, the same over-driven, and imagined ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import trimesh

from backend.edits.fitted_scan import EditableMesh
from backend.edits.plausibility import plausibility_of
from backend.edits.sample_shape import AT_ONCE, drawn_code
from backend.edits.shape_sliders import heights_of
from backend.field.fit import fit
from backend.field.isosurface import extract
from backend.field.onnx_model import CancelToken, Model, load_model
from backend.field.recursion import ScanEvidence, recursion
from backend.formats.mesh_files import load_scan
from backend.prior.decode_shape import SOFTNESS
from backend.prior.flow import auroc
from backend.prior.shape_prior import ShapePrior, load_prior
from backend.protocol.fit_options import FitOptions
from backend.report.card import METRICS, card_of
from backend.scan.prepare import prepare
from tests.benchmarks.bars import Bar

FAMILIES = ("family_skulls", "family_teeth", "family_cups")
MEMBERS = 5
"""Of each family, beside all single models."""
FITTED_LEVEL = 2
DRIVEN = 3.0
"""A slider is driven to this many times the end of its range."""
SWOLLEN = 0.12
"""Thickness is driven to this (canonical) outwards, and to half of it inwards."""
IMAGINED_LEVEL = 1
WHOLE = 0.99
"""Share of the area in the largest piece from which a sample counts as one piece."""


@dataclass(frozen=True)
class Judged:
    """scores: plausibility of every shape, by kind; auc: chance that a real shape has more of it than an over-driven
    one; of_itself: share of the over-driven that have less of it than the shape that they were made from; pairs:
    over-driven shapes."""

    scores: dict[str, list[float]]
    auc: float
    of_itself: float
    pairs: int


def plausible(scans: Path, quick: bool) -> Judged:
    """Plausibility of fits of real scans, and of the same ones with each slider far beyond its range, both ways."""
    prior, model = load_prior(), load_model("cpu")
    paths = sorted((scans / "clean").glob("*.ply"))
    for family in FAMILIES:
        paths += sorted((scans / family).glob("*.ply"))[:MEMBERS]
    scores: dict[str, list[float]] = {"real": []}
    for path in paths[:3] if quick else paths:
        for kind, value in _of_shape(path, prior, model).items():
            scores.setdefault(kind, []).append(value)
    real = np.array(scores["real"])
    driven = np.stack([values for kind, values in scores.items() if kind != "real"])
    # the measure is of what is odd: less plausible is more odd
    return Judged(scores, auroc(-real, -driven.ravel()), float((driven < real).mean()), driven.size)


def _of_shape(path: Path, prior: ShapePrior, model: Model) -> dict[str, float]:
    scan = prepare(load_scan(path))
    fitted = fit(scan, model, FitOptions(level=FITTED_LEVEL)).mesh
    vertices = (fitted.vertices - scan.frame.centre) * scan.frame.scale
    mesh = EditableMesh(vertices, fitted.faces, np.zeros(len(vertices)))

    def judged(heights: np.ndarray) -> float:
        verdict = plausibility_of(mesh, heights[:, None] * mesh.normals, prior, model)
        assert verdict is not None
        return verdict.value

    found = {"real": judged(np.zeros(len(mesh.vertices)))}
    for slider in prior.sliders.values():
        for end in (slider.low, slider.high):
            heights = heights_of(prior.codes, DRIVEN * end * slider.delta, mesh.vertices)
            found[f"{slider.name} {DRIVEN * end:+.1f}"] = judged(heights)
    for height in (SWOLLEN, -SWOLLEN / 2):
        found[f"thickness {height / 0.016:+.1f}"] = judged(np.full(len(mesh.vertices), height))
    return found


def imagined(count: int) -> dict:
    """{"count", "watertight", "whole", "first": shares of the drawn shapes, the last of those whose first code was
    whole; "none": shapes without a surface}."""
    prior, model = load_prior(), load_model("cpu")
    closed, whole, first, none = [], [], [], 0
    for seed in range(count):
        code, outline = drawn_code(prior, seed)
        first.append(bool((code == prior.flow.sample(AT_ONCE, seed)[0]).all()))
        drawn = ScanEvidence(outline.points, outline.normals, SOFTNESS, 0.0)
        levels = list(recursion(drawn, IMAGINED_LEVEL, model, CancelToken(), lambda *_: None, code=code))
        surface = extract(levels[-1].grid, sides=levels[-1].bricks)
        if levels[-1].number < IMAGINED_LEVEL or not len(surface.faces):
            none += 1
            continue
        mesh = trimesh.Trimesh(surface.vertices, surface.faces, process=False)
        areas = [piece.area for piece in mesh.split(only_watertight=False)]
        closed.append(mesh.is_watertight)
        whole.append(max(areas) >= WHOLE * sum(areas))
    shares = {"watertight": sum(closed), "whole": sum(whole), "first": sum(first)}
    return {"count": count, "none": none} | {name: value / count for name, value in shares.items()}


def slider_bars(card: dict) -> list[Bar]:
    """What training measured of the sliders with known factors, against what the page of the audit asks of them."""
    known = card_of(card)
    scores = {score.key: score.ours for score in known.scores}
    found = []
    for key, metric in METRICS.items():
        if metric.bar is not None:
            ours = scores.get(key)
            name = f"sliders, known factors: {metric.name}"
            value = None if ours is None else ours.mean
            found.append(Bar(name, value, metric.bar, metric.lower_is_better, known.seeds or 0))
    return found


def likeness_bars(card: dict) -> list[Bar]:
    """Samples against training shapes, as training measured them: not copies, and not far off."""
    found = card.get("prior", {})
    away, left = found.get("nearest training shape, samples"), found.get("left out by a code")
    ratio = away / left if away and left else None
    return [Bar("samples: nearest training shape / reconstruction error", ratio, 1.0, False, 1)]
