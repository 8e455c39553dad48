"""Solids combined from random primitives."""

from __future__ import annotations

import torch
from torch import Tensor

from .draws import Draws
from .primitives import (
    Field,
    box,
    capsule,
    cylinder,
    ellipsoid,
    extrude,
    intersect,
    length,
    move,
    place,
    polygon,
    subtract,
    torus,
    union,
)


def solid(draws: Draws, low: float, high: float) -> Field:
    """One primitive of a random kind, its half sides in low..high, posed at random about the origin."""
    kind = draws.choice(("box", "box", "cylinder", "ellipsoid", "torus", "cone", "prism", "capsule"))
    half = draws.uniform(low, high, 3)
    a, b, c = half[:, :1], half[:, 1:2], half[:, 2:]
    small = torch.minimum(torch.minimum(a, b), c)
    rounding = small * draws.uniform(0.0, 0.5) if draws.chance(0.5) else 0.0
    turn = draws.rotation()
    zero = torch.zeros_like(half)
    if kind == "prism":
        sides = draws.integer(3, 7)
        angle = torch.arange(sides, device=half.device) * (2 * torch.pi / sides) + draws.uniform(-0.2, 0.2, sides)
        corners = torch.stack((torch.cos(angle) * a * 1.2, torch.sin(angle) * b * 1.2), 2)
    elif kind == "cone":
        tip = a * draws.uniform(0.1, 0.8)
        flank = torch.stack((-a * 4, -c, a, -c, tip, c, -a * 4, c), 1).reshape(-1, 4, 2)
        corners = flank

    def field(p: Tensor) -> Tensor:
        p = place(p, turn, zero)
        if kind == "box":
            return box(p, half, rounding)
        if kind == "cylinder":
            return cylinder(p, a, c, rounding)
        if kind == "ellipsoid":
            return ellipsoid(p, half)
        if kind == "torus":
            return torus(p, a, a * 0.2 + small * 0.4)
        if kind == "capsule":
            return capsule(p, half * 0.8, half * -0.8, small * 0.8, small * 0.4)
        x, y, z = p.unbind(1)
        if kind == "prism":
            return extrude(polygon(x, y, corners), z, c)
        return polygon(length(x, y), z, corners, silent=1)

    return field


def csg(draws: Draws) -> Field:
    """A base solid changed by two to six unions, cuts and intersections, sharp or blended."""
    base = solid(draws, 0.35, 0.8)
    steps = []
    for _ in range(draws.integer(2, 6)):
        kind = draws.choice(("union", "union", "union", "cut", "cut", "cut", "meet"))
        part = solid(draws, 0.1, 0.5) if kind != "meet" else solid(draws, 0.6, 1.0)
        where = draws.direction() * (draws.uniform(0.15, 0.7) if kind != "meet" else draws.uniform(0.0, 0.25))
        blend = draws.uniform(0.02, 0.2) if draws.chance(0.5) else 0.0
        steps.append((kind, part, where, blend))

    def field(p: Tensor) -> Tensor:
        d = base(p)
        for kind, part, where, blend in steps:
            other = part(move(p, where))
            d = {"union": union, "cut": subtract, "meet": intersect}[kind](d, other, blend)
        return d

    return field
