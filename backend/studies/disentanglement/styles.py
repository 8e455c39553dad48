"""Single channels of the shipped model's style: whether they are more disentangled than its code, and how local they
are (Wu et al. 2021, "StyleSpace analysis", arXiv 2011.12799, found that of a generator of pictures)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ...field.bricks import BLOCK
from ...field.onnx_model import ENCODER_NOISE, WHOLE, CancelToken, Model
from ...training.atom import EVIDENCE, Atom
from ...training.disentanglement_metrics import dci, importances, side_effects
from ...training.latent_directions import locality, targets
from ...training.shapes.mugs import FACTORS, HIGH, LOW, Mugs, descriptors, known_factors
from ...training.sliders import evidence
from ..claims import Claim

POINTS = 4_000
MUGS_AT_ONCE = 50
PUSH = 3.0
"""Standard deviations that a channel is moved by."""
HEARD = 1e-6
"""Least standard deviation of a gain that hears the code."""
Table = NDArray[np.float64]


@dataclass(frozen=True)
class Scale:
    """train, test: shapes of each seed; channels: that are moved, those with most spread; base: shapes to move."""

    train: int = 500
    test: int = 250
    seeds: int = 3
    channels: int = 24
    base: int = 6


@dataclass(frozen=True)
class Styles:
    """code_dci, style_dci (seeds,); shares, sides (channels,): of the surface that a channel moves, and its side
    effect, most local first, without those that move nothing; moves: factor that each moves most; heard: gains that
    hear the code at all."""

    code_dci: list[float]
    style_dci: list[float]
    shares: Table
    sides: Table
    moves: tuple[str, ...]
    heard: int


class Shipped:
    """The graphs of the shipped model at level 0."""

    def __init__(self, model: Model) -> None:
        self._model, self._token = model, CancelToken()
        self._empty = np.zeros((1, EVIDENCE, BLOCK, BLOCK, BLOCK), np.float32)
        self._parent = model.seed(self._empty, self._token)
        self._gains = Atom().gains

    def code(self, seen: NDArray) -> NDArray[np.float32]:
        """Code (CODE,) of evidence (5, 32, 32, 32)."""
        whole = seen[None].astype(np.float32)
        return self._model.encode(whole, self._model.seed(whole, self._token), self._token)[0]

    def style(self, code: NDArray) -> NDArray[np.float32]:
        """Style (S,): the gains of the channels and the weights of the position."""
        return self._model.style(ENCODER_NOISE, 0.0, 0, code, self._token)[0]

    def gains(self, code: NDArray) -> Table:
        """Relative gain (channels,) of every channel."""
        return self.style(code)[: self._gains].astype(np.float64)

    def field(self, style: NDArray) -> NDArray[np.float32]:
        """Signed distances (32, 32, 32) that the atom makes of a style alone."""
        position = np.array([WHOLE], np.float32)
        return self._model.field(self._empty, self._parent, position, style[None], self._token)[0, 0]


def measured_styles(model: Model, scale: Scale) -> Styles:
    """Draw mugs with known factors, and look at their codes and styles."""
    shipped, code_dci, style_dci, heard = Shipped(model), [], [], 0
    codes = np.zeros((0, 0))
    for seed in range(scale.seeds):
        (codes, factors), (others, truth) = (
            drawn(shipped, count, 2 * seed + part) for part, count in enumerate((scale.train, scale.test))
        )
        code_dci.append(dci(importances(codes, factors, others, truth, seed=seed)[0]).disentanglement)
        gains, tests = (np.stack([shipped.gains(code) for code in table]) for table in (codes, others))
        live = gains.std(axis=0) > HEARD
        heard = int(live.sum())
        if heard:
            table = importances(gains[:, live], factors, tests[:, live], truth, seed=seed)[0]
            style_dci.append(dci(table).disentanglement)
    if not heard:
        return Styles(code_dci, [], np.zeros(0), np.zeros(0), (), 0)
    return Styles(code_dci, style_dci, *pushed(shipped, codes, scale), heard)


def drawn(shipped: Shipped, count: int, seed: int) -> tuple[Table, Table]:
    """Codes (count, CODE) and factors (count, 6) of mugs."""
    factors, _ = known_factors(count, seed)
    generator = torch.Generator().manual_seed(seed)
    seen = (evidence(Mugs(part), POINTS, generator).numpy() for part in factors.split(MUGS_AT_ONCE))
    codes = [shipped.code(one) for some in seen for one in some]
    return np.stack(codes).astype(np.float64), factors.numpy().astype(np.float64)


def pushed(shipped: Shipped, codes: Table, scale: Scale) -> tuple[Table, Table, tuple[str, ...]]:
    """Shares, side effects and what is moved by the channels with most spread, pushed one at a time."""
    gains = np.stack([shipped.gains(code) for code in codes])
    spread = gains.std(axis=0)
    chosen = np.argsort(-spread)[: scale.channels]
    styles = [shipped.style(code) for code in codes[: scale.base]]
    before = np.stack([shipped.field(style) for style in styles])
    surface = np.abs(before).min(axis=0) < 1
    step = np.eye(len(styles[0]), dtype=np.float32)[chosen] * (PUSH * spread[chosen, None]).astype(np.float32)
    after = np.stack([[shipped.field(style + each) for style in styles] for each in step])
    moved = np.abs(after - before)[:, :, surface].mean(axis=1)
    # some channels carry nothing where there is no evidence
    alive = moved.any(axis=1)
    if not alive.any():
        return np.zeros(0), np.zeros(0), ()
    moved, after = moved[alive], after[alive]
    effects = side_effects(descriptors(before), [descriptors(each) for each in after], clean_spread())
    most = targets(effects)
    order = np.argsort(locality(moved))
    moves = tuple(FACTORS[number] for number in most[order])
    return locality(moved)[order], effects.off_target_mean(most)[order], moves


def clean_spread() -> Table:
    """Standard deviation (6,) of the measures over clean mugs: uniform over their ranges."""
    return (np.array(HIGH) - np.array(LOW)) / np.sqrt(12)


def style_claims(found: Styles) -> list[Claim]:
    claims = [
        Claim("C1", "channels of the shipped model's style that hear the code", found.heard, low=1),
        Claim.over_seeds("C2", "DCI disentanglement of the shipped model's code", found.code_dci),
    ]
    if not len(found.shares):
        return claims
    gap = [ours - code for ours, code in zip(found.style_dci, found.code_dci, strict=True)]
    local = found.sides[: max(len(found.sides) // 4, 1)]
    return [
        *claims,
        Claim.over_seeds(
            "C3",
            "DCI disentanglement: channels of the style less the code",
            gap,
            low=0,
            note="Expected from a generator of pictures, whose style is all that it is given. Here the channels are "
            "gains that the code moves by little, each a mixture of all of its numbers. The few channels with most "
            "spread do worse than all together.",
        ),
        Claim("C4", "share of the surface that the most local channel moves", float(found.shares[0])),
        Claim("C5", "side effect of the most local quarter of the channels, median (sd)", float(np.median(local))),
        Claim("C6", "side effect of all channels that move anything, median (sd)", float(np.median(found.sides))),
    ]
