"""The atom on the blocks of one level: with and without hole filling, and averaged over orientations of the scan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .onnx_model import CancelToken, Model
from .uncertainty import unknown_share

Inputs = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Of blocks, as the atom takes them: evidence, parent and position."""


class Orientation(NamedTuple):
    """A symmetry of the cube: axis i afterwards is axis ``axes[i]`` before, reversed where ``signs[i]`` is -1."""

    axes: tuple[int, int, int]
    signs: tuple[int, int, int]


AS_GIVEN = Orientation((0, 1, 2), (1, 1, 1))
THROUGH_CENTRE = Orientation((0, 1, 2), (-1, -1, -1))
"""The reflection through the centre of the canonical frame."""


@dataclass(frozen=True)
class LevelAtom:
    """The atom on one level. Each member has a style f32 (1, S) without hole filling, and one with it where there is
    any."""

    model: Model
    cancel: CancelToken
    styles: Sequence[np.ndarray]
    uncoded: Sequence[np.ndarray] = ()  # of the zero code, which gives the scale
    orientations: Sequence[Orientation] = (AS_GIVEN,)  # of the scan, over which the field is averaged

    def __call__(self, inputs: Inputs) -> np.ndarray:
        """The field f32 (b, 2, 32, 32, 32) of blocks: where it is known without hole filling, elsewhere with it.

        Hole filling was learned as another quantile of the distance: by itself it moves what was measured, too.
        """
        field = self._said(inputs, 0)
        if len(self.styles) > 1:
            unknown = unknown_share(np.exp(field[:, 1:]))
            rows = np.flatnonzero(unknown.any(axis=(1, 2, 3, 4)))
            if len(rows):
                evidence, parent, position = inputs
                wanted = self._said((evidence[rows], parent[rows], position[rows]), 1)
                field[rows] += unknown[rows] * (wanted - field[rows])
        return field

    def _said(self, inputs: Inputs, way: int) -> np.ndarray:
        field = self._averaged(inputs, self.styles[way])
        if self.uncoded:
            field[:, 1] = self._averaged(inputs, self.uncoded[way])[:, 1]
        return field

    def _averaged(self, inputs: Inputs, style: np.ndarray) -> np.ndarray:
        """The field over all orientations. The scale of a Laplace distribution is its mean absolute deviation; to the
        mean of those the spread of the means is added, as for a mixture."""
        styles = np.repeat(style, len(inputs[0]), axis=0)
        fields = [
            restored(self.model.field(*oriented(inputs, orientation), styles, self.cancel), orientation)
            for orientation in self.orientations
        ]
        if len(fields) == 1:
            return fields[0]
        means, scales = np.stack(fields, axis=2).swapaxes(0, 1)
        mean = means.mean(axis=1)
        scale = (np.exp(scales) + np.abs(means - mean[:, None])).mean(axis=1)
        return np.stack([mean, np.log(scale)], axis=1)


def oriented(inputs: Inputs, orientation: Orientation) -> Inputs:
    """The atom's inputs for the same scan in another orientation."""
    evidence, parent, position = inputs
    axes, signs = list(orientation.axes), np.array(orientation.signs, np.float32)
    turned = _oriented(evidence, orientation)
    # the normals turn with the scan, normal . position does not change
    turned[:, 1:4] = turned[:, 1:4][:, axes] * signs[:, None, None, None]
    moved = np.concatenate([position[:, axes] * signs, position[:, 3:]], axis=1)
    return turned, _oriented(parent, orientation), moved


def restored(field: np.ndarray, orientation: Orientation) -> np.ndarray:
    """A field (b, c, n, n, n) of a scan in an orientation, as the scan was given."""
    back = np.flip(field, _reversed_axes(orientation))
    return np.ascontiguousarray(back.transpose(0, 1, *(2 + axis for axis in np.argsort(orientation.axes))))


def _oriented(grid: np.ndarray, orientation: Orientation) -> np.ndarray:
    turned = grid.transpose(0, 1, *(2 + axis for axis in orientation.axes))
    # a copy, also where nothing turns
    return np.flip(turned, _reversed_axes(orientation)).copy()


def _reversed_axes(orientation: Orientation) -> list[int]:
    return [2 + axis for axis, sign in enumerate(orientation.signs) if sign < 0]
