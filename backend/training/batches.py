"""Training batches: shapes from the bank, turned by a symmetry of the cube and scanned anew at every draw."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..field.bricks import BLOCK, resolution
from .grids import block_position, splat, within_block
from .scanner import draw_settings, scan_points

HELD_OUT_SEEDS = 12
"""Shards with smaller seeds (one of every family) are never trained on."""
LOST_BESIDE_FOCUS = 0.2
"""Share of the draws in which a patch is lost beside the finest block."""
WHOLLY_BLIND, FINELY_BLIND = 0.02, 0.08
"""Shares of the draws without any evidence, and without it on the finer levels."""


@dataclass(frozen=True)
class Batch:
    """B scans with one chain of nested blocks each, levels 0 .. L.

    evidence (L+1)x(B, 5, 32, 32, 32); target (L+1)x(B, 1, 32, 32, 32); origins (L+1)x(B, 3); noise (B,) canonical.
    """

    evidence: list[Tensor]
    target: list[Tensor]
    origins: list[Tensor]
    noise: Tensor


class Bank:
    """The shards of a folder, in memory; new shards are picked up by `refresh`."""

    def __init__(self, folder: Path, held_out: bool = False) -> None:
        self.folder, self.held_out = folder, held_out
        self.shards: dict[Path, dict[str, np.ndarray]] = {}
        self.members: list[tuple[Path, int]] = []
        self.refresh()

    def refresh(self) -> None:
        for path in sorted(self.folder.glob("*.npz")):
            if path not in self.shards and (int(path.stem[:6]) < HELD_OUT_SEEDS) == self.held_out:
                with np.load(path, allow_pickle=False) as file:
                    self.shards[path] = {name: file[name] for name in file.files}
                self.members += [(path, member) for member in range(len(self.shards[path]["points"]))]

    def draw(self, size: int, depth: int, generator: torch.Generator, blind: float = WHOLLY_BLIND) -> Batch:
        """A batch of ``size`` scans with blocks of levels 0 .. ``depth``; blind: share of those without evidence."""
        picks = torch.randint(len(self.members), (size,), generator=generator, device=generator.device).tolist()
        scans = [self._one(self.members[pick], depth, generator, blind) for pick in picks]
        evidence, target, origins, noise = zip(*scans, strict=True)
        return Batch(
            [torch.stack(level) for level in zip(*evidence, strict=True)],
            [torch.stack(level) for level in zip(*target, strict=True)],
            [torch.stack(level) for level in zip(*origins, strict=True)],
            torch.tensor(noise, device=generator.device),
        )

    def _one(
        self, which: tuple[Path, int], depth: int, generator: torch.Generator, blind: float
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor], float]:
        path, member = which
        shard, device = self.shards[path], generator.device
        points = torch.from_numpy(shard["points"][member]).to(device).float() / 32767
        normals = torch.nn.functional.normalize(torch.from_numpy(shard["normals"][member]).to(device).float(), dim=1)
        seen = torch.from_numpy(shard["seen"][member].astype(np.int32)).to(device)
        cameras = torch.from_numpy(shard["cameras"][member]).to(device)
        settings = draw_settings(generator)
        cloud, estimated, _ = scan_points(points, normals, seen, cameras, settings, generator)

        chain = int(torch.randint(shard["origins"].shape[1], (), generator=generator, device=device))
        finest = torch.from_numpy(shard["origins"][member, chain, depth - 1].astype(np.int64)).to(device)
        kept = outside_lost_patch(cloud, block_position(finest[None], depth)[0, :3], generator)
        cloud, estimated = cloud[kept], estimated[kept]
        axes = torch.randperm(3, generator=generator, device=device)
        sign = torch.randint(2, (3,), generator=generator, device=device) * 2 - 1
        cloud, estimated = cloud[:, axes] * sign, estimated[:, axes] * sign
        first_without = first_level_without_evidence(depth, generator, blind)

        evidence, target, origins = [], [], []
        for level in range(depth + 1):
            if level == 0:
                field, origin = shard["field0"][member], np.zeros(3, np.int64)
            else:
                field = shard["fields"][member, chain, level - 1]
                origin = shard["origins"][member, chain, level - 1].astype(np.int64)
            turned = torch.from_numpy(field).to(device).float().permute(*axes.tolist())
            turned = turned.flip([axis for axis in range(3) if sign[axis] < 0])
            place = torch.from_numpy(origin).to(device)[axes]
            place = torch.where(sign > 0, place, resolution(level) - BLOCK - place)
            if level >= first_without:
                cloud, estimated = cloud[:0], estimated[:0]
            elif level:
                # the blocks are nested, so each level needs only what the one above kept
                near = within_block(cloud, place, level)
                cloud, estimated = cloud[near], estimated[near]
            evidence.append(splat(cloud, estimated, place, level))
            target.append(turned[None])
            origins.append(place)
        return evidence, target, origins, settings.noise


def outside_lost_patch(cloud: Tensor, focus: Tensor, generator: torch.Generator) -> Tensor:
    """Mask (n,) of the points outside a ball that, now and then, is lost right beside ``focus`` (3,).

    Lost patches of the scanner seldom end inside a fine block, yet that is where a ragged crust would grow.
    """
    chance, size, place = torch.rand(3, generator=generator, device=generator.device).tolist()
    if chance >= LOST_BESIDE_FOCUS:
        return torch.ones(len(cloud), dtype=torch.bool, device=cloud.device)
    radius = 0.03 * 10**size
    away = torch.nn.functional.normalize(torch.randn(3, generator=generator, device=generator.device), dim=0)
    return (cloud - (focus + away * radius * 1.3 * place)).square().sum(1) > radius**2


def first_level_without_evidence(depth: int, generator: torch.Generator, blind: float = WHOLLY_BLIND) -> int:
    """Mostly none; sometimes all levels; sometimes only the finer ones have to guess."""
    chance, place = torch.rand(2, generator=generator, device=generator.device).tolist()
    if chance < blind:
        return 0
    if chance < blind + FINELY_BLIND:
        return 1 + int(place * depth)
    return depth + 1
