"""Shapes made of a code alone: closed, in one piece, never silently empty; and the outlines of codes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import trimesh

from backend.edits.sample_shape import MOST_SEEDS, WHOLE, drawn_code, sample_shape
from backend.errors import ErrorCode, OmomiError
from backend.field.fit import FittedMesh
from backend.field.onnx_model import CODE, CancelToken
from backend.prior import shape_prior
from backend.prior.codes import Codes
from backend.prior.decode_shape import decode_shape, outline_of
from tests.fake_priors import COARSE, BallModel, codes_of, prior_of

NOTHING = np.zeros(CODE, np.float32)


def imagined(*balls: tuple[float, float], level: int = 1, **more: Any) -> FittedMesh:
    model: Any = BallModel(*balls)
    return decode_shape(NOTHING, model, level, **more)


def refusal(*balls: tuple[float, float], **more: Any) -> ErrorCode:
    with pytest.raises(OmomiError) as caught:
        imagined(*balls, **more)
    return caught.value.code


def test_a_decoded_shape_is_a_closed_surface_at_the_zeros_of_the_field() -> None:
    frames: list[FittedMesh] = []
    told: list[float] = []
    mesh = imagined((0.1, 0.5), on_frame=frames.append, on_progress=lambda share, _: told.append(share))
    assert np.allclose(np.linalg.norm(mesh.vertices - [0.1, 0, 0], axis=1), 0.5, atol=0.01)
    assert trimesh.Trimesh(mesh.vertices, mesh.faces).is_watertight
    assert len(mesh.sigma) == len(mesh.vertices) and (mesh.sigma > 0).all()
    assert [frame.level for frame in frames] == [0, 1] and [frame.final for frame in frames] == [False, True]
    assert frames[-1] is mesh and told == sorted(told) and told[-1] == 1


def test_of_several_pieces_the_largest_is_kept() -> None:
    mesh = imagined((-0.5, 0.2), (0.4, 0.4))
    assert np.allclose(np.linalg.norm(mesh.vertices - [0.4, 0, 0], axis=1), 0.4, atol=0.02)


def test_a_code_of_no_shape_is_an_error_and_not_an_empty_mesh() -> None:
    assert refusal() is ErrorCode.NO_SURFACE
    assert refusal((0.0, -1.0), level=0) is ErrorCode.NO_SURFACE


def test_levels_that_are_none_and_a_cancel_end_it() -> None:
    for level in (-1, 6):
        assert refusal((0.0, 0.5), level=level) is ErrorCode.BAD_OPTION
    token = CancelToken()
    token.cancel()
    assert refusal((0.0, 0.5), cancel=token) is ErrorCode.CANCELLED


def test_a_seed_draws_the_same_shape_again_and_the_surface_itself_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    prior, told = prior_of(), []
    monkeypatch.setattr(shape_prior, "shipped_prior", lambda: prior)
    model: Any = BallModel((0.0, 0.8))
    still = model.style
    model.style = lambda *given: told.append(given[3]) or still(*given)
    one, two = sample_shape(model, 5, 0), sample_shape(model, 5, 0)
    assert np.array_equal(told[0], told[1]) and one.verdict.to_json() == two.verdict.to_json()
    assert np.abs(told[0]).max() > 1 and one.verdict.value > 0.9
    sample_shape(model, 6, 0)
    assert not np.array_equal(told[0], told[2])
    for seed in (-1, MOST_SEEDS):
        with pytest.raises(OmomiError) as caught:
            sample_shape(model, seed, 0)
        assert caught.value.code is ErrorCode.BAD_OPTION


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
