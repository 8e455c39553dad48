"""Edits of the network's head: at every place a gain and a bias of the mean, which make the edited field

    e(x) = clip(mu(x) + gain(x) mu(x) + bias(x), -3, 3)    (voxels).

That is what the atom says with its head's weights for the mean times 1 + gain and ``bias`` added to its bias. Both
depend on the place alone, but for an edit that only takes away or only puts on: where it would do the other, both
are 0. They act on the mean of the blocks. The recursion itself stays as it was fitted: evidence that did not move would
pull an edited parent back, or the edit would be applied twice. Every level has its own delta. Which blocks exist and
where the surface lies follow the edited field, so that the network runs on new blocks where an edit makes surface in
empty space.

A step is an edit without gain: its bias moves the surface as far as it says, which may be more voxels than the mean
reaches. Steps act after the other edits, and on distances that coarser levels hand down.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, cast

import numpy as np
from scipy.ndimage import distance_transform_edt
from scipy.spatial import KDTree

from .blocks import join_bricks, split_blocks
from .bricks import BLOCK_BRICKS, BRICK, TRUNCATION, BrickGrid, BrickMap, Level, upsampled, voxel_places
from .isosurface import extract
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
BAND = 1.5
"""Voxels from the surface within which a step has to be exact."""
DOUBT = 0.5
"""Voxels by which a mean may be less than the distance of the surface: on the valid scans it is by .2 mostly."""
BRICKS_AT_ONCE = 2048
"""A million voxels: bounds the memory of a step."""
MOST_REMEMBERED = 12
"""Answers of an edit that are kept: of three levels, on the bricks of a few strengths."""
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

    def at(
        self, number: int, points: np.ndarray, means: np.ndarray, model: Model, cancel: CancelToken
    ) -> np.ndarray:
        """Gain, and bias in voxels of level ``number``, f32 (n, 2) at canonical points (n, 3) with means (n,) there."""
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

    def at(
        self, number: int, points: np.ndarray, means: np.ndarray, model: Model, cancel: CancelToken
    ) -> np.ndarray:
        found = np.zeros((len(points), 2), np.float32)
        for edit in self.edits:
            found += edit.at(number, points, means, model, cancel)
        return found

    def deviation(self, number: int, points: np.ndarray) -> np.ndarray:
        variance = np.zeros(len(points))
        for edit in self.edits:
            variance += edit.deviation(number, points) ** 2
        return np.sqrt(variance)


@dataclass(frozen=True)
class RememberedEdit:
    """An edit that is asked for the same places again and again, as at one strength after the other: what it said of
    them is kept, and its deviation is taken as none."""

    edit: FieldEdit
    said: dict[tuple[int, int], np.ndarray] = field(default_factory=dict)  # by the level, and a hash of the rest

    def touches(self, centres: np.ndarray, reach: float) -> np.ndarray:
        return self.edit.touches(centres, reach)

    def at(
        self, number: int, points: np.ndarray, means: np.ndarray, model: Model, cancel: CancelToken
    ) -> np.ndarray:
        key = number, hash((points.tobytes(), means.tobytes()))
        if key not in self.said:
            self.said[key] = self.edit.at(number, points, means, model, cancel)
            for old in list(self.said)[:-MOST_REMEMBERED]:
                del self.said[old]
        return self.said[key]

    def deviation(self, number: int, points: np.ndarray) -> np.ndarray:
        return np.zeros(len(points))


@dataclass(frozen=True)
class EditedLevel:
    """A level of a fit, and what edits make of it."""

    plain: Level  # as it was fitted, with the blocks that the edits need
    edited: Level  # on the same bricks
    wide: Level  # plain, with distances beyond the truncation taken from the levels above
    touched: np.ndarray  # i64 (k,), numbers of the bricks that the edits reach
    unstepped: Level  # edited, but for the steps; where there are any, its distances reach beyond the truncation


def edited_levels(
    levels: Sequence[Level],
    scan: ScanEvidence,
    edits: Sequence[tuple[FieldEdit, float]],
    model: Model,
    cancel: CancelToken,
    steps: Sequence[tuple[FieldEdit, float]] = (),
) -> Iterator[EditedLevel]:
    """The levels of a fit with edits and then steps at their strengths, coarse to fine; each add up, in any order.

    The network runs on blocks that the edited field needs and the fit has not. Raises OmomiError(CANCELLED).
    """
    steps = [(step, strength) for step, strength in steps if strength != 0]
    finest = _surface(levels[-1]) if steps else np.zeros((0, 3), np.float32)
    tree = KDTree(finest)
    # a step is nowhere larger than at the surface
    said = step_at(steps, levels[-1].number, finest, model, cancel)
    largest = levels[-1].voxel * float(np.abs(said).max(initial=0.0))
    above: EditedLevel | None = None
    for plain in levels:
        sides = stepped = plain.bricks.index
        if above is not None:
            plain = extended(plain, above.plain, near_children(above.edited), scan, model, cancel)
            sides = child_sides(above.unstepped)
            stepped = child_sides(above.edited) if steps else sides
        coords, margin = plain.grid.coords, plain.bricks.margin
        found = _edited(plain, BrickMap.of(coords, sides, margin), above, edits, model, cancel)
        if steps:
            surface = KDTree(np.concatenate([finest, _surface(found.edited)])) if len(found.touched) else tree
            found = _stepped(found, BrickMap.of(coords, stepped, margin), above, steps, surface, largest, model, cancel)
        above = found
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
        same = replace(plain, bricks=bricks)
        return EditedLevel(plain, same, wide, touched, same)
    fitted = plain.grid.values[touched]
    mean = fitted[:, 0]
    if plain.number > DEEPEST_DELTA and above is not None:
        mean = _handed_over(mean, above.wide, coords[touched])
        wide = _with_values(plain, touched, np.stack([mean, fitted[:, 1]], axis=1))
    places = voxel_places(coords[touched], plain.voxel)
    change = np.zeros((*places.shape[:-1], 2), np.float32)
    for reached, (edit, strength) in zip(near[:, touched], edits, strict=True):
        points = places[reached]
        if len(points):
            said = edit.at(plain.number, points.reshape(-1, 3), mean[reached].reshape(-1), model, cancel)
            change[reached] += np.float32(strength) * said.reshape(*points.shape[:-1], 2)
    gain, bias = change[..., 0], change[..., 1]
    edited = np.clip(mean + (gain * mean + bias), -TRUNCATION, TRUNCATION)
    # what no edit reaches keeps its bits
    edited = np.where((gain == 0) & (bias == 0), fitted[:, 0], edited)
    log_scale = fitted[:, 1] + np.log(np.maximum(np.abs(1 + gain), 1))
    found = replace(_with_values(plain, touched, np.stack([edited, log_scale], axis=1)), bricks=bricks)
    return EditedLevel(plain, found, wide, touched, found)


def _stepped(
    found: EditedLevel,
    bricks: BrickMap,
    above: EditedLevel | None,
    steps: Sequence[tuple[FieldEdit, float]],
    surface: KDTree,
    largest: float,
    model: Model,
    cancel: CancelToken,
) -> EditedLevel:
    """An edited level with steps. bricks: its bricks, with the sides of all others after the steps; surface: places on
    the surface before them, canonical; largest: the farthest that they move it, canonical."""
    level, coords = found.edited, found.edited.grid.coords
    values, wide = level.grid.values[:, 0].copy(), level.grid.values[:, 0].copy()
    if above is None:
        wide = _measured(level)
    for start in range(0, len(coords), BRICKS_AT_ONCE):
        some = np.arange(start, min(start + BRICKS_AT_ONCE, len(coords)))
        if above is not None:
            wide[some] = _handed_over(wide[some], above.unstepped, coords[some])
        # farther from the surface a step changes neither a sign nor which bricks are refined
        near = np.abs(wide[some]) < largest / level.voxel + BAND
        brick, *inner = np.nonzero(near)
        at = some[brick], *inner
        places, mean = voxels_at(level, *at), wide[at]
        step = step_at(steps, level.number, places, model, cancel)
        # where the mean is small but no surface is near, as at what completes another side, a step makes none
        turned = np.sign(mean) != np.sign(mean + step)
        least = _distance(surface, places[turned], np.abs(step[turned]) + 2 * DOUBT, level.voxel) - DOUBT
        mean[turned] = np.sign(mean[turned]) * np.maximum(np.abs(mean[turned]), least)
        wide[at] = mean
        # what no step reaches keeps its bits
        values[at] = np.where(step == 0, values[at], np.clip(mean + step, -TRUNCATION, TRUNCATION))
    every, scale = np.arange(len(coords)), level.grid.values[:, 1]
    edited, unstepped = (_with_values(level, every, np.stack([mean, scale], axis=1)) for mean in (values, wide))
    return replace(found, edited=replace(edited, bricks=bricks), unstepped=unstepped)


def _surface(level: Level) -> np.ndarray:
    """Canonical places f32 (n, 3) on the surface of a level."""
    return (extract(level.grid, sides=level.bricks).vertices + np.float32(0.5)) * np.float32(level.voxel) - 1


def _distance(surface: KDTree, places: np.ndarray, most: np.ndarray, voxel: float) -> np.ndarray:
    """Distances (n,) of canonical places (n, 3) from a surface, in voxels, at most ``most`` (n,)."""
    bound = float(most.max(initial=0.0)) * voxel
    return np.minimum(surface.query(places, distance_upper_bound=bound, workers=-1)[0] / voxel, most)


def step_at(
    steps: Sequence[tuple[FieldEdit, float]], number: int, points: np.ndarray, model: Model, cancel: CancelToken
) -> np.ndarray:
    """The bias f32 (n,) of steps at their strengths, in voxels of a level, at canonical points (n, 3)."""
    bias, surface = np.zeros((2, len(points)), np.float32)
    for step, strength in steps:
        bias += np.float32(strength) * step.at(number, points, surface, model, cancel)[:, 1]
    return bias


def voxels_at(level: Level, brick: np.ndarray, *inner: np.ndarray) -> np.ndarray:
    """Canonical centres (k, 3) of voxels of a level. brick (k,): their bricks' numbers; inner: places (k,) in these."""
    return (level.grid.coords[brick] * BRICK + np.stack(inner, axis=1) + 0.5) * level.voxel - 1


def _with_values(level: Level, bricks: np.ndarray, values: np.ndarray) -> Level:
    """A level with other values f32 (k, 2, 8, 8, 8) on bricks that have these numbers (k,)."""
    every = level.grid.values.copy()
    every[bricks] = values
    return replace(level, grid=BrickGrid(level.grid.coords, every))


def _measured(level: Level) -> np.ndarray:
    """Means (64, 8, 8, 8) of level 0, in which truncated distances are measured in the cube, voxel by voxel."""
    whole = level.bricks.find(np.indices((BLOCK_BRICKS,) * 3).transpose(1, 2, 3, 0))
    mean = join_bricks(level.grid.values[whole][None])[0, 0]
    far = np.abs(mean) > KNOWN[0]
    if far.all():
        return level.grid.values[:, 0]
    away, nearest = cast(tuple[np.ndarray, np.ndarray], distance_transform_edt(far, return_indices=True))
    mean = np.where(far, mean[tuple(nearest)] + np.sign(mean) * away, mean).astype(np.float32)
    split = split_blocks(mean[None, None])[0, :, :, :, 0]
    return split[tuple(level.grid.coords.T)]


def _handed_over(mean: np.ndarray, above: Level, coords: np.ndarray) -> np.ndarray:
    """Means (k, 8, 8, 8) of bricks with coordinates (k, 3); truncated distances are those of the level above."""
    wide = 2 * upsampled(above.grid, above.bricks, coords)
    low, high = KNOWN
    share = np.clip((np.abs(mean) - low) / (high - low), 0, 1)
    farther = (np.abs(wide) > np.abs(mean)) & (np.sign(wide) == np.sign(mean))
    return np.where(farther, mean + share * (wide - mean), mean)
