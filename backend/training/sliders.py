"""Sliders of a code space, fitted to the factors of a family and measured on other shapes of it: how well they are
disentangled, beside plain principal components and the code as it is, and their side effects on decoded shapes.
Everything is drawn anew for every seed: the seed matters as much as the model (Locatello et al. 2019)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import Tensor

from ..field.bricks import BLOCK, TRUNCATION
from .disentanglement_metrics import SideEffects, linear_shares, score, side_effects
from .grids import grid_points, splat
from .latent_directions import Sliders, labelled, locality, named, principal, targets
from .shapes.mugs import FACTORS, Mugs, descriptors, known_factors

Table = NDArray[np.float64]

DEGREE = 3  # of bent sliders: side effects on components of fields are .10 at 1, .06 at 2 and .03 at 3
COMPONENTS = 10  # principal components beside the sliders: the usual number of latents in the literature
MEMBERS_AT_ONCE = 50
STOPS = 7  # positions of a slider that is swept over its reach
CORRELATION = 0.5  # of the factors in the second collection, where large mugs have large handles


@dataclass(frozen=True)
class ExperimentSize:
    """How many shapes an experiment takes."""

    train: int = 10_000  # shapes of each seed that sliders are learned from
    test: int = 5_000  # shapes of each seed that sliders are scored on
    seeds: int = 5
    decoded: int = 100  # shapes of each seed whose moves are decoded and measured
    swept: int = 20  # shapes whose sliders are swept over their reach, for the first seed


@dataclass(frozen=True)
class Space:
    """A space of codes; encoder and decoder are given at most `MEMBERS_AT_ONCE` shapes."""

    name: str  # for the table
    encode: Callable[[Mugs, torch.Generator], NDArray]  # mugs -> codes (B, d); the generator is for what is random
    # codes (B, d) -> signed distances (B, n, n, n) over [-1, 1]^3, negative inside; n a multiple of 32
    decode: Callable[[NDArray], NDArray]


def field_components(count: int = 64, members: int = 1_000, seed: int = 10_000) -> Space:
    """The coefficients of level 0 fields in their principal components: what a linear code makes of the same shapes."""
    _, mugs = known_factors(members, seed)
    rows = np.concatenate([level0(part).numpy() for part in _parts(mugs)]).reshape(members, -1)
    mean = rows.mean(axis=0)
    # members are fewer than voxels
    _, vectors = np.linalg.eigh((rows - mean) @ (rows - mean).T)
    # BLAS takes no reversed array
    components, _ = np.linalg.qr((rows - mean).T @ np.ascontiguousarray(vectors[:, ::-1][:, :count]))
    return Space(
        "field components",
        lambda mugs, _: (level0(mugs).numpy().reshape(len(mugs.factors), -1) - mean) @ components,
        lambda codes: (codes @ components.T + mean).reshape(-1, BLOCK, BLOCK, BLOCK),
    )


def evidence(mugs: Mugs, points: int, generator: torch.Generator) -> Tensor:
    """Evidence (B, 5, 32, 32, 32) of level 0 of clean scans that see everything."""
    origin = torch.zeros(3, dtype=torch.long)
    return torch.stack([splat(*scan, origin, 0) for scan in zip(*mugs.surface(points, generator), strict=True)])


def level0(mugs: Mugs) -> Tensor:
    """Signed distances (B, 32, 32, 32) in voxels of level 0, truncated."""
    # mugs are symmetric in y
    half = grid_points(BLOCK).reshape(BLOCK, BLOCK, BLOCK, 3)[:, BLOCK // 2 :].reshape(1, -1, 3)
    value = mugs.sdf(half.expand(len(mugs.factors), -1, -1)).reshape(-1, BLOCK, BLOCK // 2, BLOCK)
    return torch.cat((value.flip(2), value), 2).mul_(BLOCK / 2).clamp_(-TRUNCATION, TRUNCATION)


def experiment(space: Space, size: ExperimentSize, log: Callable[[str], None] = print) -> dict[str, Any]:
    """All scores and side effects of sliders in ``space``, as plain numbers for the model card.

    scores: of sliders (where codes stand on them), components and the code itself, each {"mean", "sd"} over the seeds.
    side_effect: mean over the sliders, of straight sliders before and after debiasing, of bent ones, and of principal
    components; "decoded" through the measures of decoded shapes, "read" in code space by readings fitted to other
    shapes; "decoded, correlated": where the sliders are learned from a collection with correlated factors.
    worst_side_effect: of any bent slider on any single measure. sliders: a row for each of the first seed. components:
    likewise, most local first.
    """
    start = time.process_time()
    scores: dict[str, list[dict[str, float]]] = {"sliders": [], "components": [], "code": []}
    sides, worst, rows, components = [], [], [], []
    for seed in range(size.seeds):
        four = (*encode(space, size.train, 2 * seed), *encode(space, size.test, 2 * seed + 1))
        trial = _Trial(space, size, seed, *four, _spread())
        kinds = _labelled(trial.codes, trial.factors) | {"components": principal(trial.codes, COMPONENTS)}
        bent, plain = kinds["bent"], kinds["components"]
        for name, read in (("sliders", bent.positions), ("components", plain.positions), ("code", np.asarray)):
            four = (read(trial.codes), trial.factors, read(trial.test_codes), trial.test_factors)
            scores[name].append(score(*four, seed=seed))
        effects = {name: trial.decoded_effects(each) for name, each in kinds.items()}
        sides.append(trial.side_table(kinds, effects))
        worst.append(float(effects["bent"].off_target().max()))
        if seed == 0:
            rows = trial.rows(kinds, effects)
            components = trial.component_rows(plain, effects["components"])
        found = ", ".join(f"{name} {scores['sliders'][-1][name]:.3f}" for name in ("dci_d", "mig", "sap"))
        log(f"{space.name}, seed {seed}: {found}, side effects {sides[-1]['decoded']}")
    return {
        "space": space.name,
        "family": list(FACTORS),
        "settings": asdict(size),
        "scores": {name: _summaries(each) for name, each in scores.items()},
        "side_effect": {where: _summaries([one[where] for one in sides]) for where in sides[0]},
        "worst_side_effect": _summary(worst),
        "sliders": rows,
        "components": components,
        "cpu_seconds": round(time.process_time() - start, 1),
    }


@dataclass(frozen=True)
class _Trial:
    """The shapes of one seed. spread (k,): standard deviation of each measure over clean shapes of the family."""

    space: Space
    size: ExperimentSize
    seed: int
    codes: Table
    factors: Table
    test_codes: Table
    test_factors: Table
    spread: Table

    def decoded_effects(self, sliders: Sliders) -> SideEffects:
        """Of a unit, on decoded shapes."""
        return self._effects(sliders, self.test_codes[: self.size.decoded], self._measured)

    def side_table(self, kinds: dict[str, Sliders], effects: dict[str, SideEffects]) -> dict[str, dict[str, float]]:
        """Side effects, mean over the sliders, by how they are measured and by kind of slider."""
        judge = labelled(self.test_codes, self.test_factors)
        few = self.test_codes[:1000]
        read = {name: self._effects(each, few, judge.positions, np.ones(len(FACTORS))) for name, each in kinds.items()}
        correlated = _labelled(*encode(self.space, min(self.size.train, 2_000), 2 * self.seed + 1001, CORRELATION))
        unfair = {name: self.decoded_effects(each) for name, each in correlated.items()}
        return {
            where: {name: _side(name, each) for name, each in found.items()}
            for where, found in (("decoded", effects), ("read", read), ("decoded, correlated", unfair))
        }

    def rows(self, kinds: dict[str, Sliders], effects: dict[str, SideEffects]) -> list[dict[str, Any]]:
        """A row for each bent slider."""
        bent = kinds["bent"]
        names = named(bent, effects["bent"], FACTORS, np.arange(len(FACTORS))).names
        read = np.diag(linear_shares(bent.positions(self.test_codes), self.test_factors))
        own = np.diag(effects["bent"].gain)
        side = {name: effects[name].off_target() for name in ("before", "debiased", "bent")}
        return [
            {
                "factor": factor,
                "name": names[k],
                "read": round(float(read[k]), 3),
                "low": round(float(bent.low[k]), 2),
                "high": round(float(bent.high[k]), 2),
                "gain": round(float(own[k]), 3),
                "follows": round(self._follows(bent, k), 3),
                "side": {name: round(float(each[k].mean()), 3) for name, each in side.items()},
                "worst": round(float(side["bent"][k].max()), 3),
            }
            for k, factor in enumerate(FACTORS)
        ]

    def component_rows(self, plain: Sliders, effects: SideEffects) -> list[dict[str, Any]]:
        """A row for each principal component, most local first; an unnamed one moves several things."""
        names, most = named(plain, effects, FACTORS).names, targets(effects)
        base = self.test_codes[: self.size.swept]
        before = self._decode(base)
        surface = np.abs(before).min(axis=0) < 1
        moves = [np.abs(self._decode(base + step) - before)[:, surface].mean(axis=0) for step in plain.directions]
        shares, side = locality(moves), effects.off_target_mean(most)
        return [
            {
                "component": int(number),
                "moves": FACTORS[most[number]],
                "name": names[number],
                "gain": round(float(abs(effects.gain[number, most[number]])), 3),
                "side": round(float(side[number]), 3),
                "share_moved": round(float(shares[number]), 3),
            }
            for number in np.argsort(shares)
        ]

    def _effects(
        self, sliders: Sliders, base: Table, measure: Callable[[Table], Table], spread: Table | None = None
    ) -> SideEffects:
        """Of a unit of each slider, up or down by chance but within its reach, counted as if all were up."""
        rng = np.random.default_rng(self.seed)
        before = measure(base)
        positions = sliders.positions(base)
        after = np.empty((len(sliders), *before.shape))
        for number in range(len(sliders)):
            sign = rng.choice((-1.0, 1.0), len(base))
            here = positions[:, number]
            sign = np.where(here + 1 > sliders.high[number], -1.0, np.where(here - 1 < sliders.low[number], 1.0, sign))
            amounts = np.zeros((len(base), len(sliders)))
            amounts[:, number] = sign
            after[number] = before + sign[:, None] * (measure(sliders.moved(base, amounts)) - before)
        return side_effects(before, after, self.spread if spread is None else spread)

    def _follows(self, sliders: Sliders, number: int) -> float:
        """Rank correlation of a slider, swept over its reach, with its measure, mean over the shapes."""
        base = self.test_codes[: self.size.swept]
        stops = np.linspace(sliders.low[number], sliders.high[number], STOPS)
        amounts = np.zeros((STOPS, len(base), len(sliders)))
        amounts[:, :, number] = stops[:, None] - sliders.positions(base)[None, :, number]
        found = np.stack([self._measured(sliders.moved(base, step))[:, number] for step in amounts])
        ranks = rankdata(found, axis=0) - (STOPS + 1) / 2
        rising = (np.arange(STOPS) - (STOPS - 1) / 2) @ ranks
        # a measure that stays has ranks of no spread, and follows nothing
        spread = np.sqrt((STOPS**3 - STOPS) / 12 * np.square(ranks).sum(axis=0))
        return float(np.mean(rising / np.maximum(spread, 1e-9)))

    def _measured(self, codes: Table) -> Table:
        return descriptors(self._decode(codes))

    def _decode(self, codes: Table) -> NDArray:
        firsts = range(0, len(codes), MEMBERS_AT_ONCE)
        return np.concatenate([self.space.decode(codes[first : first + MEMBERS_AT_ONCE]) for first in firsts])


def _labelled(codes: Table, factors: Table) -> dict[str, Sliders]:
    """Sliders of the factors: straight ones before and after debiasing, and bent ones."""
    return {
        "before": labelled(codes, factors, debias=False),
        "debiased": labelled(codes, factors),
        "bent": labelled(codes, factors, degree=DEGREE),
    }


def encode(space: Space, count: int, seed: int, correlation: float = 0.0) -> tuple[Table, Table]:
    """Codes (count, d) and factors (count, k) of mugs drawn with a seed."""
    factors, mugs = known_factors(count, seed, correlation=correlation)
    generator = torch.Generator().manual_seed(seed)
    codes = np.concatenate([space.encode(part, generator) for part in _parts(mugs)])
    return codes.astype(np.float64), factors.numpy().astype(np.float64)


def _parts(mugs: Mugs) -> list[Mugs]:
    return [replace(mugs, factors=part) for part in mugs.factors.split(MEMBERS_AT_ONCE)]


@lru_cache(maxsize=1)
def _spread() -> Table:
    """Standard deviation (k,) of each measure over clean shapes."""
    _, mugs = known_factors(500, 20_000)
    return np.concatenate([descriptors(level0(part).numpy()) for part in _parts(mugs)]).std(axis=0)


def _side(kind: str, effects: SideEffects) -> float:
    """Mean side effect of sliders; a component is meant to move what it moves most."""
    return round(float(effects.off_target_mean(targets(effects) if kind == "components" else None).mean()), 4)


def _summaries(runs: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    return {name: _summary([run[name] for run in runs]) for name in runs[0]}


def _summary(values: list[float]) -> dict[str, float]:
    sd = np.std(values, ddof=min(1, len(values) - 1))
    return {"mean": round(float(np.mean(values)), 4), "sd": round(float(sd), 4)}
