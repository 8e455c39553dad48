"""Procedural families of closed solids in the canonical frame, as batched signed distance fields."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.functional import max_pool3d

from .artefacts import bottle, craft, furniture, sheet, vessel
from .creatures import bust, creature, skull, tooth
from .machines import mechanical
from .primitives import Field, bend, place, ripple, taper, twist
from .program import COLUMNS, ProgramDraws, detail
from .solids import csg, flake, stone, sweep

SIDE = 1.6  # longest side of a shape's bounding box (canonical)
REACH = 1.7  # largest coordinate of a shape before it is fitted into the canonical frame
MIN_FILL = 0.003  # share of its bounding box that a shape fills at least
MIN_DEPTH = 0.008  # depth (canonical) that a shape reaches at least: thinner ones are no use to a grid


@dataclass(frozen=True)
class Family:
    """How to draw a program, and how often it is warped and covered with fine detail."""

    build: Callable[[ProgramDraws], Field]
    warp: float
    detail: float


def rock(draws: ProgramDraws) -> Field:
    """A rock, a bust or a tooth: lumps under a relief."""
    return draws.choice((stone, stone, bust, bust, tooth))(draws)


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
        """Signed distance estimate `(B, N)`, negative inside, at canonical points `(B, N, 3)`. Raises ValueError for
        another shape of `points`."""
        if points.ndim != 3 or points.shape[0] != self.count or points.shape[2] != 3:
            raise ValueError(f"points must be ({self.count}, N, 3), not {tuple(points.shape)}")
        # Temporaries of one chunk stay in the cache of a core; a GPU wants large ones.
        size = max(1, (1 << 15 if points.device.type == "cpu" else 1 << 22) // self.count)
        parts = [self.field(chunk.transpose(1, 2).contiguous()) for chunk in points.split(size, 1)]
        return torch.cat(parts, 1) if parts else points.new_zeros(self.count, 0)


def draw(family: str, count: int, seed: int, device: str | torch.device = "cpu") -> Shapes:
    """`count` members of a family, posed at random, bounding box centred at 0 with the longest side 1.6. Members too
    empty or too thin to be useful are drawn again. Raises KeyError for an unknown family."""
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
    draws = ProgramDraws(program, table)
    field = _posed(draws, _detailed(draws, recipe, _warped(draws, recipe, recipe.build(draws))))
    low, high = _bounds(Shapes(family, draws.count, field), table.device)
    centre, scale = (low + high) / 2, SIDE / (high - low).amax(1, keepdim=True).clamp(min=1e-3)

    def canonical(p: Tensor) -> Tensor:
        return field(torch.addcmul(centre[:, :, None], p, 1 / scale[:, :, None])).mul_(scale)

    shapes = Shapes(family, draws.count, canonical)
    sides = (high - low) * scale
    sample = torch.rand(32768, 3, generator=torch.Generator().manual_seed(program)).to(table.device)
    distance = shapes.sdf((sample - 0.5)[None] * sides[:, None])
    solid = ((distance < 0).float().mean(1) > MIN_FILL) & (distance.amin(1) < -MIN_DEPTH)
    good = torch.isfinite(centre).all(1) & solid & (scale[:, 0] < 4) & (sides.amin(1) > 0.02)
    # a sliver that the search of the box missed
    around = (sample * 2 - 1) * 1.3
    missed = (shapes.sdf(around.expand(draws.count, -1, -1)) < 0) & (around.abs().amax(1) > SIDE / 2 * 1.01)
    return shapes, good & ~missed.any(1) & (low > -REACH).all(1) & (high < REACH).all(1)


def _bounds(shapes: Shapes, device: torch.device) -> tuple[Tensor, Tensor]:
    """Bounding boxes `(B, 3)`: a search over the whole room, then a closer one around what it found."""
    whole = torch.full((shapes.count, 3), REACH, device=device)
    low, high = _extremes(shapes, -whole, whole)
    margin = 0.08 * (high - low).amax(1, keepdim=True).clamp(min=0.1)
    closer_low, closer_high = _extremes(shapes, low - margin, high + margin)
    return torch.minimum(low, closer_low), torch.maximum(high, closer_high)


def _extremes(shapes: Shapes, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Extremes of the solids: the best candidates of the blocks of a grid climb outward, each for itself."""
    count, device = shapes.count, low.device
    cells, block, keep, tries = 36, 4, 40, 16
    axis = (torch.arange(cells, device=device) + 0.5) / cells
    unit = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(1, -1, 3)
    grid = low[:, None] + unit * (high - low)[:, None]
    signs = torch.cat((torch.eye(3), -torch.eye(3))).to(device)
    # The penalty outweighs a step along the axis, so that the best point is the extreme point of the solid. It
    # starts low, to find sharp rims between the grid points, and grows, to end inside.
    penalty = 2.0
    score = grid @ signs.T - penalty * shapes.sdf(grid).clamp(min=0)[..., None]
    score, at = max_pool3d(score.mT.reshape(count, 6, cells, cells, cells), block, return_indices=True)
    at = at.flatten(2).gather(2, score.flatten(2).topk(keep, 2).indices)  # (B, 6, keep)
    points = grid[torch.arange(count, device=device)[:, None, None], at]
    radius = (high - low).amax(1)[:, None, None, None, None] / cells
    best = torch.full((count, 6), -REACH, device=device)
    noise = torch.Generator().manual_seed(0)
    for _ in range(9):
        steps = torch.randn(count, 6, keep, tries, 3, generator=noise).to(device) * (0.6 * radius)
        steps[:, :, :, 0] = 0
        trial = points[:, :, :, None] + steps
        distance = shapes.sdf(trial.reshape(count, -1, 3)).reshape(trial.shape[:-1])
        along = (trial * signs[:, None, None]).sum(4)
        best = torch.maximum(best, torch.where(distance <= 0, along, -REACH).amax((2, 3)))
        choice = (along - penalty * distance.clamp(min=0)).argmax(3)
        points = trial.gather(3, choice[..., None, None].expand(-1, -1, -1, 1, 3))[:, :, :, 0]
        radius, penalty = radius * 0.65, penalty * 1.4
    return -best[:, 3:], best[:, :3]


def _posed(draws: ProgramDraws, field: Field) -> Field:
    upright = draws.choice(((0, 1, 2), (0, 1, 2), (1, 2, 0), (2, 0, 1)))
    fixed = torch.eye(3, device=draws.device)[list(upright)].expand(draws.count, 3, 3)
    rotation = torch.where(draws.raw(1)[..., None] < 0.7, draws.rotation(), fixed)
    origin = torch.zeros_like(rotation[:, 0])
    return lambda p: field(place(p, rotation, origin))


def _warped(draws: ProgramDraws, recipe: Family, field: Field) -> Field:
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


def _detailed(draws: ProgramDraws, recipe: Family, field: Field) -> Field:
    if not draws.chance(recipe.detail):
        return field
    relief = detail(draws)
    return lambda p: field(p) + relief(p)
