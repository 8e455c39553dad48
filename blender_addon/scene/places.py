"""Where a learned edit acts on a scan: the places that the backend has found, and the one that the artist gives.

The backend counts positions from the scan's place in the world, as `mesh_io` does. Places that were found are kept in
the local frame of the scan, so that they go along with it. The artist's own is an object, in the world.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import bpy
import numpy as np
from mathutils import Matrix, Vector
from numpy.typing import NDArray

from ..backend.protocol.recipe import Point
from ..context import context
from . import mesh_io

# On an empty that Omomi has made. What the artist has made is neither moved nor removed.
MARK = "omomi_place"
# Size of such an empty, as a share of the longest side of its scan.
SIZE = 0.1


class Place(NamedTuple):
    """A place of the part that an edit changes; the members are those of the property group."""

    use: bool
    location: Point  # in the local frame of the scan


def without(edit: Any) -> tuple[int, ...]:
    """Numbers of the places that the edit leaves alone. The artist's own place stands for all that were found."""
    return () if edit.at is not None else tuple(n for n, place in enumerate(edit.places) if not place.use)


def given(scan: Any, marker: Any | None) -> Point | None:
    """Where an object that marks a place is, as the backend has positions of this scan; None without one, and for one
    that is deleted: Blender keeps it in the file as long as an edit refers to it."""
    if marker is None or context.scene.objects.get(marker.name) != marker:
        return None
    there, here = (np.array(obj.matrix_world, np.float64)[:3, 3] for obj in (marker, scan))
    x, y, z = (there - here).tolist()
    return x, y, z


def in_world(scan: Any, place: Any) -> Vector:
    """Where a place is that was found on a scan."""
    return scan.matrix_world @ Vector(place.location)


def chosen_again(known: Sequence[Any], found: Any, linear: NDArray[np.float64]) -> tuple[Place, ...]:
    """Places found (n, 3), posed. Each is used as the known one next to it, whatever its number was. Where that does
    not pair them one to one, these are other places, and all are used. linear: as of `mesh_io.object_linear`."""
    posed = np.asarray(found, np.float64).reshape(-1, 3)
    before = np.array([place.location for place in known], np.float64).reshape(-1, 3) @ linear.T
    use = [True] * len(posed)
    if len(known) == len(posed) > 0:
        nearest = np.linalg.norm(posed[:, None] - before, axis=2).argmin(axis=1)
        if len(set(nearest.tolist())) == len(posed):
            use = [bool(known[number].use) for number in nearest]
    local = (posed @ np.linalg.inv(linear).T).tolist()
    return tuple(Place(used, (x, y, z)) for used, (x, y, z) in zip(use, local, strict=True))


def write(edit: Any, found: Sequence[Place]) -> None:
    """Keep the places that were found with an edit."""
    if len(edit.places) != len(found):
        edit.places.clear()
        for _ in found:
            edit.places.add()
    for kept, place in zip(edit.places, found, strict=True):
        kept.location = place.location
        # A choice that is written is one that has to be shown.
        if kept.use != place.use:
            kept.use = place.use


def mark(scan: Any, edit: Any, where: Any) -> Any:
    """Put the empty of an edit to a place (3,) in the world, and return it. One is made where the edit has none of its
    own."""
    marker = edit.place
    if not _is_own(marker) or given(scan, marker) is None:
        marker = bpy.data.objects.new(f"{edit.name} on {scan.name}", None)
        marker[MARK] = True
        marker.empty_display_type = "SPHERE"
        marker.empty_display_size = SIZE / 2 * max(scan.dimensions)
        marker.show_in_front = marker.show_name = marker.hide_render = True
        mesh_io.homes(scan)[0].objects.link(marker)
    marker.matrix_world = Matrix.Translation(where)
    # Written last, and with the matrix up to date, for it is read at once.
    context.view_layer.update()
    edit.place = marker
    return marker


def clear(edit: Any) -> None:
    """Take the artist's own place from an edit, and remove the empty that was made for it."""
    marker = edit.place
    if marker is None:
        return
    removed = _is_own(marker)
    edit.place = None
    if removed:
        bpy.data.objects.remove(marker)


def _is_own(marker: Any | None) -> bool:
    """Whether Omomi made an empty, and for one edit alone: the copy of a scan has the place of its original."""
    if marker is None or MARK not in marker:
        return False
    objects: Any = bpy.data.objects
    return sum(edit.place == marker for obj in objects for edit in obj.omomi.edits) == 1
