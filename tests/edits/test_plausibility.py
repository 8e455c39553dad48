"""How usual a shape is said to be, and what it is said to be like."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import trimesh

from backend.edits.fitted_scan import EditableMesh
from backend.edits.plausibility import nearest_families, plausibility_at, plausibility_of, plausibility_of_code
from backend.edits.stack import EditSession
from backend.errors import ErrorCode, OmomiError
from backend.field.onnx_model import CODE
from backend.prior import shape_prior
from tests.fake_priors import archive_of, prior_of
from tests.fakes import subject_of

ENGINE: Any = SimpleNamespace(model=None)


@pytest.fixture(scope="module")
def prior() -> shape_prior.ShapePrior:
    return prior_of()


def shell_of(mesh: trimesh.Trimesh) -> EditableMesh:
    return EditableMesh(np.asarray(mesh.vertices), np.asarray(mesh.faces, np.int32), np.zeros(len(mesh.vertices)))


def test_the_typical_is_plausible_the_absurd_is_not_and_the_order_stays(prior: shape_prior.ShapePrior) -> None:
    way = np.random.default_rng(0).standard_normal(CODE)
    values = [plausibility_of_code((far * way).astype(np.float32), prior).value for far in (0.0, 1.0, 2.0, 4.0, 8.0)]
    assert values[0] > 0.9 > 0.1 > values[2] and values == sorted(values, reverse=True)
    assert all(0 <= value <= 1 for value in values) and 0.01 < values[1] < 0.99


def test_a_code_that_is_no_number_is_refused(prior: shape_prior.ShapePrior) -> None:
    with pytest.raises(OmomiError) as caught:
        plausibility_of_code(np.full(CODE, np.nan), prior)
    assert caught.value.code is ErrorCode.BAD_OPTION


def test_the_nearest_of_each_family_comes_nearest_first_in_units_of_relatives(prior: shape_prior.ShapePrior) -> None:
    code = np.zeros(CODE)
    code[0] = 1.25
    found = nearest_families(code, prior.archive)
    assert [near.family for near in found] == ["ball", "box", "cone"]
    # relatives of these six are 1 apart in the middle
    assert np.allclose([near.distance for near in found], [0.25, 8.75, 18.75])
    assert nearest_families(code, None) == ()
    assert len(nearest_families(code, archive_of(np.zeros((1, CODE)), [0], ("ball",)))) == 1


def test_an_edit_that_goes_too_far_is_less_plausible_than_the_shape_itself(prior: shape_prior.ShapePrior) -> None:
    shell = shell_of(trimesh.creation.icosphere(4, radius=0.8))
    rest = plausibility_of(shell, None, prior, None)
    wave = np.sin(9 * shell.vertices[:, :1]) * shell.normals
    driven = [plausibility_of(shell, size * wave, prior, None) for size in (0.0, 0.15, 0.3)]
    assert rest is not None and all(driven)
    values = [one.value for one in driven if one is not None]
    assert values[0] == rest.value > values[1] >= values[2]


def test_an_edit_that_turns_a_shape_inside_out_is_implausible_and_a_scan_that_came_so_is_not(
    prior: shape_prior.ShapePrior,
) -> None:
    ball = trimesh.creation.icosphere(4, radius=0.8)
    shell, turned = shell_of(ball), shell_of(trimesh.Trimesh(ball.vertices, ball.faces[:, ::-1], process=False))
    through = plausibility_of(shell, -2 * shell.vertices, prior, None)
    assert through is not None and through.tangled == 1 and through.value < 1e-6
    rest, came = (plausibility_of(one, np.zeros_like(one.vertices), prior, None) for one in (shell, turned))
    assert rest is not None and came is not None
    assert rest.value == came.value > 0 and rest.tangled == came.tangled == 0


def test_of_an_open_mesh_the_encoder_has_to_say(prior: shape_prior.ShapePrior) -> None:
    ball = trimesh.creation.icosphere(3, radius=0.8)
    shell = shell_of(ball)
    shell = EditableMesh(shell.vertices, shell.faces[shell.vertices[shell.faces[:, 0], 2] < 0.3], shell.sigma)
    seen: list[np.ndarray] = []

    def encode(evidence: np.ndarray, parent: np.ndarray, cancel: Any) -> tuple[np.ndarray, np.ndarray]:
        seen.append(evidence)
        return np.zeros(CODE, np.float32), np.ones(CODE, np.float32)

    model: Any = SimpleNamespace(seed=lambda evidence, cancel: None, encode=encode)
    assert plausibility_of(shell, None, prior, None) is None
    found = plausibility_of(shell, None, prior, model)
    assert found is not None and np.array_equal(found.code, np.zeros(CODE))
    assert seen[0].shape == (1, 5, 32, 32, 32) and seen[0][0, 0].sum() == len(shell.vertices)


def test_a_stack_is_judged_as_it_stands_and_without_a_prior_nothing_is_said(
    prior: shape_prior.ShapePrior, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = EditSession(subject_of(trimesh.creation.icosphere(3)), (0.0, 0.0, 0.0))
    monkeypatch.setattr(shape_prior, "installed_prior", lambda: None)
    assert plausibility_at(session, [], None) is None
    monkeypatch.setattr(shape_prior, "installed_prior", lambda: prior)
    found = plausibility_at(session, [], None)
    assert found is not None and set(found) == {"value", "tangled", "nearest"} and 0 <= found["value"] <= 1
    assert set(found["nearest"][0]) == {"family", "distance"}
