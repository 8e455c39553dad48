"""The demonstration scan: raw range maps of a procedural shape, as a scanner delivers them.

Every view is a grid of depths found by sphere tracing (Hart 1996), made noisy, with stray depths and lost patches, and
triangulated by itself; the views overlap and are not merged.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..field.bricks import BrickGrid
from ..field.isosurface import extract
from ..formats.mesh_files import save_mesh
from .grids import grid_points
from .scanner import CAMERA_DISTANCE, TANGENT_OF_HALF_ANGLE, Distance, value_and_slope
from .shapes.families import draw

FAMILY, SEED = "vessel", 2
TRACE_STEPS = 80
HIT = 1e-3


@dataclass(frozen=True)
class RangeMaps:
    """How the shape is scanned; lengths are canonical."""

    views: int = 4  # cameras, about the golden angle apart
    pixels: int = 150  # along each side of a view
    noise: float = 0.004  # standard deviation of a range at normal incidence
    flying: float = 0.004  # share of the pixels with a stray depth
    flying_sd: float = 0.04  # standard deviation of a stray depth
    patches: int = 4  # balls of lost points
    patch_radius: float = 0.12
    longest_edge: float = 0.08  # longer edges join two surfaces and make no triangle
    least_cosine: float = 0.26  # the sensor gets nothing back from a surface more slanted than 75 degrees


@torch.no_grad()
def range_maps(distance: Distance, settings: RangeMaps, generator: torch.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Vertices f32 (n, 3), canonical, and faces i32 (m, 3), front side to the sensor, of all views together."""
    vertices, faces, count = [], [], 0
    for view in range(settings.views):
        height = 0.75 - 0.9 * view / max(settings.views - 1, 1)
        angle = torch.tensor(2.4 * view)
        ring = (1 - height**2) ** 0.5
        eye = torch.stack([ring * angle.cos(), ring * angle.sin(), torch.tensor(height)]) * CAMERA_DISTANCE
        points, grid = _one_view(distance, eye, settings, generator)
        vertices.append(points)
        faces.append(_triangles(grid, points, settings.longest_edge) + count)
        count += len(points)
    cloud, triangles = torch.cat(vertices), torch.cat(faces)
    keep = torch.ones(len(cloud), dtype=torch.bool)
    for _ in range(settings.patches):
        centre = cloud[torch.randint(len(cloud), (1,), generator=generator)]
        keep &= (cloud - centre).norm(dim=1) > settings.patch_radius
    used, triangles = torch.unique(triangles[keep[triangles].all(1)], return_inverse=True)
    return cloud[used].numpy(), triangles.numpy().astype(np.int32)


def _one_view(distance: Distance, eye: Tensor, settings: RangeMaps, generator: torch.Generator) -> tuple[Tensor, ...]:
    """Noisy hits (n, 3) of one camera, and the number of the hit at each pixel (p, p), -1 where there is none."""
    forward = functional.normalize(-eye, dim=0)
    right = functional.normalize(torch.linalg.cross(torch.tensor([0.0, 0.0, 1.0]), forward), dim=0)
    up = torch.linalg.cross(forward, right)
    offset = torch.linspace(-TANGENT_OF_HALF_ANGLE, TANGENT_OF_HALF_ANGLE, settings.pixels)
    across, along = torch.meshgrid(offset, offset, indexing="xy")
    rays = functional.normalize(forward + across[..., None] * right + along[..., None] * up, dim=-1).reshape(-1, 3)
    depth = torch.full((len(rays),), CAMERA_DISTANCE - 1.8)
    for _ in range(TRACE_STEPS):
        depth += 0.8 * distance((eye + depth[:, None] * rays)[None])[0]
    value, slope = value_and_slope(distance, (eye + depth[:, None] * rays)[None], HIT)
    cosine = -(functional.normalize(slope[0], dim=1) * rays).sum(1)
    hit = (value[0].abs() < 2 * HIT) & (depth < CAMERA_DISTANCE + 1.8) & (cosine > settings.least_cosine)
    spread = settings.noise * cosine[hit].rsqrt()
    error = torch.randn(len(spread), generator=generator) * spread
    flying = torch.rand(len(spread), generator=generator) < settings.flying
    error += flying * torch.randn(len(spread), generator=generator) * settings.flying_sd
    grid = torch.full((len(rays),), -1, dtype=torch.long)
    grid[hit] = torch.arange(int(hit.sum()))
    return eye + (depth[hit] + error)[:, None] * rays[hit], grid.reshape(settings.pixels, settings.pixels)


def _triangles(grid: Tensor, points: Tensor, longest_edge: float) -> Tensor:
    """Triangles (m, 3) between neighbouring pixels whose edges are short enough to lie on one surface."""
    a, b, c, d = grid[:-1, :-1], grid[:-1, 1:], grid[1:, :-1], grid[1:, 1:]
    candidates = torch.cat([torch.stack([a, c, b], -1).reshape(-1, 3), torch.stack([b, c, d], -1).reshape(-1, 3)])
    triangles = candidates[(candidates >= 0).all(1)]
    corners = points[triangles]
    return triangles[((corners - corners.roll(1, 1)).norm(dim=2) < longest_edge).all(1)]


@torch.no_grad()
def true_surface(distance: Distance, size: int = 128) -> tuple[np.ndarray, np.ndarray]:
    """Vertices f32 (n, 3), canonical, and faces i32 (m, 3) of the shape itself."""
    field = distance(grid_points(size))[0].reshape(1, size, size, size)
    surface = extract(BrickGrid.from_dense(field.numpy() * size / 2))
    return (surface.vertices + 0.5) * np.float32(2 / size) - 1, surface.faces


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="demo_scan", description="Write a virtual scan of a procedural shape.")
    parser.add_argument("output", type=Path)
    parser.add_argument("--truth", type=Path, help="also write the shape itself, 128^3")
    parser.add_argument("--family", default=FAMILY)
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args(argv)
    shape = draw(options.family, 1, options.seed)
    vertices, faces = range_maps(shape.sdf, RangeMaps(), torch.Generator().manual_seed(options.seed))
    save_mesh(options.output, vertices, faces)
    if options.truth:
        save_mesh(options.truth, *true_surface(shape.sdf))
    print(f"{options.output.name}: {len(vertices)} vertices, {len(faces)} triangles of {options.family} {options.seed}")


if __name__ == "__main__":
    main()
