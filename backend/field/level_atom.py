"""The atom on the blocks of one level: with and without hole filling, and averaged over a reflection of the scan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .onnx_model import CancelToken, Model
from .uncertainty import unknown_share

Inputs = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Of blocks, as the atom takes them: evidence, parent and position."""


@dataclass(frozen=True)
class LevelAtom:
    """The atom on one level. Each member has a style f32 (1, S) without hole filling, and one with it where there is
    any."""

    model: Model
    cancel: CancelToken
    styles: Sequence[np.ndarray]
    uncoded: Sequence[np.ndarray] = ()  # of the zero code, which gives the scale
    averaged: bool = False  # with the field of the scan reflected through the centre

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
        field = self._field(inputs, self.styles[way])
        if self.uncoded:
            field[:, 1] = self._field(inputs, self.uncoded[way])[:, 1]
        return field

    def _field(self, inputs: Inputs, style: np.ndarray) -> np.ndarray:
        """The field, averaged where that is asked for. The scale of a Laplace distribution is its mean absolute
        deviation; to the mean of both the spread of the means is added, as for a mixture."""
        styles = np.repeat(style, len(inputs[0]), axis=0)
        field = self.model.field(*inputs, styles, self.cancel)
        if not self.averaged:
            return field
        other = self.model.field(*reflected(*inputs), styles, self.cancel)[:, :, ::-1, ::-1, ::-1]
        spread = np.abs(field[:, 0] - other[:, 0]) / 2
        scale = (np.exp(field[:, 1]) + np.exp(other[:, 1])) / 2 + spread
        return np.stack([(field[:, 0] + other[:, 0]) / 2, np.log(scale)], axis=1)


def reflected(
    evidence: np.ndarray, parent: np.ndarray, position: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The atom's inputs for the same scan reflected through the centre of the canonical frame."""
    # the normals change their sign, normal . position does not
    turned = np.ascontiguousarray(evidence[:, :, ::-1, ::-1, ::-1])
    turned[:, 1:4] *= -1
    centre = position * np.array([-1, -1, -1, 1], np.float32)
    return turned, np.ascontiguousarray(parent[:, :, ::-1, ::-1, ::-1]), centre
