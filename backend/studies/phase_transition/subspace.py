"""C3: a few examples span a low-dimensional space of weights in which moves keep the topology and shape the geometry.

Sliders are the product's principal components (prior/directions.py), of theta as codes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...training.latent_directions import Sliders, principal, whitening
from ..ranks import spearman
from .families import FAMILIES
from .net import Conditional, field_of
from .solids import Mesh, displacement, mesh_of

LATEST = 0.2
"""Examples have t up to here, well before the topology changes."""
EXPLAINED = 0.95
REACH = 2.0
"""Standard deviations."""
POSITIONS = 9
MOST_MOVED = 0.9
"""Quantile of a slider's displacement above which its own places lie."""


@dataclass(frozen=True)
class Subspace:
    """sliders: of theta; kept: share of random moves with the topology of the examples; spearman: of position and
    displacement, worst slider."""

    family: str
    sliders: Sliders
    kept: float
    spearman: float


def examples(count: int, seed: int) -> Tensor:
    """Shapes (count, 3) of one topology."""
    table = torch.rand(count, 3, generator=torch.Generator().manual_seed(seed))
    return torch.cat((LATEST * table[:, :1], 2 * table[:, 1:] - 1), dim=1)


def learn(thetas: Tensor) -> Sliders:
    """As many principal components of thetas (n, LENGTH) as explain EXPLAINED of their variance."""
    codes = thetas.double().numpy()
    variance = whitening(codes).spread ** 2
    enough = int(np.searchsorted(np.cumsum(variance) / variance.sum(), EXPLAINED - 1e-9)) + 1
    return principal(codes, min(enough, len(variance)))


def theta_at(sliders: Sliders, amounts: NDArray) -> Tensor:
    """theta (LENGTH,) at a position (k,), in standard deviations from the mean."""
    return torch.from_numpy(sliders.moved(sliders.centre[None], amounts)[0]).float()


def explore(net: Conditional, family: int, count: int, moves: int, seed: int, side: int) -> Subspace:
    """Learn sliders from ``count`` examples, make random moves within REACH, and slide along each."""
    sliders = learn(net.of_shapes(family, examples(count, seed)))
    rng = np.random.default_rng(seed)
    amounts = rng.uniform(-REACH, REACH, (moves, len(sliders)))
    kept = [mesh_of(field_of(theta_at(sliders, row)), side).betti == FAMILIES[family].before for row in amounts]
    base = mesh_of(field_of(theta_at(sliders, np.zeros(len(sliders)))), side)
    monotone = [_spearman(sliders, number, base) for number in range(len(sliders))]
    return Subspace(FAMILIES[family].name, sliders, float(np.mean(kept)), min(monotone))


def _spearman(sliders: Sliders, number: int, base: Mesh) -> float:
    """Rank correlation of a slider's position with how far the surface moves where this slider moves it most."""
    points = torch.from_numpy(base.vertices).float()
    if not len(points):
        return 0.0
    positions = np.linspace(-REACH, REACH, POSITIONS)
    fields = [field_of(theta_at(sliders, at * np.eye(len(sliders))[number])) for at in positions]
    moved = torch.stack([displacement(field, points) for field in fields])
    whole = moved[-1] - moved[0]
    own = whole.abs() >= whole.abs().quantile(MOST_MOVED)
    along = (moved[:, own] * whole[own].sign()).mean(dim=1)
    return spearman(positions, along.numpy())
