"""Shapes made of a code alone: closed, in one piece, never silently empty."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import trimesh

from backend.edits.sample_shape import MOST_SEEDS, sample_shape
from backend.errors import ErrorCode, OmomiError
from backend.field.fit import FittedMesh
from backend.field.onnx_model import CODE, CancelToken
from backend.prior import shape_prior
from backend.prior.decode_shape import decode_shape
from tests.fake_priors import BallModel, prior_of

NOTHING = np.zeros(CODE, np.float32)


def imagined(*balls: tuple[float, float], level: int = 1, **more: Any) -> FittedMesh:
    model: Any = BallModel(*balls)
    return decode_shape(NOTHING, model, level, **more)


def refusal(*balls: tuple[float, float], **more: Any) -> ErrorCode:
    with pytest.raises(OmomiError) as caught:
        imagined(*balls, **more)
    return caught.value.code


def test_what_is_imagined_is_a_closed_surface_where_the_field_has_it() -> None:
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
    engine: Any = SimpleNamespace(model=model)
    one, two = sample_shape(engine, 5, 0), sample_shape(engine, 5, 0)
    assert np.array_equal(told[0], told[1]) and one.verdict.to_json() == two.verdict.to_json()
    assert np.abs(told[0]).max() > 1 and one.verdict.value > 0.9
    sample_shape(engine, 6, 0)
    assert not np.array_equal(told[0], told[2])
    for seed in (-1, MOST_SEEDS):
        with pytest.raises(OmomiError) as caught:
            sample_shape(engine, seed, 0)
        assert caught.value.code is ErrorCode.BAD_OPTION
