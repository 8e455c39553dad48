"""Voxel grids of the levels, in torch: voxel centres, evidence of points, blocks under their parents."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from ..field.blocks import PARENT
from ..field.bricks import ABSENT_LOG_SCALE, BLOCK, TRUNCATION, resolution, voxel_size
from .atom import EVIDENCE


@dataclass(frozen=True)
class Batch:
    """B scans with one chain of nested blocks each; lists hold a tensor for each of the levels 0 .. L."""

    evidence: list[Tensor]  # (B, 5, 32, 32, 32), see `splat`
    target: list[Tensor]  # (B, 1, 32, 32, 32): true signed distance in voxels, truncated
    origins: list[Tensor]  # (B, 3): first voxel of the block on the grid of its level
    noise: Tensor  # (B,): standard deviation of a range, canonical


def grid_points(size: int, device: torch.device | str = "cpu") -> Tensor:
    """Centres (1, size^3, 3) of the voxels that divide [-1, 1]^3, last axis fastest."""
    axis = (torch.arange(size, device=device) + 0.5) * (2.0 / size) - 1
    return torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1).reshape(1, -1, 3)


def block_points(origins: Tensor, level: int) -> Tensor:
    """Canonical voxel centres (B, 32^3, 3) of blocks with integer ``origins`` (B, 3) on the grid of ``level``."""
    axis = torch.arange(BLOCK, device=origins.device)
    offsets = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1).reshape(1, -1, 3)
    return (origins[:, None] + offsets + 0.5) * (2.0 / resolution(level)) - 1


def block_position(origins: Tensor, level: int) -> Tensor:
    """The atom's position input (B, 4): canonical centre of the block and the voxel size."""
    voxel = voxel_size(level)
    centre = (origins + BLOCK / 2) * voxel - 1
    return torch.cat([centre, torch.full_like(centre[:, :1], voxel)], dim=1)


def within_block(points: Tensor, origin: Tensor, level: int) -> Tensor:
    """Indices of the points (n, 3) that lie in the block at ``origin``."""
    local = (points + 1) * (resolution(level) / 2) - origin
    return ((local >= 0) & (local < BLOCK)).all(1).nonzero()[:, 0]


def splat(points: Tensor, normals: Tensor, origin: Tensor, level: int) -> Tensor:
    """Evidence (5, 32, 32, 32) of one block: per voxel the number of points, the sum of their normals and of
    normal . position, positions in voxels from the centre of the block. `field.evidence` does the same in numpy.
    """
    local = (points + 1) * (resolution(level) / 2) - origin
    inside = within_block(points, origin, level)
    local, normal = local[inside], normals[inside]
    voxel = local.floor().long()
    index = (voxel[:, 0] * BLOCK + voxel[:, 1]) * BLOCK + voxel[:, 2]
    moment = (normal * (local - BLOCK / 2)).sum(1, keepdim=True)
    rows = torch.cat([torch.ones_like(moment), normal, moment], dim=1)
    sums = torch.zeros(BLOCK**3, EVIDENCE, device=points.device).index_add_(0, index, rows)
    return sums.T.reshape(EVIDENCE, BLOCK, BLOCK, BLOCK)


def parent_block(field: Tensor, origins: Tensor, child_origins: Tensor) -> Tensor:
    """Part (B, 2, 18, 18, 18) of parent blocks under child blocks, with one voxel of halo; outside the domain all is
    empty."""
    mean = pad(field[:, :1].clamp(-TRUNCATION, TRUNCATION), (PARENT,) * 6, value=TRUNCATION)
    padded = torch.cat([mean, pad(field[:, 1:], (PARENT,) * 6, value=ABSENT_LOG_SCALE)], dim=1)
    start = (torch.div(child_origins, 2, rounding_mode="floor") - 1 - origins + PARENT).tolist()
    places = [tuple(slice(first, first + PARENT) for first in corner) for corner in start]
    return torch.stack([block[:, x, y, z] for block, (x, y, z) in zip(padded, places, strict=True)])
