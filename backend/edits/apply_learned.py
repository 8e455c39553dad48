"""Bringing a learned edit to another scan: where it belongs there, and what it does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation

from ..errors import ErrorCode, OmomiError, refuse
from ..registration.align import TARGETS, Alignment, alignments, refined
from ..registration.icp import NORMAL_REACH, Matcher, Surface, icp, misfit
from ..registration.similarity import Similarity, best_sliding
from ..registration.warp import Warp
from ..scan.prepare import PreparedScan
from .gear import LearnedEdit
from .learned import FADE, LearnedMovement, learn
from .pair_difference import Change, surface_of
from .part import DistanceGrid, Part, part_alignments
from .threads import JobThreads

POINTS = 20_000
UNLIKE = 0.14
"""A scan whose registered surface stays farther than this (sizes) from the reference is of another kind."""
UNLIKE_PART = 2 / 64
"""Canonical misfit of a part, two voxels of level 2, beyond which it is said: parts in their places had .3 to 1.0
voxels, and one in a wrong place 5 (12 edits, examples 100 to 102 and 110 to 112)."""
RIVAL = 1.2
"""Another pose counts as a rival when its misfit is at most this many times the best one's."""
RIVAL_CHANGE = 0.5
"""Rivals only matter when the edit would do something else under them, by this share of its size."""
SAME_PLACE = 0.1
"""Changes as far apart as this (sizes) may lie at one place of members of other proportions."""
POSE_POINTS = 1500
"""Points of the scan that are registered anew for a place that an artist gives."""
LIKE_FACING = 0.3
"""Least cosine between the normals of such a place and of where the edit belongs."""
FARTHEST_PLACE = 0.2
"""Canonical distance from the surface of a place that an artist gives."""
ALONG = 0.25
"""Weight of the distance along that direction, beside the distance across it."""
NEAR_PLACE = 0.2
"""Distance (sizes) of such a place from where registration puts the edit up to which the warp is trusted."""
PROBES, PROBE_REACH = 5000, 0.1
"""Points of the scan whose way to the reference is known beforehand, and how far (sizes) one speaks for others."""


@dataclass(frozen=True)
class AppliedEdit:
    """An edit on one scan: alignment from the scan to the edit's reference; probes: some of the scan's points."""

    edit: LearnedMovement
    alignment: Alignment
    probes: Surface
    place: NDArray[np.float64] = field(default_factory=lambda: np.zeros(3))  # (3,) canonical, of the change
    moved: bool = False  # whether the part is not where registration of the whole scan says
    unlike: bool = False  # whether what is there hardly looks like the part

    def displacement(self, points: NDArray, normals: NDArray) -> NDArray[np.float64]:
        """Displacement (n, 3), canonical units of the scan, at strength 1; points (n, 3), unit normals (n, 3)."""
        found = np.zeros((len(points), 3))
        near, bent = self._bent(points, normals)
        found[near] = self._back.vectors(self.edit.displacement(bent.points, bent.normals))
        return found

    def evaluate(self, points: NDArray, normals: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The displacement, and its standard deviation (n,) per axis, canonical units of the scan."""
        found, spread = np.zeros((len(points), 3)), np.zeros(len(points))
        near, bent = self._bent(points, normals)
        moves, doubt = self.edit.predict(bent.points, bent.normals)
        found[near] = self._back.vectors(moves)
        spread[near] = doubt * (self.edit.size * self._back.scale)
        return found, spread

    @property
    def _back(self) -> Similarity:
        return self.alignment.similarity.inverse()

    def _bent(self, points: NDArray, normals: NDArray) -> tuple[NDArray[np.intp], Surface]:
        """Indices of the points that the edit may reach, and where these lie on the reference."""
        tree, idle, reach = self._reach
        distance, index = tree.query(points, workers=-1)
        near = np.flatnonzero(~(idle[index] & (distance < reach)))
        return near, self.alignment.bend(points[near], normals[near])

    @cached_property
    def _reach(self) -> tuple[KDTree, NDArray[np.bool_], float]:
        """Tree of the probes; which of them, with all around as far as the last figure, the edit leaves alone."""
        reach = PROBE_REACH * self.probes.size
        idle = np.ones(len(self.probes.points), bool)
        if not self.edit.changes_nothing:
            there = self.alignment.warp(self.alignment.similarity.points(self.probes.points))
            # the warp may stretch what lies between a probe and the points that it speaks for
            far = FADE[1] * self.edit.radius + 3 * reach * self.alignment.similarity.scale
            idle = KDTree(self.edit.codes[:, :3]).query(there, workers=-1)[0] > far
        return KDTree(self.probes.points), idle, reach


def example_poses(changes: Sequence[Change]) -> list[Alignment]:
    """The pose of each example on the first one. One that lies on it in several poses takes the pose in which it shows
    the same change. Raises OmomiError(NOT_REGISTERED) for one that does not look like the first."""
    reference, first = changes[0].surface, Alignment(Similarity.identity(), Warp(), 0.0)
    with JobThreads() as pool:
        found = list(pool.map(lambda change: alignments(change.surface, reference), changes[1:]))
    chosen = [first]
    for number, (change, poses) in enumerate(zip(changes[1:], found, strict=True), start=2):
        if poses[0].misfit > UNLIKE:
            refuse(f"example {number} does not look like the first example", ErrorCode.NOT_REGISTERED)
        likely = [pose for pose in poses if pose.misfit <= RIVAL * poses[0].misfit]
        if len(likely) > 1:
            shown = learn(changes[:1], [first.similarity])
            likely.sort(key=lambda pose: (_apart(change, pose, changes[0]), _contradiction(change, pose, shown)))
        chosen.append(_turned(change, likely, changes[0]))
    return chosen


def _turned(change: Change, poses: Sequence[Alignment], first: Change) -> Alignment:
    """The first of the poses of an example, or the one that a shape which turns freely is brought to by its change."""
    if _apart(change, poses[0], first) == 0:
        return poses[0]
    centre = change.places.mean(axis=0)
    nearest = int(np.argmin(((change.surface.points - centre) ** 2).sum(axis=1)))
    place, facing = change.surface.points[nearest], change.surface.normals[nearest]
    pose, _ = _pose_at(place, facing, poses, change.surface, first.surface, first.places.mean(axis=0))
    return Alignment(pose, Warp(), poses[0].misfit)


def _apart(change: Change, pose: Alignment, first: Change) -> int:
    """How far apart the changes of an example in a pose and of the first one lie, in steps of SAME_PLACE."""
    here, there = pose.similarity.points(change.places), first.places
    if not len(here) or not len(there):
        return 0
    away = [KDTree(one).query(other, workers=-1)[0].mean() for one, other in ((here, there), (there, here))]
    return round(float(np.mean(away)) / (SAME_PLACE * first.surface.size))


def _contradiction(change: Change, pose: Alignment, shown: LearnedMovement) -> float:
    """How far a change in a pose is from the one that another example has shown."""
    bent = pose.bend(change.surface.points, change.surface.normals)
    moves = pose.similarity.vectors(change.displacement)
    return float(np.linalg.norm(shown.displacement(bent.points, bent.normals) - moves))


def apply_learned(
    edit: LearnedEdit,
    scan: PreparedScan,
    *,
    adapt: bool = True,
    grid: DistanceGrid | None = None,
    at: NDArray | None = None,
) -> list[AppliedEdit]:
    """The movement of ``edit`` where it belongs on ``scan``: one for every place of the part that it changes.

    grid: distances of the scan's fit, without which parts are not looked for; at (3,), canonical: the artist's own
    place for the edit. Raises OmomiError: NOT_REGISTERED when the scan does not look like the examples; AMBIGUOUS_POSE
    when it fits them in several poses under which the edit would differ, and neither a part nor a place decides;
    BAD_PLACE when the artist's own is far from the scan.
    """
    surface, reference, part = surface_of(scan, POINTS), edit.movement.reference, edit.part
    probes = surface.thinned(PROBES)
    found = alignments(surface, reference, adapt=adapt)
    if found[0].misfit > UNLIKE:
        raise OmomiError(ErrorCode.NOT_REGISTERED, f"{scan.name} does not look like the examples of this edit.")
    whole: Alignment | None = None
    likely = [one for one in found if one.misfit < RIVAL * found[0].misfit] or found[:1]
    chosen: list[Alignment] = []
    if part is not None and grid is not None and (at is None or edit.anchor is None):
        wholes = [refined(one, surface, reference) for one in likely]
        whole = min(wholes, key=lambda one: part.misfit(one, grid))
        chosen = _part_places(part, grid, surface, whole, reference)
        if at is not None:
            chosen = [one for one in chosen if part.holds(one, at)][:1]
    if at is not None and not edit.changes_nothing:
        chosen = chosen or [_alignment_at(at, likely, surface, edit)]
    elif not chosen:
        few, best = surface.thinned(2000), AppliedEdit(edit.movement, likely[0], probes)
        here = best.displacement(few.points, few.normals) if likely[1:] else np.zeros_like(few.points)
        for other in likely[1:]:
            there = AppliedEdit(edit.movement, other, probes).displacement(few.points, few.normals)
            if np.linalg.norm(there - here) > RIVAL_CHANGE * np.linalg.norm(here):
                raise OmomiError(
                    ErrorCode.AMBIGUOUS_POSE,
                    f"{scan.name} fits the examples in more than one pose: place the edit on it, or turn it the way "
                    "the first example stands.",
                )
        chosen = [refined(likely[0], surface, reference) if adapt else likely[0]]
    middle = edit.places.mean(axis=0, keepdims=True) if len(edit.places) else np.zeros((1, 3))
    applied = [AppliedEdit(edit.movement, one, probes, one.back(middle)[0]) for one in chosen]
    if whole is None or part is None or grid is None:
        return applied
    off = [part.misfit(one, grid) for one in chosen]
    return [
        replace(place, moved=one is not whole, unlike=at is None and apart > UNLIKE_PART)
        for place, one, apart in zip(applied, chosen, off, strict=True)
    ]


def _part_places(
    part: Part, grid: DistanceGrid, surface: Surface, whole: Alignment, reference: Surface
) -> list[Alignment]:
    """As of `part_alignments`. Where what is found hardly looks like the part, the whole may be wrong by any turn, as a
    mug is whose handle says little: then it is looked for again from turns half way between those tried before."""
    found = [part_alignments(part, grid, surface, whole)]
    if part.misfit(found[0][0], grid) > UNLIKE_PART:
        middle = reference.points.mean(axis=0)
        for axis in np.linalg.eigh(np.cov(reference.points.T))[1].T:
            turn = Rotation.from_rotvec(np.pi / 4 * axis).as_matrix()
            turned = Similarity(turn, 1.0, middle - turn @ middle).after(whole.similarity)
            found.append(part_alignments(part, grid, surface, replace(whole, similarity=turned, warp=Warp())))
    return min(found, key=lambda places: part.misfit(places[0], grid))


def said_of_places(found: Sequence[AppliedEdit], chosen: int) -> list[str]:
    """What an artist should know of the places of an edit, of which ``chosen`` are used."""
    said = []
    if len(found) > 1:
        acts = "on all of them" if chosen == len(found) else f"on {chosen} of them"
        said.append(f"The part that it changes is at {len(found)} places of this scan: it acts {acts}.")
    elif found[0].moved:
        said.append("The part that it changes is elsewhere on this scan: it acts there.")
    if any(place.unlike for place in found):
        said.append("What is there hardly looks like the part on the examples: look at the result, or place the edit.")
    return said


def place_on(surface: Surface, at: NDArray) -> tuple[NDArray[np.float64], int]:
    """A place (3,) moved onto a surface, straight in the direction that the nearest of its points faces; and that
    point's number. The point itself would be off by half the spacing of the points."""
    nearest = int(np.argmin(((surface.points - at) ** 2).sum(axis=1)))
    facing = surface.normals[nearest]
    return at - ((at - surface.points[nearest]) @ facing) * facing, nearest


def _alignment_at(at: NDArray, poses: Sequence[Alignment], surface: Surface, edit: LearnedEdit) -> Alignment:
    """The alignment that brings a canonical place (3,) of a scan to the anchor of an edit, or its middle; poses: see
    `_pose_at`."""
    reference = edit.movement.reference
    place, nearest = place_on(surface, at)
    if np.linalg.norm(surface.points[nearest] - at) > FARTHEST_PLACE:
        refuse("the place that was given for it is not at the surface of the scan", ErrorCode.BAD_PLACE)
    middle = edit.places.mean(axis=0) if edit.anchor is None else edit.anchor
    pose, there = _pose_at(place, surface.normals[nearest], poses, surface, reference, middle, edit.anchor is not None)
    found = Alignment(pose, Warp(), poses[0].misfit)
    if np.linalg.norm(there - pose.points(place[None])[0]) < NEAR_PLACE * reference.size:
        # the warp knows the proportions; far from where registration says it would stretch what lies between
        found = refined(found, surface, reference)
    shift = pose.points(found.back(there[None]))[0] - pose.points(place[None])[0]
    return replace(found, similarity=replace(pose, shift=pose.shift + shift))


def _pose_at(
    place: NDArray,
    facing: NDArray,
    poses: Sequence[Alignment],
    surface: Surface,
    reference: Surface,
    middle: NDArray,
    marked: bool = False,
) -> tuple[Similarity, NDArray[np.float64]]:
    """The pose of a scan on the reference that brings a place (3,) of its surface nearest to the middle (3,) of an
    edit, and the place (3,) of the reference where it belongs.

    facing (3,): the normal there; marked: whether it belongs at the middle itself; poses: those that fit about as well.
    Each is tried as it is, and turned until the place comes to lie there: where a shape could turn freely, the place
    decides the angle.
    """
    place, facing, centre = place[None], facing[None], reference.points.mean(axis=0)
    matcher, few = Matcher(reference.thinned(TARGETS), NORMAL_REACH * reference.size), surface.thinned(POSE_POINTS)

    def target(pose: Similarity) -> NDArray[np.float64]:
        """The place of the reference above or below the middle of the edit, seen the way that the point faces."""
        if marked:
            return middle
        way = pose.directions(facing)[0]
        like = reference.normals @ way > LIKE_FACING
        points = reference.points[like] if like.any() else reference.points
        along = (points - middle) @ way
        across = np.linalg.norm(points - middle - along[:, None] * way, axis=1)
        return points[int(np.argmin(across + ALONG * np.abs(along)))]

    tried = []
    for one in poses:
        pose = one.similarity
        turn = Rotation.align_vectors(target(pose)[None] - centre, pose.points(place) - centre)[0].as_matrix()
        turned = Similarity(turn, 1.0, centre - turn @ centre).after(pose)
        tried += [pose, icp(few, matcher, turned, pose.scale, best_sliding)[0]]
    errors = [misfit(surface, reference, pose) for pose in tried]
    likely = [pose for pose, error in zip(tried, errors, strict=True) if error <= RIVAL * min(errors)]
    targets = [target(pose) for pose in likely]
    away = [np.linalg.norm(there - pose.points(place)[0]) for pose, there in zip(likely, targets, strict=True)]
    best = int(np.argmin(away))
    return likely[best], targets[best]
