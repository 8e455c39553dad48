"""A family's profile from scans of its members, in any pose and scale, some of them partial.

One member is the template: its shape, with a smooth warp as its only prior, is fitted to every other scan. The
displacements give a first Gaussian, under which all scans are fitted again. The unseen part of a partial scan is then
the mean that its seen part and the other members predict, as in expectation maximisation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls
from scipy.spatial import KDTree

from ...errors import ErrorCode, OmomiError
from ...registration.icp import NORMAL_REACH, Surface, oriented_points
from ...registration.similarity import Similarity
from ...registration.warp import spread_points
from ...scan.prepare import PreparedScan
from .deviation import (
    UNMATCHED,
    SurfaceOffsets,
    departure,
    patch_scores,
    residual_variances,
    surface_offsets,
    usual_scores,
)
from .fitted_shape import (
    COARSE,
    FINE,
    NOISIEST,
    STIFF,
    FittedShape,
    Round,
    fit_from_pose,
    fit_shape,
    rough_fits,
    sigma_of,
)
from .gaussian import POSE, RANGES, ShapeGaussian
from .profile import FEWEST_MEMBERS, MOST_MEMBERS, Profile

POINTS = 12_000
"""Points of a shape."""
MOST_MODES = 40
FOLDS = 6
"""Parts of the members that are left out in turn, for cross-validation."""
FIRST_AMPLITUDES = np.array([0.06, 0.05, 0.025, 0.012])
"""Standard deviation of the residual in each of the RANGES before anything is known about the family (canonical)."""
LEAST_AMPLITUDE = 0.002
CANDIDATES, COMPARED = 3, 5
"""Members that may be the template, and members that each of them is fitted to for the choice."""
TEMPLATE_ROUNDS = (*STIFF, Round(0.15, 400, True))
KNOWN_POSE_ROUNDS = FINE[2:]
"""Rounds of the fit to a member whose pose is known."""
HIDDEN_EVERY, HIDDEN_SHARE, HIDDEN_DISTANCE, HIDDEN_POINTS = 2, (0.1, 0.5), 0.05, 400
"""For the error on unseen surface: one of so many members is used; the share of it that is hidden; the least distance
of a tested point from the shown surface (sizes); and tested points."""
LEAST_SIGMA_FACTOR = 0.5
STRAY_MISFIT = 1.5
"""A member whose misfit is this many times the median may have been fitted in a wrong pose."""
MOST_MISFIT = 0.12
"""Scans are no family if the median misfit (sizes) is larger."""
CLOSED_MEAN_NORMAL = 0.1
"""Largest length of the mean normal of a closed surface."""


@dataclass(frozen=True)
class Member:
    """A scan of a member."""

    name: str
    surface: Surface  # canonical
    noise: float  # standard deviation of its points, canonical

    @classmethod
    def of(cls, scan: PreparedScan, count: int = 20_000) -> Member:
        whole = Surface(scan.points.astype(np.float64), scan.normals.astype(np.float64))
        return cls(scan.name, whole.thinned(count), min(scan.noise, NOISIEST))


def thinned_evenly(surface: Surface, count: int) -> Surface:
    """About ``count`` points (at most), evenly spread."""
    spacing = surface.size * np.sqrt(10 / count)
    while True:
        # cells are split by side, so that both walls of a thin sheet stay
        side = (surface.normals @ np.array([0.48, 0.6, 0.64]) > 0) * 1e3
        chosen = spread_points(surface.points + side[:, None], spacing)
        if len(chosen) <= count:
            return Surface(surface.points[chosen], surface.normals[chosen])
        spacing *= 1.05


def first_shape(member: Member) -> ShapeGaussian:
    """The prior from one member alone: its shape, with a smooth residual and no modes."""
    surface = thinned_evenly(member.surface, POINTS)
    amplitude = float(np.sqrt((FIRST_AMPLITUDES**2).sum()))
    shares = 0.999 * FIRST_AMPLITUDES**2 / amplitude**2
    none = np.zeros((0, len(surface.points), 3))
    return ShapeGaussian(surface.points, surface.normals, none, np.full(len(surface.points), amplitude), shares)


def learn_shape(shape: ShapeGaussian, displacements: NDArray) -> ShapeGaussian:
    """The Gaussian of displacements (N, n, 3) of a shape's points, one for each member."""
    free = _without_pose(shape.points, displacements)
    middle = free.mean(axis=0)
    points = shape.points + middle
    modes = principal(free - middle)
    residual = np.zeros_like(free)
    folds = np.arange(len(free)) % min(FOLDS, len(free))
    for fold in np.unique(folds):
        rest = free[folds != fold]
        centre = rest.mean(axis=0)
        residual[folds == fold] = unexplained(principal(rest - centre), free[folds == fold] - centre)
    amplitude = np.sqrt((residual**2).mean(axis=(0, 2)))
    near = KDTree(points).query(points, k=min(16, len(points)))[1]
    amplitude = np.maximum(np.sqrt((amplitude[near] ** 2).mean(axis=1)), LEAST_AMPLITUDE)
    shares = correlation_shares(points, residual / amplitude[:, None])
    return ShapeGaussian(points, shape.normals_of(points), modes, amplitude, shares)


def principal(centred: NDArray) -> NDArray[np.float64]:
    """Principal modes (q, n, 3) of centred displacements (N, n, 3), each one standard deviation long."""
    count = len(centred)
    flat = centred.reshape(count, -1)
    values, vectors = np.linalg.eigh(flat @ flat.T)
    kept = values > 1e-6 * values.sum()
    kept[: max(0, count - MOST_MODES)] = False
    # for N - 1 degrees of freedom: mode = flat' v / sqrt(N - 1)
    return (vectors[:, kept][:, ::-1].T @ flat / np.sqrt(max(count - 1, 1))).reshape(-1, *centred.shape[1:])


def unexplained(modes: NDArray, centred: NDArray) -> NDArray[np.float64]:
    """Residuals (k, n, 3) of displacements (k, n, 3) after the modes (q, n, 3)."""
    if len(modes) == 0:
        return centred
    flat, axes = centred.reshape(len(centred), -1), modes.reshape(len(modes), -1)
    gram = axes @ axes.T
    ridge = 1e-3 * np.trace(gram) / max(len(gram), 1) * np.eye(len(gram))
    return (flat - np.linalg.solve(gram + ridge, axes @ flat.T).T @ axes).reshape(centred.shape)


def correlation_shares(points: NDArray, residual: NDArray, pairs: int = 200_000) -> NDArray[np.float64]:
    """Shares (4,) of the RANGES that fit the correlation of residuals (N, n, 3), of unit variance, best."""
    rng = np.random.default_rng(0)
    one = rng.integers(len(points), size=pairs)
    # as many near pairs as far ones
    tree = KDTree(points)
    near = np.asarray(tree.query(points, k=min(64, len(points)))[1])
    neighbour = near[one, rng.integers(near.shape[1], size=pairs)]
    other = np.where(rng.random(pairs) < 0.5, neighbour, rng.integers(len(points), size=pairs))
    keep = one != other
    one, other = one[keep], other[keep]
    distance = np.linalg.norm(points[one] - points[other], axis=1)
    product = np.zeros(len(one))
    for field in residual:
        product += (field[one] * field[other]).sum(axis=1)
    product /= 3 * len(residual)
    edges = np.geomspace(max(distance.min(), 1e-3), 0.8, 25)
    bins = np.digitize(distance, edges)
    rows, wanted = [], []
    for bin in range(1, len(edges)):
        inside = bins == bin
        if inside.sum() > 50:
            rows.append(np.exp(-0.5 * (np.sqrt((distance[inside] ** 2).mean()) / np.array(RANGES)) ** 2))
            wanted.append(product[inside].mean())
    shares = nnls(np.array(rows), np.array(wanted))[0]
    return shares / max(1.0, shares.sum() / 0.999)


def _without_pose(points: NDArray, displacements: NDArray) -> NDArray[np.float64]:
    """Displacements (N, n, 3) without the part that a turn, shift and growth of the points (n, 3) explains."""
    x, y, z = points.T
    zero = np.zeros(len(points))
    turns = [np.stack(row, axis=1) for row in ((zero, -z, y), (z, zero, -x), (-y, x, zero))]
    shifts = [np.broadcast_to(axis, points.shape) for axis in np.eye(3)]
    pose = np.stack([*turns, *shifts, points]).reshape(POSE, -1)
    flat = displacements.reshape(len(displacements), -1)
    return (flat - np.linalg.solve(pose @ pose.T, pose @ flat.T).T @ pose).reshape(displacements.shape)


def choose_template(members: Sequence[Member], sided: bool) -> int:
    """Index of the candidate that fits some other members best; one that lacks a part fits badly."""
    order = np.random.default_rng(0).permutation(len(members))
    candidates, others = order[:CANDIDATES], order[-COMPARED:]
    scores = []
    for candidate in candidates:
        shape = first_shape(members[candidate]).part(COARSE)
        found = [
            rough_fits(shape, members[other].surface, members[other].noise, sided, TEMPLATE_ROUNDS)[0].misfit
            for other in others
            if other != candidate
        ]
        scores.append(float(np.mean(found)))
    return int(candidates[int(np.argmin(scores))])


def learn_profile(members: Sequence[Member], on_progress: Callable[[float, str], None] = lambda *_: None) -> Profile:
    """The profile of a family; on_progress(share, words) may raise. Raises OmomiError: BAD_OPTION for too few or too
    many members, NOT_REGISTERED where they have no shape in common."""
    count = len(members)
    if not FEWEST_MEMBERS <= count <= MOST_MEMBERS:
        raise OmomiError(
            ErrorCode.BAD_OPTION, f"A profile takes {FEWEST_MEMBERS} to {MOST_MEMBERS} scans of a family, not {count}."
        )
    on_progress(0.0, "choosing a template")
    sided = two_sided(members)
    shape = first_shape(members[choose_template(members, sided)])
    placed: list[FittedShape] = []
    for number, member in enumerate(members):
        on_progress(0.1 + 0.6 * number / count, f"matching {member.name}")
        placed.append(fit_shape(shape, member.surface, member.noise, sided))
    middle = float(np.median([one.misfit for one in placed]))
    if middle > MOST_MISFIT * shape.size:
        raise OmomiError(ErrorCode.NOT_REGISTERED, "These scans have no shape in common.")
    shape = learn_shape(shape, np.stack([one.points - shape.points for one in placed]))
    for number, member in enumerate(members):
        on_progress(0.7 + 0.25 * number / count, f"matching {member.name} again")
        one = placed[number]
        if one.misfit > STRAY_MISFIT * middle:
            placed[number] = fit_shape(shape, member.surface, member.noise, sided)
        else:
            placed[number] = fit_from_pose(shape, member.surface, one.similarity, member.noise, FINE, sided)
    displacements = np.stack([one.points - shape.points for one in placed])
    on_progress(0.95, "comparing the members")
    left_out = _left_out(shape, displacements, members, placed, sided)
    found = learn_shape(shape, displacements)
    rest = residual_variances(left_out.offsets)
    scores = [patch_scores(other, one, rest) for other, one in zip(left_out.others, left_out.offsets, strict=True)]
    usual = usual_scores(found, scores)
    # of errors with the right sigma nine in ten lie within 1.645
    factor = float(np.quantile(left_out.error, 0.9)) / 1.645 if len(left_out.error) else 1.0
    names = tuple(member.name for member in members)
    return Profile(found, sided, left_out.departures, rest, usual, max(factor, LEAST_SIGMA_FACTOR), names)


def two_sided(members: Sequence[Member]) -> bool:
    """Whether the members are solids, of which one is enough, because the others may be partial: the mean normal of a
    closed surface vanishes."""
    return min(float(np.linalg.norm(member.surface.normals.mean(axis=0))) for member in members) < CLOSED_MEAN_NORMAL


@dataclass(frozen=True)
class LeftOut:
    """Cross-validation: every member under the Gaussian of the others."""

    departures: NDArray[np.float64]  # (N,)
    others: list[ShapeGaussian]  # the shape that each of ``offsets`` was measured from
    offsets: list[SurfaceOffsets]
    error: NDArray[np.float64]  # (k,), on hidden surface, in standard deviations


def _left_out(
    shape: ShapeGaussian,
    displacements: NDArray,
    members: Sequence[Member],
    placed: Sequence[FittedShape],
    sided: bool,
) -> LeftOut:
    """Leave each fold of the members out in turn."""
    folds = np.arange(len(members)) % min(FOLDS, len(members))
    departures, shapes, found, errors = np.zeros(len(members)), [], [], []
    for fold in np.unique(folds):
        others = learn_shape(shape, displacements[folds != fold])
        for number in np.flatnonzero(folds == fold):
            member, start = members[number], placed[number].similarity
            departures[number] = departure(others, member.surface, start, member.noise, sided)
            whole = fit_from_pose(others, member.surface, start, member.noise, KNOWN_POSE_ROUNDS, sided)
            sigma = np.full(len(member.surface.points), member.noise)
            shapes.append(others)
            found.append(surface_offsets(others, whole, member.surface, sigma, sided))
            if number % HIDDEN_EVERY == 0:
                errors.append(unseen_error(others, member, start, sided, number))
    return LeftOut(departures, shapes, found, np.concatenate(errors))


def unseen_error(
    shape: ShapeGaussian, member: Member, start: Similarity, sided: bool, seed: int
) -> NDArray[np.float64]:
    """Errors (k,), in standard deviations, of the shape where the surface of a member is hidden from it: all on one
    side of a plane."""
    rng = np.random.default_rng(seed)
    surface = member.surface
    height = surface.points @ rng.normal(size=3)
    shown = height >= np.quantile(height, rng.uniform(*HIDDEN_SHARE))
    seen = Surface(surface.points[shown], surface.normals[shown])
    placed = fit_from_pose(shape, seen, start, member.noise, KNOWN_POSE_ROUNDS, sided)
    moved = surface.moved(placed.similarity)
    away = KDTree(moved.points[shown]).query(placed.points)[0]
    index = np.flatnonzero(away > HIDDEN_DISTANCE * shape.size)
    if len(index) == 0:
        return np.zeros(0)
    index = rng.choice(index, HIDDEN_POINTS)
    # members may be partial: a point without surface near by has no error
    reach = NORMAL_REACH * shape.size
    codes = [oriented_points(moved.points, moved.normals, sign * reach) for sign in ((1,) if sided else (1, -1))]
    here = np.concatenate([placed.points[index], reach * placed.normals[index]], axis=1)
    match = KDTree(np.concatenate(codes)).query(here)[1] % len(moved.points)
    gap = placed.points[index] - moved.points[match]
    error = np.abs((gap * moved.normals[match]).sum(axis=1))
    matched = np.linalg.norm(gap, axis=1) < UNMATCHED * error + 3 * shape.spacing
    return error[matched] / sigma_of(shape, placed, index[matched])
