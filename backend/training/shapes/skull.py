"""Thin hollow bone."""

from __future__ import annotations

import torch
from torch import Tensor

from .draws import Draws
from .primitives import (
    Field,
    box,
    capsule,
    cells,
    chain,
    ellipsoid,
    half_space,
    mirror,
    move,
    place,
    shell,
    sphere,
    subtract,
    torus,
    union,
)
from .relief import noise


def skull(draws: Draws) -> Field:
    """Thin hollow bone: shells with openings, septum plates, cheek arches, rods and teeth."""
    half = draws.uniform(0.009, 0.024)
    brain = torch.cat((draws.uniform(0.3, 0.5), draws.uniform(0.4, 0.65), draws.uniform(0.25, 0.45)), 1)
    snout = torch.cat((draws.uniform(0.12, 0.28), draws.uniform(0.3, 0.6), draws.uniform(0.1, 0.25)), 1)
    snout_at = torch.cat((brain[:, :1] * 0, -draws.uniform(0.4, 0.7), -draws.uniform(0.0, 0.15)), 1)
    blend = draws.uniform(0.05, 0.2)
    two = draws.chance(0.75)
    openings = []
    for i in range(draws.integer(2, 6)):
        way = torch.nn.functional.normalize(draws.normal(3) + draws.constant(0.4, -0.3, 0.0), dim=1)
        size = draws.uniform(0.08, 0.22, 3) * (1.0 if i else 1.2)
        openings.append((way * brain, size, draws.rotation(), draws.chance(0.35)))
    hole_at = torch.cat((brain[:, :1] * 0, brain[:, 1:2], -draws.uniform(0.0, 0.15)), 1)
    hole_r = draws.uniform(0.1, 0.2)
    nose_at = snout_at - torch.cat((brain[:, :1] * 0, snout[:, 1:2], brain[:, :1] * 0), 1)
    nose_r = draws.uniform(0.07, 0.16)
    septum, septum_at = draws.choice((0, 1, 2, 3)), draws.uniform(-0.15, 0.15, 3)
    slope = torch.nn.functional.normalize(draws.normal(3) * 0.3 + draws.constant(0, 1, 0), dim=1)
    arch = draws.chance(0.7)
    arch_at = torch.cat((brain[:, :1] * 0.75, draws.uniform(-0.4, 0.0), draws.uniform(-0.25, 0.0)), 1)
    arch_r, arch_t, arch_tilt = draws.uniform(0.18, 0.35), draws.uniform(0.016, 0.035), draws.rotation()
    arch_turn = torch.eye(3, device=half.device).expand_as(arch_tilt)
    teeth = draws.chance(0.5)
    jaw = draws.chance(0.4)
    jaw_r, jaw_t = draws.uniform(0.2, 0.35), draws.uniform(0.025, 0.05)
    jaw_nodes = torch.stack(
        (
            arch_at + draws.constant(0, 0.1, -0.1),
            arch_at + draws.constant(0, 0, -0.35),
            snout_at + draws.constant(0.02, -0.2, -0.3),
        ),
        1,
    )
    bumpy = noise(draws, 2, 5.0, 0.3)
    layers = draws.chance(0.25)
    maze = draws.uniform(9.0, 18.0) if draws.chance(0.4) else None
    maze_turn = draws.rotation()
    pores = draws.chance(0.4)
    centres = draws.uniform(-0.7, 0.7, 90).reshape(-1, 30, 3)
    pore_r = draws.uniform(0.03, 0.07)

    def field(p: Tensor) -> Tensor:
        q = mirror(p, 0)
        outer = ellipsoid(p, brain)
        if two:
            outer = union(outer, ellipsoid(move(p, snout_at), snout), blend)
        outer = outer + bumpy(q)
        d = shell(outer, half)
        if pores:
            # vessels: small canals through the bone
            d = subtract(d, cells(q, centres) - pore_r, half * 0.5)
        if maze is not None:
            # turbinates: thin winding plates inside (gyroid)
            r = place(p, maze_turn, snout_at) * maze[..., None]
            sine, cosine = torch.sin(r), torch.cos(r)
            gyroid = (sine * cosine[:, [1, 2, 0]]).sum(1).abs_().div_(maze * 1.2).sub_(half * 0.8)
            region = torch.maximum(outer, move(p, snout_at)[:, 1] - snout[:, 1:2] * 0.3)
            d = union(d, torch.maximum(gyroid, region))
        if layers:
            d = union(d, shell(outer + half * 5, half * 0.8))
        for where, size, turn, boxy in openings:
            r = place(q, turn, where)
            d = subtract(d, box(r, size * 0.7) if boxy else ellipsoid(r, size), half)
        d = subtract(d, sphere(move(p, hole_at), hole_r), half)
        if two:
            d = subtract(d, sphere(move(p, nose_at), nose_r), half)
        for i in range(septum):
            plate = half_space(p, slope, septum_at[:, i : i + 1] * (i + 1)).abs_().sub_(half * 0.9)
            hole = sphere(move(p, slope * septum_at[:, i : i + 1] * (i + 1)), brain[:, 2:] * 0.4)
            d = union(d, torch.maximum(torch.maximum(plate, outer), -hole))
        if septum and two:
            wall = p[:, 0].abs().sub_(half)
            d = union(d, torch.maximum(torch.maximum(wall, outer), move(p, snout_at)[:, 1]))
        if arch:
            d = union(d, torus(place(q, arch_turn, arch_at), arch_r, arch_t), half * 2)
        if jaw:
            d = union(
                d,
                chain(q, jaw_nodes, jaw_t.expand(-1, 3) * jaw_nodes.new_tensor([1.0, 1.2, 0.8])),
                jaw_r * 0.1,
            )
            d = union(d, capsule(q, jaw_nodes[:, 0], arch_at, jaw_t * 0.8))
        if teeth and two:
            for i in range(3):
                root = snout_at + torch.cat(
                    (snout[:, :1] * 0.6, snout[:, 1:2] * (0.2 - 0.35 * i), -snout[:, 2:] * 0.7), 1
                )
                d = union(
                    d,
                    capsule(q, root, root - root.new_tensor([0.0, 0.0, 0.14]), half * 2.2, half * 1.4),
                    half,
                )
        return d

    return field
