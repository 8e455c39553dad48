"""Betti numbers of meshes and of voxels, and how faces meet."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from backend.geometry.topology import (
    Betti,
    betti_of_mesh,
    betti_of_occupancy,
    edge_report,
    euler_of_occupancy,
    label_faces,
    signed_volumes,
)


def joined(*meshes: trimesh.Trimesh) -> tuple[np.ndarray, np.ndarray]:
    mesh = cast(trimesh.Trimesh, trimesh.util.concatenate(list(meshes)))
    return np.asarray(mesh.vertices), np.asarray(mesh.faces)


def inverted(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    return trimesh.Trimesh(mesh.vertices, mesh.faces[:, ::-1], process=False)


BALL = trimesh.creation.icosphere(2)
RING = trimesh.creation.torus(3, 1, 24, 12)


def test_betti_numbers_of_meshes() -> None:
    far = RING.copy().apply_translation([20, 0, 0])
    small = inverted(BALL.copy().apply_scale(0.5))
    assert betti_of_mesh(*joined(BALL)) == Betti(1, 0, 0)
    assert betti_of_mesh(*joined(RING, far)) == Betti(2, 2, 0)
    assert betti_of_mesh(*joined(BALL, small)) == Betti(1, 0, 1)


def test_betti_numbers_survive_a_far_offset_of_the_mesh() -> None:
    vertices, faces = joined(RING, inverted(BALL.copy().apply_scale(0.3).apply_translation([3, 0, 0])))
    assert betti_of_mesh(vertices + 1e6, faces) == betti_of_mesh(vertices, faces) == Betti(1, 1, 1)


def test_an_open_mesh_has_no_betti_numbers() -> None:
    vertices, faces = joined(BALL)
    with pytest.raises(ValueError, match="closed"):
        betti_of_mesh(vertices, faces[1:])


def test_edge_report_tells_open_non_manifold_and_badly_wound_meshes_apart() -> None:
    _, faces = joined(BALL)
    closed = edge_report(faces)
    assert (closed.watertight, closed.edge_manifold, closed.winding_consistent, closed.boundary_loops) == (
        True,
        True,
        True,
        0,
    )
    assert closed.edges == len(faces) * 3 // 2
    holes = edge_report(np.delete(faces, [0, 100], axis=0))
    assert not holes.watertight and holes.edge_manifold and holes.boundary_loops == 2
    wing = edge_report(np.concatenate([faces, [[faces[0, 0], faces[0, 1], faces.max() + 1]]]))
    assert not wing.edge_manifold and not wing.watertight
    flipped = faces.copy()
    flipped[5] = flipped[5, ::-1]
    assert edge_report(flipped).watertight and not edge_report(flipped).winding_consistent
    assert not edge_report(np.zeros((0, 3), int)).watertight


def test_components_and_their_volumes() -> None:
    vertices, faces = joined(BALL, inverted(trimesh.creation.box((2, 3, 4))).apply_translation([1e5, 0, 0]))
    labels, count = label_faces(faces)
    assert count == 2
    assert (np.diff(labels) >= 0).all()
    np.testing.assert_allclose(
        signed_volumes(vertices, faces, labels, count), np.array([BALL.volume, -24.0]), rtol=1e-6
    )
    assert label_faces(np.zeros((0, 3), int))[1] == 0


def solid(*cells: tuple[int, int, int]) -> np.ndarray:
    array = np.zeros((5, 5, 5), bool)
    array[tuple(np.array(cells).T)] = True
    return array


def test_betti_numbers_of_voxels() -> None:
    ring = np.zeros((3, 3, 1), bool)
    ring[...] = True
    ring[1, 1] = False
    shell = np.ones((3, 3, 3), bool)
    shell[1, 1, 1] = False
    assert betti_of_occupancy(np.zeros((4, 4, 4), bool)) == Betti(0, 0, 0)
    assert betti_of_occupancy(np.ones((2, 3, 4), bool)) == Betti(1, 0, 0)
    assert betti_of_occupancy(ring) == Betti(1, 1, 0)
    assert betti_of_occupancy(shell) == Betti(1, 0, 1)
    assert betti_of_occupancy(solid((1, 1, 1), (2, 2, 2))) == Betti(1, 0, 0)
    assert betti_of_occupancy(solid((1, 1, 1), (3, 1, 1))) == Betti(2, 0, 0)
    # A ring of voxels that touch only along edges still encloses a tunnel.
    assert betti_of_occupancy(solid((1, 2, 0), (3, 2, 0), (2, 1, 0), (2, 3, 0))) == Betti(1, 1, 0)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.05, 0.95))
def test_voxels_and_their_complement_have_dual_betti_numbers(seed: int, share: float) -> None:
    # Alexander duality in a ball: handles are shared, and cavities are the parts of the complement that are
    # shut in.
    inside = np.random.default_rng(seed).random((6, 6, 6)) < share
    found = betti_of_occupancy(inside)
    outside = ~np.pad(inside, 1)
    assert found.b2 == cast(tuple[np.ndarray, int], ndimage.label(outside))[1] - 1
    assert found.b1 >= 0
    assert betti_of_occupancy(np.flip(inside, 0).transpose(2, 0, 1)) == found


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.0, 1.0), st.tuples(*[st.integers(1, 10)] * 3))
def test_euler_numbers_are_those_of_the_betti_numbers_with_either_way_to_join_voxels(
    seed: int, share: float, shape: tuple[int, int, int]
) -> None:
    inside = np.random.default_rng(seed).random(shape) < share
    closed = betti_of_occupancy(inside)
    # in a sphere the solid and what surrounds it share their tunnels, and parts and cavities change roles
    around = betti_of_occupancy(~np.pad(inside, 1))
    opened = Betti(around.b2, around.b1, around.b0 - 1)
    assert euler_of_occupancy(inside) == (closed.b0 - closed.b1 + closed.b2, opened.b0 - opened.b1 + opened.b2)


def test_the_two_ways_to_join_voxels_differ_where_they_touch_at_an_edge_or_a_corner() -> None:
    assert euler_of_occupancy(solid((1, 1, 1), (2, 2, 1))) == (1, 2)
    assert euler_of_occupancy(solid((1, 1, 1), (2, 2, 2))) == (1, 2)
    assert euler_of_occupancy(solid((1, 1, 1), (2, 1, 1))) == (1, 1)
    assert euler_of_occupancy(np.zeros((2, 2, 2), bool)) == (0, 0)


def test_crumbs_count_as_what_surrounds_them() -> None:
    block = np.zeros((16, 9, 9), bool)
    block[1:8, 1:8, 1:8] = True
    block[3, 3, 3:5] = False
    block[12:14, 2:4, 2] = True
    assert betti_of_occupancy(block) == betti_of_occupancy(block, 2) == Betti(2, 0, 1)
    assert betti_of_occupancy(block, 3) == Betti(2, 0, 0)
    assert betti_of_occupancy(block, 5) == Betti(1, 0, 0)
    ring = np.ones((3, 3, 1), bool)
    ring[1, 1] = False
    assert betti_of_occupancy(ring, 9) == Betti(0, 0, 0)
