"""Of a solid only the boundary of the union of its closed parts is evidence."""

from __future__ import annotations

import numpy as np
import pytest

from backend.formats.raw_scan import RawScan
from backend.scan.prepare import PreparedScan, prepare
from backend.scan.solid import RESOLUTION
from tests import input_kinds as kinds


def read(mesh: kinds.Mesh) -> PreparedScan:
    return prepare(RawScan(*mesh))


def test_nested_shells_that_face_out_count_once_and_cavities_stay() -> None:
    inner = kinds.ball(20, 0.9)
    double = read(kinds.joined(kinds.ball(), inner))
    radius = np.linalg.norm(double.points, axis=1)
    assert radius.min() > 0.95 * radius.max()
    assert double.report.dropped_inner >= len(inner[0])
    hollow = read(kinds.joined(kinds.ball(), kinds.flipped(inner)))
    radius = np.linalg.norm(hollow.points, axis=1)
    assert radius.min() < 0.91 * radius.max() and hollow.report.dropped_inner == 0


def test_what_lies_in_another_part_does_not_count() -> None:
    first, second = kinds.ball(32), kinds.ball(32, 1.0, (1.2, 0, 0))
    found = read(kinds.joined(first, second))
    world = found.frame.to_world(found.points)
    inside = (np.linalg.norm(world, axis=1) < 0.98) | (np.linalg.norm(world - [1.2, 0, 0], axis=1) < 0.98)
    assert not inside.any()
    covered = np.linalg.norm(first[0] - [1.2, 0, 0], axis=1) > 1.02
    assert np.isin(np.round(first[0][covered], 4), np.round(world, 4)).all()


@pytest.mark.parametrize("count", [9, 17])
def test_a_wall_inside_does_not_count_whether_it_shares_vertices_or_edges_with_the_skin(count: int) -> None:
    size = (1.0, 0.8, 0.6)
    # 17 vertices along an edge are those of the wall, too
    found = read(kinds.joined(kinds.box(size, count=count), kinds.wall(size, 0, 0.0)))
    world = found.frame.to_world(found.points)
    inside = (np.abs(world) < 0.49 * np.array(size)).all(axis=1)
    assert found.report.kind == "solid" and not inside.any() and len(world) > 500


def test_boxes_that_touch_have_no_wall_between_them() -> None:
    found = read(kinds.joined(kinds.box((1, 1, 1)), kinds.box((1, 1, 1), (1, 0, 0))))
    world = found.frame.to_world(found.points)
    assert not ((np.abs(world[:, 0] - 0.5) < 0.01) & (np.abs(world[:, 1:]) < 0.45).all(axis=1)).any()


def test_the_interior_is_the_union_without_its_cavities() -> None:
    found = read(kinds.joined(kinds.ball(), kinds.flipped(kinds.ball(20, 0.5)), kinds.ball(16, 0.4, (1, 0, 0))))
    assert found.interior is not None
    along = (np.arange(RESOLUTION) + 0.5) * 2 / RESOLUTION - 1
    x, y, z = np.meshgrid(along, along, along, indexing="ij")
    place = found.frame.to_world(np.stack([x, y, z], -1).reshape(-1, 3)).reshape(*x.shape, 3)
    middle, beside = np.linalg.norm(place, axis=-1), np.linalg.norm(place - [1, 0, 0], axis=-1)
    wanted = ((middle < 1) & (middle > 0.5)) | (beside < 0.4)
    edge = np.minimum(np.minimum(np.abs(middle - 1), np.abs(middle - 0.5)), np.abs(beside - 0.4)) < 0.04
    assert np.array_equal(found.interior.inside[~edge], wanted[~edge])


def test_small_parts_are_no_outliers() -> None:
    crumb = kinds.ball(3, 0.02, (1.1, 0, 0))
    found = read(kinds.joined(kinds.ball(64), crumb))
    world = found.frame.to_world(found.points)
    assert (world[:, 0] > 1.05).sum() >= len(crumb[0])
