"""Measured surface where several views of a virtual scan agree, and how far a result lies from it."""

# The benchmark has an environment of its own; the checks run in the one with Blender.
# pyright: reportMissingImports=false
from __future__ import annotations

import sys
from pathlib import Path
from typing import cast

import numpy as np
import point_cloud_utils as pcu
import trimesh
from scipy.spatial import KDTree

from tests.benchmarks.cases import Case, ScoringTool

REACH = 0.025
"""Points this near (longest side = 1) to a place are asked about it; the scanner's pixels are 0.01 wide."""
VIEWS, POINTS = 3, 15
"""So many views and points have to speak of a place."""
AGREED = 1.5
"""They agree when they lie within this many times the noise of one quadric, rms: at edges and between walls they do
not."""
PLACES = 4000


def moved_from_measured(tool: ScoringTool, case: Case, result: Path) -> tuple[np.ndarray, float]:
    """Distances (n,) of a result from places where the views agree, and the scanner's noise; longest side = 1."""
    sys.path.insert(0, str(tool.folder))
    try:
        from score.scanner import CONDITIONS, scan_model
    finally:
        sys.path.pop(0)
    model = cast(trimesh.Trimesh, trimesh.load_mesh(tool.scans / "clean" / f"{case.model}.ply", process=False))
    condition = CONDITIONS[case.condition]
    scan = scan_model(model, condition, case.seed)
    points, view = scan.points / scan.unit, scan.view
    tree = KDTree(points)
    chosen = np.random.default_rng(0).permutation(len(points))[:PLACES]
    places = []
    for near in tree.query_ball_point(points[chosen], REACH):
        if len(near) >= POINTS and len(np.unique(view[near])) >= VIEWS:
            place, residual = _consensus(points[near])
            if residual <= AGREED * condition.noise:
                places.append(place)
    mesh = cast(trimesh.Trimesh, trimesh.load_mesh(result, process=False))
    vertices = np.asarray(mesh.vertices, np.float64) / scan.unit
    distance, _, _ = pcu.closest_points_on_mesh(np.array(places).reshape(-1, 3), vertices, np.array(mesh.faces))
    return distance, condition.noise


def _consensus(around: np.ndarray) -> tuple[np.ndarray, float]:
    """Where a quadric through points (n, 3) has its middle, and the rms distance of the points from it."""
    centre = around.mean(axis=0)
    axes = np.linalg.svd(around - centre, full_matrices=False)[2]
    u, v, height = ((around - centre) @ axes.T).T
    terms = np.stack([np.ones_like(u), u, v, u * u, u * v, v * v], axis=1)
    found = np.linalg.lstsq(terms, height, rcond=None)[0]
    residual = height - terms @ found
    return centre + found[0] * axes[2], float(np.sqrt((residual**2).sum() / (len(around) - terms.shape[1])))
