"""C6: which signal foretells that a mix of nets is broken.

Mixes sum a_i theta_i with sum a_i = 1, more and more extrapolated. The linearity mismatch (LAMP, arXiv 2510.22491) asks
how far the field of the mix is from the mix of the fields; the product's guards look at the surface: walls that will
meet (weights/foretell.py), and Betti numbers that depend on the grid (weights/sweep.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...edits.collision_margin import collision_margin
from ...geometry.topology_sweep import Solid
from ...prior.flow import auroc
from .alignment import Bank
from .families import FAMILIES
from .net import distance, field_of
from .solids import Field, Mesh, displacement, mesh_of, slopes

FARTHEST = 4.0
"""Spread of the coefficients of the wildest mixes."""
FEWEST = 3
"""Mixes of either kind, broken and sound, from which on a bank says how well a signal tells them apart."""
FORESEEN = 4.0
"""Strengths within which walls are looked for that meet: at 1 the mix is reached."""
POINTS = 4096
SIGNALS = ("linearity mismatch", "length of the coefficients", "walls that meet", "grids that disagree")


@dataclass(frozen=True)
class Trial:
    """Of one bank. scores (len(SIGNALS), n): high where a break is expected; broken bool (n,)."""

    scores: NDArray[np.float64]
    broken: NDArray[np.bool_]

    def tells(self, fewest: int = FEWEST) -> bool:
        """Whether there are enough of both kinds to ask."""
        return bool(fewest <= self.broken.sum() <= len(self.broken) - fewest)

    def areas(self) -> list[float]:
        """Area under the ROC curve of each signal."""
        return [auroc(row[~self.broken], row[self.broken]) for row in self.scores]


def coefficients(shapes: int, count: int, seed: int) -> Tensor:
    """Rows (count, shapes) that sum to 1, their spread about even weights rising from 0 to FARTHEST."""
    noise = torch.randn(count, shapes, generator=torch.Generator().manual_seed(seed))
    noise = noise - noise.mean(dim=1, keepdim=True)
    noise = noise / noise.norm(dim=1, keepdim=True)
    return 1 / shapes + FARTHEST * torch.linspace(0, 1, count)[:, None] * noise


def mismatch(thetas: Tensor, amounts: Tensor, points: Tensor) -> Tensor:
    """Mean |f of sum a_i theta_i - sum a_i f of theta_i| (n,) for rows of amounts (n, S), thetas (S, LENGTH), at points
    (N, 3)."""
    alone = distance(thetas, points.expand(len(thetas), -1, -1))
    return torch.stack(
        [(distance((row @ thetas)[None], points[None])[0] - row @ alone).abs().mean() for row in amounts]
    )


def try_mixes(bank: Bank, count: int, seed: int, side: int) -> Trial:
    """Mix the nets of a bank ``count`` times; broken: another topology than the nets have."""
    amounts = coefficients(len(bank.thetas), count, seed)
    points = 2 * torch.rand(POINTS, 3, generator=torch.Generator().manual_seed(seed)) - 1
    nonlinear = mismatch(bank.thetas, amounts, points).double().numpy()
    even = bank.thetas.mean(dim=0)
    base = mesh_of(field_of(even), side)
    broken, walls, unstable = [], [], []
    for row in amounts:
        field = field_of(row @ bank.thetas)
        meshes = {size: mesh_of(field, size) for size in (side, side - 16)}
        solid = Solid.of_mesh(*(lambda _, mesh=mesh: (mesh.vertices, mesh.faces) for mesh in meshes.values()))
        stability = solid.stability(0.0)
        broken.append(stability.betti != FAMILIES[bank.family].before)
        unstable.append(float(stability.unstable))
        walls.append(_meeting(base, field_of(even), field))
    spread = (amounts - amounts.mean(dim=1, keepdim=True)).norm(dim=1).double().numpy()
    return Trial(np.stack((nonlinear, spread, walls, unstable)), np.array(broken))


def _meeting(base: Mesh, here: Field, there: Field) -> float:
    """One over the strength at which walls of the base first meet on their way to the surface of another field."""
    points = torch.from_numpy(base.vertices).float()
    if not len(points):
        return 0.0
    normals = torch.nn.functional.normalize(slopes(here, points)[1], dim=1)
    move = displacement(there, points)[:, None] * normals
    margin = collision_margin(base.vertices, normals.double().numpy(), move.double().numpy(), 0.0, FORESEEN).margin
    return 1 / margin[1] if margin[1] > 0 else np.inf


def roc(scores: NDArray, broken: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rates of false alarms and of hits as the bar falls, one point for each distinct score."""
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
    hits, alarms = np.cumsum(broken[order])[last], np.cumsum(~broken[order])[last]
    start = np.zeros(1)
    return np.append(start, alarms / max((~broken).sum(), 1)), np.append(start, hits / max(broken.sum(), 1))
