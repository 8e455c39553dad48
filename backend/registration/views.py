"""Joint registration of the views of one scan, whose poses are slightly wrong.

Views that overlap give matches of local planes; all poses are found together, by the symmetric distance between planes
(Rusinkiewicz 2019) with robust weights. A motion that slides surfaces along themselves is not determined, and not made.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import permutations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation
from scipy.stats import chi2

from .icp import Matcher, Surface
from .similarity import Similarity, angle_between

FARTHEST_SHIFT, FARTHEST_TURN = 0.03, 5.0
"""Largest motion of a view: of its points (root mean square, longest sides of the scan), and its turn (degrees)."""
NEIGHBOURS, MOST_NEIGHBOURS, SHEET = 16, 128, 0.3
"""Points of a view that a plane is fitted to, doubled up to the second where their thickness is more than the third of
their width, as a sample of places shows."""
BEYOND = 0.005
"""Share of the points at either end of a side that its length leaves out, as they may be outliers."""
SMOOTH = 2.0
"""Neighbourhoods thicker than this many times the median of their view lie at edges, or hold points that lie off."""
FLATNESS_POINTS = 1000
MOST_POINTS, MOST_ANCHORS, ALL_ANCHORS, FEWEST_ANCHORS = 20_000, 1500, 12_000, 200
"""Points of a view that planes are fitted to, its planes that are matched, those of all views together, and those that
a view has at least even so."""
FARTHEST_MATCH = 2.5 * FARTHEST_SHIFT
"""Two views may move towards each other."""
BENT = 0.25
"""A neighbourhood whose quadric bulges by more than this share of its width may be a whole leg or rim, of which views
that sample it differently show different quadrics. Chosen, as the other figures here, on `valid` scans."""
NORMAL_SPACINGS, ASIDE_SPACINGS, SAME_SIDE = 2.0, 1.5, 0.5
"""A turn of one radian between normals counts like the first, and a match farther aside than the second lies beyond the
edge of the overlap, both in spacings of the points; the third is the least cosine between the normals of a match."""
OVERLAP, MOST_PARTNERS = 0.05, 8
"""Share of the planes of a view that meet another view where the two overlap, and how many others a view chooses."""
ROUNDS, LAST_STEP = 40, 2e-5
"""Most rounds, and the step (longest sides) that ends them."""
CUT, LEAST_SD = 4.685, 1e-7
"""Residuals beyond this many standard deviations of their views have no weight (Tukey's biweight); no standard
deviation counts as less than the second (longest sides)."""
SEEN_MOTION, SEEN_ROUGHNESS = 0.02, 0.5
"""A relative motion is determined where this share of its square is across the surface, and also this many times the
mean square difference of matched normals, which feigns as much where surfaces slide along themselves."""
TWIST_ROOM = np.array([4.0, 4, 4, 1, 1, 1])
"""Usual size of a motion, squared: a turn of two radians counts like a shift by a side, so like it at the surface."""
CHANCE, AT_ONCE = 1e-4, 0.8
"""A view stays where what moving it explains is as likely as the first by chance; views are freed together that explain
more than the second times what the best one does."""
MOST_STAY = 0.67
"""Where a smaller share of the views that overlap stays, the places of all are estimated, and their mean stays."""
FREED_ROUNDS = 3
"""After some views are freed, before others are."""


@dataclass(frozen=True)
class ViewMotion:
    """What registration did to one view."""

    view: int  # its number
    state: str
    """'moved', 'right' (no motion explains more than chance), 'apart' (no overlap) or 'far' (beyond the limits)."""
    shift: float = 0.0  # root mean square motion of its points, longest sides of the scan; refused for a far view
    turn: float = 0.0  # degrees


@dataclass(frozen=True)
class _View:
    """One view in the frame of all: local planes with unit normals, turned as those that were given."""

    planes: Surface
    spacing: float  # median distance of neighbours
    anchors: Surface  # those of the planes that are matched
    shared: float  # how often a point counts in these: so much less they are worth than independent ones

    @classmethod
    def of(cls, points: NDArray, normals: NDArray, anchors: int, random: np.random.Generator) -> _View:
        order = random.permutation(len(points))[:MOST_POINTS]
        points, normals = points[order], normals[order]
        tree, count = KDTree(points), NEIGHBOURS
        spacing = float(np.median(tree.query(points, k=min(2, len(points)))[0][..., -1]))
        while True:
            spread = _quadrics(points, tree.query(points[:FLATNESS_POINTS], k=min(count, len(points)))[1])[2]
            if np.median(spread) < SHEET or 2 * count > min(MOST_NEIGHBOURS, len(points)):
                break
            count *= 2
        centres, planes, spread = _quadrics(points, tree.query(points, k=min(count, len(points)))[1])
        planes = planes * np.where((planes * normals).sum(axis=1) < 0, -1.0, 1.0)[:, None]
        kept = spread <= max(SMOOTH * float(np.median(spread)), LEAST_SD)
        if not np.isfinite(spread[kept]).all():  # most are bent, and there is nothing better
            kept[:] = True
        centres, planes = centres[kept], planes[kept]
        some = Surface(centres[:anchors], planes[:anchors])
        return cls(Surface(centres, planes), spacing, some, max(1.0, len(some.points) * count / len(points)))

    @cached_property
    def matcher(self) -> Matcher:
        return Matcher(self.planes, NORMAL_SPACINGS * self.spacing)

    def distance(self, pose: Similarity) -> float:
        """Root mean square motion of the view."""
        return float(np.sqrt(((pose.points(self.anchors.points) - self.anchors.points) ** 2).sum(axis=1).mean()))


def _quadrics(points: NDArray, near: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Quadrics fitted to neighbourhoods ``near`` (n, k) of points: the place (n, 3) and the unit normal (n, 3) of each
    over the centre of its neighbourhood, and (n,) the thickness of that over its width, infinite where the quadric
    bulges by more than BENT. A mean of points would lie inside a curved surface, the deeper the wider it is sampled."""
    places = points[near.reshape(len(near), -1)]
    centres = places.mean(axis=1)
    places -= centres[:, None]
    axes = np.linalg.eigh(places.transpose(0, 2, 1) @ places)[1]
    w, v, u = (places @ axes).transpose(2, 0, 1)
    width = np.sqrt((u**2 + v**2).mean(axis=1)) + 1e-30
    u, v = u / width[:, None], v / width[:, None]
    terms = np.stack([np.ones_like(u), u, v, u**2, u * v, v**2], axis=2)
    square = terms.transpose(0, 2, 1) @ terms + 1e-6 * terms.shape[1] * np.eye(6)
    found = np.linalg.solve(square, terms.transpose(0, 2, 1) @ w[:, :, None])
    thickness = np.sqrt(((w - (terms @ found)[:, :, 0]) ** 2).mean(axis=1)) / width
    bent = np.abs(found[:, [3, 5], 0]).max(axis=1) / width
    thickness[bent > BENT] = np.inf
    height, slopes = found[:, 0], found[:, 1:3, 0] / width[:, None]
    normals = axes[:, :, 0] - slopes[:, :1] * axes[:, :, 2] - slopes[:, 1:] * axes[:, :, 1]
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return centres + height * axes[:, :, 0], normals, thickness


@dataclass(frozen=True)
class _Matches:
    """Planes of one view that meet another one, in their present poses."""

    pair: tuple[int, int]
    middles: NDArray[np.float64]  # (n, 3), between the two planes
    normals: NDArray[np.float64]  # (n, 3), unit
    residuals: NDArray[np.float64]  # (n,), of the first view over the second
    turns: NDArray[np.float64]  # (n,), squared differences of the two normals

    @classmethod
    def of(cls, views: Sequence[_View], poses: Sequence[Similarity], pair: tuple[int, int]) -> _Matches:
        (one, other), (pose, onto) = (views[number] for number in pair), (poses[number] for number in pair)
        moved = one.anchors.moved(pose)
        here = moved.moved(onto.inverse())
        index = other.matcher.match(here.points, here.normals)[1]
        there = Surface(other.planes.points[index], other.planes.normals[index]).moved(onto)
        normals = moved.normals + there.normals
        length = np.linalg.norm(normals, axis=1)
        normals /= np.maximum(length, 1e-30)[:, None]
        gap = moved.points - there.points
        residual = (gap * normals).sum(axis=1)
        aside = np.linalg.norm(gap - residual[:, None] * normals, axis=1)
        # the cosine between two unit vectors is half the square of their sum, less one
        kept = length**2 / 2 - 1 > SAME_SIDE
        kept &= (np.abs(residual) < FARTHEST_MATCH) & (aside < ASIDE_SPACINGS * other.spacing)
        turns = np.maximum(4 - length[kept] ** 2, 0)
        return cls(pair, (moved.points + there.points)[kept] / 2, normals[kept], residual[kept], turns)


def _misfits(matches: Sequence[_Matches], count: int) -> NDArray[np.float64]:
    """Standard deviation (count,) of the residuals of each of the views, were they normal. Of all its matches together,
    as those with a view that shows something else behind the same place are few."""
    misfits = np.full(count, LEAST_SD)
    for view in range(count):
        own = [np.abs(found.residuals) for found in matches if view in found.pair]
        if own and sum(map(len, own)):
            misfits[view] = max(1.4826 * float(np.median(np.concatenate(own))), LEAST_SD)
    return misfits


@dataclass(frozen=True)
class _System:
    """The normal equations of all poses: a twist (turn, shift) for each view, end to end."""

    across: NDArray[np.float64]  # (6 v, 6 v), of the distances across the surface
    whole: NDArray[np.float64]  # the same of whole distances: the quotient is the share of a motion that is across
    right: NDArray[np.float64]  # (6 v,)
    rough: float  # mean square difference of matched normals
    free: NDArray[np.intp]  # rows of the views that are not held

    @classmethod
    def of(cls, views: Sequence[_View], matches: Sequence[_Matches], held: Collection[int]) -> _System:
        count = len(views)
        across, whole = np.zeros((count, 6, count, 6)), np.zeros((count, 6, count, 6))
        right, rough, total = np.zeros((count, 6)), 0.0, 0.0
        misfits = _misfits(matches, count)
        for found in matches:
            sd = max(misfits[number] for number in found.pair)
            weight = np.maximum(1 - (found.residuals / (CUT * sd)) ** 2, 0) ** 2 / sd**2
            weight /= np.sqrt(np.prod([views[number].shared for number in found.pair]))
            rows = np.concatenate([np.cross(found.middles, found.normals), found.normals], axis=1)
            zero, (x, y, z) = np.zeros(len(rows)), found.middles.T
            turns = np.stack([np.stack(row, axis=1) for row in ((zero, z, -y), (-z, zero, x), (y, -x, zero))], axis=1)
            every = np.concatenate([turns, np.broadcast_to(np.eye(3), turns.shape)], axis=2)
            blocks = rows.T @ (weight[:, None] * rows), np.einsum("nij,n,nik->jk", every, weight, every)
            one, other = found.pair
            for block, table in zip(blocks, (across, whole), strict=True):
                table[one, :, one] += block
                table[other, :, other] += block
                table[one, :, other] -= block
                table[other, :, one] -= block
            pull = rows.T @ (weight * found.residuals)
            right[one] -= pull
            right[other] += pull
            rough += float(weight @ found.turns)
            total += float(weight.sum())
        size = 6 * count
        free = np.flatnonzero(np.repeat([number not in held for number in range(count)], 6))
        mean = rough / max(total, 1e-30)
        return cls(across.reshape(size, size), whole.reshape(size, size), right.ravel(), mean, free)

    @cached_property
    def determined(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Motions (6 v, k) that the matches determine, and a number (k,) over which each has the variance of one."""
        return self._determined(self.free)

    def _determined(self, rows: NDArray[np.intp]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The same where only these rows move."""
        block = np.ix_(rows, rows)
        values, vectors = np.linalg.eigh(self.whole[block])
        kept = values > 1e-9 * values.max(initial=0)  # the others move all views that overlap as one
        basis = vectors[:, kept] / np.sqrt(values[kept])
        share, mix = np.linalg.eigh(basis.T @ self.across[block] @ basis)
        seen = share > max(SEEN_MOTION, SEEN_ROUGHNESS * self.rough)
        motions = np.zeros((len(self.whole), int(seen.sum())))
        motions[rows] = basis @ mix[:, seen]
        return motions, share[seen]

    @property
    def step(self) -> NDArray[np.float64]:
        """(v, 6), the best motion that is determined."""
        motions, share = self.determined
        return (motions @ ((motions.T @ self.right) / share)).reshape(-1, 6)

    def likeliest(self, twists: NDArray) -> NDArray[np.float64]:
        """The motions (v, 6) that are the likeliest where the matches ask for ``twists`` (v, 6). What they determine
        poorly is farther off than the rest by chance alone (an empirical Bayes estimate); of the motions that leave all
        matches alike, such as that of all views as one, the smallest is made."""
        motions, share = self.determined
        seen = motions.T @ self.whole
        asked = seen @ twists.ravel()
        usual = max(float((share * asked**2 - 1).sum() / max(share.sum(), 1e-30)), 0.0)
        room = np.zeros(len(self.whole))
        room[self.free] = np.tile(TWIST_ROOM, len(twists))[self.free]
        back = room[:, None] * seen.T
        return (back @ np.linalg.solve(seen @ back, asked * usual * share / (1 + usual * share))).reshape(-1, 6)

    def gain(self, view: int) -> tuple[float, float]:
        """By how much the sum of squares falls, in variances, where only this view moves, and how likely that is by
        chance."""
        motions, share = self._determined(np.arange(6 * view, 6 * view + 6))
        gain = float(((motions.T @ self.right) ** 2 / share).sum())
        return gain, float(chi2.sf(gain, max(len(share), 1)))


def register_views(points: NDArray, normals: NDArray, view: NDArray) -> tuple[NDArray[np.float64], list[ViewMotion]]:
    """The points (n, 3) of a scan with its views registered to one another, and what was done to each view, in
    ascending order of their numbers ``view`` (n,). normals (n, 3): outward, of any length, to tell the two sides of a
    thin wall; a view that is already right stays exactly as it is.
    """
    low, high = np.quantile(points, [BEYOND, 1 - BEYOND], axis=0)
    centre, side = (low + high) / 2, max(float((high - low).max()), 1e-30)
    unit = (points - centre) / side
    numbers, of = np.unique(view, return_inverse=True)
    members = [np.flatnonzero(of == number) for number in range(len(numbers))]
    random = np.random.default_rng(0)
    anchors = int(np.clip(ALL_ANCHORS // len(numbers), FEWEST_ANCHORS, MOST_ANCHORS))
    poses, motions = _registered([_View.of(unit[own], normals[own], anchors, random) for own in members])
    moved = np.array(points, np.float64)
    for own, pose, motion in zip(members, poses, motions, strict=True):
        if motion.state == "moved":
            moved[own] = pose.points(unit[own]) * side + centre
    return moved, [replace(motion, view=number) for number, motion in zip(numbers.tolist(), motions, strict=True)]


def _registered(views: Sequence[_View]) -> tuple[list[Similarity], list[ViewMotion]]:
    """The pose of each view, and what was done to it, numbered as they come."""
    start = [Similarity.identity() for _ in views]
    pairs, far = _overlapping(views, start), dict[int, ViewMotion]()
    while True:
        pairs = [pair for pair in pairs if not far.keys() & set(pair)]
        groups = _groups(pairs, len(views))
        poses, held = _freed(views, pairs, groups)
        poses, system = _solved(views, pairs, poses, held, ROUNDS)
        twists = np.stack([_twist(pose) for pose in poses])
        steps = _steps(system.likeliest(twists) - twists)
        poses = [step.after(pose) for step, pose in zip(steps, poses, strict=True)]
        moved = [_moved(number, one, pose) for number, (one, pose) in enumerate(zip(views, poses, strict=True))]
        beyond = [max(motion.shift / FARTHEST_SHIFT, motion.turn / FARTHEST_TURN) for motion in moved]
        worst = int(np.argmax(beyond))
        if beyond[worst] <= 1:
            break
        far[worst] = replace(moved[worst], state="far")
    motions = [far.get(number, ViewMotion(number, "apart")) for number in range(len(views))]
    for group in groups:
        own = [pair for pair in pairs if pair[0] in group]
        better = _misfit(views, poses, own) < _misfit(views, start, own)
        for number in group:
            motions[number] = moved[number] if better and number not in held else ViewMotion(number, "right")
    return poses, motions


def _freed(
    views: Sequence[_View], pairs: Sequence[tuple[int, int]], groups: Sequence[Sequence[int]]
) -> tuple[list[Similarity], set[int]]:
    """First poses, and the views that stay: one after another those move that explain the most, until the others
    explain no more than chance."""
    poses, held = [Similarity.identity() for _ in views], {number for group in groups for number in group}
    while True:
        system = _System.of(views, [_Matches.of(views, poses, pair) for pair in pairs], held)
        gains = {number: system.gain(number) for number in held}
        wrong = {number: gain for number, (gain, chance) in gains.items() if chance < CHANCE}
        if not wrong:
            return poses, held
        held -= {number for number, gain in wrong.items() if gain > AT_ONCE * max(wrong.values())}
        for group in groups:
            if len(held & set(group)) < MOST_STAY * len(group):
                held -= set(group)
        poses, _ = _solved(views, pairs, poses, held, FREED_ROUNDS)


def _moved(number: int, view: _View, pose: Similarity) -> ViewMotion:
    return ViewMotion(number, "moved", view.distance(pose), float(np.degrees(angle_between(np.eye(3), pose.rotation))))


def _overlapping(views: Sequence[_View], poses: Sequence[Similarity]) -> list[tuple[int, int]]:
    """Pairs of views that overlap, each both ways; of many the widest overlaps."""
    few = [replace(one, anchors=one.anchors.thinned(FEWEST_ANCHORS)) for one in views]
    share = np.zeros((len(views), len(views)))
    for one, other in permutations(range(len(views)), 2):
        found = _Matches.of(few, poses, (one, other))
        share[one, other] = len(found.residuals) / len(few[one].anchors.points)
    share[share < OVERLAP] = 0
    share = np.maximum(share, share.T)
    last = np.sort(share, axis=1)[:, -MOST_PARTNERS:][:, :1]
    chosen = (share > 0) & (share >= last)
    return [(int(one), int(other)) for one, other in np.argwhere(chosen | chosen.T)]


def _groups(pairs: Sequence[tuple[int, int]], count: int) -> list[list[int]]:
    """Views that overlap directly or by others, at least two in each group."""
    if not pairs:
        return []
    of = connected_components(coo_matrix((np.ones(len(pairs)), tuple(np.transpose(pairs))), (count, count)))[1]
    found = [np.flatnonzero(of == group).tolist() for group in range(int(of.max()) + 1)]
    return [group for group in found if len(group) > 1]


def _solved(
    views: Sequence[_View],
    pairs: Sequence[tuple[int, int]],
    start: Sequence[Similarity],
    held: Collection[int],
    rounds: int,
) -> tuple[list[Similarity], _System]:
    """The poses that bring the planes of all pairs together, those of the ``held`` views as they are, and the normal
    equations there."""
    poses, system = list(start), _System.of(views, [], held)
    for _ in range(rounds):
        system = _System.of(views, [_Matches.of(views, poses, pair) for pair in pairs], held)
        if not system.determined[1].size:
            break
        steps = _steps(system.step)
        poses = [step.after(pose) for step, pose in zip(steps, poses, strict=True)]
        if max(one.distance(step) for one, step in zip(views, steps, strict=True)) < LAST_STEP:
            break
    return poses, system


def _steps(twists: NDArray) -> list[Similarity]:
    """The motions of twists (v, 6)."""
    return [Similarity(Rotation.from_rotvec(twist[:3]).as_matrix(), 1.0, twist[3:]) for twist in twists]


def _twist(pose: Similarity) -> NDArray[np.float64]:
    """The turn and the shift (6,) of a small motion."""
    return np.concatenate([Rotation.from_matrix(pose.rotation).as_rotvec(), pose.shift])


def _misfit(views: Sequence[_View], poses: Sequence[Similarity], pairs: Sequence[tuple[int, int]]) -> float:
    """Mean misfit of the views of pairs."""
    misfits = _misfits([_Matches.of(views, poses, pair) for pair in pairs], len(views))
    return float(misfits[np.unique(pairs)].mean())
