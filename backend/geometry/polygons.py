"""Triangles of polygons: fans where these cover them, as they do convex ones, and ears elsewhere.

Ear clipping: G. H. Meisters, Polygons Have Ears (1975). Of the ears, the best shaped is cut first. Polygons of about
the same size are cut together, one ear each at a time.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MOST_WORK = 3e7
"""Sum of the squared sizes of polygons that no fan covers: some ten seconds. Larger ones are no faces of a mesh."""
MOST_TRIANGLES = 100_000_000
FANNED = 5
"""Corners up to which one of a polygon's fans covers it, whatever its shape: triangles of five corners share one."""
FLAT = 1e-12
"""Twice the area of a triangle that counts as none, in squared sizes of its polygon."""
SAME = 1e-9
"""Corners nearer to each other than this, in sizes of their polygon, are one place: bridges to holes have such."""
BENT = 1e-7
"""A triangle is turned over when its area against the polygon exceeds this share of the polygon's own."""
LOOKS = 8
"""So often all corners are looked at again where no ear is known; then the widest corner is cut."""


def triangulate(points: NDArray, corners: NDArray, sizes: NDArray) -> NDArray[np.int64]:
    """Triangles i64 (t, 3) of polygons, as places in the list of all corners, polygon by polygon.

    points: (n, 3); corners: (c,) numbers of points, of one polygon after another; sizes: (p,). A polygon of n corners
    gives n - 2 triangles that cover it once, wound as it is; one that crosses itself gives as many that do not. Less
    than three corners give none. Where corners name points that are not there, all polygons are cut as fans.

    Raises ValueError where polygons that no fan covers have too many corners, or all together too many triangles.
    """
    sizes = np.asarray(sizes, np.int64)
    if np.all(sizes == 3):
        return np.arange(3 * len(sizes)).reshape(-1, 3)
    counts = np.maximum(sizes - 2, 0)
    if counts.sum() > MOST_TRIANGLES:
        raise ValueError(f"its polygons are more than {MOST_TRIANGLES:,} triangles")
    first = np.cumsum(sizes) - sizes
    start = np.cumsum(counts) - counts
    step = np.arange(counts.sum()) - np.repeat(start, counts)
    base = np.repeat(first, counts)
    found = np.stack([base, base + step + 1, base + step + 2], axis=1)
    if not len(corners) or corners.min() < 0 or corners.max() >= len(points):
        return found
    concave = _concave(points, corners, first, sizes)
    for size in range(4, FANNED + 1):
        rows = concave[sizes[concave] == size]
        for part in np.array_split(rows, 1 + len(rows) // (1 << 14)):
            local = _best_fan(points, corners[first[part][:, None] + np.arange(size)])
            found[start[part][:, None] + np.arange(size - 2)] = local + first[part][:, None, None]
    concave = concave[sizes[concave] > FANNED]
    if (sizes[concave].astype(float) ** 2).sum() > MOST_WORK:
        raise ValueError("its polygons have too many corners to be divided into triangles")
    classes = np.ceil(np.log2(np.maximum(sizes[concave], 1)))
    for size in np.unique(classes):
        # the largest first: those that are done are the last rows then
        rows = concave[classes == size]
        rows = rows[np.argsort(-sizes[rows], kind="stable")]
        local = _ears(_flattened(points, corners, first[rows], sizes[rows]), sizes[rows])
        kept = np.arange(local.shape[1]) < counts[rows][:, None]
        places = (start[rows][:, None] + np.arange(local.shape[1]))[kept]
        found[places] = (local + first[rows][:, None, None])[kept]
    return found


def _concave(points: NDArray, corners: NDArray, first: NDArray, sizes: NDArray) -> NDArray[np.intp]:
    """Numbers of the polygons whose fan around the first corner has a triangle that is turned over."""
    found = []
    for size in np.unique(sizes[sizes > 3]):
        rows = np.flatnonzero(sizes == size)
        # parts that stay in the processor's cache
        for part in np.array_split(rows, 1 + len(rows) * int(size) // (1 << 16)):
            places = points.take(corners[first[part][:, None] + np.arange(size)], axis=0)
            x, y, z = (places[:, 1:, axis] - places[:, :1, axis] for axis in range(3))
            # places without a finite size are damaged, and any triangles do for them
            with np.errstate(over="ignore", invalid="ignore"):
                turned = [p[:, :-1] * q[:, 1:] - q[:, :-1] * p[:, 1:] for p, q in ((y, z), (z, x), (x, y))]
                whole = [normal.sum(axis=1, keepdims=True) for normal in turned]
                along = np.sum([one * every for one, every in zip(turned, whole, strict=True)], axis=0)
                square = np.sum([every * every for every in whole], axis=0)
            found.append(part[(along < -BENT * square).any(axis=1)])
    return np.concatenate(found) if found else np.zeros(0, np.intp)


def _best_fan(points: NDArray, corners: NDArray) -> NDArray[np.int64]:
    """Triangles (p, k - 2, 3), local corners, of polygons (p, k): of the fans around each corner that whose smallest
    triangle is largest, those that are turned over being smaller than any other."""
    places = points[corners].astype(np.float64)
    size = corners.shape[1]
    with np.errstate(over="ignore", invalid="ignore"):
        normal = _newell(places)[:, None]
        worth = np.empty((size, len(corners)))
        fans = (np.arange(size)[:, None] + np.arange(size)) % size
        for around, fan in enumerate(fans):
            a, b, c = places[:, fan[:1]], places[:, fan[1:-1]], places[:, fan[2:]]
            worth[around] = (np.cross(b - a, c - a) * normal).sum(axis=2).min(axis=1)
    best = np.nan_to_num(worth, nan=-np.inf).argmax(axis=0)
    triangles = np.stack([np.stack([np.full(size - 2, fan[0]), fan[1:-1], fan[2:]], axis=1) for fan in fans])
    return triangles[best]


def _newell(places: NDArray) -> NDArray[np.float64]:
    """Normals (p, 3), twice the area long, of polygons (p, k, 3); corners at the end may be repeated."""
    centred = places - places.mean(axis=1, keepdims=True)
    return np.cross(centred, np.roll(centred, -1, axis=1)).sum(axis=1)


def _flattened(points: NDArray, corners: NDArray, first: NDArray, sizes: NDArray) -> NDArray[np.float64]:
    """Corners (p, k, 2) of polygons on planes of their own, counter-clockwise, of size 1; the last one is repeated."""
    within = np.minimum(np.arange(sizes.max()), sizes[:, None] - 1)
    places = points[corners[first[:, None] + within]].astype(np.float64)
    places = places - places.mean(axis=1, keepdims=True)
    normal = _newell(places)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-300)
    # any direction across the normal
    helper = np.eye(3)[np.abs(normal).argmin(axis=1)]
    across = np.cross(helper, normal)
    across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-300)
    axes = np.stack([across, np.cross(normal, across)], axis=2)
    flat = places @ axes
    return flat / np.maximum(np.ptp(flat, axis=1).max(axis=1), 1e-300)[:, None, None]


def _ears(flat: NDArray, sizes: NDArray) -> NDArray[np.int64]:
    """Triangles (p, k - 2, 3), local corners, of polygons (p, k, 2) of falling sizes (p,); rows end earlier for those
    of less than k corners."""
    count, most = flat.shape[:2]
    number = np.arange(most)
    alive = number < sizes[:, None]
    before = np.where(number == 0, sizes[:, None] - 1, number - 1)
    after = np.where(number == sizes[:, None] - 1, 0, number + 1)
    worth = np.full((count, most), -np.inf)

    def look(rows: NDArray, corner: NDArray) -> None:
        """Values the ears at one corner (r,) of each of the rows (r,) of polygons."""
        a, b, c = flat[rows, before[rows, corner]], flat[rows, corner], flat[rows, after[rows, corner]]
        worth[rows, corner] = _worth(a, b, c, flat[rows], alive[rows])

    every = np.arange(count)
    for corner in range(most):
        rows = every[alive[:, corner]]
        look(rows, np.full(len(rows), corner))
    found = np.zeros((count, most - 2, 3), np.int64)
    looks = LOOKS
    for cut in range(most - 2):
        # the rows of polygons that are not cut up yet
        rows = every[: np.searchsorted(-sizes, -(cut + 2), side="left")]
        best = worth[rows].argmax(axis=1)
        stuck = rows[worth[rows, best] < 0]
        if len(stuck) and looks:
            # what was cut away may have stood in the way
            looks -= 1
            for corner in range(most):
                some = stuck[alive[stuck, corner]]
                look(some, np.full(len(some), corner))
            best = worth[rows].argmax(axis=1)
        ahead, behind = before[rows, best], after[rows, best]
        found[rows, cut] = np.stack([ahead, best, behind], axis=1)
        after[rows, ahead], before[rows, behind] = behind, ahead
        alive[rows, best], worth[rows, best] = False, -np.inf
        look(rows, ahead)
        look(rows, behind)
    return found


def _worth(a: NDArray, b: NDArray, c: NDArray, corners: NDArray, alive: NDArray) -> NDArray[np.float64]:
    """How well shaped (r,) the triangles a, b, c (r, 2) are, from 0 to 1; below 0 for no ear, less for narrower ones.

    A triangle is an ear of its polygon, corners (r, k, 2) where they are alive (r, k), when it turns left and no corner
    lies in it.
    """
    area = _turn(a, b, c)
    longest = np.maximum(((b - a) ** 2).sum(axis=1), ((c - b) ** 2).sum(axis=1))
    longest = np.maximum(longest, ((a - c) ** 2).sum(axis=1))
    shape = np.where(area > FLAT, area / np.maximum(longest, FLAT), 0)
    within = alive.copy()
    for start, end in ((a, b), (b, c), (c, a)):
        within &= _turn(start[:, None], end[:, None], corners) >= -FLAT
        within &= np.abs(corners - start[:, None]).max(axis=2) > SAME
    return np.where(within.any(axis=1) | (area < -FLAT), area.clip(-4, 4) - 8, shape)


def _turn(a: NDArray, b: NDArray, c: NDArray) -> NDArray[np.float64]:
    """Twice the signed area of triangles in the plane: above 0 where a, b, c turn left."""
    return (b[..., 0] - a[..., 0]) * (c[..., 1] - a[..., 1]) - (b[..., 1] - a[..., 1]) * (c[..., 0] - a[..., 0])
