"""Edits of the network's head: the graphs, the edited recursion, and what stays to the bit."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnxruntime")

from backend.edits.attributes import Growth
from backend.errors import OmomiError
from backend.field.bricks import (
    INSIDE,
    OUTSIDE,
    BrickGrid,
    BrickMap,
    Level,
    upsampled,
    voxel_size,
)
from backend.field.fit import Fit, fit
from backend.field.isosurface import extract
from backend.field.onnx_model import WHOLE, CancelToken, Model
from backend.field.trilinear import Trilinear
from backend.field.weight_delta import FLOOR, GATE, REACH, LevelDelta, edited_levels
from backend.formats.raw_scan import RawScan
from backend.geometry.topology import Betti, betti_of_mesh
from backend.protocol.fit_options import FitOptions

TOKEN = CancelToken()


@pytest.fixture(scope="module")
def ball(model: Model) -> Fit:
    """A fit of a ball of radius .8, down to 64^3."""
    points = np.random.default_rng(0).normal(size=(6000, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return fit(RawScan(points, None, points.astype(np.float32), None, "ball"), model, FitOptions(level=1))


class Drill:
    """A hole along z with this radius: inside of it the distance to its wall, whatever was there."""

    def __init__(self, radius: float) -> None:
        self.radius = radius

    def touches(self, centres: np.ndarray, reach: float) -> np.ndarray:
        return np.linalg.norm(centres[:, :2], axis=1) < self.radius + reach

    def at(
        self, number: int, points: np.ndarray, means: np.ndarray, model: Model, cancel: CancelToken
    ) -> np.ndarray:
        inwards = (self.radius - np.linalg.norm(points[:, :2], axis=1)) / voxel_size(number)
        said = np.stack([np.full(len(points), -1.0), inwards.clip(-3, 3)], axis=1)
        return np.where(inwards[:, None] > 0, said, 0).astype(np.float32)

    def deviation(self, number: int, points: np.ndarray) -> np.ndarray:
        return np.zeros(len(points))


class Boss(Drill):
    """A ball of radius .1 in a corner of the cube, where the fit has no blocks."""

    middle = np.array([0.7, 0.7, 0.7])

    def touches(self, centres: np.ndarray, reach: float) -> np.ndarray:
        return np.linalg.norm(centres - self.middle, axis=1) < 0.1 + reach

    def at(
        self, number: int, points: np.ndarray, means: np.ndarray, model: Model, cancel: CancelToken
    ) -> np.ndarray:
        away = (np.linalg.norm(points - self.middle, axis=1) - 0.1) / voxel_size(number)
        said = np.stack([np.full(len(points), -1.0), away.clip(-3, 3)], axis=1)
        return np.where(away[:, None] < 0, said, 0).astype(np.float32)


def surface(level: Level) -> tuple[np.ndarray, np.ndarray]:
    found = extract(level.grid, sides=level.bricks)
    return (found.vertices + 0.5) * level.voxel - 1, found.faces


def edited(ball: Fit, model: Model, *edits: tuple[Drill, float], grown: float = 0.0) -> list[Level]:
    assert ball.field is not None
    steps = [(Growth(1.0), grown)]
    found = edited_levels(ball.field.levels, ball.field.evidence, edits, model, TOKEN, steps)
    return [each.edited for each in found]


def test_the_graph_delta_is_a_gated_mean_over_its_centres(model: Model) -> None:
    rng = np.random.default_rng(1)
    centres, weights = rng.random((9, 3)).astype(np.float32), rng.normal(size=(9, 2)).astype(np.float32)
    places, radius = rng.random((200, 3)).astype(np.float32) * 2 - 0.5, 0.2
    height = np.exp(-((places[:, None] - centres) ** 2).sum(axis=2) / (2 * radius**2))
    share = np.clip((height.max(axis=1) - GATE[0]) / (GATE[1] - GATE[0]), 0, 1)
    gate = share**2 * (3 - 2 * share)
    wanted = (gate / (height.sum(axis=1) + FLOOR))[:, None] * (height @ weights)
    found = LevelDelta(centres, radius, weights).at(places, model, TOKEN)
    assert np.allclose(found, wanted, atol=1e-5) and np.abs(wanted).max() > 0.5
    far = np.linalg.norm(places[:, None] - centres, axis=2).min(axis=1) > REACH * radius
    assert far.any() and not found[far].any()


def test_places_in_several_runs_give_what_one_run_gives(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    delta = LevelDelta(*(rng.random((5, 3)).astype(np.float32), 0.3, rng.random((5, 2)).astype(np.float32)))
    places = rng.random((50, 3))
    whole = delta.at(places, model, TOKEN)
    monkeypatch.setattr("backend.field.onnx_model.MOST_KERNELS", 35)
    assert np.allclose(delta.at(places, model, TOKEN), whole, atol=1e-6)
    assert delta.at(places[:0], model, TOKEN).shape == (0, 2)


def test_gain_and_bias_of_the_atom_make_the_edited_mean_and_zeros_change_no_bit(model: Model) -> None:
    rng = np.random.default_rng(3)
    evidence = (rng.random((2, 5, 32, 32, 32)) * (rng.random((2, 1, 32, 32, 32)) < 0.03)).astype(np.float32)
    style = np.repeat(model.style(0.1, 0.0, 2, np.zeros(128, np.float32), TOKEN), 2, axis=0)
    inputs = evidence, model.seed(evidence, TOKEN), np.array([WHOLE] * 2, np.float32), style, TOKEN
    plain = model.field(*inputs)
    gain, bias = rng.normal(size=(2, 2, 1, 32, 32, 32)).astype(np.float32)
    assert np.array_equal(model.field(*inputs, (0 * gain, 0 * bias)), plain)
    found = model.field(*inputs, (gain, bias))
    assert np.allclose(found[:, :1], (1 + gain) * plain[:, :1] + bias, atol=1e-4)
    # an edit makes nothing surer
    assert np.allclose(found[:, 1:], plain[:, 1:] + np.log(np.maximum(abs(1 + gain), 1)), atol=1e-5)


def test_strength_0_and_no_edit_leave_every_bit_and_run_nothing(ball: Fit, model: Model) -> None:
    assert ball.field is not None
    runs = sum(model.runs.values())
    for levels in (edited(ball, model), edited(ball, model, (Drill(0.3), 0.0)), edited(ball, model, grown=0.0)):
        for plain, found in zip(ball.field.levels, levels, strict=True):
            assert np.array_equal(found.grid.values, plain.grid.values)
            assert np.array_equal(found.grid.coords, plain.grid.coords)
    assert sum(model.runs.values()) == runs


def test_a_drilled_hole_is_a_tunnel_on_every_level_and_the_rest_stays_to_the_bit(ball: Fit, model: Model) -> None:
    assert ball.field is not None
    for plain, found in zip(ball.field.levels, edited(ball, model, (Drill(0.3), 1.0)), strict=True):
        vertices, faces = surface(found)
        assert betti_of_mesh(vertices, faces) == Betti(1, 1, 0)
        away = np.linalg.norm(vertices[:, :2], axis=1)
        assert away.min() == pytest.approx(0.3, abs=found.voxel)
        middles = (plain.grid.coords + 0.5) * (8 * plain.voxel) - 1
        far = np.linalg.norm(middles[:, :2], axis=1) > 0.3 + 8 * plain.voxel
        at = found.bricks.find(plain.grid.coords[far])
        assert far.any() and np.array_equal(found.grid.values[at], plain.grid.values[far])


def test_a_part_in_empty_space_gets_blocks_that_the_network_runs_on(ball: Fit, model: Model) -> None:
    assert ball.field is not None
    before = model.runs["atom"]
    *_, finest = edited(ball, model, (Boss(0.0), 1.0))
    vertices, faces = surface(finest)
    assert betti_of_mesh(vertices, faces) == Betti(2, 0, 0)
    own = np.linalg.norm(vertices - Boss.middle, axis=1) < 0.2
    assert np.abs(np.linalg.norm(vertices[own] - Boss.middle, axis=1) - 0.1).max() < finest.voxel
    assert len(finest.grid.coords) > len(ball.field.levels[-1].grid.coords)
    assert model.runs["atom"] > before


def test_edits_add_up_in_any_order(ball: Fit, model: Model) -> None:
    one, other = (Drill(0.2), 1.0), (Boss(0.0), 1.0)
    there, back = edited(ball, model, one, other)[-1], edited(ball, model, other, one)[-1]
    assert np.array_equal(there.grid.coords, back.grid.coords)
    assert np.allclose(there.grid.values, back.grid.values, atol=1e-5)
    assert betti_of_mesh(*surface(there)) == Betti(2, 1, 0)


@pytest.mark.parametrize("grown", [-0.5, -0.3, -0.02, 0.02, 0.12])
def test_a_step_moves_the_surface_as_far_as_it_says_on_every_level(ball: Fit, model: Model, grown: float) -> None:
    """Up to 16 voxels of the finest level, where the mean reaches three."""
    runs = model.runs["delta"]
    for found in edited(ball, model, grown=grown):
        vertices, faces = surface(found)
        assert betti_of_mesh(vertices, faces) == Betti(1, 0, 0)
        wrong = np.abs(np.linalg.norm(vertices, axis=1) - 0.8 - grown) / found.voxel
        assert wrong.mean() < 0.75 and wrong.max() < 2
    assert model.runs["delta"] > runs


def test_a_step_acts_on_what_the_other_edits_made(ball: Fit, model: Model) -> None:
    *_, finest = edited(ball, model, (Drill(0.4), 1.0), grown=0.1)
    vertices, faces = surface(finest)
    assert betti_of_mesh(vertices, faces) == Betti(1, 1, 0)
    assert np.linalg.norm(vertices[:, :2], axis=1).min() == pytest.approx(0.3, abs=finest.voxel)
    *_, finest = edited(ball, model, (Drill(0.1), 1.0), grown=0.12)
    assert betti_of_mesh(*surface(finest)) == Betti(1, 0, 0)


def test_upsampled_means_are_those_between_the_voxels() -> None:
    rng = np.random.default_rng(4)
    coords = np.unique(rng.integers(0, 6, (80, 3)), axis=0).astype(np.int32)
    grid = BrickGrid(coords, rng.normal(size=(len(coords), 2, 8, 8, 8)).astype(np.float32))
    bricks = BrickMap.of(coords, rng.choice([INSIDE, OUTSIDE], (10, 10, 10)).astype(np.int32), 2)
    wanted = np.unique(rng.integers(0, 12, (60, 3)), axis=0).astype(np.int32)
    inner = np.stack(np.meshgrid(*[np.arange(8) + 0.5] * 3, indexing="ij"), axis=-1)
    places = ((wanted[:, None, None, None] * 8 + inner).reshape(-1, 3) / 2 - 0.5).astype(np.float32)
    found = upsampled(grid, bricks, wanted)
    np.testing.assert_allclose(found.ravel(), Trilinear(grid, bricks).values(places), atol=1e-6)


def test_a_cancelled_edit_stops(ball: Fit, model: Model) -> None:
    assert ball.field is not None
    token = CancelToken()
    token.cancel()
    with pytest.raises(OmomiError):
        LevelDelta(np.zeros((1, 3), np.float32), 0.1, np.ones((1, 2), np.float32)).at(np.zeros((1, 3)), model, token)
