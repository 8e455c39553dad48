"""Meshes of known kind, made procedurally: solids of closed parts, sheets, and scans of a part of a solid's outside."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Mesh = tuple[NDArray[np.float64], NDArray[np.int64]]


def joined(*meshes: Mesh) -> Mesh:
    counts = np.cumsum([0, *(len(mesh[0]) for mesh in meshes)])
    faces = [mesh[1] + start for mesh, start in zip(meshes, counts, strict=False)]
    return np.concatenate([mesh[0] for mesh in meshes]), np.concatenate(faces)


def moved(mesh: Mesh, by: tuple[float, float, float] = (0, 0, 0), scale: object = 1.0) -> Mesh:
    return mesh[0] * np.asarray(scale) + np.asarray(by), mesh[1]


def flipped(mesh: Mesh) -> Mesh:
    return mesh[0], mesh[1][:, ::-1]


def unwelded(mesh: Mesh) -> Mesh:
    """Every face with corners of its own, as STL stores them."""
    return mesh[0][mesh[1]].reshape(-1, 3), np.arange(3 * len(mesh[1])).reshape(-1, 3)


def noisy(mesh: Mesh, sd: float, seed: int = 0) -> Mesh:
    return mesh[0] + np.random.default_rng(seed).normal(0, sd, mesh[0].shape), mesh[1]


def without(mesh: Mesh, hole: Callable[[NDArray], NDArray]) -> Mesh:
    """Without the faces whose middle ``hole`` selects, and without loose vertices."""
    points, faces = mesh
    faces = faces[~hole(points[faces].mean(axis=1))]
    used, faces = np.unique(faces, return_inverse=True)
    return points[used], faces.reshape(-1, 3)


def grid(
    shape: Callable[[NDArray, NDArray], NDArray], count: int = 40, other: int = 0, wide: float = 1.0, deep: float = 1.0
) -> Mesh:
    """The graph z of x in 0 .. wide and y in 0 .. deep; ``shape`` returns z, or points."""
    other = other or count
    x, y = np.meshgrid(np.linspace(0, wide, count), np.linspace(0, deep, other), indexing="ij")
    found = shape(x, y)
    points = np.stack([x, y, found], axis=-1) if found.ndim == 2 else found
    index = np.arange(count * other).reshape(count, other)
    a, b, c, d = (part.ravel() for part in (index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]))
    return points.reshape(-1, 3), np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])


def ball(count: int = 24, radius: object = 1.0, at: tuple[float, float, float] = (0, 0, 0)) -> Mesh:
    from tests.scan_shapes import globe

    points, faces = globe(count, 2 * count, 1.0)
    return points * np.asarray(radius) + np.asarray(at), faces.astype(np.int64)


def box(size: tuple[float, float, float], at: tuple[float, float, float] = (0, 0, 0), count: int = 9) -> Mesh:
    """A closed box with ``count`` vertices along each edge."""
    sides = []
    for axis in range(3):
        for end in (-0.5, 0.5):
            flat = grid(lambda x, y: 0 * x, count)[0]
            points = np.zeros((len(flat), 3))
            points[:, axis] = end
            points[:, (axis + 1) % 3], points[:, (axis + 2) % 3] = flat[:, 0] - 0.5, flat[:, 1] - 0.5
            faces = grid(lambda x, y: 0 * x, count)[1]
            sides.append((points, faces if end > 0 else faces[:, ::-1]))
    points, faces = joined(*sides)
    _, first, inverse = np.unique(np.round(points, 6), axis=0, return_index=True, return_inverse=True)
    return points[first] * np.array(size) + np.array(at), inverse.reshape(-1)[faces]


def ring(radius: float = 1.0, tube: float = 0.3, count: int = 48) -> Mesh:
    u, v = np.meshgrid(*[2 * np.pi * np.arange(n) / n for n in (count, count // 2)], indexing="ij")
    wide = radius + tube * np.cos(v)
    points = np.stack([wide * np.cos(u), wide * np.sin(u), tube * np.sin(v)], axis=-1).reshape(-1, 3)
    index = np.arange(len(points)).reshape(u.shape)
    right, up = np.roll(index, -1, 0), np.roll(index, -1, 1)
    both = np.roll(right, -1, 1)
    faces = [np.stack([index, right, both], -1), np.stack([index, both, up], -1)]
    return points, np.concatenate([face.reshape(-1, 3) for face in faces])


def tube(radius: float = 0.3, height: float = 1.0, count: int = 48) -> Mesh:
    """A pipe's wall, open at both ends."""

    def shape(x: NDArray, y: NDArray) -> NDArray:
        return np.stack([radius * np.cos(x), radius * np.sin(x), height * y], axis=-1)

    points, faces = grid(shape, count, count // 2, 2 * np.pi)
    _, first, inverse = np.unique(np.round(points, 9), axis=0, return_index=True, return_inverse=True)
    return points[first], inverse.reshape(-1)[faces]


def thick(mesh: Mesh, wall: float) -> Mesh:
    """A closed solid of an open mesh: its faces, those moved inwards by ``wall``, and a rim between them."""
    from backend.geometry.normals import normals_of

    points, faces = mesh
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    count = len(points)
    _, first, uses = np.unique(np.sort(edges, axis=1) @ [count, 1], return_index=True, return_counts=True)
    tail, head = edges[first[uses == 1]].T
    rim = [np.stack([head, tail, tail + count], 1), np.stack([head, tail + count, head + count], 1)]
    inner = points - wall * normals_of(points, faces)
    return np.concatenate([points, inner]), np.concatenate([faces, faces[:, ::-1] + count, *rim])


def view(mesh: Mesh, towards: tuple[float, float, float], limit: float = 0.25) -> Mesh:
    """What a scanner in one direction sees, without regard to what is in front: faces that face it."""
    direction = np.array(towards) / np.linalg.norm(towards)
    a, b, c = mesh[0][mesh[1]].transpose(1, 0, 2)
    normals = np.cross(b - a, c - a)
    facing = normals @ direction / np.linalg.norm(normals, axis=1)
    return without((mesh[0], mesh[1][facing > limit]), lambda middle: np.zeros(len(middle), bool))


def hills(x: NDArray, y: NDArray) -> NDArray:
    return 0.12 * np.sin(5 * x) * np.cos(4 * y) + 0.05 * np.sin(13 * x + 7 * y)


def leaf(x: NDArray, y: NDArray) -> NDArray:
    return 0.08 * np.sin(4 * x) + 0.4 * (y - 0.25) ** 2


def cup(count: int = 32) -> Mesh:
    """The outside of a vessel without a lid."""
    return without(ball(count), lambda middle: middle[:, 2] > 0.75)


def bumpy(count: int = 60, seed: int = 1) -> Mesh:
    """A closed body with bumps all over, finely meshed."""
    points, faces = ball(count)
    rng = np.random.default_rng(seed)
    waves = rng.normal(size=(6, 3)) * 3
    return points * (1 + 0.06 * np.sin(points @ waves.T + rng.uniform(0, 6, 6)).sum(axis=1))[:, None], faces


def scattered(make: Callable[[], Mesh], count: int, seed: int, turn: bool = True) -> Mesh:
    """Copies of a mesh, turned and placed by chance."""
    rng = np.random.default_rng(seed)
    parts = []
    for _ in range(count):
        turned = np.linalg.qr(rng.normal(size=(3, 3)))[0] if turn else np.eye(3)
        turned *= np.sign(np.linalg.det(turned))
        points, faces = make()
        parts.append((points @ turned.T + rng.uniform(-2, 2, 3), faces))
    return joined(*parts)


def holes(mesh: Mesh, radius: float, *centres: tuple[float, float]) -> Mesh:
    return without(
        mesh, lambda middle: (np.linalg.norm(middle[:, None, :2] - np.array(centres), axis=2) < radius).any(axis=1)
    )


def wall(size: tuple[float, float, float], axis: int, at: float) -> Mesh:
    flat, faces = grid(lambda x, y: 0 * x, 17)
    points = np.zeros((len(flat), 3))
    points[:, axis] = at
    points[:, (axis + 1) % 3] = (flat[:, 0] - 0.5) * size[(axis + 1) % 3]
    points[:, (axis + 2) % 3] = (flat[:, 1] - 0.5) * size[(axis + 2) % 3]
    return points, faces


def solids() -> dict[str, Mesh]:
    crossed = joined(*(box(size, count=9) for size in ((2, 0.4, 0.4), (0.4, 2, 0.4), (0.4, 0.4, 2))))
    room = (1.0, 0.8, 0.6)
    return {
        "a ball": ball(),
        "a coarse box": box((1, 2, 3), count=2),
        "a ring": ring(),
        "a noisy ball": noisy(ball(60), 0.004),
        "balls that overlap": joined(ball(), ball(16, 0.6, (0, 0, 0.9)), ball(16, (1, 0.2, 0.2), (0.7, 0, 0))),
        "crossed bars": crossed,
        "crossed bars, inside out": flipped(crossed),
        "crossed bars, unwelded": unwelded(crossed),
        "a ring through a ball": joined(ball(24, 0.7), ring(0.9, 0.15)),
        "a cluster": scattered(lambda: ball(10, 0.9), 9, 3),
        "nested shells": joined(ball(), ball(20, 0.93), ball(16, 0.88)),
        "a hollow ball": joined(ball(), flipped(ball(20, 0.7))),
        "a hollow ball, inside out": flipped(joined(ball(), flipped(ball(20, 0.7)))),
        "debris in a ball": joined(ball(), *(ball(6, 0.05, (x, 0, 0)) for x in (-0.5, 0.0, 0.4))),
        "boxes that touch": joined(box((1, 1, 1)), box((1, 1, 1), (1, 0, 0))),
        "a box with a wall inside": joined(box(room), wall(room, 0, 0.1)),
        "a box with two walls inside": joined(box(room), wall(room, 0, 0.0), wall(room, 1, 0.0)),
        "a disc in a ball": joined(ball(), without(moved(wall((2, 2, 2), 2, 0.0)), lambda m: (m**2).sum(1) > 0.9)),
        "two balls far apart": joined(ball(), ball(24, 1.0, (30, 0, 0))),
        "a ball and crumbs": joined(ball(), ball(8, 0.05, (1.3, 0, 0)), ball(8, 0.05, (0, 1.3, 0.2))),
        "a mug": thick(cup(), 0.1),
        "a pipe": thick(tube(), 0.05),
        "a thick leaf": thick(grid(leaf, 60, 30, 1, 0.5), 0.02),
        "a thin leaf": thick(grid(leaf, 60, 30, 1, 0.5), 0.004),
        "a thin plate": box((1, 0.8, 0.008), count=24),
        "a head and its earrings": joined(
            ball(24, (0.8, 0.9, 1.1)), ball(8, 0.07, (0.95, 0, 0)), ball(8, 0.07, (-0.95, 0, 0))
        ),
        "a closed bumpy body": bumpy(),
        "a kit": joined(
            box((2, 1, 0.3)), *(box((0.2, 0.2, 0.6), (x, y, -0.3)) for x in (-0.8, 0.8) for y in (-0.3, 0.3))
        ),
        "a brick wall": joined(
            *(box((0.98, 0.5, 0.48), (x + 0.5 * (z % 2), 0, z * 0.5), 5) for x in range(5) for z in range(5))
        ),
    }


def sheets() -> dict[str, Mesh]:
    return {
        "terrain": grid(hills, 60),
        "terrain far from the origin": moved(grid(hills, 60), (512345.0, 4501234.0, 812.0), 80.0),
        "terrain with holes": holes(grid(hills, 60), 0.06, (0.3, 0.4), (0.7, 0.6), (0.5, 0.2)),
        "terrain upside down": flipped(grid(hills, 60)),
        "noisy terrain": noisy(grid(hills, 60), 0.003),
        "unwelded terrain": unwelded(grid(hills, 40)),
        "steep terrain": grid(lambda x, y: 0.2 * np.sin(6 * x) * np.sin(5 * y), 60),
        "a round piece of terrain": without(grid(hills, 60), lambda m: ((m[:, :2] - 0.5) ** 2).sum(1) > 0.2),
        "a leaf": grid(leaf, 80, 40, 1, 0.5),
        "a bent sheet": grid(lambda x, y: 0.3 * x * x, 48),
        "cloth": grid(lambda x, y: 0.05 * np.sin(9 * x + 3 * y) + 0.04 * np.cos(11 * y), 60),
        "a facade": without(
            grid(lambda x, y: 0.05 * ((x * 5 % 1 > 0.3) & (y * 4 % 1 > 0.4)), 60), lambda m: m[:, 1] > 0.95
        ),
        "a plane with a bump": grid(lambda x, y: 0.3 * np.exp(-20 * ((x - 0.5) ** 2 + (y - 0.5) ** 2)), 50),
        "leaves that lie anyhow": scattered(lambda: grid(leaf, 12, 8, 1, 0.5), 14, 5),
        "cards that lie anyhow": scattered(lambda: grid(lambda x, y: 0 * x, 5, 5, 0.6, 0.9), 20, 6),
        "panels that face both ways": panels(),
        "a generated shell": thick(without(ball(60, (1, 0.8, 0.7)), lambda m: m[:, 2] < -0.65), 0.006),
        "a generated ring": thick(
            without(ring(0.7, 0.3, 96), lambda m: (m[:, 0] > 0.93) & (np.abs(m[:, 1]) < 0.1)), 0.006
        ),
        "a generated box": thick(
            without(box((1, 0.7, 0.6), count=40), lambda m: (m[:, 2] < -0.29) & (np.hypot(m[:, 0], m[:, 1]) < 0.08)),
            0.005,
        ),
    }


def panels(seed: int = 4) -> Mesh:
    """A closed body cut into panels that face out or in by chance, as some models of cars are."""
    points, faces = ball(40, (2, 0.9, 0.6))
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(12, 3)) * [2, 0.9, 0.6]
    owner = np.argmin(np.linalg.norm(points[faces].mean(axis=1)[:, None] - centres, axis=2), axis=1)
    parts = []
    for number in np.unique(owner):
        used, part = np.unique(faces[owner == number], return_inverse=True)
        mesh = points[used] * (1 + 1e-4 * number), part.reshape(-1, 3)
        parts.append(flipped(mesh) if number % 3 else mesh)
    return joined(*parts)


def scans() -> dict[str, Mesh]:
    found = {
        "a ball with a hole": without(ball(40), lambda m: m[:, 2] > 0.7),
        "half of a ball": without(ball(40), lambda m: m[:, 2] < 0.0),
        "half of a noisy ball": noisy(without(ball(60), lambda m: m[:, 0] < 0.1), 0.004),
        "a vessel": cup(),
        "a vessel, inside and outside": without(
            thick(cup(40), 0.15), lambda m: (np.abs(m[:, 0]) < 0.1) & (m[:, 2] < -0.5)
        ),
        "a pipe without ends": tube(),
        "a bust": without(bumpy(50), lambda m: m[:, 2] < -0.6),
        "a body with lost patches": without(
            bumpy(60),
            lambda m: (
                np.linalg.norm(m[:, None] - np.array([[1, 0, 0], [0, 1, 0.3], [-0.5, -0.8, 0]]), axis=2) < 0.3
            ).any(1),
        ),
        "a body in two pieces": without(bumpy(60), lambda m: np.abs(m[:, 2]) < 0.1),
        "a body and flying bits": joined(
            without(bumpy(60), lambda m: m[:, 2] < -0.7), *(grid(leaf, 4, 4, 0.1, 0.1) for _ in range(1))
        ),
        "a ring with a gap": without(ring(), lambda m: m[:, 0] > 1.1),
        "a body, inside out": flipped(without(bumpy(50), lambda m: m[:, 2] < -0.6)),
        "an unwelded body": unwelded(without(bumpy(50), lambda m: m[:, 2] < -0.6)),
    }
    for name, body in {
        "ball": ball(60),
        "ring": ring(count=90),
        "bumpy body": bumpy(),
        "bar": ball(50, (2, 0.5, 0.4)),
        "box": box((1, 0.8, 0.7), count=30),
    }.items():
        for number, direction in enumerate([(0.5, 0.3, 1), (1, 0.4, 0.5), (0.4, 1, -0.5)]):
            found[f"a view of a {name}, {number}"] = noisy(view(body, direction), 0.002, number)
    return found
