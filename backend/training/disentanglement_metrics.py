"""Measures of disentanglement: whether the numbers of a code each stand for one thing.

Codes are (n, d), factors (n, k), a row each for one shape. Definitions, classifiers and settings as in the library of
Locatello et al. (2019), written anew: mutual information from there shifts with the version of what it calls. Its
factors are discrete, ours are mostly continuous: these are regressed instead, or, where a measure is defined by
classes only, cut into bins.
"""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import r2_score, roc_auc_score

Table = NDArray[np.float64]
SCORES = ("dci_d", "dci_c", "dci_i", "mig", "sap", "factor_vae", "beta_vae", "modularity", "explicitness")

BINS = 20  # values are told apart to this part of their range (Locatello et al. 2019)
VOTERS = 64  # shapes in a batch that share one factor (Kim and Mnih 2018)
DEAD = 0.05  # a dimension whose standard deviation is a smaller share of the mean one casts no vote
MOST_SHAPES = 3000  # shapes that a classifier learns from: by then its result has settled, and its time grows with them
MOST_DIMENSIONS = 8  # that boosting looks at for a split, or the square root of them all where that is more
VOTES = 2000  # batches of the beta-VAE score; its accuracy is then known to about 0.01


def discretise(values: ArrayLike, bins: int = BINS) -> NDArray[np.intp]:
    """The bin 0 .. bins - 1 of every value of (n, m), by equal parts of each column's range. Raises ValueError where a
    value is not finite."""
    table = _table(values)
    low, high = table.min(axis=0), table.max(axis=0)
    width = np.where(high > low, high - low, 1.0)
    return np.minimum((table - low) / width * bins, bins - 1).astype(np.intp)


def entropy(labels: NDArray[np.intp]) -> Table:
    """Entropy (m,) in nats of the columns of labels (n, m), integers from 0."""
    return np.array([_entropy(np.bincount(column)) for column in labels.T])


def mutual_information(first: NDArray[np.intp], second: NDArray[np.intp]) -> Table:
    """Mutual information (d, k) in nats of each column of labels (n, d) with each of (n, k), by counting."""
    own, other = entropy(first), entropy(second)
    sizes = second.max(axis=0) + 1
    joint = np.array(
        [[_entropy(np.bincount(a * size + b)) for b, size in zip(second.T, sizes, strict=True)] for a in first.T]
    )
    return np.maximum(own[:, None] + other[None, :] - joint, 0.0)


def information(codes: ArrayLike, factors: ArrayLike, bins: int = BINS) -> Table:
    """Mutual information (d, k) in nats of codes and factors, both discretised."""
    return mutual_information(discretise(codes, bins), discretise(factors, bins))


def mig(codes: ArrayLike, factors: ArrayLike, bins: int = BINS) -> float:
    """Mutual information gap (Chen et al. 2018), 0 .. 1: what the best dimension knows of a factor more than the second
    best, as a share of the factor's entropy, mean over the factors."""
    known = information(codes, factors, bins)
    return float((_lead(known) / np.maximum(entropy(discretise(factors, bins)), 1e-12)).mean())


def modularity(information: NDArray) -> float:
    """Modularity (Ridgeway and Mozer 2018), 0 .. 1, of mutual information (d, k): whether a dimension knows of one
    factor only, mean over the dimensions; one that knows nothing counts as 0."""
    squared = np.square(np.asarray(information, np.float64))
    best = squared.max(axis=1)
    rest = (squared.sum(axis=1) - best) / np.where(best > 0, best * max(squared.shape[1] - 1, 1), 1.0)
    return float(np.where(best > 0, 1 - rest, 0.0).mean())


def sap(codes: ArrayLike, factors: ArrayLike) -> float:
    """Separated attribute predictability (Kumar et al. 2018), 0 .. 1, of continuous factors: how much better the best
    dimension predicts a factor than the second best, by the share of variance that a line explains."""
    return float(_lead(linear_shares(codes, factors)).mean())


def linear_shares(codes: ArrayLike, factors: ArrayLike) -> Table:
    """Squared correlation (d, k) of every dimension with every factor; 0 where either does not vary."""

    def standard(values: ArrayLike) -> Table:
        table = _table(values)
        spread = table.std(axis=0)
        # rounding alone makes a constant column vary by about this
        varies = spread > 1e-12 * np.abs(table).max(axis=0)
        return np.where(varies, (table - table.mean(axis=0)) / np.where(varies, spread, 1.0), 0.0)

    first, second = standard(codes), standard(factors)
    return np.square(first.T @ second / len(first))


class Dci(NamedTuple):
    """Two scores, 0 .. 1."""

    disentanglement: float  # whether each dimension serves one factor
    completeness: float  # whether each factor is served by one dimension


def dci(importance: ArrayLike) -> Dci:
    """Disentanglement and completeness (Eastwood and Williams 2018) from how much dimensions matter for factors (d, k).
    Dimensions, and likewise factors, weigh as much as they matter in all: those that do not matter at all are left out.
    Raises ValueError for a negative importance."""
    table = _table(importance)
    if (table < 0).any():
        raise ValueError("how much a dimension matters is not negative")
    return Dci(_one_sided(table), _one_sided(table.T))


def factor_votes(codes: ArrayLike, factors: ArrayLike, rng: np.random.Generator) -> NDArray[np.intp]:
    """How often (k, d) dimension d varies least, relative to its variance in all, among shapes that share factor k.

    Such shapes are neighbours in the order of the factor, so that one set of shapes serves for all batches: of 10,000
    shapes, `VOTERS` neighbours share a factor to 0.6 % of its range. Raises ValueError for fewer shapes than twice
    that.
    """
    table, known = _table(codes), _table(factors)
    if len(table) < 2 * VOTERS:
        raise ValueError(f"votes need at least {2 * VOTERS} shapes, not {len(table)}")
    spread = table.std(axis=0)
    alive = np.flatnonzero(spread >= DEAD * max(spread.mean(), 1e-30))
    votes = np.zeros((known.shape[1], table.shape[1]), np.intp)
    if not len(alive) or spread.max() == 0:
        return votes
    scaled = (table[:, alive] - table[:, alive].mean(axis=0)) / spread[alive]
    mixed = rng.permutation(len(table))
    for number, factor in enumerate(known.T):
        # equal values of a discrete factor come in random order
        ordered = scaled[mixed][np.argsort(factor[mixed], kind="stable")]
        zero = np.zeros((1, len(alive)))
        sums, squares = (np.concatenate((zero, np.cumsum(v, axis=0))) for v in (ordered, ordered**2))
        mean, square = ((v[VOTERS:] - v[:-VOTERS]) / VOTERS for v in (sums, squares))
        winner = (square - mean**2).argmin(axis=1)
        votes[number, alive] = np.bincount(winner, minlength=len(alive))
    return votes


def factor_vae(
    codes: ArrayLike, factors: ArrayLike, test_codes: ArrayLike, test_factors: ArrayLike, rng: np.random.Generator
) -> float:
    """FactorVAE score (Kim and Mnih 2018), 0 .. 1: how often the dimension that varies least tells which factor the
    shapes of a batch share, by a majority of votes learned on the first set and counted on the second; 0 where no
    dimension is alive."""
    votes = factor_votes(codes, factors, rng)
    counted = factor_votes(test_codes, test_factors, rng)
    if not counted.any():
        return 0.0
    # every factor is drawn equally often
    shares, tested = (table / np.maximum(table.sum(axis=1, keepdims=True), 1) for table in (votes, counted))
    verdict = shares.argmax(axis=0)
    return float(tested[verdict, np.arange(tested.shape[1])].sum() / len(tested))


def importances(
    codes: Table, factors: Table, test_codes: Table, test_factors: Table, discrete: bool = False, seed: int = 0
) -> tuple[Table, float]:
    """How much dimensions matter for factors (d, k), each column's sum 1 or 0, and how well they are read, 0 .. 1.
    Boosted trees, as for DCI. Well: share of right answers on the test set, or of the variance explained."""
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


def explicitness(codes: Table, labels: NDArray, test_codes: Table, test_labels: NDArray) -> float:
    """Explicitness (Ridgeway and Mozer 2018), 0 .. 1: area under the curve of telling each class of a factor from the
    rest by logistic regression on all dimensions, mean over classes and factors. labels (n, k): classes."""
    codes, labels = codes[:MOST_SHAPES], labels[:MOST_SHAPES]
    areas = []
    for factor, truth in zip(labels.T, test_labels.T, strict=True):
        model, tests = _logistic(codes, factor, test_codes)
        odds, member = model.predict_proba(tests), truth[:, None] == model.classes_
        # a class with all test shapes, or none, has no curve
        kept = member.any(axis=0) & ~member.all(axis=0)
        areas.append(roc_auc_score(member[:, kept], odds[:, kept], average=None))  # type: ignore[arg-type]
    return float(np.hstack(areas).mean())


def beta_vae(codes: Table, factors: Table, test_codes: Table, test_factors: Table, rng: np.random.Generator) -> float:
    """Score of Higgins et al. (2017), 0 .. 1: how often logistic regression tells which factor the pairs of a batch
    share, from how far apart the two codes of a pair lie, mean over the batch. Pairs share a factor where they are
    neighbours in its order, see `factor_votes`."""
    rows, names = _pair_distances(codes, factors, VOTES, rng)
    test_rows, test_names = _pair_distances(test_codes, test_factors, VOTES // 2, rng)
    model, tests = _logistic(rows, names, test_rows)
    return float(model.score(tests, test_names))


def score(codes: Table, factors: Table, test_codes: Table, test_factors: Table, seed: int = 0) -> dict[str, float]:
    """All measures of one code of continuous factors, named as in SCORES. codes (n, d) and factors (n, k) to learn
    from, the same for testing. Raises ValueError for tables that are empty, not finite or too short (`factor_votes`).
    """
    rng = np.random.default_rng(seed)
    four = (codes, factors, test_codes, test_factors)
    importance, read = importances(*four, seed=seed)
    disentangled, complete = dci(importance)
    # classes have to mean the same in both sets
    labels = discretise(np.concatenate((factors, test_factors)), BINS)
    labels, test_labels = labels[: len(factors)], labels[len(factors) :]
    return {
        "dci_d": disentangled,
        "dci_c": complete,
        "dci_i": read,
        "mig": mig(codes, factors),
        "sap": sap(codes, factors),
        "factor_vae": factor_vae(*four, rng),
        "beta_vae": beta_vae(*four, rng),
        "modularity": modularity(information(codes, factors)),
        "explicitness": explicitness(codes, labels, test_codes, test_labels),
    }


class SideEffects(NamedTuple):
    """What s sliders do to k measures, in standard deviations of each measure."""

    gain: Table  # (s, k): mean change over the shapes
    drift: Table  # (s, k): mean absolute change over the shapes

    def off_target(self, targets: ArrayLike | None = None) -> Table:
        """Drift (s, k - 1) of the measures that a slider is not meant to move, for one standard deviation of the one
        that it is, however much a unit does; targets (s,): which one that is, by default the slider's own number."""
        sliders, measures = self.drift.shape
        meant = np.arange(sliders) if targets is None else np.asarray(targets)
        other = np.arange(measures)[None, :] != meant[:, None]
        own = np.abs(self.gain[np.arange(sliders), meant])
        return self.drift[other].reshape(sliders, measures - 1) / np.maximum(own, 1e-9)[:, None]

    def off_target_mean(self, targets: ArrayLike | None = None) -> Table:
        """Mean of `off_target` (s,) over the measures: the side effect of each slider; 0 where there is one measure."""
        off = self.off_target(targets)
        return off.mean(axis=1) if off.shape[1] else np.zeros(len(off))


def side_effects(before: ArrayLike, after: ArrayLike, spread: ArrayLike) -> SideEffects:
    """Attribute dependency (Wu et al. 2021, "StyleSpace analysis") of sliders. before (n, k): measures of the shapes;
    after (s, n, k): with each of the s sliders moved by one unit; spread (k,): standard deviation of each measure over
    the family. Raises ValueError where a measure does not vary."""
    scale = np.asarray(spread, np.float64)
    if not (scale > 0).all():
        raise ValueError("a measure that does not vary has no standard deviation to count in")
    change = (np.asarray(after, np.float64) - np.asarray(before, np.float64)[None]) / scale
    return SideEffects(change.mean(axis=1), np.abs(change).mean(axis=1))


def _pair_distances(codes: Table, factors: Table, votes: int, rng: np.random.Generator) -> tuple[Table, NDArray]:
    """Mean distances per dimension (votes, d) of `VOTERS` pairs that share a factor, and which one (votes,)."""
    mixed = rng.permutation(len(codes))
    orders = [mixed[np.argsort(factor[mixed], kind="stable")] for factor in factors.T]
    gaps = np.stack([np.abs(np.diff(codes[order], axis=0)) for order in orders])
    names = rng.integers(len(gaps), size=votes)
    pairs = rng.integers(gaps.shape[1], size=(votes, VOTERS))
    return gaps[names[:, None], pairs].mean(axis=1), names


def _logistic(rows: Table, names: NDArray, tests: Table) -> tuple[LogisticRegression, Table]:
    """A classifier of rows (n, d), and ``tests`` (m, d) in the units that it takes."""
    spread, shift = rows.std(axis=0), rows.mean(axis=0)
    scale = np.where(spread > 0, spread, 1.0)
    with warnings.catch_warnings():
        # the order of the odds has settled long before their values
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = LogisticRegression(max_iter=100, tol=1e-3, C=10.0).fit((rows - shift) / scale, names)
    return model, (tests - shift) / scale


def _table(values: ArrayLike) -> Table:
    table = np.asarray(values, np.float64)
    if table.ndim != 2 or table.size == 0:
        raise ValueError(f"expected a table with rows and columns, not the shape {table.shape}")
    if not np.isfinite(table).all():
        raise ValueError("a value is not finite")
    return table


def _entropy(counts: NDArray) -> float:
    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log(share)).sum())


def _lead(table: Table) -> Table:
    """Best less second best (k,) of the rows of (d, k); a single row leads by itself."""
    ordered = np.sort(table, axis=0)
    return ordered[-1] - (ordered[-2] if len(ordered) > 1 else 0.0)


def _one_sided(table: Table) -> float:
    """Mean over the rows, by weight, of one less their entropy relative to the largest possible."""
    weight = table.sum(axis=1)
    if weight.sum() == 0:
        return 0.0
    if table.shape[1] == 1:
        return 1.0
    share = table / np.where(weight > 0, weight, 1.0)[:, None]
    unsure = -(share * np.log(np.where(share > 0, share, 1.0))).sum(axis=1) / np.log(table.shape[1])
    return float((weight / weight.sum() * (1 - unsure)).sum())
