"""Toys in the plane whose density and best velocity are known in closed form: mixtures of round Gaussians.

The paper's toys are five Gaussians, a grid of them, and curves (arXiv 2506.05240, section 4). A curve is a row of many
Gaussians here, so that moons, rings and a spiral have an exact density too, where the paper had to estimate it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ...training.flow import VelocityField, exact_velocity

SIDE = 45
REACH = 5.0
"""Half the side of the square that is looked at, in a toy's own units."""


@dataclass(frozen=True)
class Toy:
    """Gaussians of equal weight at centres (k, 2), of middle 0, with standard deviation sd; in units of its own.

    Points are divided by ``scale``, the whole's standard deviation, as the paper's are; surprise is of the own units.
    """

    name: str
    centres: Tensor
    sd: float

    @cached_property
    def scale(self) -> float:
        return math.sqrt(float(self.centres.square().mean()) + self.sd**2)

    @cached_property
    def field(self) -> VelocityField:
        """The velocity that minimises the loss of the flow."""
        weights = torch.full((len(self.centres),), 1 / len(self.centres))
        return exact_velocity(self.centres / self.scale, self.sd / self.scale, weights)

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Points (count, 2)."""
        chosen = torch.randint(len(self.centres), (count,), generator=generator)
        return (self.centres[chosen] + self.sd * torch.randn(count, 2, generator=generator)) / self.scale

    def surprise(self, points: Tensor) -> Tensor:
        """Negative log likelihood (n,) of points (n, 2), in nats."""
        square = torch.cdist(points.double() * self.scale, self.centres.double()).square() / self.sd**2
        terms = len(self.centres) * 2 * math.pi * self.sd**2
        return (math.log(terms) - torch.logsumexp(-square / 2, dim=1)).float()

    def grid(self) -> Tensor:
        """SIDE x SIDE points (n, 2) over the square, the last coordinate fastest."""
        axis = torch.linspace(-REACH, REACH, SIDE) / self.scale
        return torch.stack(torch.meshgrid(axis, axis, indexing="ij"), dim=-1).reshape(-1, 2)


def five_gaussians() -> Toy:
    """The paper's first toy."""
    return Toy("five Gaussians", _circle(5, 3.0), 0.3)


def toys() -> tuple[Toy, ...]:
    """The paper's other toys: a grid, and curves as rows of Gaussians."""
    axis = torch.tensor([-3.0, -1.0, 1.0, 3.0])
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), dim=-1).reshape(-1, 2)
    angle = torch.linspace(0, math.pi, 48)
    arc = 2 * torch.stack([angle.cos(), angle.sin()], dim=1)
    moons = torch.cat([arc + torch.tensor([-1.0, -0.5]), torch.tensor([1.0, 0.5]) - arc])
    rings = torch.cat([_circle(count, radius) for count, radius in ((20, 1.0), (60, 3.0))])
    # along an Archimedean spiral the arc grows as the square of the angle
    turn = 4 * math.pi * torch.linspace(0.02, 1, 96).sqrt()
    spiral = 3.5 / (4 * math.pi) * turn[:, None] * torch.stack([turn.cos(), turn.sin()], dim=1)
    placed = (("grid", grid, 0.3), ("moons", moons, 0.2), ("rings", rings, 0.2), ("spiral", spiral, 0.15))
    return tuple(Toy(name, centres - centres.mean(0), sd) for name, centres, sd in placed)


def _circle(count: int, radius: float) -> Tensor:
    angle = torch.arange(count) * (2 * math.pi / count)
    return radius * torch.stack([angle.cos(), angle.sin()], dim=1)
