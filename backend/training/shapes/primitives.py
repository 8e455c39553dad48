"""Batched signed distance functions and operators in torch.

Points are `(B, 3, N)`; a distance is `(B, N)`, negative inside, in the units of the points.
Sizes are `(B, 1)` tensors or floats, vectors `(B, 3)`, rotations `(B, 3, 3)`; member b of a batch uses row b.
Axes of revolution are z. Formulas after I. Quilez, "distance functions" (2008).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from itertools import pairwise

import torch
from torch import Tensor

Field = Callable[[Tensor], Tensor]
Size = Tensor | float


def length(*parts: Tensor) -> Tensor:
    """Euclidean length of a vector given by its components, each `(B, N)`."""
    total = parts[0] * parts[0]
    for part in parts[1:]:
        total.addcmul_(part, part)
    return total.sqrt_()


def vector(*parts: Size) -> Tensor:
    """`(B, n)` of columns `(B, 1)` and floats, which are the same for every member."""
    like = next(part for part in parts if isinstance(part, Tensor))[:, :1]
    return torch.cat([part if isinstance(part, Tensor) else torch.full_like(like, part) for part in parts], 1)


def corner(a: Tensor, b: Tensor) -> Tensor:
    """Exact distance to the intersection of two perpendicular slabs with distances a and b."""
    return length(a.clamp(min=0), b.clamp(min=0)).add_(torch.maximum(a, b).clamp_(max=0))


def place(p: Tensor, rotation: Tensor, centre: Tensor) -> Tensor:
    """Coordinates of p in the frame whose axes are the columns of `rotation` and whose origin is `centre`."""
    inverse = rotation.transpose(1, 2)
    return torch.baddbmm(-inverse @ centre[:, :, None], inverse, p)


def move(p: Tensor, centre: Tensor) -> Tensor:
    """Coordinates of p relative to `centre`."""
    return p - centre[:, :, None]


def mirror(p: Tensor, axis: int = 0) -> Tensor:
    """p folded onto the positive side of one axis, so that whatever follows is symmetric."""
    parts = list(p.unbind(1))
    parts[axis] = parts[axis].abs()
    return torch.stack(parts, 1)


def swap(p: Tensor, x: int, y: int, z: int) -> Tensor:
    """p with its axes in another order, to point the axis of a primitive another way."""
    return p[:, [x, y, z]]


def sphere(p: Tensor, radius: Size) -> Tensor:
    """Ball."""
    return length(*p.unbind(1)).sub_(radius)


def box(p: Tensor, half: Tensor, rounding: Size = 0.0) -> Tensor:
    """Box with the half sides `half`, whose edges are rounded by `rounding` without growing it."""
    inner = half - rounding
    x, y, z = (part.abs().sub_(inner[:, i : i + 1]) for i, part in enumerate(p.unbind(1)))
    inside = torch.maximum(torch.maximum(x, y), z).clamp_(max=0)
    return length(x.clamp_(min=0), y.clamp_(min=0), z.clamp_(min=0)).add_(inside).sub_(rounding)


def extrude(outline: Tensor, z: Tensor, half_height: Size) -> Tensor:
    """Prism over a plane figure with distance `outline`, |z| < half_height."""
    return corner(outline, z.abs().sub_(half_height))


def cylinder(p: Tensor, radius: Size, half_height: Size, rounding: Size = 0.0) -> Tensor:
    """Capped cylinder along z."""
    x, y, z = p.unbind(1)
    return extrude(length(x, y).sub_(radius).add_(rounding), z, half_height - rounding).sub_(rounding)


def tube(p: Tensor, radius: Size) -> Tensor:
    """Endless cylinder along z."""
    x, y, _ = p.unbind(1)
    return length(x, y).sub_(radius)


def torus(p: Tensor, major: Size, minor: Size) -> Tensor:
    """Ring around z."""
    x, y, z = p.unbind(1)
    return length(length(x, y).sub_(major), z).sub_(minor)


def ellipsoid(p: Tensor, radii: Tensor) -> Tensor:
    """Ellipsoid, first order near the surface."""
    scaled = [part / radii[:, i : i + 1] for i, part in enumerate(p.unbind(1))]
    k0 = length(*scaled)
    k1 = length(*(part.div_(radii[:, i : i + 1]) for i, part in enumerate(scaled)))
    return (k0 - 1).mul_(k0 + 1e-4).div_(k1.add_(1e-4))


def half_space(p: Tensor, normal: Tensor, offset: Size) -> Tensor:
    """The side of a plane against its unit normal: normal . p < offset."""
    return torch.bmm(normal[:, None], p)[:, 0] - offset


def capsule(p: Tensor, a: Tensor, b: Tensor, radius_a: Size, radius_b: Size | None = None) -> Tensor:
    """Segment a-b thickened by a radius that runs linearly from `radius_a` to `radius_b`."""
    axis = b - a
    along = axis / (axis * axis).sum(1, keepdim=True).clamp(min=1e-9)
    t = (torch.bmm(along[:, None], p)[:, 0] - (along * a).sum(1, keepdim=True)).clamp_(0, 1)
    parts = [torch.addcmul(a[:, i : i + 1], t, axis[:, i : i + 1]).sub_(part) for i, part in enumerate(p.unbind(1))]
    distance = length(*parts).sub_(radius_a)
    return distance if radius_b is None else distance.addcmul_(t, radius_a - radius_b)  # type: ignore[arg-type]


def chain(p: Tensor, vertices: Tensor, radii: Tensor, closed: bool = False) -> Tensor:
    """Swept tube along a polyline: vertices `(B, S, 3)`, radii `(B, S)`."""
    nodes = list(zip(vertices.unbind(1), radii.split(1, 1), strict=True))
    pairs = zip(nodes, nodes[1:] + nodes[: int(closed)], strict=False)
    return reduce(torch.minimum, (capsule(p, a, b, first, last) for (a, first), (b, last) in pairs))


def spline(points: Tensor, segments: int, closed: bool = False) -> Tensor:
    """Catmull-Rom curve through `(B, S, D)` control points: segments + 1 points, or `segments` if closed."""
    count = points.shape[1]
    if closed:
        t = torch.arange(segments, device=points.device) * (count / segments)
    else:
        t = torch.linspace(0, count - 1, segments + 1, device=points.device).clamp(max=count - 1.0001)
    i = t.floor().long()
    f = (t - i)[None, :, None]

    def at(k: int) -> Tensor:
        index = (i + k) % count if closed else (i + k).clamp(0, count - 1)
        return points[:, index]

    a, b, c, d = at(-1), at(0), at(1), at(2)
    return b + 0.5 * f * (c - a + f * (2 * a - 5 * b + 4 * c - d + f * (3 * (b - c) + d - a)))


def polyline(x: Tensor, y: Tensor, vertices: Tensor) -> Tensor:
    """Unsigned distance in the plane to an open polyline, vertices `(B, S, 2)`."""
    return reduce(torch.minimum, (_edge(x, y, a, b) for a, b in pairwise(vertices.unbind(1)))).sqrt()


def polygon(x: Tensor, y: Tensor, vertices: Tensor, silent: int = 0) -> Tensor:
    """Signed distance in the plane to a simple polygon, vertices `(B, S, 2)`. The last `silent` edges close the figure
    but have no distance: for edges beyond the axis of a lathe."""
    edges = list(pairwise([*vertices.unbind(1), vertices[:, 0]]))
    inside = torch.zeros_like(x, dtype=torch.bool)
    for a, b in edges:
        ax, ay, ex, ey = a[:, :1], a[:, 1:], (b - a)[:, :1], (b - a)[:, 1:]
        side = torch.addcmul((y - ay).mul_(ex), x - ax, ey, value=-1) > 0
        inside ^= ((y < ay) ^ (y < b[:, 1:])) & (side ^ (ey < 0))
    distance = reduce(torch.minimum, (_edge(x, y, a, b) for a, b in edges[: len(edges) - silent])).sqrt()
    return torch.where(inside, -distance, distance)


def _edge(x: Tensor, y: Tensor, a: Tensor, b: Tensor) -> Tensor:
    edge = b - a
    along = edge / (edge * edge).sum(1, keepdim=True).clamp(min=1e-9)
    wx, wy = x - a[:, :1], y - a[:, 1:]
    t = (wx * along[:, :1]).addcmul_(wy, along[:, 1:]).clamp_(0, 1)
    wx.addcmul_(t, edge[:, :1], value=-1)
    wy.addcmul_(t, edge[:, 1:], value=-1)
    return wx.mul_(wx).addcmul_(wy, wy)


def union(a: Tensor, b: Tensor, k: Size = 0.0) -> Tensor:
    """Union; with k > 0 blended by a fillet of about that size (polynomial smooth minimum)."""
    if isinstance(k, float) and k == 0.0:
        return torch.minimum(a, b)
    h = (a - b).abs_().neg_().add_(k).clamp_(min=0)
    return torch.minimum(a, b).sub_(h.mul_(h).div_(k * 4))


def intersect(a: Tensor, b: Tensor, k: Size = 0.0) -> Tensor:
    """Intersection, blended like `union`."""
    return union(-a, -b, k).neg_()


def subtract(a: Tensor, b: Tensor, k: Size = 0.0) -> Tensor:
    """a without b, blended like `union`."""
    return union(-a, b, k).neg_()


def shell(distance: Tensor, half_thickness: Size) -> Tensor:
    """Wall of twice `half_thickness` around the surface."""
    return distance.abs().sub_(half_thickness)


def twist(p: Tensor, rate: Size) -> Tensor:
    """p turned about z by `rate` radians per unit of z."""
    x, y, z = p.unbind(1)
    c, s = torch.cos(z * rate), torch.sin(z * rate)
    return torch.stack((c * x - s * y, s * x + c * y, z), 1)


def bend(p: Tensor, rate: Size) -> Tensor:
    """p turned about y by `rate` radians per unit of x."""
    x, y, z = p.unbind(1)
    c, s = torch.cos(x * rate), torch.sin(x * rate)
    return torch.stack((c * x - s * z, y, s * x + c * z), 1)


def taper(p: Tensor, rate: Size) -> Tensor:
    """x and y scaled by 1 + rate * z."""
    x, y, z = p.unbind(1)
    scale = (z * rate).add_(1).clamp_(0.5, 2.0)
    return torch.stack((x * scale, y * scale, z), 1)


def ripple(p: Tensor, amplitude: Tensor, frequency: Tensor, phase: Tensor) -> Tensor:
    """p displaced by a sine of the next axis; amplitude, frequency, phase `(B, 3)`."""
    wave = torch.sin(p[:, [1, 2, 0]] * frequency[:, :, None] + phase[:, :, None])
    return p + wave.mul_(amplitude[:, :, None])


def waves(p: Tensor, vectors: Tensor, phases: Tensor, amplitudes: Tensor) -> Tensor:
    """Sum of K plane sines: wave vectors `(B, K, 3)` in radians per unit, phases and amplitudes `(B, K)`."""
    angles = torch.baddbmm(phases[:, :, None], vectors, p).sin_()
    return torch.bmm(amplitudes[:, None], angles)[:, 0]


def cells(p: Tensor, centres: Tensor) -> Tensor:
    """Distance to the nearest of K feature points `(B, K, 3)` (cell noise)."""
    squared = (centres * centres).sum(2, keepdim=True)
    near = torch.baddbmm(squared, centres, p, alpha=-2).amin(1)
    return near.add_((p * p).sum(1)).clamp_(min=0).sqrt_()
