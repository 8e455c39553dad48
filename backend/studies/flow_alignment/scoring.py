"""Which prior tells made-up codes of shapes from real ones, and how the alignment loss goes with the likelihood."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...prior.flow import FlowPrior, auroc
from ...prior.shape_prior import ShapePrior
from ...prior.velocity import Velocity
from ..claims import Claim
from ..ranks import spearman
from .shapes import BLENDED, GAUSSIAN, NOISY, OVERDRIVEN, REAL, SAMPLED, SHUFFLED, Table, made_up

KL, TYPICAL, WHOLE, LATE = "Gaussian (KL)", "Gaussian, typical set", "L, all times", "L, late times"


def judges(flow: FlowPrior) -> dict[str, Callable[[Table], NDArray]]:
    """Scores (n,) of codes, higher for odder ones.

    The Gaussian is the one that KL pulls codes to, N(0, I) of whitened codes: its surprise is their mean square. Its
    typical set is a shell, so what is off the shell on either side is odd, too.
    """

    def square(codes: Table) -> NDArray:
        return np.square(flow.whiten(codes)).mean(axis=1)

    return {KL: square, TYPICAL: lambda codes: abs(square(codes) - 1), WHOLE: flow.alignment, LATE: flow.score}


@dataclass(frozen=True)
class Told:
    """auc: by judge and kind, the chance that a made-up code is taken for the odder one of a pair with a real one, for
    each set of made-up codes. scores: by judge and kind, of the first set and of real codes; rank: by judge, Spearman's
    correlation with the flow's own negative log likelihood, ``surprise``, over real and made-up codes."""

    auc: dict[str, dict[str, list[float]]]
    scores: dict[str, dict[str, NDArray]]
    surprise: dict[str, NDArray]
    rank: dict[str, float]


def tell(real: Table, prior: ShapePrior, seeds: int, followed: int, steps: int) -> Told:
    """followed: codes of each kind whose likelihood is computed, in this many steps."""
    asked = judges(prior.flow)
    sets = [made_up(real, prior, seed) for seed in range(seeds)]
    kinds = {REAL: real} | sets[0]
    scores = {name: {kind: judge(codes) for kind, codes in kinds.items()} for name, judge in asked.items()}
    auc: dict[str, dict[str, list[float]]] = {name: {kind: [] for kind in sets[0]} for name in asked}
    for made in sets:
        for kind, codes in made.items():
            for name, judge in asked.items():
                auc[name][kind].append(auroc(scores[name][REAL], judge(codes)))
    # every so-many-th code, for neighbours in the table are of one program
    chosen = np.linspace(0, len(real) - 1, followed).astype(int)
    surprise = {
        kind: flow_surprise(prior.flow.velocity, prior.flow.whiten(codes[chosen]), steps)
        for kind, codes in kinds.items()
    }
    every = np.concatenate(list(surprise.values()))
    rank = {
        name: spearman(np.concatenate([table[kind][chosen] for kind in kinds]), every) for name, table in scores.items()
    }
    return Told(auc, scores, surprise, rank)


def flow_surprise(velocity: Velocity, points: NDArray, steps: int, probes: int = 8, seed: int = 0) -> NDArray:
    """The flow's negative log likelihood (n,) of whitened points (n, d), in nats per dimension.

    Back along the velocity by Heun's method, its divergence by Hutchinson's estimate over fixed signs:
    log p(x1) = log N(x0) - integral of div v (Chen et al. 2018, arXiv 1806.07366).
    """
    count, size = points.shape
    signs = np.random.default_rng(seed).choice(np.array([-1, 1], np.float32), (probes, size))

    def moved(x: NDArray, t: float) -> tuple[NDArray, NDArray]:
        flow, pullback = velocity.with_pullback(np.repeat(x, probes, axis=0), np.full(count * probes, t, np.float32))
        drawn = np.tile(signs, (count, 1))
        spread = (pullback(drawn) * drawn).sum(axis=1).reshape(count, probes).mean(axis=1)
        return flow[::probes], spread

    x, grown = np.asarray(points, np.float32), np.zeros(count)
    for step in range(steps, 0, -1):
        here, one = moved(x, step / steps)
        there, other = moved(x - here / np.float32(steps), (step - 1) / steps)
        x = x - (here + there) / np.float32(2 * steps)
        grown += (one + other) / (2 * steps)
    return (0.5 * (x.astype(np.float64) ** 2).sum(axis=1) + grown) / size + 0.5 * math.log(2 * math.pi)


def claims(told: Told) -> list[Claim]:
    """A row for every kind of made-up code, and for the likelihood."""
    rows = []
    for number, kind in enumerate((OVERDRIVEN, GAUSSIAN, SHUFFLED, NOISY, BLENDED), 1):
        late, plain = (told.auc[name][kind] for name in (LATE, KL))
        low, note = (-math.inf, BETWEEN) if kind == BLENDED else (0.9, "")
        rows += [
            Claim.over_seeds(f"S{number}", f"AUROC against real shapes, late L: {kind}", late, low, note=note),
            Claim.over_seeds(f"S{number} KL", f"AUROC against real shapes, Gaussian: {kind}", plain),
        ]
    gain = _gains(told.auc, (OVERDRIVEN, GAUSSIAN, SHUFFLED, NOISY, BLENDED))
    sampled = told.auc[LATE][SAMPLED]
    return [
        *rows,
        Claim.over_seeds("S6", "AUROC that late L gains over the Gaussian, mean of kinds", gain, 0.1),
        Claim.over_seeds("S7", "AUROC, late L: samples of the flow (.5: not to be told)", sampled, 0.4, 0.75),
        Claim("S8", "Spearman over codes, late L and the flow's NLL", told.rank[LATE], 0.8),
        Claim("S8 L", "Spearman over codes, L of all times and the flow's NLL", told.rank[WHOLE]),
        Claim("S8 KL", "Spearman over codes, Gaussian and the flow's NLL", told.rank[KL]),
    ]


BETWEEN = "the Gaussian takes what lies between shapes for more real than shapes"


def _gains(auc: Mapping[str, Mapping[str, Sequence[float]]], kinds: Sequence[str]) -> list[float]:
    """Of each set of made-up codes."""
    late, plain = (np.array([auc[name][kind] for kind in kinds]) for name in (LATE, KL))
    return (late - plain).mean(axis=0).tolist()
