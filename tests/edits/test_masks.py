"""Masks: where they are 1, where they end, and what they refuse."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial import KDTree

from backend.edits.masks import BoxMask, Mask, PaintedMask, SphereMask, mask_from_file
from backend.errors import ErrorCode, OmomiError

VOXEL = 2 / 64


def ball(count: int, radius: float = 0.8) -> NDArray:
    """Points spread evenly over a sphere."""
    height = 1 - 2 * (np.arange(count) + 0.5) / count
    angle = np.arange(count) * np.pi * (3 - np.sqrt(5))
    ring = np.sqrt(1 - height**2)
    return radius * np.stack([ring * np.cos(angle), ring * np.sin(angle), height], axis=1)


def sheet(side: int, spacing: float, height: float = 0.0) -> NDArray:
    axis = (np.arange(side) - (side - 1) / 2) * spacing
    x, y = np.meshgrid(axis, axis, indexing="ij")
    return np.stack([x.ravel(), y.ravel(), np.full(side**2, height)], axis=1)


def sheet_faces(side: int) -> NDArray[np.int64]:
    corner = (np.arange(side - 1)[:, None] * side + np.arange(side - 1)).ravel()
    return np.concatenate(
        [
            np.stack([corner, corner + side, corner + 1], axis=1),
            np.stack([corner + 1, corner + side, corner + side + 1], axis=1),
        ]
    )


def along(start: tuple[float, float, float], end: tuple[float, float, float], steps: int = 4001) -> NDArray:
    return np.linspace(start, end, steps)


def refusal(error: pytest.ExceptionInfo[OmomiError], *words: str) -> None:
    assert error.value.code == ErrorCode.BAD_OPTION
    assert all(word in error.value.message for word in words), error.value.message


def test_box_and_sphere_are_one_inside_a_half_midway_and_exactly_zero_at_their_end() -> None:
    box = BoxMask(np.array([-0.5, -0.5, -0.5]), np.array([0.5, 0.2, 0.5]), 0.1)
    at = np.array([[0, 0, 0], [0.5, 0.2, -0.5], [0.55, 0, 0], [0, 0.3, 0], [0.9, 0.9, 0.9]])
    np.testing.assert_allclose(box.at(at), [1, 1, 0.5, 0, 0], atol=1e-6)
    assert (box.at(at)[3:] == 0).all() and box.at(at).dtype == np.float32
    sphere = SphereMask(np.array([0.1, 0, 0]), 0.3, 0.2)
    np.testing.assert_allclose(
        sphere.at(np.array([[0.1, 0, 0], [0.4, 0, 0], [0.5, 0, 0], [0.601, 0, 0]])), [1, 1, 0.5, 0], atol=1e-6
    )


def test_without_falloff_a_box_is_a_step() -> None:
    box = BoxMask(np.zeros(3), np.ones(3), 0.0)
    np.testing.assert_array_equal(box.at(np.array([[1.0, 1, 1], [1.0001, 1, 1], [0, 0, 0]])), [1, 0, 1])


def test_shapes_that_are_none_are_refused() -> None:
    for make in (
        lambda: BoxMask(np.ones(3), np.zeros(3), 0.1),
        lambda: BoxMask(np.zeros(3), np.array([1, np.nan, 1]), 0.1),
        lambda: BoxMask(np.zeros(2), np.ones(3), 0.1),
        lambda: SphereMask(np.zeros(3), -1.0, 0.1),
        lambda: SphereMask(np.zeros(3), 1.0, np.inf),
    ):
        with pytest.raises(OmomiError) as error:
            make()
        refusal(error)


def test_paint_is_exact_at_vertices() -> None:
    vertices = ball(5000)
    weights = np.random.default_rng(0).random(5000).astype(np.float32)
    np.testing.assert_allclose(PaintedMask(vertices, weights, VOXEL).at(vertices), weights, atol=1e-3)
    np.testing.assert_allclose(
        PaintedMask(vertices, weights, VOXEL, vertices).at(vertices, vertices), weights, atol=1e-3
    )


def test_uniform_paint_is_uniform_over_the_whole_surface_and_a_voxel_off_it() -> None:
    mask = PaintedMask(ball(20_000), np.full(20_000, 0.7), VOXEL)
    for radius in (0.8, 0.8 - 0.9 * VOXEL, 0.8 + 0.9 * VOXEL):
        np.testing.assert_allclose(mask.at(ball(3011, radius)), 0.7, atol=1e-3)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans(), st.floats(0.005, 0.1))
def test_nothing_moves_farther_than_two_voxels_from_the_paint(seed: int, turned: bool, voxel: float) -> None:
    rng = np.random.default_rng(seed)
    vertices, normals = rng.uniform(-0.3, 0.3, (200, 3)), rng.normal(size=(200, 3))
    weights = np.where(rng.random(200) < 0.2, rng.random(200), 0)
    points, facing = rng.uniform(-0.4, 0.4, (1000, 3)), rng.normal(size=(1000, 3))
    found = PaintedMask(vertices, weights, voxel, normals).at(points, facing if turned else None)
    assert (found >= 0).all() and (found <= 1).all()
    if weights.any():
        distance = KDTree(vertices[weights > 0]).query(points)[0]
        assert (found[distance >= 2 * voxel] == 0).all()
        if not turned:
            assert (found[(distance < voxel) & (distance > 0)] > 0).any() or not (distance < voxel).any()
    else:
        assert not found.any()


def test_displacement_outside_a_painted_patch_is_little() -> None:
    vertices = ball(20_000)
    weights = (vertices[:, 0] > 0.5).astype(np.float32)
    found = PaintedMask(vertices, weights, VOXEL).at(ball(50_021))
    patch = KDTree(vertices[weights > 0])
    outside = patch.query(ball(50_021))[0] > 0.02
    assert found[outside].sum() <= 0.02 * found[~outside].sum()


def test_paint_is_continuous() -> None:
    rng = np.random.default_rng(3)
    vertices = ball(2000)
    mask = PaintedMask(vertices, (vertices[:, 0] > 0.2) * rng.random(2000), VOXEL, vertices)
    for end in rng.uniform(-0.9, 0.9, (12, 3)):
        path = along((0.7, 0.3, 0.1), tuple(end), 20_001)
        assert np.abs(np.diff(mask.at(path))).max() < 0.04
        assert np.abs(np.diff(mask.at(path, path))).max() < 0.04


def test_paint_stays_on_its_side_of_a_thin_wall_where_normals_are_known() -> None:
    side, spacing, thickness = 41, VOXEL / 2, VOXEL / 10
    top, bottom = sheet(side, spacing, thickness / 2), sheet(side, spacing, -thickness / 2)
    vertices = np.concatenate([top, bottom])
    normals = np.repeat([[0, 0, 1.0], [0, 0, -1.0]], side**2, axis=0)
    weights = np.repeat([1.0, 0.0], side**2)
    mask = PaintedMask(vertices, weights, VOXEL, normals)
    between = top + [spacing / 3, spacing / 5, 0]
    inner = np.abs(between[:, :2]).max(axis=1) < 0.2
    np.testing.assert_allclose(mask.at(between, normals[: side**2])[inner], 1, atol=1e-3)
    below = between - [0, 0, thickness]
    assert mask.at(below, normals[side**2 :]).max() == 0
    # Vectors of any length are directions.
    assert mask.at(below, 7 * normals[side**2 :]).max() == 0
    # Positions alone cannot tell the sides apart.
    assert mask.at(below + [0, 0, thickness / 2])[inner].max() > 0.3


def test_faces_larger_than_a_voxel_are_painted_over_their_whole_area() -> None:
    vertices, faces = sheet(9, 5 * VOXEL), sheet_faces(9)
    points = sheet(101, 0.0075)
    bare = PaintedMask(vertices, np.ones(81), VOXEL).at(points)
    whole = PaintedMask.of_mesh(vertices, faces, np.ones(81), VOXEL).at(points)
    assert bare.min() == 0
    np.testing.assert_allclose(whole, 1, atol=1e-3)


def test_weights_run_linearly_over_large_faces() -> None:
    vertices, faces = sheet(9, 5 * VOXEL), sheet_faces(9)
    slope = 0.5 + vertices[:, 0] / 2
    points = sheet(51, 0.01)
    found = PaintedMask.of_mesh(vertices, faces, slope, VOXEL, np.tile([0, 0, 1.0], (81, 1))).at(points)
    np.testing.assert_allclose(found, 0.5 + points[:, 0] / 2, atol=0.02)


def test_vertices_at_one_place_count_once_and_those_that_are_nowhere_not_at_all() -> None:
    vertices = np.concatenate([np.zeros((30, 3)), sheet(5, VOXEL / 2), [[np.nan, 0, 0]]])
    weights = np.concatenate([np.full(30, 0.25), np.ones(26)])
    mask = PaintedMask(vertices, weights, VOXEL)
    found = mask.at(np.array([[0.0, 0, 0], [VOXEL / 2, 0, 0]]))
    np.testing.assert_allclose(found, [(0.25 * 30 + 1) / 31, 1], atol=1e-3)
    faces = np.array([[30, 31, 55], [30, 31, 54]])
    assert PaintedMask.of_mesh(vertices, faces, weights, VOXEL / 4).at(vertices[30:31]) == 1


def test_vertices_equally_far_count_equally() -> None:
    ring = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    vertices = VOXEL * np.stack([np.cos(ring), np.sin(ring), 0 * ring], axis=1)
    found = PaintedMask(vertices, np.full(24, 0.5), VOXEL).at(np.zeros((1, 3)))
    np.testing.assert_allclose(found, 0.5, atol=1e-3)


def test_masks_take_no_points_and_no_paint() -> None:
    masks: list[Mask] = [
        PaintedMask(np.zeros((0, 3)), np.zeros(0), VOXEL),
        PaintedMask(ball(50), np.zeros(50), VOXEL),
        PaintedMask(np.zeros((1, 3)), np.ones(1), VOXEL),
        BoxMask(np.zeros(3), np.ones(3), 0.1),
    ]
    for mask in masks:
        assert mask.at(np.zeros((0, 3))).shape == (0,)
    assert [float(mask.at(np.zeros((1, 3)))[0]) for mask in masks] == [0, 0, 1, 1]


def test_paint_that_fits_no_mesh_is_refused() -> None:
    with pytest.raises(OmomiError) as error:
        PaintedMask(np.zeros((4, 3)), np.ones(3), VOXEL)
    refusal(error, "3", "4")
    with pytest.raises(OmomiError) as error:
        PaintedMask(np.zeros((2, 3)), np.array([0, np.nan]), VOXEL)
    refusal(error, "finite")
    with pytest.raises(OmomiError) as error:
        PaintedMask(np.zeros((2, 3)), np.ones(2), VOXEL, np.ones((3, 3)))
    refusal(error, "normals")
    with pytest.raises(OmomiError) as error:
        PaintedMask(np.zeros((2, 3)), np.ones(2), 0.0)
    refusal(error)


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.float16, np.int32, np.uint8])
def test_mask_files_of_any_number_type_are_read(tmp_path: Path, kind: type) -> None:
    np.save(tmp_path / "m.npy", np.array([0, 1, 1], kind))
    found = mask_from_file(tmp_path / "m.npy", 3)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, [0, 1, 1])


def test_weights_in_files_are_clipped_when_rounded_and_refused_when_wrong(tmp_path: Path) -> None:
    path = tmp_path / "m.npy"
    np.save(path, np.array([-1e-4, 0.5, 1.0005]))
    np.testing.assert_array_equal(mask_from_file(path, 3), [0, 0.5, 1])
    for values, words in (
        (np.zeros(2), ("2", "3")),
        (np.zeros(5), ("5", "3")),
        (np.zeros((3, 1)), ("one row",)),
        (np.array([0, 0.5, 1.1]), ("1.1",)),
        (np.array([0, np.inf, 1]), ("finite",)),
    ):
        np.save(path, values)
        with pytest.raises(OmomiError) as error:
            mask_from_file(path, 3)
        refusal(error, "m.npy", *words)


def test_files_that_are_no_masks_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.npy"
    whole = tmp_path / "whole.npy"
    np.save(whole, np.ones(100))
    objects = tmp_path / "objects.npy"
    np.save(objects, np.array([{}, []], object), allow_pickle=True)
    texts, waves = tmp_path / "texts.npy", tmp_path / "waves.npy"
    np.save(texts, np.full(100, "a"))
    np.save(waves, np.full(100, 1j))
    header = b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little")
    huge = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000000,), }".ljust(117) + b"\n"
    for data in (
        b"",
        b"0.5\n0.5\n",
        whole.read_bytes()[:-8],
        whole.read_bytes()[:60],
        objects.read_bytes(),
        texts.read_bytes(),
        waves.read_bytes(),
        header + huge,
        header + b"{" * 118,
    ):
        path.write_bytes(data)
        with pytest.raises(OmomiError) as error:
            mask_from_file(path, 100)
        assert error.value.code == ErrorCode.UNREADABLE_FILE and "m.npy" in error.value.message
    for missing in (tmp_path / "none.npy", tmp_path):
        with pytest.raises(OmomiError) as error:
            mask_from_file(missing, 100)
        assert error.value.code == ErrorCode.UNREADABLE_FILE
