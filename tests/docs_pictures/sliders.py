"""The README's picture of three sliders: a row each, at -1, 0 and 1, on a fit of a virtual scan.

python -m tests.docs_pictures.sliders [-o tests/docs_pictures/sliders.png]

Needs the `bench` and `train` extras. The scan is of a procedural shape, so the picture is free of anyone's licence.
"""

# The benchmark has an environment of its own; the checks run in the one with Blender.
# pyright: reportMissingImports=false
from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
import trimesh
from PIL import Image

from backend.edits.attributes import attribute
from backend.edits.displacement import Layer, apply
from backend.field.fit import fit
from backend.field.onnx_model import load_model
from backend.formats.raw_scan import RawScan
from backend.protocol.fit_options import FitOptions
from backend.scan.prepare import prepare
from backend.training.demo_scan import RangeMaps, range_maps
from backend.training.shapes.families import draw
from tests.docs_pictures.render import SUPERSAMPLING, basis, draw_mesh

SHOWN = ("thickness", "smoothness", "detail")
STRENGTHS = (-1.0, 0.0, 1.0)
FAMILY, SEED = "creature", 9
SIZE = 260
COLOURS = 64
VIEW = np.array([-0.9, -0.6, 0.3])


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", dest="output", type=Path, default=Path("tests/docs_pictures/sliders.png"))
    parser.add_argument("--family", default=FAMILY)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--view", type=float, nargs=3, default=VIEW)
    options = parser.parse_args()
    shape = draw(options.family, 1, options.seed)
    points, faces = range_maps(
        shape.sdf, RangeMaps(views=8, noise=0.002, patches=0), torch.Generator().manual_seed(options.seed)
    )
    scan, model = prepare(RawScan(points.astype(np.float64), faces)), load_model("cpu")
    found = fit(scan, model, FitOptions(level=2))
    vertices = (found.mesh.vertices - scan.frame.centre) * scan.frame.scale
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    half = 0.42 * float(np.linalg.norm(high - low))
    rows = []
    for name in SHOWN:
        move = apply([Layer(attribute(name, scan, found, model), 1.0)], vertices, found.mesh.faces).move
        row = []
        for strength in STRENGTHS:
            mesh = trimesh.Trimesh(vertices + strength * move, found.mesh.faces, process=False)
            tile = draw_mesh(mesh, None, (low + high) / 2, half, basis(np.array(options.view)), SIZE * SUPERSAMPLING)
            row.append(tile.reshape(SIZE, SUPERSAMPLING, SIZE, SUPERSAMPLING, 3).mean(axis=(1, 3)))
        rows.append(np.concatenate(row, axis=1))
    picture = Image.fromarray(np.round(np.concatenate(rows) * 255).astype(np.uint8))
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(options.output, optimize=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
