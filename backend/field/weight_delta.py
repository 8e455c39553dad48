"""Edits of the network's head: at every place a gain and a bias of the mean, which make the edited field

    e(x) = clip(mu(x) + gain(x) mu(x) + bias(x), -3, 3)    (voxels).

That is what the atom says with its head's weights for the mean times 1 + gain and ``bias`` added to its bias. Both
depend on the place alone, so averaging edited blocks and editing their average give the same field. The recursion
itself stays as it was fitted: evidence that did not move would pull an edited parent back, or the edit would be applied
twice. Every level has its own delta. Which blocks exist and where the surface lies follow the edited field, so that the
network runs on new blocks where an edit makes surface in empty space.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from .bricks import BRICK, TRUNCATION, BrickGrid, BrickMap, Level, sample
from .onnx_model import CancelToken, Model
from .recursion import ScanEvidence, brick_balls, child_sides, extended, near_children

FLOOR = 0.05
"""Added to the sum of a place's kernels: between centres the delta is their mean, and beyond them it fades."""
GATE = (0.05, 0.5)
"""Heights of the highest kernel between which a delta fades in: nothing beyond 2.4 radii of every centre, all of it
within 1.2. Ungated, the rim of the support shows as a ring on the surface."""
REACH = float(np.sqrt(-2 * np.log(GATE[0])))
"""Radii beyond which a delta is nothing."""
DEEPEST_DELTA = 2
"""Finer levels take the delta of this one."""
KNOWN = (2.0, 2.8)
"""Sizes of the mean (voxels) between which a level below DEEPEST_DELTA hands over to the one above, whose truncated
distances reach farther: a change of two voxels there is one of four here."""


@dataclass(frozen=True)
class LevelDelta:
    """Radial basis functions of one level: gain and bias of a place are gated, normalised sums over the centres."""

    centres: np.ndarray  # f32 (E, 3), in the edit's frame
    radius: float  # standard deviation of the kernels, in the edit's frame
    weights: np.ndarray  # f32 (E, 2): gain, and bias in voxels of the level

    def at(self, places: np.ndarray, model: Model, cancel: CancelToken) -> np.ndarray:
        """Gain and bias f32 (n, 2) at places (n, 3) in the edit's frame."""
        return model.delta(places, self.centres, self.weights, self.radius, cancel)


class FieldEdit(Protocol):
    """An edit of the field where it belongs on a scan."""

    def touches(self, centres: np.ndarray, reach: float) -> np.ndarray:
        """bool (m,): whether the edit may act within ``reach`` of canonical points (m, 3)."""
        ...

    def at(self, number: int, points: np.ndarray, model: Model, cancel: CancelToken) -> np.ndarray:
        """Gain, and bias in voxels of level ``number``, f32 (n, 2) at canonical points (n, 3)."""
        ...

    def deviation(self, number: int, points: np.ndarray) -> np.ndarray:
        """Standard deviation (n,) of the surface that the edit makes at canonical points (n, 3), canonical."""
        ...


@dataclass(frozen=True)
class SummedEdit:
    """Edits of the field that do not know of each other, such as one edit in several places."""

    edits: tuple[FieldEdit, ...]

    def touches(self, centres: np.ndarray, reach: float) -> np.ndarray:
        found = np.zeros(len(centres), bool)
        for edit in self.edits:
            found |= edit.touches(centres, reach)
        return found

    def at(self, number: int, points: np.ndarray, model: Model, cancel: CancelToken) -> np.ndarray:
        found = np.zeros((len(points), 2), np.float32)
        for edit in self.edits:
            found += edit.at(number, points, model, cancel)
        return found

    def deviation(self, number: int, points: np.ndarray) -> np.ndarray:
        variance = np.zeros(len(points))
        for edit in self.edits:
            variance += edit.deviation(number, points) ** 2
        return np.sqrt(variance)


@dataclass(frozen=True)
class EditedLevel:
    """A level of a fit, and what edits make of it."""

    plain: Level  # as it was fitted, with the blocks that the edits need
    edited: Level  # on the same bricks
    wide: Level  # plain, with distances beyond the truncation taken from the levels above
    touched: np.ndarray  # i64 (k,), numbers of the bricks that the edits reach


def edited_levels(
    levels: Sequence[Level],
    scan: ScanEvidence,
    edits: Sequence[tuple[FieldEdit, float]],
    model: Model,
    cancel: CancelToken,
) -> Iterator[EditedLevel]:
    """The levels of a fit with edits at their strengths, coarse to fine; edits add up, in any order.

    The network runs on blocks that the edited field needs and the fit has not. Raises OmomiError(CANCELLED).
    """
    above: EditedLevel | None = None
    for plain in levels:
        sides = plain.bricks.index
        if above is not None:
            plain = extended(plain, above.plain, near_children(above.edited), scan, model, cancel)
            sides = child_sides(above.edited)
        bricks = BrickMap.of(plain.grid.coords, sides, plain.bricks.margin)
        above = _edited(plain, bricks, above, edits, model, cancel)
        yield above


def _edited(
    plain: Level,
    bricks: BrickMap,
    above: EditedLevel | None,
    edits: Sequence[tuple[FieldEdit, float]],
    model: Model,
    cancel: CancelToken,
) -> EditedLevel:
    """A level and its edited field. bricks: its bricks, with the sides of all others after the edits."""
    coords = plain.grid.coords
    near = np.zeros((len(edits), len(coords)), bool)
    for row, (edit, strength) in enumerate(edits):
        near[row] = strength != 0 and edit.touches(*brick_balls(coords, plain.number))
    touched = np.flatnonzero(near.any(axis=0))
    wide = plain
    if not len(touched):
        return EditedLevel(plain, replace(plain, bricks=bricks), wide, touched)
    inner = np.stack(np.meshgrid(*[np.arange(BRICK) + 0.5] * 3, indexing="ij"), axis=-1)
    voxels = coords[touched, None, None, None] * BRICK + inner  # (k, 8, 8, 8, 3), their centres
    change = np.zeros((*voxels.shape[:-1], 2), np.float32)
    for reached, (edit, strength) in zip(near[:, touched], edits, strict=True):
        points = voxels[reached] * plain.voxel - 1
        if len(points):
            said = edit.at(plain.number, points.reshape(-1, 3), model, cancel)
            change[reached] += np.float32(strength) * said.reshape(*points.shape[:-1], 2)
    fitted = plain.grid.values[touched]
    mean = fitted[:, 0]
    if plain.number > DEEPEST_DELTA and above is not None:
        mean = _handed_over(mean, above.wide, voxels)
        wide = _with_values(plain, touched, np.stack([mean, fitted[:, 1]], axis=1))
    gain, bias = change[..., 0], change[..., 1]
    edited = np.clip(mean + (gain * mean + bias), -TRUNCATION, TRUNCATION)
    # what no edit reaches keeps its bits
    edited = np.where((gain == 0) & (bias == 0), fitted[:, 0], edited)
    log_scale = fitted[:, 1] + np.log(np.maximum(np.abs(1 + gain), 1))
    found = _with_values(plain, touched, np.stack([edited, log_scale], axis=1))
    return EditedLevel(plain, replace(found, bricks=bricks), wide, touched)


def _with_values(level: Level, bricks: np.ndarray, values: np.ndarray) -> Level:
    """A level with other values f32 (k, 2, 8, 8, 8) on bricks that have these numbers (k,)."""
    every = level.grid.values.copy()
    every[bricks] = values
    return replace(level, grid=BrickGrid(level.grid.coords, every))


def _handed_over(mean: np.ndarray, above: Level, voxels: np.ndarray) -> np.ndarray:
    """Means (k, 8, 8, 8) in which truncated distances are those of the level above; voxels (k, 8, 8, 8, 3): centres."""
    places = (voxels.reshape(-1, 3) / 2 - 0.5).astype(np.float32)
    wide = 2 * sample(above.grid, above.bricks, places, 0, TRUNCATION).reshape(mean.shape)
    low, high = KNOWN
    share = np.clip((np.abs(mean) - low) / (high - low), 0, 1)
    farther = (np.abs(wide) > np.abs(mean)) & (np.sign(wide) == np.sign(mean))
    return np.where(farther, mean + share * (wide - mean), mean)
