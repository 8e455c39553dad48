"""What an edit does to the topology of the solid that a mesh encloses."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..geometry.moving_solid import Reading, read_solid
from ..geometry.topology import describe
from .collision_margin import CollisionMargin, collision_margin
from .displacement import Displacement
from .fitted_scan import EditableMesh

_unmoved: dict[int, tuple[weakref.ref[EditableMesh], Reading]] = {}
"""By identity of the shell: what it is like before any edit, so that a second check is not slower for it."""


def check_topology(shell: EditableMesh, move: NDArray) -> dict[str, Any] | None:
    """Pieces, tunnels and hollows before and after a displacement (n, 3), canonical; None where the mesh has no inside.

    {"before", "after": Betti, "change": a sentence, or "" where nothing changes, "unstable": whether that depends on
    how the grid joins its voxels, as for walls and gaps as thin as they are}.
    """
    if not shell.closed:
        return None
    before = _before(shell)
    after = read_solid(shell.vertices + move, shell.faces) if np.any(move) else before
    changed = after.betti != before.betti
    return {
        "before": before.betti,
        "after": after.betti,
        "change": describe(before.betti, after.betti) if changed else "",
        "unstable": after.odd(before) is not None,
    }


def layer_margin(shell: EditableMesh, unit: Displacement, low: float, high: float) -> CollisionMargin:
    """How far a layer can go from strength 0 before walls meet, without a sweep; see `collision_margin`."""
    return collision_margin(shell.vertices, shell.normals, unit.move, low, high)


def _before(shell: EditableMesh) -> Reading:
    known = _unmoved.get(id(shell))
    if known is not None and known[0]() is shell:
        return known[1]
    found = read_solid(shell.vertices, shell.faces)
    number = id(shell)
    _unmoved[number] = (weakref.ref(shell, lambda _: _unmoved.pop(number, None)), found)
    return found
