"""Grown things: busts, creatures with limbs, hollow skulls, teeth. Up is z, a face looks along -y."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from . import primitives as sdf
from .primitives import Field, Size, mirror, move, place, subtract, union, vector
from .program import ProgramDraws, knobs, noise


def bust(draws: ProgramDraws) -> Field:
    """A head; nose, brows, eyes, lips, chin and ears differ in size and place, hair is a creased relief."""

    def at(x: Size, y: Size, z: Size) -> Tensor:
        return vector(draws.constant(0.0), x, y, z)[:, 1:]

    head = vector(draws.uniform(0.36, 0.48), draws.uniform(0.42, 0.55), draws.uniform(0.5, 0.62))
    front = -head[:, 1:2]
    eye_x, eye_z = draws.uniform(0.13, 0.2), draws.uniform(0.02, 0.14)
    eye_r = draws.uniform(0.05, 0.08)
    eye_at = at(eye_x, front * 0.86, eye_z)
    socket = draws.uniform(0.08, 0.13, 3)
    nose_top = at(0, front * 0.95, eye_z)
    nose_tip = at(0, front - draws.uniform(0.05, 0.16), eye_z - draws.uniform(0.17, 0.27))
    nose_r = draws.uniform(0.025, 0.05)
    wing_at = nose_tip + at(draws.uniform(0.03, 0.06), 0.05, 0.01)
    nostril = nose_tip + at(0.03, 0.035, -0.03)
    mouth_z = nose_tip[:, 2:] - draws.uniform(0.08, 0.13)
    lip_y, lip_x = front * draws.uniform(0.76, 0.86), draws.uniform(0.07, 0.14)
    lip_r = draws.uniform(0.018, 0.035)
    chin_at, chin = at(0, front * 0.56, mouth_z - draws.uniform(0.12, 0.2)), draws.uniform(0.1, 0.17, 3)
    brow_a = eye_at + at(-eye_x * 0.6, -0.02, draws.uniform(0.07, 0.1))
    brow_b = eye_at + at(eye_x * 0.6, 0.06, draws.uniform(0.06, 0.1))
    ear_at, ear = at(head[:, :1] * 0.97, draws.uniform(0.0, 0.1), eye_z - 0.05), draws.uniform(0.08, 0.13)
    neck_r, neck_to = draws.uniform(0.2, 0.3), at(0, draws.uniform(0.05, 0.25), -1.0)
    shoulders = draws.uniform(0.25, 0.4, 3) + draws.constant(0.25, 0.0, 0.0) if draws.chance(0.5) else None
    blend = draws.uniform(0.02, 0.06)
    cap, cap_at = (head * draws.uniform(1.03, 1.12, 3), at(0, draws.uniform(0.06, 0.16), draws.uniform(0.05, 0.15)))
    locks = noise(draws, draws.integer(1, 2), draws.choice((10.0, 18.0, 28.0)), 0.4, sharp=draws.chance(0.6))
    bun = draws.uniform(0.12, 0.25, 3) if draws.chance(0.4) else None
    band = draws.uniform(0.02, 0.035) if draws.chance(0.3) else None
    skin = noise(draws, 2, 3.0, 0.15)
    base = draws.uniform(0.7, 0.9)
    down = draws.constant(0.0, 0.15, -1.0)

    def field(p: Tensor) -> Tensor:
        q = mirror(p, 0)
        d = union(sdf.ellipsoid(p, head), sdf.capsule(p, down * 0.2, neck_to, neck_r, neck_r * 1.1), 0.12)
        d = union(d, sdf.ellipsoid(move(p, chin_at), chin), blend * 2)
        d = subtract(d, sdf.ellipsoid(move(q, eye_at - eye_at * 0.06), socket), blend)
        d = union(d, sdf.sphere(move(q, eye_at), eye_r), 0.015)
        d = union(d, sdf.capsule(q, brow_a, brow_b, lip_r * 1.2, lip_r), blend)
        d = union(d, sdf.capsule(p, nose_top, nose_tip, nose_r * 0.7, nose_r * 1.3), blend)
        d = union(d, sdf.sphere(move(q, wing_at), nose_r), 0.03)
        d = subtract(d, sdf.sphere(move(q, nostril), nose_r * 0.5), 0.01)
        for side in (1.0, -0.7):
            middle, end = at(0, lip_y - 0.03, mouth_z + lip_r * side), at(lip_x, lip_y + 0.05, mouth_z)
            d = union(d, sdf.capsule(q, middle, end, lip_r, lip_r * 0.5), 0.02)
        d = d + skin(q)
        hair = sdf.ellipsoid(move(p, cap_at), cap) + locks(p)
        if bun is not None:
            hair = union(hair, sdf.ellipsoid(move(p, at(0, head[:, 1:2] * 0.9, 0.15)), bun) + locks(p), 0.03)
        d = union(d, hair, 0.01)
        if band is not None:
            d = union(d, sdf.torus(move(p, cap_at), cap[:, :1], band), 0.01)
        outer = q[:, [1, 2, 0]]
        d = union(d, sdf.torus(move(outer, ear_at[:, [1, 2, 0]]), ear, ear * 0.3), 0.02)
        if shoulders is not None:
            d = union(d, sdf.ellipsoid(move(p, neck_to), shoulders), 0.1)
        return torch.maximum(d, sdf.half_space(p, down, base))

    return field


def creature(draws: ProgramDraws) -> Field:
    """Body ellipsoids, limbs on a random skeleton, head with ears or horns, tail, armour-like relief."""
    twin = draws.chance(0.7)
    body = vector(draws.uniform(0.18, 0.35), draws.uniform(0.18, 0.35), draws.uniform(0.25, 0.5))
    blend = draws.uniform(0.04, 0.12)
    parts: list[Field] = []
    # limbs of the mirrored half stay on their side
    outward = draws.constant(0.3 if twin else 0.0, 0.0, 0.0)

    def limb(start: Tensor, heading: Tensor, reach: Tensor, radius: Tensor, joints: int, fingers: int) -> None:
        nodes, sizes = [start], [radius]
        for joint in range(joints):
            heading = normalize(heading + draws.normal(3) * 0.4 + outward, dim=1)
            nodes.append(nodes[-1] + heading * reach / joints)
            sizes.append(radius * (1 - (joint + 1) / joints * 0.55) * draws.uniform(0.8, 1.15))
        vertices, radii = torch.stack(nodes, 1), torch.cat(sizes, 1).clamp(min=0.022)
        parts.append(lambda p: sdf.chain(p, vertices, radii))
        for _ in range(fingers):
            way = normalize(heading + draws.normal(3) * 0.5, dim=1)
            tip = nodes[-1] + way * (radii[:, -1:] * draws.uniform(1.5, 3.0))
            thick = (radii[:, -1:] * 0.45).clamp(min=0.02)
            parts.append(lambda p, tip=tip, thick=thick: sdf.capsule(p, nodes[-1], tip, thick * 1.2, thick * 0.7))

    for _ in range(draws.integer(1, 3)):
        side = normalize(draws.uniform(-1, 1, 3) + draws.constant(0.8, 0, 0), dim=1)
        sizes = draws.uniform(0.35, 0.75), draws.uniform(0.06, 0.14), draws.integer(2, 3), draws.integer(0, 3)
        limb(side * body * 0.8, side, *sizes)
    head_at = vector(0.0, draws.uniform(-0.15, 0.15), body[:, 2:] + draws.uniform(0.05, 0.2))
    head = draws.uniform(0.12, 0.24, 3)
    snout = normalize(draws.uniform(-0.5, 0.5, 3) * draws.constant(0, 1, 1) + draws.constant(0, -0.8, 0), dim=1)
    parts.append(lambda p: sdf.ellipsoid(move(p, head_at), head))
    snout_to, snout_r = head_at + snout * draws.uniform(0.15, 0.4), draws.uniform(0.04, 0.1)
    parts.append(lambda p: sdf.capsule(p, head_at, snout_to, snout_r * 1.3, snout_r * 0.8))
    if draws.chance(0.8):
        ear_at = head_at + head * draws.constant(0.6, 0, 0.7)
        ear_to = ear_at + vector(draws.uniform(0.02, 0.25), draws.uniform(-0.1, 0.1), draws.uniform(0.05, 0.35))
        thick = draws.uniform(0.025, 0.06)
        parts.append(lambda p: sdf.capsule(p, ear_at, ear_to, thick * 1.4, thick * 0.6))
    if draws.chance(0.6):
        root = vector(0.0, body[:, 1:2] * 0.7, -body[:, 2:] * 0.7)
        limb(root, draws.constant(0.0, 1.0, -0.2), draws.uniform(0.3, 0.8), draws.uniform(0.05, 0.12), 4, 0)
    if draws.chance(0.5):
        hump_at, hump = (body * draws.uniform(-0.6, 0.6, 3) * draws.constant(0, 1, 1), draws.uniform(0.15, 0.35, 3))
        parts.append(lambda p: sdf.ellipsoid(move(p, hump_at), hump))
    reliefs: list[Field] = []
    if draws.chance(0.7):
        octaves, low = draws.integer(1, 2), draws.choice((10.0, 18.0, 30.0))
        reliefs.append(noise(draws, octaves, low, 0.25, sharp=draws.chance(0.5)))
    if draws.chance(0.5):
        reliefs.append(knobs(draws, draws.choice((60, 120, 200)), 0.04, 0.12))

    def field(p: Tensor) -> Tensor:
        q = mirror(p, 0) if twin else p
        d = sdf.ellipsoid(q, body)
        for part in parts:
            d = union(d, part(q), blend)
        for relief in reliefs:
            d = d + relief(q)
        return d

    return field


def skull(draws: ProgramDraws) -> Field:
    """Thin hollow bone: shells with openings, septum plates, cheek arches, rods and teeth."""
    half = draws.uniform(0.009, 0.024)
    brain = vector(draws.uniform(0.3, 0.5), draws.uniform(0.4, 0.65), draws.uniform(0.25, 0.45))
    snout = vector(draws.uniform(0.12, 0.28), draws.uniform(0.3, 0.6), draws.uniform(0.1, 0.25))
    snout_at = vector(0.0, -draws.uniform(0.4, 0.7), -draws.uniform(0.0, 0.15))
    blend = draws.uniform(0.05, 0.2)
    two = draws.chance(0.75)
    openings = []
    for i in range(draws.integer(2, 6)):
        way = normalize(draws.normal(3) + draws.constant(0.4, -0.3, 0.0), dim=1)
        size = draws.uniform(0.08, 0.22, 3) * (1.0 if i else 1.2)
        openings.append((way * brain, size, draws.rotation(), draws.chance(0.35)))
    hole_at = vector(0.0, brain[:, 1:2], -draws.uniform(0.0, 0.15))
    hole_r = draws.uniform(0.1, 0.2)
    nose_at = snout_at - vector(0.0, snout[:, 1:2], 0.0)
    nose_r = draws.uniform(0.07, 0.16)
    septum, septum_at = draws.choice((0, 1, 2, 3)), draws.uniform(-0.15, 0.15, 3)
    slope = normalize(draws.normal(3) * 0.3 + draws.constant(0, 1, 0), dim=1)
    arch = draws.chance(0.7)
    arch_at = vector(brain[:, :1] * 0.75, draws.uniform(-0.4, 0.0), draws.uniform(-0.25, 0.0))
    arch_r, arch_t = draws.uniform(0.18, 0.35), draws.uniform(0.016, 0.035)
    draws.rotation()  # of the arch once; the numbers that follow stay where they are
    teeth = draws.chance(0.5)
    jaw = draws.chance(0.4)
    jaw_r, jaw_t = draws.uniform(0.2, 0.35), draws.uniform(0.025, 0.05)
    hinge, corner = arch_at + draws.constant(0, 0.1, -0.1), arch_at + draws.constant(0, 0, -0.35)
    jaw_nodes = torch.stack((hinge, corner, snout_at + draws.constant(0.02, -0.2, -0.3)), 1)
    jaw_radii = jaw_t * draws.constant(1.0, 1.2, 0.8)
    bumpy = noise(draws, 2, 5.0, 0.3)
    layers = draws.chance(0.25)
    maze = draws.uniform(9.0, 18.0) if draws.chance(0.4) else None
    maze_turn = draws.rotation()
    pores = draws.chance(0.4)
    centres = draws.uniform(-0.7, 0.7, 90).reshape(-1, 30, 3)
    pore_r = draws.uniform(0.03, 0.07)

    def field(p: Tensor) -> Tensor:
        q = mirror(p, 0)
        outer = sdf.ellipsoid(p, brain)
        if two:
            outer = union(outer, sdf.ellipsoid(move(p, snout_at), snout), blend)
        outer = outer + bumpy(q)
        d = sdf.shell(outer, half)
        if pores:
            # vessels: small canals through the bone
            d = subtract(d, sdf.cells(q, centres) - pore_r, half * 0.5)
        if maze is not None:
            # turbinates: thin winding plates inside (gyroid)
            r = place(p, maze_turn, snout_at) * maze[..., None]
            sine, cosine = torch.sin(r), torch.cos(r)
            gyroid = (sine * cosine[:, [1, 2, 0]]).sum(1).abs_().div_(maze * 1.2).sub_(half * 0.8)
            region = torch.maximum(outer, move(p, snout_at)[:, 1] - snout[:, 1:2] * 0.3)
            d = union(d, torch.maximum(gyroid, region))
        if layers:
            d = union(d, sdf.shell(outer + half * 5, half * 0.8))
        for where, size, turn, boxy in openings:
            r = place(q, turn, where)
            d = subtract(d, sdf.box(r, size * 0.7) if boxy else sdf.ellipsoid(r, size), half)
        d = subtract(d, sdf.sphere(move(p, hole_at), hole_r), half)
        if two:
            d = subtract(d, sdf.sphere(move(p, nose_at), nose_r), half)
        for i in range(septum):
            offset = septum_at[:, i : i + 1] * (i + 1)
            plate = sdf.half_space(p, slope, offset).abs_().sub_(half * 0.9)
            hole = sdf.sphere(move(p, slope * septum_at[:, i : i + 1] * (i + 1)), brain[:, 2:] * 0.4)
            d = union(d, torch.maximum(torch.maximum(plate, outer), -hole))
        if septum and two:
            wall = p[:, 0].abs().sub_(half)
            d = union(d, torch.maximum(torch.maximum(wall, outer), move(p, snout_at)[:, 1]))
        if arch:
            d = union(d, sdf.torus(move(q, arch_at), arch_r, arch_t), half * 2)
        if jaw:
            d = union(d, sdf.chain(q, jaw_nodes, jaw_radii), jaw_r * 0.1)
            d = union(d, sdf.capsule(q, hinge, arch_at, jaw_t * 0.8))
        if teeth and two:
            for i in range(3):
                root = snout_at + vector(snout[:, :1] * 0.6, snout[:, 1:2] * (0.2 - 0.35 * i), -snout[:, 2:] * 0.7)
                d = union(d, sdf.capsule(q, root, root - draws.constant(0.0, 0.0, 0.14), half * 2.2, half * 1.4), half)
        return d

    return field


def tooth(draws: ProgramDraws) -> Field:
    """A crown of an ellipsoid with three to six cusps, worn by fissures, on roots or cut flat."""
    crown = vector(draws.uniform(0.4, 0.6), draws.uniform(0.35, 0.5), draws.uniform(0.35, 0.55))
    cusps = draws.integer(3, 6)
    angle = torch.arange(cusps, device=crown.device) * (2 * torch.pi / cusps) + draws.uniform(-0.25, 0.25, cusps)
    reach = draws.uniform(0.5, 0.75, cusps)
    x, y = torch.cos(angle) * reach * crown[:, :1], torch.sin(angle) * reach * crown[:, 1:2]
    tops = torch.stack((x, y, draws.uniform(0.6, 0.85, cusps) * crown[:, 2:]), 2)
    sizes = draws.uniform(0.14, 0.24, 3 * cusps).reshape(-1, cusps, 3)
    blend = draws.uniform(0.02, 0.08)
    pit_at = vector(draws.uniform(-0.1, 0.1, 2), crown[:, 2:] * draws.uniform(1.0, 1.3))
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
        d = sdf.ellipsoid(p, crown)
        for i in range(cusps):
            d = union(d, sdf.ellipsoid(move(p, tops[:, i]), sizes[:, i]), blend)
        d = subtract(d, sdf.ellipsoid(move(p, pit_at), pit), blend)
        top = (p[:, 2] * 5).sigmoid_()
        d = d + fissures(p) * top + surface(p)
        if roots:
            for i, way in enumerate(ways):
                side = vector(torch.cos(angle[:, i : i + 1]), torch.sin(angle[:, i : i + 1]), 0.0)
                start = side * crown * 0.45 + down * crown * 0.4
                nodes = torch.stack((start, start + way * 0.4, start + way * 0.5 + down * 0.4), 1)
                radii = root_r * torch.tensor([1.4, 0.9, 0.35], device=p.device)
                d = union(d, sdf.chain(p, nodes, radii), 0.1)
            return d
        d = torch.maximum(d, sdf.half_space(p, down, waist))
        if cavity is not None:
            d = subtract(d, sdf.sphere(move(p, down * (waist + 0.1)), cavity), 0.02)
        return d

    return field
