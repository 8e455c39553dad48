"""What is wrong where a scan ends: crusts at its border, and bottoms that are not flat."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from scipy.spatial import KDTree

from backend.geometry.nearest import Nearest, nearest_on_mesh

UNSEEN = 0.025
"""Shares of the longest side: farther from every scan point counts as unseen, as in the scoring tool."""
AT_BORDER, OFF = 4.0, 1.0
"""Voxels: how far the border reaches, and how far from the truth the surface counts as wrong."""
FLAT, ON_TABLE = np.cos(np.radians(10)), 0.005
"""Cosine with the way down, and share of the side above the table, of the truth's bottom."""
LEAST_BOTTOM = 0.01
"""Square of the side: things with less of a bottom stand on feet or on edges."""
SAMPLES = 40_000


def at_border(result: trimesh.Trimesh, truth: trimesh.Trimesh, scan: np.ndarray, voxel: float) -> float | None:
    """Area of the result within `AT_BORDER` voxels of where the scan ends and more than `OFF` voxels from the truth, in
    squares of the longest side. scan: points (n, 3); voxel: its width in the same units. None where all was seen."""
    unit = float(truth.extents.max())
    surface, _ = samples(truth)
    away, _ = KDTree(scan).query(surface)
    # of what was not seen, what lies next to what was
    ends = surface[(away > UNSEEN * unit) & (away < UNSEEN * unit + 2 * voxel)]
    if not len(ends):
        return None
    places, _ = samples(result)
    near = KDTree(ends).query(places, distance_upper_bound=AT_BORDER * voxel)[0] < AT_BORDER * voxel
    if not near.any():
        return 0.0
    wrong = nearest(places[near], truth).distance > OFF * voxel
    return float(result.area / unit**2 * np.count_nonzero(wrong) / len(places))


def bottom(result: trimesh.Trimesh, truth: trimesh.Trimesh, up: np.ndarray, table: float) -> dict[str, float] | None:
    """Of the flat face that a thing stands on: its mean distance to the result, in shares of the longest side, and the
    mean angle (degrees) of the result's normals there with the way down. None where it has hardly any."""
    unit = float(truth.extents.max())
    surface, normals = samples(truth)
    chosen = (normals @ up < -FLAT) & (surface @ up - table < ON_TABLE * unit)
    if truth.area / unit**2 * chosen.mean() < LEAST_BOTTOM:
        return None
    found = nearest(surface[chosen], result)
    cosine = np.clip(-(result.face_normals[found.face] @ up), -1, 1)
    return {"distance": float(found.distance.mean() / unit), "tilt": float(np.degrees(np.arccos(cosine)).mean())}


def samples(mesh: trimesh.Trimesh) -> tuple[np.ndarray, np.ndarray]:
    """Points (n, 3) evenly on a mesh, always the same ones, and the normals there."""
    points, face = trimesh.sample.sample_surface(mesh, SAMPLES, seed=0)[:2]
    return np.asarray(points, np.float64), np.asarray(mesh.face_normals)[np.asarray(face)]


def nearest(points: np.ndarray, mesh: trimesh.Trimesh) -> Nearest:
    """Of points (n, 3) on a mesh."""
    return nearest_on_mesh(np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces), points)


def figures(mesh: Path, truth: Path, scan: np.ndarray, level: int, stands: dict[str, Any]) -> dict[str, Any]:
    """`at_border`, and under condition T `bottom`, of a result. stands: what `table_scan` says."""
    result, surface = (trimesh.load_mesh(path, process=False) for path in (mesh, truth))
    # the longest side of the points is 1.6 of the 2 that a level's voxels cover
    voxel = float(np.ptp(scan, axis=0).max()) / 1.6 * 2 / (32 * 2**level)
    found: dict[str, Any] = {"border": at_border(result, surface, scan, voxel)}
    if "up" in stands:
        found["bottom"] = bottom(result, surface, np.array(stands["up"]), stands["table"])
    return found
