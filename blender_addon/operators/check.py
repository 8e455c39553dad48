"""Operators that measure the active object (check, safe range, strength for a measure), and blends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import bpy
from bpy.props import EnumProperty, FloatProperty, IntProperty, StringProperty

from ..backend.errors import ErrorCode, OmomiError
from ..backend.protocol.requests import BlendRequest, CheckRequest, EditTarget, SolveRequest, SweepRequest
from ..scene import measures, mesh_io, no_data, results, units
from ..scene.draft import Draft
from ..session import backend_fit, edits, library, live, travel
from ..session.backend_fit import FitSettings, profile_path
from ..session.task import Client, Work
from ..text import (
    MEASURES,
    Refusal,
    changes,
    measure_lines,
    plausibility_lines,
    topology_text,
    transition_lines,
    transitions_text,
    typicality_lines,
)
from ..translations import told
from ..ui import colour_overlay
from ..ui.properties import BLEND_OPTIONS, FIT_OPTIONS, SOLVE_OPTIONS
from .edits import EditOperator, EditRunOperator, why_not_editable
from .modal import FILE, WAIT, ActionOperator, PolledOperator, absolute, chosen

SHOWN = [
    ("UNCERTAINTY", "Uncertainty", "Colour the object by how sure its surface is: blue is measured, orange is guessed"),
    (
        "DEPARTURE", "Departure",
        "Colour the object by where it departs from its family: orange stands out, blue falls short, grey is only "
        "noise",
    ),
]  # fmt: skip
COLOURS = {"UNCERTAINTY": mesh_io.COLOUR, "DEPARTURE": mesh_io.DEPARTURE}


class OMOMI_OT_check(EditRunOperator, bpy.types.Operator):
    """Count pieces and tunnels, measure, say how usual the shape is, and paint on the object how sure its surface is"""

    bl_idname = "omomi.check"
    bl_label = "Check"
    bl_description = (
        "Count pieces and tunnels, measure, say how usual the shape is, and paint on the object how sure its surface "
        "is; with a family chosen also where it departs from that. Esc cancels"
    )
    bl_options = {"UNDO"}  # noqa: RUF012
    wants = "object"
    __annotations__ = {"profile": FIT_OPTIONS["profile"], **WAIT}

    def _work(self, context: Any, client: Client, settings: FitSettings) -> Callable[[], Work]:
        uid, profile = self._uid, profile_path(chosen(self, context.scene, "profile"))
        # A mesh that Omomi made is checked as it is, and anything else as the surface that a fit sees in it.
        body = EditTarget.SCAN if mesh_io.is_made(context.active_object.data) else EditTarget.FIT
        return lambda: _checked(client, uid, settings, body, profile)

    def _place(self, context: Any, obj: Any, result: backend_fit.Asked) -> None:
        done = result.answer.done
        found = done.result
        text = topology_text(found.get("topology"), found.get("guessed"))
        usual = [*plausibility_lines(found.get("plausibility")), *typicality_lines(found.get("family"))]
        obj.omomi.check = "\n".join([text, *usual, *measure_lines(found.get("measures") or {}, units.shown)])
        measures.note(obj, found.get("measures") or {})
        settings = context.scene.omomi
        settings.value = settings.value or measures.now(obj, settings.measure)
        if obj.data.library is not None or obj.data.override_library is not None:
            self.tell("WARNING", f"{obj.name} is linked from another file, so it cannot be painted")
        elif obj.data.is_editmode:
            self.tell("WARNING", f"{obj.name} is in Edit Mode. Leave it with Tab first.")
        else:
            count = len(obj.data.vertices)
            if done.values is not None and len(done.values) == count:
                mesh_io.paint_sigma(obj.data, done.values, mesh_io.longest_side(result.fit.frame.vertices))
            if done.deviation is not None and len(done.deviation) == count:
                mesh_io.paint_deviation(obj.data, done.deviation)
        painted = COLOURS["DEPARTURE" if done.deviation is not None else "UNCERTAINTY"]
        if painted in obj.data.attributes:
            colour_overlay.show(painted)
        self.tell("INFO", f"{obj.name}: {'; '.join([text, *usual])}")


class OMOMI_OT_show(EditOperator, ActionOperator, bpy.types.Operator):
    """Show or hide what a check found, as colours"""

    bl_idname = "omomi.show"
    bl_label = "Show"
    wants = "object"
    __annotations__ = {"what": EnumProperty(name="What", description="Which colours", items=SHOWN)}

    @classmethod
    def description(cls, context: Any, properties: Any) -> str:
        return told(next(text for kind, _, text in SHOWN if kind == properties.what))

    def _act(self, context: Any) -> str:
        colours = COLOURS[self.what]
        if context.active_object.data.color_attributes.get(colours) is None:
            if self.what == "DEPARTURE":
                raise Refusal("There is nothing to show yet. Press Check with a family chosen first.")
            raise Refusal("There is nothing to show yet. Press Check first.")
        if colour_overlay.shown() == colours:
            colour_overlay.hide()
        else:
            colour_overlay.show(colours)
        return ""


class OMOMI_OT_hide_colours(PolledOperator, bpy.types.Operator):
    """Colour the views as before the check"""

    bl_idname = "omomi.hide_colours"
    bl_label = "Hide Colours"

    @classmethod
    def why_not(cls, context: Any) -> str:
        return "" if colour_overlay.shown() else "No colours of a check are shown"

    def execute(self, context: Any) -> Any:
        colour_overlay.hide()
        return {"FINISHED"}


class OMOMI_OT_mark_no_data(EditOperator, ActionOperator, bpy.types.Operator):
    """Mark what the scan does not show, or mark it no more"""

    bl_idname = "omomi.mark_no_data"
    bl_label = "Mark No Data"
    bl_description = (
        "Mark what the scan does not show with a material, and as the point attribute 'omomi_no_data' for other "
        "modifiers and shaders, by a modifier that leaves the mesh as it is; once more removes it"
    )
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012
    wants = "object"

    @classmethod
    def why_not_wanted(cls, group: Any) -> str:
        known = {mesh_io.SIGMA, mesh_io.INVENTED} & set(group.id_data.data.attributes.keys())
        return "" if known else "Fit or check it first"

    def _act(self, context: Any) -> str:
        obj = context.active_object
        if (modifier := no_data.find(obj)) is not None:
            obj.modifiers.remove(modifier)
            return f"{obj.name} is shown as it is"
        no_data.add(obj)
        return f"{obj.name} is marked where its scan shows nothing"


class OMOMI_OT_sweep(EditRunOperator, bpy.types.Operator):
    """Find out how far the active edit goes before pieces, tunnels or hollows come or go; Esc cancels"""

    bl_idname = "omomi.sweep"
    bl_label = "Find Safe Range"
    bl_options = {"UNDO"}  # noqa: RUF012
    __annotations__ = {
        "low": FloatProperty(name="From", description="The least strength to try; 0 is no edit", default=-1.0),
        "high": FloatProperty(name="To", description="The greatest strength; 0 is no edit", default=2.0),
        "steps": IntProperty(name="Steps", description="At least this many", default=24, min=1, max=1000),
        "picture": StringProperty(name="Picture", description="SVG file to write", **FILE),
        **WAIT,
    }
    _index = 0

    def _work(self, context: Any, client: Client, settings: FitSettings) -> Callable[[], Work]:
        uid, obj = self._uid, context.active_object
        self._index = obj.omomi.active
        low, high = sorted((self.low, self.high))
        edit, asked = _edit_at(obj, self._index), self.properties.is_property_set
        if (known := edits.find(edit.kind, edit.name)) is not None and not (asked("low") or asked("high")):
            low, high = known.useful
        body = backend_fit.body_of(obj, context.scene.omomi.result)
        # Only a surface that encloses something has a topology that could change.
        body = EditTarget.FIT if mesh_io.open_loops(obj.data) else body
        wanted = {"layer": self._index, "low": low, "high": high, "steps": self.steps}
        return lambda: backend_fit.asked(client, uid, settings, body, SweepRequest, **wanted)

    def _place(self, context: Any, obj: Any, result: backend_fit.Asked) -> None:
        edit, found = _edit_at(obj, self._index), result.answer.done.result
        # Of what the network makes: around strength 1, which the examples show. At 0 there is nothing of the edit.
        edit.safe_low, edit.safe_high = found.get("shown") or found["safe"]
        edit.swept = found["rows"][0]["strength"], found["rows"][-1]["strength"]
        edit.transitions, edit.safe = transition_lines(found), True
        if found.get("unstable"):
            self.tell("WARNING", "At some strengths the topology depends on the resolution")
        if self.picture and found.get("picture"):
            library.write_file(absolute(self.picture), found["picture"].encode())
        low, high = (travel.shown(edit, strength) for strength in travel.safe_range(edit))
        self.tell("INFO", f"{edit.name}: safe from {low} to {high} %")


class OMOMI_OT_list_changes(EditOperator, ActionOperator, bpy.types.Operator):
    """Write all changes of the topology along the active edit into a text of this file"""

    bl_idname = "omomi.list_changes"
    bl_label = "List All Changes"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    def _act(self, context: Any) -> str:
        obj = context.active_object
        edit = _edit_at(obj, obj.omomi.active)
        name = f"{obj.name} {edit.name}"
        text = bpy.data.texts.get(name) or bpy.data.texts.new(name)
        shown = transitions_text(changes(edit.transitions), partial(travel.shown, edit))
        text.from_string(f"{travel.safe_text(edit)}\n{shown}\n")
        return f"'{text.name}' in the Text Editor lists all changes"


class OMOMI_OT_solve(EditRunOperator, bpy.types.Operator):
    """Find the strength of the active edit at which a measure has the wanted value; Esc cancels"""

    bl_idname = "omomi.solve"
    bl_label = "Solve"
    bl_options = {"UNDO"}  # noqa: RUF012
    __annotations__ = {**SOLVE_OPTIONS, **WAIT}
    _index = 0
    _measure = ""

    def _work(self, context: Any, client: Client, settings: FitSettings) -> Callable[[], Work]:
        uid, self._index = self._uid, context.active_object.omomi.active
        wanted = {name: chosen(self, context.scene, name) for name in SOLVE_OPTIONS}
        if not wanted["value"]:
            raise Refusal("There is no value to reach. Give one first.")
        wanted["layer"], self._measure = self._index, wanted["measure"]
        return lambda: backend_fit.asked(client, uid, settings, EditTarget.FIT, SolveRequest, **wanted)

    def _place(self, context: Any, obj: Any, result: backend_fit.Asked) -> None:
        edit, found = _edit_at(obj, self._index), result.answer.done.result
        edit.strength = found["strength"]
        for warning in found.get("warnings", ()):
            self.tell("WARNING", warning)
        measured = found.get("measured")
        text = f"{edit.name}: strength {edit.strength:.3g}"
        if isinstance(measured, int | float):
            text = f"{text}, measured {units.shown(MEASURES.get(self._measure, 'LENGTH'), measured)}"
        self.tell("INFO", text)
        live.mark(obj)


class OMOMI_OT_blend(EditRunOperator, bpy.types.Operator):
    """Make a mesh NAME.blend between the active object and another; Esc cancels"""

    bl_idname = "omomi.blend"
    bl_label = "Blend"
    bl_options = {"UNDO"}  # noqa: RUF012
    wants = "object"
    __annotations__ = {
        **BLEND_OPTIONS,
        "other": StringProperty(name="Other", description="Name of the other object; else the scene's setting"),
        **WAIT,
    }

    def _work(self, context: Any, client: Client, settings: FitSettings) -> Callable[[], Work]:
        other: Any = bpy.data.objects.get(self.other) if self.other else context.scene.omomi.other
        is_mesh = other is not None and other.type == "MESH"
        reason = why_not_editable(other) if is_mesh else "Choose the other object"
        if other is context.active_object:
            reason = "Choose another object than the active one"
        if other is None or reason:
            raise Refusal(f"{reason}.")
        uids = self._uid, other.session_uid
        wanted = {name: chosen(self, context.scene, name) for name in BLEND_OPTIONS}
        return lambda: _blend(client, uids, settings, **wanted)

    def _place(self, context: Any, obj: Any, result: backend_fit.Asked) -> None:
        answer = result.answer
        made = results.place(obj, Draft(answer.mesh, result.fit.linear), replace=False, suffix="blend")
        made.omomi.check = text = topology_text(answer.done.result.get("topology"), None)
        self.tell("INFO", f"{made.name}: {text}")


CLASSES = (
    OMOMI_OT_check, OMOMI_OT_show, OMOMI_OT_hide_colours, OMOMI_OT_mark_no_data, OMOMI_OT_sweep,
    OMOMI_OT_list_changes, OMOMI_OT_solve, OMOMI_OT_blend,
)  # fmt: skip


def _edit_at(obj: Any, index: int) -> Any:
    if index >= len(obj.omomi.edits):
        raise Refusal(f"The edits of {obj.name} have changed in the meantime. Press the button again.")
    return obj.omomi.edits[index]


def _checked(client: Client, uid: int, settings: FitSettings, body: EditTarget, profile: str) -> Work:
    """`Asked` of a check. A scan that is none of the family is fitted without it. Raises OmomiError."""
    try:
        return (yield from backend_fit.asked(client, uid, settings, body, CheckRequest, profile=profile))
    except OmomiError as error:
        if error.code != ErrorCode.NOT_REGISTERED or not settings.profile:
            raise
    plain = replace(settings, profile="")
    return (yield from backend_fit.asked(client, uid, plain, body, CheckRequest, profile=profile))


def _blend(client: Client, uids: tuple[int, int], settings: FitSettings, share: float, guarded: bool) -> Work:
    """`Asked` of two objects without their edits; the fit is that of the first. Raises OmomiError."""
    other = (yield from backend_fit.opened(client, uids[1], settings)).handle
    fit = yield from backend_fit.opened(client, uids[0], settings)
    wanted = {"handle": fit.handle, "other": other, "share": share, "guarded": guarded, "steps": 0}
    answer = yield client.request(BlendRequest, **wanted)
    return backend_fit.Asked(fit, answer, (), "")
