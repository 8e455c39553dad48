"""Solids without a use: constructive solid geometry, tubes along curves, rocks and struck stone."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from . import primitives as sdf
from .primitives import Field, intersect, length, mirror, move, place, subtract, union, vector
from .program import ProgramDraws, knobs, noise


def solid(draws: ProgramDraws, low: float, high: float) -> Field:
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
        angle = torch.arange(sides, device=half.device) * (2 * torch.pi / sides) + draws.uniform(-0.2, 0.2, sides)
        corners = torch.stack((torch.cos(angle) * a * 1.2, torch.sin(angle) * b * 1.2), 2)
    elif kind == "cone":
        tip = a * draws.uniform(0.1, 0.8)
        corners = torch.stack((-a * 4, -c, a, -c, tip, c, -a * 4, c), 1).reshape(-1, 4, 2)

    def field(p: Tensor) -> Tensor:
        p = place(p, turn, zero)
        if kind == "box":
            return sdf.box(p, half, rounding)
        if kind == "cylinder":
            return sdf.cylinder(p, a, c, rounding)
        if kind == "ellipsoid":
            return sdf.ellipsoid(p, half)
        if kind == "torus":
            return sdf.torus(p, a, a * 0.2 + small * 0.4)
        if kind == "capsule":
            return sdf.capsule(p, half * 0.8, half * -0.8, small * 0.8, small * 0.4)
        x, y, z = p.unbind(1)
        if kind == "prism":
            return sdf.extrude(sdf.polygon(x, y, corners), z, c)
        return sdf.polygon(length(x, y), z, corners, silent=1)

    return field


def csg(draws: ProgramDraws) -> Field:
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


def sweep(draws: ProgramDraws) -> Field:
    """One of the kinds, with branches by chance."""
    return draws.choice((_curve, _curve, _knot, _crescent, _crescent, _links))(draws)


def _swell(draws: ProgramDraws, thick: Tensor, count: int) -> Tensor:
    t = torch.linspace(0, 1, count, device=thick.device)[None]
    wave = torch.sin(2 * torch.pi * (t * draws.integer(1, 3) + draws.uniform(0, 1)))
    return (thick * (1 + draws.uniform(0.0, 0.4) * wave)).clamp(min=0.02)


def _curve(draws: ProgramDraws) -> Field:
    thick = draws.log_uniform(0.04, 0.18)
    closed = draws.chance(0.5)
    if closed:
        # a few harmonics: smooth, and different for every member
        t = torch.arange(36, device=thick.device) * (2 * torch.pi / 36)
        vertices = torch.zeros(draws.count, 36, 3, device=thick.device)
        for order in (1, 2, 3):
            phase = draws.uniform(0.0, 6.28, 3)[:, None]
            vertices = vertices + draws.uniform(0.2, 0.7, 3)[:, None] / order * torch.sin(order * t[:, None] + phase)
    else:
        vertices = sdf.spline(draws.uniform(-0.8, 0.8, 3 * 5).reshape(-1, 5, 3), 28)
    radii = _swell(draws, thick, vertices.shape[1])
    branches = draws.choice((0, 0, 3))
    tips = draws.uniform(-0.7, 0.7, 9).reshape(-1, 3, 3)
    blend = draws.uniform(0.02, 0.08)

    def field(p: Tensor) -> Tensor:
        d = sdf.chain(p, vertices, radii, closed)
        for i in range(branches):
            branch = sdf.capsule(p, vertices[:, 8 * i + 2], tips[:, i], thick * 0.8, thick.clamp(min=0.05) * 0.4)
            d = union(d, branch, blend)
        return d

    return field


def _knot(draws: ProgramDraws) -> Field:
    """Torus knot."""
    turns, wraps = draws.choice(((2, 3), (3, 2), (1, 3), (2, 5), (1, 2), (1, 6)))
    minor = draws.uniform(0.15, 0.3)
    t = torch.arange(48, device=minor.device)[None] * (2 * torch.pi / 48)
    ring = 0.6 + minor * torch.cos(wraps * t)
    vertices = torch.stack((ring * torch.cos(turns * t), ring * torch.sin(turns * t), minor * torch.sin(wraps * t)), 2)
    radii = _swell(draws, draws.log_uniform(0.04, 0.1), 48)
    return lambda p: sdf.chain(p, vertices, radii, closed=True)


def _crescent(draws: ProgramDraws) -> Field:
    """Bananas, horns and hooks: an arc that is thick in the middle, round or with flat sides."""
    angle = torch.linspace(-1, 1, 20, device=draws.raw(1).device)[None] * draws.uniform(0.4, 1.8)
    rise = angle * draws.uniform(-0.3, 0.3)
    vertices = torch.stack((torch.sin(angle), 1 - torch.cos(angle), rise), 2) * 0.7
    t = torch.linspace(0, 1, 20, device=angle.device)[None]
    start, stop = draws.uniform(0.03, 0.3), draws.uniform(0.7, 0.97)
    swell = torch.sin(torch.pi * (start + (stop - start) * t)) ** draws.uniform(0.3, 1.0)
    radii = (draws.uniform(0.1, 0.28) * swell).clamp(min=0.025)
    sides = draws.choice((0, 0, 5, 6))
    ridge = radii[:, 10:11] * draws.uniform(0.04, 0.1)
    stalk = draws.uniform(0.025, 0.05)
    tip = vertices[:, -1] + (vertices[:, -1] - vertices[:, -3]) * draws.uniform(0.2, 1.5)
    several = draws.choice((1, 1, 1, 3))
    shift = draws.uniform(0.1, 0.2)

    def one(p: Tensor) -> Tensor:
        d = union(sdf.chain(p, vertices, radii), sdf.capsule(p, vertices[:, -1], tip, stalk), 0.05)
        if sides:
            x, y, z = p.unbind(1)
            across = 0.7 - torch.sqrt(x * x + (y - 0.7) ** 2)
            d = d + ridge * torch.cos(torch.atan2(z, across) * sides)
        return d

    def field(p: Tensor) -> Tensor:
        d = one(p)
        for side in (1, -1)[: several - 1]:
            d = union(d, one(move(p, vector(0.0, 0.0, shift * side) * 1.5)), 0.03)
        return d

    return field


def _links(draws: ProgramDraws) -> Field:
    """Chain of rings."""
    rings = draws.integer(2, 4)
    major, minor = draws.uniform(0.22, 0.4, rings), draws.uniform(0.03, 0.1, rings)

    def field(p: Tensor) -> Tensor:
        parts = []
        for i in range(rings):
            q = move(p, draws.constant((i - (rings - 1) / 2) * 0.4, 0.0, 0.0))
            parts.append(sdf.torus(q if i % 2 else q[:, [0, 2, 1]], major[:, i : i + 1], minor[:, i : i + 1]))
        return torch.stack(parts).amin(0)

    return field


def stone(draws: ProgramDraws) -> Field:
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
        d = sdf.ellipsoid(q if twin else place(q, turns[0], spots[0]), sizes[0])
        for spot, size, turn in zip(spots[1:], sizes[1:], turns[1:], strict=True):
            d = union(d, sdf.ellipsoid(place(q, turn, spot), size), blend)
        if neck is not None:
            d = union(d, sdf.capsule(p, torch.zeros_like(down), down * 0.9, neck, neck * 1.3), blend)
        for normal, offset in cuts:
            d = torch.maximum(d, sdf.half_space(p, normal, offset))
        for where, size, bump, k in marks:
            part = sdf.ellipsoid(move(q, where), size)
            d = union(d, part, k) if bump else subtract(d, part, k)
        d = d + coarse(p)
        if creases is not None:
            d = d + creases(q) * ridge_sign
        if pits is not None:
            d = d - pits(p)
        return d if base is None else torch.maximum(d, sdf.half_space(p, down, base))

    return field


def flake(draws: ProgramDraws) -> Field:
    """Struck stone: large spheres and planes that meet in thin sharp rims, scars and ripples."""
    thin = draws.uniform(0.08, 0.3)
    big = draws.log_uniform(0.9, 3.0, 2)
    up = draws.constant(0.0, 0.0, 1.0)
    low = normalize(up + draws.normal(3) * 0.15, dim=1)
    planes = draws.integer(2, 6)
    normals = [normalize(draws.normal(3) * draws.constant(1, 1, 0.5), dim=1) for _ in range(planes)]
    offsets = draws.uniform(0.3, 0.8, planes)
    scars = draws.integer(0, 7)
    scar_r = draws.log_uniform(0.3, 1.5, max(scars, 1))
    sides = [draws.constant(0, 0, draws.choice((-1.0, 1.0, 1.0))) for _ in range(scars)]
    scar_way = [normalize(draws.normal(3) + side, dim=1) for side in sides]
    scar_at = [vector(draws.uniform(-0.6, 0.6, 2), 0.0) for _ in scar_way]
    scar_depth = draws.uniform(0.05, 0.35, max(scars, 1)) * thin
    bulb = draws.uniform(-0.7, 0.7, 3)
    ripples = draws.chance(0.5)
    rate, height = draws.uniform(20.0, 50.0), draws.uniform(0.001, 0.005)
    outline = draws.uniform(0.45, 0.9, 3)
    rough = noise(draws, 3, 8.0, 0.25) if draws.chance(0.5) else None

    def field(p: Tensor) -> Tensor:
        a, b = big[:, :1], big[:, 1:]
        d = sdf.sphere(move(p, low * (thin * 0.5 - a)), a)
        d = intersect(d, sdf.sphere(move(p, -up * (thin * 0.5 - b)), b))
        x, y, _ = p.unbind(1)
        k = length(x / outline[:, :1], y / outline[:, 1:2])
        d = torch.maximum(d, (k - 1) * torch.minimum(outline[:, :1], outline[:, 1:2]))
        for i, normal in enumerate(normals):
            d = torch.maximum(d, sdf.half_space(p, normal, offsets[:, i : i + 1]))
        for i, way in enumerate(scar_way):
            radius = scar_r[:, i : i + 1]
            at = scar_at[i] + way * (thin * 0.5 + radius - scar_depth[:, i : i + 1])
            d = torch.maximum(d, -sdf.sphere(move(p, at), radius))
        if ripples:
            d = d + torch.sin(sdf.sphere(move(p, bulb), 0.0) * rate) * height
        if rough is not None:
            d = d + rough(p)
        return d

    return field
