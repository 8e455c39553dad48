"""Registration of the views of a raw scan to one another, and what is said of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..errors import ErrorCode, OmomiError
from ..formats.raw_scan import RawScan
from ..geometry.normals import face_normals, unit, vertex_normals
from ..registration.views import ViewMotion, register_views
from .clean import FARTHEST
from .orientation import fitted_normals

MOST_VIEWS = 256
FEWEST_POINTS = 32
"""A view of fewer points says nothing of its pose."""


def registered(raw: RawScan) -> tuple[RawScan, list[ViewMotion]]:
    """A scan of several views with these registered to one another, and what was done to each. Raises
    OmomiError(BAD_OPTION) where it does not say which view each point is of, or has one view or too many."""
    if raw.view is None:
        raise _refused(f"{raw.name} does not say which view each point is of, so that no views can be registered.")
    known = (np.abs(raw.points) <= FARTHEST).all(axis=1)  # False for NaN
    numbers, counts = np.unique(raw.view[known], return_counts=True)
    if len(numbers) > MOST_VIEWS:
        raise _refused(f"{raw.name} has {len(numbers)} views; at most {MOST_VIEWS} can be registered.")
    known &= np.isin(raw.view, numbers[counts >= FEWEST_POINTS])
    if (counts >= FEWEST_POINTS).sum() < 2:
        sentence = f"{raw.name} has no two views of {FEWEST_POINTS} points or more, so that none can be registered."
        raise _refused(sentence)
    points = np.array(raw.points)
    points[known], motions = register_views(points[known], _outward(raw)[known], raw.view[known])
    small = [ViewMotion(number, "apart") for number in numbers[counts < FEWEST_POINTS].tolist()]
    return replace(raw, points=points), sorted([*motions, *small], key=lambda motion: motion.view)


def _refused(sentence: str) -> OmomiError:
    return OmomiError(ErrorCode.BAD_OPTION, sentence)


def _outward(raw: RawScan) -> NDArray:
    """Rough outward normals (n, 3) of the points, zero where there is none."""
    if raw.to_sensor is not None:
        return raw.to_sensor
    if raw.normals is not None:
        return unit(raw.normals)[0]
    finite = (np.abs(raw.points) <= FARTHEST).all(axis=1)
    middle = np.median(raw.points[finite], axis=0)
    size = np.abs(raw.points[finite] - middle).max()
    points = np.where(finite[:, None], (raw.points - middle) / max(size, 1e-300), 0).astype(np.float32)
    if raw.faces is not None:
        return unit(vertex_normals(len(points), raw.faces, face_normals(points, raw.faces)))[0]
    normals = np.zeros_like(points)
    normals[finite] = fitted_normals(points[finite], 0.0)
    return normals


def said_of_views(motions: Sequence[ViewMotion]) -> tuple[str, ...]:
    """What registration did, a sentence each."""
    of = {state: [one for one in motions if one.state == state] for state in ("moved", "right", "apart", "far")}
    count, said = len(motions), []
    if moved := of["moved"]:
        shift, turn = 100 * max(one.shift for one in moved), max(one.turn for one in moved)
        said.append(
            f"{len(moved)} of {count} views moved, by up to {shift:.2g} % of the longest side and {turn:.2g} degrees."
        )
    elif of["right"]:
        said.append("No view moved: those that overlap are right already.")
    if apart := of["apart"]:
        said.append(f"{len(apart)} of {count} views stayed: they overlap no other.")
    if far := of["far"]:
        said.append(f"{len(far)} of {count} views stayed: they are too far off.")
    return tuple(said)
