"""The virtual scanner: points on procedural shapes, which of them a camera sees, and noisy, partial scans of them.

Settings are drawn first and a scan is made from them, so that tests and demonstrations can fix what training draws.
All lengths are canonical. Random numbers come from one generator, on the device of the points.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from .grids import grid_points

Distance = Callable[[Tensor], Tensor]  # (B, N, 3) canonical points -> (B, N) signed distances

SEARCH_RESOLUTION = 48  # voxels along each side of the grid on which surfaces are searched for
LARGEST_RESIDUE = 1.5e-3  # distance from the surface (canonical) beyond which a projected point is replaced
CAMERA_DISTANCE = 3.5  # canonical units; 2.2 times the longest side
DEPTH_PIXELS = 128  # pixels along each side of the depth buffer that decides what a camera sees
TANGENT_OF_HALF_ANGLE = 0.36  # of the cameras' field of view
LARGEST_INCIDENCE = math.radians(75.0)  # a sensor gets nothing back from a surface that is more slanted
FLYING_SD = 0.05  # standard deviation of the range at a depth edge
ON_TABLE, FROM_ONE_SIDE = 0.4, 0.1  # shares of the random scans


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
    normals = normalize(slope, dim=-1)
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
        right = normalize(torch.linalg.cross(helper, direction), dim=0)
        up = torch.linalg.cross(direction, right)
        offset = points - eye
        depth = -(offset @ direction)
        scale = DEPTH_PIXELS / (2 * TANGENT_OF_HALF_ANGLE)
        row, column = (
            (offset @ axis / depth * scale + DEPTH_PIXELS / 2).long().clamp(0, DEPTH_PIXELS - 1) for axis in (up, right)
        )
        pixel = row * DEPTH_PIXELS + column
        nearest = torch.full((DEPTH_PIXELS**2,), 1e3, device=points.device)
        nearest.scatter_reduce_(0, pixel, depth, "amin")
        cosine = -(offset * normals).sum(1) / offset.norm(dim=1)
        # a slanted surface spans this much depth inside one pixel
        tolerance = depth / scale * (1.5 + (1 - cosine.square()).clamp(min=0).sqrt() / cosine.clamp(min=0.2))
        seen.append((cosine > math.cos(LARGEST_INCIDENCE)) & (depth < nearest[pixel] + tolerance))
    return torch.stack(seen)


@dataclass(frozen=True)
class ScanSettings:
    """How a shape is scanned."""

    views: int = 6  # cameras
    noise: float = 0.005  # standard deviation of a range at normal incidence
    density: tuple[float, ...] = (1.0,)  # share of the rays of each view that return
    flying: float = 0.005  # share of the rays that have the range error of a depth edge, see FLYING_SD
    stray: float = 0.0  # share of points that lie anywhere in the box
    patches: int = 0  # balls of lost points
    patch_radius: float = 0.11
    shift: float = 0.0  # misregistration of a view: standard deviation along each axis
    turn: float = 0.0  # misregistration of a view: standard deviation about each axis (radians)
    normal_noise: float = 0.08  # standard deviation of the normals' direction (radians)
    normal_cell: float = 0.0  # normals are averaged over cells of this size; 0: not
    flipped: float = 0.0  # share of normals with the wrong sign
    blind: float = 0.0  # share of the scan that a plane cuts off
    above: float = -1.0  # least cosine of a camera's direction with the way up; -1: cameras are all around
    sided: float = -1.0  # the same with a direction drawn at random: a scan from one side


def draw_settings(generator: torch.Generator) -> ScanSettings:
    """Settings of a random scan: from a clean turntable to three noisy, misregistered views with lost patches; on a
    table, from all around, or from one side."""

    def uniform(low: float = 0.0, high: float = 1.0) -> float:
        return float(torch.rand((), generator=generator, device=generator.device)) * (high - low) + low

    views = (2, 3, 3, 4, 5, 6, 6, 6, 8, 10, 12, 14)[int(uniform(0, 12))]
    noise = 0.0 if uniform() < 0.2 else 0.001 * 30 ** uniform()
    place = uniform()
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
        above=uniform(0.0, 0.3) if place < ON_TABLE else -1.0,
        sided=uniform(0.2, 0.6) if place > 1 - FROM_ONE_SIDE else -1.0,
    )


def scan_points(
    points: Tensor,
    normals: Tensor,
    seen: Tensor,
    cameras: Tensor,
    settings: ScanSettings,
    generator: torch.Generator,
    up: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Scan points (n, 3), unit normals (n, 3) and unit directions to the sensor (n, 3). points, normals (P, 3) on the
    surface; seen i32 (P,), bit v set where camera v sees the point; cameras (V, 3) unit directions; up (3,): the unit
    way up of what stands on a table, for `ScanSettings.above`."""
    device = points.device

    def random(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, device=device)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, device=device)

    views = []
    chosen = torch.randperm(len(cameras), generator=generator, device=device)
    if up is not None and settings.above > -1:
        chosen = facing(chosen, cameras @ up, settings.above)
    if settings.sided > -1:
        chosen = facing(chosen, cameras @ normalize(normal(3), dim=0), settings.sided)
    for number, view in enumerate(chosen[: settings.views].tolist()):
        density = settings.density[number % len(settings.density)]
        hit = ((seen >> view) & 1).nonzero()[:, 0]
        hit = hit[random(len(hit)) < density]
        ray = normalize(cameras[view] * CAMERA_DISTANCE - points[hit], dim=1)
        cosine = (ray * normals[hit]).sum(1).clamp(min=0.05)
        returned = random(len(hit)) < cosine
        hit, ray, cosine = hit[returned], ray[returned], cosine[returned]
        error = normal(len(hit)) * (cosine.rsqrt().clamp(max=2.0) * settings.noise)
        flying = random(len(hit)) < settings.flying
        error = error + flying * normal(len(hit)) * FLYING_SD
        cloud = points[hit] + error[:, None] * ray
        if settings.shift or settings.turn:
            turn = normal(3) * settings.turn
            cloud = cloud + torch.linalg.cross(turn.expand_as(cloud), cloud) + normal(3) * settings.shift
        views.append((cloud, ray, normals[hit]))
    cloud, to_sensor, facing_out = map(torch.cat, zip(*views, strict=True))

    keep = torch.ones(len(cloud), dtype=torch.bool, device=device)
    for _ in range(settings.patches):
        centre = points[torch.randint(len(points), (1,), generator=generator, device=device)]
        keep &= (cloud - centre).square().sum(1) > settings.patch_radius**2
    if settings.blind and len(cloud):
        along = cloud @ normalize(normal(3), dim=0)
        keep &= along >= along.quantile(settings.blind) if len(along) < 10_000_000 else keep
    cloud, to_sensor, facing_out = cloud[keep], to_sensor[keep], facing_out[keep]

    stray = 2 * random(int(settings.stray * len(cloud)), 3) - 1
    if len(stray):
        cloud = torch.cat([cloud, stray])
        to_sensor = torch.cat([to_sensor, normalize(normal(len(stray), 3), dim=1)])
        facing_out = torch.cat([facing_out, normalize(normal(len(stray), 3), dim=1)])

    estimated = facing_out
    if settings.normal_cell:
        estimated = cell_means(cloud, estimated, settings.normal_cell)
    estimated = normalize(estimated + normal(len(cloud), 3) * settings.normal_noise, dim=1)
    if settings.flipped:
        estimated = torch.where(random(len(cloud), 1) < settings.flipped, -estimated, estimated)
    return cloud, estimated, to_sensor


def facing(chosen: Tensor, cosine: Tensor, least: float) -> Tensor:
    """Of cameras ``chosen`` (V,) those whose cosine (V,) with a direction is at least ``least``; the best where none
    is."""
    kept = chosen[cosine[chosen] >= least]
    return kept if len(kept) else cosine.argmax()[None]


def cell_means(points: Tensor, values: Tensor, cell: float) -> Tensor:
    """Mean of ``values`` (n, 3) over the points that share a cubic cell: what neighbour-based estimators blur."""
    index = ((points + 2) / cell).floor().long()
    side = int(4 / cell) + 2
    key = (index[:, 0] * side + index[:, 1]) * side + index[:, 2]
    _, group = torch.unique(key, return_inverse=True)
    sums = torch.zeros(int(group.max()) + 1 if len(group) else 0, 3, device=points.device)
    return sums.index_add_(0, group, values)[group]
