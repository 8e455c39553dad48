"""The table: each claim with its target, all of them proposals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..claims import Claim
from .families import FAMILIES
from .guard import SIGNALS, Trial
from .locality import Locality
from .net import Conditional
from .subspace import Subspace
from .transition import NEVER, Crossing


@dataclass(frozen=True)
class Fitted:
    """One conditional net. error: mean |distance - truth|; right: share of the shapes with the true Betti numbers."""

    net: Conditional
    error: float
    right: float


def of_fit(fits: list[Fitted]) -> list[Claim]:
    return [
        Claim.over_seeds(
            "C1 error",
            "mean |signed distance - truth| in the cube [-1, 1]³ (canonical units)",
            [one.error for one in fits],
            high=0.01,
        ),
        Claim.over_seeds(
            "C1 topology",
            "share of training shapes with the right Betti numbers (64³ marching cubes)",
            [one.right for one in fits],
            low=0.95,
        ),
    ]


def of_transition(crossed: list[Crossing], lines: list[Crossing]) -> list[Claim]:
    stars = "; ".join(
        f"{one.family}: t* = {one.critical[0] or float('nan'):.4f}, analytic {FAMILIES[k].critical(0.0):.4f}"
        for k, one in enumerate(crossed)
    )
    true = [FAMILIES[k].critical(0.0) for k in range(len(crossed))]
    off = [NEVER if one.critical[0] is None else abs(one.critical[0] - t) for one, t in zip(crossed, true, strict=True)]
    return [
        Claim("C2 sharp", "steps of a sweep of 101 rows within which the topology changes, worst of three families",
              max(one.steps for one in crossed), 1, 2, note=stars),
        Claim("C2 ends", "families with the right Betti numbers at both ends", sum(one.right for one in crossed),
              len(crossed), len(crossed)),
        Claim("C2 volume", "relative change of the volume across the jump, worst", max(one.jump for one in crossed),
              high=0.05),
        Claim("C2 weights", "relative change of the weights across the jump, worst", max(one.shift for one in crossed)),
        Claim("C2 grids", "|t* on 48³ - t* on 96³|, worst", max(one.gap for one in crossed), high=0.01),
        Claim("C2 truth", "|t* - analytic t*|, worst", max(off)),
        Claim("C2 straight", "steps of 25 along the straight line of weights within which it changes, worst",
              max(one.steps for one in lines)),
    ]  # fmt: skip


def of_subspace(spaces: list[list[Subspace]]) -> list[Claim]:
    return [
        Claim.over_seeds(
            "C3 components",
            "principal components of theta with 95 % of the variance of a few examples, mean of three families",
            [float(np.mean([len(space.sliders) for space in row])) for row in spaces],
        ),
        Claim.over_seeds(
            "C3 topology",
            "share of random moves within 2 sd that keep the Betti numbers",
            [float(np.mean([space.kept for space in row])) for row in spaces],
            low=0.95,
        ),
        Claim.over_seeds(
            "C3 sliders",
            "Spearman correlation of slider and displacement, worst slider",
            [min(space.spearman for space in row) for row in spaces],
            low=0.95,
        ),
    ]


def of_locality(local: list[Locality]) -> list[Claim]:
    texts = {
        "plain": "conditioning changed, weights as they come",
        "distilled": "masked edit distilled back into weights",
        "masked": "edit behind a mask in space, as in the product",
    }
    shared = "All places share the weights; longer training, up to four times as long, does not mend it. "
    leaks = [
        Claim(
            f"C4 {way}",
            f"Chamfer distance of the untouched region over the edited one's, worst; {text}",
            max(one.leaks[way] for one in local),
            high=0.01,
            note=(shared if way == "plain" else "") + "; ".join(f"{one.family} {one.leaks[way]:.4f}" for one in local),
        )
        for way, text in texts.items()
    ]
    identical = sum(one.identical for one in local)
    return [Claim("C4 zero", "families whose mesh is the base's bit for bit at strength 0", identical, 3, 3), *leaks]


def of_alignment(sound: dict[str, list[float]]) -> list[Claim]:
    bars = {"anchor": (0.95, np.inf), "shared": (0.95, np.inf), "independent": (-np.inf, 0.5)}
    texts = {
        "anchor": "fitted from the mean shape's net",
        "shared": "fitted from one random net",
        "independent": "from a random net each (control: should break)",
    }
    return [
        Claim.over_seeds(
            f"C5 {start}", f"share of interpolated nets that are sound, {texts[start]}", shares, *bars[start]
        )
        for start, shares in sound.items()
    ]


def of_guard(trials: list[Trial], fewest: int) -> list[Claim]:
    """Each bank for itself: how large a mismatch is usual depends on the family."""
    telling = [trial for trial in trials if trial.tells(fewest)]
    areas = np.array([trial.areas() for trial in telling]).reshape(-1, len(SIGNALS)).T.tolist()
    broken = np.mean([trial.broken.mean() for trial in trials])
    asked = (
        f"{broken:.0%} of all mixes are broken; {len(telling)} of {len(trials)} banks have at least {fewest} of "
        "either kind. How far the mixes go was chosen on three of the five seeds."
    )
    what = "ROC-AUC within a bank for broken mixes of nets"
    mismatch, length, walls, grids = areas
    return [
        Claim.over_seeds("C6 mismatch", f"{what}: linearity mismatch", mismatch, 0.9, note=asked),
        Claim.over_seeds("C6 walls", f"{what}: walls that meet, the product's forecast", walls, 0.9),
        Claim.over_seeds("C6 length", f"{what}: length of the coefficients, for comparison", length),
        Claim.over_seeds(
            "C6 grids",
            f"{what}: two grids that disagree, for comparison",
            grids,
            note="It says that the count itself cannot be relied on, not that a mix is broken.",
        ),
    ]
