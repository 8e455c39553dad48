"""Fits of one or several objects: one runner, stepped by a timer in the window and by a loop in background mode.

Nothing here keeps a reference to Blender's data between two steps: undo, deletion or loading a file may free it.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import bpy
import numpy as np
from numpy.typing import NDArray

from ..backend.errors import ErrorCode, OmomiError
from ..backend.protocol.messages import Failure, FitDone, MeshFrame, Progress
from ..scene import mesh_io, preview, results
from ..text import Refusal
from . import backend_fit
from .backend_fit import FitSettings
from .task import Client, Task

__all__ = [
    "FitRun", "Run",
    "abort", "current", "preview_keys", "run_to_end", "set_current", "sweep_previews",
]  # fmt: skip

POLL_SECONDS = 0.01


@dataclass
class ObjectFit:
    """One object. ``uid`` is its ``session_uid``; ``linear`` and ``offset`` are its world matrix at the start;
    ``mark``: as of `Fitting.mark`."""

    uid: int
    name: str
    request: int | None = None
    linear: NDArray[np.float64] = field(default_factory=lambda: np.eye(3))
    offset: NDArray[np.float64] = field(default_factory=lambda: np.zeros(3))
    scan: mesh_io.ScanArrays | None = None
    mark: tuple[Any, ...] = ()
    frame: MeshFrame | None = None
    done: FitDone | None = None
    error: OmomiError | None = None

    @property
    def key(self) -> str:
        return str(self.uid)

    @property
    def over(self) -> bool:
        return self.done is not None or self.error is not None


class FitRun:
    """Fits objects one after the other. Call `step` until `over`, then `commit`."""

    def __init__(
        self, client: Client, objects: Iterable[Any], settings: FitSettings, *, replace: bool = False, stream: bool
    ) -> None:
        """replace: give the scan's object the fitted mesh, in place of its own; stream: show previews."""
        self.settings = settings
        self.replace = replace
        self.jobs = [ObjectFit(obj.session_uid, obj.name) for obj in objects]
        self.cancelled = False
        self.fraction = 0.0
        self.text = "starting"
        self._client = client
        self._stream = stream
        self._started = time.monotonic()

    @property
    def over(self) -> bool:
        return self.cancelled or all(job.over for job in self.jobs)

    @property
    def keys(self) -> Collection[str]:
        """Of the previews that it shows."""
        return {job.key for job in self.jobs}

    @property
    def errors(self) -> list[OmomiError]:
        return [job.error for job in self.jobs if job.error is not None]

    @property
    def guesses(self) -> list[str]:
        """Whose guesses stand where nothing was measured."""
        stats = [job.done.stats for job in self.jobs if job.done is not None]
        return list(dict.fromkeys(found["guess"] for found in stats if found.get("guess")))

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started

    def step(self) -> None:
        """Take in what the backend sent and send what is next. Never blocks."""
        job = next((job for job in self.jobs if not job.over), None)
        if self.over or job is None:
            return
        obj = mesh_io.object_by_uid(job.uid)
        if obj is None:
            self._withdraw(job)
            job.error = OmomiError(ErrorCode.CANCELLED, f"{job.name} was deleted while it was waiting for its fit")
        elif job.request is None:
            self._send(job, obj)
        else:
            self._receive(job)

    def cancel(self) -> None:
        """Stop now; results of objects that are finished stay."""
        self.cancelled = True
        for job in self.jobs:
            if not job.over:
                self._withdraw(job)

    def abandon(self) -> None:
        """Stop, and have nothing to show for it."""
        self.cancel()
        self.jobs.clear()

    def commit(self) -> list[Any]:
        """Put the finished results in the scene, remove the previews and return the objects that show the results."""
        preview.remove_all_but(())
        placed = []
        for job in self.jobs:
            if job.done is None or job.frame is None:
                continue
            source = mesh_io.object_by_uid(job.uid)
            reason = results.why_not_replace(source) if source is not None and self.replace else None
            if source is None:
                job.error = OmomiError(ErrorCode.CANCELLED, f"{job.name} was deleted before its fit was complete")
            elif reason is not None:
                job.error = Refusal(reason)
            else:
                how = {"replace": self.replace, "settings": self.settings}
                placed.append(results.place(source, job.frame, job.linear, **how))
        return placed

    def _send(self, job: ObjectFit, obj: Any) -> None:
        try:
            if self.replace and (reason := results.why_not_replace(obj)):
                raise Refusal(reason)
            job.linear = mesh_io.object_linear(obj)
            job.offset = np.array(obj.matrix_world, np.float64)[:3, 3]
            job.scan = mesh_io.read_scan(obj, bpy.context.evaluated_depsgraph_get())
            job.mark = self.settings.mark()
            job.request = self.settings.ask(self._client, job.scan, job.name)
        except OmomiError as error:
            job.error = error

    def _receive(self, job: ObjectFit) -> None:
        newest: MeshFrame | None = None
        for event in self._client.poll():
            match event:
                case Progress() if event.id == job.request:
                    self._report(job, event)
                case MeshFrame() if event.id == job.request:
                    newest = event
                case FitDone() if event.id == job.request:
                    job.done = event
                case Failure() if event.id == job.request:
                    job.error = event.error()
        if newest is not None:
            job.frame = newest
            if self._stream:
                preview.show(job.key, job.name, newest.world() + job.offset, newest.faces)
        if job.done is not None and job.frame is not None and job.scan is not None:
            # Where no modifier is between the two, the sliders find the scan fitted.
            backend_fit.remember(self._client, job.uid, job.done.id, job.scan, job.mark, job.frame, job.linear)
            job.scan = None

    def _report(self, job: ObjectFit, event: Progress) -> None:
        place = self.jobs.index(job)
        self.fraction = (place + event.fraction) / len(self.jobs)
        several = f"{job.name} ({place + 1} of {len(self.jobs)}): " if len(self.jobs) > 1 else ""
        self.text = several + event.text

    def _withdraw(self, job: ObjectFit) -> None:
        if job.request is not None:
            self._client.cancel(job.request)


Run: TypeAlias = FitRun | Task

# The run in progress. The panel shows it and no second is started.
_current: Run | None = None


def current() -> Run | None:
    return _current


def set_current(run: Run | None) -> None:
    global _current
    _current = run


def run_to_end(run: Run) -> None:
    """Step without a window. Ctrl-C cancels and goes on to the caller."""
    try:
        while not run.over:
            run.step()
            time.sleep(POLL_SECONDS)
    except BaseException:
        run.cancel()
        raise


def abort() -> None:
    """Drop the run in progress with everything it made so far: another file is being loaded."""
    if _current is not None:
        _current.abandon()
        set_current(None)


def sweep_previews() -> None:
    """Remove previews that undo, redo or a file brought back."""
    preview.remove_all_but(preview_keys())


def preview_keys() -> Collection[str]:
    """Of the previews that the run in progress shows."""
    return _current.keys if _current is not None else ()
