"""The guard on topology: sweeps, and what they say in words."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from backend.errors import OmomiError
from backend.field.bricks import BrickGrid
from backend.field.isosurface import extract
from backend.geometry.topology import Betti, betti_of_mesh, betti_of_occupancy, describe
from backend.geometry.topology_sweep import Solid, Sweep, denser, refine, sweep

SIDE = 40
X, Y, Z = np.indices((SIDE, SIDE, SIDE)) - 19.4


def ball(x: float, radius: float) -> np.ndarray:
    return np.sqrt((X - x) ** 2 + Y**2 + Z**2) - radius


def torus(ring: float, tube: float) -> np.ndarray:
    return np.hypot(np.hypot(X, Y) - ring, Z) - tube


PAIR = np.minimum(ball(-8, 5), ball(8, 5))
RING = torus(9, 4)
SHELL = np.maximum(ball(0, 12), -ball(0, 7))


def solid_of(field: Callable[[float], np.ndarray]) -> Solid:
    """Where a dense field is negative; the other resolution is every second voxel."""
    return Solid(
        lambda strength: betti_of_occupancy(field(strength) < 0),
        lambda strength: betti_of_occupancy(field(strength)[::2, ::2, ::2] < 0),
    )


def thicker(field: np.ndarray) -> Solid:
    return solid_of(lambda strength: field - strength)


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
    swept = refine(solid, sweep(solid, low, high, 8), (high - low) / 1024)
    (change,) = swept.transitions
    assert (change.before, change.after) == (before, after)
    assert abs(change.strength - where) < 0.75  # voxels: the corner of a cell is .87 away from its centre
    assert change.high - change.low <= (high - low) / 1024
    assert solid.betti(change.low) == before and solid.betti(change.high) == after


def test_a_shell_that_thins_opens_its_hollow() -> None:
    # The dent leaves a wall of two voxels, so its sides meet when each has moved by one.
    dented = np.maximum(SHELL, -ball(14, 5))
    solid = thicker(dented)
    swept = refine(solid, sweep(solid, -2, 0, 5), 2 / 1024)
    (change,) = swept.transitions
    assert (change.before, change.after) == (Betti(1, 0, 0), Betti(1, 0, 1))
    assert abs(change.strength + 1) < 0.75
    assert describe(change.after, change.before, grows=False) == "A hollow inside is opened (1 before, 0 after)."


def test_two_changes_within_one_step_are_told_apart() -> None:
    def solid(strength: float) -> Betti:
        return Betti(1 + (strength > 0.31), int(strength > 0.3), 0)

    swept = refine(Solid(solid), sweep(Solid(solid), 0, 1, 2), 1 / 1024)
    assert [change.after for change in swept.transitions] == [Betti(1, 1, 0), Betti(2, 1, 0)]
    assert [round(change.strength, 2) for change in swept.transitions] == [0.3, 0.31]


def test_a_slider_that_only_bends_has_no_transition() -> None:
    solid = thicker(ball(0, 8))
    swept = refine(solid, sweep(solid, -2, 2, 8), 4 / 1024)
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


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(1, 9999), min_size=8, max_size=200, unique=True), st.integers(1, 30), st.floats(0, 1),
    st.integers(1, 4),
)  # fmt: skip
def test_only_the_changes_next_to_a_strength_are_narrowed_where_it_is_asked(
    cuts: list[int], steps: int, near: float, most: int
) -> None:
    places, tolerance = np.sort(cuts) / 1e4, 1e-3
    solid = Solid(lambda strength: Betti(int((places < strength).sum()), 0, 0))
    rough = denser(solid, sweep(solid, 0, 1, steps), np.array([near]))
    swept, whole = refine(solid, rough, tolerance, near, most), refine(solid, rough, tolerance)
    assert len(swept.strengths) <= steps + 2 + 2 * most * 10
    assert swept.safe_interval(near) == whole.safe_interval(near)
    for side in (1, -1):
        ahead, all_ahead = (
            [one for one in found.transitions[::side] if side * (one.strength - near) > 0] for found in (swept, whole)
        )
        assert ahead[:most] == all_ahead[:most]


def test_a_sweep_gets_more_rows_and_looks_at_no_strength_twice() -> None:
    asked: list[float] = []

    def betti(strength: float) -> Betti:
        asked.append(strength)
        return Betti(1 + (strength > 0.3), 0, 0)

    solid = Solid(betti, check=betti)
    found = denser(solid, sweep(solid, 0, 1, 2, check=True), np.array([0.25, 0.5]))
    assert found.strengths.tolist() == [0, 0.25, 0.5, 1] and found.betti[:, 0].tolist() == [1, 1, 2, 2]
    assert found.unstable is not None and len(found.unstable) == 4 and len(asked) == 2 * len(found.strengths)


def test_the_safe_interval_inside_a_transition_is_a_point() -> None:
    swept = Sweep(np.array([0.0, 1.0, 2.0]), np.array([[1, 0, 0], [2, 0, 0], [2, 0, 0]]))
    assert swept.safe_interval(0.5) == (0.5, 0.5)
    assert swept.safe_interval(0.0) == (0.0, 0.0)
    assert swept.safe_interval(1.5) == swept.safe_interval(1.0) == (1.0, 2.0)


def test_empty_ranges_are_refused() -> None:
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


def test_a_topology_that_depends_on_the_grid_is_unstable() -> None:
    wall = np.abs(X) - 0.7
    solid = solid_of(
        lambda strength: np.asarray(np.maximum(wall - strength, ball(0, 14)) + 5.0 * (strength < -0.5), float)
    )
    thick = solid_of(lambda _: ball(0, 9))
    assert thick.betti(0) == thick.other(0)
    thin = solid_of(
        lambda strength: np.minimum(ball(-9, 6), np.maximum(np.hypot(Y, Z) - strength, np.abs(X) - 9))
    )
    swept = refine(thin, sweep(thin, 0.2, 4, 8, check=True), 3.8 / 1024)
    assert swept.unstable is not None and len(swept.unstable) == len(swept.strengths)
    assert not swept.unstable[-1]
    assert solid.betti(0) == Betti(1, 0, 0)


def test_meshes_and_fields_have_the_same_betti_numbers() -> None:
    by_mesh = Solid.of_mesh(lambda strength: mesh_of(RING - strength))
    by_field = thicker(RING)
    for strength in (-5.0, -1.0, 2.0, 7.0):
        assert by_mesh.betti(strength) == by_field.betti(strength)
    with pytest.raises(OmomiError, match="one resolution"):
        by_mesh.other(0)


def test_words_tell_pieces_tunnels_and_hollows_apart() -> None:
    one = Betti(1, 1, 1)
    said = {
        describe(one, after)
        for after in (Betti(2, 1, 1), Betti(0, 1, 1), Betti(1, 2, 1), Betti(1, 0, 1), Betti(1, 1, 2), Betti(1, 1, 0))
    }
    assert len(said) == 6
    assert describe(one, Betti(1, 0, 1)) == "A tunnel through it closes (1 before, 0 after)."
    assert describe(Betti(3, 0, 1), Betti(1, 2, 0)) == (
        "Pieces join or vanish (3 before, 1 after), 2 tunnels through it open (0 before, 2 after) and "
        "a hollow inside opens or fills up (1 before, 0 after)."
    )
    assert describe(Betti(2, 0, 0), Betti(1, 0, 0), grows=True) == "Pieces join (2 before, 1 after)."
    assert describe(Betti(2, 0, 0), Betti(1, 0, 0), grows=False) == "A piece vanishes (2 before, 1 after)."


@given(st.tuples(*[st.integers(0, 5)] * 3), st.tuples(*[st.integers(0, 5)] * 3), st.sampled_from([None, True, False]))
def test_every_change_has_one_sentence(before: tuple, after: tuple, grows: bool | None) -> None:
    assume(before != after)
    text = describe(Betti(*before), Betti(*after), grows=grows)
    assert not text[0].islower() and text.endswith(".") and "{" not in text


def test_occupancy_and_mesh_agree_on_smooth_shapes() -> None:
    for field in (PAIR, RING, SHELL):
        assert betti_of_field(field) == betti_of_occupancy(field < 0)
