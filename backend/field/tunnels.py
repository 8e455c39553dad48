"""Small tunnels through walls that nobody measured: noise of the network, which is closed on the coarse levels.

The morphological closing of the solid fills tunnels, and with them every crease (Serra 1982, "Image analysis and
mathematical morphology"). Of what it fills those parts stay that raise the Euler number b0 - b1 + b2 of the solid and
shut no hollow off from the outside.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import ndtri

from ..geometry.topology import euler_of_occupancy
from .bricks import ABSENT_LOG_SCALE, BRICK, TRUNCATION, BrickGrid, Level

LEVELS = (1, 2)
"""Finer levels are too large to look at as a whole, and follow these where nothing was measured."""
STEPS = False, True
"""The closing grows the solid by the voxels that share a face with it, then by those that share a corner, and shrinks
it again. Chosen with `UNSURE` among eight such rows on `scans/valid`, condition D: longer ones closed as many true
tunnels as false ones."""
UNSURE = 0.5
"""Mean scale (voxels) of the field in a tunnel above which nobody measured it."""
SOFT = 0.6
"""Voxels: standard deviation of the blur that makes a distance of the voxels of a closed tunnel. A wall of one voxel
stays."""
AROUND = 2
"""Voxels around a closed tunnel whose field changes with it."""


def closed(level: Level) -> Level:
    """A level of `LEVELS` whose small tunnels are closed where nobody measured, with their number.

    Bricks away from them keep their bits, and no brick is added.
    """
    mean, log_scale = level.dense(0), level.dense(1, ABSENT_LOG_SCALE)
    margin = 2 * (len(STEPS) + AROUND)
    # a closing reaches no farther from the solid
    box = _box((log_scale > np.log(UNSURE)) & (np.abs(mean) < TRUNCATION), margin)
    if box is None:
        return level
    plugs, number = _plugs(mean < 0, box, np.exp(log_scale[box]))
    if not number:
        return level
    near = _box(plugs, margin)
    assert near is not None, "what closes a tunnel has voxels"
    before = mean[near]
    # the blurred solid is the normal distribution's integral across a plane
    blurred = ndimage.gaussian_filter((before < 0) | plugs[near], SOFT, output=np.float32)
    distance = -SOFT * ndtri(blurred.clip(1e-3, 1 - 1e-3))
    grown = ndimage.binary_dilation(plugs[near], np.ones((3, 3, 3)), AROUND)
    weight = (2 * ndimage.gaussian_filter(grown, 1.0, output=np.float32)).clip(0, 1)
    mean[near] += weight * np.minimum(distance - before, 0)
    values = level.grid.values.copy()
    count = level.resolution // BRICK
    rows = ((level.grid.coords >= 0) & (level.grid.coords < count)).all(axis=1)
    x, y, z = level.grid.coords[rows].T
    values[rows, 0] = mean.reshape((count, BRICK) * 3)[x, :, y, :, z]
    return replace(level, grid=BrickGrid(level.grid.coords, values), closed=number)


def _closing(solid: NDArray) -> NDArray[np.bool_]:
    """The morphological closing of a solid (x, y, z) by `STEPS`."""
    padded = np.pad(solid, len(STEPS))
    for corners in STEPS:
        padded = _grown(padded, corners)
    padded = ~padded
    for corners in STEPS:
        padded = _grown(padded, corners)
    inner = (slice(len(STEPS), -len(STEPS)),) * 3
    return ~padded[inner]


def _grown(solid: NDArray, corners: bool) -> NDArray[np.bool_]:
    """A solid (x, y, z) and the voxels that share a face with it, or a corner: a fifth of the time of
    `ndimage.binary_dilation`."""
    grown = solid.copy()
    for axis in range(3):
        source = grown.copy() if corners else solid
        old, new = np.moveaxis(source, axis, 0), np.moveaxis(grown, axis, 0)
        new[1:] |= old[:-1]
        new[:-1] |= old[1:]
    return grown


def _plugs(solid: NDArray, box: tuple[slice, ...], scale: NDArray) -> tuple[NDArray[np.bool_], int]:
    """The voxels (n, n, n) that close tunnels of a solid (n, n, n) where nobody measured, and the number of these
    tunnels. box: outside of which all is sure; scale: of the field within it, in voxels."""
    labels = np.zeros(solid.shape, np.int32)
    count = ndimage.label(_closing(solid[box]) & ~solid[box], np.ones((3, 3, 3)), labels[box])
    numbers = np.arange(1, count + 1)
    unsure = ndimage.mean(scale, labels[box], numbers) > UNSURE if count else np.zeros(0, bool)
    boxes, raised = ndimage.find_objects(labels), np.zeros(count + 1, int)
    for number in numbers[unsure]:
        around = tuple(slice(max(side.start - 2, 0), side.stop + 2) for side in boxes[number - 1])
        part = labels[around] == number
        raised[number] = euler_of_occupancy(solid[around] | part)[0] - euler_of_occupancy(solid[around])[0]
    taken = raised > 0
    near = _box(solid, len(STEPS)) if taken.any() else None
    if near is not None:
        # beyond lies the outside
        labels_near = labels[near]
        taken[labels_near[_shut_off(solid[near], taken[labels_near])]] = False
    return taken[labels], int(raised[taken].sum())


def _shut_off(solid: NDArray, plugs: NDArray) -> NDArray[np.bool_]:
    """The voxels (n, n, n) that touch a hollow which plugs shut off from the outside."""
    whole = (slice(1, -1),) * 3
    before, _ = ndimage.label(np.pad(~solid, 1, constant_values=True))
    after, _ = ndimage.label(np.pad(~(solid | plugs), 1, constant_values=True))
    return ndimage.binary_dilation((before == before[0, 0, 0]) & (after > 0) & (after != after[0, 0, 0]))[whole]


def _box(mask: NDArray, margin: int) -> tuple[slice, ...] | None:
    """The box of a mask (x, y, z) with a margin; None where it is empty."""
    ends = [np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    if not len(ends[0]):
        return None
    return tuple(slice(max(int(found[0]) - margin, 0), int(found[-1]) + margin + 1) for found in ends)
