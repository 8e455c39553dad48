"""Shape generation via weight space learning (arXiv 2503.21830), small: topology is sharp along the conditioning, and
geometry soft in a low-dimensional part of weight space.

The paper gives no numbers that could be reproduced; all targets are proposals.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ..claims import Findings, Say, Size
from ..threads import one_thread
from . import figures, rows
from .alignment import STARTS, Bank, banks, kept
from .families import FAMILIES, draw
from .fit import Pool, errors, fit_conditional
from .guard import FEWEST, Trial, try_mixes
from .locality import judge
from .net import LENGTH, Conditional, field_of
from .rows import Fitted
from .solids import Mesh, mesh_of
from .subspace import REACH, Subspace, explore, theta_at
from .transition import TOLERANCE, Crossing, conditioned, cross, straight

PAPER = "Shape Generation via Weight Space Learning, arXiv 2503.21830"
ALL = range(len(FAMILIES))


@dataclass(frozen=True)
class Scale:
    """How much is done: seeds; shapes of each family and steps of the conditional fit; voxels along an edge for C1 and
    C4; steps of a sweep, its two grids, and how finely t* is bisected; examples and random moves of C3; steps of
    distillation; shapes, steps, seeds and mixes of the banks of single nets; broken and sound mixes that a bank
    needs to be asked."""

    seeds: int = 3
    shapes: int = 24
    steps: int = 1200
    grid: int = 64
    sweep: int = 100
    sides: tuple[int, int] = (48, 96)
    tolerance: float = TOLERANCE
    examples: int = 12
    moves: int = 24
    distil: int = 800
    bank: int = 3
    bank_steps: int = 300
    bank_seeds: int = 5
    mixes: int = 40
    fewest: int = FEWEST


SCALES = {
    Size.WHOLE: Scale(),
    Size.TEST: Scale(1, 6, 80, 32, 8, (32, 48), 1e-2, 5, 3, 12, 2, 40, 1, 6, 1),
}


@one_thread()
def study(size: Size, out: Path, say: Say) -> Findings:
    """Claims C1 to C6 with four figures."""
    scale, fits = SCALES[size], []
    for seed in range(scale.seeds):
        say(f"C1: fitting {scale.shapes} shapes of each family, seed {seed}")
        fits.append(fit(scale, seed))
    net = fits[0].net
    say("C2: sweeping t")
    crossed = [cross(conditioned(net, family), family, scale.sweep, scale.sides, scale.tolerance) for family in ALL]
    lines = [cross(straight(net, family), family, scale.sweep // 4, scale.sides, scale.tolerance) for family in ALL]
    say("C3: moves in the space of a few examples")
    spaces = [
        [explore(one.net, family, scale.examples, scale.moves, seed, scale.sides[0]) for family in ALL]
        for seed, one in enumerate(fits)
    ]
    say("C4: an edit of one place")
    local = [judge(net, family, scale.distil, scale.grid) for family in ALL]
    say("C5 and C6: nets of single shapes")
    nets = [[banks(family, scale.bank, seed, scale.bank_steps) for family in ALL] for seed in range(scale.bank_seeds)]
    sound = {
        start: [float(np.mean([kept(found[start], scale.sides[0]) for found in one])) for one in nets]
        for start in STARTS
    }
    trials = [
        try_mixes(found[STARTS[0]], scale.mixes, seed, scale.sides[0]) for seed, one in enumerate(nets) for found in one
    ]
    say("drawing")
    pictures = _draw(net, crossed, spaces[0], sound, nets[0], trials, scale, out)
    claims = (
        *rows.of_fit(fits),
        *rows.of_transition(crossed, lines),
        *rows.of_subspace(spaces),
        *rows.of_locality(local),
        *rows.of_alignment(sound),
        *rows.of_guard(trials, scale.fewest),
    )
    data = {
        "weights": LENGTH,
        "critical": {
            one.family: {"found": one.critical, "true": FAMILIES[k].critical(0.0)} for k, one in enumerate(crossed)
        },
        "volumes": {one.family: one.volumes.tolist() for one in crossed},
        "betti": {one.family: one.table.betti.tolist() for one in crossed},
        "components": [[len(space.sliders) for space in row] for row in spaces],
        "kept": [[space.kept for space in row] for row in spaces],
        "spearman": [[space.spearman for space in row] for row in spaces],
        "leaks": {one.family: one.leaks for one in local},
        "sound": sound,
        "broken": [float(trial.broken.mean()) for trial in trials],
    }
    return Findings("Sharp topology, soft geometry in weight space", PAPER, claims, pictures, data)


def fit(scale: Scale, seed: int) -> Fitted:
    """Fit the conditional net to shapes of all families, and look at every one of them."""
    family = torch.arange(len(FAMILIES)).repeat_interleave(scale.shapes)
    shape = torch.cat([draw(scale.shapes, 100 * seed + number) for number in ALL])
    pool = Pool.of(family, shape, seed)
    net = fit_conditional(pool, seed, scale.steps)
    right = [
        mesh_of(field_of(net.of_shapes(kind, one[None])[0]), scale.grid).betti == FAMILIES[kind].betti(one)
        for kind, one in zip(family.tolist(), shape, strict=True)
    ]
    return Fitted(net, float(errors(net, pool).mean()), float(np.mean(right)))


def _draw(
    net: Conditional,
    crossed: list[Crossing],
    spaces: list[Subspace],
    sound: dict[str, list[float]],
    found: list[dict[str, Bank]],
    trials: list[Trial],
    scale: Scale,
    out: Path,
) -> tuple[tuple[Path, str], ...]:
    def around(family: int, one: Crossing) -> tuple[Mesh, Mesh]:
        star = 0.5 if one.critical[0] is None else one.critical[0]
        path = conditioned(net, family)
        before, after = (mesh_of(field_of(path(star + step)), scale.grid) for step in (-0.02, 0.02))
        return before, after

    def ends(space: Subspace) -> list[tuple[str, Mesh]]:
        units = np.eye(len(space.sliders))[:2]
        places = [("mean", 0 * units[0])]
        places += [(f"PC {k + 1}, {s:+.0f} sd", s * unit) for k, unit in enumerate(units) for s in (-REACH, REACH)]
        return [(title, mesh_of(field_of(theta_at(space.sliders, at)), scale.grid)) for title, at in places]

    last = len(FAMILIES) - 1
    halfway = [
        (start, mesh_of(field_of(bank.thetas[:2].mean(dim=0)), scale.grid)) for start, bank in found[last].items()
    ]
    names = ("sweep.png", "moves.png", "between.png", "guard.png")
    paths = [out / name for name in names]
    figures.crossings(crossed, [around(family, one) for family, one in enumerate(crossed)], paths[0])
    figures.moves([(space.family, ends(space)) for space in spaces], paths[1])
    figures.between(sound, halfway, paths[2])
    figures.guards(trials, paths[3])
    captions = (
        "Betti numbers and volume over t, and the shapes 0.02 before and after t*",
        "The mean of a few examples' weights, and two standard deviations along the first principal components",
        "Interpolation between nets of single shapes, by the start of their fits",
        "Signals that foretell broken mixes of nets",
    )
    return tuple(zip(paths, captions, strict=True))
