"""The README's picture of a family's profile: specimens that it has not seen, completed.

python -m tests.docs_pictures.profile [-o tests/docs_pictures/profile.png] [--bench build/bench]

Needs the `bench` extra, the folder of scans, and a run of ``bench prior --parts profile``, whose meshes it shows. A row
per specimen: its partial scan, screened Poisson, our fit without and with the profile, the truth.
"""

# The benchmark has an environment of its own; the checks run in the one with Blender.
# pyright: reportMissingImports=false
from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import trimesh
from PIL import Image

from backend.formats.mesh_files import load_scan
from tests.benchmarks.cases import ROOT, ScoringTool
from tests.benchmarks.profile_cases import FOLDS, scan_case
from tests.docs_pictures.render import SUPERSAMPLING, basis, draw_mesh, draw_points, load

SHOWN = (("skull_KK", (-0.3, -1.0, 0.35)), ("tooth_U02", (-0.6, 0.7, 0.5)))
SIZE = 280


def tile(shape: trimesh.Trimesh | np.ndarray, view: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Picture (SIZE, SIZE, 3) of a mesh or of points, framed as the points ``like`` (n, 3)."""
    low, high = like.min(axis=0), like.max(axis=0)
    centre, half, big = (low + high) / 2, 0.45 * float(np.linalg.norm(high - low)), SIZE * SUPERSAMPLING
    if isinstance(shape, np.ndarray):
        drawn = draw_points(shape, centre, half, basis(view), big)
    else:
        drawn = draw_mesh(shape, None, centre, half, basis(view), big)
    return drawn.reshape(SIZE, SUPERSAMPLING, SIZE, SUPERSAMPLING, 3).mean(axis=(1, 3))


def completed(tool: ScoringTool, folder: Path, name: str, view: np.ndarray) -> list[np.ndarray]:
    """Scan, peer, without, with the profile, truth."""
    fold, seed = next((fold, seed) for fold in FOLDS for one, seed in fold.left_out if one == name)
    scan, truth, peer = scan_case(tool, fold, name, seed)
    like = np.asarray(load_scan(truth).points, np.float64)
    paths = (peer, folder / f"{name}_without.ply", folder / f"{name}_with.ply", truth)
    points = np.asarray(load_scan(scan).points, np.float64)
    return [tile(points, view, like), *(tile(load(path)[0], view, like) for path in paths)]


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", dest="output", type=Path, default=Path("tests/docs_pictures/profile.png"))
    parser.add_argument("--bench", type=Path, default=ROOT / "build" / "bench")
    options = parser.parse_args()
    tool = ScoringTool.find(options.bench / "cache")
    if tool is None:
        print("The picture needs the folder of scans (OMOMI_SCANS) with the scoring tool beside it.")
        return 1
    rows = [completed(tool, options.bench / "prior", name, np.array(view)) for name, view in SHOWN]
    picture = np.concatenate([np.concatenate(row, axis=1) for row in rows])
    Image.fromarray(np.round(picture * 255).astype(np.uint8)).save(options.output, optimize=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
