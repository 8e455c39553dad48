"""A new mesh of what a moved mesh encloses."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.edits.remesh import nearest_values, remesh
from backend.errors import ErrorCode, OmomiError
from backend.geometry.measure import measure
from backend.geometry.nearest import nearest_on_mesh

VOXEL = 2 / 128


def valid(vertices: np.ndarray, faces: np.ndarray, betti: tuple[int, int, int]) -> None:
    found = measure(vertices, faces)
    assert found.watertight and found.edge_manifold and found.winding_consistent
    assert (found.b0, found.b1, found.b2) == betti


def test_flat_parts_come_back_exactly_and_have_no_stairs() -> None:
    box = trimesh.creation.box((1, 1.2, 1.4))
    box.apply_transform(trimesh.transformations.rotation_matrix(0.4, [1, 2, 3]))
    vertices, faces = remesh(box.vertices, box.faces)
    valid(vertices, faces, (1, 0, 0))
    assert nearest_on_mesh(box.vertices, box.faces, vertices).distance.max() < 0.06 * VOXEL
    assert measure(vertices, faces).volume == pytest.approx(box.volume, rel=1e-3)


def test_faces_inside_an_overlap_leave_no_trace() -> None:
    balls = [trimesh.creation.icosphere(5, radius=0.4).apply_translation([x, 0, 0]) for x in (-0.25, 0.25)]
    both = cast(trimesh.Trimesh, trimesh.util.concatenate(balls))
    vertices, faces = remesh(both.vertices, both.faces)
    valid(vertices, faces, (1, 0, 0))
    away = np.min([np.linalg.norm(vertices - [x, 0, 0], axis=1) for x in (-0.25, 0.25)], axis=0)
    # a facet of the balls lies up to .0001 below their radius, and one of the mesh as much below that
    assert away.min() > 0.4 - 3e-4 and away.max() < 0.4 + 2e-5


def test_walls_that_passed_one_another_open_a_tunnel() -> None:
    plate = trimesh.creation.box((1.4, 1.4, 0.2))
    for _ in range(4):
        plate = plate.subdivide()
    points = np.asarray(plate.vertices)
    dent = np.exp(-0.5 * ((points[:, :2] / 0.2) ** 2).sum(axis=1))
    moved = points - 1.6 * np.sign(points[:, 2:]) * dent[:, None] * [0, 0, 0.1]
    valid(*remesh(moved, plate.faces), (1, 1, 0))


def test_a_hollow_stays_a_hollow() -> None:
    shell = [trimesh.creation.icosphere(4, radius=0.7), trimesh.creation.icosphere(4, radius=0.4)]
    shell[1].invert()
    both = cast(trimesh.Trimesh, trimesh.util.concatenate(shell))
    valid(*remesh(both.vertices, both.faces), (1, 0, 1))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6))
def test_any_tangle_of_closed_meshes_gives_a_valid_mesh(seed: int) -> None:
    rng = np.random.default_rng(seed)
    parts = [trimesh.creation.icosphere(2, radius=rng.uniform(0.1, 0.5)) for _ in range(4)]
    for part in parts:
        part.vertices += rng.normal(scale=0.03, size=part.vertices.shape) + rng.uniform(-0.4, 0.4, 3)
    tangle = cast(trimesh.Trimesh, trimesh.util.concatenate(parts))
    vertices, faces = remesh(tangle.vertices, tangle.faces, 64)
    found = measure(vertices, faces)
    assert found.watertight and found.edge_manifold and found.winding_consistent
    assert nearest_on_mesh(tangle.vertices, tangle.faces, vertices).distance.max() < 0.9 * 2 / 64


def test_what_is_elsewhere_does_not_change_the_mesh() -> None:
    box = trimesh.creation.box((0.5, 0.5, 0.5)).apply_translation([-0.5, 0, 0])
    other = trimesh.creation.icosphere(3, radius=0.2).apply_translation([0.6, 0, 0])
    both = cast(trimesh.Trimesh, trimesh.util.concatenate([box, other]))
    alone, together = remesh(box.vertices, box.faces)[0], remesh(both.vertices, both.faces)[0]
    assert {tuple(row) for row in alone.round(12)} <= {tuple(row) for row in together.round(12)}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda v, f: (v, f[1:]), ErrorCode.NOT_A_MESH),
        (lambda v, f: (np.where(np.arange(len(v))[:, None] == 3, np.nan, v), f), ErrorCode.NOT_A_MESH),
        (lambda v, f: (v, f[:0]), ErrorCode.NOT_A_MESH),
        (lambda v, f: (v, f[:, ::-1]), ErrorCode.NO_SURFACE),
        (lambda v, f: (1e-4 * v, f), ErrorCode.NO_SURFACE),
        (lambda v, f: (100 * v, f), ErrorCode.TOO_LARGE),
    ],
    ids=["open", "nan", "empty", "inside out", "nothing", "huge"],
)
def test_what_has_no_new_mesh_is_refused(change, code: ErrorCode) -> None:
    ball = trimesh.creation.icosphere(2, radius=0.5)
    with pytest.raises(OmomiError) as caught:
        remesh(*change(np.asarray(ball.vertices), np.asarray(ball.faces)))
    assert caught.value.code is code


def test_new_vertices_inherit_from_the_nearest_old_one_that_a_face_uses() -> None:
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0.1, 0, 0]], float)
    values = nearest_values(vertices, np.array([[0, 1, 2]]), np.array([1, 2, 3, 4]), np.array([[0.12, 0, 0]]))
    assert values.tolist() == [1]
