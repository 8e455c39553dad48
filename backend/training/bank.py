"""The bank: procedural shapes with surface points, visibility and nested blocks of exact distances, on disk.

Evaluating shapes is dear and scanning them is cheap, so shapes are evaluated once and scanned anew at every draw.
A shard holds the members of one draw of one family. Positions are stored in 16 bits, distances in half precision.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import torch
from scipy.spatial import KDTree
from torch import Tensor

from ..field.bricks import BLOCK, TRUNCATION, resolution
from .grids import block_points
from .shapes.families import FAMILIES, draw
from .surface_points import Distance, surface_points, view_directions, visible

POINTS = 48_000
VIEWS = 24
CHAINS = 3
DEEPEST = 4
"""Chains of nested blocks reach level 4 (512^3)."""


def make_shard(family: str, count: int, seed: int, device: str = "cpu") -> dict[str, np.ndarray]:
    """Everything the trainer needs of ``count`` members of one family.

    points (B, P, 3) i16 (canonical * 32767), normals (B, P, 3) i8, seen (B, P) u32 bit per view, cameras (B, V, 3),
    origins (B, C, L, 3) i16 of blocks of level 1 .. L, field0 (B, 32, 32, 32) f16, fields (B, C, L, 32, 32, 32) f16.
    """
    generator = torch.Generator(device=device).manual_seed(seed)
    distance = jittered(draw(family, count, seed, device).sdf, count, generator)
    points, normals = surface_points(distance, count, POINTS, generator)
    cameras = torch.stack([view_directions(VIEWS, generator) for _ in range(count)])
    bits = torch.tensor([1 << view for view in range(VIEWS)], device=device, dtype=torch.int64)
    seen = torch.stack(
        [(visible(*three) * bits[:, None]).sum(0) for three in zip(points, normals, cameras, strict=True)]
    )

    trees = [KDTree(cloud) for cloud in points.cpu().numpy()]
    origins = torch.stack([chain_origins(points, generator) for _ in range(CHAINS)], dim=1)
    whole = torch.zeros(count, 3, dtype=torch.long, device=device)
    field0 = block_field(distance, whole, 0, trees)
    fields = [
        [block_field(distance, origins[:, chain, level - 1], level, trees) for level in range(1, DEEPEST + 1)]
        for chain in range(CHAINS)
    ]
    return {
        "points": (points * 32767).round().clamp(-32767, 32767).cpu().numpy().astype(np.int16),
        "normals": (normals * 127).round().cpu().numpy().astype(np.int8),
        "seen": seen.cpu().numpy().astype(np.uint32),
        "cameras": cameras.cpu().numpy().astype(np.float32),
        "origins": origins.cpu().numpy().astype(np.int16),
        "field0": field0.cpu().numpy().astype(np.float16),
        "fields": torch.stack([torch.stack(chain, 1) for chain in fields], 1).cpu().numpy().astype(np.float16),
    }


def jittered(distance: Distance, count: int, generator: torch.Generator) -> Distance:
    """The same shapes a little larger, smaller and off centre: a partial scan never gives their true box."""
    device = generator.device
    scale = 0.85 + 0.25 * torch.rand(count, 1, 1, generator=generator, device=device)
    room = (0.96 - 0.8 * scale).clamp(max=0.08)
    shift = (2 * torch.rand(count, 1, 3, generator=generator, device=device) - 1) * room

    @torch.no_grad()
    def moved(points: Tensor) -> Tensor:
        return distance((points - shift) / scale) * scale[..., 0]

    return moved


def chain_origins(points: Tensor, generator: torch.Generator) -> Tensor:
    """Origins (B, L, 3) of nested blocks of levels 1 .. L around one random surface point of each shape.

    Even, so that children align with parent voxels; each child lies inside its parent, two voxels off its border.
    """
    count, device = len(points), points.device
    chosen = torch.randint(points.shape[1], (count,), generator=generator, device=device)
    focus = points[torch.arange(count, device=device), chosen]
    parent = torch.zeros(count, 3, dtype=torch.long, device=device)
    chain = []
    for level in range(1, DEEPEST + 1):
        voxel = ((focus + 1) * (resolution(level) / 2)).floor().long()
        place = torch.randint(6, BLOCK - 6, (count, 3), generator=generator, device=device)
        # the whole domain is known above level 1, and its outside is empty: blocks may reach over its border
        low, high = (-4, 20) if level == 1 else (2, 14)
        half = torch.minimum(torch.maximum((voxel - place) // 2, parent + low), parent + high)
        parent = 2 * half
        chain.append(parent)
    return torch.stack(chain, dim=1)


def block_field(distance: Distance, origins: Tensor, level: int, trees: list[KDTree]) -> Tensor:
    """Signed distances (B, 32, 32, 32) in voxels, truncated.

    Coarse levels reach far, where a procedural distance is only a bound: there the distance to the surface points
    is measured, and only the sign is the shape's. Fine levels divide by the slope, exact to first order.
    """
    centres = block_points(origins, level)
    scale = resolution(level) / 2
    value = distance(centres)
    if level <= 1:
        reach = (TRUNCATION + 0.5) / scale
        nearest = [
            tree.query(block, distance_upper_bound=reach)[0].clip(max=reach)
            for tree, block in zip(trees, centres.cpu().numpy(), strict=True)
        ]
        measured = torch.from_numpy(np.stack(nearest)).to(value)
        # within half a point spacing of the surface the shape's own distance is the better one
        value = torch.where(value.abs() < 0.01, value, measured * value.sign())
        field = (value * scale).reshape(-1, BLOCK, BLOCK, BLOCK)
    else:
        field = (value * scale).reshape(-1, BLOCK, BLOCK, BLOCK)
        slope = torch.stack(torch.gradient(field, dim=(1, 2, 3))).norm(dim=0)
        field = field / slope.clamp(0.5, 1.5)
    return field.clamp(-TRUNCATION, TRUNCATION)


def write_shard(folder: Path, family: str, count: int, seed: int, device: str) -> Path:
    path = folder / f"{seed:06d}_{family}.npz"
    if not path.exists():
        partial = path.with_suffix(f".{os.getpid()}.part")
        with partial.open("wb") as stream:
            np.savez(stream, **make_shard(family, count, seed, device))  # type: ignore[arg-type]
        os.replace(partial, path)
    return path


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="omomi bank", description="Fill a folder with training shapes.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shards", type=int, default=24)
    parser.add_argument("--members", type=int, default=8, help="shapes in a shard")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=0)
    options = parser.parse_args(argv)
    if options.threads:
        torch.set_num_threads(options.threads)
    options.folder.mkdir(parents=True, exist_ok=True)
    for number in range(options.shards):
        seed = options.first_seed + number
        path = write_shard(options.folder, FAMILIES[seed % len(FAMILIES)], options.members, seed, options.device)
        print(path.name, flush=True)


if __name__ == "__main__":
    main()
