"""The study: toys with the exact velocity, toys with trained flows, and codes of shapes under the shipped flow."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ...prior.shape_prior import load_prior
from ...training.flow import FlowConfig
from ...training.shapes.families import FAMILIES
from ..claims import Claim, Findings, Say, Size
from ..threads import one_thread
from . import drawing, exact, learned, scoring
from .descending import mean_loss
from .figures import draw_ends, draw_learned, draw_maps, draw_ways
from .shape_figures import draw_likelihood, draw_samples, draw_told
from .shapes import fresh_codes, made_up
from .toys import five_gaussians

TITLE = "Flow alignment"
PAPER = 'Li et al. 2025, "Aligning Latent Spaces with Flow Priors", arXiv 2506.05240'
Figures = list[tuple[Path, str]]


@dataclass(frozen=True)
class Effort:
    """families, members: of real shapes that are drawn anew; seeds: sets of made-up codes; followed, steps: codes of
    each kind whose likelihood is computed; outlined, pulled: codes of each kind that are looked at as shapes."""

    exact: exact.Effort = field(default_factory=exact.Effort)
    learned: learned.Effort = field(default_factory=learned.Effort)
    families: int = len(FAMILIES)
    members: int = 8
    seeds: int = 3
    followed: int = 24
    steps: int = 20
    outlined: int = 48
    pulled: int = 16


SMALL = Effort(
    exact.Effort(
        seeds=2,
        latents=200,
        marks=(0, 100, exact.EARLY, 400),
        detached_steps=400,
        more_steps=200,
        halt_steps=60,
        draws=32,
    ),
    learned.Effort(
        FlowConfig(width=32, blocks=2, steps=400, batch=256, rate=3e-3, average=0.98),
        seeds=1,
        others=1,
        samples=2_000,
        latents=100,
        steps=200,
        draws=32,
    ),
    families=3,
    members=4,
    seeds=2,
    followed=3,
    steps=6,
    outlined=4,
    pulled=2,
)


@one_thread()
def study(size: Size, out: Path, say: Say) -> Findings:
    """Every target of the paper's toy, and the same questions of the shipped model's codes of shapes."""
    effort = Effort() if size is Size.WHOLE else SMALL
    of_toys, toy_figures, toy_data = _toys(effort, out, say)
    of_shapes, shape_figures, shape_data = _shapes(effort, out, say)
    return Findings(
        TITLE, PAPER, (*of_toys, *of_shapes), (*toy_figures, *shape_figures), {"toys": toy_data, "shapes": shape_data}
    )


def _toys(effort: Effort, out: Path, say: Say) -> tuple[list[Claim], Figures, dict]:
    toy = five_gaussians()
    runs, over = exact.measure(toy, effort.exact, say)
    found = learned.measure(toy, effort.learned, say)
    real = runs[0].points[exact.REAL]
    own = float(toy.surprise(real).mean()), mean_loss(real, toy.field)
    figures = [
        draw_maps(out / "maps.png", toy, over),
        draw_ways(out / "ways.png", effort.exact, runs, own),
        draw_ends(out / "ends.png", toy, runs[0]),
        draw_learned(out / "learned.png", found[effort.learned.seeds - 1 :]),
    ]
    data = {
        "marks": list(effort.exact.marks),
        "surprise": [one.surprise for one in runs],
        "loss": [one.loss for one in runs],
        "detached surprise": [one.detached_surprise for one in runs],
    }
    return exact.claims(toy, effort.exact, runs, over) + learned.claims(found), figures, data


def _shapes(effort: Effort, out: Path, say: Say) -> tuple[list[Claim], Figures, dict]:
    prior = load_prior()
    say(f"shapes: {effort.families * effort.members} real ones")
    real = fresh_codes(prior.codes, effort.families, effort.members)
    say("shapes: real and made-up codes")
    told = scoring.tell(real, prior, effort.seeds, effort.followed, effort.steps)
    sets = []
    for seed in range(effort.seeds):
        say(f"shapes: draws {seed + 1} of {effort.seeds}")
        made = made_up(real, prior, seed)
        sets.append(drawing.drawn(real, prior, made, effort.outlined, effort.pulled))
    figures = [
        draw_told(out / "told.png", told),
        draw_likelihood(out / "likelihood.png", told),
        draw_samples(out / "samples.png", sets[0], prior),
    ]
    data = {
        "model": prior.codes.model,
        "auc": told.auc,
        "rank": told.rank,
        "distance": [{kind: float(value.mean()) for kind, value in one.distance.items()} for one in sets],
        "doubt": [{str(doubt): list(pair) for doubt, pair in one.doubt.items()} for one in sets],
    }
    return scoring.claims(told) + drawing.claims(sets), figures, data
