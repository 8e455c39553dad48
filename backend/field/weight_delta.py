"""Edits of the network's head: at every place a gain and a bias of the mean, which make the edited field

    e(x) = clip(mu(x) + gain(x) mu(x) + bias(x), -3, 3)    (voxels).

That is what the atom says with its head's weights for the mean times 1 + gain and its bias plus ``bias``: both depend on
the place alone, so averaging the edited blocks and editing their average give the same field. The recursion itself
stays as it was fitted: an edited parent above evidence that did not move would be pulled back, or applied twice. Every
level has its own delta; which blocks exist and where the surface lies follow the edited field, so that blocks are added
where an edit makes surface in empty space.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from .bricks import BRICK, TRUNCATION, BrickGrid, BrickMap, Level, sample
from .onnx_model import CancelToken, Model
from .recursion import ScanEvidence, child_sides, extended, near_children

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
        """Gain and bias f32 (n, 2) at places f32 (n, 3) in the edit's frame, by the graph ``delta``."""
        return model.delta(places, self.centres, self.weights, self.radius, cancel)


class FieldEdit(Protocol):
    """An edit of the field where it belongs on a scan."""

    def touches(self, centres: np.ndarray, reach: float) -> np.ndarray:
        """bool (m,): whether the edit may act within ``reach`` of canonical points (m, 3)."""
        ...

    def at(
        self, number: int, points: np.ndarray, model: Model, cancel: CancelToken
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """Gain (n,) and bias (n,), voxels of level ``number``, at canonical points (n, 3); None where it has nothing to
        say on this level."""
        ...


@dataclass(frozen=True)
class EditedLevel:
    """A level as it was fitted, with the blocks that the edits need, and its edited field on the same bricks."""

    plain: Level
    edited: Level
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
    """A level with its edited field. bricks: the same bricks, with the sides of the others after the edits."""
    coords = plain.grid.coords
    middles = (coords + 0.5) * (BRICK * plain.voxel) - 1
    reach = plain.voxel * BRICK * np.sqrt(3) / 2
    near = [edit.touches(middles, reach) if strength else np.zeros(len(coords), bool) for edit, strength in edits]
    touched = np.flatnonzero(np.any(near, axis=0)) if near else np.zeros(0, np.intp)
    if not len(touched):
        return EditedLevel(plain, replace(plain, bricks=bricks), touched)
    inner = np.stack(np.meshgrid(*[np.arange(BRICK) + 0.5] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    change = np.zeros((len(touched), BRICK**3, 2), np.float32)
    for (edit, strength), reached in zip(edits, near, strict=True):
        rows = np.flatnonzero(reached[touched])
        if len(rows):
            voxels = coords[touched[rows], None] * BRICK + inner
            points = (voxels * plain.voxel - 1).astype(np.float32).reshape(-1, 3)
            said = edit.at(plain.number, points, model, cancel)
            if said is not None:
                change[rows] += np.float32(strength) * np.stack(said, axis=1).reshape(len(rows), -1, 2)
    base = plain.grid.values[touched, 0].reshape(len(touched), -1)
    if plain.number > DEEPEST_DELTA and above is not None:
        base = _handed_over(base, above.plain, coords[touched, None] * BRICK + inner)
    mean = np.clip(base + (change[..., 0] * base + change[..., 1]), -TRUNCATION, TRUNCATION)
    values = plain.grid.values.copy()
    still = (change == 0).all(axis=2)
    values[touched, 0] = np.where(still, plain.grid.values[touched, 0].reshape(still.shape), mean).reshape(
        -1, BRICK, BRICK, BRICK
    )
    grid = BrickGrid(coords, values)
    return EditedLevel(plain, replace(plain, grid=grid, bricks=bricks), touched)


def _handed_over(mean: np.ndarray, above: Level, voxels: np.ndarray) -> np.ndarray:
    """Means (m, n) in which saturated distances are replaced by those of the level above, at voxel centres (m, n, 3)
    in voxels of the level at hand."""
    places = (voxels.reshape(-1, 3) / 2 - 0.5).astype(np.float32)
    wide = 2 * sample(above.grid, above.bricks, places, 0, TRUNCATION).reshape(mean.shape)
    low, high = KNOWN
    share = np.clip((np.abs(mean) - low) / (high - low), 0, 1)
    wide = np.where((np.abs(wide) > np.abs(mean)) & (np.sign(wide) == np.sign(mean)), wide, mean)
    return mean + share * (wide - mean)
