"""The study: a fractal of octree splits, measured against flat autoregression and independent cells."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..claims import Findings, Say, Size
from ..threads import one_thread
from . import rows
from .contest import Contest, Effort, compete
from .figures import bits_figure, gallery, levels_figure, overlap_figure
from .flat import bits_of_independent_cells
from .inpainting import Completions, complete_halves
from .measure import nearest_overlap
from .octree import pyramid
from .rows import CELLS
from .sampling import SHARP, Known, sample
from .shapes import draw_shapes

SHOWN = 8


@dataclass(frozen=True)
class Plan:
    """rounds, members, poses: of the training shapes; held: rounds of the held-out ones. samples: drawn freely. tries:
    completions of which one is taken. alone: steps on one shape. timed: side of the grid, and shapes, of the timing."""

    rounds: int
    members: int
    poses: int
    held: int
    effort: Effort
    samples: int
    tries: int
    alone: int
    timed: tuple[int, int]


PLANS = {
    Size.TEST: Plan(1, 1, 4, 1, Effort(10, 1, 5, 1, raster_cells=512), 4, 2, 20, (8, 2)),
    Size.WHOLE: Plan(4, 8, 8, 2, Effort(600, 150, 400, 3), 96, 8, 200, (16, 4)),
}


@one_thread()
def study(size: Size, out: Path, say: Say) -> Findings:
    """The contest of likelihoods, then what is drawn, completed and learned by heart."""
    plan = PLANS[size]
    train = draw_shapes(plan.rounds, plan.members, plan.poses, first_seed=10_000)
    held = draw_shapes(plan.held, plan.members, 1, first_seed=20_000)
    say(f"{len(train)} training shapes, {len(held)} held out")
    contest = compete(train, held, plan.effort, say)
    independent = float(bits_of_independent_cells(train, held).mean())
    ladder, generator = contest.first["shared"], torch.Generator().manual_seed(0)
    say("samples, completions, one shape by heart")
    drawn = sample(ladder, Known.nothing(plan.samples), generator)[0]
    one_shot = sample(contest.first["one-shot splits"], Known.nothing(plan.samples), generator)[0][-1]
    sharp = sample(ladder, Known.nothing(plan.samples), generator, SHARP)[0][-1]
    some = held[torch.linspace(0, len(held) - 1, min(len(held), 32)).long()]
    done = complete_halves(ladder, some, plan.tries, generator)
    claims = (
        *rows.mathematics(ladder, held, generator),
        *rows.likelihood(contest, independent),
        *rows.cost(contest, held, plan.timed, generator),
        *rows.levels(contest, drawn, held),
        *rows.samples(drawn[-1], sharp, one_shot, train, held),
        *rows.inpainting(done),
        *rows.by_heart(train, plan.alone),
    )
    others = {"raster network": float(np.mean(contest.raster)) / CELLS, "independent cells": independent / CELLS}
    nearest = (nearest_overlap(cells, train).numpy() for cells in (drawn[-1], held))
    real = pyramid(held)
    figures = (
        (_gallery_of_samples(out, train, drawn[-1], sharp, one_shot, contest), "Shapes drawn freely, 16³ cells."),
        (bits_figure(out / "fractal_bits.png", contest.readings, others, CELLS), "Bits per cell of held-out shapes."),
        (
            levels_figure(
                out / "fractal_levels.png", contest.readings["shared"][0], rows.nodes(drawn), rows.nodes(real)
            ),
            "Recall of splits level by level, and the cascade drawn freely.",
        ),
        (_gallery_of_completions(out, done), "Completion of held-out shapes, in one try and chosen of several."),
        (overlap_figure(out / "fractal_nearest.png", *nearest), "Distance of samples to the training shapes."),
    )
    data = {
        "parameters": contest.sizes,
        "bits per shape and level": {
            kind: [list(each.bits) for each in runs] for kind, runs in contest.readings.items()
        },
        "bits per shape of the flat transformer on 8^3": contest.flat,
        "bits per shape of the raster network on 16^3": contest.raster,
        "bits per shape of independent cells on 16^3": independent,
        "CPU seconds of training": contest.seconds,
        "training shapes": len(train),
        "held-out shapes": len(held),
    }
    return Findings("A fractal of octree splits", "Li et al. 2025, arXiv 2502.17437", claims, figures, data)


def _gallery_of_samples(
    out: Path, train: Tensor, drawn: Tensor, sharp: Tensor, one_shot: Tensor, contest: Contest
) -> Path:
    chosen = torch.linspace(0, len(train) - 1, 2 * SHOWN + 1).long()[1::2]
    flat = contest.flat_model.sample(SHOWN, torch.Generator().manual_seed(0))
    shown = (
        ("training", train[chosen]),
        ("fractal", drawn[:SHOWN]),
        ("fractal,\nsharper", sharp[:SHOWN]),
        ("one-shot\nsplits", one_shot[:SHOWN]),
        ("flat, 8³", flat),
    )
    title = "Shapes drawn freely, below shapes that taught"
    return gallery(out / "fractal_samples.png", title, [(name, cells.numpy()) for name, cells in shown])


def _gallery_of_completions(out: Path, done: Completions) -> Path:
    shown = (
        ("shape", done.shapes),
        ("known half", done.shapes & done.known),
        ("one try", done.once),
        (f"chosen of {done.tries}", done.chosen),
    )
    title = "The known half is kept cell by cell, the other half is drawn"
    spread = torch.linspace(0, len(done.shapes) - 1, SHOWN).long()
    return gallery(out / "fractal_inpainting.png", title, [(name, cells[spread].numpy()) for name, cells in shown])
