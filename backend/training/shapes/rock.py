"""Rocks: blended ellipsoids under relief of several octaves, with bumps, dents and flat cuts."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from .bust import bust
from .draws import Draws
from .primitives import Field, capsule, ellipsoid, half_space, mirror, move, place, subtract, union
from .relief import knobs, noise
from .tooth import tooth


def rock(draws: Draws) -> Field:
    """A rock, a bust or a tooth."""
    return draws.choice((stone, stone, bust, bust, tooth))(draws)


def stone(draws: Draws) -> Field:
    """Lumps, mirrored by chance, with features, creases, pits and a base."""
    twin = draws.chance(0.4)
    lumps = draws.integer(1, 5)
    spots = [draws.uniform(-0.4, 0.4, 3) * (1.0 if i else 0.0) for i in range(lumps)]
    sizes = [draws.uniform(0.25, 0.6, 3) + (0.15 if i == 0 else 0.0) for i in range(lumps)]
    turns = [draws.rotation() for _ in range(lumps)]
    blend = draws.uniform(0.05, 0.25)
    marks = []
    for _ in range(draws.integer(0, 6)):
        way = normalize(draws.normal(3) * 0.6 + draws.constant(0.2, -1.0, 0.1), dim=1)
        where = way * sizes[0] * draws.uniform(0.9, 1.05)
        marks.append((where, draws.uniform(0.04, 0.16, 3), draws.chance(0.6), draws.uniform(0.01, 0.06)))
    coarse = noise(draws, draws.integer(2, 4), 2.5, 0.35)
    creases = noise(draws, 2, 6.0, 0.2, sharp=True) if draws.chance(0.6) else None
    ridge_sign = draws.choice((-1.0, 1.0))
    pits = knobs(draws, 40, 0.1, 0.3) if draws.chance(0.4) else None
    base = draws.uniform(0.2, 0.5) if draws.chance(0.4) else None
    down = draws.constant(0.0, 0.0, -1.0)
    neck = draws.uniform(0.15, 0.3) if draws.chance(0.3) else None
    cuts = [(draws.direction(), draws.uniform(0.3, 0.6)) for _ in range(draws.choice((0, 0, 2, 5)))]

    def field(p: Tensor) -> Tensor:
        q = mirror(p, 0) if twin else p
        d = ellipsoid(q if twin else place(q, turns[0], spots[0]), sizes[0])
        for spot, size, turn in zip(spots[1:], sizes[1:], turns[1:], strict=True):
            d = union(d, ellipsoid(place(q, turn, spot), size), blend)
        if neck is not None:
            d = union(d, capsule(p, torch.zeros_like(down), down * 0.9, neck, neck * 1.3), blend)
        for normal, offset in cuts:
            d = torch.maximum(d, half_space(p, normal, offset))
        for where, size, bump, k in marks:
            part = ellipsoid(move(q, where), size)
            d = union(d, part, k) if bump else subtract(d, part, k)
        d = d + coarse(p)
        if creases is not None:
            d = d + creases(q) * ridge_sign
        if pits is not None:
            d = d - pits(p)
        return d if base is None else torch.maximum(d, half_space(p, down, base))

    return field
