"""The provenance of a fit: its scan, which is kept, and the settings, so that the scan can be fitted again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import bpy
import numpy as np
from numpy.typing import NDArray

from ..backend.protocol.fit_options import PAINTED
from ..context import context
from ..session.backend_fit import SWITCHES, FitSettings
from ..session.slices import Sliced
from . import fit_origin, mesh_io
from .attributes import MeshAttributes, read_shown
from .snapshot import Snapshot


class OriginalScan(NamedTuple):
    """The scan of a fit."""

    scan: mesh_io.ScanArrays
    attributes: MeshAttributes | None  # as of `read_shown`
    linear: NDArray[np.float64]  # as of `mesh_io.object_linear`
    offset: NDArray[np.float64]  # (3,): its place in the world


def note(obj: Any, settings: FitSettings, scan: Any, mesh: Any, modifiers: list[str]) -> None:
    """Note that ``obj`` shows the fit of another object, ``scan``, or of the mesh that it had, with the modifiers of
    these names. One of the two is None."""
    origin = obj.omomi.origin
    origin.scan, origin.mesh, origin.modifiers = scan, mesh, "\n".join(modifiers)
    origin.level, origin.profile = str(settings.options.level), settings.profile
    for name in ("kind", "thickness", *PAINTED, *SWITCHES):
        setattr(origin, name, getattr(settings.options, name))
    for name in PAINTED:
        mask = settings.options.masks.get(name)
        setattr(origin, f"{name}_mask", mask.name if mask else "")


def clear(obj: Any) -> None:
    """Note that ``obj`` shows no fit."""
    origin = obj.omomi.origin
    origin.scan = origin.mesh = None
    fit_origin.note_reading(obj, {})


def name_of(obj: Any) -> str:
    """The name of the scan of the fit that ``obj`` shows."""
    return (obj.omomi.origin.scan or obj).name


def place_of(obj: Any) -> NDArray[np.float64]:
    """The place (3,) in the world of the scan of the fit that ``obj`` shows."""
    return np.array((obj.omomi.origin.scan or obj).matrix_world, np.float64)[:3, 3]


def read(obj: Any, groups: Sequence[str] = ()) -> Sliced:
    """`OriginalScan` of the fit that ``obj`` shows, with the weights in vertex groups. Raises as `Snapshot`."""
    origin = obj.omomi.origin
    # Blender does not evaluate what is hidden, as the scan is by now, but a copy for the moment.
    copy = (origin.scan or obj).copy()
    if copy.override_library is not None:
        copy = copy.make_local(clear_liboverride=True)
    try:
        if origin.mesh is not None:
            copy.data = origin.mesh
            for name in origin.modifiers.splitlines():
                if name in copy.modifiers:
                    copy.modifiers[name].show_viewport = True
        copy.hide_viewport = False
        context.scene.collection.objects.link(copy)
        context.view_layer.update()
        taken = Snapshot(copy, shown=True, name=name_of(obj))
    finally:
        bpy.data.objects.remove(copy)
    return (yield from _read(taken, groups))


def read_shown_now(obj: Any, groups: Sequence[str] = ()) -> Sliced:
    """`OriginalScan` of an object as its modifiers show it, with the weights in vertex groups. Raises as `Snapshot`."""
    return (yield from _read(Snapshot(obj, shown=True), groups))


def _read(taken: Snapshot, groups: Sequence[str]) -> Sliced:
    with taken:
        scan = yield from taken.scan(groups)
        carried = yield from read_shown(taken)
    return OriginalScan(scan, carried, taken.linear, taken.place)
