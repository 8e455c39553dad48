"""Measures of disentanglement that learn to read factors from codes, and all measures of one code together.

Classifiers and settings as in the library of Locatello et al. (2019). Its factors are discrete, ours are mostly
continuous: these are regressed instead, or, where a measure is defined by classes only, cut into bins.
"""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import r2_score
from sklearn.svm import LinearSVC

from .disentanglement_metrics import (
    BINS,
    VOTERS,
    dci,
    discretise,
    factor_vae,
    information,
    mig,
    modularity,
    predictability_gap,
    sap,
)

MOST_SHAPES = 3000
"""Shapes that a classifier learns from: what it makes of them has settled by then, and its time grows with them."""
MOST_DIMENSIONS = 8
"""Dimensions that boosting looks at for a split, at least, or the square root of them all: with many dimensions the
time of all would be an hour's."""
VOTES = 2000
"""Batches of the beta-VAE score; its accuracy is then known to about 0.01."""

Table = NDArray[np.float64]
SCORES = (
    "dci_d",
    "dci_c",
    "dci_i",
    "mig",
    "sap",
    "factor_vae",
    "beta_vae",
    "modularity",
    "explicitness",
)


def importances(
    codes: Table, factors: Table, test_codes: Table, test_factors: Table, discrete: bool = False, seed: int = 0
) -> tuple[Table, float]:
    """How much dimensions matter for factors (d, k), each column's sum 1 or 0, and how well they are read, 0 .. 1.

    Boosted trees, as for DCI. Well: share of right answers on the test set, or of the variance explained.
    """
    table, right = np.zeros((codes.shape[1], factors.shape[1])), []
    codes, factors = codes[:MOST_SHAPES], factors[:MOST_SHAPES]
    boosting = GradientBoostingClassifier if discrete else GradientBoostingRegressor
    few = max(MOST_DIMENSIONS, int(codes.shape[1] ** 0.5))
    for number in range(factors.shape[1]):
        model = boosting(random_state=seed, max_features=min(few, codes.shape[1]))
        model.fit(codes, factors[:, number])
        table[:, number] = np.abs(model.feature_importances_)
        found = np.asarray(model.predict(test_codes))
        truth = test_factors[:, number]
        right.append(float(np.mean(found == truth)) if discrete else max(float(r2_score(truth, found)), 0.0))
    return table, float(np.mean(right))


def sap_of_classes(codes: Table, factors: Table, test_codes: Table, test_factors: Table) -> float:
    """SAP (Kumar et al. 2018) of discrete factors: by the test accuracy of a linear classifier on one dimension."""
    scores = np.zeros((codes.shape[1], factors.shape[1]))
    for i in range(codes.shape[1]):
        for k in range(factors.shape[1]):
            model = LinearSVC(C=0.01, class_weight="balanced").fit(codes[:, i : i + 1], factors[:, k])
            scores[i, k] = np.mean(np.asarray(model.predict(test_codes[:, i : i + 1])) == test_factors[:, k])
    return predictability_gap(scores)


def explicitness(codes: Table, labels: NDArray, test_codes: Table, test_labels: NDArray) -> float:
    """Explicitness (Ridgeway and Mozer 2018), 0 .. 1: area under the curve of telling each class of a factor from the
    rest by logistic regression on all dimensions, mean over classes and factors. labels (n, k): classes."""
    codes, labels = codes[:MOST_SHAPES], labels[:MOST_SHAPES]
    scale, shift = _scale(codes)
    areas = []
    for factor, truth in zip(labels.T, test_labels.T, strict=True):
        model = _logistic((codes - shift) / scale, factor)
        odds = model.predict_proba((test_codes - shift) / scale)
        areas.append(areas_under_curves(odds, truth[:, None] == model.classes_))
    return float(np.concatenate(areas).mean())


def areas_under_curves(odds: Table, truth: NDArray[np.bool_]) -> Table:
    """Area under the receiver's curve of each column of odds (n, c), by ranks; truth (n, c). Columns that are all true
    or all false have none and are left out."""
    true = truth.sum(axis=0)
    kept = (true > 0) & (true < len(truth))
    wins = (rankdata(odds, axis=0) * truth).sum(axis=0) - true * (true + 1) / 2
    return wins[kept] / (true * (len(truth) - true))[kept]


def beta_vae(codes: Table, factors: Table, test_codes: Table, test_factors: Table, rng: np.random.Generator) -> float:
    """Score of Higgins et al. (2017), 0 .. 1: how often logistic regression tells which factor the pairs of a batch
    share, from how far the two codes of a pair lie apart, mean over the batch.

    Pairs share a factor where they are neighbours in its order, see `disentanglement.factor_votes`.
    """
    rows, names = _pair_distances(codes, factors, VOTES, rng)
    test_rows, test_names = _pair_distances(test_codes, test_factors, VOTES // 2, rng)
    scale, shift = _scale(rows)
    model = _logistic((rows - shift) / scale, names)
    return float(model.score((test_rows - shift) / scale, test_names))


def score(
    codes: Table, factors: Table, test_codes: Table, test_factors: Table, discrete: bool = False, seed: int = 0
) -> dict[str, float]:
    """All measures of one code, named as in SCORES.

    codes (n, d) and factors (n, k) to learn from, the same for testing. Raises ValueError for tables that are empty,
    not finite or too short (`disentanglement.factor_votes`).
    """
    rng = np.random.default_rng(seed)
    four = (codes, factors, test_codes, test_factors)
    importance, read = importances(*four, discrete=discrete, seed=seed)
    disentangled, complete = dci(importance)
    # classes have to mean the same in both sets
    labels = discretise(np.concatenate((factors, test_factors)), BINS)
    labels, test_labels = labels[: len(factors)], labels[len(factors) :]
    return {
        "dci_d": disentangled,
        "dci_c": complete,
        "dci_i": read,
        "mig": mig(codes, factors),
        "sap": sap_of_classes(*four) if discrete else sap(codes, factors),
        "factor_vae": factor_vae(*four, rng),
        "beta_vae": beta_vae(*four, rng),
        "modularity": modularity(information(codes, factors)),
        "explicitness": explicitness(codes, labels, test_codes, test_labels),
    }


def _pair_distances(codes: Table, factors: Table, votes: int, rng: np.random.Generator) -> tuple[Table, NDArray]:
    """Mean distances per dimension (votes, d) of `VOTERS` pairs that share a factor, and which one (votes,)."""
    mixed = rng.permutation(len(codes))
    orders = [mixed[np.argsort(factor[mixed], kind="stable")] for factor in factors.T]
    gaps = np.stack([np.abs(np.diff(codes[order], axis=0)) for order in orders])
    names = rng.integers(len(gaps), size=votes)
    pairs = rng.integers(gaps.shape[1], size=(votes, VOTERS))
    return gaps[names[:, None], pairs].mean(axis=1), names


def _logistic(rows: Table, names: NDArray) -> LogisticRegression:
    with warnings.catch_warnings():
        # the order of the odds has settled long before their values
        warnings.simplefilter("ignore", ConvergenceWarning)
        return LogisticRegression(max_iter=100, tol=1e-3, C=10.0).fit(rows, names)


def _scale(table: Table) -> tuple[Table, Table]:
    spread = table.std(axis=0)
    return np.where(spread > 0, spread, 1.0), table.mean(axis=0)
