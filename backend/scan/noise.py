"""The noise of a scan: the standard deviation of its points along the normal, measured from the points themselves.

A quadric is fitted to small neighbourhoods of sampled points; its residual is the noise. The quadric absorbs curvature,
and a low quantile of many neighbourhoods ignores edges, corners and crossing sheets. A neighbourhood is a sheet only if
it is wide against the noise, so the estimate starts with narrow ones and widens them where necessary. Noise makes wider
neighbourhoods flatter, for it does not grow with them; thin walls and pores do, so the flattest ones count.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree
from scipy.special import gammaincinv

from ..geometry.normals import unit
from .outliers import Occupancy, in_blocks

SCALES = ((24, 1000), (96, 300), (384, 150))
"""(points in a neighbourhood, neighbourhoods), from narrow to wide."""
SHEET = 4.5
"""A neighbourhood is a sheet when its radius is at least this many sd of the scatter."""
QUANTILE = 0.2
"""Quantile of the variances of the neighbourhoods. Even noise gives the same estimate at any quantile; shape shows less
at a low one. Chosen on the valid scans."""
FACING = 0.5
"""Least cosine between the normals of a neighbourhood's middle and of its points: others lie on another wall, or behind
an edge. Chosen on the valid scans; noise as large as the spacing turns normals by less."""
USABLE = 0.1
"""Least share of the neighbourhoods with enough points that face alike; of fewer a quantile says little."""
PLACES = 32
"""Places over the scan around which the sampled points lie; they bound the work for scans of any size."""
_QUADRIC = 6
"""Coefficients of a quadric over a plane."""


def noise_sd(
    points: NDArray[np.float32],
    cells: Occupancy,
    measured: NDArray[np.bool_],
    normals: NDArray[np.float32] | None = None,
    widest: float = np.inf,
) -> float:
    """Standard deviation of the noise along the normal, in the units of ``points`` (n, 3).

    measured: (n,), True for points of the scanner, False for points sampled on faces.
    normals: (n, 3), of any length; where known, points that face elsewhere are left out, see FACING.
    widest: neighbourhoods of larger radius are left out, because they show shape, not noise; 0.0 where none is left.
    """
    patch, seeds = _around_places(cells, measured)
    if len(patch) <= 2 * _QUADRIC:
        return 0.0
    local = points[patch].astype(np.float64)
    facing = None if normals is None else unit(normals[patch])[0]
    tree = KDTree(local, balanced_tree=False)
    estimate, flattest = 0.0, 0.0
    for neighbours, count in SCALES:
        if neighbours > len(local):
            break
        chosen = seeds[:: max(1, len(seeds) // count)]
        distance, index = (np.asarray(each) for each in tree.query(local[chosen], k=neighbours))
        radius = distance[:, -1]
        weight = np.ones(index.shape)
        if facing is not None:
            weight[np.einsum("sj,skj->sk", facing[chosen], facing[index]) < FACING] = 0.0
        freedom = weight.sum(axis=1) - _QUADRIC
        narrow = radius <= widest
        usable = narrow & (freedom >= _QUADRIC)
        if not usable.any() or usable.sum() < USABLE * narrow.sum():
            # in a wider one more points face alike
            continue
        freedom = freedom[usable]
        variance = _residual(local[index[usable]], weight[usable]) / freedom
        # The chosen quantile of a variance over its expectation is that of chi squared over its degrees of freedom.
        expected = 2 * gammaincinv(freedom / 2, QUANTILE) / freedom
        found = float(np.sqrt(np.quantile(variance / expected, QUANTILE)))
        flat = float(np.median(radius[usable])) / max(found, float(np.finfo(float).tiny))
        if flat > flattest:
            estimate, flattest = found, flat
        if flat >= SHEET:
            break
    return estimate


def _around_places(cells: Occupancy, measured: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Points near PLACES places, as indices (p,), and those in the middle of a place, as indices (s,) into these."""
    coarse_of = cells.coarse.cell_of[cells.fine.cell_of]
    weight = np.cumsum(np.bincount(coarse_of, weights=measured, minlength=len(cells.coarse.keys)))
    places = np.unique(np.searchsorted(weight, (np.arange(PLACES) + 0.5) / PLACES * weight[-1]))
    patch = np.flatnonzero(in_blocks(cells.coarse, places)[coarse_of] & measured)
    middle = np.zeros(len(cells.coarse.keys), bool)
    middle[places] = True
    return patch, np.flatnonzero(middle[coarse_of[patch]])


def _residual(points: NDArray[np.float64], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Residual sum of squares (s,) of a quadric over the plane of ``points`` (s, k, 3), ``weight`` (s, k) 0 or 1."""
    held = weight.sum(axis=1)
    points = points - np.einsum("skj,sk->sj", points, weight)[:, None] / held[:, None, None]
    size = np.sqrt(np.einsum("skj,skj,sk->s", points, points, weight) / held)
    points = points / np.maximum(size, np.finfo(float).tiny)[:, None, None] * weight[..., None]
    axes = np.linalg.eigh(points.transpose(0, 2, 1) @ points)[1]
    height, u, v = np.moveaxis(points @ axes, 2, 0)
    terms = np.stack([weight, u, v, u * u, u * v, v * v], axis=1)
    # Points on a line leave some terms undetermined; the small ridge keeps the system solvable, the rest in place.
    system = terms @ terms.transpose(0, 2, 1) + 1e-9 * np.eye(_QUADRIC)
    solution = np.linalg.solve(system, terms @ height[..., None])
    left = height - (solution.transpose(0, 2, 1) @ terms)[:, 0]
    return size**2 * (left**2).sum(axis=1)
