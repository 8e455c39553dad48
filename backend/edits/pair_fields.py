"""The two fits of an example in one frame, near what changed, and how wrong an edit is on them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label, uniform_filter
from scipy.spatial import KDTree

from ..field.bricks import TRUNCATION
from ..field.onnx_model import CODE, CancelToken, Model
from ..field.recursion import ScanEvidence, recursion
from ..field.weight_delta import DEEPEST_DELTA
from ..geometry.topology import Betti, betti_of_occupancy
from ..registration.icp import Surface, along_curve
from ..scan.prepare import PreparedScan
from .pair_difference import POINTS, Change

AROUND = 0.12
"""Canonical distance from the change up to which both scans are fitted."""
ROOM = 0.95
"""Largest canonical coordinate of a point in a fit of both scans."""
CERTAIN = 1.5
"""Distances are compared up to here (voxels): beyond, one fit may be truncated and the other not."""
LEAST_CHANGE, NOISE_FACTOR = 0.3, 5.0
"""Voxels, and robust standard deviations of the difference near the surface, that noise does not reach."""
LEAST_PEAK = 1.0
"""Voxels that a region of change must reach somewhere, or twice the above."""
CHANGED_AROUND = 5.5 / 27
"""Share of a voxel's neighbours, itself included, that must have changed too."""
CRUMB = 8
"""Parts and hollows of fewer voxels are noise."""


@dataclass(frozen=True)
class FieldPair:
    """Means (n, n, n) of the fits of one example, level by level, in voxels, and where they are known.

    places: of the change, in the fits' cube; farther than AROUND from all of them, a level may be stored in one fit and
    not in the other. room: canonical units of the before scan in one of the fits', in which both scans have room.
    """

    before: tuple[NDArray[np.float32], ...]
    after: tuple[NDArray[np.float32], ...]
    places: KDTree
    room: float = 1.0
    surfaces: tuple[Surface, Surface] | None = None  # before and after, in the fits' cube
    _changed: dict[int, NDArray[np.float64]] = field(default_factory=dict)  # by level, once it is known

    def known(self, points: NDArray) -> NDArray[np.bool_]:
        """Whether both fits are known at points (k, 3) of their cube."""
        return np.isfinite(self.places.query(points, distance_upper_bound=AROUND / self.room, workers=-1)[0])

    @property
    def topology(self) -> tuple[Betti, Betti]:
        """Of the solids before and after, which differ only where both fits are known."""
        before, after = (means[-1] < 0 for means in (self.before, self.after))
        differ = np.flatnonzero(before != after)
        unknown = differ[~self.known(voxel_centres(differ, len(before)))]
        after.reshape(-1)[unknown] = before.reshape(-1)[unknown]
        return betti_of_occupancy(before, CRUMB), betti_of_occupancy(after, CRUMB)

    def changed(self, number: int) -> NDArray[np.float64]:
        """Centres (k, 3) of the voxels of a level that differ by more than noise does, in the fits' cube."""
        if number in self._changed:
            return self._changed[number]
        before, after = self.before[number], self.after[number]
        difference = np.abs(after.clip(-CERTAIN, CERTAIN) - before.clip(-CERTAIN, CERTAIN))
        band = (np.abs(before) < 2) & (np.abs(after) < 2)
        noise = 1.48 * float(np.median(difference[band])) if band.any() else 0.0
        least = max(LEAST_CHANGE, NOISE_FACTOR * noise)
        large = difference > least
        box = _box(large)
        large[box] &= uniform_filter(large[box].astype(np.float32), 3) > CHANGED_AROUND
        groups, count = cast(tuple[np.ndarray, int], label(large[box]))
        kept = np.zeros(count + 1, bool)
        kept[groups[large[box] & (difference[box] > max(LEAST_PEAK, 2 * least))]] = True
        large[box] = kept[groups]
        centres = voxel_centres(np.flatnonzero(large), len(before))
        self._changed[number] = centres[self.known(centres)]
        return self._changed[number]


def _box(voxels: NDArray[np.bool_]) -> tuple[slice, ...]:
    """The box around all voxels that are set, and one more on every side."""
    found = []
    for axis in range(3):
        held = np.flatnonzero(voxels.any(axis=tuple(other for other in range(3) if other != axis)))
        found.append(slice(max(held[0] - 1, 0), held[-1] + 2) if len(held) else slice(0))
    return tuple(found)


def voxel_centres(voxels: NDArray, resolution: int) -> NDArray[np.float64]:
    """Centres (k, 3) in the cube [-1, 1]^3 of voxels given by their flat indices (k,)."""
    return (np.stack(np.unravel_index(voxels, (resolution,) * 3), axis=1) + 0.5) * (2 / resolution) - 1


def voxels_of(points: NDArray, resolution: int) -> NDArray[np.int64]:
    """The voxels (k, 3) of the cube [-1, 1]^3 that points (k, 3) are in."""
    return ((points + 1) * (resolution / 2)).astype(np.int64).clip(0, resolution - 1)


def pair_fields(
    before: PreparedScan, after: PreparedScan, change: Change, model: Model, cancel: CancelToken
) -> FieldPair | None:
    """Both scans fitted in the canonical frame of the one before; None where nothing changed.

    Away from the change there is only level 0. Raises OmomiError(CANCELLED).
    """
    if not len(change.places):
        return None
    back = change.pose.inverse()
    there = back.points(before.frame.to_canonical(after.frame.to_world(after.points)).astype(np.float64))
    room = max(1.0, float(np.abs(there).max()) / ROOM, float(np.abs(before.points).max()) / ROOM)
    tree = KDTree(change.places[along_curve(change.places)] / room)

    def within(centres: NDArray, reach: float) -> NDArray[np.bool_]:
        return np.isfinite(tree.query(centres, distance_upper_bound=AROUND / room + reach)[0])

    def means(points: NDArray, normals: NDArray) -> tuple[NDArray[np.float32], ...]:
        seen = ScanEvidence((points / room).astype(np.float32), normals.astype(np.float32), before.noise / room, 0.0)
        # where a code is given no level is averaged: a fit takes less time, and the edits that are learned are as good
        plain = np.zeros(CODE, np.float32)
        levels = recursion(seen, DEEPEST_DELTA, model, cancel, lambda *_: None, plain, within=within)
        found = [level.dense() for level in levels]
        while len(found) <= DEEPEST_DELTA:
            # no surface is left in the region: the sides of the level above are all there is
            side = np.copysign(np.float32(TRUNCATION), found[-1])
            found.append(side.repeat(2, axis=0).repeat(2, axis=1).repeat(2, axis=2))
        return tuple(found)

    here = means(before.points, before.normals)
    turned = back.directions(after.normals.astype(np.float64))
    surfaces = (
        Surface(before.points.astype(np.float64) / room, before.normals.astype(np.float64)),
        Surface(there / room, turned),
    )
    found = surfaces[0].thinned(POINTS), surfaces[1].thinned(POINTS)
    return FieldPair(here, means(there, turned), tree, room, found)
