"""The README's picture of kinds of input: a patch, a sheet, a solid, and a texture that a fit keeps. Above what was
given, below what came back.

python -m tests.docs_pictures.inputs [-o tests/docs_pictures/inputs.png]

Needs the `bench` and `train` extras.
"""

from __future__ import annotations

import sys

import numpy as np
import trimesh
from numpy.typing import NDArray

from backend.edits.carried import carried
from backend.engine import OnnxEngine, fit_scan, patch_mesh
from backend.field.fit import ignore
from backend.formats.raw_scan import RawScan
from backend.geometry.surface_attributes import SurfaceAttributes
from backend.protocol.fit_options import FitOptions
from backend.protocol.requests import Close
from tests.docs_pictures.tiles import VALUES, arguments, middle_of, save, tile, with_words
from tests.input_kinds import Mesh, bumpy, grid, hills, holes, solids, without
from tests.scan_shapes import globe

SIZE = 280
VIEW = (-0.7, -0.6, 0.6)
RINGS = 10
"""Stripes of the texture, from pole to pole."""
BODY = ((0.0, -0.5, 0.8), (-0.9, -0.3, 0.2), (-0.2, -0.9, -0.2))
"""Where the body to be patched has holes."""


def picture(mesh: Mesh, words: str, values: NDArray | None = None) -> NDArray:
    """A tile with words below it; values (n,) from 0 to 1 paint the vertices."""
    shown = trimesh.Trimesh(*mesh, process=False)
    half = 0.42 * float(np.linalg.norm(np.ptp(shown.bounds, axis=0)))
    return with_words(tile(shown, VIEW, SIZE, half, values, VALUES, middle_of(shown)), words)


def holed() -> Mesh:
    """A bumpy body with holes."""
    places = np.array(BODY)

    def in_hole(middles: NDArray) -> NDArray:
        facing = middles / np.linalg.norm(middles, axis=1, keepdims=True)
        return (facing @ (places / np.linalg.norm(places, axis=1, keepdims=True)).T > 0.965).any(axis=1)

    return without(bumpy(120), in_hole)


def patched(engine: OnnxEngine, mesh: Mesh) -> Mesh:
    made = patch_mesh(engine, RawScan(*mesh), Close.AUTO, ignore)
    return np.concatenate([mesh[0], made.vertices]), np.concatenate([mesh[1], made.faces]).astype(np.int64)


def fitted(engine: OnnxEngine, mesh: Mesh) -> Mesh:
    fit = fit_scan(engine, RawScan(*mesh), FitOptions(level=2), ignore).fit
    assert fit is not None
    return fit.mesh.vertices, fit.mesh.faces.astype(np.int64)


def main() -> int:
    """Run from the command line."""
    options = arguments(__doc__, "inputs.png").parse_args()
    engine = OnnxEngine("cpu")
    body, sheet = holed(), holes(grid(hills, 90), 0.07, (0.3, 0.4), (0.7, 0.6), (0.5, 0.15))
    solid = solids()["crossed bars"]
    points, faces = globe(96, 192, 1.0)
    points = points * (1.0, 0.8, 0.7)
    faces = faces.astype(np.int64)
    noisy = points + np.random.default_rng(0).normal(0, 0.004, points.shape)
    stripes = np.round(255 * (0.5 + 0.5 * np.sin(RINGS * np.arctan2(points[:, 2], points[:, 0])))).astype(np.uint8)
    raw = RawScan(noisy, faces, attributes=SurfaceAttributes(colours=np.repeat(stripes[:, None], 3, axis=1)))
    scan = fit_scan(engine, raw, FitOptions(level=2), ignore)
    assert scan.fit is not None
    kept = carried(raw, scan.scan, scan.fit.mesh)
    assert kept is not None and kept.colours is not None
    above = [
        picture(body, "a mesh with holes"),
        picture(sheet, "a sheet with holes"),
        picture(solid, "parts in one another"),
        picture((noisy, faces), "a scan with colours", stripes / 255),
    ]
    below = [
        picture(patched(engine, body), "patched: all else untouched"),
        picture(fitted(engine, sheet), "still open at its border"),
        picture(fitted(engine, solid), "one solid"),
        picture((scan.fit.mesh.vertices, scan.fit.mesh.faces.astype(np.int64)), "fitted", kept.colours[:, 0] / 255),
    ]
    save([above, below], options.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
