"""Which object shows the fit of a scan, and what the scan was read as."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..context import context
from . import mesh_io

SHEET = "sheet"


def result_of(obj: Any) -> Any | None:
    """The object of a fit, where ``obj`` is that object, another completion of the fit, or its scan; else None."""
    if (fit := fit_at(obj)) is not None:
        return fit
    fits = (other for other in context.scene.objects if other.type == "MESH" and other.omomi.origin.scan == obj)
    return next(fits, None)


def fit_at(obj: Any) -> Any | None:
    """The object of a fit, where ``obj`` is that object or another completion of the fit, and not its scan; else
    None."""
    return obj.omomi.completes or obj if shows_fit(obj) else None


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


def level_of(obj: Any, wanted: int) -> int:
    """The detail of the own mesh of an object: what it was made at, else ``wanted``."""
    return int((obj.omomi.completes or obj).omomi.origin.level) if mesh_io.is_made(obj.data) else wanted


def shows_fit(obj: Any) -> bool:
    """Whether an object shows a fit, or another completion of one."""
    origin = obj.omomi.origin
    return obj.omomi.completes is not None or origin.scan is not None or origin.mesh is not None


def is_sheet(obj: Any) -> bool:
    """Whether an object shows a fit, or another completion of one, that is open because its scan is a sheet."""
    return (obj.omomi.completes or obj).omomi.origin.found == SHEET


def note_reading(obj: Any, report: Mapping[str, Any]) -> None:
    """Note what the scan of the fit that ``obj`` shows was read as; report: fields of ``CleanReport``."""
    origin = obj.omomi.origin
    origin.found, origin.reason = str(report.get("kind", "")), str(report.get("reason", ""))
    origin.notes = "\n".join(report.get("notes") or ())
