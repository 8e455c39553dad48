"""The potential view: how far every slider of the shipped model goes on new shapes before their topology changes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ...edits.attributes import ATTRIBUTES, attribute
from ...edits.collision_margin import collision_margin
from ...edits.displacement import Layer, Movement, units
from ...edits.fitted_scan import EditableMesh, FittedScan
from ...edits.shape_sliders import shape_edit
from ...engine import OnnxEngine
from ...formats.raw_scan import RawScan
from ...geometry.moving_solid import moving_solid
from ...prior.shape_prior import ShapePrior
from ...protocol.fit_options import FitOptions
from ...protocol.requests import EditTarget
from ...report.scans import Reach, swept_reach
from ...training.bank import jittered
from ...training.demo_scan import true_surface
from ...training.shapes.families import draw
from ..claims import Claim, Say
from ..flow_alignment.shapes import FRESH

SHAPES = ("csg", "rock", "creature", "furniture", "sweep", "vessel")
"""Families, solid ones first."""
LEVEL = 1
SURFACE = 96
GRID = 128
"""Voxels along the canonical cube of the grid on which pieces, tunnels and hollows are counted."""
STEPS = 8
"""At least, from end to end of a slider; the end of a reach is then bisected."""
SAFE = 0.5
"""Of a foretold reach that is tried."""


@dataclass(frozen=True)
class Slid:
    """A slider on a shape. reach: as counted on the grid; foretold: by the walls that face each other, low and high;
    kept: whether at SAFE of the foretold ends, low and high, the topology is that of the shape."""

    shape: str
    reach: Reach
    foretold: tuple[float, float]
    kept: tuple[bool, bool]

    @property
    def share(self) -> float:
        """Of the slider's range that is safe."""
        return (self.reach.safe[1] - self.reach.safe[0]) / (self.reach.high - self.reach.low)


def slid_shapes(prior: ShapePrior, count: int, sliders: int | None, say: Say) -> list[Slid]:
    """Every slider, or the first ``sliders`` of each kind, on new shapes of the first families of SHAPES."""
    engine, found = OnnxEngine("cpu", 1), []
    names = (*tuple(ATTRIBUTES)[:sliders], *tuple(prior.sliders)[:sliders])
    for number, family in enumerate(SHAPES[:count]):
        subject = fitted(engine, family, FRESH + number)
        shell = subject.shell(EditTarget.FIT)
        for name in names:
            found.append(slid(family, shell, name, *movement_of(subject, name, prior)))
        say(f"{family}: {np.mean([one.share for one in found if one.shape == family]):.0%} of the sliders is safe")
    return found


def fitted(engine: OnnxEngine, family: str, seed: int) -> FittedScan:
    """A new shape of a family, scanned all around without noise, and fitted by the shipped model."""
    generator = torch.Generator().manual_seed(seed)
    vertices, faces = true_surface(jittered(draw(family, 1, seed).sdf, 1, generator), SURFACE)
    raw = RawScan(vertices.astype(np.float64), faces, name=family)
    scan = engine.prepare(raw)
    fit = engine.fit(scan, FitOptions(LEVEL), lambda mesh: None, lambda share, text: None, engine.token())
    return FittedScan(raw, scan, fit)


def movement_of(subject: FittedScan, name: str, prior: ShapePrior) -> tuple[Movement, str, float, float]:
    """What a slider does to a fitted scan, its unit, and its ends."""
    if name in ATTRIBUTES:
        known = ATTRIBUTES[name]
        return attribute(name, subject.scan, subject.fit), known.unit, known.low, known.high
    made = shape_edit(name, subject.scan, subject.fit, prior)
    return made.movement, prior.sliders[name].unit, made.low, made.high


def slid(shape: str, shell: EditableMesh, name: str, movement: Movement, unit: str, low: float, high: float) -> Slid:
    """How far a movement goes, foretold and counted."""
    (whole,) = units([Layer(movement, 1.0)], shell.vertices, shell.normals)
    told = collision_margin(shell.vertices, shell.normals, whole.move, low, high).margin
    solid = moving_solid(shell.vertices, shell.faces, whole.move, GRID)
    still = solid.betti(0.0)
    kept = tuple(solid.betti(SAFE * end) == still for end in told)
    return Slid(shape, swept_reach(solid, name, unit, low, high, STEPS), told, (kept[0], kept[1]))


def reach_claims(found: list[Slid]) -> list[Claim]:
    own = [one for one in found if one.reach.name in ATTRIBUTES]
    learned = [one for one in found if one.reach.name not in ATTRIBUTES]
    ends = [
        (told / end, safe / end)
        for one in found
        for told, safe, end in zip(one.foretold, one.reach.safe, (one.reach.low, one.reach.high), strict=True)
        if end
    ]
    foretold, counted = np.array(ends).T
    claims = [
        Claim(
            "R1",
            "ends of sliders where half of the foretold reach keeps the topology, share",
            float(np.mean([kept for one in found for kept in one.kept])),
            low=0.9,
            note=f"Foretold from walls that face each other; counted on a grid of {GRID}³, which does not see walls "
            "that are thinner than a voxel.",
        ),
        Claim(
            "R2",
            "mean of how far the foretold end lies from the counted one, of the slider's side",
            float(np.abs(foretold - counted).mean()),
        ),
        Claim("R3", "safe part of a built-in attribute, median share", float(np.median([one.share for one in own]))),
    ]
    if learned:
        median = float(np.median([one.share for one in learned]))
        claims.append(Claim("R4", "safe part of a slider of the shape code, median share", median))
    none = np.mean([one.share < 0.02 for one in found])
    return [*claims, Claim("R5", "sliders that a shape has no room for at all, share", float(none))]
