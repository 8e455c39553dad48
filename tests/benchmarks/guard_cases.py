"""Slider moves and blend frames for the benchmark of the topology guard: procedural shapes and fitted scans."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from scipy import ndimage
from scipy.spatial import KDTree

from backend.engine import OnnxEngine
from backend.field.bricks import BRICK, BrickGrid
from backend.field.isosurface import extract
from backend.formats.mesh_files import load_scan
from backend.geometry.normals import normals_of
from backend.protocol.fit_options import FitOptions
from backend.registration.icp import Surface, register
from backend.registration.warp import Bumps, Warp
from backend.scan.prepare import prepare
from tests.benchmarks.families import FAMILIES, filleted, member

SIDE = 128
"""Voxels along the canonical cube of the procedural shapes, as of the fits."""
LEVEL = 2
SCANS = (
    "clean/3holes",
    "clean/armadillo",
    "clean/flake1",
    "clean/igea",
    "clean/rocker_arm",
    "clean/ycb_a_toy_airplane",
    "clean/ycb_pitcher_base",
    "family_cups/cup_a",
    "family_skulls/skull_C57BL6_J",
    "family_skulls/skull_NZO",
    "family_skulls/skull_PWK",
    "raw/human_skull_ct",
    "raw/sfm_owl",
    "toponoise/ycb_potted_meat_can",
)
BLENDS = (
    ("family_skulls/skull_C57BL6_J", "family_skulls/skull_NZO"),
    ("family_skulls/skull_PWK", "family_skulls/skull_C57BL6_J"),
    ("clean/ycb_pitcher_base", "family_cups/cup_a"),
    ("clean/rocker_arm", "clean/3holes"),
    ("pairs_camel/camel_gallop_03", "pairs_camel/camel_gallop_06"),
    ("pairs_camel/camel_gallop_07", "pairs_camel/camel_gallop_03"),
)


@dataclass(frozen=True)
class Case:
    """A closed mesh, canonical vertices (n, 3) and faces (m, 3), under vertices + strength * move.

    shape: its name; kind: of the move.
    """

    shape: str
    kind: str
    vertices: np.ndarray
    faces: np.ndarray
    move: np.ndarray


Distance = Callable[[np.ndarray], np.ndarray]


def cases(scans: Path, moves: int, quick: bool) -> Iterator[Case]:
    """``moves`` moves of every shape, and frames of blends."""
    for number, (name, vertices, faces) in enumerate(shapes(scans, quick)):
        rng = np.random.default_rng([7, number])
        normals = normals_of(vertices, faces)
        for turn in range(moves):
            kind, make = list(MOVES.items())[turn % len(MOVES)]
            yield Case(name, kind, vertices, faces, make(rng, vertices, normals))
    if not quick:
        yield from blends(scans)


def shapes(scans: Path, quick: bool) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Name, canonical vertices and faces of closed meshes: procedural ones and scans fitted at 128^3."""
    for name, make in PROCEDURAL.items():
        for seed in range(1 if quick else 2):
            yield f"{name} {seed}", *_mesh(make(np.random.default_rng([seed, *name.encode()])))
    for family in FAMILIES:
        mesh = member(family, 3).before
        yield family, 0.8 * np.asarray(mesh.vertices), np.asarray(mesh.faces, np.int32)
    for name in SCANS[:2] if quick else SCANS:
        yield name, *fitted(scans / f"{name}.ply")


@cache
def fitted(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Canonical vertices and faces of a scan as it is fitted."""
    engine = OnnxEngine("cpu")
    scan = prepare(load_scan(path))
    fit = engine.fit(scan, FitOptions(LEVEL), lambda _: None, lambda *_: None, engine.token()).mesh
    vertices = (np.asarray(fit.vertices, np.float64) - scan.frame.centre) * scan.frame.scale
    return vertices, np.asarray(fit.faces, np.int32)


def blends(scans: Path) -> Iterator[Case]:
    """Frames between two scans: a fit drawn onto the nearest places of another one."""
    for names in BLENDS:
        (vertices, faces), (others, other_faces) = (fitted(scans / f"{name}.ply") for name in names)
        there, here = Surface(others, normals_of(others, other_faces)), Surface(vertices, normals_of(vertices, faces))
        found = register(there, here)
        target = KDTree(found.transform.points(others))
        nearest = target.data[target.query(vertices)[1]]
        for share in (0.25, 0.5, 0.75, 1.0):
            yield Case(f"{names[0]} to {names[1]}", "blend", vertices, faces, share * (nearest - vertices))


def offset(rng: np.random.Generator, vertices: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Along the normals, either way."""
    return rng.choice([-1, 1]) * np.exp(rng.uniform(np.log(0.01), np.log(0.12))) * normals


def warp(rng: np.random.Generator, vertices: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Smooth, as a learned edit is: a few bumps near one place."""
    place = vertices[rng.integers(len(vertices))]
    radius = rng.uniform(0.1, 0.35)
    centres = place + rng.normal(0, radius, (rng.integers(1, 5), 3))
    bumps = Bumps(centres, rng.normal(0, 1, centres.shape), radius)
    return _as_large_as(Warp((bumps,)).displacement(vertices), rng.uniform(0.1, 0.4))


def pinch(rng: np.random.Generator, vertices: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Along the normals around one place: a dent or a bulge."""
    place, radius = vertices[rng.integers(len(vertices))], rng.uniform(0.08, 0.3)
    share = np.exp(-0.5 * ((vertices - place) ** 2).sum(axis=1) / radius**2)
    return rng.choice([-1, 1]) * rng.uniform(0.03, 0.25) * share[:, None] * normals


def rough(rng: np.random.Generator, vertices: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Along the normals by a smooth random amount, both ways at once."""
    noise = ndimage.gaussian_filter(rng.standard_normal((64,) * 3), rng.uniform(3, 8))
    amount = ndimage.map_coordinates(noise / np.abs(noise).max(), ((vertices + 1) * 31.5).T, order=1, mode="nearest")
    return rng.uniform(0.03, 0.2) * amount[:, None] * normals


def twist(rng: np.random.Generator, vertices: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """A bend of one half of the shape, around a random axis."""
    axis, across = np.linalg.qr(rng.standard_normal((3, 2)))[0].T
    angle = rng.uniform(-1.2, 1.2) * np.clip((vertices @ across) / 0.6, 0, 1) ** 2
    turned = np.cos(angle)[:, None] * vertices + np.sin(angle)[:, None] * np.cross(axis, vertices)
    turned += (1 - np.cos(angle))[:, None] * (vertices @ axis)[:, None] * axis
    return turned - vertices


MOVES: dict[str, Callable[[np.random.Generator, np.ndarray, np.ndarray], np.ndarray]] = {
    "offset": offset,
    "warp": warp,
    "pinch": pinch,
    "rough": rough,
    "twist": twist,
}


def _as_large_as(move: np.ndarray, size: float) -> np.ndarray:
    return move * (size / max(float(np.linalg.norm(move, axis=1).max()), 1e-9))


def _mesh(distance: Distance) -> tuple[np.ndarray, np.ndarray]:
    """Isosurface of a solid well inside the canonical cube."""
    at = (np.arange(SIDE) + 0.5) * (2 / SIDE) - 1
    points = np.stack(np.meshgrid(at, at, at, indexing="ij"), axis=-1).reshape(-1, 3)
    values = (distance(points) * (SIDE / 2)).reshape(1, SIDE, SIDE, SIDE).astype(np.float32)
    near = np.abs(values[0]).reshape(*[SIDE // BRICK, BRICK] * 3).min(axis=(1, 3, 5)) < 2
    surface = extract(BrickGrid.from_dense(values, near))
    return (surface.vertices.astype(np.float64) + 0.5) * (2 / SIDE) - 1, surface.faces


def _ball(points: np.ndarray, centre: tuple[float, float, float], radius: float) -> np.ndarray:
    return np.linalg.norm(points - np.array(centre), axis=1) - radius


def _pair(rng: np.random.Generator) -> Distance:
    """Two balls with a gap."""
    gap, radius = rng.uniform(0.03, 0.15), rng.uniform(0.25, 0.35)
    x = radius + gap / 2
    return lambda p: np.minimum(_ball(p, (-x, 0.02, 0.01), radius), _ball(p, (x, 0, 0), radius))


def _dumbbell(rng: np.random.Generator) -> Distance:
    """Two balls joined by a neck."""
    neck, tilt = rng.uniform(0.03, 0.08), rng.uniform(-0.3, 0.3)

    def distance(p: np.ndarray) -> np.ndarray:
        along = np.clip(p[:, 0], -0.4, 0.4)
        rod = np.hypot(np.hypot(p[:, 0] - along, p[:, 1] - tilt * along), p[:, 2]) - neck
        balls = np.minimum(_ball(p, (-0.5, -0.5 * tilt, 0), 0.25), _ball(p, (0.5, 0.5 * tilt, 0), 0.25))
        return filleted(balls, rod, 0.08)

    return distance


def _torus(rng: np.random.Generator) -> Distance:
    """A ring with a narrow tunnel."""
    hole, tube = rng.uniform(0.04, 0.12), rng.uniform(0.15, 0.3)
    return lambda p: np.hypot(np.hypot(p[:, 0], p[:, 1]) - tube - hole, p[:, 2] + 0.1 * p[:, 0]) - tube


def _plate(rng: np.random.Generator) -> Distance:
    """A thick plate with tunnels of several widths."""
    half, centres = rng.uniform(0.04, 0.1), rng.uniform(-0.5, 0.5, (7, 2))
    radii = rng.uniform(0.02, 0.1, 7)

    def distance(p: np.ndarray) -> np.ndarray:
        q = np.abs(p) - np.array([0.75, 0.75, half]) + 0.03
        solid = np.linalg.norm(np.maximum(q, 0), axis=1) + np.minimum(q.max(axis=1), 0) - 0.03
        for centre, radius in zip(centres, radii, strict=True):
            hole = radius - np.linalg.norm(p[:, :2] - centre, axis=1)
            solid = -filleted(-solid, -hole, 0.02)
        return solid

    return distance


def _shell(rng: np.random.Generator) -> Distance:
    """A ball with a hollow that comes near its surface, and a small one."""
    wall, small = rng.uniform(0.02, 0.06), rng.uniform(0.03, 0.08)
    inner = (0.65 - 0.35 - wall, 0.0, 0.0)
    return lambda p: np.maximum(
        np.maximum(_ball(p, (0, 0, 0), 0.65), -_ball(p, inner, 0.35)), -_ball(p, (-0.4, 0, 0.1), small)
    )


def _comb(rng: np.random.Generator) -> Distance:
    """Prongs with narrow gaps, joined at one end."""
    count, gap = int(rng.integers(3, 6)), rng.uniform(0.03, 0.1)
    thick = (1.3 - (count - 1) * gap) / count
    starts = -0.65 + np.arange(count) * (thick + gap) + thick / 2

    def box(p: np.ndarray, centre: tuple[float, float, float], half: tuple[float, float, float]) -> np.ndarray:
        q = np.abs(p - np.array(centre)) - np.array(half) + 0.02
        return np.linalg.norm(np.maximum(q, 0), axis=1) + np.minimum(q.max(axis=1), 0) - 0.02

    def distance(p: np.ndarray) -> np.ndarray:
        solid = box(p, (0, -0.5, 0), (0.65, 0.12, 0.15))
        for start in starts.tolist():
            solid = filleted(solid, box(p, (start, 0.05, 0), (thick / 2, 0.6, 0.15)), 0.02)
        return solid

    return distance


PROCEDURAL: dict[str, Callable[[np.random.Generator], Distance]] = {
    "pair": _pair,
    "dumbbell": _dumbbell,
    "torus": _torus,
    "plate": _plate,
    "shell": _shell,
    "comb": _comb,
}
