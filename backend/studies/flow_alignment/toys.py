"""Mixtures of round Gaussians in the plane, whose density and best velocity are known in closed form; and points that
follow the alignment loss downhill.

The paper's toys are five Gaussians, a grid of them, and curves (arXiv 2506.05240, section 4); a curve is a row of many
Gaussians here, so that its density is exact.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ...prior.flow import LATE, WHOLE
from ...prior.velocity import Draws
from ...training.flow import VelocityField, alignment, draw_pairs
from ..instruments import spearman

Span = tuple[float, float]  # first and last time

RATE = 1e-2  # of the descent, the paper's
FARTHEST, HALVINGS = 1.0, 20  # how far from a mode a level is searched for, and how often the interval is halved
ROWS = 1 << 16  # points times draws that pass through a field at a time
SIDE = 45  # points along an edge of the map
REACH = 5.0  # half the side of the mapped square, in a toy's units


@dataclass(frozen=True)
class Toy:
    """Gaussians of equal weight at centres (k, 2), whose mean is 0, with standard deviation sd, in the toy's units.
    Points are divided by ``scale``, the standard deviation of the mixture, as in the paper."""

    name: str
    centres: Tensor
    sd: float

    @cached_property
    def scale(self) -> float:
        return math.sqrt(float(self.centres.square().mean()) + self.sd**2)

    @cached_property
    def field(self) -> VelocityField:
        """The velocity that minimises the loss of the flow."""
        weights = torch.full((len(self.centres),), 1 / len(self.centres))
        return exact_velocity(self.centres / self.scale, self.sd / self.scale, weights)

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Points (count, 2)."""
        chosen = torch.randint(len(self.centres), (count,), generator=generator)
        return (self.centres[chosen] + self.sd * torch.randn(count, 2, generator=generator)) / self.scale

    def surprise(self, points: Tensor) -> Tensor:
        """Negative log likelihood (n,) of points (n, 2), in nats."""
        square = torch.cdist(points.double() * self.scale, self.centres.double()).square() / self.sd**2
        terms = len(self.centres) * 2 * math.pi * self.sd**2
        return (math.log(terms) - torch.logsumexp(-square / 2, dim=1)).float()

    def grid(self) -> Tensor:
        """SIDE x SIDE points (n, 2) over the square, the last coordinate fastest."""
        axis = torch.linspace(-REACH, REACH, SIDE) / self.scale
        return torch.cartesian_prod(axis, axis)


def five_gaussians() -> Toy:
    """The paper's first toy."""
    return Toy("five Gaussians", _circle(5, 3.0), 0.3)


def toys() -> tuple[Toy, ...]:
    """The paper's other toys: a grid, and curves as rows of Gaussians."""
    axis = torch.tensor([-3.0, -1.0, 1.0, 3.0])
    grid = torch.cartesian_prod(axis, axis)
    angle = torch.linspace(0, math.pi, 48)
    arc = 2 * torch.stack([angle.cos(), angle.sin()], dim=1)
    moons = torch.cat([arc + torch.tensor([-1.0, -0.5]), torch.tensor([1.0, 0.5]) - arc])
    rings = torch.cat([_circle(count, radius) for count, radius in ((20, 1.0), (60, 3.0))])
    # along an Archimedean spiral the arc grows as the square of the angle
    turn = 4 * math.pi * torch.linspace(0.02, 1, 96).sqrt()
    spiral = 3.5 / (4 * math.pi) * turn[:, None] * torch.stack([turn.cos(), turn.sin()], dim=1)
    placed = (("grid", grid, 0.3), ("moons", moons, 0.2), ("rings", rings, 0.2), ("spiral", spiral, 0.15))
    return tuple(Toy(name, centres - centres.mean(0), sd) for name, centres, sd in placed)


def _circle(count: int, radius: float) -> Tensor:
    angle = torch.arange(count) * (2 * math.pi / count)
    return radius * torch.stack([angle.cos(), angle.sin()], dim=1)


@dataclass(frozen=True)
class Modes:
    """Of points around the modes of a toy; lengths per standard deviation of a mode."""

    counts: tuple[int, ...]  # points nearest to each centre
    spread: float  # root mean square of a coordinate about the middle of its mode, 1 for real data
    offset: float  # how far points lie beyond their centre on the way out from the middle of all, negative inward


def modes_of(points: Tensor, toy: Toy) -> Modes:
    """Of points (n, 2) of a toy with no centre at 0."""
    own = points * toy.scale
    nearest = torch.cdist(own, toy.centres).argmin(1)
    counts = torch.bincount(nearest, minlength=len(toy.centres))
    sums = torch.zeros_like(toy.centres).index_add_(0, nearest, own)
    middles = sums / counts.clamp(min=1)[:, None]
    spread = float((own - middles[nearest]).square().mean().sqrt())
    outward = functional.normalize(toy.centres, dim=1)[nearest]
    offset = float(((own - toy.centres[nearest]) * outward).sum(1).mean())
    return Modes(tuple(counts.tolist()), spread / toy.sd, offset / toy.sd)


def agreement(loss: Tensor, surprise: Tensor, below: float = math.inf) -> tuple[float, float]:
    """Spearman's and Pearson's correlation, where the surprise is less than ``below`` nats."""
    kept = surprise < below
    one, other = loss[kept].numpy(), surprise[kept].numpy()
    return spearman(one, other), float(np.corrcoef(one, other)[0, 1])


def exact_velocity(means: Tensor, sd: float, weights: Tensor) -> VelocityField:
    """The velocity that minimises L_FM for a mixture of Gaussians N(means[k], sd^2 I), in closed form. means: (k, d);
    weights: (k,), summing to 1. Given its component, x at time t is N(t m, s^2 I) with s^2 = t^2 sd^2 + (1 - t)^2, and
    E[x1 - x0 | x] = m + (t sd^2 - (1 - t)) / s^2 (x - t m)."""

    def field(x: Tensor, t: Tensor) -> Tensor:
        t = t[:, None, None]
        square = t**2 * sd**2 + (1 - t) ** 2
        offset = x[:, None, :] - t * means
        given = means + (t * sd**2 - (1 - t)) / square * offset
        share = torch.softmax(weights.log() - 0.5 * (offset.square() / square).sum(-1), dim=1)
        return (share[..., None] * given).sum(1)

    return field


def descend(
    start: Tensor, field: VelocityField, marks: Sequence[int], seed: int, draws: int = 1, span: Span = WHOLE
) -> list[Tensor]:
    """Points (n, d) after each of these rising numbers of steps from ``start`` (n, d), by the paper's descent: Adam
    with fresh ``draws`` of time and noise for every point at every step, and no stop."""
    generator = torch.Generator().manual_seed(seed)
    moved = start.detach().clone().requires_grad_()
    optimiser = torch.optim.Adam([moved], lr=RATE)
    count, size = start.shape
    found = []
    for step in range(marks[-1] + 1):
        if step == marks[len(found)]:
            found.append(moved.detach().clone())
        times, starts = draw_pairs(count, size, draws, generator, span)
        optimiser.zero_grad(set_to_none=True)
        alignment(field, moved, times, starts).sum().backward()
        optimiser.step()
    return found


def detached(field: VelocityField) -> VelocityField:
    """The same field without a gradient by its input, as by a flag of the paper's code."""
    return lambda x, t: field(x.detach(), t)


def align(
    points: Tensor, field: VelocityField, steps: int, rate: float, stop_at: float | Tensor, draws: int, span: Span
) -> Tensor:
    """Move each point (B, d), whitened, down its L_align by Adam until it scores ``stop_at``, one level or one (B,) for
    each, as the product does: the draws are the same for all points at every step, so a good point stays where it is.
    ``stop_at`` = 0 goes on to the minimum and draws all points into the modes (the paper's pitfall)."""
    times, starts = fixed_draws(points.shape[1], draws, 0, span)
    moved = points.detach().clone().requires_grad_()
    optimiser = torch.optim.Adam([moved], lr=rate)
    for _ in range(steps):
        score = alignment(field, moved, times, starts)
        settled = score.detach() <= stop_at
        if bool(settled.all()):
            break
        optimiser.zero_grad(set_to_none=True)
        score.sum().backward()
        before = moved.detach().clone()
        optimiser.step()
        with torch.no_grad():
            moved[settled] = before[settled]
    return moved.detach()


def align_to_median(start: Tensor, field: VelocityField, real: Tensor, steps: int, draws: int = 64) -> Tensor:
    """The product's remedy: descend over all times and then over late ones, each until a point reaches the median score
    of ``real``."""
    moved = start
    for span in (WHOLE, LATE):
        own = float(losses(real, field, draws, span, seed=0).median())
        moved = align(moved, field, steps, 2 * RATE, own, draws, span=span)
    return moved


def align_to_levels(
    start: Tensor, field: VelocityField, real: Tensor, steps: int, generator: torch.Generator, draws: int = 64
) -> Tensor:
    """The same for a set of points: descend over all times to the largest score of ``real`` (n, d), then over late
    ones, each point to a level drawn from the scores of ``real``. One level for all would squeeze the set to a rim. The
    loss of fewer than some 64 draws has minima of its own, between the modes."""
    reach = float(losses(real, field, draws, WHOLE, seed=0).max())
    near = align(start, field, steps, 2 * RATE, reach, draws, span=WHOLE)
    return align(near, field, steps, 2 * RATE, _levels(len(start), field, real, generator, draws), draws, span=LATE)


def align_and_rescatter(
    start: Tensor, field: VelocityField, real: Tensor, steps: int, generator: torch.Generator, draws: int = 64
) -> Tensor:
    """Descend to the mode, and leave it in a random direction up to a level drawn from the scores of ``real``: of its
    origin a point keeps the mode alone."""
    near = align_to_levels(start, field, real, steps, generator, draws)
    end = align(near, field, steps, 2 * RATE, 0.0, draws, span=LATE)
    levels = _levels(len(start), field, real, generator, draws)
    way = functional.normalize(torch.randn(start.shape, generator=generator), dim=1)
    low, high = torch.zeros(len(start)), torch.full((len(start),), FARTHEST)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        beyond = losses(end + middle[:, None] * way, field, draws, LATE, seed=0) > levels
        low, high = torch.where(beyond, low, middle), torch.where(beyond, middle, high)
    return end + low[:, None] * way


def _levels(count: int, field: VelocityField, real: Tensor, generator: torch.Generator, draws: int) -> Tensor:
    """Late L (count,) of points of ``real``, drawn at random."""
    return losses(real, field, draws, LATE, seed=0)[torch.randint(len(real), (count,), generator=generator)]


def fixed_draws(size: int, draws: int, seed: int, span: Span) -> tuple[Tensor, Tensor]:
    """Times (1, draws) and starts (1, draws, size) that are the same for all points, as the product's are."""
    fixed = Draws.fixed(size, draws, seed, span)
    return torch.from_numpy(fixed.times)[None], torch.from_numpy(fixed.starts)[None]


@torch.no_grad()
def losses(points: Tensor, field: VelocityField, draws: int = 256, span: Span = WHOLE, seed: int = 1) -> Tensor:
    """L (n,) of points (n, d), over the same fixed draws for all."""
    times, starts = fixed_draws(points.shape[1], draws, seed, span)
    return torch.cat([alignment(field, part, times, starts) for part in points.split(max(1, ROWS // draws))])


@torch.no_grad()
def mean_loss(points: Tensor, field: VelocityField, draws: int = 100) -> float:
    """The mean L of points (n, d), over fresh draws: fixed ones would favour the points that descended on them."""
    generator = torch.Generator().manual_seed(9)
    parts = points.split(max(1, ROWS // draws))
    found = [alignment(field, part, *draw_pairs(len(part), part.shape[1], draws, generator)) for part in parts]
    return float(torch.cat(found).mean())
