"""The flat base of a scan: what stood on a table was not seen from below.

A plane that supports the scan, at which the surface ends all around, is closed by a flat face. It is none where the
face itself was seen, where what can be seen through it is the inside of a vessel, or where the surface turns into the
plane and so would run on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

from ..field.completion_prior import CompletionPrior
from ..scan.prepare import PreparedScan
from .symmetry import thinned

SOURCE = "a flat base"
NOTE = "Its flat bottom was not seen: a plane closes it. Turn the flat base off to let the network close it."

POINTS = 20_000
"""Scan points that a base is looked for in."""
FACETS, SEEDS = 12, 300
"""Planes that are tried, from this many of the largest facets of the convex hull."""
LEAST_SIDE = 0.02
"""Least area, canonical, of the facets of a plane that is tried: a noisy rim has some of its facets elsewhere."""
FLAT, SAME_FACET = np.cos(np.radians(4)), np.cos(np.radians(8))
"""Facets whose normals differ by less than the first say how large a plane is; by less than the second, are its own."""
TOLERANCE, TOLERANCE_OF_NOISE = 0.012, 3.0
"""A point lies in a plane within this (canonical), and within so many standard deviations of the noise."""
NARROWING = (6.0, 4.0, 3.0, 2.0, 2.0)
"""Tolerances within which the outermost points count for the plane, step by step."""
SECTORS, FEWEST_ENDS = 48, 16
"""Sectors around the middle whose lowest points the plane goes through, and how many of them have to lie in it."""
BEYOND = 0.002
"""Most of the points that may lie beyond the plane: stray ones."""
CELL = 0.02
"""Side of the plane's cells, canonical."""
GAPS = (3, 8)
"""Cells. The rim is closed across gaps of twice as many; of what it then encloses, the largest base counts."""
MARGIN = 2
"""Cells from the rim inwards that say nothing of what is within it."""
LEAST_AREA, LEAST_SHARE = 0.1, 0.08
"""Least area of a base, canonical: that of a disc of radius .18; and its least share of what is seen from below. The
area chosen on `scans/valid` with faces taken away: .15 misses a true base, .07 finds three more false ones in views of
one side."""
OCCUPIED = ((0.45, LEAST_AREA, 0.7), (0.25, 0.2, 0.83), (-1.0, LEAST_AREA, 0.95))
"""Least share of the rim at which the surface ends in the plane, where more than the first share of the points do not
face away from it and the base has the second area: a scan that was seen from more sides may have a rim that is broken
or ragged, but a small face within one is a web. Chosen as the area, the second row in views of three sides and of
things on a table, and by looking at them."""
SEEN, FACING = 0.1, 0.7
"""Most of the base that may be measured, and the cosine with the plane's normal from which on a point is on it."""
MOSTLY_SEEN = 0.7
"""A side whose outermost points face outwards more often than this is looked at no further: it was seen."""
THROUGH, TOWARDS = 0.1, 0.3
"""Most of the base through which a surface can be seen that faces it, by this cosine: the inside of a vessel."""
FLOOR, THICKEST_FLOOR = 0.5, 0.1
"""From this share of the base on that has a floor above it, nearer than the second (canonical), what is above may have
an inside of its own: a cup. A surface farther off that faces away is the bottom of a cup, seen from outside."""
INWARD = 0.2
"""Most of the points of the walls near the plane that face its middle: a tube."""
RUNS_OUT, STEEPEST = 0.5, np.cos(np.radians(30))
"""Least share of the rim's points at which the surface ends within 60 degrees of the plane's normal, as it does where
the cosine of their normals with the plane's is below this."""
GRAZING, ALL_AROUND = -0.15, 0.03
"""A scan whose normals hardly ever turn from the plane farther than this cosine was seen from one side: the border is
what that view saw, and the surface runs on behind it."""
OPPOSITE, ALIKE = -0.7, 0.4
"""Planes whose normals have a smaller cosine are the two ends of a tube, if the smaller has this share of the area."""
LAST = 0.75
"""Quantile of the outermost points of the sectors at which the face lies: the others end a spacing before it."""
SPACING = 0.006
"""Of the points of the base, canonical: with the weight of completions as dense as those of a scan."""
SIGMA = 0.02
"""Standard deviation of the base, canonical: bottoms are a little hollow."""


class FlatBase(NamedTuple):
    """A flat face, canonical."""

    normal: np.ndarray  # f64 (3,), unit, outwards
    offset: float  # normal . x of its points
    area: float
    points: np.ndarray  # f32 (n, 3), evenly on it


def base_prior(scan: PreparedScan, walls: CompletionPrior | None = None) -> tuple[CompletionPrior, FlatBase] | None:
    """The flat base that a scan stood on; None where it has none. ``walls``: unseen sides of its walls, through whose
    mouth they are seen."""
    points, normals = scan.points, scan.normals
    if walls is not None:
        points, normals = np.concatenate([points, walls.points]), np.concatenate([normals, walls.normals])
    base = find_base(points, normals, scan.noise)
    if base is None:
        return None
    count = len(base.points)
    normals = np.tile(base.normal.astype(np.float32), (count, 1))
    return CompletionPrior(base.points, normals, np.full(count, SIGMA, np.float32), SOURCE, notes=(NOTE,)), base


def find_base(points: np.ndarray, normals: np.ndarray, noise: float) -> FlatBase | None:
    """The base of a scan, points and unit normals f32 (n, 3), canonical; noise: standard deviation, canonical.

    None without one, and where two lie opposite: something that ends in two planes is a tube or a part of something.
    """
    points, normals = (found.astype(np.float64) for found in thinned(points, normals, POINTS))
    tolerance = max(TOLERANCE, TOLERANCE_OF_NOISE * noise)
    found = [
        base
        for normal in _hull_normals(points)
        if (plane := _fitted_plane(points, normals, normal, tolerance)) is not None
        for base in _Section.of(points, normals, *plane, tolerance).bases()
    ]
    best = max(found, key=lambda base: base.area, default=None)
    if best is None or any(base.normal @ best.normal < OPPOSITE and base.area > ALIKE * best.area for base in found):
        return None
    return best


def _hull_normals(points: np.ndarray) -> list[np.ndarray]:
    """Mean normals (3,) of the largest clusters of facets of the convex hull."""
    try:
        hull = ConvexHull(points)
    except QhullError:
        return []
    corners = points[hull.simplices]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    facing, area = hull.equations[:, :3], np.linalg.norm(across, axis=1) / 2
    large = np.argsort(-area, kind="stable")[:SEEDS]
    # facets of one plane, and then all that are nearly in it
    flat = (facing[large] @ facing.T > FLAT) @ area
    found: list[np.ndarray] = []
    while len(found) < FACETS and flat.max(initial=0) >= LEAST_SIDE:
        seed = facing[large[flat.argmax()]]
        mean = (facing * area[:, None])[facing @ seed > SAME_FACET].sum(axis=0)
        flat[facing[large] @ seed > SAME_FACET] = 0
        found.append(mean / np.linalg.norm(mean))
    return found


def _fitted_plane(
    points: np.ndarray, normals: np.ndarray, normal: np.ndarray, tolerance: float
) -> tuple[np.ndarray, float] | None:
    """The plane through the outermost points along a normal in the sectors around it: unit normal (3,) and offset.
    None where they do not lie in one, or most of them face outwards."""
    height: np.ndarray = points @ normal
    offset = 0.0
    outermost = height > np.quantile(height, 1 - BEYOND / 4) - 2 * tolerance
    if np.mean(normals[outermost] @ normal > FACING) > MOSTLY_SEEN:
        return None
    for reach in NARROWING:
        height = points @ normal
        low = np.flatnonzero(height > np.quantile(height, 1 - BEYOND / 4) - 2 * reach * tolerance)
        flat = points[low] @ _axes(normal).T
        turn = np.arctan2(*(flat - (flat.min(axis=0) + flat.max(axis=0)) / 2).T)
        sector = ((turn / (2 * np.pi) + 0.5) * SECTORS).astype(int) % SECTORS
        # the outermost of each sector
        high_to_low = np.argsort(height[low], kind="stable")[::-1]
        order = high_to_low[np.argsort(sector[high_to_low], kind="stable")]
        ends = low[order[np.unique(sector[order], return_index=True)[1]]]
        offset = float(np.median(height[ends]))
        ends = ends[np.abs(height[ends] - offset) < reach * tolerance]
        if len(ends) < FEWEST_ENDS:
            return None
        middle = points[ends].mean(axis=0)
        fitted = np.linalg.svd(points[ends] - middle, full_matrices=False)[2][2]
        fitted *= np.sign(fitted @ normal)
        if fitted @ normal < SAME_FACET:
            return None
        normal, offset = fitted, float(np.quantile(points[ends] @ fitted, LAST))
    return normal, offset


def _axes(normal: np.ndarray) -> np.ndarray:
    """Two unit vectors (2, 3) across a normal."""
    return np.linalg.svd(normal[None])[2][1:]


@dataclass(frozen=True)
class _Section:
    """A scan at a plane, whose cells are those of a grid."""

    normal: np.ndarray
    offset: float
    corner: np.ndarray  # (2,) of the grid, in the plane
    depth: np.ndarray  # (n,), of each point above the plane, seen from outside: below zero beyond it
    facing: np.ndarray  # (n,), cosine of its normal with the plane's
    across: np.ndarray  # (n, 2), its normal in the plane
    cell: np.ndarray  # i64 (n, 2)
    rim: np.ndarray  # bool (n,), whether it lies in the plane
    shape: tuple[int, int]  # of the grid
    tolerance: float

    @classmethod
    def of(
        cls, points: np.ndarray, normals: np.ndarray, normal: np.ndarray, offset: float, tolerance: float
    ) -> _Section:
        axes = _axes(normal)
        flat = points @ axes.T
        corner = flat.min(axis=0) - (GAPS[-1] + 2) * CELL
        cell = ((flat - corner) / CELL).astype(np.int64)
        rows, columns = cell.max(axis=0) + GAPS[-1] + 3
        depth, facing = offset - points @ normal, normals @ normal
        rim = np.abs(depth) < 2 * tolerance
        return cls(normal, offset, corner, depth, facing, normals @ axes.T, cell, rim, (rows, columns), tolerance)

    def bases(self) -> Iterator[FlatBase]:
        """The faces that may close the scan here."""
        if np.mean(self.depth < -2 * self.tolerance) > BEYOND or np.mean(self.facing > GRAZING) < ALL_AROUND:
            # the scan goes on beyond the plane, or is one view from the other side
            return
        if np.mean(np.abs(self.facing[self.rim]) < STEEPEST) < RUNS_OUT / 2:
            return
        rim, below = self._cells(self.rim), np.count_nonzero(self._cells(np.ones(len(self.cell), bool)))
        for gap in GAPS:
            ball = _ball(gap)
            inside = ndimage.binary_fill_holes(ndimage.binary_dilation(rim, ball))
            inside = ndimage.binary_erosion(inside, ball)
            cells = np.count_nonzero(inside)
            if cells * CELL**2 >= LEAST_AREA and cells >= LEAST_SHARE * below and self._ends_at(inside):
                yield FlatBase(self.normal, self.offset, cells * CELL**2, self._grid(inside))

    def _ends_at(self, inside: np.ndarray) -> bool:
        """Whether the scan ends at the face that covers these cells (r, c), and nothing tells of another."""
        within = ndimage.binary_erosion(inside, _ball(MARGIN))
        size = np.count_nonzero(within)
        edge = inside & ~ndimage.binary_erosion(inside)
        at_rim = ndimage.binary_dilation(self._cells(self.rim), _ball(MARGIN))
        sides = np.mean(self.facing > GRAZING)
        area = np.count_nonzero(inside) * CELL**2
        occupied = next(least for more, enough, least in OCCUPIED if sides > more and area >= enough)
        if not size or np.count_nonzero(edge & at_rim) < occupied * np.count_nonzero(edge):
            return False
        if np.count_nonzero(within & self._cells(self.rim & (self.facing > FACING))) > SEEN * size:
            return False
        outer = self.rim & ~within[tuple(self.cell.T)]
        if np.mean(np.abs(self.facing[outer]) < STEEPEST) < RUNS_OUT:
            return False
        facing, depth = self._nearest()
        if np.count_nonzero(within & (facing > TOWARDS)) > THROUGH * size:
            return False
        floor = np.count_nonzero(within & (facing < -TOWARDS) & (depth < THICKEST_FLOOR)) / size
        return floor >= FLOOR or self._inward_share(inside) <= INWARD

    def _cells(self, chosen: np.ndarray) -> np.ndarray:
        """Whether each cell holds one of the chosen points."""
        held = np.zeros(self.shape, bool)
        held[tuple(self.cell[chosen].T)] = True
        return held

    def _nearest(self) -> tuple[np.ndarray, np.ndarray]:
        """Of the point nearest to the plane in each cell: cosine (r, c) with the plane's normal, and depth (r, c); NaN
        where there is none."""
        facing, depth = np.full((2, *self.shape), np.nan)
        order = np.argsort(-self.depth, kind="stable")
        # of several for one cell the last counts
        at = tuple(self.cell[order].T)
        facing[at], depth[at] = self.facing[order], self.depth[order]
        return facing, depth

    def _inward_share(self, inside: np.ndarray) -> float:
        """Share of the walls' points near the plane that face the middle of the cells (r, c)."""
        away = ndimage.gaussian_filter(ndimage.distance_transform_edt(inside), 2)
        slope = np.stack(np.gradient(away), axis=-1)
        slope /= np.linalg.norm(slope, axis=-1, keepdims=True) + 1e-9
        at = tuple(self.cell.T)
        wall = inside[at] & (np.abs(self.depth) < 6 * self.tolerance) & (np.abs(self.facing) < FACING)
        inward = (self.across * slope[at]).sum(axis=1) > 0.5
        return float(np.count_nonzero(inward & wall) / max(np.count_nonzero(wall), 1))

    def _grid(self, inside: np.ndarray) -> np.ndarray:
        """Points f32 (n, 3) spread evenly over the face."""
        count = np.array(self.shape) * round(CELL / SPACING)
        step = CELL * np.array(self.shape) / count
        row, column = np.meshgrid(*(np.arange(number) for number in count), indexing="ij")
        places = (np.stack([row, column], axis=-1).reshape(-1, 2) + 0.5) * step
        kept = inside[tuple((places / CELL).astype(np.int64).T)]
        flat = places[kept] + self.corner
        return (flat @ _axes(self.normal) + self.offset * self.normal).astype(np.float32)


def _ball(radius: int) -> np.ndarray:
    """Cells within a distance of the middle one."""
    row, column = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    return row**2 + column**2 <= radius**2 + 1
