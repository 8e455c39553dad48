"""Directions of a code space: what is planted in codes is found, freed of what else is there, named when measured."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.training.disentanglement_metrics import SideEffects
from backend.training.latent_directions import (
    SIDE_EFFECT,
    Sliders,
    debiased,
    labelled,
    locality,
    named,
    principal,
    products,
    targets,
    whitening,
)

LABELS, DIMENSIONS = 3, 8
PLAN = np.random.default_rng(99)
BASIS, CURVE = PLAN.normal(size=(LABELS, DIMENSIONS)), PLAN.normal(size=(6, DIMENSIONS))


def family(seed: int, count: int = 400, correlation: float = 0.0, bend: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Labels (count, 3) of different sizes and codes (count, 8) that hold them, bent, beside a little of their own."""
    rng = np.random.default_rng(seed)
    labels = rng.normal(size=(count, LABELS)) + 2 * correlation * rng.normal(size=(count, 1))
    codes = labels @ BASIS + bend * products(labels, 2) @ CURVE + 0.01 * rng.normal(size=(count, DIMENSIONS)) + 5
    return labels * (1, 10, 0.1) + (0, 3, 0), codes


@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(5, 9))
@settings(max_examples=30, deadline=None)
def test_debiased_directions_move_no_other_and_keep_what_is_theirs(seed: int, count: int, dimensions: int) -> None:
    directions = np.random.default_rng(seed).normal(size=(count, dimensions))
    free = debiased(directions)
    shared = free @ directions.T
    np.testing.assert_allclose(shared - np.diag(np.diag(shared)), 0, atol=1e-8)
    # of all directions that do that, they are those of the pseudoinverse
    np.testing.assert_allclose(free / np.diag(shared)[:, None], np.linalg.pinv(directions).T, atol=1e-6)


def test_directions_that_share_nothing_stay_as_they_are() -> None:
    directions = np.linalg.qr(np.random.default_rng(0).normal(size=(6, 6)))[0][:3]
    np.testing.assert_allclose(debiased(directions), directions, atol=1e-12)
    np.testing.assert_allclose(debiased(directions[:1]), directions[:1])


@pytest.mark.parametrize("correlation", [0.0, 1.0])
@pytest.mark.parametrize("degree", [1, 2])
def test_sliders_read_their_label_and_move_it_alone(correlation: float, degree: int) -> None:
    labels, codes = family(0, correlation=correlation)
    sliders = labelled(codes, labels, degree=degree)
    standard = (labels - labels.mean(0)) / labels.std(0)
    np.testing.assert_allclose(sliders.positions(codes), standard, atol=0.05)
    for number in range(LABELS):
        step = np.eye(LABELS)[number]
        change = sliders.positions(sliders.moved(codes, step)) - sliders.positions(codes)
        np.testing.assert_allclose(change, np.broadcast_to(step, change.shape), atol=0.03)


def test_without_debiasing_correlated_labels_move_each_other() -> None:
    labels, codes = family(0, correlation=1.0)
    raw = labelled(codes, labels, debias=False)
    change = raw.positions(codes + raw.directions[0]) - raw.positions(codes)
    assert change[0, 0] == pytest.approx(1)
    assert np.abs(change[0, 1:]).min() > 0.5


def test_bent_sliders_stay_where_the_family_is_and_straight_ones_leave_it() -> None:
    bend = 0.1
    labels, codes = family(0, bend=bend)
    plain = np.random.default_rng(4).normal(size=(50, LABELS))
    # the same shapes, the first label raised by one standard deviation
    raised = plain + np.eye(LABELS)[0] * labels[:, 0].std()
    before, after = (at @ BASIS + bend * products(at, 2) @ CURVE + 5 for at in (plain, raised))
    error = [
        np.abs(labelled(codes, labels, degree=degree).moved(before, np.eye(LABELS)[0]) - after).mean()
        for degree in (1, 2)
    ]
    assert error[1] < 0.3 * error[0]


def test_a_move_back_undoes_a_straight_move() -> None:
    labels, codes = family(2)
    sliders = labelled(codes, labels)
    there = sliders.moved(codes, [1.0, -2.0, 0.5])
    np.testing.assert_allclose(sliders.moved(there, [-1.0, 2.0, -0.5]), codes, atol=1e-9)


@pytest.mark.parametrize("degree", [1, 2])
def test_no_amount_is_no_move(degree: int) -> None:
    labels, codes = family(2)
    np.testing.assert_allclose(labelled(codes, labels, degree=degree).moved(codes, np.zeros(LABELS)), codes)


@pytest.mark.parametrize("degree", [1, 3])
def test_a_slider_turned_round_moves_the_other_way(degree: int) -> None:
    labels, codes = family(3, bend=0.05)
    sliders = labelled(codes, labels, degree=degree)
    signs = np.array([-1.0, 1.0, -1.0])
    turned = sliders.turned(signs)
    amounts = np.array([0.4, 0.3, -0.7])
    np.testing.assert_allclose(turned.moved(codes, amounts * signs), sliders.moved(codes, amounts), atol=1e-9)
    np.testing.assert_allclose(turned.positions(codes), sliders.positions(codes) * signs, atol=1e-9)
    np.testing.assert_allclose((turned.low[0], turned.high[0]), (-sliders.high[0], -sliders.low[0]))


def test_the_reach_holds_nearly_all_shapes() -> None:
    labels, codes = family(5)
    sliders = labelled(codes, labels)
    where = sliders.positions(codes)
    assert np.mean((where >= sliders.low) & (where <= sliders.high)) == pytest.approx(0.98, abs=0.005)


def test_products_count_every_combination_once() -> None:
    found = products([[2.0, 3.0]], 3)
    np.testing.assert_allclose(found, [[4, 6, 9, 8, 12, 18, 27]])
    assert products(np.ones((4, 3)), 1).shape == (4, 0)


def test_principal_sliders_are_uncorrelated_units() -> None:
    _, codes = family(6)
    sliders = principal(codes, 3)
    where = sliders.positions(codes)
    np.testing.assert_allclose(np.cov(where.T, bias=True), np.eye(3), atol=1e-9)
    np.testing.assert_allclose(sliders.positions(codes + sliders.directions[1]) - where, [[0, 1, 0]] * 400, atol=1e-9)


def test_components_of_nothing_but_rounding_are_left_out() -> None:
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(50, 2)) @ rng.normal(size=(2, 6)) + 1
    white = whitening(codes)
    assert len(white.components) == 2
    np.testing.assert_allclose(np.cov(white.whitened(codes).T, bias=True), np.eye(2), atol=1e-9)


def test_components_do_not_depend_on_the_order_of_the_codes() -> None:
    _, codes = family(7)
    mixed = np.random.default_rng(1).permutation(codes)
    np.testing.assert_allclose(whitening(codes).components, whitening(mixed).components, atol=1e-7)


def test_locality_is_the_share_that_moves() -> None:
    effects = np.zeros((4, 100))
    effects[0], effects[1, :25], effects[2, 3] = 2.0, -1.0, 9.0
    np.testing.assert_allclose(locality(effects), [1, 0.25, 0.01, 1])


def sliders_of(count: int) -> Sliders:
    rows = np.eye(count)
    return Sliders(rows, rows, np.zeros(count), np.full(count, -2.0), np.full(count, 1.0), ("",) * count)


def test_a_name_is_earned_by_moving_what_it_says_and_little_else() -> None:
    gain = np.array([[1, 0.0, 0], [0, 0.2, 0], [0.5, 0, 0.9]])
    found = named(sliders_of(3), SideEffects(gain, np.abs(gain)), ("height", "width", "foot"))
    assert found.names == ("height", "", "")


def test_side_effects_up_to_the_bar_are_borne() -> None:
    for off, name in ((SIDE_EFFECT - 0.01, "a"), (SIDE_EFFECT + 0.01, "")):
        gain = np.array([[1.0, off]])
        assert named(sliders_of(1), SideEffects(gain, gain), ("a", "b")).names == (name,)


def test_what_drifts_up_for_some_shapes_and_down_for_others_is_a_side_effect() -> None:
    effects = SideEffects(np.array([[1.0, 0.0]]), np.array([[1.0, 0.8]]))
    assert named(sliders_of(1), effects, ("a", "b")).names == ("",)


def test_of_two_sliders_for_one_measure_the_cleaner_has_the_name_and_falling_ones_are_turned() -> None:
    gain = np.array([[0.8, 0.1], [-0.9, 0.0]])
    found = named(sliders_of(2), SideEffects(gain, np.abs(gain)), ("a", "b"))
    assert found.names == ("", "a")
    np.testing.assert_allclose(found.directions, [[1, 0], [0, -1]])
    np.testing.assert_allclose((found.low[1], found.high[1]), (-1, 2))
    np.testing.assert_array_equal(targets(SideEffects(gain, np.abs(gain))), [0, 0])


@pytest.mark.parametrize(
    ("codes", "labels", "reason"),
    [
        (np.ones((10, 3)), np.arange(10.0)[:, None], "all the same"),
        (np.arange(30.0).reshape(10, 3), np.ones((10, 1)), "does not vary"),
        (np.arange(30.0).reshape(10, 3), np.ones((9, 1)), "a row of finite labels"),
        (np.full((10, 3), np.nan), np.arange(10.0)[:, None], "finite"),
        (np.ones((1, 3)), np.ones((1, 1)), "does not vary"),
    ],
)
def test_codes_and_labels_of_no_use_are_refused(codes: np.ndarray, labels: np.ndarray, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        labelled(codes, labels)


def test_two_labels_that_are_one_are_refused() -> None:
    labels, codes = family(8)
    with pytest.raises(ValueError, match="told apart"):
        labelled(codes, np.concatenate((labels[:, :1], labels[:, :1]), axis=1))
    # as they are, without debiasing, they are two sliders that do the same
    assert len(labelled(codes, np.concatenate((labels[:, :1], labels[:, :1]), axis=1), debias=False)) == 2


def test_a_polynomial_of_too_many_terms_is_refused() -> None:
    labels, codes = family(9, count=40)
    with pytest.raises(ValueError, match="too few"):
        labelled(codes, labels, degree=3)
