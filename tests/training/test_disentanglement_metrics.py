"""Measures of disentanglement: exact values of known tables, and scores of codes whose quality is known.

Targets as in the tests of the library of Locatello et al. (2019).
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

pytest.importorskip("sklearn")

from backend.training import disentanglement_metrics as dis

VALUES, FACTORS, TRAIN, TEST = 4, 4, 600, 400
DIAGONAL = np.diag(np.full(5, 5.0))
REDUNDANT = np.concatenate((DIAGONAL, DIAGONAL), axis=0)
SHARED = np.concatenate((DIAGONAL, DIAGONAL), axis=1)
EMPTY = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
HALF = 1 - math.log(2) / math.log(10)


def discrete(seed: int, count: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).integers(VALUES, size=(count, FACTORS)).astype(float)


def shuffled(factors: np.ndarray) -> np.ndarray:
    """Every row in an order of its own: all of a factor's values are there, but no dimension stands for any."""
    return np.random.default_rng(9).permuted(factors, axis=1)


def scores_of(code) -> dict[str, float]:
    factors, test = discrete(0, TRAIN), discrete(1, TEST)
    return dis.score(code(factors), factors, code(test), test)


@pytest.fixture(scope="module")
def identity() -> dict[str, float]:
    return scores_of(lambda factors: factors)


def test_every_measure_of_the_identity_is_near_one(identity: dict[str, float]) -> None:
    assert set(identity) == set(dis.SCORES)
    assert all(0.9 <= value <= 1 for value in identity.values()), identity


def test_the_predictability_gap_of_the_identity_is_near_one() -> None:
    factors = np.random.default_rng(0).random((TRAIN, FACTORS))
    assert dis.sap(factors, factors) > 0.9


def test_a_code_that_mixes_factors_scores_low() -> None:
    scores = scores_of(shuffled)
    for name in ("mig", "sap", "dci_d", "dci_c"):
        assert 0 <= scores[name] <= 0.2, (name, scores)
    # counting finds some information by chance, of which modularity makes much
    factors = discrete(0, 20_000)
    assert 0 <= dis.modularity(dis.information(shuffled(factors), factors)) <= 0.2
    # by chance a vote is right once in as many times as there are factors
    assert scores["factor_vae"] <= 1 / FACTORS + 0.2


def test_a_constant_code_scores_nothing() -> None:
    scores = scores_of(np.zeros_like)
    for name in ("mig", "sap", "factor_vae", "dci_d", "modularity"):
        assert scores[name] == 0, (name, scores)


def test_a_doubled_code_loses_the_gaps_but_not_the_disentanglement() -> None:
    scores = scores_of(lambda factors: np.concatenate((factors, factors), axis=1))
    assert 0 <= scores["mig"] <= 0.1
    assert 0 <= scores["sap"] <= 0.2
    assert 0.9 <= scores["dci_d"] <= 1
    assert 0.9 <= scores["modularity"] <= 1
    assert scores["dci_c"] == pytest.approx(1 - math.log(2) / math.log(2 * FACTORS), abs=0.1)


def test_an_identity_of_continuous_factors_scores_near_one() -> None:
    factors, test = (np.random.default_rng(seed).random((n, 3)) for seed, n in ((2, 3000), (3, 500)))
    scores = dis.score(factors, factors, test, test)
    assert all(0.9 <= value <= 1 for value in scores.values()), scores


@pytest.mark.parametrize(
    ("importance", "disentanglement", "completeness"),
    [
        (DIAGONAL, 1, 1),
        (EMPTY, 1, 1),
        (np.zeros((10, 10)), 0, 0),
        (REDUNDANT, 1, HALF),
        (SHARED, HALF, 1),
        (DIAGONAL[:2], 1, 1),
        (np.ones((4, 4)), 0, 0),
        (np.ones((3, 1)), 1, 0),
    ],
    ids=["diagonal", "empty codes", "zero", "redundant", "one code, two factors", "missed", "equal", "one factor"],
)
def test_dci_of_a_known_table_is_exact(importance: np.ndarray, disentanglement: float, completeness: float) -> None:
    found = dis.dci(importance)
    assert found.disentanglement == pytest.approx(disentanglement, abs=1e-12)
    assert found.completeness == pytest.approx(completeness, abs=1e-12)


@pytest.mark.parametrize(
    ("information", "expected"),
    [
        (DIAGONAL, 1),
        (EMPTY, 2 / 3),
        (np.zeros((10, 10)), 0),
        (REDUNDANT, 1),
        (SHARED, 1 - 1 / 9),
        (DIAGONAL[:2], 1),
        (np.ones((4, 4)), 0),
    ],
)
def test_modularity_of_a_known_table_is_exact(information: np.ndarray, expected: float) -> None:
    assert dis.modularity(information) == pytest.approx(expected, abs=1e-12)


def test_explicitness_leaves_out_classes_without_a_curve() -> None:
    codes, labels = np.array([[0.0], [1.0], [2.0]] * 20), np.array([[0], [1], [2]] * 20)
    # the test set has two of the three classes, told apart without fault
    assert dis.explicitness(codes, labels, codes[[0, 2, 3, 5]], labels[[0, 2, 3, 5]]) == pytest.approx(1)


def test_a_negative_importance_is_refused() -> None:
    with pytest.raises(ValueError, match="not negative"):
        dis.dci([[1.0, -1.0]])


def test_entropy_and_information_of_counted_tables_are_exact() -> None:
    labels = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    np.testing.assert_allclose(dis.entropy(labels), [math.log(2)] * 2)
    np.testing.assert_allclose(dis.mutual_information(labels, labels), np.eye(2) * math.log(2), atol=1e-15)
    # three of four pairs agree
    first, second = np.array([[0], [0], [1], [1]]), np.array([[0], [0], [1], [0]])
    expected = math.log(2) + dis.entropy(second)[0] - (math.log(2) / 2 + math.log(4) / 2)
    np.testing.assert_allclose(dis.mutual_information(first, second), [[expected]])


def test_bins_are_equal_parts_of_the_range_and_a_constant_has_one() -> None:
    values = np.array([[0.0, 3], [0.49, 3], [0.5, 3], [1, 3]])
    np.testing.assert_array_equal(dis.discretise(values, 2), [[0, 0], [0, 0], [1, 0], [1, 0]])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        dis.mig([[bad], [1.0]], [[1.0], [2.0]])


@given(st.integers(0, 2**32 - 1), st.integers(2, 5), st.integers(2, 5))
@settings(max_examples=25, deadline=None)
def test_scores_do_not_depend_on_order_sign_or_scale(seed: int, dimensions: int, factors: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.random((300, factors))
    codes = truth @ rng.normal(size=(factors, dimensions)) + 0.1 * rng.normal(size=(300, dimensions))
    order, others = rng.permutation(dimensions), rng.permutation(factors)
    changed = codes[:, order] * rng.uniform(0.5, 2, dimensions) + rng.normal(size=dimensions)
    assert dis.mig(changed, truth[:, others]) == pytest.approx(dis.mig(codes, truth), abs=0.02)
    flipped = codes[:, order] * -3 + 1
    assert dis.sap(flipped, truth[:, others]) == pytest.approx(dis.sap(codes, truth), abs=1e-9)
    table = dis.information(codes, truth)
    assert dis.modularity(table[order][:, others] * 7) == pytest.approx(dis.modularity(table), abs=1e-9)
    assert dis.dci(table[order][:, others] * 7) == pytest.approx(dis.dci(table), abs=1e-9)


@given(arrays(float, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=st.floats(0, 1e6)))
@settings(max_examples=50, deadline=None)
def test_scores_of_any_table_lie_between_nothing_and_one(table: np.ndarray) -> None:
    for value in (*dis.dci(table), dis.modularity(table)):
        assert -1e-9 <= value <= 1 + 1e-9


def test_the_score_of_boosted_trees_does_not_depend_on_the_scale_of_codes(identity: dict[str, float]) -> None:
    scales = np.array([1.0, 1e-3, 30.0, 1e4])
    factors, test = discrete(0, TRAIN), discrete(1, TEST)
    importance, _ = dis.importances(factors * scales, factors, test * scales, test)
    assert dis.dci(importance).disentanglement == pytest.approx(identity["dci_d"], abs=0.01)


def test_a_dimension_that_hardly_varies_casts_no_vote() -> None:
    factors = np.random.default_rng(0).random((400, 2))
    codes = np.concatenate((factors, 1e-4 * factors[:, :1]), axis=1)
    votes = dis.factor_votes(codes, factors, np.random.default_rng(0))
    assert votes[:, 2].sum() == 0
    assert votes[0].argmax() == 0 and votes[1].argmax() == 1


def test_too_few_shapes_for_a_vote_are_refused() -> None:
    with pytest.raises(ValueError, match="at least"):
        dis.factor_votes(np.ones((10, 2)), np.ones((10, 2)), np.random.default_rng(0))


def test_side_effects_count_in_spreads_of_what_is_measured_and_in_own_units() -> None:
    before = np.zeros((4, 3))
    after = np.stack([before + (2.0, 0.0, 0.4), before + (0.1, 5.0, 0.0)])
    after[0, :2, 1], after[0, 2:, 1] = 0.3, -0.3
    effects = dis.side_effects(before, after, np.array([2.0, 10.0, 0.5]))
    np.testing.assert_allclose(effects.gain, [[1, 0, 0.8], [0.05, 0.5, 0]], atol=1e-12)
    np.testing.assert_allclose(effects.drift, [[1, 0.03, 0.8], [0.05, 0.5, 0]], atol=1e-12)
    # the second slider does half of a standard deviation: its side effects count double
    np.testing.assert_allclose(effects.off_target(), [[0.03, 0.8], [0.1, 0]], atol=1e-12)
    np.testing.assert_allclose(effects.off_target_mean(), [0.415, 0.05], atol=1e-12)
    np.testing.assert_allclose(effects.off_target([2, 1])[0], [1 / 0.8, 0.03 / 0.8], atol=1e-12)


def test_a_measure_that_does_not_vary_is_refused() -> None:
    with pytest.raises(ValueError, match="does not vary"):
        dis.side_effects(np.zeros((2, 1)), np.zeros((1, 2, 1)), [0.0])
