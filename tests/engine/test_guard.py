"""The guard on topology: sweeps, forecasts, what they say in words, and the phase picture."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from backend.errors import OmomiError
from backend.field.bricks import BrickGrid
from backend.field.surface import extract
from backend.shape.phase import phase_picture
from backend.shape.topology import Betti, betti_of_mesh, betti_of_occupancy
from backend.weights.forecast import Kind, forecast, linearity_mismatch
from backend.weights.guard import describe, in_words
from backend.weights.sweep import Solid, Sweep, refine, sweep

SIDE = 40
X, Y, Z = np.indices((SIDE, SIDE, SIDE)) - 19.4


def ball(x: float, radius: float) -> np.ndarray:
    return np.sqrt((X - x) ** 2 + Y**2 + Z**2) - radius


def torus(ring: float, tube: float) -> np.ndarray:
    return np.hypot(np.hypot(X, Y) - ring, Z) - tube


PAIR = np.minimum(ball(-8, 5), ball(8, 5))
RING = torus(9, 4)
SHELL = np.maximum(ball(0, 12), -ball(0, 7))


def thicker(field: np.ndarray) -> Solid:
    return Solid.of_field(lambda strength: field - strength)


def mesh_of(field: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    margin = [(4, 4 + -side % 8) for side in field.shape]
    surface = extract(BrickGrid.from_dense(np.pad(field, margin, constant_values=3)[None].astype(np.float32)))
    return surface.vertices, surface.faces


def betti_of_field(field: np.ndarray) -> Betti:
    vertices, faces = mesh_of(field)
    return betti_of_mesh(vertices, faces) if len(faces) else Betti(0, 0, 0)


@pytest.mark.parametrize(
    ("field", "where", "before", "after"),
    [
        (PAIR, 3.0, Betti(2, 0, 0), Betti(1, 0, 0)),
        (RING, 5.0, Betti(1, 1, 0), Betti(1, 0, 0)),
        (SHELL, 7.0, Betti(1, 0, 1), Betti(1, 0, 0)),
    ],
    ids=["balls that touch", "a torus that fills its tunnel", "a shell that fills its hollow"],
)
def test_a_thickening_shape_changes_where_mathematics_says(
    field: np.ndarray, where: float, before: Betti, after: Betti
) -> None:
    low, high = where - 2.5, where + 2.5
    solid = thicker(field)
    swept = refine(solid, sweep(solid, low, high, 8))
    (change,) = swept.transitions
    assert (change.before, change.after) == (before, after)
    assert abs(change.strength - where) < 0.75  # voxels: the corner of a cell is .87 away from its centre
    assert change.high - change.low <= (high - low) / 1024
    assert solid.betti(change.low) == before and solid.betti(change.high) == after


def test_a_shell_that_thins_opens_its_hollow() -> None:
    # The dent leaves a wall of two voxels, so its sides meet when each has moved by one.
    dented = np.maximum(SHELL, -ball(14, 5))
    solid = thicker(dented)
    swept = refine(solid, sweep(solid, -2, 0, 5))
    (change,) = swept.transitions
    assert (change.before, change.after) == (Betti(1, 0, 0), Betti(1, 0, 1))
    assert abs(change.strength + 1) < 0.75
    foretold = forecast(dented, -np.ones_like(dented), -2, 0).first_below
    assert foretold is not None and foretold.kind is Kind.OPENS and abs(foretold.strength + 1) < 0.75
    assert describe(change.after, change.before, grows=False) == "A hollow inside is opened (1 before, 0 after)."


def test_two_changes_within_one_step_are_told_apart() -> None:
    def solid(strength: float) -> Betti:
        return Betti(1 + (strength > 0.31), int(strength > 0.3), 0)

    swept = refine(Solid(solid), sweep(Solid(solid), 0, 1, 2))
    assert [change.after for change in swept.transitions] == [Betti(1, 1, 0), Betti(2, 1, 0)]
    assert [round(change.strength, 2) for change in swept.transitions] == [0.3, 0.31]


def test_changes_that_undo_each_other_within_a_step_are_seen_where_they_are_suspected() -> None:
    solid = Solid(lambda strength: Betti(1, int(0.3 < strength < 0.4), 0))
    assert not sweep(solid, 0, 1, 2).transitions
    suspected = refine(solid, sweep(solid, 0, 1, 2, suspects=(0.301, 0.402, 7.0)))
    assert [round(change.strength, 2) for change in suspected.transitions] == [0.3, 0.4]
    assert suspected.safe_interval(0.0)[1] == pytest.approx(0.3, abs=1 / 1024)


def test_a_slider_that_only_bends_has_no_transition() -> None:
    solid = thicker(ball(0, 8))
    swept = refine(solid, sweep(solid, -2, 2, 8))
    assert not swept.transitions and swept.safe_interval() == (-2, 2)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(1, 9999), min_size=1, max_size=6, unique=True),
    st.integers(1, 30),
    st.sampled_from([0.1, 1e-2, 1e-3]),
)
def test_bisection_keeps_its_tolerance_and_the_safe_interval_its_promise(
    cuts: list[int], steps: int, tolerance: float
) -> None:
    places = np.sort(cuts) / 1e4

    def count(strength: float) -> Betti:
        return Betti(int((places < strength).sum()), 0, 0)

    asked: list[float] = []

    def betti(strength: float) -> Betti:
        asked.append(strength)
        return count(strength)

    rough = sweep(Solid(betti), 0, 1, steps)
    swept = refine(Solid(betti), rough, tolerance)
    assert len(asked) == len(set(asked)) == len(swept.strengths)
    changes = swept.transitions
    assert all(change.high - change.low <= tolerance for change in changes)
    # Every cut lies in a transition, and only they do.
    assert sum(change.after.b0 - change.before.b0 for change in changes) == len(cuts)
    assert all(any(change.low <= place <= change.high for change in changes) for place in places)
    for at in (0.0, 0.5, 1.0):
        low, high = swept.safe_interval(at)
        assert low <= at <= high and count(low) == count(at) == count(high)


def test_the_safe_interval_inside_a_transition_is_a_point() -> None:
    swept = Sweep(np.array([0.0, 1.0, 2.0]), np.array([[1, 0, 0], [2, 0, 0], [2, 0, 0]]))
    assert swept.safe_interval(0.5) == (0.5, 0.5)
    assert swept.safe_interval(0.0) == (0.0, 0.0)
    assert swept.safe_interval(1.5) == swept.safe_interval(1.0) == (1.0, 2.0)


def test_what_cannot_be_swept_is_refused() -> None:
    solid = Solid(lambda _: Betti(1, 0, 0))
    for low, high, steps in ((1, 1, 4), (1, 0, 4), (0, np.nan, 4), (0, 1, 0)):
        with pytest.raises(OmomiError):
            sweep(solid, low, high, steps)
    with pytest.raises(OmomiError, match="one resolution"):
        sweep(solid, 0, 1, 4, check=True)
    with pytest.raises(OmomiError, match="tolerance"):
        refine(solid, sweep(solid, 0, 1, 4), 0)
    with pytest.raises(OmomiError, match="not in the range"):
        sweep(solid, 0, 1, 4).safe_interval(2)
    with pytest.raises(ValueError, match="finite"):
        sweep(Solid.of_field(lambda _: np.full((4, 4, 4), np.nan)), 0, 1, 4)


def test_a_shape_that_hangs_on_the_grid_is_unstable() -> None:
    wall = np.abs(X) - 0.7
    solid = Solid.of_field(
        lambda strength: np.asarray(np.maximum(wall - strength, ball(0, 14)) + 5.0 * (strength < -0.5), float)
    )
    assert Solid.of_field(lambda _: ball(0, 9)).stability(0).unstable is False
    thin = Solid.of_field(
        lambda strength: np.minimum(ball(-9, 6), np.maximum(np.hypot(Y, Z) - strength, np.abs(X) - 9))
    )
    swept = refine(thin, sweep(thin, 0.2, 4, 8, check=True))
    assert swept.unstable is not None and len(swept.unstable) == len(swept.strengths)
    assert not swept.unstable[-1]
    assert solid.stability(0).betti == Betti(1, 0, 0)


def test_meshes_and_fields_tell_the_same() -> None:
    by_mesh = Solid.of_mesh(lambda strength: mesh_of(RING - strength))
    by_field = thicker(RING)
    for strength in (-5.0, -1.0, 2.0, 7.0):
        assert by_mesh.betti(strength) == by_field.betti(strength)
    with pytest.raises(OmomiError, match="one resolution"):
        by_mesh.stability(0)


def smooth(rng: np.random.Generator, side: int, size: float) -> np.ndarray:
    field = ndimage.gaussian_filter(rng.standard_normal((side,) * 3), size, mode="constant")
    return field / np.abs(field).max()


def random_slider(seed: int, side: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """A bumpy ball and a random change, as the network would give them: truncated, f32."""
    rng = np.random.default_rng(seed)
    away = np.linalg.norm(np.indices((side,) * 3) - (side - 1) / 2, axis=0)
    base = np.clip(away - side * 0.33 + 3.0 * smooth(rng, side, 1.2), -3, 3)
    return base.astype(np.float32), (2.5 * smooth(rng, side, 1.5)).astype(np.float32)


def euler(betti: Betti) -> int:
    return betti.b0 - betti.b1 + betti.b2


@pytest.mark.parametrize("seed", range(6))
def test_the_forecast_knows_every_change_of_the_mesh(seed: int) -> None:
    # Recall is 1 and the Euler number is right in every step; events that no step sees undo each other within it.
    base, change = random_slider(seed)
    foretold = forecast(base, change)
    strengths = np.linspace(-1, 1, 41)
    found = [betti_of_field(base + np.float32(strength) * change) for strength in strengths]
    away = np.sign(foretold.strengths).astype(int)
    seen = 0
    for low, high, before, after in zip(strengths, strengths[1:], found, found[1:], strict=False):
        within = (foretold.strengths > low) & (foretold.strengths <= high)
        assert (foretold.euler * away)[within].sum() == euler(after) - euler(before)
        assert before == after or within.any()
        seen += before != after
    assert seen > 2
    low, high = foretold.margin
    assert betti_of_field(base + np.float32(low * 0.999) * change) == found[20]
    assert betti_of_field(base + np.float32(high * 0.999) * change) == found[20]


@pytest.mark.parametrize("flip", [(1, 1, -1), (-1, 1, 1), (-1, -1, -1)])
def test_the_forecast_does_not_depend_on_the_direction_of_axes_or_of_the_slider(flip: tuple[int, int, int]) -> None:
    base, change = random_slider(11)
    straight = forecast(base, change, -0.5, 1)
    turn = tuple(slice(None, None, step) for step in flip)
    turned = forecast(base[turn].transpose(2, 0, 1), change[turn].transpose(2, 0, 1), -0.5, 1)
    np.testing.assert_allclose(turned.strengths, straight.strengths, atol=1e-3)
    assert sorted(turned.kinds) == sorted(straight.kinds)
    back = forecast(base, -change, -1, 0.5)
    np.testing.assert_allclose(back.strengths, -straight.strengths[::-1])
    assert back.kinds.tolist() == straight.kinds[::-1].tolist()
    np.testing.assert_array_equal(back.euler, straight.euler[::-1])
    half = forecast(base, change / 2, -1, 2)
    np.testing.assert_allclose(half.strengths, 2 * straight.strengths, rtol=1e-5)


def test_bricks_and_arrays_are_foretold_alike() -> None:
    base, change = random_slider(3, 32)
    change = np.where(np.abs(base) < 3, change, 0)
    near = ndimage.maximum_filter((np.abs(base) < 3).astype(np.uint8), 3)
    keep = near.reshape(4, 8, 4, 8, 4, 8).max(axis=(1, 3, 5)) > 0
    dense = forecast(base, change)
    sparse = forecast(
        BrickGrid.from_dense(base[None], keep, (-2, 0, 5)), BrickGrid.from_dense(change[None], keep, (-2, 0, 5))
    )
    np.testing.assert_allclose(sparse.strengths, dense.strengths, atol=1e-3)
    np.testing.assert_array_equal(np.sort(sparse.voxels, 0), np.sort(dense.voxels + [-16, 0, 40], 0))


@pytest.mark.parametrize(
    ("field", "change", "strength", "kind", "step"),
    [
        (PAIR, -1, 3.0, Kind.MEETS, -1),
        (RING, -1, 5.0, Kind.CLOSES, 1),
        (SHELL, -1, 7.0, Kind.FILLS, -1),
        (ball(0, 5), 1, 5.0, Kind.VANISHES, -1),
        (PAIR - 5, 1, 2.0, Kind.PARTS, 1),
        (np.maximum(ball(0, 12), -ball(0, 0)), 0, None, None, 0),
    ],
    ids=["meets", "closes", "fills", "vanishes", "parts", "nothing"],
)
def test_the_first_change_is_foretold_with_its_kind(
    field: np.ndarray, change: int, strength: float | None, kind: Kind | None, step: int
) -> None:
    first = forecast(field, np.full_like(field, change), 0, 10).first_above
    if strength is None:
        assert first is None
        return
    assert first is not None and first.kind is kind and first.euler == step
    assert abs(first.strength - strength) < 0.9 and first.clearance <= strength + 2
    assert first.kind.text


def test_the_forecast_says_how_far_a_truncated_field_can_be_trusted() -> None:
    field = np.clip(PAIR, -3, 3)
    foretold = forecast(field, -np.ones_like(field), -5, 5)
    assert foretold.reach == pytest.approx((-3, 3), abs=1e-3)
    assert forecast(PAIR, -0.1 * np.ones_like(field), -5, 5).reach == (-5, 5)


def test_voxels_that_flip_at_once_are_one_event_or_none() -> None:
    box = np.maximum(np.abs(X + 0.4) - 6.5, np.maximum(np.abs(Y + 0.4) - 6.5, np.abs(Z + 0.4) - 6.5))
    assert len(forecast(box, -np.ones_like(box), -4, 8).strengths) == 0


def test_what_cannot_be_foretold_is_refused() -> None:
    for low, high in ((0.1, 1), (-1, -0.5), (np.nan, 1)):
        with pytest.raises(ValueError, match="hold 0"):
            forecast(PAIR, PAIR, low, high)
    with pytest.raises(ValueError, match="layout"):
        forecast(PAIR, PAIR[1:])
    with pytest.raises(ValueError, match="finite"):
        forecast(PAIR, np.full_like(PAIR, np.inf))
    empty = BrickGrid(np.zeros((0, 3), np.int32), np.zeros((0, 1, 8, 8, 8), np.float32))
    assert forecast(empty, empty).margin == (-1, 1)


def test_the_linearity_mismatch_is_that_near_the_surface() -> None:
    first, last = ball(0, 6), ball(0, 10)
    assert linearity_mismatch(first, last, (first + last) / 2) == 0
    assert linearity_mismatch(first, last, np.asarray(ball(0, 8) + 0.5, float)) == pytest.approx(0.5)
    far = np.full((4, 4, 4), 3.0, np.float64)
    assert linearity_mismatch(far, far, far + 1.0) == 0


def test_words_tell_pieces_tunnels_hollows_and_holes_apart() -> None:
    one = Betti(1, 1, 1)
    said = {
        describe(one, after)
        for after in (Betti(2, 1, 1), Betti(0, 1, 1), Betti(1, 2, 1), Betti(1, 0, 1), Betti(1, 1, 2), Betti(1, 1, 0))
    }
    assert len(said) == 6
    assert describe(one, Betti(1, 0, 1)) == "A tunnel through it closes (1 before, 0 after)."
    assert describe(one, one, loops=(2, 1)) == "A hole in the surface closes (2 before, 1 after)."
    assert not any("hole" in text for text in said)
    assert describe(Betti(3, 0, 0), Betti(1, 2, 0), (0, 1)) == (
        "Pieces join or vanish (3 before, 1 after), 2 tunnels through it open (0 before, 2 after) and "
        "a hole in the surface opens (0 before, 1 after)."
    )
    assert describe(Betti(2, 0, 0), Betti(1, 0, 0), grows=True) == "Pieces join (2 before, 1 after)."
    assert describe(Betti(2, 0, 0), Betti(1, 0, 0), grows=False) == "A piece vanishes (2 before, 1 after)."
    assert describe(one, one, (1, 1)) == "Nothing changes: 1 piece, 1 tunnel, 1 hollow."
    assert in_words(Betti(1, 2, 0)) == "1 piece, 2 tunnels, no hollow"


@given(st.tuples(*[st.integers(0, 5)] * 3), st.tuples(*[st.integers(0, 5)] * 3), st.sampled_from([None, True, False]))
def test_every_change_has_one_sentence(before: tuple, after: tuple, grows: bool | None) -> None:
    text = describe(Betti(*before), Betti(*after), grows=grows)
    assert not text[0].islower() and text.endswith(".") and "{" not in text


SVG = "{http://www.w3.org/2000/svg}"


def picture(swept: Sweep, **options: object) -> ElementTree.Element:
    found = phase_picture(swept.strengths, swept.betti, swept.safe_interval(), swept.unstable, **options)  # type: ignore[arg-type]
    assert found == phase_picture(swept.strengths, swept.betti, swept.safe_interval(), swept.unstable, **options)  # type: ignore[arg-type]
    return ElementTree.fromstring(found)


def test_the_phase_picture_draws_what_the_sweep_found() -> None:
    solid = Solid(
        lambda strength: Betti(1 + (strength > 0.5), 0, 0), lambda strength: Betti(1 + (strength > 0.52), 0, 0)
    )
    swept = refine(solid, sweep(solid, -1, 1, 10, check=True))
    drawn = picture(swept, title="Thick & <thin>", unit="mm")
    by_class = {item.get("class"): item for item in drawn.iter() if item.get("class")}
    assert by_class["title"].text == "Thick & <thin>" and "mm" in (by_class["unit"].text or "")
    safe, line = by_class["safe"], by_class["transition"]
    left, right = float(safe.get("x", 0)), float(safe.get("x", 0)) + float(safe.get("width", 0))
    frame = next(item for item in drawn.iter(f"{SVG}rect") if item.get("stroke"))
    start, width = float(frame.get("x", 0)), float(frame.get("width", 0))
    assert left == start and right == pytest.approx(start + 0.75 * width, abs=1)
    assert float(line.get("x1", 0)) == pytest.approx(start + 0.75 * width, abs=1)
    assert float(by_class["value"].text or "nan") == pytest.approx(0.5, abs=0.0015)
    steps = by_class["pieces"].get("d", "").split()
    assert steps[2] == f"H{float(line.get('x1', 0)):.2f}" and steps[3].startswith("V")
    assert " V" not in by_class["tunnels"].get("d", "")
    assert float(by_class["unstable"].get("width", 0)) > 0


def test_the_phase_picture_takes_a_crowd_of_transitions_and_refuses_nonsense() -> None:
    strengths = np.linspace(0, 1e-3, 60)
    crowd = np.arange(60)[:, None] % [2, 3, 50]
    drawn = ElementTree.fromstring(phase_picture(strengths, crowd, at=None))
    places = [float(number) for item in drawn.iter(f"{SVG}text") for number in (item.get("x", 0), item.get("y", 0))]
    assert min(places) > 0 and max(places) < 720
    for x, counts in (
        ([0.0], [[1, 0, 0]]),
        ([0, 0], [[1, 0, 0]] * 2),
        ([0, 1], [[1, 0]] * 2),
        ([0, np.inf], [[1, 0, 0]] * 2),
    ):
        with pytest.raises(ValueError, match="strengths"):
            phase_picture(x, counts)


def test_occupancy_and_mesh_agree_on_smooth_shapes() -> None:
    for field in (PAIR, RING, SHELL):
        assert betti_of_field(field) == betti_of_occupancy(field < 0)
