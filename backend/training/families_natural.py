"""Families of grown and broken things: creatures, flakes, rocks and busts, skulls, sheets, sweeps.

Every function reads a program from `Draws` and returns a field over points `(B, 3, N)` in about [-1, 1]^3.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .draws import Draws
from .families_made import spline
from .primitives import (
    box, capsule, cells, chain, corner, ellipsoid, half_space, intersect, length, mirror, move, place, shell, sphere,
    subtract, torus, union, waves,
)  # fmt: skip

Field = Callable[[Tensor], Tensor]


def noise(draws: Draws, octaves: int, low: float, slope: float, sharp: bool = False) -> Field:
    """Random smooth height field of several octaves from the frequency `low` on; its slope is about `slope`."""
    vectors, amplitudes = [], []
    frequency = draws.log_uniform(low, low * 2)
    for _ in range(octaves):
        for _ in range(5):
            vectors.append(draws.direction() * frequency * draws.uniform(0.7, 1.3))
            amplitudes.append(slope / octaves / frequency * 0.7)
        frequency = frequency * 2.1
    vector, amplitude = torch.stack(vectors, 1), torch.cat(amplitudes, 1)
    phase = draws.uniform(0.0, 6.28, vector.shape[1])
    if sharp:
        # |noise| has creases where the noise is zero
        return lambda p: waves(p, vector, phase, amplitude).abs_()
    return lambda p: waves(p, vector, phase, amplitude)


def creature(draws: Draws) -> Field:
    """Body ellipsoids, limbs on a random skeleton, head with ears or horns, tail, armour-like relief."""
    twin = draws.chance(0.7)
    body = torch.cat((draws.uniform(0.18, 0.35), draws.uniform(0.18, 0.35), draws.uniform(0.25, 0.5)), 1)
    blend = draws.uniform(0.04, 0.12)
    parts: list[Field] = []

    def limb(
        start: Tensor, heading: Tensor, reach: Tensor, radius: Tensor, joints: int, fingers: int
    ) -> None:
        nodes, sizes = [start], [radius]
        for joint in range(joints):
            heading = torch.nn.functional.normalize(heading + draws.normal(3) * 0.45, dim=1)
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
    head_at = torch.cat(
        (body[:, :1] * 0, draws.uniform(-0.15, 0.15), body[:, 2:] + draws.uniform(0.05, 0.2)), 1
    )
    head = draws.uniform(0.12, 0.24, 3)
    snout = torch.nn.functional.normalize(
        draws.uniform(-0.5, 0.5, 3) * draws.constant(0, 1, 1) + draws.constant(0, -0.8, 0), dim=1
    )
    parts.append(lambda p: ellipsoid(move(p, head_at), head))
    snout_to, snout_r = head_at + snout * draws.uniform(0.15, 0.4), draws.uniform(0.04, 0.1)
    parts.append(lambda p: capsule(p, head_at, snout_to, snout_r * 1.3, snout_r * 0.8))
    if draws.chance(0.8):
        ear_at = head_at + head * draws.constant(0.6, 0, 0.7)
        ear_to = ear_at + torch.cat(
            (draws.uniform(0.02, 0.25), draws.uniform(-0.1, 0.1), draws.uniform(0.05, 0.35)), 1
        )
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
        noise(draws, draws.integer(1, 2), 12.0, 0.3, sharp=draws.chance(0.5)) if draws.chance(0.7) else None
    )
    knobs = draws.chance(0.4)
    centres = draws.uniform(-0.8, 0.8, 3 * 48).reshape(-1, 48, 3)
    knob = draws.uniform(0.05, 0.12)

    def field(p: Tensor) -> Tensor:
        q = mirror(p, 0) if twin else p
        d = ellipsoid(q, body)
        for part in parts:
            d = union(d, part(q), blend)
        if relief is not None:
            d = d + relief(q)
        if knobs:
            d = d - 0.25 * (knob - cells(q, centres)).clamp_(min=0)
        return d

    return field


def flake(draws: Draws) -> Field:
    """Struck stone: large spheres and planes that meet in thin sharp rims, scars and ripples."""
    thin = draws.uniform(0.08, 0.3)
    big = draws.log_uniform(0.9, 3.0, 2)
    up = draws.constant(0.0, 0.0, 1.0)
    low = torch.nn.functional.normalize(up + draws.normal(3) * 0.15, dim=1)
    planes = draws.integer(2, 6)
    normals = [
        torch.nn.functional.normalize(draws.normal(3) * draws.constant(1, 1, 0.5), dim=1)
        for _ in range(planes)
    ]
    offsets = draws.uniform(0.3, 0.8, planes)
    scars = draws.integer(0, 7)
    scar_r = draws.log_uniform(0.3, 1.5, max(scars, 1))
    scar_way = [
        torch.nn.functional.normalize(
            draws.normal(3) + draws.constant(0, 0, draws.choice((-1.0, 1.0, 1.0))), dim=1
        )
        for _ in range(scars)
    ]
    scar_at = [torch.cat((draws.uniform(-0.6, 0.6, 2), w[:, 2:] * 0), 1) for w in scar_way]
    scar_depth = draws.uniform(-0.06, 0.15, max(scars, 1)) * thin * 3
    bulb = draws.uniform(-0.7, 0.7, 3)
    ripples = draws.chance(0.5)
    rate, height = draws.uniform(20.0, 50.0), draws.uniform(0.002, 0.006)
    outline = draws.uniform(0.45, 0.9, 3)
    rough = noise(draws, 3, 8.0, 0.25) if draws.chance(0.5) else None

    def field(p: Tensor) -> Tensor:
        a, b = big[:, :1], big[:, 1:]
        d = sphere(move(p, low * (thin * 0.5 - a)), a)
        d = intersect(d, sphere(move(p, -up * (thin * 0.5 - b)), b))
        x, y, _ = p.unbind(1)
        k = length(x / outline[:, :1], y / outline[:, 1:2])
        d = torch.maximum(d, (k - 1) * torch.minimum(outline[:, :1], outline[:, 1:2]))
        for i, normal in enumerate(normals):
            d = torch.maximum(d, half_space(p, normal, offsets[:, i : i + 1]))
        for i, way in enumerate(scar_way):
            radius = scar_r[:, i : i + 1]
            at = scar_at[i] + way * (thin * 0.5 + radius - scar_depth[:, i : i + 1])
            d = torch.maximum(d, -sphere(move(p, at), radius))
        if ripples:
            d = d + torch.sin(sphere(move(p, bulb), 0.0) * rate) * height
        if rough is not None:
            d = d + rough(p)
        return d

    return field


def rock(draws: Draws) -> Field:
    """Rocks and busts: blended ellipsoids with relief of several octaves, symmetric features, a flat base."""
    twin = draws.chance(0.5)
    lumps = draws.integer(1, 5)
    spots = [draws.uniform(-0.4, 0.4, 3) * (1.0 if i else 0.0) for i in range(lumps)]
    sizes = [draws.uniform(0.25, 0.6, 3) + (0.15 if i == 0 else 0.0) for i in range(lumps)]
    turns = [draws.rotation() for _ in range(lumps)]
    blend = draws.uniform(0.05, 0.25)
    features = draws.integer(0, 6)
    marks = []
    for _ in range(features):
        way = torch.nn.functional.normalize(draws.normal(3) * 0.6 + draws.constant(0.2, -1.0, 0.1), dim=1)
        marks.append(
            (
                way * sizes[0] * draws.uniform(0.9, 1.05),
                draws.uniform(0.03, 0.16, 3),
                draws.chance(0.6),
                draws.uniform(0.01, 0.06),
            )
        )
    coarse = noise(draws, draws.integer(2, 4), 2.5, 0.45)
    creases = noise(draws, 2, 6.0, 0.35, sharp=True) if draws.chance(0.6) else None
    ridge_sign = draws.choice((-1.0, 1.0))
    pits = draws.chance(0.4)
    centres = draws.uniform(-0.8, 0.8, 3 * 40).reshape(-1, 40, 3)
    pit = draws.uniform(0.08, 0.2)
    base = draws.chance(0.4)
    base_z = draws.uniform(-0.5, -0.2)
    down = draws.constant(0.0, 0.0, -1.0)
    neck = draws.chance(0.3)
    neck_r = draws.uniform(0.15, 0.3)

    def field(p: Tensor) -> Tensor:
        q = mirror(p, 0) if twin else p
        d = ellipsoid(q if twin else place(q, turns[0], spots[0]), sizes[0])
        for spot, size, turn in zip(spots[1:], sizes[1:], turns[1:], strict=True):
            d = union(d, ellipsoid(place(q, turn, spot), size), blend)
        if neck:
            d = union(d, capsule(p, torch.zeros_like(down), down * 0.9, neck_r, neck_r * 1.3), blend)
        for where, size, bump, k in marks:
            part = ellipsoid(move(q, where), size)
            d = union(d, part, k) if bump else subtract(d, part, k)
        d = d + coarse(p)
        if creases is not None:
            d = d + creases(q) * ridge_sign
        if pits:
            d = d + 0.3 * (pit - cells(p, centres)).clamp_(min=0)
        if base:
            d = torch.maximum(d, half_space(p, down, -base_z))
        return d

    return field


def skull(draws: Draws) -> Field:
    """Thin hollow bone: shells with openings, septum plates, cheek arches, rods and teeth."""
    half = draws.uniform(0.009, 0.024)
    brain = torch.cat((draws.uniform(0.3, 0.5), draws.uniform(0.4, 0.65), draws.uniform(0.25, 0.45)), 1)
    snout = torch.cat((draws.uniform(0.12, 0.28), draws.uniform(0.3, 0.6), draws.uniform(0.1, 0.25)), 1)
    snout_at = torch.cat((brain[:, :1] * 0, -draws.uniform(0.4, 0.7), -draws.uniform(0.0, 0.15)), 1)
    blend = draws.uniform(0.05, 0.2)
    two = draws.chance(0.75)
    openings = []
    for i in range(draws.integer(2, 5)):
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

    def field(p: Tensor) -> Tensor:
        q = mirror(p, 0)
        outer = ellipsoid(p, brain)
        if two:
            outer = union(outer, ellipsoid(move(p, snout_at), snout), blend)
        outer = outer + bumpy(q)
        d = shell(outer, half)
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


def sheet(draws: Draws) -> Field:
    """Thin curved plates, discs, bowls and leaves, sometimes stacked or pierced."""
    half = draws.uniform(0.012, 0.035)
    style = draws.choice(("disc", "rectangle", "leaf", "bowl"))
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

    def field(p: Tensor) -> Tensor:
        x, y, z = p.unbind(1)
        w, l = size[:, :1], size[:, 1:]
        if style == "bowl":
            d = corner(shell(sphere(p, radius), half), z - cut * radius)
            if rim:
                ring = radius * torch.sqrt(1 - cut * cut)
                d = union(
                    d, torus(move(p, torch.cat((cut * 0, cut * 0, cut * radius), 1)), ring, half * 1.6), half
                )
            for i in range(holes):
                d = subtract(
                    d, length(x - hole_at[:, i, :1], y - hole_at[:, i, 1:]).sub_(hole_r[:, i : i + 1])
                )
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
            edge = corner(x.abs() - w, y.abs() - l)
        else:
            bulge = (l * l - w * w * 0.16) / (w * 0.8)
            edge = length(x.abs() + bulge * 0.5, y) - (bulge * 0.5 + w * 0.4)
        for i in range(holes):
            edge = torch.maximum(
                edge, hole_r[:, i : i + 1] - length(x - hole_at[:, i, :1], y - hole_at[:, i, 1:])
            )
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
            post = corner(
                length(x, y) - 0.07, (rise - gap * ((layers - 1) / 2)).abs_() - gap * ((layers - 1) / 2)
            )
            d = union(d, post)
        return d

    return field


def sweep(draws: Draws) -> Field:
    """Tubes of varying radius along curves: open and closed, knots, links, crescents."""
    style = draws.choice(("open", "closed", "knot", "links", "crescent"))
    device = draws.constant(0.0).device
    thick = draws.log_uniform(0.04, 0.16)
    closed = style in ("closed", "knot")
    if style in ("open", "closed"):
        points = draws.uniform(-0.8, 0.8, 3 * 6).reshape(-1, 6, 3)
        vertices = spline(points, 22, closed)
    elif style == "knot":
        turns, wraps = draws.choice(((2, 3), (3, 2), (1, 3), (2, 5), (1, 2)))
        t = torch.arange(24, device=device)[None] * (2 * torch.pi / 24)
        minor = draws.uniform(0.15, 0.3)
        ring = 0.6 + minor * torch.cos(wraps * t)
        vertices = torch.stack(
            (ring * torch.cos(turns * t), ring * torch.sin(turns * t), minor * torch.sin(wraps * t)), 2
        )
        thick = thick.clamp(max=0.1)
    else:
        angle = torch.linspace(-1, 1, 16, device=device)[None] * draws.uniform(0.5, 1.6)
        vertices = (
            torch.stack((torch.sin(angle), 1 - torch.cos(angle), angle * draws.uniform(-0.2, 0.2)), 2) * 0.7
        )
    count = vertices.shape[1]
    t = torch.linspace(0, 1, count, device=device)[None]
    swell = 1 + draws.uniform(0.0, 0.4) * torch.sin(
        2 * torch.pi * (t * draws.integer(1, 3) + draws.uniform(0, 1))
    )
    radii = thick * swell
    if style == "crescent":
        radii = draws.uniform(0.1, 0.25) * torch.sin(torch.pi * (0.06 + 0.88 * t)) ** draws.uniform(0.3, 1.0)
    radii = radii.clamp(min=0.02)
    rings = draws.integer(2, 4)
    ring_r = draws.uniform(0.22, 0.36, rings)
    ring_t = draws.uniform(0.03, 0.09, rings)
    sides = draws.choice((0, 0, 5, 6))
    ridge = draws.uniform(0.05, 0.12)
    branch = draws.chance(0.3)
    tips = draws.uniform(-0.7, 0.7, 9).reshape(-1, 3, 3)
    blend = draws.uniform(0.02, 0.08)

    def field(p: Tensor) -> Tensor:
        if style == "links":
            d: Tensor | None = None
            for i in range(rings):
                shift = torch.zeros_like(tips[:, 0])
                shift[:, 0] = (i - (rings - 1) / 2) * 0.4
                q = move(p, shift)
                q = q if i % 2 else q[:, [0, 2, 1]]
                part = torus(q, ring_r[:, i : i + 1], ring_t[:, i : i + 1])
                d = part if d is None else union(d, part)
            assert d is not None
            return d
        d = chain(p, vertices, radii, closed)
        if sides and style == "crescent":
            d = d + radii[:, count // 2 : count // 2 + 1] * ridge * torch.cos(
                torch.atan2(p[:, 2], p[:, 1] - 0.2) * sides
            )
        if branch:
            for i in range(3):
                d = union(d, capsule(p, vertices[:, 5 * i + 1], tips[:, i], thick * 0.8, thick * 0.4), blend)
        return d

    return field
