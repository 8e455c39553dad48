"""How much of a slider's travel is of use to an artist, on real scans.

omomi bench sliders [--scans NAME ...] [--resume] [--quick]

Each scan is fitted, and every slider has the travel that the panel gives it there once it is measured. Each side of it
is swept: a place of the slider is of use where the surface has the topology of the fit and looks different from it.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.edits.attributes import attribute
from backend.edits.collision_margin import collision_margin
from backend.edits.displacement import Movement, displacement_of
from backend.edits.fitted_scan import EditableMesh, FittedScan
from backend.edits.reach import STEPS, counted_solid, measured_travel, swept_reach
from backend.edits.shape_sliders import shape_edit
from backend.engine import OnnxEngine, fit_scan
from backend.field.fit import ignore
from backend.field.onnx_model import MODEL_FOLDER
from backend.formats.mesh_files import load_scan
from backend.geometry.moving_solid import enough_steps
from backend.geometry.normals import normals_of
from backend.geometry.topology_sweep import Solid
from backend.prior.shape_prior import ShapePrior, shipped_prior
from backend.protocol.fit_options import FitOptions
from backend.protocol.names import ATTRIBUTES, card_members, card_sliders
from backend.protocol.requests import EditTarget
from backend.protocol.slider_travel import Side, slider_travel
from backend.scan.prepare import LONGEST_SIDE
from tests.benchmarks.bars import Bar, Journal, mean, number, say, table, verdict, write_report
from tests.benchmarks.cases import ROOT, find_scans

FOLDERS = ("clean", "raw", "family_cups")
SCANS, QUICK = 20, 2
LEVEL = 2
VISIBLE, SHADED = 1e-3, 3.0
"""What an artist sees: the fastest vertices move by this share of the longest side, a pixel of a tall screen, or turn
by so many degrees, which changes their shade."""
FASTEST = 0.99
LOOKS = 32
"""Strengths, evenly spaced, that are looked at for whether a change is seen."""
USEFUL = 0.8


def sliders(fitted: FittedScan, prior: ShapePrior) -> dict[str, tuple[Movement, tuple[float, float]]]:
    """The movement of each slider of a fitted scan, and the range that it is made for."""
    scan, fit = fitted.scan, fitted.fit
    found: dict[str, tuple[Movement, tuple[float, float]]] = {
        name: (attribute(name, scan, fit), (known.low, known.high)) for name, known in ATTRIBUTES.items()
    }
    for known in card_sliders(card_members(MODEL_FOLDER / "card.json")):
        found[known.name] = shape_edit(known.name, scan, fit, prior).movement, known.range or (-1.0, 1.0)
    return found


def side(mesh: EditableMesh, solid: Solid, move: NDArray, travel: Side) -> dict:
    """What one side of a slider is of use for: shares of the way to its end."""
    end = travel.end
    moves = float(np.quantile(np.linalg.norm(move, axis=1), FASTEST)) / LONGEST_SIDE
    shares = np.arange(1, LOOKS + 1) / LOOKS
    seen = (moves * abs(at) > VISIBLE or turns(mesh, move, at) for at in map(travel.strength, shares.tolist()))
    unseen = next((number / LOOKS for number, found in enumerate(seen) if found), 1.0)
    kept = travel.share(kept_strength(solid, move, end))
    useful = max(0.0, kept - unseen)
    return {"end": end, "kept": kept, "unseen": unseen, "useful": useful, "moves": moves * abs(end)}


def kept_strength(solid: Solid, move: NDArray, end: float) -> float:
    """The last strength on the way from 0 to ``end`` with the topology of the fit, as the guard counts it."""
    low, high = min(end, 0.0), max(end, 0.0)
    steps = max(STEPS, enough_steps(abs(end) * float(np.linalg.norm(move, axis=1).max(initial=0.0))))
    reach = swept_reach(solid, "", "", low, high, steps)
    return reach.safe[0] if end < 0 else reach.safe[1]


def turns(mesh: EditableMesh, move: NDArray, strength: float) -> bool:
    """Whether the shade changes visibly."""
    cosine = np.einsum("ij,ij->i", normals_of(mesh.vertices + strength * move, mesh.faces), mesh.normals)
    return float(np.quantile(cosine, 1 - FASTEST)) < np.cos(np.radians(SHADED))


def travels(path: Path, engine: OnnxEngine, prior: ShapePrior) -> list[dict]:
    """A row for each side of each slider on a scan."""
    fitted = fit_scan(engine, load_scan(path), FitOptions(level=LEVEL), ignore)
    mesh = fitted.mesh(EditTarget.FIT)
    moves = {
        name: (displacement_of(movement, mesh.vertices, mesh.normals).move, useful)
        for name, (movement, useful) in sliders(fitted, prior).items()
    }
    return [{"scan": path.stem, **row} for row in slider_rows(mesh, moves)]


def slider_rows(mesh: EditableMesh, moves: dict[str, tuple[NDArray, tuple[float, float]]]) -> list[dict]:
    """The same of moves (n, 3) at strength 1 and the ranges that they are made for."""
    rows = []
    for name, (move, useful) in moves.items():
        told = collision_margin(mesh.vertices, mesh.normals, move, *useful)
        started = time.perf_counter()
        solid = counted_solid(mesh, move)
        known = measured_travel(mesh, move, *useful, solid)
        seconds = time.perf_counter() - started
        for travel in slider_travel(useful, told.margin, known.safe, known.seen):
            row = side(mesh, solid, move, travel)
            rows.append({"slider": name, "room": travel.room, "seconds": seconds, **row})
    return rows


def bars(rows: list[dict]) -> list[Bar]:
    """Bars on the rows of a journal: means over scans and sliders."""
    shares = [mean([row["useful"] for row in rows if row["scan"] == scan]) for scan in {row["scan"] for row in rows}]
    enough = mean([share is not None and share >= USEFUL for share in shares])
    return [
        Bar("travel that is of use", mean([row["useful"] for row in rows]), USEFUL, False, len(rows)),
        Bar("scans on which as much is", enough, USEFUL, False, len(shares)),
    ]


def slider_table(rows: list[dict]) -> str:
    """A row for each slider: means over the scans; how far it moves in thousandths of the longest side; sides of which
    the panel says that nothing is seen; and how long it takes to measure."""
    shown = []
    for name in dict.fromkeys(row["slider"] for row in rows):
        own = [row for row in rows if row["slider"] == name]
        shown.append([name, *(number(mean([row[key] for row in own])) for key in ("useful", "kept", "unseen"))])
        shown[-1].append(number(1e3 * float(np.median([row["moves"] for row in own]))))
        shown[-1] += [number(mean([not row["room"] for row in own]))]
        shown[-1].append(number(float(np.median([row["seconds"] for row in own]))))
    head = ["slider", "of use", "topology kept", "too little to see", "moves at its end", "no room", "s to measure"]
    return table(head, shown)


def main(words: list[str] | None = None) -> int:
    """Run the benchmark; status 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scans", nargs="+", help="names of files; 20 of three folders unless named")
    parser.add_argument("--out", type=ROOT.joinpath, default=ROOT / "build" / "bench" / "sliders")
    parser.add_argument("--resume", action="store_true", help="leave out the scans that the last run has")
    parser.add_argument("--quick", action="store_true", help="fewer scans")
    options = parser.parse_args(words)
    folder = find_scans()
    if folder is None:
        say("The benchmark needs the folder of scans (OMOMI_SCANS): skipped.")
        return 0
    options.out.mkdir(parents=True, exist_ok=True)
    journal, engine, prior = Journal(options.out / "rows.json", options.resume), OnnxEngine("cpu"), shipped_prior()
    paths = [path for name in FOLDERS for path in sorted((folder / name).glob("*.ply"))][:SCANS]
    if options.scans:
        paths = [path for path in sorted(folder.glob("*/*.ply")) if path.stem in options.scans]
    for path in paths[:QUICK] if options.quick else paths:
        if not journal.known(scan=path.stem):
            rows = travels(path, engine, prior)
            journal.add(rows)
            say(f"{path.stem}: {number(mean([row['useful'] for row in rows]))} of the travel is of use")
    found, shown = bars(journal.rows), [slider_table(journal.rows)]
    write_report(options.out / "bench_sliders.json", options, {"rows": journal.rows}, found, shown)
    return verdict(shown, found)


if __name__ == "__main__":
    sys.exit(main())
