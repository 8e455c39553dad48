"""Search over all poses: many starts at once, on few points, with all distances between them in one array."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

SPREAD_TURNS = 96
"""Rotations spread evenly, besides those of the principal axes, which are uncertain where a shape is nearly round."""
STAGES = ((80, 3, 40), (200, 4, 8), (500, 5, 8))
"""For each stage: points of either side, rounds, and poses that are kept."""
REACH = 0.3
"""A turn of one radian between two normals counts like this distance, in sizes."""
FAR = 0.7
"""Largest distance (sizes) that counts, so that a missing part counts, but not without limit."""
DOUBT = 0.3
"""Matches at this distance (sizes) have half the weight."""


def search(
    source: tuple[NDArray, NDArray], target: tuple[NDArray, NDArray]
) -> list[tuple[NDArray[np.float64], NDArray[np.float64], float]]:
    """Poses that may fit, best first: rotation (3, 3), shift (3,) and the root mean square misfit, both ways.

    source and target: points (n, 3), centred and of size one, with normals (n, 3). Each side is matched to the other,
    so that a part that one of them lacks counts: only such parts distinguish the poses of a nearly round shape.
    """
    turns = np.concatenate([spread_turns(SPREAD_TURNS), axis_turns(source[0], target[0])]).astype(np.float32)
    shifts, misfit = np.zeros((len(turns), 3), np.float32), np.zeros(len(turns))
    for points, rounds, kept in STAGES:
        here, there = (tuple(part[:points].astype(np.float32) for part in side) for side in (source, target))
        turns, shifts, misfit = _fitted(here, there, turns, shifts, rounds)
        best = np.argsort(misfit)[:kept]
        turns, shifts, misfit = turns[best], shifts[best], misfit[best]
    found = zip(turns.astype(np.float64), shifts.astype(np.float64), misfit.tolist(), strict=True)
    return list(found)


def misfit(source: tuple[NDArray, NDArray], target: tuple[NDArray, NDArray]) -> float:
    """Root mean square distance (sizes), both ways, between points with normals, weighed as in the search."""
    here, there = (tuple(part.astype(np.float32) for part in side) for side in (source, target))
    return float(_fitted(here, there, np.eye(3, dtype=np.float32)[None], np.zeros((1, 3), np.float32), 0)[2][0])


def spread_turns(count: int) -> NDArray[np.float64]:
    """Rotations (count, 3, 3) spread evenly: a spiral over the unit quaternions (Alexa 2022)."""
    share = (np.arange(count) + 0.5) / count
    first, second = (2 * np.pi * (np.arange(count) + 0.5) / step for step in (np.sqrt(2), 1.533751168755204288118041))
    inner, outer = np.sqrt(share), np.sqrt(1 - share)
    quaternions = [inner * np.sin(first), inner * np.cos(first), outer * np.sin(second), outer * np.cos(second)]
    return Rotation.from_quat(np.stack(quaternions, axis=1)).as_matrix()


def axis_turns(source: NDArray, target: NDArray) -> NDArray[np.float64]:
    """The 24 rotations (24, 3, 3) that take principal axes of (n, 3) to those of (m, 3), in any order and sense."""
    source_axes, target_axes = (np.linalg.eigh(np.cov(points.T))[1] for points in (source, target))
    turns = []
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1.0, -1.0), repeat=3):
            turn = (target_axes[:, order] * signs) @ source_axes.T
            if np.linalg.det(turn) > 0:
                turns.append(turn)
    return np.stack(turns)


def _fitted(
    source: tuple[NDArray, ...], target: tuple[NDArray, ...], turns: NDArray, shifts: NDArray, rounds: int
) -> tuple[NDArray, NDArray, NDArray]:
    """Rotations (s, 3, 3) and shifts (s, 3) after ``rounds`` of matching both ways, and their misfits (s,)."""
    points, normals = source
    targets, facing = target
    place = np.concatenate([targets, REACH * facing], axis=1)
    own = (place**2).sum(axis=1)
    for number in range(rounds + 1):
        moved = points @ turns.transpose(0, 2, 1) + shifts[:, None]
        code = np.concatenate([moved, REACH * (normals @ turns.transpose(0, 2, 1))], axis=2)
        # squared distances (s, n, m)
        square = code @ (-2 * place.T)
        square += (code**2).sum(axis=2)[:, :, None]
        square += own
        there, back = square.argmin(axis=2), square.argmin(axis=1)
        found = np.concatenate([_least(square, there, 2), _least(square, back, 1)], axis=1)
        if number == rounds:
            break
        weight = 1 / (1 + found / DOUBT**2)
        weight /= weight.sum(axis=1, keepdims=True)
        from_points = np.concatenate([np.broadcast_to(points, (len(turns), *points.shape)), points[back]], axis=1)
        to_points = np.concatenate([targets[there], np.broadcast_to(targets, (len(turns), *targets.shape))], axis=1)
        turns, shifts = _rigid(from_points, to_points, weight[:, :, None])
    return turns, shifts, np.sqrt(np.minimum(found, FAR**2).mean(axis=1))


def _least(square: NDArray, index: NDArray, axis: int) -> NDArray:
    return np.maximum(np.take_along_axis(square, np.expand_dims(index, axis), axis), 0).squeeze(axis)


def _rigid(source: NDArray, target: NDArray, weight: NDArray) -> tuple[NDArray, NDArray]:
    """Rotations (s, 3, 3) and shifts (s, 3) from source (s, n, 3) to target; weight (s, n, 1) sums to one."""
    source_mean, target_mean = ((weight * side).sum(axis=1, keepdims=True) for side in (source, target))
    left, _, right = np.linalg.svd((weight * (target - target_mean)).transpose(0, 2, 1) @ (source - source_mean))
    left[:, :, 2] *= np.sign(np.linalg.det(left @ right))[:, None]
    turns = left @ right
    return turns, (target_mean - source_mean @ turns.transpose(0, 2, 1))[:, 0]
