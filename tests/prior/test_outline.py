"""The outline of a code: the surface of its own field, and whether that is one piece."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backend.edits.sample_shape import WHOLE, drawn_code
from backend.field.onnx_model import CODE
from backend.prior.codes import Codes
from backend.prior.decode_shape import outline_of
from tests.fake_priors import COARSE, codes_of, prior_of

NOTHING = np.zeros(CODE, np.float32)


def with_mean(field: np.ndarray) -> Codes:
    return replace(codes_of(), mean=field.astype(np.float32).reshape(-1))


def places() -> np.ndarray:
    at = (np.arange(COARSE) + 0.5) * 2 / COARSE - 1
    return np.stack(np.meshgrid(at, at, at, indexing="ij"))


def ball(x: float, radius: float) -> np.ndarray:
    """Signed distance in voxels of level 0."""
    there = places() - np.array([x, 0, 0]).reshape(3, 1, 1, 1)
    return (np.linalg.norm(there, axis=0) - radius) * 16


def test_the_outline_of_the_mean_is_its_zero_set_with_normals_outwards() -> None:
    outline = outline_of(NOTHING, codes_of())
    radius = np.linalg.norm(outline.points, axis=1)
    assert len(outline.points) > 1000 and np.allclose(radius, 0.8, atol=0.02)
    assert ((outline.points / radius[:, None] * outline.normals).sum(axis=1) > 0.95).all()
    assert outline.whole == pytest.approx(1)


def test_a_movement_of_the_code_moves_the_outline() -> None:
    code = NOTHING.copy()
    code[0] = -1
    larger = outline_of(code, codes_of())
    assert np.linalg.norm(larger.points, axis=1).mean() > 0.8 + 0.02


def test_pieces_are_told_by_their_volume_and_hollows_do_not_count() -> None:
    two = np.minimum(ball(-0.5, 0.4), ball(0.5, 0.2))
    assert outline_of(NOTHING, with_mean(two)).whole == pytest.approx(8 / 9, abs=0.02)
    hollow = np.maximum(ball(0, 0.7), -ball(0, 0.3))
    assert outline_of(NOTHING, with_mean(hollow)).whole == pytest.approx(1)


def test_a_code_without_a_surface_has_an_empty_outline() -> None:
    outline = outline_of(NOTHING, with_mean(np.full((COARSE,) * 3, 3.0)))
    assert len(outline.points) == len(outline.normals) == 0 and outline.whole == 0


def test_a_seed_takes_the_first_code_whose_shape_is_whole() -> None:
    code, outline = drawn_code(prior_of(), 3)
    assert outline.whole >= WHOLE
    again, _ = drawn_code(prior_of(), 3)
    assert np.array_equal(code, again)
