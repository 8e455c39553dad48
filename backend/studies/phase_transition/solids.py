"""Three analytic families of solids in which one number, t, changes the topology, and two change geometry alone; and
fields as meshes, by the product's marching cubes.

A dumbbell whose neck breaks (b0 1 to 2), a ring whose hole closes (b1 1 to 0) and a bracket whose rib comes apart (b1 1
to 0). Every change is a saddle of the field that passes through zero: a neck with a radius like the square root of t* -
t breaks, so that a grid sees the change nearly where it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from ...field.bricks import BRICK, BrickGrid
from ...field.isosurface import extract
from ...geometry.measure import volume_and_area
from ...geometry.topology import Betti, betti_of_mesh
from ...training.grids import grid_points
from ...training.shapes.primitives import box, capsule, length, move, sphere, union, vector

NUMBERS = 3  # of a shape: t in 0 .. 1, girth and knob in -1 .. 1. B shapes are a table (B, 3)
BLEND = 0.36  # of the dumbbell's balls
SOFT = 0.18  # of the ring's inner rim: without it the hole's radius would fall linearly to zero
FILLET = 0.16  # of the bracket
CHUNK = 1 << 14  # points whose activations stay in a core's cache
NEAR = 3.0  # voxels from the surface within which bricks are filled

Field = Callable[[Tensor], Tensor]  # points (N, 3) -> signed distance (N,)


@dataclass(frozen=True)
class Family:
    name: str
    # shapes and points (B, 3, N) -> signed distance (B, N) without the knob, negative inside; exact but for blends
    body: Callable[[Tensor, Tensor], Tensor]
    knob: Callable[[Tensor], Tensor]  # shapes -> the middle (B, 3) of geometry that is local
    saddle: tuple[float, float, float]  # where the topology changes
    critical: Callable[[float], float]  # girth -> t*
    before: Betti  # the topology below t*
    after: Betti  # and above

    def field(self, shape: Tensor, p: Tensor) -> Tensor:
        """Signed distance (B, N). The knob does not change the topology."""
        knob = sphere(move(p, self.knob(shape)), 0.12 + 0.05 * shape[:, 2:])
        return union(self.body(shape, p), knob, 0.06)

    def betti(self, shape: Tensor) -> Betti:
        """Of one shape (3,)."""
        t, girth, _ = shape.tolist()
        return self.before if t < self.critical(girth) else self.after


def _balls(shape: Tensor) -> tuple[Tensor, Tensor]:
    """Half the distance and the radius (B, 1) of the dumbbell's."""
    return 0.26 + 0.18 * shape[:, :1], 0.28 + 0.03 * shape[:, 1:2]


def _dumbbell(shape: Tensor, p: Tensor) -> Tensor:
    apart, radius = _balls(shape)
    left, right = (sphere(move(p, vector(side * apart, 0, 0)), radius) for side in (-1, 1))
    return union(left, right, BLEND)


def _radii(shape: Tensor) -> tuple[Tensor, Tensor]:
    """Of the ring and of its wire (B, 1)."""
    return 0.45 + 0.03 * shape[:, 1:2], 0.14 + 0.2 * shape[:, :1]


def _ring(shape: Tensor, p: Tensor) -> Tensor:
    major, minor = _radii(shape)
    x, y, z = p.unbind(1)
    return length(length(x, y, torch.full_like(x, SOFT)).sub_(major), z).sub_(minor)


def _bracket(shape: Tensor, p: Tensor) -> Tensor:
    girth = shape[:, 1:2]
    gap, thick, radius = 0.09 + 0.2 * shape[:, :1], 0.12 + 0.02 * girth, 0.14 + 0.02 * girth
    upright = box(move(p, p.new_tensor([[-0.5, 0, 0]])), vector(thick, 0.2, 0.6), 0.04)
    lying = box(move(p, p.new_tensor([[0, 0, -0.5]])), vector(0.6, 0.2, thick), 0.04)
    solid = union(upright, lying, FILLET)
    for side, x, z in ((1, 0.3, -0.45), (-1, -0.45, 0.3)):
        along = side * 0.5**0.5 * gap
        foot, tip = vector(x, 0 * gap, z), vector(along - 0.075, 0, -along - 0.075)
        solid = union(solid, capsule(p, foot, tip, radius), FILLET)
    return solid


ONE, TUNNEL, TWO = Betti(1, 0, 0), Betti(1, 1, 0), Betti(2, 0, 0)
FAMILIES = (
    Family(
        "dumbbell neck",
        _dumbbell,
        lambda shape: vector(torch.add(*_balls(shape)), 0, 0),
        (0.0, 0.0, 0.0),
        lambda girth: (0.02 + 0.03 * girth + BLEND / 4) / 0.18,
        ONE,
        TWO,
    ),
    Family(
        "ring hole",
        _ring,
        lambda shape: vector((torch.add(*_radii(shape)).square() - SOFT**2).sqrt(), 0, 0),
        (0.0, 0.0, 0.0),
        lambda girth: (0.31 + 0.03 * girth - SOFT) / 0.2,
        TUNNEL,
        ONE,
    ),
    Family(
        "bracket rib",
        _bracket,
        lambda shape: vector(-0.5, 0 * shape[:, :1], 0.62),
        (-0.075, 0.0, -0.075),
        lambda girth: (0.05 + 0.02 * girth + FILLET / 4) / 0.2,
        TUNNEL,
        ONE,
    ),
)


def draw(count: int, seed: int) -> Tensor:
    """Shapes (count, 3): t spread evenly over 0 .. 1, the others drawn evenly."""
    generator = torch.Generator().manual_seed(seed)
    table = torch.rand(count, NUMBERS, generator=generator)
    order = torch.randperm(count, generator=generator)
    return torch.cat(((order[:, None] + table[:, :1]) / count, 2 * table[:, 1:] - 1), dim=1)


def truth(family: int, shape: Tensor, points: Tensor) -> Tensor:
    """Analytic distance (N,) of one shape (3,) at points (N, 3)."""
    return FAMILIES[family].field(shape[None], points.T.contiguous()[None])[0]


@dataclass(frozen=True)
class Mesh:
    """Closed, empty where nothing is inside."""

    vertices: NDArray  # f64 (n, 3), canonical
    faces: NDArray  # (m, 3)

    @cached_property
    def betti(self) -> Betti:
        return betti_of_mesh(self.vertices, self.faces) if len(self.faces) else Betti(0, 0, 0)

    @property
    def volume(self) -> float:
        return volume_and_area(self.vertices, self.faces)[0] if len(self.faces) else 0.0


@torch.no_grad()
def sample(field: Field, points: Tensor) -> Tensor:
    """Values (N,) at points (N, 3), by chunks."""
    return torch.cat([field(part) for part in points.split(CHUNK)])


def slopes(field: Field, points: Tensor) -> tuple[Tensor, Tensor]:
    """Values (N,) and gradients (N, 3) at points (N, 3)."""
    with torch.enable_grad():
        seen = points.detach().requires_grad_()
        values = field(seen)
        (gradient,) = torch.autograd.grad(values.sum(), seen)
    return values.detach(), gradient


def displacement(field: Field, points: Tensor) -> Tensor:
    """How far (N,) the field's surface lies outside points (N, 3), to first order."""
    values, gradient = slopes(field, points)
    return -values / gradient.norm(dim=1).clamp(min=1e-3)


def mesh_of(field: Field, side: int) -> Mesh:
    """The surface of a field by marching cubes on side^3 voxels, side a multiple of 16. Every second voxel is evaluated
    first, and only bricks within NEAR voxels of a small or a changing value are filled: a third of the work."""
    half, bricks = side // 2, side // BRICK
    rough = sample(field, grid_points(half)[0]).reshape(half, half, half).numpy()
    near = np.abs(rough) < NEAR * 2 / side
    grown, shrunk = ndimage.binary_dilation(rough < 0, np.ones((3, 3, 3))), ndimage.binary_erosion(rough < 0)
    near = np.asarray(ndimage.binary_dilation(near | (grown & np.logical_not(shrunk))))
    split = BRICK // 2
    keep = near.reshape(bricks, split, bricks, split, bricks, split).any(axis=(1, 3, 5))
    if not keep.any():
        return Mesh(np.zeros((0, 3)), np.zeros((0, 3), np.int32))
    points = grid_points(side).reshape(bricks, BRICK, bricks, BRICK, bricks, BRICK, 3).permute(0, 2, 4, 1, 3, 5, 6)
    values = sample(field, points[torch.from_numpy(keep)].reshape(-1, 3)).reshape(-1, 1, BRICK, BRICK, BRICK)
    surface = extract(BrickGrid(np.argwhere(keep).astype(np.int32), values.numpy()))
    return Mesh((surface.vertices.astype(np.float64) + 0.5) * (2 / side) - 1, surface.faces)
