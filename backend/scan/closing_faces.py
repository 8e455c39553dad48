"""Faces that a program put over the holes of a scan: far longer than the spacing around them, they measure nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from ..geometry.edges import edge_keys
from .orientation import OrientedMesh

LONG = 4.0
"""A face is long where its longest edge is more than this many times the largest spacing at its corners. Chosen in the
trial on caps put into scans; `tests/scan/test_closing_faces.py` holds the kinds."""
EAR, ROUNDS = 1.6, 3
"""An ear, all of whose corners lie on long faces, counts from this ratio on; found in as many rounds."""
MOST_AREA = 0.4
"""Where long faces cover more than this share of the area they are the mesh's own, as those of CAD are."""
LEAST_AREA, FEWEST = 0.003, 8
"""A hole is a patch of at least so many long faces with at least this share of the area. Scans that nobody closed hold
groups of up to five such faces; chosen on `scans/valid`, where two scans have holes that were closed."""
PLANE = 0.99
"""Length of the mean normal of a patch from which on it is flat, as a face of a constructed part."""
BASE, EVEN = 0.02, 0.03
"""A patch is the base that a thing stands on, and kept, where next to nothing lies this far beyond its mean plane, in
sizes of the scan, and its corners are off that plane by less than the second, the standard deviation in extents."""
FEWEST_FINE = 1000
"""Fewer other faces are no scan's."""
SPREAD = 8.0
"""Ratio of the spacings at the 90th and the 10th percentile of the other faces, above which they are no scan's."""
FLAT, MOST_FLAT = 1e-4, 0.3
"""Squared sine of the angle between neighbours that are flat, and the share of such neighbours above which the mesh
was constructed, not measured."""


@dataclass(frozen=True)
class ClosingFaces:
    """Long faces of a mesh."""

    faces: NDArray[np.bool_]  # (m,), which they are
    share: float  # of the area

    @property
    def sentence(self) -> str:
        """For the artist."""
        return (
            f"{self.faces.sum()} faces ({self.share:.1%} of the area) close holes of the scan and measure nothing: "
            "they were left out."
        )


def closing_faces(points: NDArray[np.float32], mesh: OrientedMesh) -> ClosingFaces | None:
    """Faces over holes of a scan with points (n, 3); None where it has none, or is no scan of even spacing."""
    corners = mesh.faces
    if len(corners) < FEWEST_FINE:
        return None
    a, b, c = (points.take(corners[:, k], axis=0) for k in range(3))
    one, two, three = (np.sqrt(np.einsum("ij,ij->i", along, along)) for along in (b - a, c - b, a - c))
    longest = np.maximum(np.maximum(one, two), three)
    middle = np.maximum(np.minimum(one, two), np.minimum(np.maximum(one, two), three))
    spacing = np.full(len(points), np.inf, np.float32)
    for k in range(3):
        np.minimum.at(spacing, corners[:, k], middle)
    first, second, third = (spacing.take(corners[:, k]) for k in range(3))
    ratio = longest / np.maximum(np.maximum(np.maximum(first, second), third), np.float32(1e-30))
    long = ratio > LONG
    if not long.any():
        return None
    for _ in range(ROUNDS):
        held = np.zeros(len(points), bool)
        held[corners[long]] = True
        long |= held[corners].all(axis=1) & (ratio > EAR)
    fine = ~long
    long = _over_holes(points, mesh, mesh.areas, long)
    if not long.any():
        return None
    share = float(mesh.areas[long].sum() / mesh.areas.sum())
    if share > MOST_AREA or fine.sum() < FEWEST_FINE:
        return None
    thin, wide = np.quantile(middle[fine], [0.1, 0.9])
    if wide > SPREAD * thin or _flat_share(mesh, fine) > MOST_FLAT:
        return None
    return ClosingFaces(long, share)


def _over_holes(
    points: NDArray[np.float32], mesh: OrientedMesh, area: NDArray[np.float64], long: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Those of the long faces (m,) that make a patch over a hole."""
    number = np.flatnonzero(long)
    one, two = _neighbours(mesh.faces[long])
    links = coo_matrix((np.ones(len(one), np.int8), (one, two)), shape=(len(number), len(number)))
    patches, patch = connected_components(links, directed=False)
    covers = np.bincount(patch, area[long], patches)
    normals = mesh.normals[long].astype(np.float64)
    mean = np.stack([np.bincount(patch, normals[:, axis], patches) for axis in range(3)], axis=1)
    flat = np.linalg.norm(mean, axis=1) / np.maximum(covers, 1e-300)
    large = (np.bincount(patch, minlength=patches) >= FEWEST) & (covers >= LEAST_AREA * area.sum()) & (flat < PLANE)
    middle = points[mesh.faces[long]].mean(axis=1, dtype=np.float64)
    some = points[:: max(1, len(points) // 20_000)].astype(np.float64)
    for which in np.flatnonzero(large):
        members = patch == which
        centre = np.average(middle[members], axis=0, weights=area[number[members]])
        out = mean[which] / max(float(np.linalg.norm(mean[which])), 1e-300)
        corners = points[np.unique(mesh.faces[number[members]])].astype(np.float64)
        uneven = np.std(corners @ out) / max(float(np.ptp(corners, axis=0).max()), 1e-300)
        large[which] = uneven > EVEN or np.quantile((some - centre) @ out, 0.99) > BASE
    found = np.zeros(len(long), bool)
    found[number[large[patch]]] = True
    return found


def _neighbours(faces: NDArray) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pairs (p,), (p,) of faces (m, 3) that share an edge."""
    key = edge_keys(faces.ravel(), faces[:, [1, 2, 0]].ravel())
    order = np.argsort(key, kind="stable")
    same = np.flatnonzero(key[order[1:]] == key[order[:-1]])
    return order[same] // 3, order[same + 1] // 3


def _flat_share(mesh: OrientedMesh, fine: NDArray[np.bool_]) -> float:
    """Share of neighbours among the fine faces that lie in one plane."""
    normals = mesh.normals[fine].astype(np.float64)
    pairs = _neighbours(mesh.faces[fine])
    one, two = (normals[index] for index in pairs)
    squares = (one**2).sum(axis=1) * (two**2).sum(axis=1)
    product = (one * two).sum(axis=1)
    return float(np.mean((product > 0) & (squares - product**2 < FLAT * squares)))
