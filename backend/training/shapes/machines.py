"""Machine parts: plates, brackets, rocker arms, links, wheels and flanges."""

from __future__ import annotations

import torch
from torch import Tensor

from .primitives import Field, box, capsule, corner, cylinder, extrude, move, subtract, swap, tube, union, vector
from .program import ProgramDraws


def mechanical(draws: ProgramDraws) -> Field:
    """One of the kinds of parts."""
    return draws.choice((_plate, _bracket, _arm, _arm, _link, _link, _wheel, _flange))(draws)


def _drilled(draws: ProgramDraws, count: int, room: Tensor, top: Tensor) -> Field:
    """Cutter of `count` holes through a plate of half sides `room`; some are slots, some counterbored."""
    at = draws.uniform(-0.85, 0.85, 2 * count).reshape(-1, count, 2) * (room[:, None] - 0.08)
    radius = draws.uniform(0.04, 0.14, count)
    missing = [draws.absent(0.15) if i else 0.0 for i in range(count)]
    slot = draws.uniform(0.05, 0.25) if draws.chance(0.4) else None
    bored = draws.chance(0.5)

    def field(p: Tensor) -> Tensor:
        parts = []
        for i in range(count):
            q, own = move(p, vector(at[:, i], 0.0)), radius[:, i : i + 1]
            if slot is not None and i == 0:
                q = torch.stack((q[:, 0], (q[:, 1].abs() - slot).clamp(min=0), q[:, 2]), 1)
            d = tube(q, own)
            if bored and i % 2 == 0:
                d = union(d, torch.maximum(tube(q, own * 1.6), top * 0.4 - q[:, 2]))
            parts.append(d + missing[i])
        return torch.stack(parts).amin(0)

    return field


def _plate(draws: ProgramDraws) -> Field:
    """Plate with rounded edges, ribs and holes."""
    half = vector(draws.uniform(0.5, 0.9), draws.uniform(0.2, 0.8), draws.uniform(0.04, 0.2))
    rounding = draws.uniform(0.0, 0.035)
    outline_r = draws.uniform(0.0, 0.2) * half[:, 1:2] * 5 * 0.2
    fillet = draws.uniform(0.01, 0.08) if draws.chance(0.7) else 0.0
    holes = _drilled(draws, draws.integer(1, 6), half[:, :2], half[:, 2:])
    ribs = draws.integer(0, 3)
    place = draws.uniform(-0.8, 0.8, max(ribs, 1)) * half[:, :1]
    rise, thick = draws.uniform(0.05, 0.25), draws.uniform(0.02, 0.06)
    across = draws.chance(0.3)
    bosses = draws.integer(0, 2)
    boss_at = draws.uniform(-0.7, 0.7, 2 * max(bosses, 1)).reshape(-1, max(bosses, 1), 2) * half[:, None, :2]
    boss_r, boss_h = draws.uniform(0.08, 0.18), half[:, 2:] + draws.uniform(0.05, 0.3)

    def field(p: Tensor) -> Tensor:
        x, y, z = p.unbind(1)
        flat = corner(x.abs() - half[:, :1] + outline_r, y.abs() - half[:, 1:2] + outline_r) - outline_r
        d = extrude(flat + rounding, z, half[:, 2:] - rounding) - rounding
        for i in range(ribs):
            at = vector(place[:, i : i + 1], 0.0, half[:, 2:])
            d = union(d, box(move(p, at), vector(thick, half[:, 1:2] * 0.8, rise)), fillet)
        if across:
            at = vector(0.0, 0.0, half[:, 2:])
            d = union(d, box(move(p, at), vector(half[:, :1] * 0.8, thick, rise)), fillet)
        for i in range(bosses):
            q = move(p, vector(boss_at[:, i], 0.0))
            d = subtract(union(d, cylinder(q, boss_r, boss_h), fillet), tube(q, boss_r * 0.55))
        return subtract(d, holes(p))

    return field


def _bracket(draws: ProgramDraws) -> Field:
    """Two plates at a right angle, with gussets and holes in both."""
    half = vector(draws.uniform(0.4, 0.8), draws.uniform(0.2, 0.7), draws.uniform(0.04, 0.14))
    width, high = draws.uniform(0.04, 0.14), draws.uniform(0.3, 0.7)
    rounding = draws.uniform(0.0, 0.03)
    fillet = draws.uniform(0.03, 0.2)
    wall, wall_at = vector(width, half[:, 1:2], high), vector(width - half[:, :1], 0.0, high - half[:, 2:])
    holes = _drilled(draws, draws.integer(1, 4), half[:, :2], half[:, 2:])
    side = _drilled(draws, draws.integer(1, 3), vector(half[:, 1:2], high), width)
    gusset = draws.uniform(0.02, 0.05) if draws.chance(0.5) else None
    gusset_y = draws.uniform(0.0, 0.8) * half[:, 1:2]

    def field(p: Tensor) -> Tensor:
        d = union(box(p, half, rounding), box(move(p, wall_at), wall, rounding), fillet)
        # the fillet also swells the outer faces where both plates are flush
        d = torch.maximum(d, -half[:, 2:] - p[:, 2])
        d = torch.maximum(d, -half[:, :1] - p[:, 0])
        d = torch.maximum(d, p[:, 1].abs() - half[:, 1:2])
        if gusset is not None:
            x, y, z = move(p, vector(-half[:, :1], 0.0, -half[:, 2:])).unbind(1)
            slope = (x / half[:, :1] + z / high - 1.6) * torch.minimum(half[:, :1], high) * 0.7
            plate = torch.maximum((y.abs() - gusset_y).abs() - gusset, slope)
            d = union(d, torch.maximum(plate, torch.maximum(-x, -z)))
        q = swap(move(p, wall_at), 1, 2, 0)
        return subtract(subtract(d, holes(p)), torch.maximum(side(q), q[:, 2].abs() - width * 3))

    return field


def _arm(draws: ProgramDraws) -> Field:
    """Rocker arm: a hub with a bore, arms of changing section, drilled bosses at their ends."""
    count = draws.integer(2, 4)
    thick, fillet = draws.uniform(0.05, 0.2), draws.uniform(0.02, 0.12)
    angle = torch.arange(count, device=thick.device) * (2 * torch.pi / count) + draws.uniform(-0.5, 0.5, count)
    reach = draws.uniform(0.4, 0.85, count)
    rise = draws.uniform(-0.2, 0.2, count)
    ends = torch.stack((torch.cos(angle) * reach, torch.sin(angle) * reach, rise), 2)
    hub, hub_height = draws.uniform(0.15, 0.32), thick + draws.uniform(0.0, 0.25)
    hub_hole = hub * draws.uniform(0.3, 0.8)
    radius, height = draws.uniform(0.1, 0.22, count), draws.uniform(0.08, 0.3, count)
    hole = radius * draws.uniform(0.3, 0.72, count)
    width = draws.uniform(0.06, 0.16)
    rounding = draws.uniform(0.0, 0.03)
    sideways = draws.chance(0.4)
    web = draws.uniform(0.02, 0.05) if draws.chance(0.5) else None
    bored = draws.chance(0.5)
    hub_axis = draws.chance(0.3)
    zero = torch.zeros_like(ends[:, 0])

    def field(p: Tensor) -> Tensor:
        hub_p = swap(p, 1, 2, 0) if hub_axis else p
        d = cylinder(hub_p, hub, hub_height, rounding)
        for i in range(count):
            arm = capsule(p, zero, ends[:, i], width * 1.3, width * 0.8)
            limit = p[:, 2].abs() - thick - 0.06
            if web is not None:
                # an I section: a thin web between two flanges
                limit = torch.maximum(limit, torch.minimum(p[:, 2].abs() - web, width * 0.7 - arm - width * 1.2))
            # a narrow blend of the arm with the limit on its height
            d = union(d, subtract(arm, -limit, 0.02), fillet)
        bosses = [move(p, ends[:, i]) for i in range(count)]
        if sideways:
            bosses[0] = swap(bosses[0], 2, 0, 1)
        sizes = list(zip(bosses, radius.split(1, 1), height.split(1, 1), hole.split(1, 1), strict=True))
        for q, wide, high, _ in sizes:
            d = union(d, cylinder(q, wide, high, rounding), fillet)
        for q, wide, high, size in sizes:
            rest = q[:, 2].abs() - high - 0.15
            d = subtract(d, torch.maximum(tube(q, size), rest))
            if bored:
                d = subtract(d, torch.maximum(torch.maximum(tube(q, (size + wide) / 2), rest), high * 0.6 - q[:, 2]))
        return subtract(d, torch.maximum(tube(hub_p, hub_hole), hub_p[:, 2].abs() - hub_height - 0.2))

    return field


def _link(draws: ProgramDraws) -> Field:
    """Flat link: a thick outline around two or three eyes, with a pocket or a window."""
    count = draws.integer(2, 3)
    thick = draws.uniform(0.05, 0.2)
    a, b = draws.uniform(0.2, 0.4), draws.uniform(0.12, 0.35)
    span = draws.uniform(0.5, 0.8)
    eyes = [vector(-span, 0.0, 0.0), vector(span, 0.0, 0.0)]
    eyes.append(vector(draws.uniform(-0.4, 0.4), draws.uniform(0.4, 0.8), 0.0))
    radii = [a, b, draws.uniform(0.12, 0.3)]
    holes = draws.uniform(0.3, 0.75, 3)
    collar = draws.uniform(0.0, 0.15) if draws.chance(0.6) else None
    fillet = draws.uniform(0.01, 0.08)
    edge = draws.uniform(0.0, 0.03)
    pocket = draws.choice(("none", "pocket", "window"))
    wall, floor = draws.uniform(0.04, 0.08), draws.uniform(0.02, 0.04)
    waist = draws.uniform(0.5, 1.0)

    def field(p: Tensor) -> Tensor:
        q = p * torch.tensor([1.0, 1.0, 0.0], device=p.device)[:, None]
        z = p[:, 2]
        flat = capsule(q, eyes[0], eyes[1], a * waist, b * waist)
        for i in range(2, count):
            flat = union(flat, capsule(q, eyes[0], eyes[i], a * waist * 0.8, radii[i] * waist), fillet)
        body = flat
        for i in range(count):
            flat = union(flat, tube(move(p, eyes[i]), radii[i]), fillet)
        d = extrude(flat + edge, z, thick - edge) - edge
        if pocket != "none":
            hollow = body + wall
            for i in range(count):
                hollow = torch.maximum(hollow, radii[i] + wall * 0.5 - tube(move(p, eyes[i]), 0.0))
            d = subtract(d, hollow if pocket == "window" else torch.maximum(hollow, floor - z.abs()), edge * 0.5 + 1e-3)
        for i in range(count):
            eye = move(p, eyes[i])
            if collar is not None:
                d = union(d, cylinder(eye, radii[i] * 0.9, thick + collar), fillet)
            d = subtract(d, tube(eye, radii[i] * holes[:, i : i + 1] * 0.9))
        return d

    return field


def _wheel(draws: ProgramDraws) -> Field:
    """Wheel or gear: hub, spokes or a web, rim with teeth by chance."""
    thick, fillet = draws.uniform(0.05, 0.2), draws.uniform(0.02, 0.1)
    rim, width = draws.uniform(0.6, 0.8), draws.uniform(0.05, 0.13)
    hub, hub_height = draws.uniform(0.12, 0.28), thick + draws.uniform(0.0, 0.25)
    hub_hole = hub * draws.uniform(0.3, 0.7)
    spokes = draws.integer(3, 7)
    bar = draws.uniform(0.04, 0.09)
    web = draws.uniform(0.02, 0.04) if draws.chance(0.4) else None
    teeth = draws.integer(10, 28) if draws.chance(0.5) else 0
    depth = draws.uniform(0.03, 0.07)
    turns = draws.uniform(0, 6.28)

    def field(p: Tensor) -> Tensor:
        x, y, z = p.unbind(1)
        rho = tube(p, 0.0)
        outline = (rho - rim).abs() - width
        if teeth:
            # the arc length of a tooth bounds the slope of its flank
            wave = torch.cos(torch.atan2(y, x) * teeth) * (rim / teeth * 0.8).clamp(max=0.06) * 8
            outline = torch.maximum(rim - width - rho, rho - rim - width - depth * wave.clamp(-0.5, 0.5))
        d = extrude(outline, z, thick)
        for i in range(spokes):
            way = turns + 6.2832 * i / spokes
            tip = vector(rim * torch.cos(way), rim * torch.sin(way), 0.0)
            d = union(d, capsule(p, torch.zeros_like(tip), tip, bar, bar * 0.7), fillet * 0.6)
        if web is not None:
            d = union(d, extrude(rho - rim, z, web), fillet * 0.5)
        d = union(d, cylinder(p, hub, hub_height), fillet)
        return subtract(d, tube(p, hub_hole))

    return field


def _flange(draws: ProgramDraws) -> Field:
    """Flanged pipe or stepped shaft with a circle of bolt holes, keyway and cross holes."""
    flange, thick = draws.uniform(0.5, 0.75), draws.uniform(0.05, 0.14)
    pipe = flange * draws.uniform(0.35, 0.65)
    bore = pipe * draws.uniform(0.5, 0.9)
    high = draws.uniform(0.2, 0.7)
    bolts = draws.integer(3, 10)
    ring = (flange + pipe) / 2
    size = (flange - pipe) / 2 * draws.uniform(0.3, 0.6)
    fillet = draws.uniform(0.01, 0.1)
    both = draws.chance(0.4)
    cross = bore * draws.uniform(0.4, 0.8) if draws.chance(0.5) else None
    square = draws.chance(0.3)

    def field(p: Tensor) -> Tensor:
        x, y, z = p.unbind(1)
        rho = tube(p, 0.0)
        flat = corner(x.abs() - flange * 0.6, y.abs() - flange * 0.6) - flange * 0.35 if square else rho - flange
        d = union(extrude(flat, z + high, thick), cylinder(p, pipe, high), fillet)
        if both:
            d = union(d, extrude(rho - flange * 0.9, z - high, thick), fillet)
        # one bolt hole, repeated around the axis
        sector = 2 * torch.pi / bolts
        angle = torch.remainder(torch.atan2(y, x) + sector / 2, sector) - sector / 2
        bolt = torch.stack((rho * torch.cos(angle) - ring, rho * torch.sin(angle), z), 1)
        d = subtract(subtract(d, tube(bolt, size)), tube(p, bore))
        return d if cross is None else subtract(d, tube(p[:, [1, 2, 0]], cross))

    return field
