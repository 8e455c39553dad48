"""Sliders with labels and without, on a procedural family whose factors are known: `training.sliders` as claims."""

from __future__ import annotations

import math
from typing import Any

from ...training.sliders import ExperimentSize, experiment, field_components
from ..claims import Claim, Say

FEW, MANY = ExperimentSize(train=500, test=300, seeds=2, decoded=20, swept=5), ExperimentSize(train=5_000, test=2_500)
"""At 300 shapes of the test set everything runs; it takes 5,000 to learn from for the third digit of all scores."""
LABELLED, PLAIN = "sliders", "components"


def measured_sliders(settings: ExperimentSize, say: Say) -> dict[str, Any]:
    """What `experiment` finds on the principal components of the family's fields, which is what a profile of a family
    has for a code."""
    return experiment(field_components(), settings, say)


def slider_claims(found: dict[str, Any]) -> list[Claim]:
    """A row each: the scores, the gaps to plain components, the side effects. Deviations are over the seeds."""
    scores, seeds = found["scores"], found["settings"]["seeds"]
    side, unfair = found["side_effect"]["decoded"], found["side_effect"]["decoded, correlated"]

    def row(
        key: str,
        what: str,
        summary: dict[str, float],
        low: float = -math.inf,
        high: float = math.inf,
        note: str = "",
    ) -> Claim:
        spread = summary["sd"] if seeds > 1 else None
        return Claim(key, what, summary["mean"], low, high, spread, seeds, note=note)

    def gap(measure: str) -> dict[str, float]:
        ours, plain = scores[LABELLED][measure], scores[PLAIN][measure]
        return {"mean": ours["mean"] - plain["mean"], "sd": math.hypot(ours["sd"], plain["sd"])}

    names = [sum(bool(each["name"]) for each in found[kind]) for kind in (LABELLED, PLAIN)]
    follows = min(each["follows"] for each in found[LABELLED])
    return [
        row(
            "S1",
            "DCI disentanglement of sliders with labels",
            scores[LABELLED]["dci_d"],
            low=0.8,
            note="Of where codes stand on the sliders, which is read off by least squares; whether a slider also moves "
            "one thing only is what its side effects say.",
        ),
        row("S2", "MIG of sliders with labels", scores[LABELLED]["mig"], low=0.4),
        row("S3", "DCI disentanglement of plain components", scores[PLAIN]["dci_d"]),
        row("S4", "MIG of plain components", scores[PLAIN]["mig"]),
        row("S5", "DCI disentanglement: with labels less plain", gap("dci_d"), low=0.1),
        row("S6", "MIG: with labels less plain", gap("mig"), low=0.1),
        row(
            "S7",
            "side effect before debiasing, learned where factors go together (sd)",
            unfair["before"],
            note="Learned from a collection in which any two factors correlate by .5; judged on decoded shapes of "
            "another, in which they do not.",
        ),
        row("S8", "side effect after debiasing, same collection (sd)", unfair["debiased"], high=0.15),
        row("S9", "side effect of bent sliders, same collection (sd)", unfair["bent"], high=0.15),
        row("S10", "side effect before debiasing, factors independent (sd)", side["before"]),
        row("S11", "side effect after debiasing, factors independent (sd)", side["debiased"], high=0.15),
        row("S12", "side effect of plain components (sd)", side["components"]),
        row(
            "S13",
            "worst side effect of any bent slider on any one measure (sd)",
            found["worst_side_effect"],
            note="The others are means over what a slider should not move.",
        ),
        Claim("S14", "rank correlation of a slider with its own measure, worst of six", follows, low=0.95),
        Claim("S15", "factors that a slider with labels earns the name of, of six", names[0], low=6),
        Claim("S16", "factors that a plain component earns the name of, of six", names[1]),
    ]
