"""Sharp edges: kept where the scan's points show them, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation

from backend.field.bricks import INSIDE, OUTSIDE, TRUNCATION, BrickGrid, BrickMap
from backend.field.isosurface import Isosurface, extract
from backend.field.relaxation import relaxed
from backend.field.sharp_edges import sharpened
from backend.geometry.nearest import nearest_on_mesh
from backend.geometry.topology import edge_report

SIDE = 56
MIDDLE = 27.3
HALF = np.array([16.0, 12.0, 9.0])
ROUNDED = 0.8
"""Voxels of blur that round an edge about as the network does."""


def places() -> np.ndarray:
    return np.stack(np.meshgrid(*[np.arange(SIDE) - MIDDLE] * 3, indexing="ij"), axis=-1)


def box_distance(at: np.ndarray, radius: float = 0.0) -> np.ndarray:
    """Signed distances from a box with rounded edges."""
    beyond = np.abs(at) - HALF + radius
    return np.linalg.norm(np.maximum(beyond, 0), axis=-1) + np.minimum(beyond.max(axis=-1), 0) - radius


def rounded_surface(distance: np.ndarray) -> Isosurface:
    """The surface of a field (s, s, s) of distances in voxels, blurred as the network would."""
    blurred = np.clip(gaussian_filter(distance, ROUNDED), -TRUNCATION, TRUNCATION)
    grid = BrickGrid.from_dense(blurred[None].astype(np.float32))
    sides = np.where(blurred[::8, ::8, ::8] < 0, INSIDE, OUTSIDE).astype(np.int32)
    bricks = BrickMap.of(grid.coords, sides, 0)
    return relaxed(extract(grid, sides=bricks), grid, bricks)


def box_points(radius: float = 0.0, count: int = 30_000, seed: int = 0) -> np.ndarray:
    """Points (count, 3) on a box with rounded edges, around the origin."""
    random = np.random.default_rng(seed)
    at = random.uniform(-1, 1, (count, 3)) * HALF
    axis = random.choice(3, count, p=1 / HALF / (1 / HALF).sum())
    row = np.arange(count)
    at[row, axis] = np.where(random.random(count) < 0.5, -1, 1) * HALF[axis]
    core = np.clip(at, -(HALF - radius), HALF - radius)
    return core + radius * (at - core) / np.maximum(np.linalg.norm(at - core, axis=1, keepdims=True), 1e-9)


def box_edges(turn: np.ndarray) -> np.ndarray:
    """Places (720, 3) along the twelve edges of the turned box, in voxels."""
    along = np.linspace(-1, 1, 60)
    edges = []
    for axis in range(3):
        signs = np.stack(np.meshgrid(along, (-1, 1), (-1, 1), indexing="ij"), axis=-1).reshape(-1, 3)
        edges.append(np.roll(signs, axis, axis=1))
    return (np.concatenate(edges) * HALF) @ turn.T + MIDDLE


def missed(surface: Isosurface, edges: np.ndarray) -> np.ndarray:
    return nearest_on_mesh(surface.vertices.astype(np.float64), surface.faces, edges).distance


def turned(seed: int) -> np.ndarray:
    return Rotation.random(random_state=seed).as_matrix()


@pytest.mark.parametrize("noise", [0.0, 0.25])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_box_that_points_show_has_sharp_edges_and_corners(seed: int, noise: float) -> None:
    turn = turned(seed)
    surface = rounded_surface(box_distance(places() @ turn))
    points = box_points() @ turn.T + MIDDLE + np.random.default_rng(seed).normal(0, noise, (30_000, 3))
    made = sharpened(surface, points.astype(np.float32), noise)
    before, after = missed(surface, box_edges(turn)), missed(made, box_edges(turn))
    assert before.mean() > 0.4
    assert after.mean() < 0.1 and np.quantile(after, 0.98) < 0.3
    assert edge_report(made.faces).closed
    assert len(made.values) == len(made.vertices)
    # no triangle cuts a corner: all lie in the planes of the box
    a, b, c = (made.vertices[corner].astype(np.float64) for corner in made.faces.T)
    normals = np.cross(b - a, c - a)
    tilt = np.abs(normals / np.linalg.norm(normals, axis=1, keepdims=True) @ turn).max(axis=1)
    assert (tilt < np.cos(np.radians(20))).mean() < 0.01
    # beyond the edges nothing moves
    still = (made.vertices[: len(surface.vertices)] == surface.vertices).all(axis=1)
    far = KDTree(box_edges(turn)).query(surface.vertices)[0] > 6
    assert far.sum() > 500 and still[far].all()


@pytest.mark.parametrize("radius", [1.0, 2.0, 4.0])
@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_a_fillet_stays_a_fillet(radius: float, noise: float) -> None:
    turn = turned(3)
    surface = rounded_surface(box_distance(places() @ turn, radius))
    points = box_points(radius) @ turn.T + MIDDLE + np.random.default_rng(3).normal(0, noise, (30_000, 3))
    made = sharpened(surface, points.astype(np.float32), noise)
    edges = box_edges(turn)
    assert np.abs(missed(made, edges).mean() - missed(surface, edges).mean()) < 0.02


def test_where_nothing_was_measured_no_edge_is_made() -> None:
    turn = turned(1)
    surface = rounded_surface(box_distance(places() @ turn))
    points = box_points() @ turn.T + MIDDLE
    assert sharpened(surface, points[:0].astype(np.float32), 0.0) is surface
    edges = box_edges(turn)
    low = points[:, 2] < MIDDLE
    made = sharpened(surface, points[low].astype(np.float32), 0.0)
    after = missed(made, edges)
    assert after[edges[:, 2] < MIDDLE - 9].mean() < 0.1
    unseen = edges[:, 2] > MIDDLE + 9
    np.testing.assert_allclose(after[unseen], missed(surface, edges)[unseen], atol=1e-6)


@pytest.mark.parametrize("noise", [0.0, 0.4])
def test_a_ball_and_a_torus_stay_as_they_are(noise: float) -> None:
    p = places()
    x, y, z = np.moveaxis(p, -1, 0)
    random = np.random.default_rng(0)
    for distance in (np.linalg.norm(p, axis=-1) - 5.0, np.hypot(np.hypot(x, y) - 15, z) - 4.0):
        surface = rounded_surface(distance + random.normal(0, noise, distance.shape))
        points = surface.vertices + random.normal(0, noise, surface.vertices.shape)
        assert sharpened(surface, points.astype(np.float32), noise) is surface


def test_noise_stays_a_closed_surface_without_edges() -> None:
    random = np.random.default_rng(0)
    surface = rounded_surface(5 * random.normal(size=(SIDE,) * 3))
    made = sharpened(surface, surface.vertices, 0.1)
    assert edge_report(made.faces).closed and np.isfinite(made.vertices).all()
    assert np.linalg.norm(made.vertices[: len(surface.vertices)] - surface.vertices, axis=1).max() < 2


def test_what_changes_far_away_changes_no_bit_here() -> None:
    distance = box_distance(places())
    dented = np.maximum(distance, 5 - np.linalg.norm(places() - [16, 0, 0], axis=-1))
    points = (box_points() + MIDDLE).astype(np.float32)
    both = [sharpened(rounded_surface(field), points, 0.0) for field in (distance, dented)]
    here = [{tuple(vertex) for vertex in made.vertices[made.vertices[:, 0] < 18]} for made in both]
    assert here[0] == here[1] and len(here[0]) > 1000
