"""The archive view: where new shapes lie among those that the shipped model learned from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from ...prior.archive import COMMON, Archive, Standing
from ...prior.flow import auroc
from ...prior.shape_prior import ShapePrior
from ...training.shapes.families import FAMILIES
from ..claims import Claim
from ..flow_alignment.shapes import GAUSSIAN, OVERDRIVEN, fresh_codes, made_up, turned

ROUND = 100
"""Of the first seed: rounds of new programs below it serve other studies."""


@dataclass(frozen=True)
class Standings:
    """Of one seed. fresh, random, driven: standings of new shapes, of codes drawn from a normal distribution, and of
    the new shapes with a slider far beyond its end; family: index of each new shape's family in those of the archive.
    How well new shapes are told from random codes, area under the curve: turned by the distance to the nearest training
    shape in any orientation of the cube, told by the flow."""

    fresh: list[Standing]
    random: list[Standing]
    driven: list[Standing]
    family: NDArray[np.intp]
    turned: float
    told: float


def standings(prior: ShapePrior, archive: Archive, members: int, seed: int) -> Standings:
    """Where ``members`` shapes of one new program of each family lie, and as many codes of the other two kinds."""
    codes = fresh_codes(prior.codes, len(FAMILIES), members, ROUND + seed)
    made = made_up(codes, prior, seed)
    fresh, random, driven = (
        [archive.standing(code) for code in table] for table in (codes, made[GAUSSIAN], made[OVERDRIVEN])
    )
    family = np.repeat([archive.families.index(name) for name in FAMILIES], members)
    tree = KDTree(turned(prior.codes, archive.codes) * archive.weights)
    near = (tree.query(table * archive.weights)[0] for table in (codes, made[GAUSSIAN]))
    told = auroc(prior.flow.score(codes), prior.flow.score(made[GAUSSIAN]))
    return Standings(fresh, random, driven, family, auroc(*near), told)


def distances(found: list[Standing]) -> NDArray[np.float64]:
    """To the nearest training shape (n,)."""
    return np.array([one.distance for one in found])


def archive_claims(archive: Archive, found: list[Standings]) -> list[Claim]:
    """A figure per seed each, of the families that the archive has shapes of."""
    present = np.bincount(archive.family, minlength=len(archive.families)) > 0
    known = [[near for near, number in zip(one.fresh, one.family, strict=True) if present[number]] for one in found]
    families = [one.family[present[one.family]] for one in found]
    share = np.bincount(archive.family, minlength=len(archive.families)) / len(archive)
    chance = float(share[present].mean())
    nearest = [archive.family[[near.neighbours.rows[0] for near in some]] for some in known]
    same = [float(np.mean(there == own)) for there, own in zip(nearest, families, strict=True)]
    covered = [float(np.mean([near.neighbours.distances[0] <= archive.radius for near in some])) for some in known]
    ranks = [float(np.median([near.rank for near in some])) for some in known]
    random, driven = (
        [auroc(distances(some), distances(getattr(one, kind))) for some, one in zip(known, found, strict=True)]
        for kind in ("random", "driven")
    )
    return [
        Claim.over_seeds(
            "A1",
            "new shapes whose nearest training shape is of their family, share",
            same,
            low=3 * chance,
            note=f"Three times what chance gives, {chance:.3f}. Families overlap: a turned box may be a machine or "
            "furniture.",
        ),
        Claim.over_seeds(
            "A2",
            "median rank of new shapes: training shapes whose own relatives are nearer, share",
            ranks,
            low=0.3,
            high=0.7,
            note="One half where new shapes are drawn as training shapes were.",
        ),
        Claim.over_seeds(
            "A3", f"new shapes within the radius that holds {COMMON:.0%} of the training shapes", covered, low=0.6
        ),
        Claim.over_seeds(
            "A4",
            "new shapes told from over-driven sliders by their distance, area under the curve",
            driven,
            low=0.9,
        ),
        Claim.over_seeds(
            "A5",
            "new shapes told from random codes by their distance, area under the curve",
            random,
            low=0.9,
            note="In so many dimensions whatever has the usual spread is about as far from its nearest neighbour as "
            "shapes are. The mean distance to several neighbours and distances between whitened codes tell less still. "
            "An archive shows what is near; what is likely has to be asked of the flow.",
        ),
        Claim.over_seeds(
            "A5 turned", "the same, the nearest in any orientation of the cube", [one.turned for one in found]
        ),
        Claim.over_seeds(
            "A6",
            "new shapes told from random codes by the flow, area under the curve",
            [one.told for one in found],
            low=0.9,
        ),
        Claim("A7", "of the ten nearest shapes, share that the flat map keeps near", archive.kept_by_map()),
        Claim("A8", "families without a single training shape", float((~present).sum())),
    ]
