"""Fits the scan of a fit again and gives the fit's object the new mesh, in place of its own."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import bpy

from ..context import context
from ..scene import fit_origin, fit_provenance
from ..text import refuse
from . import edits
from .backend_fit import FitSettings, need
from .fits import FitRun
from .object_run import RunObject
from .task import Client


class RefitRun(FitRun):
    """Fits the scan of one fit again. The object of the fit keeps its name, its place and its edits."""

    def __init__(self, client: Client, result: Any, settings: FitSettings, *, stream: bool) -> None:
        refuse(why_not(result))
        self._result = result.session_uid
        scan = result.omomi.origin.scan
        super().__init__(client, [scan or result], settings, replace=scan is None, stream=stream)
        # The scan is read here, where it can be seen as it was.
        with _as_before(result):
            self.step()

    def _place(self, item: RunObject, obj: Any) -> Any:
        result = need(self._result, "The fit")
        refuse(why_not(result))
        if result == obj:
            with _as_before(result):
                return super()._place(item, obj)
        made = super()._place(item, obj)
        old, result.data = result.data, made.data
        fit_provenance.note(result, self._settings, obj, None, [])
        fit_origin.note_reading(result, item.result.report)
        bpy.data.objects.remove(made)
        if not old.users:
            bpy.data.meshes.remove(old)
        result.data.name = result.name
        result.select_set(True)
        context.view_layer.objects.active = result
        edits.settle(result)
        return result


def why_not(result: Any) -> str | None:
    """The reason why this fit cannot be made anew, or None."""
    scan, layer = result.omomi.origin.scan, context.view_layer.objects
    if result.library is not None or result.override_library is not None:
        return f"{result.name} is linked from another file. Fit its scan again."
    if scan is not None and layer.get(scan.name) != scan:
        return f"{scan.name}, the scan of {result.name}, is not in this view layer. Undo its deletion, or show it."
    return None if layer.get(result.name) == result else f"{result.name} is not in this view layer. Show it first."


@contextmanager
def _as_before(result: Any) -> Generator[None]:
    """The scan of a fit as it was when it was fitted: in view, or with its own mesh and modifiers."""
    origin = result.omomi.origin
    if origin.scan is not None:
        scan = origin.scan
        hidden = scan.hide_get(), scan.hide_viewport
        scan.hide_set(False)
        if hidden[1]:
            scan.hide_viewport = False
        context.view_layer.update()
        try:
            yield
        finally:
            scan.hide_set(hidden[0])
            if hidden[1]:
                scan.hide_viewport = True
        return
    fitted = result.data
    acting = [result.modifiers[name] for name in origin.modifiers.splitlines() if name in result.modifiers]
    result.data = origin.mesh
    for modifier in acting:
        modifier.show_viewport = True
    context.view_layer.update()
    try:
        yield
    finally:
        # Where a new fit was placed, it stays.
        if result.data == origin.mesh:
            result.data = fitted
        for modifier in acting:
            modifier.show_viewport = False
