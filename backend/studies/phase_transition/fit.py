"""Fitting nets to the analytic families: all shapes at once with one conditional net, or each with a net of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from .families import FAMILIES
from .net import Conditional, distance

POOL = 4096
"""Points kept of each shape: half of them anywhere in the cube, a quarter near the surface, a quarter around the place
where the topology changes, which is a small part of the surface and decides everything."""
NEAR, AROUND = 0.04, 0.12
"""How near that is, canonical units."""


@dataclass(frozen=True)
class Pool:
    """Training points: family (S,), shape (S, 3), points (S, POOL, 3) in [-1, 1]^3 and their distances (S, POOL)."""

    family: Tensor
    shape: Tensor
    points: Tensor
    distance: Tensor

    @classmethod
    def of(cls, family: Tensor, shape: Tensor, seed: int) -> Pool:
        generator = torch.Generator().manual_seed(seed)
        points, distances = [], []
        for kind, numbers in zip(family.tolist(), shape, strict=True):
            wide = 2 * torch.rand(8 * POOL, 3, generator=generator) - 1
            weight = torch.exp(-truth(kind, numbers, wide).abs() / NEAR)
            near = torch.multinomial(weight, POOL // 4, generator=generator)
            saddle = torch.tensor(FAMILIES[kind].saddle) + AROUND * torch.randn(POOL // 4, 3, generator=generator)
            points.append(torch.cat((wide[: POOL // 2], wide[near], saddle)))
            distances.append(truth(kind, numbers, points[-1]))
        return cls(family, shape, torch.stack(points), torch.stack(distances))


def truth(family: int, shape: Tensor, points: Tensor) -> Tensor:
    """Analytic distance (N,) of one shape (3,) at points (N, 3)."""
    return FAMILIES[family].field(shape[None], points.T.contiguous()[None])[0]


def descend(parameters: Iterable[Tensor], loss: Callable[[], Tensor], steps: int, rate: float) -> None:
    """Adam with a rate that rises and falls once; at least ten steps."""
    adam = torch.optim.Adam(parameters, rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(adam, rate, steps, pct_start=0.2)
    for _ in range(steps):
        adam.zero_grad()
        loss().backward()
        adam.step()
        schedule.step()


def fit_conditional(
    pool: Pool, seed: int, steps: int, shapes: int = 36, points: int = 112, rate: float = 5e-3
) -> Conditional:
    """One net for all shapes of a pool, by its mean absolute error."""
    net = Conditional(seed)
    generator = torch.Generator().manual_seed(seed)

    def loss() -> Tensor:
        chosen = torch.randint(len(pool.shape), (shapes,), generator=generator)
        seen = torch.randint(POOL, (shapes, points), generator=generator)
        theta = net.weights(net.style(pool.family[chosen], pool.shape[chosen]))
        found = distance(theta, pool.points[chosen[:, None], seen])
        return (found - pool.distance[chosen[:, None], seen]).abs().mean()

    descend(net.parameters(), loss, steps, rate)
    return net.requires_grad_(False)


def fit_each(pool: Pool, first: Tensor, seed: int, steps: int, points: int = 768, rate: float = 3e-3) -> Tensor:
    """A net for each shape of a pool: theta (S, LENGTH), from ``first`` (S, LENGTH)."""
    theta = first.clone().requires_grad_()
    generator = torch.Generator().manual_seed(seed)
    rows = torch.arange(len(theta))[:, None]

    def loss() -> Tensor:
        seen = torch.randint(POOL, (len(theta), points), generator=generator)
        # a sum over shapes: Adam steps each net as if it were alone
        return (distance(theta, pool.points[rows, seen]) - pool.distance[rows, seen]).abs().mean(dim=1).sum()

    descend([theta], loss, steps, rate)
    return theta.detach()


def errors(net: Conditional, pool: Pool, seed: int = 7, points: int = 4096) -> Tensor:
    """Mean |distance - truth| (S,) over the cube, for each shape."""
    seen = 2 * torch.rand(points, 3, generator=torch.Generator().manual_seed(seed)) - 1
    found = []
    for kind, numbers in zip(pool.family.tolist(), pool.shape, strict=True):
        theta = net.of_shapes(kind, numbers[None])
        found.append((distance(theta, seen[None])[0] - truth(kind, numbers, seen)).abs().mean())
    return torch.stack(found)
