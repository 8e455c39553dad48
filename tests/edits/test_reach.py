"""How far a slider goes on a scan, and from where on it is seen, measured."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from backend.edits.fitted_scan import EditableMesh
from backend.edits.reach import SHADED, VISIBLE, Travel, first_seen, measured_travel
from backend.geometry.normals import normals_of
from backend.scan.prepare import LONGEST_SIDE
from tests.edits.test_collision_margin import TORUS, balls


def editable(mesh: trimesh.Trimesh, faces: slice = slice(None)) -> EditableMesh:
    vertices = np.asarray(mesh.vertices, np.float64)
    return EditableMesh(vertices, np.asarray(mesh.faces, np.int32)[faces], np.zeros(len(vertices)))


def swelling(mesh: EditableMesh, low: float, high: float) -> Travel:
    return measured_travel(mesh, mesh.normals, low, high)


def test_a_travel_ends_where_the_topology_changes() -> None:
    found = swelling(editable(TORUS), -0.5, 0.6)
    # a torus of tube .2 vanishes, and closes the tunnel of radius .4; a voxel of the grid is .008 wide
    assert found.safe == pytest.approx((-0.2, 0.4), abs=0.02)
    assert swelling(editable(TORUS), -0.1, 0.3).safe == (-0.1, 0.3)


def test_a_change_far_within_the_first_step_of_the_range_is_found() -> None:
    both = editable(balls(0.1))
    side = np.sign(both.vertices[:, :1])
    # they meet at .05, part again behind one another at 1.25 and would do so within the third of the range's steps
    assert measured_travel(both, side * [-1.0, 0, 0], -1.0, 4.0).safe[1] == pytest.approx(0.05, abs=0.01)


def test_movements_are_seen_from_a_thousandth_of_the_longest_side_on() -> None:
    least = VISIBLE * LONGEST_SIDE
    assert swelling(editable(TORUS), -0.5, 0.6).seen == pytest.approx((-least, least))


def test_turns_are_seen_before_movements_are_where_the_surface_gets_rough() -> None:
    mesh = editable(trimesh.creation.torus(0.6, 0.2, major_sections=384, minor_sections=128))
    heights = np.random.default_rng(100).normal(size=len(mesh.vertices))
    move = 0.01 * heights[:, None] * mesh.normals
    strength = first_seen(mesh, move, 1.0)
    cosine = (normals_of(mesh.vertices + strength * move, mesh.faces) * mesh.normals).sum(axis=1)
    assert np.degrees(np.arccos(np.quantile(cosine, 0.01))) == pytest.approx(SHADED, rel=0.1)
    assert np.quantile(np.linalg.norm(strength * move, axis=1), 0.99) < VISIBLE * LONGEST_SIDE


def test_what_moves_nothing_or_too_little_is_seen_at_the_ends_of_the_range() -> None:
    mesh = editable(TORUS)
    for move in (np.zeros_like(mesh.vertices), 1e-4 * mesh.normals):
        assert measured_travel(mesh, move, -1.0, 2.0).seen == (-1.0, 2.0)


def test_an_open_mesh_keeps_its_topology() -> None:
    found = swelling(editable(TORUS, slice(100)), -0.5, 0.6)
    assert found.safe == (-0.5, 0.6) and found.seen[0] < 0 < found.seen[1]
