"""The README's picture of completion: creatures scanned from one side, and guesses of the other side.

python -m tests.docs_pictures.completion [-o tests/docs_pictures/completion.png] [--model FOLDER]

Needs the `bench` and `train` extras. The shapes are procedural, so the picture is free of anyone's licence. The warmer
the colour, the more it is a guess (sigma).
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
import trimesh

from backend.field.onnx_model import load_model
from backend.prior.completion import completed_fit
from backend.protocol.fit_options import FitOptions
from backend.scan.prepare import prepare
from backend.training.demo_scan import true_surface
from backend.training.shapes.families import draw
from tests.docs_pictures.tiles import arguments, one_sided, save, scanned, tile, with_words

SIZE = 210
LEVEL = 2
HALF = 0.95
"""Of a picture's width, canonical."""
GUESS = 0.06
"""Sigma, canonical, that is painted in full."""
SHAPES = (("creature", 7, (-0.9, -0.6, 0.3)), ("creature", 12, (0.9, -0.5, 0.4)))
"""Family, seed, and the side that is scanned."""
FITS = (
    (FitOptions(LEVEL, symmetry=False), "without its symmetry"),
    (FitOptions(LEVEL, symmetry=False, variation=1), "another guess"),
    (FitOptions(LEVEL, symmetry=False, variation=2), "and another"),
    (FitOptions(LEVEL), "with its symmetry"),
)


def row(family: str, seed: int, look: tuple[float, float, float], folder: Path) -> list[np.ndarray]:
    """The scan from its own side; the fits and the truth from behind."""
    shape = draw(family, 1, seed)
    raw = scanned(shape, one_sided(look), seed)
    behind = (-look[0], -look[1], look[2])
    scan, model = prepare(raw), load_model("cpu", threads=1, folder=folder)
    tiles = [with_words(tile(raw.points, look, SIZE, HALF), "scanned from one side")]
    for options, words in FITS:
        mesh = completed_fit(scan, model, options).mesh
        doubt = np.clip(mesh.sigma / GUESS, 0, 1)
        found = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
        tiles.append(with_words(tile(found, behind, SIZE, HALF, doubt), words))
    truth = trimesh.Trimesh(*true_surface(shape.sdf), process=False)
    return [*tiles, with_words(tile(truth, behind, SIZE, HALF), "as it really is")]


def main() -> int:
    """Run from the command line."""
    options = arguments(__doc__, "completion.png").parse_args()
    torch.set_num_threads(1)
    save([row(*shape, options.model) for shape in SHAPES], options.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
