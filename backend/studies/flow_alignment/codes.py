"""Codes of whole shapes under the shipped model, real ones that it was not trained on and made-up ones: which prior
tells them apart, what is drawn from each, and what a prior adds to a poor guess of a code."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import zoom
from scipy.spatial import KDTree

from ...field.bricks import BLOCK, TRUNCATION
from ...prior.archive import COARSE
from ...prior.codes import VOXEL, Codes
from ...prior.decode_shape import outline_of
from ...prior.flow import FlowPrior, auroc
from ...prior.shape_prior import ShapePrior
from ...prior.velocity import Velocity
from ...training.bank import block_field, jittered
from ...training.scanner import surface_points
from ...training.shapes.families import FAMILIES, draw
from ..instruments import spearman
from ..study import Measured

FRESH = 1_000_000  # first seed of the programs: those of training count from 0
POINTS = 3_000  # of a surface, from which the truncated distances of level 0 are measured
DRIVEN = 3.0  # times the end of its range, or USUAL where the model has directions alone, to which a slider is driven
USUAL = 2.0

REAL = "real, held out"
OVERDRIVEN, SHUFFLED, BLENDED = "slider over-driven", "numbers shuffled", "two shapes averaged"
NOISY, GAUSSIAN, SAMPLED = "real + noise .5", "drawn from N(0, I)", "drawn from the flow"
KL, TYPICAL, WHOLE, LATE = "Gaussian (KL)", "Gaussian, typical set", "L, all times", "L, late times"
IN_ONE_PIECE = 0.98  # share of the volume in one piece from which a shape is whole
PULLED, SHRUNK = "N(0, I), aligned to the data's own", "N(0, I), as far toward the mean"
NOISE_LEVELS = (0.3, 0.5, 1.0)  # of a code with noise, per standard deviation of whitened codes

Table = NDArray[np.float32]


def fresh_codes(codes: Codes, families: int | None, members: int, round: int = 0) -> Table:
    """Codes (families * members, CODE) of one new program of each of the first families, or of all."""
    found = []
    for number, family in enumerate(FAMILIES[:families]):
        seed = FRESH + round * len(FAMILIES) + number
        generator = torch.Generator().manual_seed(seed)
        distance = jittered(draw(family, members, seed).sdf, members, generator)
        points, _ = surface_points(distance, members, POINTS, generator)
        trees = [KDTree(cloud) for cloud in points.numpy()]
        fields = block_field(distance, torch.zeros(members, 3, dtype=torch.long), 0, trees)
        found += [codes.of_field(field) for field in fields.numpy()]
    return np.stack(found)


def turned(codes: Codes, table: Table) -> Table:
    """The codes (48 n, CODE) of the same shapes in every orientation of the cube, mirrored ones too. A code is affine
    in the field, and so is a turn: each is one small matrix."""
    side = (COARSE,) * 3
    basis, mean = codes.basis.reshape(*side, -1), codes.mean.reshape(side)
    found = []
    for axes in itertools.permutations(range(3)):
        for flipped in itertools.product((1, -1), repeat=3):
            at = tuple(slice(None, None, step) for step in flipped)
            moved = basis.transpose(*axes, 3)[at].reshape(codes.basis.shape).T @ codes.basis
            shift = (mean.transpose(axes)[at].reshape(-1) - codes.mean) @ codes.basis
            found.append(((table * codes.scale) @ moved + shift) / codes.scale)
    return np.concatenate(found).astype(np.float32)


def made_up(real: Table, prior: ShapePrior, seed: int) -> dict[str, Table]:
    """Codes that no shape has, or none in the training set, as many of each kind as there are real ones (n, CODE).
    Shuffled: every number comes from another real code. Noise is per standard deviation of whitened codes."""
    rng, flow, (count, size) = np.random.default_rng(seed), prior.flow, real.shape
    ends = [(slider.delta, slider.low, slider.high) for slider in prior.sliders.values()]
    ends = ends or [(row, -USUAL, USUAL) for row in prior.codes.directions]
    ways = np.stack([DRIVEN * end * delta for delta, low, high in ends for end in (low, high)])
    found = {
        OVERDRIVEN: real + ways[rng.integers(len(ways), size=count)],
        SHUFFLED: rng.permuted(real, axis=0),
        BLENDED: (real + real[rng.permutation(count)]) / 2,
        NOISY: flow.unwhiten(flow.whiten(real) + 0.5 * rng.standard_normal((count, size))),
        GAUSSIAN: flow.unwhiten(rng.standard_normal((count, size))),
        SAMPLED: flow.sample(count, seed),
    }
    return {kind: codes.astype(np.float32) for kind, codes in found.items()}


def scorers(flow: FlowPrior) -> dict[str, Callable[[Table], NDArray]]:
    """Scores (n,) of codes by name, higher for less likely codes: the mean square of whitened codes (KL), its distance
    from that of the typical set, a shell, and the flow's own."""

    def square(codes: Table) -> NDArray:
        return np.square(flow.whiten(codes)).mean(axis=1)

    return {KL: square, TYPICAL: lambda codes: abs(square(codes) - 1), WHOLE: flow.alignment, LATE: flow.score}


@dataclass(frozen=True)
class ScoreComparison:
    """How well scores separate made-up codes from real ones. Scores, surprise and rank are of the first set."""

    # by scorer and kind, per set: the chance that of a real and a made-up code the made-up one scores higher
    auc: dict[str, dict[str, list[float]]]
    scores: dict[str, dict[str, NDArray]]  # by scorer and kind, real codes among them
    surprise: dict[str, NDArray]  # by kind: the flow's own negative log likelihood
    rank: dict[str, float]  # by scorer: Spearman's correlation of score and surprise over real and made-up codes


def compare_scores(real: Table, prior: ShapePrior, seeds: int, followed: int, steps: int) -> ScoreComparison:
    """Score real codes (n, CODE) and ``seeds`` sets of made-up ones, and compute the likelihood of ``followed`` codes
    of each kind in ``steps``."""
    asked = scorers(prior.flow)
    sets = [made_up(real, prior, seed) for seed in range(seeds)]
    kinds = {REAL: real} | sets[0]
    scores = {name: {kind: scorer(codes) for kind, codes in kinds.items()} for name, scorer in asked.items()}
    auc = {
        name: {kind: [auroc(scores[name][REAL], scorer(made[kind])) for made in sets] for kind in sets[0]}
        for name, scorer in asked.items()
    }
    # spread over the table, since neighbours in it are of one program
    chosen = np.linspace(0, len(real) - 1, followed).astype(int)
    surprise = {
        kind: flow_surprise(prior.flow.velocity, prior.flow.whiten(codes[chosen]), steps)
        for kind, codes in kinds.items()
    }
    every = np.concatenate(list(surprise.values()))
    rank = {
        name: spearman(np.concatenate([table[kind][chosen] for kind in kinds]), every) for name, table in scores.items()
    }
    return ScoreComparison(auc, scores, surprise, rank)


def score_checks(told: ScoreComparison) -> dict[str, Measured]:
    """Every kind of made-up code, and the likelihood."""
    kinds = (OVERDRIVEN, GAUSSIAN, SHUFFLED, NOISY, BLENDED)
    late, plain = ([told.auc[name][kind] for kind in kinds] for name in (LATE, KL))
    measured: dict[str, Measured] = {f"S{number}": runs for number, runs in enumerate(late, 1)}
    measured |= {f"S{number} KL": runs for number, runs in enumerate(plain, 1)}
    measured |= {"S6": (np.array(late) - np.array(plain)).mean(axis=0).tolist(), "S7": told.auc[LATE][SAMPLED]}
    return measured | {"S8": told.rank[LATE], "S8 L": told.rank[WHOLE], "S8 KL": told.rank[KL]}


def flow_surprise(velocity: Velocity, points: NDArray, steps: int, probes: int = 8, seed: int = 0) -> NDArray:
    """The flow's negative log likelihood (n,) of whitened points (n, d), in nats per dimension: log p(x1) = log N(x0) -
    integral of div v (Chen et al. 2018, arXiv 1806.07366), by Heun's method and Hutchinson's estimate over fixed signs.
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


@dataclass(frozen=True)
class ShapeDraws:
    """Shapes drawn from each prior, by kind; distances in rms voxels of level 0 between coarse fields."""

    codes: dict[str, Table]
    distance: dict[str, NDArray]  # from each shape to the nearest one of the archive in any orientation
    whole: dict[str, NDArray]  # the volume's share in one piece
    strayed: dict[str, NDArray]  # from a code to that of its own outline
    # by NOISE_LEVELS: squared error of codes that the Gaussian and the flow denoise
    denoised: dict[float, tuple[float, float]]


def shape_draws(real: Table, prior: ShapePrior, made: dict[str, Table], outlined: int, pulled: int) -> ShapeDraws:
    """Measure real and made-up codes as shapes. outlined: shapes of a kind whose pieces are counted; pulled: draws of
    N(0, I) that the flow aligns to the data's own score, and that move as far straight toward the mean, as KL does."""
    assert prior.archive is not None, "the shipped model has an archive"
    start = made[GAUSSIAN][:pulled]
    ends = np.stack([prior.flow.descent(code).codes[-1] for code in start])
    gone, away = (
        np.linalg.norm(prior.flow.whiten(codes) - origin, axis=1)
        for codes, origin in ((ends, prior.flow.whiten(start)), (start, 0))
    )
    shrunk = start + (np.minimum(gone / away, 1)[:, None] * (prior.flow.mean - start)).astype(np.float32)
    codes = {REAL: real, SAMPLED: made[SAMPLED], GAUSSIAN: made[GAUSSIAN], PULLED: ends, SHRUNK: shrunk}
    known = turned(prior.codes, prior.archive.codes)
    weights = prior.codes.scale / np.sqrt(np.float32(len(prior.codes.mean)))
    distance = {kind: nearest(table * weights, known * weights) for kind, table in codes.items()}
    # neighbours in the table of real codes are of one program
    chosen = {kind: table[:outlined] for kind, table in codes.items()} | {REAL: real[:: max(1, len(real) // outlined)]}
    found = {kind: [code_of_outline(code, prior.codes) for code in table] for kind, table in chosen.items()}
    whole = {kind: np.array([share for _, share in pairs]) for kind, pairs in found.items()}
    strayed = {
        kind: np.linalg.norm((np.stack([back for back, _ in pairs]) - chosen[kind]) * weights, axis=1)
        for kind, pairs in found.items()
    }
    denoised = {noise: errors(prior.flow, real, noise) for noise in NOISE_LEVELS}
    return ShapeDraws(codes, distance, whole, strayed, denoised)


def code_of_outline(code: Table, codes: Codes) -> tuple[Table, float]:
    """The code (CODE,) of the solid that a code's outline encloses, and the share of the volume in one piece. The code
    of a shape comes back nearly unchanged, and one whose field is no distance from any surface as another one."""
    outline = outline_of(code, codes)
    inside = magnified(codes.field_of(code), BLOCK // COARSE) < 0
    away = np.full(inside.size, TRUNCATION)
    if len(outline.points):
        centres, reach = (np.argwhere(np.ones_like(inside)) + 0.5) * VOXEL - 1, TRUNCATION * VOXEL
        found = np.asarray(KDTree(outline.points).query(centres, distance_upper_bound=reach)[0])
        away = np.minimum(found, reach) / VOXEL
    return codes.of_field(np.where(inside, -1, 1) * away.reshape(inside.shape)), outline.whole


def magnified(field: NDArray, times: int) -> NDArray:
    """A coarse field (n, n, n) with ``times`` as many voxels along each axis, by cubic splines."""
    return np.asarray(zoom(field, times, order=3, mode="nearest", grid_mode=True))


def nearest(points: NDArray, known: NDArray) -> NDArray[np.float64]:
    """Distances (n,) from points (n, d) to the nearest of known ones (m, d)."""
    squares = np.square(points).sum(axis=1)[:, None] + np.square(known).sum(axis=1) - 2 * points @ known.T
    return np.sqrt(squares.min(axis=1).clip(min=0))


def errors(flow: FlowPrior, real: Table, level: float, seed: int = 0) -> tuple[float, float]:
    """Mean square errors of codes that the Gaussian and the flow denoise, per variance of the noise. The best guess
    under N(0, I) is y / (1 + level^2). Under the flow, x = t y with t = 1 / (1 + level) is a point at time t, and E[x1
    | x] = x + (1 - t) v(x, t)."""
    true = flow.whiten(real)
    noise = np.random.default_rng(seed).standard_normal(true.shape).astype(np.float32)
    guessed = true + np.float32(level) * noise
    time = 1 / (1 + level)
    at = np.float32(time) * guessed
    ours = at + np.float32(1 - time) * flow.velocity(at, np.full(len(at), time))
    plain = guessed / (1 + level**2)
    left, ours_left = (float(np.square(found - true).mean()) / level**2 for found in (plain, ours))
    return left, ours_left


def draw_checks(found: ShapeDraws) -> dict[str, float]:
    """Of one set of draws: ratios of mean distances between kinds, and shares of shapes in one piece."""

    def ratio(table: dict[str, NDArray], one: str, other: str) -> float:
        return float(table[one].mean() / table[other][: len(table[one])].mean())

    valid = {kind: float((shares >= IN_ONE_PIECE).mean()) for kind, shares in found.whole.items()}
    near = ((SAMPLED, GAUSSIAN), (SAMPLED, REAL), (GAUSSIAN, REAL), (PULLED, GAUSSIAN), (SHRUNK, GAUSSIAN))
    back = ((SAMPLED, GAUSSIAN), (SAMPLED, REAL), (PULLED, GAUSSIAN), (SHRUNK, GAUSSIAN))
    measured = {f"P{number}": ratio(found.distance, *pair) for number, pair in enumerate(near, 1)}
    measured |= {f"V{number}": ratio(found.strayed, *pair) for number, pair in enumerate(back, 1)}
    return measured | {"V5": valid[SAMPLED] - valid[GAUSSIAN], "V6": valid[SAMPLED], "V7": valid[REAL]}
