"""Measures of a mesh: size, validity, topology, thickness, and energies of its surface."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from .normals import face_normals, triangle_normals, unit_normals
from .topology import betti_of_mesh, edge_report, label_faces, signed_volumes

SURFACE_SAMPLES = 20_000
"""Random points that represent the surface for the thickness."""
BALLS = 1_000
"""Balls whose diameters are averaged."""
LEAF = 256
"""Points in a leaf of their tree. Around the middle of a ball all of them are about as near, so that leaves are better
scanned than chosen among: at 10 a ball takes five times as long, a mug twice, and no shape of the tests less."""
SAME_WALL = np.cos(np.radians(40))
"""Cosine of the angle between the two points that a ball touches, seen from its centre. A ball is not shrunk to a point
at a smaller angle, which is noise or a bend of the same wall, not the opposite wall."""
LARGEST_COTANGENT = 10.0
"""Bound of the cotangent of a face's angle. Slivers, which a grid leaves where it barely cuts a surface, would outweigh
all other faces."""


@dataclass(frozen=True)
class Measures:
    """Measures in the units of the vertices; None where the mesh is not closed and consistently wound."""

    vertices: int
    faces: int
    bounds: tuple[tuple[float, ...], tuple[float, ...]]  # lowest and highest x, y, z
    area: float
    components: int
    watertight: bool
    edge_manifold: bool
    winding_consistent: bool
    boundary_loops: int
    volume: float | None
    thickness: float | None  # mean diameter of the largest balls inside that touch the surface, over the surface
    b0: int | None
    b1: int | None
    b2: int | None


def measure(vertices: np.ndarray, faces: np.ndarray) -> Measures:
    """Measures of a triangle mesh, vertices (n, 3) and faces (m, 3).

    Vertices at equal positions count as one and degenerate faces as none. Raises ValueError where no face has an area.
    """
    vertices, faces = weld(np.asarray(vertices, np.float64), np.asarray(faces))
    corners = vertices[faces]
    area = float(unit_normals(corners)[1].sum()) if len(faces) else 0.0
    if not area > 0:
        raise ValueError("the mesh has no face with an area")
    report = edge_report(faces)
    labels, count = label_faces(faces)
    betti = betti_of_mesh(vertices, faces) if report.closed else None
    lowest, highest = corners.min(axis=(0, 1)), corners.max(axis=(0, 1))
    return Measures(
        vertices=len(np.unique(faces)),
        faces=len(faces),
        bounds=(tuple(map(float, lowest)), tuple(map(float, highest))),
        area=area,
        components=count,
        watertight=report.watertight,
        edge_manifold=report.edge_manifold,
        winding_consistent=report.winding_consistent,
        boundary_loops=report.boundary_loops,
        volume=float(signed_volumes(vertices, faces, labels, count).sum()) if betti else None,
        thickness=mean_thickness(vertices, faces) if betti else None,
        b0=betti.b0 if betti else None,
        b1=betti.b1 if betti else None,
        b2=betti.b2 if betti else None,
    )


def weld(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mesh with vertices at exactly equal positions made one and faces that repeat a vertex dropped."""
    positions, merged = np.unique(vertices, axis=0, return_inverse=True)
    faces = merged.reshape(-1)[faces]
    proper = (faces != np.roll(faces, 1, axis=1)).all(axis=1)
    return positions, faces[proper]


def volume_and_area(vertices: np.ndarray, faces: np.ndarray) -> tuple[float, float]:
    """Signed volume and area of a closed mesh, vertices (n, 3) and faces (m, 3), cubes and squares of their unit."""
    corners = vertices[faces]
    across = triangle_normals(corners)
    return float(np.einsum("na,na->", corners[:, 0], across) / 6), float(np.linalg.norm(across, axis=1).sum() / 2)


def energies(vertices: NDArray, faces: NDArray) -> dict[str, float]:
    """{"area", "bending"} of a mesh with vertices (n, 3) and faces (m, 3).

    area: in squared units of the vertices. bending: integral of the squared mean curvature, which does not depend on
    the size; 4 pi of a sphere, and no closed surface has less (Willmore). Borders do not count.
    """
    vertices, faces = weld(np.asarray(vertices, np.float64), np.asarray(faces))
    double = np.linalg.norm(face_normals(vertices, faces), axis=1)
    normal, share = np.zeros_like(vertices), np.zeros(len(vertices))
    for k in range(3):
        a, b, c = (faces[:, (k + step) % 3] for step in range(3))
        one, other = vertices[b] - vertices[a], vertices[c] - vertices[a]
        with np.errstate(divide="ignore", invalid="ignore"):
            cotangent = np.einsum("na,na->n", one, other) / double
        cotangent = np.clip(np.nan_to_num(cotangent), -LARGEST_COTANGENT, LARGEST_COTANGENT)
        pull = cotangent[:, None] * (vertices[b] - vertices[c])
        np.add.at(normal, b, pull)
        np.add.at(normal, c, -pull)
        share += np.bincount(a, double / 6, len(vertices))
    edges = np.sort(np.concatenate([faces[:, [k, (k + 1) % 3]] for k in range(3)]), axis=1)
    pairs, uses = np.unique(edges, axis=0, return_counts=True)
    share[pairs[uses == 1]] = 0
    inner = share > 0
    # the mean curvature times its normal is a quarter of the pull over the vertex's share of the area
    bending = (normal[inner] ** 2).sum(axis=1) / (16 * share[inner])
    return {"area": float(double.sum() / 2), "bending": float(bending.sum())}


def mean_thickness(vertices: np.ndarray, faces: np.ndarray) -> float:
    """Mean thickness of a closed mesh wound outwards, in units of ``vertices``.

    The mean diameter of the largest balls inside that touch the surface at random points of it, found by shrinking: a
    ball through the point shrinks to touch the sample nearest to its centre, until none is nearer (Ma, Bae and Choi
    2012). Walls thinner than the spacing of the samples, about 1/100 of the object, measure too thick.
    """
    rng = np.random.default_rng(0)
    corners = vertices[faces].astype(np.float64)
    normals, areas = unit_normals(corners)
    chosen = rng.choice(len(faces), SURFACE_SAMPLES, p=areas / areas.sum())
    u, v = rng.random((2, SURFACE_SAMPLES, 1))
    u, v = np.where(u + v > 1, 1 - u, u), np.where(u + v > 1, 1 - v, v)
    a, b, c = corners[chosen].transpose(1, 0, 2)
    points = a + u * (b - a) + v * (c - a)
    tree = KDTree(points, LEAF)
    start, inward = points[:BALLS], -normals[chosen[:BALLS]]
    radius = np.full(BALLS, np.linalg.norm(np.ptp(points, axis=0)) / 2)
    active = np.arange(BALLS)
    while len(active):
        _, nearest = tree.query(start[active] + radius[active, None] * inward[active])
        offset = points[nearest] - start[active]
        along = (offset * inward[active]).sum(axis=1)
        touching = (offset**2).sum(axis=1) / (2 * np.maximum(along, 1e-300)) + 1e-300
        shrinks = (touching < radius[active] * (1 - 1e-6)) & (1 - along / touching < SAME_WALL)
        active = active[shrinks]
        radius[active] = touching[shrinks]
    return float(2 * radius.mean())
