"""Fits of objects, and the run in progress: a timer steps it in the window, a loop in background mode."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, NamedTuple

from ..backend.errors import ErrorCode, OmomiError
from ..scene import attributes, fit_origin, fit_provenance, preview, results
from ..scene.draft import Draft
from ..scene.snapshot import read_scan
from ..text import refuse, untextured
from . import backend_fit, edits
from .backend_fit import FitSettings
from .object_run import ObjectRun, RunObject
from .task import Client, Task, Work

POLL_SECONDS = 0.01


class Fitted(NamedTuple):
    """What came of the fit of one object."""

    stats: dict[str, Any]
    report: dict[str, Any]  # fields of ``CleanReport``
    lost: OmomiError | None = None  # why it has nothing from the scan or the fit, which carry something


class FitRun(ObjectRun):
    """Fits objects one after the other. Of an object that shows a fit, the scan is fitted again: the object keeps its
    name, its place, its edits and its vertex groups."""

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
        fit = fit_origin.fit_at(obj)
        settings = self._settings_for(fit)
        if fit is not None:
            refuse(results.why_not_refit(fit))
            reading = fit_provenance.read(fit, settings.groups)
        else:
            refuse(results.why_not_replace(obj) if self._replace else None)
            reading = fit_provenance.read_shown_now(obj, settings.groups)
        origin = obj if fit is None else fit.omomi.origin.scan or fit
        self.notes += edits.unmasked(origin, settings.groups, "sliders")
        # from here on the objects may be freed, by an undo or by the artist
        uid, shown, painted = origin.session_uid, None if fit is None else fit.session_uid, None
        scan, carried, linear, item.offset = yield from reading
        if shown is not None:
            groups = yield from attributes.read_groups(backend_fit.need(shown, item.name))
            if groups is not None:
                own = yield from read_scan(backend_fit.need(shown, item.name), linear=linear, shown=False)
                painted = groups, own
        fingerprint = yield from backend_fit.fingerprint_of(scan, settings)
        answer = yield settings.ask(self._client, scan, item.name)
        # Where no modifier changes the object, the sliders find its scan fitted.
        backend_fit.remember(self._client, uid, answer.job, scan, fingerprint, answer.mesh, linear)
        done, worn, weights, lost = answer.done, None, None, None
        if (carried is not None or painted is not None) and len(answer.mesh.faces):
            # From here on the fit is complete: it stays, whatever becomes of the transfer.
            cancelled = OmomiError(ErrorCode.CANCELLED, "The transfer was cancelled")
            item.draft, item.result = Draft(answer.mesh, linear), Fitted(done.stats, done.report, cancelled)
            to_fit = attributes.transfer_to_fit
            try:
                if carried is not None:
                    worn = yield from to_fit(self._client, answer.job, carried, scan, answer.mesh)
                if painted is not None:
                    weights = yield from to_fit(self._client, answer.job, *painted, answer.mesh)
            except OmomiError as error:
                lost = error
        item.draft = Draft(answer.mesh, linear, worn, weights)
        item.result = Fitted(done.stats, done.report, lost)
        yield from item.draft.fill()
        return item.result

    def _settings_for(self, fit: Any | None) -> FitSettings:
        """The settings; where they leave the kind open, a fit keeps what its artist has called it."""
        if fit is None or self._settings.options.kind != "auto":
            return self._settings
        return self._settings.read_as(fit.omomi.origin.kind)

    def _place(self, item: RunObject, obj: Any) -> Any:
        draft, (_, report, lost) = item.draft, item.result
        assert draft is not None
        if (fit := fit_origin.fit_at(obj)) is not None:
            refuse(results.why_not_refit(fit))
            if results.is_changed(fit.data):
                self.notes.append(f"{fit.name} had been changed by hand; its old mesh is kept as '{fit.name}.original'")
            shown = results.place_again(fit, draft, self._settings_for(fit))
        else:
            refuse(results.why_not_replace(obj) if self._replace else None)
            shown = results.place(obj, draft, replace=self._replace, settings=self._settings)
        fit_origin.note_reading(shown, report)
        if lost is not None:
            self.lost.append(untextured(shown.name, lost))
        several = len(self.objects) > 1
        notes = draft.worn.notes if draft.worn else ()
        self.notes += [f"{shown.name}: {note}" if several else note for note in notes]
        return shown


# The run in progress, and the class of the operator that started it. Panels show it, and no second one is started.
_current: Task | None = None
_starter = ""


def current() -> Task | None:
    return _current


def started_by(operator: str) -> Task | None:
    """The run in progress if this operator, as "omomi.fit", started it, else None."""
    return _current if _starter == f"OMOMI_OT_{operator.removeprefix('omomi.')}" else None


def set_current(run: Task | None, starter: str = "") -> None:
    """starter: the class of the operator, as "OMOMI_OT_fit"."""
    global _current, _starter
    _current, _starter = run, starter


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
