"""The Fit operator: modal with a preview in the window, blocking in background mode and from scripts."""

from __future__ import annotations

from typing import Any

import bpy

from ..session import fits
from ..session.fit_settings import from_settings
from ..session.task import Client
from ..ui.properties import FIT_OPTIONS
from .modal import WAIT, Runs, chosen

__all__ = ["CLASSES"]


class OMOMI_OT_fit(Runs, bpy.types.Operator):
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
        **WAIT,
    }

    @classmethod
    def poll(cls, context: Any) -> bool:
        reason = _why_not(context)
        if reason:
            cls.poll_message_set(reason)
        return not reason

    def _make(self, context: Any, client: Client, stream: bool) -> fits.Run:
        options = chosen(self, context.scene, FIT_OPTIONS)
        replace = options["result"] == "REPLACE"
        return fits.FitRun(client, _targets(context), from_settings(options), replace=replace, stream=stream)

    def _done(self, context: Any, run: Any) -> set[str]:
        placed = run.commit()
        if placed and not run.errors:
            vertices = sum(len(obj.data.vertices) for obj in placed)
            names = ", ".join(obj.name for obj in placed)
            filled = ", ".join(run.guesses)
            unseen = f"; what was not seen follows {filled}" if filled else ""
            self._report({"INFO"}, f"{names}: {vertices:,} vertices in {run.seconds:.1f} s{unseen}")
        return {"FINISHED"} if placed else {"CANCELLED"}


CLASSES = (OMOMI_OT_fit,)


def _targets(context: Any) -> list[Any]:
    return [obj for obj in context.selected_objects if obj.type == "MESH"]


def _why_not(context: Any) -> str:
    if fits.current() is not None:
        return "A fit is running; cancel it with Esc first"
    if context.mode.startswith("EDIT"):
        return "Leave Edit Mode first (Tab), then Fit"
    if not _targets(context):
        return "Select at least one mesh object to fit"
    return ""
