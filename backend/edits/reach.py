"""How far a slider goes on a scan before the topology changes, and from where on an artist sees what it does."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ..geometry.moving_solid import betti_of_solid, enough_steps
from ..geometry.normals import normals_of
from ..geometry.topology import Betti, describe
from ..geometry.topology_sweep import Solid, Sweep, refine, sweep
from ..scan.prepare import LONGEST_SIDE
from .fitted_scan import EditableMesh
from .stack import Stack

STEPS = 8
"""Fewest steps along a slider."""
STRIDE = 4
"""Steps between two looks at whether a reach has ended."""
FINENESS, FINER = 128, 512
"""The end of a reach is found to one part in so many of the slider; that of a scan's own slider to a smaller one."""
VISIBLE, SHADED = 1e-3, 3.0
"""What an artist sees: vertices that move by this share of the longest side, a pixel of a tall screen, or turn by so
many degrees, which changes their shade."""
TURNS = 3
"""Looks at how far they turn."""
FASTEST = 0.99
"""Quantile of the vertices that have to: one in a hundred is a place, fewer are specks."""


@dataclass(frozen=True)
class Reach:
    """How far a slider goes before the topology changes."""

    name: str
    unit: str
    low: float
    high: float
    safe: tuple[float, float]  # within low .. high
    below: str = ""  # what happens below ``safe``; empty at the end of the slider
    above: str = ""
    foretold: bool = False  # from the walls that face each other, without a sweep
    unsure: bool = False  # somewhere within ``safe`` the answer depends on the grid


@dataclass(frozen=True)
class Travel:
    """What a slider can do on a scan, both around 0. safe: strengths between which the topology stays, the ends of the
    range where it stays within it. seen: the first below and above 0 at which an artist sees a difference, the ends of
    the range where that is not within it."""

    safe: tuple[float, float]
    seen: tuple[float, float]


def measured_travel(mesh: EditableMesh, move: NDArray, low: float, high: float, solid: Solid | None = None) -> Travel:
    """The travel of a slider that moves a mesh by strength * move (n, 3), canonical, within ``low`` <= 0 <= ``high``.
    A mesh without an inside keeps its topology. solid: as of `counted_solid`, where it is needed elsewhere too."""
    seen = first_seen(mesh, move, low), first_seen(mesh, move, high)
    if not mesh.closed:
        return Travel((low, high), seen)
    counted = counted_solid(mesh, move) if solid is None else solid
    fastest = float(np.linalg.norm(move, axis=1).max(initial=0.0))
    below, above = (
        _kept(counted, end, enough_steps(abs(end) * fastest), first)
        for end, first in zip((low, high), seen, strict=True)
    )
    return Travel((below, above), seen)


def counted_solid(mesh: EditableMesh, move: NDArray) -> Solid:
    """The solid inside a closed mesh that is moved, as of `moving_solid` but read on one grid, in half the time."""

    @cache
    def betti(strength: float) -> Betti:
        return betti_of_solid(mesh.vertices + strength * move, mesh.faces)

    return Solid(betti)


def _kept(solid: Solid, end: float, steps: int, first: float) -> float:
    """The last strength from 0 towards ``end`` with the topology of 0, where a look at ``steps`` strengths, and then at
    STEPS on the way to what these leave, finds no other. No closer than what an artist sees at ``first``."""
    give, count = abs(end) / FINER, max(STEPS, steps)
    while True:
        safe = _side(solid, end, count, give)[0]
        if safe == end or abs(safe) < abs(first) or abs(safe / end) * count >= STEPS:
            return safe
        end, count = safe, STEPS


def layer_travel(stack: Stack, number: int) -> Travel:
    """The travel of a layer by itself, within the strengths that its edit is made for. Raises as `Stack.layer`."""
    _, edit = stack.layer(number)
    return measured_travel(stack.mesh, stack.displacements[number].move, *edit.seen)


def first_seen(mesh: EditableMesh, move: NDArray, end: float) -> float:
    """From 0 towards ``end`` the first strength at which vertices + strength * move look different; ``end`` where none
    does."""
    moved = np.isfinite(mesh.vertices).all(axis=1) & mesh.normals.any(axis=1)
    fastest = float(np.quantile(np.linalg.norm(move[moved], axis=1), FASTEST)) if moved.any() else 0.0
    if fastest == 0.0:
        return end
    most = strength = min(VISIBLE * LONGEST_SIDE / fastest, abs(end))
    for _ in range(TURNS):
        normals = normals_of(mesh.vertices + np.copysign(strength, end) * move, mesh.faces)
        cosine = float(np.quantile(np.einsum("ij,ij->i", normals, mesh.normals)[moved], 1 - FASTEST))
        turned = float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))
        if not strength < most and turned <= SHADED:
            break
        # so small a turn nearly goes in proportion to the strength
        strength = min(most, strength * SHADED / turned)
    return float(np.copysign(strength, end))


def swept_reach(solid: Solid, name: str, unit: str, low: float, high: float, steps: int) -> Reach:
    """The reach around 0 of a solid that changes with a strength, ``low`` <= 0 <= ``high``, in about ``steps`` steps.
    Only the changes nearest to 0 are found, and bisected."""
    give = (high - low) / FINENESS
    (first, below, odd), (last, above, strange) = (
        _side(solid, end, max(1, round(steps * abs(end) / (high - low))), give) for end in (low, high)
    )
    return Reach(name, unit, low, high, (first, last), below, above, unsure=odd or strange)


def _side(solid: Solid, end: float, steps: int, give: float) -> tuple[float, str, bool]:
    """From 0 towards ``end``, a few steps at a time: the last safe strength, what happens there, and whether the answer
    depends on the grid somewhere on the way."""
    strengths, unsure = np.linspace(0.0, end, steps + 1).tolist(), False
    for start in range(0, steps if end else 0, STRIDE):
        here = strengths[start : start + STRIDE + 1]
        found = sweep(solid, min(here[0], here[-1]), max(here[0], here[-1]), len(here) - 1, solid.check is not None)
        safe, change = _end(solid, found, give, end > 0)
        on_the_way = found.strengths <= safe if end > 0 else found.strengths >= safe
        unsure |= found.unstable is not None and bool(found.unstable[on_the_way].any())
        if change:
            return safe, change, unsure
    return end, "", unsure


def _end(solid: Solid, found: Sweep, give: float, upwards: bool) -> tuple[float, str]:
    """The last strength of a sweep, seen from 0, with the topology of its start, and what happens there."""
    outward = 1 if upwards else -1
    changes = found.changes[::outward]
    if not len(changes):
        return float(found.strengths[::outward][-1]), ""
    rows = slice(changes[0], changes[0] + 2)
    closer = refine(solid, Sweep(found.strengths[rows], found.betti[rows]), give).transitions[::outward][0]
    inside, beyond = (closer.low, closer.high)[::outward]
    before, after = (closer.before, closer.after)[::outward]
    grows = None if solid.grows is None else solid.grows(inside, beyond)
    return inside, describe(before, after, grows=grows)
