"""What a fit keeps of its input, and what it has beyond it: one measure of near and of thin for all who count."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.spatial import KDTree

from ..geometry.nearest import LEAF
from ..protocol.fit_options import DEEPEST_LEVEL
from ..scan.clean import CleanReport
from ..scan.prepare import PreparedScan
from .bricks import voxel_size

NOISES = 3.0
"""Points of a scan lie up to so many standard deviations of its noise beside its surface."""
BETWEEN = 0.3
"""Voxels. Mean distance of a place on a surface from the nearest vertex."""
SPACINGS, AROUND = 2.0, 8
"""A place between points of a scan counts as measured within so many spacings of them: the distance to the eighth
neighbour, over the root of 8 / pi. Of points scattered by chance one gap in 100,000 is wider."""
MOST_FACES = 20_000
"""Faces of a result, at even steps, of which the share that is invented is taken."""
SAID = 0.01
"""A larger share of the input, or of the result, is said. Of the meshes of real things that were looked at, all of
which have their whole surface, level 2 keeps more than the rest of it."""
MOST_THIN = 1_000
"""Thin samples by which a finer level is chosen."""
HELD = 1.5
"""Voxels. A wall of this thickness keeps most of its surface. Chosen on a disc and a plate that level 3 keeps whole."""


def near(scan: PreparedScan, level: int) -> float:
    """Canonical distance up to which a place of a result at a level, and one of the scan, are the same place."""
    return max(voxel_size(level), NOISES * scan.noise)


def invented(scan: PreparedScan, level: int, vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Which faces (m, 3) of a result, canonical vertices (n, 3), have no evidence near their middle: bool (m,)."""
    corners = np.asarray(vertices, np.float32)[faces]
    middle = corners.mean(axis=1)
    distance, index = (np.asarray(column) for column in scan.tree.query(middle))
    beyond = distance > near(scan, level)
    far = np.flatnonzero(beyond)
    # where the points are wide apart, as where a scanner looked along the surface, a place between them is measured
    points, place = np.unique(index[far], return_inverse=True)
    around = np.asarray(scan.tree.query(scan.points[points], k=[AROUND + 1])[0])[:, 0] / np.sqrt(AROUND / np.pi)
    beyond[far] = distance[far] > SPACINGS * around[place]
    return beyond


def covered_report(
    scan: PreparedScan, level: int, vertices: np.ndarray, faces: np.ndarray, gone: np.ndarray, pieces: int
) -> CleanReport:
    """The report of a scan with what its result, canonical vertices (n, 3) and faces (m, 3), keeps and invents, and
    what an artist should know of it.

    gone: vertices (k, 3) of the pieces that were left out of the result, as many as ``pieces``.
    """
    given = scan.given
    report, said = replace(scan.report, dropped_pieces=pieces), []
    if given is not None:
        reach = np.hypot(near(scan, level), BETWEEN * voxel_size(level))
        kept, left = _near(given.points, vertices, reach), given.left_out
        if len(gone):
            left = left | (~kept & _near(given.points, gone, reach))
        thin = given.thinner(voxel_size(level))
        share = None if thin is None else float(thin.mean())
        report = replace(report, kept=float(kept.mean()), dropped=float(left.mean()), thinner=share)
        lost = 1 - report.kept - report.dropped
        if lost >= SAID:
            why = said_of_thinness(scan, level, thin) or "It is too small or too thin for this level of detail."
            said.append(f"{lost:.0%} of the input has no surface near it. {why}")
    some = faces[:: 1 + len(faces) // MOST_FACES]
    a, b, c = np.asarray(vertices, np.float64)[some].transpose(1, 0, 2)
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    made_up = float(area[invented(scan, level, vertices, some)].sum() / max(area.sum(), 1e-300))
    report = replace(report, invented=made_up)
    if made_up >= SAID:
        said.append(f"{made_up:.0%} of the surface is invented: nothing was measured near it.")
    left_out = _left_out(report)
    if report.dropped >= SAID and left_out:
        said.append(f"{report.dropped:.0%} of the input was left out: {left_out}.")
    return replace(report, notes=(*report.notes, *said))


def said_of_thinness(scan: PreparedScan, level: int, thin: np.ndarray | None = None) -> str:
    """Which share of the input is too thin for a level, and which level keeps it; empty where that is not known.

    thin: what `GivenSurface.thinner` says of a voxel, where that is at hand.
    """
    if scan.given is None:
        return ""
    thin = scan.given.thinner(voxel_size(level)) if thin is None else thin
    if thin is None or thin.mean() < SAID:
        return ""
    said = f"{thin.mean():.0%} of the input is thinner than a voxel of level {level}"
    some = thin & (np.arange(len(thin)) % (1 + thin.sum() // MOST_THIN) == 0)
    for finer in range(level + 1, DEEPEST_LEVEL + 1):
        left = scan.given.thinner(HELD * voxel_size(finer), some)
        if left is None or left.sum() < SAID * some.sum():
            return f"{said}. Level {finer} keeps it."
    return f"{said}, and some of it than one of the finest level."


def _near(points: np.ndarray, vertices: np.ndarray, reach: float) -> np.ndarray:
    """Whether points (p, 3) have a vertex (n, 3) within ``reach``."""
    tree = KDTree(vertices, LEAF, balanced_tree=False)
    return np.isfinite(tree.query(points, distance_upper_bound=reach)[0])


def _left_out(report: CleanReport) -> str:
    """Of what a report counts, what was left out, in words; faces that close holes have a sentence of their own."""
    pieces = report.dropped_pieces
    words = {
        f"{report.dropped_outliers} outliers": report.dropped_outliers,
        "what lies inside": report.dropped_inner,
        "a piece without support, or a very small one": pieces == 1,
        f"{pieces} pieces without support, or very small ones": pieces > 1,
    }
    return ", ".join(text for text, said in words.items() if said)
