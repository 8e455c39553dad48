"""The same with a flow that is trained on samples, as the paper's is and the product's: the toys with curves, too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf

import torch
from torch import Tensor

from ...prior.flow import LATE
from ...training.flow import FlowConfig, VelocityNetwork, train_flow
from ..claims import Claim, Say, Source
from .descending import descend, levelled, losses
from .measures import agreement, modes_of
from .toys import Toy, toys

FLOW = FlowConfig(width=64, blocks=3, steps=3000, batch=512, rate=2e-3, average=0.995)


@dataclass(frozen=True)
class Effort:
    """seeds: flows for the five Gaussians, one for every other toy; samples: that a flow is trained on; latents: that
    it aligns, in ``steps``; draws: of maps."""

    flow: FlowConfig = FLOW
    seeds: int = 3
    others: int = 4
    samples: int = 20_000
    latents: int = 400
    steps: int = 1500
    draws: int = 64


@dataclass(frozen=True)
class Learned:
    """What a trained flow makes of a toy, in the toy's coordinates. whole, late: L over the grid; aligned, levelled:
    latents from N(0, I) at the end of their way, and stopped each at a level of the data; sampled: points that the flow
    draws. best: Spearman's correlation of L and the surprise for the exact velocity, which no training can better."""

    toy: Toy
    real: Tensor
    whole: Tensor
    late: Tensor
    aligned: Tensor
    levelled: Tensor
    sampled: Tensor
    best: float

    @property
    def spearman(self) -> tuple[float, float]:
        """Of L over all times, and of late L, with the surprise over the plane."""
        surprise = self.toy.surprise(self.toy.grid())
        return agreement(self.whole, surprise)[0], agreement(self.late, surprise)[0]

    def surprise(self, points: Tensor) -> float:
        return float(self.toy.surprise(points).mean())


def learn(toy: Toy, effort: Effort, seed: int) -> Learned:
    """A flow for a toy, and latents that it aligns."""
    generator = torch.Generator().manual_seed(100 + seed)
    velocity = train_flow(toy.sample(effort.samples, generator), replace(effort.flow, seed=seed))
    real = toy.sample(effort.latents, generator)
    start = torch.randn(effort.latents, 2, generator=generator)
    grid, known = velocity.whiten(toy.grid()), velocity.whiten(real)
    return Learned(
        toy,
        real,
        losses(grid, velocity, effort.draws),
        losses(grid, velocity, effort.draws, LATE),
        unwhitened(velocity, descend(start, velocity, [effort.steps], seed)[-1]),
        unwhitened(velocity, levelled(start, velocity, known, effort.steps // 5, generator, effort.draws)),
        unwhitened(velocity, sampled(velocity, start)),
        agreement(losses(toy.grid(), toy.field, effort.draws), toy.surprise(toy.grid()))[0],
    )


def unwhitened(velocity: VelocityNetwork, points: Tensor) -> Tensor:
    return points @ torch.linalg.inv(velocity.whitening) + velocity.mean


@torch.no_grad()
def sampled(velocity: VelocityNetwork, start: Tensor, steps: int = 50) -> Tensor:
    """Where the flow carries points (n, d) of N(0, I): Heun's method, as `FlowPrior.sample`."""
    x = start
    for step in range(steps):
        here = velocity(x, torch.full((len(x),), step / steps))
        there = velocity(x + here / steps, torch.full((len(x),), (step + 1) / steps))
        x = x + (here + there) / (2 * steps)
    return x


def measure(toy: Toy, effort: Effort, say: Say) -> list[Learned]:
    """First the flows of different seeds for ``toy``, then one for each of the other toys."""
    found = []
    for seed in range(effort.seeds):
        say(f"{toy.name}: flow {seed + 1} of {effort.seeds}")
        found.append(learn(toy, effort, seed))
    for other in toys()[: effort.others]:
        say(f"{other.name}: a flow")
        found.append(learn(other, effort, 0))
    return found


def claims(found: Sequence[Learned]) -> list[Claim]:
    """A row for every target of trained flows."""
    five = [one for one in found if one.toy is found[0].toy]
    computed, ours = Source.COMPUTED, Source.PROPOSED
    modes = [modes_of(one.aligned, one.toy) for one in five]

    def row(
        key: str, what: str, values: list[float], low: float = -inf, high: float = inf, source: Source = ours
    ) -> Claim:
        return Claim.over_seeds(key, f"trained flow{what}", values, low, high, source)

    rows = [
        row("F1", ": Spearman, L and NLL", [one.spearman[0] for one in five], 0.9, 1.0, computed),
        row("F2", ": NLL at the end", [one.surprise(one.aligned) for one in five], high=2.0, source=computed),
        row("F3", ": spread at the end (sd)", [mode.spread for mode in modes]),
        row("F4", ": way inward at the end (sd)", [-mode.offset for mode in modes]),
        row("F5", ": Spearman, late L and NLL", [one.spearman[1] for one in five], 0.95, 1.0),
        row("F6", ", each at a level of the data: NLL", [one.surprise(one.levelled) for one in five], 1.6, 2.5),
        row("F7", ", its samples: NLL", [one.surprise(one.sampled) for one in five], 1.8, 2.6),
    ]
    for one in found[len(five) :]:
        (whole, late), own = one.spearman, one.surprise(one.real)
        name = one.toy.name
        rows += [
            Claim(
                f"F-{name}", f"{name}: Spearman, L and NLL", whole, 0.9, note=f"{one.best:.3f} with the exact velocity"
            ),
            Claim(f"F-{name} late", f"{name}: Spearman, late L and NLL", late, 0.9),
            Claim(f"F-{name} end", f"{name}: NLL at the end, less that of data", one.surprise(one.aligned) - own),
            Claim(
                f"F-{name} stop",
                f"{name}: NLL of latents each at a level of the data, less that of data",
                one.surprise(one.levelled) - own,
                -0.7,
                0.5,
            ),
        ]
    return rows
