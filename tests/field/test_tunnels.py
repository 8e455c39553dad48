"""Small tunnels close where nobody measured, and nowhere else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from backend.field import tunnels
from backend.field.bricks import OUTSIDE, TRUNCATION, BrickGrid, BrickMap, Level, resolution
from backend.field.onnx_model import CODE, CancelToken
from backend.field.recursion import ScanEvidence, recursion
from backend.geometry.topology import Betti, betti_of_occupancy

NUMBER = 1
SIDE = resolution(NUMBER)


def level_of(solid: np.ndarray, scale: float | np.ndarray, number: int = NUMBER) -> Level:
    """A level whose field is the distance to a solid (n, n, n), with this scale; every brick is stored."""
    out, within = (np.asarray(distance_transform_edt(part)) for part in (~solid, solid))
    away = out - within
    mean = np.clip(away - 0.5 * np.sign(away), -TRUNCATION, TRUNCATION)
    dense = np.stack([mean, np.broadcast_to(np.log(scale), mean.shape)]).astype(np.float32)
    grid, margin = BrickGrid.from_dense(dense), 4
    sides = np.full((len(solid) // 8 + 2 * margin,) * 3, OUTSIDE, np.int32)
    return Level(number, grid, BrickMap.of(grid.coords, sides, margin), np.zeros((0, 3), np.int32), np.zeros(CODE))


def plate(*holes: tuple[int, int, int]) -> np.ndarray:
    """A plate of three voxels with square holes: (x, y, half the width) of each."""
    solid = np.zeros((SIDE,) * 3, bool)
    solid[8:56, 8:56, 30:33] = True
    for x, y, half in holes:
        solid[x - half : x + half, y - half : y + half] = False
    return solid


def betti(level: Level) -> Betti:
    return betti_of_occupancy(level.dense() < 0)


def test_a_small_tunnel_closes_where_nobody_measured_and_a_wide_one_stays() -> None:
    level = level_of(plate((20, 20, 2), (40, 40, 8)), 1.0)
    assert betti(level) == (1, 2, 0)
    found = tunnels.closed(level)
    assert betti(found) == (1, 1, 0) and found.closed == 1
    # the wall goes on across it, as thick as around it
    column = found.dense()[20, 20] < 0
    assert column[31] and abs(int(column.sum()) - 3) <= 2
    # bricks away from it keep their bits
    same = (found.grid.values == level.grid.values).all(axis=(1, 2, 3, 4))
    beside = np.abs((found.grid.coords + 0.5) * 8 - [20, 20, 31.5]).max(axis=1) < 16
    assert not same[beside].all() and same[~beside].all()
    assert (found.dense() <= level.dense()).all()


def test_a_tunnel_that_was_measured_stays_to_the_bit() -> None:
    level = level_of(plate((20, 20, 2)), 0.1)
    assert tunnels.closed(level) is level
    # another part of the plate that nobody measured changes nothing of it
    scale = np.full((SIDE,) * 3, 0.1)
    scale[36:] = 1.0
    level = level_of(plate((20, 20, 2), (48, 20, 2)), scale)
    found = tunnels.closed(level)
    assert found.closed == 1 and betti(found) == (1, 1, 0)
    assert np.array_equal(found.dense()[:32], level.dense()[:32])


def test_what_has_no_tunnel_keeps_its_creases_and_gaps() -> None:
    solid = plate()
    solid[20:28, 20:28, 33:50] = True
    solid[30:38, 20:28, 33:50] = True
    level = level_of(solid, 1.0)
    assert tunnels.closed(level) is level


def test_a_tunnel_at_the_end_of_the_domain_closes_and_an_empty_level_stays() -> None:
    solid = np.zeros((SIDE,) * 3, bool)
    solid[:, :, :3] = True
    solid[30:33, 30:33] = False
    assert betti(tunnels.closed(level_of(solid, 1.0))) == (1, 0, 0)
    empty = level_of(np.zeros((SIDE,) * 3, bool), 1.0)
    assert tunnels.closed(empty) is empty


def test_the_mouth_of_a_hollow_stays_open() -> None:
    solid = np.zeros((SIDE,) * 3, bool)
    solid[16:48, 16:48, 16:48] = True
    solid[22:42, 22:42, 22:42] = False
    solid[31:33, 31:33, 40:] = False
    assert betti_of_occupancy(solid) == (1, 0, 0)
    bottle = level_of(solid, 1.0)
    assert tunnels.closed(bottle) is bottle
    # with a second mouth it has a tunnel, of which both ends are small
    solid[31:33, 31:33, :25] = False
    assert betti_of_occupancy(solid) == (1, 1, 0)
    two = level_of(solid, 1.0)
    assert tunnels.closed(two) is two
    # one that is measured stays, and the other one closes
    scale = np.ones((SIDE,) * 3)
    scale[:, :, 32:] = 0.1
    assert betti(tunnels.closed(level_of(solid, scale))) == (1, 0, 0)


class PlateModel:
    """A plate with a small tunnel at level 1, and nothing but its box at level 0."""

    batch = 2

    def seed(self, *_: Any) -> np.ndarray:
        return np.zeros((1, 2, 18, 18, 18), np.float32)

    def style(self, *_: Any) -> np.ndarray:
        return np.zeros((1, 1), np.float32)

    def field(self, evidence: np.ndarray, parent: Any, position: np.ndarray, *_: Any) -> np.ndarray:
        voxel = position[0, 3]
        steps = np.stack(np.meshgrid(*[np.arange(32) - 15.5] * 3, indexing="ij"))
        places = np.abs(position[:, :3].reshape(-1, 3, 1, 1, 1) + voxel * steps) * 32
        box = np.max(places - np.array([24, 24, 1.5]).reshape(3, 1, 1, 1), axis=1)
        mean = np.maximum(box, 2 - np.hypot(places[:, 0], places[:, 1])) / (voxel * 32)
        return np.stack([mean.clip(-3, 3), np.zeros_like(mean)], axis=1).astype(np.float32)


@pytest.mark.parametrize(("filling", "closes"), [(0.0, True), (0.5, True), (-0.5, False)])
def test_a_fit_closes_tunnels_unless_openings_are_asked_for(filling: float, closes: bool) -> None:
    points = np.zeros((0, 3), np.float32)
    model: Any = PlateModel()
    scan = ScanEvidence(points, points, 0.001, filling)
    *_, last = recursion(scan, 1, model, CancelToken(), lambda *_: None)
    assert (betti(last).b1, last.closed) == ((0, 1) if closes else (1, 0))
