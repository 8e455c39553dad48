"""Molar crowns and whole teeth: cusps, fissures, a waist and roots. The chewing side looks along z."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from .draws import Draws
from .primitives import Field, chain, ellipsoid, half_space, move, sphere, subtract, union
from .relief import noise


def tooth(draws: Draws) -> Field:
    """A crown of an ellipsoid with three to six cusps, worn by fissures, on roots or cut flat."""
    crown = torch.cat((draws.uniform(0.4, 0.6), draws.uniform(0.35, 0.5), draws.uniform(0.35, 0.55)), 1)
    cusps = draws.integer(3, 6)
    angle = torch.arange(cusps, device=crown.device) * (2 * torch.pi / cusps) + draws.uniform(-0.25, 0.25, cusps)
    reach = draws.uniform(0.5, 0.75, cusps)
    x, y = torch.cos(angle) * reach * crown[:, :1], torch.sin(angle) * reach * crown[:, 1:2]
    tops = torch.stack((x, y, draws.uniform(0.6, 0.85, cusps) * crown[:, 2:]), 2)
    sizes = draws.uniform(0.14, 0.24, 3 * cusps).reshape(-1, cusps, 3)
    blend = draws.uniform(0.02, 0.08)
    pit_at = torch.cat((draws.uniform(-0.1, 0.1, 2), crown[:, 2:] * draws.uniform(1.0, 1.3)), 1)
    pit = crown * draws.uniform(0.35, 0.6, 3)
    fissures = noise(draws, 2, 5.0, 0.3, sharp=True)
    surface = noise(draws, 2, 3.0, 0.2)
    roots = draws.integer(0, 3)
    ways = [normalize(draws.normal(3) * 0.25 + draws.constant(0, 0, -1), dim=1) for _ in range(roots)]
    root_r = draws.uniform(0.1, 0.2)
    waist = draws.uniform(0.0, 0.4)
    down = draws.constant(0.0, 0.0, -1.0)
    cavity = draws.uniform(0.15, 0.35) if roots == 0 and draws.chance(0.5) else None

    def field(p: Tensor) -> Tensor:
        d = ellipsoid(p, crown)
        for i in range(cusps):
            d = union(d, ellipsoid(move(p, tops[:, i]), sizes[:, i]), blend)
        d = subtract(d, ellipsoid(move(p, pit_at), pit), blend)
        top = (p[:, 2] * 5).sigmoid_()
        d = d + fissures(p) * top + surface(p)
        if roots:
            for i, way in enumerate(ways):
                side = torch.cat((torch.cos(angle[:, i : i + 1]), torch.sin(angle[:, i : i + 1]), waist * 0), 1)
                start = side * crown * 0.45 + down * crown * 0.4
                nodes = torch.stack((start, start + way * 0.4, start + way * 0.5 + down * 0.4), 1)
                radii = root_r * torch.tensor([1.4, 0.9, 0.35], device=p.device)
                d = union(d, chain(p, nodes, radii), 0.1)
            return d
        d = torch.maximum(d, half_space(p, down, waist))
        if cavity is not None:
            d = subtract(d, sphere(move(p, down * (waist + 0.1)), cavity), 0.02)
        return d

    return field
