"""The Fit operator: modal with a preview in the window, blocking in background mode and from scripts."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import BoolProperty

from .. import jobs, process
from ..backend.errors import OmomiError
from ..messages import explain
from ..properties import FIT_OPTIONS

__all__ = ["OMOMI_OT_fit"]

TICK_SECONDS = 0.05


class OMOMI_OT_fit(bpy.types.Operator):
    """Fit a watertight surface to every selected mesh object, as its modifiers show it.

    Options that are not given are taken from the scene's settings.
    """

    bl_idname = "omomi.fit"
    bl_label = "Fit"
    bl_description = "Fit a watertight surface to every selected mesh, as its modifiers show it; Esc cancels"
    # No REGISTER: the redo panel would run the whole fit again, blocking, at every move of a slider.
    bl_options = {"UNDO"}  # noqa: RUF012
    __annotations__ = {
        **{name: make() for name, make in FIT_OPTIONS.items()},
        "wait": BoolProperty(
            name="Wait",
            description="Return when the fit is done instead of running in the background",
            options={"SKIP_SAVE"},
        ),
    }

    _timer: Any = None
    _run: jobs.FitRun | None = None

    @classmethod
    def poll(cls, context: Any) -> bool:
        reason = _why_not(context)
        if reason:
            cls.poll_message_set(reason)
        return not reason

    def invoke(self, context: Any, event: Any) -> Any:
        options: Any = self
        if bpy.app.background or options.wait:
            return self.execute(context)
        if not self._begin(context, stream=True):
            return {"CANCELLED"}
        self._timer = context.window_manager.event_timer_add(TICK_SECONDS, window=context.window)
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: Any) -> Any:
        if not self._begin(context, stream=False):
            return {"CANCELLED"}
        assert self._run is not None
        try:
            jobs.run_to_end(self._run)
        finally:
            outcome = self._finish(context)
        return outcome

    def modal(self, context: Any, event: Any) -> Any:
        run = self._run
        if run is None or jobs.current() is not run:
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
        _redraw(context, run)
        return self._finish(context) if run.over else {"RUNNING_MODAL"}

    def cancel(self, context: Any) -> None:
        """Blender ends the operator: the window closes or another file is loaded."""
        if self._run is not None:
            self._run.cancel()
            self._finish(context)

    def _begin(self, context: Any, *, stream: bool) -> bool:
        try:
            client = process.started()
        except OmomiError as error:
            self.report({"ERROR"}, explain(error))
            return False
        self._run = jobs.FitRun(client, _targets(context), self._settings(context), stream=stream)
        jobs.set_current(self._run)
        return True

    def _settings(self, context: Any) -> jobs.Settings:
        scene = context.scene.omomi
        chosen = {n: getattr(self if self.properties.is_property_set(n) else scene, n) for n in FIT_OPTIONS}
        replace = chosen.pop("result") == "REPLACE"
        return jobs.Settings(**{**chosen, "level": int(chosen["level"])}, replace=replace)

    def _finish(self, context: Any) -> Any:
        run, self._run = self._run, None
        assert run is not None
        self._stop_timer(context)
        jobs.set_current(None)
        placed = run.commit()
        if run.errors:
            self.report({"ERROR"}, "\n".join(map(explain, run.errors)))
        elif placed:
            vertices = sum(len(obj.data.vertices) for obj in placed)
            self.report(
                {"INFO"}, f"{', '.join(obj.name for obj in placed)}: {vertices:,} vertices in {run.seconds:.1f} s"
            )
        return {"FINISHED"} if placed else {"CANCELLED"}

    def _stop_timer(self, context: Any) -> None:
        if self._timer is not None:
            context.window_manager.event_timer_remove(self._timer)
            self._timer = None
            context.workspace.status_text_set(None)


def _targets(context: Any) -> list[Any]:
    return [obj for obj in context.selected_objects if obj.type == "MESH"]


def _why_not(context: Any) -> str:
    if jobs.current() is not None:
        return "A fit is running; cancel it with Esc first"
    if context.mode.startswith("EDIT"):
        return "Leave Edit Mode first (Tab), then Fit"
    if not _targets(context):
        return "Select at least one mesh object to fit"
    return ""


def _redraw(context: Any, run: jobs.FitRun) -> None:
    context.workspace.status_text_set(f"Omomi: {run.text}, {run.fraction:.0%}   Esc cancels")
    for window in context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                area.tag_redraw()
