"""Busts: a head with a face, hair and a cut-off neck. The face looks along -y, up is z."""

from __future__ import annotations

import torch
from torch import Tensor

from .draws import Draws
from .primitives import Field, capsule, ellipsoid, half_space, mirror, move, sphere, subtract, torus, union
from .relief import noise


def bust(draws: Draws) -> Field:
    """A head; nose, brows, eyes, lips, chin and ears differ in size and place, hair is a creased relief."""

    def at(x: Tensor | float, y: Tensor | float, z: Tensor | float) -> Tensor:
        zero = torch.zeros(draws.count, 1, device=draws.device)
        return torch.cat((zero + x, zero + y, zero + z), 1)

    head = torch.cat((draws.uniform(0.36, 0.48), draws.uniform(0.42, 0.55), draws.uniform(0.5, 0.62)), 1)
    front = -head[:, 1:2]
    eye_x, eye_z = draws.uniform(0.13, 0.2), draws.uniform(0.02, 0.14)
    eye_r = draws.uniform(0.05, 0.08)
    eye_at = at(eye_x, front * 0.86, eye_z)
    socket = draws.uniform(0.08, 0.13, 3)
    nose_top, nose_tip = (
        at(0, front * 0.95, eye_z),
        at(0, front - draws.uniform(0.05, 0.16), eye_z - draws.uniform(0.17, 0.27)),
    )
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
    cap, cap_at = (
        head * draws.uniform(1.03, 1.12, 3),
        at(0, draws.uniform(0.06, 0.16), draws.uniform(0.05, 0.15)),
    )
    locks = noise(draws, draws.integer(1, 2), draws.choice((10.0, 18.0, 28.0)), 0.4, sharp=draws.chance(0.6))
    bun = draws.uniform(0.12, 0.25, 3) if draws.chance(0.4) else None
    band = draws.uniform(0.02, 0.035) if draws.chance(0.3) else None
    skin = noise(draws, 2, 3.0, 0.15)
    base = draws.uniform(0.7, 0.9)
    down = draws.constant(0.0, 0.15, -1.0)

    def field(p: Tensor) -> Tensor:
        q = mirror(p, 0)
        d = union(ellipsoid(p, head), capsule(p, down * 0.2, neck_to, neck_r, neck_r * 1.1), 0.12)
        d = union(d, ellipsoid(move(p, chin_at), chin), blend * 2)
        d = subtract(d, ellipsoid(move(q, eye_at - eye_at * 0.06), socket), blend)
        d = union(d, sphere(move(q, eye_at), eye_r), 0.015)
        d = union(d, capsule(q, brow_a, brow_b, lip_r * 1.2, lip_r), blend)
        d = union(d, capsule(p, nose_top, nose_tip, nose_r * 0.7, nose_r * 1.3), blend)
        d = union(d, sphere(move(q, wing_at), nose_r), 0.03)
        d = subtract(d, sphere(move(q, nostril), nose_r * 0.5), 0.01)
        for side in (1.0, -0.7):
            middle, end = at(0, lip_y - 0.03, mouth_z + lip_r * side), at(lip_x, lip_y + 0.05, mouth_z)
            d = union(d, capsule(q, middle, end, lip_r, lip_r * 0.5), 0.02)
        d = d + skin(q)
        hair = ellipsoid(move(p, cap_at), cap) + locks(p)
        if bun is not None:
            hair = union(hair, ellipsoid(move(p, at(0, head[:, 1:2] * 0.9, 0.15)), bun) + locks(p), 0.03)
        d = union(d, hair, 0.01)
        if band is not None:
            d = union(d, torus(move(p, cap_at), cap[:, :1], band), 0.01)
        outer = q[:, [1, 2, 0]]
        d = union(d, torus(move(outer, ear_at[:, [1, 2, 0]]), ear, ear * 0.3), 0.02)
        if shoulders is not None:
            d = union(d, ellipsoid(move(p, neck_to), shoulders), 0.1)
        return torch.maximum(d, half_space(p, down, base))

    return field
