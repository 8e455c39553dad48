"""A fair surface across all that was not seen and that nothing else completes.

The network closes such parts, but raggedly: with pits, flaps and crumbs as far from what was measured as nothing tells
it better. Its surface says how the parts are connected; their shape is that of a plate that joins what is known.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from ..field.bricks import Level
from ..field.completion_prior import CompletionPrior
from ..field.isosurface import extract
from ..field.paint import Weights
from ..field.relaxation import relaxed
from ..geometry.membrane import faired
from ..geometry.normals import triangle_normals, unit
from ..geometry.topology import label_faces
from ..scan.prepare import PreparedScan

SOURCE = "a smooth surface where nothing else is known"

BASIS = 1
"""The level whose surface is made fair. Level 0 is too coarse for what is next to the scan, level 2 gained less."""
KNOWN = 0.04
"""Canonical distance from points of the scan, or of what completes it, within which the surface is known."""
DEEP = 0.08
"""The surface stays as it is where it is nowhere farther from them: the network closes narrow gaps better."""
TENSION = 0.03
"""As of `faired`: less of it makes bulges at rims, more of it flattens what is round."""
CLEARANCE = 0.3
"""Share of the usual clearance from the scan. All figures were chosen on `scans/valid`, conditions D and T at level 2,
seeds 701 and 702, by the mean distance of what is unseen and by looking at it."""
SIGMA_GROWTH = 0.4
"""Sigma grows by this much per length from what is known."""


def faired_prior(
    scan: PreparedScan, level: Level, known: CompletionPrior | None, fill: float = 0.0, painted: Weights | None = None
) -> CompletionPrior | None:
    """The fair surface across what neither a scan nor ``known`` shows; None where there is none, or narrow gaps alone.

    level: `BASIS` of the fit so far. fill: -1 .. 1, the hole filling that was asked for, which is the network's:
    details of its surface that are wider than fill^-2 edges stay. painted: where it is painted nothing is fair.
    """
    surface = relaxed(extract(level.grid, sides=level.bricks), level.grid, level.bricks)
    vertices = (surface.vertices.astype(np.float64) + 0.5) * level.voxel - 1
    tree = KDTree(scan.points if known is None else np.concatenate([scan.points, known.points]), balanced_tree=False)
    free = _unknown(vertices, surface.faces, tree)
    if not free.any():
        return None
    moved = faired(vertices, surface.faces, free, TENSION, fill**8)
    corners = moved[surface.faces[free[surface.faces].any(axis=1)]]
    places, (normals, chosen) = corners.mean(axis=1).astype(np.float32), unit(triangle_normals(corners))
    if painted is not None:
        chosen &= painted.at(places) == 0
    if not chosen.any():
        return None
    places, normals = places[chosen], normals[chosen]
    sigma = np.hypot(scan.noise, SIGMA_GROWTH * np.asarray(tree.query(places)[0])).astype(np.float32)
    return CompletionPrior(places, normals, sigma, SOURCE, np.full(len(places), CLEARANCE, np.float32))


def _unknown(vertices: NDArray[np.float64], faces: NDArray[np.int32], tree: KDTree) -> NDArray[np.bool_]:
    """Which vertices (n, 3) of a surface lie in wide parts of it that are far from the points of a tree. A piece that
    is far from them as a whole is no such part."""
    free = np.zeros(len(vertices), bool)
    far = np.asarray(tree.query(vertices, distance_upper_bound=KNOWN)[0]) > KNOWN
    within = far[faces].all(axis=1)
    part, count = label_faces(faces[within])
    if not count:
        return free
    border = np.zeros(len(vertices), bool)
    border[faces[~within]] = True
    corners = faces[within]
    depth = np.zeros(len(vertices))
    depth[far] = tree.query(vertices[far])[0]
    deepest, held = np.zeros(count), np.zeros(count, bool)
    np.maximum.at(deepest, part, depth[corners].max(axis=1))
    held[part[border[corners].any(axis=1)]] = True
    free[corners[(held & (deepest >= DEEP))[part]]] = True
    return free
