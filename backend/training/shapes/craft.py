"""Toy craft."""

from __future__ import annotations

import torch
from torch import Tensor

from .draws import Draws
from .primitives import Field, box, capsule, corner, ellipsoid, mirror, move, sphere, subtract, swap, torus, tube, union


def _blade(p: Tensor, root: Tensor, span: Tensor, chord: Tensor, tip: Tensor, sweep: Tensor, thick: Tensor) -> Tensor:
    """Thin wing along +x from `root`: chord along y shrinks to `tip` times itself, swept back along y."""
    x, y, z = move(p, root).unbind(1)
    t = (x / span).clamp(0, 1)
    width = chord * (1 - t * (1 - tip))
    outline = corner((x - span / 2).abs_().sub_(span / 2), (y + t * sweep).abs_().sub_(width))
    lens = thick * (1 - 0.5 * t)
    return corner(outline, z.abs() - lens)


def craft(draws: Draws) -> Field:
    """Airplane-like: a fuselage, thin wings, tail planes, struts and wheels that make holes."""
    body = torch.cat((draws.uniform(0.08, 0.24), draws.uniform(0.7, 0.95), draws.uniform(0.08, 0.26)), 1)
    boxy = draws.chance(0.3)
    span, chord = draws.uniform(0.45, 0.95), draws.uniform(0.1, 0.28)
    tip, sweep = draws.uniform(0.35, 1.0), draws.uniform(-0.1, 0.4)
    thick = draws.uniform(0.014, 0.04)
    zero = torch.zeros_like(span)
    wing_at = torch.cat((zero, draws.uniform(-0.1, 0.3), draws.uniform(-0.15, 0.15)), 1)
    second = draws.chance(0.4)
    gap = draws.uniform(0.25, 0.45)
    upper_at = wing_at + torch.cat((zero, zero, gap), 1)
    strut_x, strut_r = draws.uniform(0.4, 0.9) * span, draws.uniform(0.015, 0.03)
    tail_at = torch.cat((zero, -body[:, 1:2] * draws.uniform(0.75, 0.9), zero), 1)
    tail_span, tail_chord = draws.uniform(0.15, 0.4), draws.uniform(0.06, 0.15)
    fin = draws.uniform(0.15, 0.4)
    fillet = draws.uniform(0.01, 0.06)
    wheels = draws.chance(0.6)
    wheel_at = torch.cat((draws.uniform(0.12, 0.3), draws.uniform(0.0, 0.4), -draws.uniform(0.3, 0.45)), 1)
    wheel = draws.uniform(0.06, 0.13)
    holes = draws.integer(0, 3)
    hole_y, hole_r = draws.uniform(-0.5, 0.6, 3), draws.uniform(0.25, 0.6)
    nose = draws.chance(0.5)
    hollow = draws.chance(0.3)
    blade = draws.uniform(0.12, 0.3)

    def field(p: Tensor) -> Tensor:
        q = mirror(p, 0)
        if boxy:
            d = box(p, body * 0.8, body[:, :1] * 0.35)
        else:
            d = ellipsoid(p, body)
        if hollow:
            well = move(p, torch.cat((zero, hole_y[:, 2:], body[:, 2:]), 1))
            d = subtract(d, ellipsoid(well, torch.cat((body[:, :1] * 0.7, body[:, 1:2] * 0.35, body[:, 2:] * 0.9), 1)))
        d = union(d, _blade(q, wing_at, span, chord, tip, sweep, thick), fillet)
        if second:
            d = union(d, _blade(q, upper_at, span, chord, tip, sweep, thick))
            for offset in (strut_x, torch.zeros_like(strut_x) + body[:, :1] * 0.5):
                base = wing_at + torch.cat((offset, -sweep * (offset / span), zero), 1)
                d = union(d, capsule(q, base, base + torch.cat((zero, zero, gap), 1), strut_r))
        d = union(d, _blade(q, tail_at, tail_span, tail_chord, tip, sweep * 0.3, thick * 0.8), fillet)
        d = union(d, _blade(swap(p, 2, 1, 0), tail_at, fin, tail_chord, tip, sweep * 0.5, thick * 0.8), fillet)
        if wheels:
            hang = wheel_at * torch.tensor([0.3, 1.0, 0.0], device=p.device)
            d = union(d, capsule(q, hang, wheel_at, strut_r * 1.2))
            d = union(d, torus(swap(move(q, wheel_at), 1, 2, 0), wheel * 0.7, wheel * 0.3))
        for i in range(holes):
            at = torch.cat((zero, hole_y[:, i : i + 1] * body[:, 1:2], zero), 1)
            size = hole_r * torch.minimum(body[:, :1], body[:, 2:])
            d = subtract(d, tube(swap(move(p, at), 1, 2, 0), size))
        if nose:
            front = torch.cat((zero, body[:, 1:2] * (0.8 if boxy else 1.0), zero), 1)
            d = union(d, box(move(p, front), torch.cat((blade, thick, thick * 1.5), 1), 0.008))
            d = union(d, sphere(move(p, front), thick * 2.5))
        return d

    return field
