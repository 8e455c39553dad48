"""Triangles of one surface that cut through triangles of another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

NEAREST = 8
"""Triangles of the other surface that each triangle is tested with: those with the nearest middles. The test costs so
many times what both surfaces hold, and can miss what is much longer than its neighbours."""
TOUCHES = 1e-9
"""Of a triangle's edges: what ends so near its plane or rim touches and does not cut."""


def crossed(one: NDArray[np.float64], two: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which triangles (m, 3, 3) are cut by triangles (k, 3, 3), as far as NEAREST shows."""
    found = np.zeros(len(one), bool)
    if not len(one) or not len(two):
        return found
    first, second = _pairs(one, two)
    a, b = one[first], two[second]
    cut = np.zeros(len(first), bool)
    for corner in range(3):
        following = (corner + 1) % 3
        cut |= _cuts(a[:, corner], a[:, following], b) | _cuts(b[:, corner], b[:, following], a)
    found[first[cut]] = True
    return found


def _pairs(one: NDArray, two: NDArray) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    middles = one.mean(axis=1), two.mean(axis=1)
    there = KDTree(middles[1]).query(middles[0], k=[*range(1, min(NEAREST, len(two)) + 1)])[1]
    back = KDTree(middles[0]).query(middles[1], k=[*range(1, min(NEAREST, len(one)) + 1)])[1]
    first = np.concatenate([np.repeat(np.arange(len(one)), there.shape[1]), back.reshape(-1)])
    second = np.concatenate([there.reshape(-1), np.repeat(np.arange(len(two)), back.shape[1])])
    pairs = zip((one, two), middles, strict=True)
    reach = [np.linalg.norm(side - middle[:, None], axis=2).max(axis=1) for side, middle in pairs]
    apart = np.linalg.norm(middles[0][first] - middles[1][second], axis=1)
    meet = apart <= reach[0][first] + reach[1][second]
    return first[meet], second[meet]


def _cuts(start: NDArray, end: NDArray, triangle: NDArray) -> NDArray[np.bool_]:
    """Whether segments (p, 3) pass through triangles (p, 3, 3): Möller and Trumbore, "Fast, minimum storage
    ray-triangle intersection" (1997)."""
    along, one, two = end - start, triangle[:, 1] - triangle[:, 0], triangle[:, 2] - triangle[:, 0]
    across = np.cross(along, two)
    volume = np.einsum("pa,pa->p", one, across)
    size = np.linalg.norm(along, axis=1) * np.linalg.norm(one, axis=1) * np.linalg.norm(two, axis=1)
    flat = np.abs(volume) <= TOUCHES * size
    volume = np.where(flat, 1.0, volume)
    away = start - triangle[:, 0]
    u = np.einsum("pa,pa->p", away, across) / volume
    turned = np.cross(away, one)
    v = np.einsum("pa,pa->p", along, turned) / volume
    t = np.einsum("pa,pa->p", two, turned) / volume
    inside = (u > TOUCHES) & (v > TOUCHES) & (u + v < 1 - TOUCHES) & (t > TOUCHES) & (t < 1 - TOUCHES)
    return inside & ~flat
