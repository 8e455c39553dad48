"""The README's picture of an edit learned from two mugs and applied to others: examples above, results below.

python -m tests.docs_pictures.learned [-o tests/docs_pictures/learned.png]

Needs the `bench` and `train` extras.
"""

from __future__ import annotations

import sys

import numpy as np
import trimesh

from backend.edits.apply_learned import apply_learned, learn_movement
from backend.edits.gear import LearnedEdit
from backend.edits.pair_difference import pair_difference
from backend.formats.raw_scan import RawScan
from backend.scan.prepare import PreparedScan, prepare
from tests.benchmarks.families import member
from tests.docs_pictures.tiles import arguments, middle_of, save, tile, with_words
from tests.movements import apply_movement

EXAMPLES, OTHERS = (0, 2), (3, 5)
"""Members of the family, such that their handles show."""
SIZE = 300
VIEW = (-0.9, -0.6, 0.3)
EXAMPLE_WORDS = ("first example", "changed", "second example", "changed")
OTHER_WORDS = ("another mug", "what Omomi learned", "and one more", "what Omomi learned")


def scan_of(mesh: trimesh.Trimesh) -> PreparedScan:
    return prepare(RawScan(np.asarray(mesh.vertices), np.asarray(mesh.faces)))


def row(meshes: list[trimesh.Trimesh], words: tuple[str, ...]) -> list[np.ndarray]:
    """Pictures of meshes, with words below."""
    drawn = []
    for mesh, word in zip(meshes, words, strict=True):
        half = 0.42 * float(np.linalg.norm(np.ptp(mesh.bounds, axis=0)))
        drawn.append(with_words(tile(mesh, VIEW, SIZE, half, middle=middle_of(mesh)), word))
    return drawn


def main() -> int:
    """Run from the command line."""
    options = arguments(__doc__, "learned.png").parse_args()
    examples = [member("mug", seed) for seed in EXAMPLES]
    edit = learn_movement([pair_difference(scan_of(pair.before), scan_of(pair.after)) for pair in examples])
    shown = []
    for seed in OTHERS:
        before = member("mug", seed).before
        scan = scan_of(before)
        vertices = (np.asarray(before.vertices) - scan.frame.centre) * scan.frame.scale
        move = (
            apply_movement(apply_learned(LearnedEdit(edit), scan)[0], 1.0, vertices, before.faces).move
            / scan.frame.scale
        )
        shown += [before, trimesh.Trimesh(before.vertices + move, before.faces, process=False)]
    above = row([mesh for pair in examples for mesh in (pair.before, pair.after)], EXAMPLE_WORDS)
    save([above, row(shown, OTHER_WORDS)], options.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
