"""The README's picture of three sliders: a row each, at -1, 0 and 1, on a fit of a virtual scan.

python -m tests.docs_pictures.sliders [-o tests/docs_pictures/sliders.png]

Needs the `bench` and `train` extras. The scan is of a procedural shape, so the picture is free of anyone's licence.
"""

from __future__ import annotations

import sys

import numpy as np
import torch
import trimesh

from backend.edits.attributes import attribute
from backend.field.fit import fit
from backend.field.onnx_model import load_model
from backend.formats.raw_scan import RawScan
from backend.protocol.fit_options import FitOptions
from backend.scan.prepare import prepare
from backend.training.demo_scan import RangeMaps, range_maps
from backend.training.shapes.families import draw
from tests.docs_pictures.tiles import arguments, save, tile
from tests.movements import apply_movement

SHOWN = ("thickness", "smoothness", "detail")
STRENGTHS = (-1.0, 0.0, 1.0)
FAMILY, SEED = "creature", 9
SIZE = 260
VIEW = (-0.9, -0.6, 0.3)


def main() -> int:
    """Run from the command line."""
    options = arguments(__doc__, "sliders.png").parse_args()
    points, faces = range_maps(
        draw(FAMILY, 1, SEED).sdf, RangeMaps(views=8, noise=0.002, patches=0), torch.Generator().manual_seed(SEED)
    )
    scan, model = prepare(RawScan(points.astype(np.float64), faces)), load_model("cpu", folder=options.model)
    found = fit(scan, model, FitOptions(level=2))
    vertices = (found.mesh.vertices - scan.frame.centre) * scan.frame.scale
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    half = 0.42 * float(np.linalg.norm(high - low))
    rows = []
    for name in SHOWN:
        move = apply_movement(attribute(name, scan, found), 1.0, vertices, found.mesh.faces).move
        meshes = (trimesh.Trimesh(vertices + one * move, found.mesh.faces, process=False) for one in STRENGTHS)
        rows.append([tile(mesh, VIEW, SIZE, half, middle=(low + high) / 2) for mesh in meshes])
    save(rows, options.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
