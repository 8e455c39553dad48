"""The study: a fractal of octree splits, measured against flat autoregression and independent cells."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...report.pictures import mesh_picture
from ..instruments import Album, Result, study_of
from ..study import Measured, Plan, Say
from . import networks, octree, samples

CELLS = octree.SIDE**3
COARSE = 8  # side of the grid on which dense attention over all cells can be trained on two cores: 512 tokens
COARSE_LEVEL = COARSE.bit_length() - 1
RATE, FLAT_RATE = 4e-3, 2e-3
ABLATIONS = ("one-shot splits", "no neighbours")
SHOWN = 8  # shapes in a row of a gallery


@study_of("fractal")
def study(plan: Plan, album: Album, say: Say) -> Result:
    """The contest of likelihoods, then what is drawn, completed and learned by heart."""
    train = octree.draw_shapes(plan.rounds, plan.members, plan.poses, first_seed=10_000)
    held = octree.draw_shapes(plan.held, plan.members, 1, first_seed=20_000)
    say(f"{len(train)} training shapes, {len(held)} held out")
    contest = compete(train, held, plan, say)
    independent = float(networks.bits_of_independent_cells(train, held).mean())
    ladder, generator = contest.first["shared"], torch.Generator().manual_seed(0)
    say("samples, completions, one shape by heart")
    free = samples.Known.nothing(plan.samples)
    drawn = samples.sample(ladder, free, generator)[0]
    one_shot = samples.sample(contest.first["one-shot splits"], free, generator)[0][-1]
    sharp = samples.sample(ladder, free, generator, samples.SHARP)[0][-1]
    some = held[torch.linspace(0, len(held) - 1, min(len(held), 32)).long()]
    known = torch.zeros_like(some)
    known[:, : octree.SIDE // 2] = True
    done = {tries: samples.complete(ladder, some, known, tries, generator) for tries in (1, plan.tries)}
    blind = samples.sample(ladder, samples.Known.nothing(len(some)), generator)[0][-1]
    near, usual = samples.nearest_overlap(drawn[-1], train), samples.nearest_overlap(held, train)
    nodes = octree.nodes_in(drawn[1:]), octree.nodes_in(octree.pyramid(held)[1:])
    measured, values = likelihood(contest, independent), {}
    for more, words in (
        mathematics(ladder, held, generator),
        cost(contest, held, plan.timed, generator),
        cascade(contest.readings["shared"], *nodes),
        completion(some, known, done[1], done[plan.tries], blind),
        by_heart(train, plan.alone),
    ):
        measured, values = measured | more, values | words
    kinds = {"drawn": drawn[-1], "sharp": sharp, "crumbled": one_shot, "held": held}
    single = {kind: float((samples.parts(cells) == 1).mean()) for kind, cells in kinds.items()}
    values |= single | {"tries": plan.tries}
    measured |= {key: single[kind] / max(single["held"], 1e-9) for key, kind in (("E1", "drawn"), ("E2", "sharp"))}
    measured["E3"] = float((near == 1).sum())
    measured["E4"] = float((1 - near).median() / (1 - usual).median().clamp(min=1e-9))
    chosen = torch.linspace(0, len(train) - 1, 2 * SHOWN + 1).long()[1::2]
    flat = contest.flat_model.sample(SHOWN, torch.Generator().manual_seed(0))
    rows = {
        "training": train[chosen],
        "fractal": drawn[-1][:SHOWN],
        "fractal,\nsharper": sharp[:SHOWN],
        "one-shot\nsplits": one_shot[:SHOWN],
        "flat, 8³": flat,
    }
    draw_gallery(album, "fractal_samples", rows, plan.pixels)
    others = {"raster network": float(np.mean(contest.raster)) / CELLS, "independent cells": independent / CELLS}
    draw_bits(album, contest.readings, others)
    draw_levels(album, contest.readings["shared"][0], *nodes)
    spread = torch.linspace(0, len(some) - 1, SHOWN).long()
    rows = {"shape": some, "known half": some & known, "one try": done[1], f"chosen of {plan.tries}": done[plan.tries]}
    draw_gallery(album, "fractal_inpainting", {name: cells[spread] for name, cells in rows.items()}, plan.pixels)
    draw_nearest(album, near.numpy(), usual.numpy())
    data = {
        "parameters": contest.sizes,
        "bits per shape and level": {kind: [each.bits for each in runs] for kind, runs in contest.readings.items()},
        "bits per shape of the flat transformer on 8^3": contest.flat,
        "bits per shape of the raster network on 16^3": contest.raster,
        "bits per shape of independent cells on 16^3": independent,
        "CPU seconds of training": contest.seconds,
        "training shapes": len(train),
        "held-out shapes": len(held),
    }
    return measured, values, data


@dataclass(frozen=True)
class Contest:
    """The contestants, trained on the same shapes with equal parameters."""

    readings: dict[str, list[samples.Reading]]  # of every kind of ladder, one per seed
    first: dict[str, networks.Ladder]  # the ladders of seed 0
    flat: list[float]  # bits per shape of the flat transformer on 8^3, per seed
    raster: list[float]  # of the raster network on 16^3
    flat_model: networks.Flat  # that of seed 0
    sizes: dict[str, int]  # parameters of each
    seconds: dict[str, float]  # CPU time that the training of one took


def ladders() -> dict[str, tuple[networks.AtomConfig, bool]]:
    """Configuration of each kind of ladder, and whether one atom serves all levels."""
    config = networks.AtomConfig()
    narrow = replace(config, width=config.width // 2)
    whole = networks.parameters(networks.Ladder(config))
    context = networks.matched(lambda wide: networks.Ladder(replace(narrow, context=wide), shared=False), whole, 1)
    return {
        "shared": (config, True),
        "separate, equal total": (replace(narrow, context=context), False),
        "separate, equal width": (config, False),
        "one-shot splits": (replace(config, siblings=False), True),
        "no neighbours": (replace(config, neighbours=False), True),
    }


def compete(train: Tensor, held: Tensor, plan: Plan, say: Say) -> Contest:
    """Train all contestants, the ablations on the first seed only."""
    readings: dict[str, list[samples.Reading]] = {}
    first, sizes, seconds = {}, {}, {}
    for kind, (config, shared) in ladders().items():
        readings[kind] = []
        for seed in range(1 if kind in ABLATIONS else plan.seeds):
            torch.manual_seed(seed)
            ladder = networks.Ladder(config, shared)
            start = time.process_time()
            networks.teach(ladder, train, plan.steps, RATE, seed)
            seconds[kind] = time.process_time() - start
            readings[kind].append(samples.read(ladder, held))
            say(f"{kind}, seed {seed}: {readings[kind][-1].total:.1f} bits per shape")
            first.setdefault(kind, ladder)
        sizes[kind] = networks.parameters(first[kind])
    coarse, coarse_held = (octree.pyramid(cells)[COARSE_LEVEL] for cells in (train, held))
    flat_width = networks.matched(lambda width: networks.Flat(COARSE, width), sizes["shared"], 4)
    raster_width = networks.matched(lambda width: networks.Raster(octree.SIDE, width), sizes["shared"], 1)
    flats, rasters, models = [], [], []
    for seed in range(plan.seeds):
        torch.manual_seed(seed)
        flat, raster = networks.Flat(COARSE, flat_width), networks.Raster(octree.SIDE, raster_width)
        start = time.process_time()
        networks.teach_flat(flat, coarse, plan.flat_steps, FLAT_RATE, seed)
        middle = time.process_time()
        networks.teach_raster(raster, train, plan.raster_steps, plan.raster_cells, FLAT_RATE, seed)
        seconds |= {"flat": middle - start, "raster": time.process_time() - middle}
        sizes |= {"flat": networks.parameters(flat), "raster": networks.parameters(raster)}
        flats.append(networks.bits_of_flat(flat, coarse_held))
        rasters.append(networks.bits_of_raster(raster, held))
        models.append(flat)
        say(f"seed {seed}: flat transformer {flats[-1]:.1f} bits on 8^3, raster network {rasters[-1]:.1f} on 16^3")
    return Contest(readings, first, flats, rasters, models[0], sizes, seconds)


Checks = tuple[dict[str, Measured], dict[str, object]]  # what was measured, by key, and what stands in the notes


def likelihood(contest: Contest, independent: float) -> dict[str, Measured]:
    shared, equal_total, equal_width, one_shot, lonely = (
        np.array([each.total for each in runs]) for runs in contest.readings.values()
    )
    coarse = np.array([sum(each.bits[:COARSE_LEVEL]) for each in contest.readings["shared"]])
    ratios = (
        *(shared / CELLS, shared / independent, coarse / np.array(contest.flat), shared / np.array(contest.raster)),
        *(shared / equal_total, shared / equal_width, one_shot / shared[:1], lonely / shared[:1]),
    )
    return {f"B{number}": ratio.tolist() for number, ratio in enumerate(ratios, 1)}


def mathematics(ladder: networks.Ladder, held: Tensor, generator: torch.Generator) -> Checks:
    """Sums of probabilities, and keys and values kept or computed anew, over parents of every level."""
    grids = octree.pyramid(held[:16])
    sums, errors = [], []
    for level in range(octree.LEVELS):
        parents = grids[level].nonzero()
        parents = parents[torch.randperm(len(parents), generator=generator)[:8]]
        seen, children = octree.context(grids, level, parents), octree.children_of(grids[level + 1])[parents.unbind(1)]
        sums.append(float((samples.sum_of_states(ladder.at(level), seen) - 1).abs().max()))
        errors.append(samples.cache_error(ladder.at(level), seen, children))
    return {"A1": max(sums), "A2": max(errors)}, {}


def cost(contest: Contest, held: Tensor, timed: tuple[int, int], generator: torch.Generator) -> Checks:
    """Attention counted, sampling ``timed``: side of the grid, shapes at once. What a network has learnt changes no
    time."""
    side, count = timed
    width = networks.matched(lambda width: networks.Flat(side, width), contest.sizes["shared"], 4)
    known = samples.Known.nothing(count, side.bit_length() - 1)
    ladder, flat = contest.first["shared"], networks.Flat(side, width)

    def seconds(action: Callable[..., object], *given: object, **options: bool) -> float:
        start = time.process_time()
        action(*given, **options)
        return time.process_time() - start

    samples.sample(ladder, known, generator)
    cached = min(seconds(samples.sample, ladder, known, generator) for _ in range(3))
    anew = min(seconds(samples.sample, ladder, known, generator, cached=False) for _ in range(3))
    slow = seconds(flat.sample, count, generator)
    # pairs in a block of the network: of atoms, each over eight children, and of a flat autoregression over all cells
    atom, whole = octree.causal_pairs(octree.CHILDREN), octree.causal_pairs(CELLS)
    measured: dict[str, Measured] = {
        "C1": octree.most_parents(octree.SIDE) * atom / whole,
        "C2": atom * octree.parents_in(octree.pyramid(held)) / whole,
        "C3": slow / cached,
        "C4": anew / cached,
    }
    return measured, {"side": side, "count": count, "slow": slow, "cached": cached}


def cascade(runs: Sequence[samples.Reading], drawn: Sequence[float], held: Sequence[float]) -> Checks:
    """Recall level by level, and nodes drawn freely."""
    shares, levels = [a / b for a, b in zip(drawn, held, strict=True)], range(octree.LEVELS)
    measured: dict[str, Measured] = {f"D{level + 1}": [each.recall[level] for each in runs] for level in levels}
    measured["D5"] = max(shares, key=lambda share: abs(np.log(share)))
    return measured, {"precision": [np.mean([each.precision[level] for each in runs]) for level in levels]}


def completion(shapes: Tensor, known: Tensor, once: Tensor, chosen: Tensor, blind: Tensor) -> Checks:
    """Of shapes with ``known`` cells, completed in one try, chosen of several, and drawn without any known cell."""
    changed = max(int((each != shapes)[known].sum()) for each in (once, chosen))
    drawn = {"once": once, "chosen": chosen, "blind": blind}
    words = {kind: float(samples.overlap(each & ~known, shapes & ~known).mean()) for kind, each in drawn.items()}
    return {"F1": changed, "F2": words["chosen"] / max(words["blind"], 1e-9)}, dict(words)


def by_heart(train: Tensor, steps: int) -> Checks:
    """One shape, until every split is right; then it is drawn greedily."""
    middling = int((train.flatten(1).sum(1) - train.flatten(1).sum(1).median()).abs().argmin())
    one = train[middling : middling + 1]
    torch.manual_seed(0)
    ladder = networks.Ladder(networks.AtomConfig())
    networks.teach(ladder, one, steps, RATE, turns=False)
    again = samples.sample(ladder, samples.Known.nothing(1), torch.Generator(), samples.GREEDY)[0][-1]
    return {"G1": min(samples.read(ladder, one).accuracy), "G2": float(samples.overlap(again, one)[0])}, {}


COLOURS = ("#1f4e79", "#4f81bd", "#8fb8de", "#c9dff2")


def draw_gallery(album: Album, name: str, rows: dict[str, Tensor], pixels: int) -> None:
    """Rows of shapes (n, s, s, s), each row with its name."""
    columns = max(map(len, rows.values()))
    size = (1.25 * columns + 1.3, 1.35 * len(rows) + 0.5)
    with album.figure(name, size) as figure:
        axes = figure.subplots(len(rows), columns, squeeze=False)
        for line, (kind, shapes) in zip(axes, rows.items(), strict=True):
            for place in line:
                place.set(xticks=[], yticks=[], frame_on=False)
            line[0].set_ylabel(kind, rotation=0, ha="right", va="center", fontsize=9)
            for place, cells in zip(line, shapes.numpy(), strict=False):
                place.imshow(mesh_picture(*_mesh_of_cells(cells), pixels))


def draw_bits(album: Album, readings: dict[str, list[samples.Reading]], others: dict[str, float]) -> None:
    """Bits per cell of every ladder, stacked by level, and of the ``others``."""
    mean = {name: np.mean([each.bits for each in runs], axis=0) / CELLS for name, runs in readings.items()}
    with album.figure("fractal_bits", (9, 4.2)) as figure:
        axes = figure.subplots()
        left = np.zeros(len(mean))
        for level, colour in enumerate(COLOURS):
            part = np.array([bits[level] for bits in mean.values()])
            axes.barh(list(mean), part, left=left, color=colour, label=f"level {level}: to {2 ** (level + 1)}³")
            left += part
        axes.barh(list(others), list(others.values()), color="#b0a899", label="no levels")
        for row, total in enumerate([*left, *others.values()]):
            axes.text(total, row, f" {total:.4f}", va="center", fontsize=9)
        axes.invert_yaxis()
        title = "What the shapes cost, by level: a view of siblings and neighbours saves bits"
        axes.set(title=title, xlabel="held-out negative log likelihood, bits per cell of 16³")
        axes.set_xlim(0, 1.15 * max([*left, *others.values()]))
        axes.legend(fontsize=8, loc="upper right")


def draw_levels(album: Album, reading: samples.Reading, sampled: Sequence[float], real: Sequence[float]) -> None:
    """Recall and precision per level, and how many nodes samples and held-out shapes have."""
    with album.figure("fractal_levels", (9, 3.6)) as figure:
        left, right = figure.subplots(1, 2)
        at = np.arange(octree.LEVELS)
        left.bar(at - 0.2, reading.recall, 0.38, label="recall", color=COLOURS[0])
        left.bar(at + 0.2, reading.precision, 0.38, label="precision", color=COLOURS[2])
        left.set(title="Splits, given the true ones before", ylabel="share of occupied children", ylim=(0, 1.0))
        right.bar(at - 0.2, sampled, 0.38, label="samples", color=COLOURS[0])
        right.bar(at + 0.2, real, 0.38, label="held-out shapes", color=COLOURS[2])
        right.set(title="Occupied nodes, drawn freely", ylabel="mean number per shape", yscale="log")
        for axes in (left, right):
            axes.set_xticks(at, [f"{2 ** (level + 1)}³" for level in range(octree.LEVELS)])
            axes.set_xlabel("grid that the split leads to")
            axes.legend(fontsize=8, loc="lower right")


def draw_nearest(album: Album, sampled: NDArray, held: NDArray) -> None:
    """How near samples and held-out shapes come to the training shapes."""
    with album.figure("fractal_nearest", (7, 3.4)) as figure:
        axes = figure.subplots()
        bins = np.linspace(0, 1, 31).tolist()
        for values, name, colour in ((held, "held-out shapes", COLOURS[2]), (sampled, "samples", COLOURS[0])):
            weights = np.full(len(values), 1 / len(values))
            axes.hist(values, bins, weights=weights, alpha=0.7, label=name, color=colour)
        axes.set_xlabel("intersection over union with the nearest training shape, any orientation (1: a copy)")
        axes.set(ylabel="share", title="How near samples and held-out shapes come to the training shapes")
        axes.legend(fontsize=8)


def _mesh_of_cells(cells: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The faces between occupied and empty cells, as vertices (4 f, 3) and triangles (2 f, 3)."""
    padded, corners = np.pad(cells, 1), np.array([[1, 0, 0], [1, 1, 0], [1, 1, 1], [1, 0, 1]])
    quads = []
    for axis in range(3):
        low = np.moveaxis(padded, axis, 0)
        place = np.stack(np.nonzero(low[1:] != low[:-1]), axis=1).astype(np.float64)
        order = [*range(1, axis + 1), 0, *range(axis + 1, 3)]
        quads.append((place[:, None] + corners)[:, :, order])
    vertices = np.concatenate(quads).reshape(-1, 3)
    first = 4 * np.arange(len(vertices) // 4)[:, None]
    return vertices, np.concatenate((first + [0, 1, 2], first + [0, 2, 3]))
