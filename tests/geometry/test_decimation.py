"""Fewer triangles: the same surface, still closed, with few of them where it is flat."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from backend.field.bricks import BrickGrid
from backend.field.isosurface import extract
from backend.geometry.decimation import decimated
from backend.geometry.nearest import nearest_on_mesh
from backend.geometry.topology import edge_report, label_faces

SIDE = 40


def surface(name: str) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """A raw isosurface, in voxels."""
    p = np.stack(np.meshgrid(*[np.arange(SIDE) - 19.3] * 3, indexing="ij"), axis=-1)
    x, y, z = np.moveaxis(p, -1, 0)
    fields = {
        "ball": np.linalg.norm(p, axis=-1) - 14,
        "torus": np.hypot(np.hypot(x, y) - 12, z) - 4,
        "box along the axes": np.abs(p).max(axis=-1) - 12.2,
        "two": np.minimum(np.linalg.norm(p - 8, axis=-1), np.linalg.norm(p + 8, axis=-1)) - 7,
        "noise": np.pad(np.random.default_rng(0).normal(size=(14,) * 3), 13, constant_values=1),
    }
    found = extract(BrickGrid.from_dense(np.clip(fields[name], -3, 3)[None].astype(np.float32)))
    return found.vertices.astype(np.float64), found.faces


def euler(faces: NDArray) -> int:
    return len(np.unique(faces)) - edge_report(faces).edges + len(faces)


@pytest.mark.parametrize("name", ["ball", "torus", "box along the axes", "two"])
def test_a_third_of_the_triangles_show_the_same_closed_surface(name: str) -> None:
    vertices, faces = surface(name)
    made, fewer = decimated(vertices, faces, len(faces) // 3)
    assert len(faces) // 3 - 1 <= len(fewer) <= len(faces) // 3 + 1
    assert edge_report(fewer).closed and euler(fewer) == euler(faces)
    assert label_faces(fewer)[1] == label_faces(faces)[1]
    assert nearest_on_mesh(made, fewer, vertices).distance.max() < 0.1
    assert nearest_on_mesh(vertices, faces, made).distance.max() < 0.1
    assert len(np.unique(fewer)) == len(made)


@pytest.mark.parametrize("count", [4, 3_000])
def test_any_field_stays_the_manifold_it_was(count: int) -> None:
    vertices, faces = surface("noise")
    made, fewer = decimated(vertices, faces, count)
    assert edge_report(fewer).closed and euler(fewer) == euler(faces)
    assert len(fewer) < len(faces) and np.isfinite(made).all()


def test_a_box_needs_next_to_none_and_keeps_its_edges() -> None:
    vertices, faces = surface("box along the axes")
    made, fewer = decimated(vertices, faces, 60)
    assert len(fewer) <= 80
    assert nearest_on_mesh(made, fewer, vertices).distance.max() < 0.3


def test_the_border_of_an_open_mesh_stays_to_the_bit() -> None:
    x, y = np.meshgrid(np.arange(20.0), np.arange(20.0), indexing="ij")
    vertices = np.stack([x, y, np.sin(x / 3)], axis=-1).reshape(-1, 3) + 1e6
    a = (np.arange(19)[:, None] * 20 + np.arange(19)).ravel()
    faces = np.concatenate([np.stack([a, a + 20, a + 21], axis=1), np.stack([a, a + 21, a + 1], axis=1)])
    made, fewer = decimated(vertices, faces, 300)
    assert len(fewer) <= 301
    border = ((x == 0) | (x == 19) | (y == 0) | (y == 19)).ravel()
    assert {tuple(place) for place in vertices[border]} <= {tuple(place) for place in made}
    report, before = edge_report(fewer), edge_report(faces)
    assert report.edge_manifold and report.boundary_loops == before.boundary_loops == 1


def test_a_mesh_that_has_no_more_stays() -> None:
    vertices, faces = surface("ball")
    made, same = decimated(vertices, faces, len(faces))
    assert np.array_equal(made, vertices) and np.array_equal(same, faces)
    assert [len(part) for part in decimated(vertices[:0], faces[:0], 10)] == [0, 0]


def test_no_size_and_no_place_changes_what_is_made() -> None:
    vertices, faces = surface("torus")
    _, fewer = decimated(vertices, faces, 1000)
    far, same = decimated(vertices * 2.0**-20 + 2.0**10, faces, 1000)
    assert len(fewer) == len(same)
    assert nearest_on_mesh((far - 2.0**10) * 2.0**20, same, vertices).distance.max() < 0.2
