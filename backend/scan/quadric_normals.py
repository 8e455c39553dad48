"""Normals of a noisy scan: those of quadrics that are fitted to the points around each.

The plane of least squares through a neighbourhood has the normal of its middle, not of its point: where a scan ends, at
an edge and on small features that is another one, and points near by are wrong alike, which the network takes for
shape. A quadric (Cazals and Pouget 2005, "Estimating differential quantities using polynomial fitting of osculating
jets") has the normal of the point. What faces elsewhere counts less, so that edges stay (Öztireli et al. 2009,
"Feature preserving point set surfaces based on non-linear kernel regression").
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from ..geometry.nearest import LEAF
from ..geometry.normals import unit
from .orientation import fitted_points, nearest_points

NEIGHBOURS = 24
"""Points that a quadric is fitted to."""
WIDTH = 0.5
"""Standard deviation of their weights by distance, in radii of the neighbourhood."""
TURN, OPPOSITE = 0.4, 0.3
"""Difference of unit normals at which a weight falls to exp(-1/2), and the cosine below which a point belongs to
another surface."""
ROUNDS = 2
"""The second weighs neighbours by the normals of the first. All of these were chosen on `scans/valid`, conditions B and
D at 128^3: wider neighbourhoods, one round and weights without normals leave larger errors."""
MOST_DEVIATION = 0.09
"""Standard deviation (radians) of the slope of a plane through so many points, by their noise, above which planes stay.
On ten models of `scans/valid` at 128^3 quadrics gain 11 per cent with .065 (condition B), 3 with .11, and lose 4 with
.18 (condition C); of a dense scan of a thin wall they are worse from .1 on, as its noise is found too small."""
RIDGE = 1e-4
"""Of the fit, in weights of one point: what points on a line leave open stays as it was."""
FARTHER, FACING, SAMPLES = 40, 0.5, 2000
"""Given normals are held against the points from the one after `NEIGHBOURS` to this one, where these face alike within
this cosine, at so many places."""
EXPLAINED, MUCH_WORSE = 2.0, 0.95
"""Standard deviations of the noise that explain a difference of normals, and the share of what given normals miss
farther points by that quadrics may miss them by. Chosen on eight models of `scans/valid`, conditions A to C, with one
point in 1, 4, 16 and 48: true normals of sparse points stay, planes of 10 to 32 neighbours do not. Where noise explains
the difference, as in dense scans, the quadrics of true normals cost a tenth, and those of planes gain a fifth."""
MOST_POINTS = 150_000
"""Of a scan whose neighbourhoods are wider than a voxel of 128^3: in narrower ones quadrics gain a hundredth."""
AT_ONCE = 2**13
"""Quadrics that are fitted together: bounds the memory."""
TINY = np.finfo(np.float32).tiny


def refined_normals(
    points: NDArray[np.float32], normals: NDArray[np.float32], noise: float, given: bool
) -> NDArray[np.float32]:
    """Unit normals (n, 3) at points (n, 3), on the side of ``normals`` (n, 3), unit ones: those of quadrics.

    noise: standard deviation of the points along their normals; where it is large against the neighbourhoods, all
    normals stay, as they do in scans of more than `MOST_POINTS` points, whose neighbourhoods are narrow. Normals that
    were ``given`` with the points also stay where they are off the quadrics by more than noise explains, and hardly
    worse.
    """
    if not FARTHER < len(points) <= MOST_POINTS:
        return normals
    order = fitted_points(points)
    refined = np.empty_like(normals)
    refined[order] = _refined(points[order], normals[order], noise, given)
    return refined


def _refined(
    points: NDArray[np.float32], normals: NDArray[np.float32], noise: float, given: bool
) -> NDArray[np.float32]:
    """`refined_normals` of points that are near each other in memory as in space."""
    tree, some = KDTree(points, LEAF), np.arange(0, len(points), 1 + len(points) // SAMPLES)
    away, near = nearest_points(tree, points[some], FARTHER)
    # of the slope of a plane through as many points
    deviation = float(np.median(2 * noise / np.sqrt((away[:, :NEIGHBOURS] ** 2).sum(axis=1) + TINY)))
    if deviation > MOST_DEVIATION:
        return normals
    fitted = _quadric_normals(points, normals, nearest_points(tree, points, NEIGHBOURS)[1])
    turned = float(np.median(np.linalg.norm(fitted[some] - normals[some], axis=1)))
    if not given or turned < EXPLAINED * deviation:
        return fitted
    beyond = near[:, NEIGHBOURS:]
    worse = _misses(points, normals, some, beyond) * MUCH_WORSE > _misses(points, fitted, some, beyond)
    return fitted if worse else normals


def _misses(
    points: NDArray[np.float32], normals: NDArray[np.float32], some: NDArray[np.intp], beyond: NDArray[np.intp]
) -> float:
    """By how much (radians) normals miss points farther away: on a quadric the way between two points is square to the
    sum of their normals. some (k,): numbers of points; beyond (k, r): of those that are looked at from each."""
    way = points[beyond] - points[some, None]
    here, there = normals[some], normals[beyond]
    along = np.abs(np.einsum("krj,krj->kr", way, here[:, None] + there))
    along /= np.sqrt((way**2).sum(axis=2)) + TINY
    facing = np.einsum("krj,kj->kr", there, here) > FACING
    return float(np.median(along[facing])) if facing.any() else 0.0


def _quadric_normals(
    points: NDArray[np.float32], normals: NDArray[np.float32], near: NDArray[np.intp]
) -> NDArray[np.float32]:
    """`refined_normals`, of quadrics everywhere; near (n, c): the numbers of the neighbours of each point."""
    parts = [slice(start, start + AT_ONCE) for start in range(0, len(points), AT_ONCE)]
    for _ in range(ROUNDS):
        normals = np.concatenate([_fitted(points, normals, part, near[part]) for part in parts])
    return normals


def _fitted(
    points: NDArray[np.float32], normals: NDArray[np.float32], part: slice, near: NDArray[np.intp]
) -> NDArray[np.float32]:
    """Normals (k, 3) of the quadrics of a part of the points, whose neighbours have the numbers ``near`` (k, c)."""
    frame = _frames(normals[part])
    offset = points.take(near, axis=0) - points[part, None]
    radius = np.sqrt((offset[:, -1] ** 2).sum(axis=1))[:, None] + TINY
    x, y, height = np.moveaxis(offset @ frame, 2, 0) / radius
    cosine = (normals.take(near, axis=0) @ frame[:, :, 2:])[..., 0]
    away = x**2 + y**2 + height**2
    weight = np.exp((cosine - 1) / TURN**2 - away / (2 * WIDTH**2)) * (cosine > OPPOSITE)
    # the slopes last, which alone are wanted
    terms = np.stack([np.ones_like(x), x * x, x * y, y * y, x, y, height], axis=2)
    slopes = _last_two((terms[..., :6] * weight[..., None]).transpose(0, 2, 1) @ terms)
    return unit(frame[:, :, 2] - (frame[:, :, :2] @ slopes)[..., 0])[0]


def _last_two(systems: NDArray[np.float32]) -> NDArray[np.float32]:
    """The last two unknowns (k, 2, 1) of positive definite systems (k, m, m + 1), the right side last: elimination of
    all systems at once, ten times as fast as one by one."""
    rows = np.ascontiguousarray(systems.transpose(1, 2, 0), np.float64)
    size = len(rows)
    rows[range(size), range(size)] += RIDGE
    for pivot in range(size - 1):
        below = rows[pivot + 1 :, pivot] / rows[pivot, pivot]
        rows[pivot + 1 :, pivot + 1 :] -= below[:, None] * rows[pivot, pivot + 1 :]
    last = rows[-1, -1] / rows[-1, -2]
    before = (rows[-2, -1] - rows[-2, -2] * last) / rows[-2, -3]
    return np.stack([before, last], axis=1)[..., None].astype(np.float32)


def _frames(normals: NDArray[np.float32]) -> NDArray[np.float32]:
    """Orthonormal frames (k, 3, 3) with the unit normals (k, 3) as their last columns (Duff et al. 2017, "Building an
    orthonormal basis, revisited")."""
    x, y, z = normals.T
    sign = np.copysign(np.float32(1), z)
    a = -1 / (sign + z)
    b = x * y * a
    first = np.stack([1 + sign * x * x * a, sign * b, -sign * x], axis=1)
    second = np.stack([b, sign + y * y * a, -y], axis=1)
    return np.stack([first, second, normals], axis=2)
