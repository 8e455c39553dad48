"""What scans lose: the bottom of what stood on a table, both sides of a patch of a wall, and walls that are thin.

omomi bench lost [--parts base mouth walls thin] [--seed N] [--resume] [--quick]

All shapes are procedural, so that their truth is known. ``base``: things cut flat by a plane and scanned from above
it; the error is the mean distance from what no view saw to the fit. ``mouth``: mugs whose mouth is looked into or not.
``walls``: meshes of mugs out of whose wall a ball took both sides, fitted without the mirror, which would know the
wall. ``thin``: bare points of shells as thick as a voxel; of the surface in the middle of the wall, the share that is
inside the fit. Seeds from 100 on are for choosing thresholds.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator

import numpy as np
import torch
import trimesh
from numpy.typing import NDArray
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation
from torch.nn.functional import normalize

from backend.engine import OnnxEngine, fit_scan
from backend.field.bricks import voxel_size
from backend.field.fit import Fit, ignore
from backend.formats.raw_scan import RawScan
from backend.geometry.nearest import nearest_on_mesh
from backend.geometry.normals import unit
from backend.geometry.topology import betti_of_mesh
from backend.geometry.winding_number import winding_at
from backend.prior.base import NOTE
from backend.protocol.fit_options import FitOptions
from backend.scan.prepare import LONGEST_SIDE
from backend.training.scanner import Distance, ScanSettings, scan_points, surface_points, visible
from backend.training.shapes.families import Shapes, draw
from tests.benchmarks.bars import Bar, Journal, geometric_mean, mean, number, say, table, verdict, write_report
from tests.benchmarks.cases import ROOT
from tests.benchmarks.families import FAMILIES, meshed

THINGS = ("rock", "bottle", "csg", "mechanical")
EACH, MOUTHS, MUGS, SHELLS = 3, 12, 20, 2
LEVEL = 2
WALL, ALONG, MIDDLES = voxel_size(LEVEL), 400, 4000
"""Thickness of a shell, points along the middle of its wall each way, and how many of these are looked at."""
UNSEEN_RATIO, VOLUME, VOLUMES, CLOSED, WHOLE, WHOLE_FROM_ONE = 0.4, 0.03, 10 / 12, 0.9, 0.9, 0.7
DEEP = 0.12
"""Share of a thing's height that the plane cuts off."""
BOTTOM = 0.5
"""Share of the unseen surface that is the bottom, at least: hollow and winding things are drawn anew."""
WAYS = 24
"""To stand, drawn for each thing."""
NOISE = 0.003
POINTS = 40_000
VIEWS, RAISED = 10, (10.0, 35.0)
"""Cameras in two rings, and their angles above the table; one more looks from above."""


def cameras(up: NDArray, above: float = 1.0) -> NDArray[np.float32]:
    """Unit vectors (v, 3) towards cameras all around; above: 1 with the one over it, -1 with one below instead, 0
    neither."""
    turn = Rotation.align_vectors([up], [[0, 0, 1]])[0]
    around = 2 * np.pi * np.arange(VIEWS) / VIEWS
    high = np.radians(np.resize(RAISED if above >= 0 else (10.0, -35.0), VIEWS))
    ring = np.stack([np.cos(around) * np.cos(high), np.sin(around) * np.cos(high), np.sin(high)], axis=1)
    ring = np.concatenate([ring, [[0.0, 0.0, above]]]) if above else ring
    return turn.apply(ring).astype(np.float32)


def stand(points: NDArray, normals: NDArray, rng: np.random.Generator) -> tuple[NDArray, float]:
    """How a thing with these points and unit normals (n, 3) stands: up (3,), and how high the table is that cuts it.
    Of some ways the one that hides the least of it from cameras above."""
    ways = rng.normal(size=(WAYS, 3))
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    high = points @ ways.T
    table_at = high.min(axis=0) + DEEP * np.ptp(high, axis=0)
    hidden = ((normals @ ways.T < -np.sin(np.radians(RAISED[0]))) & (high > table_at)).mean(axis=0)
    return ways[hidden.argmin()], float(table_at[hidden.argmin()])


def cut_flat(shape: Shapes, up: NDArray, table_at: float) -> Distance:
    """The part of a shape above the table."""
    normal = torch.from_numpy(up).float()
    return lambda points: torch.maximum(shape.sdf(points), table_at - points @ normal)


def scanned(distance: Distance, views: NDArray, seed: int) -> tuple[RawScan, NDArray[np.float64]]:
    """A noisy scan of a solid, and points (k, 3) of its surface that no view saw."""
    generator = torch.Generator().manual_seed(seed)
    points, normals = (part[0] for part in surface_points(distance, 1, POINTS, generator))
    towards = normalize(torch.from_numpy(views), dim=1)
    seen = (visible(points, normals, towards).long() * 2 ** torch.arange(len(towards))[:, None]).sum(0)
    settings = ScanSettings(views=len(towards), noise=NOISE)
    cloud, facing, to_sensor = scan_points(points, normals, seen.int(), towards, settings, generator)
    raw = RawScan(cloud.numpy().astype(np.float64), None, facing.numpy(), to_sensor.numpy())
    return raw, points[seen == 0].numpy().astype(np.float64)


def of_torch(distance: Callable[[NDArray], NDArray]) -> Distance:
    return lambda points: torch.from_numpy(distance(points[0].numpy().astype(np.float64))).float()[None]


def fitted(engine: OnnxEngine, raw: RawScan, **options: object) -> Fit:
    found = fit_scan(engine, raw, FitOptions(level=LEVEL, **options), ignore).fit  # pyrefly: ignore
    assert found is not None
    return found


def thing(family: str, seed: int, rng: np.random.Generator) -> tuple[Distance, RawScan, NDArray[np.float64]]:
    """A thing without its bottom, its scan, and what no view saw, which is the bottom for the most part."""
    while True:
        shape = draw(family, 1, int(rng.integers(1 << 20)))
        points, normals = surface_points(shape.sdf, 1, 4000, torch.Generator().manual_seed(0))
        up, table_at = stand(points[0].numpy(), normals[0].numpy(), rng)
        cut = cut_flat(shape, up, table_at)
        raw, unseen = scanned(cut, cameras(up), seed)
        if np.mean(np.abs(unseen @ up - table_at) < NOISE) > BOTTOM:
            return cut, raw, unseen


def base(engine: OnnxEngine, seed: int, each: int) -> Iterator[dict]:
    """Things without their bottom, with a base and without."""
    for family in THINGS:
        for number_of in range(each):
            cut, raw, unseen = thing(family, seed, np.random.default_rng([seed, number_of, *family.encode()]))
            truth = meshed(lambda points, cut=cut: cut(torch.from_numpy(points).float()[None])[0].numpy(), np.eye(3))
            row: dict = {"part": "base", "shape": f"{family} {number_of}", "unseen": len(unseen)}
            for name, on in (("with", True), ("without", False)):
                fit = fitted(engine, raw, base=on)
                mesh = trimesh.Trimesh(fit.mesh.vertices, fit.mesh.faces, process=False)
                row[name] = float(nearest_on_mesh(mesh.vertices, mesh.faces, unseen).distance.mean())
                row[f"volume {name}"] = float(mesh.volume / truth.volume)
                row[f"said {name}"] = NOTE in fit.report.notes
            yield row


def mouth(engine: OnnxEngine, seed: int, count: int) -> Iterator[dict]:
    """Mugs seen from all around and from below; half of them from above, too."""
    for number_of in range(count):
        rng = np.random.default_rng([seed, number_of])
        solid, looked = of_torch(FAMILIES["mug"](rng)[0]), number_of % 2 == 0
        views = cameras(np.array([0.0, 0.0, 1.0]), -1.0)
        if looked:
            views = np.concatenate([views, cameras(np.array([0.0, 0.0, 1.0]))])
        fit = fitted(engine, scanned(solid, views, seed + number_of)[0])
        inside = np.hypot(*fit.mesh.vertices[:, :2].T) < 0.1
        top = fit.mesh.vertices[:, 2].max()
        row = {"part": "mouth", "shape": f"mug {number_of}", "looked": looked}
        yield row | {
            "closed": bool((fit.mesh.vertices[inside, 2] > top - 0.1).any()),
            "said": NOTE in fit.report.notes,
        }


def walls(engine: OnnxEngine, seed: int, count: int) -> Iterator[dict]:
    """Mugs out of whose wall a ball took both sides."""
    for number_of in range(count):
        rng = np.random.default_rng([seed, number_of])
        radius, height, wall = rng.uniform(0.35, 0.6), rng.uniform(0.9, 1.6), rng.uniform(0.025, 0.06)
        lost, turn = rng.uniform(0.08, 0.28), Rotation.random(rng=rng).as_matrix()
        raw = mug(radius, height, wall, lost, rng)
        fit = fitted(engine, RawScan(raw[0] @ turn.T, raw[1], None, None, "mug"), symmetry=False)
        found = betti_of_mesh(fit.mesh.vertices, fit.mesh.faces)
        upright = fit.mesh.vertices @ turn
        room = (np.hypot(*upright[:, :2].T) < radius / 2) & (upright[:, 2] > 4 * wall)
        row = {"part": "walls", "shape": f"mug {number_of}", "wall": wall, "lost": lost, "pieces": found.b0}
        yield row | {"tunnels": found.b1, "closed": found.b1 == 0, "open": not room.any()}


def mug(radius: float, height: float, wall: float, lost: float, rng: np.random.Generator) -> tuple[NDArray, NDArray]:
    """Noisy vertices and faces of a turned mug with its mouth at the top of z and a patch of its wall lost."""
    step, inner = 0.03, radius - wall
    outside = [(r, 0.0) for r in np.arange(0, radius, step)] + [(radius, z) for z in np.arange(0, height, step)]
    inside = [(inner, z) for z in np.arange(height, wall, -step)] + [(r, wall) for r in np.arange(inner, 0, -step)]
    profile = np.array([*outside, (radius - wall / 2, height + wall / 2), *inside])
    profile[[0, -1], 0] = 0
    made = trimesh.creation.revolve(profile, sections=100)
    made.update_faces(made.nondegenerate_faces())
    normals = np.asarray(made.vertex_normals)
    points = np.asarray(made.vertices) + normals * rng.normal(0, NOISE / 2, (len(normals), 1))
    centre = np.array([radius - wall / 2, 0.0, rng.uniform(0.4, 0.6) * height])
    gone = np.linalg.norm(np.asarray(made.triangles_center) - centre, axis=1) < lost
    return points, np.asarray(made.faces)[~gone]


def thin(engine: OnnxEngine, seed: int, count: int) -> Iterator[dict]:
    """Shells of a voxel, both of whose sides were seen, and one of them alone."""
    for name, sheet in SHEETS.items():
        for number_of in range(count):
            rng = np.random.default_rng([seed, number_of, *name.encode()])
            u, v = np.meshgrid(*2 * [np.linspace(0, 1, ALONG)], indexing="ij")
            middle = sheet(u, v, rng)
            along = (np.gradient(middle, axis=axis).reshape(-1, 3) for axis in (0, 1))
            front = unit(np.cross(*along))[0]
            middle = middle.reshape(-1, 3) @ (turn := Rotation.random(rng=rng).as_matrix()).T
            size = (LONGEST_SIDE - WALL) / np.ptp(middle, axis=0).max()
            middle, front = (middle - (middle.max(axis=0) + middle.min(axis=0)) / 2) * size, front @ turn.T
            tree = KDTree(middle)
            shell = of_torch(lambda points, tree=tree: tree.query(points)[0] - WALL / 2)
            raw, _ = scanned(shell, np.concatenate([cameras(np.eye(3)[2], 1.0), cameras(np.eye(3)[2], -1.0)]), seed)
            nearest = tree.query(raw.points)[1]
            outer = np.einsum("ij,ij->i", raw.points - middle[nearest], front[nearest]) > 0
            assert raw.to_sensor is not None
            # neighbourhoods as wide as the wall is thick, and twice as wide
            some = np.arange(len(outer)) % (1 + 3 * (number_of % 2)) == 0
            for sides, kept in (("both", some), ("one", some & outer)):
                fit = fitted(engine, RawScan(raw.points[kept], None, None, raw.to_sensor[kept]))
                inside = winding_at(fit.mesh.vertices, fit.mesh.faces, middle[:: len(middle) // MIDDLES]) > 0.5
                found = betti_of_mesh(fit.mesh.vertices, fit.mesh.faces)
                row = {"part": "thin", "shape": f"{name} {number_of}", "sides": sides, "pieces": found.b0}
                yield row | {"tunnels": found.b1, "whole": float(inside.mean())}


def bowl(u: NDArray, v: NDArray, rng: np.random.Generator) -> NDArray:
    """The middle (k, k, 3) of the wall of a bowl, at 0 .. 1 around it (k, k) and along its profile (k, k)."""
    around, down = 2 * np.pi * u, np.pi / 2 * (0.02 + rng.uniform(0.9, 1.2) * v)
    return np.stack([np.sin(down) * np.cos(around), np.sin(down) * np.sin(around), -np.cos(down)], axis=2)


def shade(u: NDArray, v: NDArray, rng: np.random.Generator) -> NDArray:
    """A lamp shade, as `bowl`."""
    around, radius = 2 * np.pi * u, 0.5 + rng.uniform(0.2, 0.6) * v
    return np.stack([radius * np.cos(around), radius * np.sin(around), 1.3 * v], axis=2)


def vase(u: NDArray, v: NDArray, rng: np.random.Generator) -> NDArray:
    """A vase without a bottom, as `bowl`."""
    around, radius = 2 * np.pi * u, 0.5 + rng.uniform(0.1, 0.2) * np.sin(rng.uniform(4, 7) * v)
    return np.stack([radius * np.cos(around), radius * np.sin(around), 1.6 * v], axis=2)


def strip(u: NDArray, v: NDArray, rng: np.random.Generator) -> NDArray:
    """A twisted strip, at 0 .. 1 across it and along it."""
    turn, across = rng.uniform(1, 3) * v, rng.uniform(0.4, 0.8) * (u - 0.5)
    return np.stack([across * np.cos(turn), across * np.sin(turn), 1.5 * v], axis=2)


def leaf(u: NDArray, v: NDArray, rng: np.random.Generator) -> NDArray:
    """A bent leaf, as `strip`."""
    x, y = 1.5 * (v - 0.5), (u - 0.5) * np.sqrt(0.05 + v * (1 - v))
    return np.stack([x, y, rng.uniform(0.1, 0.25) * np.sin(rng.uniform(2, 4) * x) + 0.3 * y**2], axis=2)


SHEETS = {"bowl": bowl, "shade": shade, "vase": vase, "strip": strip, "leaf": leaf}
PARTS = {"base": (base, EACH, 1), "mouth": (mouth, MOUTHS, 2), "walls": (walls, MUGS, 2), "thin": (thin, SHELLS, 1)}
"""What runs a part, and how many cases it has, or each kind of thing has; then those of --quick."""


def bars(rows: list[dict]) -> list[Bar]:
    """Bars on the rows of a journal."""
    things, mouths, mugs, shells = ([row for row in rows if row["part"] == part] for part in PARTS)
    both, one = ([row["whole"] for row in shells if row["sides"] == sides] for sides in ("both", "one"))
    ratio = geometric_mean([row["with"] / row["without"] for row in things])
    near = mean([abs(row["volume with"] - 1) <= VOLUME for row in things])
    unsaid = mean([row["closed"] and not row["said"] for row in mouths])
    looked = [row for row in mouths if row["looked"]]
    return [
        Bar("base: unseen error / without it, geometric mean", ratio, UNSEEN_RATIO, True, len(things)),
        Bar("base: volume within 3 per cent", near, VOLUMES, False, len(things)),
        Bar("mouths closed without a word", unsaid, 0.0, True, len(mouths)),
        Bar("mouths closed that were looked into", mean([row["closed"] for row in looked]), 0.0, True, len(looked)),
        Bar("thin walls: closed", mean([row["closed"] for row in mugs]), CLOSED, False, len(mugs)),
        Bar("thin walls: mouth open", mean([row["open"] for row in mugs]), 1.0, False, len(mugs)),
        Bar("walls of a voxel, both sides seen: whole", mean(both), WHOLE, False, len(both)),
        Bar("walls of a voxel, one side seen: whole", mean(one), WHOLE_FROM_ONE, False, len(one)),
    ]


def base_table(rows: list[dict]) -> str:
    """A row for each thing; errors in thousandths of the longest side."""
    shown = [
        [
            row["shape"],
            *(number(row[name] / LONGEST_SIDE * 1e3) for name in ("with", "without")),
            *(f"{row[f'volume {name}']:.3f}" for name in ("with", "without")),
            "yes" if row["said with"] else "no",
        ]
        for row in rows
        if row["part"] == "base"
    ]
    head = ["thing", "unseen error", "without base", "volume / truth", "without base", "base found"]
    return table(head, shown)


def main(words: list[str] | None = None) -> int:
    """Run the benchmark; status 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=ROOT.joinpath, default=ROOT / "build" / "bench" / "lost")
    parser.add_argument("--resume", action="store_true", help="leave out the parts that the last run has")
    parser.add_argument("--quick", action="store_true", help="fewer cases")
    options = parser.parse_args(words)
    options.out.mkdir(parents=True, exist_ok=True)
    journal, engine = Journal(options.out / "rows.json", options.resume), OnnxEngine("cpu")
    for part in options.parts:
        if journal.known(part=part):
            continue
        run, usual, quick = PARTS[part]
        for row in run(engine, options.seed, quick if options.quick else usual):
            say(" ".join(f"{key} {number(value) if isinstance(value, float) else value}" for key, value in row.items()))
            journal.add([row])
    found, shown = bars(journal.rows), [base_table(journal.rows)]
    write_report(options.out / "bench_lost.json", options, {"rows": journal.rows}, found, shown)
    return verdict(shown, found)


if __name__ == "__main__":
    sys.exit(main())
