"""Fits of objects, and the run in progress: a timer steps it in the window, a loop in background mode."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from ..backend.errors import ErrorCode, OmomiError
from ..backend.protocol.messages import MeshFrame, Progress
from ..scene import mesh_io, preview, results
from ..text import Refusal, refuse
from . import backend_fit
from .backend_fit import FitSettings
from .task import Client, Task, Work

POLL_SECONDS = 0.01


@dataclass
class ObjectFit:
    """One object of a run. Nothing here refers to Blender's data, which undo, deletion or loading a file may free."""

    uid: int  # its session_uid
    name: str
    linear: NDArray[np.float64] = field(default_factory=lambda: np.eye(3))  # of its world matrix at the start
    offset: NDArray[np.float64] = field(default_factory=lambda: np.zeros(3))  # of its world matrix at the start
    frame: MeshFrame | None = None  # the newest
    stats: dict[str, Any] | None = None  # of the fit, once it is complete


class FitRun(Task):
    """Fits objects one after the other. Call `step` until ``over``, then `commit`."""

    def __init__(
        self, client: Client, objects: Iterable[Any], settings: FitSettings, *, replace: bool = False, stream: bool
    ) -> None:
        """replace: give the scan's object the fitted mesh, in place of its own; stream: show previews."""
        self.objects = [ObjectFit(obj.session_uid, obj.name) for obj in objects]
        self._settings = settings
        self._replace = replace
        self._stream = stream
        keys = {str(fit.uid) for fit in self.objects}
        super().__init__(client, self._fits(), "starting", len(self.objects), self._show, keys)

    @property
    def guesses(self) -> list[str]:
        """The sources of what fills the unseen parts, each once."""
        stats = [fit.stats for fit in self.objects if fit.stats is not None]
        return list(dict.fromkeys(found["guess"] for found in stats if found.get("guess")))

    def step(self) -> None:
        fit = None if self.over or self._job is None else self.objects[self._ended]
        if fit is not None and mesh_io.object_by_uid(fit.uid) is None:
            self._withdraw(_deleted(fit, "while it was waiting for its fit"))
        else:
            super().step()

    def abandon(self) -> None:
        super().abandon()
        self.objects.clear()

    def commit(self) -> list[Any]:
        """Put the fits that are complete, also those of a cancelled run, in the scene, remove the previews and return
        the objects that show the results."""
        preview.remove_all_but(())
        placed = []
        for fit in self.objects:
            if fit.stats is None or fit.frame is None:
                continue
            source = mesh_io.object_by_uid(fit.uid)
            reason = results.why_not_replace(source) if source is not None and self._replace else None
            if source is None:
                self.errors.append(_deleted(fit, "before its fit was complete"))
            elif reason is not None:
                self.errors.append(Refusal(reason))
            else:
                how = {"replace": self._replace, "settings": self._settings}
                placed.append(results.place(source, fit.frame, fit.linear, **how))
        return placed

    def _fits(self) -> Work:
        for number, fit in enumerate(self.objects):
            self._ended = number
            try:
                yield from self._fit(fit)
            except OmomiError as error:
                self.errors.append(error)

    def _fit(self, fit: ObjectFit) -> Work:
        obj = mesh_io.object_by_uid(fit.uid)
        if obj is None:
            raise _deleted(fit, "while it was waiting for its fit")
        if self._replace:
            refuse(results.why_not_replace(obj))
        fit.linear = mesh_io.object_linear(obj)
        fit.offset = np.array(obj.matrix_world, np.float64)[:3, 3]
        scan = mesh_io.read_scan(obj, bpy.context.evaluated_depsgraph_get())
        mark = self._settings.mark()
        answer = yield self._settings.ask(self._client, scan, fit.name)
        fit.frame, fit.stats = answer.mesh, answer.done.stats
        # Where no modifier changes the object, the sliders find its scan fitted.
        backend_fit.remember(self._client, fit.uid, answer.job, scan, mark, answer.mesh, fit.linear)

    def _show(self, frame: MeshFrame) -> None:
        fit = self.objects[self._ended]
        fit.frame = frame
        if self._stream:
            preview.show(str(fit.uid), fit.name, frame.world() + fit.offset, frame.faces)

    def _report(self, event: Progress) -> None:
        super()._report(event)
        if len(self.objects) > 1:
            name = self.objects[self._ended].name
            self.text = f"{name} ({self._ended + 1} of {len(self.objects)}): {event.text}"


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


def _deleted(fit: ObjectFit, when: str) -> OmomiError:
    return OmomiError(ErrorCode.CANCELLED, f"{fit.name} was deleted {when}")
