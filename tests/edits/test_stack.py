"""Scans that are kept for edits, the edits that lie on them, and what becomes of both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.edits import stack
from backend.edits.apply import apply_stack, check_stack
from backend.edits.displacement import Displacement, displacement_of, masked
from backend.edits.fitted_scan import EditableMesh, FittedScan
from backend.edits.learn import learn_from
from backend.edits.masks import PaintedMask
from backend.edits.regions import regions_of
from backend.edits.stack import EditSession, EvaluatedLayer, FittedEdit, Stack
from backend.errors import ErrorCode, OmomiError
from backend.field.fit import FittedMesh
from backend.formats.raw_scan import RawScan
from backend.protocol.recipe import Layer, MaskRef
from backend.protocol.requests import EditTarget, Outcome
from backend.scan.prepare import prepare
from tests.scan_shapes import cube, globe


def ignore(share: float, text: str) -> None:
    assert 0 <= share <= 1 and text


def session_of(scale: float = 1.0, where: float = 0.0) -> EditSession:
    """A ball, fitted as it is."""
    points, faces = globe(16, 32)
    world = scale * points + where
    raw = RawScan(world, faces, name="ball")
    mesh = FittedMesh(world, faces, np.full(len(world), 0.01 * scale, np.float32), 2, True)
    fit: Any = SimpleNamespace(mesh=mesh, stats=None, report=None)
    return EditSession(FittedScan(raw, prepare(raw), fit), (where, where, where))


def stack_of(moves: np.ndarray, muted: int | None = None) -> Stack:
    """A stack on a cube with displacements (k, 8, 3), canonical and world units being the same."""
    points, faces = cube()
    layers = [
        EvaluatedLayer(
            layer("thickness", mute=k == muted), None if k == muted else FittedEdit(Flat(), (-1, 2)), displacement
        )
        for k, displacement in enumerate(Displacement(move, np.abs(move[:, 0])) for move in moves)
    ]
    return Stack(EditableMesh(points, faces, np.zeros(8)), tuple(layers), points, 1.0, (0.0, 0.0, 0.0))


def layer(name: str, strength: float = 1.0, mask: int | None = None, mute: bool = False) -> Layer:
    return Layer(name, strength, mute=mute, mask=None if mask is None else MaskRef("row", row=mask))


class Flat:
    """Moves everything to the right."""

    def evaluate(self, points: np.ndarray, normals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.broadcast_to([0.1, 0.0, 0.0], points.shape).copy(), np.full(len(points), 0.01)


def refusal(call: Callable[[], object]) -> OmomiError:
    with pytest.raises(OmomiError) as caught:
        call()
    return caught.value


# Poses

moves = st.integers(0, 4).flatmap(
    lambda k: st.integers(0, 2**32 - 1).map(lambda seed: np.random.default_rng(seed).normal(size=(k, 8, 3)))
)


@given(moves, st.data())
def test_a_pose_is_the_body_and_the_sum_of_its_layers(moved: np.ndarray, data: st.DataObject) -> None:
    stack = stack_of(moved)
    strengths = data.draw(st.lists(st.floats(-3, 3), min_size=len(moved), max_size=len(moved)))
    expected = stack.mesh.vertices + np.tensordot(strengths, moved, 1)
    assert np.allclose(stack.pose(strengths), expected, atol=1e-5)
    assert np.allclose(stack.edited(strengths).move, expected - stack.mesh.vertices, atol=1e-9)


@given(moves, st.integers(0, 1))
def test_strength_0_gives_the_bits_of_the_body_even_its_negative_zeros(moved: np.ndarray, sign: int) -> None:
    stack = stack_of(moved)
    stack = replace(stack, world=np.where(stack.world == 0, -0.0, stack.world))
    zeros = [[0.0, -0.0][sign]] * len(moved)
    assert stack.pose(zeros).tobytes() == stack.world.astype(np.float32).tobytes()
    assert stack.moved(zeros).tobytes() == stack.world.tobytes()
    assert not stack.edited(zeros).move.any()


def test_a_pose_is_the_callers_own() -> None:
    stack = stack_of(np.ones((1, 8, 3)))
    for strengths in ([0.0], [1.0]):
        before = stack.pose(strengths).tobytes()
        stack.pose(strengths)[:] = 7
        assert stack.pose(strengths).tobytes() == before


def test_a_muted_layer_does_nothing_at_any_strength_and_no_slider_moves_it() -> None:
    stack = stack_of(np.ones((2, 8, 3)), muted=0)
    assert stack.moved([5.0, 0.0]).tobytes() == stack.world.tobytes()
    assert stack.warnings([100.0, 0.0]) == []
    assert "muted" in refusal(lambda: stack.layer(0)).message
    assert stack.layer(1)[0].edit == "thickness"


@pytest.mark.parametrize("strengths", [[], [1.0], [1.0] * 3, [np.nan, 0], [np.inf, 0], [0, 1e10]])
def test_strengths_that_do_not_fit_the_stack_are_refused(strengths: list[float]) -> None:
    stack = stack_of(np.ones((2, 8, 3)))
    for call in (stack.pose, stack.edited, stack.warnings):
        assert refusal(lambda call=call: call(strengths)).code is ErrorCode.BAD_OPTION
    for number in (-1, 2):
        assert refusal(lambda number=number: stack.layer(number)).code is ErrorCode.BAD_OPTION


def test_strengths_outside_of_what_was_seen_are_flagged_by_name() -> None:
    stack = stack_of(np.ones((2, 8, 3)))
    assert stack.warnings([-1.0, 2.0]) == []
    (text,) = stack.warnings([0.5, -1.5])
    assert "thickness" in text and "-1.5" in text


# Laying edits on a scan


def test_a_scan_without_edits_is_itself() -> None:
    session = session_of(3.0, 1e6)
    assert session.stack.layers == ()
    assert np.allclose(session.stack.pose([]) + 1e6, session.fitted.raw.points, atol=1e-6)
    for body in EditTarget:
        assert session.lay(body, [], None, ignore).pose([]).shape == session.fitted.raw.points.shape


def test_an_artist_is_told_where_walls_will_meet_before_anything_is_swept(monkeypatch: pytest.MonkeyPatch) -> None:
    class Shrinking:
        def evaluate(self, points: np.ndarray, normals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return -0.4 * normals, np.zeros(len(points))

    monkeypatch.setattr(stack, "attribute", lambda *_: Shrinking())
    session = session_of()
    mesh = session.fitted.mesh(EditTarget.FIT)
    radius = np.linalg.norm(mesh.vertices, axis=1).mean()
    (found,) = session.lay(EditTarget.FIT, [layer("thickness", 5.0)], None, ignore).layers
    low, high = found.summary["foretold"]
    assert low == -2.0
    assert high == pytest.approx(radius / 0.4, rel=0.1)


def test_an_edit_is_placed_and_evaluated_once_whatever_its_strength_and_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    class Counting(Flat):
        def evaluate(self, points: np.ndarray, normals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            calls.append("evaluated")
            return super().evaluate(points, normals)

    def counted(name: str, *rest: Any) -> Counting:
        calls.append("placed")
        return Counting()

    monkeypatch.setattr(stack, "attribute", counted)
    session = session_of()
    half = np.linspace(0, 1, len(session.fitted.raw.points)).astype(np.float32)
    one, masked = layer("thickness"), layer("thickness", mask=0)
    for variant in [one, replace(one, strength=2.0), masked, replace(one, mute=True), one]:
        session.lay(EditTarget.SCAN, [variant], half, ignore)
    assert calls == ["placed", "evaluated"]
    session.lay(EditTarget.FIT, [one, masked], half, ignore)
    assert calls == ["placed", "evaluated", "evaluated"]


def test_a_masked_layer_is_what_the_mask_makes_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack, "attribute", lambda *_: Flat())
    session = session_of()
    weights = np.random.default_rng(0).random(len(session.fitted.raw.points)).astype(np.float32)
    (part,) = session.lay(EditTarget.SCAN, [layer("thickness", mask=0)], weights, ignore).displacements
    mesh = session.fitted.mesh(EditTarget.SCAN)
    region = PaintedMask.of_mesh(mesh.vertices, mesh.faces, weights, 2 / 128, mesh.normals)
    expected = masked(displacement_of(Flat(), mesh.vertices, mesh.normals), region, mesh.vertices, mesh.normals)
    assert np.array_equal(part.move, expected.move) and np.array_equal(part.doubt, expected.doubt)
    assert np.allclose(part.move[:, 0], 0.1 * weights, atol=1e-3)


def test_vertices_without_a_place_do_not_move_and_spoil_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack, "attribute", lambda *_: Flat())
    points, faces = globe(16, 32)
    raw = RawScan(np.concatenate([points, [[np.nan, 0, 0]]]), faces, name="ball")
    session = EditSession(FittedScan(raw, prepare(raw)), (0.0, 0.0, 0.0))
    whole = np.ones(len(raw.points), np.float32)
    pose = session.lay(EditTarget.SCAN, [layer("thickness", mask=0)], whole, ignore).pose([1.0])
    assert np.isfinite(pose[:-1]).all() and (pose[:-1] - points)[:, 0].min() > 0
    assert np.isnan(pose[-1, 0])


def test_an_edit_that_fails_is_named_and_leaves_the_old_stack() -> None:
    session = session_of()
    kept = session.lay(EditTarget.FIT, [layer("thickness")], None, ignore)
    error = refusal(lambda: session.lay(EditTarget.FIT, [layer("charm")], None, ignore))
    assert error.code is ErrorCode.BAD_OPTION and error.message.startswith("charm: ")
    assert session.stack is kept


def test_too_many_edits_are_refused_before_any_is_looked_at() -> None:
    error = refusal(lambda: session_of().lay(EditTarget.FIT, [layer("charm")] * 257, None, ignore))
    assert error.code is ErrorCode.BAD_OPTION and "256" in error.message


def test_places_of_edits_are_not_kept_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack, "attribute", lambda *_: Flat())
    names = [f"edit {number}" for number in range(40)]
    monkeypatch.setattr("backend.edits.attributes.ATTRIBUTES", dict.fromkeys(names, SimpleNamespace(low=-1, high=1)))
    session = session_of()
    for name in names:
        session.lay(EditTarget.FIT, [layer(name)], None, ignore)
    assert list(session.edits) == names[-stack.MOST_FITTED :]


def test_a_stop_between_two_edits_leaves_the_old_stack() -> None:
    session, seen = session_of(), []

    def stop(share: float, text: str) -> None:
        seen.append(text)
        if len(seen) == 2:
            raise OmomiError(ErrorCode.CANCELLED, "stop")

    specs = [layer("thickness"), layer("detail")]
    assert refusal(lambda: session.lay(EditTarget.FIT, specs, None, stop)).code is ErrorCode.CANCELLED
    assert session.stack.layers == ()


BALL = session_of()


@given(st.integers(0, 4), st.integers(0, 3), st.integers(-1, 3))
def test_masks_are_cut_from_one_row(points: int, count: int, number: int) -> None:
    session, masks = BALL, np.arange(points * count, dtype=np.float32) / 16
    session = EditSession(replace(session.fitted, raw=RawScan(np.random.default_rng(0).random((points, 3)))))
    if number < 0:
        assert refusal(lambda: layer("thickness", mask=number)).code is ErrorCode.BAD_OPTION
    elif points and number < count:
        (region,) = regions_of(session.fitted, [layer("thickness", mask=number)], masks)
        assert isinstance(region, PaintedMask)
        assert (16 * region.weights).tolist() == list(range(number * points, (number + 1) * points))
    else:
        error = refusal(lambda: regions_of(session.fitted, [layer("thickness", mask=number)], masks))
        assert error.code is ErrorCode.BAD_OPTION


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)


keys = ["edit", "strength", "sha256", "mute", "mask", "kind", "path", "x"]


@given(st.dictionaries(st.sampled_from(keys), json | st.sampled_from(["thickness", "shape", "a" * 64, "a.omomi"])))
def test_any_layer_is_understood_or_refused(value: dict[str, Any]) -> None:
    try:
        found = Layer.from_json(value)
    except OmomiError as error:
        assert error.code is ErrorCode.BAD_OPTION
    else:
        assert found.edit and np.isfinite(found.strength) and type(found.mute) is bool
        assert Layer.from_json(found.to_json()) == found


# What becomes of them


@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_what_is_said_of_a_result_is_in_the_units_of_the_scan(scale: float) -> None:
    session = session_of(scale, 5 * scale)
    session.lay(EditTarget.FIT, [layer("thickness")], None, ignore)
    carried = apply_stack(session, [2.0], Outcome.CARRIED, None, ignore)
    assert (carried.vertices - session.origin).astype(np.float32).tobytes() == session.stack.pose([2.0]).tobytes()
    # thickness moves the surface by a hundredth of the longest side
    assert np.isclose(carried.summary["largest_move"], 0.02 * scale, rtol=0.05)
    assert carried.summary["moved"] == 1 and carried.summary["folded_faces"] == 0 and carried.summary["warnings"] == []
    assert np.allclose(carried.sigma, 0.01 * scale, rtol=1e-4)
    made = apply_stack(session, [2.0], Outcome.REMESHED, None, ignore)
    radii = [np.linalg.norm(one.vertices - session.origin, axis=1) / scale for one in (carried, made)]
    assert np.allclose(radii[0], 0.52, atol=2e-3) and np.allclose(radii[1], 0.52, atol=1e-2)
    assert made.faces.max() == len(made.vertices) - 1 and np.allclose(made.sigma, 0.01 * scale, rtol=1e-4)


def test_a_check_measures_the_moved_mesh_in_world_units_wherever_it_is() -> None:
    session = session_of(2.0, 1e7)
    session.lay(EditTarget.FIT, [layer("thickness")], None, ignore)
    found, sigma = check_stack(session, [3.0], None, ignore)
    measures = found["measures"]
    assert np.isclose(measures.volume, 4 / 3 * np.pi * 1.06**3, rtol=0.03)
    assert np.allclose(measures.bounds, [[1e7 - 1.06] * 3, [1e7 + 1.06] * 3], atol=0.02)
    assert np.allclose(sigma, 0.02, rtol=1e-4)
    assert tuple(found["topology"]["after"]) == (1, 0, 0)


def test_guesses_and_strengths_beyond_what_was_seen_are_warned_of() -> None:
    session = session_of()

    class Doubtful(Flat):
        def evaluate(self, points: np.ndarray, normals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return super().evaluate(points, normals)[0], np.full(len(points), 0.06)

    session.edits["thickness"] = FittedEdit(Doubtful(), (-1, 2))
    session.lay(EditTarget.FIT, [layer("thickness")], None, ignore)
    summary = apply_stack(session, [9.0], Outcome.CARRIED, None, ignore).summary
    assert summary["guessed"] == 1
    assert [text for text in summary["warnings"] if "guess" in text] and "9" in summary["warnings"][0]


# Learning


def pair(change: float) -> tuple[RawScan, RawScan]:
    points, faces = globe(24, 48)
    before = points * [1.0, 0.8, 0.6]
    after = before + change * np.exp(-20 * ((points - points[100]) ** 2).sum(axis=1))[:, None] * points[100]
    return RawScan(before, faces, name="before"), RawScan(after, faces, name="after")


def test_identical_pairs_teach_nothing_and_say_so() -> None:
    edit, summary = learn_from([pair(0.0)], ["ball"], None, ignore)
    assert edit.changes_nothing and summary["changed_share"] == [0.0]
    assert any("no change" in text for text in summary["warnings"])


@pytest.mark.parametrize("count", [0, 6])
def test_no_pair_and_too_many_are_refused(count: int) -> None:
    error = refusal(lambda: learn_from([pair(0.1)] * count, ["ball"] * count, None, ignore))
    assert error.code is ErrorCode.BAD_OPTION


def test_learning_can_be_stopped_at_every_step() -> None:
    texts: list[str] = []

    def stop(share: float, text: str) -> None:
        texts.append(text)
        raise OmomiError(ErrorCode.CANCELLED, "stop")

    assert refusal(lambda: learn_from([pair(0.1)], ["ball"], None, stop)).code is ErrorCode.CANCELLED
    assert texts == ["reading ball"]
