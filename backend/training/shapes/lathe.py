"""Turned things: thin vessels with handles, closed bottles and cans."""

from __future__ import annotations

import torch
from torch import Tensor

from .curves import spline
from .draws import Draws
from .primitives import Field, chain, corner, length, polygon, polyline, subtract, union


def _lathe_profile(draws: Draws, controls: int, segments: int, low: float, high: float) -> Tensor:
    """Profile `(B, S, 2)` of (radius, height) from the bottom up, smooth, half height .8."""
    radii = draws.uniform(low, high, controls)
    radii = radii * 0.6 + radii.mean(1, keepdim=True) * 0.4
    heights = torch.linspace(-0.8, 0.8, controls, device=radii.device).expand_as(radii)
    gap = 1.6 / (controls - 1)
    heights = heights.clone()
    heights[:, 1:-1] += draws.uniform(-0.25, 0.25, controls - 2) * gap
    return spline(torch.stack((radii, heights), 2), segments).clamp(-0.9, 0.9)


def vessel(draws: Draws) -> Field:
    """Thin-walled lathe, open at the top, with handles, a foot, a rim and a spout by chance."""
    profile = _lathe_profile(draws, draws.integer(3, 5), draws.integer(14, 20), 0.25, 0.8)
    stretch = draws.uniform(0.6, 1.3) if draws.chance(0.6) else draws.uniform(0.25, 0.6)
    profile = torch.cat((profile[..., :1], profile[..., 1:] * stretch[..., None]), 2)
    radius, height = profile.unbind(2)
    bottom, top = height[:, :1], height[:, -1:]
    axis_point = torch.cat((torch.zeros_like(bottom), bottom), 1)[:, None]
    wall = torch.cat((axis_point, profile), 1)
    far = torch.full_like(bottom, -1.0)
    ends = torch.stack((torch.cat((far, top), 1), torch.cat((far, bottom), 1)), 1)
    inner = torch.cat((wall, ends), 1)
    half = draws.uniform(0.009, 0.03)
    foot = draws.chance(0.3)
    rim = draws.chance(0.4)
    rim_size = half * draws.uniform(1.2, 2.0)
    foot_height = draws.uniform(0.03, 0.12)
    handles = draws.choice((0, 1, 1, 1, 2))
    blend = draws.uniform(0.01, 0.05)
    spout = draws.chance(0.3)
    pinch = draws.uniform(0.05, 0.2)
    tube_radius = draws.uniform(0.025, 0.06)
    rows = radius.shape[1]
    low, high = draws.integer(1, rows // 2 - 1), draws.integer(rows // 2 + 1, rows - 1)
    reach = draws.uniform(0.15, 0.4)
    start, stop = profile[:, low], profile[:, high]
    outward = torch.cat((reach, torch.zeros_like(reach)), 1)
    lift = torch.cat((torch.zeros_like(reach), draws.uniform(-0.1, 0.15)), 1)
    controls = torch.stack((start, start + outward * 0.8, stop + outward + lift, stop), 1)
    curve2 = spline(controls, 16)
    curve = torch.stack((curve2[..., 0], torch.zeros_like(curve2[..., 0]), curve2[..., 1]), 2)
    sizes = tube_radius * (1 + draws.uniform(-0.3, 0.3) * torch.linspace(-1, 1, curve.shape[1], device=half.device))
    sizes = torch.maximum(sizes, torch.full_like(sizes, 0.02))

    def field(p: Tensor) -> Tensor:
        x, y, z = p.unbind(1)
        if spout:
            # the rim is drawn out toward -x, more so the higher
            weight = ((z - bottom) / (top - bottom)).clamp_(0, 1) ** 4
            x = x + weight * pinch * torch.exp(-((y * 4) ** 2)) * (x < 0)
        rho = length(x, y)
        d = polyline(rho, z, wall).sub_(half)
        if rim:
            d = union(d, length(rho - radius[:, -1:], z - top).sub_(rim_size), half)
        if foot:
            foot_ring = corner(
                (rho - radius[:, :1] * 0.8).abs_() - half * 1.3,
                (z - bottom + foot_height / 2).abs_() - foot_height / 2,
            )
            d = union(d, foot_ring)
        if handles:
            q = torch.stack((x.abs() if handles == 2 else x, y, z), 1)
            grip = chain(q, curve, sizes)
            inside = polygon(rho, z, inner, silent=3)
            d = union(d, subtract(grip, inside), blend)
        return d

    return field


def bottle(draws: Draws) -> Field:
    """Closed lathe with steps, grooves and a neck, sometimes squashed, sometimes closed by a cap."""
    style = draws.choice(("smooth", "steps", "bottle", "can"))
    if style == "smooth":
        profile = _lathe_profile(draws, draws.integer(3, 6), 22, 0.12, 0.75)
    elif style == "steps":
        levels = draws.integer(3, 6)
        radii = draws.uniform(0.12, 0.6, levels).repeat_interleave(2, 1)
        cuts = torch.cumsum(draws.uniform(0.3, 1.0, levels), 1)
        cuts = cuts / cuts[:, -1:] * 1.6 - 0.8
        starts = torch.cat((torch.full_like(cuts[:, :1], -0.8), cuts[:, :-1]), 1)
        profile = torch.stack((radii, torch.stack((starts, cuts), 2).flatten(1)), 2)
    elif style == "bottle":
        body, neck = draws.uniform(0.2, 0.45), draws.uniform(0.06, 0.15)
        shoulder, rise = draws.uniform(0.0, 0.35), draws.uniform(0.1, 0.35)
        edge, ring = draws.uniform(0.01, 0.06), neck + draws.uniform(0.0, 0.06)
        middle = (body + neck) / 2
        parts = (
            body - edge, body * 0 - 0.8, body, edge - 0.8, body, shoulder,
            middle + edge, shoulder + rise * 0.55, neck, shoulder + rise, neck, body * 0 + 0.68,
            ring, body * 0 + 0.69, ring, body * 0 + 0.8,
        )  # fmt: skip
        profile = torch.cat(parts, 1).reshape(-1, 8, 2)
    else:
        body, dent = draws.uniform(0.25, 0.6), draws.uniform(0.02, 0.08)
        parts = (
            body * 0.85, body * 0 - 0.8, body, dent - 0.75, body, 0.7 - dent, body * 0.9, body * 0 + 0.77,
            body * 0.9, body * 0 + 0.8, body * 0.9 - 0.03, body * 0 + 0.8, body * 0.9 - 0.04, 0.8 - dent,
        )  # fmt: skip
        profile = torch.cat(parts, 1).reshape(-1, 7, 2)
    far = torch.full_like(profile[:, :1, :1], -1.0)
    # from the bottom of the axis up: only the last edge, which lies behind the axis, is no surface
    bottom, top = (torch.cat((far, profile[:, end, 1:][:, None]), 2) for end in (0, -1))
    outline = torch.cat((bottom, profile, top), 1)
    squash = draws.uniform(0.72, 1.0) if draws.chance(0.4) else None
    grooves = draws.integer(0, 4) if draws.chance(0.5) else 0
    groove_z, groove_r = draws.uniform(-0.7, 0.7, max(grooves, 1)), draws.uniform(0.015, 0.05)
    flutes = draws.integer(5, 16) if draws.chance(0.25) else 0
    depth = draws.uniform(0.005, 0.02)
    rounding = draws.uniform(0.0, 0.03) if draws.chance(0.5) else 0.0

    def field(p: Tensor) -> Tensor:
        x, y, z = p.unbind(1)
        rho = length(x, y if squash is None else y / squash)
        d = polygon(rho, z, outline, silent=1)
        for i in range(grooves):
            # a groove is a tube of half width groove_r sunk by about the same into whatever radius is there
            d = d + groove_r * 0.8 * torch.exp(-(((z - groove_z[:, i : i + 1]) / groove_r) ** 2))
        if flutes:
            d = d + torch.cos(torch.atan2(y, x) * flutes) * depth * (rho * 3).clamp(max=1)
        return (d - rounding) if squash is None else (d - rounding) * (0.5 + 0.5 * squash)

    return field
