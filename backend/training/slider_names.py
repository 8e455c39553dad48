"""Named directions of z for shapes of any kind: each moves one measure of the coarse field.

A direction earns its name on shapes that it was not learned from, see `latent_directions.named`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from ..field.bricks import TRUNCATION
from .bank import Bank, turned_fields
from .disentanglement_metrics import SideEffects, side_effects
from .grids import grid_points
from .latent_directions import labelled, named
from .recursion import Features

MEASURES = ("width", "depth", "height", "fullness", "lean in x", "lean in y", "lean in z")
TURNS = 8  # random symmetries of the cube under which every shape counts
ROUNDS = 2  # times that the directions are corrected by what they do to decoded shapes


def measured(fields: NDArray) -> NDArray[np.float64]:
    """MEASURES (n, 7) of coarse fields (n, s, s, s) over [-1, 1]^3 in voxels of level 0; canonical units. width, depth,
    height: sides along x, y, z of the box with the same spread of mass. fullness: share of that box that is solid.
    lean: cube root of the third central moment of mass along an axis, positive toward the end that thins out."""
    size = fields.shape[-1]
    # a voxel fills up over all distances that the truncated field knows: mass is linear in the field and in the code
    inside = np.clip(0.5 - fields / (2 * TRUNCATION), 0, 1)
    mass = np.maximum(inside.reshape(len(fields), -1), 1e-9)
    share = mass / mass.sum(axis=1, keepdims=True)
    places = grid_points(size)[0].numpy().astype(np.float64)
    centre = share @ places
    sides = np.sqrt(np.maximum(share @ places**2 - centre**2, 1e-6) * 12)
    third = share @ places**3 - 3 * centre * (share @ places**2) + 2 * centre**3
    full = mass.sum(axis=1) * (2 / size) ** 3 / sides.prod(axis=1)
    return np.concatenate([sides, full[:, None], np.cbrt(third)], axis=1)


@torch.no_grad()
def named_directions(features: Features, known: Bank, held_out: Bank) -> tuple[NDArray[np.float32], list[dict]]:
    """Directions (k, CODE) of the sliders that earned a name, one standard deviation of their measure each, and their
    rows of the card. Learned from ``known`` shapes, judged on ``held_out`` ones, both under symmetries of the cube. A
    name stands for what a slider does on average: on a single shape the other measures stray by the side effect that
    the card states."""
    generator = torch.Generator().manual_seed(0)
    learned, judged = (features(turned_fields(bank, TURNS, generator)) for bank in (known, held_out))
    labels = measured(_fields(features, learned))
    spread = labels.std(axis=0)
    sliders = labelled(learned.numpy(), labels)
    for _ in range(ROUNDS):
        # each direction moves the other measures of decoded shapes a little: measured, and undone
        gain = _effects(features, learned[::TURNS], sliders.directions, spread).gain
        sliders = replace(sliders, directions=np.linalg.inv(gain) @ sliders.directions)
    effects = _effects(features, judged, sliders.directions, spread)
    on_average = SideEffects(effects.gain, np.abs(effects.gain))
    names = named(sliders, on_average, MEASURES, np.arange(len(MEASURES))).names
    stray, bias = effects.off_target_mean(), on_average.off_target().max(axis=1)
    kept = [number for number, name in enumerate(names) if name]
    rows = [
        {
            "name": names[number],
            "kind": "shape",
            "direction": row,
            "unit": "standard deviations",
            "range": [round(float(sliders.low[number]), 2), round(float(sliders.high[number]), 2)],
            "side_effect": round(float(stray[number]), 4),
            "scores": {"largest side effect on average": round(float(bias[number]), 4)},
            "effect": [round(float(value), 4) for value in effects.gain[number]],
        }
        for row, number in enumerate(kept)
    ]
    return sliders.directions[kept].astype(np.float32), rows


def _effects(features: Features, codes: torch.Tensor, directions: NDArray, spread: NDArray) -> SideEffects:
    """What one unit of each direction does to the measures of decoded shapes."""
    steps = torch.from_numpy(directions).float()
    moved = np.stack([measured(_fields(features, codes + step)) for step in steps])
    return side_effects(measured(_fields(features, codes)), moved, spread)


def _fields(features: Features, codes: torch.Tensor) -> NDArray:
    return features.inverse(codes)[:, 0].numpy()
