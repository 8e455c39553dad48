"""Codes of whole shapes under the shipped model: real ones that it was not trained on, and made-up ones."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import KDTree

from ...prior.archive import COARSE
from ...prior.codes import Codes
from ...prior.shape_prior import ShapePrior
from ...training.bank import block_field, jittered
from ...training.scanner import surface_points
from ...training.shapes.families import FAMILIES, draw

FRESH = 1_000_000
"""First seed of the programs: those of training count from 0."""
POINTS = 3_000
"""Of a surface, from which the truncated distances of level 0 are measured."""
DRIVEN = 3.0
"""Sliders are driven to this many times the end of their range; or of USUAL, where the model has directions alone."""
USUAL = 2.0

REAL = "real, held out"
OVERDRIVEN, SHUFFLED, BLENDED = "slider over-driven", "numbers shuffled", "two shapes averaged"
NOISY, GAUSSIAN, SAMPLED = "real + noise .5", "drawn from N(0, I)", "drawn from the flow"

Table = NDArray[np.float32]


def fresh_codes(codes: Codes, families: int, members: int, round: int = 0) -> Table:
    """Codes (families * members, CODE) of one new program of each of the first families."""
    found = []
    for number, family in enumerate(FAMILIES[:families]):
        seed = FRESH + round * len(FAMILIES) + number
        generator = torch.Generator().manual_seed(seed)
        distance = jittered(draw(family, members, seed).sdf, members, generator)
        points, _ = surface_points(distance, members, POINTS, generator)
        trees = [KDTree(cloud) for cloud in points.numpy()]
        fields = block_field(distance, torch.zeros(members, 3, dtype=torch.long), 0, trees)
        found += [codes.of_field(field) for field in fields.numpy()]
    return np.stack(found)


def turned(codes: Codes, table: Table) -> Table:
    """The codes (48 n, CODE) of the same shapes in every orientation of the cube, mirrored ones too.

    A code is affine in the field, and so is a turn: each is one small matrix.
    """
    side = (COARSE,) * 3
    basis, mean = codes.basis.reshape(*side, -1), codes.mean.reshape(side)
    found = []
    for axes in itertools.permutations(range(3)):
        for flipped in itertools.product((1, -1), repeat=3):
            at = tuple(slice(None, None, step) for step in flipped)
            moved = basis.transpose(*axes, 3)[at].reshape(codes.basis.shape).T @ codes.basis
            shift = (mean.transpose(axes)[at].reshape(-1) - codes.mean) @ codes.basis
            found.append(((table * codes.scale) @ moved + shift) / codes.scale)
    return np.concatenate(found).astype(np.float32)


def made_up(real: Table, prior: ShapePrior, seed: int) -> dict[str, Table]:
    """Codes that are of no shape, or of none that was seen, as many of each kind as there are real ones (n, CODE).

    Shuffled: every number from another real code, so that each alone is distributed as in real ones. Noise is per
    standard deviation of whitened codes.
    """
    rng, flow, (count, size) = np.random.default_rng(seed), prior.flow, real.shape
    ends = [(slider.delta, slider.low, slider.high) for slider in prior.sliders.values()]
    ends = ends or [(row, -USUAL, USUAL) for row in prior.codes.directions]
    ways = np.stack([DRIVEN * end * delta for delta, low, high in ends for end in (low, high)])
    found = {
        OVERDRIVEN: real + ways[rng.integers(len(ways), size=count)],
        SHUFFLED: rng.permuted(real, axis=0),
        BLENDED: (real + real[rng.permutation(count)]) / 2,
        NOISY: flow.unwhiten(flow.whiten(real) + 0.5 * rng.standard_normal((count, size))),
        GAUSSIAN: flow.unwhiten(rng.standard_normal((count, size))),
        SAMPLED: flow.sample(count, seed),
    }
    return {kind: codes.astype(np.float32) for kind, codes in found.items()}
