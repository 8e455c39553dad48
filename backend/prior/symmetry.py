"""Mirror planes of a partial, noisy scan, found against the coarse field of its own fit.

A mirrored point agrees where the field is certain of a surface near by that faces the same way. It contradicts where
the field is certain that no surface is near. Where the field is uncertain it counts neither way, so the scan's own gaps
do not matter. Planes of all directions near the middle are scored on few points; the best are refined to the scan
itself as in Podolak et al. 2006 and Mitra et al. 2006, by least squares on point-plane residuals.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree

from ..field.bricks import Level
from ..field.uncertainty import SCALE_TO_SD

DIRECTIONS = 300
"""Normals over the half sphere, about 8 degrees apart."""
OFFSETS = np.linspace(-0.3, 0.3, 13, dtype=np.float32)
"""Distances of the candidate planes from the middle of the frame, canonical."""
SCORED_POINTS, ROUGH_POINTS, FINE_POINTS = 160, 250, 700
"""Points that score a candidate plane, that refine it first, and that refine the finalists."""
RESCORED = 600
"""Planes, the best on every fourth point, that are scored on all SCORED_POINTS."""
CANDIDATES, FINALISTS = 9, 4
"""Planes that are refined on few points, and the best of them, refined on many."""
STEPS = 4
"""Gauss-Newton steps of a refinement."""
SAME_COSINE, SAME_OFFSET = 0.97, 0.1
"""Planes are the same when the cosine of their normals is above the first and their offsets differ by less."""
CERTAIN, UNCERTAIN = 0.2, 0.4
"""Scales (voxels of level 0) between which the field stops being certain of its surface."""
MARGIN = 0.75
"""Voxels of level 0 by which a mirrored point may miss the surface, on top of three times the scale."""
MEETING_DISTANCE = 0.08
"""A mirrored point meets the scan within this distance, canonical, if the normals agree:"""
MEETING_COSINE = 0.7
"""the cosine between them is above this."""
ALONG_COSINE = 0.5
"""A point faces along a plane's normal where its own has a larger cosine with it, of either sign."""


def worth_of(agree: float, contradict: float, residual: float) -> float:
    """Worth of a symmetry by the shares of a scan's image that agree and contradict, and their misfit, canonical."""
    return min(agree, 0.5) - 5 * contradict - 15 * residual


@dataclass(frozen=True)
class Plane:
    """The mirror plane normal . x = offset."""

    normal: np.ndarray  # (3,), unit
    offset: float
    agree: float  # share of the mirrored points that meet the scan

    def points(self, points: np.ndarray) -> np.ndarray:
        """Mirrored points (n, 3)."""
        return points - 2 * (points @ self.normal - self.offset)[:, None] * self.normal

    def directions(self, directions: np.ndarray) -> np.ndarray:
        """Mirrored directions (n, 3)."""
        return directions - 2 * (directions @ self.normal)[:, None] * self.normal


@dataclass(frozen=True)
class Mirror(Plane):
    """A plane in the canonical frame, in f32, and how well it mirrors the scan."""

    contradict: float  # share of the mirrored points that lie where the field is certain of no surface
    across: float  # share of the mirrored points that meet the scan and face along the plane's normal
    residual: float  # rms point-plane distance where they meet, canonical

    @property
    def worth(self) -> float:
        """The score by which planes are ranked."""
        return worth_of(self.agree, self.contradict, self.residual)


def half_sphere(count: int) -> np.ndarray:
    """Directions f32 (count, 3) spread evenly over the half sphere z > 0 (Fibonacci lattice)."""
    number = np.arange(count) + 0.5
    height = 1 - number / count
    turn = np.pi * (1 + np.sqrt(5)) * number
    radius = np.sqrt(1 - height**2)
    return np.stack([radius * np.cos(turn), radius * np.sin(turn), height], axis=1).astype(np.float32)


def thinned(points: np.ndarray, normals: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """About ``count`` of the points (n, 3) with their normals, evenly over the surface: one of each cell of a grid."""
    cell = 0.02
    order = np.random.Generator(np.random.PCG64(0)).permutation(len(points))[:50_000]
    points, normals = points[order], normals[order]
    while True:
        keys = np.floor((points + 2) / cell).astype(np.int64) @ np.array([1, 1 << 20, 1 << 40])
        chosen = np.sort(np.unique(keys, return_index=True)[1])
        points, normals = points[chosen], normals[chosen]
        if len(points) <= 1.3 * count:
            return points[:count], normals[:count]
        cell *= 1.2


class SymmetryScorer:
    """Scores points as surface by the field of level 0."""

    def __init__(self, level: Level) -> None:
        mean, log_scale = level.dense(0), level.dense(1)
        scale = np.exp(log_scale)
        slope = np.stack(np.gradient(mean), axis=-1)
        slope /= np.linalg.norm(slope, axis=-1, keepdims=True) + 1e-3
        certain = np.clip((UNCERTAIN - scale) / (UNCERTAIN - CERTAIN), 0, 1)
        near = np.clip(1.5 - np.abs(mean), 0, 1)
        against = np.clip(np.abs(mean) - MARGIN - 3 * scale, 0, 1)
        table = np.concatenate([slope * (certain * near)[..., None], against[..., None], scale[..., None]], axis=-1)
        self._table = np.ascontiguousarray(table.reshape(-1, 5), np.float32)
        self._size = level.resolution
        self._voxel = level.voxel

    def _at(self, points: np.ndarray) -> np.ndarray:
        """Rows f32 (..., 5) of the table at points (..., 3); what lies beyond the domain counts as at its border."""
        voxel = np.clip(((points + np.float32(1)) * np.float32(self._size / 2)).astype(np.int32), 0, self._size - 1)
        return self._table[(voxel[..., 0] * self._size + voxel[..., 1]) * self._size + voxel[..., 2]]

    def score(self, points: np.ndarray, normals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Agreement and contradiction f32 (...), 0 .. 1, of points (..., 3) with normals (..., 3), canonical."""
        found = self._at(points)
        agree = np.einsum("...k,...k->...", found[..., :3], normals)
        return np.clip(agree, 0, 1), found[..., 3]

    def deviation(self, points: np.ndarray) -> np.ndarray:
        """Standard deviation f32 (n,), canonical, of the field at points (n, 3)."""
        return self._at(points)[..., 4] * np.float32(SCALE_TO_SD * self._voxel)


def candidate_planes(points: np.ndarray, normals: np.ndarray, scorer: SymmetryScorer) -> list[tuple[np.ndarray, float]]:
    """Normals and offsets of the best distinct planes, best first."""
    directions = np.repeat(half_sphere(DIRECTIONS), len(OFFSETS), axis=0)
    offsets = np.tile(OFFSETS, DIRECTIONS)
    score = np.zeros(0)
    # all planes on every fourth point, then the best of them on all points
    for part, kept in ((slice(None, None, 4), RESCORED), (slice(None), len(offsets))):
        score = _scores(points[part], normals[part], directions, offsets, scorer)
        best = np.argsort(-score, kind="stable")[:kept]
        directions, offsets = directions[best], offsets[best]
    chosen: list[tuple[np.ndarray, float]] = []
    while len(chosen) < CANDIDATES and len(offsets):
        chosen.append((directions[0], float(offsets[0])))
        others = ~same_plane(directions, offsets, *chosen[-1])
        directions, offsets = directions[others], offsets[others]
    return chosen


def _scores(
    points: np.ndarray, normals: np.ndarray, directions: np.ndarray, offsets: np.ndarray, scorer: SymmetryScorer
) -> np.ndarray:
    """Mean agreement less contradiction f32 (p,) of points and normals (n, 3) mirrored in p planes."""
    height = directions @ points.T - offsets[:, None]
    mirrored = points - 2 * height[..., None] * directions[:, None]
    turned = normals - 2 * (directions @ normals.T)[..., None] * directions[:, None]
    agree, contradict = scorer.score(mirrored, turned)
    return (agree - 2 * contradict).mean(axis=1)


def same_plane(normals: np.ndarray, offsets: np.ndarray | float, normal: np.ndarray, offset: float) -> np.ndarray:
    """Whether planes with ``normals`` (..., 3) and ``offsets`` (...) are the one with ``normal`` and ``offset``."""
    cosine = normals @ normal
    return (np.abs(cosine) > SAME_COSINE) & (np.abs(offsets - np.sign(cosine) * offset) < SAME_OFFSET)


def refine_plane(
    normal: np.ndarray,
    offset: float,
    points: np.ndarray,
    normals: np.ndarray,
    tree: KDTree,
    scan_normals: np.ndarray,
    scorer: SymmetryScorer,
) -> Mirror:
    """The plane moved to where the mirrored points meet the scan best: Gauss-Newton on point-plane residuals. points,
    normals (n, 3): mirrored; tree, scan_normals: the points that they have to meet, and their normals."""
    normal, reach = normal.astype(np.float64), 2 * MEETING_DISTANCE
    met, residual = np.zeros(len(points), bool), np.zeros(0)
    for step in range(STEPS + 1):
        height = points @ normal - offset
        mirrored = points - 2 * height[:, None] * normal
        turned = normals - 2 * (normals @ normal)[:, None] * normal
        distance, nearest = tree.query(mirrored, distance_upper_bound=reach)
        met = np.isfinite(distance)
        nearest = np.where(met, nearest, 0)
        facing = scan_normals[nearest]
        met &= (turned * facing).sum(axis=1) > MEETING_COSINE
        target = np.asarray(tree.data)[nearest[met]]
        facing = facing[met]
        residual = ((mirrored[met] - target) * facing).sum(axis=1)
        if step == STEPS or met.sum() < 20:
            break
        along = np.linalg.svd(normal[None])[2][1:]
        against, up = (facing @ normal)[:, None], height[met][:, None]
        slope = np.concatenate(
            [-2 * ((points[met] @ along.T) * against + up * (facing @ along.T)), 2 * against], axis=1
        )
        width = max(0.01, 1.5 * float(np.median(np.abs(residual))))
        weight = 1 / (1 + (residual / width) ** 2) ** 2
        # a little damping, because every plane through the centre of a sphere fits equally well
        normal_matrix = (slope * weight[:, None]).T @ slope + 1e-3 * len(points) * np.eye(3)
        move = -np.linalg.solve(normal_matrix, (slope * weight[:, None]).T @ residual)
        normal = normal + move[:2] @ along
        length = float(np.linalg.norm(normal))
        normal, offset = normal / length, (offset + float(move[2])) / length
        reach = max(MEETING_DISTANCE, 0.8 * reach)
    rms = float(np.sqrt(np.mean(np.minimum(np.abs(residual), MEETING_DISTANCE) ** 2))) if len(residual) else np.inf
    across = float((met & (np.abs(normals @ normal) > ALONG_COSINE)).mean())
    mirror = Mirror(normal.astype(np.float32), float(offset), float(met.mean()), 0.0, across, rms)
    _, contradict = scorer.score(mirror.points(points), mirror.directions(normals))
    return dataclasses.replace(mirror, contradict=float(contradict.mean()))


def mirror_planes(points: np.ndarray, normals: np.ndarray, scorer: SymmetryScorer) -> list[Mirror]:
    """Mirror planes of a scan, best first; points, normals f32 (n, 3), canonical."""
    points, normals = thinned(points, normals, FINE_POINTS)
    tree = KDTree(points)

    def refined(planes: list[tuple[np.ndarray, float]], count: int) -> list[Mirror]:
        few = slice(None, None, max(1, len(points) // count))
        found: list[Mirror] = []
        for plane in planes:
            mirror = refine_plane(*plane, points[few], normals[few], tree, normals, scorer)
            if not any(same_plane(mirror.normal, mirror.offset, other.normal, other.offset) for other in found):
                found.append(mirror)
        return sorted(found, key=lambda mirror: mirror.worth, reverse=True)

    few = slice(None, None, max(1, len(points) // SCORED_POINTS))
    first = refined(candidate_planes(points[few], normals[few], scorer), ROUGH_POINTS)
    return refined([(mirror.normal, mirror.offset) for mirror in first[:FINALISTS]], FINE_POINTS)
