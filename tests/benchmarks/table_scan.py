"""Condition T: a thing stands on a table, and six views see it from above. Run beside the scoring tool, whose scanner
it is.

python -m tests.benchmarks.table_scan SCORE_FOLDER MODEL SCAN TRUTH SEED

A thing stands as it would come to rest: on the plane of its convex hull with the largest area below whose outline its
centre of mass lies. Prints {"up": unit vector, "table": height of the table along it, "unit": longest side} in the
frame of the scan, which is turned and scaled at random as under the other conditions.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import trimesh
from scipy.spatial import ConvexHull
from scipy.spatial.transform import Rotation

SAME = np.cos(np.radians(5))
"""Facets of the hull whose normals differ by less are one plane to stand on."""
ELEVATIONS = (20.0, 45.0)
"""Degrees above the table of the views around, in turn; the last view is from straight above."""
AROUND = 5


def rest_direction(mesh: trimesh.Trimesh) -> np.ndarray:
    """Up (3,), a unit vector, for a closed mesh that came to rest on a table."""
    hull = ConvexHull(mesh.vertices)
    corners, facing = hull.points[hull.simplices], hull.equations[:, :3]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2
    centre = mesh.center_mass
    # from the largest on, so that of planes that hold alike the largest counts
    plane_area = (facing @ facing.T > SAME) @ area
    for facet in np.argsort(-plane_area, kind="stable"):
        members = facing @ facing[facet] > SAME
        down = (facing * area[:, None])[members].sum(axis=0)
        down /= np.linalg.norm(down)
        if _within(corners[members].reshape(-1, 3), centre, down):
            return -down
    return np.array([0.0, 0.0, 1.0])


def _within(corners: np.ndarray, point: np.ndarray, along: np.ndarray) -> bool:
    """Whether a point lies in the outline of corners (n, 3), seen along a direction."""
    axes = np.linalg.svd(along[None])[2][1:]
    try:
        outline = ConvexHull(corners @ axes.T)
    except Exception:  # noqa: BLE001  scipy: a facet seen edge-on has no outline
        return False
    return bool((outline.equations[:, :2] @ (axes @ point) + outline.equations[:, 2] < 0).all())


def views() -> list[list[float]]:
    """Unit vectors towards the cameras, up being z."""
    turn = 2 * np.pi * np.arange(AROUND) / AROUND
    high = np.radians(np.resize(ELEVATIONS, AROUND))
    ring = np.stack([np.cos(turn) * np.cos(high), np.sin(turn) * np.cos(high), np.sin(high)], axis=1)
    return [*ring.tolist(), [0.0, 0.0, 1.0]]


def main() -> int:
    folder, model, scan_path, truth_path, seed = sys.argv[1:6]
    sys.path.insert(0, folder)
    scanner, files, geometry = (importlib.import_module(f"score.{name}") for name in ("scanner", "files", "geometry"))
    mesh = files.load_mesh(Path(model))
    up = rest_direction(mesh)
    standing = Rotation.align_vectors([[0.0, 0.0, 1.0]], [up])[0]
    mesh.vertices = standing.apply(mesh.vertices)
    scanner._SIX_VIEWS[:] = views()
    made = scanner.scan_model(mesh, scanner.Condition(views=6, noise=0.003, outliers=0.005), int(seed), False)
    # what is scanned in its standing pose lies in the file in any
    rng = np.random.default_rng([int(seed), 1])
    turn, scale = geometry.random_rotation(rng), float(10 ** rng.uniform(-1.0, 1.0))
    points, truth = turn.apply(made.points) * scale, turn.apply(made.truth.vertices) * scale
    files.save_ply(Path(scan_path), points, None, turn.apply(made.normals))
    files.save_ply(Path(truth_path), truth, made.truth.faces)
    up = turn.apply([0.0, 0.0, 1.0])
    print(json.dumps({"up": up.tolist(), "table": float((truth @ up).min()), "unit": made.unit * scale}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
