"""Voxels inside closed meshes, by winding number."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.geometry import winding_number
from backend.geometry.topology import betti_of_occupancy
from backend.geometry.winding_number import column_areas, tangled_share, winding_at, winding_grid
from tests.scan_shapes import cube, globe


def grid_of(mesh: trimesh.Trimesh, size: int = 48) -> np.ndarray:
    """Winding numbers on a grid over [-1, 1]^3."""
    return winding_grid((np.asarray(mesh.vertices) + 1) * size / 2 - 0.5, mesh.faces, (size, size, size))


def joined(*meshes: trimesh.Trimesh) -> trimesh.Trimesh:
    return cast(trimesh.Trimesh, trimesh.util.concatenate(list(meshes)))


def ball(radius: float, x: float = 0.0) -> trimesh.Trimesh:
    mesh = trimesh.creation.icosphere(3, radius=radius)
    mesh.apply_translation([x, 0, 0])
    return mesh


def test_a_box_encloses_exactly_the_voxels_whose_centres_it_holds() -> None:
    found = winding_grid(trimesh.creation.box(bounds=[[1.5, 2.5, 0.5], [4.5, 7.5, 2.5]]).vertices,
                         trimesh.creation.box().faces, (8, 9, 5))  # fmt: skip
    wanted = np.zeros((8, 9, 5), int)
    wanted[2:5, 3:8, 1:3] = 1
    assert np.array_equal(found, wanted)


def test_a_box_on_round_numbers_does_not_leak() -> None:
    found = winding_grid(
        trimesh.creation.box(bounds=[[1, 1, 1], [4, 4, 4]]).vertices, trimesh.creation.box().faces, (6, 6, 6)
    )
    assert set(np.unique(found)) == {0, 1}
    assert found.sum() == 27


def test_the_volume_of_a_ball() -> None:
    assert (grid_of(ball(0.7), 64) > 0).sum() * (2 / 64) ** 3 == pytest.approx(ball(0.7).volume, rel=0.01)


def test_a_turned_ball_counts_backwards() -> None:
    mesh = ball(0.7)
    mesh.invert()
    assert np.array_equal(grid_of(mesh), -grid_of(ball(0.7)))


def test_overlapping_balls_are_one_piece_and_count_twice_where_they_overlap() -> None:
    both = joined(ball(0.4, -0.3), ball(0.4, 0.3))
    found = grid_of(both)
    assert found.max() == 2
    assert betti_of_occupancy(found > 0) == (1, 0, 0)
    assert betti_of_occupancy(grid_of(joined(ball(0.3, -0.5), ball(0.3, 0.5))) > 0) == (2, 0, 0)


def test_a_shell_has_a_cavity_until_its_wall_is_turned_out() -> None:
    inner = ball(0.4)
    inner.invert()
    assert betti_of_occupancy(grid_of(joined(ball(0.7), inner)) > 0) == (1, 0, 1)
    larger = ball(0.8)
    larger.invert()
    assert not (grid_of(joined(ball(0.7), larger)) > 0).any()


def test_a_torus_has_a_tunnel() -> None:
    assert betti_of_occupancy(grid_of(trimesh.creation.torus(0.6, 0.2)) > 0) == (1, 1, 0)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_every_column_of_any_closed_mesh_ends_where_it_began(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mesh = trimesh.creation.icosphere(2)
    # coordinates on a coarse lattice: many ties, degenerate faces and self-intersections
    vertices = np.round(np.asarray(mesh.vertices) * 9 + rng.normal(0, 3, mesh.vertices.shape)) / 2 + 12
    found = winding_grid(vertices, mesh.faces, (25, 25, 60))
    assert not found[:, :, -1].any()
    # the sum of the winding numbers is the signed volume, up to the grid
    volume = trimesh.Trimesh(vertices, mesh.faces, process=False).volume
    assert found.sum() == pytest.approx(volume, rel=0.1, abs=60)


def test_parts_outside_the_grid_are_left_out() -> None:
    vertices, faces = (
        trimesh.creation.box(bounds=[[-5, -5, -5], [2.5, 2.5, 2.5]]).vertices,
        trimesh.creation.box().faces,
    )
    assert (winding_grid(vertices, faces, (5, 5, 5)) == 1).sum() == 27


def test_nothing_is_inside_of_nothing() -> None:
    assert not winding_grid(np.zeros((0, 3)), np.zeros((0, 3), int), (3, 3, 3)).any()


def test_a_solid_is_not_tangled_and_what_overlaps_or_is_inside_out_is() -> None:
    one, other = (trimesh.creation.box(bounds=[[x, -0.5, -0.5], [x + 1, 0.5, 0.5]]) for x in (-0.75, -0.25))
    assert tangled_share(grid_of(one)) == 0
    # of one and a half boxes, half a box is enclosed twice
    assert tangled_share(grid_of(joined(one, other))) == pytest.approx(1 / 3)
    one.invert()
    assert tangled_share(grid_of(one)) == 1
    assert tangled_share(np.zeros((4, 4, 4), np.int16)) == 0


def test_the_winding_number_at_places_is_the_number_of_bodies_around_them() -> None:
    points, faces = globe(32, 64)
    both = np.concatenate([points, 0.5 * points + [0.3, 0, 0], 0.5 * points - [0.3, 0, 0]])
    shells = np.concatenate([faces, faces + len(points), faces[:, ::-1] + 2 * len(points)])
    places = np.random.default_rng(0).uniform(-0.7, 0.7, (20_000, 3))
    far, near, turned = (np.linalg.norm(places - [x, 0, 0], axis=1) for x in (0, 0.3, -0.3))
    wanted = (far < 0.5).astype(int) + (near < 0.25) - (turned < 0.25)
    sure = (np.abs(far - 0.5) > 0.003) & (np.abs(near - 0.25) > 0.003) & (np.abs(turned - 0.25) > 0.003)
    assert np.array_equal(winding_at(both, shells, places)[sure], wanted[sure])


def test_places_may_lie_on_the_lines_of_the_mesh_or_be_none() -> None:
    """Rays then go through edges and corners."""
    points, faces = cube()
    inside = np.array([[0.5, 0.5, 0.5], [0.25, 0.25, 0.1], [1e-9, 0.5, 0.5]])
    assert winding_at(points, faces, inside).tolist() == [1, 1, 1]
    assert winding_at(points, faces, inside + [0, 0, 2]).tolist() == [0, 0, 0]
    assert len(winding_at(points, faces, np.zeros((0, 3)))) == 0


def test_in_a_tangle_of_large_faces_few_places_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = np.random.default_rng(0)
    mesh = trimesh.creation.icosphere(2)
    tangled, places = chance.permutation(mesh.vertices), chance.uniform(-0.9, 0.9, (4000, 3))
    exact, looked = winding_at(tangled, mesh.faces, places), list[int]()

    def counted(*given: np.ndarray) -> list[np.ndarray]:
        looked.append(len(given[1]))
        return column_areas(*given)

    monkeypatch.setattr(winding_number, "column_areas", counted)
    monkeypatch.setattr(winding_number, "MOST_PAIRS", 1 << 16)
    monkeypatch.setattr(winding_number, "TANGLED", 8)
    near = winding_at(tangled, mesh.faces, places)
    assert sum(looked) < 1 << 16 and np.mean((near > 0) == (exact > 0)) > 0.8
    # a ball is no tangle
    usual = winding_at(mesh.vertices, mesh.faces, places)
    monkeypatch.setattr(winding_number, "_pairs", lambda *given: 0)
    assert np.array_equal(winding_at(mesh.vertices, mesh.faces, places), usual)
