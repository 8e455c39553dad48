"""Named directions of z for any shape: what is measured on the coarse field, moved by one direction each.

A name is earned on shapes that the direction was not learned from, see `training.latent_directions.named`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from .batches import Bank
from .disentanglement_metrics import SideEffects, side_effects
from .features import Features, turned_fields
from .grids import grid_points
from .latent_directions import labelled, named

MEASURES = ("width", "depth", "height", "fullness", "lean in x", "lean in y", "lean in z")
SOFTNESS = 3.0
"""Voxels of level 0 on either side of the surface over which a voxel fills up: all that the truncated field knows, so
that mass is linear in the field and with it in the code."""
TURNS = 8
ROUNDS = 2


def measured(fields: NDArray) -> NDArray[np.float64]:
    """MEASURES (n, 7) of coarse fields (n, s, s, s) over [-1, 1]^3 in voxels of level 0; canonical units.

    width, depth, height: along x, y, z, of the box with the same spread of mass; fullness: the share of that box that
    is solid; lean: toward which end it thins out, as the mean cube of the place in it.
    """
    size = fields.shape[-1]
    inside = np.clip(0.5 - fields / (2 * SOFTNESS), 0, 1)
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
    rows of the card. Learned from ``known`` shapes, judged on ``held_out`` ones, both under symmetries of the cube.

    A name stands for what a slider does on average: for one shape the other measures stray by the side effect, which
    the card says. Shapes of all kinds have no straight direction that would stray less.
    """
    generator = torch.Generator().manual_seed(0)
    learned, judged = (features(turned_fields(bank, TURNS, generator)) for bank in (known, held_out))
    labels = measured(_fields(features, learned))
    spread = labels.std(axis=0)
    sliders = labelled(learned.numpy(), labels)
    for _ in range(ROUNDS):
        # what the labels' directions do to each other once decoded is measured, and undone
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
