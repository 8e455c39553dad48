"""Three analytic families of solids in which one number, t, changes the topology, and two change geometry alone.

A dumbbell whose neck breaks (b0 1 to 2), a ring whose hole closes (b1 1 to 0) and a bracket whose rib comes apart (b1 1
to 0). Every change is a saddle of the field that passes through zero: what is about to break is a neck with a radius
like the square root of t* - t, so that a grid sees the change nearly where it is. A neck of constant width that
vanishes would be lost as soon as it is thinner than a voxel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ...geometry.topology import Betti
from ...training.shapes.primitives import box, capsule, length, sphere, union

NUMBERS = 3
"""Of a shape: t in 0 .. 1, girth and knob in -1 .. 1."""
BLEND = 0.36
"""Of the dumbbell's balls."""
SOFT = 0.18
"""Of the ring's inner rim: without it the hole's radius would fall linearly to zero."""
FILLET = 0.16


Numbers = Tensor
"""(B, 3): t, girth and knob of B shapes."""


@dataclass(frozen=True)
class Family:
    """body: shapes and points (B, 3, N) -> signed distance (B, N) without the knob, negative inside; exact but for
    blends. knob: shapes -> its middle (B, 3). saddle: where the topology changes. critical: girth -> t*; the topology
    is ``before`` below it and ``after`` above."""

    name: str
    body: Callable[[Numbers, Tensor], Tensor]
    knob: Callable[[Numbers], Tensor]
    saddle: tuple[float, float, float]
    critical: Callable[[float], float]
    before: Betti
    after: Betti

    def field(self, shape: Numbers, p: Tensor) -> Tensor:
        """Signed distance (B, N). The knob is geometry that is local, and no matter to topology."""
        knob = sphere(p - self.knob(shape)[:, :, None], 0.12 + 0.05 * shape[:, 2:])
        return union(self.body(shape, p), knob, 0.06)

    def betti(self, shape: Tensor) -> Betti:
        """Of one shape (3,)."""
        t, girth, _ = shape.tolist()
        return self.before if t < self.critical(girth) else self.after


def _at(x: Tensor, y: Tensor | float, z: Tensor | float) -> Tensor:
    """Points (B, 3) of coordinates (B, 1), or such as all share."""
    return torch.cat([part if isinstance(part, Tensor) else torch.full_like(x, part) for part in (x, y, z)], dim=1)


def _balls(shape: Numbers) -> tuple[Tensor, Tensor]:
    """Half the distance and the radius (B, 1) of the dumbbell's."""
    return 0.26 + 0.18 * shape[:, :1], 0.28 + 0.03 * shape[:, 1:2]


def _dumbbell(shape: Numbers, p: Tensor) -> Tensor:
    apart, radius = _balls(shape)
    left, right = (sphere(p - _at(side * apart, 0, 0)[:, :, None], radius) for side in (-1, 1))
    return union(left, right, BLEND)


def _radii(shape: Numbers) -> tuple[Tensor, Tensor]:
    """Of the ring and of its wire (B, 1)."""
    return 0.45 + 0.03 * shape[:, 1:2], 0.14 + 0.2 * shape[:, :1]


def _ring(shape: Numbers, p: Tensor) -> Tensor:
    major, minor = _radii(shape)
    x, y, z = p.unbind(1)
    return length(length(x, y, torch.full_like(x, SOFT)).sub_(major), z).sub_(minor)


def _bracket(shape: Numbers, p: Tensor) -> Tensor:
    girth = shape[:, 1:2]
    gap, thick, radius = 0.09 + 0.2 * shape[:, :1], 0.12 + 0.02 * girth, 0.14 + 0.02 * girth
    long = torch.full_like(girth, 0.6)
    upright = box(p - _at(long - 1.1, 0, 0)[:, :, None], _at(thick, 0.2, long), 0.04)
    lying = box(p - _at(0 * long, 0, -0.5)[:, :, None], _at(long, 0.2, thick), 0.04)
    solid = union(upright, lying, FILLET)
    for side, x, z in ((1, 0.3, -0.45), (-1, -0.45, 0.3)):
        along = side * 0.5**0.5 * gap
        foot, tip = _at(torch.full_like(gap, x), 0, z), _at(along - 0.075, 0, -along - 0.075)
        solid = union(solid, capsule(p, foot, tip, radius), FILLET)
    return solid


ONE, TUNNEL, TWO = Betti(1, 0, 0), Betti(1, 1, 0), Betti(2, 0, 0)
FAMILIES = (
    Family(
        "dumbbell neck",
        _dumbbell,
        lambda shape: _at(torch.add(*_balls(shape)), 0, 0),
        (0.0, 0.0, 0.0),
        lambda girth: (0.02 + 0.03 * girth + BLEND / 4) / 0.18,
        ONE,
        TWO,
    ),
    Family(
        "ring hole",
        _ring,
        lambda shape: _at((torch.add(*_radii(shape)).square() - SOFT**2).sqrt(), 0, 0),
        (0.0, 0.0, 0.0),
        lambda girth: (0.31 + 0.03 * girth - SOFT) / 0.2,
        TUNNEL,
        ONE,
    ),
    Family(
        "bracket rib",
        _bracket,
        lambda shape: _at(torch.full_like(shape[:, :1], -0.5), 0, 0.62),
        (-0.075, 0.0, -0.075),
        lambda girth: (0.05 + 0.02 * girth + FILLET / 4) / 0.2,
        TUNNEL,
        ONE,
    ),
)


def draw(count: int, seed: int) -> Tensor:
    """Shapes (count, 3): t spread evenly over 0 .. 1, the others drawn evenly."""
    generator = torch.Generator().manual_seed(seed)
    table = torch.rand(count, NUMBERS, generator=generator)
    order = torch.randperm(count, generator=generator)
    return torch.cat(((order[:, None] + table[:, :1]) / count, 2 * table[:, 1:] - 1), dim=1)
