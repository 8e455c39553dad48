"""Measures of known bodies."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from backend.geometry.measure import mean_thickness, measure


@pytest.mark.parametrize(
    ("mesh", "thickness"),
    [
        (trimesh.creation.icosphere(4, 2.0), 4.0),
        (trimesh.creation.box((4, 4, 0.2)), 0.2),
        (trimesh.creation.torus(3, 0.5, 96, 48), 1.0),
        (trimesh.creation.annulus(0.85, 1.0, 2.0, sections=128), 0.15),
    ],
    ids=["ball", "plate", "torus", "tube"],
)
def test_thickness_of_known_bodies(mesh: trimesh.Trimesh, thickness: float) -> None:
    # Near an edge the largest ball is smaller than the wall, and samples are not the surface itself.
    assert mean_thickness(mesh.vertices, mesh.faces) == pytest.approx(thickness, rel=0.15)


def test_thickness_scales_and_is_repeatable() -> None:
    mesh = trimesh.creation.torus(3, 0.5, 48, 24)
    once = mean_thickness(mesh.vertices, mesh.faces)
    assert once == mean_thickness(mesh.vertices, mesh.faces)
    assert mean_thickness(mesh.vertices * 1000 + 5e6, mesh.faces) == pytest.approx(1000 * once, rel=1e-3)


def test_measures_of_a_box() -> None:
    box = trimesh.creation.box((1, 2, 3))
    found = measure(box.vertices, box.faces)
    assert found.volume == pytest.approx(6)
    assert found.area == pytest.approx(22)
    assert found.bounds == ((-0.5, -1, -1.5), (0.5, 1, 1.5))
    assert (found.components, found.b0, found.b1, found.b2) == (1, 1, 0, 0)
    assert found.watertight and found.edge_manifold and found.winding_consistent and found.boundary_loops == 0


def test_a_triangle_soup_is_welded_and_ignores_degenerate_faces() -> None:
    box = trimesh.creation.box()
    soup = box.vertices[box.faces].reshape(-1, 3)
    faces = np.concatenate([np.arange(len(soup)).reshape(-1, 3), [[0, 0, 1]]])
    found = measure(soup, faces)
    assert found.watertight and found.faces == 12 and found.vertices == 8


def test_an_open_mesh_has_no_volume_thickness_or_betti_numbers() -> None:
    box = trimesh.creation.box()
    found = measure(box.vertices, box.faces[2:])
    assert not found.watertight and found.boundary_loops == 1
    assert found.volume is None and found.thickness is None and found.b0 is None
    assert found.area == pytest.approx(5)


@pytest.mark.parametrize("faces", [np.zeros((0, 3), int), np.array([[0, 1, 1]]), np.array([[0, 1, 2]])])
def test_a_mesh_without_area_is_refused(faces: np.ndarray) -> None:
    with pytest.raises(ValueError, match="area"):
        measure(np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0]]), faces)
