"""Repairs that need no geometry: points that are not finite, equal or unused, and faces that are no triangles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import ErrorCode, OmomiError
from ..formats.raw_scan import RawScan
from ..registration.views import ViewMotion

FARTHEST = 1e100
"""Coordinates beyond this count as damaged, like NaN: their differences would overflow."""
FARTHEST_UNITS = 1e6
"""Points are clamped to this many scan sizes from the middle; so far out they are outliers in any case."""


@dataclass(frozen=True)
class CleanReport:
    """What was repaired between the raw and the prepared scan."""

    input_points: int
    dropped_nonfinite: int  # points that are NaN, infinite or beyond FARTHEST
    dropped_duplicates: int  # points merged into an equal one
    dropped_degenerate_faces: int  # faces with fewer than three different corners, or given twice
    dropped_loose: int  # points of a mesh that no face uses
    dropped_outliers: int = 0
    pieces: int = 0  # connected pieces
    open_loops: int = 0  # connected boundaries of a mesh, 0 for bare points
    normals_from: str = ""  # 'given', 'faces', 'sensor' or 'propagated'
    decimated: int = 0  # points left out to respect the limit
    added_samples: int = 0  # points put on faces that are large against the scan
    kind: str = ""  # what the scan was read as, see `scan.kind`
    reason: str = ""  # why, in words
    closing_faces: int = 0  # faces that a program put over holes; they count as no measurements
    dropped_inner: int = 0  # points inside the union of the closed parts, or on the hidden side of a thin shell
    dropped_pieces: int = 0  # pieces of the surface that nothing measured supports
    kept: float = 1.0  # share of the surface that was given with the result near it, see `field.coverage`
    thinner: float | None = None  # share of it that is thinner than a voxel; None where its thickness is not known
    dropped: float = 0.0  # share of it that was left out: outliers, what lies inside, pieces of the result
    invented: float = 0.0  # share of the result's area with nothing that was measured near it
    views: tuple[ViewMotion, ...] = ()  # what registration did to each view, where it was wanted
    notes: tuple[str, ...] = ()  # what an artist should know of the result, a sentence each


@dataclass(frozen=True)
class CleanScan:
    """A scan whose points are finite and distinct and whose faces are distinct triangles. Arrays as in RawScan."""

    points: NDArray[np.float32]  # (n, 3), (world - origin) / unit, so that the middle of the scan measures about 1
    faces: NDArray[np.int32] | None
    normals: NDArray[np.float32] | None
    to_sensor: NDArray[np.float32] | None
    origin: NDArray[np.float64]
    unit: float
    report: CleanReport  # of what was dropped here


def clean(raw: RawScan) -> CleanScan:
    """Drop and merge points and faces without information, and move the rest near the origin before it is float32.

    A mesh whose faces use less than half of its points counts as bare points, because such faces are no surface.
    Raises OmomiError: EMPTY_SCAN, BAD_COORDINATES (no finite point), TOO_FEW_POINTS (all at one place).
    """
    if len(raw.points) == 0:
        raise OmomiError(ErrorCode.EMPTY_SCAN, f"{raw.name} has no points.")
    faces, normals, to_sensor, world = raw.faces, raw.normals, raw.to_sensor, raw.points
    if not np.abs(world).max() <= FARTHEST:  # also where it is NaN
        finite = np.all(np.abs(world) <= FARTHEST, axis=1)
        if not finite.any():
            raise OmomiError(ErrorCode.BAD_COORDINATES, f"{raw.name} has no point with finite coordinates.")
        faces, world = _keep_points(faces, finite), world[finite]
        normals, to_sensor = _take(normals, finite), _take(to_sensor, finite)
    origin, unit = _middle(world, raw.name)
    points = ((world - origin) / unit).clip(-FARTHEST_UNITS, FARTHEST_UNITS).astype(np.float32)

    merged = _merge_equal(points)
    if merged is not None:
        first, group = merged
        points, to_sensor = points[first], _take(to_sensor, first)
        if normals is not None:
            sums = [np.bincount(group, weights=normals[:, axis]) for axis in range(3)]
            normals = np.stack(sums, axis=1).astype(np.float32)
        faces = None if faces is None else group[faces]

    dropped_faces = loose = 0
    if faces is not None:
        proper = _proper(len(points), faces)
        dropped_faces = len(faces) - int(proper.sum())
        faces = faces[proper] if dropped_faces else faces
        used = np.zeros(len(points), bool)
        used[faces.ravel()] = True
        loose = len(points) - int(used.sum())
        if 2 * loose > len(points):
            faces, loose = None, 0
        elif loose:
            faces = _keep_points(faces, used)
            points, normals, to_sensor = points[used], _take(normals, used), _take(to_sensor, used)
    nonfinite, equal = len(raw.points) - len(world), 0 if merged is None else len(merged[1]) - len(merged[0])
    report = CleanReport(len(raw.points), nonfinite, equal, dropped_faces, loose)
    return CleanScan(points, faces, normals, to_sensor, origin, unit, report)


def _take(array: NDArray | None, which: NDArray) -> NDArray | None:
    return None if array is None else array[which]


def _keep_points(faces: NDArray[np.int32] | None, keep: NDArray[np.bool_]) -> NDArray[np.int32] | None:
    """Faces whose corners are all kept, with the indices the corners have then."""
    if faces is None:
        return None
    place = (np.cumsum(keep) - 1).astype(np.int32)
    return place[faces[keep[faces].all(axis=1)]]


def _middle(world: NDArray[np.float64], name: str) -> tuple[NDArray[np.float64], float]:
    """Middle and size of the scan, from the middle 95 % of a sample along each axis, which outliers do not change."""
    sample = world[:: max(1, len(world) // 20_000)]
    low, high = np.quantile(sample, [0.025, 0.975], axis=0)
    size = float((high - low).max())
    if size == 0.0:
        low, high = world.min(axis=0), world.max(axis=0)
        size = float((high - low).max())
    if size == 0.0:
        raise OmomiError(ErrorCode.TOO_FEW_POINTS, f"All points of {name} lie at one place.")
    return (low + high) / 2, size


def _merge_equal(points: NDArray[np.float32]) -> tuple[NDArray[np.intp], NDArray[np.int32]] | None:
    """Group equal points: the first of each group, in order, and the group of each point; None if all differ."""
    bits = (points + np.float32(0.0)).view(np.uint32).astype(np.uint64)  # adding zero makes -0.0 equal 0.0
    key = _mixed(bits[:, 0] | (bits[:, 1] << np.uint64(32))) + bits[:, 2]
    key = _mixed(key)
    ordered = np.sort(key)
    if not np.any(ordered[1:] == ordered[:-1]):
        return None
    order = np.argsort(key, kind="stable")
    # The keys bring equal points together; different points with the same key are separated here.
    new = np.concatenate([[True], np.any(points[order[1:]] != points[order[:-1]], axis=1)])
    first = order[new]
    rank = np.empty(len(first), np.int32)
    rank[np.argsort(first)] = np.arange(len(first), dtype=np.int32)
    group = np.empty(len(points), np.int32)
    group[order] = rank[np.cumsum(new) - 1]
    return np.sort(first), group


def _mixed(key: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Mix the bits of 64-bit keys (the finaliser of splitmix64)."""
    key = (key ^ (key >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    key = (key ^ (key >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return key ^ (key >> np.uint64(31))


def _proper(count: int, faces: NDArray[np.int32]) -> NDArray[np.bool_]:
    """(m,) True for faces with three different corners, the first of those with the same corners."""
    a, b, c = faces.T
    proper = (a != b) & (b != c) & (c != a)
    corner_key = _mixed(np.arange(1, count + 1, dtype=np.uint64))
    key = corner_key.take(a) + corner_key.take(b) + corner_key.take(c)
    ordered = np.sort(key)
    if np.any(ordered[1:] == ordered[:-1]):
        rows = np.sort(faces, axis=1)
        order = np.lexsort((np.arange(len(faces)), rows[:, 2], rows[:, 1], rows[:, 0]))
        again = np.all(rows[order[1:]] == rows[order[:-1]], axis=1)
        proper[order[1:][again]] = False
    return proper
