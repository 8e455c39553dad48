"""Edits that are movements of a shape's code: the sliders that the model has names for, and the way to the plausible.

A movement of the code changes the field of level 0 linearly. Where the surface is, the field is a distance, so the
surface moves along its normal by what the field loses there: coarse, smooth, and the scan's own detail rides along.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from ..errors import ErrorCode, OmomiError, refuse
from ..field.fit import Fit
from ..geometry.smoothing import SmoothedMesh
from ..prior.archive import COARSE
from ..prior.codes import VOXEL, Codes
from ..prior.shape_prior import ShapePrior
from ..scan.prepare import PreparedScan
from .attributes import SurfaceMovement, facing_of, reach_of, surface_of

PLAUSIBLE = "plausible"
"""Not a direction but a way: at strength 1 the shape is as plausible as real ones are, wherever it comes from."""


@dataclass(frozen=True)
class ShapeEdit:
    """movement: of a scan at strength 1. low, high: strengths that it is made for; strict: whether others are brought
    back to these; warnings: what an artist should know of it."""

    movement: SurfaceMovement
    low: float
    high: float
    strict: bool = False
    warnings: tuple[str, ...] = ()


def heights_of(codes: Codes, delta: NDArray, points: NDArray) -> NDArray[np.float64]:
    """How far outwards (n,), canonical, surface at points (n, 3) goes when the code moves by delta (CODE,).

    Between the voxels by a cubic spline, whose curvature is continuous: nothing of the grid shows on the surface.
    """
    places = (np.asarray(points, np.float64) + 1) * (COARSE / 2) - 0.5
    return -VOXEL * map_coordinates(codes.change(delta).astype(np.float64), places.T, order=3, mode="nearest")


def range_of(name: str, prior: ShapePrior) -> tuple[float, float]:
    """Strengths that an edit is made for. Raises OmomiError(BAD_OPTION) where there is none of this name."""
    if name == PLAUSIBLE:
        return 0.0, 1.0
    if name not in prior.sliders:
        refuse(f"there is no shape slider '{name:.80}': there are {', '.join((*prior.sliders, PLAUSIBLE))}")
    return prior.sliders[name].low, prior.sliders[name].high


def shape_edit(
    name: str, scan: PreparedScan, fit: Fit | None, prior: ShapePrior, moved: NDArray | None = None
) -> ShapeEdit:
    """An edit of the shape of one scan: a slider of the card at one unit, or PLAUSIBLE.

    moved (n, 3): where other edits bring the vertices of the fit, canonical; the way to the plausible starts there.
    Raises OmomiError(BAD_OPTION) where there is no such slider or the scan is not fitted.
    """
    low, high = range_of(name, prior)
    if fit is None:
        raise OmomiError(ErrorCode.BAD_OPTION, f"{name} needs a fit of {scan.name}.")
    surface = surface_of(scan, fit)
    there = surface if moved is None else SmoothedMesh(np.asarray(moved, np.float64), surface.faces)
    if name == PLAUSIBLE:
        way = prior.flow.descent(prior.codes.of_mesh(there.vertices, there.faces))
        delta = way.codes[-1] - way.codes[0]
        warnings = () if delta.any() else ("This shape is as usual as real ones are: there is nothing to do.",)
    else:
        delta, warnings = prior.sliders[name].delta, ()
    heights = heights_of(prior.codes, delta, there.vertices)
    movement = SurfaceMovement(
        surface.vertices, surface.faces, facing_of(there), heights, reach_of(scan, fit), flattens=False
    )
    return ShapeEdit(movement, low, high, name == PLAUSIBLE, warnings)
