"""Operators on the backend process: cancel, doctor, restart, log."""

from __future__ import annotations

from typing import Any

import bpy

from ..session import fits, live, process
from ..ui import preferences
from .modal import ActionOperator, OmomiOperator, PolledOperator


class OMOMI_OT_cancel(bpy.types.Operator):
    """Stop the running job; finished results stay"""

    bl_idname = "omomi.cancel"
    bl_label = "Cancel"

    @classmethod
    def poll(cls, context: Any) -> bool:
        return fits.current() is not None

    def execute(self, context: Any) -> Any:
        run = fits.current()
        if run is not None:
            run.cancel()
        return {"FINISHED"}


class OMOMI_OT_doctor(ActionOperator, bpy.types.Operator):
    """Start the backend process and report the device in use, and the reason where it is not the GPU"""

    bl_idname = "omomi.doctor"
    bl_label = "Doctor"

    def _act(self, context: Any) -> str:
        for line in process.describe(process.introduced()):
            self.tell("INFO", line)
        return ""


class OMOMI_OT_restart(PolledOperator, bpy.types.Operator):
    """End the backend process; the next fit starts a new one"""

    bl_idname = "omomi.restart"
    bl_label = "Restart"

    @classmethod
    def why_not(cls, context: Any) -> str:
        return "" if fits.current() is None else "A fit is running; cancel it first"

    def execute(self, context: Any) -> Any:
        live.stop()
        process.close()
        return {"FINISHED"}


class OMOMI_OT_open_log(OmomiOperator, bpy.types.Operator):
    """Show the log of the backend process"""

    bl_idname = "omomi.open_log"
    bl_label = "Open Log"

    def execute(self, context: Any) -> Any:
        path = preferences.log_path(preferences.get())
        if not path.is_file():
            self.tell("WARNING", "There is no log yet: the backend process has not run")
            return {"CANCELLED"}
        bpy.ops.wm.path_open(filepath=str(path))
        return {"FINISHED"}


CLASSES = (OMOMI_OT_cancel, OMOMI_OT_doctor, OMOMI_OT_restart, OMOMI_OT_open_log)
