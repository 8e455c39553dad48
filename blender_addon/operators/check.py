"""Operators that say something about the active object: check, safe range, strength for a measure; and blends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
from bpy.props import EnumProperty, FloatProperty, IntProperty, StringProperty

from ..backend.errors import OmomiError
from ..backend.protocol.requests import EditTarget
from ..scene import mesh_io, results
from ..session import backend_fit, checks, fits, library, live
from ..session.fit_settings import FitSettings, profile_path
from ..session.task import Client, Task
from ..text import Refusal, measure_lines, plausibility_lines, topology_text, transition_lines, typicality_lines
from ..ui.properties import BLEND_OPTIONS, SOLVE_OPTIONS, family
from .edits import OfEdits, why_not_editable
from .modal import WAIT, Runs, chosen, why_not_start

__all__ = ["CLASSES", "COLOURS"]

SHOWN = [
    ("UNCERTAINTY", "Uncertainty", "Colour the object by how sure its surface is: blue is measured, orange is guessed"),
    (
        "DEPARTURE", "Departure",
        "Colour the object by where it departs from its family: orange stands out, blue falls short, grey is only "
        "noise",
    ),
]  # fmt: skip
COLOURS = {"UNCERTAINTY": mesh_io.COLOUR, "DEPARTURE": mesh_io.DEPARTURE}


class Asks(OfEdits, Runs):
    """Mix-in of an operator that asks the backend about the active object, whose `_uid` it notes."""

    _uid = 0

    @classmethod
    def why_not(cls, context: Any) -> str:
        return why_not_start(context) or super().why_not(context)

    def _work(self, context: Any, client: Client, fitting: FitSettings) -> Any:
        raise NotImplementedError

    def _make(self, context: Any, client: Client, stream: bool) -> fits.Run:
        self._uid = context.active_object.session_uid
        make = self._work(context, client, live.fitting_of(context.scene))
        return Task(client, backend_fit.retried(self._uid, make), "opening the scan")

    def _tell(self, context: Any, obj: Any, result: Any) -> None:
        """Put what came of it in the scene, and report. Raises OmomiError."""
        raise NotImplementedError

    def _done(self, context: Any, run: Any) -> set[str]:
        if run.result is None:
            return {"CANCELLED"}
        try:
            self._tell(context, backend_fit.need(self._uid), run.result)
        except OmomiError as error:
            run.errors.append(error)
            return {"CANCELLED"}
        return {"FINISHED"}


class OMOMI_OT_check(Asks, bpy.types.Operator):
    """Count pieces and tunnels, measure, say how usual the shape is, and paint on the object how sure its surface is"""

    bl_idname = "omomi.check"
    bl_label = "Check"
    bl_description = (
        "Count pieces and tunnels, measure, say how usual the shape is, and paint on the object how sure its surface "
        "is; with a family chosen also where it departs from that. Esc cancels"
    )
    bl_options = {"UNDO"}  # noqa: RUF012
    wants = "object"
    __annotations__ = {"profile": family(), **WAIT}

    def _work(self, context: Any, client: Client, fitting: FitSettings) -> Any:
        uid, name = self._uid, chosen(self, context.scene, ["profile"])["profile"]
        profile_path(name)
        return lambda: checks.check(client, uid, fitting, name)

    def _tell(self, context: Any, obj: Any, result: checks.CheckResult) -> None:
        said = result.result
        text = topology_text(said.get("topology"), said.get("guessed"))
        usual = [*plausibility_lines(said.get("plausibility")), *typicality_lines(said.get("family"))]
        obj.omomi.check = "\n".join([text, *usual, *measure_lines(said.get("measures") or {})])
        if obj.data.library is None and obj.data.override_library is None:
            count = len(obj.data.vertices)
            if result.sigma is not None and len(result.sigma) == count:
                mesh_io.paint_sigma(obj.data, result.sigma, result.size)
            if result.deviation is not None and len(result.deviation) == count:
                mesh_io.paint_deviation(obj.data, result.deviation)
        text = "; ".join([text, *usual])
        self._report({"INFO"}, f"{obj.name}: {text}")


class OMOMI_OT_show(OfEdits, bpy.types.Operator):
    """Colour the active object by what a check found: blue is sure and orange is guessed; or grey is like the family,
    orange stands out from it and blue falls short of it"""

    bl_idname = "omomi.show"
    bl_label = "Show"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012
    wants = "object"
    __annotations__ = {"what": EnumProperty(name="What", items=SHOWN)}

    @classmethod
    def description(cls, context: Any, properties: Any) -> str:
        return next(text for kind, _, text in SHOWN if kind == properties.what)

    def execute(self, context: Any) -> Any:
        options: Any = self
        mesh = context.active_object.data
        colour = mesh.color_attributes.get(COLOURS[options.what])
        if colour is None:
            missing = " with a family chosen" if options.what == "DEPARTURE" else ""
            self.report({"ERROR"}, f"There is nothing to show yet. Press Check{missing} first.")
            return {"CANCELLED"}
        mesh.color_attributes.active_color = colour
        for window in context.window_manager.windows:
            for area in window.screen.areas:
                if area.type == "VIEW_3D" and area.spaces.active.shading.type == "SOLID":
                    area.spaces.active.shading.color_type = "VERTEX"
        return {"FINISHED"}


class OMOMI_OT_sweep(Asks, bpy.types.Operator):
    """Find out between which strengths the active edit keeps the topology; Esc cancels"""

    bl_idname = "omomi.sweep"
    bl_label = "Find Safe Range"
    bl_options = {"UNDO"}  # noqa: RUF012
    __annotations__ = {
        "low": FloatProperty(name="From", default=-1.0),
        "high": FloatProperty(name="To", default=2.0),
        "steps": IntProperty(name="Steps", description="At least this many", default=24, min=1, max=1000),
        "picture": StringProperty(name="Picture", description="SVG file to write", subtype="FILE_PATH"),
        **WAIT,
    }
    _place = 0

    def _work(self, context: Any, client: Client, fitting: FitSettings) -> Any:
        given: Any = self
        uid, obj = self._uid, context.active_object
        self._place = obj.omomi.active
        low, high = sorted((given.low, given.high))
        reach, asked = _edit_at(obj, self._place).reach, given.properties.is_property_set
        if reach[0] < reach[1] and not (asked("low") or asked("high")):
            low, high = reach
        body = live.body_of(obj, context.scene.omomi.result)
        # Only what encloses something has a topology that could change.
        body = EditTarget.FIT if mesh_io.open_loops(obj.data) else body
        arguments = self._place, low, high, given.steps
        return lambda: checks.sweep(client, uid, fitting, body, *arguments)

    def _tell(self, context: Any, obj: Any, result: dict[str, Any]) -> None:
        given: Any = self
        edit = _edit_at(obj, self._place)
        edit.safe_low, edit.safe_high = result["safe"]
        edit.transitions, edit.safe = transition_lines(result), True
        if result.get("unstable"):
            self._report({"WARNING"}, "At some strengths the topology depends on the resolution")
        if given.picture and result.get("picture"):
            library.write_whole(Path(bpy.path.abspath(given.picture)), result["picture"].encode())
        self._report({"INFO"}, f"{edit.name}: safe from {edit.safe_low:.3g} to {edit.safe_high:.3g}")


class OMOMI_OT_solve(Asks, bpy.types.Operator):
    """Find the strength of the active edit at which a measure has the wanted value; Esc cancels"""

    bl_idname = "omomi.solve"
    bl_label = "Solve"
    bl_options = {"UNDO"}  # noqa: RUF012
    __annotations__ = {**{name: make() for name, make in SOLVE_OPTIONS.items()}, **WAIT}
    _place = 0

    def _work(self, context: Any, client: Client, fitting: FitSettings) -> Any:
        uid, self._place = self._uid, context.active_object.omomi.active
        wanted = chosen(self, context.scene, SOLVE_OPTIONS)
        arguments = EditTarget.FIT, self._place, wanted["measure"], wanted["value"]
        return lambda: checks.solve(client, uid, fitting, *arguments)

    def _tell(self, context: Any, obj: Any, result: dict[str, Any]) -> None:
        edit = _edit_at(obj, self._place)
        edit.strength = result["strength"]
        safe = result.get("safe")
        if isinstance(safe, list | tuple):
            edit.safe_low, edit.safe_high = safe
            edit.safe = True
        for warning in result.get("warnings", ()):
            self._report({"WARNING"}, warning)
        measured = result.get("measured")
        at = f", measured {measured:.4g}" if isinstance(measured, int | float) else ""
        self._report({"INFO"}, f"{edit.name}: strength {edit.strength:.3g}{at}")
        live.mark(obj)


class OMOMI_OT_blend(Asks, bpy.types.Operator):
    """Make a mesh NAME.blend between the active object and another; Esc cancels"""

    bl_idname = "omomi.blend"
    bl_label = "Blend"
    bl_options = {"UNDO"}  # noqa: RUF012
    wants = "object"
    __annotations__ = {
        **{name: make() for name, make in BLEND_OPTIONS.items()},
        "other": StringProperty(name="Other", description="Name of the other object; else the scene's setting"),
        **WAIT,
    }

    @classmethod
    def why_not(cls, context: Any) -> str:
        return why_not_start(context) or super().why_not(context)

    def _work(self, context: Any, client: Client, fitting: FitSettings) -> Any:
        given: Any = self
        other: Any = bpy.data.objects.get(given.other) if given.other else context.scene.omomi.other
        reason = why_not_editable(other) if other is not None else "Choose the other object"
        if other is context.active_object:
            reason = "Choose another object than the active one"
        if other is None or reason:
            raise Refusal(f"{reason}.")
        uids = self._uid, other.session_uid
        wanted = chosen(self, context.scene, BLEND_OPTIONS)
        return lambda: checks.blend(client, uids, fitting, wanted["share"], wanted["guarded"], 0)

    def _tell(self, context: Any, obj: Any, result: checks.BlendResult) -> None:
        frame = result.frame
        fitted = results.ResultMesh(frame.world(), frame.faces, frame.sigma, result.linear)
        made = results.place(obj, fitted, replace=False, suffix="blend", hide=False)
        text = topology_text(result.result.get("topology"), None)
        made.omomi.check = text
        self._report({"INFO"}, f"{made.name}: {text}")


CLASSES = (OMOMI_OT_check, OMOMI_OT_show, OMOMI_OT_sweep, OMOMI_OT_solve, OMOMI_OT_blend)


def _edit_at(obj: Any, place: int) -> Any:
    if place >= len(obj.omomi.edits):
        raise Refusal(f"The edits of {obj.name} were changed meanwhile.")
    return obj.omomi.edits[place]
