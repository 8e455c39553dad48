"""Where the layers of a stack, and the options of a fit, act on a scan."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import refuse
from ..field.bricks import voxel_size
from ..formats.raw_scan import RawScan
from ..protocol.fit_options import FitOptions
from ..protocol.mask_ref import ROW, MaskRef
from ..protocol.recipe import Layer
from ..protocol.requests import EditTarget
from ..scan.prepare import LONGEST_SIDE, PreparedScan
from .fitted_scan import FittedScan
from .masks import BorderMask, BoxMask, Mask, NearestMask, PaintedMask, SphereMask

BORDER = 0.03
"""Width, in sizes of the scan, of the rim of a sheet in which edits fade out: three voxels at the usual detail."""


def regions_of(
    fitted: FittedScan, layers: Sequence[Layer], masks: NDArray[np.float32] | None
) -> list[Mask | None]:
    """The mask of every layer; on a sheet also one that leaves its border alone. masks: see `EditSession.lay`.

    Raises OmomiError(BAD_OPTION).
    """
    rows = _rows(fitted, masks)
    regions = [
        None if layer.mute or layer.mask is None else _region(fitted, layer.mask, layer.edit, rows) for layer in layers
    ]
    if not fitted.is_sheet:
        return regions
    # what moved at the border of a sheet would tear it off what it lies beside
    mesh = fitted.mesh(EditTarget.SCAN if fitted.fit is None else EditTarget.FIT)
    return [BorderMask(mesh.vertices, mesh.faces, BORDER * LONGEST_SIDE, region) for region in regions]


def fit_masks(
    raw: RawScan, scan: PreparedScan, options: FitOptions, masks: NDArray[np.float32] | None
) -> dict[str, NearestMask]:
    """The masks of a fit's options, as `field.fit` takes them; masks: as of `FitRequest`.

    Raises OmomiError(BAD_OPTION).
    """
    fitted = FittedScan(raw, scan, level=options.level)
    rows = _rows(fitted, masks)
    return {
        name: NearestMask.of(_region(fitted, mask, name, rows), scan.points, scan.normals)
        for name, mask in options.masks.items()
    }


def _rows(fitted: FittedScan, masks: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """Masks that were sent end to end, each as a row."""
    sent, count = np.zeros(0, np.float32) if masks is None else masks, len(fitted.raw.points)
    if len(sent) % max(count, 1):
        refuse(f"a mask has one weight for each of the scan's {count:,} points, and {len(sent):,} is no multiple")
    return sent.reshape(-1, count) if count else sent.reshape(0, 0)


def _region(fitted: FittedScan, mask: MaskRef, what: str, rows: NDArray[np.float32]) -> Mask:
    """what: the mask is of, in the sentence where it was not given."""
    if mask.kind == "box":
        return BoxMask(mask.low, mask.high, mask.falloff)  # type: ignore[arg-type]
    if mask.kind == "sphere":
        return SphereMask(mask.centre, mask.radius, mask.falloff)  # type: ignore[arg-type]
    if mask.kind != ROW or mask.row is None or mask.row >= len(rows):
        refuse(f"the mask of {what} was not given")
    weights, voxel = rows[mask.row], voxel_size(fitted.level)
    if fitted.raw.faces is None or not len(fitted.raw.faces):
        return PaintedMask(fitted.to_canonical(fitted.raw.points), weights, voxel)
    own = fitted.mesh(EditTarget.SCAN)
    return PaintedMask.of_mesh(own.vertices, own.faces, weights, voxel, own.normals)
