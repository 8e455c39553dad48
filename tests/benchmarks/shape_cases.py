"""Whole shapes for the benchmark of the prior: real ones, the same over-driven, and imagined ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import trimesh

from backend.editing.drawing import AT_ONCE, drawn_code
from backend.editing.judging import judge_code
from backend.field.model import CancelToken, load_model
from backend.field.recursion import recursion
from backend.field.surface import extract
from backend.prior.flow import auroc
from backend.prior.imagining import SOFTNESS
from backend.prior.shaping import heights_of
from backend.prior.shipped import Prior, load_prior
from backend.scan.load import load_scan
from backend.scan.prepare import prepare
from backend.weights.stack import normals_of
from tests.benchmarks.bars import Bar

FAMILIES = ("family_skulls", "family_teeth", "family_cups")
MEMBERS = 5
"""Of each family, beside all single models."""
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
    one; pairs: over-driven shapes."""

    scores: dict[str, list[float]]
    auc: float
    pairs: int


def plausible(scans: Path, quick: bool) -> Judged:
    """Plausibility of real shapes and of the same ones with each slider far beyond its range, both ways."""
    prior = load_prior()
    paths = sorted((scans / "clean").glob("*.ply"))
    for family in FAMILIES:
        paths += sorted((scans / family).glob("*.ply"))[:MEMBERS]
    scores: dict[str, list[float]] = {"real": []}
    for path in paths[:3] if quick else paths:
        for kind, value in _of_shape(path, prior).items():
            scores.setdefault(kind, []).append(value)
    driven = np.concatenate([values for kind, values in scores.items() if kind != "real"])
    # the measure is of what is odd: less plausible is more odd
    return Judged(scores, auroc(-np.array(scores["real"]), -driven), len(driven))


def _of_shape(path: Path, prior: Prior) -> dict[str, float]:
    raw = load_scan(path)
    assert raw.faces is not None
    frame = prepare(raw).frame
    vertices, faces = (raw.points - frame.centre) * frame.scale, raw.faces
    facing = normals_of(vertices, faces)

    def judged(moved: np.ndarray) -> float:
        return judge_code(prior.codes.of_mesh(moved, faces), prior).value

    found = {"real": judged(vertices)}
    for slider in prior.sliders.values():
        for end in (slider.low, slider.high):
            heights = heights_of(prior.codes, DRIVEN * end * slider.delta, vertices)
            found[f"{slider.name} {DRIVEN * end:+.1f}"] = judged(vertices + heights[:, None] * facing)
    for height in (SWOLLEN, -SWOLLEN / 2):
        found[f"thickness {height / 0.016:+.1f}"] = judged(vertices + height * facing)
    return found


def imagined(count: int) -> dict:
    """{"count", "watertight", "whole", "first": shares of the drawn shapes, the last of those whose first code was
    whole; "none": shapes without a surface}."""
    prior, model = load_prior(), load_model("cpu")
    closed, whole, first, none = [], [], [], 0
    for seed in range(count):
        code, outline = drawn_code(prior, seed)
        first.append(bool((code == prior.flow.sample(AT_ONCE, seed)[0]).all()))
        asked = outline.points, outline.normals, SOFTNESS, 0.0, IMAGINED_LEVEL, model, CancelToken(), lambda *_: None
        levels = list(recursion(*asked, code=code))
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


def likeness_bars(card: dict) -> list[Bar]:
    """Samples against training shapes, as training measured them: not copies, and not far off."""
    found = card.get("prior", {})
    away, left = found.get("nearest training shape, samples"), found.get("left out by a code")
    ratio = away / left if away and left else None
    return [Bar("samples: nearest training shape / reconstruction error", ratio, 1.0, False, 1)]
