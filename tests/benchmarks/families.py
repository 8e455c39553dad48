"""Families of solids with one named part each, before and after an edit of that part, in any pose.

Exact signed distances, or near enough: numpy functions of points. No two members have the same proportions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import trimesh
from scipy.spatial.transform import Rotation

from backend.field.bricks import BRICK, BrickGrid
from backend.field.isosurface import extract

Distance = Callable[[np.ndarray], np.ndarray]
RESOLUTION = 160
ROUNDING = 0.012


@dataclass(frozen=True)
class Member:
    """Closed meshes before and after the edit, same pose."""

    before: trimesh.Trimesh
    after: trimesh.Trimesh


def member(family: str, seed: int) -> Member:
    """A member of a family of FAMILIES, turned any way; everything random follows ``seed``."""
    rng = np.random.default_rng([seed, *family.encode()])
    before, after = FAMILIES[family](rng)
    turn = Rotation.random(rng=rng).as_matrix()
    return Member(meshed(before, turn), meshed(after, turn))


def near_surface(distance: Distance, low: np.ndarray, voxel: float, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Which bricks of a grid the surface of a solid may cross, bool (count, count, count), and on which side the centre
    of every one lies, True inside. low (3,): corner of the grid; voxel: its width. The distances may be too short."""
    bricks = np.stack(np.meshgrid(*[np.arange(count)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    centre = distance((bricks * BRICK + BRICK / 2) * voxel + low).reshape(count, count, count)
    # a quarter more than a brick's half diagonal: the distances are not all exact
    return np.abs(centre) < 1.25 * np.sqrt(3) / 2 * BRICK * voxel + 2 * voxel, centre < 0


def voxels_of(coords: np.ndarray, low: np.ndarray, voxel: float) -> np.ndarray:
    """Centres (m * 512, 3) of the voxels of bricks (m, 3)."""
    inner = np.stack(np.meshgrid(*[np.arange(BRICK)] * 3, indexing="ij"), axis=-1)
    return ((coords[:, None, None, None] * BRICK + inner + 0.5) * voxel + low).reshape(-1, 3)


def meshed(
    distance: Distance, turn: np.ndarray, resolution: int = RESOLUTION, shift: np.ndarray | float = 0.0
) -> trimesh.Trimesh:
    """Isosurface of a solid inside the unit ball, turned by ``turn`` (3, 3). shift (3,): of the grid, in voxels."""
    voxel = 2.2 / resolution
    low = np.full(3, -1.1) + np.asarray(shift) * voxel

    def turned(points: np.ndarray) -> np.ndarray:
        return distance(points @ turn)

    near, _ = near_surface(turned, low, voxel, resolution // BRICK)
    coords = np.argwhere(near).astype(np.int32)
    values = turned(voxels_of(coords, low, voxel)) / voxel
    surface = extract(BrickGrid(coords, values.reshape(-1, 1, BRICK, BRICK, BRICK).astype(np.float32)))
    vertices = (surface.vertices.astype(np.float64) + 0.5) * voxel + low
    return trimesh.Trimesh(vertices, surface.faces, process=False)


def _mug(rng: np.random.Generator) -> tuple[Distance, Distance]:
    """A thicker handle."""
    radius, height, wall = rng.uniform(0.28, 0.4), rng.uniform(0.3, 0.45), rng.uniform(0.045, 0.065)
    reach, drop, tube = rng.uniform(0.16, 0.24), rng.uniform(0.17, 0.26), rng.uniform(0.035, 0.05)
    taper = rng.uniform(-0.12, 0.12)

    def mug(thickness: float) -> Distance:
        def distance(p: np.ndarray) -> np.ndarray:
            wide = radius * (1 + taper * p[:, 2] / height)
            r = np.hypot(p[:, 0], p[:, 1])
            outer = np.maximum(r - wide, np.abs(p[:, 2]) - height)
            hollow = np.maximum(r - wide + wall, -height + wall - p[:, 2])
            ring = np.hypot((p[:, 0] - wide) / reach, p[:, 2] / drop)
            scale = (reach + drop) / 2
            handle = np.hypot((ring - 1) * scale, p[:, 1]) - thickness
            return np.maximum(filleted(outer, handle), -hollow)

        return distance

    return mug(tube), mug(1.6 * tube)


def _chair(rng: np.random.Generator) -> tuple[Distance, Distance]:
    """Longer legs."""
    width, depth = rng.uniform(0.26, 0.36), rng.uniform(0.26, 0.36)
    back, legs, thick = rng.uniform(0.3, 0.45), rng.uniform(0.25, 0.34), rng.uniform(0.035, 0.05)

    def chair(length: float) -> Distance:
        def distance(p: np.ndarray) -> np.ndarray:
            seat = _box(p, [0, 0, 0], [width, depth, thick])
            rest = _box(p, [0, depth - thick, back / 2], [width, thick, back / 2 + thick])
            leg = np.stack([np.abs(p[:, 0]) - width + thick, np.abs(p[:, 1]) - depth + thick, p[:, 2]], axis=1)
            under = _box(leg, [0, 0, -length / 2], [thick, thick, length / 2])
            return filleted(filleted(seat, rest), under)

        return distance

    return chair(legs), chair(1.3 * legs)


def _bottle(rng: np.random.Generator) -> tuple[Distance, Distance]:
    """A wider neck."""
    body, height = rng.uniform(0.2, 0.3), rng.uniform(0.5, 0.65)
    neck, length = rng.uniform(0.075, 0.1), rng.uniform(0.2, 0.28)
    square = rng.uniform(2.6, 5.0)

    def bottle(opening: float) -> Distance:
        def distance(p: np.ndarray) -> np.ndarray:
            # a rounded square body, so that its pose is known up to quarter turns
            r = (np.abs(p[:, 0]) ** square + np.abs(0.8 * p[:, 1]) ** square) ** (1 / square)
            low = np.maximum(r - body, np.abs(p[:, 2] + length / 2) - height + length / 2)
            tube = np.maximum(np.hypot(p[:, 0], p[:, 1]) - opening, np.abs(p[:, 2] - height / 2) - height / 2)
            return filleted(low, tube, 0.06)

        return distance

    return bottle(neck), bottle(1.4 * neck)


def _bracket(rng: np.random.Generator) -> tuple[Distance, Distance]:
    """A bigger hole."""
    width, foot, wall = rng.uniform(0.22, 0.34), rng.uniform(0.4, 0.55), rng.uniform(0.05, 0.08)
    rise, hole = rng.uniform(0.4, 0.6), rng.uniform(0.07, 0.1)
    small = rng.uniform(0.03, 0.045)

    def bracket(radius: float) -> Distance:
        def distance(p: np.ndarray) -> np.ndarray:
            base = _box(p, [0, foot / 2, 0], [width, foot / 2 + wall, wall])
            plate = _box(p, [0, 0, rise / 2], [width, wall, rise / 2 + wall])
            solid = filleted(base, plate, 0.05)
            through = np.hypot(p[:, 0], p[:, 2] - 0.6 * rise) - radius
            screws = np.hypot(np.abs(p[:, 0]) - 0.6 * width, p[:, 1] - 0.7 * foot) - small
            return np.maximum(np.maximum(solid, -through), -screws)

        return distance

    return bracket(hole), bracket(1.5 * hole)


def _box(p: np.ndarray, centre: list[float], half: list[float]) -> np.ndarray:
    """Distance to a box with rounded edges."""
    q = np.abs(p - np.array(centre)) - np.array(half) + ROUNDING
    return np.linalg.norm(np.maximum(q, 0), axis=1) + np.minimum(q.max(axis=1), 0) - ROUNDING


def filleted(a: np.ndarray, b: np.ndarray, smooth: float = 0.025) -> np.ndarray:
    """Union of two solids, by their distances, with a fillet of about ``smooth``."""
    blend = np.clip(0.5 + 0.5 * (b - a) / smooth, 0, 1)
    return b + (a - b) * blend - smooth * blend * (1 - blend)


FAMILIES: dict[str, Callable[[np.random.Generator], tuple[Distance, Distance]]] = {
    "mug": _mug,
    "chair": _chair,
    "bottle": _bottle,
    "bracket": _bracket,
}
