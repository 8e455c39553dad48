"""The provenance of a fit: its scan, which is kept, and the settings, so that the scan can be fitted again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import bpy
import numpy as np
from numpy.typing import NDArray

from ..context import context
from . import mesh_io

if TYPE_CHECKING:
    from ..session.backend_fit import FitSettings

SHEET = "sheet"


class OriginalScan(NamedTuple):
    """The scan of a fit."""

    scan: mesh_io.ScanArrays
    linear: NDArray[np.float64]  # as of `mesh_io.object_linear`
    offset: NDArray[np.float64]  # (3,): its place in the world


def note(obj: Any, settings: FitSettings, scan: Any, mesh: Any, modifiers: list[str]) -> None:
    """Note that ``obj`` shows the fit of another object, ``scan``, or of the mesh that it had, with the modifiers of
    these names. One of the two is None."""
    origin = obj.omomi.origin
    origin.scan, origin.mesh, origin.modifiers = scan, mesh, "\n".join(modifiers)
    origin.level, origin.profile = str(settings.options.level), settings.profile
    for name in ("kind", "denoise", "fill", "keep_islands", "symmetry"):
        setattr(origin, name, getattr(settings.options, name))


def note_reading(obj: Any, report: Mapping[str, Any]) -> None:
    """Note what the scan of the fit that ``obj`` shows was read as; report: fields of ``CleanReport``."""
    origin = obj.omomi.origin
    origin.found, origin.reason = str(report.get("kind", "")), str(report.get("reason", ""))
    origin.notes = "\n".join(report.get("notes") or ())


def clear(obj: Any) -> None:
    """Note that ``obj`` shows no fit."""
    origin = obj.omomi.origin
    origin.scan = origin.mesh = None
    note_reading(obj, {})


def kind_of(obj: Any, wanted: str) -> str:
    """As what the own mesh of an object is read, where the scene's setting is ``wanted``: the mesh of a fit as the open
    sheet that it is or the closed solid, and a scan as for its fit, unless the setting says otherwise."""
    result = result_of(obj)
    if result is None:
        return wanted
    origin = result.omomi.origin
    if shows_fit(obj):
        return SHEET if is_sheet(result) else "auto"
    return origin.kind if wanted == "auto" else wanted


def shows_fit(obj: Any) -> bool:
    """Whether an object shows a fit, or another completion of one."""
    origin = obj.omomi.origin
    return obj.omomi.completes is not None or origin.scan is not None or origin.mesh is not None


def is_sheet(obj: Any) -> bool:
    """Whether an object shows a fit, or another completion of one, that is open because its scan is a sheet."""
    return (obj.omomi.completes or obj).omomi.origin.found == SHEET


def name_of(obj: Any) -> str:
    """The name of the scan of the fit that ``obj`` shows."""
    return (obj.omomi.origin.scan or obj).name


def result_of(obj: Any) -> Any | None:
    """The object of a fit, where ``obj`` is that object, another completion of the fit, or its scan; else None."""
    group = obj.omomi
    if group.completes is not None:
        return group.completes
    if group.origin.scan is not None or group.origin.mesh is not None:
        return obj
    fits = (other for other in context.scene.objects if other.type == "MESH" and other.omomi.origin.scan == obj)
    return next(fits, None)


def read(obj: Any) -> OriginalScan:
    """The scan of the fit that ``obj`` shows. Raises as `mesh_io.read_scan`."""
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
        scan = mesh_io.read_scan(copy, context.evaluated_depsgraph_get())
        return OriginalScan(scan, mesh_io.object_linear(copy), np.array(copy.matrix_world, np.float64)[:3, 3])
    finally:
        bpy.data.objects.remove(copy)
