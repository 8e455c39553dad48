"""Directions in a space of codes (n, d), as sliders: found with labels or without, freed of each other, named once
measured.

With labels a direction is the least-squares fit of a label to the whitened codes, less what it shares with the
directions of other labels ("weights2weights", Dravid et al. 2024). Where the shapes of a family lie on a curved sheet
among the codes, a slider may be bent along a polynomial of the labels. Without labels, directions are principal
components, ranked by how little of a shape they move (Wu et al. 2021, "StyleSpace analysis").
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .disentanglement_metrics import SideEffects

Table = NDArray[np.float64]

LEAST_SPREAD = 1e-3  # standard deviation, relative to the largest, below which a component is rounding
SHAPES_PER_TERM = 5  # of a fit, at least: with fewer, least squares fits chance
REACH = (1.0, 99.0)  # percentiles of the shapes it was learned from, at which a slider ends
OWN_EFFECT = 0.5  # least effect of one unit on what a slider is named after, standard deviations
SIDE_EFFECT = 0.15  # largest mean effect on all else, per own effect: an artist does not notice a sixth of a step
WORST_CONDITION = 100.0  # labels whose directions are as nearly the same as this cannot be told apart


@dataclass(frozen=True)
class Sliders:
    """k sliders over codes with d numbers. A unit is one standard deviation of what the slider is for."""

    directions: Table  # (k, d): what one unit adds to a code
    readings: Table  # (k, d): a code stands at ``readings @ (code - centre)``, in units
    centre: Table  # (d,)
    low: Table  # (k,): lower end of the reach, in units
    high: Table  # (k,): upper end of the reach, in units
    names: tuple[str, ...]  # empty where a slider has not earned one
    degree: int = 1  # above 1 the sliders are bent
    bend: Table | None = field(default=None, repr=False)  # (m, d): per product of positions; None where straight

    def __len__(self) -> int:
        return len(self.directions)

    def positions(self, codes: ArrayLike) -> Table:
        """Where codes (n, d) stand on every slider (n, k), in units."""
        return (np.asarray(codes, np.float64) - self.centre) @ self.readings.T

    def moved(self, codes: ArrayLike, amounts: ArrayLike) -> Table:
        """Codes (n, d) after a move by amounts (k,) or (n, k), in units. What of a code no slider explains stays."""
        table = np.asarray(codes, np.float64)
        steps = np.broadcast_to(np.asarray(amounts, np.float64), (len(table), len(self)))
        result = table + steps @ self.directions
        if self.bend is not None:
            here = self.positions(table)
            result += (products(here + steps, self.degree) - products(here, self.degree)) @ self.bend
        return result

    def turned(self, signs: ArrayLike) -> Sliders:
        """The same sliders, those with a sign (k,) of -1 the other way round."""
        sign = np.asarray(signs, np.float64)
        low, high = np.sort(np.stack((self.low * sign, self.high * sign)), axis=0)
        bend = None if self.bend is None else self.bend * products(sign[None], self.degree).T
        directions, readings = self.directions * sign[:, None], self.readings * sign[:, None]
        return replace(self, directions=directions, readings=readings, low=low, high=high, bend=bend)


def products(positions: ArrayLike, degree: int) -> Table:
    """Products (n, m) of two to ``degree`` of the columns of positions (n, k), each with repetition."""
    table = np.asarray(positions, np.float64)
    columns = [
        table[:, chosen].prod(axis=1)
        for number in range(2, degree + 1)
        for chosen in map(list, combinations_with_replacement(range(table.shape[1]), number))
    ]
    return np.stack(columns, axis=1) if columns else np.zeros((len(table), 0))


@dataclass(frozen=True)
class Whitening:
    """Principal components of codes."""

    centre: Table  # (d,)
    components: Table  # (q, d), orthonormal, most spread first
    spread: Table  # (q,): standard deviations of the codes along the components

    def whitened(self, codes: ArrayLike) -> Table:
        """Coordinates (n, q), uncorrelated and of variance 1 over the codes this was made from."""
        return (np.asarray(codes, np.float64) - self.centre) @ self.components.T / self.spread


def whitening(codes: ArrayLike, most: int | None = None) -> Whitening:
    """Principal components of codes (n, d), at most ``most``, without those that are nothing but rounding. Raises
    ValueError for fewer than two codes, for numbers that are not finite, and where no code differs."""
    table = np.asarray(codes, np.float64)
    if table.ndim != 2 or len(table) < 2 or not np.isfinite(table).all():
        raise ValueError(f"at least two codes of finite numbers, not a table of {table.shape}")
    centre = table.mean(axis=0)
    _, values, components = np.linalg.svd(table - centre, full_matrices=False)
    spread = values / np.sqrt(len(table))
    if spread[0] <= 1e-12 * max(np.abs(table).max(), 1e-30):
        raise ValueError("the codes are all the same")
    kept = np.flatnonzero(spread > LEAST_SPREAD * spread[0])[:most]
    # a component's sign is arbitrary: its largest number is made positive, so that it is the same everywhere
    largest = np.abs(components).argmax(axis=1)
    components = components * np.sign(components[np.arange(len(components)), largest])[:, None]
    return Whitening(centre, components[kept], spread[kept])


def principal(codes: ArrayLike, count: int) -> Sliders:
    """The first ``count`` principal components as sliders, unnamed: a unit is one standard deviation. Raises ValueError
    as `whitening` does."""
    white = whitening(codes, count)
    directions = white.components * white.spread[:, None]
    readings = white.components / white.spread[:, None]
    return _sliders(codes, directions, readings, white.centre)


def labelled(codes: ArrayLike, labels: ArrayLike, debias: bool = True, degree: int = 1) -> Sliders:
    """Sliders of labels (n, k) on codes (n, d), unnamed: a unit raises the label, as read from codes, by one standard
    deviation.

    debias: whether what each shares with the others is taken out, so that it moves no other label, as read from codes;
    of all such moves it is the one that leaves the codes most likely. degree: above 1 the sliders are bent, and freed
    of each other by being fitted together: codes are fitted by a polynomial of the labels. Raises ValueError as
    `whitening` does, for a label that does not vary, where labels cannot be told from each other, and where there are
    too few codes for the polynomial.
    """
    table, wanted = np.asarray(codes, np.float64), np.asarray(labels, np.float64)
    if wanted.ndim != 2 or len(wanted) != len(table) or not np.isfinite(wanted).all():
        raise ValueError(f"a row of finite labels for each code, not a table of {wanted.shape}")
    spread = wanted.std(axis=0)
    if not (spread > 0).all():
        raise ValueError("a label does not vary")
    white = whitening(table, max(len(table) // SHAPES_PER_TERM, 1))
    wanted = (wanted - wanted.mean(axis=0)) / spread
    # whitened codes are orthogonal, which makes the pseudoinverse their transpose
    weights = white.whitened(table).T @ wanted / len(table)
    lengths = np.linalg.norm(weights, axis=0)
    if not (lengths > 1e-9).all():
        raise ValueError("nothing of a label can be read from the codes")
    readings = (weights.T / white.spread) @ white.components
    if degree > 1:
        terms = np.concatenate((np.ones((len(table), 1)), wanted, products(wanted, degree)), axis=1)
        if len(terms) < SHAPES_PER_TERM * terms.shape[1]:
            raise ValueError(f"{len(terms)} codes are too few for a polynomial of {terms.shape[1]} terms")
        fitted = np.linalg.lstsq(terms, table, rcond=None)[0]
        count = wanted.shape[1]
        return _sliders(table, fitted[1 : 1 + count], readings, white.centre, degree, fitted[1 + count :])
    moves = weights.T
    if debias:
        if len(weights) < weights.shape[1] or np.linalg.cond(weights / lengths) > WORST_CONDITION:
            raise ValueError("two labels cannot be told apart by the codes")
        moves = debiased(moves)
    moves = moves / (moves * weights.T).sum(axis=1, keepdims=True)
    return _sliders(table, (moves * white.spread) @ white.components, readings, white.centre)


def debiased(directions: ArrayLike) -> Table:
    """Each of the directions (k, q) without what it shares with any of the others: d -= (d . e / |e|^2) e, for all e at
    once, which for directions e that are not orthogonal is not the same as one after the other."""
    table = np.asarray(directions, np.float64)
    free = table.copy()
    for number in range(len(table)):
        others = np.delete(table, number, axis=0)
        if len(others):
            free[number] -= np.linalg.lstsq(others.T, table[number], rcond=None)[0] @ others
    return free


def locality(effects: ArrayLike) -> Table:
    """Share (s,) of a shape that each slider moves, from how far (s, places) it moves each place: the participation
    ratio (sum e^2)^2 / (places sum e^4), 1 for a slider that moves nothing."""
    squared = np.square(np.asarray(effects, np.float64))
    total, fourth = squared.sum(axis=1), np.square(squared).sum(axis=1)
    moved = fourth > 0
    return np.where(moved, total**2 / np.where(moved, squared.shape[1] * fourth, 1.0), 1.0)


def targets(effects: SideEffects) -> NDArray[np.intp]:
    """The measure (s,) that each slider moves most."""
    return np.abs(effects.gain).argmax(axis=1)


def named(sliders: Sliders, effects: SideEffects, measures: tuple[str, ...], meant: ArrayLike | None = None) -> Sliders:
    """The same sliders, named after the measure they are meant to move where they do move it and little else.

    effects: of one unit of each on decoded shapes; meant (k,): numbers of the measures, by default those moved most.
    See OWN_EFFECT and SIDE_EFFECT. A slider that moves its measure down is turned round. Of two sliders for one
    measure the one with the smaller side effects has the name.
    """
    target = targets(effects) if meant is None else np.asarray(meant)
    own = effects.gain[np.arange(len(target)), target]
    side = effects.off_target_mean(target)
    names = [""] * len(target)
    for number in np.argsort(side):
        name = measures[target[number]]
        if abs(own[number]) >= OWN_EFFECT and side[number] <= SIDE_EFFECT and name not in names:
            names[number] = name
    return replace(sliders.turned(np.where(own < 0, -1.0, 1.0)), names=tuple(names))


def _sliders(
    codes: ArrayLike, directions: Table, readings: Table, centre: Table, degree: int = 1, bend: Table | None = None
) -> Sliders:
    positions = (np.asarray(codes, np.float64) - centre) @ readings.T
    low, high = np.percentile(positions, REACH, axis=0)
    return Sliders(directions, readings, centre, low, high, ("",) * len(directions), degree, bend)
