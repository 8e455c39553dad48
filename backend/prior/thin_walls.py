"""Lost patches of thin walls: holes of a mesh where both sides of a wall were lost.

Where one side of a wall was seen, the network keeps the wall; where neither was, it leaves a hole right through. There
each side's hole is closed by a thin plate, and the two make the wall whole. A large hole is closed by itself, too:
where views meet, the other side may have no border of its own. Openings, such as the mouth of a vessel, stay. Bare
points have no border, and so no holes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from ..field.completion_prior import CompletionPrior, joined
from ..geometry.borders import border_edges
from ..scan.hole_fill import HoleFill, vertex_normals_of
from ..scan.holes import Hole, MeshHoles, find_holes, loop_radius
from ..scan.prepare import PreparedScan

SOURCE = "what surrounds lost patches of thin walls"

THICKEST = 0.1
"""Canonical thickness of a thin wall, six voxels of level 2: the network keeps thicker ones apart from its guess."""
SMALLEST, LARGEST = 0.02, 0.35
"""Radius of the holes, canonical; the network closes smaller ones by itself."""
ALONE = 0.08
"""Radius, canonical, from which a hole is closed without another behind it: five voxels of level 2. On scans of valid
models with lost patches the error of what was seen moved by at most 1 %; a jug's tunnels fell from 9 to 4."""
FEWEST_EDGES, MOST_EDGES = 6, 700
"""Of a hole; the time for the triangulation of one grows as their cube."""
EMPTY = 0.5
"""Radii around the middle of a hole in which nothing was measured, on either side of the wall and by any view."""
MOST_POINTS = 50_000
"""Of a larger scan about so many points say where it was measured."""
OPPOSITE = -0.5
"""Cosine between the two sides of a wall, at most."""
BOTH = 0.5
"""Share of a hole behind which the other side has to be lost too, for one of the two holes."""
SPACING = 0.012
"""Of the points of a plate, canonical."""
SIGMA_GROWTH = 0.1
"""Sigma grows by this much per length from the border of the hole inwards."""
CLEARANCE = 0.5
"""The plates meet the scan at the border, so that they may be nearer to it than other completions."""


class Plate(NamedTuple):
    """What closes one hole, canonical."""

    points: np.ndarray  # f64 (n, 3)
    normals: np.ndarray  # f64 (n, 3), unit, outwards
    depth: np.ndarray  # f64 (n,), distance from the border


def thin_wall_prior(scan: PreparedScan) -> CompletionPrior | None:
    """The lost parts of a scan's thin walls; None where it has none, or has no faces."""
    if scan.mesh is None:
        return None
    vertices, faces = scan.mesh.vertices, scan.mesh.faces
    measured = KDTree(scan.points[:: max(1, len(scan.points) // MOST_POINTS)])

    def lost(loops: list[np.ndarray]) -> list[bool]:
        return _lost(loops, measured)

    # the exact loops of a mesh take longer than most scans deserve
    if not any(lost(_border_groups(vertices, faces))):
        return None
    found = find_holes(vertices, faces, lost)
    holes = [hole for hole in found.holes if hole.is_hole]
    pairs = [(one, two) for one in range(len(holes)) for two in range(one) if _may_be_wall(holes[one], holes[two])]
    chosen = {number for number, hole in enumerate(holes) if hole.radius >= ALONE}
    plates = {one: closing_plate(found, holes[one]) for one in sorted(chosen | {one for pair in pairs for one in pair})}
    for one, two in pairs:
        if max(_shared(plates[one], plates[two]), _shared(plates[two], plates[one])) >= BOTH:
            chosen |= {one, two}
    if not chosen:
        return None
    return joined([plate_prior(plates[number], scan.noise) for number in sorted(chosen)], SOURCE)


def closing_plate(found: MeshHoles, hole: Hole) -> Plate:
    """Points spread evenly over the thin plate that closes a hole."""
    fill = HoleFill.of(found, hole).smooth()
    corners = fill.vertices[fill.faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2
    rng = np.random.default_rng(0)
    # one in each of equal parts of the area
    count = max(FEWEST_EDGES, round(area.sum() / SPACING**2))
    face = np.searchsorted(np.cumsum(area), (np.arange(count) + rng.random(count)) * (area.sum() / count))
    face = np.minimum(face, len(area) - 1)
    share = rng.dirichlet(np.ones(3), count)
    points = np.einsum("nc,nck->nk", share, corners[face])
    of_vertices = vertex_normals_of(fill.vertices, fill.every_face)
    normals = np.einsum("nc,nck->nk", share, of_vertices[fill.faces[face]])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-300)
    return Plate(points, normals, KDTree(fill.vertices[fill.loop]).query(points)[0])


def _border_groups(vertices: np.ndarray, faces: np.ndarray) -> list[np.ndarray]:
    """The points (l, 3) of borders that hang together, vertices counting as they are: about the loops of a mesh."""
    edges = border_edges(np.asarray(faces, np.int64))
    used, ends = np.unique(edges, return_inverse=True)
    ends = ends.reshape(-1, 2)
    graph = coo_matrix((np.ones(len(ends), np.int8), (ends[:, 0], ends[:, 1])), (len(used),) * 2)
    label = connected_components(graph, directed=False)[1]
    order = np.argsort(label, kind="stable")
    return np.split(vertices[used[order]], np.flatnonzero(np.diff(label[order])) + 1) if len(used) else []


def _lost(loops: list[np.ndarray], measured: KDTree) -> list[bool]:
    """Which loops, points (l, 3), surround a place where nothing was measured by any view."""
    radius = np.array([loop_radius(loop) for loop in loops])
    count = np.array([len(loop) for loop in loops])
    right = (radius >= SMALLEST) & (radius <= LARGEST) & (count >= FEWEST_EDGES) & (count <= MOST_EDGES)
    chosen = np.flatnonzero(right)
    if len(chosen):
        middle = np.stack([loops[number].mean(axis=0) for number in chosen])
        right[chosen] = measured.query(middle)[0] > EMPTY * radius[chosen]
    return right.tolist()


def _may_be_wall(one: Hole, two: Hole) -> bool:
    """Whether two holes can be the two sides of a wall, by their middles."""
    apart = np.linalg.norm(one.centre - two.centre)
    return bool(one.normal @ two.normal < OPPOSITE and apart < THICKEST + max(one.radius, two.radius))


def _shared(one: Plate, two: Plate) -> float:
    """Share of a plate that has the other one behind it, facing the other way."""
    distance, near = KDTree(two.points).query(one.points)
    behind = ((two.points[near] - one.points) * one.normals).sum(axis=1) < 0
    facing = (two.normals[near] * one.normals).sum(axis=1)
    return float(np.mean((distance < THICKEST) & behind & (facing < OPPOSITE)))


def plate_prior(plate: Plate, noise: float) -> CompletionPrior:
    """What a plate suggests; noise: of the scan, canonical."""
    points, normals = (found.astype(np.float32) for found in (plate.points, plate.normals))
    sigma = (noise + SIGMA_GROWTH * plate.depth).astype(np.float32)
    return CompletionPrior(points, normals, sigma, "", clearance=np.full(len(points), CLEARANCE, np.float32))
