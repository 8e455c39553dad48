"""Thin curved plates."""

from __future__ import annotations

import torch
from torch import Tensor

from .curves import spline
from .draws import Draws
from .primitives import Field, corner, length, move, polyline, shell, sphere, subtract, torus, union


def sheet(draws: Draws) -> Field:
    """Thin curved plates, discs, bowls and leaves, sometimes stacked or pierced."""
    half = draws.uniform(0.012, 0.035)
    style = draws.choice(("disc", "rectangle", "leaf", "bowl", "dish", "dish"))
    size = draws.uniform(0.5, 0.85, 2)
    curve = draws.uniform(-0.35, 0.35, 3)
    frequency, phase = draws.uniform(1.5, 6.0, 2), draws.uniform(0.0, 6.28, 2)
    swing = draws.uniform(0.0, 0.3, 2) / frequency
    holes = draws.integer(0, 4)
    hole_at = draws.uniform(-0.5, 0.5, 2 * max(holes, 1)).reshape(-1, max(holes, 1), 2)
    hole_r = draws.uniform(0.05, 0.16, max(holes, 1))
    rim = draws.chance(0.4)
    rim_height = draws.uniform(0.03, 0.12)
    layers = draws.choice((1, 1, 1, 2, 3))
    gap = draws.uniform(0.12, 0.3)
    radius, cut = draws.uniform(0.6, 0.85), draws.uniform(-0.4, 0.3)
    petals = draws.integer(3, 7)
    lobe = draws.uniform(0.0, 0.25) if draws.chance(0.3) else None
    rib = draws.uniform(0.015, 0.03) if draws.chance(0.3) else None

    well, edge_r = draws.uniform(0.3, 0.55), draws.uniform(0.65, 0.85)
    steps = draws.uniform(0.0, 0.3, 3).cumsum(1)
    nodes = torch.stack((well * 0, well, (well + edge_r) / 2, edge_r), 2)[:, 0]
    heights = torch.cat((well * 0, steps * draws.uniform(0.1, 0.9)), 1)
    profile = spline(torch.stack((nodes, heights), 2), 15)

    def field(p: Tensor) -> Tensor:
        x, y, z = p.unbind(1)
        w, breadth = size[:, :1], size[:, 1:]
        if style == "dish":
            rho = length(x, y)
            d = polyline(rho, z, profile).sub_(half)
            if rib is not None:
                foot = corner((rho - profile[:, 1, :1] * 0.8).abs_() - half, z.abs() - half * 2.5)
                d = union(d, foot, half)
            return d
        if style == "bowl":
            d = corner(shell(sphere(p, radius), half), z - cut * radius)
            if rim:
                ring = radius * torch.sqrt(1 - cut * cut)
                d = union(d, torus(move(p, torch.cat((cut * 0, cut * 0, cut * radius), 1)), ring, half * 1.6), half)
            for i in range(holes):
                d = subtract(d, length(x - hole_at[:, i, :1], y - hole_at[:, i, 1:]).sub_(hole_r[:, i : i + 1]))
            return d
        ux, uy = x * frequency[:, :1] + phase[:, :1], y * frequency[:, 1:] + phase[:, 1:]
        height = (x * x) * curve[:, :1] + (y * y) * curve[:, 1:2] + (x * y) * curve[:, 2:]
        height += torch.sin(ux) * swing[:, :1] + torch.sin(uy) * swing[:, 1:]
        gx = x * (2 * curve[:, :1]) + y * curve[:, 2:] + torch.cos(ux) * (swing[:, :1] * frequency[:, :1])
        gy = y * (2 * curve[:, 1:2]) + x * curve[:, 2:] + torch.cos(uy) * (swing[:, 1:] * frequency[:, 1:])
        slope = (gx * gx).addcmul_(gy, gy).add_(1).rsqrt_()
        if style == "disc":
            edge = length(x, y) - w
            if lobe is not None:
                edge = edge + lobe * 0.5 * torch.cos(torch.atan2(y, x) * petals) * w
        elif style == "rectangle":
            edge = corner(x.abs() - w, y.abs() - breadth)
        else:
            bulge = (breadth**2 - w * w * 0.16) / (w * 0.8)
            edge = length(x.abs() + bulge * 0.5, y) - (bulge * 0.5 + w * 0.4)
        for i in range(holes):
            edge = torch.maximum(edge, hole_r[:, i : i + 1] - length(x - hole_at[:, i, :1], y - hole_at[:, i, 1:]))
        rise = z - height
        d = corner(edge, (rise * slope).abs_() - half)
        if rim:
            d = union(
                d,
                corner(edge.abs() - half, (rise - rim_height) * slope - rim_height)
                .clamp_(min=-half)
                .maximum(-rise * slope - half),
            )
        if rib is not None:
            d = union(d, torch.maximum(length(x, rise * slope) - rib * 1.5, edge))
        for i in range(1, layers):
            d = union(d, corner(edge, ((rise - gap * i) * slope).abs_() - half))
        if layers > 1:
            post = corner(length(x, y) - 0.07, (rise - gap * ((layers - 1) / 2)).abs_() - gap * ((layers - 1) / 2))
            d = union(d, post)
        return d

    return field
