"""The README's picture of a family: a profile learned from twelve bottles completes another one, and finds a dent.

python -m tests.docs_pictures.family [-o tests/docs_pictures/family.png] [--model FOLDER]

Needs the `bench` and `train` extras. The bottles are procedural, no two alike, each in a pose of its own; four of the
twelve are scanned from one side only. Completion: the warmer, the more it is a guess. Dent: orange stands out, blue
falls short, both by more than members of the family do.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
import trimesh

from backend.field.fit import fit as fitted
from backend.field.onnx_model import load_model
from backend.formats.raw_scan import RawScan
from backend.prior.completion import completed_fit
from backend.prior.profile.family import Member, learn_profile
from backend.prior.profile.profile import Profile, membership
from backend.protocol.fit_options import FitOptions
from backend.scan.prepare import prepare
from tests.benchmarks.families import member
from tests.docs_pictures.tiles import DEPARTURE, arguments, basis, one_sided, save, scanned_mesh, tile, with_words

FAMILY = "bottle"
MEMBERS, PARTIAL = range(12), (2, 5, 8, 11)
NEW, DENTED = 16, 18
"""Members that are not in the profile."""
LOOK = (-0.9, -0.6, 0.3)
AROUND = [[1, 1, 1], [-1, -1, 1], [-1, 1, -1], [1, -1, -1], [1, 0, 0], [-1, 0, 0], [0, 0, 1], [0, 0, -1]]
SMALL, SIZE, HALF = 100, 300, 0.75
LEVEL = 2
GUESS = 0.1
"""Sigma (shares of the unit ball's radius) that is painted in full."""
USUAL, ODD = 2.0, 5.0
"""Standard deviations up to which nothing is painted, and from which on it is in full, as in the add-on."""
DEPTH, WIDTH = 0.05, 0.08
"""Of the dent: deepest, and standard deviation of its Gaussian."""
AIM, AIMED = (-0.05, 0.0), 5.0
"""Where in the picture it is, right and up, and how much that counts against being near."""


def learned() -> tuple[Profile, list[np.ndarray]]:
    """The family's profile, and a small picture of every scan that it was learned from."""
    members, pictures = [], []
    for seed in MEMBERS:
        raw = scanned_mesh(member(FAMILY, seed).before, one_sided(LOOK) if seed in PARTIAL else AROUND, seed)
        members.append(Member.of(prepare(raw)))
        pictures.append(tile(np.asarray(raw.points, np.float64), LOOK, SMALL, HALF))
    return learn_profile(members), pictures


def completed(profile: Profile, folder: Path) -> list[np.ndarray]:
    """Another member scanned from one side: the scan, what is made of it without and with the profile, the truth."""
    mesh, model = member(FAMILY, NEW).before, load_model("cpu", threads=1, folder=folder)
    raw = scanned_mesh(mesh, one_sided(LOOK), NEW)
    behind = (-LOOK[0], -LOOK[1], LOOK[2])
    scan = prepare(raw)
    alone = completed_fit(scan, model, FitOptions(LEVEL)).mesh
    found = membership(profile, scan)
    print(f"plausibility of the partial scan: {found.score:.2f}", flush=True)
    helped = fitted(scan, model, FitOptions(LEVEL), completion=found.completion).mesh
    tiles = [with_words(tile(np.asarray(raw.points, np.float64), LOOK, SIZE, HALF), "a new scan, from one side")]
    for one, words in ((alone, "from behind, without the family"), (helped, "with the family's profile")):
        shown = trimesh.Trimesh(one.vertices, one.faces, process=False)
        tiles.append(with_words(tile(shown, behind, SIZE, HALF, np.clip(one.sigma / GUESS, 0, 1)), words))
    return [*tiles, with_words(tile(mesh, behind, SIZE, HALF), "as it really is")]


def dented(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    """The mesh with a dent where AIM says; both sides of the wall move."""
    right, up, near = basis(np.array(LOOK)) @ mesh.vertices.T
    middle = (near - AIMED * np.hypot(right - AIM[0], up - AIM[1])).argmax()
    away = ((mesh.vertices - mesh.vertices[middle]) ** 2).sum(axis=1)
    move = -DEPTH * np.exp(-0.5 * away / WIDTH**2)[:, None] * mesh.vertex_normals[middle]
    return trimesh.Trimesh(mesh.vertices + move, mesh.faces, process=False)


def compared(profile: Profile) -> list[np.ndarray]:
    """A member as it is and dented, plain and painted by how far it departs from the family."""
    whole = member(FAMILY, DENTED).before
    tiles = []
    for mesh, words in ((whole, f"another {FAMILY}"), (dented(whole), "the same with a dent")):
        scan = prepare(RawScan(np.asarray(mesh.vertices), np.asarray(mesh.faces)))
        found = membership(profile, scan)
        vertices = scan.frame.to_canonical(mesh.vertices).astype(np.float64)
        odd = found.deviations(vertices, mesh.vertex_normals, np.full(len(vertices), scan.noise))
        print(f"{words}: plausibility {found.score:.2f}, departs by {np.abs(odd).max():.1f} at most", flush=True)
        painted = 0.5 + np.sign(odd) * np.clip((np.abs(odd) - USUAL) / (ODD - USUAL), 0, 1) / 2
        tiles.append(with_words(tile(mesh, LOOK, SIZE, HALF), words))
        tiles.append(with_words(tile(mesh, LOOK, SIZE, HALF, painted, DEPARTURE), "how far it departs"))
    return tiles


def main() -> int:
    """Run from the command line."""
    options = arguments(__doc__, "family.png").parse_args()
    torch.set_num_threads(1)
    profile, pictures = learned()
    first = [with_words(np.concatenate(pictures, axis=1), "twelve scans of a family, four of them partial")]
    save([first, completed(profile, options.model), compared(profile)], options.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
