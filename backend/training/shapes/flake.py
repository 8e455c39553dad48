"""Struck stone."""

from __future__ import annotations

import torch
from torch import Tensor

from .draws import Draws
from .primitives import Field, half_space, intersect, length, move, sphere
from .relief import noise


def flake(draws: Draws) -> Field:
    """Struck stone: large spheres and planes that meet in thin sharp rims, scars and ripples."""
    thin = draws.uniform(0.08, 0.3)
    big = draws.log_uniform(0.9, 3.0, 2)
    up = draws.constant(0.0, 0.0, 1.0)
    low = torch.nn.functional.normalize(up + draws.normal(3) * 0.15, dim=1)
    planes = draws.integer(2, 6)
    normals = [torch.nn.functional.normalize(draws.normal(3) * draws.constant(1, 1, 0.5), dim=1) for _ in range(planes)]
    offsets = draws.uniform(0.3, 0.8, planes)
    scars = draws.integer(0, 7)
    scar_r = draws.log_uniform(0.3, 1.5, max(scars, 1))
    scar_way = [
        torch.nn.functional.normalize(draws.normal(3) + draws.constant(0, 0, draws.choice((-1.0, 1.0, 1.0))), dim=1)
        for _ in range(scars)
    ]
    scar_at = [torch.cat((draws.uniform(-0.6, 0.6, 2), w[:, 2:] * 0), 1) for w in scar_way]
    scar_depth = draws.uniform(0.05, 0.35, max(scars, 1)) * thin
    bulb = draws.uniform(-0.7, 0.7, 3)
    ripples = draws.chance(0.5)
    rate, height = draws.uniform(20.0, 50.0), draws.uniform(0.001, 0.005)
    outline = draws.uniform(0.45, 0.9, 3)
    rough = noise(draws, 3, 8.0, 0.25) if draws.chance(0.5) else None

    def field(p: Tensor) -> Tensor:
        a, b = big[:, :1], big[:, 1:]
        d = sphere(move(p, low * (thin * 0.5 - a)), a)
        d = intersect(d, sphere(move(p, -up * (thin * 0.5 - b)), b))
        x, y, _ = p.unbind(1)
        k = length(x / outline[:, :1], y / outline[:, 1:2])
        d = torch.maximum(d, (k - 1) * torch.minimum(outline[:, :1], outline[:, 1:2]))
        for i, normal in enumerate(normals):
            d = torch.maximum(d, half_space(p, normal, offsets[:, i : i + 1]))
        for i, way in enumerate(scar_way):
            radius = scar_r[:, i : i + 1]
            at = scar_at[i] + way * (thin * 0.5 + radius - scar_depth[:, i : i + 1])
            d = torch.maximum(d, -sphere(move(p, at), radius))
        if ripples:
            d = d + torch.sin(sphere(move(p, bulb), 0.0) * rate) * height
        if rough is not None:
            d = d + rough(p)
        return d

    return field
