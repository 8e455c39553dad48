"""Where a mesh is nearest to what faces alike."""

from __future__ import annotations

import numpy as np
import trimesh

from backend.geometry.nearest import nearest_on_mesh
from backend.prior.counterpart import MirrorSource
from backend.scan.holes import find_holes


def source_of(mesh: trimesh.Trimesh) -> MirrorSource:
    return MirrorSource.of(find_holes(np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces, np.int64)), [])


def beside(mesh: trimesh.Trimesh) -> tuple[np.ndarray, np.ndarray]:
    points, faces = trimesh.sample.sample_surface(mesh, 2000, seed=1)
    normals = mesh.face_normals[faces]
    return points + 0.01 * normals, normals


def test_a_foot_is_the_nearest_one_on_faces_of_any_length() -> None:
    hull = trimesh.convex.convex_hull(np.random.default_rng(3).normal(size=(300, 3)) * [1, 1, 3])
    points, normals = beside(hull)
    foot, _, at_border = source_of(hull).feet(points, normals)
    exact = nearest_on_mesh(np.asarray(hull.vertices), np.asarray(hull.faces), points).distance
    assert np.allclose(np.linalg.norm(foot - points, axis=1), exact, atol=1e-9) and not at_border.any()


def test_a_foot_faces_alike_where_the_other_side_of_a_thin_wall_is_nearer() -> None:
    wall = trimesh.creation.box((1, 1, 0.02))
    for _ in range(4):
        wall = wall.subdivide()
    points, normals = beside(wall)
    flat = np.abs(normals[:, 2]) > 0.9
    # on the wrong side of the wall
    points, normals = points[flat] * [0.9, 0.9, -1], normals[flat]
    _, across, _ = source_of(wall).feet(points, normals)
    assert (np.einsum("na,na->n", across, normals) > 0.9).all()
