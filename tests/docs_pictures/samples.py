"""The README's picture of shapes that the model makes up: the first eight seeds, none left out.

python -m tests.docs_pictures.samples [-o tests/docs_pictures/samples.png] [--model FOLDER]

Needs the `bench` and `train` extras. In the corner of each stands the training shape that is nearest to it; below, how
far that one is from it, 1 being what is usual between relatives.
"""

from __future__ import annotations

import sys

import numpy as np
import trimesh
from PIL import Image

from backend.edits.plausibility import plausibility_of_code
from backend.edits.sample_shape import drawn_code
from backend.field.onnx_model import load_model
from backend.prior.decode_shape import decode_shape
from backend.prior.shape_prior import load_prior
from backend.report.pictures import VIEW
from tests.docs_pictures.tiles import BACKGROUND, GREY, arguments, save, tile, with_words

SEEDS, COLUMNS = range(8), 4
LEVEL = 2
SIZE, INSET = 300, 84
HALF = 1.05


def thumbnail(grey: np.ndarray) -> np.ndarray:
    """Picture (INSET, INSET, 3) of an archive's (s, s), 0 beside the shape."""
    seen = (grey > 0)[..., None]
    colours = np.where(seen, grey[..., None] / 255 * GREY * 1.1, BACKGROUND - 0.04)
    small = Image.fromarray(np.round(np.clip(colours, 0, 1) * 255).astype(np.uint8))
    return np.asarray(small.resize((INSET, INSET), Image.Resampling.LANCZOS)) / 255


def main() -> int:
    """Run from the command line."""
    options = arguments(__doc__, "samples.png").parse_args()
    prior, model = load_prior(options.model), load_model("cpu", threads=1, folder=options.model)
    if prior.archive is None:
        raise SystemExit(f"{options.model} has no archive")
    tiles = []
    for seed in SEEDS:
        code, outline = drawn_code(prior, seed)
        mesh = decode_shape(code, model, LEVEL, outline=outline)
        verdict = plausibility_of_code(prior.codes.of_mesh(mesh.vertices, mesh.faces), prior)
        picture = tile(trimesh.Trimesh(mesh.vertices, mesh.faces, process=False), VIEW, SIZE, HALF)
        nearest = prior.archive.nearest(verdict.code, 1).rows[0]
        picture[-INSET:, -INSET:] = thumbnail(prior.archive.pictures[nearest])
        like = verdict.nearest[0]
        print(f"seed {seed}: plausibility {verdict.value:.2f}, {like.family} {like.distance:.2f}", flush=True)
        tiles.append(with_words(picture, f"nearest: {like.family}, {like.distance:.2f} away"))
    save([tiles[row : row + COLUMNS] for row in range(0, len(tiles), COLUMNS)], options.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
