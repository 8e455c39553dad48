"""The README's picture of shape sliders: two fits, each moved along named sliders.

python -m tests.docs_pictures.shape_sliders [-o tests/docs_pictures/shape_sliders.png] [--model FOLDER]

Needs the `bench` and `train` extras. The scans are of procedural shapes, so the picture is free of anyone's licence.
"""

from __future__ import annotations

import sys

import numpy as np
import torch
import trimesh

from backend.edits.shape_sliders import shape_edit
from backend.field.onnx_model import load_model
from backend.formats.raw_scan import RawScan
from backend.prior.completion import completed_fit
from backend.prior.shape_prior import load_prior
from backend.protocol.fit_options import FitOptions
from backend.scan.prepare import prepare
from backend.training.demo_scan import RangeMaps, range_maps
from backend.training.shapes.families import draw
from tests.docs_pictures.tiles import arguments, save, tile, with_words
from tests.movements import apply_movement

SHAPES = (("creature", 14), ("creature", 18))
SLIDERS = {"height": 1.0, "fullness": 0.5, "lean in z": 1.0}
"""Strength, standard deviations, up to which thin parts keep their two sides apart."""
SIZE = 210
HALF = 0.95
VIEW = (-0.9, -0.6, 0.3)


def main() -> int:
    """Run from the command line."""
    options = arguments(__doc__, "shape_sliders.png").parse_args()
    torch.set_num_threads(1)
    prior, model = load_prior(options.model), load_model("cpu", threads=1, folder=options.model)
    rows: list[list[np.ndarray]] = [[] for _ in SLIDERS]
    for family, seed in SHAPES:
        settings = RangeMaps(views=8, noise=0.002, patches=0)
        points, faces = range_maps(draw(family, 1, seed).sdf, settings, torch.Generator().manual_seed(seed))
        scan = prepare(RawScan(points.astype(np.float64), faces))
        found = completed_fit(scan, model, FitOptions(level=2))
        vertices = scan.frame.to_canonical(found.mesh.vertices).astype(np.float64)
        for row, (name, most) in zip(rows, SLIDERS.items(), strict=True):
            movement = shape_edit(name, scan, found, prior).movement
            for strength in (-most, 0.0, most):
                move = apply_movement(movement, strength, vertices, found.mesh.faces).move
                mesh = trimesh.Trimesh(vertices + move, found.mesh.faces, process=False)
                words = f"{name} {strength:+g}" if strength else "as fitted"
                row.append(with_words(tile(mesh, VIEW, SIZE, HALF), words))
    save(rows, options.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
