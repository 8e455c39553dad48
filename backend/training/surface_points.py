"""Points on the zero set of procedural shapes, and which of them each viewpoint sees."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from .grids import grid_points

Distance = Callable[[Tensor], Tensor]
"""(B, N, 3) canonical points -> (B, N) signed distances."""

SEARCH_RESOLUTION = 48
LARGEST_RESIDUE = 1.5e-3
"""Points that projection leaves farther than this (canonical) from the surface are replaced by others."""
CAMERA_DISTANCE = 3.5
"""Canonical units; 2.2 times the longest side."""
DEPTH_PIXELS = 128
TANGENT_OF_HALF_ANGLE = 0.36
LARGEST_INCIDENCE = math.radians(75.0)


def surface_points(distance: Distance, shapes: int, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Points (B, count, 3) spread evenly over the surfaces and their outward unit normals (B, count, 3)."""
    device = generator.device
    voxel = 2.0 / SEARCH_RESOLUTION
    centres = grid_points(SEARCH_RESOLUTION, device)
    value = distance(centres.expand(shapes, -1, -1))
    near = (value.abs() < voxel).float() + 1e-12
    drawn = torch.multinomial(near, int(count * 1.15), replacement=True, generator=generator)
    jitter = torch.rand(shapes, drawn.shape[1], 3, generator=generator, device=device) - 0.5
    points = centres[0][drawn] + jitter * voxel
    for reach in (5e-3, 1e-3):
        value, slope = value_and_slope(distance, points, reach)
        step = value / slope.square().sum(-1).clamp(min=0.04)
        points = points - (step.clamp(-2 * voxel, 2 * voxel))[..., None] * slope
    value, slope = value_and_slope(distance, points, 5e-4)
    residue = value.abs() / slope.norm(dim=-1).clamp(min=0.2)
    # every shape keeps its best `count` points; those beyond the allowed residue repeat good ones
    order = residue.argsort(dim=1)[:, :count]
    good = (residue.gather(1, order) < LARGEST_RESIDUE).sum(1).clamp(min=1)
    place = torch.arange(count, device=device)[None] % good[:, None]
    order = order.gather(1, place)[..., None].expand(-1, -1, 3)
    normals = torch.nn.functional.normalize(slope, dim=-1)
    return points.gather(1, order), normals.gather(1, order)


def value_and_slope(distance: Distance, points: Tensor, reach: float) -> tuple[Tensor, Tensor]:
    """Value (B, N) and gradient (B, N, 3) from four evaluations on a tetrahedron of size ``reach``."""
    corners = points.new_tensor([[1, -1, -1], [-1, -1, 1], [-1, 1, -1], [1, 1, 1]])
    values = [distance(points + reach * corner) for corner in corners]
    slope = sum(value[..., None] * corner for value, corner in zip(values, corners, strict=True))
    return sum(values) / 4, slope / (4 * reach)  # type: ignore[operator]


def view_directions(count: int, generator: torch.Generator) -> Tensor:
    """Unit vectors (count, 3) towards cameras, spread over the sphere (spherical Fibonacci, randomly turned)."""
    device = generator.device
    index = torch.arange(count, device=device) + 0.5
    height = 1 - 2 * index / count
    angle = index * math.pi * (3 - math.sqrt(5))
    ring = (1 - height.square()).sqrt()
    lattice = torch.stack([ring * angle.cos(), ring * angle.sin(), height], dim=1)
    turn, _ = torch.linalg.qr(torch.randn(3, 3, generator=generator, device=device))
    return lattice @ turn


def visible(points: Tensor, normals: Tensor, cameras: Tensor) -> Tensor:
    """Which points (N, 3) each camera direction (V, 3) sees: bool (V, N), by a depth buffer and incidence."""
    seen = []
    for direction in cameras:
        eye = direction * CAMERA_DISTANCE
        helper = torch.eye(3, device=points.device)[direction.abs().argmin()]
        right = torch.nn.functional.normalize(torch.linalg.cross(helper, direction), dim=0)
        up = torch.linalg.cross(direction, right)
        offset = points - eye
        depth = -(offset @ direction)
        scale = DEPTH_PIXELS / (2 * TANGENT_OF_HALF_ANGLE)
        column = (offset @ right / depth * scale + DEPTH_PIXELS / 2).long().clamp(0, DEPTH_PIXELS - 1)
        row = (offset @ up / depth * scale + DEPTH_PIXELS / 2).long().clamp(0, DEPTH_PIXELS - 1)
        pixel = row * DEPTH_PIXELS + column
        nearest = torch.full((DEPTH_PIXELS**2,), 1e3, device=points.device)
        nearest.scatter_reduce_(0, pixel, depth, "amin")
        cosine = -(offset * normals).sum(1) / offset.norm(dim=1)
        # a slanted surface spans this much depth inside one pixel
        tolerance = depth / scale * (1.5 + (1 - cosine.square()).clamp(min=0).sqrt() / cosine.clamp(min=0.2))
        seen.append((cosine > math.cos(LARGEST_INCIDENCE)) & (depth < nearest[pixel] + tolerance))
    return torch.stack(seen)
