"""The README's picture of a painted edit: a mug with the painted mask, and the same edit without and with it.

python -m tests.docs_pictures.painted [-o tests/docs_pictures/painted.png]

Needs the `bench` and `train` extras. Left to right: the mug as it is, painted where the edit may act; the edit
everywhere; the edit within the paint.
"""

from __future__ import annotations

import sys

import numpy as np
import trimesh

from backend.edits.attributes import attribute
from backend.edits.masks import PaintedMask
from backend.field.fit import fit
from backend.field.onnx_model import load_model
from backend.formats.raw_scan import RawScan
from backend.scan.prepare import prepare
from tests.benchmarks.families import member
from tests.docs_pictures.tiles import VALUES, arguments, middle_of, save, tile
from tests.movements import apply_movement

FAMILY, MEMBER = "mug", 3
SIZE = 300
VIEW = (-0.9, -0.6, 0.3)
ATTRIBUTE, STRENGTH = "thickness", 2.0
HALF = 0.62
RIM = 0.35
"""The paint covers this share of the height, below the rim, and fades over the half of it."""


def shown(mesh: trimesh.Trimesh, paint: np.ndarray | None = None) -> np.ndarray:
    """Picture (SIZE, SIZE, 3) of a mesh in the unit ball, painted where ``paint`` (n,) is 1."""
    return tile(mesh, VIEW, SIZE, HALF, paint, VALUES, middle_of(mesh))


def painted_rim(vertices: np.ndarray) -> np.ndarray:
    """Weights f32 (n,): 1 at one end of the longest axis of the points (n, 3), 0 from RIM on."""
    axis = np.linalg.eigh(np.cov(vertices.T))[1][:, -1]
    along = vertices @ axis
    share = (along - along.min()) / np.ptp(along)
    return np.clip((RIM - share) / (RIM / 2), 0, 1).astype(np.float32)


def main() -> int:
    """Run from the command line."""
    options = arguments(__doc__, "painted.png").parse_args()
    before = member(FAMILY, MEMBER).before
    raw = RawScan(np.asarray(before.vertices), np.asarray(before.faces))
    scan, model = prepare(raw), load_model(folder=options.model)
    fitted = fit(scan, model)
    vertices = (raw.points - scan.frame.centre) * scan.frame.scale
    weights = painted_rim(vertices)
    voxel = 2.0 / 128
    mask = PaintedMask.of_mesh(vertices, np.asarray(before.faces), weights, voxel)
    movement = attribute(ATTRIBUTE, scan, fitted)
    tiles = [shown(before, weights)]
    surface, faces = fitted.mesh.vertices, fitted.mesh.faces
    canonical = (surface - scan.frame.centre) * scan.frame.scale
    for where in (None, mask):
        move = apply_movement(movement, STRENGTH, canonical, faces, where).move / scan.frame.scale
        tiles.append(shown(trimesh.Trimesh(surface + move, faces, process=False)))
    save([tiles], options.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
