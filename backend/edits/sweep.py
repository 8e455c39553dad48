"""The topology, volume and area of a mesh while one layer of its edits goes through its strengths."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ErrorCode, refuse
from ..field.fit import ignore
from ..field.onnx_model import CancelToken, Model
from ..geometry.measure import volume_and_area
from ..geometry.moving_solid import enough_steps, moving_solid
from ..geometry.phase_diagram import phase_picture
from ..geometry.topology import Betti, describe
from ..geometry.topology_sweep import Solid, Sweep, denser, refine, sweep
from .displacement import Displacement
from .edited_solid import EditedSolid, made_anew
from .fitted_scan import EditableMesh, OnProgress
from .stack import EditSession

FINENESS = 256
"""Changes are found to this part of the range."""
ROUGH = 8
"""Steps at the finest detail of a sweep of what the network makes; where a coarser one changes, it is looked at too."""
MADE_FINENESS = 64
"""To this part of the range where the network makes every mesh."""
NEAREST = 4
"""So many changes on either side are found to `FINENESS`, and looked at for whether the solid grows there."""


@dataclass(frozen=True)
class Turn:
    """A change of topology at a strength, known to within ``give`` on both sides; grows: whether the solid gains or
    loses material there, None where it cannot be told; change: a sentence."""

    strength: float
    give: float
    before: Betti
    after: Betti
    grows: bool | None
    change: str


@dataclass(frozen=True)
class LayerSweep:
    """strengths f64 (n,), rising; betti i64 (n, 3): pieces, tunnels and hollows there; unstable bool (n,): rows that
    depend on the grid; safe: strengths between which the topology stays, around 0 where a layer moves the surface and
    around the present strength where the network makes it; volume and area f64 (n,), world units; picture: SVG, UTF-8.
    """

    strengths: NDArray[np.float64]
    betti: NDArray[np.int64]
    unstable: NDArray[np.bool_]
    safe: tuple[float, float]
    transitions: tuple[Turn, ...]
    volume: NDArray[np.float64]
    area: NDArray[np.float64]
    picture: bytes
    shown: tuple[float, float] | None = None  # strengths around 1 between which the network makes one topology

    def to_json(self) -> dict[str, Any]:
        """{"safe", "shown": or null, "transitions": [{"strength", "change"}], "unstable": strengths, "rows":
        [{"strength", "b0", "b1", "b2", "volume", "area"}], "picture": SVG}."""
        columns = (self.strengths, *self.betti.T, self.volume, self.area)
        names = ("strength", "b0", "b1", "b2", "volume", "area")
        return {
            "safe": list(self.safe),
            "shown": self.shown and list(self.shown),
            "transitions": [{"strength": turn.strength, "change": turn.change} for turn in self.transitions],
            "unstable": self.strengths[self.unstable].tolist(),
            "rows": [dict(zip(names, row, strict=True)) for row in zip(*(c.tolist() for c in columns), strict=True)],
            "picture": self.picture.decode(),
        }


def sweep_stack(
    session: EditSession,
    strengths: Sequence[float],
    number: int,
    low: float,
    high: float,
    steps: int,
    on_progress: OnProgress,
    model: Model | None = None,
    cancel: CancelToken | None = None,
) -> LayerSweep:
    """`sweep_layer` of a session's layer ``number``, or `sweep_solid` where the network makes the new mesh of a fit. A
    layer that brings strengths back to a range is swept within it. Raises as `Stack.strengths` and `Stack.layer` too.
    """
    stack = session.stack
    session.fitted.need_inside("a sweep follows the topology of")
    acting = stack.strengths(strengths)
    layer, fitted = stack.layer(number)
    ends = fitted.within(low), fitted.within(high)
    title = f"{layer.edit} on {session.fitted.scan.name}"
    if made_anew(session, acting, number):
        solid = EditedSolid(session, acting, number, model, cancel)
        present = min(max(acting[number], ends[0]), ends[1])
        return sweep_solid(solid, present, *ends, steps, stack.scale, title, on_progress)
    return sweep_layer(stack.mesh, stack.displacements, acting, number, *ends, steps, stack.scale, title, on_progress)


def sweep_layer(
    mesh: EditableMesh,
    displacements: Sequence[Displacement],
    strengths: Sequence[float],
    layer: int,
    low: float,
    high: float,
    steps: int,
    scale: float = 1.0,
    title: str = "Topology along the slider",
    on_progress: OnProgress = ignore,
) -> LayerSweep:
    """What happens while ``layer`` goes from ``low`` to ``high``, the others staying at their ``strengths``. scale:
    canonical units in a world unit; on_progress may raise.

    The range is looked at in ``steps`` steps; around 0, where nothing changes, in as many as `enough_steps` says. Other
    changes than the `NEAREST` ones are known to within a step.

    Raises OmomiError: NOT_A_MESH where the mesh has no inside; BAD_OPTION for a layer that is not there, an empty range
    or no steps.
    """
    if not mesh.closed:
        refuse("this mesh is not closed, so that it has no inside: edit its fit instead", ErrorCode.NOT_A_MESH)
    if not 0 <= layer < len(displacements):
        refuse(f"there is no layer {layer}")
    if not (np.isfinite([low, high]).all() and low < high):
        refuse(f"a sweep needs two rising strengths, not {low:g} and {high:g}")
    move = displacements[layer].move
    start = mesh.vertices - strengths[layer] * move
    for unit, strength in zip(displacements, strengths, strict=True):
        start = start + strength * unit.move
    path = (high - low) * float(np.linalg.norm(move, axis=1).max(initial=0.0))
    looks = itertools.count(1)

    def look() -> None:
        # how many more there are once changes are found is not known before
        number = next(looks)
        on_progress(number / (number + steps / 3), f"strength {number}")

    solid = moving_solid(start, mesh.faces, move).watched(look)
    home, present = (min(max(strength, low), high) for strength in (0.0, strengths[layer]))
    found = denser(solid, sweep(solid, low, high, steps, check=True), np.array([home]))
    if (count := enough_steps(path)) > steps:
        first, last = np.searchsorted(found.strengths, found.safe_interval(home)).tolist()
        rows, fine = np.pad(found.strengths, 1, mode="edge"), np.linspace(low, high, count + 1)
        found = denser(solid, found, fine[(rows[first] < fine) & (fine < rows[last + 2])])
    found = refine(solid, found, (high - low) / FINENESS, home, NEAREST)
    safe, unstable = found.safe_interval(home), found.unstable
    assert unstable is not None and solid.grows is not None
    changes = found.transitions
    above = [change for change in changes if change.high > home]
    near = [*changes[: len(changes) - len(above)][-NEAREST:], *above[:NEAREST]]
    turns = []
    for change in changes:
        grows = solid.grows(change.low, change.high) if change in near else None
        sentence = describe(change.before, change.after, grows=grows)
        give = (change.high - change.low) / 2
        turns.append(Turn(change.strength, give, change.before, change.after, grows, sentence))
    sizes = [volume_and_area(start + strength * move, mesh.faces) for strength in found.strengths.tolist()]
    volume, area = np.array(sizes).T
    picture = phase_picture(found.strengths, found.betti, safe, unstable, title, at=present)
    return LayerSweep(
        found.strengths, found.betti, unstable, safe, tuple(turns), volume / scale**3, area / scale**2, picture
    )


def sweep_solid(
    solid: EditedSolid,
    present: float,
    low: float,
    high: float,
    steps: int,
    scale: float = 1.0,
    title: str = "Topology along the slider",
    on_progress: OnProgress = ignore,
) -> LayerSweep:
    """What the network makes of a fit from strength ``low`` to ``high``, around the ``present`` one.

    The level above the finest is looked at first, in ``steps`` steps: where it changes, the finest is looked at. Rows
    are unstable where these two do not change alike from the present strength. Raises as `sweep_layer` and
    `EditedSolid.mesh`.
    """
    looks, count = itertools.count(1), steps + ROUGH + 1

    def look() -> None:
        number = next(looks)
        on_progress(number / (number + count / 3), f"strength {number}")

    def at(level: int) -> Solid:
        return Solid(lambda strength: solid.reading(strength, level).betti).watched(look)

    above, finest = at(max(solid.levels - 2, 0)), at(-1)
    coarse = sweep(above, low, high, steps)
    named = [value for value in (0.0, 1.0, present) if low <= value <= high]
    ends = [end for change in coarse.transitions for end in (change.low, change.high)]
    strengths = np.unique([*np.linspace(low, high, ROUGH + 1), *named, *ends])
    rough = Sweep(strengths, np.array([finest.betti(strength) for strength in strengths.tolist()], np.int64))
    found = refine(finest, rough, (high - low) / MADE_FINENESS)
    rows = [solid.reading(strength) for strength in found.strengths.tolist()]
    volume, area = np.array([row.volume for row in rows]), np.array([row.area for row in rows])
    start = np.array([solid.reading(present, level).betti for level in (solid.levels - 1, max(solid.levels - 2, 0))])
    other = np.array([above.betti(strength) for strength in found.strengths.tolist()])
    unstable = (found.betti - start[0] != other - start[1]).any(axis=1)
    turns = []
    for row, change in zip(found.changes.tolist(), found.transitions, strict=True):
        # an edit goes in proportion to its strength, so that where it adds it adds all along
        grows = bool(volume[row + 1] > volume[row])
        sentence, give = describe(change.before, change.after, grows=grows), (change.high - change.low) / 2
        turns.append(Turn(change.strength, give, change.before, change.after, grows, sentence))
    safe = found.safe_interval(present)
    picture = phase_picture(found.strengths, found.betti, safe, unstable, title, at=present)
    shown = found.safe_interval(1.0) if low <= 1 <= high else None
    sizes = volume / scale**3, area / scale**2
    return LayerSweep(found.strengths, found.betti, unstable, safe, tuple(turns), *sizes, picture, shown)
