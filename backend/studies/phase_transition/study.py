"""The study: topology is sharp along the conditioning, and geometry soft in a low-dimensional part of weight space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.axes import Axes

from ...report.pictures import mesh_picture
from ..instruments import Album, Result, counted, study_of
from ..study import Plan, Say
from . import measures
from .measures import NEVER, REACH, SIGNALS, STARTS, Bank, Crossing, Subspace, Trial, conditioned
from .networks import LENGTH, Conditional, Pool, errors, field_of, fit_conditional
from .solids import FAMILIES, Mesh, draw, mesh_of

ALL = range(len(FAMILIES))


@study_of("phase-transition")
def study(plan: Plan, album: Album, say: Say) -> Result:
    """Claims C1 to C6 with four figures."""
    what = f"C1: fitting {plan.shapes} shapes of each family, seed"
    fits = [fit(plan, seed) for seed in counted(say, what, plan.seeds)]
    net = fits[0][0]
    say("C2: sweeping t")
    crossed, lines = (
        [measures.cross(way(net, family), family, steps, plan.sides, plan.tolerance) for family in ALL]
        for way, steps in ((conditioned, plan.sweep), (measures.straight, plan.sweep // 4))
    )
    true = [family.critical(0.0) for family in FAMILIES]
    off = [NEVER if one.critical[0] is None else abs(one.critical[0] - t) for one, t in zip(crossed, true, strict=True)]
    say("C3: moves in the space of a few examples")
    spaces = [
        [measures.explore(one, family, plan.examples, plan.moves, seed, plan.sides[0]) for family in ALL]
        for seed, (one, _, _) in enumerate(fits)
    ]
    say("C4: an edit of one place")
    local = [measures.edit_locally(net, family, plan.distil, plan.grid) for family in ALL]
    say("C5 and C6: nets of single shapes")
    seeds, side = range(plan.bank_seeds), plan.sides[0]
    nets = [[measures.banks(family, plan.bank, seed, plan.bank_steps) for family in ALL] for seed in seeds]
    sound = {start: [float(np.mean([found[start].kept(side) for found in one])) for one in nets] for start in STARTS}
    trials = [measures.try_mixes(found[STARTS[0]], plan.mixes, seed, side) for seed in seeds for found in nets[seed]]
    # each bank for itself: how large a mismatch is usual depends on the family
    telling = [trial for trial in trials if trial.tells(plan.fewest)]
    areas = np.array([trial.areas() for trial in telling]).reshape(-1, len(SIGNALS)).T.tolist()
    table = np.array([[(len(space.sliders), space.kept, space.spearman) for space in row] for row in spaces])
    components, kept, monotone = np.moveaxis(table, -1, 0)
    measured = {
        "C1 error": [error for _, error, _ in fits],
        "C1 topology": [right for _, _, right in fits],
        "C2 sharp": max(one.steps for one in crossed),
        "C2 ends": sum(one.right for one in crossed),
        "C2 volume": max(one.jump for one in crossed),
        "C2 weights": max(one.shift for one in crossed),
        "C2 grids": max(one.gap for one in crossed),
        "C2 truth": max(off),
        "C2 straight": max(one.steps for one in lines),
        "C3 components": components.mean(axis=1).tolist(),
        "C3 topology": kept.mean(axis=1).tolist(),
        "C3 sliders": monotone.min(axis=1).tolist(),
        "C4 zero": sum(one.identical for one in local),
    }
    measured |= {f"C4 {way}": max(one.leaks[way] for one in local) for way in local[0].leaks}
    measured |= {f"C5 {start}": shares for start, shares in sound.items()}
    measured |= dict(zip(("C6 mismatch", "C6 length", "C6 walls", "C6 grids"), areas, strict=True))
    stars = [(one.family, one.critical[0] or np.nan, t) for one, t in zip(crossed, true, strict=True)]
    values = {way: "; ".join(f"{one.family} {one.leaks[way]:.4f}" for one in local) for way in local[0].leaks} | {
        "stars": "; ".join(f"{family}: t* = {found:.4f}, analytic {t:.4f}" for family, found, t in stars),
        "broken": np.mean([trial.broken.mean() for trial in trials]),
        "telling": len(telling),
        "banks": len(trials),
        "fewest": plan.fewest,
    }
    say("drawing")
    draw_crossings(album, net, crossed, plan)
    draw_moves(album, spaces[0], plan)
    draw_between(album, sound, nets[0][-1], plan)
    draw_signals(album, trials, areas)
    data = {
        "weights": LENGTH,
        "critical": {one.family: {"found": one.critical, "true": t} for one, t in zip(crossed, true, strict=True)},
        "volumes": {one.family: one.volumes for one in crossed},
        "betti": {one.family: one.table.betti for one in crossed},
        "components": components.astype(int).tolist(),
        "kept": kept.tolist(),
        "spearman": monotone.tolist(),
        "leaks": {one.family: one.leaks for one in local},
        "sound": sound,
        "broken": [float(trial.broken.mean()) for trial in trials],
    }
    return measured, values, data


def fit(plan: Plan, seed: int) -> tuple[Conditional, float, float]:
    """The conditional net fitted to shapes of all families, its mean |distance - truth|, and the share of the shapes
    with the true Betti numbers."""
    family = torch.arange(len(FAMILIES)).repeat_interleave(plan.shapes)
    shape = torch.cat([draw(plan.shapes, 100 * seed + number) for number in ALL])
    pool = Pool.of(family, shape, seed)
    net, right = fit_conditional(pool, seed, plan.steps), []
    for kind, one in zip(family.tolist(), shape, strict=True):
        found = mesh_of(field_of(net.of_shapes(kind, one[None])[0]), plan.grid)
        right.append(found.betti == FAMILIES[kind].betti(one))
    return net, float(errors(net, pool).mean()), float(np.mean(right))


BETTI = (("parts $b_0$", "#1f6fb4", "-"), ("tunnels $b_1$", "#d1632a", "--"), ("hollows $b_2$", "#6a8f2a", ":"))
SIGNAL_COLOURS = ("#1f6fb4", "0.6", "#d1632a", "#6a8f2a")
RED = "#c23b3b"


def show(panel: Axes, mesh: Mesh, title: str, pixels: int) -> None:
    """A shaded picture of a mesh with its Betti numbers."""
    panel.imshow(mesh_picture(mesh.vertices, mesh.faces, pixels))
    panel.set_title(f"{title}: b = {tuple(mesh.betti)}", fontsize=8)
    panel.axis("off")


def draw_crossings(album: Album, net: Conditional, found: Sequence[Crossing], plan: Plan) -> None:
    """For each family Betti numbers and volume over t, and the shape just before t* and just after it."""
    with album.figure("sweep", (11, 3.1 * len(found))) as figure:
        panels = figure.subplots(len(found), 4, width_ratios=(1.5, 1.5, 1, 1), squeeze=False)
        for family, (row, one) in enumerate(zip(panels, found, strict=True)):
            star = one.critical[0]
            for column, (name, colour, line) in enumerate(BETTI):
                values = one.table.betti[:, column]
                row[0].step(one.table.strengths, values, line, where="mid", color=colour, label=name)
            row[0].set(xlabel="t", ylabel=f"{one.family}\nBetti number", ylim=(-0.15, 2.4), yticks=(0, 1, 2))
            row[1].plot(one.table.strengths, one.volumes, color="black")
            row[1].set(xlabel="t", ylabel="volume (canonical units³)", ylim=(0, 1.1 * one.volumes.max()))
            if star is not None:
                for panel in row[:2]:
                    panel.axvline(star, color=RED, lw=1)
                row[1].annotate(f"t* = {star:.4f}", (star, 0), (5, 8), textcoords="offset points", color=RED)
            line = conditioned(net, family)
            for panel, step, when in zip(row[2:], (-0.02, 0.02), ("before", "after"), strict=True):
                place = (0.5 if star is None else star) + step
                show(panel, mesh_of(field_of(line(place)), plan.grid), f"just {when} t*", plan.pixels)
        panels[0, 0].legend(frameon=False, fontsize=7, loc="upper left", ncols=3, handlelength=1.2, columnspacing=0.8)


def draw_moves(album: Album, spaces: Sequence[Subspace], plan: Plan) -> None:
    """For each family its mean shape and the shapes at the ends of its first two sliders."""
    with album.figure("moves", (11, 2.5 * len(spaces))) as figure:
        panels = figure.subplots(len(spaces), 5, squeeze=False)
        for panel in panels.flat:
            panel.axis("off")
        for row, space in zip(panels, spaces, strict=True):
            units = np.eye(len(space.sliders))[:2]
            places = [("mean", 0 * units[0])]
            places += [(f"PC {k + 1}, {s:+.0f} sd", s * unit) for k, unit in enumerate(units) for s in (-REACH, REACH)]
            for panel, (name, at) in zip(row, places, strict=False):
                mesh = mesh_of(field_of(measures.theta_at(space.sliders, at)), plan.grid)
                show(panel, mesh, f"{space.family}\n{name}", plan.pixels)


def draw_between(album: Album, kept: Mapping[str, Sequence[float]], found: Mapping[str, Bank], plan: Plan) -> None:
    """Share of interpolated nets that are sound, by start, and what lies halfway between two nets."""
    with album.figure("between", (11, 3.6)) as figure:
        first, *panels = figure.subplots(1, 1 + len(found), width_ratios=(1.5, *(1 for _ in found)))
        places = np.arange(len(kept))
        first.bar(places, [np.mean(shares) for shares in kept.values()], color="#9db9d6", width=0.6)
        for place, shares in zip(places, kept.values(), strict=True):
            first.plot(np.full(len(shares), place), shares, "o", color="black", ms=5)
        first.axhline(0.95, color=RED, lw=1)
        first.set(xticks=places, xticklabels=list(kept), xlabel="start of the fits (dots: seeds)", ylim=(0, 1.05))
        first.set_ylabel("share of interpolated nets that are sound")
        for panel, (start, bank) in zip(panels, found.items(), strict=True):
            show(panel, mesh_of(field_of(bank.thetas[:2].mean(dim=0)), plan.grid), f"halfway, {start}", plan.pixels)


def draw_signals(album: Album, trials: Sequence[Trial], areas: Sequence[Sequence[float]]) -> None:
    """ROC curves of the signals over all banks together, and the mismatch of sound and broken mixes."""
    scores = np.concatenate([trial.scores for trial in trials], axis=1)
    broken = np.concatenate([trial.broken for trial in trials])
    with album.figure("guard", (10, 4.4)) as figure:
        left, right = figure.subplots(1, 2)
        for name, colour, score, area in zip(SIGNALS, SIGNAL_COLOURS, scores, areas, strict=True):
            left.plot(*measures.roc(score, broken), color=colour, label=f"{name}: {np.mean(area or np.nan):.3f}")
        left.plot((0, 1), (0, 1), ":", color="0.8")
        left.set(xlabel="sound mixes that are flagged", ylabel="broken mixes that are flagged", aspect="equal")
        left.legend(frameon=False, title="mean area within a bank", loc="lower right", fontsize=9)
        values = np.log10(np.maximum(scores[0], 1e-6))
        edges = np.linspace(values.min() - 1e-6, values.max() + 1e-6, 25)
        for chosen, colour, name in ((~broken, "#1f6fb4", "sound"), (broken, RED, "broken")):
            right.hist(values[chosen], edges, color=colour, alpha=0.55, label=f"{name} ({int(chosen.sum())})")
        right.set(xlabel="log10 of the linearity mismatch (canonical units)", ylabel="mixes")
        right.legend(frameon=False)
