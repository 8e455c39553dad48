"""The strength of an edit at which a measure of the moved mesh has a wanted value."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from ..errors import ErrorCode, refuse
from ..field.fit import ignore
from ..field.onnx_model import CancelToken, Model
from ..geometry.measure import mean_thickness, volume_and_area
from ..geometry.moving_solid import enough_steps, moving_solid
from ..geometry.topology_sweep import sweep
from .displacement import Displacement
from .edited_solid import EditedSolid, made_anew
from .fitted_scan import EditableMesh, OnProgress
from .stack import EditSession
from .sweep import sweep_solid

SAMPLES = 8
"""Strengths at which a range is looked at before a root is sought: a measure need not rise all along."""
FINENESS = 1e-4
"""The strength is found to this part of the range."""
CLOSE = 1e-3
"""The measure counts as reached within this part of the wanted value."""
ROUNDING = 1e-12
"""Of a measure, by which a strength at the end of a range may miss the target."""
AXES = ("length_x", "length_y", "length_z")
SOLID_MEASURES = ("thickness", "volume")
MEASURES = (*SOLID_MEASURES, "area", *AXES)


@dataclass(frozen=True)
class Solution:
    """strength: where the measure is ``measured``, reached: which is what was wanted. safe: the strengths around 0,
    or around 1 where the network makes the new meshes, between which the topology stays, None where that is not known.
    """

    strength: float
    reached: bool
    measured: float
    safe: tuple[float, float] | None
    warnings: tuple[str, ...]


def solve_strength(
    measure_at: Callable[[float], float],
    target: float,
    low: float,
    high: float,
    safe: Callable[[float], tuple[float, float] | None] = ignore,
) -> Solution:
    """The strength nearest to 0, from ``low`` to ``high``, at which a measure has the value ``target``.

    safe: finds out for a strength between which ones the topology stays. Raises OmomiError: BAD_OPTION for an empty
    range or a target that is no number, NO_SOLUTION where the measure does not reach the target.
    """
    if not (np.isfinite([target, low, high]).all() and low < high):
        refuse(f"no strength from {low:g} to {high:g} can be sought for {target:g}")
    # the present strength is one of them, so that a value that is there already needs no edit
    strengths = np.union1d(np.linspace(low, high, SAMPLES + 1), [min(max(0.0, low), high)])
    values = np.array([measure_at(strength) for strength in strengths.tolist()])
    over = values - target
    met = np.abs(over) <= ROUNDING * max(abs(target), float(np.ptp(values)))
    roots = [float(strengths[row]) for row in np.flatnonzero(met)]
    for row in np.flatnonzero(over[:-1] * over[1:] < 0):
        ends = float(strengths[row]), float(strengths[row + 1])
        # scipy's annotations allow for a second result, which comes only when asked for
        root = brentq(lambda strength: measure_at(strength) - target, *ends, xtol=FINENESS * (high - low))
        roots.append(float(root))  # type: ignore[arg-type]
    if not roots:
        span = f"{np.nanmin(values):.4g} to {np.nanmax(values):.4g}"
        why = f"strengths from {low:.3g} to {high:.3g} reach values from {span}, not {target:.4g}"
        refuse(why, ErrorCode.NO_SOLUTION)
    strength = min(roots, key=abs)
    measured = measure_at(strength)
    bounds = safe(strength)
    reached = abs(measured - target) <= CLOSE * max(abs(target), float(np.ptp(values)))
    warnings = []
    if bounds is not None and not bounds[0] <= strength <= bounds[1]:
        warnings.append(
            f"The topology changes before this strength: it stays as it is from {bounds[0]:.3g} to {bounds[1]:.3g}."
        )
    if not reached:
        warnings.append(f"The measure jumps over {target:.4g}: {measured:.4g} is as near as it comes.")
    return Solution(strength, reached, measured, bounds, tuple(warnings))


def solve_stack(
    session: EditSession,
    strengths: Sequence[float],
    number: int,
    measure: str,
    target: float,
    on_progress: OnProgress,
    low: float | None = None,
    high: float | None = None,
    model: Model | None = None,
    cancel: CancelToken | None = None,
) -> Solution:
    """`solve_layer` of a session's layer ``number``, or `solve_solid` where the network makes the new mesh of a fit, by
    default within the strengths that its edit is made for. Raises as `Stack.strengths` and `Stack.layer` too."""
    if measure in SOLID_MEASURES:
        session.fitted.need_inside(f"the {measure} is that of")
    stack = session.stack
    acting = stack.strengths(strengths)
    _, fitted = stack.layer(number)
    low, high = fitted.seen[0] if low is None else low, fitted.seen[1] if high is None else high
    wanted = number, measure, target, fitted.within(low), fitted.within(high)
    if made_anew(session, acting, number):
        solid = EditedSolid(session, acting, number, model, cancel)
        return solve_solid(solid, *wanted[1:], stack.scale, on_progress)
    return solve_layer(stack.mesh, stack.displacements, acting, *wanted, stack.scale, on_progress)


def solve_layer(
    mesh: EditableMesh,
    displacements: Sequence[Displacement],
    strengths: Sequence[float],
    layer: int,
    measure: str,
    target: float,
    low: float,
    high: float,
    scale: float = 1.0,
    on_progress: OnProgress = ignore,
) -> Solution:
    """The strength of one layer of edits on a mesh, the others staying at their ``strengths``.

    measure: one of MEASURES, of the moved mesh, and target: its value, both in world units; scale: canonical units in a
    world unit; on_progress may raise. Raises OmomiError: as `solve_strength`; BAD_OPTION for an unknown measure or
    layer; NOT_A_MESH where the measure needs an inside and the mesh has none.
    """
    _need_measure(measure)
    if not 0 <= layer < len(displacements):
        refuse(f"there is no layer {layer}")
    if measure in SOLID_MEASURES and not mesh.closed:
        refuse(f"this mesh is not closed, so that it has no {measure}", ErrorCode.NOT_A_MESH)
    move = displacements[layer].move
    start = mesh.vertices.copy()
    for number, (unit, strength) in enumerate(zip(displacements, strengths, strict=True)):
        if number != layer:
            start += strength * unit.move

    looks = itertools.count(1)

    def look() -> None:
        # how many there will be is not known before
        number = next(looks)
        on_progress(number / (number + 10), "looking for the strength")

    def measure_at(strength: float) -> float:
        look()
        return measured(start + strength * move, mesh.faces, measure, scale)

    def safe(strength: float) -> tuple[float, float] | None:
        if not mesh.closed or strength == 0:
            return None
        ends = min(strength, 0.0), max(strength, 0.0)
        path = (ends[1] - ends[0]) * float(np.linalg.norm(move, axis=1).max(initial=0.0))
        return sweep(moving_solid(start, mesh.faces, move).watched(look), *ends, enough_steps(path)).safe_interval(0.0)

    return solve_strength(measure_at, target, low, high, safe)


def solve_solid(
    solid: EditedSolid,
    measure: str,
    target: float,
    low: float,
    high: float,
    scale: float = 1.0,
    on_progress: OnProgress = ignore,
) -> Solution:
    """`solve_layer` for what the network makes. Its ``safe`` strengths are those around 1, which the examples of an
    edit show, with one topology; None where 1 is not in the range. Raises as that and `EditedSolid.mesh`."""
    _need_measure(measure)
    looks = itertools.count(1)

    def measure_at(strength: float) -> float:
        number = next(looks)
        on_progress(number / (number + SAMPLES), "looking for the strength")
        made = solid.mesh(strength)
        return np.nan if made is None else measured(made.vertices, made.faces, measure, scale)

    found = solve_strength(measure_at, target, low, high)
    if not low <= 1 <= high:
        return found
    swept = sweep_solid(solid, found.strength, low, high, SAMPLES, on_progress=on_progress)
    assert swept.shown is not None
    least, most = swept.shown
    there = solid.reading(found.strength).betti, solid.reading(1.0).betti
    said = f"The topology here is not the one at strength 1, which stays from {least:.3g} to {most:.3g}."
    return replace(found, safe=swept.shown, warnings=(*found.warnings, *([said] if there[0] != there[1] else [])))


def _need_measure(measure: str) -> None:
    if measure not in MEASURES:
        refuse(f"there is no measure '{measure:.80}': there are {', '.join(MEASURES)}")


def measured(vertices: NDArray, faces: NDArray, measure: str, scale: float = 1.0) -> float:
    """One of MEASURES of a mesh with canonical vertices, in world units."""
    if measure in AXES:
        axis = AXES.index(measure)
        return float(np.ptp(vertices[np.unique(faces), axis])) / scale
    if measure == "thickness":
        return mean_thickness(vertices, faces) / scale
    volume, area = volume_and_area(vertices, faces)
    return area / scale**2 if measure == "area" else volume / scale**3
