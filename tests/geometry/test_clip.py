"""A mesh cut where values at its vertices pass zero."""

from __future__ import annotations

import numpy as np
import pytest

from backend.geometry.clip import clipped
from backend.geometry.topology import edge_report
from tests.scan_shapes import globe


@pytest.mark.parametrize("height", [-0.31, 0.0, 0.12, 0.47])
def test_a_sphere_is_cut_at_a_height(height: float) -> None:
    points, faces = globe(48, 96)
    values = points[:, 2] - height
    edges, share, found = clipped(faces, values)
    new = (1 - share)[:, None] * points[edges[:, 0]] + share[:, None] * points[edges[:, 1]]
    every = np.concatenate([points, new])
    assert np.allclose(new[:, 2], height)
    used = every[np.unique(found)]
    assert used[:, 2].max() <= height + 1e-9
    report = edge_report(found)
    assert (report.boundary_loops, report.edge_manifold, report.winding_consistent) == (1, True, True)
    corners = every[found]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1).sum() / 2
    # the cap of a sphere of radius 1/2 below a height
    assert area == pytest.approx(np.pi * (height + 0.5), rel=0.01)


def test_all_or_nothing_stays_as_it_is() -> None:
    points, faces = globe()
    assert np.array_equal(clipped(faces, -np.ones(len(points)))[2], faces)
    edges, share, none = clipped(faces, np.ones(len(points)))
    assert len(edges) == len(share) == len(none) == 0
