"""What is drawn from a prior over codes, and what a prior adds to a poor guess of a code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import zoom
from scipy.spatial import KDTree

from ...field.bricks import BLOCK, TRUNCATION
from ...prior.archive import COARSE
from ...prior.codes import VOXEL, Codes
from ...prior.decode_shape import outline_of
from ...prior.flow import FlowPrior
from ...prior.shape_prior import ShapePrior
from ..claims import Claim
from .shapes import GAUSSIAN, REAL, SAMPLED, Table, turned

WHOLE = 0.98
"""Share of the volume in one piece from which a shape is whole, as where the product draws shapes."""
PULLED, SHRUNK = "N(0, I), aligned to the data's own", "N(0, I), as far toward the mean"
DOUBTS = (0.3, 0.5, 1.0)
"""Noise of a guessed code, per standard deviation of whitened codes."""


@dataclass(frozen=True)
class Drawn:
    """distance: by kind, from each shape to the nearest one of the archive in any orientation, rms voxels of level 0
    between coarse fields; whole: by kind, the volume's share in one piece; strayed: by kind, from a code to that of its
    own outline, in the same unit; codes: by kind; doubt: for every one of DOUBTS the mean square error of denoised
    codes, without a prior 1, by the Gaussian and by the flow."""

    codes: dict[str, Table]
    distance: dict[str, NDArray]
    whole: dict[str, NDArray]
    strayed: dict[str, NDArray]
    doubt: dict[float, tuple[float, float]]


def drawn(real: Table, prior: ShapePrior, made: dict[str, Table], outlined: int, pulled: int) -> Drawn:
    """outlined: shapes of a kind whose pieces are counted; pulled: draws of N(0, I) that are brought to the plausible,
    and as many by KL: straight to the mean, as far."""
    assert prior.archive is not None, "the shipped model has an archive"
    start = made[GAUSSIAN][:pulled]
    ends = np.stack([prior.flow.way(code).codes[-1] for code in start])
    gone, away = (
        np.linalg.norm(prior.flow.whiten(codes) - origin, axis=1)
        for codes, origin in ((ends, prior.flow.whiten(start)), (start, 0))
    )
    shrunk = start + (np.minimum(gone / away, 1)[:, None] * (prior.flow.mean - start)).astype(np.float32)
    codes = {REAL: real, SAMPLED: made[SAMPLED], GAUSSIAN: made[GAUSSIAN], PULLED: ends, SHRUNK: shrunk}
    known = turned(prior.codes, prior.archive.codes)
    weights = prior.codes.scale / np.sqrt(np.float32(len(prior.codes.mean)))
    distance = {kind: nearest(table * weights, known * weights) for kind, table in codes.items()}
    # neighbours in the table of real ones are of one program
    chosen = {kind: table[:outlined] for kind, table in codes.items()} | {REAL: real[:: max(1, len(real) // outlined)]}
    found = {kind: [remeasured(code, prior.codes) for code in table] for kind, table in chosen.items()}
    whole = {kind: np.array([share for _, share in pairs]) for kind, pairs in found.items()}
    strayed = {
        kind: np.linalg.norm((np.stack([back for back, _ in pairs]) - chosen[kind]) * weights, axis=1)
        for kind, pairs in found.items()
    }
    return Drawn(codes, distance, whole, strayed, {doubt: errors(prior.flow, real, doubt) for doubt in DOUBTS})


def remeasured(code: Table, codes: Codes) -> tuple[Table, float]:
    """The code (CODE,) of the solid that a code's outline encloses, and the share of the volume in one piece.

    A code that stands for a shape comes back as itself, but for what coarse voxels blur; one whose field is no distance
    from any surface does not.
    """
    outline = outline_of(code, codes)
    inside = np.asarray(zoom(codes.field_of(code), BLOCK // COARSE, order=3, mode="nearest", grid_mode=True)) < 0
    away = np.full(inside.size, TRUNCATION)
    if len(outline.points):
        axis = (np.arange(BLOCK) + 0.5) * VOXEL - 1
        centres = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
        reach = TRUNCATION * VOXEL
        found = np.asarray(KDTree(outline.points).query(centres, distance_upper_bound=reach)[0])
        away = np.minimum(found, reach) / VOXEL
    return codes.of_field(np.where(inside, -1, 1) * away.reshape(inside.shape)), outline.whole


def nearest(points: NDArray, known: NDArray) -> NDArray[np.float64]:
    """Distances (n,) from points (n, d) to the nearest of known ones (m, d)."""
    squares = np.square(points).sum(axis=1)[:, None] + np.square(known).sum(axis=1) - 2 * points @ known.T
    return np.sqrt(squares.min(axis=1).clip(min=0))


def errors(flow: FlowPrior, real: Table, doubt: float, seed: int = 0) -> tuple[float, float]:
    """Mean square errors of what the Gaussian and the flow make of codes with noise, per variance of the noise.

    The best guess under N(0, I) is y / (1 + doubt^2). Under the flow, x = t y with t = 1 / (1 + doubt) is a
    point at time t, and E[x1 | x] = x + (1 - t) v(x, t).
    """
    true = flow.whiten(real)
    noise = np.random.default_rng(seed).standard_normal(true.shape).astype(np.float32)
    guessed = true + np.float32(doubt) * noise
    time = 1 / (1 + doubt)
    at = np.float32(time) * guessed
    ours = at + np.float32(1 - time) * flow.velocity(at, np.full(len(at), time))
    plain = guessed / (1 + doubt**2)
    left, ours_left = (float(np.square(found - true).mean()) / doubt**2 for found in (plain, ours))
    return left, ours_left


def claims(sets: Sequence[Drawn]) -> list[Claim]:
    """Over sets of draws: rows on samples, on the pull, and on noise."""

    def ratio(one: str, other: str, strayed: bool = False) -> list[float]:
        """Of what is behind ``one`` to the same number behind ``other``."""
        tables = [found.strayed if strayed else found.distance for found in sets]
        return [float(table[one].mean() / table[other][: len(table[one])].mean()) for table in tables]

    def valid(kind: str) -> list[float]:
        return [float((found.whole[kind] >= WHOLE).mean()) for found in sets]

    more_whole = [ours - plain for ours, plain in zip(valid(SAMPLED), valid(GAUSSIAN), strict=True)]
    near, back = "distance to the nearest training shape", "distance to the code of its own outline"
    ours, plain = "samples of the flow", "samples of N(0, I)"
    rows = [
        Claim.over_seeds("P1", f"{near}: {ours} / {plain}", ratio(SAMPLED, GAUSSIAN), high=0.9),
        Claim.over_seeds("P2", f"{near}: {ours} / held-out shapes", ratio(SAMPLED, REAL), 0.7, 1.3),
        Claim.over_seeds("P3", f"{near}: {plain} / held-out shapes", ratio(GAUSSIAN, REAL)),
        Claim.over_seeds("P4", f"{near}: {PULLED} / before", ratio(PULLED, GAUSSIAN), high=1.0),
        Claim.over_seeds("P5", f"{near}: {SHRUNK} / before", ratio(SHRUNK, GAUSSIAN), note=HUB),
        Claim.over_seeds("V1", f"{back}: {ours} / {plain}", ratio(SAMPLED, GAUSSIAN, True), high=0.9),
        Claim.over_seeds("V2", f"{back}: {ours} / held-out shapes", ratio(SAMPLED, REAL, True)),
        Claim.over_seeds("V3", f"{back}: {PULLED} / before", ratio(PULLED, GAUSSIAN, True), high=1.0),
        Claim.over_seeds("V4", f"{back}: {SHRUNK} / before", ratio(SHRUNK, GAUSSIAN, True)),
        Claim.over_seeds("V5", f"share in one piece: {ours} less {plain}", more_whole, 0.0, note=BLOBS),
        Claim.over_seeds("V6", f"share in one piece: {ours}", valid(SAMPLED)),
        Claim.over_seeds("V7", "share in one piece: held-out shapes, from their codes", valid(REAL)),
    ]
    for number, doubt in enumerate(DOUBTS, 1):
        left, left_by_flow = sets[0].doubt[doubt]
        what = f"squared error of codes with noise {doubt:g} sd: flow / Gaussian"
        rows.append(Claim(f"N{number}", what, left_by_flow / left, high=1.0, note=f"Gaussian leaves {left:.2f} of it"))
    return rows


HUB = "the mean of all shapes is nearer to most than they are to one another: nearness alone is no likeness"
BLOBS = "N(0, I) draws blobs, which are whole; of real shapes thin parts fall off at this resolution, too"
