"""The bank: procedural shapes with surface points, visibility and nested blocks of exact distances, and its batches.

Shapes take long to evaluate and little to scan, so each is evaluated once, stored, and scanned anew at every draw,
turned by a symmetry of the cube. A shard on disk holds the members of one draw of one family. Positions are stored in
16 bits, distances in half precision.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from scipy.spatial import ConvexHull, KDTree
from torch import Tensor
from torch.nn.functional import normalize

from ..field.bricks import BLOCK, TRUNCATION, resolution
from ..formats.files import whole_file
from .grids import Batch, block_points, block_position, grid_points, splat, within_block
from .scanner import (
    SEARCH_RESOLUTION,
    Distance,
    draw_settings,
    scan_points,
    surface_points,
    view_directions,
    visible,
)
from .shapes.families import FAMILIES, draw

POINTS = 48_000  # on the surface of a shape
VIEWS = 24  # cameras around a shape; the views that see a point are bits of one u32
CHAINS = 3  # chains of nested blocks of a shape, each around a random point of its surface
DEEPEST = 4  # level that the chains reach (512^3)
BASED, CUT = 0.35, (0.02, 0.25)  # share of the shapes whose base is cut flat, and how much of their height
HULL_POINTS = 4_000  # surface points, about, whose convex hull says how a whole shape rests
SAME_PLANE = np.cos(np.radians(5))  # facets of the hull whose normals differ by less are one plane to rest on
HELD_OUT_SEEDS = 12  # shards with smaller seeds (one of every family) are never trained on
LOST_BESIDE_FOCUS = 0.2  # share of the draws in which a patch is lost beside the finest block
WHOLLY_BLIND, FINELY_BLIND = 0.02, 0.08  # shares of the draws without any evidence, and without it on the finer levels


def make_shard(family: str, count: int, seed: int, device: str = "cpu") -> dict[str, np.ndarray]:
    """Everything that training needs of ``count`` members of one family.

    points: i16 (B, P, 3), canonical * 32767. normals: i8 (B, P, 3), * 127. seen: u32 (B, P), a bit for each view.
    cameras: f32 (B, V, 3), unit directions. up: f32 (B, 3), the unit way up where a member stands on a table.
    origins: i16 (B, C, L, 3), first voxels of the blocks of levels 1 .. L.
    field0: f16 (B, 32, 32, 32), the field of level 0 in voxels. fields: f16 (B, C, L, 32, 32, 32), of the blocks.
    """
    generator = torch.Generator(device=device).manual_seed(seed)
    distance, cut_up = based(jittered(draw(family, count, seed, device).sdf, count, generator), count, generator)
    points, normals = surface_points(distance, count, POINTS, generator)
    rests = zip(points, cut_up, strict=True)
    up = torch.stack([rest_direction(cloud) if way.isnan().any() else way for cloud, way in rests])
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
        "up": up.cpu().numpy().astype(np.float32),
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


def based(distance: Distance, count: int, generator: torch.Generator) -> tuple[Distance, Tensor]:
    """The same shapes, some of them with a flat base: cut off by a plane as busts, casts and vessels are. Also the way
    up (B, 3) of each, NaN for those that were left whole."""
    device = generator.device
    up = normalize(torch.randn(count, 3, generator=generator, device=device), dim=1)
    centres = grid_points(SEARCH_RESOLUTION, device).expand(count, -1, -1)
    height = (centres @ up[..., None])[..., 0]
    inside = distance(centres) < 0
    low = torch.where(inside, height, torch.inf).amin(1)
    high = torch.where(inside, height, -torch.inf).amax(1)
    share = CUT[0] + (CUT[1] - CUT[0]) * torch.rand(count, generator=generator, device=device)
    whole = torch.rand(count, generator=generator, device=device) >= BASED
    floor = torch.where(whole, -torch.inf, low + share * (high - low))

    @torch.no_grad()
    def cut(points: Tensor) -> Tensor:
        return torch.maximum(distance(points), floor[:, None] - (points @ up[..., None])[..., 0])

    return cut, torch.where(whole[:, None], torch.nan, up)


def rest_direction(points: Tensor) -> Tensor:
    """The unit way up (3,) of a thing with surface points (P, 3) that rests on the largest plane of its convex hull."""
    hull = ConvexHull(points[:: max(1, len(points) // HULL_POINTS)].cpu().numpy().astype(np.float64))
    corners, facet = hull.points[hull.simplices], hull.equations[:, :3]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    alike = facet @ facet.T > SAME_PLANE
    down = (facet * area[:, None])[alike[(alike @ area).argmax()]].sum(axis=0)
    return normalize(-torch.from_numpy(down).to(points), dim=0)


def chain_origins(points: Tensor, generator: torch.Generator) -> Tensor:
    """Origins (B, L, 3) of nested blocks of levels 1 .. L around one random surface point of each shape. Even, so that
    children align with parent voxels; each child lies inside its parent, two voxels off its border."""
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
    """Signed distances (B, 32, 32, 32) in voxels, truncated. Coarse levels reach far, where a procedural distance is
    only a bound: there the distance to the surface points is measured, and only the sign is the shape's. Fine levels
    divide by the slope, exact to first order."""
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
    if level > 1:
        field = field / torch.stack(torch.gradient(field, dim=(1, 2, 3))).norm(dim=0).clamp(0.5, 1.5)
    return field.clamp(-TRUNCATION, TRUNCATION)


def write_shard(folder: Path, family: str, count: int, seed: int, device: str) -> Path:
    """The shard of a seed in ``folder``, made where it is missing."""
    path = folder / f"{seed:06d}_{family}.npz"
    if not path.exists():
        with whole_file(path) as partial, partial.open("xb") as stream:
            np.savez(stream, **make_shard(family, count, seed, device))  # type: ignore[arg-type]
    return path


Member = tuple[Path, int]  # a shape of the bank: its shard and its number there


class Bank:
    """The shards of a folder, in memory; new shards are picked up by `refresh`."""

    def __init__(self, folder: Path, held_out: bool = False) -> None:
        self.folder, self.held_out = folder, held_out
        self.shards: dict[Path, dict[str, np.ndarray]] = {}
        self.members: list[Member] = []
        self.refresh()

    def refresh(self) -> None:
        """Read the shards that have come since."""
        for path in sorted(self.folder.glob("*.npz")):
            if path not in self.shards and (int(path.stem[:6]) < HELD_OUT_SEEDS) == self.held_out:
                with np.load(path, allow_pickle=False) as file:
                    self.shards[path] = {name: file[name] for name in file.files}
                self.members += [(path, member) for member in range(len(self.shards[path]["points"]))]

    def surface(self, member: Member, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Points (P, 3), unit normals (P, 3), bits of the views that see each point (P,), cameras (V, 3)."""
        path, number = member
        points, normals, seen, cameras = (
            torch.from_numpy(self.shards[path][name][number].astype(kind)).to(device)
            for name, kind in (("points", "f4"), ("normals", "f4"), ("seen", "i4"), ("cameras", "f4"))
        )
        return points / 32767, normalize(normals, dim=1), seen, cameras

    def up(self, member: Member, device: torch.device | str = "cpu") -> Tensor:
        """The unit way up (3,) of a member that stands on a table."""
        path, number = member
        return torch.from_numpy(self.shards[path]["up"][number]).to(device)

    def draw(self, size: int, depth: int, generator: torch.Generator, blind: float = WHOLLY_BLIND) -> Batch:
        """A batch of ``size`` scans with blocks of levels 0 .. ``depth``; blind: share of those without evidence."""
        picks = torch.randint(len(self.members), (size,), generator=generator, device=generator.device).tolist()
        scans = [self._one(self.members[pick], depth, generator, blind) for pick in picks]
        *levels, noise = zip(*scans, strict=True)
        evidence, target, origins = ([torch.stack(level) for level in zip(*part, strict=True)] for part in levels)
        return Batch(evidence, target, origins, torch.tensor(noise, device=generator.device))

    def _one(
        self, member: Member, depth: int, generator: torch.Generator, blind: float
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor], float]:
        shard, number, device = self.shards[member[0]], member[1], generator.device
        settings = draw_settings(generator)
        cloud, estimated, _ = scan_points(*self.surface(member, device), settings, generator, self.up(member, device))

        chain = int(torch.randint(shard["origins"].shape[1], (), generator=generator, device=device))
        finest = torch.from_numpy(shard["origins"][number, chain, depth - 1].astype(np.int64)).to(device)
        kept = outside_lost_patch(cloud, block_position(finest[None], depth)[0, :3], generator)
        cloud, estimated = cloud[kept], estimated[kept]
        axes = torch.randperm(3, generator=generator, device=device)
        sign = torch.randint(2, (3,), generator=generator, device=device) * 2 - 1
        cloud, estimated = cloud[:, axes] * sign, estimated[:, axes] * sign
        first_without = first_level_without_evidence(depth, generator, blind)

        evidence, target, origins = [], [], []
        for level in range(depth + 1):
            at = number, chain, level - 1
            field = shard["fields"][at] if level else shard["field0"][number]
            origin = shard["origins"][at].astype(np.int64) if level else np.zeros(3, np.int64)
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
    """Mask (n,) of the points outside a ball that, now and then, is lost right beside ``focus`` (3,). Lost patches of
    the scanner seldom end inside a fine block, yet that is where a ragged crust would grow."""
    chance, size, place = torch.rand(3, generator=generator, device=generator.device).tolist()
    if chance >= LOST_BESIDE_FOCUS:
        return torch.ones(len(cloud), dtype=torch.bool, device=cloud.device)
    radius = 0.03 * 10**size
    away = normalize(torch.randn(3, generator=generator, device=generator.device), dim=0)
    return (cloud - (focus + away * radius * 1.3 * place)).square().sum(1) > radius**2


def first_level_without_evidence(depth: int, generator: torch.Generator, blind: float) -> int:
    """Mostly none; sometimes all levels; sometimes only the finer ones have to guess."""
    chance, place = torch.rand(2, generator=generator, device=generator.device).tolist()
    if chance < blind:
        return 0
    if chance < blind + FINELY_BLIND:
        return 1 + int(place * depth)
    return depth + 1


def turned_fields(bank: Bank, turns: int, generator: torch.Generator) -> Tensor:
    """Level-0 fields (n * turns, 1, 32, 32, 32) of every shape of a bank, each under random symmetries of the cube."""
    device, found = generator.device, []
    for path, member in bank.members:
        field = torch.from_numpy(bank.shards[path]["field0"][member]).to(device).float()
        for _ in range(turns):
            axes = torch.randperm(3, generator=generator, device=device).tolist()
            flipped = torch.randint(2, (3,), generator=generator, device=device).nonzero()[:, 0].tolist()
            found.append(field.permute(axes).flip(flipped))
    return torch.stack(found)[:, None]


def fill_bank(folder: Path, shards: int, members: int, device: str, first_seed: int = 0) -> None:
    """Make the shards that are missing, one for each seed; those of the smallest seeds are held out."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(first_seed, first_seed + shards):
        write_shard(folder, FAMILIES[seed % len(FAMILIES)], members, seed, device)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m backend.training.bank", description="Fill a bank of shapes.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shards", type=int, default=24)
    parser.add_argument("--members", type=int, default=8, help="shapes in a shard")
    parser.add_argument("--first-seed", type=int, default=0, help="several processes may each fill seeds of their own")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=0)
    options = parser.parse_args(argv)
    if options.threads:
        torch.set_num_threads(options.threads)
    fill_bank(options.folder, options.shards, options.members, options.device, options.first_seed)


if __name__ == "__main__":
    main()
