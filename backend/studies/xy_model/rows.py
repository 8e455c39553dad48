"""The study's rows: the chain against the reference, the models against the configurations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ..claims import Claim, Source
from .chain import QUANTITIES, Curves
from .judge import Judged, Physics
from .reference import CROSSING, ERRORS, PEAK, REFERENCE, T_KT, TEMPERATURES

COLD = 0.8
"""Temperature up to which the chain is held to the reference quantity by quantity."""
COOL = 1.0
"""Temperature up to which the models' energies are held to those of the configurations."""


def deviations(curves: Curves, name: str) -> NDArray[np.float64]:
    """From the reference at the temperatures of both, in units of both errors together."""
    found = [
        (curves.at(at, name), wanted)
        for at, wanted in zip(TEMPERATURES, REFERENCE[curves.side][name], strict=True)
        if at in curves.temperatures
    ]
    return np.array([(value - wanted) / np.hypot(error, ERRORS[name]) for (value, error), wanted in found])


def chain_rows(curves: Curves) -> list[Claim]:
    """The chain of one size."""
    side = curves.side
    table = REFERENCE[side]
    lattice = f"L = {side}"
    computed = partial(Claim, source=Source.COMPUTED)

    def worst(name: str) -> float:
        at = [at for at in TEMPERATURES if at <= COLD and at in curves.temperatures]
        return max(abs(curves.at(each, name)[0] - table[name][TEMPERATURES.index(each)]) for each in at)

    off = np.abs(np.concatenate([deviations(curves, name) for name in QUANTITIES]))
    coldest = curves.temperatures[0]
    # one of the N modes, the turn of all spins, has no energy
    series = -2 + coldest / 2 * (1 - 1 / side**2) + coldest**2 / 16
    crossing, blur = curves.crossing()
    top, height, unsure = curves.peak()
    aim, (aim_top, aim_height) = round(CROSSING[side], 2), PEAK[side]
    exact = abs(curves.at(coldest, "e")[0] - series)
    far = f"largest deviation at T ≤ {COLD:g}"
    return [
        computed(f"e{side}", f"{lattice}: energy, {far}", worst("e"), high=0.002),
        computed(f"m{side}", f"{lattice}: magnetisation, {far}", worst("m"), high=0.005),
        computed(f"Y{side}", f"{lattice}: helicity modulus, {far}", worst("Y"), high=0.01),
        computed(
            f"all{side}", f"{lattice}: e, m, Y, n, C at all T, share within 3 errors", float((off < 3).mean()), 0.95
        ),
        Claim(
            f"cold{side}", f"{lattice}: e against spin waves, T = {coldest:g}", exact, high=5e-4, source=Source.EXACT
        ),
        computed(f"cross{side}", f"{lattice}: T where Υ = 2T/π", crossing, aim - 0.02, aim + 0.02, blur),
        computed(f"peakT{side}", f"{lattice}: T of the specific heat's peak", top, aim_top - 0.03, aim_top + 0.03),
        computed(f"peakC{side}", f"{lattice}: its height", height, aim_height - 0.06, aim_height + 0.06, unsure),
    ]


def model_rows(plain: Sequence[Judged], knowing: Sequence[Judged], made: Sequence[Physics]) -> list[Claim]:
    """Plain models, those with scale and energy, and what the latter generate; one of each per seed."""
    row = Claim.over_seeds

    def each(measured: Callable[[Judged], float]) -> list[float]:
        return [measured(one) for one in knowing]

    def against(measured: Callable[[Physics, Judged], float]) -> list[float]:
        return [measured(new, one) for new, one in zip(made, knowing, strict=True)]

    ratio = [float(one.error.mean() / other.expected_error.mean()) for one, other in zip(plain, knowing, strict=True)]
    cool, counted = f"worst of T ≤ {COOL:g}", f"worst of T = {COLD:g} to {COOL:g}"
    around = (T_KT - 0.1, T_KT + 0.1)
    tails = "one plaquette in 10⁴ has a vortex: noise that is independent from site to site makes pairs in its tails"
    chosen = "the weight of the energy difference was chosen on these configurations; the layers and the code were not"
    small = "|m| itself falls fastest there: on so small a lattice above T_KT by about π² / (4c ln² L)"
    return [
        row("ratio", "energy error: plain mean decode over closed form of mean and scale", ratio, 3),
        row(
            "e_plain", "mean |H(x_rec) - H(x)| per site, plain mean decode", [float(one.error.mean()) for one in plain]
        ),
        row("e_mean", "the same, mean decode of the model with scale", each(lambda j: float(j.error.mean()))),
        row("e_closed", "the same, closed form of mean and scale", each(lambda j: float(j.expected_error.mean()))),
        row("z1", "correlation of the leading code with |m|", each(lambda j: j.correlation), 0.9),
        row("z1_plain", "the same, plain model", [one.correlation for one in plain]),
        row("T_m", "transition read from z1: |m| = (√2 L)^(-1/8)", each(Judged.magnetisation_read), *around),
        row("T_Y", "transition read from draws of the codes: Υ = 2T/π", each(Judged.helicity_read), *around),
        row("T_steep", "steepest fall of z1", each(Judged.steepest), note=small),
        row("e_rec", f"drawn: mean energy off, {cool}", each(lambda j: gap(j.drawn, j, "e")), high=0.05, note=chosen),
        row("n_rec", f"drawn: vortex density off by a factor, {counted}", each(lambda j: factor(j.drawn, j)), 1, 2),
        row("n_cold", "the same at T = 0.6 to 0.7", each(lambda j: factor(j.drawn, j, 0.6, 0.7)), note=tails),
        row(
            "n_plain",
            f"plain mean decode: vortex density off by a factor, {counted}",
            [factor(one.mean, one) for one in plain],
        ),
        row("Y_rec", f"drawn: helicity modulus off, {cool}", each(lambda j: gap(j.drawn, j, "Y"))),
        row("e_new", f"generated: mean energy off, {cool}", against(lambda new, j: gap(new, j, "e"))),
        row("n_new", f"generated: vortex density off by a factor, {counted}", against(factor)),
        row("Y_new", f"generated: helicity modulus off, {cool}", against(lambda new, j: gap(new, j, "Y"))),
    ]


def gap(found: Physics, judged: Judged, name: str) -> float:
    """Largest difference of a mean quantity from the configurations' at T <= COOL."""
    off = np.abs(getattr(found, name) - getattr(judged.true, name))
    return float(off[judged.temperatures <= COOL].max())


def factor(found: Physics, judged: Judged, low: float = COLD, high: float = COOL) -> float:
    """Largest ratio, whichever way, of vortex densities from one temperature to another; 1000 where one has none."""
    counted = (judged.temperatures >= low) & (judged.temperatures <= high)
    ratio = np.clip((found.n[counted] + 1e-9) / (judged.true.n[counted] + 1e-9), 1e-3, 1e3)
    return float(np.maximum(ratio, 1 / ratio).max())
