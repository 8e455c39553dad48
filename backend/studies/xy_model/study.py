"""The study: the chain against the reference, then what two autoencoders learn from its configurations."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..claims import Findings, Say, Size
from ..threads import one_thread
from . import figures
from .angles import drawn
from .chain import Curves, measure
from .judge import Judged, Physics, generated, judge
from .model import Vae, train
from .observables import upright
from .rows import chain_rows, model_rows

TITLE = "The XY model and a generative model that knows its energy"
PAPER = "Cristoforetti et al. 2017, Towards meaningful physics from generative models, arXiv 1705.09524"
ALL = (0.1, 0.25, 0.4, 0.6, 0.7, 0.8, 0.85, 0.8929, 0.92, 0.95, 1.0, 1.04, 1.08, 1.12, 1.16, 1.2, 1.5, 2.0)
FEW = (0.1, 0.6, 0.8, 0.8929, 0.95, 1.0, 1.04, 1.08, 1.12, 1.2)
SHOWN = 1.0
"""Temperature of the pictured configuration."""
TAUGHT = 0.75
"""Share of the replicas whose configurations are learned from; the others are held out."""


@dataclass(frozen=True)
class Plan:
    """chains: replicas per temperature and sweeps, by side; every: sweeps between configurations kept for learning."""

    temperatures: tuple[float, ...]
    chains: dict[int, tuple[int, int]]
    every: int
    steps: int
    seeds: int


PLANS = {
    Size.WHOLE: Plan(ALL, {16: (16, 1000), 32: (8, 800)}, 20, 2000, 3),
    Size.TEST: Plan(FEW, {16: (8, 150), 32: (2, 60)}, 5, 100, 2),
}


@one_thread()
def study(size: Size, out: Path, say: Say) -> Findings:
    """Chains at both sizes, then both models on the smaller lattice for each seed."""
    plan = PLANS[size]
    curves, learned, held_out = _chains(plan, say)
    at = np.array(plan.temperatures)
    plain, knowing, made, pictures = [], [], [], []
    for seed in range(plan.seeds):
        say(f"models, seed {seed}")
        without, with_energy = train(learned, False, plan.steps, seed), train(learned, True, plan.steps, seed)
        plain.append(judge(without, held_out, at, seed))
        knowing.append(judge(with_energy, held_out, at, seed))
        new = generated(with_energy, held_out, seed)
        made.append(Physics.of(new, at))
        pictures = pictures or _pictures(without, with_energy, held_out, new, at)
    paths = [out / f"xy_{name}.png" for name in ("curves", "crossing", "energy", "code", "configurations")]
    figures.curves_against_reference(curves, paths[0])
    figures.helicity_crossing(curves, knowing[0], paths[1])
    figures.energy_of_decodes(plain[0], knowing[0], made[0], paths[2])
    figures.code_against_magnetisation(knowing[0], paths[3])
    figures.configuration_and_decodes(pictures, f"A configuration at T = {SHOWN:g} and its decodes", paths[4])
    captions = (
        "Energy, magnetisation, helicity modulus, vortex density and specific heat against the reference.",
        "Where the helicity modulus crosses 2T/π, in the chains and in draws of the model.",
        "Energy and vortex density of configurations, decodes, draws and generated configurations.",
        "The leading number of the code is the magnetisation; the transition read from it.",
        "A configuration, its decodes, a draw and a generated one, with vortices.",
    )
    claims = (*(row for one in curves for row in chain_rows(one)), *model_rows(plain, knowing, made))
    data = {
        "chains": [asdict(one) for one in curves],
        "plain": [_by_temperature(one) for one in plain],
        "with energy": [_by_temperature(one) for one in knowing],
        "generated": [asdict(one) for one in made],
    }
    return Findings(TITLE, PAPER, claims, tuple(zip(paths, captions, strict=True)), data)


def _chains(plan: Plan, say: Say) -> tuple[list[Curves], Tensor, Tensor]:
    """Curves by side; upright configurations of the smallest to learn from (n, L, L), and held out (K, n, L, L)."""
    kept: list[NDArray[np.complex128]] = []
    curves = []
    for side, (replicas, sweeps) in plan.chains.items():
        say(f"chain, L = {side}")
        keep = (lambda spins: kept.append(upright(spins))) if side == min(plan.chains) else None
        curves.append(measure(side, plan.temperatures, replicas, sweeps, side, keep, plan.every))
    by_sweep = np.angle(np.stack(kept)).astype(np.float32)  # sweep, L, L, K, replica
    angle = torch.from_numpy(np.moveaxis(by_sweep, (3, 4), (0, 1)).copy())
    taught = round(angle.shape[1] * TAUGHT)
    return curves, angle[:, :taught].flatten(0, 2), angle[:, taught:].flatten(1, 2)


@torch.no_grad()
def _pictures(
    plain: Vae, knowing: Vae, held_out: Tensor, new: Tensor, at: NDArray[np.float64]
) -> list[tuple[str, NDArray[np.float64]]]:
    """Name and (L, L) of each picture of one held-out configuration, the scale at the end."""
    place = int(np.argmin(np.abs(at - SHOWN)))
    one = held_out[place, :1]
    found = knowing.decode(knowing.encode(one)[0])
    views = [
        ("configuration", one),
        ("plain: mean decode", plain.decode(plain.encode(one)[0]).angle),
        ("with energy: mean alone", found.angle),
        ("with energy: drawn", drawn(found.angle, found.log_scale, torch.Generator().manual_seed(0))),
        ("with energy: generated", new[place, :1]),
        ("with energy: scale", found.log_scale.exp()),
    ]
    return [(name, view[0].double().numpy()) for name, view in views]


def _by_temperature(one: Judged) -> dict[str, Any]:
    """What was judged, with means in place of a number per configuration."""
    return asdict(replace(one, code=one.code.mean(1), size=one.size.mean(1)))
