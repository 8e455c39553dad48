"""The study: the chain against the reference, then what two autoencoders learn from its configurations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..instruments import Album, Result, counted, study_of
from ..study import Mean, Measured, Plan, Say, over_seeds
from .autoencoder import Evaluation, Physics, Vae, drawn, evaluate, generated, physics, train
from .lattice import QUANTITIES, REFERENCE, T_KT, TEMPERATURES, Curves, Spins, measure, upright, winding

SHOWN = 1.0  # temperature of the pictured configuration
TAUGHT = 0.75  # share of the replicas whose configurations are learned from; the others are held out
COLD = 0.8  # temperature up to which the chain is held to the reference quantity by quantity
COOL = 1.0  # temperature up to which the models' energies are held to those of the configurations


@study_of("xy-model")
def study(plan: Plan, album: Album, say: Say) -> Result:
    """Chains at both sizes, then both models on the smaller lattice for each seed."""
    curves, learned, held_out = _chains(plan, say)
    at = np.array(plan.temperatures)
    plain, knowing, made = [], [], []
    models: list[tuple[Vae, Vae, Tensor]] = []
    for seed in counted(say, "models", plan.seeds):
        without, with_energy = (train(learned, scaled, plan.steps, seed) for scaled in (False, True))
        plain.append(evaluate(without, held_out, at, seed))
        knowing.append(evaluate(with_energy, held_out, at, seed))
        new = generated(with_energy, held_out, seed)
        made.append(physics(new, at))
        models.append((without, with_energy, new))
    draw_curves(album, curves)
    draw_crossing(album, curves, knowing[0])
    draw_energy(album, plain[0], knowing[0], made[0])
    draw_code(album, knowing[0])
    draw_configurations(album, views(*models[0], held_out, int(np.argmin(np.abs(at - SHOWN)))))
    measured: dict[str, Measured] = over_seeds([model_checks(*one) for one in zip(plain, knowing, made, strict=True)])
    for one in curves:
        measured |= chain_checks(one)
    # means in place of a number per configuration
    kept = {
        kind: [replace(one, code=one.code.mean(1), size=one.size.mean(1)) for one in runs]
        for kind, runs in (("plain", plain), ("with energy", knowing))
    }
    return measured, {}, {"chains": curves, "generated": made} | kept


def _chains(plan: Plan, say: Say) -> tuple[list[Curves], Tensor, Tensor]:
    """Curves by side; upright configurations of the smallest to learn from (n, L, L), and held out (K, n, L, L)."""
    kept: list[Spins] = []
    curves = []
    for side, (replicas, sweeps) in plan.chains.items():
        say(f"chain, L = {side}")
        keep = (lambda spins: kept.append(upright(spins))) if side == min(plan.chains) else None
        curves.append(measure(side, plan.temperatures, replicas, sweeps, side, keep, plan.every))
    by_sweep = np.angle(np.stack(kept)).astype(np.float32)  # sweep, L, L, K, replica
    angle = torch.from_numpy(np.moveaxis(by_sweep, (3, 4), (0, 1)).copy())
    taught = round(angle.shape[1] * TAUGHT)
    return curves, angle[:, :taught].flatten(0, 2), angle[:, taught:].flatten(1, 2)


@torch.no_grad()
def views(without: Vae, knowing: Vae, new: Tensor, held_out: Tensor, place: int) -> dict[str, NDArray]:
    """A configuration (L, L) of the temperature number ``place``, what both models make of it, and the scale."""
    one = held_out[place, :1]
    found = knowing.decode(knowing.encode(one)[0])
    shown = {
        "configuration": one,
        "plain: mean decode": without.decode(without.encode(one)[0]).angle,
        "with energy: mean alone": found.angle,
        "with energy: drawn": drawn(found.angle, found.log_scale, torch.Generator().manual_seed(0)),
        "with energy: generated": new[place, :1],
        "with energy: scale": found.log_scale.exp(),
    }
    return {name: view[0].double().numpy() for name, view in shown.items()}


def chain_checks(curves: Curves) -> dict[str, Measured]:
    """The chain of one size against the reference."""
    side, coldest = curves.side, curves.temperatures[0]
    off = {name: np.abs(curves.deviations(name)) for name in QUANTITIES}
    cold = [at <= COLD for at in TEMPERATURES if at in curves.temperatures]
    # one of the N modes, the turn of all spins, has no energy
    series = -2 + coldest / 2 * (1 - 1 / side**2) + coldest**2 / 16
    top, height, unsure = curves.peak()
    return {f"{name}{side}": float(off[name][0][cold].max()) for name in ("e", "m", "Y")} | {
        f"all{side}": float(np.mean([off[name][1] < 3 for name in QUANTITIES])),
        f"cold{side}": abs(curves.at(coldest, "e")[0] - series),
        f"cross{side}": Mean(*curves.crossing()),
        f"peakT{side}": top,
        f"peakC{side}": Mean(height, unsure),
    }


def model_checks(plain: Evaluation, knowing: Evaluation, made: Physics) -> dict[str, float]:
    """A plain model, one with scale and energy, and what the latter generates."""
    e_plain, e_mean, e_closed = (float(one.mean()) for one in (plain.error, knowing.error, knowing.expected_error))
    read = {"T_m": knowing.magnetisation_read(), "T_Y": knowing.helicity_read(), "T_steep": knowing.steepest()}
    return read | {
        "ratio": e_plain / e_closed,
        "e_plain": e_plain,
        "e_mean": e_mean,
        "e_closed": e_closed,
        "z1": knowing.correlation,
        "z1_plain": plain.correlation,
        "e_rec": gap(knowing.drawn, knowing, "e"),
        "n_rec": factor(knowing.drawn, knowing),
        "n_cold": factor(knowing.drawn, knowing, 0.6, 0.7),
        "n_plain": factor(plain.mean, plain),
        "Y_rec": gap(knowing.drawn, knowing, "Y"),
        "e_new": gap(made, knowing, "e"),
        "n_new": factor(made, knowing),
        "Y_new": gap(made, knowing, "Y"),
    }


def gap(found: Physics, one: Evaluation, name: str) -> float:
    """Largest difference of a mean quantity from the configurations' at T <= COOL."""
    return float(np.abs(found[name] - one.true[name])[one.temperatures <= COOL].max())


def factor(found: Physics, one: Evaluation, low: float = COLD, high: float = COOL) -> float:
    """Largest ratio, whichever way, of vortex densities from one temperature to another; 1000 where one has none."""
    counted = (one.temperatures >= low) & (one.temperatures <= high)
    ratio = np.clip((found["n"][counted] + 1e-9) / (one.true["n"][counted] + 1e-9), 1e-3, 1e3)
    return float(np.maximum(ratio, 1 / ratio).max())


NAMES = {
    "e": "energy per site e (J)",
    "m": "magnetisation ⟨|m|⟩",
    "Y": "helicity modulus Υ (J)",
    "n": "vortices per plaquette n",
    "C": "specific heat per site C ($k_B$)",
}
COLOURS = ("#1f6fb4", "#d1632a")
TRUE, PLAIN, KNOWING, MADE, PALE = "black", "#c23b3b", "#1f6fb4", "#3a8a4d", "0.55"
AXIS_T = "temperature T (J / $k_B$)"


def draw_curves(album: Album, curves: Sequence[Curves]) -> None:
    """Five quantities with error bars on the reference, and all deviations in units of their errors."""
    with album.figure("xy_curves", (10, 6.4)) as figure:
        *panels, last = figure.subplots(2, 3).flat
        for one, colour, shift in zip(curves, COLOURS, (0.12, -0.12), strict=True):
            shared = np.isin(TEMPERATURES, one.temperatures)
            label, style = f"L = {one.side}", {"color": colour, "fmt": ".-", "lw": 0.8, "ms": 5, "capsize": 2}
            for row, (panel, name) in enumerate(zip(panels, QUANTITIES, strict=True)):
                given = (one.temperatures, one.value[name], one.error[name])
                panel.errorbar(*given, label=f"{label}, this chain", **style)
                at, table = np.array(TEMPERATURES)[shared], REFERENCE[one.side][name][shared]
                panel.plot(at, table, "o", mfc="none", mec=colour, ms=9, label=f"{label}, reference")
                panel.set(xlabel=AXIS_T, ylabel=NAMES[name])
                off = one.deviations(name)[1]
                last.plot(off, np.full(len(off), row + shift), "|", color=colour, ms=10, mew=1.5)
        panels[0].legend(frameon=False, fontsize=8)
        last.axvspan(-2, 2, color="0.92", zorder=0)
        last.set(yticks=range(len(QUANTITIES)), yticklabels=QUANTITIES, xlabel="deviation (combined standard errors)")


def draw_crossing(album: Album, curves: Sequence[Curves], found: Evaluation) -> None:
    """Helicity moduli against the line of the universal jump."""
    with album.figure("xy_crossing", (10, 5.2)) as figure:
        panel = figure.subplots()
        for one, colour in zip(curves, COLOURS, strict=True):
            style = {"color": colour, "fmt": "o-", "ms": 4, "lw": 1, "capsize": 2}
            panel.errorbar(one.temperatures, one.value["Y"], one.error["Y"], label=f"chain, L = {one.side}", **style)
            at, _ = one.crossing()
            panel.plot(at, 2 * at / np.pi, "*", ms=16, color=colour, label=f"crosses at T = {at:.3f}")
        at = found.temperatures
        panel.plot(at, found.drawn["Y"], "s--", mfc="none", color=MADE, label=f"draws of the model, L = {found.side}")
        panel.plot(at, found.mean["Y"], "v:", mfc="none", color=PALE, label="its mean decodes")
        panel.plot(np.array([0.5, 1.3]), np.array([1.0, 2.6]) / np.pi, "k-", lw=1, label="2T / π")
        panel.axvline(T_KT, color="0.6", lw=1, ls="--", label=f"$T_{{KT}}$ = {T_KT}")
        panel.set(xlim=(0.5, 1.3), ylim=(-0.05, 1.0), xlabel=AXIS_T, ylabel=NAMES["Y"])
        panel.set_title("The stiffness falls through 2T/π above $T_{KT}$, the farther above the smaller the lattice")
        panel.legend(frameon=False, fontsize=9)


def draw_energy(album: Album, plain: Evaluation, knowing: Evaluation, made: Physics) -> None:
    """Energy and vortices of configurations, their decodes and draws."""
    series = (
        (knowing.true, "o-", 6, TRUE, "configurations"),
        (plain.mean, "v--", 6, PLAIN, "plain: mean decode"),
        (knowing.mean, "^:", 6, PALE, "with energy: mean alone"),
        (knowing.drawn, "s-", 10, KNOWING, "with energy: drawn"),
        (made, "D", 6, MADE, "with energy: generated"),
    )
    with album.figure("xy_energy", (10, 5)) as figure:
        left, right = figure.subplots(1, 2)
        for panel, name in ((left, "e"), (right, "n")):
            for found, line, size, colour, label in series:
                # none seen has no place on a logarithmic axis
                shown = np.where(found[name] == 0, np.nan, found[name])
                panel.plot(knowing.temperatures, shown, line, ms=size, mfc="none", color=colour, label=label)
            panel.set(xlabel=AXIS_T, ylabel=NAMES[name])
        right.set(yscale="log", ylim=(1e-5, 0.5))
        left.legend(frameon=False, fontsize=9)


def draw_code(album: Album, found: Evaluation) -> None:
    """The leading number of the code against |m|, and against temperature with the transition read from it."""
    with album.figure("xy_code", (10, 5)) as figure:
        left, right = figure.subplots(1, 2)
        at, code = found.temperatures, found.code
        hue = np.repeat(at[:, None], code.shape[1], 1)
        figure.colorbar(left.scatter(code, found.size, c=hue, s=4, cmap="coolwarm"), ax=left, label=AXIS_T)
        left.set(xlabel="leading number of the code $z_1$", ylabel="magnetisation |m| of the configuration")
        left.set_title(f"$z_1$ is the magnetisation: correlation {found.correlation:.3f}", fontsize=11)
        right.errorbar(at, code.mean(1), code.std(1), fmt="o-", color=KNOWING, capsize=2, label="mean, spread")
        read, steepest = found.magnetisation_read(), found.steepest()
        right.axvline(T_KT, color="0.6", ls="--", label=f"$T_{{KT}}$ = {T_KT}")
        right.axvline(read, color=MADE, label=f"passes $(√2 L)^{{-1/8}}$ at T = {read:.3f}")
        right.axvline(steepest, color=COLOURS[1], ls=":", label=f"falls fastest at T = {steepest:.2f}")
        right.set(xlabel=AXIS_T, ylabel="$z_1$")
        right.set_title("The transition read from the code", fontsize=11)
        right.legend(frameon=False, fontsize=9)


def draw_configurations(album: Album, views: dict[str, NDArray]) -> None:
    """Five configurations of angles (L, L) with their vortices, and the scale (L, L), each with its name."""
    *configurations, (name, scale) = views.items()
    with album.figure("xy_configurations", (10, 7.4), layout="compressed") as figure:
        *panels, last = figure.subplots(2, 3).flat
        for panel, (label, angle) in zip(panels, configurations, strict=True):
            panel.imshow(angle, origin="lower", cmap="hsv", vmin=-np.pi, vmax=np.pi, alpha=0.35)
            panel.quiver(np.cos(angle), np.sin(angle), pivot="mid", scale=22, width=0.006)
            charge = winding(np.exp(1j * angle)[..., None])[..., 0]
            for sign, face in ((1, "black"), (-1, "white")):
                row, column = np.nonzero(charge == sign)
                panel.plot(column + 0.5, row + 0.5, "o", ms=7, mfc=face, mec="black")
            size = angle.shape[0]
            panel.set(xlim=(-0.5, size - 0.5), ylim=(-0.5, size - 0.5), xticks=[], yticks=[])
            panel.set_title(f"{label}\n{np.count_nonzero(charge)} vortices", fontsize=10)
        image = last.imshow(scale, origin="lower", cmap="viridis", vmin=0)
        last.set(xticks=[], yticks=[])
        last.set_title(name, fontsize=10)
        figure.colorbar(image, ax=last, label="radians")
