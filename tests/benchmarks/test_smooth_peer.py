"""The second peer is a smooth surface through the scan: right where it was measured, round where it was not."""

from __future__ import annotations

import numpy as np
import pytest

from tests.benchmarks import smooth_peer


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smooth_peer, "GRIDS", {16: 500, 32: 500})


def sphere(count: int) -> np.ndarray:
    points = np.random.default_rng(0).normal(size=(count, 3))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def test_a_sphere_with_a_lost_cap_is_closed_along_its_curvature() -> None:
    normals = sphere(4000)
    normals = normals[normals[:, 2] < 0.7]
    vertices, faces = smooth_peer.smooth_surface(3 * normals + 10, normals)
    away = np.linalg.norm(vertices - 10, axis=1)
    seen = (vertices[:, 2] - 10) / away < 0.6
    # a membrane with least area would lie flat over the cap, at .7 of the radius
    assert np.abs(away[seen] / 3 - 1).max() < 0.03 and away[~seen].min() > 0.9 * 3
    corner = vertices[faces]
    outward = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    assert ((corner.mean(axis=1) - 10) * outward).sum(axis=1).min() > 0


def test_the_bending_of_planes_is_zero_and_of_a_parabola_what_it_is() -> None:
    nodes = 8
    form = smooth_peer._bending(nodes)
    x, y, z = np.meshgrid(*[(np.arange(nodes) + 0.5) / nodes] * 3, indexing="ij")
    plane, bowl = (2 * x - y + 3 * z + 1).ravel(), (x * x).ravel()
    assert abs(plane @ form @ plane) < 1e-8
    # its second derivative is 2 on all but the outer nodes
    assert bowl @ form @ bowl == pytest.approx(4 * (nodes - 2) / nodes)
    mixed = (x * y).ravel()
    assert mixed @ form @ mixed == pytest.approx(2 * ((nodes - 1) / nodes) ** 2)
