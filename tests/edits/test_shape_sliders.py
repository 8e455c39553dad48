"""Codes of shapes, what is read of them from files, and edits that move them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh

from backend.edits.shape_sliders import PLAUSIBLE, heights_of, shape_edit
from backend.edits.stack import EditSession
from backend.errors import ErrorCode, OmomiError
from backend.field.onnx_model import CODE
from backend.geometry.nearest import nearest_on_mesh
from backend.geometry.winding_number import winding_grid
from backend.prior import shape_prior
from backend.prior.codes import FILE, VOXEL, level0_field, load_codes, save_codes
from backend.prior.flow import FILE as FLOW
from backend.prior.shape_prior import load_prior, sliders_of
from backend.protocol.recipe import Layer
from backend.protocol.requests import EditTarget
from tests.edits.test_stack import ignore
from tests.fake_priors import STEP, codes_of, flow_of, prior_of
from tests.fakes import subject_of


@pytest.fixture(scope="module")
def prior() -> shape_prior.ShapePrior:
    return prior_of()


@pytest.fixture
def session(prior: shape_prior.ShapePrior, monkeypatch: pytest.MonkeyPatch) -> EditSession:
    monkeypatch.setattr(shape_prior, "shipped_prior", lambda: prior)
    return EditSession(subject_of(trimesh.creation.icosphere(4, radius=5.0)), (0.0, 0.0, 0.0))


def slider(name: str, strength: float = 1.0) -> Layer:
    return Layer(name, strength, kind="shape")


def refusal(call: Any, *given: Any) -> OmomiError:
    with pytest.raises(OmomiError) as caught:
        call(*given)
    return caught.value


MESHES = {
    "ball": trimesh.creation.icosphere(3, radius=0.7),
    "box": trimesh.creation.box((1.6, 0.9, 0.3)),
    "torus": trimesh.creation.torus(0.6, 0.2),
}


@pytest.mark.parametrize("mesh", MESHES.values(), ids=MESHES)
def test_the_field_of_a_mesh_is_its_distance(mesh: trimesh.Trimesh) -> None:
    voxels = (np.asarray(mesh.vertices) + 1) * 16 - 0.5
    centres = np.stack(np.meshgrid(*[np.arange(32)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    near = nearest_on_mesh(voxels, mesh.faces, centres).distance.clip(max=3).reshape(32, 32, 32)
    exact = np.where(winding_grid(voxels, mesh.faces, (32, 32, 32)) > 0, -near, near)
    error = np.abs(level0_field(mesh.vertices, mesh.faces) - exact)
    assert error.max() < 0.12 and error.mean() < 2e-3


def test_a_code_and_its_field_are_one_another(prior: shape_prior.ShapePrior) -> None:
    code = 0.1 * np.random.default_rng(0).standard_normal(CODE).astype(np.float32)
    field = prior.codes.field_of(code).repeat(2, 0).repeat(2, 1).repeat(2, 2)
    inner = np.abs(field).max() < 3
    found = prior.codes.of_field(field)
    # where the field is truncated something is lost
    assert np.allclose(found, code, atol=1e-4) if inner else np.corrcoef(found, code)[0, 1] > 0.8


def test_a_slider_moves_the_surface_by_what_the_field_loses(session: EditSession) -> None:
    stack = session.lay(EditTarget.FIT, [slider("size")], None, ignore)
    moved, rest = stack.pose([1.0]), stack.pose([0.0])
    world = STEP * VOXEL / session.fitted.scan.frame.scale
    assert np.allclose(np.linalg.norm(moved, axis=1) - np.linalg.norm(rest, axis=1), world, rtol=1e-3)
    assert np.allclose(stack.pose([-2.0]) - rest, -2 * (moved - rest), atol=1e-4)
    assert stack.layers[0].summary["kind"] == "shape" and stack.layers[0].summary["warnings"] == []


def test_no_facets_of_the_grid_show(prior: shape_prior.ShapePrior) -> None:
    line = np.linspace(-0.7, 0.7, 2001)
    points = np.stack([line, 0.3 * line, -0.2 * line], axis=1)
    delta = np.random.default_rng(3).standard_normal(CODE)
    slope = np.diff(heights_of(prior.codes, delta, points)) / np.diff(line)
    assert np.abs(np.diff(slope)).max() < 0.05 * np.ptp(slope)


def test_the_scans_own_vertices_move_as_the_fit_does_there(session: EditSession) -> None:
    stack = session.lay(EditTarget.SCAN, [slider("size")], None, ignore)
    length = np.linalg.norm(stack.pose([1.0]) - stack.pose([0.0]), axis=1) * session.fitted.scan.frame.scale
    assert np.allclose(length, STEP * VOXEL, rtol=2e-3)


def test_the_way_to_the_plausible_starts_where_other_edits_lead_and_ends_at_the_data(session: EditSession) -> None:
    prior, shell = shape_prior.shipped_prior(), session.fitted.mesh(EditTarget.FIT)
    specs = [slider("bend", 14.0), slider(PLAUSIBLE)]
    stack = session.lay(EditTarget.FIT, specs, None, ignore)

    def scored(*strengths: float) -> float:
        move = stack.edited(strengths).move
        return float(prior.flow.score(prior.codes.of_mesh(shell.vertices + move, shell.faces)[None])[0])

    driven, pulled = scored(14.0, 0.0), scored(14.0, 1.0)
    assert pulled < driven
    assert stack.pose([14.0, 9.0]).tobytes() == stack.pose([14.0, 1.0]).tobytes()
    assert stack.pose([14.0, -1.0]).tobytes() == stack.pose([14.0, 0.0]).tobytes()


def test_what_is_plausible_already_stays_and_says_so(session: EditSession) -> None:
    stack = session.lay(EditTarget.FIT, [slider(PLAUSIBLE)], None, ignore)
    assert np.array_equal(stack.pose([1.0]), stack.pose([0.0]))
    assert "nothing to do" in stack.layers[0].summary["warnings"][0]


def test_a_slider_that_is_not_there_is_refused_by_name_and_so_is_a_scan_without_a_fit(
    session: EditSession, prior: shape_prior.ShapePrior
) -> None:
    error = refusal(session.lay, EditTarget.FIT, [slider("charm")], None, ignore)
    assert error.code is ErrorCode.BAD_OPTION and "size, bend, plausible" in error.message
    error = refusal(shape_edit, "size", session.fitted.scan, None, prior)
    assert error.code is ErrorCode.BAD_OPTION and "needs a fit" in error.message


@pytest.mark.parametrize("edit", ["", 1, ["a"], "a\0"])
def test_a_layer_that_is_no_shape_slider_is_refused(edit: Any) -> None:
    for more in ({}, {"path": "b.omomi"}):
        value = {"edit": edit if not more else "a", "strength": 1.0, "kind": "shape", **more}
        assert refusal(Layer.from_json, value).code is ErrorCode.BAD_OPTION


def test_codes_come_back_from_their_file_and_what_is_none_is_refused(tmp_path: Path) -> None:
    codes = codes_of(np.ones((2, CODE), np.float32), "0123456789abcdef")
    save_codes(tmp_path / FILE, codes)
    found = load_codes(tmp_path / FILE)
    assert all(np.array_equal(getattr(found, name), getattr(codes, name)) for name in ("mean", "basis", "directions"))
    assert found.model == codes.model
    data = (tmp_path / FILE).read_bytes()
    for broken in (b"", data[:-1], data[:1000], data.replace(b"version 1", b"version 2")):
        (tmp_path / FILE).write_bytes(broken)
        assert refusal(load_codes, tmp_path / FILE).code is ErrorCode.UNREADABLE_FILE
    wrongs: list[dict[str, Any]] = [{"scale": 0 * codes.scale}, {"mean": codes.mean[1:]}, {"mean": codes.mean * 1e9}]
    for wrong in wrongs:
        assert refusal(save_codes, tmp_path / FILE, replace(codes, **wrong)).code is ErrorCode.BAD_OPTION


def test_a_cards_sliders_are_read_and_what_is_odd_is_left_out() -> None:
    codes = codes_of(np.eye(2, CODE, dtype=np.float32))
    good = {"name": "width", "kind": "shape", "direction": 1, "range": [-2, 1.5], "unit": "sd"}
    odd: list[Any] = [
        None, {}, {**good, "kind": "style"}, {**good, "name": "a/b"}, {**good, "name": 3}, {**good, "direction": 2},
        {**good, "direction": -1}, {**good, "direction": True}, {**good, "range": [1, 2]}, {**good, "range": [0, 0]},
        {**good, "range": [-1e9, 1]}, {**good, "range": "ab"}, {**good, "range": [-1, float("nan")]},
    ]  # fmt: skip
    (found,) = sliders_of({"sliders": [*odd, good, {**good, "direction": 0}]}, codes)
    assert (found.name, found.low, found.high, found.unit) == ("width", -2.0, 1.5, "sd")
    assert np.array_equal(found.delta, codes.directions[1])
    assert sliders_of({"sliders": {"width": 1}}, codes) == sliders_of({}, codes) == []


def test_a_prior_is_whole_and_of_its_model(tmp_path: Path) -> None:
    assert refusal(load_prior, tmp_path).code is ErrorCode.MODEL_MISSING
    save_codes(tmp_path / FILE, codes_of(model="0123456789abcdef"))
    flow_of().save(tmp_path / FLOW)
    (tmp_path / "card.json").write_text(json.dumps({"hash": "0123456789abcdef"}))
    assert load_prior(tmp_path).archive is None
    (tmp_path / "card.json").write_text(json.dumps({"hash": "f" * 16}))
    assert refusal(load_prior, tmp_path).code is ErrorCode.MODEL_MISMATCH
