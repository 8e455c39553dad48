"""Edits by example that the network makes, on real skulls: a drilled hole, a boss, a removed process.

omomi bench skulls [--edits drill boss cut] [--members N] [--level 2] [--unmarked] [--resume] [--quick]

Three specimens show the edit at one landmark, with noise, in a pose and scale of their own, and the landmark is marked
on them. The edit is then applied to the fits of others, without help and with one click on the landmark. The truth is
the other specimen's own fit with the tool applied, since two fits of one skull differ by more than the edit. Figures
are those of `bench weights`.

It needs the folder of scans (OMOMI_SCANS); without it it says so and does nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import trimesh
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from backend.edits.edit_file import save_edit
from backend.edits.fitted_scan import FittedScan
from backend.edits.learn import learn_from
from backend.engine import OnnxEngine, fit_scan
from backend.errors import OmomiError
from backend.field.fit import ignore
from backend.formats.raw_scan import RawScan
from backend.protocol.fit_options import FitOptions
from tests.benchmarks.bars import Bar, Journal, mean, number, say, table, verdict, write_report
from tests.benchmarks.bench_weights import applied, enclosed, figures
from tests.benchmarks.cases import ROOT, find_scans

LANDMARKS = {"drill": (13, 20), "boss": (10, 30), "cut": (0, 9)}
RADII = {"drill": 0.05, "boss": 0.05, "cut": 0.09}
"""Of the tools, in longest sides."""
DEPTH, RAISED = 0.07, 0.02
"""Half the length of a drill, and how far a boss's middle is above its landmark, in longest sides."""
NOISE, TURN, GROWTH = 0.0015, 10.0, (0.9, 1.1)
"""Standard deviation of the vertices (longest sides), largest turn of a pose (degrees), and its scale."""
BARS = {("drill", False): 0.06, ("drill", True): 0.02, ("boss", False): 0.2, ("boss", True): 0.1,
        ("cut", False): 0.15, ("cut", True): 0.1}  # fmt: skip
"""Of the median E_in, by edit and whether the place was clicked."""
BESIDE, BETTI = 0.4, 0.8
EXAMPLES, MEMBERS, QUICK_MEMBERS = 3, 12, 2


@dataclass(frozen=True)
class Tool:
    """A solid that is taken off a skull, or put on it, in the skull's own frame."""

    edit: str
    middle: NDArray[np.float64]  # (3,)
    axis: NDArray[np.float64]  # (3,), out of the skull

    def distance(self, points: NDArray) -> NDArray[np.float64]:
        """Signed distance (n,) of points (n, 3)."""
        arm = points - self.middle
        if self.edit != "drill":
            return np.linalg.norm(arm, axis=1) - RADII[self.edit]
        along = arm @ self.axis
        across = np.linalg.norm(arm - along[:, None] * self.axis, axis=1)
        rim = np.stack([across - RADII["drill"], np.abs(along) - DEPTH], axis=1)
        return np.linalg.norm(np.maximum(rim, 0), axis=1) + np.minimum(rim.max(axis=1), 0)

    def mesh(self) -> trimesh.Trimesh:
        if self.edit != "drill":
            return trimesh.creation.icosphere(5, RADII[self.edit]).apply_translation(self.middle)
        made = trimesh.creation.cylinder(RADII["drill"], 2 * DEPTH, sections=64)
        made = cast(trimesh.Trimesh, made.subdivide_to_size(0.008))
        made.apply_transform(trimesh.geometry.align_vectors([0, 0, 1], self.axis))
        return made.apply_translation(self.middle)


@dataclass(frozen=True)
class Skull:
    """A specimen, its longest side 1 and its middle at the origin, and the pose of its scans."""

    name: str
    vertices: NDArray[np.float64]  # (n, 3)
    faces: NDArray[np.int32]  # (m, 3)
    landmarks: NDArray[np.float64]  # (51, 3)
    turn: NDArray[np.float64]  # (3, 3)
    scale: float
    seed: int

    @classmethod
    def read(cls, folder: Path, name: str, landmarks: NDArray, seed: int) -> Skull:
        mesh = trimesh.load(folder / f"{name}.ply", process=False, force="mesh")
        assert isinstance(mesh, trimesh.Trimesh)
        side, middle = mesh.extents.max(), mesh.bounds.mean(axis=0)
        rng = np.random.default_rng([seed, 0])
        axis = rng.normal(size=3)
        turn = Rotation.from_rotvec(np.radians(rng.uniform(-TURN, TURN)) * axis / np.linalg.norm(axis)).as_matrix()
        points, marks = ((np.asarray(found) - middle) / side for found in (mesh.vertices, landmarks))
        return cls(name, points, np.asarray(mesh.faces, np.int32), marks, turn, float(rng.uniform(*GROWTH)), seed)

    def to_world(self, points: NDArray) -> NDArray[np.float64]:
        return self.scale * points @ self.turn.T

    def from_world(self, points: NDArray) -> NDArray[np.float64]:
        return points @ self.turn / self.scale

    def scan(self, vertices: NDArray, faces: NDArray, state: str) -> RawScan:
        rng = np.random.default_rng([self.seed, len(vertices)])
        noisy = vertices + rng.normal(0, NOISE, vertices.shape)
        return RawScan(self.to_world(noisy), faces, name=f"{self.name} {state}")

    def before(self) -> RawScan:
        return self.scan(self.vertices, self.faces, "before")

    def tool(self, edit: str, landmark: int) -> Tool:
        at = self.landmarks[landmark]
        corners = self.vertices[self.faces]
        centres = corners.mean(axis=1)
        weight = np.exp(-((centres - at) ** 2).sum(axis=1) / (2 * 0.03**2))
        away = centres - np.average(centres, axis=0, weights=weight)
        # the normal of the surroundings, which the bone's own two sides would cancel
        axis = np.linalg.eigh((away * weight[:, None]).T @ away)[1][:, 0]
        axis *= np.sign(axis @ (at - self.vertices.mean(axis=0)))
        return Tool(edit, at + (RAISED * axis if edit == "boss" else 0.0), axis)

    def after(self, tool: Tool, fitted: FittedScan, inside: NDArray) -> RawScan:
        """The specimen with the tool applied; inside (n, n, n): of its fit, which tells what of the tool is in bone."""
        made = tool.mesh()
        voxels = ((fitted.to_canonical(self.to_world(made.triangles_center)) + 1) * (len(inside) / 2)).astype(np.int64)
        x, y, z = voxels.clip(0, len(inside) - 1).T
        bone = inside[x, y, z]
        kept = self.faces[tool.distance(self.vertices[self.faces].mean(axis=1)) > 0]
        put = made.faces[~bone] if tool.edit == "boss" else made.faces[bone][:, ::-1]
        faces = np.concatenate([kept, put + len(self.vertices)]).astype(np.int32)
        return self.scan(np.concatenate([self.vertices, made.vertices]), faces, f"{tool.edit} after")

    def truth(self, tool: Tool, fitted: FittedScan, inside: NDArray) -> NDArray[np.bool_]:
        """The voxels (n, n, n) of a fit with the tool applied."""
        line = (np.arange(len(inside)) + 0.5) * (2 / len(inside)) - 1
        grid = np.stack(np.meshgrid(line, line, line, indexing="ij"), axis=-1).reshape(-1, 3)
        within = tool.distance(self.from_world(fitted.scan.frame.to_world(grid))).reshape(inside.shape) < 0
        return inside | within if tool.edit == "boss" else inside & ~within


def fit(engine: OnnxEngine, skull: Skull, level: int) -> tuple[FittedScan, NDArray[np.bool_]]:
    """The fit of a specimen, and the voxels that it encloses."""
    fitted = fit_scan(engine, skull.before(), FitOptions(level=level), ignore)
    assert fitted.fit is not None
    return fitted, enclosed(fitted, fitted.fit.mesh.vertices, fitted.fit.mesh.faces, 32 << level)


def measure(engine: OnnxEngine, options: argparse.Namespace, folder: Path, journal: Journal) -> None:
    """Add the rows that are missing."""
    marks = json.loads((folder / "landmarks51.json").read_text())
    names = [str(name) for name in np.random.default_rng(options.seed).permutation(sorted(marks))]
    skulls = [
        Skull.read(folder, name, np.array(marks[name]), number)
        for number, name in enumerate(names[: EXAMPLES + options.members])
    ]
    kinds = [(edit, landmark) for edit in options.edits or LANDMARKS for landmark in LANDMARKS[edit]]
    paths = {kind: options.out / f"{kind[0]} {kind[1]}.omomi" for kind in kinds}
    wanted = [kind for kind in kinds if not (options.resume and paths[kind].is_file())]
    examples = [(skull, *fit(engine, skull, 2)) for skull in skulls[:EXAMPLES]] if wanted else []
    for edit, landmark in wanted:
        pairs = [
            (skull.before(), skull.after(skull.tool(edit, landmark), fitted, inside))
            for skull, fitted, inside in examples
        ]
        marks = [skull.to_world(skull.landmarks[[landmark]])[0] for skull, _, _ in examples]
        names = [skull.name for skull, _, _ in examples]
        found, said = learn_from(pairs, names, engine.model, ignore, marks=[] if options.unmarked else marks)
        say(f"{edit} at landmark {landmark}: {said['gear']}, wrong {said['wrong']}, {said['warnings']}")
        save_edit(paths[edit, landmark], found, engine.model.hash)
    for skull in skulls[EXAMPLES:]:
        cases = [
            (kind, clicked)
            for kind in kinds
            for clicked in (False, True)
            if not journal.known(specimen=skull.name, edit=kind[0], landmark=kind[1], clicked=clicked)
        ]
        fitted, inside = fit(engine, skull, options.level) if cases else (None, np.zeros(0))
        for (edit, landmark), clicked in cases:
            assert fitted is not None
            tool = skull.tool(edit, landmark)
            truth = inside, skull.truth(tool, fitted, inside)
            case = {"specimen": skull.name, "edit": edit, "landmark": landmark, "clicked": clicked}
            at = skull.to_world(skull.landmarks[[landmark]])[0] if clicked else None
            try:
                row, made = applied(engine, fitted, paths[edit, landmark], at)
                result = enclosed(fitted, made.vertices, made.faces, len(inside))
            except OmomiError as error:
                row, result = {"E_in": 1.0, "refused": error.message}, inside
            journal.add([case | figures(result, inside, truth) | row])
            say(f"{case}: {journal.rows[-1]['E_in']:.3f}")


def bars(rows: list[dict]) -> list[Bar]:
    """Bars on the rows of a journal."""
    found = []
    for (edit, clicked), limit in BARS.items():
        errors = [row["E_in"] for row in rows if (row["edit"], row["clicked"]) == (edit, clicked)]
        name = f"{edit}{', one click' * clicked}: median E_in"
        found.append(Bar(name, float(np.median(errors)) if errors else None, limit, True, len(errors)))
    beside = [row["beside"] for row in rows]
    right = [float(row["betti"] == row["betti_truth"]) for row in rows]
    found.append(Bar("beside, median", float(np.median(beside)) if beside else None, BESIDE, True, len(beside)))
    return [*found, Bar("Betti numbers are right", mean(right), BETTI, False, len(right))]


def skull_table(rows: list[dict]) -> str:
    """One row per edit, landmark, and whether the place was clicked."""
    shown = []
    for kind in dict.fromkeys((row["edit"], row["landmark"], row["clicked"]) for row in rows):
        chosen = [row for row in rows if (row["edit"], row["landmark"], row["clicked"]) == kind]
        columns = [[row[name] for row in chosen] for name in ("E_in", "beside", "drift")]
        right = sum(row["betti"] == row["betti_truth"] for row in chosen)
        shown.append(
            [kind[0], str(kind[1]), "yes" if kind[2] else "no"]
            + [number(float(np.median(column))) for column in columns]
            + [f"{right} of {len(chosen)}", str(sum("refused" in row for row in chosen))]
        )
    return table(["edit", "landmark", "click", "median E_in", "beside", "drift", "Betti right", "refused"], shown)


def main(words: list[str] | None = None) -> int:
    """Run the benchmark; status 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--edits", nargs="+", choices=LANDMARKS, help="all of them if not given")
    parser.add_argument("--members", type=int, default=MEMBERS, help="unseen specimens")
    parser.add_argument("--level", type=int, default=2, choices=(2, 3), help="of the fits that are edited")
    parser.add_argument("--seed", type=int, default=0, help="of the order of specimens: the first three are examples")
    parser.add_argument("--unmarked", action="store_true", help="the landmark is not marked on the examples")
    parser.add_argument("--resume", action="store_true", help="go on where the last run was cut off")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench" / "skulls")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_MEMBERS} specimens")
    options = parser.parse_args(words)
    if options.quick:
        options.members = min(options.members, QUICK_MEMBERS)
    scans = find_scans()
    if scans is None or not (scans / "family_skulls").is_dir():
        print("The benchmark needs the folder of scans (OMOMI_SCANS): skipped.")
        return 0
    options.out.mkdir(parents=True, exist_ok=True)
    journal = Journal(options.out / "rows.json", options.resume)
    measure(OnnxEngine("cpu"), options, scans / "family_skulls", journal)
    found, tables = bars(journal.rows), [skull_table(journal.rows)]
    write_report(options.out / "bench_skulls.json", options, {"rows": journal.rows}, found, tables)
    return verdict(tables, found)


if __name__ == "__main__":
    sys.exit(main())
