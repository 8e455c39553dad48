"""The README's picture of an edit learned from two mugs and applied to others: examples above, results below.

python -m tests.docs_pictures.learned [-o tests/docs_pictures/learned.png]

Needs the `bench` extra. Each pair is before and after.
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

from backend.edits.apply_learned import apply_learned, learn_edit
from backend.edits.displacement import Layer, apply
from backend.edits.pair_difference import pair_difference
from backend.formats.raw_scan import RawScan
from backend.scan.prepare import PreparedScan, prepare
from tests.benchmarks.families import member
from tests.docs_pictures.render import SUPERSAMPLING, basis, draw_mesh

EXAMPLES, OTHERS = (0, 2), (3, 5)
"""Members of the family, such that their handles show."""
SIZE = 300
VIEW = np.array([-0.9, -0.6, 0.3])


def scan_of(mesh: trimesh.Trimesh) -> PreparedScan:
    return prepare(RawScan(np.asarray(mesh.vertices), np.asarray(mesh.faces)))


def tile(mesh: trimesh.Trimesh) -> np.ndarray:
    """Picture (SIZE, SIZE, 3) of a mesh."""
    low, high = mesh.bounds
    big = draw_mesh(
        mesh, None, (low + high) / 2, 0.42 * float(np.linalg.norm(high - low)), basis(VIEW), SIZE * SUPERSAMPLING
    )
    return big.reshape(SIZE, SUPERSAMPLING, SIZE, SUPERSAMPLING, 3).mean(axis=(1, 3))


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", dest="output", type=Path, default=Path("tests/docs_pictures/learned.png"))
    options = parser.parse_args()
    examples = [member("mug", seed) for seed in EXAMPLES]
    edit = learn_edit([pair_difference(scan_of(pair.before), scan_of(pair.after)) for pair in examples])
    above = [tile(mesh) for pair in examples for mesh in (pair.before, pair.after)]
    below = []
    for seed in OTHERS:
        before = member("mug", seed).before
        scan = scan_of(before)
        vertices = (np.asarray(before.vertices) - scan.frame.centre) * scan.frame.scale
        move = apply([Layer(apply_learned(edit, scan), 1.0)], vertices, before.faces).move / scan.frame.scale
        after = trimesh.Trimesh(before.vertices + move, before.faces, process=False)
        below += [tile(before), tile(after)]
    picture = np.concatenate([np.concatenate(row, axis=1) for row in (above, below)])
    Image.fromarray(np.round(picture * 255).astype(np.uint8)).save(options.output, optimize=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
