"""The study's five pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from .chain import QUANTITIES, Curves
from .judge import Judged, Physics
from .observables import winding
from .reference import REFERENCE, T_KT, TEMPERATURES
from .rows import deviations

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


def curves_against_reference(curves: Sequence[Curves], path: Path) -> None:
    """Five quantities with error bars on the reference, and all deviations in units of their errors."""
    figure = Figure(figsize=(10, 6.4), layout="constrained")
    *panels, last = figure.subplots(2, 3).flat
    for one, colour, shift in zip(curves, COLOURS, (0.12, -0.12), strict=True):
        shared = np.isin(TEMPERATURES, one.temperatures)
        for row, (panel, name) in enumerate(zip(panels, QUANTITIES, strict=True)):
            style = {"color": colour, "fmt": ".-", "lw": 0.8, "ms": 5, "capsize": 2}
            label = f"L = {one.side}"
            panel.errorbar(one.temperatures, one.value[name], one.error[name], label=f"{label}, this chain", **style)
            at, table = np.array(TEMPERATURES)[shared], np.array(REFERENCE[one.side][name])[shared]
            panel.plot(at, table, "o", mfc="none", mec=colour, ms=9, label=f"{label}, reference")
            panel.set(xlabel=AXIS_T, ylabel=NAMES[name])
            off = deviations(one, name)
            last.plot(off, np.full(len(off), row + shift), "|", color=colour, ms=10, mew=1.5)
    panels[0].legend(frameon=False, fontsize=8)
    last.axvspan(-2, 2, color="0.92", zorder=0)
    last.set(yticks=range(len(QUANTITIES)), yticklabels=QUANTITIES, xlabel="deviation (combined standard errors)")
    figure.suptitle("The chain of the 2D XY model lies on the reference at every temperature")
    figure.savefig(path, dpi=100)


def helicity_crossing(curves: Sequence[Curves], judged: Judged, path: Path) -> None:
    """Helicity moduli against the line of the universal jump."""
    figure = Figure(figsize=(10, 5.2), layout="constrained")
    panel = figure.subplots()
    for one, colour in zip(curves, COLOURS, strict=True):
        style = {"color": colour, "fmt": "o-", "ms": 4, "lw": 1, "capsize": 2}
        panel.errorbar(one.temperatures, one.value["Y"], one.error["Y"], label=f"chain, L = {one.side}", **style)
        at, _ = one.crossing()
        panel.plot(at, 2 * at / np.pi, "*", ms=16, color=colour, label=f"crosses at T = {at:.3f}")
    at = judged.temperatures
    panel.plot(at, judged.drawn.Y, "s--", mfc="none", color=MADE, label=f"draws of the model, L = {judged.side}")
    panel.plot(at, judged.mean.Y, "v:", mfc="none", color=PALE, label="its mean decodes")
    panel.plot(np.array([0.5, 1.3]), np.array([1.0, 2.6]) / np.pi, "k-", lw=1, label="2T / π")
    panel.axvline(T_KT, color="0.6", lw=1, ls="--", label=f"$T_{{KT}}$ = {T_KT}")
    panel.set(xlim=(0.5, 1.3), ylim=(-0.05, 1.0), xlabel=AXIS_T, ylabel=NAMES["Y"])
    panel.set_title("The stiffness falls through 2T/π above $T_{KT}$, the farther above the smaller the lattice")
    panel.legend(frameon=False, fontsize=9)
    figure.savefig(path, dpi=100)


def energy_of_decodes(plain: Judged, knowing: Judged, made: Physics, path: Path) -> None:
    """Energy and vortices of configurations, their decodes and draws."""
    figure = Figure(figsize=(10, 5), layout="constrained")
    left, right = figure.subplots(1, 2)
    series = (
        (knowing.true, "o-", 6, TRUE, "configurations"),
        (plain.mean, "v--", 6, PLAIN, "plain: mean decode"),
        (knowing.mean, "^:", 6, PALE, "with energy: mean alone"),
        (knowing.drawn, "s-", 10, KNOWING, "with energy: drawn"),
        (made, "D", 6, MADE, "with energy: generated"),
    )
    for panel, name in ((left, "e"), (right, "n")):
        for physics, line, size, colour, label in series:
            values = np.asarray(getattr(physics, name))
            shown = np.where(values == 0, np.nan, values)  # none seen has no place on a logarithmic axis
            panel.plot(knowing.temperatures, shown, line, ms=size, mfc="none", color=colour, label=label)
        panel.set(xlabel=AXIS_T, ylabel=NAMES[name])
    right.set(yscale="log", ylim=(1e-5, 0.5))
    left.legend(frameon=False, fontsize=9)
    figure.suptitle("A mean decode is too cold; the scale gives the energy back, and with it the vortices")
    figure.savefig(path, dpi=100)


def code_against_magnetisation(judged: Judged, path: Path) -> None:
    """The leading number of the code against |m|, and against temperature with the transition read from it."""
    figure = Figure(figsize=(10, 5), layout="constrained")
    left, right = figure.subplots(1, 2)
    at = judged.temperatures
    hue = np.repeat(at[:, None], judged.code.shape[1], 1)
    dots = left.scatter(judged.code, judged.size, c=hue, s=4, cmap="coolwarm")
    figure.colorbar(dots, ax=left, label=AXIS_T)
    left.set(xlabel="leading number of the code $z_1$", ylabel="magnetisation |m| of the configuration")
    left.set_title(f"$z_1$ is the magnetisation: correlation {judged.correlation:.3f}", fontsize=11)
    right.errorbar(
        at, judged.code.mean(1), judged.code.std(1), fmt="o-", color=KNOWING, capsize=2, label="mean, spread"
    )
    read, steepest = judged.magnetisation_read(), judged.steepest()
    right.axvline(T_KT, color="0.6", ls="--", label=f"$T_{{KT}}$ = {T_KT}")
    right.axvline(read, color=MADE, label=f"passes $(√2 L)^{{-1/8}}$ at T = {read:.3f}")
    right.axvline(steepest, color=COLOURS[1], ls=":", label=f"falls fastest at T = {steepest:.2f}")
    right.set(xlabel=AXIS_T, ylabel="$z_1$")
    right.set_title("The transition read from the code", fontsize=11)
    right.legend(frameon=False, fontsize=9)
    figure.savefig(path, dpi=100)


def configuration_and_decodes(pictures: Sequence[tuple[str, NDArray[np.float64]]], title: str, path: Path) -> None:
    """Five configurations of angles (L, L) with their vortices, and the scale (L, L), each with its name."""
    figure = Figure(figsize=(10, 7.4), layout="compressed")
    *panels, last = figure.subplots(2, 3).flat
    *configurations, (name, scale) = pictures
    for panel, (label, angle) in zip(panels, configurations, strict=True):
        _draw_spins(panel, angle, label)
    image = last.imshow(scale, origin="lower", cmap="viridis", vmin=0)
    last.set(xticks=[], yticks=[])
    last.set_title(name, fontsize=10)
    figure.colorbar(image, ax=last, label="radians")
    figure.suptitle(f"{title} (colour and arrow: angle; vortices: ● +1, ○ -1)")
    figure.savefig(path, dpi=100)


def _draw_spins(panel: Axes, angle: NDArray[np.float64], label: str) -> None:
    panel.imshow(angle, origin="lower", cmap="hsv", vmin=-np.pi, vmax=np.pi, alpha=0.35)
    panel.quiver(np.cos(angle), np.sin(angle), pivot="mid", scale=22, width=0.006)
    charge = winding(np.exp(1j * angle)[..., None])[..., 0]
    for sign, face in ((1, "black"), (-1, "white")):
        row, column = np.nonzero(charge == sign)
        panel.plot(column + 0.5, row + 0.5, "o", ms=7, mfc=face, mec="black")
    panel.set(xlim=(-0.5, angle.shape[1] - 0.5), ylim=(-0.5, angle.shape[0] - 0.5), xticks=[], yticks=[])
    panel.set_title(f"{label}\n{np.count_nonzero(charge)} vortices", fontsize=10)
