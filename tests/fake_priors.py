"""A prior over shapes whose every part is known: cosines for a basis, a Gaussian for a flow. And a model of balls."""

from __future__ import annotations

import itertools
from functools import cache
from typing import Any

import numpy as np
import trimesh

from backend.errors import ErrorCode, OmomiError
from backend.field.onnx_model import CODE
from backend.prior.archive import COARSE, PICTURE, Archive
from backend.prior.codes import Codes, level0_field
from backend.prior.flow import LEVELS, FlowPrior, ScoreQuantiles
from backend.prior.shape_prior import ShapePrior, ShapeSlider
from backend.prior.velocity import Block, Velocity

STEP = 0.5
"""Voxels of level 0 by which one unit of the first number of a code raises the field, everywhere."""


def codes_of(directions: np.ndarray | None = None, model: str = "") -> Codes:
    """Codes over the 128 cosines of lowest frequency, around the field of a ball of radius 0.8."""
    at = (np.arange(COARSE) + 0.5) * np.pi / COARSE
    orders = sorted(itertools.product(range(8), repeat=3), key=lambda order: (sum(k * k for k in order), order))[:CODE]
    columns = []
    for order in orders:
        x, y, z = (np.cos(k * at) * np.sqrt((2 if k else 1) / COARSE) for k in order)
        columns.append((x[:, None, None] * y[:, None] * z).reshape(-1))
    scale = [STEP * COARSE**1.5 / (1 + sum(k * k for k in order)) for order in orders]
    basis = np.stack(columns, axis=1)
    none = np.zeros((0, CODE), np.float32)
    at_first, along, wide = (np.asarray(part, np.float32) for part in (_ball().reshape(-1), basis, scale))
    return Codes(at_first, along, wide, none if directions is None else directions, model)


@cache
def _ball() -> np.ndarray:
    ball = trimesh.creation.icosphere(3, radius=0.8)
    return level0_field(ball.vertices, ball.faces).reshape(COARSE, 2, COARSE, 2, COARSE, 2).mean(axis=(1, 3, 5))


def flow_of() -> FlowPrior:
    """N(0, I), calibrated on draws of it."""
    none, unit = np.zeros((1, CODE), np.float32), np.eye(CODE, dtype=np.float32)
    one, few = np.zeros((1, 1), np.float32), np.zeros(1, np.float32)
    still = Velocity(none, few, (Block(one, few, one, one, few),), none.T.copy(), np.zeros(CODE, np.float32))
    blank = ScoreQuantiles(np.zeros(len(LEVELS), np.float32))
    bare = FlowPrior(np.zeros(CODE, np.float32), unit, still, blank, blank)
    drawn = np.random.default_rng(1).standard_normal((200, CODE)).astype(np.float32)
    return FlowPrior(
        bare.mean, unit, still, ScoreQuantiles.of(bare.alignment(drawn)), ScoreQuantiles.of(bare.score(drawn))
    )


def archive_of(codes: np.ndarray, family: list[int], names: tuple[str, ...]) -> Archive:
    """Shapes with these codes (n, CODE), each of a program of its own."""
    count = len(codes)
    trained = np.bincount(family, minlength=len(names)).astype(np.int32)
    pictures, places = np.zeros((count, PICTURE, PICTURE), np.uint8), np.zeros((count, 2), np.float32)
    kinds, seeds = np.array(family, np.int32), np.arange(count, dtype=np.int32)
    weights = np.ones(CODE, np.float32)
    return Archive(codes.astype(np.float32), names, kinds, seeds, pictures, places, trained, weights)


@cache
def prior_of() -> ShapePrior:
    """Sliders: "size", whose unit moves the surface outwards by STEP voxels, and "bend"."""
    out, bend = np.zeros(CODE, np.float32), np.zeros(CODE, np.float32)
    out[0], bend[7] = -1, 1
    sliders = {"size": ShapeSlider("size", out, -2.0, 2.0), "bend": ShapeSlider("bend", bend, -1.0, 1.0)}
    rows = np.zeros((6, CODE))
    rows[:, 0] = [0, 1, 2, 10, 11, 20]
    return ShapePrior(codes_of(), flow_of(), archive_of(rows, [0, 0, 0, 1, 1, 2], ("ball", "box", "cone")), sliders)


class BallModel:
    """Sees balls everywhere, whatever it is told: (x, radius) for each along the first axis."""

    batch = 2

    def __init__(self, *balls: tuple[float, float]) -> None:
        self.balls, self.card, self.seconds = balls, {}, 0.0

    def seed(self, evidence: np.ndarray, cancel: Any) -> np.ndarray:
        return np.zeros((1, 2, 18, 18, 18), np.float32)

    def encode(self, evidence: np.ndarray, field: np.ndarray, cancel: Any) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros(CODE, np.float32), np.ones(CODE, np.float32)

    def style(self, noise: float, filling: float, level: int, code: np.ndarray, cancel: Any) -> np.ndarray:
        return np.zeros((1, 1), np.float32)

    def field(self, evidence: Any, parent: Any, position: np.ndarray, style: Any, cancel: Any) -> np.ndarray:
        if cancel.cancelled:
            raise OmomiError(ErrorCode.CANCELLED, "The job was cancelled.")
        steps = np.stack(np.meshgrid(*[np.arange(32) - 15.5] * 3, indexing="ij"))
        voxel = position[:, 3].reshape(-1, 1, 1, 1, 1)
        places = position[:, :3].reshape(-1, 3, 1, 1, 1) + voxel * steps
        away = np.full((len(position), 32, 32, 32), 9.0)
        for x, radius in self.balls:
            middle = np.array([x, 0, 0]).reshape(1, 3, 1, 1, 1)
            away = np.minimum(away, np.linalg.norm(places - middle, axis=1) - radius)
        mean = np.clip(away / voxel[:, 0], -3, 3)
        return np.stack([mean, np.full_like(mean, -1.5)], axis=1).astype(np.float32)
