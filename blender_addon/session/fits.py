"""Fits of objects, and the run in progress: a timer steps it in the window, a loop in background mode."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, NamedTuple

import bpy
import numpy as np
from numpy.typing import NDArray

from ..backend.errors import ErrorCode, OmomiError
from ..backend.protocol.messages import MeshFrame
from ..scene import attributes, fit_origin, mesh_io, preview, results
from ..text import refuse, untextured
from . import backend_fit, edits
from .backend_fit import FitSettings
from .object_run import ObjectRun, RunObject
from .task import Client, Task, Work

POLL_SECONDS = 0.01


class Fitted(NamedTuple):
    """What came of the fit of one object."""

    frame: MeshFrame
    stats: dict[str, Any]
    linear: NDArray[np.float64]  # of the object's world matrix at the start
    report: dict[str, Any]  # fields of ``CleanReport``
    worn: attributes.MeshAttributes | None = None  # what its mesh has from the scan
    lost: OmomiError | None = None  # why it has nothing from the scan, which carries something


class FitRun(ObjectRun):
    """Fits objects one after the other."""

    def __init__(
        self, client: Client, objects: Iterable[Any], settings: FitSettings, *, replace: bool = False, stream: bool
    ) -> None:
        """replace: give the scan's object the fitted mesh, in place of its own; stream: show previews."""
        self._settings = settings
        self._replace = replace
        self.notes: list[str] = []  # sentences on what was placed
        self.lost: list[str] = []  # a sentence for each that has nothing from its scan, though that carries something
        super().__init__(client, objects, "starting", stream=stream)

    @property
    def guesses(self) -> list[str]:
        """The sources of what fills the unseen parts, each once."""
        stats = [item.result.stats for item in self.objects if item.result is not None]
        return list(dict.fromkeys(found["guess"] for found in stats if found.get("guess")))

    def _one(self, item: RunObject, obj: Any) -> Work:
        if self._replace:
            refuse(results.why_not_replace(obj))
        linear = mesh_io.object_linear(obj)
        depsgraph = bpy.context.evaluated_depsgraph_get()
        scan, carried = mesh_io.read_scan(obj, depsgraph, self._settings.groups), attributes.read_shown(obj, depsgraph)
        self.notes += edits.unmasked(obj, self._settings.groups, "sliders")
        mark = self._settings.mark()
        answer = yield self._settings.ask(self._client, scan, item.name)
        # Where no modifier changes the object, the sliders find its scan fitted.
        backend_fit.remember(self._client, item.uid, answer.job, scan, mark, answer.mesh, linear)
        fitted = Fitted(answer.mesh, answer.done.stats, linear, answer.done.report)
        if carried is None or not len(answer.mesh.faces):
            return fitted
        # From here on the fit is complete: it stays, whatever becomes of the transfer.
        item.result = fitted._replace(lost=OmomiError(ErrorCode.CANCELLED, "The transfer was cancelled"))
        try:
            worn = yield from attributes.transfer_to_fit(self._client, answer.job, carried, scan, answer.mesh)
        except OmomiError as error:
            return fitted._replace(lost=error)
        return fitted._replace(worn=worn)

    def _place(self, item: RunObject, obj: Any) -> Any:
        if self._replace:
            refuse(results.why_not_replace(obj))
        frame, _, linear, report, worn, lost = item.result
        how = {"replace": self._replace, "settings": self._settings, "worn": worn}
        shown = results.place(obj, frame, linear, **how)
        fit_origin.note_reading(shown, report)
        if lost is not None:
            self.lost.append(untextured(shown.name, lost))
        several = len(self.objects) > 1
        self.notes += [f"{shown.name}: {note}" if several else note for note in (worn.notes if worn else ())]
        return shown


# The run in progress. The panel shows it, and no second one is started.
_current: Task | None = None


def current() -> Task | None:
    return _current


def set_current(run: Task | None) -> None:
    global _current
    _current = run


def run_to_end(run: Task) -> None:
    """Step without a window. Ctrl-C cancels the run, then reaches the caller."""
    try:
        while not run.over:
            run.step()
            time.sleep(POLL_SECONDS)
    except BaseException:
        run.cancel()
        raise


def abort() -> None:
    """Drop the run in progress and all that it has made: another file is being loaded."""
    if _current is not None:
        _current.abandon()
        set_current(None)


def sweep_previews() -> None:
    """Remove previews that undo, redo or a file brought back."""
    preview.remove_all_but(() if _current is None else _current.keys)
