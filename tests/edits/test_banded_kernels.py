"""Banded kernels are the dense ones, but for what lies beyond their reach."""

from __future__ import annotations

import numpy as np
import pytest

from backend.edits.banded_kernels import BandedKernels, gated_kernels

RADIUS, AXIS = 0.1, 1


@pytest.fixture(scope="module")
def dense_and_banded() -> tuple[np.ndarray, BandedKernels]:
    """All kernels (n, 2 E) of places along a bar, and the same in bands."""
    rng = np.random.default_rng(0)
    places, centres = (rng.uniform((-0.2, -1, -0.2), (0.2, 1, 0.2), (count, 3)) for count in (1500, 120))
    places, centres = (points[np.argsort(points[:, AXIS])] for points in (places, centres))
    means = rng.uniform(-1, 1, len(places)).astype(np.float32)
    plain = gated_kernels(places, centres, RADIUS)
    dense = np.stack([means[:, None] * plain, plain], axis=2).reshape(len(places), -1)
    return dense, BandedKernels.of(places, centres, RADIUS, means, AXIS)


def test_products_are_those_of_dense_kernels(dense_and_banded: tuple[np.ndarray, BandedKernels]) -> None:
    dense, banded = dense_and_banded
    rng = np.random.default_rng(1)
    weights, wanted = rng.normal(size=dense.shape[1]), rng.normal(size=len(dense)).astype(np.float32)
    for found, true in (
        (banded.predicted(weights), dense @ weights),
        (banded.right(wanted), dense.T @ wanted),
        (_gram(banded, np.ones(len(dense), bool)), np.triu(dense.T @ dense)),
    ):
        np.testing.assert_allclose(found, true, atol=2e-3 * np.abs(true).max())


def test_most_kernels_of_a_long_change_are_left_out(dense_and_banded: tuple[np.ndarray, BandedKernels]) -> None:
    dense, banded = dense_and_banded
    assert sum(values.size for _, _, values in banded.bands) < 0.75 * dense.size


def test_what_is_added_and_taken_away_again_leaves_the_rest(
    dense_and_banded: tuple[np.ndarray, BandedKernels],
) -> None:
    dense, banded = dense_and_banded
    chosen = np.random.default_rng(2).random(len(dense)) < 0.5
    found = _gram(banded, np.ones(len(dense), bool))
    banded.add_gram(found, ~chosen, -1)
    np.testing.assert_allclose(found, _gram(banded, chosen), atol=1e-5 * found.max())
    assert not np.tril(found, -1).any()


def test_places_that_nothing_reaches_have_no_kernels() -> None:
    places, centres = np.array([[0.0, -3, 0], [0, 3, 0]]), np.zeros((1, 3))
    banded = BandedKernels.of(places, centres, RADIUS, np.ones(2, np.float32), AXIS)
    assert not banded.predicted(np.ones(2)).any()


def _gram(banded: BandedKernels, chosen: np.ndarray) -> np.ndarray:
    found = np.zeros((banded.columns, banded.columns), np.float32, order="F")
    banded.add_gram(found, chosen)
    return found
