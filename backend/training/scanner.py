"""The virtual scanner: noisy, partial, badly registered views of known surface points.

Settings are drawn, then a scan is made from them, so that tests and demonstrations can fix what training draws.
All lengths are canonical. Random numbers come from one generator, on the device of the points.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional

from .surface_points import CAMERA_DISTANCE


@dataclass(frozen=True)
class ScanSettings:
    """views: how many cameras; noise: sd of a range at normal incidence; density: share of the rays of each view
    that return; flying: share of rays at depth edges' range error; stray: share of points anywhere in the box;
    patches, patch_radius: balls of lost points; shift, turn (radians): sd per axis of a view's misregistration;
    normal_noise: sd of the normals' direction (radians); normal_cell: normals are averaged over cells of this size
    (0: not); flipped: share of normals with the wrong sign; blind: share of the scan cut off by a plane.
    """

    views: int = 6
    noise: float = 0.005
    density: tuple[float, ...] = field(default=(1.0,))
    flying: float = 0.005
    stray: float = 0.0
    patches: int = 0
    patch_radius: float = 0.11
    shift: float = 0.0
    turn: float = 0.0
    normal_noise: float = 0.08
    normal_cell: float = 0.0
    flipped: float = 0.0
    blind: float = 0.0


FLYING_SD = 0.05


def draw_settings(generator: torch.Generator) -> ScanSettings:
    """Settings of a random scan: from a clean turntable to three noisy, misregistered views with lost patches."""

    def uniform(low: float = 0.0, high: float = 1.0) -> float:
        return float(torch.rand((), generator=generator, device=generator.device)) * (high - low) + low

    views = (2, 3, 3, 4, 5, 6, 6, 6, 8, 10, 12, 14)[int(uniform(0, 12))]
    noise = 0.0 if uniform() < 0.2 else 0.001 * 30 ** uniform()
    return ScanSettings(
        views=views,
        noise=noise,
        density=tuple(10 ** uniform(-1.2 if uniform() < 0.3 else -0.3, 0.0) for _ in range(views)),
        flying=uniform(0, 0.025) if uniform() < 0.7 else 0.0,
        stray=uniform(0, 0.003) if uniform() < 0.3 else 0.0,
        patches=int(uniform(0, 8)) if uniform() < 0.5 else 0,
        patch_radius=uniform(0.05, 0.2),
        shift=uniform(0, 0.004) if uniform() < 0.5 else 0.0,
        turn=uniform(0, 0.004) if uniform() < 0.5 else 0.0,
        normal_noise=uniform(0.01, 0.1) + min(0.8, noise * uniform(5, 40)),
        normal_cell=uniform(0.01, 0.05) if uniform() < 0.5 else 0.0,
        flipped=uniform(0, 0.35) ** 2 * 4 if uniform() < 0.12 else 0.0,
        blind=uniform(0.05, 0.5) if uniform() < 0.12 else 0.0,
    )


def scan_points(
    points: Tensor, normals: Tensor, seen: Tensor, cameras: Tensor, settings: ScanSettings, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Scan points (n, 3), unit normals (n, 3) and unit directions to the sensor (n, 3).

    points, normals (P, 3) on the surface; seen i32 (P,), bit v set where camera v sees the point; cameras (V, 3) unit
    directions.
    """
    device = points.device

    def random(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, device=device)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, device=device)

    clouds, directions, facing = [], [], []
    chosen = torch.randperm(len(cameras), generator=generator, device=device)[: settings.views]
    for number, view in enumerate(chosen.tolist()):
        density = settings.density[number % len(settings.density)]
        hit = ((seen >> view) & 1).nonzero()[:, 0]
        hit = hit[random(len(hit)) < density]
        ray = functional.normalize(cameras[view] * CAMERA_DISTANCE - points[hit], dim=1)
        cosine = (ray * normals[hit]).sum(1).clamp(min=0.05)
        returned = random(len(hit)) < cosine
        hit, ray, cosine = hit[returned], ray[returned], cosine[returned]
        cloud = points[hit]
        spread = cosine.rsqrt().clamp(max=2.0) * settings.noise
        error = normal(len(cloud)) * spread
        flying = random(len(cloud)) < settings.flying
        error = error + flying * normal(len(cloud)) * FLYING_SD
        cloud = cloud + error[:, None] * ray
        if settings.shift or settings.turn:
            turn = normal(3) * settings.turn
            cloud = cloud + torch.linalg.cross(turn.expand_as(cloud), cloud) + normal(3) * settings.shift
        clouds.append(cloud)
        directions.append(ray)
        facing.append(normals[hit])
    cloud, to_sensor, facing_out = torch.cat(clouds), torch.cat(directions), torch.cat(facing)

    keep = torch.ones(len(cloud), dtype=torch.bool, device=device)
    for _ in range(settings.patches):
        centre = points[torch.randint(len(points), (1,), generator=generator, device=device)]
        keep &= (cloud - centre).square().sum(1) > settings.patch_radius**2
    if settings.blind and len(cloud):
        along = cloud @ functional.normalize(normal(3), dim=0)
        keep &= along >= along.quantile(settings.blind) if len(along) < 10_000_000 else keep
    cloud, to_sensor, facing_out = cloud[keep], to_sensor[keep], facing_out[keep]

    stray = 2 * random(int(settings.stray * len(cloud)), 3) - 1
    if len(stray):
        cloud = torch.cat([cloud, stray])
        to_sensor = torch.cat([to_sensor, functional.normalize(normal(len(stray), 3), dim=1)])
        facing_out = torch.cat([facing_out, functional.normalize(normal(len(stray), 3), dim=1)])

    estimated = facing_out
    if settings.normal_cell:
        estimated = cell_means(cloud, estimated, settings.normal_cell)
    estimated = functional.normalize(estimated + normal(len(cloud), 3) * settings.normal_noise, dim=1)
    if settings.flipped:
        estimated = torch.where(random(len(cloud), 1) < settings.flipped, -estimated, estimated)
    return cloud, estimated, to_sensor


def cell_means(points: Tensor, values: Tensor, cell: float) -> Tensor:
    """Mean of ``values`` (n, 3) over the points that share a cubic cell: what neighbour-based estimators blur."""
    index = ((points + 2) / cell).floor().long()
    side = int(4 / cell) + 2
    key = (index[:, 0] * side + index[:, 1]) * side + index[:, 2]
    _, group = torch.unique(key, return_inverse=True)
    sums = torch.zeros(int(group.max()) + 1 if len(group) else 0, 3, device=points.device)
    return sums.index_add_(0, group, values)[group]
