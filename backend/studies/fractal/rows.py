"""Rows of the study's table."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ..claims import Claim, Source
from .atom import AtomConfig, Ladder
from .contest import COARSE, RATE, Contest, matched
from .cost import flat_pairs, fractal_pairs, most_parents, parents_in
from .flat import Flat
from .inpainting import Completions
from .learning import Schedule, teach
from .measure import cache_error, nearest_overlap, overlap, parts, read, sum_of_states
from .octree import LEVELS, children_of, context, pyramid
from .sampling import GREEDY, SHARP, Known, sample
from .shapes import SIDE

CELLS = SIDE**3


def mathematics(ladder: Ladder, held: Tensor, generator: torch.Generator) -> list[Claim]:
    """Sums of probabilities, and keys and values kept or computed anew, over parents of every level."""
    grids = pyramid(held[:16])
    sums, errors = [], []
    for level in range(LEVELS):
        parents = grids[level].nonzero()
        parents = parents[torch.randperm(len(parents), generator=generator)[:8]]
        seen, children = context(grids, level, parents), children_of(grids[level + 1])[parents.unbind(1)]
        sums.append(float((sum_of_states(ladder.at(level), seen) - 1).abs().max()))
        errors.append(cache_error(ladder.at(level), seen, children))
    return [
        Claim(
            "A1", "sum of p over the 2^8 states of one parent, largest error", max(sums), 0, 1e-5, source=Source.EXACT
        ),
        Claim(
            "A2", "probabilities with keys and values kept or computed anew, largest difference", max(errors), 0, 1e-5
        ),
    ]


def likelihood(contest: Contest, independent: float) -> list[Claim]:
    bits = {kind: np.array([each.total for each in runs]) for kind, runs in contest.readings.items()}
    coarse = np.array([sum(each.bits[: COARSE.bit_length() - 1]) for each in contest.readings["shared"]])
    shared = bits["shared"]

    def ratio(key: str, what: str, runs: np.ndarray, high: float = np.inf, note: str = "") -> Claim:
        return Claim.over_seeds(key, what, runs.tolist(), high=high, note=note)

    return [
        ratio("B1", "bits per cell of 16³, shared atom", shared / CELLS),
        ratio("B2", "bits: fractal / independent cells, 16³", shared / independent, 0.7),
        ratio(
            "B3",
            "bits: fractal / flat transformer at equal parameters, 8³",
            coarse / np.array(contest.flat),
            1.0,
            "on 512 cells, which the first three levels give the exact likelihood of: 4096 cells of dense attention "
            "cannot be trained on two cores",
        ),
        ratio(
            "B4",
            "bits: fractal / raster network at equal parameters, 16³",
            shared / np.array(contest.raster),
            1.0,
            "flat autoregression cell by cell over all of 16³, without attention: it sees what is drawn within 3 cells",
        ),
        ratio(
            "B5",
            "bits: shared atom / one per level, equal total of parameters",
            shared / bits["separate, equal total"],
            1.0,
        ),
        ratio(
            "B6",
            "bits: shared atom / one per level, equal width (four times the parameters)",
            shared / bits["separate, equal width"],
            1.05,
        ),
        ratio("B7", "bits: one-shot splits / children in turn", bits["one-shot splits"] / shared[:1]),
        ratio("B8", "bits: parents without a view of neighbours / with", bits["no neighbours"] / shared[:1]),
    ]


def cost(contest: Contest, held: Tensor, timed: tuple[int, int], generator: torch.Generator) -> list[Claim]:
    """Attention counted, sampling ``timed``: side of the grid, shapes at once. What a network has learnt changes no
    time."""
    worst = fractal_pairs(most_parents(SIDE)) / flat_pairs(SIDE)
    typical = fractal_pairs(1) * parents_in(pyramid(held)) / flat_pairs(SIDE)
    side, count = timed
    width = matched(lambda width: Flat(side, width), contest.sizes["shared"], 4)
    known = Known.nothing(count, side.bit_length() - 1)
    ladder, flat = contest.first["shared"], Flat(side, width)
    sample(ladder, known, generator)
    cached = min(_seconds(lambda: sample(ladder, known, generator)) for _ in range(3))
    anew = min(_seconds(lambda: sample(ladder, known, generator, cached=False)) for _ in range(3))
    slow = _seconds(lambda: flat.sample(count, generator))
    return [
        Claim("C1", "attention cost: fractal with every node occupied / flat, 16³", worst, 0, 0.1, source=Source.EXACT),
        Claim("C2", "attention cost: fractal on held-out shapes / flat, 16³", typical, 0, 0.1, source=Source.EXACT),
        Claim(
            "C3",
            f"CPU time of sampling: flat / fractal, {side}³",
            slow / cached,
            10,
            note=f"{count} shapes at once: {slow:.1f} s against {cached:.2f} s, both with keys and values kept",
        ),
        Claim("C4", "CPU time of sampling: keys and values anew / kept", anew / cached),
    ]


def _seconds(action: Callable[[], object]) -> float:
    start = time.process_time()
    action()
    return time.process_time() - start


def levels(contest: Contest, drawn: list[Tensor], held: Tensor) -> list[Claim]:
    runs = contest.readings["shared"]
    rows = [
        Claim.over_seeds(
            f"D{level + 1}",
            f"recall of splits to {2 ** (level + 1)}³, given the true ones before",
            [each.recall[level] for each in runs],
            note=f"precision {np.mean([each.precision[level] for each in runs]):.3f}",
        )
        for level in range(LEVELS)
    ]
    sampled, real = nodes(drawn), nodes(pyramid(held))
    worst = max((a / b for a, b in zip(sampled, real, strict=True)), key=lambda share: abs(np.log(share)))
    return [*rows, Claim("D5", "nodes drawn freely / held-out nodes, on the level where it is worst", worst, 0.8, 1.25)]


def nodes(grids: list[Tensor]) -> list[float]:
    """Mean number of occupied nodes of levels 1 and up."""
    return [float(grid.flatten(1).sum(1).float().mean()) for grid in grids[1:]]


def samples(drawn: Tensor, sharp: Tensor, one_shot: Tensor, train: Tensor, held: Tensor) -> list[Claim]:
    """Of shapes drawn from the model, drawn with SHARP logits, and drawn with one-shot splits."""
    share, whole, crumbled, usual_share = (
        float((parts(cells) == 1).mean()) for cells in (drawn, sharp, one_shot, held)
    )
    near, usual = nearest_overlap(drawn, train), nearest_overlap(held, train)
    return [
        Claim(
            "E1",
            "samples in one part / held-out shapes in one part",
            share / max(usual_share, 1e-9),
            0.8,
            note=f"{share:.2f} against {usual_share:.2f}; with one-shot splits {crumbled:.2f}. One stray cell "
            "among hundreds of draws is enough to miss it. Twice the training comes nearer, sharper draws of the last "
            "level alone change nothing, those of all levels meet it (E2)",
        ),
        Claim(
            "E2",
            f"the same with logits times {SHARP[0]:g}, as the paper's temperature does by less",
            whole / max(usual_share, 1e-9),
            note=f"{whole:.2f} against {usual_share:.2f}; sharper draws are no longer draws of the model",
        ),
        Claim("E3", "samples that are copies of a training shape, any orientation", float((near == 1).sum()), 0, 0),
        Claim(
            "E4",
            "distance to the nearest training shape (1 - overlap), median: samples / held-out",
            float((1 - near).median() / (1 - usual).median().clamp(min=1e-9)),
            0.5,
            2.0,
        ),
    ]


def inpainting(done: Completions) -> list[Claim]:
    changed = max(int((each != done.shapes)[done.known].sum()) for each in (done.once, done.chosen))
    truth = done.shapes & ~done.known
    once, chosen, blind = (
        float(overlap(each & ~done.known, truth).mean()) for each in (done.once, done.chosen, done.blind)
    )
    return [
        Claim("F1", "known cells that a completion changed", changed, 0, 0, source=Source.EXACT),
        Claim(
            "F2",
            "overlap of the drawn half with the true one: knowing the other half / blind",
            chosen / max(blind, 1e-9),
            1.2,
            note=f"{chosen:.2f} chosen of {done.tries} tries, {once:.2f} in one, {blind:.2f} blind",
        ),
    ]


def by_heart(train: Tensor, steps: int) -> list[Claim]:
    """One shape, until every split is right; then it is drawn greedily."""
    middling = int((train.flatten(1).sum(1) - train.flatten(1).sum(1).median()).abs().argmin())
    one = train[middling : middling + 1]
    torch.manual_seed(0)
    ladder = Ladder(AtomConfig())
    teach(ladder, one, Schedule(steps, RATE, turned=False))
    reading = read(ladder, one)
    again = sample(ladder, Known.nothing(1), torch.Generator(), GREEDY)[0][-1]
    return [
        Claim("G1", "one shape by heart: accuracy of splits on the worst level", min(reading.accuracy), 0.99),
        Claim("G2", "one shape by heart: overlap of the greedy draw with it", float(overlap(again, one)[0]), 0.99),
    ]
