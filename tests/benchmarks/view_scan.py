"""Condition V: the scan of condition E with the number of the view of each point. Run beside the scoring tool, whose
scanner it is.

python -m tests.benchmarks.view_scan SCORE_FOLDER MODEL SCAN VIEWS SEED

SCAN is what the tool has written of the same model and seed. VIEWS is an NPZ file with the same points and normals, and
``view``. Prints {"views": number of views}.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import numpy as np

from backend.formats.mesh_files import load_scan


def main() -> int:
    folder, model, scan_path, views_path, seed = sys.argv[1:6]
    sys.path.insert(0, folder)
    scanner, files = (importlib.import_module(f"score.{name}") for name in ("scanner", "files"))
    made = scanner.scan_model(files.load_mesh(Path(model)), scanner.CONDITIONS["E"], int(seed))
    scan = load_scan(Path(scan_path))
    if len(scan.points) != len(made.points) or not np.allclose(scan.points, made.points, rtol=1e-5, atol=0.0):
        print(json.dumps({"error": "the scan is not that of the tool's scanner"}))
        return 1
    np.savez(views_path, points=scan.points, normals=np.asarray(scan.normals), view=made.view.astype(np.int32))
    print(json.dumps({"views": len(np.unique(made.view))}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
