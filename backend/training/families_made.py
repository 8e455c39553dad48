"""Families of made things: solids from primitives, vessels, bottles, machine parts, furniture, craft.

Every function reads a program from `Draws` and returns a field over points `(B, 3, N)` in about [-1, 1]^3.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .draws import Draws
from .primitives import (
    box, capsule, chain, corner, cylinder, ellipsoid, extrude, half_space, intersect, length, mirror, move, place,
    polygon, polyline, shell, sphere, subtract, swap, torus, tube, union,
)  # fmt: skip

Field = Callable[[Tensor], Tensor]


def solid(draws: Draws, low: float, high: float) -> Field:
    """One primitive of a random kind, its half sides in low..high, posed at random about the origin."""
    kind = draws.choice(("box", "box", "cylinder", "ellipsoid", "torus", "cone", "prism", "capsule"))
    half = draws.uniform(low, high, 3)
    a, b, c = half[:, :1], half[:, 1:2], half[:, 2:]
    small = torch.minimum(torch.minimum(a, b), c)
    rounding = small * draws.uniform(0.0, 0.5) if draws.chance(0.5) else 0.0
    turn = draws.rotation()
    zero = torch.zeros_like(half)
    if kind == "prism":
        sides = draws.integer(3, 7)
        angle = torch.arange(sides, device=half.device) * (2 * torch.pi / sides) + draws.uniform(
            -0.2, 0.2, sides
        )
        corners = torch.stack((torch.cos(angle) * a * 1.2, torch.sin(angle) * b * 1.2), 2)
    elif kind == "cone":
        tip = a * draws.uniform(0.1, 0.8)
        flank = torch.stack((-a * 4, -c, a, -c, tip, c, -a * 4, c), 1).reshape(-1, 4, 2)
        corners = flank

    def field(p: Tensor) -> Tensor:
        p = place(p, turn, zero)
        if kind == "box":
            return box(p, half, rounding)
        if kind == "cylinder":
            return cylinder(p, a, c, rounding)
        if kind == "ellipsoid":
            return ellipsoid(p, half)
        if kind == "torus":
            return torus(p, a, a * 0.2 + small * 0.4)
        if kind == "capsule":
            return capsule(p, half * 0.8, half * -0.8, small * 0.8, small * 0.4)
        x, y, z = p.unbind(1)
        if kind == "prism":
            return extrude(polygon(x, y, corners), z, c)
        return polygon(length(x, y), z, corners, silent=1)

    return field


def csg(draws: Draws) -> Field:
    """A base solid changed by two to six unions, cuts and intersections, sharp or blended."""
    base = solid(draws, 0.35, 0.8)
    steps = []
    for _ in range(draws.integer(2, 6)):
        kind = draws.choice(("union", "union", "union", "cut", "cut", "cut", "meet"))
        part = solid(draws, 0.1, 0.5) if kind != "meet" else solid(draws, 0.6, 1.0)
        where = draws.direction() * (draws.uniform(0.15, 0.7) if kind != "meet" else draws.uniform(0.0, 0.25))
        blend = draws.uniform(0.02, 0.2) if draws.chance(0.5) else 0.0
        steps.append((kind, part, where, blend))

    def field(p: Tensor) -> Tensor:
        d = base(p)
        for kind, part, where, blend in steps:
            other = part(move(p, where))
            d = {"union": union, "cut": subtract, "meet": intersect}[kind](d, other, blend)
        return d

    return field


def spline(points: Tensor, segments: int, closed: bool = False) -> Tensor:
    """Catmull-Rom curve through `(B, S, D)` control points, sampled to segments + 1 points (segments if closed)."""
    count = points.shape[1]
    if closed:
        t = torch.arange(segments, device=points.device) * (count / segments)
    else:
        t = torch.linspace(0, count - 1, segments + 1, device=points.device).clamp(max=count - 1.0001)
    i = t.floor().long()
    f = (t - i)[None, :, None]

    def at(k: int) -> Tensor:
        index = (i + k) % count if closed else (i + k).clamp(0, count - 1)
        return points[:, index]

    a, b, c, d = at(-1), at(0), at(1), at(2)
    return b + 0.5 * f * (c - a + f * (2 * a - 5 * b + 4 * c - d + f * (3 * (b - c) + d - a)))


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
    profile = _lathe_profile(draws, draws.integer(3, 5), draws.integer(8, 12), 0.25, 0.8)
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
    flat = draws.uniform(0.6, 1.8)
    rows = radius.shape[1]
    low, high = draws.integer(1, rows // 2 - 1), draws.integer(rows // 2 + 1, rows - 1)
    reach = draws.uniform(0.15, 0.4)
    start, stop = profile[:, low], profile[:, high]
    outward = torch.cat((reach, torch.zeros_like(reach)), 1)
    lift = torch.cat((torch.zeros_like(reach), draws.uniform(-0.1, 0.15)), 1)
    controls = torch.stack((start, start + outward * 0.8, stop + outward + lift, stop), 1)
    curve2 = spline(controls, 8)
    curve = torch.stack((curve2[..., 0], torch.zeros_like(curve2[..., 0]), curve2[..., 1]), 2)
    curve = curve / torch.stack((torch.ones_like(flat), flat, torch.ones_like(flat)), 2)
    sizes = tube_radius * (
        1 + draws.uniform(-0.3, 0.3) * torch.linspace(-1, 1, curve.shape[1], device=half.device)
    )
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
            q = torch.stack((x.abs() if handles == 2 else x, y * flat.clamp(max=1.0) / flat * 1.0, z), 1)
            grip = chain(q, curve, sizes)
            inside = polygon(rho, z, inner, silent=3)
            d = union(d, subtract(grip, inside), blend)
        return d

    return field


def bottle(draws: Draws) -> Field:
    """Closed lathe with steps, grooves and a neck, sometimes squashed, sometimes closed by a cap."""
    style = draws.choice(("smooth", "steps", "bottle", "can"))
    if style == "smooth":
        profile = _lathe_profile(draws, draws.integer(3, 6), 14, 0.12, 0.75)
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
            body - edge, body * 0 - 0.8, body, edge - 0.8, body, shoulder, middle + edge, shoulder + rise * 0.55,
            neck, shoulder + rise, neck, body * 0 + 0.68, ring, body * 0 + 0.69, ring, body * 0 + 0.8,
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
    outline = torch.cat(
        (profile, torch.cat((far, profile[:, -1:, 1:]), 2), torch.cat((far, profile[:, :1, 1:]), 2)), 1
    )
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


def mechanical(draws: Draws) -> Field:
    """Machine part: a plate or arms, bosses, through holes, counterbores and ribs."""
    thick = draws.uniform(0.05, 0.2)
    style = draws.choice(("plate", "arm", "arm", "bracket", "wheel"))
    count = draws.integer(2, 4)
    fillet = draws.uniform(0.02, 0.1) if draws.chance(0.7) else 0.0
    half = torch.cat((draws.uniform(0.5, 0.9), draws.uniform(0.2, 0.7), thick), 1)
    rounding = draws.uniform(0.0, 0.04)
    angle = torch.arange(count, device=thick.device) * (2 * torch.pi / count) + draws.uniform(
        -0.4, 0.4, count
    )
    reach = draws.uniform(0.45, 0.85, count)
    hub, hub_height = draws.uniform(0.15, 0.32), thick + draws.uniform(0.0, 0.25)
    hub_hole = hub * draws.uniform(0.3, 0.75)
    ends = torch.stack(
        (torch.cos(angle) * reach, torch.sin(angle) * reach, draws.uniform(-0.2, 0.2, count)), 2
    )
    end_radius, end_hole = draws.uniform(0.1, 0.22, count), draws.uniform(0.3, 0.72, count)
    end_height = draws.uniform(0.08, 0.3, count)
    width = draws.uniform(0.06, 0.14)
    bore = draws.chance(0.5)
    ribs = draws.integer(0, 3)
    rib_at = draws.uniform(-0.6, 0.6, max(ribs, 1))
    rib_height, rib_half = draws.uniform(0.05, 0.25), draws.uniform(0.02, 0.06)
    holes = draws.integer(1, 5)
    hole_xy = draws.uniform(-0.8, 0.8, 2 * holes).reshape(-1, holes, 2) * (half[:, None, :2] - 0.1)
    hole_r = draws.uniform(0.04, 0.14, holes)
    slot = draws.uniform(0.0, 0.2) if draws.chance(0.4) else None
    wall = torch.cat((thick * draws.uniform(0.6, 1.2), half[:, 1:2], draws.uniform(0.3, 0.7)), 1)
    wall_at = torch.cat((wall[:, :1] - half[:, :1], wall[:, :1] * 0, wall[:, 2:]), 1)
    side_hole = draws.uniform(0.08, 0.3) * half[:, 1:2]
    spokes = draws.integer(3, 6)
    rim_r = draws.uniform(0.7, 0.85)

    def bosses(p: Tensor, d: Tensor) -> Tensor:
        for i in range(count):
            q = move(p, ends[:, i])
            d = union(
                d, cylinder(q, end_radius[:, i : i + 1], end_height[:, i : i + 1], rounding * 0.5), fillet
            )
        return d

    def drill(p: Tensor, d: Tensor) -> Tensor:
        for i in range(count):
            q = move(p, ends[:, i])
            radius = end_radius[:, i : i + 1] * end_hole[:, i : i + 1]
            d = subtract(d, tube(q, radius))
            if bore and i == 0:
                deep = torch.cat((ends[:, i, :2], ends[:, i, 2:] + end_height[:, i : i + 1]), 1)
                d = subtract(
                    d,
                    cylinder(
                        move(p, deep), (radius + end_radius[:, i : i + 1]) / 2, end_height[:, i : i + 1] * 0.5
                    ),
                )
        return d

    def field(p: Tensor) -> Tensor:
        zero = torch.zeros_like(half)
        if style == "arm":
            d = cylinder(p, hub, hub_height, rounding * 0.5)
            for i in range(count):
                arm = capsule(p, zero, ends[:, i], width * 1.2, width * 0.8)
                d = union(
                    d,
                    intersect(
                        arm,
                        half_space(
                            mirror(p, 2), torch.eye(3, device=p.device)[2:].expand(len(half), 3), thick + 0.12
                        ),
                        0.03,
                    ),
                    fillet,
                )
            d = bosses(p, d)
            return drill(p, subtract(d, tube(p, hub_hole)))
        if style == "wheel":
            x, y, z = p.unbind(1)
            rho = length(x, y)
            d = corner((rho - rim_r).abs_().sub_(width), z.abs().sub_(thick))
            for i in range(spokes):
                tip = torch.cat(
                    (
                        rim_r * torch.cos(angle[:, :1] + 6.2832 * i / spokes),
                        rim_r * torch.sin(angle[:, :1] + 6.2832 * i / spokes),
                        zero[:, 2:],
                    ),
                    1,
                )
                d = union(d, capsule(p, zero, tip, thick * 0.7, thick * 0.4), fillet)
            d = union(d, cylinder(p, hub, hub_height, rounding * 0.5), fillet)
            return subtract(d, tube(p, hub_hole))
        d = box(p, half, rounding)
        if style == "bracket":
            d = union(d, box(move(p, wall_at), wall, torch.minimum(rounding, wall[:, :1] * 0.9)), fillet)
            d = subtract(d, tube(swap(move(p, wall_at), 1, 2, 0), side_hole))
        for i in range(ribs):
            at = torch.cat((rib_at[:, i : i + 1] * half[:, :1], zero[:, :1], rib_height), 1)
            side = torch.cat((rib_half, half[:, 1:2] * 0.8, rib_height), 1)
            d = union(d, box(move(p, at), side), fillet)
        for i in range(holes):
            q = move(p, torch.cat((hole_xy[:, i], zero[:, :1]), 1))
            if slot is not None and i == 0:
                q = torch.stack((q[:, 0], (q[:, 1].abs() - slot).clamp(min=0), q[:, 2]), 1)
            radius = hole_r[:, i : i + 1]
            d = subtract(d, tube(q, radius))
            if bore and i % 2:
                d = subtract(
                    d, cylinder(move(q, torch.cat((zero[:, :2], half[:, 2:]), 1)), radius * 1.5, thick)
                )
        return d

    return field


def furniture(draws: Draws) -> Field:
    """Boards, legs, slats and bars: tables, chairs, shelves, ladders and grids."""
    style = draws.choice(("table", "chair", "shelf", "ladder", "grid"))
    size = torch.cat((draws.uniform(0.3, 0.85), draws.uniform(0.3, 0.85), draws.uniform(0.3, 0.85)), 1)
    w, l, h = size[:, :1], size[:, 1:2], size[:, 2:]
    board, leg = draws.uniform(0.02, 0.06), draws.uniform(0.025, 0.07)
    count = draws.integer(2, 6)
    round_bars = draws.chance(0.5)
    rounding = draws.uniform(0.0, 0.012)
    zero = torch.zeros_like(w)
    rails = draws.chance(0.5)
    lean = draws.uniform(0.0, 0.15)
    rail_z = draws.uniform(-0.6, 0.3)

    def bar(p: Tensor, centre: Tensor, half: Tensor, axis: int) -> Tensor:
        q = move(p, centre)
        if round_bars:
            q = swap(q, (axis + 1) % 3, (axis + 2) % 3, axis)
            return cylinder(q, leg, half[:, axis : axis + 1], rounding)
        return box(q, half, rounding)

    def column(*parts: Tensor) -> Tensor:
        return torch.cat(parts, 1)

    def field(p: Tensor) -> Tensor:
        q = mirror(mirror(p, 0), 1)
        if style in ("table", "chair"):
            d = box(move(p, column(zero, zero, h * 0)), column(w, l, board), rounding)
            tilt = q if style == "chair" else q + 0 * q
            foot = column(w - leg, l - leg, -h)
            head = column(w - leg - lean, l - leg - lean, zero)
            legs = (
                capsule(tilt, foot, head, leg * 0.7, leg)
                if round_bars
                else box(move(tilt, column(w - leg, l - leg, -h / 2)), column(leg, leg, h / 2), rounding)
            )
            d = union(d, legs)
            if rails:
                d = union(
                    d, bar(q, column(w - leg, zero, h * rail_z.clamp(max=-0.2)), column(leg, l - leg, leg), 1)
                )
                d = union(
                    d, bar(q, column(zero, l - leg, h * rail_z.clamp(max=-0.2)), column(w - leg, leg, leg), 0)
                )
            if style == "chair":
                back = mirror(p, 0)
                d = union(d, bar(back, column(w - leg, l - leg, h / 2), column(leg, leg, h / 2), 2))
                for i in range(count):
                    level = h * ((i + 1) / count)
                    d = union(d, bar(p, column(zero, l - leg, level), column(w - leg, leg, leg), 0))
            return d
        if style == "shelf":
            sides = box(move(mirror(p, 0), column(w, zero, zero)), column(board, l, h), rounding)
            d = sides
            for i in range(count):
                level = h * (2 * i / (count - 1) - 1) * 0.95
                d = union(d, box(move(p, column(zero, zero, level)), column(w, l, board), rounding))
            if rails:
                d = union(d, box(move(p, column(zero, l - board, zero)), column(w, board, h), rounding))
            return d
        d = bar(mirror(p, 0), column(w, zero, zero), column(leg, leg, h), 2)
        d = (
            union(d, bar(mirror(p, 2), column(zero, zero, h), column(w + leg, leg, leg), 0))
            if style == "grid"
            else d
        )
        for i in range(count):
            level = h * ((i + 1) / (count + 1) * 2 - 1)
            d = union(d, bar(p, column(zero, zero, level), column(w, leg, leg), 0))
            if style == "grid":
                d = union(
                    d, bar(p, column(w * ((i + 1) / (count + 1) * 2 - 1), zero, zero), column(leg, leg, h), 2)
                )
        if rails:
            d = union(d, bar(mirror(p, 0), column(w, l / 2, -h), column(leg, l / 2 + leg, leg), 1))
        return d

    return field


def _blade(
    p: Tensor, root: Tensor, span: Tensor, chord: Tensor, tip: Tensor, sweep: Tensor, thick: Tensor
) -> Tensor:
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
            d = subtract(
                d, ellipsoid(well, torch.cat((body[:, :1] * 0.7, body[:, 1:2] * 0.35, body[:, 2:] * 0.9), 1))
            )
        d = union(d, _blade(q, wing_at, span, chord, tip, sweep, thick), fillet)
        if second:
            d = union(d, _blade(q, upper_at, span, chord, tip, sweep, thick))
            for offset in (strut_x, torch.zeros_like(strut_x) + body[:, :1] * 0.5):
                base = wing_at + torch.cat((offset, -sweep * (offset / span), zero), 1)
                d = union(d, capsule(q, base, base + torch.cat((zero, zero, gap), 1), strut_r))
        d = union(d, _blade(q, tail_at, tail_span, tail_chord, tip, sweep * 0.3, thick * 0.8), fillet)
        d = union(
            d, _blade(swap(p, 2, 1, 0), tail_at, fin, tail_chord, tip, sweep * 0.5, thick * 0.8), fillet
        )
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
