"""What a pair of before and after shows: which part of the surface moved, and how far. No correspondence is needed, but
where both have the same vertices it is taken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias, cast

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label
from scipy.spatial import KDTree

from ..errors import ErrorCode, OmomiError
from ..formats.raw_scan import RawScan
from ..registration.icp import NORMAL_REACH, Matcher, Surface, register, register_nearby
from ..registration.similarity import Similarity, best_similarity
from ..registration.warp import match_warp, mismatch
from ..scan.prepare import PreparedScan

POINTS = 20_000
"""Points of the before surface that carry the change."""
AFTER_POINTS = 150_000
FEW_POINTS = 4000
"""Points of the before surface that tell which of two poses is the closer one."""
CHANGED = 4.0
"""A point changed when the after surface is this many times farther off than the median point's."""
LEAST_CHANGE = 0.003
"""Never take less than this for a change, in sizes of the scan (the sampling of the surfaces tells no finer)."""
NEIGHBOURS, AGREEING = 16, 0.6
"""A change is believed where this share of the nearest points sees one too: sharp edges fake single ones."""
PATCH_GAP, LEAST_PATCH = 0.03, 0.05
"""Places of a change in neighbouring cells of this side (canonical) are one patch. A patch with a smaller share of
places than the largest one is noise: crumbs had .027 at most on procedural members that no benchmark reports (seeds 100
and 101)."""
AROUND = 0.12
"""The warp reaches this far (sizes) beyond what changed: a slide along the surface shows only at its ends."""
RADII = (0.25, 0.12, 0.07)
REACH = 0.4
SAME_SURFACE = 0.02
"""Two scans with a larger median distance (sizes) than this after registration are not one object."""


SAME_TRIANGLES = 0.5
"""Two meshes with as many vertices and triangles, and this share of equal triangles, are one mesh that was moved."""
UNMOVED, STEPS = 1e-5, 20
"""Share of the longest side within which a vertex is where it was; and steps of a robust fit."""
STILL = 1.2
"""A pair stays as it is where registration would not bring it closer by this factor: a change drags a shape that could
turn freely, such as a mug whose handle became thicker. Chosen on that mug."""


@dataclass(frozen=True)
class Change:
    """surface: points of the before scan, canonical; displacement (n, 3), canonical; changed bool (n,): where it is not
    zero; unexplained: share 0 .. 1 of the change that no displacement explains (a new tunnel, a cut part); pose: from
    the before scan to the after scan where most of both coincides, canonical; places (k, 3): where either surface is
    far from the other, canonical; exact: whether the displacement is that of the vertices, which an artist moved."""

    surface: Surface
    displacement: NDArray[np.float64]
    changed: NDArray[np.bool_]
    unexplained: float
    pose: Similarity
    places: NDArray[np.float64]
    exact: bool = False


def surface_of(scan: PreparedScan, count: int) -> Surface:
    """About ``count`` canonical points of a scan, each with its normal."""
    whole = Surface(scan.points.astype(np.float64), scan.normals.astype(np.float64))
    return whole.thinned(count)


Moved: TypeAlias = tuple[NDArray, NDArray]
"""Places (n, 3) of the same vertices before and after, world units."""


def moved_vertices(before: RawScan, after: RawScan) -> Moved | None:
    """The vertices of a pair whose meshes have the same triangles, as where an artist sculpted a copy; else None."""
    if before.faces is None or after.faces is None or len(before.points) != len(after.points):
        return None
    if before.faces.shape != after.faces.shape or not len(before.faces):
        return None
    # quads may have been halved the other way after they were moved
    same = (before.faces == after.faces).all(axis=1).mean() >= SAME_TRIANGLES
    finite = np.isfinite(before.points).all() and np.isfinite(after.points).all()
    return (before.points, after.points) if same and finite else None


def pair_difference(before: PreparedScan, after: PreparedScan, vertices: Moved | None = None) -> Change:
    """The change that a pair shows, in the canonical frame of ``before``.

    The scans may differ in meshing and a little in pose and scale. vertices: as of `moved_vertices`; then the change is
    exact. Raises OmomiError(NOT_REGISTERED) when they are not the same object.
    """
    surface = surface_of(before, POINTS)
    if vertices is not None:
        places = (before.frame.to_canonical(points).astype(np.float64) for points in vertices)
        return _exact_change(surface, *places)
    there = surface_of(after, AFTER_POINTS)
    there = Surface(before.frame.to_canonical(after.frame.to_world(there.points)).astype(np.float64), there.normals)
    size = surface.size
    matcher = Matcher(there, NORMAL_REACH * size)
    # most of the object did not change, so the right pose is the one in which it coincides
    there_from_here, few = register_nearby(surface, there), surface.thinned(FEW_POINTS)
    still, brought = (float(np.median(mismatch(one, matcher))) for one in (few, few.moved(there_from_here)))
    if still <= STILL * brought:
        there_from_here = Similarity.identity()
    moved = surface.moved(there_from_here)
    distance = mismatch(moved, matcher)
    if np.median(distance) > SAME_SURFACE * size:
        there_from_here = register(surface, there).transform
        moved = surface.moved(there_from_here)
        distance = mismatch(moved, matcher)
    middle = float(np.median(distance))
    if middle > SAME_SURFACE * size:
        sentence = f"{before.name} and {after.name} do not look like one object before and after a change."
        raise OmomiError(ErrorCode.NOT_REGISTERED, sentence)
    least = max(CHANGED * middle, LEAST_CHANGE * size)
    changed = _believed(moved.points, distance > least)
    new = there.thinned(POINTS)
    new = new.points[_believed(new.points, mismatch(new, Matcher(moved, NORMAL_REACH * size)) > least)]
    displacement = np.zeros_like(moved.points)
    unexplained = 0.0
    if changed.any():
        tree, bound = KDTree(moved.points[changed]), AROUND * size
        from_change = tree.query(moved.points, distance_upper_bound=bound, workers=-1)[0] / size
        near = from_change < AROUND
        part = Surface(moved.points[near], moved.normals[near])
        warp = match_warp(part, matcher, [radius * size for radius in RADII], reach=REACH * size)
        fade = np.exp(-0.5 * (np.maximum(from_change[near] - AROUND / 4, 0) / (AROUND / 3)) ** 2)
        displacement[near] = warp.displacement(part.points) * fade[:, None]
        reached = mismatch(Surface(warp(part.points), warp.normals(part.points, part.normals)), matcher)
        unexplained = float(min(1.0, reached[changed[near]].sum() / distance[changed].sum()))
    back = there_from_here.inverse()
    places = _without_crumbs(np.concatenate([surface.points[changed], back.points(new)]))
    return Change(surface, back.vectors(displacement), changed, unexplained, there_from_here, places)


def _exact_change(surface: Surface, here: NDArray, there: NDArray) -> Change:
    """The change of a surface whose vertices went from here to there (n, 3), canonical."""
    pose = _pose_of_most(here, there)
    _, nearest = KDTree(here).query(surface.points, workers=-1)
    displacement = (pose.inverse().points(there) - here)[nearest]
    changed = np.linalg.norm(displacement, axis=1) > LEAST_CHANGE * surface.size
    places = np.concatenate([surface.points[changed], (surface.points + displacement)[changed]])
    return Change(surface, displacement, changed, 0.0, pose, _without_crumbs(places), exact=True)


def _pose_of_most(here: NDArray, there: NDArray) -> Similarity:
    """From here to there (n, 3), where most of the vertices coincide: least squares, again and again with less weight
    for those that do not (Geman and McClure 1985)."""
    pose, weight = Similarity.identity(), np.ones(len(here))
    still = brought = float(np.median(np.linalg.norm(there - here, axis=1)))
    if still <= UNMOVED * np.ptp(here, axis=0).max():
        return pose
    found = pose
    for _ in range(STEPS):
        found = best_similarity(here, there, weight)
        off = np.linalg.norm(found.points(here) - there, axis=1)
        brought = float(np.median(off))
        weight = 1 / (1 + (off / max(brought, 1e-12)) ** 2) ** 2
    return pose if still <= STILL * brought else found


def _without_crumbs(places: NDArray) -> NDArray:
    """Places (k, 3) of patches that are not tiny beside the largest one, which noise and edges make."""
    if not len(places):
        return places
    cells = np.floor((places - places.min(axis=0)) / PATCH_GAP).astype(np.int64)
    filled = np.zeros(cells.max(axis=0) + 1, bool)
    filled[tuple(cells.T)] = True
    patches, _ = cast(tuple[np.ndarray, int], label(filled, np.ones((3, 3, 3))))
    patch = patches[tuple(cells.T)]
    count = np.bincount(patch)
    return places[count[patch] >= LEAST_PATCH * count.max()]


def _believed(points: NDArray, changed: NDArray) -> NDArray[np.bool_]:
    """The changed points most of whose neighbours changed."""
    if not changed.any():
        return changed
    _, neighbours = KDTree(points).query(points[changed], k=NEIGHBOURS, workers=-1)
    believed = np.zeros(len(points), bool)
    believed[changed] = changed[neighbours].mean(axis=1) > AGREEING
    return believed
