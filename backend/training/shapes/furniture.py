"""Boards and bars."""

from __future__ import annotations

import torch
from torch import Tensor

from .draws import Draws
from .primitives import Field, box, capsule, cylinder, mirror, move, swap, union


def furniture(draws: Draws) -> Field:
    """Boards, legs, slats and bars: tables, chairs, shelves, ladders and grids."""
    style = draws.choice(("table", "chair", "shelf", "ladder", "grid"))
    size = torch.cat((draws.uniform(0.3, 0.85), draws.uniform(0.3, 0.85), draws.uniform(0.3, 0.85)), 1)
    w, depth, h = size[:, :1], size[:, 1:2], size[:, 2:]
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
            d = box(move(p, column(zero, zero, h * 0)), column(w, depth, board), rounding)
            tilt = q if style == "chair" else q + 0 * q
            foot = column(w - leg, depth - leg, -h)
            head = column(w - leg - lean, depth - leg - lean, zero)
            legs = (
                capsule(tilt, foot, head, leg * 0.7, leg)
                if round_bars
                else box(move(tilt, column(w - leg, depth - leg, -h / 2)), column(leg, leg, h / 2), rounding)
            )
            d = union(d, legs)
            if rails:
                d = union(
                    d,
                    bar(q, column(w - leg, zero, h * rail_z.clamp(max=-0.2)), column(leg, depth - leg, leg), 1),
                )
                d = union(
                    d,
                    bar(q, column(zero, depth - leg, h * rail_z.clamp(max=-0.2)), column(w - leg, leg, leg), 0),
                )
            if style == "chair":
                back = mirror(p, 0)
                d = union(d, bar(back, column(w - leg, depth - leg, h / 2), column(leg, leg, h / 2), 2))
                for i in range(count):
                    level = h * ((i + 1) / count)
                    d = union(d, bar(p, column(zero, depth - leg, level), column(w - leg, leg, leg), 0))
            return d
        if style == "shelf":
            sides = box(move(mirror(p, 0), column(w, zero, zero)), column(board, depth, h), rounding)
            d = sides
            for i in range(count):
                level = h * (2 * i / (count - 1) - 1) * 0.95
                d = union(d, box(move(p, column(zero, zero, level)), column(w, depth, board), rounding))
            if rails:
                d = union(d, box(move(p, column(zero, depth - board, zero)), column(w, board, h), rounding))
            return d
        d = bar(mirror(p, 0), column(w, zero, zero), column(leg, leg, h), 2)
        d = union(d, bar(mirror(p, 2), column(zero, zero, h), column(w + leg, leg, leg), 0)) if style == "grid" else d
        for i in range(count):
            level = h * ((i + 1) / (count + 1) * 2 - 1)
            d = union(d, bar(p, column(zero, zero, level), column(w, leg, leg), 0))
            if style == "grid":
                d = union(d, bar(p, column(w * ((i + 1) / (count + 1) * 2 - 1), zero, zero), column(leg, leg, h), 2))
        if rails:
            d = union(d, bar(mirror(p, 0), column(w, depth / 2, -h), column(leg, depth / 2 + leg, leg), 1))
        return d

    return field
