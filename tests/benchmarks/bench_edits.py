"""Edits: what sliders do to real scans, what masks keep still, and how long a step of a slider takes.

omomi bench edits [--parts sliders masks latency] [--scans clean/igea ...] [--quick]

Every slider goes through its whole range on a fit at 128^3. Its effect is measured on the moved vertices, by measures
that know nothing of the slider: Kendall's tau says whether the effect rises with the strength, R2 whether it is
linear. `held out` are scans that nobody looked at while the sliders were made.

Needs the `bench` extra and the folder of scans (OMOMI_SCANS); without them it says so and does nothing.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree
from scipy.stats import kendalltau

from backend.edits.attributes import attribute
from backend.edits.masks import REACH, PaintedMask
from backend.field.fit import Fit, fit
from backend.field.onnx_model import Model, load_model
from backend.formats.mesh_files import load_scan
from backend.formats.raw_scan import RawScan
from backend.geometry.normals import normals_of
from backend.protocol.client import BackendClient, default_command
from backend.protocol.fit_options import FitOptions
from backend.protocol.messages import Done
from backend.protocol.names import ATTRIBUTES
from backend.protocol.recipe import Layer
from backend.protocol.requests import EditTarget, FitRequest, LearnRequest, PoseRequest, StackRequest
from backend.scan.prepare import PreparedScan, prepare
from tests.benchmarks.bars import Bar, number, say, table, verdict, write_report
from tests.benchmarks.cases import ROOT, find_scans
from tests.movements import apply_movement

LATENCY, LATENCY_SCAN = "latency", "clean/igea"
STEPS = 200
"""Steps of a slider that are timed."""
LATENCY_BARS = {"median": 33.0, "p95": 60.0}
"""Milliseconds at most."""
BACKEND = ROOT / "backend"
VALUES = 9
TAU, LINEAR = 1.0, 0.95
LEAK = 0.02
KNOWN = (
    *(f"clean/{name}" for name in ("3holes", "armadillo", "flake1", "igea", "rocker_arm")),
    *(f"clean/ycb_{name}" for name in ("a_toy_airplane", "banana", "bleach_cleanser", "pitcher_base")),
    *("family_skulls/skull_A_J", "family_cups/cup_a", "family_teeth/tooth_B03", "raw/sfm_owl"),
)

"""The sliders and what measures them were made with a look at these."""
HELD_OUT = (
    *("family_skulls/skull_NZO", "family_cups/cup_d", "family_teeth/tooth_S08", "family_flakes/flake2"),
    *("raw/sfm_plasticVase", "raw/face_scan"),
)
"""Nobody looked at these before."""
SCANS = (*HELD_OUT, *KNOWN)
SIDES = 3.0
"""What faces the other way is this many neighbourhoods off."""
FINE, COARSE = 16, 120
"""Neighbours that a curvature and a relief are measured over: about 1 and 2.5 per cent of the longest side around."""
CREASED = 90
"""Percentile of curvature above which a vertex lies on an edge."""


@dataclass(frozen=True)
class Subject:
    """A fitted scan, canonical: vertices f64 (n, 3), faces i32 (m, 3); voxel: size."""

    name: str
    scan: PreparedScan
    fit: Fit
    vertices: NDArray[np.float64]
    faces: NDArray[np.int32]
    voxel: float

    @cached_property
    def normals(self) -> NDArray[np.float64]:
        return normals_of(self.vertices, self.faces)

    def unit(self, name: str, model: Model, mask: PaintedMask | None = None) -> NDArray[np.float64]:
        """Displacement (n, 3) by an attribute at strength 1."""
        return apply_movement(attribute(name, self.scan, self.fit), 1.0, self.vertices, self.faces, mask).move

    @cached_property
    def around(self) -> NDArray[np.intp]:
        """The COARSE nearest vertices (n, COARSE) of each on the same side of a wall, nearest first: itself."""
        places = np.concatenate([self.vertices, self.normals * (SIDES * self.voxel)], axis=1)
        return np.asarray(KDTree(places).query(places, COARSE)[1])

    @cached_property
    def creases(self) -> NDArray[np.bool_]:
        """Vertices (n,) on edges of the surface as it was fitted."""
        bend = np.abs(self.bends(self.vertices))
        return bend > np.percentile(bend, CREASED)

    def bends(self, moved: NDArray) -> NDArray[np.float64]:
        """Mean curvature (n,) around each moved vertex, from its height over the mean of its nearest FINE."""
        away = moved[:, None] - moved[self.around[:, :FINE]]
        height = np.einsum("na,na->n", away.mean(axis=1), self.normals)
        return 4 * height / np.einsum("nka,nka->n", away, away) * FINE

    def edges(self, moved: NDArray) -> float:
        """Mean size of the curvature on the edges."""
        return float(np.abs(self.bends(moved)[self.creases]).mean())

    def roughness(self, moved: NDArray) -> float:
        """RMS difference of a vertex's curvature from the mean around it: a ball of any size has none."""
        bends = self.bends(moved)
        return float(np.sqrt(((bends - bends[self.around].mean(axis=1)) ** 2).mean()))

    def relief(self, moved: NDArray) -> float:
        """RMS distance of the moved vertices from the planes that fit their COARSE neighbourhoods best."""
        total = 0.0
        for start in range(0, len(moved), 1 << 13):
            near = moved[self.around[start : start + (1 << 13)]]
            near = near - near.mean(axis=1, keepdims=True)
            total += np.linalg.eigvalsh(np.einsum("nka,nkb->nab", near, near) / COARSE)[:, 0].clip(0).sum()
        return float(np.sqrt(total / len(moved)))

    def volume(self, moved: NDArray) -> float:
        """Signed."""
        corners = moved[self.faces]
        across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        return float(np.einsum("na,na->", corners[:, 0], across) / 6)


MEASURES: dict[str, tuple[str, bool, Callable[[Subject, NDArray], float]]] = {
    "thickness": ("volume", True, Subject.volume),
    "smoothness": ("RMS roughness at 1 %", False, Subject.roughness),
    "detail": ("RMS relief within 2.5 %", True, Subject.relief),
    "sharpness": ("mean curvature of the edges", True, Subject.edges),
}
"""Of every attribute: what it should change, whether up, and the figure of a subject's moved vertices (n, 3)."""


def subjects(folder: Path, names: Sequence[str], model: Model) -> Iterator[Subject]:
    """The scans, fitted one by one at 128^3."""
    for name in names:
        scan = prepare(load_scan(folder / f"{name}.ply"))
        found = fit(scan, model, FitOptions(level=2))
        vertices = (found.mesh.vertices - scan.frame.centre) * scan.frame.scale
        yield Subject(name, scan, found, vertices, found.mesh.faces, 2.0 / 128)


def sliders(subject: Subject, model: Model) -> list[dict]:
    """Every attribute over its range: the figure, how it ranks with the slider, and how linear it is."""
    rows = []
    for name, (title, up, measured) in MEASURES.items():
        strengths = np.linspace(ATTRIBUTES[name].low, ATTRIBUTES[name].high, VALUES)
        move = subject.unit(name, model)
        figures = np.array([measured(subject, subject.vertices + value * move) for value in strengths])
        tau = float(cast(Any, kendalltau(strengths, figures)).statistic) * (1 if up else -1)
        linear = float(np.corrcoef(strengths, figures)[0, 1] ** 2)
        reset = apply_movement(attribute(name, subject.scan, subject.fit), 0.0, subject.vertices, subject.faces).move
        unmoved = np.array_equal((subject.vertices + reset).view(np.int64), subject.vertices.view(np.int64))
        row = {"scan": subject.name, "attribute": name, "measure": title, "tau": round(tau, 9), "linear": linear}
        rows.append(row | {"strengths": strengths.tolist(), "figures": figures.tolist(), "reset": unmoved})
        say(f"{subject.name} {name}: tau {tau:.3f}, R2 {linear:.3f}, {number(figures[0])} to {number(figures[-1])}")
    return rows


def slider_bars(rows: Sequence[dict]) -> list[Bar]:
    found = []
    for name in MEASURES:
        chosen = [row for row in rows if row["attribute"] == name]
        taus, linear = ([row[key] for row in chosen] for key in ("tau", "linear"))
        unseen = [row["linear"] for row in chosen if row["scan"] in HELD_OUT]
        found += [
            Bar(f"{name}: Kendall tau, worst", min(taus), TAU, False, len(chosen)),
            Bar(f"{name}: R2, worst", min(linear), LINEAR, False, len(chosen)),
            Bar(f"{name}: R2, median", float(np.median(linear)), LINEAR, False, len(chosen)),
            Bar(f"{name}: R2, worst, held out", min(unseen, default=None), LINEAR, False, len(unseen)),
        ]
    kept = float(np.mean([row["reset"] for row in rows]))
    return [*found, Bar("strength 0: bit-identical", kept, 1.0, False, len(rows))]


def masks(subject: Subject, model: Model) -> list[dict]:
    """Every attribute at strength 1 on a painted half: the largest move beyond the mask and two voxels, over the mean
    one inside."""
    painted = subject.vertices[:, 0] > np.median(subject.vertices[:, 0])
    mask = PaintedMask.of_mesh(
        subject.vertices, subject.faces, painted.astype(np.float32), subject.voxel, subject.normals
    )
    beyond = KDTree(subject.vertices[painted]).query(subject.vertices)[0] > REACH * subject.voxel
    rows = []
    for name in MEASURES:
        length = np.linalg.norm(subject.unit(name, model, mask), axis=1)
        leak = float(length[beyond].max(initial=0.0) / length[painted].mean())
        rows.append({"scan": subject.name, "attribute": name, "leak": leak, "beyond": int(beyond.sum())})
    say(f"{subject.name} masks: {max(row['leak'] for row in rows):.3g}")
    return rows


def mask_bars(rows: Sequence[dict]) -> list[Bar]:
    leaks = [row["leak"] for row in rows]
    return [Bar("mask leak: largest move outside / mean inside", max(leaks), LEAK, True, len(leaks))]


PARTS: dict[str, tuple[Callable[[Subject, Model], list[dict]], Callable[[Sequence[dict]], list[Bar]]]] = {
    "sliders": (sliders, slider_bars),
    "masks": (masks, mask_bars),
}
"""What is done with every scan, and the bars on all that was found."""


@dataclass(frozen=True)
class Latency:
    """Milliseconds of a step of a slider on a mesh of so many vertices."""

    vertices: int
    steps: int
    median: float
    p95: float
    largest: float


def measure(
    client: BackendClient,
    raw: RawScan,
    layer: Layer,
    options: FitOptions,
    body: EditTarget,
    steps: int = STEPS,
) -> Latency:
    """Fit a scan, put one edit on it, and ask for ``steps`` poses, one after the other, as a slider does.

    options: of the fit. Raises OmomiError.
    """
    handle = client.request(FitRequest, name=raw.name, options=options, profile="", points=raw.points, faces=raw.faces)
    client.wait(handle)
    client.wait(client.request(StackRequest, handle=handle, body=body.value, layers=[layer]))
    took, vertices = [], 0
    for strength in np.linspace(-1.0, 2.0, steps).tolist():
        started = time.perf_counter()
        done = client.wait(client.request(PoseRequest, handle=handle, strengths=[strength]))
        took.append(1000 * (time.perf_counter() - started))
        assert isinstance(done, Done) and done.vertices is not None
        vertices = len(done.vertices)
    client.forget(handle)
    median, p95 = np.percentile(took, [50, 95]).tolist()
    return Latency(vertices, steps, median, p95, max(took))


def learned_bump(client: BackendClient, raw: RawScan, path: Path) -> None:
    """Write an edit learned from a scan with faces and a copy of it with a bump on one side."""
    assert raw.faces is not None
    low, high = raw.points.min(axis=0), raw.points.max(axis=0)
    size = float((high - low).max())
    summit = raw.points[raw.points[:, 0].argmax()]
    away = np.linalg.norm(raw.points - summit, axis=1) / size
    after = raw.points + 0.05 * size * np.exp(-0.5 * (away / 0.08) ** 2)[:, None] * [1.0, 0.0, 0.0]
    counts = [len(raw.points), len(raw.faces)] * 2
    points, faces = np.concatenate([raw.points, after]), np.concatenate([raw.faces, raw.faces])
    client.wait(client.request(LearnRequest, name="bump", path=str(path), counts=counts, points=points, faces=faces))


def latency(folder: Path, options: argparse.Namespace) -> tuple[list[dict], list[Bar]]:
    """Steps of a slider over the pipes of a backend process, on the fit of a scan and on its own vertices."""
    raw = load_scan(folder / f"{LATENCY_SCAN}.ply")
    rows, found = [], []
    with BackendClient(default_command(sys.executable, BACKEND)) as client, tempfile.TemporaryDirectory() as place:
        path = Path(place) / "bump.omomi"
        learned_bump(client, raw, path)
        for body in EditTarget:
            row = asdict(measure(client, raw, Layer(path.stem, 1.0, path=str(path)), FitOptions(3), body))
            rows.append({"body": body.value, **row})
            for name, most in LATENCY_BARS.items():
                title = f"slider step, {name}, {row['vertices']:,} vertices of the {body.value} (ms)"
                found.append(Bar(title, row[name], most, True, row["steps"]))
            say(f"{body.value}: {row}")
    return rows, found


def slider_table(rows: Sequence[dict]) -> str:
    """One row per scan: R2 of each attribute, and tau where it is not 1."""
    cells = []
    for scan in dict.fromkeys(row["scan"] for row in rows):
        found = {row["attribute"]: row for row in rows if row["scan"] == scan}
        texts = [
            f"{row['linear']:.3f}" + ("" if row["tau"] == 1 else f" (tau {row['tau']:.2f})") for row in found.values()
        ]
        cells.append([scan, *texts])
    return table(["R2 over the whole range", *MEASURES], cells)


def parse(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", default=[*PARTS, LATENCY], choices=[*PARTS, LATENCY])
    parser.add_argument("--scans", nargs="+", metavar="FOLDER/NAME", help="of the folder of scans, without .ply")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench" / "edits")
    parser.add_argument("--quick", action="store_true", help="three scans")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> int:
    """Run the benchmark; status 1 when a bar is missed."""
    options = parse(words)
    folder = find_scans()
    if folder is None:
        print("The benchmark needs the folder of scans (OMOMI_SCANS): skipped.")
        return 0
    names = options.scans or SCANS
    options.out.mkdir(parents=True, exist_ok=True)
    model = load_model("cpu", options.threads)
    record = options.out / "bench_edits.json"
    per_scan = [part for part in options.parts if part in PARTS]
    report: dict = {part: [] for part in per_scan}
    found: list[Bar] = []

    for subject in subjects(folder, names[:3] if options.quick else names, model) if per_scan else ():
        for part in per_scan:
            report[part] += PARTS[part][0](subject, model)
        found = [bar for part in per_scan for bar in PARTS[part][1](report[part])]
        write_report(record, options, report, found)
    if LATENCY in options.parts:
        report[LATENCY], more = latency(folder, options)
        found += more
    tables = [slider_table(report["sliders"])] if "sliders" in options.parts else []
    write_report(record, options, report, found, tables)
    return verdict(tables, found)


if __name__ == "__main__":
    sys.exit(main())
