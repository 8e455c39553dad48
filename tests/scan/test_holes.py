"""Holes are told from openings, whatever the mesh is like, and always in the same order."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from backend.errors import OmomiError
from backend.geometry.borders import WeldedMesh
from backend.scan.holes import MeshHoles, find_holes


def ball(level: int = 4) -> trimesh.Trimesh:
    return trimesh.creation.icosphere(level)


def fine(mesh: trimesh.Trimesh, edge: float) -> trimesh.Trimesh:
    found = mesh.subdivide_to_size(edge)
    assert isinstance(found, trimesh.Trimesh)
    return found


def without(mesh: trimesh.Trimesh, gone: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.asarray(mesh.vertices), np.asarray(mesh.faces)[~gone]


def kinds(found: MeshHoles) -> list[bool]:
    return [hole.is_hole for hole in found.holes]


def mug() -> tuple[np.ndarray, np.ndarray]:
    """A cup with a mouth above, and a lost patch in its wall."""
    outer = fine(trimesh.creation.cylinder(0.5, 1.0, sections=64), 0.06)
    centre = outer.triangles_center
    lid = (centre[:, 2] > 0.499) & (np.linalg.norm(centre[:, :2], axis=1) < 0.499)
    patch = np.linalg.norm(centre - [0.5, 0, 0], axis=1) < 0.15
    outer.merge_vertices()
    return without(outer, lid | patch)


def test_the_mouth_of_a_mug_is_an_opening_and_a_lost_patch_a_hole() -> None:
    found = find_holes(*mug())
    assert kinds(found) == [True, False]
    hole, mouth = found.holes
    assert hole.normal @ [1, 0, 0] > 0.9 and abs(hole.radius - 0.15) < 0.04
    assert mouth.centre[2] > 0.45 and "mouth" in mouth.why


def test_the_ends_of_a_tube_and_the_border_of_a_terrain_are_openings() -> None:
    tube = fine(trimesh.creation.cylinder(0.3, 2.0, sections=48), 0.1)
    ends = np.abs(tube.triangles_center[:, 2]) > 0.999
    tube.merge_vertices()
    assert kinds(find_holes(*without(tube, ends))) == [False, False]
    line = np.linspace(-1, 1, 30)
    x, y = np.meshgrid(line, line, indexing="ij")
    points = np.stack([x, y, 0.1 * np.sin(3 * x)], axis=-1).reshape(-1, 3)
    corner = np.arange(900).reshape(30, 30)
    a, b, c, d = (part.reshape(-1) for part in (corner[:-1, :-1], corner[1:, :-1], corner[1:, 1:], corner[:-1, 1:]))
    faces = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    middle = points[faces].mean(axis=1)
    faces = faces[np.linalg.norm(middle[:, :2], axis=1) > 0.2]
    found = find_holes(points, faces)
    assert kinds(found) == [True, False]


@pytest.mark.parametrize("edges", [3, 4, 5])
def test_missing_triangles_quads_and_fans_are_holes(edges: int) -> None:
    mesh = ball()
    around = np.flatnonzero((mesh.faces == 0).any(axis=1))
    gone = np.zeros(len(mesh.faces), bool)
    gone[around[:1] if edges == 3 else around] = True
    if edges == 4:
        pair = mesh.face_adjacency[0]
        gone[:] = False
        gone[pair] = True
    (hole,) = find_holes(*without(mesh, gone)).holes
    assert hole.is_hole and len(hole.loop) == edges


def test_the_lid_of_a_box_is_an_opening_and_half_of_it_a_hole() -> None:
    box = trimesh.creation.box()
    lid = np.flatnonzero(box.triangles_center[:, 2] > 0.49)
    gone = np.zeros(12, bool)
    gone[lid] = True
    assert kinds(find_holes(*without(box, gone))) == [False]
    gone[lid[0]] = False
    assert kinds(find_holes(*without(box, gone))) == [True]


def test_loops_that_touch_at_a_vertex_come_apart() -> None:
    mesh = ball()
    first, *others = np.flatnonzero((mesh.faces == 100).any(axis=1))
    near = set(mesh.faces[first]) - {100}
    apart = next(face for face in others if not near & set(mesh.faces[face]))
    gone = np.zeros(len(mesh.faces), bool)
    gone[[first, apart]] = True
    found = find_holes(*without(mesh, gone))
    assert [len(hole.loop) for hole in found.holes] == [3, 3] and found.loose_edges == 0


def test_a_soup_of_triangles_has_the_holes_of_the_mesh() -> None:
    points, faces = without(ball(), ball().triangles_center[:, 2] > 0.9)
    soup = points[faces].reshape(-1, 3)
    (hole,), (same,) = find_holes(points, faces).holes, find_holes(soup, np.arange(len(soup)).reshape(-1, 3)).holes
    assert hole.is_hole and len(hole.loop) == len(same.loop)
    ours, theirs = points[hole.loop], soup[same.loop]
    assert {tuple(row) for row in ours} == {tuple(row) for row in theirs}


def test_flipped_faces_do_not_hide_a_hole() -> None:
    points, faces = without(ball(), ball().triangles_center[:, 2] > 0.9)
    faces[::5] = faces[::5, ::-1]
    found = find_holes(points, faces)
    assert kinds(found) == [True] and found.mesh.turned.sum() == len(faces[::5])
    assert found.holes[0].normal[2] > 0.99


def test_degenerate_and_doubled_faces_and_points_that_are_not_finite_do_not_count() -> None:
    points, faces = without(ball(), ball().triangles_center[:, 2] > 0.9)
    worse = np.concatenate([points, [[np.nan, 0, 0]]])
    more = np.concatenate([faces, faces[:40], [[0, 0, 1], [0, 1, len(points)]]])
    (hole,), (same,) = find_holes(points, faces).holes, find_holes(worse, more).holes
    np.testing.assert_array_equal(hole.loop, same.loop)


def test_an_edge_with_three_faces_leaves_loose_border_edges_and_no_crash() -> None:
    points, faces = without(ball(), ball().triangles_center[:, 2] > 0.9)
    a, b = faces[0, :2]
    found = find_holes(np.concatenate([points, [[2.0, 0, 0]]]), np.concatenate([faces, [[a, b, len(points)]]]))
    assert sum(kinds(found)) == 1


def test_a_mesh_without_extent_is_refused() -> None:
    with pytest.raises(OmomiError):
        find_holes(np.zeros((3, 3)), np.array([[0, 1, 2]]))


def test_a_closed_mesh_has_none_and_numbers_do_not_depend_on_the_order_of_faces() -> None:
    assert find_holes(ball().vertices, ball().faces).holes == ()
    centre = ball().triangles_center
    points, faces = without(ball(), (centre[:, 2] > 0.9) | (centre[:, 0] > 0.95) | (centre[:, 1] < -0.97))
    holes = find_holes(points, faces).holes
    assert [hole.number for hole in holes] == [1, 2, 3]
    assert holes[0].perimeter > holes[1].perimeter > holes[2].perimeter
    shuffled = find_holes(points, faces[np.random.default_rng(0).permutation(len(faces))]).holes
    assert [set(hole.loop) for hole in holes] == [set(hole.loop) for hole in shuffled]


def test_a_one_sided_band_is_left_as_it_is() -> None:
    count = 40
    turn = np.linspace(0, 2 * np.pi, count, endpoint=False)
    middle = np.stack([np.cos(turn), np.sin(turn), 0 * turn], 1)
    across = np.stack([np.cos(turn) * np.cos(turn / 2), np.sin(turn) * np.cos(turn / 2), np.sin(turn / 2)], 1) * 0.2
    points = np.concatenate([middle - across, middle + across])
    a, b = np.arange(count), np.arange(count) + count
    c, d = np.roll(a, -1).copy(), np.roll(b, -1).copy()
    c[-1], d[-1] = d[-1], c[-1]
    mesh = WeldedMesh.of(points, np.concatenate([np.stack([a, c, b], 1), np.stack([c, d, b], 1)]))
    assert not mesh.turned.any() and len(mesh.faces) == 2 * count
