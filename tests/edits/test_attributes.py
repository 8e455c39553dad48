"""The built-in edits: signed, exact where they can be, zero at zero, the same on the fit and on the scan's own mesh."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from backend.edits.attributes import HEIGHTS, PERCENT, SurfaceMovement, attribute
from backend.edits.masks import SphereMask
from backend.errors import ErrorCode, OmomiError
from backend.field.bricks import BrickGrid
from backend.field.isosurface import extract
from backend.geometry.normals import normals_of
from backend.geometry.smoothing import SmoothedMesh
from backend.protocol.names import ATTRIBUTES
from backend.scan.clean import CleanReport
from backend.scan.prepare import Frame, PreparedScan
from tests.movements import apply_movement

LEVEL = 1
SIZE = 32 * 2**LEVEL


@dataclass(frozen=True)
class Mesh:
    vertices: NDArray
    faces: NDArray
    level: int = LEVEL


@dataclass(frozen=True)
class Fit:
    mesh: Mesh


CENTRE, SCALE = np.array([10.0, -20.0, 5.0]), 0.25


def grid() -> NDArray:
    axis = (np.arange(SIZE) + 0.5) * 2 / SIZE - 1
    return np.stack(np.meshgrid(axis, axis, axis, indexing="ij"))


def fitted(field: NDArray) -> tuple[PreparedScan, Any, NDArray, NDArray]:
    """A prepared scan, its fit in world units, and the canonical vertices and faces, of a field (s, s, s)."""
    found = extract(BrickGrid.from_dense((field * SIZE / 2)[None].astype(np.float32)))
    vertices = (found.vertices.astype(np.float64) + 0.5) * 2 / SIZE - 1
    world = vertices / SCALE + CENTRE
    report = CleanReport(len(world), 0, 0, 0, 0, 0, 1, 0, "faces", 0, 0)
    normals = normals_of(vertices, found.faces).astype(np.float32)
    scan = PreparedScan(vertices.astype(np.float32), normals, 0.0, Frame(CENTRE, SCALE), report, "thing")
    return scan, Fit(Mesh(world, found.faces)), (world - CENTRE) * SCALE, found.faces


def ball(radius: float = 0.6) -> NDArray:
    return np.linalg.norm(grid(), axis=0) - radius


def box(half: float = 0.5) -> NDArray:
    outside = np.abs(grid()) - half
    return np.linalg.norm(outside.clip(0), axis=0) + outside.max(axis=0).clip(max=0)


def lumps(frequency: float = 60.0) -> NDArray:
    """A ball with waves that are about six per cent of its size long at the frequency 60."""
    return ball() + 0.015 * np.sin(frequency * grid()).prod(axis=0)


def moved(name: str, field: NDArray) -> tuple[SurfaceMovement, NDArray, NDArray, NDArray]:
    """Movement, vertices, faces, and the height of every vertex's move along its normal."""
    scan, fit, vertices, faces = fitted(field)
    movement = attribute(name, scan, fit)
    normals = normals_of(vertices, faces)
    height = (movement.evaluate(vertices, normals)[0] * normals).sum(axis=1)
    return movement, vertices, faces, height


def test_thickness_moves_a_ball_out_by_one_per_cent_of_the_longest_side() -> None:
    movement, vertices, faces, _ = moved("thickness", ball())
    move = movement.evaluate(vertices, normals_of(vertices, faces))[0]
    assert np.allclose(np.linalg.norm(move, axis=1), PERCENT, rtol=1e-6)
    grown = np.linalg.norm(vertices + 2 * move, axis=1) - np.linalg.norm(vertices, axis=1)
    assert np.allclose(grown, 2 * PERCENT, rtol=0.02)


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_strength_zero_changes_no_bit(name: str) -> None:
    scan, fit, vertices, faces = fitted(lumps())
    after = vertices + apply_movement(attribute(name, scan, fit), 0.0, vertices, faces).move
    assert np.array_equal(after.view(np.int64), vertices.view(np.int64))


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_the_same_fit_moves_by_the_same_bits(name: str) -> None:
    _, _, _, one = moved(name, lumps())
    _, _, _, other = moved(name, lumps())
    assert np.array_equal(one, other)


@pytest.mark.parametrize("name", ["smoothness", "detail", "sharpness"])
def test_a_plain_ball_is_left_as_it_is(name: str) -> None:
    _, _, _, height = moved(name, ball())
    # a tenth of a voxel is what the triangles of the ball are off
    assert np.abs(height).max() < 0.1 * 2 / SIZE


def test_smoothness_takes_most_of_the_waves_away_and_minus_one_makes_them_higher() -> None:
    _, vertices, _, height = moved("smoothness", lumps())
    direction = vertices / np.linalg.norm(vertices, axis=1, keepdims=True)
    waves = [np.linalg.norm(vertices + s * height[:, None] * direction, axis=1).std() for s in (-1, 0, 1)]
    assert waves[0] > 1.3 * waves[1] > 1.3 * 1.4 * waves[2]


def test_detail_deepens_the_waves_and_minus_one_makes_them_shallower() -> None:
    _, vertices, _, height = moved("detail", lumps(35.0))
    direction = vertices / np.linalg.norm(vertices, axis=1, keepdims=True)
    waves = [np.linalg.norm(vertices + s * height[:, None] * direction, axis=1).std() for s in (-1, 0, 1)]
    assert waves[2] > 1.3 * waves[1] > 1.3 * 1.4 * waves[0]


def test_sharpness_lifts_the_edges_of_a_box_and_leaves_its_sides() -> None:
    _, vertices, _, height = moved("sharpness", box())
    at_edge = (np.abs(vertices) > 0.48).sum(axis=1) >= 2
    on_side = (np.abs(vertices) > 0.4).sum(axis=1) == 1
    assert at_edge.any() and on_side.any()
    assert height[at_edge].min() > 0 and height[at_edge].mean() > 0.2 * PERCENT
    assert np.abs(height[on_side]).max() < 0.05 * PERCENT


def test_a_wall_of_two_voxels_keeps_its_thickness_when_it_is_smoothed() -> None:
    wall = np.maximum(np.abs(grid()[2]) - 2 / SIZE, np.abs(grid()[:2]).max(axis=0) - 0.7)
    _, vertices, _, height = moved("smoothness", wall)
    middle = np.abs(vertices[:, :2]).max(axis=1) < 0.5
    assert np.abs(height[middle]).max() < 0.01 * 2 / SIZE


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_points_on_the_surface_move_with_it_whatever_their_normals(name: str) -> None:
    movement, vertices, faces, _ = moved(name, lumps())
    move = movement.evaluate(vertices, normals_of(vertices, faces))[0]
    chosen = np.random.default_rng(0).permutation(len(vertices))[:500]
    there = movement.evaluate(vertices[chosen], -normals_of(vertices, faces)[chosen])[0]
    assert np.allclose(there, move[chosen], atol=1e-6 * PERCENT + 1e-9)
    middles = vertices[faces].mean(axis=1)
    assert np.allclose(movement.evaluate(middles, middles)[0], move[faces].mean(axis=1), atol=0.1 * PERCENT)


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_what_is_far_from_the_surface_stays(name: str) -> None:
    movement, _, _, _ = moved(name, ball(0.4))
    far = np.array([[0.0, 0.0, 0.95], [0.0, 0.0, 0.0]])
    assert not movement.evaluate(far, far)[0].any()


def test_smoothness_brings_noise_of_the_scan_onto_the_surface() -> None:
    movement, vertices, faces, _ = moved("smoothness", ball())
    normals = normals_of(vertices, faces)
    noisy = vertices + normals * (np.random.default_rng(0).normal(size=(len(vertices), 1)) * 0.2 * 2 / SIZE)
    after = noisy + movement.evaluate(noisy, normals)[0]
    before, left = (np.linalg.norm(points, axis=1).std() for points in (noisy, after))
    assert left < 0.3 * before


def test_outside_of_a_mask_nothing_moves() -> None:
    scan, fit, vertices, faces = fitted(lumps())
    mask = SphereMask(np.array([0.6, 0, 0]), 0.2, 0.1)
    move = apply_movement(attribute("thickness", scan, fit), 1.0, vertices, faces, mask).move
    beyond = np.linalg.norm(vertices - mask.centre, axis=1) > 0.3
    assert move[~beyond].any() and not move[beyond].any()


def test_every_attribute_has_heights() -> None:
    assert list(HEIGHTS) == list(ATTRIBUTES)


def test_an_unknown_name_and_a_scan_without_fit_are_refused() -> None:
    scan, fit, _, _ = fitted(ball())
    for name, given in (("colour", fit), ("thickness", None)):
        with pytest.raises(OmomiError) as caught:
            attribute(name, scan, given)
        assert caught.value.code == ErrorCode.BAD_OPTION and name in caught.value.message


def test_smoothing_keeps_a_constant_and_shrinks_what_varies() -> None:
    found = extract(BrickGrid.from_dense((ball() * SIZE / 2)[None].astype(np.float32)))
    surface = SmoothedMesh((found.vertices.astype(np.float64) + 0.5) * 2 / SIZE - 1, found.faces)
    assert np.allclose(surface.smoothed(np.ones((len(surface.vertices), 1)), 0.1), 1)
    noise = np.random.default_rng(0).normal(size=(len(surface.vertices), 1))
    spreads = [surface.smoothed(noise, radius).std() for radius in (0.02, 0.05, 0.1)]
    assert spreads[0] > spreads[1] > spreads[2]
