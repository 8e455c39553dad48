"""A family whose factors are known: mugs, upright and at a fixed scale, so that each factor moves alone.

The measures of disentanglement need every factor that varies and no other (Locatello et al. 2019), hence no pose, no
warp, no detail and no fitting into the canonical box. The axis is vertical, the base and the places where the handle
meets the body stand still, and shapes are measured (`descriptors`) relative to the body, as the factors are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .primitives import chain, length, polygon

FACTORS = ("height", "width", "flare", "floor", "handle", "foot")
LOW = (1.05, 0.36, -0.1, 0.15, 0.16, 0.0)
HIGH = (1.45, 0.50, 0.2, 0.60, 0.38, 0.14)
"""Ranges in canonical units: of the whole mug, radius of the body, how far the rim stands out from it, thickness of
the floor, how far the middle of the handle and the foot stand out. Each is several voxels of level 0 (1/16)."""

AXIS = -3 / 16  # x of the axis, a border of voxels at every resolution from 32: the handle fills the other side
BASE, FOOT_TOP, SHOULDER = -0.7, -0.575, 0.1  # heights: base, top of the foot, where the wall begins to flare
GRIP = (-0.4, 0.0)  # heights of the two arms of the handle
TUBE, WALL = 0.07, 0.13
BURIED = 1e-5  # points deeper than this lie inside another part


@dataclass(frozen=True)
class Mugs:
    """B mugs. factors (B, 6) in 0 .. 1, in the order of FACTORS."""

    factors: Tensor

    @torch.no_grad()
    def sdf(self, points: Tensor) -> Tensor:
        """Signed distance (B, N), negative inside, at canonical points (B, N, 3): exact outside and near it."""
        x, y, z = points.unbind(2)
        x = x - AXIS
        body = polygon(length(x, y), z, self._outline, silent=1)
        curve, radii = self._handle
        return torch.minimum(body, chain(torch.stack((x, y, z), 1), curve, radii))

    @torch.no_grad()
    def surface(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Points (B, count, 3) spread evenly over the surfaces and their outward unit normals (B, count, 3), drawn part
        by part in closed form; those inside another part repeat good ones, which are most."""
        shapes = len(self.factors)
        outline, curve = self._outline, self._handle[0]
        start, edge = outline[:, :-1].clone(), outline.diff(dim=1)
        # the first and the last edge come from beyond the axis
        start[:, 0, 0] = 0
        edge[:, 0, 0], edge[:, -1, 0] = outline[:, 1, 0], -outline[:, -2, 0]
        reach = edge.norm(dim=2)
        sides = math.pi * (2 * start[..., 0] + edge[..., 0]) * reach
        arms = curve.diff(dim=1)
        tubes = 2 * math.pi * TUBE * arms.norm(dim=2)
        corners = torch.full_like(tubes[:, :2], 4 * math.pi * TUBE**2)
        drawn = int(count * 1.25)
        part = torch.multinomial(torch.cat((sides, tubes, corners), 1), drawn, replacement=True, generator=generator)
        along, around = torch.rand(2, shapes, drawn, generator=generator)
        cosine, sine = torch.cos(2 * math.pi * around), torch.sin(2 * math.pi * around)

        def of(table: Tensor, index: Tensor) -> Tensor:
            index = index.clamp(0, table.shape[1] - 1)
            return table.gather(1, index[..., None].expand(-1, -1, table.shape[2]))

        a, e = of(start, part), of(edge, part)
        # the density along a cone's side grows with its radius
        first, last = a[..., 0], a[..., 0] + e[..., 0]
        radius = (first.square() + along * (last.square() - first.square())).sqrt()
        slanted = (last - first).abs() > 1e-6
        t = torch.where(slanted, (radius - first) / torch.where(slanted, last - first, torch.ones_like(last)), along)
        out = torch.stack((e[..., 1], -e[..., 0]), 2) / e.norm(dim=2, keepdim=True).clamp(min=1e-9)
        turned = torch.stack((radius * cosine, radius * sine, a[..., 1] + t * e[..., 1]), 2)
        facing = torch.stack((out[..., 0] * cosine, out[..., 0] * sine, out[..., 1]), 2)

        number = part - sides.shape[1]
        arm = of(arms, number)
        direction = torch.nn.functional.normalize(arm, dim=2)
        # the handle lies in the plane y = 0
        across = torch.stack((-direction[..., 2], torch.zeros_like(along), direction[..., 0]), 2)
        ring = across * cosine[..., None]
        ring[..., 1] = sine
        height = 2 * along - 1
        width = (1 - height.square()).sqrt()
        ball = torch.stack((width * cosine, width * sine, height), 2)
        is_ball = (number >= arms.shape[1])[..., None]
        normal = torch.where(is_ball, ball, ring)
        middle = torch.where(is_ball, of(curve, number - arms.shape[1] + 1), of(curve, number) + along[..., None] * arm)
        is_body = (number < 0)[..., None]
        points = torch.where(is_body, turned, middle + TUBE * normal)
        points[..., 0] += AXIS
        normals = torch.where(is_body, facing, normal)
        good = self.sdf(points) > -BURIED
        order = torch.argsort((~good).byte(), dim=1, stable=True)
        place = torch.arange(count)[None] % good.sum(1, keepdim=True)
        order = order.gather(1, place)[..., None].expand(-1, -1, 3)
        return points.gather(1, order), normals.gather(1, order)

    @property
    def _sizes(self) -> tuple[Tensor, ...]:
        low, high = (self.factors.new_tensor(values) for values in (LOW, HIGH))
        return (low + self.factors * (high - low)).split(1, 1)

    @property
    def _outline(self) -> Tensor:
        """(B, 9, 2) of (radius, height), from the axis along the underside, up the wall and down into the well."""
        height, width, flare, floor, _, foot = self._sizes
        far, base, zero = torch.full_like(width, -1.0), torch.full_like(width, BASE), torch.zeros_like(width)
        top, rim = BASE + height, width + flare
        rows = (
            far, base, width + foot, base, width + foot, zero + FOOT_TOP, width, zero + FOOT_TOP,
            width, zero + SHOULDER, rim, top, rim - WALL, top, width - WALL, zero + SHOULDER,
            width - WALL, base + floor, far, base + floor,
        )  # fmt: skip
        return torch.cat(rows, 1).reshape(-1, len(rows) // 2, 2)

    @property
    def _handle(self) -> tuple[Tensor, Tensor]:
        """Middle line (B, 4, 3) from the axis, and radii (B, 4)."""
        _, width, _, _, reach, _ = self._sizes
        zero = torch.zeros_like(width)
        near, away = width - WALL / 2, width + reach
        low, high = zero + GRIP[0], zero + GRIP[1]
        rows = (near, zero, low, away, zero, low, away, zero, high, near, zero, high)
        return torch.cat(rows, 1).reshape(-1, 4, 3), torch.full_like(zero, TUBE).expand(-1, 4)


def known_factors(count: int, seed: int, correlation: float = 0.0) -> tuple[Tensor, Mugs]:
    """Factors (count, 6), uniform in 0 .. 1, and the mugs that have them. correlation: of any two factors' normal
    scores (0 .. 1, below 1). In real collections large things have large handles. Raises ValueError outside of that
    range."""
    if not 0 <= correlation < 1:
        raise ValueError(f"a correlation lies between 0 and 1, not at {correlation}")
    generator = torch.Generator().manual_seed(seed)
    if correlation == 0:
        factors = torch.rand(count, len(FACTORS), generator=generator)
    else:
        shared, own = (torch.randn(count, n, generator=generator) for n in (1, len(FACTORS)))
        factors = torch.special.ndtr(math.sqrt(correlation) * shared + math.sqrt(1 - correlation) * own)
    return factors, Mugs(factors)


def descriptors(field: NDArray) -> NDArray[np.float64]:
    """What is measured of decoded mugs (B, 6), canonical units, in the order of FACTORS. field (B, n, n, n): signed
    distances over [-1, 1]^3 in any unit, n a multiple of 32. Surfaces are found between voxels by linear interpolation,
    whatever the slope of the field."""
    values = np.asarray(field, np.float64)
    size = values.shape[-1]
    voxel = 2.0 / size
    axis = round((AXIS + 1) / voxel)
    centres = (np.arange(size) + 0.5) * voxel - 1

    def between(low: float, high: float) -> slice:
        return slice(*np.searchsorted(centres, (low, high)))

    height = _inside(values.min(axis=(1, 2))) * voxel
    # half of the extent in y, layer by layer: the handle is nowhere as wide as the body
    radii = _inside(values.min(axis=1).swapaxes(1, 2)) * (voxel / 2)
    width = radii[:, between(FOOT_TOP + 0.1, SHOULDER - 0.1)].mean(axis=1)
    foot = radii[:, between(BASE, FOOT_TOP)].mean(axis=1) - width
    below_rim = np.clip((BASE + height - RIM_DEPTH + 1) / voxel - 0.5, 0, size - 1.001)
    layer = below_rim.astype(int)
    rows, share = np.arange(len(values)), below_rim - layer
    rim = radii[rows, layer] * (1 - share) + radii[rows, layer + 1] * share
    core = values[:, axis - round(CORE / voxel) : axis + round(CORE / voxel), between(-CORE, CORE)]
    floor = _inside(core).mean(axis=(1, 2)) * voxel
    # the half of the shape beyond the axis, which is inside from there to the wall of the body or to the handle
    handle = (_inside(values[:, axis:].min(axis=(2, 3))) + 0.5) * voxel - width
    # the wall is straight from the shoulder to the rim
    rise = np.maximum(BASE + height - SHOULDER, 2 * RIM_DEPTH)
    flare = (rim - width) * rise / (rise - RIM_DEPTH)
    return np.stack((height, width, flare, floor, handle, foot), axis=1)


def _inside(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Length of the part of a line (..., n) that lies inside, in steps from one sample to the next."""
    first, second = values[..., :-1], values[..., 1:]
    low, high = np.minimum(first, second), np.maximum(first, second)
    share = np.divide(-low, high - low, out=np.ones_like(low), where=(low < 0) & (high > 0))
    return np.where(low < 0, share, 0.0).sum(axis=-1)


RIM_DEPTH = 0.1  # how far below the rim its radius is measured: the layer of the rim itself is rounded by the grid
CORE = 0.1  # the thickness of the floor is measured this far around the axis
