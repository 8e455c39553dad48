"""Made things: turned vessels and bottles, thin plates, furniture and toy aircraft."""

from __future__ import annotations

import torch
from torch import Tensor

from . import primitives as sdf
from .primitives import Field, length, mirror, move, subtract, swap, union, vector
from .program import ProgramDraws


def _lathe_profile(draws: ProgramDraws, controls: int, segments: int, low: float, high: float) -> Tensor:
    """Profile `(B, S, 2)` of (radius, height) from the bottom up, smooth, half height .8."""
    radii = draws.uniform(low, high, controls)
    radii = radii * 0.6 + radii.mean(1, keepdim=True) * 0.4
    heights = torch.linspace(-0.8, 0.8, controls, device=radii.device).expand_as(radii)
    gap = 1.6 / (controls - 1)
    heights = heights.clone()
    heights[:, 1:-1] += draws.uniform(-0.25, 0.25, controls - 2) * gap
    return sdf.spline(torch.stack((radii, heights), 2), segments).clamp(-0.9, 0.9)


def vessel(draws: ProgramDraws) -> Field:
    """Thin-walled lathe, open at the top, with handles, a foot, a rim and a spout by chance."""
    profile = _lathe_profile(draws, draws.integer(3, 5), draws.integer(14, 20), 0.25, 0.8)
    stretch = draws.uniform(0.6, 1.3) if draws.chance(0.6) else draws.uniform(0.25, 0.6)
    profile = torch.cat((profile[..., :1], profile[..., 1:] * stretch[..., None]), 2)
    radius, height = profile.unbind(2)
    bottom, top = height[:, :1], height[:, -1:]
    wall = torch.cat((vector(0.0, bottom)[:, None], profile), 1)
    inner = torch.cat((wall, vector(-1.0, top)[:, None], vector(-1.0, bottom)[:, None]), 1)
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
    outward, lift = vector(reach, 0.0), vector(0.0, draws.uniform(-0.1, 0.15))
    controls = torch.stack((start, start + outward * 0.8, stop + outward + lift, stop), 1)
    x, z = sdf.spline(controls, 16).unbind(2)
    curve = torch.stack((x, torch.zeros_like(x), z), 2)
    sizes = tube_radius * (1 + draws.uniform(-0.3, 0.3) * torch.linspace(-1, 1, curve.shape[1], device=half.device))
    sizes = torch.maximum(sizes, torch.full_like(sizes, 0.02))

    def field(p: Tensor) -> Tensor:
        x, y, z = p.unbind(1)
        if spout:
            # the rim is drawn out toward -x, more so the higher
            weight = ((z - bottom) / (top - bottom)).clamp_(0, 1) ** 4
            x = x + weight * pinch * torch.exp(-((y * 4) ** 2)) * (x < 0)
        rho = length(x, y)
        d = sdf.polyline(rho, z, wall).sub_(half)
        if rim:
            d = union(d, length(rho - radius[:, -1:], z - top).sub_(rim_size), half)
        if foot:
            foot_ring = sdf.corner(
                (rho - radius[:, :1] * 0.8).abs_() - half * 1.3, (z - bottom + foot_height / 2).abs_() - foot_height / 2
            )
            d = union(d, foot_ring)
        if handles:
            grip = sdf.chain(torch.stack((x.abs() if handles == 2 else x, y, z), 1), curve, sizes)
            d = union(d, subtract(grip, sdf.polygon(rho, z, inner, silent=3)), blend)
        return d

    return field


def bottle(draws: ProgramDraws) -> Field:
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
        profile = vector(
            body - edge, -0.8, body, edge - 0.8, body, shoulder, (body + neck) / 2 + edge, shoulder + rise * 0.55,
            neck, shoulder + rise, neck, 0.68, ring, 0.69, ring, 0.8,
        ).reshape(-1, 8, 2)  # fmt: skip
    else:
        body, dent = draws.uniform(0.25, 0.6), draws.uniform(0.02, 0.08)
        profile = vector(
            body * 0.85, -0.8, body, dent - 0.75, body, 0.7 - dent, body * 0.9, 0.77,
            body * 0.9, 0.8, body * 0.9 - 0.03, 0.8, body * 0.9 - 0.04, 0.8 - dent,
        ).reshape(-1, 7, 2)  # fmt: skip
    # from the bottom of the axis up: only the last edge, which lies behind the axis, is no surface
    bottom, top = (vector(-1.0, profile[:, end, 1:])[:, None] for end in (0, -1))
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
        d = sdf.polygon(rho, z, outline, silent=1)
        for i in range(grooves):
            # a groove is a tube of half width groove_r sunk by about the same into whatever radius is there
            d = d + groove_r * 0.8 * torch.exp(-(((z - groove_z[:, i : i + 1]) / groove_r) ** 2))
        if flutes:
            d = d + torch.cos(torch.atan2(y, x) * flutes) * depth * (rho * 3).clamp(max=1)
        return (d - rounding) if squash is None else (d - rounding) * (0.5 + 0.5 * squash)

    return field


def sheet(draws: ProgramDraws) -> Field:
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
    profile = sdf.spline(torch.stack((nodes, heights), 2), 15)

    def field(p: Tensor) -> Tensor:
        x, y, z = p.unbind(1)
        w, breadth = size[:, :1], size[:, 1:]
        if style == "dish":
            rho = length(x, y)
            d = sdf.polyline(rho, z, profile).sub_(half)
            if rib is not None:
                foot = sdf.corner((rho - profile[:, 1, :1] * 0.8).abs_() - half, z.abs() - half * 2.5)
                d = union(d, foot, half)
            return d
        if style == "bowl":
            d = sdf.corner(sdf.shell(sdf.sphere(p, radius), half), z - cut * radius)
            if rim:
                ring = radius * torch.sqrt(1 - cut * cut)
                d = union(d, sdf.torus(move(p, vector(0.0, 0.0, cut * radius)), ring, half * 1.6), half)
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
            edge = sdf.corner(x.abs() - w, y.abs() - breadth)
        else:
            bulge = (breadth**2 - w * w * 0.16) / (w * 0.8)
            edge = length(x.abs() + bulge * 0.5, y) - (bulge * 0.5 + w * 0.4)
        for i in range(holes):
            edge = torch.maximum(edge, hole_r[:, i : i + 1] - length(x - hole_at[:, i, :1], y - hole_at[:, i, 1:]))
        rise = z - height
        d = sdf.corner(edge, (rise * slope).abs_() - half)
        if rim:
            ring = sdf.corner(edge.abs() - half, (rise - rim_height) * slope - rim_height).clamp_(min=-half)
            d = union(d, ring.maximum(-rise * slope - half))
        if rib is not None:
            d = union(d, torch.maximum(length(x, rise * slope) - rib * 1.5, edge))
        for i in range(1, layers):
            d = union(d, sdf.corner(edge, ((rise - gap * i) * slope).abs_() - half))
        if layers > 1:
            middle = gap * ((layers - 1) / 2)
            d = union(d, sdf.corner(length(x, y) - 0.07, (rise - middle).abs_() - middle))
        return d

    return field


def furniture(draws: ProgramDraws) -> Field:
    """Boards, legs, slats and bars: tables, chairs, shelves, ladders and grids."""
    style = draws.choice(("table", "chair", "shelf", "ladder", "grid"))
    w, depth, h = draws.uniform(0.3, 0.85, 3).split(1, 1)
    board, leg = draws.uniform(0.02, 0.06), draws.uniform(0.025, 0.07)
    count = draws.integer(2, 6)
    round_bars = draws.chance(0.5)
    rounding = draws.uniform(0.0, 0.012)
    rails = draws.chance(0.5)
    lean = draws.uniform(0.0, 0.15)
    rail_z = draws.uniform(-0.6, 0.3)

    def bar(p: Tensor, centre: Tensor, half: Tensor, axis: int) -> Tensor:
        q = move(p, centre)
        if round_bars:
            q = swap(q, (axis + 1) % 3, (axis + 2) % 3, axis)
            return sdf.cylinder(q, leg, half[:, axis : axis + 1], rounding)
        return sdf.box(q, half, rounding)

    def field(p: Tensor) -> Tensor:
        q = mirror(p, 0)
        corners = mirror(q, 1)
        if style in ("table", "chair"):
            d = sdf.box(p, vector(w, depth, board), rounding)
            if round_bars:
                foot, head = vector(w - leg, depth - leg, -h), vector(w - leg - lean, depth - leg - lean, 0.0)
                d = union(d, sdf.capsule(corners, foot, head, leg * 0.7, leg))
            else:
                place = vector(w - leg, depth - leg, -h / 2)
                d = union(d, sdf.box(move(corners, place), vector(leg, leg, h / 2), rounding))
            if rails:
                level = h * rail_z.clamp(max=-0.2)
                d = union(d, bar(corners, vector(w - leg, 0.0, level), vector(leg, depth - leg, leg), 1))
                d = union(d, bar(corners, vector(0.0, depth - leg, level), vector(w - leg, leg, leg), 0))
            if style == "chair":
                d = union(d, bar(q, vector(w - leg, depth - leg, h / 2), vector(leg, leg, h / 2), 2))
                for i in range(count):
                    level = h * ((i + 1) / count)
                    d = union(d, bar(p, vector(0.0, depth - leg, level), vector(w - leg, leg, leg), 0))
            return d
        if style == "shelf":
            d = sdf.box(move(q, vector(w, 0.0, 0.0)), vector(board, depth, h), rounding)
            for i in range(count):
                level = h * (2 * i / (count - 1) - 1) * 0.95
                d = union(d, sdf.box(move(p, vector(0.0, 0.0, level)), vector(w, depth, board), rounding))
            if rails:
                d = union(d, sdf.box(move(p, vector(0.0, depth - board, 0.0)), vector(w, board, h), rounding))
            return d
        d = bar(q, vector(w, 0.0, 0.0), vector(leg, leg, h), 2)
        if style == "grid":
            d = union(d, bar(mirror(p, 2), vector(0.0, 0.0, h), vector(w + leg, leg, leg), 0))
        for i in range(count):
            share = (i + 1) / (count + 1) * 2 - 1
            d = union(d, bar(p, vector(0.0, 0.0, h * share), vector(w, leg, leg), 0))
            if style == "grid":
                d = union(d, bar(p, vector(w * share, 0.0, 0.0), vector(leg, leg, h), 2))
        if rails:
            d = union(d, bar(q, vector(w, depth / 2, -h), vector(leg, depth / 2 + leg, leg), 1))
        return d

    return field


def _blade(p: Tensor, root: Tensor, span: Tensor, chord: Tensor, tip: Tensor, sweep: Tensor, thick: Tensor) -> Tensor:
    """Thin wing along +x from `root`: chord along y shrinks to `tip` times itself, swept back along y."""
    x, y, z = move(p, root).unbind(1)
    t = (x / span).clamp(0, 1)
    width = chord * (1 - t * (1 - tip))
    outline = sdf.corner((x - span / 2).abs_().sub_(span / 2), (y + t * sweep).abs_().sub_(width))
    lens = thick * (1 - 0.5 * t)
    return sdf.corner(outline, z.abs() - lens)


def craft(draws: ProgramDraws) -> Field:
    """Airplane-like: a fuselage, thin wings, tail planes, struts and wheels that make holes."""
    body = vector(draws.uniform(0.08, 0.24), draws.uniform(0.7, 0.95), draws.uniform(0.08, 0.26))
    across, along, rise = body.split(1, 1)
    boxy = draws.chance(0.3)
    span, chord = draws.uniform(0.45, 0.95), draws.uniform(0.1, 0.28)
    tip, sweep = draws.uniform(0.35, 1.0), draws.uniform(-0.1, 0.4)
    thick = draws.uniform(0.014, 0.04)
    wing_at = vector(0.0, draws.uniform(-0.1, 0.3), draws.uniform(-0.15, 0.15))
    second = draws.chance(0.4)
    gap = vector(0.0, 0.0, draws.uniform(0.25, 0.45))
    strut_x, strut_r = draws.uniform(0.4, 0.9) * span, draws.uniform(0.015, 0.03)
    tail_at = vector(0.0, -along * draws.uniform(0.75, 0.9), 0.0)
    tail_span, tail_chord = draws.uniform(0.15, 0.4), draws.uniform(0.06, 0.15)
    fin = draws.uniform(0.15, 0.4)
    fillet = draws.uniform(0.01, 0.06)
    wheels = draws.chance(0.6)
    wheel_at = vector(draws.uniform(0.12, 0.3), draws.uniform(0.0, 0.4), -draws.uniform(0.3, 0.45))
    wheel = draws.uniform(0.06, 0.13)
    holes = draws.integer(0, 3)
    hole_y, hole_r = draws.uniform(-0.5, 0.6, 3), draws.uniform(0.25, 0.6)
    nose = draws.chance(0.5)
    hollow = draws.chance(0.3)
    blade = draws.uniform(0.12, 0.3)

    def field(p: Tensor) -> Tensor:
        q = mirror(p, 0)
        d = sdf.box(p, body * 0.8, across * 0.35) if boxy else sdf.ellipsoid(p, body)
        if hollow:
            well = move(p, vector(0.0, hole_y[:, 2:], rise))
            d = subtract(d, sdf.ellipsoid(well, vector(across * 0.7, along * 0.35, rise * 0.9)))
        d = union(d, _blade(q, wing_at, span, chord, tip, sweep, thick), fillet)
        if second:
            d = union(d, _blade(q, wing_at + gap, span, chord, tip, sweep, thick))
            for offset in (strut_x, across * 0.5):
                base = wing_at + vector(offset, -sweep * (offset / span), 0.0)
                d = union(d, sdf.capsule(q, base, base + gap, strut_r))
        d = union(d, _blade(q, tail_at, tail_span, tail_chord, tip, sweep * 0.3, thick * 0.8), fillet)
        d = union(d, _blade(swap(p, 2, 1, 0), tail_at, fin, tail_chord, tip, sweep * 0.5, thick * 0.8), fillet)
        if wheels:
            hang = wheel_at * torch.tensor([0.3, 1.0, 0.0], device=p.device)
            d = union(d, sdf.capsule(q, hang, wheel_at, strut_r * 1.2))
            d = union(d, sdf.torus(swap(move(q, wheel_at), 1, 2, 0), wheel * 0.7, wheel * 0.3))
        for i in range(holes):
            at = vector(0.0, hole_y[:, i : i + 1] * along, 0.0)
            d = subtract(d, sdf.tube(swap(move(p, at), 1, 2, 0), hole_r * torch.minimum(across, rise)))
        if nose:
            front = vector(0.0, along * (0.8 if boxy else 1.0), 0.0)
            d = union(d, sdf.box(move(p, front), vector(blade, thick, thick * 1.5), 0.008))
            d = union(d, sdf.sphere(move(p, front), thick * 2.5))
        return d

    return field
