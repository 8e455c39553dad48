"""The topology along a slider, a blend or a recipe: a table over the strength, its changes, and the safe interval."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..errors import refuse
from .topology import Betti, betti_of_mesh

Mesh = Callable[[float], tuple[NDArray[np.floating], NDArray[np.integer]]]
"""From a strength to a closed mesh, vertices (n, 3) and faces (m, 3)."""


@dataclass(frozen=True)
class Solid:
    """A solid that changes with a strength."""

    betti: Callable[[float], Betti]  # its Betti numbers
    check: Callable[[float], Betti] | None = None  # the same at another resolution or by another reading of the grid
    grows: Callable[[float, float], bool | None] | None = None
    """Whether the solid gains material (True) or loses some (False) in a change between two strengths; None where
    neither explains the change."""

    def other(self, strength: float) -> Betti:
        """Betti numbers at the other resolution. Raises OmomiError(BAD_OPTION) when there is none."""
        if self.check is None:
            refuse("this shape has one resolution only, so there is nothing to compare it with")
        return self.check(strength)

    def watched(self, look: Callable[[], None]) -> Solid:
        """The same solid; ``look`` is called before its Betti numbers, and may raise to end a sweep."""

        def betti(strength: float) -> Betti:
            look()
            return self.betti(strength)

        return replace(self, betti=betti)

    @classmethod
    def of_mesh(cls, mesh: Mesh, other: Mesh | None = None) -> Solid:
        """The solid in a closed mesh, empty for a mesh without faces; ``other`` is the mesh at another resolution.

        The Betti numbers raise ValueError where the mesh is not closed.
        """
        check = None if other is None else lambda strength: _betti_of_mesh(*other(strength))
        return cls(lambda strength: _betti_of_mesh(*mesh(strength)), check)


def _betti_of_mesh(vertices: NDArray[np.floating], faces: NDArray[np.integer]) -> Betti:
    return betti_of_mesh(vertices, faces) if len(faces) else Betti(0, 0, 0)


@dataclass(frozen=True)
class Transition:
    """A change of topology somewhere between two strengths, with the Betti numbers at both."""

    low: float
    high: float
    before: Betti
    after: Betti

    @property
    def strength(self) -> float:
        """The middle; off by half of high - low at most."""
        return (self.low + self.high) / 2


@dataclass(frozen=True)
class Sweep:
    """The Betti numbers of a solid over the strength."""

    strengths: NDArray[np.float64]  # (n,), rising
    betti: NDArray[np.int64]  # (n, 3)
    unstable: NDArray[np.bool_] | None = None  # (n,), they differ at another resolution; None where not checked

    def at(self, row: int) -> Betti:
        return Betti(*self.betti[row].tolist())

    @property
    def changes(self) -> NDArray[np.int64]:
        """Rows after which the Betti numbers differ from the next row's."""
        return np.flatnonzero((self.betti[1:] != self.betti[:-1]).any(axis=1))

    @property
    def transitions(self) -> list[Transition]:
        """Every change between neighbouring rows, by rising strength."""
        return [
            Transition(float(self.strengths[row]), float(self.strengths[row + 1]), self.at(row), self.at(row + 1))
            for row in self.changes.tolist()
        ]

    def safe_interval(self, at: float = 0.0) -> tuple[float, float]:
        """The largest interval around ``at`` in which all rows have the same topology.

        Its ends are rows, where the topology is known. Inside a transition it is ``at`` alone. Raises
        OmomiError(BAD_OPTION) beyond the sweep.
        """
        if not self.strengths[0] <= at <= self.strengths[-1]:
            swept = f"{self.strengths[0]:g} to {self.strengths[-1]:g}"
            refuse(f"the strength {at:g} is not in the range that was swept, {swept}")
        row = int(np.searchsorted(self.strengths, at, side="right")) - 1
        if self.strengths[row] != at and row in self.changes:
            return at, at
        edges = np.concatenate([[-1], self.changes, [len(self.strengths) - 1]])
        run = int(np.searchsorted(edges, row))
        return float(self.strengths[edges[run - 1] + 1]), float(self.strengths[edges[run]])


def sweep(solid: Solid, low: float, high: float, steps: int, check: bool = False) -> Sweep:
    """Betti numbers at ``steps`` + 1 strengths from ``low`` to ``high``; check: also look at the other resolution.

    Raises OmomiError(BAD_OPTION) for an empty range, no steps, or a check where there is no other resolution.
    """
    if not (np.isfinite([low, high]).all() and low < high):
        refuse(f"a sweep needs two rising strengths, not {low:g} and {high:g}")
    if steps < 1:
        refuse("a sweep needs at least one step")
    return _table(solid, {}, {}, np.linspace(low, high, steps + 1).tolist(), check)


def denser(solid: Solid, rough: Sweep, strengths: NDArray[np.float64]) -> Sweep:
    """The sweep with rows at these strengths (n,) too."""
    known, flags = _rows(rough)
    return _table(solid, known, flags, sorted({*known, *strengths.tolist()}), rough.unstable is not None)


def refine(solid: Solid, rough: Sweep, tolerance: float, near: float | None = None, most: int = 0) -> Sweep:
    """The sweep with rows added around every change until both sides are within ``tolerance``. Several changes between
    two rows are separated where they are farther apart than that. near: of a row: refine the ``most`` changes next
    to it on either side only, since walls that are thinner than the grid have any number of them.

    Raises OmomiError(BAD_OPTION) for a tolerance that is not positive.
    """
    if not tolerance > 0:
        refuse("the tolerance of a sweep must be positive")
    known, flags = _rows(rough)
    between = [(change.low, change.high) for change in rough.transitions]
    below = [] if near is None else [ends for ends in between if ends[1] <= near]
    for up, waiting in ((False, below), (True, between[len(below) :][::-1])):
        # the nearest one stands last
        found = 0
        while waiting and (near is None or found < most):
            low, high = waiting.pop()
            middle = (low + high) / 2
            if known[low] == known[high]:
                continue
            if high - low <= tolerance or not low < middle < high:
                found += 1
                continue
            known[middle] = solid.betti(middle)
            halves = [(low, middle), (middle, high)]
            waiting += halves[::-1] if up else halves
    return _table(solid, known, flags, sorted(known), rough.unstable is not None)


def _rows(found: Sweep) -> tuple[dict[float, Betti], dict[float, bool]]:
    """Betti numbers by the strength, and whether they are unstable where that was checked."""
    known = {strength: found.at(row) for row, strength in enumerate(found.strengths.tolist())}
    return known, {} if found.unstable is None else dict(zip(known, found.unstable.tolist(), strict=True))


def _table(
    solid: Solid, known: dict[float, Betti], flags: dict[float, bool], strengths: list[float], check: bool
) -> Sweep:
    """Rows at ``strengths``; Betti numbers and flags that are known already are not computed again."""
    betti = [known[strength] if strength in known else solid.betti(strength) for strength in strengths]
    unstable = None
    if check:
        unstable = [
            flags[strength] if strength in flags else solid.other(strength) != found
            for strength, found in zip(strengths, betti, strict=True)
        ]
    return Sweep(np.array(strengths), np.array(betti, np.int64), None if unstable is None else np.array(unstable))
