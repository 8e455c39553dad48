"""Movements by example: a ridge regression of displacements on the code of a place, and its posterior.

The code phi(x) of a point is its place in the family's frame, joined with the direction that its surface faces:
Gaussian bumps around inducing points where the examples changed. The edit is W in v(x) = phi(x) W, three columns: to
first order it adds -grad(mu) . phi(x) W to the field, a delta of the head's weights of rank three. Being linear it
scales, adds and fades with a strength and a mask; being a ridge solution it has a Gaussian posterior, which says where
it only guesses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.spatial import KDTree

from ..geometry.smoothing import falloff
from ..registration.icp import Surface, oriented_points
from ..registration.similarity import Similarity
from ..registration.warp import gram, kernel, spread_points
from .pair_difference import Change

RADIUS = 0.08
"""Standard deviation of a bump, in sizes of the reference."""
SPACING = 0.8
"""Distance of the inducing points, in radii."""
MOST_CENTRES = 800
NOISE = 0.1
"""Expected error of an example's displacement, relative to the displacement: the ridge's penalty."""
OWN, OWN_COUNTS = 0.15, 2
"""Share by which members usually have more or less of an edit than others, and how many examples that counts for. With
it the 90 % interval covered .91 on twenty procedural members that no benchmark looks at; without it .78."""
FADE = (1.0, 2.5)
"""Between these distances (radii) from every inducing point the edit fades to nothing."""
SMALLEST = 0.02
"""Displacements below this share of the largest do not count as part of the edit."""
MOST_SAMPLES = 6000
AROUND = 16
"""Inducing points whose moves bound the move of a place. With 4 or 8 the bound jumps from one place to the next: it cut
notches into the wall of a cup whose rim was flared; more than 16 change nothing there."""


@dataclass(frozen=True)
class LearnedMovement:
    """reference: the first example's surface, which fixes the frame of the family (canonical units of that scan).

    codes (m, 6): inducing points and their normals; gains (m, 3); radius of the bumps. factor (m, m): lower Cholesky
    factor of the ridge's normal matrix, and noise: variance of one observation, relative to the square of ``size``:
    noise * |factor^-1 phi|^2 is the posterior's variance at a place. size: root mean square displacement of the
    examples where they changed; disagreement: of the examples, relative to ``size``; examples: how many;
    unexplained: see `Change`, the mean.
    """

    reference: Surface
    codes: NDArray[np.float64]
    gains: NDArray[np.float64]
    radius: float
    factor: NDArray[np.float64]
    noise: float
    size: float
    disagreement: float
    examples: int
    unexplained: float

    @property
    def changes_nothing(self) -> bool:
        return len(self.codes) == 0

    def displacement(self, points: NDArray, normals: NDArray) -> NDArray[np.float64]:
        """Displacement (n, 3) at strength 1 of points (n, 3) with unit normals (n, 3), in the reference's frame."""
        moves = np.zeros((len(points), 3))
        if not self.changes_nothing:
            near, bumps, fade = self._bumps(points, normals)
            moves[near] = self._bounded(points[near], fade[:, None] * (bumps @ self.gains))
        return moves

    def predict(self, points: NDArray, normals: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The displacement, and its standard deviation (n,) per axis in units of ``size``; 1 where nothing is known."""
        moves, doubt = np.zeros((len(points), 3)), np.zeros(len(points))
        if not self.changes_nothing:
            near, bumps, fade = self._bumps(points, normals)
            moves[near] = self._bounded(points[near], fade[:, None] * (bumps @ self.gains))
            # beyond the examples the bumps die away and with them the posterior's own variance: what is missing of a
            # bump's height of one is what no example has seen
            inside = np.clip(bumps.max(axis=1), 0.0, 1.0)
            seen = solve_triangular(self.factor, bumps.T, lower=True, check_finite=False)
            own = self.own * np.linalg.norm(moves[near], axis=1) / self.size
            doubt[near] = np.sqrt(self.noise * (seen**2).sum(axis=0) + (1 - inside) ** 2 * fade + own**2)
        return moves, doubt

    @property
    def own(self) -> float:
        """Standard deviation by which one more member has more or less of the edit than predicted, as a share of it:
        what the examples say, shrunk to what is usual (a scaled inverse chi-squared prior; Gelman et al. 2013,
        "Bayesian data analysis", section 3.3), and the mean of few examples is itself in doubt."""
        freedom = self.examples - 1
        variance = (OWN_COUNTS * OWN**2 + freedom * self.disagreement**2) / (OWN_COUNTS + freedom)
        return float(np.sqrt(variance * (1 + 1 / self.examples)))

    def _bounded(self, points: NDArray, moves: NDArray) -> NDArray[np.float64]:
        """Moves (n, 3) at points (n, 3), none of them longer than those of the inducing points around: at a sharp edge,
        where the bumps of all its sides add up, it would be."""
        tree, length = self._seen
        _, around = tree.query(points, list(range(1, min(AROUND, len(length)) + 1)), workers=-1)  # type: ignore[arg-type]
        most = length[np.asarray(around)].max(axis=1)
        longest = np.linalg.norm(moves, axis=1)
        return moves * np.minimum(1.0, most / np.maximum(longest, 1e-30))[:, None]

    @cached_property
    def _seen(self) -> tuple[KDTree, NDArray[np.float64]]:
        """The inducing points, and how far (m,) each of them moves."""
        moves = kernel(self.codes, self.codes, self.radius) @ self.gains
        return KDTree(self.codes[:, :3]), np.linalg.norm(moves, axis=1)

    def _bumps(self, points: NDArray, normals: NDArray) -> tuple[NDArray[np.intp], NDArray, NDArray]:
        """Indices (k,) of the points in reach of the edit, heights (k, m) of the bumps there, and how much of the edit
        (k,) is left there, 0 .. 1."""
        code = oriented_points(points, normals, self.radius)
        distance, _ = KDTree(self.codes).query(code, distance_upper_bound=FADE[1] * self.radius, workers=-1)
        near = np.flatnonzero(np.isfinite(distance))
        left = falloff((distance[near] / self.radius - FADE[0]) / (FADE[1] - FADE[0]))
        return near, kernel(code[near], self.codes, self.radius), left


def learn(changes: Sequence[Change], into_first: Sequence[Similarity]) -> LearnedMovement:
    """The edit that one or more changes show; into_first: from each change's frame to the first one's."""
    reference = changes[0].surface
    points, normals, moves, changed = [], [], [], []
    for change, similarity in zip(changes, into_first, strict=True):
        points.append(similarity.points(change.surface.points))
        normals.append(similarity.directions(change.surface.normals))
        moves.append(similarity.vectors(change.displacement))
        length = np.linalg.norm(moves[-1], axis=1)
        changed.append(length > SMALLEST * max(length.max(), 1e-12))
    where, facing, move, moving = (np.concatenate(rows) for rows in (points, normals, moves, changed))
    unexplained = float(np.mean([change.unexplained for change in changes]))
    radius = RADIUS * reference.size
    if not moving.any():
        nothing = np.zeros((0, 6)), np.zeros((0, 3)), radius, np.zeros((0, 0)), 0.0, 0.0, 0.0
        return LearnedMovement(reference, *nothing, len(changes), unexplained)
    while True:
        code = oriented_points(where, facing, radius)
        active = np.flatnonzero(moving)
        chosen = active[spread_points(code[active], SPACING * radius)]
        if len(chosen) <= MOST_CENTRES:
            break
        radius *= 1.2
    codes = code[chosen]
    # points around the edit that did not move say where it ends
    limit = FADE[1] * radius
    near = np.flatnonzero(KDTree(codes).query(code, distance_upper_bound=limit, workers=-1)[0] < limit)
    if len(near) > MOST_SAMPLES * len(changes):
        near = np.sort(np.random.default_rng(0).permutation(near)[: MOST_SAMPLES * len(changes)])
    size = float(np.sqrt((move[moving] ** 2).sum(axis=1).mean()))
    bumps = kernel(code[near], codes, radius)
    per_centre = len(near) / len(codes)
    normal = gram(bumps) / per_centre + NOISE**2 * kernel(codes, codes, radius)
    # enough for the factor to be exact in the single precision of a file
    normal[np.diag_indices_from(normal)] += 1e-6 * np.trace(normal) / len(normal)
    factor = cholesky(normal, lower=True, check_finite=False)
    gains = cho_solve((factor, True), bumps.T @ move[near] / per_centre, check_finite=False)
    left = move[near] - bumps @ gains
    disagreement = float(np.sqrt((left**2).sum(axis=1).mean())) / size
    # one independent observation per inducing point and example: neighbouring points err together
    noise = (NOISE**2 + disagreement**2) / len(changes)
    solved = codes, gains, radius, factor, noise, size, disagreement
    return LearnedMovement(reference, *solved, len(changes), unexplained)
