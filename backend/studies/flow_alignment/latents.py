"""Latents that descend the alignment loss of a toy: that of its exact velocity, in every variant of the descent, and
that of flows trained on samples, like the paper's and the product's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.patches import Circle
from torch import Tensor

from ...prior.flow import LATE
from ...training.flow import FlowConfig, VelocityNetwork, alignment, train_flow
from ..instruments import Album
from ..study import Measured, Plan, over_seeds
from . import toys
from .toys import REACH, SIDE, Modes, Toy, agreement, align_to_levels, descend, losses, mean_loss, modes_of

REAL, START, ALIGNED, DETACHED = "real data", "start: N(0, I)", "aligned to the end", "aligned, input detached"
LATER, HALTED = "late times, to the end", "stopped at the data's middle"
LEVELLED, SCATTERED = "each at a level of the data", "out of the modes again"
SURPRISE, LOSS, CUT = "surprise", "loss", "detached surprise"
NEARBY = 15.0  # nats below which a point is near the data
EARLY = 300  # steps, a mark of every plan


@dataclass(frozen=True)
class Run:
    points: dict[str, Tensor]  # of all ends, by name
    ways: dict[str, list[float]]  # surprise and loss at the marks, and surprise of the shorter descent, input detached
    averaged: Modes  # of latents that were aligned with four draws at a step


def run(toy: Toy, plan: Plan, seed: int) -> Run:
    """One set of latents from N(0, I), in every variant of the descent."""
    generator = torch.Generator().manual_seed(seed)
    real = toy.sample(plan.latents, generator)
    start = torch.randn(plan.latents, 2, generator=generator)
    way = descend(start, toy.field, plan.marks, seed)
    cut = descend(start, toys.detached(toy.field), [mark for mark in plan.marks if mark <= plan.detached_steps], seed)
    known, steps = toy.sample(1000, generator), [plan.more_steps]
    points = {
        REAL: real,
        START: start,
        ALIGNED: way[-1],
        DETACHED: cut[-1],
        LATER: descend(start, toy.field, steps, seed, span=LATE)[-1],
        HALTED: toys.align_to_median(start, toy.field, known, plan.halt_steps),
        LEVELLED: align_to_levels(start, toy.field, known, plan.halt_steps, generator),
        SCATTERED: toys.align_and_rescatter(start, toy.field, known, plan.halt_steps, generator),
    }
    averaged = modes_of(descend(start, toy.field, steps, seed, draws=4)[-1], toy)
    ways = {name: [float(toy.surprise(at).mean()) for at in path] for name, path in ((SURPRISE, way), (CUT, cut))}
    return Run(points, ways | {LOSS: [mean_loss(at, toy.field) for at in way]}, averaged)


@dataclass(frozen=True)
class Maps:
    """Over the toy's grid (n,): what a point is worth."""

    surprise: Tensor  # by its density
    rough: Tensor  # by L over 64 draws of its own for every point
    whole: Tensor  # by L over all times
    late: Tensor  # and over late ones


def maps(toy: Toy, draws: int) -> Maps:
    grid, generator = toy.grid(), torch.Generator().manual_seed(0)
    times, starts = torch.rand(len(grid), 64, generator=generator), torch.randn(len(grid), 64, 2, generator=generator)
    rough = alignment(toy.field, grid, times, starts)
    return Maps(toy.surprise(grid), rough, losses(grid, toy.field, draws), losses(grid, toy.field, draws, LATE))


def exact_checks(toy: Toy, plan: Plan, runs: Sequence[Run], over: Maps) -> dict[str, Measured]:
    """Every target of the toy with the exact velocity."""

    def checks(one: Run) -> dict[str, float]:
        surprise = {name: float(toy.surprise(points).mean()) for name, points in one.points.items()}
        modes = {name: modes_of(points, toy) for name, points in one.points.items()}
        found = {
            "E1": surprise[REAL],
            "E2": mean_loss(one.points[REAL], toy.field),
            "E3": one.ways[LOSS][0],
            "E4": surprise[START],
            "E5": one.ways[SURPRISE][plan.marks.index(EARLY)],
            "E6": one.ways[LOSS][-1],
            "E7": surprise[ALIGNED],
            "E10": modes[ALIGNED].spread,
            "E11": -modes[ALIGNED].offset,
            "E12": one.averaged.spread,
            "D1": surprise[DETACHED],
            "R1": -modes[LATER].offset,
            "R1 spread": modes[LATER].spread,
        }
        for key, name in (("R2", HALTED), ("R3", LEVELLED), ("R4", SCATTERED)):
            found[f"{key} NLL"] = surprise[name]
            found[f"{key} spread"], found[f"{key} inward"] = modes[name].spread, -modes[name].offset
        return found

    counts = np.sum([modes_of(one.points[ALIGNED], toy).counts for one in runs], axis=0)
    shares = (1000 * counts / counts.sum()).tolist()
    rough, (whole, _), (late, _) = (agreement(loss, over.surprise) for loss in (over.rough, over.whole, over.late))
    near, (late_near, _) = (agreement(loss, over.surprise, NEARBY) for loss in (over.whole, over.late))
    plane = {f"M{number}": value for number, value in enumerate((*rough, whole, *near, late, late_near), 1)}
    return over_seeds([checks(one) for one in runs]) | {"E8": min(shares), "E9": max(shares)} | plane


@dataclass(frozen=True)
class Trained:
    """What a trained flow makes of a toy, in the toy's coordinates."""

    toy: Toy
    real: Tensor
    whole: Tensor  # L over the grid, over all times
    late: Tensor  # and over late ones
    aligned: Tensor  # latents from N(0, I) at the end of their way
    levelled: Tensor  # stopped each at a level of the data
    sampled: Tensor  # points that the flow draws
    best: float  # Spearman's correlation of L and the surprise for the exact velocity, which no training can better

    @property
    def spearman(self) -> tuple[float, float]:
        """Of L over all times, and of late L, with the surprise over the plane."""
        surprise = self.toy.surprise(self.toy.grid())
        return agreement(self.whole, surprise)[0], agreement(self.late, surprise)[0]

    def surprise(self, points: Tensor) -> float:
        return float(self.toy.surprise(points).mean())


def train_and_align(toy: Toy, plan: Plan, seed: int) -> Trained:
    """A flow for a toy, and latents that it aligns."""
    generator = torch.Generator().manual_seed(100 + seed)
    velocity = train_flow(toy.sample(plan.flow_samples, generator), FlowConfig(**plan.flow, seed=seed))
    real = toy.sample(plan.flow_latents, generator)
    start = torch.randn(plan.flow_latents, 2, generator=generator)
    grid, known = velocity.whiten(toy.grid()), velocity.whiten(real)
    return Trained(
        toy,
        real,
        losses(grid, velocity, plan.flow_draws),
        losses(grid, velocity, plan.flow_draws, LATE),
        unwhiten(velocity, descend(start, velocity, [plan.flow_steps], seed)[-1]),
        unwhiten(velocity, align_to_levels(start, velocity, known, plan.flow_steps // 5, generator, plan.flow_draws)),
        unwhiten(velocity, sample_flow(velocity, start)),
        agreement(losses(toy.grid(), toy.field, plan.flow_draws), toy.surprise(toy.grid()))[0],
    )


def unwhiten(velocity: VelocityNetwork, points: Tensor) -> Tensor:
    return points @ torch.linalg.inv(velocity.whitening) + velocity.mean


@torch.no_grad()
def sample_flow(velocity: VelocityNetwork, start: Tensor, steps: int = 50) -> Tensor:
    """Where the flow carries points (n, d) of N(0, I): Heun's method, as `FlowPrior.sample`."""
    x = start
    for step in range(steps):
        here = velocity(x, torch.full((len(x),), step / steps))
        there = velocity(x + here / steps, torch.full((len(x),), (step + 1) / steps))
        x = x + (here + there) / (2 * steps)
    return x


def trained_checks(five: Sequence[Trained], others: Sequence[Trained]) -> dict[str, Measured]:
    """Every target of trained flows, those of the five Gaussians and of the other toys."""

    def checks(one: Trained) -> dict[str, float]:
        modes, (whole, late) = modes_of(one.aligned, one.toy), one.spearman
        found = (whole, one.surprise(one.aligned), modes.spread, -modes.offset)
        found += (late, one.surprise(one.levelled), one.surprise(one.sampled))
        return {f"F{number}": value for number, value in enumerate(found, 1)}

    measured = over_seeds([checks(one) for one in five])
    for one in others:
        (whole, late), own, name = one.spearman, one.surprise(one.real), f"F-{one.toy.name}"
        measured |= {name: whole, f"{name} late": late}
        measured |= {f"{name} end": one.surprise(one.aligned) - own, f"{name} stop": one.surprise(one.levelled) - own}
    return measured


BLUE, RED, GREY = "#1f5fa8", "#c23b22", "#8a8a8a"


def draw_maps(album: Album, toy: Toy, over: Maps) -> None:
    """The plane by its density and by both losses, and each loss against the density."""
    words = (
        "Above: points of the plane by rank, dark is low.\nWhite rings: 1 and 2 sd of the five modes.\n"
        "The valleys of L over all times lie inward of\nthe modes; those of late L lie at them."
    )
    with album.figure("maps", (11, 6.6)) as figure:
        upper, (text, *lower) = figure.subplots(2, 3, height_ratios=(3, 2))
        values = (("−log p", over.surprise), ("L, all times", over.whole), ("late L", over.late))
        for axis, (name, value) in zip(upper, values, strict=True):
            shade(axis, value)
            rings(axis, toy, "white")
            axis.set_title(name)
        text.axis("off")
        text.text(0, 0.95, words, va="top", fontsize=11)
        kept = over.surprise < NEARBY
        for axis, (name, value) in zip(lower, values[1:], strict=True):
            axis.plot(over.surprise, value, ".", color=GREY, markersize=2)
            axis.plot(over.surprise[kept], value[kept], ".", color=RED, markersize=3, label=f"−log p < {NEARBY:g}")
            rank, near = agreement(value, over.surprise)[0], agreement(value, over.surprise, NEARBY)[0]
            axis.set(title=f"Spearman {rank:.3f}, near the data {near:.2f}", xlabel="−log p (nats)", ylabel=name)
            axis.legend(loc="lower right", fontsize=8)


def draw_ways(album: Album, toy: Toy, plan: Plan, runs: Sequence[Run]) -> None:
    """NLL and L against steps, mean and range of the runs, beside those of the data."""
    with album.figure("ways", (10, 4)) as figure:
        left, right = figure.subplots(1, 2)
        steps = np.maximum(plan.marks, 5)
        for axis, name, colour, label in (
            (left, SURPRISE, BLUE, "aligned"),
            (left, CUT, RED, "aligned, input detached"),
            (right, LOSS, BLUE, "aligned"),
        ):
            table = np.array([one.ways[name] for one in runs])
            at = steps[: table.shape[1]]
            axis.plot(at, table.mean(axis=0), color=colour, label=label)
            axis.fill_between(at, table.min(axis=0), table.max(axis=0), color=colour, alpha=0.25, linewidth=0)
        real = runs[0].points[REAL]
        for axis, own in ((left, float(toy.surprise(real).mean())), (right, mean_loss(real, toy.field))):
            axis.axhline(own, color=GREY, linestyle="--", label="real data")
            axis.set(xscale="log", xlabel="steps of Adam (0 drawn at 5)")
            axis.legend(fontsize=9)
        left.set(yscale="log", ylabel="mean −log p (nats)")
        left.set_title("Latents pass the data's likelihood; detached ones stall")
        left.minorticks_off()
        left.set_yticks((2, 3, 5, 10, 20), ("2", "3", "5", "10", "20"))
        right.set(ylabel="mean L per dimension", title="and end below the data's own loss")


def draw_ends(album: Album, toy: Toy, run: Run) -> None:
    """Where the latents of one run end up, by every way."""
    with album.figure("ends", (13.5, 7.2)) as figure:
        for axis, (name, points) in zip(figure.subplots(2, 4).flat, run.points.items(), strict=True):
            axis.plot(*(points * toy.scale).T, ".", color=RED if name == DETACHED else BLUE, markersize=2.5, alpha=0.5)
            rings(axis, toy, "black")
            found, surprise = modes_of(points, toy), float(toy.surprise(points).mean())
            measured = f"NLL {surprise:.2f}, spread {found.spread:.2f}, outward {found.offset:+.2f} sd"
            axis.set_title(f"{name}\n{measured}", fontsize=10)
            frame(axis)


def draw_trained(album: Album, found: Sequence[Trained]) -> None:
    """One column for every toy: data, latents aligned to the end over the map of L, and stopped at the data's own."""
    with album.figure("learned", (2.4 * len(found), 7.6)) as figure:
        for column, one in zip(figure.subplots(3, len(found), squeeze=False).T, found, strict=True):
            ends = ("aligned to the end", one.whole, one.aligned), ("levels of the data", one.late, one.levelled)
            for axis, (name, value, points) in zip(column, (("data", None, one.real), *ends), strict=True):
                if value is not None:
                    shade(axis, value)
                axis.plot(*(points * one.toy.scale).T, ".", color=BLUE if value is None else RED, markersize=2)
                frame(axis)
                axis.set_title(f"{one.toy.name}: {name}\nNLL {one.surprise(points):.2f}", fontsize=9)
            for axis, rank in zip(column[1:], one.spearman, strict=True):
                axis.set_xlabel(f"Spearman with −log p {rank:.2f}", fontsize=9)


def shade(axis: Axes, value: Tensor) -> None:
    """A map over the toy's grid, dark where the loss is low: by rank, which shows valleys and far slopes alike."""
    image = value.argsort().argsort().reshape(SIDE, SIDE).T.numpy()
    axis.imshow(image, origin="lower", extent=(-REACH, REACH, -REACH, REACH), cmap="viridis", interpolation="bilinear")
    frame(axis)


def frame(axis: Axes) -> None:
    axis.set(xlim=(-REACH, REACH), ylim=(-REACH, REACH), aspect="equal", xticks=(-4, 0, 4), yticks=(-4, 0, 4))
    axis.tick_params(labelsize=8)


def rings(axis: Axes, toy: Toy, colour: str) -> None:
    for x, y in toy.centres.tolist():
        for deviations in (1, 2):
            axis.add_patch(Circle((x, y), deviations * toy.sd, fill=False, color=colour, linewidth=0.8))
