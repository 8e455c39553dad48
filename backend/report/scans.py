"""What the report says of one scan: its picture, its code, and how far its sliders reach."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..edits.attributes import attribute
from ..edits.collision_margin import collision_margin
from ..edits.displacement import Movement, displacement_of
from ..edits.fitted_scan import EditableMesh, FittedScan, OnProgress
from ..edits.reach import STEPS, Reach, swept_reach
from ..edits.shape_sliders import shape_edit
from ..field.fit import ignore
from ..geometry.moving_solid import enough_steps, moving_solid
from ..prior.shape_prior import ShapePrior
from ..protocol.names import ATTRIBUTES
from ..protocol.requests import EditTarget
from .pictures import mesh_picture


@dataclass(frozen=True)
class ScanLook:
    """What the report says of one scan."""

    name: str
    picture: NDArray[np.uint8]  # RGBA
    code: NDArray[np.float32] | None  # (d,)
    why_not: str = ""  # why there is no code
    reaches: tuple[Reach, ...] = ()
    plausibility: float | None = None  # share of real shapes that are no more plausible


def look(
    fitted: FittedScan, prior: ShapePrior | None, quick: bool = False, on_progress: OnProgress = ignore
) -> ScanLook:
    """Look at a fitted scan. quick: foretell the reaches instead of sweeping. on_progress may raise. Raises OmomiError
    where the scan is not fitted."""
    mesh = fitted.mesh(EditTarget.FIT)
    on_progress(0.0, "drawing")
    picture = mesh_picture(mesh.vertices, mesh.faces)
    code, plausibility = None, None
    if prior is not None:
        code = prior.codes.of_mesh(mesh.vertices, mesh.faces)
        plausibility = float(prior.flow.plausibility(prior.flow.score(code[None]))[0])
    shapes = [] if prior is None else list(prior.sliders)
    reaches = []
    for number, name in enumerate((*ATTRIBUTES, *shapes)):
        on_progress((number + 1) / (len(ATTRIBUTES) + len(shapes) + 1), f"how far {name} reaches")
        if name in ATTRIBUTES:
            reaches.append(attribute_reach(fitted, mesh, name, quick))
        elif prior is not None:
            reaches.append(shape_reach(fitted, mesh, name, prior, quick))
    why_not = "" if code is not None else "This model has no prior over whole shapes, so the scan cannot be placed."
    return ScanLook(fitted.scan.name, picture, code, why_not, tuple(reaches), plausibility)


def attribute_reach(fitted: FittedScan, mesh: EditableMesh, name: str, quick: bool = False) -> Reach:
    """How far a built-in attribute reaches on a fitted scan."""
    known = ATTRIBUTES[name]
    movement = attribute(name, fitted.scan, fitted.fit)
    return movement_reach(mesh, movement, name, known.unit, known.low, known.high, quick)


def shape_reach(fitted: FittedScan, mesh: EditableMesh, name: str, prior: ShapePrior, quick: bool = False) -> Reach:
    """How far a slider of the shape reaches on a fitted scan."""
    made = shape_edit(name, fitted.scan, fitted.fit, prior)
    return movement_reach(mesh, made.movement, name, prior.sliders[name].unit, made.low, made.high, quick)


def movement_reach(
    mesh: EditableMesh, movement: Movement, name: str, unit: str, low: float, high: float, quick: bool = False
) -> Reach:
    """How far a movement reaches on a closed mesh, between strengths ``low`` <= 0 and ``high`` >= 0."""
    whole = displacement_of(movement, mesh.vertices, mesh.normals)
    if quick:
        told = collision_margin(mesh.vertices, mesh.normals, whole.move, low, high)
        return Reach(name, unit, low, high, told.margin, foretold=True)
    path = (high - low) * float(np.linalg.norm(whole.move, axis=1).max(initial=0.0))
    solid = moving_solid(mesh.vertices, mesh.faces, whole.move)
    return swept_reach(solid, name, unit, low, high, max(STEPS, enough_steps(path)))
