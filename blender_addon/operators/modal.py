"""How operators run: at once, or as a run that asks the backend. A run is modal in the window, and blocks in background
mode and from scripts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import bpy
from bpy.props import BoolProperty

from ..backend.errors import OmomiError
from ..scene import preview
from ..session import fits, live, process
from ..session.task import Task
from ..text import Refusal, explain
from ..translations import told

TICK_SECONDS = 0.05

WAIT: dict[str, Any] = {
    "wait": BoolProperty(
        name="Wait", description="Return when it is done instead of running in the background", options={"SKIP_SAVE"}
    )
}

FILE: dict[str, Any] = {"subtype": "FILE_PATH", "options": {"PATH_SUPPORTS_BLEND_RELATIVE"}}
"""Of a property that names a file, see `absolute`."""


class OmomiOperator:
    """Mix-in of all operators. Blender adds the properties in ``__annotations__``, which no type checker sees."""

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    def tell(self, kind: str, text: str) -> None:
        """Report in the artist's language; kind: INFO, WARNING or ERROR."""
        self.report({kind}, told(text))


class PolledOperator(OmomiOperator):
    """Mix-in of an operator whose button says why it is disabled."""

    @classmethod
    def poll(cls, context: Any) -> bool:
        reason = cls.why_not(context)
        if reason:
            operator: Any = cls
            operator.poll_message_set(told(reason))
        return not reason

    @classmethod
    def why_not(cls, context: Any) -> str:
        """The reason why it cannot run now, or an empty text."""
        return why_not_start(context)


class ActionOperator(OmomiOperator):
    """Mix-in of an operator that is done at once. It supplies ``_act(context)``, which returns what to report, if
    anything, and may raise OmomiError."""

    def execute(self, context: Any) -> Any:
        try:
            done = self._act(context)
        except OmomiError as error:
            self.tell("ERROR", explain(error))
            return {"CANCELLED"}
        if done:
            self.tell("INFO", done)
        preview.redraw()
        return {"FINISHED"}


class RunOperator(PolledOperator):
    """Mix-in of an operator that asks the backend. It supplies ``_make(context, client, stream)``, which returns a
    `Task`, with previews where ``stream`` is true, and ``_commit(context, run)``, which puts the result in the scene
    and reports. Both may raise OmomiError."""

    _timer: Any = None
    _run: Task | None = None
    _paused: Mapping[int, bool] = MappingProxyType({})

    def invoke(self, context: Any, event: Any) -> Any:
        if bpy.app.background or self.wait:
            return self.execute(context)
        if (outcome := self._begin(context, stream=True)) is not None:
            return outcome
        self._timer = context.window_manager.event_timer_add(TICK_SECONDS, window=context.window)
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: Any) -> Any:
        if (outcome := self._begin(context, stream=False)) is not None:
            return outcome
        assert self._run is not None
        try:
            fits.run_to_end(self._run)
        finally:
            outcome = self._finish(context)
        return outcome

    def modal(self, context: Any, event: Any) -> Any:
        run = self._run
        if run is None or fits.current() is not run:
            self._stop_timer(context)
            return {"CANCELLED"}
        if event.type == "ESC" and event.value == "PRESS":
            run.cancel()
        elif event.type != "TIMER":
            return {"PASS_THROUGH"}
        try:
            run.step()
        except BaseException:
            run.cancel()
            self._finish(context)
            raise
        context.workspace.status_text_set(f"Omomi: {told(run.text)}, {run.fraction:.0%}   {told('Esc cancels')}")
        preview.redraw()
        return self._finish(context) if run.over else {"RUNNING_MODAL"}

    def cancel(self, context: Any) -> None:
        """Blender ends the operator: the window closes or another file is loaded."""
        if self._run is not None:
            self._run.cancel()
            self._finish(context)

    def _at_once(self, context: Any) -> set[str] | None:
        """What the operator returns where there is nothing to ask the backend, which may be what is broken."""
        return None

    def _done(self, context: Any, run: Any) -> set[str]:
        """The run is over: what the operator returns."""
        if run.result is None:
            return {"CANCELLED"}
        try:
            self._commit(context, run)
        except OmomiError as error:
            run.errors.append(error)
            return {"CANCELLED"}
        return {"FINISHED"}

    def _begin(self, context: Any, *, stream: bool) -> set[str] | None:
        """Start the run. Where there is none: what the operator returns."""
        if (outcome := self._at_once(context)) is not None:
            return outcome
        try:
            client: Any = process.started()
            self._paused = live.pause()
            self._run = self._make(context, client, stream)
        except OmomiError as error:
            live.resume(self._paused)
            self.tell("ERROR", explain(error))
            return {"CANCELLED"}
        fits.set_current(self._run, self.bl_idname)
        return None

    def _finish(self, context: Any) -> Any:
        run, self._run = self._run, None
        assert run is not None
        self._stop_timer(context)
        fits.set_current(None)
        fits.sweep_previews()
        outcome = self._done(context, run)
        if run.errors:
            self.tell("ERROR", "\n".join(explain(error, f"Press {self.bl_label}") for error in run.errors))
        live.resume(self._paused)
        return outcome

    def _stop_timer(self, context: Any) -> None:
        if self._timer is not None:
            context.window_manager.event_timer_remove(self._timer)
            self._timer = None
            context.workspace.status_text_set(None)


def absolute(path: str) -> Path:
    """The file that a property names; // is the folder of the open file. Raises `Refusal` where that has none yet."""
    if path.startswith("//") and not bpy.data.filepath:
        raise Refusal(f"{path} is beside the open file, which was never saved. Save it first, or give a whole path.")
    return Path(bpy.path.abspath(path))


def chosen(operator: Any, scene: Any, name: str, setting: str = "") -> Any:
    """The operator's property where it was given, else the scene's setting, of the same name unless it is named."""
    given = operator.properties.is_property_set(name)
    return getattr(operator, name) if given else getattr(scene.omomi, setting or name)


def why_not_start(context: Any) -> str:
    """The reason why nothing can be started now, or an empty text."""
    if fits.current() is not None:
        return "Omomi is working; press Esc to cancel that first"
    if context.mode.startswith("EDIT"):
        return "Leave Edit Mode first (Tab)"
    return ""
