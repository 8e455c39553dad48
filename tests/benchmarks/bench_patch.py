"""Holes cut out of whole meshes and closed by `omomi patch`: how far the fill is from what was there.

omomi bench patch [--folder clean] [--procedural] [--batches N] [--resume] [--quick]

Balls of .05 to .25 of the longest side cut holes wherever they fall: on flat, curved, ridged and thin places, and
through limbs. Every method closes the same holes of the same mesh. The error is the mean distance between the fill and
the cut-out part, both ways, in thousandths of the longest side, and at least a tenth of one. ``membrane`` is the thin
plate alone. The peer is MeshLab's close-holes where the package pymeshlab can be imported, else the refined
triangulation of least weight.

Without the folder of scans (OMOMI_SCANS), or with --procedural, it cuts procedural shapes.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType

import numpy as np
import trimesh
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from backend.engine import OnnxEngine, patch_mesh
from backend.field.fit import ignore
from backend.formats.mesh_files import load_scan
from backend.formats.raw_scan import RawScan
from backend.geometry.borders import WeldedMesh
from backend.geometry.nearest import nearest_on_mesh
from backend.geometry.normals import unit_normals
from backend.protocol.requests import Close
from backend.scan.hole_fill import HoleFill
from tests.benchmarks.bars import Bar, Journal, geometric_mean, number, say, table, verdict, write_report
from tests.benchmarks.cases import ROOT, find_scans

RADII = (0.05, 0.25)
"""Of the balls, longest sides."""
BATCHES, QUICK_BATCHES, HOLES = 3, 1, 5
"""Meshes that are made of one, and holes in each, at most."""
FEWEST_FACES = 6
SAMPLES = 1200
LEAST_ERROR = 0.1
"""Thousandths of the longest side: what is nearer is as good as equal."""
RATIO, PEER_RATIO, WORST_RATIO, WORST = 0.85, 0.4, 0.7, 0.1
PROCEDURAL = {
    "ball": lambda: trimesh.creation.icosphere(5),
    "ellipsoid": lambda: trimesh.creation.icosphere(5).apply_scale([1, 0.6, 0.4]),
    "ring": lambda: trimesh.creation.torus(1, 0.35, 120, 50),
    "box": lambda: trimesh.creation.box([1, 0.8, 0.6]).subdivide_to_size(0.03),
    "rod": lambda: trimesh.creation.cylinder(0.3, 1.2, sections=64).subdivide_to_size(0.04),
    "capsule": lambda: trimesh.creation.capsule(1, 0.3, count=[64, 64]),
    "plate": lambda: trimesh.creation.box([1, 0.8, 0.06]).subdivide_to_size(0.03),
    "wave": lambda: _bent(trimesh.creation.icosphere(5)),
}


@dataclass(frozen=True)
class CutHole:
    """A part that a ball cut out."""

    border: frozenset[int]  # vertices
    radius: float  # of the ball, longest sides
    vertices: NDArray[np.float64]  # (k, 3), of the part
    faces: NDArray[np.int64]  # (j, 3)


def _raw(name: str, mesh: object) -> RawScan:
    assert isinstance(mesh, trimesh.Trimesh)
    return RawScan(np.asarray(mesh.vertices), np.asarray(mesh.faces), name=name)


def _bent(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    points = np.asarray(mesh.vertices)
    mesh.vertices = points * [1, 0.7, 1.2] + 0.1 * np.sin(4 * points[:, [1, 2, 0]])
    return mesh


def cut_meshes(mesh: WeldedMesh, seed: int, batches: int) -> Iterator[tuple[NDArray[np.int64], list[CutHole]]]:
    """Faces (m, 3) that are left and the parts that were cut out of them; each part is a disc, and none touch."""
    points, faces = mesh.vertices, mesh.faces
    side, middles = float(np.ptp(points[faces.reshape(-1)], axis=0).max()), points[faces].mean(axis=1)
    used, rng = np.unique(faces), np.random.default_rng(seed)
    for _ in range(batches):
        kept, balls, holes = np.ones(len(faces), bool), [], []
        for _ in range(150):
            radius, centre = float(np.exp(rng.uniform(*np.log(RADII)))), points[rng.choice(used)]
            apart = [np.linalg.norm(centre - other) < 1.25 * (radius + size) * side for other, size in balls]
            within = np.flatnonzero(np.linalg.norm(middles - centre, axis=1) < radius * side)
            if len(holes) == HOLES or any(apart) or len(within) < FEWEST_FACES:
                continue
            part = within[_piece(faces[within], int(np.linalg.norm(middles[within] - centre, axis=1).argmin()))]
            loops, loose = WeldedMesh.of(points, faces[part]).loops()
            corners, local = np.unique(faces[part], return_inverse=True)
            local = local.reshape(-1, 3)
            edges = np.unique(np.sort(np.concatenate([local[:, :2], local[:, 1:], local[:, ::2]]), axis=1), axis=0)
            if len(loops) == 1 and not loose and len(corners) - len(edges) + len(local) == 1 and len(part) > 5:
                border = _border(faces[part])
                holes.append(CutHole(frozenset(border.tolist()), radius, points[corners], local))
                balls.append((centre, radius))
                kept[part] = False
        if holes:
            yield faces[kept], holes


def _piece(faces: NDArray, seed: int) -> NDArray[np.bool_]:
    """Which faces (m, 3) hang together with one of them."""
    ends = np.concatenate([faces[:, :2], faces[:, 1:]])
    graph = coo_matrix((np.ones(len(ends), np.int8), (ends[:, 0], ends[:, 1])), (int(faces.max()) + 1,) * 2)
    label = connected_components(graph, directed=False)[1]
    return label[faces[:, 0]] == label[faces[seed, 0]]


def _border(faces: NDArray) -> NDArray[np.int64]:
    ends = np.sort(np.concatenate([faces[:, :2], faces[:, 1:], faces[:, ::2]]), axis=1)
    edges, uses = np.unique(ends, axis=0, return_counts=True)
    return np.unique(edges[uses == 1])


def error(vertices: NDArray, faces: NDArray, hole: CutHole, side: float) -> float:
    """Thousandths of the longest side between a fill and what was there."""
    truth, made = _sampled(hole.vertices, hole.faces), _sampled(vertices, faces)
    there = nearest_on_mesh(vertices, faces, truth).distance.mean()
    back = nearest_on_mesh(hole.vertices, hole.faces, made).distance.mean()
    return max(float(there + back) / 2 / side * 1e3, LEAST_ERROR)


def _sampled(vertices: NDArray, faces: NDArray) -> NDArray[np.float64]:
    corners = vertices[faces]
    area, rng = unit_normals(corners)[1], np.random.default_rng(0)
    face = rng.choice(len(faces), SAMPLES, p=area / area.sum())
    return np.einsum("nk,nka->na", rng.dirichlet([1, 1, 1], SAMPLES), corners[face])


def meshlab() -> ModuleType | None:
    try:
        import pymeshlab  # pyrefly: ignore
    except ImportError:
        return None
    return pymeshlab


def closed_by_meshlab(points: NDArray, faces: NDArray, holes: list[NDArray]) -> list[tuple[NDArray, NDArray] | None]:
    """Vertices and faces of MeshLab's fill of each hole, given by its border vertices (k,); None where it has none."""
    package = meshlab()
    assert package is not None
    used, local = np.unique(faces, return_inverse=True)
    meshes = package.MeshSet(verbose=False)
    meshes.add_mesh(package.Mesh(points[used], local.reshape(-1, 3).astype(np.int32)))
    meshes.meshing_close_holes(maxholesize=max(map(len, holes)) + 1, newfaceselected=True, refinehole=True)
    mesh = meshes.current_mesh()
    vertices, made = mesh.vertex_matrix(), mesh.face_matrix()[mesh.face_selection_array()]
    if not len(made):
        return [None] * len(holes)
    ends = np.concatenate([made[:, :2], made[:, 1:]])
    graph = coo_matrix((np.ones(len(ends), np.int8), (ends[:, 0], ends[:, 1])), (len(vertices),) * 2)
    label = connected_components(graph, directed=False)[1]
    there, place = np.unique(made), KDTree(vertices)
    found = []
    for hole in holes:
        at = place.query(points[hole])[1]
        at = at[np.isin(at, there)]
        found.append((vertices, made[np.isin(label[made[:, 0]], label[at])]) if len(at) else None)
    return found


def measure(engine: OnnxEngine, options: argparse.Namespace, shapes: dict[str, RawScan], journal: Journal) -> None:
    """Add the rows that are missing."""
    for name, raw in shapes.items():
        assert raw.faces is not None
        mesh = WeldedMesh.of(raw.points, raw.faces)
        side = float(np.ptp(mesh.vertices[mesh.faces.reshape(-1)], axis=0).max())
        for batch, (faces, cut) in enumerate(cut_meshes(mesh, sum(map(ord, name)), options.batches)):
            if journal.known(shape=name, batch=batch):
                continue
            journal.add(list(_rows(engine, RawScan(mesh.vertices, faces, name=name), cut, side, name, batch)))


def _rows(engine: OnnxEngine, raw: RawScan, cut: list[CutHole], side: float, name: str, batch: int) -> Iterator[dict]:
    started = time.perf_counter()
    looked = patch_mesh(engine, raw, Close.AUTO, ignore, numbers=())
    holes = {frozenset(hole.loop.tolist()): hole for hole in looked.found.holes}
    pairs = [(holes[part.border], part) for part in cut if part.border in holes]
    made = patch_mesh(engine, raw, Close.AUTO, ignore, numbers=[hole.number for hole, _ in pairs])
    seconds = time.perf_counter() - started
    assert raw.faces is not None
    loops = [hole.loop for hole, _ in pairs]
    peers = closed_by_meshlab(raw.points, np.asarray(raw.faces), loops) if meshlab() else [None] * len(pairs)
    vertices = np.concatenate([raw.points, made.vertices])
    for (hole, part), peer in zip(pairs, peers, strict=True):
        flat = HoleFill.of(looked.found, hole)
        plate = flat.smooth()
        fill = made.faces[made.of_hole == hole.number]
        peer = peer or (flat.vertices, flat.faces)
        row = {
            "shape": name,
            "batch": batch,
            "radius": part.radius,
            "tangent": hole.tangent,
            "is_hole": hole.is_hole,
            "way": str(made.closed[hole.number - 1].way),
            "folded": bool(made.closed[hole.number - 1].said),
            "ours": error(vertices, fill, part, side),
            "membrane": error(plate.vertices, plate.faces, part, side),
            "peer": error(*peer, part, side),
            "seconds": seconds,
        }
        say(f"{name} {batch} {row['way']}: {row['ours']:.2f}, membrane {row['membrane']:.2f}, peer {row['peer']:.2f}")
        yield row


def bars(rows: list[dict]) -> list[Bar]:
    """Bars on the rows of a journal."""
    peer = "close-holes of MeshLab" if meshlab() else "triangulation of least weight"
    found = []
    for name, other, limit in (("membrane", "membrane", RATIO), (peer, "peer", PEER_RATIO)):
        ratios = [row["ours"] / row[other] for row in rows]
        found.append(Bar(f"error / {name}, geometric mean", geometric_mean(ratios), limit, True, len(ratios)))
    count = max(1, round(WORST * len(rows)))
    worst = {name: sorted(row[name] for row in rows)[-count:] for name in ("ours", "membrane")} if rows else {}
    value = sum(worst["ours"]) / sum(worst["membrane"]) if rows else None
    found.append(Bar("mean error of the worst tenth / membrane", value, WORST_RATIO, True, count))
    return found


def patch_table(rows: list[dict]) -> str:
    """Errors by how much the surface runs on into a hole, by its size, and by the way it was closed."""
    methods = "ours", "membrane", "peer"
    groups = [("all", rows), ("holes", [r for r in rows if r["is_hole"]])]
    groups += [("openings and cut limbs", [r for r in rows if not r["is_hole"]])]
    for low, high in ((-1, 0.5), (0.5, 0.85), (0.85, 1.01)):
        groups.append((f"tangent {low} to {high:.2g}", [r for r in rows if low <= r["tangent"] < high]))
    for low, high in ((0.05, 0.1), (0.1, 0.25)):
        groups.append((f"radius {low} to {high}", [r for r in rows if low <= r["radius"] < high]))
    groups += [(f"closed by {way}", [r for r in rows if r["way"] == way]) for way in sorted({r["way"] for r in rows})]
    groups += [(shape, [r for r in rows if r["shape"] == shape]) for shape in sorted({r["shape"] for r in rows})]
    shown = [
        [title, str(len(chosen)), *(number(geometric_mean([r[k] for r in chosen])) for k in methods)]
        for title, chosen in groups
    ]
    return table(["holes (error in thousandths of the side)", "cases", *methods], shown)


def main(words: list[str] | None = None) -> int:
    """Run the benchmark; status 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", default="clean", help="of the scans that are cut")
    parser.add_argument("--procedural", action="store_true", help="cut procedural shapes, although there are scans")
    parser.add_argument("--batches", type=int, default=BATCHES, help="meshes that are made of one")
    parser.add_argument("--resume", action="store_true", help="go on where the last run was cut off")
    parser.add_argument("--out", type=ROOT.joinpath, default=ROOT / "build" / "bench" / "patch")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_BATCHES} mesh of each")
    options = parser.parse_args(words)
    if options.quick:
        options.batches = min(options.batches, QUICK_BATCHES)
    scans = None if options.procedural else find_scans()
    if scans is not None:
        shapes = {path.stem: load_scan(path) for path in sorted((scans / options.folder).glob("*.ply"))}
    else:
        made = {name: make() for name, make in PROCEDURAL.items()}
        shapes = {name: _raw(name, mesh) for name, mesh in made.items()}
    options.out.mkdir(parents=True, exist_ok=True)
    journal = Journal(options.out / "rows.json", options.resume)
    measure(OnnxEngine("cpu"), options, shapes, journal)
    found, tables = bars(journal.rows), [patch_table(journal.rows)]
    write_report(options.out / "bench_patch.json", options, {"rows": journal.rows}, found, tables)
    return verdict(tables, found)


if __name__ == "__main__":
    sys.exit(main())
