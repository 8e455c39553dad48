"""Creatures with limbs."""

from __future__ import annotations

import torch
from torch import Tensor

from .draws import Draws
from .primitives import Field, capsule, chain, ellipsoid, mirror, move, union
from .relief import knobs, noise


def creature(draws: Draws) -> Field:
    """Body ellipsoids, limbs on a random skeleton, head with ears or horns, tail, armour-like relief."""
    twin = draws.chance(0.7)
    body = torch.cat((draws.uniform(0.18, 0.35), draws.uniform(0.18, 0.35), draws.uniform(0.25, 0.5)), 1)
    blend = draws.uniform(0.04, 0.12)
    parts: list[Field] = []
    # limbs of the mirrored half stay on their side
    outward = draws.constant(0.3 if twin else 0.0, 0.0, 0.0)

    def limb(start: Tensor, heading: Tensor, reach: Tensor, radius: Tensor, joints: int, fingers: int) -> None:
        nodes, sizes = [start], [radius]
        for joint in range(joints):
            heading = torch.nn.functional.normalize(heading + draws.normal(3) * 0.4 + outward, dim=1)
            nodes.append(nodes[-1] + heading * reach / joints)
            sizes.append(radius * (1 - (joint + 1) / joints * 0.55) * draws.uniform(0.8, 1.15))
        vertices, radii = torch.stack(nodes, 1), torch.cat(sizes, 1).clamp(min=0.022)
        parts.append(lambda p: chain(p, vertices, radii))
        for _ in range(fingers):
            way = torch.nn.functional.normalize(heading + draws.normal(3) * 0.5, dim=1)
            tip = nodes[-1] + way * (radii[:, -1:] * draws.uniform(1.5, 3.0))
            thick = (radii[:, -1:] * 0.45).clamp(min=0.02)
            parts.append(lambda p, tip=tip, thick=thick: capsule(p, nodes[-1], tip, thick * 1.2, thick * 0.7))

    for _ in range(draws.integer(1, 3)):
        side = torch.nn.functional.normalize(draws.uniform(-1, 1, 3) + draws.constant(0.8, 0, 0), dim=1)
        limb(
            side * body * 0.8,
            side,
            draws.uniform(0.35, 0.75),
            draws.uniform(0.06, 0.14),
            draws.integer(2, 3),
            draws.integer(0, 3),
        )
    head_at = torch.cat((body[:, :1] * 0, draws.uniform(-0.15, 0.15), body[:, 2:] + draws.uniform(0.05, 0.2)), 1)
    head = draws.uniform(0.12, 0.24, 3)
    snout = torch.nn.functional.normalize(
        draws.uniform(-0.5, 0.5, 3) * draws.constant(0, 1, 1) + draws.constant(0, -0.8, 0), dim=1
    )
    parts.append(lambda p: ellipsoid(move(p, head_at), head))
    snout_to, snout_r = head_at + snout * draws.uniform(0.15, 0.4), draws.uniform(0.04, 0.1)
    parts.append(lambda p: capsule(p, head_at, snout_to, snout_r * 1.3, snout_r * 0.8))
    if draws.chance(0.8):
        ear_at = head_at + head * draws.constant(0.6, 0, 0.7)
        ear_to = ear_at + torch.cat((draws.uniform(0.02, 0.25), draws.uniform(-0.1, 0.1), draws.uniform(0.05, 0.35)), 1)
        thick = draws.uniform(0.025, 0.06)
        parts.append(lambda p: capsule(p, ear_at, ear_to, thick * 1.4, thick * 0.6))
    tail = draws.chance(0.6)
    if tail:
        limb(
            torch.cat((body[:, :1] * 0, body[:, 1:2] * 0.7, -body[:, 2:] * 0.7), 1),
            draws.constant(0.0, 1.0, -0.2),
            draws.uniform(0.3, 0.8),
            draws.uniform(0.05, 0.12),
            4,
            0,
        )
    if draws.chance(0.5):
        hump_at, hump = (
            body * draws.uniform(-0.6, 0.6, 3) * draws.constant(0, 1, 1),
            draws.uniform(0.15, 0.35, 3),
        )
        parts.append(lambda p: ellipsoid(move(p, hump_at), hump))
    relief = (
        noise(draws, draws.integer(1, 2), draws.choice((10.0, 18.0, 30.0)), 0.25, sharp=draws.chance(0.5))
        if draws.chance(0.7)
        else None
    )
    scales = knobs(draws, draws.choice((60, 120, 200)), 0.04, 0.12) if draws.chance(0.5) else None

    def field(p: Tensor) -> Tensor:
        q = mirror(p, 0) if twin else p
        d = ellipsoid(q, body)
        for part in parts:
            d = union(d, part(q), blend)
        if relief is not None:
            d = d + relief(q)
        if scales is not None:
            d = d + scales(q)
        return d

    return field
