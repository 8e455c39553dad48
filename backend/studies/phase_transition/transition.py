"""C2: along t the topology jumps at one place, while weights and volume hardly move.

The sweep, its refinement and what is a change are the product's (weights/sweep.py), on marching-cubes meshes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...geometry.topology_sweep import Solid, Sweep, refine, sweep
from .families import FAMILIES
from .net import Conditional, field_of
from .solids import Mesh, mesh_of

TOLERANCE = 1e-4
AROUND = 0.04
"""How far from a transition it is looked for on the finer grid."""
NEVER = 1.0
"""Stands for a difference of t* where a grid sees no transition."""

Path = Callable[[float], Tensor]
"""From t to a net theta (LENGTH,)."""


@dataclass(frozen=True)
class Crossing:
    """One sweep over t. volumes (n,), cubic units; steps: rows from the first change to the last; jump: relative change
    of the volume over them, shift: of the weights; critical: t* on each grid, None where it is not seen."""

    family: str
    table: Sweep
    volumes: NDArray[np.float64]
    steps: int
    jump: float
    shift: float
    critical: tuple[float | None, float | None]
    right: bool

    @property
    def gap(self) -> float:
        """Between t* of the two grids."""
        first, second = self.critical
        return NEVER if first is None or second is None else abs(first - second)


def conditioned(net: Conditional, family: int, girth: float = 0.0, knob: float = 0.0) -> Path:
    """theta(c) with c from one shape to another."""
    return lambda t: net.of_shapes(family, torch.tensor([[t, girth, knob]]))[0]


def straight(net: Conditional, family: int) -> Path:
    """The straight line in weight space between theta at t = 0 and t = 1."""
    path = conditioned(net, family)
    low, high = path(0.0), path(1.0)
    return lambda t: torch.lerp(low, high, t)


def cross(path: Path, family: int, steps: int, sides: tuple[int, int], tolerance: float = TOLERANCE) -> Crossing:
    """Sweep a path in ``steps`` steps on the first grid, and find t* on both to half of ``tolerance``."""

    @cache
    def mesh(t: float) -> Mesh:
        return mesh_of(field_of(path(t)), sides[0])

    def finer(t: float) -> tuple[NDArray, NDArray]:
        found = mesh_of(field_of(path(t)), sides[1])
        return found.vertices, found.faces

    solid = Solid.of_mesh(lambda t: (mesh(t).vertices, mesh(t).faces))
    table = sweep(solid, 0.0, 1.0, steps)
    volumes = np.array([mesh(t).volume for t in table.strengths.tolist()])
    kind = FAMILIES[family]
    right = (table.at(0), table.at(-1)) == (kind.before, kind.after)
    if not len(table.changes):
        return Crossing(kind.name, table, volumes, steps + 1, NEVER, NEVER, (None, None), right)
    first, last = int(table.changes[0]), int(table.changes[-1]) + 1
    ends = path(float(table.strengths[first])), path(float(table.strengths[last]))
    here = _critical(solid, table, tolerance)
    there = None
    if here is not None:
        fine = Solid.of_mesh(finer)
        there = _critical(fine, sweep(fine, max(here - AROUND, 0), min(here + AROUND, 1), 2), tolerance)
    return Crossing(
        kind.name,
        table,
        volumes,
        last - first,
        float(abs(volumes[last] - volumes[first]) / max(volumes[first], 1e-9)),
        float((ends[1] - ends[0]).norm() / ends[0].norm()),
        (here, there),
        right,
    )


def _critical(solid: Solid, table: Sweep, tolerance: float) -> float | None:
    """Where the last change lies: the one that stays."""
    if not table.transitions:
        return None
    last = table.transitions[-1]
    return refine(solid, sweep(solid, last.low, last.high, 1), tolerance).transitions[-1].strength
