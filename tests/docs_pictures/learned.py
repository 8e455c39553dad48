"""Pictures of edits by example that the network makes: two examples, and what becomes of four other scans, seen from
the front and from behind.

python -m tests.docs_pictures.learned [--edit drill cut add]

Needs the `bench` and `train` extras.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import trimesh
from numpy.typing import NDArray

from backend.edits.apply import apply_stack
from backend.edits.edit_file import save_edit
from backend.edits.learn import learn_from
from backend.edits.stack import EditSession
from backend.engine import OnnxEngine, fit_scan
from backend.field.fit import ignore
from backend.protocol.fit_options import FitOptions
from backend.protocol.recipe import Layer
from backend.protocol.requests import EditTarget, Outcome
from tests.benchmarks.weight_cases import Edited, edited_member
from tests.docs_pictures.tiles import middle_of, save, tile, with_words

EDITS = {"drill": "bore", "cut": "cut tail", "add": "horn"}
"""Pictures, and the edits of the benchmark that they show."""
EXAMPLES, OTHERS = (0, 1), (3, 4, 5, 6)
"""Members of the family; those that are edited are none of the examples."""
SIZE = 280
VIEW, BEHIND = (-0.9, -0.6, 0.6), (0.9, 0.6, 0.6)


def upright(member: Edited, vertices: NDArray, faces: NDArray | None) -> trimesh.Trimesh:
    """A mesh of a member, which lies in the world in a pose and scale of its own, as the family stands."""
    return trimesh.Trimesh((vertices - member.offset) / member.scale @ member.turn, faces, process=False)


def row(meshes: list[trimesh.Trimesh], words: list[str], view: tuple[float, ...] = VIEW) -> list[np.ndarray]:
    """Pictures of meshes, with words below."""
    drawn = []
    for mesh, word in zip(meshes, words, strict=True):
        half = 0.52 * float(np.linalg.norm(np.ptp(mesh.bounds, axis=0)))
        drawn.append(with_words(tile(mesh, view, SIZE, half, middle=middle_of(mesh)), word))
    return drawn


def edited(engine: OnnxEngine, member: Edited, path: Path) -> trimesh.Trimesh:
    """A member with an edit of a file applied, as a new mesh."""
    session = EditSession(fit_scan(engine, member.before, FitOptions(level=2), ignore))
    session.lay(EditTarget.FIT, [Layer(path.stem, 1.0, path=str(path))], None, ignore, engine.model)
    made = apply_stack(session, [1.0], Outcome.REMESHED, engine.model, ignore, ignore)
    return upright(member, made.vertices, made.faces)


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--edit", nargs="+", choices=EDITS, default=list(EDITS))
    parser.add_argument("-o", dest="folder", type=Path, default=Path(__file__).parent)
    options = parser.parse_args()
    engine = OnnxEngine("cpu")
    options.folder.mkdir(parents=True, exist_ok=True)
    for name in options.edit:
        examples = [edited_member(EDITS[name], seed, example=True) for seed in EXAMPLES]
        edit, _ = learn_from([(one.before, one.after) for one in examples], ["first", "second"], engine.model, ignore)
        path = options.folder / f"{name}.omomi"
        save_edit(path, edit, engine.model.hash)
        others = [edited_member(EDITS[name], seed) for seed in OTHERS]
        results = [edited(engine, member, path) for member in others]
        path.unlink()
        shown = [upright(one, scan.points, scan.faces) for one in examples for scan in (one.before, one.after)]
        save(
            [
                row(shown, ["first example", "after", "second example", "after"]),
                row(results, ["four other scans", "", "", ""]),
                row(results, ["from behind", "", "", ""], BEHIND),
            ],
            options.folder / f"learned_{name}.png",
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
