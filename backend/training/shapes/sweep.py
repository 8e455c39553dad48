"""Tubes of varying radius along curves: open and closed, knots, links, crescents."""

from __future__ import annotations

import torch
from torch import Tensor

from .curves import spline
from .draws import Draws
from .primitives import Field, capsule, chain, move, torus, union


def sweep(draws: Draws) -> Field:
    """One of the kinds, with branches by chance."""
    return draws.choice((_curve, _curve, _knot, _crescent, _crescent, _links))(draws)


def _swell(draws: Draws, thick: Tensor, count: int) -> Tensor:
    t = torch.linspace(0, 1, count, device=thick.device)[None]
    wave = torch.sin(2 * torch.pi * (t * draws.integer(1, 3) + draws.uniform(0, 1)))
    return (thick * (1 + draws.uniform(0.0, 0.4) * wave)).clamp(min=0.02)


def _curve(draws: Draws) -> Field:
    thick = draws.log_uniform(0.04, 0.18)
    closed = draws.chance(0.5)
    if closed:
        # a few harmonics: smooth, and different for every member
        t = torch.arange(36, device=thick.device) * (2 * torch.pi / 36)
        vertices = torch.zeros(draws.count, 36, 3, device=thick.device)
        for order in (1, 2, 3):
            phase = draws.uniform(0.0, 6.28, 3)[:, None]
            vertices = vertices + draws.uniform(0.2, 0.7, 3)[:, None] / order * torch.sin(order * t[:, None] + phase)
    else:
        vertices = spline(draws.uniform(-0.8, 0.8, 3 * 5).reshape(-1, 5, 3), 28)
    radii = _swell(draws, thick, vertices.shape[1])
    branches = draws.choice((0, 0, 3))
    tips = draws.uniform(-0.7, 0.7, 9).reshape(-1, 3, 3)
    blend = draws.uniform(0.02, 0.08)

    def field(p: Tensor) -> Tensor:
        d = chain(p, vertices, radii, closed)
        for i in range(branches):
            d = union(
                d,
                capsule(p, vertices[:, 8 * i + 2], tips[:, i], thick * 0.8, thick.clamp(min=0.05) * 0.4),
                blend,
            )
        return d

    return field


def _knot(draws: Draws) -> Field:
    """Torus knot."""
    turns, wraps = draws.choice(((2, 3), (3, 2), (1, 3), (2, 5), (1, 2), (1, 6)))
    minor = draws.uniform(0.15, 0.3)
    t = torch.arange(48, device=minor.device)[None] * (2 * torch.pi / 48)
    ring = 0.6 + minor * torch.cos(wraps * t)
    vertices = torch.stack((ring * torch.cos(turns * t), ring * torch.sin(turns * t), minor * torch.sin(wraps * t)), 2)
    radii = _swell(draws, draws.log_uniform(0.04, 0.1), 48)
    return lambda p: chain(p, vertices, radii, closed=True)


def _crescent(draws: Draws) -> Field:
    """Bananas, horns and hooks: an arc that is thick in the middle, round or with flat sides."""
    angle = torch.linspace(-1, 1, 20, device=draws.raw(1).device)[None] * draws.uniform(0.4, 1.8)
    rise = angle * draws.uniform(-0.3, 0.3)
    vertices = torch.stack((torch.sin(angle), 1 - torch.cos(angle), rise), 2) * 0.7
    t = torch.linspace(0, 1, 20, device=angle.device)[None]
    start, stop = draws.uniform(0.03, 0.3), draws.uniform(0.7, 0.97)
    swell = torch.sin(torch.pi * (start + (stop - start) * t)) ** draws.uniform(0.3, 1.0)
    radii = (draws.uniform(0.1, 0.28) * swell).clamp(min=0.025)
    sides = draws.choice((0, 0, 5, 6))
    ridge = radii[:, 10:11] * draws.uniform(0.04, 0.1)
    stalk = draws.uniform(0.025, 0.05)
    tip = vertices[:, -1] + (vertices[:, -1] - vertices[:, -3]) * draws.uniform(0.2, 1.5)
    several = draws.choice((1, 1, 1, 3))
    shift = draws.uniform(0.1, 0.2)

    def one(p: Tensor) -> Tensor:
        d = union(chain(p, vertices, radii), capsule(p, vertices[:, -1], tip, stalk), 0.05)
        if sides:
            x, y, z = p.unbind(1)
            across = 0.7 - torch.sqrt(x * x + (y - 0.7) ** 2)
            d = d + ridge * torch.cos(torch.atan2(z, across) * sides)
        return d

    def field(p: Tensor) -> Tensor:
        d = one(p)
        for i in range(1, several):
            away = torch.cat((shift * 0, shift * 0, shift * (1 if i == 1 else -1)), 1)
            d = union(d, one(move(p, away * 1.5)), 0.03)
        return d

    return field


def _links(draws: Draws) -> Field:
    """Chain of rings."""
    rings = draws.integer(2, 4)
    major, minor = draws.uniform(0.22, 0.4, rings), draws.uniform(0.03, 0.1, rings)

    def field(p: Tensor) -> Tensor:
        parts = []
        for i in range(rings):
            shift = torch.zeros(draws.count, 3, device=p.device)
            shift[:, 0] = (i - (rings - 1) / 2) * 0.4
            q = move(p, shift)
            parts.append(torus(q if i % 2 else q[:, [0, 2, 1]], major[:, i : i + 1], minor[:, i : i + 1]))
        return torch.stack(parts).amin(0)

    return field
