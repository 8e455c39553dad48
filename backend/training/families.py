"""Procedural families of closed solids in the canonical frame, as batched signed distance fields."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from .draws import COLUMNS, Draws
from .primitives import Field, bend, place, ripple, taper, twist
from .programs.craft import craft
from .programs.creature import creature
from .programs.csg import csg
from .programs.flake import flake
from .programs.furniture import furniture
from .programs.lathe import bottle, vessel
from .programs.machine import mechanical
from .programs.relief import detail
from .programs.rock import rock
from .programs.sheet import sheet
from .programs.skull import skull
from .programs.sweep import sweep

SIDE = 1.6
REACH = 1.7
MIN_FILL = 0.003
MIN_DEPTH = 0.008


@dataclass(frozen=True)
class Family:
    """How to draw a program, and how often it is warped and covered with fine detail."""

    build: Callable[[Draws], Field]
    warp: float
    detail: float


_BUILDERS = {
    "csg": Family(csg, 0.4, 0.2),
    "vessel": Family(vessel, 0.3, 0.2),
    "bottle": Family(bottle, 0.3, 0.3),
    "creature": Family(creature, 0.5, 0.8),
    "mechanical": Family(mechanical, 0.08, 0.1),
    "furniture": Family(furniture, 0.1, 0.1),
    "flake": Family(flake, 0.4, 0.6),
    "rock": Family(rock, 0.4, 0.8),
    "craft": Family(craft, 0.2, 0.2),
    "skull": Family(skull, 0.5, 0.5),
    "sheet": Family(sheet, 0.4, 0.2),
    "sweep": Family(sweep, 0.4, 0.4),
}
FAMILIES: tuple[str, ...] = tuple(_BUILDERS)


@dataclass(frozen=True)
class Shapes:
    """`count` members of one family that share a program; the field takes `(B, 3, N)` canonical points."""

    family: str
    count: int
    field: Field = field(repr=False)

    @torch.no_grad()
    def sdf(self, points: Tensor) -> Tensor:
        """Signed distance estimate `(B, N)`, negative inside, at canonical points `(B, N, 3)`.

        Raises ValueError for another shape of `points`.
        """
        if points.ndim != 3 or points.shape[0] != self.count or points.shape[2] != 3:
            raise ValueError(f"points must be ({self.count}, N, 3), not {tuple(points.shape)}")
        # Temporaries of one chunk stay in the cache of a core; a GPU wants large ones.
        size = max(1, (1 << 15 if points.device.type == "cpu" else 1 << 22) // self.count)
        parts = [self.field(chunk.transpose(1, 2).contiguous()) for chunk in points.split(size, 1)]
        return torch.cat(parts, 1) if parts else points.new_zeros(self.count, 0)


def draw(family: str, count: int, seed: int, device: str | torch.device = "cpu") -> Shapes:
    """`count` members of a family, posed at random, bounding box centred at 0 with the longest side 1.6.

    Members too empty or too thin to be useful are drawn again. Raises KeyError for an unknown family.
    """
    recipe = _BUILDERS[family]
    generator = torch.Generator().manual_seed(seed)
    for program in range(64):
        table = torch.rand(count, COLUMNS, generator=generator)
        for _ in range(4):
            shapes, good = _fitted(family, recipe, seed * 64 + program, table.to(device))
            if good.all():
                return shapes
            if not good.any():
                break
            bad = ~good.cpu()
            table[bad] = torch.rand(int(bad.sum()), COLUMNS, generator=generator)
    raise RuntimeError(f"no usable program for family {family}, seed {seed}")


@torch.no_grad()
def _fitted(family: str, recipe: Family, program: int, table: Tensor) -> tuple[Shapes, Tensor]:
    draws = Draws(program, table)
    field = _posed(draws, _detailed(draws, recipe, _warped(draws, recipe, recipe.build(draws))))
    low, high = _bounds(Shapes(family, draws.count, field), table.device)
    centre, scale = (low + high) / 2, SIDE / (high - low).amax(1, keepdim=True).clamp(min=1e-3)

    def canonical(p: Tensor) -> Tensor:
        return field(torch.addcmul(centre[:, :, None], p, 1 / scale[:, :, None])).mul_(scale)

    shapes = Shapes(family, draws.count, canonical)
    sides = (high - low) * scale
    sample = torch.rand(16384, 3, generator=torch.Generator().manual_seed(program)).to(table.device)
    distance = shapes.sdf((sample - 0.5)[None] * sides[:, None])
    solid = ((distance < 0).float().mean(1) > MIN_FILL) & (distance.amin(1) < -MIN_DEPTH)
    good = torch.isfinite(centre).all(1) & solid & (scale[:, 0] < 4) & (sides.amin(1) > 0.02)
    return shapes, good & ((low > -REACH).all(1) & (high < REACH).all(1))


def _bounds(shapes: Shapes, device: torch.device, cells: int = 40) -> tuple[Tensor, Tensor]:
    """Bounding boxes `(B, 3)`: candidates from a coarse grid, pushed outward by a shrinking random search."""
    count = shapes.count
    axis = (torch.arange(cells, device=device) + 0.5) * (2 * REACH / cells) - REACH
    grid = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    distance = shapes.sdf(grid.expand(count, -1, -1))
    signs = torch.cat((torch.eye(3), -torch.eye(3))).to(device)
    # The penalty outweighs a step along the axis, so that the best point is the extreme point of the solid. It
    # starts low, to find sharp rims between the grid points, and grows, to end inside.
    penalty = 2.0
    score = (grid @ signs.T)[None] - penalty * distance.clamp(min=0)[..., None]
    keep, tries, radius = 32, 24, 2 * REACH / cells
    points = grid[score.topk(keep, 1).indices]  # (B, keep, 6, 3)
    best = torch.full((count, 6), -REACH, device=device)
    noise = torch.Generator().manual_seed(0)
    for _ in range(8):
        steps = torch.randn(count, keep, 6, tries, 3, generator=noise).to(device) * (radius * 0.6)
        steps[..., 0, :] = 0
        trial = (points[:, :, :, None] + steps).transpose(2, 3).reshape(count, -1, 3)
        distance = shapes.sdf(trial).reshape(count, -1, 6)
        trial = trial.reshape(count, -1, 6, 3)
        along = (trial * signs).sum(3)
        best = torch.maximum(best, torch.where(distance <= 0, along, -REACH).amax(1))
        order = (along - penalty * distance.clamp(min=0)).topk(keep, 1).indices
        points = trial.gather(1, order[..., None].expand(-1, -1, -1, 3))
        radius, penalty = radius * 0.62, penalty * 1.4
    return -best[:, 3:], best[:, :3]


def _posed(draws: Draws, field: Field) -> Field:
    upright = draws.choice(((0, 1, 2), (0, 1, 2), (1, 2, 0), (2, 0, 1)))
    fixed = torch.eye(3, device=draws.device)[list(upright)].expand(draws.count, 3, 3)
    rotation = torch.where(draws.raw(1)[..., None] < 0.7, draws.rotation(), fixed)
    origin = torch.zeros_like(rotation[:, 0])
    return lambda p: field(place(p, rotation, origin))


def _warped(draws: Draws, recipe: Family, field: Field) -> Field:
    if not draws.chance(recipe.warp):
        return field
    kind = draws.choice(("twist", "bend", "taper", "ripple"))
    if kind == "ripple":
        frequency = draws.uniform(1.0, 5.0, 3)
        amplitude = draws.uniform(0.03, 0.22, 3) / frequency
        phase = draws.uniform(0.0, 6.28, 3)
        return lambda p: field(ripple(p, amplitude, frequency, phase))
    rate = draws.uniform(-0.35, 0.35)
    warp = {"twist": twist, "bend": bend, "taper": taper}[kind]
    return lambda p: field(warp(p, rate))


def _detailed(draws: Draws, recipe: Family, field: Field) -> Field:
    if not draws.chance(recipe.detail):
        return field
    relief = detail(draws)
    return lambda p: field(p) + relief(p)
